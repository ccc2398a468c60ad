"""Under what circumstances something was measured."""

import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from shared.clock import rfc3339, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What it ran on."""

    cores: int
    processor: str
    memory_bytes: int
    system: str
    python: str
    release: str


@dataclass(slots=True, kw_only=True)
class Circumstances:
    """`load_before` and `load_after` are load averages of one minute: how much others wanted the machine, and how much
    the bench itself did.
    """

    machine: Machine
    quick: bool
    began_at: datetime
    load_before: float
    began: float
    seconds: float = 0.0
    load_after: float = 0.0

    @classmethod
    def now(cls, *, quick: bool) -> "Circumstances":
        """Those at the start."""
        return cls(
            machine=_this_machine(),
            quick=quick,
            began_at=utc_now(),
            load_before=os.getloadavg()[0],
            began=time.monotonic(),
        )

    def end(self) -> None:
        """Notes how long it took."""
        self.seconds = time.monotonic() - self.began
        self.load_after = os.getloadavg()[0]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "began_at": rfc3339(self.began_at.astimezone(UTC)),
            "quick": self.quick,
            "seconds": round(self.seconds, 1),
            "machine": {
                **asdict(self.machine),
                "load_average": [round(self.load_before, 2), round(self.load_after, 2)],
            },
        }


def _this_machine() -> Machine:
    try:
        release = version("guichet")
    except PackageNotFoundError:  # a checkout that nobody installed
        release = "not installed"
    return Machine(
        cores=os.cpu_count() or 1,
        processor=_processor(),
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        release=release,
    )


def _processor() -> str:
    """As Linux names it; elsewhere what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
