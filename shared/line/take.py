"""The holder's side of the line: claim a partition, take a batch, count who died with it, set aside what is lost."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.clock import parse_rfc3339, rfc3339, utc_now
from shared.domain.requests import PAYLOAD_VERSION, PayloadError, Request, decode_request
from shared.line import keys
from shared.line.client import Argument, ScriptRunner
from shared.line.installation import Installation

# Why a take gave nothing.
EMPTY: Final = "empty"
SUSPENDED: Final = "suspended"
NEWER: Final = "newer"

_HEAD: Final = 5  # values before the jobs in what `take` answers
_FIELDS: Final = 5  # of each job


class OutdatedTokenError(Exception):
    """The partition's fencing token is not this claim's: take, reply and set-aside did nothing."""


class ForeignRedisError(Exception):
    """This Redis is empty (`uninitialised`) or belongs to another installation (`foreign`)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A held partition: its number and the fencing token written to Redis for it."""

    partition: int
    token: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What is in flight now, in order. `deaths` processes took it before and have not been heard of since;
    `alone` when it is being decided one by one because of that. `unreadable` ids have no request in them.
    `others_wait`: in another of the lines that were asked about something waits, or is left in flight.
    """

    requests: list[Request]
    unreadable: list[str]
    recovered: bool
    deaths: int
    alone: bool
    others_wait: bool = False

    @property
    def job_ids(self) -> list[str]:
        """Of everything that was taken."""
        return [*(str(request.job_id) for request in self.requests), *self.unreadable]

    @property
    def is_plain(self) -> bool:
        """Fresh from the line, and a request in each."""
        return not (self.recovered or self.unreadable or self.deaths or self.alone)


@dataclass(frozen=True, slots=True)
class Flying:
    """Instead of a batch behind them: what is in flight, in order, is more or less than who took ahead expected."""

    job_ids: list[str]


def write_token(runner: ScriptRunner, installation: Installation, claim: Claim) -> int | None:
    """Writes the claim's token; None when done, the newer token that stands there otherwise. One round trip.

    Raises ForeignRedisError.
    """
    reply = runner.run(
        "claim", [keys.claim_token(claim.partition), keys.INSTALLATION], [claim.token, installation.mark]
    )
    if reply[0] == b"claimed":
        return None
    if reply[0] == b"outdated":
        return int(reply[1])
    raise ForeignRedisError(reply[0].decode())


def take(
    runner: ScriptRunner,
    claim: Claim,
    *,
    maximum: int,
    worker_name: str,
    instance: str,
    others: Sequence[int] = (),
) -> Taken | str:
    """What is in flight, or else the head of the line, moved there; `empty`, `suspended` (`rq suspend`) or
    `newer` (the next payload is newer than this worker) when there is nothing to decide. One round trip.

    Raises OutdatedTokenError.
    """
    keys_, arguments = take_command(
        claim, maximum=maximum, worker_name=worker_name, instance=instance, others=others
    )
    return read_taken(runner.run("take", keys_, arguments))


def take_command(
    claim: Claim,
    *,
    maximum: int,
    worker_name: str,
    instance: str,
    behind: int = 0,
    others: Sequence[int] = (),
) -> tuple[list[str], list[Argument]]:
    """Keys and arguments of the script `take`. `behind`: so many requests the caller expects to have in flight itself
    when this is run; it takes what stands behind them, and nothing should there be more or less of them. `others` are
    the partitions whose lines it asks about.
    """
    partition = claim.partition
    return [
        keys.queue(partition),
        keys.in_flight(partition),
        keys.claim_token(partition),
        keys.suspects(partition),
        keys.alone(partition),
        keys.bell(partition),
        keys.started(partition),
        keys.RQ_SUSPENDED,
        *map(keys.queue, others),
        *map(keys.in_flight, others),  # of a call-off, slice after slice
    ], [
        claim.token,
        maximum,
        instance,
        PAYLOAD_VERSION,
        worker_name,
        keys.JOB_PREFIX,
        keys.EXECUTION_SUFFIX,
        rfc3339(utc_now()),
        behind,
    ]


