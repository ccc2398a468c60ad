"""How much each measurement does."""

from dataclasses import dataclass, fields

USERS_MIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts of requests, but `rounds`: how often a measurement and its reference take turns."""

    rounds: int = 5
    decisions: int = 50_000
    stock_jobs: int = 600
    stock_forks: int = 150  # jobs of the worker that forks for each
    accepts: int = 10_000
    end_to_end: int = 20_000
    steady: int = 10_000  # requests in a round, at a thousand a second
    depth: int = 1_000_000
    depth_probes: int = 300
    past: int = 5_000_000  # decisions, against none
    past_decided: int = 20_000  # then, in a turn
    redis_memory: int = 20_000
    memory_decisions: int = 1_000_000
    memory_requests: int = 40_000  # of those decisions, how many come over HTTP
    memory_users: int = 12_000  # more than an API process remembers tokens
    idle: int = 300
    admin: int = 200_000  # that wait, that failed, and failed tasks
    listed: int = 1_000_000  # events, with five times as many bookings, against a hundredth of them
    reads: int = 10_000  # of one list and one event
    status: int = 8_000  # polls, a quarter as many clients
    waiters: int = 3_000
    scaling_accepts: int = 8_000  # in each configuration
    scaling_decisions: int = 40_000
    processes_max: int = 4  # side by side; most of a short run is their start


FULL = Sizes()
# Ends within three minutes on two cores; what depends on size says its size.
QUICK = Sizes(
    rounds=1,
    decisions=10_000,
    stock_jobs=80,
    stock_forks=20,
    accepts=5_000,
    end_to_end=3_000,
    steady=3_000,
    depth=10_000,
    depth_probes=60,
    past=30_000,
    past_decided=2_500,
    redis_memory=3_000,
    memory_decisions=16_000,
    memory_requests=4_000,
    memory_users=1_000,
    idle=100,
    admin=3_000,
    listed=50_000,
    reads=1_500,
    status=1_000,
    waiters=500,
    scaling_accepts=800,
    scaling_decisions=3_000,
    processes_max=2,
)


def scaled(sizes: Sizes, factor: float) -> Sizes:
    """Every count of requests times `factor`, one round, few processes: for tests that only want to see it run."""
    counts = {
        field.name: max(USERS_MIN, int(getattr(sizes, field.name) * factor))
        for field in fields(Sizes)
        if field.name not in {"rounds", "processes_max"}
    }
    return Sizes(rounds=1, processes_max=QUICK.processes_max, **counts)
