"""What `/readyz` says: 503 names the part without which nothing goes; a warning, why the line stands all the same."""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from api.readiness import Readiness
from shared.db import transaction
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.models import Event
from shared.services import line_pause
from shared.settings import Settings
from tests.conftest import connect_redis
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver, await_that, worker_process
from worker import heartbeat
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker


@pytest.fixture(autouse=True)
def impatience(monkeypatch) -> None:
    """These tests change something and look at once; TestManyWhoAsk below is about those who share a look."""
    monkeypatch.setattr("api.readiness.SHARED_SECONDS", 0.0)


class Watcher:
    """Somebody who looks at a serving process from outside."""

    def __init__(self, app) -> None:
        app.extensions["guichet"].start()
        self.client = app.test_client()

    def look(self):
        return self.client.get("/readyz")

    def warnings(self) -> dict[str, str]:
        """Of a service that is ready all the same."""
        answer = self.look()
        assert (answer.status_code, answer.json["status"]) == (200, "ready"), answer.text
        return answer.json.get("warnings", {})

    def problems(self) -> dict[str, str]:
        """Of one that is not."""
        answer = self.look()
        assert (answer.status_code, answer.json["status"]) == (503, "unready"), answer.text
        return answer.json["problems"]


@pytest.fixture
def watcher(app) -> Watcher:
    return Watcher(app)


@pytest.fixture
def alive(watcher, redis_client, long_heard) -> None:
    """A booking worker was heard of just now."""
    heartbeat.beat(redis_client, "somebody")


def book(app, event: Event, user) -> None:
    answer = app.test_client().post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
    assert answer.status_code == 202


class TestReady:
    def test_with_nothing_to_say(self, watcher, alive):
        answer = watcher.look()
        assert answer.json == {"status": "ready", "problems": {}}
        assert answer.headers["Cache-Control"] == "no-store"


class TestManyWhoAsk:
    @pytest.fixture(autouse=True)
    def patience(self, impatience, monkeypatch) -> None:
        """As long as no test takes."""
        monkeypatch.setattr("api.readiness.SHARED_SECONDS", 3600.0)

    def test_get_what_the_first_of_them_saw(self, app, alive, redis_client):
        looks = self.count_looks(app)
        first = app.test_client().get("/readyz")
        heartbeat.leave(redis_client, "somebody")
        for path in ("/readyz", "/api/health/ready") * 10:
            assert app.test_client().get(path).json == first.json
        assert len(looks) == 1

    def test_get_a_new_look_when_it_is_old(self, app, alive, redis_client, monkeypatch):
        assert app.test_client().get("/readyz").status_code == 200
        heartbeat.leave(redis_client, "somebody")
        monkeypatch.setattr("api.readiness.SHARED_SECONDS", 0.0)
        assert app.test_client().get("/readyz").status_code == 503

    def test_wait_for_whoever_looks_however_long_it_takes(self, monkeypatch):
        monkeypatch.setattr("api.readiness.SHARED_SECONDS", 0.0)
        looks, seen, asked, end = [], [], threading.Semaphore(0), threading.Event()

        def look():
            looks.append(1)
            asked.release()
            end.wait(30)
            return {}, {"look": str(len(looks))}

        readiness = Readiness(look)
        threads = [threading.Thread(target=lambda: seen.append(readiness.check())) for _ in range(10)]
        threads[0].start()
        asked.acquire()
        lock = readiness._lock = CountedLock(readiness._lock)
        for thread in threads[1:]:
            thread.start()
        await_that(lambda: lock.wanted == 9, what="the others to wait")
        end.set()
        for thread in threads:
            thread.join(30)
        assert seen == [({}, {"look": "1"})] * 10
        assert looks == [1]

    def test_a_look_that_failed_is_nobodys(self, monkeypatch):
        outcomes = iter([OSError, None])

        def look():
            if (error := next(outcomes)) is not None:
                raise error
            return {}, {}

        readiness = Readiness(look)
        with pytest.raises(OSError):
            readiness.check()
        assert readiness.check() == ({}, {})

    @staticmethod
    def count_looks(app) -> list[int]:
        looks: list[int] = []
        readiness = app.extensions["guichet"].readiness
        real = readiness._look
        readiness._look = lambda: (looks.append(1), real())[1]
        return looks


