"""What our gunicorn worker does in another way than gunicorn, and that everything else comes out the same."""

import gunicorn.util
import pytest
from gunicorn.config import Config
from gunicorn.http import message, parser, wsgi
from gunicorn.workers import base

from api import gunicorn_conf
from api.gunicorn_answers import OFFERS, Answer
from api.gunicorn_log import ErrorLogger
from api.gunicorn_requests import Request, create
from api.gunicorn_worker import Worker, http_date, install

DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


class Sent:
    """A socket that keeps what is sent, and takes `room` bytes at a time."""

    def __init__(self, room: int = 10**9) -> None:
        self.pieces: list[bytes] = []
        self.room = room

    def send(self, data: bytes, _flags: int = 0, _seconds: float | None = None) -> int:
        self.pieces.append(bytes(data[: self.room]))
        return len(self.pieces[-1])

    def sendall(self, data: bytes) -> None:
        self.pieces.append(bytes(data))


def asked(method: str = "GET", version: str = "1.1", *, peer: object = ("192.0.2.7", 1)) -> message.Request:
    """A request that gunicorn read."""
    head = f"{method} / HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n".encode()
    return next(parser.RequestParser(configuration(), iter([head]), peer))


def configuration() -> Config:
    config = Config()
    config.set("http_parser", gunicorn_conf.http_parser)
    return config


def answered(kind: type, request: message.Request, status: str, headers, pieces) -> list[bytes]:
    """What left for a client, in which pieces."""
    sent = Sent()
    answer = kind(request, sent, configuration())
    answer.start_response(status, headers)
    for piece in pieces:
        answer.write(piece)
    answer.close()
    return sent.pieces


@pytest.fixture
def stock(monkeypatch):
    """gunicorn as it was, whatever is installed meanwhile."""
    for place, name in (
        (wsgi, "Response"),
        (wsgi, "base_environ"),
        (gunicorn.util, "http_date"),
        (wsgi, "create"),
        (gunicorn.http, "RequestParser"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))
    return monkeypatch


LENGTH = ("Content-Length", "5")
BODIES = {
    "with its length": ("200 OK", [("X", "y"), LENGTH], [b"hello"]),
    "in pieces": ("200 OK", [LENGTH], [b"he", b"llo"]),
    "in pieces without a length": ("200 OK", [], [b"he", b"llo"]),
    "that begins with nothing": ("200 OK", [], [b"", b"hello"]),
    "that is nothing": ("200 OK", [], [b""]),
    "that is not there": ("200 OK", [], []),
    "longer than it says": ("200 OK", [LENGTH], [b"hello, world", b"again"]),
    "where there is none": ("200 OK", [("Content-Length", "0")], [b"hello"]),
    "with nothing new": ("304 NOT MODIFIED", [("ETag", '"x"')], [b"hello"]),
    "with no content": ("204 NO CONTENT", [], []),
    "with obs-text": ("200 OK", [("X", "\xe9"), LENGTH], [b"hello"]),
}


class TestAnAnswer:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_is_to_the_byte_what_gunicorn_sends(self, stock, method, version, body):
        stock.setattr(gunicorn.util, "http_date", lambda: DATE)
        ours, theirs = (answered(kind, asked(method, version), *body) for kind in (Answer, wsgi.Response))
        assert b"".join(ours) == b"".join(theirs)
        assert DATE.encode() in ours[0]

    def test_leaves_in_one_piece(self):
        pieces = answered(Answer, asked(), *BODIES["with its length"])
        assert len(pieces) == 1
        assert pieces[0].endswith(b"\r\n\r\nhello")

    def test_that_is_a_stream_waits_for_nothing(self):
        sent = Sent()
        answer = Answer(asked(), sent, configuration())
        answer.start_response("200 OK", [])
        for count, piece in enumerate((b"one", b"two", b"three"), start=1):
            answer.write(piece)
            assert len(sent.pieces) == count
            assert sent.pieces[-1].endswith(b"\r\n" + piece + b"\r\n")

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_that_is_a_stream_of_events_ends_with_its_connection(self, version):
        sent = Sent()
        answer = Answer(asked(version=version), sent, configuration())
        answer.start_response("200 OK", [("Content-Type", "text/event-stream")])
        answer.write(b"one\n\n")
        answer.write(b"two\n\n")
        answer.close()
        head, rest = sent.pieces[0].split(b"\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in head
        assert b"Transfer-Encoding" not in head
        assert [rest, *sent.pieces[1:]] == [b"one\n\n", b"two\n\n"]
        assert answer.should_close()

    def test_whose_stream_begins_later_has_told_its_head(self):
        """As with gunicorn: an empty piece says that the rest will come."""
        sent = Sent()
        answer = Answer(asked(), sent, configuration())
        answer.start_response("200 OK", [])
        answer.write(b"")
        assert b"".join(sent.pieces).endswith(b"\r\n\r\n")

    @pytest.mark.parametrize("room", [1, 20, 150])
    def test_arrives_whole_where_the_kernel_takes_little_at_a_time(self, stock, room):
        stock.setattr(gunicorn.util, "http_date", lambda: DATE)
        sent = Sent(room)
        answer = Answer(asked(), sent, configuration())
        answer.start_response("200 OK", [LENGTH])
        answer.write(b"hello")
        answer.close()
        assert b"".join(sent.pieces) == b"".join(answered(Answer, asked(), "200 OK", [LENGTH], [b"hello"]))

    def test_whose_headers_are_bad_is_not_begun(self):
        sent = Sent()
        answer = Answer(asked(), sent, configuration())
        with pytest.raises(gunicorn.http.errors.InvalidResponseHeader):
            answer.start_response("200 OK", [("X", "a\r\nSet-Cookie: b")])
        assert (sent.pieces, answer.headers_sent) == ([], False)


FIELDS = [
    *[
        ("X", value)
        for value in (
            "y",
            " y\t",
            " y ",
            "",
            "\ty z ",
            "\xe9",
            "a\r\nb",
            "a\nb",
            "a\x00",
            "a\x7f",
            "\u20ac",
            b"y",
            None,
        )
    ],
    *[
        (name, "y")
        for name in (
            "",
            "X Y",
            "X:",
            "X\r\nY",
            "\xe9",
            "x-y",
            "Connection",
            "Keep-Alive",
            "TE",
            "Upgrade",
            b"X",
        )
    ],
    *[
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "websocket"),
        ("Connection", "upgrade"),
        ("Connection", "close"),
    ],
    *[(name, value) for name in ("Content-Length", "content-length") for value in ("5", " 5", "x", "\xb2")],
]


