"""`guichet up`: one command, everything runs, and nothing is left behind."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from scripts.demo import ADMIN
from scripts.environment import sqlalchemy_url

UP = [sys.executable, "-c", "from scripts.cli import main; main()", "up"]
PROJECT = Path(__file__).resolve().parents[2]
# Half of what an unburdened machine needs is seconds; CI shares its cores.
PATIENCE_SECONDS = 60.0


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any]) -> Any:
    """The first true value of `what()`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.1)
    return pytest.fail("waited too long")


class Installation:
    """A data folder and the `up` that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "output"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[int] = set()

    def environ(self, **changes: str) -> dict[str, str]:
        """Ours, without servers of this machine."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GUICHET_")}
        for name in ("DATABASE_URL", "REDIS_URL"):
            clean.pop(name, None)
        own = {"GUICHET_DATA": str(self.data), "PORT": str(self.port), "GUICHET_HASH_MEMORY_KIB": "64"}
        return {**clean, "PYTHONPATH": str(PROJECT), **own, **changes}

    def start(self) -> None:
        """Starts and returns when it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(UP, cwd=self.folder, env=self.environ(), stdout=log, stderr=log)
        # an earlier run's processes may answer until they are ended
        wait_for(lambda: self.process_ended() or (self.has_new_processes() and self.is_ready()))
        assert not self.process_ended(), self.output()
        self.seen |= set(self.pids())

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Stops and returns the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE_SECONDS)
        self.process = None
        return code

    def refusal(self, **changes: str) -> str:
        """What another `up` says, which must not start."""
        done = subprocess.run(
            UP,
            cwd=self.folder,
            env=self.environ(**changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1, done.stdout
        return done.stderr

    def process_ended(self) -> bool:
        """True when `up` is no more."""
        return self.process is None or self.process.poll() is not None

    def output(self) -> str:
        """Everything it printed."""
        return self.log.read_text(errors="replace")

    def has_new_processes(self) -> bool:
        """True when nothing that run.json names was there before."""
        return (self.data / "run.json").exists() and not self.seen & set(self.pids())

    def run(self) -> dict[str, Any]:
        """run.json."""
        document: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return document

    def pids(self) -> list[int]:
        """Everything that runs."""
        return [pid for group in self.run()["processes"].values() for pid in group]

    def select(self, query: str) -> list[Any]:
        """One column of the database that run.json names."""
        engine = create_engine(sqlalchemy_url(self.run()["database_url"]))
        try:
            with engine.connect() as connection:
                return list(connection.scalars(text(query)))
        finally:
            engine.dispose()

    def is_ready(self) -> bool:
        """True when /readyz is 200."""
        with suppress(OSError, urllib.error.URLError):
            return self.get("/readyz") is not None
        return False

    def get(self, path: str) -> bytes:
        """The body of an answer that is 2xx."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            body: bytes = answer.read()
            return body


@pytest.fixture(scope="module")
def shared_installation() -> Iterator[Installation]:
    """One installation for all tests: starting takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="guichet-up-"))
    installation = Installation(folder)
    yield installation
    installation.stop()
    left = [pid for pid in installation.seen if is_running(pid)]
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, installation.output()


@pytest.fixture
def installation(shared_installation: Installation) -> Installation:
    """The installation, running."""
    if shared_installation.process_ended():
        shared_installation.start()
    return shared_installation


def is_running(pid: int) -> bool:
    """False for zombies: their parent may be gone."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


class TestUp:
    def test_says_what_runs_and_who_may_log_in(self, installation: Installation) -> None:
        run = installation.run()
        assert run["base_url"] == f"http://127.0.0.1:{installation.port}"
        assert run["admin"] == {"email": ADMIN.email, "password": ADMIN.password}
        assert all(run["processes"][name] for name in ("web", "worker", "tasks", "postgres", "redis"))
        assert all(is_running(pid) for pid in installation.pids())
        wait_for(lambda: f"open at {run['base_url']}" in installation.output())
        assert ADMIN.password in installation.output()

    def test_sells_the_demos_sold_out_event_through_the_line(self, installation: Installation) -> None:
        query = "select available_tickets(capacity, booked, offered, waitlist_enabled, waiting) from events where code = 'DEMO-SOLD-OUT'"
        wait_for(lambda: installation.select(query) == [0])

    def test_refuses_to_run_twice_or_without_its_port(
        self, installation: Installation, tmp_path: Path
    ) -> None:
        assert "another `guichet up`" in installation.refusal()
        assert f"port {installation.port}" in installation.refusal(GUICHET_DATA=str(tmp_path / "other"))

    def test_starts_again_what_dies(self, installation: Installation) -> None:
        before = installation.run()["processes"]
        for name in ("worker", "tasks", "web", "redis", "postgres"):
            os.kill(before[name][0], signal.SIGKILL)

        def all_new() -> bool:
            now = installation.run()["processes"]
            return all(now[name] and now[name][0] != before[name][0] for name in before)

        wait_for(all_new)
        wait_for(installation.is_ready)
        wait_for(lambda: all(is_running(pid) for pid in installation.pids()))
        installation.seen |= set(installation.pids())

    def test_takes_over_from_one_that_was_killed(self, installation: Installation) -> None:
        orphans = installation.pids()
        installation.stop(signal.SIGKILL)
        installation.start()
        assert not [pid for pid in orphans if is_running(pid)]

    def test_stops_everything_and_keeps_the_data(self, installation: Installation) -> None:
        pids = installation.pids()
        events = installation.select("select id from events order by id")
        assert installation.stop(signal.SIGINT) == 0
        assert not [pid for pid in pids if is_running(pid)]
        assert not (installation.data / "run.json").exists()

        strong = secrets.token_urlsafe(48)
        assert "demo" in installation.refusal(GUICHET_ENV="production", GUICHET_SECRET_KEY=strong)
        assert "GUICHET_SECRET_KEY" in installation.refusal(
            GUICHET_ENV="production", GUICHET_SECRET_KEY="short"
        )

        installation.start()
        assert installation.select("select id from events order by id") == events
        assert installation.stop(signal.SIGTERM) == 0