class CountedLock:
    """A lock that says how many have wanted it."""

    def __init__(self, lock) -> None:
        self._lock, self._count, self.wanted = lock, threading.Lock(), 0

    def __enter__(self) -> None:
        with self._count:
            self.wanted += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class TestUnready:
    def test_without_a_worker(self, watcher, redis_client, long_heard):
        assert list(watcher.problems()) == ["worker"]
        heartbeat.beat(redis_client, "somebody")
        assert watcher.look().status_code == 200
        heartbeat.leave(redis_client, "somebody")
        assert list(watcher.problems()) == ["worker"]

    def test_a_worker_that_was_last_heard_of_long_ago_is_none(self, watcher, redis_client):
        redis_client.zadd(keys.LIVE_WORKERS, {"somebody": int(redis_client.time()[0]) - 60})
        assert list(watcher.problems()) == ["worker"]

    def test_a_worker_that_was_last_heard_of_before_the_clock_was_set_back_is_none(
        self, watcher, redis_client, long_heard
    ):
        redis_client.zadd(keys.LIVE_WORKERS, {"long dead": int(redis_client.time()[0]) + 3600})
        assert list(watcher.problems()) == ["worker"]
        assert heartbeat.beat(redis_client, "somebody") == 1
        assert watcher.look().status_code == 200

    def test_without_redis(self, make_app, settings, own_redis, long_heard):
        watcher = Watcher(make_app(replace(settings, redis_url=own_redis.url)))
        with connect_redis(own_redis.url) as redis:
            heartbeat.beat(redis, "somebody")
        assert watcher.look().status_code == 200
        own_redis.kill()
        assert list(watcher.problems()) == ["redis"]

    def test_without_postgres(self, make_app, own_settings, own_postgres, long_heard):
        watcher = Watcher(make_app(own_settings))
        with connect_redis(own_settings.redis_url) as redis:
            heartbeat.beat(redis, "somebody")
        await_that(lambda: watcher.look().status_code == 200)
        own_postgres.stop("immediate")
        assert "postgres" in watcher.problems()

    def test_with_an_older_schema(self, watcher, alive, engine):
        with transaction(engine) as session:
            session.execute(text("update alembic_version set version_num = '0000'"))
        problems = watcher.problems()
        assert list(problems) == ["schema"]
        assert "guichet migrate" in problems["schema"]

    def test_with_servers_that_may_lose_a_promise(self, watcher, alive, redis_client):
        redis_client.config_set("appendfsync", "everysec")
        try:
            problems = watcher.problems()
        finally:
            redis_client.config_set("appendfsync", "always")
        assert list(problems) == ["durability"]
        assert "appendfsync" in problems["durability"]


class TestEachPartShowsAsItself:
    """With real processes and servers of the test's own: one thing is wrong, and exactly that is said."""

    def test_a_worker_that_was_killed(self, make_app, settings):
        watcher = Watcher(make_app(settings))
        with worker_process(settings) as process:
            await_that(lambda: watcher.look().status_code == 200, what="the worker")
            process.kill()
            await_that(lambda: watcher.look().status_code == 503, what="its death to be noticed")
        assert list(watcher.problems()) == ["worker"]

    def test_a_redis_that_was_stopped(self, make_app, settings, own_redis):
        own = replace(settings, redis_url=own_redis.url)
        watcher = Watcher(make_app(own))
        with worker_process(own):
            await_that(lambda: watcher.look().status_code == 200, what="the worker")
            own_redis.stop()
            assert list(watcher.problems()) == ["redis"]

    def test_a_postgres_that_was_never_migrated(self, make_app, settings, postgres, redis_client, long_heard):
        name = f"empty_{secrets.token_hex(4)}"
        postgres.create_database(name)
        app = make_app(replace(settings, database_url=postgres.database_url(name)))
        watcher = Watcher(app)
        heartbeat.beat(redis_client, "somebody")
        problems = watcher.problems()
        assert list(problems) == ["schema"]
        assert "guichet migrate" in problems["schema"]
        app.extensions["guichet"].close()
        postgres.drop_database(name)

    def test_a_redis_that_may_lose_what_it_has_acknowledged(self, make_app, settings, own_redis, long_heard):
        own = replace(settings, redis_url=own_redis.url)
        watcher = Watcher(make_app(own))
        with worker_process(own), connect_redis(own_redis.url) as redis:
            await_that(lambda: watcher.look().status_code == 200, what="the worker")
            for name, value, durable in (
                ("appendonly", "no", "yes"),
                ("appendfsync", "everysec", "always"),
                ("no-appendfsync-on-rewrite", "yes", "no"),
                ("maxmemory-policy", "allkeys-lru", "noeviction"),
                ("maxmemory", "0", "512mb"),
            ):
                redis.config_set(name, value)
                problems = watcher.problems()
                assert list(problems) == ["durability"], name
                assert name in problems["durability"]
                redis.config_set(name, durable)
                await_that(lambda: watcher.look().status_code == 200, what="the cure")


