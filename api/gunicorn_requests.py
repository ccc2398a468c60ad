"""gunicorn's own request, read in one go where its head is plainly fine (docs/adr/0050-plain-heads.md).

Plainly fine is a strict part of what gunicorn lets through, with the same result: a whole head in the first bytes that
come, all of them printable, no name twice, and nothing but a length that says how the message goes on. Of everything
else no byte is missing when gunicorn begins to read.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gunicorn.http import message, parser, wsgi
from gunicorn.http.body import Body, LengthReader
from gunicorn.util import unquote_to_wsgi_str

_PEERS_MAX: Final = 4096
# Browsers, proxies and other clients use some hundred; each weighs as much as a head may at most.
_NAMES_MAX: Final = 256
_CONFIGURATIONS_MAX: Final = 2

# More is never plain, whatever the configuration lets through.
_HEAD_BYTES_MAX: Final = 8000
_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# They say how the message goes on, or what becomes of the connection.
_NOT_PLAIN: Final = frozenset({"EXPECT", "TE", "TRAILER", "TRANSFER-ENCODING", "UPGRADE"})
# In the environ without HTTP_ before them.
_OF_THE_BODY: Final = frozenset({"CONTENT-LENGTH", "CONTENT-TYPE"})
_LENGTH_DIGITS_MAX: Final = 15

_create = wsgi.create


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about plain heads."""

    head_bytes_max: int  # within each limit for a line; 0 where there is none, or no head is plain
    fields_max: int
    scheme: str
    scheme_fields: frozenset[str]  # in which a proxy says how the client came


class Request(message.Request):
    """A request from the bytes of a connection."""

    # What the environ says of the fields of a plain head, each of which came once.
    fields: dict[str, str] | None = None

    def __init__(self, cfg: Any, unreader: Any, peer_addr: object, req_number: int = 1) -> None:  # noqa: ANN401 - gunicorn has no types
        data = unreader.read()
        if not data:
            raise StopIteration
        self.cfg, self.unreader, self.peer_addr = cfg, unreader, peer_addr
        rest = self._read_plain(data, rules_of(cfg))
        if rest is None:
            unreader.unread(data)
            super().__init__(cfg, unreader, peer_addr, req_number)
            return
        if rest:
            self._begin_body(rest)
        self.remote_addr, self.req_number = peer_addr, req_number
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None
        self.must_close = self._expected_100_continue = False

    def _read_plain(self, data: bytes, rules: Rules) -> bytes | None:
        """What comes after the head, or None if that is not plainly fine."""
        head, end, rest = data.partition(_HEAD_END)
        if not end or len(head) > rules.head_bytes_max:
            return None
        line, *lines = head.decode("latin-1").split("\r\n")
        # Without what is printable only the ends of these lines are left: no other CR or LF, no NUL, no obs-text.
        if len(lines) > rules.fields_max or head.translate(None, _PRINTABLE) != _LINE_END * len(lines):
            return None
        if not self._read_line(line) or not self._read_fields(lines, rules):
            return None
        return rest

    def _read_line(self, line: str) -> bool:
        method, _, line = line.partition(" ")
        target, _, version = line.partition(" ")
        # What begins with two slashes may have a host in it.
        is_plain = target[:1] == "/" and target[1:2] != "/" and "#" not in target
        if method not in _METHODS or version != "HTTP/1.1" or not is_plain:
            return False
        self.method, self.uri, self.version = method, target, (1, 1)
        self.path, _, self.query = target.partition("?")
        self.fragment = ""
        return True

    def _read_fields(self, lines: list[str], rules: Rules) -> bool:
        headers, fields = [], {}
        for line in lines:
            sent_name, colon, value = line.partition(": ")
            names = _find_names(sent_name)
            if names is None or not colon:
                return False
            fields[names[1]] = value = value.strip(" ")
            headers.append((names[0], value))
        length = fields.get("CONTENT_LENGTH", "0")
        if len(fields) < len(lines) or not length.isdecimal() or len(length) > _LENGTH_DIGITS_MAX:
            return False
        self.headers, self.fields, self.scheme = headers, fields, rules.scheme
        self.body = Body(LengthReader(self.unreader, int(length)))
        if not rules.scheme_fields.isdisjoint(fields):
            self._judge_scheme()
        return True

    def _begin_body(self, data: bytes) -> None:
        """What comes after the head: the body, where all of it is there, as if it had been read already and nobody had
        asked for it yet; and what the connection has next.
        """
        body = self.body
        size = body.reader.length
        if size <= len(data):
            body.buf.write(data[:size])
            body.reader.length = 0
            data = data[size:]
        if data:
            self.unreader.unread(data)

    def _judge_scheme(self) -> None:
        """Whether a proxy says that the client came by TLS, and whether it may. Raises InvalidSchemeHeaders."""
        trusted, others = self._peer_trusted_for_forwarded()
        state, seen = [False], set[str]()
        for name, value in self.headers:
            if name in trusted:
                self._apply_header_policy(name, value, state, seen, trusted, others)

    def _peer_is_trusted_proxy(self) -> bool:
        """An address is looked up in the list of proxies once."""
        if not isinstance(self.peer_addr, tuple):
            return True  # a socket of this machine, as gunicorn has it
        return _is_proxy(self.cfg, self.peer_addr[0])


