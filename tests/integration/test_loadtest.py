"""`guichet loadtest` against a deployment on loopback: a truthful one passes, every planted bug fails."""

import socket
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from gevent.server import StreamServer
from sqlalchemy import Engine

from scripts.audit import run_audit
from scripts.data_folder import write_run_file
from scripts.environment import libpq_url
from scripts.load.client import Answer, Connection, Target, TransportError, parse_target
from scripts.load.users import read_tokens
from scripts.loadtest import command
from shared.settings import Settings
from tests.factories import PASSWORD, make_user
from tests.fake_guichet import FakeGuichet, serving
from tests.lines import worker_process


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """Tokens that the fake knows."""
    path = tmp_path / "tokens.tsv"
    path.write_text("".join(f"{number}\ttoken-{number}\n" for number in range(1, 4000)))
    return path


def invoke(base_url: str, *options: object, data_dir: Path | None = None) -> Result:
    arguments = ["--base-url", base_url, "--timeout", "0.6", *map(str, options)]
    return CliRunner().invoke(
        command, arguments, env={"GUICHET_DATA": str(data_dir or "nowhere"), "COLUMNS": "160"}
    )


def run(fake: FakeGuichet, tokens: Path, *options: object) -> tuple[int, dict[str, Any]]:
    """Runs against the fake; exit code and JSON report."""
    report = tokens.with_name("report.json")
    with serving(fake) as base_url:
        result = invoke(
            base_url,
            "--event",
            1,
            "--requests",
            40,
            "--concurrency",
            8,
            "--tokens",
            tokens,
            "--json",
            report,
            *options,
        )
    assert result.exit_code in (0, 1), result.output
    assert "verdict" in result.output
    return result.exit_code, orjson.loads(report.read_bytes())