def read_taken_ahead(reply: Sequence[Any]) -> Taken | Flying | str:
    """What the script `take` answered to who had requests in hand. Raises OutdatedTokenError."""
    if reply[0] == b"flying":
        return Flying([_text(job_id) for job_id in reply[1]])
    return read_taken(reply)


def read_taken(reply: Sequence[Any]) -> Taken | str:
    """The same for who had none."""
    code = reply[0]
    if code == b"outdated":
        raise OutdatedTokenError
    if code != b"taken":
        return str(code.decode())
    requests: list[Request] = []
    unreadable: list[str] = []
    for fields in zip(*[iter(reply[_HEAD:])] * _FIELDS, strict=True):
        request = _request(fields)
        if request is None:
            unreadable.append(_text(fields[4]))
        else:
            requests.append(request)
    return Taken(requests, unreadable, reply[1] == 1, int(reply[2]), reply[3] == 1, reply[4] == 1)


def _text(job_id: bytes) -> str:
    """An id may be any bytes."""
    return job_id.decode(errors="surrogateescape")


def _request(fields: Sequence[bytes | None]) -> Request | None:
    data, accepted_at, arrival, withdrawn, job_id = fields
    if job_id is None or data is None or accepted_at is None or arrival is None:
        return None
    try:
        return decode_request(
            job_id.decode(),
            data,
            arrival=int(arrival),
            accepted_at=parse_rfc3339(accepted_at.decode()),
            withdrawn=withdrawn == b"1",
        )
    except (PayloadError, ValueError):
        return None


def begin_alone(runner: ScriptRunner, claim: Claim, job_id: uuid.UUID, instance: str) -> int:
    """Notes that this request is decided alone; returns how many processes ended with it alone in hand.

    One round trip. Raises OutdatedTokenError.
    """
    partition = claim.partition
    reply = runner.run(
        "alone",
        [keys.claim_token(partition), keys.suspects(partition), keys.alone(partition)],
        [claim.token, str(job_id), instance],
    )
    if reply[0] == b"outdated":
        raise OutdatedTokenError
    return int(reply[1])


def report_progress(runner: ScriptRunner, claim: Claim) -> None:
    """Clears the count of deaths as a reply does: a part of a long request is committed. One round trip.

    Raises OutdatedTokenError.
    """
    partition = claim.partition
    reply = runner.run(
        "progress",
        [keys.claim_token(partition), keys.suspects(partition), keys.alone(partition)],
        [claim.token],
    )
    if reply[0] == b"outdated":
        raise OutdatedTokenError


def report_alive(runner: ScriptRunner, partition: int, instance: str) -> None:
    """Takes this process' count back: it met an error with a batch in flight and lives on. One round trip."""
    runner.redis.srem(keys.suspects(partition), instance)


def set_aside(
    runner: ScriptRunner, claim: Claim, lost: Mapping[str, int | None], *, ttl_seconds: int
) -> None:
    """Takes ids without a request that can be decided out of flight and counts them as lost; `lost` is id →
    whose it was, where that is known. One round trip. Raises OutdatedTokenError.

    An id may be any bytes: `take` gives those that are no text with surrogate escapes.
    """
    partition = claim.partition
    arguments: list[Argument] = [
        claim.token,
        keys.EXECUTION_SUFFIX,
        keys.JOB_PREFIX,
        ttl_seconds,
        rfc3339(utc_now()),
        keys.UNDECIDED_PREFIX,
        keys.undecided_of_user_before("%s"),
    ]
    for job_id, user_id in lost.items():
        arguments += (job_id.encode(errors="surrogateescape"), "" if user_id is None else user_id)
    reply = runner.run(
        "set_aside",
        [
            keys.in_flight(partition),
            keys.claim_token(partition),
            keys.started(partition),
            keys.lost(partition),
            keys.counters(partition),
        ],
        arguments,
    )
    if reply[0] == b"outdated":
        raise OutdatedTokenError
