"""A PostgreSQL that is stopped in the middle: an API process' greenlets wait for it, but not for ever."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from scripts.embedded.postgres import EmbeddedPostgres
from tests.lines import ROOT, await_that, environment_of

# A process as gunicorn makes one; `stop` and `continue` on stdout ask the test to do so, stdin says that it is done.
CHILD = """
from gevent import monkey; monkey.patch_all()
import os, signal, sys, gevent
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from shared import db

signal.alarm(60)  # a process that waits for ever ends here
db.SILENT_SERVER_SECONDS = 0.2
db.wait_with_greenlets()
engine = db.make_engine(os.environ["DATABASE_URL"], pool_size=1)

def ask(word):
    print(word, flush=True)
    assert sys.stdin.readline() == "done\\n"

def pid(connection):
    return connection.execute(text("select pg_backend_pid()")).scalar_one()

def fails(call):
    try:
        call()
    except OperationalError as error:
        return "silent" in str(error)
    return False

alive = []
def tick():
    while True:
        alive.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)

with engine.connect() as connection:
    first = pid(connection)
    connection.commit()
    ask("stop")
    ticks = len(alive)
    assert fails(lambda: pid(connection)), "a statement"
    assert len(alive) > ticks, "the other greenlets went on meanwhile"
    assert connection.invalidated, "what the server may still answer is nobody's answer"
    connection.close()
assert fails(lambda: engine.connect().close()), "a new connection"
ask("continue")
with db.transaction(engine) as session:
    assert pid(session) != first, "replaced"
print("ok", flush=True)
"""


class Stopper:
    """Stops every process of a server, as a swapping machine or a debugger does."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server, self._stopped = server, list[int]()

    def stop(self) -> None:
        for pid in self._server.pids:
            processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            self._stopped += [process.pid for process in processes]
        for pid in self._stopped:
            os.kill(pid, signal.SIGSTOP)

    def proceed(self) -> None:
        while self._stopped:
            os.kill(self._stopped.pop(), signal.SIGCONT)


@pytest.fixture
def stopper(own_postgres: EmbeddedPostgres) -> Iterator[Stopper]:
    stopper = Stopper(own_postgres)
    yield stopper
    stopper.proceed()


def test_a_silent_server_is_an_outage_and_its_connections_are_replaced(own_settings, stopper, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as errors, subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, env=environment_of(own_settings), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            assert child.stdin is not None
            said = []
            for line in child.stdout:
                said.append(line.strip())
                if said[-1] == "ok":
                    break
                {"stop": stopper.stop, "continue": stopper.proceed}[said[-1]]()
                child.stdin.write("done\n")
                child.stdin.flush()
            assert said == ["stop", "continue", "ok"], log.read_text()
            assert child.wait(30) == 0, log.read_text()
        finally:
            child.kill()


def test_readiness_names_it_and_what_redis_says(make_app, own_settings, stopper):
    client = make_app(own_settings).test_client()
    assert "postgres" not in client.get("/readyz").json["problems"]
    stopper.stop()
    # the first may share a look that began before
    answer = await_that(lambda: "postgres" in (found := client.get("/readyz")).json["problems"] and found)
    assert "not answered" in answer.json["problems"]["postgres"]
    assert "worker" in answer.json["problems"], "the other part is looked at all the same"
    stopper.proceed()
    await_that(lambda: "postgres" not in client.get("/readyz").json["problems"], what="its answer")


def test_metrics_say_so_and_show_the_rest(make_app, own_settings, stopper):
    client = make_app(own_settings).test_client()
    client.get("/readyz")
    stopper.stop()
    figures = client.get("/metrics").text
    stopper.proceed()
    assert 'line_up{part="postgres"} 0.0' in figures
    assert 'line_up{part="redis"} 1.0' in figures
    assert 'line_depth{partition="0"}' in figures
