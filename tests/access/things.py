"""The kinds of things that `table.py` names, each with the values that an address or a body has for it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from rq import Queue
from rq.job import JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import text

from shared.clock import utc_now
from shared.db import transaction
from shared.ids import uuid7
from shared.models import Notification, Offer, User, WaitlistEntry
from tests.access.callers import Who
from tests.conftest import connect_redis
from tests.event_calls import add_booking
from tests.factories import PASSWORD, make_event, make_organization, make_user
from tests.lines import LineDriver
from worker.entries import TASK_QUEUE

if TYPE_CHECKING:
    from tests.access.world import World


@dataclass(frozen=True, slots=True)
class Thing:
    """What is called about. `owner` where it is not the usual one."""

    values: dict[str, Any]
    owner: User | None = None


# What nobody has ever had, in the same forms.
ABSENT: Final[dict[str, Any]] = {
    "event_id": 987_654_321,
    "organization_id": 987_654_321,
    "user_id": 987_654_321,
    "host_id": 987_654_321,
    "booking_id": uuid.UUID(int=7, version=4),
    "job_id": uuid.UUID(int=7, version=4),
    "offer_id": uuid.UUID(int=7, version=4),
    "notification_id": uuid.UUID(int=7, version=4),
    "reference": "ZZZZ-ZZZZ",
    "task_id": "nobodys-task",
}


def _nothing(_world: "World") -> Thing:
    return Thing({})


def _account(world: "World") -> Thing:
    owner = make_user(world.engine, password=PASSWORD)
    return Thing({"user_id": owner.id, "email": owner.email}, owner)


def _organization(world: "World") -> Thing:
    owner, member = world.people[Who.ORG_OWNER], world.people[Who.ORG_MEMBER]
    another = make_user(world.engine)
    found = make_organization(world.engine, owners=[owner], members=[member, another])
    values = {"organization_id": found.id, "user_id": another.id, "newcomer": make_user(world.engine).id}
    return Thing(values)


def _event(**fields: Any) -> Callable[["World"], Thing]:
    return lambda world: Thing({"event_id": world.event(**fields).id})


def _event_to_come(world: "World") -> Thing:
    return Thing({"event_id": world.event(sales_open_at=utc_now() + timedelta(days=1)).id})


def _sold_out(world: "World") -> Thing:
    event = world.event(capacity=1)
    add_booking(world.engine, event.id, make_user(world.engine), tickets=1)
    return Thing({"event_id": event.id})


def _booking(world: "World") -> Thing:
    event = world.event()
    booking = add_booking(world.engine, event.id, world.people[Who.OWNER])
    return Thing({"event_id": event.id, "booking_id": booking.id, "reference": booking.reference})


def _request(world: "World") -> Thing:
    answer = world.ask(Who.OWNER, "POST", f"/api/bookings/{world.event().id}/book")
    assert answer.status_code == 202, answer.text
    return Thing({"job_id": uuid.UUID(answer.json["job_id"])})


def decided_request(world: "World") -> dict[str, Any]:
    """A request whose decision stands in the ledger."""
    found = _request(world)
    decide_all(world)
    return found.values


def decide_all(world: "World") -> None:
    """Nobody has an undecided request then."""
    driver = LineDriver(world.settings, world.engine)
    try:
        driver.decide_all()
    finally:
        driver.close()


def _place(world: "World") -> Thing:
    decide_all(world)  # who has asked for something might have a place when it is decided
    event = world.event(capacity=1)
    add_booking(world.engine, event.id, make_user(world.engine), tickets=1)
    _wait(world, event.id, status="waiting")
    return Thing({"event_id": event.id})


def _offer(world: "World") -> Thing:
    event, offer_id, now = world.event(), uuid7(), utc_now()
    entry_id = _wait(world, event.id, status="offered")
    with transaction(world.engine) as session:
        session.add(
            Offer(
                id=offer_id,
                entry_id=entry_id,
                event_id=event.id,
                user_id=world.people[Who.OWNER].id,
                tickets=1,
                status="open",
                expires_at=now + timedelta(hours=1),
                created_at=now,
            )
        )
        session.execute(text("update events set offered = 1 where id = :id"), {"id": event.id})
    return Thing({"event_id": event.id, "offer_id": offer_id})


def _wait(world: "World", event_id: int, *, status: str) -> uuid.UUID:
    """The owner's place in the event's waitlist, as a worker leaves it."""
    entry_id = uuid7()
    with transaction(world.engine) as session:
        session.add(
            WaitlistEntry(
                id=entry_id,
                event_id=event_id,
                user_id=world.people[Who.OWNER].id,
                job_id=uuid7(),
                number=2,
                tickets=1,
                status=status,
                created_at=utc_now(),
            )
        )
    return entry_id


def _host(world: "World") -> Thing:
    host = make_user(world.engine, role="host")
    make_event(world.engine, host=host)
    return Thing({"host_id": host.id})


def _notification(world: "World") -> Thing:
    event, notification_id = world.event(), uuid7()
    with transaction(world.engine) as session:
        session.add(
            Notification(
                id=notification_id,
                user_id=world.people[Who.OWNER].id,
                kind="sales_open",
                cause=str(notification_id),
                event_id=event.id,
            )
        )
    return Thing({"notification_id": notification_id})


def _failed_task(world: "World") -> Thing:
    with connect_redis(world.settings.redis_url) as redis:
        queue = Queue(TASK_QUEUE, connection=redis, serializer=JSONSerializer)
        job = queue.enqueue("worker.tasks.prune")
        queue.remove(job)
        job.set_status(JobStatus.FAILED)
        FailedJobRegistry(queue=queue).add(job, ttl=3600)
    return Thing({"task_id": job.id})


KINDS: Final[dict[str, Callable[["World"], Thing]]] = {
    "nothing": _nothing,
    "oneself": _nothing,
    "an account": _account,
    "an organization": _organization,
    "an event": _event(),
    "a draft": _event(status="draft"),
    "an event to come": _event_to_come,
    "an event without tickets": _sold_out,
    "a booking": _booking,
    "a request": _request,
    "a decided request": lambda world: Thing(world.decided),
    "a place": _place,
    "an offer": _offer,
    "a host": _host,
    "a notification": _notification,
    "a failed task": _failed_task,
    "an asset": lambda _world: Thing({"asset": "docs.js"}),
    "a problem": lambda _world: Thing({"code": "sold_out"}),
    "a page of the console": lambda _world: Thing({"path": "0/view/queues"}),
}
