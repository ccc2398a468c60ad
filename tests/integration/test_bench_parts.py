"""What the benches are made of: a load, a listener, a filled past, references. None of it may say what is not so."""

import math
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from scripts.benches.apart import run_apart
from scripts.benches.figures import FALLS_SHORT, PASS, Figure
from scripts.benches.fill import fill
from scripts.benches.http_load import JOB_PLACE, Plan, get_request, run
from scripts.benches.past_fill import fill_past
from scripts.benches.postgres_alone import BATCHES, SINGLE, Shape, measure_alone
from scripts.benches.process_memory import growth
from scripts.benches.processes import BenchError
from scripts.benches.told import Told
from scripts.benches.web import Web
from scripts.environment import libpq_url
from shared.db import transaction
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.services.line_gate import LineGate
from shared.settings import Settings

JOB_ID = "01990f5e-79b4-7f0a-8a6c-2d41be907c55"


class Server:
    """Answers everything with `status`, accepts with a job's id, and remembers the paths."""

    def __init__(self) -> None:
        self.status = 202
        self.paths: list[str] = []

    @contextmanager
    def running(self) -> Iterator[int]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.paths.append(self.path)
                body = f'{{"job_id":"{JOB_ID}"}}'.encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield server.server_port
            finally:
                server.shutdown()
                thread.join()


@pytest.fixture
def server() -> Server:
    return Server()


class TestAnOpenLoop:
    def test_counts_from_when_a_request_was_due_even_if_no_connection_was_free(self, server: Server) -> None:
        """All due at once, one connection: each waits for all before it, and its latency says so."""
        with server.running() as port:
            outcome = run(
                Plan(port=port, connections=1, requests=[get_request(port, "/")] * 40, due=[0.0] * 40)
            )
        assert len(outcome.latencies) == 40
        assert list(outcome.latencies) == sorted(outcome.latencies)
        assert list(outcome.lateness) == sorted(outcome.lateness)

    def test_sends_nothing_before_it_is_due(self, server: Server) -> None:
        due = [0.0, 0.01, 0.05]
        with server.running() as port:
            outcome = run(Plan(port=port, connections=3, requests=[get_request(port, "/")] * 3, due=due))
        assert min(outcome.lateness) >= 0
        assert outcome.seconds >= due[-1]


class TestApart:
    def test_gives_what_the_function_gives(self) -> None:
        assert run_apart(math.sqrt, 16.0) == 4

    def test_says_why_it_failed(self) -> None:
        with pytest.raises(BenchError, match="math domain error"):
            run_apart(math.sqrt, -1.0)


class TestPolls:
    def test_ask_for_the_job_that_was_accepted_and_are_no_accepts(self, server: Server) -> None:
        with server.running() as port:
            requests = [get_request(port, "/book")] * 5
            polls = [get_request(port, f"/status/{JOB_PLACE.decode()}")] * 5
            outcome = run(Plan(port=port, connections=2, requests=requests, polls=polls))
        assert sorted(server.paths) == ["/book"] * 5 + [f"/status/{JOB_ID}"] * 5
        assert (len(outcome.latencies), len(outcome.poll_latencies)) == (5, 5)
        assert outcome.first_sent_at <= outcome.last_accept_at <= outcome.last_answer_at


class TestABusyServer:
    def test_ends_a_bench_that_did_not_count_on_it(self, server: Server) -> None:
        server.status = 503
        with server.running() as port:
            web = Web(SimpleNamespace(), port)  # type: ignore[arg-type]
            with pytest.raises(BenchError, match="503: 3"):
                web.load([get_request(port, "/")] * 3, connections=1)
            outcome = web.load([get_request(port, "/")] * 3, connections=1, may_be_busy=True)
        assert (outcome.accepted, outcome.busy) == (0, 3)


