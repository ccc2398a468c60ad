"""The stack of Redis connections: bounded, last in first out, and empty after one was found broken."""

import os
import signal
import threading

import pytest
from redis import Redis

from scripts.embedded.redis import EmbeddedRedis
from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, ScriptRunner, make_redis
from shared.line.connections import ConnectionStack, NoConnectionError
from tests.lines import await_that

TOKEN_AND_TWO = [keys.claim_token(3), keys.suspects(3), keys.alone(3)]


@pytest.fixture
def redis(redis_url: str):
    client = make_redis(redis_url, max_connections=2, socket_timeout=15)
    yield client
    client.close()


@pytest.fixture
def stack(redis: Redis):
    stack = ConnectionStack(redis)
    yield stack
    stack.close()


class TestConnectionStack:
    def test_gives_the_last_one_back_first(self, stack):
        first, second = stack.acquire(), stack.acquire()
        stack.release(first)
        stack.release(second)
        assert stack.acquire() is second
        assert stack.acquire() is first

    def test_gives_up_when_none_becomes_free(self, redis_url):
        stack = ConnectionStack(make_redis(redis_url, max_connections=1, socket_timeout=1))
        taken = stack.acquire()
        with pytest.raises(NoConnectionError, match="busy"):
            stack.acquire()
        stack.release(taken)
        stack.close()

    def test_waits_for_a_free_one(self, stack):
        first, _second = stack.acquire(), stack.acquire()
        got = []
        waiter = threading.Thread(target=lambda: got.append(stack.acquire()))
        waiter.start()
        await_that(lambda: stack._waiting == 1)
        stack.release(first)
        waiter.join()
        assert got == [first]

    def test_throws_all_idle_ones_away_with_a_broken_one(self, stack):
        first, second = stack.acquire(), stack.acquire()
        stack.release(second)
        stack.discard(first)
        assert stack.acquire() not in (first, second)
        assert stack.acquire() not in (first, second)

    def test_makes_none_where_there_is_no_server(self, tmp_path):
        stack = ConnectionStack(make_redis(f"unix://{tmp_path}/nowhere", max_connections=1))
        for _ in range(3):  # a failure takes no place
            with pytest.raises(NoConnectionError, match="reached"):
                stack.acquire()


class TestScriptRunner:
    def test_after_a_restart_one_answer_is_unknown_and_the_next_is_there(self, own_redis):
        runner = ScriptRunner(make_redis(own_redis.url, max_connections=4))
        held = [runner._connections.acquire() for _ in range(3)]
        for connection in held:
            runner._connections.release(connection)
        own_redis.stop()
        own_redis.start()
        with pytest.raises(AnswerUnknownError):
            runner.run("withdraw", ["nobody"], [])
        assert runner.run("withdraw", ["nobody"], []) == b"absent"
        runner.close()

    def test_says_that_nothing_was_sent_when_redis_is_away(self, own_redis):
        runner = ScriptRunner(make_redis(own_redis.url))
        own_redis.stop()
        with pytest.raises(LineUnavailableError):
            runner.run("withdraw", ["nobody"], [])


class TestConversation:
    def test_sends_a_large_reply_while_redis_reads_nothing(
        self, redis_url: str, redis_server: EmbeddedRedis
    ) -> None:
        client = make_redis(redis_url, max_connections=1, socket_timeout=15)
        runner = ScriptRunner(client)
        runner.run("progress", TOKEN_AND_TWO, ["1"])  # so that Redis knows it
        conversation = runner.converse()
        pid = redis_server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            conversation.send("progress", TOKEN_AND_TWO, ["1", "x" * 1_000_000])
        finally:
            os.kill(pid, signal.SIGCONT)
        assert conversation.read() == [b"outdated"]
        conversation.close()
        runner.close()
        client.close()
