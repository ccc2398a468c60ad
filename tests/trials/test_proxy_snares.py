"""A reply that is lost after the server did its work, and a request that never arrived."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from scripts.embedded.redis import EmbeddedRedis
from scripts.trials.proxy.client import Proxy
from scripts.trials.site import script_needle
from shared.line.client import AnswerUnknownError, ScriptRunner, make_redis
from tests.lines import await_that
from tests.trials.echoing import Echo, ask, call, read
from tests.trials.watching import plain_postgres, plain_redis


class TestLostReply:
    def test_comes_after_the_server_heard_everything(
        self, proxy: Proxy, client: socket.socket, echo: Echo
    ) -> None:
        name = proxy.drop_reply(b"needle")
        client.sendall(b"a needle in it")
        with pytest.raises(ConnectionResetError):
            read(client, 1)
        assert echo.everything == b"helloa needle in it"
        assert proxy.await_hit(name, 30)

    def test_is_found_across_the_borders_of_pieces(
        self, proxy: Proxy, client: socket.socket, echo: Echo
    ) -> None:
        echo.silent = True
        name = proxy.drop_reply(b"needle")
        for piece in (b"a nee", b"d", b"le"):
            before = proxy.count()["chunks"]
            client.sendall(piece)
            await_that(lambda b=before: proxy.count()["chunks"] > b, what="the piece")
        assert proxy.hits(name) == 1

    def test_may_leave_silence_until_it_heals(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        proxy.drop_reply(b"needle", then="hang")
        client.sendall(b"needle")
        await_that(lambda: echo.everything == b"helloneedle", what="the request")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read(client, 1)
        client.settimeout(30)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            read(client, 1)

    def test_happens_as_often_as_asked(self, proxy: Proxy) -> None:
        name = proxy.drop_reply(b"needle", times=2)
        for lost in (True, True, False):
            with call(proxy) as client:
                client.sendall(b"needle")
                if lost:
                    with pytest.raises(ConnectionResetError):
                        read(client, 1)
                else:
                    assert read(client, 6) == b"needle"
        assert proxy.hits(name) == 2

    def test_leaves_others_alone(self, proxy: Proxy, client: socket.socket) -> None:
        name = proxy.drop_reply(b"needle")
        assert ask(client, b"needl and hay") == b"needl and hay"
        assert not proxy.await_hit(name, 0.05)
        proxy.heal()
        assert ask(client, b"needle") == b"needle"


class TestLostRequest:
    def test_stops_before_the_needle(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        proxy.drop_request(b"needle")
        client.sendall(b"a needle in it")
        with pytest.raises(ConnectionResetError):
            read(client, 100)
        await_that(lambda: echo.ended == [True], what="the server's end")
        assert echo.everything == b"helloa "

    def test_may_leave_silence(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        proxy.drop_request(b"needle", then="hang")
        client.sendall(b"needle")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read(client, 1)
        assert echo.everything == b"hello"
        assert echo.ended == [False]


class TestCommit:
    @pytest.fixture
    def proxy(self, database_url: str) -> Iterator[Proxy]:
        path = Path(database_url.partition("host=")[2].partition("&")[0]) / ".s.PGSQL.5432"
        with Proxy(path) as found:
            yield found

    @pytest.mark.parametrize("arrives", [True, False])
    def test_is_done_exactly_when_it_arrived(self, proxy: Proxy, database_url: str, arrives: bool) -> None:
        (proxy.drop_reply if arrives else proxy.drop_request)(b"COMMIT")
        with closing(plain_postgres(proxy.url(database_url))) as connection, connection.cursor() as cursor:
            cursor.execute("create table there (n int)")
            with pytest.raises(psycopg2.OperationalError):
                connection.commit()
        with closing(plain_postgres(database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('there') is not null")
            assert cursor.fetchone() == (arrives,)


class TestScript:
    @pytest.fixture
    def proxy(self, redis_server: EmbeddedRedis, redis_url: str) -> Iterator[Proxy]:
        with Proxy(Path(redis_server.url.removeprefix("unix://"))) as found:
            yield found

    @pytest.mark.parametrize("arrives", [True, False])
    def test_has_run_exactly_when_it_arrived(self, proxy: Proxy, redis_url: str, arrives: bool) -> None:
        with plain_redis(redis_url) as direct, plain_redis(proxy.url(redis_url)) as client:
            digest = direct.script_load("return redis.call('INCR', KEYS[1])")
            (proxy.drop_reply if arrives else proxy.drop_request)(digest.encode())
            with pytest.raises(RedisConnectionError):
                client.evalsha(digest, 1, "counter")
            assert direct.get("counter") == (b"1" if arrives else None)

    def test_of_the_line_is_told_as_unknown(self, proxy: Proxy, redis_url: str) -> None:
        client = make_redis(proxy.url(redis_url))
        runner = ScriptRunner(client)
        proxy.drop_reply(script_needle("status"))
        with pytest.raises(AnswerUnknownError):
            runner.run("status", ["job"], ["x"])
        runner.close()
        client.close()
