"""`guichet audit --repair` as an operator types it: what it says, what it refuses, what its exit code means."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from scripts.audit import command
from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.repairs import PARTITION

SHOWN = 20


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    """Thirty people in line, whose jobs somebody has taken out of the queue."""
    with opened_desk(settings, engine, people=30) as desk:
        (event,) = desk.open_events(1, partition=PARTITION)
        desk.book_each(event)
        desk.redis.delete(keys.queue(PARTITION))
        yield desk


def run(settings: Settings, *options: str) -> Result:
    urls = ("--database-url", settings.database_url, "--redis-url", settings.redis_url)
    return CliRunner().invoke(command, [*options, *urls], env={"COLUMNS": "200"})


class TestOutput:
    def test_says_each_mend_and_audits(self, settings: Settings, desk: Desk) -> None:
        result = run(settings, "--repair")
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        said = f"mend: partition {PARTITION}: undecided and in no list: back into the line, at its place: 30"
        start = lines.index(said)
        shown = [line.strip() for line in lines[start + 1 : start + 1 + SHOWN]]
        assert shown == [str(answer.job_id) for _, answer in desk.accepted[:SHOWN]]
        assert lines[start + 1 + SHOWN].strip() == "… and 10 more"
        assert "30 mends made." in lines
        assert "Every promise holds." in lines

    def test_as_json_is_one_document(self, settings: Settings, desk: Desk) -> None:
        result = run(settings, "--repair", "--json")
        document = json.loads(result.stdout)
        assert document["ok"]
        (mend,) = document["repair"]["mends"]
        assert (mend["what"], mend["partition"], mend["count"], len(mend["items"])) == (
            "put_in_place",
            PARTITION,
            30,
            30,
        )
        assert document["repair"]["beyond_repair"] == []

    def test_a_dry_run_exits_1_while_there_is_something_to_mend(self, settings: Settings, desk: Desk) -> None:
        result = run(settings, "--repair", "--dry-run")
        assert result.exit_code == 1
        assert "30 mends would be made." in result.output
        assert not desk.redis.exists(keys.queue(PARTITION))
        assert not json.loads(run(settings, "--repair", "--dry-run", "--json").stdout)["ok"]
        assert run(settings, "--repair").exit_code == 0
        assert run(settings, "--repair", "--dry-run").exit_code == 0

    def test_what_is_beyond_repair_is_named_and_the_exit_code_says_so(
        self, settings: Settings, desk: Desk
    ) -> None:
        (_, answer), *_ = desk.accepted
        desk.redis.rpush(keys.queue(PARTITION), str(answer.job_id))
        desk.redis.delete(keys.job(str(answer.job_id)))
        for _ in range(2):
            result = run(settings, "--repair")
            assert result.exit_code == 1
            assert "1 accepted requests are beyond repair; tell their clients to ask again:" in result.output
            assert f"{answer.job_id}: its payload is gone" in result.output


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--dry-run",), "--dry-run goes with --repair"),
            (("--repair", "--event", "3"), "mends the whole line"),
            (("--repair", "--no-redis"), "mends the whole line"),
        ],
    )
    def test_options_that_do_not_go_together(
        self, settings: Settings, options: tuple[str, ...], complaint: str
    ) -> None:
        result = run(settings, *options)
        assert result.exit_code == 2
        assert complaint in result.output

    @pytest.mark.parametrize("option", ["--database-url", "--redis-url"])
    def test_half_a_pair(self, settings: Settings, option: str) -> None:
        """A database named here is not mended against a Redis that was named elsewhere."""
        url = settings.database_url if option == "--database-url" else settings.redis_url
        result = CliRunner().invoke(command, ["--repair", option, url])
        assert result.exit_code == 2
        assert "name both addresses" in result.output

    def test_without_servers(self, tmp_path: Path) -> None:
        environ = {"DATABASE_URL": "", "REDIS_URL": "", "GUICHET_DATA": str(tmp_path)}
        result = CliRunner().invoke(command, ["--repair"], env=environ)
        assert result.exit_code == 1
        assert "DATABASE_URL is not set" in result.output

    def test_an_older_schema(self, settings: Settings, desk: Desk) -> None:
        desk.execute("update alembic_version set version_num = '0001'")
        result = run(settings, "--repair")
        assert result.exit_code == 1
        assert "run `guichet migrate` first" in result.output

    @pytest.mark.parametrize("away", ["--database-url", "--redis-url"])
    def test_a_server_that_does_not_answer(self, settings: Settings, away: str) -> None:
        urls = {"--database-url": settings.database_url, "--redis-url": settings.redis_url}
        nowhere = {"--database-url": "postgresql:///x?host=/nowhere", "--redis-url": "unix:///nowhere/r.sock"}
        urls[away] = nowhere[away]
        result = CliRunner().invoke(command, ["--repair", *(word for pair in urls.items() for word in pair)])
        assert result.exit_code == 1
        assert "repair again when it is back" in result.output

    def test_requests_of_a_newer_release(self, settings: Settings, desk: Desk) -> None:
        desk.redis.hset(keys.job(str(desk.accepted[0][1].job_id)), "v", "99")
        result = run(settings, "--repair")
        assert result.exit_code == 1
        assert "requests of a newer release" in result.output
