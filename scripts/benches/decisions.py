"""Decisions a second of one worker on one hot event, against stock RQ deciding one job at a time."""

from sqlalchemy import text

from scripts.benches.figures import Figure, Measurement, median, spread
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import CpuMeter, cpu_note, family
from scripts.benches.stock_rq import measure_stock
from shared.db import transaction

BAR_PER_SECOND = 8_000
BAR_TIMES_STOCK = 50

# A batch is decided at one instant: those of the first batch are decided when the clock starts, so they count
# only as what the second batch waited for, and the last batch's as what came after.
_RATE = """
with d as (select decided_at from decisions where event_id = :event_id and arrival is not null)
select count(*) filter (where decided_at > (select min(decided_at) from d)),
       extract(epoch from max(decided_at) - min(decided_at))
from d
"""


def measure(laboratory: Laboratory) -> Measurement:
    """The line is full before the worker starts; the time is PostgreSQL's, from first to last decision."""
    sizes = laboratory.sizes
    measurement = Measurement()
    rates, stock_rates = [], []
    cpu = ""
    with laboratory.installation(measurement) as installation:
        user_ids = installation.make_users(sizes.decisions)
        for _ in range(sizes.rounds):
            rate, cpu = _round(installation, user_ids)
            rates.append(rate)
            stock_rates.append(_stock_round(laboratory, sizes.stock_jobs))
    times = [rate / stock for rate, stock in zip(rates, stock_rates, strict=True)]
    waiting = f"{sizes.decisions:,} waiting on one event for {sizes.decisions // 4:,} seats"
    measurement.figures = [
        Figure(
            what="decisions, one worker",
            value=median(rates),
            unit="/s",
            bar=BAR_PER_SECOND,
            note=f"{waiting}; {spread(rates)}; a decision: {cpu}",
        ),
        Figure(
            what="  × stock SimpleWorker",
            value=median(times),
            unit="×",
            bar=BAR_TIMES_STOCK,
            note=spread(times, 1),
        ),
        Figure(
            what="  stock SimpleWorker",
            value=median(stock_rates),
            unit="/s",
            note=f"{sizes.stock_jobs:,} jobs, one transaction each; {spread(stock_rates)}",
        ),
    ]
    return measurement


def _round(installation: Installation, user_ids: list[int]) -> tuple[float, str]:
    event_id = installation.make_event(len(user_ids) // 4)
    installation.fill(event_id, user_ids)
    laboratory = installation.laboratory
    with installation.worker() as worker:
        installation.wait_decided(worker, event_id, 1)
        before = installation.count_decided(event_id)
        meter = CpuMeter(
            {
                "worker": worker.pids,
                "PostgreSQL": family(laboratory.postgres.pids),
                "Redis": installation.redis_server.pids,
            }
        )
        installation.wait_decided(worker, event_id, len(user_ids))
        cpu = meter.micros_each(len(user_ids) - before)
    with transaction(installation.engine) as session:
        count, seconds = session.execute(text(_RATE), {"event_id": event_id}).one()
    return float(count) / max(float(seconds), 1e-6), cpu_note(cpu)


def _stock_round(laboratory: Laboratory, jobs: int) -> float:
    laboratory.postgres.create_database("stock")
    # The last of Redis' databases: this installation uses the first.
    return measure_stock(laboratory.postgres.database_url("stock"), f"{laboratory.redis.url}?db=15", jobs)
