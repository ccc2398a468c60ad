"""Measures what each step costs here: on servers of its own, in CPU time, which a busy machine inflates least."""

import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from redis import Redis
from sqlalchemy import text

from scripts.benches.figures import median
from scripts.benches.fill import fill_here
from scripts.benches.installation import Installation
from scripts.benches.processes import BenchError, CpuMeter, Process, family
from scripts.benches.web import Web
from scripts.simulation.costs import Calibration, Costs, now
from scripts.simulation.open_load import Answers, Call, send_apart
from shared.db import transaction

REQUESTS: Final = 2_000
SMALL_BATCH: Final = 4
SMALL_BATCHES: Final = 100
# A batch waits for PostgreSQL's disk once, and for an answer of a server about so often.
_TRIPS_A_BATCH: Final = 8
_SYNCS: Final = 200
_RECORD_BYTES: Final = 1_000  # of the append-only file a request, roughly

_BATCHES: Final = """
select count(distinct decided_at) from decisions where event_id = :event_id and arrival is not null
"""
_DECIDED: Final = "select job_id, user_id from decisions where event_id = :event_id and arrival is not null"

Micros = dict[str, float]  # resource → µs of CPU


def calibrate(installation: Installation, *, requests: int = REQUESTS) -> Calibration:
    """The costs of this machine as it is now. Some 30 s; leaves nothing waiting."""
    user_ids = installation.make_users(requests)
    tokens = dict(zip(user_ids, installation.make_tokens(requests), strict=True))
    booked, refused = installation.make_event(requests), installation.make_event(1)
    installation.settings = replace(installation.settings, sold_out_door=True)
    with installation.web() as web:
        accept, client = _measure_calls(installation, web, _bookings(booked, list(tokens.values())), 202)
        all_booked = _measure_batches(installation, booked, requests)
        fill_here(installation.settings, refused, user_ids)
        none_booked = _measure_batches(installation, refused, requests)
        small = installation.make_event(1)
        fill_here(installation.settings, small, user_ids[: SMALL_BATCHES * SMALL_BATCH])
        count = min(requests, SMALL_BATCHES * SMALL_BATCH)
        in_small = _measure_batches(installation, small, count, batch_max=SMALL_BATCH)
        refuse, _ = _measure_calls(installation, web, _bookings(refused, list(tokens.values())), 409)
        poll, _ = _measure_calls(installation, web, _polls(installation, booked, tokens), 200)
        look, _ = _measure_calls(installation, web, [Call(path=f"/api/events/{booked}")] * requests, 200)
    sync, trip = _sync_micros(installation.laboratory.folder), _round_trip_micros(installation.redis)
    costs = Costs(
        accept_api=accept["API"],
        accept_redis=accept["Redis"],
        refuse_api=refuse["API"],
        refuse_redis=refuse["Redis"],
        poll_api=poll["API"],
        poll_redis=poll["Redis"],
        look_api=look["API"],
        client=client,
        redis_wait=sync,
        batch_wait=sync + _TRIPS_A_BATCH * trip,
        round_trip=trip,
        **_batch_costs(all_booked, none_booked, in_small),
    )
    return Calibration(costs=costs, machine=machine(), cores=os.cpu_count() or 1, measured_at=now())


def machine() -> str:
    """This machine, for a report."""
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def _bookings(event_id: int, tokens: list[str]) -> list[Call]:
    path = f"/api/bookings/{event_id}/book"
    return [Call(path=path, token=token, key=secrets.token_hex(16), tickets=1) for token in tokens]


def _polls(installation: Installation, event_id: int, tokens: dict[int, str]) -> list[Call]:
    with transaction(installation.engine) as session:
        rows = session.execute(text(_DECIDED), {"event_id": event_id}).all()
    return [Call(path=f"/api/bookings/status/{job_id}", token=tokens[user_id]) for job_id, user_id in rows]


def _measure_calls(
    installation: Installation, web: Web, calls: list[Call], status: int
) -> tuple[Micros, float]:
    """CPU a call of API and Redis, and of the client. Raises BenchError unless every answer has the status."""
    meter = CpuMeter({"API": web.process.pids, "Redis": installation.redis_server.pids})
    answers = send_apart(web.port, calls)
    micros = meter.micros_each(len(calls))
    _check(answers, status)
    return micros, 1e6 * answers.cpu_seconds / len(calls)


def _check(answers: Answers, status: int) -> None:
    others = sorted({each for each in answers.statuses if each != status})
    if others:
        raise BenchError(f"answers {others} instead of {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batches:
    """How a full line was worked off: CPU a batch by resource, and requests a batch."""

    micros: Micros
    size: float


def _measure_batches(
    installation: Installation, event_id: int, count: int, *, batch_max: int | None = None
) -> _Batches:
    """The line is full before the worker starts; what it uses before it decides is not counted."""
    laboratory = installation.laboratory
    with _worker(installation, batch_max) as worker:
        installation.wait_decided(worker, event_id, 1)
        before = installation.count_decided(event_id)
        meter = CpuMeter(
            {
                "worker": worker.pids,
                "postgres": family(laboratory.postgres.pids),
                "redis": installation.redis_server.pids,
            }
        )
        installation.wait_decided(worker, event_id, count)
        micros = meter.micros_each(max(count - before, 1))
    with transaction(installation.engine) as session:
        batches = session.execute(text(_BATCHES), {"event_id": event_id}).scalar_one()
    size = count / batches
    return _Batches(micros={name: each * size for name, each in micros.items()}, size=size)


@contextmanager
def _worker(installation: Installation, batch_max: int | None) -> Iterator[Process]:
    """A booking worker, for once with another size of batch."""
    settings = installation.settings
    if batch_max is not None:
        installation.settings = replace(settings, batch_max=batch_max)
    try:
        with installation.worker() as worker:
            yield worker
    finally:
        installation.settings = settings


def _batch_costs(all_booked: _Batches, none_booked: _Batches, in_small: _Batches) -> dict[str, float]:
    """What a batch costs whatever its size, what each of its requests does, and what a confirmed one does on top: by
    the difference between large and small batches, and between batches in which all and none are confirmed.
    """
    costs = {}
    for name in ("worker", "postgres", "redis"):
        large, small = none_booked.micros[name], in_small.micros[name]
        each = max((large - small) / max(none_booked.size - in_small.size, 1), 0.0)
        each = min(each, small / in_small.size)
        costs[f"decide_{name}"] = each
        costs[f"batch_{name}"] = small - each * in_small.size
        costs[f"book_{name}"] = max(all_booked.micros[name] / all_booked.size - large / none_booked.size, 0.0)
    return costs


def _sync_micros(folder: Path) -> float:
    """How long the disk takes for what Redis writes at a time, median."""
    path = folder / "sync"
    took = []
    with path.open("ab", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(bytes(_RECORD_BYTES))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    path.unlink()
    return 1e6 * median(took)


def _round_trip_micros(redis: "Redis") -> float:
    """Between two processes and back, median."""
    took = []
    for _ in range(_SYNCS):
        began = time.perf_counter()
        redis.ping()
        took.append(time.perf_counter() - began)
    return 1e6 * median(took)
