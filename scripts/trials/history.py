"""What a trial remembers: every call of its clients with what was answered, and every fault with its times.

Both are files of JSON lines, so that a checker needs nothing else of the trial's processes. All instants are seconds
of one machine's monotonic clock, which no fault moves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

# Fields of an answer that are kept: what a promise is about. A job's status document, or a 202, or a problem.
KEPT_FIELDS: Final = (
    "job_id",
    "kind",
    "status",
    "event_id",
    "tickets",
    "arrival",
    "position",
    "reason",
    "facts",
    "decision_number",
)


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP request and its answer.

    `action`: what was asked: a kind of request (`book`, `cancel`, `join_waitlist`, `leave_waitlist`, `accept_offer`,
    `decline_offer`), `withdraw`, `status`, or the name of a read. `subject`: whose job or booking or offer it is about,
    when not a new one: its id. `spied`: it is about somebody else's, and must be answered 404. `answered_at`: when the
    answer was complete, or when it was clear that none would come. `status` 0: no answer came; whether the request
    arrived is unknown. `said`: the kept fields of the answer (of its member `job`, where that is the status document).
    `booking_id`: the booking that the answer shows. `leak`: what an answer must never contain, found in it.
    """

    action: str
    user_id: int
    sent_at: float
    answered_at: float = 0.0
    event_id: int | None = None
    tickets: int | None = None
    key: str | None = None
    subject: str | None = None
    spied: bool = False
    status: int = 0
    code: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    booking_id: str | None = None
    error: str = ""
    leak: str = ""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that was injected. `target`: the process, server or job that it hit; empty when it hit nobody, and
    does not count.

    `loses_since`: only where a fault throws away what Redis had acknowledged: requests accepted from then until
    `ended_at` may be lost, and only those. `spoilt`: jobs whose own hash in Redis the fault damaged or removed while
    they waited: these may be lost or decided `failed`, and what waited behind them may count on from an earlier number.
    `event_id`: of the job that it hit, also when its client was never answered.
    """

    kind: str
    target: str
    began_at: float
    ended_at: float
    note: str = ""
    loses_since: float | None = None
    spoilt: list[str] = field(default_factory=list)
    event_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Trial:
    """Facts about a trial that is over: `quiet_at` is when the last fault had ended and everything was up again,
    `empty_at` when the line was found empty after that (None: never), `loaded_until` when the clients stopped.
    """

    seed: int
    began_at: float
    loaded_until: float
    quiet_at: float
    empty_at: float | None


def write_lines(file: BinaryIO, things: Iterable[Call | Fault | Trial]) -> None:
    """Appends one JSON line each."""
    file.writelines(orjson.dumps(asdict(thing), option=orjson.OPT_APPEND_NEWLINE) for thing in things)


def read_calls(path: Path) -> Iterator[Call]:
    """The calls of a file, one by one: a history may be larger than memory."""
    with path.open("rb") as file:
        for line in file:
            yield Call(**orjson.loads(line))


def read_faults(path: Path) -> list[Fault]:
    """The faults of a file."""
    return [Fault(**orjson.loads(line)) for line in path.read_bytes().splitlines()]


def read_trial(path: Path) -> Trial:
    """The trial of a file."""
    return Trial(**orjson.loads(path.read_bytes()))
