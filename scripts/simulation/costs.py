"""What each step costs: measured on this machine, or documented figures of a named one."""

import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import orjson

FILE: Final = "simulation.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Microseconds of CPU, by operation and resource; the last four are not CPU of a server.

    `batch_…` once a batch, `decide_…` each request of it, `book_…` on top for each that is confirmed. A batch's share
    of PostgreSQL and worker is worked off one after the other.
    """

    accept_api: float
    accept_redis: float
    refuse_api: float
    refuse_redis: float
    poll_api: float
    poll_redis: float
    look_api: float
    batch_worker: float
    batch_postgres: float
    batch_redis: float
    decide_worker: float
    decide_postgres: float
    decide_redis: float
    book_worker: float
    book_postgres: float
    book_redis: float
    client: float  # a request sent and answered, where the load comes from the same machine
    batch_wait: float  # a batch waits: for PostgreSQL's disk, and to be woken
    redis_wait: float  # Redis waits for its disk, once for all that it heard since the last time
    round_trip: float  # between processes of one machine: until the other is woken, and back


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Costs, where they come from, and the cores of that machine."""

    costs: Costs
    machine: str
    cores: int
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
        found = {name: float(document["costs"][name]) for name in (field.name for field in fields(Costs))}
        return Calibration(
            costs=Costs(**found),
            machine=str(document["machine"]),
            cores=int(document["cores"]),
            measured_at=float(document["measured_at"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); measure again with --calibrate") from None


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
        accept_api=866,
        accept_redis=106,
        refuse_api=700,
        refuse_redis=60,
        poll_api=500,
        poll_redis=40,
        look_api=450,
        batch_worker=1500,
        batch_postgres=1500,
        batch_redis=300,
        decide_worker=55,
        decide_postgres=30,
        decide_redis=50,
        book_worker=10,
        book_postgres=20,
        book_redis=0,
        client=40,
        batch_wait=1500,
        redis_wait=300,
        round_trip=100,
    ),
)
