"""`guichet tokens`: users without a password, and tokens that the API takes."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import jwt
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from scripts.tokens import command, make_tokens
from shared.services.tokens import ALGORITHM, AUDIENCE, ISSUER
from shared.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    """The command, in this installation's environment."""

    def invoke(*options: str, env: str = "test") -> Result:
        environ = {
            "DATABASE_URL": settings.database_url,
            "GUICHET_SECRET_KEY": settings.secret_key,
            "GUICHET_DATA": str(settings.data_dir),
            "GUICHET_ENV": env,
        }
        return CliRunner().invoke(command, options, env=environ)

    return invoke


class TestTokens:
    def test_are_written_one_a_line_and_for_the_owner_only(self, run: Run, tmp_path: Path) -> None:
        out = tmp_path / "tokens.tsv"
        assert run("--count", "25", "--out", str(out)).exit_code == 0
        lines = [line.split("\t") for line in out.read_text().splitlines()]
        assert len({user_id for user_id, _ in lines}) == 25
        assert stat.S_IMODE(out.stat().st_mode) == 0o600

    def test_are_access_tokens_of_their_users(self, settings: Settings) -> None:
        user_id, token = make_tokens(settings, 1, lifetime_seconds=77)[0]
        claims = jwt.decode(token, settings.secret_key, [ALGORITHM], audience=AUDIENCE, issuer=ISSUER)
        assert (claims["sub"], claims["type"], claims["role"]) == (str(user_id), "access", "attendee")
        assert claims["exp"] - claims["iat"] == 77

    def test_users_are_made_once_and_cannot_log_in(self, settings: Settings, engine: Engine) -> None:
        first = make_tokens(settings, 3, lifetime_seconds=60)
        again = make_tokens(settings, 5, lifetime_seconds=60)
        assert [user for user, _ in first] == [user for user, _ in again][:3]
        with engine.connect() as connection:
            rows = connection.execute(text("select email, password_hash from users order by id")).all()
        assert rows == [(f"load-{i}@example.org", None) for i in range(1, 6)]

    def test_a_person_with_such_an_address_gets_none(self, settings: Settings, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(
                text("insert into users (name, email, role, password_hash) "
                     "values ('P', 'Load-2@example.org', 'admin', 'x')")
            )  # fmt: skip
        assert len(make_tokens(settings, 3, lifetime_seconds=60)) == 2

    def test_are_refused_in_production(self, settings: Settings, run: Run, tmp_path: Path) -> None:
        with pytest.raises(click.ClickException, match="refused in production"):
            make_tokens(replace(settings, env="production"), 1, lifetime_seconds=60)
        result = run("--count", "1", "--out", str(tmp_path / "out"), env="production")
        assert result.exit_code == 1
        assert not (tmp_path / "out").exists()

    def test_need_a_secret(self, settings: Settings, tmp_path: Path) -> None:
        environ = {
            "DATABASE_URL": settings.database_url,
            "GUICHET_DATA": str(tmp_path / "none"),
            "GUICHET_SECRET_KEY": "",
        }
        result = CliRunner().invoke(command, ["--count", "1", "--out", str(tmp_path / "out")], env=environ)
        assert result.exit_code == 1
        assert "GUICHET_SECRET_KEY" in result.output
