"""What a booking worker's log says about requests: always the job's id and the id of the HTTP request behind it."""

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence

from shared.domain.requests import Request
from shared.domain.snapshot import Decided
from shared.line.reply import JobReply

log = logging.getLogger("worker.batch")


def name_of(request: Request) -> dict[str, str | None]:
    """The fields that name one request in a line of the log."""
    return {"job_id": str(request.job_id), "request_id": request.request_id}


def name_in(part: Iterable[Request], job_id: uuid.UUID) -> dict[str, str | None]:
    """The same for the request with that job id among `part`."""
    request_id = next((request.request_id for request in part if request.job_id == job_id), None)
    return {"job_id": str(job_id), "request_id": request_id}


def log_decided(partition: int, jobs: Sequence[JobReply], seconds: float) -> None:
    """One line for a batch that was replied. `jobs` is `[job id, request id, outcome]` of each, so that one request
    can be followed by searching for either id. Costs nothing when nobody reads INFO.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    outcomes = Counter(job.result["outcome"] for job in jobs)
    log.info(
        "decided",
        extra={
            "partition": partition,
            "count": len(jobs),
            "seconds": round(seconds, 6),
            "outcomes": dict(outcomes),
            "jobs": [[job.job_id, job.request_id, job.result["outcome"]] for job in jobs],
        },
    )


def log_reissued(decided: Iterable[Decided]) -> None:
    """Requests that got another number than Redis had given them."""
    moved = [each for each in decided if each.row.arrival != each.request.arrival]
    if moved:
        log.error(
            "Redis had lost acknowledged writes: arrivals issued again",
            extra={
                "requests": len(moved),
                "jobs": [[str(each.request.job_id), each.request.request_id] for each in moved],
            },
        )


def log_set_aside(job_ids: Iterable[str], request_ids: dict[str, str | None]) -> None:
    """Ids that were counted as lost; what wrote their request id is mostly gone with them."""
    shown = [ascii(job_id) for job_id in job_ids]
    log.error("set aside: no readable request", extra={"job_ids": shown, "request_ids": request_ids})
