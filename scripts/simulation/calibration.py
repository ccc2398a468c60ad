"""Measures what each step costs here: on servers of its own, in CPU time, which a busy machine inflates least."""

import os
import platform
import secrets
import time
from dataclasses import fields
from typing import Final

from redis import Redis
from sqlalchemy import text

from scripts.benches.figures import median
from scripts.benches.fill import fill_here
from scripts.benches.installation import Installation
from scripts.benches.processes import BenchError, CpuMeter, family
from scripts.benches.web import Web
from scripts.capacity.calibration import Sample, split
from scripts.capacity.model import Demand
from scripts.simulation.costs import Calibration, Costs, now
from scripts.simulation.open_load import Answers, Call, send_apart
from scripts.simulation.others import Others, sync
from shared.db import transaction

REQUESTS: Final = 2_000
SMALL_BATCH: Final = 4
SMALL_BATCHES: Final = 100
_TRIES: Final = 200

_BATCHES: Final = """
select count(distinct decided_at) from decisions where event_id = :event_id and arrival is not null
"""
_DECIDED: Final = "select job_id, user_id from decisions where event_id = :event_id and arrival is not null"


def calibrate(installation: Installation, *, requests: int = REQUESTS) -> Calibration:
    """The costs of this machine as it is now. Some 30 s; leaves nothing waiting."""
    user_ids = installation.make_users(requests)
    tokens = dict(zip(user_ids, installation.make_tokens(requests), strict=True))
    booked, none, few, mixed = (installation.make_event(seats) for seats in (requests, 1, 1, requests))
    folder = installation.laboratory.folder
    small = user_ids[: SMALL_BATCHES * SMALL_BATCH]
    with installation.web(sold_out_door=True) as web, Others([], folder) as others:
        accept = _measure_calls(installation, web, _bookings(booked, list(tokens.values())), 202)
        all_booked = _measure_batches(installation, booked, requests)
        fill_here(installation.settings, none, user_ids)
        none_booked = _measure_batches(installation, none, requests)
        fill_here(installation.settings, few, small)
        in_small = _measure_batches(installation, few, len(small), batch_max=SMALL_BATCH)
        with installation.worker() as worker:
            beside = _measure_calls(installation, web, _bookings(mixed, list(tokens.values())), 202)
            installation.wait_decided(worker, mixed, requests)
        refuse = _measure_calls(installation, web, _bookings(none, list(tokens.values())), 409)
        poll = _measure_calls(installation, web, _polls(installation, booked, tokens), 200)
        look = _measure_calls(installation, web, [Call(path=f"/api/events/{booked}")] * requests, 200)
        wait = median([sync(folder / "sync") for _ in range(_TRIES)])
    trip = _round_trip_micros(installation.redis)
    decision, batch = split(in_small, none_booked)
    costs = Costs(
        accept=accept,
        refuse=refuse,
        poll=poll,
        look=look,
        batch=batch,
        decision=decision,
        booking=_more(all_booked, none_booked),
        sync_us=wait,
        round_trip_us=trip,
    )
    # Each was measured alone. Beside each other they are in each other's way: caches, the other half of a core.
    crowded = max(beside.api_us / accept.api_us, 1.0)
    return Calibration(
        costs=costs.times(crowded).with_disk(wait),
        machine=machine(),
        cores=os.cpu_count() or 1,
        work_us=others.found().work_us,
        measured_at=now(),
    )


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


def _measure_calls(installation: Installation, web: Web, calls: list[Call], status: int) -> Demand:
    """CPU a call. Raises BenchError unless every answer has the status."""
    meter = CpuMeter({"api_us": web.process.pids, "redis_us": installation.redis_server.pids})
    answers = send_apart(web.port, calls)
    micros = meter.micros_each(len(calls))
    _check(answers, status)
    return Demand(**micros, client_us=1e6 * answers.cpu_seconds / len(calls))


def _check(answers: Answers, status: int) -> None:
    others = sorted({each for each in answers.statuses if each != status})
    if others:
        raise BenchError(f"answers {others} instead of {status}")


def _measure_batches(
    installation: Installation, event_id: int, count: int, *, batch_max: int | None = None
) -> Sample:
    """CPU a decision. The line is full before the worker starts; what it uses before it decides is not counted."""
    laboratory = installation.laboratory
    changes = {} if batch_max is None else {"batch_max": batch_max}
    with installation.worker(**changes) as worker:
        installation.wait_decided(worker, event_id, 1)
        before = installation.count_decided(event_id)
        meter = CpuMeter(
            {
                "worker_us": worker.pids,
                "postgres_us": family(laboratory.postgres.pids),
                "redis_us": installation.redis_server.pids,
            }
        )
        installation.wait_decided(worker, event_id, count)
        micros = meter.micros_each(max(count - before, 1))
    with transaction(installation.engine) as session:
        batches = session.execute(text(_BATCHES), {"event_id": event_id}).scalar_one()
    return Sample(count / batches, Demand(**micros))


def _more(all_booked: Sample, none_booked: Sample) -> Demand:
    """What a confirmed request takes on top of one that is not."""
    difference = all_booked.each.plus(none_booked.each, times=-1)
    return Demand(**{part.name: max(getattr(difference, part.name), 0.0) for part in fields(Demand)})


def _round_trip_micros(redis: "Redis") -> float:
    """Between two processes and back, median."""
    took = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        redis.ping()
        took.append(time.perf_counter() - began)
    return 1e6 * median(took)
