"""An event with a waitlist three times: the naive model, a database in which each request is decided by itself, one in which batches are. They must stay the same, and the ledger must replay."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from hypothesis.stateful import RuleBasedStateMachine, invariant

from shared.domain import waitlist
from shared.domain.ledger import OFFER
from shared.domain.replay import Replay
from shared.domain.requests import KINDS, Request, RequestKind
from shared.domain.snapshot import EventState
from shared.ids import derived_uuid
from tests.snapshots import NOW, Database, event_state, job_id
from tests.waitlist_model import Model

NO_SUCH = job_id(10**6)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before it knows ids that others make. `of` is the job id of the request that made its booking, or the
    entry whose offer it is about."""

    job_id: uuid.UUID
    kind: RequestKind
    user_id: int
    accepted_at: datetime
    tickets: int | None = None
    of: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: str = "owner"
    withdrawn: bool = False


class EventTwins(RuleBasedStateMachine):
    """The model, a database in which each request is decided by itself, one in which batches are."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.line: list[Asked] = []
        self.failing: set[uuid.UUID] = set()
        self.number = 0
        self.replay = Replay(1)

    def open(self, offers_max: int, **fields: Any) -> None:
        """The event as it is in the beginning; so many offers at once."""
        self.model = Model(**fields)
        self.singly, self.batched = (Database({1: event_state(**fields)}) for _ in range(2))
        self.limit = patch.object(waitlist, "OFFERS_MAX", offers_max)
        self.limit.start()
        self.change()

    def teardown(self) -> None:
        """The next one has its own limit."""
        self.limit.stop()

    def ask(self, kind: RequestKind, user_id: int, **fields: Any) -> Asked:
        """A request that stands in line now."""
        self.number += 1
        asked = Asked(job_id(self.number), kind, user_id, self.now, **fields)
        self.line.append(asked)
        return asked

    def change(self, **changes: Any) -> None:
        """What the control plane does, between two transactions, while requests may stand in line."""
        for name, value in changes.items():
            setattr(self.model, name, value)
        for database in (self.singly, self.batched):
            database.set_event(1, self.now, **changes)

    def decide(self, cuts: list[int], slice_size: int) -> None:
        """All that waits: by the model and singly one after the other, in the other database in batches."""
        batch: list[Request] = []
        for each in self.line:
            asked = self.with_what_is_known(each)
            request = self.request_of(asked)
            if asked.kind == "call_off":
                self.decide_batches(batch, cuts)
                batch = []
                self.model.call_off(asked)
                for database in (self.singly, self.batched):
                    database.call_off(request, self.now, slice_size)
                continue
            self.model.work_off([asked], self.now, self.failing)
            self.singly.decide([request], self.now, self.failing)
            batch.append(request)
        self.decide_batches(batch, cuts)
        served = self.line and self.line[-1].job_id not in self.failing
        self.line = []
        self.compare()
        if served and self.model.may_offer(self.now):
            assert not self.model.who_fits(), "tickets are idle while somebody waits for them"

    def decide_batches(self, requests: list[Request], cuts: list[int]) -> None:
        """In batches of these sizes, and what is left in one."""
        start = 0
        for size in [*cuts, len(requests)]:
            self.batched.decide(requests[start : start + size], self.now, self.failing)
            start += size

    def with_what_is_known(self, asked: Asked) -> Asked:
        """Nobody can name an offer that is only made before this very request is decided."""
        made = any(one.made_by == asked.of and one.offer_status for one in self.model.waitlist)
        return asked if made or not asked.kind.endswith("_offer") else replace(asked, of=NO_SUCH)

    def request_of(self, asked: Asked) -> Request:
        """With the ids that the client would have read by now."""
        entry = next((one for one in self.singly.entries.values() if one.job_id == asked.of), None)
        offer_id = entry.offer.id if entry is not None and entry.offer is not None else NO_SUCH
        return Request(
            job_id=asked.job_id,
            kind=asked.kind,
            event_id=1,
            user_id=asked.user_id,
            arrival=self.model.arrivals + 1,
            accepted_at=asked.accepted_at,
            tickets=asked.tickets,
            booking_id=derived_uuid(asked.of, 0) if asked.kind == "cancel" else None,
            offer_id=offer_id if asked.kind.endswith("_offer") else None,
            waitlist=asked.waitlist,
            acting_as=asked.acting_as,
            withdrawn=asked.withdrawn,
        )

    def compare(self) -> None:
        """The three are the same, hashes and all, and the ledger tells their story."""
        assert self.story() == self.model.story
        assert self.batched.rows == self.singly.rows  # with their hashes
        assert self.batched.events == self.singly.events
        assert self.batched.bookings == self.singly.bookings
        assert self.batched.entries == self.singly.entries
        entries = sorted(self.singly.entries.values(), key=lambda entry: entry.number)
        assert [
            (one.job_id, one.user_id, one.tickets, one.status, one.offer and one.offer.status)
            for one in entries
        ] == [
            (one.made_by, one.user, one.tickets, one.status, one.offer_status) for one in self.model.waitlist
        ]
        self.compare_replay()

    def compare_replay(self) -> None:
        """What the ledger alone gives is the database."""
        findings = [each for row in self.singly.rows[self.replay.rows :] for each in self.replay.step(row)]
        assert findings == []
        event = self.singly.events[1]
        assert self.replay.event == event
        assert self.replay.bookings == {one.id: one for one in self.singly.bookings.values()}
        assert self.replay.entries == self.singly.entries
        assert self.replay.open_slices == {}

    def story(self) -> list[tuple[Any, ...]]:
        """The ledger as the model tells it."""
        for_entry = {str(entry.id): entry.job_id for entry in self.singly.entries.values()}
        story: list[tuple[Any, ...]] = []
        for row in self.singly.rows:
            if row.kind in KINDS:
                story.append(("decision", row.job_id, row.outcome, row.reason))
            elif row.kind == OFFER:
                expires_at = datetime.fromisoformat(row.facts["expires_at"])
                story.append(
                    ("offer", for_entry[row.facts["entry_id"]], row.user_id, row.tickets, expires_at)
                )
        return story

    @invariant()
    def nothing_is_oversold_and_every_counter_is_the_sum_of_its_rows(self):
        for database in (self.singly, self.batched):
            event: EventState = database.events[1]
            live = [one for one in database.bookings.values() if one.status == "confirmed"]
            offered = [one for one in database.entries.values() if one.status == "offered"]
            waiting = [one.tickets for one in database.entries.values() if one.status == "waiting"]
            assert event.booked == sum(one.tickets for one in live)
            assert event.offered == sum(one.tickets for one in offered)
            assert event.waiting == [waiting.count(size) for size in range(1, 11)]
            assert event.booked + event.offered <= event.capacity
            assert (event.booked, event.offered) == (self.model.booked(), self.model.offered())
            assert event.available == self.model.available()
            holders = [one.user_id for one in [*live, *offered]]
            assert len(holders) == len(set(holders)), "two bookings, or a booking and a place to wait"
            assert all(
                (one.offer is not None and one.offer.status == "open") == (one.status == "offered")
                for one in database.entries.values()
            )
