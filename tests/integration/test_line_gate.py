"""A process whose servers could lose a promise stays up, accepts nothing, and says which setting to change."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from redis import Redis
from sqlalchemy import text

from shared.db import make_engine, transaction
from shared.errors import UnavailableError
from shared.line import keys
from shared.line.client import make_redis
from shared.services import line_gate
from shared.services.durability import redis_problems
from shared.services.line_gate import LineGate
from tests.conftest import connect_redis
from tests.factories import auth_header, make_event, make_user
from tests.lines import await_that

REDIS = {"appendonly": "no", "appendfsync": "everysec", "no-appendfsync-on-rewrite": "yes", "maxmemory": "0",
         "maxmemory-policy": "allkeys-lru"}  # fmt: skip


@pytest.fixture
def set_redis(redis_client: Redis) -> Iterator[Callable[[str, str], None]]:
    """Changes settings of the session's Redis, and puts them back."""
    before: dict[str, str] = {}

    def change(name: str, value: str) -> None:
        before[name] = redis_client.config_get(name)[name]
        redis_client.config_set(name, value)

    yield change
    for name, value in before.items():
        redis_client.config_set(name, value)
    # switching the append-only file on starts a rewrite; settings count once it is done
    await_that(lambda: not redis_client.info("persistence")["aof_rewrite_in_progress"], what="the rewrite")


@pytest.fixture
def set_postgres(engine) -> Callable[[str, str], None]:
    """Changes settings of the test's own database; new sessions have them."""

    def change(name: str, value: str) -> None:
        with transaction(engine) as session:
            database = session.scalar(text("select current_database()"))
            session.execute(text(f'alter database "{database}" set {name} = {value}'))
        engine.dispose()

    return change


class Window:
    """The API, as somebody who wants a ticket sees it."""

    def __init__(self, app, engine) -> None:
        self.client, self.event = app.test_client(), make_event(engine)
        self.headers = auth_header(app, make_user(engine))

    def book(self):
        return self.client.post(
            f"/api/bookings/{self.event.id}/book", json={"tickets": 1}, headers=self.headers
        )

    def assert_closed(self, part: str, *words: str) -> None:
        answer = self.book()
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        ready = self.client.get("/readyz")
        assert ready.status_code == 503
        for word in words:
            assert word in ready.json["problems"][part]
            assert word in answer.json["detail"]
        assert self.client.get("/healthz").status_code == 200  # it stays up
        assert self.client.get(f"/api/events/{self.event.id}").status_code == 200  # and tells what it can


@pytest.fixture(autouse=True)
def impatience(monkeypatch) -> None:
    """Each look at `/readyz` is a new one: these tests change something and look at once."""
    monkeypatch.setattr("api.readiness.SHARED_SECONDS", 0.0)


@pytest.fixture
def window(app, engine) -> Window:
    return Window(app, engine)


class TestRedisDurability:
    @pytest.mark.parametrize(("name", "value"), REDIS.items())
    def test_is_asked_for_by_name(self, window, redis_client, set_redis, name, value):
        set_redis(name, value)
        window.assert_closed("durability", name)
        assert list(redis_client.scan_iter("rq:job:*")) == []

    def test_names_every_setting_at_once(self, window, set_redis):
        set_redis("appendfsync", "everysec")
        set_redis("maxmemory", "0")
        window.assert_closed("durability", "appendfsync", "maxmemory")

    def test_opens_when_it_is_put_right(self, window, redis_client, set_redis):
        set_redis("appendfsync", "everysec")
        window.assert_closed("durability", "appendfsync")
        redis_client.config_set("appendfsync", "always")
        await_that(lambda: window.book().status_code == 202, what="the opened gate")

    def test_relaxed_turns_refusal_into_a_warning(self, make_app, settings, engine, set_redis, caplog):
        set_redis("appendfsync", "everysec")
        app = make_app(replace(settings, durability="relaxed"))
        window = Window(app, engine)
        assert window.book().status_code == 202
        assert "appendfsync" in window.client.get("/readyz").json["warnings"]["durability"]
        assert any("appendfsync" in str(record.__dict__.get("warnings")) for record in caplog.records)

    def test_a_server_that_will_not_say_is_refused(self, settings, engine, redis_client, set_redis):
        redis_client.execute_command("ACL", "SETUSER", "shy", "on", ">secret", "~*", "&*", "+@all", "-config")
        try:
            shy = make_redis(settings.redis_url)
            shy.connection_pool.connection_kwargs |= {"username": "shy", "password": "secret"}
            state = LineGate(settings, engine, shy).check()
            assert "CONFIG GET" in state.problems["durability"]
            assert state.installation is not None
            assert redis_client.get(keys.INSTALLATION) is None  # an unsafe Redis is not made ours
        finally:
            redis_client.execute_command("ACL", "DELUSER", "shy")


class TestPostgresDurability:
    def test_is_asked_for_by_name(self, settings, engine, window, set_postgres):
        set_postgres("synchronous_commit", "off")
        window.assert_closed("durability", "synchronous_commit", "PostgreSQL")

    @pytest.mark.parametrize("value", ["remote_write", "remote_apply"])
    def test_more_than_on_is_enough(self, window, set_postgres, value):
        set_postgres("synchronous_commit", value)
        assert window.book().status_code == 202


