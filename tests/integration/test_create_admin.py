"""`guichet create-admin`: makes an admin, or promotes somebody, and writes it down."""

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select

from scripts.create_admin import command
from shared.db import transaction
from shared.models import AuditLogEntry, User
from shared.services.passwords import Passwords
from shared.settings import Settings, variable_name
from tests.factories import PASSWORD, make_user


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    """Calls the command on the test's database."""
    for name in ("database_url", "redis_url", "secret_key", "data_dir", "hash_memory_kib", "hash_time_cost"):
        monkeypatch.setenv(variable_name(name), str(getattr(settings, name)))
    return Runner()


class Runner:
    """The command line."""

    def __call__(self, *arguments: str) -> Result:
        """The result of one call."""
        return CliRunner().invoke(command, arguments)


class TestCreateAdmin:
    def test_makes_a_new_account_and_prints_its_password_once(
        self, run: Runner, settings: Settings, engine: Engine
    ) -> None:
        result = run("root@example.org", "--name", "Root")
        assert result.exit_code == 0, result.output
        password = result.output.split("shown only now: ")[1].strip()
        user = get_user(engine, "root@example.org")
        assert (user.role, user.name) == ("admin", "Root")
        assert Passwords(settings).check(password, user.password_hash).matches

    def test_takes_a_given_password_and_does_not_print_it(
        self, run: Runner, settings: Settings, engine: Engine
    ) -> None:
        result = run("root@example.org", "--password", "long-enough-and-odd")
        assert "long-enough" not in result.output
        stored = get_user(engine, "root@example.org").password_hash
        assert Passwords(settings).check("long-enough-and-odd", stored).matches

    def test_promotes_an_account_that_keeps_its_password(self, run: Runner, engine: Engine) -> None:
        before = make_user(engine, email="Host@example.org", role="host", password=PASSWORD)
        result = run("host@example.org")
        assert result.exit_code == 0, result.output
        after = get_user(engine, "Host@example.org")
        assert (after.id, after.role, after.password_hash) == (before.id, "admin", before.password_hash)

    def test_is_written_to_the_audit_log(self, run: Runner, engine: Engine) -> None:
        run("root@example.org")
        user = get_user(engine, "root@example.org")
        with transaction(engine) as session:
            entry = session.scalars(select(AuditLogEntry)).one()
        assert (entry.target_type, entry.target_id, entry.actor_id) == ("user", str(user.id), None)

    @pytest.mark.parametrize(
        "arguments", [("nobody",), ("root@example.org", "--password", "short")], ids=["address", "password"]
    )
    def test_refuses_what_registering_would_refuse(
        self, run: Runner, engine: Engine, arguments: tuple[str]
    ) -> None:
        assert run(*arguments).exit_code != 0
        with transaction(engine) as session:
            assert session.scalars(select(User)).all() == []


def get_user(engine: Engine, email: str) -> User:
    """The account with this address."""
    with transaction(engine) as session:
        return session.scalars(select(User).where(User.email == email)).one()
