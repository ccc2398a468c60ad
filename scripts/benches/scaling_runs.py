"""One run of one configuration, for `scaling`: operations a second, what each cost, and the cores that were left."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from scripts.benches.cores import CoresWatch
from scripts.benches.deciding import REQUESTS_PER_SEAT
from scripts.benches.figures import percentile
from scripts.benches.installation import Installation
from scripts.benches.processes import CpuMeter, Process, family
from scripts.benches.scaling_line import full_line
from scripts.benches.web import Web
from scripts.benches.window import find_window
from scripts.capacity.calibration import Mixture
from scripts.capacity.model import Demand
from shared.db import transaction
from shared.settings import Settings

CONNECTIONS: Final = 64
PROBES: Final = 100  # of one connection, to see what an accept waits for when nobody is in its way
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
    with full_line(installation, user_ids, count, workers=workers, batch_max=batch_max) as line:
        meter = CpuMeter(_groups(installation, worker=line.workers))
        with CoresWatch() as watch:
            line.release()
            line.wait_decided()
        each = _demand(meter.micros_each(line.depth))
    return _decided(installation, line.event_ids, each, watch, workers=workers)


def run_beside(installation: Installation, tokens: Sequence[str], user_ids: list[int], count: int) -> Mixture:
    """One API process accepts everybody's request while one worker decides a line of `count`, full of others'."""
    with (
        full_line(installation, user_ids, count, workers=1, batch_max=Settings().batch_max) as line,
        installation.web(web_processes=1) as web,
        ThreadPoolExecutor(1) as thread,
    ):
        event_id = installation.make_event(1_000_000)
        web.warm_up(event_id, list(tokens[:CONNECTIONS]))
        requests = [web.booking(event_id, token) for token in tokens]
        meter = CpuMeter(_groups(installation, api=web.process, worker=line.workers))
        with CoresWatch() as watch:
            released = thread.submit(line.release_with_next)
            outcome = web.load(requests, connections=CONNECTIONS)
        spent = _demand(meter.micros_each(1), client_us=1e6 * outcome.cpu_seconds)
        released.result()
    began, ended = outcome.first_sent_at, outcome.last_answer_at
    with transaction(installation.engine) as session:
        rows = session.execute(text(_BATCHES), {"ids": [*line.event_ids, event_id]}).all()
    decided = [decisions for _, instant, decisions in rows if float(instant) <= ended]
    return Mixture(
        accepts=len(requests),
        decisions=sum(decided),
        batches=len(decided),
        seconds=ended - began,
        cores=watch.available(began, ended, own_cpu_seconds=spent.cpu_us / 1e6),
    )


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
    installation: Installation, event_ids: Sequence[int], each: Demand, watch: CoresWatch, *, workers: int
) -> Run:
    with transaction(installation.engine) as session:
        rows = session.execute(text(_BATCHES), {"ids": list(event_ids)}).all()
    window = find_window([(event_id, float(instant), count) for event_id, instant, count in rows])
    rate = window.decided / max(window.ended - window.began, 1e-6)
    own = each.cpu_us * window.decided / 1e6
    return Run(
        rate=rate,
        # Redis works for the next batch meanwhile: what was neither the worker's CPU nor PostgreSQL's was waiting.
        each=each.plus(Demand(wait_us=max(0.0, workers * 1e6 / rate - each.worker_us - each.postgres_us))),
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
