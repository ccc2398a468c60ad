"""Every fault of Redis and of the way to it is seen by a client, and is over when it says so."""

import os
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import NoScriptError

from scripts.trials.faults.redis import REDIS_FAULTS
from scripts.trials.faults.servers import SERVER_FAULTS, left_out
from scripts.trials.servers.redis import TrialRedis
from scripts.trials.site import Site, site
from tests.conftest import _own_directory
from tests.lines import await_that
from tests.trials.watching import ATTEMPTS, Caller, Soon, is_seen, plain_redis, redis_caller

# Nobody but Redis itself notices these; each has a test of its own below.
UNSEEN = {"Redis: AOF rewritten", "Redis: snapshot", "Redis: scripts forgotten"}
SLOW = {"Redis: SIGSTOP", "Redis: a slow command"} | {
    f"way to Redis: {how}" for how in ("slow", "trickling", "silent")
}
MOVED = {"Redis: clock jumps"}
LOSING = {"Redis: last writes lost", "Redis: old backup"}
KINDS = [*REDIS_FAULTS, *(kind for kind in SERVER_FAULTS if kind.startswith("way to Redis"))]


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with _own_directory() as folder, site(folder) as found:
        yield found


@pytest.fixture(scope="module")
def caller(place: Site) -> Iterator[Caller]:
    with redis_caller(place.redis_url) as found:
        yield found


@pytest.fixture
def redis(place: Site) -> TrialRedis:
    return place.redis


class TestFaultOfRedis:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNSEEN])
    def test_is_seen_by_a_client_and_heals(self, place: Site, caller: Caller, kind: str) -> None:
        if kind in left_out(place):
            pytest.skip(left_out(place)[kind])
        for _ in range(ATTEMPTS):
            with caller.watch() as seen:
                fault = SERVER_FAULTS[kind](place, Soon(1))
            assert fault.target, fault.note
            assert fault.began_at < fault.ended_at
            assert (fault.loses_since is not None) == (kind in LOSING)
            if is_seen(kind, seen, moved=MOVED, slow=SLOW):
                return
        pytest.fail("nobody saw it")

    @pytest.mark.parametrize("kind", sorted(UNSEEN))
    def test_that_nobody_sees_hurts_nobody(self, place: Site, caller: Caller, kind: str) -> None:
        with caller.watch() as seen:
            fault = SERVER_FAULTS[kind](place, Soon(1))
        assert fault.target == "redis"
        assert not any(call.error for call in seen)


class TestLostTail:
    def test_keeps_what_was_acknowledged_before(self, place: Site, redis: TrialRedis) -> None:
        acknowledged: list[float] = []
        with plain_redis(redis.url) as client:
            client.delete("numbers")
            end = time.monotonic() + 0.6
            while time.monotonic() < end:
                client.rpush("numbers", len(acknowledged))
                acknowledged.append(time.monotonic())
        since = redis.cut_tail(0.2, 0)
        with plain_redis(redis.url) as client:
            kept = client.llen("numbers")
        assert since is not None
        assert sum(at < since for at in acknowledged) <= kept < len(acknowledged)

    def test_goes_no_further_back_than_the_last_rewrite(self, redis: TrialRedis) -> None:
        with plain_redis(redis.url) as client:
            client.set("written", "before")
            redis.rewrite()
            await_that(lambda: redis.tail.before(0.0) is not None, what="a first look at the new file")
        since = redis.cut_tail(60, 0)
        with plain_redis(redis.url) as client:
            assert client.get("written") == b"before"
        assert since is not None


class TestOldBackup:
    def test_brings_back_what_was_and_nothing_later(self, redis: TrialRedis) -> None:
        answered: dict[float, float] = {}

        def ask(client: "Redis") -> float:
            asked_at = time.monotonic()
            client.rpush("asked", repr(asked_at))
            answered[asked_at] = time.monotonic()
            return time.time()

        with Caller(lambda: plain_redis(redis.url), ask) as caller, caller.watch():
            since = redis.go_back(0.3, 0)
        with plain_redis(redis.url) as client:
            kept = {float(text) for text in client.lrange("asked", 0, -1)}
        lost = [at for asked_at, at in answered.items() if asked_at not in kept]
        assert lost
        assert min(lost) >= since


class TestRewrite:
    def test_puts_another_file_in_the_place_of_the_old(self, redis: TrialRedis) -> None:
        path = redis._file
        before = path.stat().st_ino
        descriptor = os.open(path, os.O_RDONLY)  # so that its number is not given away
        redis.rewrite()
        os.close(descriptor)
        assert path.stat().st_ino != before

    def test_killed_in_the_middle_keeps_everything(self, redis: TrialRedis) -> None:
        with plain_redis(redis.url) as client:
            client.mset({f"key-{n}": "x" * 100 for n in range(5_000)})
        redis.crash_while_it_rewrites(0, 0)
        with plain_redis(redis.url) as client:
            assert client.get("key-4999") == b"x" * 100


class TestSnapshot:
    def test_is_written(self, redis: TrialRedis) -> None:
        with plain_redis(redis.url) as client:
            before = client.info("persistence")["rdb_last_save_time"]
            time.sleep(1.1)  # it is told in whole seconds
            redis.save()
            assert client.info("persistence")["rdb_last_save_time"] > before


class TestForgottenScripts:
    def test_are_answered_noscript(self, redis: TrialRedis) -> None:
        with plain_redis(redis.url) as client:
            digest = client.script_load("return 1")
            redis.forget_scripts()
            with pytest.raises(NoScriptError):
                client.evalsha(digest, 0)


class TestClockOfRedis:
    def test_is_moved_for_redis_alone(self, place: Site, redis: TrialRedis) -> None:
        if redis.clock is None:
            pytest.skip(place.missing["clock"])
        with plain_redis(redis.url) as client:
            for hours in (1, -1):
                redis.clock.shift(hours * 3600)
                assert client.time()[0] - time.time() == pytest.approx(hours * 3600, abs=60)
            redis.clock.shift(0)
            assert client.time()[0] == pytest.approx(time.time(), abs=60)

    def test_survives_a_restart(self, place: Site, redis: TrialRedis) -> None:
        if redis.clock is None:
            pytest.skip(place.missing["clock"])
        redis.clock.shift(3600)
        redis.crash(0)
        with plain_redis(redis.url) as client:
            assert client.time()[0] - time.time() > 3000
        redis.clock.shift(0)


class TestFault:
    def test_that_met_nobody_has_no_target(self, place: Site) -> None:
        fault = SERVER_FAULTS["PostgreSQL: claims ended"](place, Soon(1))
        assert fault.target == ""
