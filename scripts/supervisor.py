"""Keeps processes running: starts them, passes their output on with a name in front, restarts the dead."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from scripts.embedded.common import has_ended, wait_until

# The first restart is at once (a crash is rare), one that dies again and again waits ever longer.
BACK_OFF_SECONDS = (0.1, 0.5, 2.0, 5.0, 15.0)
# Who lived this long is healthy: its next death counts as the first again.
HEALTHY_SECONDS = 30.0
STOP_SECONDS = 10.0

_COLOURS = (36, 33, 35, 32, 34, 31)
_print_lock = threading.Lock()


def say(name: str, text: str) -> None:
    """One line of output with the name of who says it in front, in colour on a terminal."""
    label = f"{name:<10}|"
    if sys.stdout.isatty():
        label = f"\x1b[{_COLOURS[sum(name.encode()) % len(_COLOURS)]}m{label}\x1b[0m"
    with _print_lock, suppress(OSError):  # whoever read our output may be gone
        print(label, text, flush=True)


@dataclass(slots=True)
class Child:
    """One process that is kept running. `name` is unique, `group` is its line in the Procfile."""

    name: str
    group: str
    command: Sequence[str]
    process: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    deaths: int = 0
    restart_at: float = field(default=0.0)

    def pids(self) -> list[int]:
        """The process and its own children (gunicorn's workers)."""
        if self.process is None or self.process.poll() is not None:
            return []
        with suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [self.process.pid, *sorted(child.pid for child in children)]
        return [self.process.pid]


class Supervisor:
    """Starts, watches and stops children; everything happens in the caller's thread but reading output."""

    def __init__(self, children: Sequence[Child], *, environ: Mapping[str, str], directory: Path) -> None:
        self.children = list(children)
        self._environ = dict(environ)
        self._directory = directory

    def pids(self, group: str) -> list[int]:
        """Pids of every process of a Procfile line."""
        return [pid for child in self.children if child.group == group for pid in child.pids()]

    def tick(self) -> bool:
        """Starts what does not run and may; true when a pid changed. Call it a few times a second."""
        changed = False
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._bury(child)
                changed = True
            if child.process is None and time.monotonic() >= child.restart_at:
                self._start(child)
                changed = True
        return changed

    def stop(self) -> None:
        """Stops group after group in the order they were given; a group stops together."""
        for group in dict.fromkeys(child.group for child in self.children):
            processes = [c.process for c in self.children if c.group == group and c.process is not None]
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
                _kill_group(process.pid)
                process.wait()

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in our order
        )
        if child.process.stdout is not None:
            arguments = (child.name, child.process.stdout)
            threading.Thread(
                target=_pass_on, args=arguments, name=f"output of {child.name}", daemon=True
            ).start()

    def _bury(self, child: Child) -> None:
        """Notes a death and when to start again."""
        if child.process is None:
            return
        _kill_group(child.process.pid)  # a dead gunicorn's workers would hold its port
        lived = time.monotonic() - child.started_at
        child.deaths = 1 if lived >= HEALTHY_SECONDS else child.deaths + 1
        wait_seconds = BACK_OFF_SECONDS[min(child.deaths, len(BACK_OFF_SECONDS)) - 1]
        say(
            "up",
            f"{child.name} ended ({_how(child.process.returncode)}); starting it again in {wait_seconds} s",
        )
        child.process = None
        child.restart_at = time.monotonic() + wait_seconds


def end_leftovers(pids: Sequence[int], *, environ: Mapping[str, str]) -> int:
    """Ends processes that an `up` which was killed left behind, known by `environ` in theirs; how many."""
    found = []
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            theirs = process.environ()
            if all(theirs.get(name) == value for name, value in environ.items()):
                process.terminate()
                found.append(process)
    if not wait_until(lambda: all(has_ended(process) for process in found), timeout_seconds=STOP_SECONDS):
        for process in found:
            with suppress(psutil.Error):
                process.kill()
    return len(found)


def _pass_on(name: str, output: IO[str]) -> None:
    with output:
        for line in output:
            say(name, line.rstrip("\n"))


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _how(return_code: int) -> str:
    return (
        f"exit code {return_code}" if return_code >= 0 else f"killed by {signal.Signals(-return_code).name}"
    )
