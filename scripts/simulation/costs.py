"""What each step costs: measured on this machine, or documented figures of a named one."""

import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import orjson

from scripts.capacity.model import Demand

FILE: Final = "simulation.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one operation takes of each resource. `batch` is once a batch, `decision` each request of it, `booking` on
    top for each that is confirmed; what is worker's and PostgreSQL's is worked off one after the other.

    `sync_us`: Redis waits for its disk, once for all that it heard since the last time. `round_trip_us`: a message from
    one process of the machine to another, and its answer.
    """

    accept: Demand
    refuse: Demand
    poll: Demand
    look: Demand
    batch: Demand
    decision: Demand
    booking: Demand
    sync_us: float
    round_trip_us: float

    def times(self, factor: float) -> "Costs":
        """The same with every CPU time multiplied; waits stay."""
        demands = {name: _times(getattr(self, name), factor) for name in _DEMANDS}
        return Costs(**demands, sync_us=self.sync_us, round_trip_us=self.round_trip_us)

    def with_disk(self, sync_us: float) -> "Costs":
        """The same on a disk that takes so long: Redis waits for it, and each batch does."""
        wait_us = sync_us + _TRIPS_A_BATCH * self.round_trip_us
        return replace(self, sync_us=sync_us, batch=replace(self.batch, wait_us=wait_us))


# A batch waits for PostgreSQL's disk once, and for an answer of a server about so often.
_TRIPS_A_BATCH: Final = 8
_DEMANDS: Final = ("accept", "refuse", "poll", "look", "batch", "decision", "booking")


def _times(demand: Demand, factor: float) -> Demand:
    return replace(Demand().plus(demand, times=factor), wait_us=demand.wait_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Costs, where they come from, and the cores of that machine. `work_us`: what a piece of work that is always the
    same took meanwhile, see `others.py`; 0 where nobody knows.
    """

    costs: Costs
    machine: str
    cores: int
    work_us: float = 0.0
    measured_at: float | None = None  # Unix seconds; None: the documented figures

    def source(self, now: float) -> str:
        """For the report: which machine, and how long ago."""
        if self.measured_at is None:
            return f"documented figures of {self.machine}; `guichet simulate --calibrate` measures yours"
        return f"measured {_age(now - self.measured_at)} ago on {self.machine}"

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"version": _VERSION, **asdict(self)}


def save(calibration: Calibration, folder: Path) -> Path:
    """Writes it where later runs look; makes the folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE
    new = path.with_suffix(".new")
    new.write_bytes(orjson.dumps(calibration.document(), option=orjson.OPT_INDENT_2) + b"\n")
    new.replace(path)
    return path


def find(folder: Path) -> Calibration | None:
    """What was measured here; None when nothing was, or by a release that measured otherwise.

    Raises ValueError when the file is damaged.
    """
    path = folder / FILE
    try:
        document = orjson.loads(path.read_bytes())
        if document["version"] != _VERSION:
            return None
        return Calibration(
            costs=_costs(document["costs"]),
            machine=str(document["machine"]),
            cores=int(document["cores"]),
            work_us=float(document["work_us"]),
            measured_at=float(document["measured_at"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); measure again with --calibrate") from None


def _costs(document: dict[str, Any]) -> Costs:
    parts = [part.name for part in fields(Demand)]
    demands = {name: Demand(**{part: float(document[name][part]) for part in parts}) for name in _DEMANDS}
    return Costs(
        **demands, sync_us=float(document["sync_us"]), round_trip_us=float(document["round_trip_us"])
    )


def find_or_documented(folder: Path) -> Calibration:
    """What was measured here, or the documented figures."""
    return find(folder) or DOCUMENTED


def now() -> float:
    """Unix seconds."""
    return time.time()


def _age(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0):.0f} seconds"


# One run of `guichet simulate --calibrate`; docs/simulate.md has its circumstances.
DOCUMENTED: Final = Calibration(
    machine="2 cores, Linux 6.18, Python 3.11 (November 2026)",
    cores=2,
    costs=Costs(
        accept=Demand(api_us=385, redis_us=56, client_us=69),
        refuse=Demand(api_us=245, redis_us=29, client_us=54),
        poll=Demand(api_us=265, redis_us=32, client_us=63),
        look=Demand(api_us=279, redis_us=1, client_us=70),
        batch=Demand(worker_us=665, postgres_us=1_174, redis_us=388, wait_us=370),
        decision=Demand(worker_us=21, postgres_us=7, redis_us=20),
        booking=Demand(worker_us=13, postgres_us=19, redis_us=3),
        sync_us=116,
        round_trip_us=32,
    ),
)
