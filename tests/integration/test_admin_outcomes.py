"""Redis took a change and gave no answer: the admin is told so, and the audit log keeps it, whatever came of it."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from scripts.cli import main
from shared.db import transaction
from shared.line import keys
from shared.models import AuditLogEntry
from shared.services import line_clean as service
from tests.factories import auth_header, make_event, make_user
from tests.integration.test_admin_tasks import Tasks
from tests.lines import await_that, environment_of
from tests.standing import StandingLine

TASKS = "/api/admin/tasks"
CLEAN = "/api/admin/queue/clean"


@pytest.fixture
def its_settings(settings, own_redis):
    return replace(settings, redis_url=own_redis.url, redis_timeout_seconds=1.0)


@pytest.fixture
def ask(make_app, its_settings, engine) -> Callable[..., Any]:
    app = make_app(its_settings)
    headers = auth_header(app, make_user(engine, role="admin"))
    client = app.test_client()

    def over_http(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return client.open(path, method=method, json=body, headers=headers)

    assert over_http("GET", "/api/admin/queue/stats").status_code == 200  # the Redis is ours by now
    return over_http


@pytest.fixture
def its_line(its_settings, ask, engine) -> Iterator[StandingLine]:
    line = StandingLine(its_settings, engine)
    yield line
    line.close()


@pytest.fixture
def silence(own_redis) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Redis takes what is sent and answers nothing until the block ends; then it carries it out."""

    @contextlib.contextmanager
    def silent() -> Iterator[None]:
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)

    return silent


def entries(engine, action: str) -> list[AuditLogEntry]:
    with transaction(engine) as session:
        return list(session.scalars(select(AuditLogEntry).where(AuditLogEntry.action == action)))


def is_unknown(answer: Any) -> None:
    assert (answer.status_code, answer.json["code"]) == (503, "outcome_unknown")
    assert answer.headers["Retry-After"]


class TestTasks:
    def test_a_drop_without_an_answer(self, ask, its_line, engine, silence):
        tasks = Tasks(its_line.redis)
        known, task_id = tasks.fail(2)
        assert ask("DELETE", f"{TASKS}/{known}").status_code == 204  # Redis knows the script by now
        with silence():
            is_unknown(ask("DELETE", f"{TASKS}/{task_id}?reason=spoiled"))
            found = {entry.target_id: entry for entry in entries(engine, "task.drop")}
        assert found[known].changes == {}
        assert (found[task_id].changes, found[task_id].reason) == ({"outcome": "unknown"}, "spoiled")
        assert found[task_id].actor_id is not None
        await_that(lambda: not its_line.redis.exists(keys.job(task_id)))

    def test_a_retry_without_an_answer(self, ask, its_line, engine, silence):
        tasks = Tasks(its_line.redis)
        known, task_id = tasks.fail(2)
        assert ask("POST", f"{TASKS}/{known}/retry").status_code == 200
        with silence():
            is_unknown(ask("POST", f"{TASKS}/{task_id}/retry", {"reason": "mended"}))
            found = {entry.target_id: entry for entry in entries(engine, "task.retry")}
        assert (found[task_id].changes, found[task_id].reason) == ({"outcome": "unknown"}, "mended")
        await_that(lambda: task_id in tasks.queue.job_ids)

    def test_nothing_is_written_down_of_what_was_never_sent(self, ask, its_line, engine, own_redis):
        (task_id,) = Tasks(its_line.redis).fail()
        own_redis.stop()
        # The first still has a connection; the next finds that none can be opened.
        ask("GET", TASKS)
        for method, path in (("DELETE", f"{TASKS}/{task_id}"), ("POST", f"{TASKS}/{task_id}/retry")):
            answer = ask(method, path)
            assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert entries(engine, "task.drop") == entries(engine, "task.retry") == []


class TestClean:
    def test_without_an_answer(self, ask, its_line, engine, silence):
        event = make_event(engine)
        while its_line.partition_of(event) != 0:  # the first that is swept
            event = make_event(engine)
        (job_id,) = its_line.stand(event)
        its_line.decide_all()
        assert ask("POST", CLEAN, {"state": "finished", "dry_run": True}).json["would_remove"] == 1
        with silence():
            is_unknown(ask("POST", CLEAN, {"state": "finished", "reason": "room"}))
            (entry,) = entries(engine, "line.clean")
        assert entry.changes == {
            "state": "finished",
            "older_than_seconds": 0,
            "removed_at_least": 0,
            "outcome": "unknown",
        }
        assert entry.reason == "room"
        await_that(lambda: not its_line.known(job_id))

    def test_a_dry_run_without_an_answer_changed_nothing(self, ask, its_line, engine, silence):
        with silence():
            answer = ask("POST", CLEAN, {"state": "finished", "dry_run": True})
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert entries(engine, "line.clean") == []

    def test_from_the_shell(self, its_line, its_settings, engine, silence, monkeypatch):
        """Redis falls silent after the first partition: a connection has to stand for something to be sent."""
        real, sweeps = service.sweep, []
        with contextlib.ExitStack() as stack:

            def sweep(*arguments, **options):
                sweeps.append(arguments)
                if len(sweeps) > 1:
                    stack.enter_context(silence())
                return real(*arguments, **options)

            monkeypatch.setattr(service, "sweep", sweep)
            result = CliRunner().invoke(
                main, ["queue", "clean", "finished"], env=environment_of(its_settings)
            )
        assert (result.exit_code, "outcome_unknown" in result.output) == (1, True), result.output
        (entry,) = entries(engine, "line.clean")
        assert (entry.changes["outcome"], entry.actor_id) == ("unknown", None)