class TestWarnings:
    def test_paused(self, watcher, alive, engine):
        admin = make_user(engine, role="admin")
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=admin.id, reason="printer on fire")
        found = await_that(watcher.warnings, what="the pause to be noticed")
        assert list(found) == ["paused"]
        assert "printer on fire" in found["paused"]
        with transaction(engine) as session:
            line_pause.resume(session, actor_id=admin.id)
        await_that(lambda: watcher.warnings() == {}, what="its end to be noticed")

    def test_suspended(self, watcher, alive, redis_client):
        """`rq suspend` stops the workers, and nobody would know why."""
        redis_client.set(keys.RQ_SUSPENDED, 1)
        assert list(watcher.warnings()) == ["suspended"]
        redis_client.delete(keys.RQ_SUSPENDED)
        assert watcher.warnings() == {}

    def test_lost_ids(self, app, watcher, alive, engine, settings, redis_client):
        event = make_event(engine)
        book(app, event, make_user(engine))
        (job,) = redis_client.lrange(keys.queue(event.id % 8), 0, -1)
        redis_client.delete(keys.job(job.decode()))
        driver = LineDriver(settings, engine)
        driver.decide_all()
        driver.close()
        found = watcher.warnings()
        assert list(found) == ["lost"]
        assert found["lost"].startswith("1 ")

    def test_a_partition_that_stands(self, app, settings, engine):
        """Somebody has locked an event and gone for lunch: health says so while it lasts, and no longer."""
        watcher, event, user = Watcher(app), make_event(engine), make_user(engine)
        part = f"partition {partition_of(event.id, 8)}"
        with worker_process(settings), engine.connect() as connection:
            await_that(lambda: watcher.look().status_code == 200, what="the worker")
            with connection.begin():
                connection.execute(text("select 1 from events where id = :id for update"), {"id": event.id})
                book(app, event, user)
                found = await_that(
                    lambda: part in watcher.warnings() and watcher.warnings(), what="the warning"
                )
                assert "lock timeout" in found[part]
                assert list(found) == [part]
            await_that(lambda: watcher.warnings() == {}, what="the warning to go")


@pytest.fixture
def worker(settings: Settings, monkeypatch) -> Iterator[BookingWorker]:
    """The real worker, in this process."""
    monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))
    worker = make_booking_worker(settings, "test", 1)
    yield worker
    worker._let_go()


def beat(worker: BookingWorker) -> None:
    worker._beat_timer._next = 0.0
    worker._housekeep()


class TestTroubleThatIsOver:
    """Said by the partition's holder every second, and by nobody else."""

    @pytest.fixture
    def part(self, app, engine, worker, monkeypatch) -> int:
        """A partition in whose batch the worker has just failed."""
        event = make_event(engine)
        book(app, event, make_user(engine))
        with monkeypatch.context() as patch:
            patch.setattr("worker.batch.batches.load", fail)
            worker.run_once()
        assert list(worker._troubles) == [event.id % 8]
        return event.id % 8

    def test_is_forgotten_when_another_has_the_partition(self, worker, part, redis_client):
        beat(worker)
        assert redis_client.get(keys.trouble(part)) == b"TypeError: planted"
        worker._given_away[part] = float("inf")
        worker._session.give_away(part)
        redis_client.delete(keys.trouble(part))
        beat(worker)
        assert not redis_client.exists(keys.trouble(part))
        worker._given_away.clear()  # though it may come back one day
        worker._claim_timer._next = 0.0
        worker._housekeep()
        beat(worker)
        assert not redis_client.exists(keys.trouble(part))

    def test_is_forgotten_when_nobody_waits_any_more(self, worker, part, redis_client):
        redis_client.delete(keys.queue(part), keys.in_flight(part))
        worker.run_once()
        redis_client.delete(keys.trouble(part))
        beat(worker)
        assert not redis_client.exists(keys.trouble(part))

    def test_is_forgotten_when_the_line_moves(self, worker, part, redis_client):
        await_that(
            lambda: (worker.run_once(), not redis_client.llen(keys.in_flight(part)))[1], what="the decision"
        )
        redis_client.delete(keys.trouble(part))
        beat(worker)
        assert not redis_client.exists(keys.trouble(part))


def fail(*_: object) -> None:
    raise TypeError("planted")
