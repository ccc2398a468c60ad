"""Who acts in tests over HTTP: a host with their events and organization, an admin, an attendee; and who tampers behind their backs."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from api.waiting import DecisionHub
from shared.line.client import make_redis
from shared.models import Organization, User
from shared.settings import Settings
from tests.documents import CheckedClient
from tests.event_calls import event_body
from tests.factories import auth_header, make_organization, make_user
from tests.hubs import Ledger, subscribers
from tests.lines import LineDriver, await_that
from tests.standing import StandingLine
from tests.stories import Story
from tests.waiting import Crowd


@pytest.fixture
def host(engine: Engine) -> User:
    return make_user(engine, role="host", name="Hanna Host")


@pytest.fixture
def as_host(app: Flask, host: User) -> dict[str, str]:
    return auth_header(app, host)


@pytest.fixture
def as_admin(app: Flask, engine: Engine) -> dict[str, str]:
    return auth_header(app, make_user(engine, role="admin"))


@pytest.fixture
def as_attendee(app: Flask, engine: Engine) -> dict[str, str]:
    return auth_header(app, make_user(engine))


@pytest.fixture
def member(engine: Engine) -> User:
    """An attendee by role: what counts is the membership."""
    return make_user(engine)


@pytest.fixture
def as_member(app: Flask, member: User) -> dict[str, str]:
    return auth_header(app, member)


@pytest.fixture
def organization(engine: Engine, host: User, member: User) -> Organization:
    """The host's, with one other member."""
    return make_organization(
        engine,
        name="Cello Festival",
        logo_url="https://cello.example/logo.svg",
        owners=[host],
        members=[member],
    )


@pytest.fixture
def create(client: FlaskClient, as_host: dict[str, str]) -> Callable[..., dict[str, Any]]:
    def create_over_http(**fields: Any) -> dict[str, Any]:
        answer = client.post("/api/events", json=event_body(**fields), headers=as_host)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json
        return document

    return create_over_http


@pytest.fixture
def checked(app: Flask) -> None:
    """Every answer is held against the contract."""
    app.test_client_class = CheckedClient


@pytest.fixture
def crowd(app: Flask, client: FlaskClient, driver: LineDriver, engine: Engine) -> Crowd:
    """People who ask over HTTP, whose requests that worker decides."""
    return Crowd(app, client, driver, engine)


@pytest.fixture
def line(settings: Settings, engine: Engine) -> Iterator[StandingLine]:
    """People who stand in line, and nobody who decides unless the test says so."""
    line = StandingLine(settings, engine)
    yield line
    line.close()


@pytest.fixture
def stopped_rate_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets back what they used of a rate while a test takes its time."""
    now = time.monotonic()
    monkeypatch.setattr("api.rate_limits.time", SimpleNamespace(monotonic=lambda: now))


@pytest.fixture
def tamper(engine: Engine) -> Callable[..., None]:
    """Changes the database behind everybody's back: no triggers, no foreign keys."""

    def run(statement: str, **values: object) -> None:
        with engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            assert connection.execute(text(statement), values).rowcount != 0

    return run


@pytest.fixture
def story(engine: Engine, line: StandingLine, tamper: Callable[..., None]) -> Callable[[int], Story]:
    """What happens to some events, by its number."""
    return lambda seed: Story(seed, engine, line, tamper)


@pytest.fixture
def hub_ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def hub(settings, hub_ledger, redis_client) -> Iterator[DecisionHub]:
    """One that is alone: those of tests before listen for a moment after they were closed."""
    await_that(lambda: subscribers(redis_client) == 0, what="nobody to listen")
    hub = DecisionHub(make_redis(settings.redis_url), hub_ledger.look_up, hub_ledger.find_revoked)
    yield hub
    hub.close()