class TestInstallation:
    def test_needs_its_own_number_of_partitions(self, make_app, settings, engine):
        window = Window(make_app(replace(settings, partitions=4)), engine)
        window.assert_closed("installation", "8 partitions", "4")

    def test_leaves_anothers_redis_alone(self, window, redis_client):
        redis_client.set(keys.INSTALLATION, "0e3ad7c6-9e0b-4a0e-a5c2-2f3c0a4a7c11:8")
        before = redis_client.dbsize()
        window.assert_closed("installation", "another installation")
        assert redis_client.get(keys.INSTALLATION).startswith(b"0e3ad7c6")
        assert list(redis_client.scan_iter("rq:job:*")) == []
        assert redis_client.dbsize() <= before + 1  # RQ's set of queues, at most

    def test_notices_a_redis_that_becomes_anothers(self, window, redis_client):
        assert window.book().status_code == 202
        redis_client.set(keys.INSTALLATION, "0e3ad7c6-9e0b-4a0e-a5c2-2f3c0a4a7c11:8")
        window.assert_closed("installation", "another installation")

    def test_makes_an_emptied_redis_its_own_again(self, window, redis_client):
        assert window.book().json["arrival"] == 1
        mark = redis_client.get(keys.INSTALLATION)
        redis_client.flushall()
        assert window.book().status_code == 202
        assert redis_client.get(keys.INSTALLATION) == mark


class TestSchema:
    def test_of_an_unmigrated_database_is_missing(self, make_app, settings, postgres, engine):
        postgres.create_database("unmigrated")
        try:
            url = postgres.database_url("unmigrated")
            app = make_app(replace(settings, database_url=url))
            client = app.test_client()
            headers = auth_header(app, make_user(engine))
            answer = client.post("/api/bookings/1/book", json={"tickets": 1}, headers=headers)
            assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
            assert "guichet migrate" in answer.json["detail"]
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json["status"]) == (503, "unready")
            assert "guichet migrate" in ready.json["problems"]["schema"]
            assert client.get("/healthz").status_code == 200
            app.extensions["guichet"].close()
        finally:
            postgres.drop_database("unmigrated")

    def test_of_a_newer_release_is_welcome(self, window, engine):
        """A rolling upgrade migrates first."""
        with transaction(engine) as session:
            session.execute(text("update alembic_version set version_num = '9999'"))
        assert window.book().status_code == 202


class TestOutage:
    def test_at_the_start_keeps_the_gate_closed_until_both_are_there(
        self, make_app, own_settings, own_redis, own_postgres
    ):
        engine = make_engine(own_settings.database_url, pool_size=1)
        app = make_app(own_settings)
        window = Window(app, engine)
        own_redis.stop()
        answer = window.book()
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert "redis" in window.client.get("/readyz").json["problems"]
        own_redis.start()
        await_that(lambda: window.book().status_code == 202, what="the opened gate")
        own_postgres.stop("immediate")
        assert window.book().status_code == 202  # accepting needs Redis only
        assert "postgres" in window.client.get("/readyz").json["problems"]
        with connect_redis(own_redis.url) as redis:
            redis.flushall()
        answer = window.book()  # an emptied Redis cannot be told who is revoked without PostgreSQL
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        answer = window.client.get(f"/api/events/{window.event.id}")
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        engine.dispose()

    def test_of_postgres_between_the_two_looks_is_a_problem_and_no_surprise(
        self, own_settings, own_postgres, monkeypatch
    ):
        """An empty Redis is told whose tokens are revoked: PostgreSQL may be gone by then."""
        engine = make_engine(own_settings.database_url, pool_size=1)
        gate = LineGate(own_settings, engine, make_redis(own_settings.redis_url))

        def look_and_lose(redis: Redis) -> list[str]:
            own_postgres.stop("immediate")
            return redis_problems(redis)

        monkeypatch.setattr(line_gate, "redis_problems", look_and_lose)
        state = gate.check()
        assert list(state.problems) == ["postgres"]
        with pytest.raises(UnavailableError) as caught:
            gate.installation()
        assert caught.value.code == "line_unavailable"
        with connect_redis(own_settings.redis_url) as redis:
            assert not redis.exists(
                keys.INSTALLATION
            )  # a Redis that does not know who is revoked serves nobody
        monkeypatch.undo()
        own_postgres.start()
        assert await_that(lambda: gate.check().problems == {}, what="the opened gate")
        engine.dispose()


class TestWatch:
    def test_survives_whatever_a_look_meets(self, settings, engine, monkeypatch, caplog):
        monkeypatch.setattr(line_gate, "WATCH_SECONDS", 0.001)
        gate = LineGate(settings, engine, make_redis(settings.redis_url))
        errors: list[Exception] = [ZeroDivisionError(), KeyError("x"), ValueError(), RuntimeError()]
        check = gate.check

        def fail_first() -> object:
            if errors:
                raise errors.pop()
            return check()

        monkeypatch.setattr(gate, "check", fail_first)
        gate.watch()
        await_that(lambda: gate.state.installation is not None, what="a look that found everything")
        gate.close()
        assert gate.state.problems == {}
        assert len([record for record in caplog.records if record.exc_info]) == 4
