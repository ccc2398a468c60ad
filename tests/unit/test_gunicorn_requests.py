"""A head that is plainly fine is read as gunicorn would read it, and every other one by gunicorn."""

import contextlib
import random
from collections.abc import Iterator
from itertools import chain

import pytest
from gunicorn.config import Config
from gunicorn.http import message, parser, wsgi

from api import gunicorn_conf, gunicorn_requests
from api.gunicorn_requests import Parser, Request, create
from tests.heads import PLAIN, UNUSUAL, cut, generated

SERVER = ("127.0.0.1", 80)
FAR, NEAR = ("192.0.2.7", 1), ("127.0.0.1", 1)
PEERS = [FAR, NEAR, ("::1", 1, 0, 0), ("", 0), "a socket", b"a socket"]
FACTS = (
    *("method", "uri", "path", "query", "fragment", "version", "headers", "trailers", "scheme", "must_close"),
    *("_expected_100_continue", "proxy_protocol_info", "req_number", "peer_addr", "remote_addr"),
)
SETTINGS = [
    *({"limit_request_line": size} for size in (0, 20, 34, 50, 8190, 9000)),
    *({"limit_request_field_size": size} for size in (0, 1, 2, 20, 34, 50, 9000)),
    *({"limit_request_fields": count} for count in (0, 1, 2, 5, 40000)),
    {"limit_request_line": 0, "limit_request_field_size": 0},
    *({"proxy_protocol": mode, "proxy_allow_ips": "*"} for mode in ("v1", "v2", "auto")),
    *({"header_map": how} for how in ("drop", "refuse", "dangerous")),
    *({"forwarded_allow_ips": ips} for ips in ("*", "", "192.0.2.0/24")),
    {"forwarder_headers": "SCRIPT_NAME,PATH_INFO,REMOTE_USER"},
    {"secure_scheme_headers": {"X-FORWARDED-PROTO": "http", "CONTENT-TYPE": "text/plain", "X_Y": "z"}},
    {"certfile": "cert", "keyfile": "key"},
    *(
        {name: True}
        for name in (
            *("strip_header_spaces", "permit_obsolete_folding", "casefold_http_method"),
            *("permit_unconventional_http_method", "permit_unconventional_http_version"),
        )
    ),
]


class Sent(list[bytes]):
    """A socket that keeps what is sent."""

    send = sendall = list.append


def configuration(**settings: object) -> Config:
    config = Config()
    config.set("http_parser", gunicorn_conf.http_parser)
    config.set("forwarder_headers", gunicorn_conf.forwarder_headers)
    for name, value in settings.items():
        config.settings[name].value = value if name.endswith("file") else config.settings[name].get()
        if not name.endswith("file"):
            config.set(name, value)
    return config


def conversed(kind, pieces, config, peer, *, takes: int = 10**6) -> Iterator[object]:
    """What is read of a connection, of whose bodies the application takes so much: requests, the error, what is left."""
    reader, make = kind
    source = iter(pieces)
    connection, info = reader(config, chain(source), peer), {}
    try:
        for request in connection:
            # As gunicorn's loop does.
            info = request.proxy_protocol_info = request.proxy_protocol_info or info
            yield {name: getattr(request, name) for name in FACTS}
            held = len(request.body.buf.getvalue())
            length = held + getattr(request.body.reader, "length", 0)
            yield request.should_close(), type(request.body.reader), length
            sent = Sent()
            answer, environ = make(request, sent, peer, SERVER, config)
            assert (environ.pop("wsgi.input"), environ.pop("gunicorn.socket")) == (request.body, sent)
            assert environ.pop("wsgi.early_hints") is not environ.pop("wsgi.errors")
            yield environ, sent, type(answer), answer.req is request
            yield [take(takes) for take in (request.body.read, request.body.readline, request.body.read)]
        if connection.mesg is not None and connection.mesg.should_close():
            yield connection.mesg.body.read()  # nobody else does: the connection ends here
    except Exception as error:
        yield type(error), str(error)
    yield connection.unreader.buf.getvalue() + b"".join(source)


