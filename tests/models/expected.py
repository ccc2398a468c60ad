"""What whoever stands before the API must see, said as naively as possible and without our own code: a list of who
waits, and for each event the lists of `tests/waitlist_model.py`.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.waitlist_model import Model

LIMITED = ("book", "join_waitlist")
CONTROL = ("expire_offer", "serve_waitlist", "call_off")  # about somebody perhaps, and counted against nobody


@dataclass
class Asked:
    """A request that was accepted. `of` is the job id of what made its booking, or the place its offer is about."""

    job_id: uuid.UUID
    kind: str
    event_id: int
    user_id: int | None
    accepted_at: datetime | None = None
    tickets: int | None = None
    of: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: str = "owner"
    withdrawn: bool = False


@dataclass
class Sent:
    """What a client sent with a key, and may send again."""

    user_id: int
    key: str
    url: str
    body: dict[str, Any]
    kind: str
    event_id: int
    job_id: uuid.UUID | None = None  # None: it never got into the line, as far as anybody knows


@dataclass
class Expected:
    """The whole office."""

    undecided_max: int
    events: dict[int, Model] = field(default_factory=dict)
    line: list[Asked] = field(default_factory=list)
    answers: dict[uuid.UUID, tuple[str, str | None]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    paused: bool = False

    def waiting(self, event_id: int) -> list[Asked]:
        return [one for one in self.line if one.event_id == event_id]

    def of_user(self, user_id: int) -> list[Asked]:
        return [one for one in self.line if one.user_id == user_id and one.kind not in CONTROL]

    def position(self, job_id: uuid.UUID) -> int:
        """The next has place 1."""
        (asked,) = [one for one in self.line if one.job_id == job_id]
        return self.waiting(asked.event_id).index(asked) + 1

    def next_arrival(self, event_id: int) -> int:
        return self.events[event_id].arrivals + len(self.waiting(event_id)) + 1

    def accept(self, asked: Asked) -> None:
        self.line.append(asked)

    def refused(self, asked: Asked, at: datetime) -> str | None:
        """Why the door, which knows what is decided and nothing of who waits, keeps this one out."""
        model = self.events[asked.event_id]
        asked.accepted_at = at
        if asked.kind not in LIMITED:
            return None
        place = model.place_of(asked.user_id or 0)
        is_awaited = asked.kind == "book" and place is not None and place.status == "offered"
        if not is_awaited and (reason := model.no_sale(asked) or self._no_tickets(model, asked)):
            return reason
        return "too_many_undecided" if len(self.of_user(asked.user_id or 0)) >= self.undecided_max else None

    def _no_tickets(self, model: Model, asked: Asked) -> str | None:
        may_wait = asked.waitlist and model.waitlist_enabled
        if asked.kind == "book" and model.available() == 0 and not may_wait:
            return "sold_out"
        if (asked.tickets or 0) > model.max_per_booking:
            return "too_many_tickets"
        if asked.kind == "join_waitlist" and not model.waitlist_enabled:
            return "waitlist_disabled"
        return None

    def decide(self, event_id: int, job_id: uuid.UUID, now: datetime) -> None:
        """The event's next request, which must be this one."""
        asked = self.waiting(event_id)[0]
        assert asked.job_id == job_id, f"{job_id} was decided, and {asked} stood before it"
        model = self.events[event_id]
        if asked.kind == "call_off":
            model.call_off(asked)
        else:
            model.decide(asked, now)
        said = {each[1]: each[2:] for each in model.story if each[0] == "decision"}
        self.answers[job_id] = said[job_id]
        self.line.remove(asked)
