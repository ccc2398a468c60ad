"""RQ's classes for looking only: they run no clean-up, change no connection, and take damaged entries as they are.

Where RQ 2.12 does otherwise when rq-dashboard reads: `Queue.fetch_job` removes ids without a hash (requests from the
line!), `Worker.find_by_key` forgets workers, `Worker.__init__` raises the connection pool's time-out to minutes,
and one job that cannot be decoded is an error for the whole list.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from redis import Redis
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import (
    BaseRegistry,
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.serializers import JSONSerializer

from shared.clock import rfc3339
from shared.domain.partitions import queue_name
from shared.errors import GuichetError
from shared.line.keys import TASK_QUEUE

UNREADABLE: Final = "(unreadable)"
GONE: Final = "(its hash is gone)"

REGISTRIES: Final[dict[str, type[BaseRegistry]]] = {
    "started": StartedJobRegistry,
    "finished": FinishedJobRegistry,
    "failed": FailedJobRegistry,
    "deferred": DeferredJobRegistry,
    "scheduled": ScheduledJobRegistry,
    "canceled": CanceledJobRegistry,
}


class ConsoleJob(Job):
    """A job as it lies in Redis; what of it cannot be decoded is said to be unreadable."""

    is_readable = True

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> "ConsoleJob":  # noqa: A002, ANN401, ARG003 - RQ's signature
        """The job, always read as JSON. Raises NoSuchJobError. One round trip."""
        try:
            job = cls(id, connection=connection, serializer=JSONSerializer)
        except ValueError as error:  # an id that RQ would never make
            raise NoSuchJobError(id) from error
        job.refresh()
        return job

    def restore(self, raw_data: Any) -> None:  # noqa: ANN401 - RQ's signature
        """Takes over the hash's fields as far as they can be read."""
        self.created_at = None  # type: ignore[assignment]  # RQ puts the time of looking where it is missing
        try:
            super().restore(raw_data)
            self._deserialize_data()
        except NoSuchJobError:
            raise
        except Exception:  # noqa: BLE001 - whatever somebody wrote there
            self.is_readable = False
            self.description = f"{UNREADABLE} {self.description or ''}".strip()

    def get_status(self, refresh: bool = True) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - RQ's signature
        """What the hash says, also when RQ knows no such status."""
        return _text(self.connection.hget(self.key, "status")) or "unknown"

    def get_meta(self, refresh: bool = True) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - RQ's signature
        """The metadata, or that it cannot be read."""
        try:
            return super().get_meta(refresh=True)
        except ValueError:
            return UNREADABLE

    def latest_result(self, timeout: int = 0) -> Result | None:  # noqa: ARG002 - RQ's signature
        """The latest result; it never waits for one."""
        entries: Any = self.connection.xrevrange(Result.get_key(self.id), "+", "-", count=1)
        return read_result(self.id, self.connection, entries)

    def return_value(self, refresh: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - RQ's signature
        """The result document: ours is there for failed requests too, where RQ shows none."""
        result = self.latest_result()
        return None if result is None else result.return_value

    def get_call_string(self) -> str | None:
        """Function and arguments, as far as they can be read."""
        return super().get_call_string() if self.is_readable else UNREADABLE

    def requeue(self, at_front: bool = False) -> Job:  # noqa: FBT001, FBT002 - RQ's signature
        """Runs a failed task again; raises GuichetError `console_read_only` for everything else."""
        self._require_task()
        return super().requeue(at_front=at_front)

    def delete(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - RQ's signature
        """Drops a task; raises GuichetError `console_read_only` for everything else."""
        self._require_task()
        super().delete(*args, **kwargs)

    def _require_task(self) -> None:
        # a decision on a booking request is final
        if self.origin != TASK_QUEUE or not self.is_readable:
            raise GuichetError("console_read_only", "Only readable jobs of the queue `tasks` can be changed.")


class ConsoleQueue(Queue):
    """A queue to look at; without a name it is the first partition's, because there is none called `default`."""

    job_class = ConsoleJob

    def __init__(self, name: str = queue_name(0), connection: Redis | None = None, **_options: Any) -> None:  # noqa: ANN401
        super().__init__(name, connection=connection, job_class=ConsoleJob, serializer=JSONSerializer)

    @classmethod
    def all(cls, connection: Redis, *_given: Any, **_options: Any) -> list[Queue]:  # noqa: ANN401 - RQ's signature
        """Every registered queue that RQ's naming allows. One round trip."""
        prefix = cls.redis_queue_namespace_prefix
        names = (_text(key) for key in connection.smembers(cls.redis_queues_keys))
        return [
            cls(name.removeprefix(prefix), connection=connection) for name in names if name.startswith(prefix)
        ]

    def compact(self) -> None:
        """Drops ids without a hash; RQ's way needs a list that is there."""
        if self.count:
            super().compact()


class ConsoleWorker(Worker):
    """A worker to look at."""

    job_class = ConsoleJob
    queue_class: type[Queue] = ConsoleQueue

    def _set_connection(self, connection: Redis) -> Redis:
        return connection

    @classmethod
    def all(  # type: ignore[override]  # RQ could do without a connection, we never do
        cls,
        connection: Redis,
        *_given: Any,  # noqa: ANN401 - RQ's signature
        **_options: Any,  # noqa: ANN401
    ) -> list["ConsoleWorker"]:
        """Every registered worker that has a key."""
        names = (_text(key) for key in connection.smembers(cls.redis_workers_keys))
        found = (cls.find_by_key(name, connection) for name in names)
        return [worker for worker in found if worker is not None]

    @classmethod
    def find_by_key(
        cls,
        worker_key: str,
        connection: Redis,
        *_given: Any,  # noqa: ANN401 - RQ's signature
        **_options: Any,  # noqa: ANN401
    ) -> "ConsoleWorker | None":
        """The worker, None when its key has expired or holds none; it stays registered all the same."""
        worker = cls(
            [],
            worker_key.removeprefix(cls.redis_worker_namespace_prefix),
            connection=connection,
            prepare_for_work=False,
            serializer=JSONSerializer,
        )
        if not connection.exists(worker.key):
            return None
        try:
            worker.refresh()
        except ValueError:
            worker._state = UNREADABLE
        return worker

    def get_current_job(self) -> Job | None:
        """The job in hand; None also when it is gone by now."""
        try:
            return super().get_current_job()
        except NoSuchJobError:
            return None


def list_jobs(
    name: str, registry: str, offset: int, per_page: int, order: str, connection: Redis
) -> tuple[int, list[dict[str, Any]]]:
    """How many jobs a queue or one of its registries has, and those of a page. Three round trips, whatever the
    depth; takes the place of rq-dashboard's own, whose later pages overlap.
    """
    source = ConsoleQueue(name, connection=connection) if registry == "queued" else None
    key = source.key if source is not None else REGISTRIES[registry](name, connection=connection).key
    total = int(connection.llen(key) if source is not None else connection.zcard(key))
    first = offset if order == "asc" else total - offset - per_page
    last = first + per_page - 1
    if last < 0:
        return total, []
    first = max(first, 0)
    entries: Any = (
        connection.lrange(key, first, last) if source is not None else connection.zrange(key, first, last)
    )
    ids = [_text(entry) for entry in entries]
    if registry == "started":
        ids = [entry.partition(":")[0] for entry in ids]  # "<job id>:<execution>"
    if order != "asc":
        ids.reverse()
    return total, _describe(ids, connection)


def read_result(job_id: str, connection: Redis, entries: Sequence[Any]) -> Result | None:
    """The newest of a job's results, which may be unreadable."""
    if not entries:
        return None
    entry_id, fields = entries[0]
    try:
        return Result.restore(
            job_id, _text(entry_id), fields, connection=connection, serializer=JSONSerializer
        )
    except Exception:  # noqa: BLE001 - whatever somebody wrote there
        return Result(
            job_id,
            Result.Type.FAILED,
            connection,
            id=_text(entry_id),  # without one it counts as no result
            return_value=UNREADABLE,
            exc_string=UNREADABLE,
        )


def _describe(ids: Sequence[str], connection: Redis) -> list[dict[str, Any]]:
    pipeline = connection.pipeline(transaction=False)
    for job_id in ids:
        pipeline.hgetall(f"{Job.redis_job_namespace_prefix}{job_id}")
        pipeline.xrevrange(Result.get_key(job_id), "+", "-", count=1)
    answers = pipeline.execute(raise_on_error=False)
    return [
        _row(job_id, connection, fields, entries)
        for job_id, fields, entries in zip(ids, answers[::2], answers[1::2], strict=True)
    ]


def _row(job_id: str, connection: Redis, fields: Any, entries: Any) -> dict[str, Any]:  # noqa: ANN401 - replies
    row: dict[str, Any] = dict.fromkeys(("created_at", "started_at", "ended_at", "exc_info", "status"))
    row |= {"id": job_id, "description": UNREADABLE}
    if isinstance(fields, Exception) or isinstance(entries, Exception):  # another type under that key
        return row
    result = read_result(job_id, connection, entries)
    row["exc_info"] = None if result is None else result.exc_string
    try:
        job = ConsoleJob(job_id, connection=connection, serializer=JSONSerializer)
        job.restore(fields)
    except ValueError:  # an id that RQ would never make
        return row
    except NoSuchJobError:
        return row | {"description": UNREADABLE if fields else GONE}
    return row | {
        "description": job.description,
        "status": _text(fields.get(b"status")) or None,
        "created_at": _instant(job.created_at),
        "started_at": _instant(job.started_at),
        "ended_at": _instant(job.ended_at),
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _text(value: Any) -> str:  # noqa: ANN401 - a reply
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
