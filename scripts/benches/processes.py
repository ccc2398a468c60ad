"""Processes of a bench: started, watched, stopped; their memory and their CPU time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Final

import psutil

from scripts.embedded.common import log_tail
from scripts.procfile import PROJECT
from shared.settings import Settings, variable_name

STOP_SECONDS: Final = 10.0
START_SECONDS: Final = 30.0


class BenchError(Exception):
    """The bench cannot go on; the message says why."""


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a process reads exactly these settings, whatever ours says."""
    named = {variable_name(field.name) for field in fields(Settings)}
    inherited = {name: value for name, value in os.environ.items() if name not in named}
    own = {
        variable_name(field.name): str(value)
        for field in fields(Settings)
        if (value := getattr(settings, field.name)) != ""
    }
    return {**inherited, **own, "PYTHONPATH": str(PROJECT)}


class Process:
    """A Python program of this project, with its children (gunicorn's workers), until the block ends."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is the bench's to handle, in its order
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process without its children."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended: its exit code, or minus the signal; None while it runs."""
        return self._process.poll()

    @property
    def pids(self) -> list[int]:
        """The process and its children."""
        return family([self._process.pid])

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float = START_SECONDS) -> None:
        """Returns once `ready()`; raises BenchError with the end of the log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                how = "ended" if self._process.poll() is not None else f"took over {seconds:.0f} s"
                raise BenchError(f"waiting for {what}: the process {how}\n{log_tail(self._log)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, some patience, SIGKILL to whatever is left."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def family(pids: Iterable[int]) -> list[int]:
    """The processes and everything below them, each once."""
    found: dict[int, None] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(pid).children(recursive=True)
            found |= dict.fromkeys([pid, *(child.pid for child in children)])
    return list(found)


def resident_megabytes(pids: Iterable[int]) -> float:
    """The largest resident set among the processes, in MB of 10^6 bytes."""
    return _largest(pids, lambda process: process.memory_info().rss)


def private_megabytes(pids: Iterable[int]) -> float:
    """The most that one of the processes has for itself: what would be free if it ended. The rest of its resident
    set are files, libraries above all, that are in memory once however many processes use them.
    """
    return _largest(pids, lambda process: process.memory_full_info().uss)


def _largest(pids: Iterable[int], read: Callable[[psutil.Process], int]) -> float:
    sizes = [0]
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            sizes.append(read(psutil.Process(pid)))
    return max(sizes) / 1e6


class CpuMeter:
    """CPU time that groups of processes, each with its children, use from now on."""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self._before = self._read()

    def micros_each(self, count: int) -> dict[str, float]:
        """Group → microseconds of CPU for each of `count` things done since."""
        after = self._read()
        return {
            name: 1e6 * max(0.0, after[name] - self._before[name]) / max(count, 1) for name in self._groups
        }

    def _read(self) -> dict[str, float]:
        return {name: sum(map(_cpu_seconds, family(pids))) for name, pids in self._groups.items()}


def cpu_note(micros: Mapping[str, float]) -> str:
    """For a note: who used how much CPU."""
    return "CPU " + ", ".join(f"{name} {value:.0f} µs" for name, value in micros.items())


def _cpu_seconds(pid: int) -> float:
    """To the nanosecond, of the threads that live; the kernel's other figure counts in hundredths of a second."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    try:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    except OSError:
        return 0.0