class TestATruthfulDeployment:
    @pytest.mark.parametrize("arrivals", ["closed", "poisson", "burst"])
    def test_passes(self, tokens: Path, arrivals: str) -> None:
        code, report = run(FakeGuichet(), tokens, "--arrivals", arrivals, "--repeat-share", 0.5)
        assert code == 0
        assert report["ok"]
        assert report["accepted"] == report["decided"] == 40
        assert report["confirmed_tickets"] == 10
        assert report["repeats"] > 0

    def test_gives_tickets_of_several_sizes(self, tokens: Path) -> None:
        code, report = run(FakeGuichet(capacity=30), tokens, "--tickets", "1-4")
        assert code == 0
        assert report["confirmed_tickets"] <= 30

    def test_is_followed_over_many_pages_of_its_ledger(self, tokens: Path) -> None:
        fake = FakeGuichet(capacity=150)
        for user in range(4000, 4120):
            fake.ledger.book(user)
        code, report = run(fake, tokens, "--requests", 250)
        assert code == 0
        assert report["confirmed_tickets"] == 30
        assert report["decided"] == 250

    def test_a_new_event_is_made_by_whoever_logs_in(self, tokens: Path) -> None:
        fake = FakeGuichet(capacity=7)
        with serving(fake) as base_url:
            login = ("--email", "host@example.org", "--password", "right", "--capacity", 7)
            assert invoke(base_url, "--requests", 9, "--tokens", tokens, *login).exit_code == 0
        assert fake.created[0]["capacity"] == 7

    def test_users_are_registered_where_there_is_no_database(self) -> None:
        with serving(FakeGuichet()) as base_url:
            result = invoke(base_url, "--event", 1, "--requests", 20, "--users", 20, "--json", "-")
        assert result.exit_code == 0, result.output
        assert '"users": 20' in result.output

    def test_may_not_know_whether_it_accepted_and_is_asked_again(
        self, tokens: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scripts.load.fire._PAUSE_SECONDS", 0.01)
        code, report = run(FakeGuichet("hesitates"), tokens, "--repeat-share", 0)
        assert code == 0
        assert report["accepted"] == report["repeats"] == 40

    def test_may_be_too_busy_to_show_its_ledger_at_once(self, tokens: Path) -> None:
        assert run(FakeGuichet("is_busy"), tokens)[0] == 0

    def test_stops_by_itself_when_its_time_is_up(self, tokens: Path) -> None:
        options = ("--arrivals", "poisson", "--rate", 20, "--max-seconds", 1)
        code, report = run(FakeGuichet(), tokens, *options)
        assert code == 0
        assert 5 < report["requests"] < 40


class TestAPlantedBug:
    @pytest.mark.parametrize(
        ("bug", "question"),
        [
            ("oversells", "oversold"),
            ("loses", "lost"),
            ("decides_twice", "doubled"),
            ("forgets_keys", "doubled"),
            ("inverts", "inverted"),
            ("fails", "errors"),
            ("lies_in_status", "errors"),
            ("names_no_job", "errors"),
            ("breaks_repetitions", "errors"),
        ],
    )
    def test_fails(self, tokens: Path, bug: str, question: str) -> None:
        code, report = run(FakeGuichet(bug), tokens, "--repeat-share", 1)
        assert code == 1
        assert not report["verdict"][question]["ok"]
        assert report["verdict"][question]["violations"]

    def test_of_two_bookings_for_one_user_fails(self, tokens: Path) -> None:
        code, report = run(FakeGuichet("doubles_bookings", capacity=100), tokens, "--users", 5)
        assert code == 1
        assert not report["verdict"]["doubled"]["ok"]
        assert run(FakeGuichet(capacity=100), tokens, "--users", 5)[0] == 0

    def test_that_kills_the_deployment_fails(self, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scripts.load.fire._PAUSE_SECONDS", 0.01)
        monkeypatch.setattr("scripts.load.service._PAUSE_SECONDS", 0.01)
        code, report = run(FakeGuichet("dies"), tokens)
        assert code == 1
        assert report["answers"].get("no answer"), report
        assert report["verdict"]["errors"]["violations"]

    def test_in_the_ledger_stops_the_test(self, tokens: Path) -> None:
        with serving(FakeGuichet("garbles_its_ledger")) as base_url:
            result = invoke(base_url, "--event", 1, "--requests", 1, "--tokens", tokens)
        assert result.exit_code == 1
        assert "unreadable" in result.output

    def test_a_deployment_that_is_not_there_cannot_be_tested(
        self, tokens: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scripts.load.service._PAUSE_SECONDS", 0.01)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        result = invoke(f"http://127.0.0.1:{port}", "--event", 1, "--requests", 1, "--tokens", tokens)
        assert result.exit_code == 1
        assert "refused" in result.output


class TestTheRealThing:
    def test_sells_exactly_what_there_is_and_passes(
        self, app: Flask, settings: Settings, engine: Engine, tmp_path: Path
    ) -> None:
        admin = make_user(engine, role="admin", password=PASSWORD)
        with serving(app) as base_url, worker_process(settings):
            running = {
                "base_url": base_url,
                "database_url": libpq_url(settings.database_url),
                "redis_url": settings.redis_url,
                "admin": {"email": admin.email, "password": PASSWORD},
            }
            write_run_file(tmp_path, running)
            (tmp_path / "secret_key").write_text(settings.secret_key)
            report = tmp_path / "report.json"
            load = (
                "--requests",
                120,
                "--capacity",
                40,
                "--tickets",
                "1-2",
                "--json",
                report,
                "--timeout",
                20,
            )
            result = invoke(base_url, *load, "--repeat-share", 0.2, data_dir=tmp_path)
        assert result.exit_code == 0, result.output
        document = orjson.loads(report.read_bytes())
        assert document["confirmed_tickets"] == 40
        assert document["repeats"] > 0
        assert run_audit(settings).findings == []


class TestOptions:
    def test_a_deployment_must_be_named(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(command, [], env={"GUICHET_DATA": str(tmp_path)})
        assert result.exit_code == 2
        assert "--base-url" in result.output

    @pytest.mark.parametrize("tickets", ["x", "0", "4-2", "1-11"])
    def test_tickets_are_one_to_ten(self, tickets: str) -> None:
        assert invoke("http://127.0.0.1:9", "--tickets", tickets).exit_code == 2

    def test_many_users_are_not_registered_over_http(self) -> None:
        result = invoke("http://127.0.0.1:9", "--users", 201)
        assert result.exit_code == 2
        assert "guichet tokens" in result.output

    def test_an_event_needs_a_log_in(self, tokens: Path) -> None:
        assert invoke("http://127.0.0.1:9", "--tokens", tokens).exit_code == 2
        with serving(FakeGuichet()) as base_url:
            result = invoke(base_url, "--tokens", tokens, "--email", "a@example.org", "--password", "wrong")
        assert result.exit_code == 1
        assert "invalid_credentials" in result.output

    def test_an_address_must_be_http(self) -> None:
        assert invoke("ftp://127.0.0.1").exit_code == 1

    @pytest.mark.parametrize("text", ["", "7 token\n"])
    def test_a_tokens_file_must_be_one(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "file"
        path.write_text(text)
        with pytest.raises(ValueError, match="token"):
            read_tokens(path, 1)


def exchange(*answers: bytes, requests: int = 1) -> list[Answer]:
    """What the client reads when the server sends `answers` for its requests."""
    replies = list(answers)

    def handle(connection: Any, _address: object) -> None:
        while replies and connection.recv(65536):
            connection.sendall(replies.pop(0))
        connection.close()

    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    client = Connection(Target("127.0.0.1", server.server_port, tls=False, prefix=""), timeout_seconds=2)
    try:
        return [client.request("GET", "/x") for _ in range(requests)]
    finally:
        client.close()
        server.stop(timeout=1)


class TestClient:
    def test_reads_bodies_of_a_length_in_chunks_and_none(self) -> None:
        answers = exchange(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n[1,\r\n2\r\n2]\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            requests=3,
        )
        assert [(answer.status, answer.body) for answer in answers] == [
            (200, b"{}"),
            (200, b"[1,2]"),
            (204, b""),
        ]

    def test_connects_again_after_the_server_closed(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert len(exchange(answer, answer, requests=2)) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        ],
    )
    def test_an_unusable_answer_is_an_error(self, answer: bytes) -> None:
        with pytest.raises(TransportError):
            exchange(answer)

    def test_knows_the_parts_of_an_address(self) -> None:
        assert parse_target("https://tickets.example.org/base/").authority == "tickets.example.org"
        assert parse_target("https://tickets.example.org/base/").prefix == "/base"
        assert parse_target("http://[::1]:8000").authority == "[::1]:8000"
        with pytest.raises(ValueError, match="http"):
            parse_target("tickets.example.org")

    def test_a_problem_without_json_has_no_code(self) -> None:
        assert Answer(500, {"content-type": "application/problem+json"}, b"<html>").code == ""
