"""A fan-out whose task worker is killed in earnest goes on where it was; every single call: see the schedule's sweep."""

from sqlalchemy import text

from shared.db import transaction
from shared.services import outbox
from tests.factories import make_event
from tests.lines import await_that, worker_process
from tests.telling import tell

CHANGES = {"version": 2, "changes": {"venue": {"from": "a", "to": "b"}}}


def count(engine, table):
    with transaction(engine) as session:
        return session.scalar(text(f"select count(*) from {table}"))


def test_the_task_worker_killed_in_the_middle_of_a_fan_out(settings, engine):
    """Slices that were committed stay told, the next worker goes on behind them."""
    people = 3 * outbox.SLICE + 5
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into users (name, email, role) select 'p', 'p' || n || '@example.org', 'attendee'"
                " from generate_series(1, :people) n"
            ),
            {"people": people},
        )
    event = make_event(engine)
    tell(engine)
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,"
                " currency, arrival, created_at) select gen_random_uuid(), 'r' || id, :event, id, gen_random_uuid(),"
                " 1, 'confirmed', 0, 'EUR', 1, now() from users where name = 'p'"
            ),
            {"event": event.id},
        )
        outbox.add(session, "event_changed", event_id=event.id, payload=CHANGES)
    with worker_process(settings, "-m", "worker", "tasks") as process:
        await_that(lambda: count(engine, "notifications") > 0, seconds=60, what="the first slice")
        process.kill()
        process.wait()
    with worker_process(settings, "-m", "worker", "tasks"):
        await_that(lambda: count(engine, "outbox") == 0, seconds=60, what="an empty outbox")
    assert count(engine, "notifications") == people
    assert count(engine, "(select distinct user_id from notifications) d") == people
