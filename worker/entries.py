"""The schedule's entries: what each does in a turn. Short, and safe to run twice; what takes longer becomes a task."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer
from sqlalchemy import Engine

from shared.db import transaction
from shared.line.clean import CleanableState
from shared.services import (
    accounts,
    analytics,
    announcements,
    control_requests,
    ledger_watch,
    line_clean,
    line_pause,
    offers,
    outbox,
)
from shared.services.line import LineClient
from shared.settings import Settings
from shared.store.event_archive import archive_events
from shared.store.ledger_audits import find_due_hour
from shared.store.line_state import get_installation, list_revocations

TASK_QUEUE: Final = "tasks"

# How long RQ remembers a task: one that went well, and one that failed, for who has to look at it.
_RESULT_TTL: Final = timedelta(days=1)
_FAILURE_TTL: Final = timedelta(days=30)

_AUDIT_TIMEOUT: Final = timedelta(hours=6)
_RECOUNT_TIMEOUT: Final = timedelta(hours=1)  # of one day

# A transaction each, so that no event is locked for long; what is left over has its turn a minute later.
_ARCHIVE_SLICE: Final = 500
_ARCHIVE_SLICES_MAX: Final = 20

# Decided jobs that one turn removes, of each kind: some 20 scripts.
_JOBS_MAX: Final = 10_000
_DECIDED: Final[tuple[CleanableState, ...]] = ("finished", "failed")


@dataclass(frozen=True, slots=True)
class Means:
    """What entries work with."""

    settings: Settings
    engine: Engine
    line: LineClient
    redis: "Redis"
    handlers: Sequence[outbox.Handler]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something due every `seconds`."""

    name: str
    seconds: float
    run: Callable[[Means], object]


def _put_control_requests(means: Means) -> None:
    control_requests.put_into_line(means.engine, means.line)


def _expire_offers(means: Means) -> None:
    offers.expire_offers(means.engine, means.line)


def _end_waitlists(means: Means) -> None:
    offers.end_waitlists(means.engine, means.line)


def _serve_waitlists(means: Means) -> None:
    offers.serve_waitlists(means.engine, means.line)


def _drain_outbox(means: Means) -> None:
    outbox.drain(means.engine, means.handlers)


def _retry_outbox(means: Means) -> None:
    with transaction(means.engine) as session:
        outbox.retry_set_aside(session)


def _announce_sales(means: Means) -> None:
    announcements.announce_open_sales(means.engine)


def _warn_of_expiring_offers(means: Means) -> None:
    with transaction(means.engine) as session:
        announcements.warn_of_expiring_offers(session, notice_seconds=means.settings.offer_warning_seconds)


def _feed_revocations(means: Means) -> None:
    with transaction(means.engine) as session:
        revoked = list_revocations(session)
    means.line.revoke(revoked)


def _end_pause(means: Means) -> None:
    with transaction(means.engine) as session:
        line_pause.end_if_over(session)


def _release_leftovers(means: Means) -> None:
    with transaction(means.engine) as session:
        user_ids = accounts.list_leftovers(session)
    for user_id in user_ids:  # a transaction each: events are locked in id order
        with transaction(means.engine) as session:
            accounts.release_holdings(session, user_id, request_id=None)


def _watch_ledger(means: Means) -> None:
    ledger_watch.watch_ledger(means.engine, means.redis)


def _catch_up_analytics(means: Means) -> None:
    analytics.catch_up(means.engine)


def _count_registrations(means: Means) -> None:
    analytics.roll_up_registrations(means.engine)


def _check_analytics(means: Means) -> None:
    _enqueue(means, "worker.tasks.check_analytics", job_timeout=int(_RECOUNT_TIMEOUT.total_seconds()))


def _archive_events(means: Means) -> None:
    for _ in range(_ARCHIVE_SLICES_MAX):
        with transaction(means.engine) as session:
            marked = archive_events(session, limit=_ARCHIVE_SLICE)
        if marked < _ARCHIVE_SLICE:
            return


def _prune_jobs(means: Means) -> None:
    """Their hashes end by themselves; a partition that nobody asks any more keeps their entries."""
    with transaction(means.engine) as session:
        installation = get_installation(session)
    for state in _DECIDED:
        cleaned = line_clean.clean(
            means.line.runner,
            installation,
            state=state,
            older_than_seconds=means.settings.job_ttl_seconds,
            limit=_JOBS_MAX,
        )
        if cleaned.trouble is not None:
            raise cleaned.trouble


def _prune(means: Means) -> None:
    _enqueue(means, "worker.tasks.prune")


def _audit_ledgers(means: Means) -> None:
    """Once a night: what came to its end is written down. One that was cut off is tried again in the next hour, because
    the hour is the task's id.
    """
    with transaction(means.engine) as session:
        due = find_due_hour(session, hour=means.settings.audit_hour)
    if due is not None:
        _enqueue(
            means,
            "worker.tasks.audit_ledgers",
            job_id=f"audit-{due}",
            unique=True,
            job_timeout=int(_AUDIT_TIMEOUT.total_seconds()),
        )


def _enqueue(means: Means, function: str, **options: Any) -> None:  # noqa: ANN401 - RQ's options
    """Puts the task into the queue; with `unique`, unless one of its id is known already."""
    queue = Queue(TASK_QUEUE, connection=means.redis, serializer=JSONSerializer)
    with contextlib.suppress(DuplicateJobError):
        queue.enqueue(
            function,
            result_ttl=int(_RESULT_TTL.total_seconds()),
            failure_ttl=int(_FAILURE_TTL.total_seconds()),
            **options,
        )


ENTRIES: Final = (
    Entry("put_control_requests", 1.0, _put_control_requests),
    Entry("expire_offers", 1.0, _expire_offers),
    Entry("serve_waitlists", 5.0, _serve_waitlists),
    Entry("end_waitlists", 30.0, _end_waitlists),
    Entry("drain_outbox", 1.0, _drain_outbox),
    Entry("announce_sales", 1.0, _announce_sales),
    Entry("warn_of_expiring_offers", 10.0, _warn_of_expiring_offers),
    Entry("feed_revocations", 2.0, _feed_revocations),
    Entry("end_pause", 2.0, _end_pause),
    Entry("release_leftovers", 30.0, _release_leftovers),
    Entry("watch_ledger", 10.0, _watch_ledger),
    Entry("catch_up_analytics", 1.0, _catch_up_analytics),
    Entry("count_registrations", 10.0, _count_registrations),
    Entry("archive_events", 60.0, _archive_events),
    Entry("check_analytics", 21_600.0, _check_analytics),
    Entry("prune_jobs", 600.0, _prune_jobs),
    Entry("retry_outbox", 3600.0, _retry_outbox),
    Entry("prune", 3600.0, _prune),
    Entry("audit_ledgers", 60.0, _audit_ledgers),
)