OURS, THEIRS = (Parser, create), (parser.RequestParser, gunicorn_requests._create)


def assert_same(pieces, *, config: Config | None = None, peer=FAR, takes: int = 10**6) -> None:
    config = CONFIG if config is None else config
    ours, theirs = (list(conversed(kind, pieces, config, peer, takes=takes)) for kind in (OURS, THEIRS))
    assert ours == theirs, pieces


CONFIG = configuration()


class TestAPlainHead:
    @pytest.mark.parametrize("whole", PLAIN.values(), ids=PLAIN)
    def test_is_read_in_one_go(self, whole):
        assert next(Parser(CONFIG, [whole], FAR)).fields is not None

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
    def test_has_any_usual_method(self, method):
        assert next(Parser(CONFIG, [method + b" / HTTP/1.1\r\nHost: x\r\n\r\n"], FAR)).fields is not None

    @pytest.mark.parametrize("peer", PEERS, ids=repr)
    @pytest.mark.parametrize("whole", PLAIN.values(), ids=PLAIN)
    def test_is_read_as_by_gunicorn(self, whole, peer):
        assert_same([whole], peer=peer)
        assert_same([whole * 3], peer=peer)

    @pytest.mark.parametrize("whole", PLAIN.values(), ids=PLAIN)
    def test_in_pieces_is_the_same(self, whole):
        for place in range(1, len(whole)):
            assert_same(cut(whole, place))
            assert_same(cut(whole * 2, place, len(whole) + place))
        assert_same(cut(whole, *range(len(whole))))

    def test_in_pieces_is_gunicorns_to_read(self):
        for place in range(1, len(PLAIN["a poll"])):
            assert next(Parser(CONFIG, cut(PLAIN["a poll"], place), FAR)).fields is None

    @pytest.mark.parametrize("target", [b"//", b"//x/y", b"/#", b"http://x/", b"*"])
    def test_has_a_path_that_nobody_could_read_as_a_host(self, target):
        whole = b"OPTIONS %s HTTP/1.1\r\nHost: x\r\n\r\n" % target
        assert next(Parser(CONFIG, [whole], FAR)).fields is None

    @pytest.mark.parametrize("takes", [0, 1, 5, 13, 14, 15])
    def test_begins_where_the_body_before_it_ends(self, takes):
        """However little of that the application wanted."""
        whole = PLAIN["a booking"] + PLAIN["a poll"]
        for place in range(1, len(whole)):
            assert_same(cut(whole, place), takes=takes)
        assert_same(cut(PLAIN["a booking"] * 2, len(PLAIN["a booking"]) - 3), takes=takes)
        assert_same([PLAIN["a booking"][:-1]], takes=takes)

    @pytest.mark.parametrize("settings", SETTINGS, ids=repr)
    def test_is_what_the_configuration_lets_through(self, settings):
        config = configuration(**settings)
        for whole in (*PLAIN.values(), *UNUSUAL):
            for peer in (FAR, NEAR):
                assert_same([whole + PLAIN["a poll"]], config=config, peer=peer)

    @pytest.mark.parametrize("size", [4093, 4094, 4095, 8000, 8186, 8190])
    def test_ends_where_the_limits_are(self, size):
        for settings in (
            {},
            {"limit_request_line": 0},
            {"limit_request_line": 9000, "limit_request_field_size": 9000},
        ):
            config = configuration(**settings)
            for start, end in (
                (b"GET /", b" HTTP/1.1\r\nHost: x\r\n\r\n"),
                (b"GET / HTTP/1.1\r\nX: ", b"\r\n\r\n"),
            ):
                for less in range(30):
                    assert_same([start + b"x" * (size - less) + end], config=config)

    def test_has_its_body_with_it_where_that_came_along(self):
        whole = PLAIN["a booking"]
        for sent in (whole, whole * 2):
            request = next(Parser(CONFIG, [sent], FAR))
            assert (request.body.reader.length, request.body.read()) == (0, b'{"quantity":1}')
        request = next(Parser(CONFIG, [whole[:-1], whole[-1:]], FAR))
        assert (request.body.reader.length, request.body.read()) == (14, b'{"quantity":1}')

    @pytest.mark.parametrize("count", [99, 100, 101])
    def test_has_no_more_fields_than_may_be(self, count):
        assert_same(
            [b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(count)) + b"\r\n"]
        )


