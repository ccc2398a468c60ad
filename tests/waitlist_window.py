"""An event with a waitlist and the line before it, driven by a test batch by batch."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, text

from scripts.audit import run_audit
from shared.db import transaction
from shared.domain.permissions import Actor
from shared.models import Event
from shared.services import control_requests, events
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from tests.factories import make_event
from tests.standing import StandingLine

NOWHERE = uuid.UUID(int=0)


@dataclass
class Window:
    """An event, the line before it, and short ways to ask for things; what is asked is decided when the test says so."""

    engine: Engine
    line: StandingLine
    event: Event

    def ask(self, kind: str, user_id: int, **fields: Any) -> uuid.UUID:
        """Stands in line; the job id."""
        given = {"tickets": 1 if kind in ("book", "join_waitlist") else None, **fields}
        return uuid.UUID(self.line.stand_as(self.event, [user_id], kind=kind, **given)[0])

    def decide(self) -> None:
        """Everything that waits."""
        self.line.decide_all()

    def let_wait(self, count: int, tickets: int = 1) -> None:
        """So many people join the waitlist; a session that is silent for 3 s loses its claim."""
        for _ in range(0, count, 50):
            self.line.stand(self.event, 50, kind="join_waitlist", tickets=tickets)
            self.decide()

    def change(self, **values: Any) -> None:
        """The host changes the event, and what follows from it is put into the line."""
        settings = self.line.settings
        client = LineClient(settings, self.line.redis, LineGate(settings, self.engine, self.line.redis))
        with transaction(self.engine) as session:
            jobs = events.change_event(
                session, actor=Actor(self.event.host_id, "host"), event_id=self.event.id, values=values,
                whole=False, versions=None, request_id=None,
            )  # fmt: skip
        control_requests.put_into_line(self.engine, client, jobs)

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), {"event": self.event.id, **values}))

    def counters(self) -> tuple[int, int, list[int]]:
        """Booked, offered, waiting."""
        (row,) = self.query("select booked, offered, waiting from events where id = :event")
        return row.booked, row.offered, row.waiting

    def story(self) -> list[tuple[Any, ...]]:
        """Decisions and offers, in the words of the model."""
        rows = self.query(
            "select d.kind, d.job_id, d.outcome, d.reason, d.user_id, d.tickets, w.job_id as made_by from decisions d"
            " left join waitlist_entries w on w.id::text = d.facts ->> 'entry_id' and d.kind = 'offer'"
            " where d.event_id = :event and d.kind not in ('event_set', 'call_off_slice') order by d.number"
        )
        return [
            ("offer", row.made_by, row.user_id, row.tickets)
            if row.kind == "offer"
            else ("decision", row.job_id, row.outcome, row.reason)
            for row in rows
        ]

    def offered_to(self) -> list[int]:
        """Whom offers were made to, in order."""
        rows = self.query(
            "select user_id from decisions where event_id = :event and kind = 'offer' order by number"
        )
        return [row.user_id for row in rows]

    def offer_of(self, user_id: int) -> uuid.UUID:
        """The id of the newest offer to somebody."""
        rows = self.query(
            "select id from offers where event_id = :event and user_id = :user order by created_at desc, id desc",
            user=user_id,
        )
        return rows[0].id if rows else NOWHERE

    def outcome(self, job_id: uuid.UUID) -> tuple[str, str | None]:
        (row,) = self.query("select outcome, reason from decisions where job_id = :job", job=job_id)
        return row.outcome, row.reason

    def assert_clean(self) -> None:
        tally = run_audit(self.line.settings)
        assert tally.ok, tally.findings[:5]


@contextmanager
def windows(settings: Settings, engine: Engine) -> Iterator[Callable[..., Window]]:
    """Opens any number of them, by whose limits nobody is kept from asking often; closes their lines with the block."""
    unlimited = replace(
        settings, booking_rate_per_second=100_000.0, booking_rate_burst=100_000, user_undecided_max=100_000
    )
    lines: list[StandingLine] = []

    def opened(*, batch_max: int = 250, **fields: Any) -> Window:
        lines.append(StandingLine(replace(unlimited, batch_max=batch_max), engine))
        return Window(engine, lines[-1], make_event(engine, **fields))

    try:
        yield opened
    finally:
        for line in lines:
            line.close()
