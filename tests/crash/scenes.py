"""One batch in which every kind of request stands, and what must become of it whoever dies over it."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.db import transaction
from shared.domain.requests import END_WAITLIST
from shared.line.drain import read_line_end
from shared.services import control_requests
from shared.services.line_drain import drain
from tests.crash.flows import Desk
from tests.crash.rest import assert_at_rest
from tests.lines import LineDriver, await_that

PARTITION = 3
PEOPLE = 8
AT_ONCE = 12  # scenes that are made ready together: most of it is waiting for an event to start
STARTS_IN = timedelta(seconds=1)

# What is decided of the batch, event by event: (kind, who, outcome or status of the offer, reason).
OFFERS = [
    ("accept_offer", 2, "confirmed", None),
    ("decline_offer", 3, "done", None),
    ("offer", 4, "declined", None),
    ("book", 5, "waitlisted", None),
    ("leave_waitlist", 4, "done", None),
    ("offer", 5, "open", None),
    ("book", 6, "rejected", "sold_out"),
    ("join_waitlist", 6, "withdrawn", "withdrawn_by_user"),
    ("join_waitlist", 7, "waitlisted", None),
]
ENDING = [
    ("offer", 2, "open", None),
    ("serve_waitlist", None, "done", None),
    ("expire_offer", 1, "done", None),
    ("book", 3, "confirmed", None),
]
DRAINED = [
    ("drain", None, "done", None),
    ("book", 1, "withdrawn", "withdrawn_by_admin"),
    ("join_waitlist", 2, "withdrawn", "withdrawn_by_admin"),
    ("cancel", 0, "cancelled", None),
    ("book", 3, "confirmed", None),
]
CALLED_OFF = [
    ("call_off_slice", None, "done", None),
    ("call_off", None, "done", None),
    ("book", 4, "rejected", "event_cancelled"),
]
STARTED = [
    ("end_waitlist_slice", None, "done", None),
    ("end_waitlist", None, "done", None),
    ("book", 4, "rejected", "sales_closed"),
]
EXPECTED = {
    "offers": OFFERS,
    "ending": ENDING,
    "drained": DRAINED,
    "called_off": CALLED_OFF,
    "started": STARTED,
}
LEFT = {  # capacity, booked, offered
    "offers": (2, 1, 1),
    "ending": (2, 1, 1),
    "drained": (5, 1, 0),
    "called_off": (3, 0, 0),
    "started": (1, 1, 0),
}


@dataclass
class Scene:
    """Five events of one partition, each brought to where something may happen to it."""

    desk: Desk
    driver: LineDriver
    events: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # of their ledgers, before the batch
    jobs: list[uuid.UUID] = field(default_factory=list)

    def open(self) -> None:
        """Everybody's first requests."""
        capacities = {"offers": 2, "ending": 1, "drained": 5, "called_off": 3, "started": 1}
        for name, capacity in capacities.items():
            (self.events[name],) = self.desk.open_events(1, partition=PARTITION, capacity=capacity)
        for name, bookings, joining in (
            ("offers", 2, 3), ("ending", 1, 2), ("drained", 1, 0), ("called_off", 3, 1), ("started", 1, 2),
        ):  # fmt: skip
            for person in range(bookings):
                self.ask(name, "book", person)
            for person in range(bookings, bookings + joining):
                self.ask(name, "join_waitlist", person, tickets=1)

    def free(self, name: str) -> None:
        """Those who have booked cancel: tickets are offered to who waits."""
        rows = self.desk.query(
            "select id, user_id from bookings where event_id = :event", event=self.events[name]
        )
        for row in rows:
            self.desk.send(self.events[name], "cancel", row.user_id, booking_id=row.id)

    def bring_forward(self) -> None:
        """The host has it begin at once, with people waiting."""
        ((now,),) = self.desk.query("select clock_timestamp()")
        times = {
            "starts_at": now + STARTS_IN,
            "sales_close_at": now + STARTS_IN,
            "ends_at": now + 2 * STARTS_IN,
        }
        self.desk.change(self.events["started"], **times)

    def has_begun(self) -> bool:
        ((begun,),) = self.desk.query(
            "select starts_at < clock_timestamp() from events where id = :event", event=self.events["started"]
        )
        return bool(begun)

    def ask_for_everything(self) -> None:
        """The batch."""
        heads = dict(self.desk.query("select id, last_number from events"))
        self.numbers = {name: heads[event] for name, event in self.events.items()}
        self.jobs.clear()
        self._ask_around_offers()
        self._let_offers_end()
        self._drain()
        self.jobs.append(self.desk.call_off(self.events["called_off"]))
        self._end_waitlist()
        self.ask("called_off", "book", 4)
        self.ask("started", "book", 4)

    def _ask_around_offers(self) -> None:
        self.ask("offers", "accept_offer", 2, offer_id=self.offer_to("offers", 2))
        self.ask("offers", "decline_offer", 3, offer_id=self.offer_to("offers", 3))
        self.ask("offers", "book", 5, waitlist=True)
        self.ask("offers", "leave_waitlist", 4)
        self.ask("offers", "book", 6)
        self.desk.withdraw(self.ask("offers", "join_waitlist", 6, tickets=1))
        self.ask("offers", "join_waitlist", 7, tickets=1)

    def _let_offers_end(self) -> None:
        self.jobs.append(self.desk.change(self.events["ending"], capacity=2))
        offer = self.offer_to("ending", 1)
        self.ask("ending", "expire_offer", 1, offer_id=offer, is_control=True)
        self.ask("ending", "book", 3)

    def _drain(self) -> None:
        event = self.events["drained"]
        self.ask("drained", "book", 1)
        self.ask("drained", "join_waitlist", 2, tickets=1)
        ((booking,),) = self.desk.query("select id from bookings where event_id = :event", event=event)
        self.ask("drained", "cancel", 0, booking_id=booking)
        end = read_line_end(self.desk.line.runner, self.driver.installation, event)
        with transaction(self.desk.engine) as session:
            drain(session, end, event_id=event, reason="Rain", actor_id=None)
        self.ask("drained", "book", 3)

    def _end_waitlist(self) -> None:
        with transaction(self.desk.engine) as session:
            job_id = control_requests.add(session, kind=END_WAITLIST, event_id=self.events["started"])
        assert control_requests.put_into_line(self.desk.engine, self.desk.line, [job_id]) == 1
        self.jobs.append(job_id)

    def ask(self, name: str, kind: str, person: int, **fields: Any) -> uuid.UUID:
        answer = self.desk.send(self.events[name], kind, self.desk.users[person], **fields)
        self.jobs.append(answer.job_id)  # type: ignore[union-attr]  # a refusal has none, and fails here
        return self.jobs[-1]

    def offer_to(self, name: str, person: int) -> uuid.UUID:
        ((offer,),) = self.desk.query(
            "select id from offers where event_id = :event and user_id = :user",
            event=self.events[name],
            user=self.desk.users[person],
        )
        return offer

    def stories(self) -> dict[str, list[tuple[str, int | None, str, str | None]]]:
        """What the ledgers have of the batch."""
        rows = self.desk.query(
            "select d.event_id, d.number, d.kind, d.user_id, coalesce(o.status, d.outcome) as outcome, d.reason,"
            " d.arrival from decisions d left join offers o on o.id = d.job_id"
            " where d.event_id = any(:events) and d.kind <> 'event_set' order by d.number",
            events=list(self.events.values()),
        )
        known = {user: person for person, user in enumerate(self.desk.users)}
        told: dict[str, list[tuple[str, int | None, str, str | None]]] = {}
        for name, event in self.events.items():
            own = [row for row in rows if row.event_id == event]
            arrivals = [row.arrival for row in own if row.arrival is not None]
            assert arrivals == list(range(1, len(arrivals) + 1)), (name, arrivals)
            told[name] = [
                (row.kind, known.get(row.user_id), row.outcome, row.reason)
                for row in own
                if row.number > self.numbers[name]
            ]
        return told

    def check(self) -> None:
        """Everything came out as if nobody had died, in the order of arrival, and nothing is left over."""
        told = self.stories()
        assert told == EXPECTED, told
        rows = self.desk.query(
            "select id, capacity, booked, offered from events where id = any(:events)",
            events=list(self.events.values()),
        )
        left = {row.id: (row.capacity, row.booked, row.offered) for row in rows}
        assert {name: left[event] for name, event in self.events.items()} == LEFT, left
        assert_at_rest(self.desk, self.events.values(), self.jobs)


def scenes(desk: Desk) -> Iterator[Scene]:
    """Scenes that are ready, as many as are asked for."""
    while True:
        yield from _make_ready(desk)


def _make_ready(desk: Desk) -> Sequence[Scene]:
    driver = LineDriver(desk.settings, desk.engine, "stage hand")
    try:
        made = [Scene(desk, driver) for _ in range(AT_ONCE)]
        await_that(lambda: driver.claim() or driver.session.held, what="free partitions")
        for scene in made:
            scene.open()
        driver.decide_all()
        for scene in made:
            scene.free("offers")
            scene.bring_forward()
        driver.decide_all()
        terms = driver.batches._terms
        driver.batches._terms = replace(terms, offer_lifetime=timedelta(microseconds=1))
        for scene in made:
            scene.free("ending")
        driver.decide_all()
        await_that(made[-1].has_begun, what="the start")
        return made
    finally:
        driver.close()
