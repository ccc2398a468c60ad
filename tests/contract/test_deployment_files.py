"""The files for those who have servers of their own describe what `guichet up` runs, and what exists."""

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.cli import COMMANDS
from scripts.procfile import read_procfile
from shared.secret_rules import DOCUMENTED_SECRETS
from shared.services.durability import POSTGRES_SETTINGS, REDIS_SETTINGS
from shared.settings import Settings, load_settings, variable_name

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENVIRONMENT = {
    match[1]: match[2]
    for match in re.finditer(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
}
# Variables that only docker-compose.yml reads.
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "GUICHET_OWNER_PASSWORD", "GUICHET_APP_PASSWORD"}


def assert_runs(command: list[str]) -> None:
    """The command names a program, module, file or `guichet` command that exists."""
    match command:
        case ["guichet", name, *_]:
            assert name in COMMANDS
        case ["python", "-m", "worker", "bookings" | "tasks"]:
            assert importlib.util.find_spec("worker.__main__")
        case ["gunicorn", "--config", config, *_, application]:
            module, _, attribute = application.partition(":")
            assert attribute == "app"
            assert importlib.util.find_spec(module)
            if config.startswith("python:"):
                assert importlib.util.find_spec(config.removeprefix("python:"))
            else:
                assert (ROOT / config).is_file()
        case _:
            pytest.fail(f"unknown command {command}")


class TestProcfile:
    def test_has_the_three_processes(self) -> None:
        assert list(read_procfile()) == ["web", "worker", "tasks"]

    def test_every_command_exists(self) -> None:
        for command in read_procfile().values():
            assert_runs(command)


class TestCompose:
    def test_has_the_processes_and_their_servers(self) -> None:
        assert set(SERVICES) == {"postgres", "redis", "roles", "migrate", "api", "worker", "tasks"}

    @pytest.mark.parametrize("name", ["migrate", "api", "worker", "tasks"])
    def test_every_command_exists(self, name: str) -> None:
        assert_runs(SERVICES[name]["command"])

    @pytest.mark.parametrize("name", ["postgres", "redis", "api", "worker", "tasks"])
    def test_what_serves_starts_again_by_itself(self, name: str) -> None:
        assert SERVICES[name]["restart"] == "unless-stopped"

    def test_redis_has_what_a_202_promises(self) -> None:
        flags = SERVICES["redis"]["command"][1:]
        given = dict(zip((flag.removeprefix("--") for flag in flags[::2]), flags[1::2], strict=True))
        assert given.items() >= REDIS_SETTINGS.items()
        assert given["maxmemory"] not in ("", "0")

    def test_postgres_has_what_a_202_promises(self) -> None:
        command = SERVICES["postgres"]["command"]
        assert {f"{name}=on" for name in POSTGRES_SETTINGS} <= set(command)

    def test_data_outlives_the_containers(self) -> None:
        for name in ("postgres", "redis"):
            volume = SERVICES[name]["volumes"][0].split(":")[0]
            assert volume in COMPOSE["volumes"]

    @pytest.mark.parametrize("name", ["api", "worker", "tasks"])
    def test_waits_for_the_migration_and_for_redis(self, name: str) -> None:
        waits = {service: how["condition"] for service, how in SERVICES[name]["depends_on"].items()}
        assert waits == {"migrate": "service_completed_successfully", "redis": "service_healthy"}

    @pytest.mark.parametrize("name", ["migrate", "api", "worker", "tasks"])
    def test_passes_only_variables_that_are_read(self, name: str) -> None:
        given = SERVICES[name]["environment"]
        assert {given.get(variable, "") for variable in COMPOSE_ONLY} == {""}
        assert set(given) - COMPOSE_ONLY <= {variable_name(field.name) for field in fields(Settings)}

    @pytest.mark.parametrize("name", ["api", "worker", "tasks"])
    def test_gives_what_faces_the_network_the_application_role_alone(self, name: str) -> None:
        """What stands in `.env` for others is emptied; the owner's address is the migration's."""
        given = SERVICES[name]["environment"]
        assert given["DATABASE_URL"].startswith("postgresql://guichet_app:${GUICHET_APP_PASSWORD")
        assert set(given) >= COMPOSE_ONLY
        assert "guichet_owner" not in str(given)

    def test_migrates_as_the_owner_once_there_are_roles(self) -> None:
        assert SERVICES["migrate"]["environment"]["DATABASE_URL"].startswith("postgresql://guichet_owner:")
        assert SERVICES["migrate"]["depends_on"] == {"roles": {"condition": "service_completed_successfully"}}
        for name in re.findall(r"/deploy/(\S+\.sql)", str(SERVICES["roles"]["entrypoint"])):
            assert (ROOT / "deploy" / name.strip("',]")).is_file(), name

    def test_asks_for_variables_that_the_example_explains(self) -> None:
        asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
        assert asked <= set(ENVIRONMENT)


class TestDockerfile:
    def test_does_not_run_as_root(self) -> None:
        users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
        assert users
        assert users[-1] not in ("root", "0")

    def test_is_healthy_when_it_is_ready(self) -> None:
        assert re.search(r"^HEALTHCHECK .*\\\n\s+CMD .*/healthz", DOCKERFILE, re.MULTILINE)

    def test_its_command_exists(self) -> None:
        command = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]
        assert_runs(yaml.safe_load(command))

    def test_copies_what_exists(self) -> None:
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
            for source in shlex.split(line)[:-1]:
                assert (ROOT / source).exists(), source


class TestExampleEnvironment:
    def test_names_every_variable_and_no_other(self) -> None:
        assert set(ENVIRONMENT) == {variable_name(field.name) for field in fields(Settings)} | COMPOSE_ONLY

    def test_gives_the_defaults(self) -> None:
        without_default = {*COMPOSE_ONLY, "GUICHET_SECRET_KEY"}
        values = {name: value for name, value in ENVIRONMENT.items() if name not in without_default}
        assert load_settings(values) == Settings()

    def test_holds_no_real_secret(self) -> None:
        assert ENVIRONMENT["GUICHET_SECRET_KEY"] in DOCUMENTED_SECRETS
        assert {ENVIRONMENT[name] for name in COMPOSE_ONLY} == {""}


class TestAcceptedVulnerabilities:
    def test_each_have_a_day_and_a_reason(self) -> None:
        """What `make vulnerabilities` reads with awk."""
        for line in (ROOT / "deploy" / "accepted-vulnerabilities.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                assert re.fullmatch(r"[A-Z]+-[\w-]+ 20\d\d-\d\d-\d\d \S.{20,}", line), line


class TestConstraints:
    def test_are_exact_versions_without_any_address(self) -> None:
        text = (ROOT / "constraints.txt").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert lines
        for line in lines:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line
