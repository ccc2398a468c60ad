"""A piece of an answer that somebody else sends leaves at once, or the client is cut off."""

import pytest
from gunicorn.config import Config
from gunicorn.http import parser

from api import gunicorn_conf
from api.gunicorn_answers import Answer

EVENTS = [("Content-Type", "text/event-stream")]
LENGTH = [("Content-Length", "5")]


class Client:
    """A socket whose kernel takes `room` bytes until they are read."""

    def __init__(self, room: int = 10**9) -> None:
        self.room, self.got, self.is_cut_off = room, b"", False

    def send(self, data: bytes, _flags: int = 0, _seconds: float | None = None) -> int:
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.got += taken
        self.room -= len(taken)
        return len(taken)

    def sendall(self, data: bytes) -> None:
        self.got += bytes(data)

    def shutdown(self, _how: int) -> None:
        self.is_cut_off = True


def answer_to(client: Client) -> Answer:
    config = Config()
    config.set("http_parser", gunicorn_conf.http_parser)
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    return Answer(next(parser.RequestParser(config, iter([head]), ("192.0.2.7", 1))), client, config)


class TestAnOffer:
    def test_is_the_whole_answer_in_one_piece(self):
        client = Client()
        answer = answer_to(client)
        answer.start_response("200 OK", LENGTH)(b"hello")
        head, body = client.got.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"hello"
        told = client.got
        answer.close()
        assert (client.got, answer.should_close()) == (told, False)

    def test_without_a_body_is_a_head(self):
        client = Client()
        answer_to(client).start_response("304 NOT MODIFIED", [])(b"")
        assert client.got.startswith(b"HTTP/1.1 304")
        assert client.got.endswith(b"\r\n\r\n")

    def test_goes_on_after_the_pieces_before_it(self):
        client = Client()
        answer = answer_to(client)
        offer = answer.start_response("200 OK", EVENTS)
        answer.write(b"one\n\n")
        offer(b"two\n\n")
        answer.write(b"three\n\n")
        assert client.got.endswith(b"\r\n\r\none\n\ntwo\n\nthree\n\n")

    @pytest.mark.parametrize("room", [0, 1, 100])
    def test_that_does_not_fit_cuts_the_client_off(self, room):
        """Whoever offers has others to tell: a client that does not read must not keep them waiting."""
        client = Client(room)
        offer = answer_to(client).start_response("200 OK", LENGTH)
        with pytest.raises(OSError, match="not read"):
            offer(b"hello")
        assert client.is_cut_off
        assert len(client.got) == room

    def test_never_gets_into_a_piece_that_is_on_its_way(self):
        client = Client()
        answer = answer_to(client)
        offer = answer.start_response("200 OK", EVENTS)
        answer.write(b"")
        client.room = 2

        def sendall_slowly(data: bytes) -> None:
            client.room = 10**9  # it has read meanwhile
            with pytest.raises(OSError, match="not read"):
                offer(b"another\n\n")
            client.got += bytes(data)

        client.sendall = sendall_slowly
        answer.write(b"one\n\n")
        assert client.got.endswith(b"\r\n\r\none\n\n")
        assert client.is_cut_off

    def test_does_not_make_pieces_of_ones_own_impatient(self):
        client = Client()
        answer = answer_to(client)
        answer.start_response("200 OK", EVENTS)(b"one\n\n")
        client.room = 1
        answer.write(b"two\n\n")
        assert client.got.endswith(b"one\n\ntwo\n\n")
        assert not client.is_cut_off
