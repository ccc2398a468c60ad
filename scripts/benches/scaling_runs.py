"""One run of one configuration, for `scaling`: operations a second, what each cost, and the cores that were left."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from sqlalchemy import text

from scripts.benches.cores import CoresWatch
from scripts.benches.deciding import REQUESTS_PER_SEAT
from scripts.benches.figures import percentile
from scripts.benches.fill import fill_here
from scripts.benches.installation import Installation
from scripts.benches.processes import CpuMeter, Process, family
from scripts.benches.web import Web
from scripts.benches.window import find_window
from scripts.capacity.model import Demand
from shared.db import transaction
from shared.line import keys
from shared.line.look import look_at_workers
from shared.services import line_pause

CONNECTIONS: Final = 64
PROBES: Final = 100  # of one connection, to see what an accept waits for when nobody is in its way
_FILLERS: Final = 2
_BALANCE_SECONDS: Final = 60.0
_LAST_DECISION: Final = "select extract(epoch from max(decided_at)) from decisions where event_id = :event_id"

# All decisions of a batch have one instant.
_BATCHES: Final = """
select event_id, extract(epoch from decided_at), count(*) from decisions
where event_id = any(:ids) and arrival is not null group by event_id, decided_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`each` is what an operation cost; `cores` what others left of the machine; `batch_size` of decisions."""

    rate: float
    each: Demand
    cores: float
    batch_size: float = 0.0


def run_accepts(installation: Installation, tokens: Sequence[str], count: int, *, processes: int) -> Run:
    """So many accepts by API processes, 64 connections; nothing is decided."""
    with installation.web(web_processes=processes) as web:
        event_id = installation.make_event(1_000_000)
        web.warm_up(event_id, list(tokens[:CONNECTIONS]))
        alone_us = _alone_us(web, event_id, tokens)
        requests = [web.booking(event_id, tokens[index % len(tokens)]) for index in range(count)]
        meter = CpuMeter(_groups(installation, api=web.process))
        with CoresWatch() as watch:
            outcome = web.load(requests, connections=CONNECTIONS)
        each = _demand(meter.micros_each(count), client_us=outcome.cpu_seconds * 1e6 / count)
    own = each.cpu_us * count / 1e6
    return Run(
        rate=outcome.rate,
        each=each.plus(Demand(wait_us=max(0.0, alone_us - each.cpu_us))),
        cores=watch.available(outcome.first_sent_at, outcome.last_answer_at, own_cpu_seconds=own),
    )


def run_decisions(
    installation: Installation, user_ids: list[int], count: int, *, workers: int, batch_max: int
) -> Run:
    """So many decisions, a full line in every partition, by workers that share the partitions evenly."""
    partitions = installation.settings.partitions
    share = max(1, count // partitions)
    _set_pause(installation, paused=True)
    with ExitStack() as stack:
        running = [stack.enter_context(installation.worker(batch_max=batch_max)) for _ in range(workers)]
        event_ids = [installation.make_event(max(1, share // REQUESTS_PER_SEAT)) for _ in range(partitions)]
        _fill(installation, event_ids, user_ids[:share])
        running[0].wait_until(
            lambda: _is_shared_evenly(installation, workers),
            what="evenly shared partitions",
            seconds=_BALANCE_SECONDS,
        )
        meter = CpuMeter(_groups(installation, worker=running))
        with CoresWatch() as watch:
            _set_pause(installation, paused=False)
            for partition in range(partitions):  # all wake up at once, instead of within a second
                installation.redis.rpush(keys.bell(partition), 1)
            for event_id in event_ids:
                installation.wait_decided(running[0], event_id, share)
        each = _demand(meter.micros_each(share * partitions))
    return _decided(installation, event_ids, each, watch, workers=workers)


def run_end_to_end(installation: Installation, tokens: Sequence[str], *, processes: int) -> Run:
    """A request by everybody, accepted and decided: so many API processes, one worker, one event, one client."""
    count = len(tokens)
    with installation.worker() as worker, installation.web(web_processes=processes) as web:
        web.warm_up(installation.make_event(CONNECTIONS), list(tokens[:CONNECTIONS]))
        event_id = installation.make_event(max(1, count // REQUESTS_PER_SEAT))
        requests = [web.booking(event_id, token) for token in tokens]
        meter = CpuMeter(_groups(installation, api=web.process, worker=[worker]))
        with CoresWatch() as watch:
            outcome = web.load(requests, connections=CONNECTIONS)
            installation.wait_decided(worker, event_id, count)
        each = _demand(meter.micros_each(count), client_us=outcome.cpu_seconds * 1e6 / count)
    with transaction(installation.engine) as session:
        query = "select count(distinct decided_at) from decisions where event_id = :event_id"
        batches = session.execute(text(query), {"event_id": event_id}).scalar_one()
        ended = float(session.execute(text(_LAST_DECISION), {"event_id": event_id}).scalar_one())
    began = outcome.first_sent_at
    return Run(
        rate=count / max(ended - began, 1e-6),
        each=each,
        cores=watch.available(began, ended, own_cpu_seconds=each.cpu_us * count / 1e6),
        batch_size=count / max(batches, 1),
    )


def _alone_us(web: Web, event_id: int, tokens: Sequence[str]) -> float:
    requests = [web.booking(event_id, tokens[index % len(tokens)]) for index in range(PROBES)]
    return 1e6 * percentile(web.load(requests, connections=1).latencies, 0.5)


def _decided(
    installation: Installation, event_ids: list[int], each: Demand, watch: CoresWatch, *, workers: int
) -> Run:
    with transaction(installation.engine) as session:
        rows = session.execute(text(_BATCHES), {"ids": event_ids}).all()
    window = find_window([(event_id, float(instant), count) for event_id, instant, count in rows])
    rate = window.decided / max(window.ended - window.began, 1e-6)
    own = each.cpu_us * window.decided / 1e6
    return Run(
        rate=rate,
        # Of a worker that does one thing after the other: what is not CPU was waiting.
        each=each.plus(Demand(wait_us=max(0.0, workers * 1e6 / rate - each.cpu_us))),
        cores=watch.available(window.began, window.ended, own_cpu_seconds=own),
        batch_size=window.decided / window.batches,
    )


def _groups(
    installation: Installation, *, api: Process | None = None, worker: Sequence[Process] = ()
) -> dict[str, list[int]]:
    return {
        "api_us": api.pids if api else [],
        "redis_us": list(installation.redis_server.pids),
        "postgres_us": family(installation.laboratory.postgres.pids),
        "worker_us": [pid for process in worker for pid in process.pids],
    }


def _demand(micros: Mapping[str, float], *, client_us: float = 0.0) -> Demand:
    return Demand(client_us=client_us, **micros)


def _set_pause(installation: Installation, *, paused: bool) -> None:
    with transaction(installation.engine) as session:
        (line_pause.pause if paused else line_pause.resume)(session, actor_id=None, by="bench")


def _is_shared_evenly(installation: Installation, workers: int) -> bool:
    time.sleep(0.1)  # asked without pause, this would be the busiest program of the machine
    looks = [look for look in look_at_workers(installation.redis) if look.live]
    held = [len(look.partitions) for look in looks]
    most = -(-installation.settings.partitions // workers)
    return len(held) == workers and sum(held) == installation.settings.partitions and max(held) <= most


def _fill(installation: Installation, event_ids: Sequence[int], user_ids: list[int]) -> None:
    with ProcessPoolExecutor(_FILLERS, mp_context=get_context("spawn")) as pool:
        for done in [
            pool.submit(fill_here, installation.settings, event_id, user_ids) for event_id in event_ids
        ]:
            done.result()
