"""The ledger against Redis, while Redis still knows: statuses, who waits, counters, what was set aside."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.findings import Finding
from shared.domain.outcomes import FAILED
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.services.audit.findings import Tally
from shared.services.audit.jobs import JobFields, LedgerEntry, list_jobs, read_jobs, text_of
from shared.services.audit.line_counts import check_counts, check_keys, check_revocations, check_users
from shared.store.line_state import get_installation

# Ids read, and looked up in the ledger, in one round trip each.
CHUNK: Final = 1000


def audit_line(session: Session, redis: "Redis", tally: Tally, *, event_id: int | None = None) -> None:
    """Compares what Redis holds with the ledger, both as they are while it runs.

    `session` is an ordinary (READ COMMITTED) transaction: Redis is read first, then the ledger as of that
    moment, because a decision is committed before it is replied. Memory: the ids of undecided requests.
    """
    # Reading a line of a million takes minutes in which PostgreSQL is asked nothing; no snapshot is held meanwhile.
    session.execute(text("set local idle_in_transaction_session_timeout = 0"))
    installation = get_installation(session)
    mark = redis.get(keys.INSTALLATION)
    if mark is None:
        tally.notes["Redis knows nothing of this installation: the line was not checked"] += 1
        return
    tally.compare("line_counters", "installation", installation.mark, text_of(mark))
    if text_of(mark) != installation.mark:
        return
    partitions = range(installation.partitions)
    if event_id is not None:
        partitions = range(partition_of(event_id, installation.partitions), installation.partitions)[:1]
    check_counts(session, redis, partitions, tally, event_id)
    undecided = _check_jobs(session, redis, tally, event_id, partitions)
    _check_lists(session, redis, partitions, undecided, tally)
    _check_strays(session, redis, undecided, tally)
    _check_set_aside(session, redis, partitions, tally)
    if event_id is None:
        check_users(redis, partitions, tally)
        check_keys(session, redis, tally)
        check_revocations(session, redis, tally)


def _check_jobs(
    session: Session, redis: "Redis", tally: Tally, event_id: int | None, partitions: Collection[int]
) -> set[str]:
    """Every job hash against the ledger; returns the ids that neither Redis nor the ledger calls decided."""
    undecided: set[str] = set()
    for ids in list_jobs(redis, CHUNK):
        jobs = [job for job in read_jobs(redis, ids) if job.partition in partitions]
        entries = find_entries(session, [job.id for job in jobs])
        for job in jobs:
            entry = entries.get(job.id)
            if entry is not None and event_id not in (None, entry.event_id):
                continue
            if job.decided:
                _compare_result(redis, job, entry, tally)
            elif entry is None:
                undecided.add(job.id)
            else:
                _explain_late(redis, job, entry, tally)
    return undecided


def _compare_result(redis: "Redis", job: JobFields, entry: LedgerEntry | None, tally: Tally) -> None:
    tally.examined["line_status"] += 1
    if entry is None:
        if not _lies_in(redis, keys.lost(job.partition), job.id):  # set aside: found as lost, once
            _add(tally, "line_status", "ledger row", "one", f"{job.status} in Redis", None, job_id=job.uuid)
        return
    status = "failed" if entry.outcome == FAILED else "finished"
    place: dict[str, Any] = {"event_id": entry.event_id, "number": entry.number, "job_id": entry.job_id}
    if job.status != status:
        tally.add(Finding(check="line_status", what="status", expected=status, found=job.status, **place))
    for name, value in job.result.items():
        expected = entry.value_of(name)
        if expected is not ... and expected != value:
            tally.add(Finding(check="line_status", what=name, expected=expected, found=value, **place))


def _explain_late(redis: "Redis", job: JobFields, entry: LedgerEntry, tally: Tally) -> None:
    """Undecided when Redis was read, decided when the ledger was: a reply under way, unless it still waits."""
    if job.status == "queued" and _lies_in(redis, keys.queue(job.partition), job.id):
        tally.add(
            Finding(
                check="line_waiting",
                what="job in the line",
                expected="decided: not waiting",
                found="waiting",
                event_id=entry.event_id,
                number=entry.number,
                job_id=entry.job_id,
            )
        )
    else:
        tally.notes["decided, reply under way"] += 1


def _check_lists(
    session: Session, redis: "Redis", partitions: Iterable[int], undecided: set[str], tally: Tally
) -> None:
    """Nothing that waits is decided; takes what waits or is in flight out of `undecided`."""
    for partition in partitions:
        queue = keys.queue(partition)
        for start in range(0, redis.llen(queue), CHUNK):
            ids = [text_of(raw) for raw in redis.lrange(queue, start, start + CHUNK - 1)]
            undecided.difference_update(ids)
            tally.examined["line_waiting"] += len(ids)
            for job_id, entry in find_entries(session, ids).items():
                waiting = JobFields(id=job_id, status="queued", partition=partition)
                _explain_late(redis, waiting, entry, tally)
        flying = [text_of(raw) for raw in redis.lrange(keys.in_flight(partition), 0, -1)]
        undecided.difference_update(flying)
        if flying:
            tally.notes["in flight"] += len(flying)


def _check_strays(session: Session, redis: "Redis", undecided: set[str], tally: Tally) -> None:
    """Accepted, not decided, in no list: nobody will ever decide it. Most candidates were only on the move."""
    decided = find_entries(session, list(undecided))
    for job in read_jobs(redis, sorted(undecided.difference(decided))):
        with redis.pipeline(transaction=True) as pipe:
            pipe.lpos(keys.queue(job.partition), job.id)
            pipe.lpos(keys.in_flight(job.partition), job.id)
            pipe.hget(keys.job(job.id), "status")
            places = pipe.execute()
        if places == [None, None, job.status.encode()] and not find_entries(session, [job.id]):
            _add(tally, "lost", "accepted job", "in the line or decided", "in no list", None, job_id=job.uuid)


def _check_set_aside(session: Session, redis: "Redis", partitions: Iterable[int], tally: Tally) -> None:
    for partition in partitions:
        ids = [text_of(raw) for raw in redis.lrange(keys.lost(partition), 0, -1)]
        tally.examined["lost"] += len(ids)
        decided = find_entries(session, ids)
        for job_id in ids:
            if job_id not in decided:
                _add(tally, "lost", f"job {job_id}", "decided", f"set aside in partition {partition}", None)


def find_entries(session: Session, ids: list[str]) -> dict[str, LedgerEntry]:
    """The ledger's rows of these jobs, as of now. One round trip a thousand."""
    query = text(
        "select job_id, event_id, number, arrival, outcome, reason, available_after, facts, decided_at "
        "from decisions where job_id = any(cast(:ids as uuid[]))"
    )
    found: dict[str, LedgerEntry] = {}
    usable = [job_id for job_id in ids if JobFields(id=job_id).uuid is not None]
    for start in range(0, len(usable), CHUNK):
        for row in session.execute(query, {"ids": usable[start : start + CHUNK]}):
            found[str(row.job_id)] = LedgerEntry(*row)
    return found


def _lies_in(redis: "Redis", queue: str, job_id: str) -> bool:
    return redis.lpos(queue, job_id) is not None


def _add(
    tally: Tally,
    check: str,
    what: str,
    expected: object,
    found: object,
    event: int | None,
    **place: Any,  # noqa: ANN401
) -> None:
    tally.add(Finding(check=check, what=what, expected=expected, found=found, event_id=event, **place))
