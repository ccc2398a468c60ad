"""Lives of workers that die where a test says so."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.settings import Settings
from tests.lines import ROOT, environment_of


@dataclass(frozen=True, slots=True)
class Life:
    """How a life ended: at which call, None when the worker survived and emptied the line."""

    killed_at: str | None


class Lives:
    """A process that forks a worker for every order."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, **order: Any) -> Life:
        """One life, see `mortal_worker.py`: `at`, `when`, `batches_only`, `user`, `slice_size`, `offers_max`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        killed_at = None
        for line in self._process.stdout:
            report = json.loads(line)
            killed_at = report.get("at", killed_at)
            if "ending" in report:
                assert report["ending"] == (0 if killed_at is None else -signal.SIGKILL), report
                return Life(killed_at)
        raise AssertionError("the process that forks workers has ended")


@contextlib.contextmanager
def started_lives(settings: Settings) -> Iterator[Lives]:
    """Workers with these settings, ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.mortal_worker"],
        env=environment_of(settings),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Lives(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=60)