class TestTold:
    def test_knows_when_each_was_told_for_the_first_time(self, redis_url: str, redis_client: Redis) -> None:
        with Told(redis_url) as told:
            for message in ("a,AAAA,b,BBBB", "c,CCCC", "b,BBBB"):
                redis_client.publish(keys.DECIDED_CHANNEL, message)
        assert list(told.instants) == ["a", "b", "c"]
        assert told.instants["a"] == told.instants["b"] <= told.instants["c"]


class TestPostgresAlone:
    @pytest.mark.parametrize(
        "shape", [*SINGLE, BATCHES], ids=lambda shape: f"{shape.name}, {shape.connections}"
    )
    def test_books_what_it_counts(self, shape: Shape, database_url: str, tmp_path: Path) -> None:
        assert measure_alone(database_url, shape, tmp_path) > 0
        with closing(psycopg2.connect(libpq_url(database_url))) as connection, connection.cursor() as cursor:
            cursor.execute("select booked, (select count(*) from alone_bookings) from alone_events")
            ((counted, booked),) = cursor.fetchall()
        assert counted == booked > 0

    def test_says_why_it_cannot_measure(self, database_url: str, tmp_path: Path) -> None:
        with pytest.raises(BenchError, match="nothing_of_the_kind"):
            measure_alone(database_url, Shape("broken", "select nothing_of_the_kind();", 1), tmp_path)


class TestAFilledPast:
    @pytest.fixture
    def filled(self, database_url: str, engine: Engine) -> Engine:
        fill_past(database_url, 10_000)
        return engine

    @pytest.mark.parametrize(
        "wrong",
        [
            (
                "select 1 from decisions d left join events e on e.id = d.event_id left join users u on u.id = d.user_id"
                " where e.id is null or u.id is null"
            ),
            (
                "select 1 from bookings b left join decisions d on d.booking_id = b.id and d.job_id = b.job_id"
                " where d.job_id is null"
            ),
            (
                "select 1 from events e where booked <> (select coalesce(sum(tickets), 0) from bookings b"
                " where b.event_id = e.id) or last_number <> (select max(number) from decisions d"
                " where d.event_id = e.id)"
            ),
        ],
        ids=["of nobody", "booking without a decision", "wrong counter"],
    )
    def test_has_no_row(self, wrong: str, filled: Engine) -> None:
        with transaction(filled) as session:
            assert session.scalar(text("select count(*) from decisions")) == 10_000
            assert session.execute(text(f"{wrong} limit 1")).all() == []

    def test_has_every_index_again(self, database_url: str, engine: Engine) -> None:
        def indexes() -> Any:
            with transaction(engine) as session:
                return set(
                    session.execute(text("select indexdef from pg_indexes where schemaname = 'public'"))
                )

        before = indexes()
        fill_past(database_url, 100)
        assert indexes() == before


class TestAFilledLine:
    @pytest.mark.parametrize("processes", [1, 2])
    def test_has_a_request_of_everybody(
        self, processes: int, settings: Settings, engine: Engine, redis_client: Redis
    ) -> None:
        user_ids = range(1, 451)
        LineGate(settings, engine, redis_client).check()
        fill(settings, 7, user_ids, processes=processes)
        assert redis_client.llen(keys.queue(partition_of(7, settings.partitions))) == 450
        assert [
            redis_client.zcount(keys.undecided_by_user(user_id), user_id, user_id) for user_id in user_ids
        ] == [1] * 450


class TestGrowth:
    def test_is_the_slope_after_the_warm_up(self) -> None:
        flat = growth([(0, 10.0), (1_000, 50.0), (2_000, 50.0), (3_000, 50.0), (4_000, 50.0)])
        assert (flat.value, flat.verdict) == (pytest.approx(1), PASS)
        growing = growth([(n * 1_000, 50.0 + n) for n in range(11)])
        assert growing.verdict == FALLS_SHORT
        assert re.match(r"\+1000.00 MB for a million", growing.note)


class TestABusyClient:
    def test_is_pointed_out(self) -> None:
        assert "bottleneck" in Figure(what="x", value=1, client_cpu=0.95).circumstances
        assert Figure(what="x", value=1, client_cpu=0.5, note="n").circumstances == "n; client 0.50 of a core"
