"""One line, full before its worker starts, and how fast it is decided."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from scripts.benches.installation import Installation
from scripts.benches.processes import CpuMeter, family
from shared.db import transaction

REQUESTS_PER_SEAT: Final = 4

# A batch is decided at one instant: those of the first batch are decided when the clock starts, so they count
# only as what the second batch waited for, and the last batch's as what came after.
_RATE: Final = """
with d as (select decided_at from decisions where event_id = :event_id and arrival is not null)
select count(*) filter (where decided_at > (select min(decided_at) from d)),
       extract(epoch from max(decided_at) - min(decided_at))
from d
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions a second by PostgreSQL's clock, from first to last; group of processes → CPU µs a decision."""

    rate: float
    cpu_micros: dict[str, float]

    @property
    def micros(self) -> float:
        """From one decision to the next; at most a second, also where one batch was all and there is no rate."""
        return 1e6 / max(self.rate, 1.0)


def decide(installation: Installation, user_ids: list[int]) -> Decided:
    """A request of each user for a new event, with a seat for every fourth, decided by one new worker."""
    event_id = installation.make_event(max(1, len(user_ids) // REQUESTS_PER_SEAT))
    installation.fill(event_id, user_ids)
    with installation.worker() as worker:
        installation.wait_decided(worker, event_id, 1)
        before = installation.count_decided(event_id)
        meter = CpuMeter(
            {
                "worker": worker.pids,
                "PostgreSQL": family(installation.laboratory.postgres.pids),
                "Redis": installation.redis_server.pids,
            }
        )
        installation.wait_decided(worker, event_id, len(user_ids))
        cpu = meter.micros_each(len(user_ids) - before)
    with transaction(installation.engine) as session:
        count, seconds = session.execute(text(_RATE), {"event_id": event_id}).one()
    return Decided(float(count) / max(float(seconds), 1e-6), cpu)
