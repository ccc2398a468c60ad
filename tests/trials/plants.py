"""Violations to plant in a true trial, each at one source: what a checker that is worth anything must find."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scripts.trials.evidence import Evidence, document_of
from scripts.trials.history import Call

Act = Callable[..., None]


@dataclass(frozen=True)
class Plant:
    """One violation, planted in a `scene` (the servers) or in an `evidence` (what was read). `broken`: the invariants
    that must go red, and only those; it was made for `invariant`.
    """

    act: Act
    invariant: str
    broken: frozenset[str]

    @property
    def in_servers(self) -> bool:
        """Whether it changes the servers."""
        return self.act.__code__.co_varnames[0] == "scene"


PLANTS: list[Plant] = []


def plant(invariant: str, *also: str) -> Callable[[Act], Act]:
    """Makes a plant of a function of `scene` or of `evidence`."""

    def register(act: Act) -> Act:
        PLANTS.append(Plant(act, invariant, frozenset({invariant, *also})))
        return act

    return register


def shown(evidence: Evidence, *, said: str = "", action: str = "", keyed: bool | None = None) -> list[Call]:
    """Calls whose answer shows how a job stands: `said` so, of that action, under a key or not."""
    return [
        call
        for call in evidence.calls
        if document_of(call) is not None
        and said in ("", call.said["status"])
        and action in ("", call.action)
        and keyed in (None, call.key is not None)
    ]


def later(call: Call, after: float = 100.0, **said: Any) -> Call:
    """Another look at the same job, `after` so many seconds, that shows something else."""
    return replace(
        call,
        action="status",
        key=None,
        subject=call.said["job_id"],
        status=200,
        said=call.said | said,
        sent_at=call.answered_at + after,
        answered_at=call.answered_at + after * 1.5,
    )