class Parser(parser.RequestParser):
    """The requests of a connection, one after the other."""

    mesg_class = Request

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Whether nothing is left of the body before; what is left is read. A body that was read to its end is not
        asked again.
        """
        reader: Any = None if self.mesg is None else self.mesg.body.reader
        if type(reader) is LengthReader and reader.length == 0:
            return True
        return bool(super().finish_body(deadline, max_bytes))


def create(
    request: Any,  # noqa: ANN401 - gunicorn has no types
    sock: object,
    client: Any,  # noqa: ANN401
    server: Any,  # noqa: ANN401
    config: Any,  # noqa: ANN401
    response_class: type | None = None,
    response_args: tuple[object, ...] = (),
) -> tuple[wsgi.Response, dict[str, Any]]:
    """The answer to be and the environ of a request: gunicorn's, made in one go where the head is plain."""
    fields = getattr(request, "fields", None) if response_class is None else None
    if fields is None or not isinstance(client, tuple) or not isinstance(server, tuple):
        made: tuple[wsgi.Response, dict[str, Any]] = _create(
            request, sock, client, server, config, response_class, response_args
        )
        return made
    answer = wsgi.Response(request, sock, config)
    path = request.path
    return answer, {
        **wsgi.base_environ(config),
        **fields,
        "wsgi.input": request.body,
        "wsgi.url_scheme": request.scheme,
        "wsgi.early_hints": wsgi._make_early_hints_callback(request, sock, answer),  # noqa: SLF001 - as gunicorn does
        "gunicorn.socket": sock,
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "PATH_INFO": unquote_to_wsgi_str(path) if "%" in path else path,
        "SCRIPT_NAME": "",
    }


@lru_cache(maxsize=_CONFIGURATIONS_MAX)
def rules_of(config: Any) -> Rules:  # noqa: ANN401 - gunicorn has no types
    """What `config` says about plain heads; it must not change any more."""
    names = map(_find_names, config.secure_scheme_headers)
    limits = config.limit_request_line, config.limit_request_field_size, _HEAD_BYTES_MAX
    return Rules(
        # What a proxy's own line said of a connection is in the environ of each request: gunicorn's to make.
        head_bytes_max=min(limits) if config.proxy_protocol == "off" else 0,
        fields_max=config.limit_request_fields,
        scheme="https" if config.is_ssl else "http",
        scheme_fields=frozenset(found[1] for found in names if found is not None),
    )


@lru_cache(maxsize=_NAMES_MAX)
def _find_names(sent: str) -> tuple[str, str] | None:
    """A field's name, and its name in the environ; None where it may mean more than it says."""
    name = sent.upper()
    if not message.TOKEN_RE.fullmatch(sent) or "_" in sent or name in _NOT_PLAIN:
        return None
    environ_name = name.replace("-", "_")
    return name, environ_name if name in _OF_THE_BODY else f"HTTP_{environ_name}"


@lru_cache(maxsize=_PEERS_MAX)
def _is_proxy(config: Any, address: str) -> bool:  # noqa: ANN401 - gunicorn has no types
    return bool(
        message._ip_in_allow_list(  # noqa: SLF001 - the judgement itself stays gunicorn's
            address, config.forwarded_allow_ips, config.forwarded_allow_networks()
        )
    )
