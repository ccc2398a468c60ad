"""Telling Redis what was decided: one script for a batch."""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.clock import rfc3339, utc_now
from shared.domain.outcomes import FAILED, REASONS
from shared.line import keys
from shared.line.client import Argument, ScriptRunner
from shared.line.counters import increments
from shared.line.take import Claim, OutdatedTokenError
from shared.settings import Settings

# What RQ tools show as a failed job's exception: a constant, so that no user's text gets into a dashboard.
_FAILURE_TEXT: Final = base64.b64encode(zlib.compress(REASONS["request_failed"].encode())).decode()

_UNDECIDED_BEFORE = keys.undecided_of_user_before("%s")


@dataclass(slots=True)  # not frozen: setting five frozen fields takes 0.6 µs longer
class JobReply:
    """One decided job: whose it was (None: the control plane's), its result document, and for counts and logs the
    seconds from accept to decide and the id of the HTTP request that it came with. Nobody changes one.
    """

    job_id: str
    user_id: int | None
    result: Mapping[str, Any]
    seconds: float = 0.0
    request_id: str | None = None


def reply(
    runner: ScriptRunner,
    settings: Settings,
    claim: Claim,
    *,
    worker_name: str,
    jobs: Sequence[JobReply],
    last_arrivals: Mapping[int, int],
    last_given: Mapping[int, int] | None = None,
    rate: float | None,
    reissued: int = 0,
) -> None:
    """Writes results and statuses, moves the jobs out of flight, counts, and wakes who waits. One round trip;
    sending it twice changes nothing. `last_arrivals` is event → last arrival decided, `last_given` the number that
    Redis had given to that request (another one only when Redis had lost something, `reissued` times), `rate`
    decisions a second.

    Raises OutdatedTokenError, having done nothing, when another holder has the partition.
    """
    keys_, arguments = reply_command(
        settings,
        claim,
        worker_name=worker_name,
        jobs=jobs,
        last_arrivals=last_arrivals,
        last_given=last_given,
        rate=rate,
        reissued=reissued,
    )
    check_reply(runner.run("reply", keys_, arguments))


def check_reply(answer: Sequence[Any]) -> None:
    """Looks at what the script `reply` answered. Raises OutdatedTokenError."""
    if answer[0] == b"outdated":
        raise OutdatedTokenError


def reply_command(
    settings: Settings,
    claim: Claim,
    *,
    worker_name: str,
    jobs: Sequence[JobReply],
    last_arrivals: Mapping[int, int],
    last_given: Mapping[int, int] | None = None,
    rate: float | None,
    reissued: int = 0,
    instance: str = "",
) -> tuple[list[str], list[Argument]]:
    """Keys and arguments of the script `reply`, for `jobs` and so on as `reply` has them. `instance` is who has taken
    ahead: it still counts as a process that may end with what is in flight.
    """
    partition = claim.partition
    now = utc_now()
    counted = increments(((job.result["outcome"], job.seconds) for job in jobs), reissued)
    told: list[bytes] = []
    for job in jobs:
        told += (job.job_id.encode(), binascii.b2a_base64(orjson.dumps(job.result), newline=False))
    failed = [job.job_id for job in jobs if job.result["outcome"] == FAILED]
    arguments: list[Argument] = [
        claim.token,
        worker_name,
        rfc3339(now),
        int(now.timestamp()),
        settings.job_ttl_seconds,
        settings.jobs_kept_max,
        "" if rate is None else f"{rate:.1f}",
        keys.DECIDED_CHANNEL,
        keys.JOB_PREFIX,
        keys.RESULT_PREFIX,
        keys.EXECUTION_SUFFIX,
        keys.UNDECIDED_PREFIX,
        _UNDECIDED_BEFORE,
        len(jobs),
        len(failed),
        len(last_arrivals),
        _FAILURE_TEXT,
        len(counted),
        instance,
        b",".join(told),
        *["" if job.user_id is None else job.user_id for job in jobs],
        *failed,
    ]
    for event_id, last_arrival in last_arrivals.items():
        arguments += (event_id, last_arrival, (last_given or {}).get(event_id, last_arrival))
    for name, increment in counted.items():
        arguments += (name, increment)
    return [
        keys.in_flight(partition),
        keys.claim_token(partition),
        keys.suspects(partition),
        keys.alone(partition),
        keys.started(partition),
        keys.finished(partition),
        keys.failed(partition),
        keys.decided(partition),
        keys.arrivals(partition),
        keys.counters(partition),
        keys.METRICS,
    ], arguments
