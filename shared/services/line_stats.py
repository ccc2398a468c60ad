"""The line in figures: one look for HTTP, `guichet queue stats` and `guichet top`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from redis import Redis
from sqlalchemy import Engine

from shared.clock import rfc3339_or_none
from shared.db import transaction
from shared.line.client import LineUnavailableError
from shared.line.look import PartitionLook, WorkerLook, look_at_partitions, look_at_workers
from shared.services.health import check_readiness
from shared.services.line_gate import LineGate
from shared.store.line_state import PauseRecord, find_pause_record

RUNNING: Final = "running"
PAUSED: Final = "paused"

# Parts of health that are told and do not stop the line.
_HARMLESS: Final = frozenset({"durability", "lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStats:
    """The line at one moment. `problems` is part → what is wrong there; of the `warnings` of health it has all but
    the pause, which is somebody's will.
    """

    pause: PauseRecord | None
    partitions: Sequence[PartitionLook]
    workers: Sequence[WorkerLook]
    problems: Mapping[str, str]

    @property
    def healthy(self) -> bool:
        """Requests are accepted, and decided unless the line is paused."""
        return set(self.problems) <= _HARMLESS

    @property
    def decided_per_second(self) -> float:
        """What live workers really decided in their last second."""
        return round(sum([worker.decided_per_second for worker in self.workers if worker.live], 0.0), 1)

    @property
    def oldest_waiting_seconds(self) -> float | None:
        """Age of the oldest undecided request; None when nobody waits."""
        ages = [look.oldest_waiting_seconds for look in self.partitions]
        return max((age for age in ages if age is not None), default=None)

    def find_holder(self, partition: int) -> str | None:
        """The live worker that says it holds the partition."""
        return next(
            (worker.name for worker in self.workers if worker.live and partition in worker.partitions), None
        )


def read_line_stats(engine: Engine, gate: LineGate, redis: "Redis", *, partitions: int) -> LineStats:
    """Both servers are asked, at a cost that does not grow with the line: some ten round trips.

    Opens its own transaction, because no question to Redis may be asked inside one. Raises LineUnavailableError
    when Redis is away or another installation's, and SQLAlchemy's errors when PostgreSQL is.
    """
    with transaction(engine) as session:
        pause = find_pause_record(session)
    workers = look_at_workers(redis)
    problems, warnings = check_readiness(
        gate, redis, partitions=partitions, pause=None, live_workers=sum(worker.live for worker in workers)
    )
    if "installation" in problems:
        raise LineUnavailableError(problems["installation"])
    return LineStats(
        pause=pause,
        partitions=look_at_partitions(redis, partitions),
        workers=workers,
        problems={**problems, **warnings},
    )


def line_stats_document(stats: LineStats) -> dict[str, Any]:
    """The stats as JSON: what `/api/admin/queue/stats` answers and `guichet queue stats --json` prints."""
    return {
        **pause_document(stats.pause),
        "waiting": sum(look.waiting for look in stats.partitions),
        "in_flight": sum(look.in_flight for look in stats.partitions),
        "failed": sum(look.failed for look in stats.partitions),
        "finished": sum(look.finished for look in stats.partitions),
        "oldest_waiting_seconds": _rounded(stats.oldest_waiting_seconds),
        "decided_per_second": stats.decided_per_second,
        "partitions": [_partition_document(stats, look) for look in stats.partitions],
        "workers": [asdict(worker) for worker in stats.workers],
        "healthy": stats.healthy,
        "problems": [{"part": part, "detail": detail} for part, detail in stats.problems.items()],
    }


def pause_document(pause: PauseRecord | None) -> dict[str, Any]:
    """`state` and `paused`, as pausing and resuming answer them too."""
    if pause is None:
        return {"state": RUNNING, "paused": None}
    by = None if pause.by_id is None else {"id": pause.by_id, "name": pause.by_name}
    return {
        "state": PAUSED,
        "paused": {
            "reason": pause.reason,
            "by": by,
            "since": rfc3339_or_none(pause.paused_at),
            "resume_at": rfc3339_or_none(pause.resume_at),
        },
    }


def _partition_document(stats: LineStats, look: PartitionLook) -> dict[str, Any]:
    return {
        "partition": look.partition,
        "waiting": look.waiting,
        "in_flight": look.in_flight,
        "finished": look.finished,
        "failed": look.failed,
        "lost": look.lost,
        "holder": stats.find_holder(look.partition),
        "oldest_waiting_seconds": _rounded(look.oldest_waiting_seconds),
        "trouble": look.trouble,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
