"""`guichet queue` and `guichet top`: the same services as over HTTP, from a shell."""

import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, select

from scripts.caller import caller
from scripts.cli import main
from shared.clock import rfc3339, utc_now
from shared.db import transaction
from shared.models import AuditLogEntry, Event
from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver, await_that, environment_of

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    """A `guichet` command in this process, in the environment of a shell on the server."""

    def run_command(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=environment_of(settings))

    return run_command


@pytest.fixture
def driver(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine)
    driver.claim()
    yield driver
    driver.close()


@pytest.fixture
def event(engine: Engine) -> Event:
    return make_event(engine, capacity=5)


@pytest.fixture
def book(app: Flask, client: FlaskClient, engine: Engine, event: Event) -> Callable[[], str]:
    """A booking request in the line; returns its job id."""

    def book_one() -> str:
        headers = auth_header(app, make_user(engine))
        answer = client.post(f"/api/bookings/{event.id}/book", json={}, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json["job_id"])

    return book_one


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def actions(engine: Engine) -> list[tuple[str, int | None, str | None]]:
    with transaction(engine) as session:
        rows = session.scalars(select(AuditLogEntry).order_by(AuditLogEntry.id)).all()
    return [(row.action, row.actor_id, row.reason) for row in rows if row.action != "event.create"]


class TestStats:
    def test_are_those_of_http_and_exit_1_without_a_worker(
        self, run: Run, app: Flask, client: FlaskClient, engine: Engine, book: Callable[[], str]
    ) -> None:
        book()
        result = run("queue", "stats", "--json")
        admin = auth_header(app, make_user(engine, role="admin"))
        over_http = client.get("/api/admin/queue/stats", headers=admin).json
        document = json.loads(result.stdout)
        assert result.exit_code == 1, "nobody decides: not healthy"
        assert document["waiting"] == over_http["waiting"] == 1
        assert set(document) == set(over_http)
        assert "worker" in {problem["part"] for problem in document["problems"]}

    def test_are_shown_to_people(self, run: Run, book: Callable[[], str]) -> None:
        book()
        assert "nobody" in run("queue", "stats").output, "no worker holds a partition"

    def test_a_server_that_is_away_is_one_line(self, settings: Settings) -> None:
        environment = environment_of(settings) | {"REDIS_URL": "redis://127.0.0.1:1/0"}
        result = CliRunner().invoke(main, ["queue", "stats"], env=environment)
        assert result.exit_code == 1
        assert "line_unavailable" in result.output
        assert "Traceback" not in result.output


class TestPause:
    def test_nothing_is_decided_until_it_is_resumed(
        self, run: Run, engine: Engine, driver: LineDriver, book: Callable[[], str]
    ) -> None:
        book()
        paused = read(run("queue", "pause", "--reason", "doors first", "--json"))
        assert (paused["state"], paused["paused"]["reason"]) == ("paused", "doors first")
        assert driver.decide_all() == 0
        assert read(run("queue", "resume", "--reason", "doors open", "--json"))["state"] == "running"
        assert driver.decide_all() == 1
        assert actions(engine) == [("line.pause", None, "doors first"), ("line.resume", None, "doors open")]

    def test_may_end_by_itself(self, run: Run, driver: LineDriver) -> None:
        instant = rfc3339(utc_now() + timedelta(hours=1))
        assert read(run("queue", "pause", "--resume-at", instant, "--json"))["paused"]["resume_at"] == instant
        run("queue", "pause", "--seconds", "1")
        await_that(lambda: json.loads(run("queue", "stats", "--json").stdout)["state"] == "running")

    @pytest.mark.parametrize(
        "options",
        [
            ("--resume-at", "tomorrow"),
            ("--resume-at", "2001-01-01T00:00:00Z"),
            ("--resume-at", "2040-01-01T00:00:00"),
            ("--seconds", "0"),
            ("--seconds", "5", "--resume-at", "2040-01-01T00:00:00Z"),
        ],
    )
    def test_a_wrong_end_changes_nothing(self, run: Run, engine: Engine, options: tuple[str, ...]) -> None:
        assert run("queue", "pause", *options).exit_code == 2
        assert actions(engine) == []


class TestClean:
    def test_removes_decided_jobs_only(
        self, run: Run, engine: Engine, driver: LineDriver, book: Callable[[], str]
    ) -> None:
        decided = [book(), book()]
        driver.decide_all()
        waiting = book()
        assert read(run("queue", "clean", "finished", "--dry-run", "--json"))["would_remove"] == 2
        assert [job["id"] for job in read(run("queue", "jobs", "--state", "finished", "--json"))] == decided[
            ::-1
        ]
        assert read(run("queue", "clean", "finished", "--reason", "room", "--json"))["removed"] == 2
        assert read(run("queue", "jobs", "--state", "finished", "--json")) == []
        assert [job["id"] for job in read(run("queue", "jobs", "--json"))] == [waiting]
        assert actions(engine) == [("line.clean", None, "room")], "a dry run is no change"


