"""What a client and a server see of a network that fails; and that it is whole again afterwards."""

import select
import socket
import time
from contextlib import ExitStack

import pytest

from scripts.trials.proxy.client import Proxy
from tests.lines import await_that
from tests.trials.echoing import Echo, ask, call, read


class TestDelay:
    def test_makes_data_late_in_both_directions(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.delay(0.1)
        began = time.monotonic()
        assert ask(client, b"late") == b"late"
        assert time.monotonic() - began >= 0.2

    def test_keeps_the_order_when_only_a_share_is_late(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.delay(0.02, 0.5)
        pieces = [b"%04d" % number for number in range(100)]
        for piece in pieces:
            client.sendall(piece)
        assert read(client, 400) == b"".join(pieces)

    def test_is_an_ends_delay_too(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        proxy.delay(0.1)
        client.sendall(b" and goodbye")
        client.shutdown(socket.SHUT_WR)
        assert read(client, 100) == b" and goodbye"
        await_that(lambda: echo.ended == [True], what="the server's end")
        assert echo.everything == b"hello and goodbye"

    def test_lets_what_waits_go_when_it_heals(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.delay(3600)
        client.sendall(b"waiting")
        await_that(lambda: proxy.count()["chunks"] == 3, what="the proxy's having it")
        proxy.heal()
        assert read(client, 7) == b"waiting"


class TestTrickle:
    def test_gives_a_message_byte_by_byte(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.trickle()
        client.sendall(b"some words")
        pieces = []
        while sum(map(len, pieces)) < 10:
            pieces.append(client.recv(100))
        assert b"".join(pieces) == b"some words"
        assert len(pieces) > 1

    def test_lets_a_batch_through_in_seconds(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        echo.silent = True
        proxy.trickle()
        client.sendall(b"x" * 100_000)
        await_that(lambda: len(echo.everything) == 100_005, what="100 KB")


class TestCut:
    def test_resets_the_client_and_tells_the_server(
        self, proxy: Proxy, client: socket.socket, echo: Echo
    ) -> None:
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            read(client, 1)
        await_that(lambda: echo.ended == [True], what="the server's end")

    def test_meets_only_the_share(self, proxy: Proxy) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(call(proxy)) for _ in range(10)]
            for client in clients:
                ask(client, b"hello")
            assert proxy.cut(0.3) == 3
            assert proxy.count()["connections"] == 7

    def test_lets_new_ones_in(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.cut()
        with call(proxy) as another:
            assert ask(another, b"new") == b"new"

    def test_in_mid_message_passes_a_part(self, proxy: Proxy, client: socket.socket, echo: Echo) -> None:
        assert proxy.cut_in_message() == 1
        client.sendall(b"0123456789")
        with pytest.raises(ConnectionResetError):
            read(client, 10)
        await_that(lambda: echo.ended == [True], what="the server's end")
        assert echo.everything == b"hello01234"


class TestShutDoor:
    def test_refuses_new_connections_only(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError), call(proxy):
            pass
        assert ask(client, b"old") == b"old"
        proxy.heal()
        with call(proxy) as another:
            assert ask(another, b"new") == b"new"

    def test_closes_new_connections_at_once(self, proxy: Proxy) -> None:
        proxy.refuse("closed")
        with pytest.raises(ConnectionResetError), call(proxy) as client:  # before or after it is told of it
            read(client, 1)
        proxy.heal()
        with call(proxy) as client:
            assert ask(client, b"new") == b"new"

    def test_ignores_new_connections_until_it_heals(self, proxy: Proxy) -> None:
        proxy.refuse("ignored")
        with call(proxy, 0.1) as client:
            client.sendall(b"anybody?")
            with pytest.raises(TimeoutError):
                read(client, 1)
            proxy.heal()
            client.settimeout(30)
            assert read(client, 8) == b"anybody?"


class TestFreeze:
    def test_says_nothing_and_goes_on_later(self, proxy: Proxy, client: socket.socket) -> None:
        proxy.freeze()
        client.settimeout(0.1)
        client.sendall(b"anybody?")
        with pytest.raises(TimeoutError):
            read(client, 1)
        proxy.heal()
        client.settimeout(30)
        assert read(client, 8) == b"anybody?"

    def test_delivers_late_what_a_client_sent_that_has_gone(self, proxy: Proxy, echo: Echo) -> None:
        with call(proxy) as client:
            ask(client, b"hello")
            proxy.freeze()
            client.sendall(b" and goodbye")
        assert echo.everything == b"hello"
        proxy.heal()
        await_that(lambda: echo.ended == [True], what="the server's end")
        assert echo.everything == b"hello and goodbye"

    def test_of_a_share_leaves_the_others_alone(self, proxy: Proxy) -> None:
        with call(proxy) as one, call(proxy) as another:
            clients = {one, another}
            for client in clients:
                ask(client, b"hello")
            assert proxy.freeze(0.5) == 1
            for client in clients:
                client.sendall(b"x")
            (answered,), _, _ = select.select(clients, [], [], 30)
            assert read(answered, 1) == b"x"
            (silent,) = clients - {answered}
            silent.settimeout(0.1)
            with pytest.raises(TimeoutError):
                read(silent, 1)
