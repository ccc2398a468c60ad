"""The whole repair, in its order."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from redis import Redis
from sqlalchemy import Connection, Engine

from shared.db import SCHEMA_VERSION, find_schema_version, transaction
from shared.line import installation as line_installation
from shared.line import keys
from shared.line.client import ScriptRunner, text_of
from shared.line.installation import Installation
from shared.line.mend import expire_decided
from shared.line.survey import read_undecided_of_users, scan_jobs
from shared.line.take import Claim
from shared.services import audit_log
from shared.services.repair.holding import RepairRefusedError, fence, held_partitions
from shared.services.repair.marks import mend_keys, mend_revocations, mend_users, mend_watch
from shared.services.repair.partition import Line, PartitionRepair
from shared.services.repair.report import Mend, Report
from shared.services.repair.sequences import mend_references, mend_sequences
from shared.settings import Settings
from shared.store.line_state import forget_queued, get_installation, list_revocations
from shared.store.repairs import list_recorded_ids


def repair(
    settings: Settings,
    engine: Engine,
    redis: "Redis",
    *,
    dry_run: bool = False,
    tell: Callable[[Mend], None] = lambda _mend: None,
    by: str | None = None,
) -> Report:
    """Puts Redis right and reports what it did, or with `dry_run` would do; mending twice mends nothing.

    Booking workers must be stopped, and are kept out while it runs; the API may go on accepting. Reads all of
    Redis: some ten seconds for 100,000 jobs. `engine` needs two connections. Raises RepairRefusedError, and
    what the two clients raise; then the next repair goes on where this one ended. `by` is who typed it, for the
    audit log.
    """
    report = Report(dry_run, tell)
    installation = _check(engine)
    with (
        held_partitions(engine, installation.partitions) as connection,
        closing(ScriptRunner(redis)) as runner,
    ):
        # An empty Redis has nothing else to mend, and a dry run nothing to look at.
        if _own_redis(engine, redis, installation, report):
            claims = _fence(connection, runner, installation, report)
            _mend(settings, engine, runner, report, claims, installation.partitions)
        _record(engine, report, by)
    return report


def _mend(
    settings: Settings,
    engine: Engine,
    runner: ScriptRunner,
    report: Report,
    claims: Mapping[int, Claim],
    partitions: int,
) -> None:
    """Everything, with every partition held; what users are counted with is read before what stands in the line."""
    redis = runner.redis
    counted = read_undecided_of_users(redis)
    elsewhere = _find_elsewhere(settings, engine, redis, report, partitions)
    mend_sequences(engine, redis, report, partitions, {*counted})
    lines = [
        PartitionRepair(
            settings, engine, runner, report, partition=partition, claim=claims.get(partition)
        ).run(elsewhere[partition])
        for partition in range(partitions)
    ]
    mend_references(engine, report)
    told = {job_id for line in lines for job_id in line.told}  # and uncounted with that
    counted = {user: ids - told for user, ids in counted.items()}
    mend_users(runner, report, counted, _waiting_by_user(lines))
    mend_keys(engine, runner, report, {job.id for line in lines for job in line.standing()})
    mend_revocations(engine, redis, report)
    mend_watch(engine, redis, report)


def _record(engine: Engine, report: Report, by: str | None) -> None:
    """Writes down that somebody with access to the server mended Redis, and how much."""
    if report.dry_run or not report.mends:
        return
    counts: Counter[str] = Counter()
    for mend in report.mends:
        counts[mend.what] += mend.count
    with transaction(engine) as session:
        audit_log.record(
            session,
            actor_id=None,
            action="line.repair",
            target_type="line",
            target_id="bookings",
            changes={**counts, "beyond_repair": len(report.beyond)},
            by=by,
        )


def _check(engine: Engine) -> Installation:
    with transaction(engine) as session:
        found = find_schema_version(session)
        if found is None or found < SCHEMA_VERSION:
            raise RepairRefusedError(f"the database is at schema {found}; run `guichet migrate` first")
        return get_installation(session)


def _own_redis(engine: Engine, redis: "Redis", installation: Installation, report: Report) -> bool:
    """Makes an empty Redis this installation's; False when that is all there is to do in a dry run."""
    found = redis.get(keys.INSTALLATION)
    if found is None:
        with transaction(engine) as session:
            revoked = list_revocations(session)
            if not report.dry_run:
                forget_queued(session)
        if not report.dry_run:
            line_installation.initialise(redis, installation, revoked)
        report.note("installation", "this Redis was nobody's: made this installation's", [installation.mark])
        return not report.dry_run
    if text_of(found) != installation.mark:
        raise RepairRefusedError(
            f"this Redis belongs to installation {text_of(found)}, the database to {installation.mark}"
        )
    queues = {keys.queue(partition) for partition in range(installation.partitions)}
    missing = sorted(queues - {text_of(name) for name in redis.smembers(keys.RQ_QUEUES)})
    if missing and not report.dry_run:
        redis.sadd(keys.RQ_QUEUES, *missing)
    report.note("queues", "queues that RQ's tools did not know", missing)
    return True


def _fence(
    connection: Connection, runner: ScriptRunner, installation: Installation, report: Report
) -> dict[int, Claim]:
    """A fresh token in every partition; none in a dry run, which writes nothing."""
    if report.dry_run:
        return {}
    claims, lifted = {}, []
    for partition in range(installation.partitions):
        claims[partition], was_behind = fence(connection, runner, installation, partition)
        if was_behind:
            lifted.append(f"partition {partition}: {claims[partition].token}")
    report.note("token", "claim tokens lifted above those that Redis has seen", lifted)
    return claims


def _find_elsewhere(
    settings: Settings, engine: Engine, redis: "Redis", report: Report, partitions: int
) -> list[list[str]]:
    """By partition: jobs that Redis calls decided and the ledger does not know, and those that it calls undecided
    and that may be in no list. Both are few when nothing is wrong, but for what waits.

    Lets those expire that both call decided and that somebody has kept from it, to have the time for this repair.
    """
    found: list[list[str]] = [[] for _ in range(partitions)]
    kept: list[str] = []
    for jobs in scan_jobs(redis):
        decided = [job.id for job in jobs if not job.is_undecided]
        with transaction(engine) as session:
            recorded = list_recorded_ids(session, decided)
        kept += expire_decided(redis, sorted(recorded), settings.job_ttl_seconds, dry_run=report.dry_run)
        for job in jobs:
            if job.id not in recorded and job.partition < partitions:
                found[job.partition].append(job.id)
    report.note(
        "expiry", "decided jobs that would have stayed for ever: expire as usual", dict.fromkeys(kept)
    )
    return found


def _waiting_by_user(lines: Iterable[Line]) -> dict[int, set[str]]:
    waiting: dict[int, set[str]] = {}
    for line in lines:
        for job in line.standing():
            if job.counts_for is not None:
                waiting.setdefault(job.counts_for, set()).add(job.id)
    return waiting
