"""The proxy passes everything as it is, and ends with whoever started it."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg2
import pytest
from redis import Redis

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.trials.proxy.client import Proxy, ProxyError
from tests.lines import await_that
from tests.trials.echoing import Echo, ask, call, read
from tests.trials.watching import plain_postgres, plain_redis


class TestProxy:
    def test_passes_a_megabyte_both_ways(self, proxy: Proxy, echo: Echo) -> None:
        data = bytes(range(256)) * 4096
        with call(proxy) as client:
            writer = threading.Thread(target=client.sendall, args=(data,))
            writer.start()
            assert read(client, len(data)) == data
            writer.join()
        assert echo.everything == data

    def test_keeps_connections_apart(self, proxy: Proxy) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(call(proxy)) for _ in range(50)]
            for number, client in enumerate(clients):
                client.sendall(b"%05d" % number)
            assert [read(client, 5) for client in clients] == [b"%05d" % number for number in range(50)]
            assert proxy.count()["connections"] == 50

    def test_holds_back_a_sender_whose_reader_does_not_read(self, proxy: Proxy) -> None:
        sent, piece = 0, b"x" * 65_536
        with call(proxy, 0.5) as client, suppress(TimeoutError):
            while sent < 100_000_000:
                sent += client.send(piece)
        assert sent < 50_000_000  # the kernel's buffers and a megabyte

    def test_passes_an_end_and_what_is_said_after_it(self, proxy: Proxy, echo: Echo) -> None:
        with call(proxy) as client:
            client.sendall(b"last words")
            client.shutdown(socket.SHUT_WR)
            assert read(client, 100) == b"last words"
        await_that(lambda: echo.ended == [True], what="the server's end")

    def test_tells_the_server_that_a_client_has_gone(self, proxy: Proxy, echo: Echo) -> None:
        with call(proxy) as client:
            ask(client, b"hello")
        await_that(lambda: echo.ended == [True], what="the server's end")
        await_that(lambda: proxy.count()["connections"] == 0, what="nothing left")

    def test_ends_connections_while_there_is_no_server(self, server_dir: Path) -> None:
        with (
            Proxy(server_dir / "nobody.sock") as proxy,
            pytest.raises(ConnectionResetError),  # it may come before the call has returned
            call(proxy) as client,
        ):
            read(client, 1)

    def test_listens_on_the_same_port_when_started_again(self, proxy: Proxy) -> None:
        port = proxy.port
        proxy.stop()
        with pytest.raises(ProxyError):
            proxy.count()
        proxy.start()
        assert proxy.port == port
        with call(proxy) as client:
            assert ask(client, b"again") == b"again"

    def test_ends_when_its_input_ends(self, proxy: Proxy) -> None:
        process = proxy._process
        process.stdin.close()
        assert process.wait(30) == 0


class TestRedisThroughTheProxy:
    @pytest.fixture
    def client(self, redis_server: EmbeddedRedis, redis_url: str) -> Iterator["Redis"]:
        path = Path(redis_server.url.removeprefix("unix://"))
        with Proxy(path) as proxy, plain_redis(proxy.url(redis_server.url)) as client:
            yield client

    def test_answers_a_blocking_pop(self, client: "Redis") -> None:
        waiter = threading.Timer(0.05, client.rpush, args=("list", "x"))
        waiter.start()
        assert client.blpop(["list"], timeout=30) == (b"list", b"x")
        waiter.join()

    def test_tells_subscribers(self, client: "Redis") -> None:
        with client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe("news")
            await_that(lambda: client.pubsub_numsub("news")[0][1], what="the subscription")
            client.publish("news", "x")
            message = await_that(lambda: channel.get_message(timeout=1), what="the message")
        assert message["data"] == b"x"

    def test_passes_a_pipeline_and_large_values(self, client: "Redis") -> None:
        pipeline = client.pipeline(transaction=True)
        for number in range(1_000):
            pipeline.set(f"key-{number}", "x" * 1_000)
        assert all(pipeline.execute())
        assert client.get("key-999") == b"x" * 1_000


class TestPostgresThroughTheProxy:
    @pytest.fixture
    def connection(
        self, postgres: EmbeddedPostgres, database_url: str
    ) -> Iterator[psycopg2.extensions.connection]:
        path = Path(database_url.partition("host=")[2].partition("&")[0]) / ".s.PGSQL.5432"
        with Proxy(path) as proxy:
            connection = plain_postgres(proxy.url(database_url))
            yield connection
            connection.close()

    def test_answers_queries(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select n, repeat('x', 1000) from generate_series(1, 2000) n")
            assert sum(number for number, _ in cursor.fetchall()) == 2_001_000

    def test_copies_both_ways(self, connection: psycopg2.extensions.connection) -> None:
        rows = io.StringIO("".join(f"{number}\n" for number in range(20_000)))
        with connection.cursor() as cursor:
            cursor.execute("create temporary table numbers (n int)")
            cursor.copy_from(rows, "numbers")
            copied = io.StringIO()
            cursor.copy_to(copied, "numbers")
        assert copied.getvalue() == rows.getvalue()

    def test_cancels_a_query(self, connection: psycopg2.extensions.connection) -> None:
        canceller = threading.Timer(0.1, connection.cancel)
        canceller.start()
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.QueryCanceled):
            cursor.execute("select pg_sleep(20)")
        canceller.join()