class TestDrain:
    def test_withdraws_who_waits(
        self, run: Run, engine: Engine, driver: LineDriver, book: Callable[[], str], event: Event
    ) -> None:
        book()
        dry = read(run("queue", "drain", str(event.id), "--reason", "wrong date", "--dry-run", "--json"))
        assert (dry["undecided"], dry["job_id"]) == (1, None)
        run("queue", "drain", str(event.id), "--reason", "wrong date")
        driver.decide_all()
        with transaction(engine) as session:
            assert session.get_one(Event, event.id).booked == 0
        assert actions(engine) == [("event.drain", None, "wrong date")]

    def test_an_unknown_event_is_one_line(self, run: Run, driver: LineDriver) -> None:
        result = run("queue", "drain", "999999", "--reason", "x")
        assert (result.exit_code, "event_not_found" in result.output) == (1, True)


class TestJobs:
    def test_more_than_a_page_come_in_order(
        self, run: Run, settings: Settings, book: Callable[[], str]
    ) -> None:
        expected = [book() for _ in range(103)]
        found = read(run("queue", "jobs", "--limit", "1000", "--json"))
        assert [job["id"] for job in found] == expected
        assert len(read(run("queue", "jobs", "--limit", "101", "--json"))) == 101

    def test_can_be_those_of_one_event_or_partition(
        self, run: Run, settings: Settings, book: Callable[[], str], event: Event
    ) -> None:
        job_id = book()
        own = event.id % settings.partitions
        assert [job["id"] for job in read(run("queue", "jobs", "--event", str(event.id), "--json"))] == [
            job_id
        ]
        assert read(run("queue", "jobs", "--partition", str((own + 1) % settings.partitions), "--json")) == []
        assert job_id[:8] in run("queue", "jobs").output.replace("\n", "")


class TestTop:
    def test_shows_the_line_once(self, run: Run, book: Callable[[], str]) -> None:
        book()
        result = run("top", "--once")
        assert result.exit_code == 0, result.output
        assert "running" in result.output
        assert "waiting 1" in result.output
        run("queue", "pause", "--reason", "a break")
        assert "PAUSED" in run("top", "--once").output


class TestWhoTypedIt:
    def test_stands_in_the_audit_log(
        self, run: Run, engine: Engine, driver: LineDriver, book: Callable[[], str], event: Event
    ) -> None:
        book()
        driver.decide_all()
        book()
        for arguments in (
            ("queue", "pause"),
            ("queue", "resume"),
            ("queue", "clean", "finished"),
            ("queue", "drain", str(event.id), "--reason", "wrong date"),
            ("create-admin", "new@example.org"),
        ):
            result = run(*arguments)
            assert result.exit_code == 0, result.output
        with transaction(engine) as session:
            rows = session.scalars(select(AuditLogEntry).where(AuditLogEntry.actor_id.is_(None))).all()
            found = {row.action: row.changes.get("by") for row in rows}
        expected = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
        verbs = ("line.pause", "line.resume", "line.clean", "event.drain", "user.make_admin")
        assert found == dict.fromkeys(verbs, expected)

    def test_is_a_number_where_the_account_has_no_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
        assert caller() == f"4000000123@{socket.gethostname()}"

    def test_can_be_stored_whatever_the_host_is_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: "caf\udce9")
        assert caller().endswith("@caf\\udce9")


class TestWrongInput:
    @pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "\x00", "\udcff"])
    @pytest.mark.parametrize(
        "verb", [("pause",), ("resume",), ("drain", "1"), ("clean", "finished")], ids=lambda verb: verb[0]
    )
    def test_a_reason_that_http_would_refuse_changes_nothing(
        self, run: Run, engine: Engine, event: Event, verb: tuple[str, ...], reason: str
    ) -> None:
        result = run("queue", *verb, "--reason", reason)
        assert result.exit_code in (1, 2)
        assert "reason" in result.output
        assert not isinstance(result.exception, UnicodeError | ValueError), result.exception
        assert actions(engine) == []

    @pytest.mark.parametrize(
        "arguments",
        [
            ("pause", "--seconds", "99999999999999"),
            ("clean", "failed", "--older-than", "99999999999999999"),
            ("clean", "failed", "--older-than", "-5"),
        ],
    )
    def test_numbers_beyond_any_calendar_are_a_wrong_call(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run("queue", *arguments).exit_code == 2


class TestAWrongRedis:
    def test_that_is_empty_is_not_made_ours_by_looking(
        self, settings: Settings, redis_client: "Redis", event: Event
    ) -> None:
        redis_client.flushall()
        environment = environment_of(settings)
        for arguments in (("stats",), ("drain", str(event.id), "--reason", "x"), ("jobs",)):
            result = CliRunner().invoke(main, ["queue", *arguments], env=environment)
            assert (result.exit_code, "empty" in result.output) == (1, True), result.output
        assert redis_client.dbsize() == 0
