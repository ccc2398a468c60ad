"""Lives of processes that die where a test says so."""

import contextlib
import itertools
import json
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.settings import Settings
from tests.crash.mortality import AFTER, BEFORE
from tests.lines import ROOT, environment_of

TICK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Life:
    """How a life ended: at which call, None when it came to its end; then with what to say."""

    killed_at: str | None
    answer: Any = None


class Lives:
    """A process that forks another for every order."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def live(self, *, meanwhile: Callable[[], object] | None = None, **order: Any) -> Life:
        """One life: at which call (`at`) and at which moment of it (`when`) it ends, and what else the program wants
        to know. `meanwhile` is called again and again while it lasts.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        killed_at = answer = None
        for report in self._reports(meanwhile):
            killed_at = report.get("at", killed_at)
            answer = report.get("answer", answer)
            if "ending" in report:
                assert report["ending"] == (0 if killed_at is None else -signal.SIGKILL), report
                return Life(killed_at, answer)
        raise AssertionError("the process that forks others has ended")

    def _reports(self, meanwhile: Callable[[], object] | None) -> Iterator[dict[str, Any]]:
        stdout = self._process.stdout
        assert stdout is not None
        while True:
            while meanwhile is not None and not select.select([stdout], [], [], TICK_SECONDS)[0]:
                meanwhile()
            line = stdout.readline()
            if not line:
                return
            yield json.loads(line)


def die_at_every_moment(live: Callable[[int, str], Life], *, steady: bool = True) -> list[str]:
    """Somebody dies before their first call, before their second, …, until one survives, and after the last.

    After a call is before the next: the same has happened, and what the process knew dies with it (mortality.py). So
    each moment is tried once. `live` has one life, with the number of the call and the moment of it, and checks what
    it leaves. Gives the calls; unless `steady`, there may be more or fewer of them in each life.
    """
    points: list[str] = []
    for at in itertools.count(1):
        life = live(at, BEFORE)
        if life.killed_at is None:
            break
        points.append(life.killed_at)
    assert points, "nobody died"
    last = live(len(points), AFTER)
    assert last.killed_at is not None or not steady, points
    return points


@contextlib.contextmanager
def started_lives(settings: Settings, program: str = "tests.crash.mortal_worker") -> Iterator[Lives]:
    """Lives of this program with these settings, ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", program],
        env=environment_of(settings),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # or a line that was read ahead would not wake select
    )
    try:
        yield Lives(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=60)