class TestAnyOther:
    @pytest.mark.parametrize("whole", UNUSUAL, ids=lambda whole: repr(whole[:60]))
    def test_is_read_and_refused_as_by_gunicorn(self, whole):
        for peer in PEERS:
            assert_same([whole] if whole else [], peer=peer)
            assert_same([whole + PLAIN["a poll"]], peer=peer)
        for place in range(1, min(len(whole), 200)):
            assert_same([*cut(whole, place), PLAIN["a poll"]])

    def test_leaves_no_trace_of_what_was_tried(self):
        for whole in UNUSUAL:
            with contextlib.suppress(Exception, StopIteration):
                ours, theirs = (next(reader(CONFIG, [whole], FAR)) for reader, _ in (OURS, THEIRS))
                assert ours.fields is not None or set(vars(ours)) == set(vars(theirs))

    @pytest.mark.parametrize("part", range(8))
    def test_made_up_by_number_is_the_same(self, part):
        plain = 0
        for number in range(part * 700, part * 700 + 700):
            rng = random.Random(number)
            whole = b"".join(generated(rng) for _ in range(rng.choice((1, 1, 2, 4))))
            pieces = cut(whole, *(rng.randrange(len(whole)) for _ in range(rng.choice((0, 0, 1, 3)))))
            assert_same(pieces, peer=rng.choice(PEERS), takes=rng.choice((0, 3, 10**6)))
            with contextlib.suppress(Exception):
                plain += next(Parser(CONFIG, pieces, FAR)).fields is not None
        assert 150 < plain < 600


class TestAPeer:
    @pytest.mark.parametrize("peer", [*PEERS, None], ids=repr)
    def test_is_trusted_as_by_gunicorn(self, peer):
        for _ in range(2):
            whole = [b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX: \t\r\n\r\n"]
            ours, theirs = (
                kind(CONFIG, parser.IterUnreader(iter(whole)), peer) for kind in (Request, message.Request)
            )
            assert ours.scheme == theirs.scheme
            assert ours._peer_is_trusted_proxy() == theirs._peer_is_trusted_proxy()


class TestAnEnviron:
    def test_is_no_other_requests(self):
        connection = Parser(CONFIG, [PLAIN["a poll"] * 2], FAR)
        first, second = (create(next(connection), Sent(), FAR, SERVER, CONFIG)[1] for _ in range(2))
        first["HTTP_HOST"] = None
        assert second["HTTP_HOST"] == "tickets.example.org"

    def test_is_gunicorns_where_the_server_is_a_file(self):
        request = next(Parser(CONFIG, [PLAIN["a poll"]], ""))
        environ = create(request, Sent(), "", "/run/x", CONFIG)[1]
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("tickets.example.org", "80")
        assert create(request, Sent(), FAR, "/run/x", CONFIG)[1]["SERVER_NAME"] == "tickets.example.org"

    def test_of_an_answer_of_another_kind_is_gunicorns(self):
        class Other(wsgi.Response):
            def __init__(self, *about: object) -> None:
                super().__init__(*about[:3])
                self.more = about[3:]

        request = next(Parser(CONFIG, [PLAIN["a poll"]], FAR))
        answer, environ = create(
            request, Sent(), FAR, SERVER, CONFIG, response_class=Other, response_args=(1, 2)
        )
        assert (type(answer), answer.more, environ["REMOTE_ADDR"]) == (Other, (1, 2), FAR[0])
