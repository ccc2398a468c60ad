"""What lies beside the line and refers to it: users' undecided requests, Idempotency-Keys, revocations, and how far
the ledgers were watched.
"""

from collections.abc import Collection, Mapping

from redis import Redis
from sqlalchemy import Engine

from shared.db import transaction
from shared.line import keys, mend
from shared.line.client import ScriptRunner, text_of
from shared.line.installation import put_revocations
from shared.line.survey import is_counted, read_jobs, scan_idempotency_records
from shared.services.ledger_watch import Seen
from shared.services.repair.report import Report
from shared.store.line_state import list_revocations
from shared.store.repairs import list_last_numbers, list_recorded_ids


def mend_users(
    runner: ScriptRunner, report: Report, counted: Mapping[int, set[str]], waiting: Mapping[int, set[str]]
) -> None:
    """Makes each user's undecided requests exactly those that wait. `counted` was read before the line was, so
    that who was accepted meanwhile is in neither.
    """
    ghosts, owed = [], []
    for user_id in sorted({*counted, *waiting}):
        away = counted.get(user_id, set()) - waiting.get(user_id, set())
        missing = waiting.get(user_id, set()) - counted.get(user_id, set())
        if not away and not missing:
            continue
        candidates = [*sorted(away), *sorted(missing)]
        with runner.redis.pipeline(transaction=False) as pipe:
            for job_id in candidates:
                is_counted(pipe, user_id, job_id)
            found = pipe.execute()
        present = {
            job_id
            for job_id, score, is_before in zip(candidates, found[::2], found[1::2], strict=True)
            if score is not None or is_before
        }
        away, missing = away & present, missing - present
        if not report.dry_run and (away or missing):
            mend.recount_user(runner, user_id, away=away, missing=missing)
        ghosts += [f"user {user_id}: {job_id}" for job_id in sorted(away)]
        owed += [f"user {user_id}: {job_id}" for job_id in sorted(missing)]
    report.note("users", "counted among a user's undecided requests, and does not wait", ghosts)
    report.note("users", "waits, and was not counted among its user's undecided requests", owed)


def mend_keys(engine: Engine, runner: ScriptRunner, report: Report, standing: Collection[str]) -> None:
    """Forgets Idempotency-Keys of requests that neither line nor ledger knows: whoever repeats one must get a new
    request, not the number of one that is gone. `standing` are the ids in the line. Costs a look at every key.
    """
    forgotten = []
    for records in scan_idempotency_records(runner.redis):
        suspects = sorted({job_id for _, job_id in records.values()}.difference(standing))
        with transaction(engine) as session:
            unknown = set(suspects) - list_recorded_ids(session, suspects)
        jobs = read_jobs(runner.redis, sorted(unknown))  # accepted since the line was read: fine
        unknown -= {job.id for job in jobs.values() if job.is_undecided}
        for record, (value, job_id) in records.items():
            if job_id in unknown and (report.dry_run or mend.forget_key(runner, record, value)):
                forgotten.append(f"{record} (job {job_id})")
    report.note("keys", "Idempotency-Keys of requests that nobody knows: forgotten", forgotten)


def mend_revocations(engine: Engine, redis: "Redis", report: Report) -> None:
    """Tells Redis again whose tokens no longer count."""
    with transaction(engine) as session:
        revoked = list_revocations(session)
    subjects = sorted(revoked)
    with redis.pipeline(transaction=False) as pipe:
        for subject in subjects:
            pipe.exists(keys.revoked(subject))
        known = pipe.execute()
    missing = [subject for subject, is_known in zip(subjects, known, strict=True) if not is_known]
    if not report.dry_run:
        put_revocations(redis, {subject: revoked[subject] for subject in missing})
    report.note("revocations", "subjects whose tokens no longer count: told again", missing)


def mend_watch(engine: Engine, redis: "Redis", report: Report) -> None:
    """Lets the watch read anew what it had read further than the ledger goes: it would count inversions that are
    none. Two round trips.
    """
    watched = {
        int(event): Seen.parse(value)
        for event, value in redis.hgetall(keys.LEDGER_WATCH).items()
        if text_of(event).isdecimal()
    }
    with transaction(engine) as session:
        last_numbers = list_last_numbers(session, watched)
    ahead = sorted(event for event, seen in watched.items() if seen.number > last_numbers.get(event, 0))
    if ahead and not report.dry_run:
        redis.hdel(keys.LEDGER_WATCH, *map(str, ahead))
    report.note("watch", "ledgers watched further than they go: watched anew", ahead)
