"""Setting a line right that is not what the ledger says: one script, one round trip each.

Every script on a partition does nothing when the claim's token is not the partition's (OutdatedTokenError), so
that whoever mends and whoever decides can never do it together. Accepting goes on meanwhile: it only appends.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import Redis

from shared.clock import rfc3339, utc_now
from shared.line import keys
from shared.line.client import Argument, ScriptRunner
from shared.line.take import Claim, OutdatedTokenError

# Ids in one call: a script must not keep others waiting for longer than some ten milliseconds.
CHUNK: Final = 1000

Why = Literal["recorded", "doubled", "lost", "dropped"]


def put_back_in_front(runner: ScriptRunner, claim: Claim, job_ids: Sequence[str]) -> int:
    """Before everything that waits, in this order; returns how many had a job to put back.

    The last thousand go first: whenever it is interrupted, what stands in the line is in order.
    """
    count = 0
    for start in reversed(range(0, len(job_ids), CHUNK)):
        count += _put_back(runner, claim, "front", job_ids[start : start + CHUNK])
    return count


def put_back_in_place(runner: ScriptRunner, claim: Claim, job_ids: Sequence[str]) -> int:
    """Each behind the last one in the queue that was accepted before it; returns as `put_back_in_front`."""
    return sum(
        _put_back(runner, claim, "place", job_ids[start : start + CHUNK])
        for start in range(0, len(job_ids), CHUNK)
    )


def _put_back(runner: ScriptRunner, claim: Claim, mode: str, job_ids: Sequence[str]) -> int:
    partition = claim.partition
    reply = runner.run(
        "put_back",
        [
            keys.claim_token(partition),
            keys.queue(partition),
            keys.in_flight(partition),
            keys.started(partition),
            keys.finished(partition),
            keys.failed(partition),
            keys.lost(partition),
            keys.suspects(partition),
            keys.alone(partition),
        ],
        [claim.token, mode, keys.EXECUTION_SUFFIX, keys.JOB_PREFIX, keys.RESULT_PREFIX, *_raw(job_ids)],
    )
    _check(reply)
    return int(reply[1])


def take_off(
    runner: ScriptRunner, claim: Claim, job_ids: Sequence[str], *, why: Why, ttl_seconds: int
) -> None:
    """Takes ids out of the queue: `recorded` ones that the ledger knows (reply them next), the later places of
    `doubled` ones; `lost` ones out of everything and onto the list of lost ones, their jobs gone in `ttl_seconds`;
    `dropped` ones with their jobs.
    """
    partition = claim.partition
    for start in range(0, len(job_ids), CHUNK):
        reply = runner.run(
            "take_off",
            [
                keys.claim_token(partition),
                keys.queue(partition),
                keys.in_flight(partition),
                keys.started(partition),
                keys.finished(partition),
                keys.failed(partition),
                keys.lost(partition),
            ],
            [
                claim.token,
                why,
                keys.EXECUTION_SUFFIX,
                keys.JOB_PREFIX,
                keys.RESULT_PREFIX,
                ttl_seconds,
                rfc3339(utc_now()),
                *_raw(job_ids[start : start + CHUNK]),
            ],
        )
        _check(reply)


def forget_lost(runner: ScriptRunner, partition: int, job_ids: Collection[str]) -> None:
    """Takes ids off the list of lost ones: the ledger knows them, for ever. One round trip."""
    with runner.redis.pipeline(transaction=False) as pipe:
        for job_id in _raw(job_ids):
            pipe.lrem(keys.lost(partition), 0, job_id)  # type: ignore[arg-type]  # bytes are fine
        pipe.execute()


def expire_decided(redis: "Redis", job_ids: Sequence[str], ttl_seconds: int, *, dry_run: bool) -> list[str]:
    """Lets decided jobs without an end have one, as their reply had; returns which had none. One round trip, two
    when there are such.
    """
    with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.ttl(keys.job(job_id))
        endless = [job_id for job_id, ttl in zip(job_ids, pipe.execute(), strict=True) if ttl == -1]
        if not dry_run:
            for job_id in endless:
                pipe.expire(keys.job(job_id), ttl_seconds)
                pipe.expire(keys.result(job_id), ttl_seconds)
            pipe.execute()
    return endless


@dataclass(frozen=True, slots=True)
class WrongCounts:
    """Which counters were wrong, and are right now."""

    totals: bool
    events: set[int]


def set_counts(
    runner: ScriptRunner,
    claim: Claim,
    *,
    waiting: int,
    accepted_total: int,
    decided_total: int,
    events: Mapping[int, tuple[int | None, int | None]],
    started_ghosts: Collection[str],
    started_missing: Collection[str],
) -> WrongCounts:
    """Sets running numbers, events' (arrivals, decided) where None takes a number away, and the started registry.

    All as they have to be with the first `waiting` of the queue; the script adds whoever was accepted since.
    """
    partition = claim.partition
    arguments: list[Argument] = [
        claim.token,
        keys.JOB_PREFIX,
        waiting,
        accepted_total,
        decided_total,
        len(events),
        len(started_ghosts),
        *_raw(started_ghosts),
    ]
    for event_id, (given, last) in events.items():
        arguments += (event_id, "" if given is None else given, "" if last is None else last)
    reply = runner.run(
        "set_counts",
        [
            keys.claim_token(partition),
            keys.queue(partition),
            keys.arrivals(partition),
            keys.decided(partition),
            keys.counters(partition),
            keys.started(partition),
        ],
        [*arguments, *_raw(started_missing)],
    )
    _check(reply)
    if reply[0] == b"moved":  # nobody but the holder shortens a queue
        raise OutdatedTokenError
    wrong = reply[2].decode()
    return WrongCounts(reply[1] == 1, {int(event) for event in wrong.split(",") if event})


def renumber(runner: ScriptRunner, claim: Claim, sequences: Mapping[str, int]) -> None:
    """Gives jobs their running numbers in the partition."""
    pairs: list[Argument] = [value for pair in sequences.items() for value in pair]
    for start in range(0, len(pairs), 2 * CHUNK):
        reply = runner.run(
            "renumber",
            [keys.claim_token(claim.partition)],
            [claim.token, keys.JOB_PREFIX, *pairs[start : start + 2 * CHUNK]],
        )
        _check(reply)


def recount_user(
    runner: ScriptRunner, user_id: int, *, away: Collection[str], missing: Collection[str]
) -> None:
    """Takes ids out of a user's undecided ones and adds others, if they still wait. One round trip."""
    runner.run(
        "recount_user",
        [keys.undecided_by_user(user_id), keys.undecided_of_user_before(user_id)],
        [keys.JOB_PREFIX, user_id, len(away), *_raw(away), *_raw(missing)],
    )


def forget_key(runner: ScriptRunner, record: str, value: bytes | str) -> bool:
    """Removes an idempotency record if it still has this value. One round trip."""
    return bool(runner.run("forget_key", [record], [value]))


def _raw(job_ids: Collection[str]) -> list[bytes]:
    return [job_id.encode(errors="surrogateescape") for job_id in job_ids]


def _check(reply: Sequence[Any]) -> None:
    if reply[0] == b"outdated":
        raise OutdatedTokenError
