"""Every answer is one that the contract names: no 5xx but the declared 503s, and never a word of what is inside."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.history import Call

# 503 problems that the contract names: the system says that it cannot now, and keeps its promises.
DECLARED_503: Final = frozenset(
    {
        "accept_unknown",
        "database_unavailable",
        "line_busy",
        "line_full",
        "line_unavailable",
        "outcome_unknown",
        "overloaded",
    }
)
_SUCCESSES: Final = frozenset({200, 201, 202, 204, 304})
_REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429})


def declared(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Looks at status, code and what leaked of every answer; no answer at all is for clients to bear."""
    for call in evidence.calls:
        seen["calls"] += 1
        if call.leak:
            yield f"{_about(call)}: shows {call.leak}"
        if call.status in _SUCCESSES or (call.status in _REFUSALS and call.code):
            continue
        if call.status == 503 and (call.code in DECLARED_503 or call.action == "readyz"):
            seen["declared 503s"] += 1
        elif call.status == 0:
            seen["without an answer"] += 1
        else:
            yield f"{_about(call)}: undeclared"


def _about(call: Call) -> str:
    return f"{call.action} of user {call.user_id} at {call.sent_at:.3f}: {call.status} {call.code}".rstrip()