def judged(kind: type, fields) -> object:
    """What is kept of the fields and what was read in them, or the error."""
    answer = kind(asked(), Sent(), configuration())
    try:
        answer.start_response("200 OK", fields)
    except Exception as error:
        return type(error)
    return answer.headers, answer.response_length, answer.upgrade, answer.chunked


class TestAField:
    @pytest.mark.parametrize("field", FIELDS, ids=repr)
    def test_is_judged_as_by_gunicorn(self, stock, field):
        for fields in ([field], [("A", "b"), field, ("C", "d")], [field, field]):
            assert judged(Answer, fields) == judged(wsgi.Response, fields)


class TestTheDate:
    def test_is_that_of_now_and_of_any_other_second(self):
        for timestamp in (0.0, 1.99, 2.0, 1_795_780_800.5):
            assert http_date(timestamp) == gunicorn.util.email.utils.formatdate(timestamp, usegmt=True)
        assert len(http_date()) == len(DATE)


class TestWhatIsInstalled:
    def test_is_what_gunicorn_uses(self, stock):
        """Each of these is a place inside gunicorn, which another version may have moved."""
        config = configuration()
        install(config)
        source = iter([b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n"])
        request = next(gunicorn.http.get_parser(config, source, ("192.0.2.7", 1)))
        answer, environ = wsgi.create(request, Sent(), ("192.0.2.7", 1), ("127.0.0.1", 80), config)
        assert (type(request), type(answer), wsgi.create) == (Request, Answer, create)
        assert (environ["PATH_INFO"], environ["HTTP_HOST"]) == ("/x", "y")
        answer.start_response("200 OK", [])
        assert f"Date: {http_date()}\r\n" in answer.default_headers()
        assert gunicorn.util.http_date is http_date

    def test_leaves_paths_that_are_cut_in_two_to_gunicorn(self, stock):
        theirs = wsgi.create
        config = configuration()
        config.set("raw_env", ["SCRIPT_NAME=/under"])
        install(config)
        assert wsgi.create is theirs
        stock.setenv("SCRIPT_NAME", "/under")
        install(configuration())
        assert wsgi.create is theirs

    def test_gives_each_request_an_environ_of_its_own(self, stock):
        config = configuration()
        theirs = wsgi.base_environ(config)
        install(config)
        first, second = wsgi.base_environ(config), wsgi.base_environ(config)
        assert first is not second
        assert set(first) == {*theirs, OFFERS}
        first["wsgi.errors"] = None
        assert second["wsgi.errors"] is not None

    def test_keeps_every_setting(self, stock):
        config, theirs = configuration(), configuration()
        install(config)
        for name in theirs.settings:
            assert getattr(config, name) == getattr(theirs, name), name


class TestTheConfiguration:
    def test_names_our_worker_and_the_strict_parser(self):
        config = Config()
        config.set("worker_class", gunicorn_conf.worker_class)
        config.set("logger_class", gunicorn_conf.logger_class)
        assert (config.worker_class, config.logger_class) == (Worker, ErrorLogger)
        assert gunicorn_conf.http_parser == "python"

    def test_leaves_the_life_of_requests_and_processes_to_gunicorn(self):
        assert {name for name in vars(Worker) if not name.startswith("__")} == {
            "init_process",
            "run",
            "timeout_ctx",
        }
        assert issubclass(Worker, base.Worker)

    def test_has_no_access_log_of_gunicorn(self):
        class Untouchable:
            def __getattribute__(self, name: str) -> object:
                raise AssertionError(name)

        logger = ErrorLogger.__new__(ErrorLogger)
        assert logger.access(*[Untouchable()] * 4) is None
