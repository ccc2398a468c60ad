"""What admins' calls take when the line is deep: hundreds of thousands wait, failed, and failed among the tasks."""

import base64
import time
import zlib
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from scripts.benches.calls import Caller, admin_of
from scripts.benches.figures import Figure, Measurement, percentile
from scripts.benches.installation import Installation, Laboratory
from shared.clock import rfc3339, utc_now
from shared.domain.partitions import partition_of, queue_name
from shared.domain.requests import encode_payload
from shared.ids import uuid7
from shared.line import keys

BAR_MS: Final = 100.0
ROUNDS: Final = 15
# One call; the next one finds other jobs.
CLEAN_LIMIT: Final = 1_000
_PIPELINE: Final = 1_000
_MEMORY: Final = "4gb"  # three times the depth with a result each is more than an installation's usual limit
_TRACEBACK: Final = base64.b64encode(zlib.compress(b"Traceback\nRuntimeError: planted")).decode()


def measure(laboratory: Laboratory) -> Measurement:
    """One event's line, so that all of it stands in one partition; gunicorn as usual, one call after the other."""
    depth = laboratory.sizes.admin
    measurement = Measurement()
    with laboratory.installation(measurement, own_redis=True) as installation:
        installation.redis.config_set("maxmemory", _MEMORY)
        event_id = installation.make_event(depth)
        installation.fill(event_id, installation.make_users(depth))
        failed = _plant_failed(installation, event_id, depth)
        _plant_failed_tasks(installation, depth)
        with installation.web() as web, closing(admin_of(installation, web.port)) as admin:
            waiting = admin.get("/api/admin/queue/details?limit=100")["items"]
            for _ in range(ROUNDS):  # so that both processes have their connections
                admin.get("/api/admin/queue/stats")
            figures = [
                _figure(name, admin.time_each([(method, path, body)] * ROUNDS))
                for name, method, path, body in _calls(event_id, waiting[len(waiting) // 2]["id"])
            ]
            figures += _time_paging(admin)
            figures.append(_figure("a failed task retried", admin.time_each(_retries(admin))))
            cleans = [("POST", "/api/admin/queue/clean", {"state": "failed", "limit": CLEAN_LIMIT})] * ROUNDS
            figures.append(_figure(f"clean of {CLEAN_LIMIT:,}", admin.time_each(cleans)))
        slowest = max(figures, key=lambda figure: figure.value)
        measurement.figures = [
            Figure(
                what=f"slowest admin call with {depth:,} waiting, failed, failed tasks",
                value=slowest.value,
                unit="ms",
                bar=BAR_MS,
                at_most=True,
                note=f"of {len(figures)} kinds: {slowest.what.strip()}",
            ),
            *figures,
        ]
        _forget(installation, event_id, failed)  # the audit would ask where they came from
    return measurement


def _calls(event_id: int, job_id: str) -> list[tuple[str, str, str, Mapping[str, Any] | None]]:
    details = "/api/admin/queue/details"
    other = event_id + 1  # of another partition; and one that nobody waits for in this one
    absent = event_id + 8 * 1_000
    dry_run = {"state": "failed", "limit": CLEAN_LIMIT, "dry_run": True}
    return [
        ("stats", "GET", "/api/admin/queue/stats", None),
        ("details: waiting, 100", "GET", f"{details}?limit=100", None),
        ("details: failed, 100", "GET", f"{details}?state=failed&limit=100", None),
        ("details: of an event", "GET", f"{details}?event_id={event_id}&limit=100", None),
        ("details: of an event that nobody waits for", "GET", f"{details}?event_id={absent}", None),
        ("details: of another partition", "GET", f"{details}?event_id={other}", None),
        ("one job", "GET", f"/api/admin/queue/jobs/{job_id}", None),
        ("an event's line", "GET", f"/api/events/{event_id}/line", None),
        ("failed tasks, 100", "GET", "/api/admin/tasks?limit=100", None),
        ("clean, dry run", "POST", "/api/admin/queue/clean", dry_run),
        ("pause", "POST", "/api/admin/queue/pause", {"reason": "bench"}),
        ("resume", "POST", "/api/admin/queue/resume", {}),
    ]


def _time_paging(admin: Caller) -> list[Figure]:
    """Pages one after the other, through the first part of each list."""
    figures = []
    for name, path in (
        ("waiting", "/api/admin/queue/details?limit=100"),
        ("failed", "/api/admin/queue/details?state=failed&limit=100"),
        ("failed tasks", "/api/admin/tasks?limit=100"),
    ):
        taken, cursor = [], ""
        for _ in range(ROUNDS * 4):
            started = time.perf_counter()
            page = admin.get(f"{path}{cursor and '&cursor='}{cursor}")
            taken.append((time.perf_counter() - started) * 1000)
            if page["next_cursor"] is None:
                break
            cursor = page["next_cursor"]
        figures.append(_figure(f"page after page: {name}", taken))
    return figures


def _retries(admin: Caller) -> list[tuple[str, str, Any]]:
    tasks = admin.get(f"/api/admin/tasks?limit={ROUNDS}")["items"]
    return [("POST", f"/api/admin/tasks/{task['id']}/retry", None) for task in tasks]


def _figure(name: str, taken: list[float]) -> Figure:
    """The worst of them."""
    note = f"worst of {len(taken)}, p50 {percentile(taken, 0.5):.1f} ms"
    return Figure(what=f"  {name}", value=max(taken), unit="ms", note=note)


def _plant_failed(installation: Installation, event_id: int, count: int) -> list[str]:
    """Jobs in quarantine, as a reply leaves them."""
    redis, partition = installation.redis, partition_of(event_id, installation.settings.partitions)
    now = utc_now()
    fields: dict[Any, Any] = {
        "status": "failed",
        "data": encode_payload(kind="book", event_id=event_id, user_id=7, tickets=1, request_id="r" * 32),
        "origin": queue_name(partition),
        "description": "booking request",
        "v": 1,
        "worker_name": "bookings-bench",
        **dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at"), rfc3339(now)),
    }
    ids = [str(uuid7()) for _ in range(count)]
    for start in range(0, count, _PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for number, job_id in enumerate(ids[start : start + _PIPELINE], start):
                pipe.hset(keys.job(job_id), mapping={**fields, "arrival": number, "seq": number})
                pipe.xadd(keys.result(job_id), {"type": 2, "exc_string": _TRACEBACK})
                pipe.zadd(keys.failed(partition), {job_id: int(now.timestamp()) + 86_400 + number // 250})
            pipe.execute()
    return ids


def _plant_failed_tasks(installation: Installation, count: int) -> None:
    """Background tasks that failed, as RQ leaves them."""
    redis, now = installation.redis, utc_now()
    data = zlib.compress(b'["worker.tasks.prune", null, [], {}]')
    fields: dict[Any, Any] = {
        "status": "failed",
        "data": data,
        "origin": keys.TASK_QUEUE,
        "ended_at": rfc3339(now),
    }
    for start in range(0, count, _PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + _PIPELINE, count)):
                task_id = f"bench-{number}"
                pipe.hset(keys.job(task_id), mapping=fields)
                pipe.xadd(keys.result(task_id), {"type": 2, "exc_string": _TRACEBACK})
                pipe.zadd(keys.FAILED_TASKS, {task_id: int(now.timestamp()) + 86_400 + number // 250})
            pipe.execute()


def _forget(installation: Installation, event_id: int, failed: list[str]) -> None:
    partition = partition_of(event_id, installation.settings.partitions)
    for start in range(0, len(failed), _PIPELINE):
        chunk = failed[start : start + _PIPELINE]
        installation.redis.delete(*map(keys.job, chunk), *map(keys.result, chunk))
    installation.redis.delete(keys.failed(partition), keys.FAILED_TASKS, keys.TASKS)
