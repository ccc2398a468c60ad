"""Draining an event's line: the mark, and whom it concerns.

A mark says two things. `up_to_arrival` is the newest number that was given out when it was set, `accepted_until` the
instant of that, on the clock that `accepted_at` comes from. Either alone would do, if nothing ever went wrong.
Numbers are given out again when Redis has lost writes that it had acknowledged, and a request behind a lost one
moves up: then the instant keeps the mark off whoever came later. A clock may be set back: then the number does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.clock import parse_rfc3339, rfc3339
from shared.domain.outcomes import WITHDRAWN, Verdict
from shared.domain.requests import Request
from shared.domain.snapshot import EventState


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainMark:
    """What a `drain` row of a ledger says. `reason` is public."""

    up_to_arrival: int
    accepted_until: datetime
    reason: str


class Drainable(Protocol):
    """An event that carries its newest mark: its table row, or its state in a batch or a replay."""

    drained_up_to: Any
    drained_until: Any
    drain_reason: Any


def drain_facts(mark: DrainMark) -> dict[str, Any]:
    """The facts of a `drain` row."""
    return {
        "up_to_arrival": mark.up_to_arrival,
        "accepted_until": rfc3339(mark.accepted_until),
        "reason": mark.reason,
    }


def read_drain(facts: Mapping[str, Any]) -> DrainMark:
    """The mark in the facts of a `drain` row; raises KeyError, TypeError or ValueError when there is none."""
    up_to_arrival, reason = facts["up_to_arrival"], facts["reason"]
    if type(up_to_arrival) is not int or type(reason) is not str:
        raise TypeError("a drain needs a number and a reason")
    return DrainMark(
        up_to_arrival=up_to_arrival, accepted_until=parse_rfc3339(facts["accepted_until"]), reason=reason
    )


def set_drain(event: Drainable, mark: DrainMark) -> None:
    """Moves `event` on to a newer mark. It never takes an earlier one back: what that one concerns and is still
    undecided is withdrawn too, for the newer one's reason.
    """
    event.drained_up_to = max(event.drained_up_to, mark.up_to_arrival)
    event.drained_until = max(event.drained_until or mark.accepted_until, mark.accepted_until)
    event.drain_reason = mark.reason


def judge_drain(event: EventState, request: Request) -> Verdict | None:
    """The decision of a request that the event's mark concerns, None when it concerns it not.

    Its arrival is the one that the ledger is about to give it, so that the ledger alone says who is concerned.
    """
    if event.last_arrival >= event.drained_up_to or event.drained_until is None:
        return None
    if request.accepted_at > event.drained_until:
        return None
    return Verdict(WITHDRAWN, "withdrawn_by_admin", {"admin_reason": event.drain_reason})
