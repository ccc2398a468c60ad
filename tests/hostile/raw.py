"""Bytes for a real server: frames that two readers could see in two ways, heads that never end, pieces missing."""

import random
from dataclasses import dataclass

LOG_IN = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b'{"email": "a@example.org", "password": "x"}'
# An account that exists as soon as somebody reads a body as a request.
SMUGGLED = "smuggled"


@dataclass(frozen=True, slots=True)
class RawCase:
    """Bytes to send, in these pieces; `ends` when nothing more comes after them."""

    name: str
    pieces: tuple[bytes, ...]
    ends: bool = True


def smuggled(number: int) -> bytes:
    """A whole request that makes an account."""
    body = b'{"name": "X", "email": "%s-%d@example.org", "password": "correct-horse-battery"}' % (
        SMUGGLED.encode(),
        number,
    )
    return (
        b"POST /api/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


# Every one of these has a length or a coding that somebody might read otherwise. `%d` is the length of everything.
FRAMES = (
    b"Content-Length: 0\r\nContent-Length: %d\r\n", b"Content-Length: %d\r\nContent-Length: 0\r\n", b"Content-Length: %d, 0\r\n", b"Content-Length: 0, %d\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n", b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked, identity\r\n", b"Content-Length: %d\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding:\x0bchunked\r\n", b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n", b"Content-Length: %d\r\nX: y\r\n Transfer-Encoding: chunked\r\n",
    b"Content-Length: %d\r\nTransfer_Encoding: chunked\r\n", b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", b'Content-Length: %d\r\nTransfer-Encoding: "chunked"\r\n',
    b"Content-Length : %d\r\n", b"Content-Length: %d\x0b\r\n", b"Content-Length: 0%d\r\n", b"Content_Length: 0\r\nContent-Length: %d\r\n", b" Content-Length: %d\r\n", b"Content-Length: \t%d\r\n",
    b"X: y\rContent-Length: %d\r\n", b"X: y\nContent-Length: %d\r\n", b"Content-Length: %d\r\nConnection: content-length\r\n", b"Content-Length: %d\r\nExpect: 100-continue\r\n",
)  # fmt: skip
BAD_LENGTHS = (
    b"+5",
    b"-5",
    b"-0",
    b"0x5",
    b"5.0",
    b"5 5",
    b"5;",
    b"five",
    b"",
    b" ",
    b"5\x00",
    b"\xd9\xa5",
    b"1_0",
    b"9" * 30,
    b"5,5",
    b"5,6",
    b"1e1",
    b"18446744073709551621",
)
CHUNKS = (
    b"-1\r\n", b"+5\r\nabcde\r\n0\r\n\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n", b"5 \r\nabcde\r\n0\r\n\r\n", b" 5\r\nabcde\r\n0\r\n\r\n", b"5\nabcde\r\n0\r\n\r\n", b"5\rabcde\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nabcde\r\n", b"5_\r\nabcde\r\n0\r\n\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"5\r\nabc", b"5\r\nabcde", b"5\r\nabcde\r\n", b"\r\n", b"", b"5;" + b"x" * 9_000 + b"\r\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcde\r\n0\r\nContent-Length: 9\r\nHost: y\r\n\r\n", b"5\r\nabcde\r\n0\r\nX: " + b"y" * 70_000, b"5\r\nabcde\r\n0\r\n" + b"X: y\r\n" * 5_000, b"5\r\nabcde0\r\n\r\n", b"\x00\r\n", b"5\x00\r\nabcde\r\n0\r\n\r\n",
    b"1\r\na\r\n" * 9_000, b"00000000000000000000000000000005\r\nabcde\r\n0\r\n\r\n", b"5\r\nabcde\r\n0", b"5\r\nabcde\r\n0\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n5\r\nabcde\r\n0\r\n\r\n",
)  # fmt: skip
LINES = (
    b"GET / HTTP/1.1 x\r\n", b"GET  /healthz HTTP/1.1\r\n", b" GET /healthz HTTP/1.1\r\n", b"GET\t/healthz\tHTTP/1.1\r\n", b"GET /healthz\r\n", b"GET /healthz HTTP/0.9\r\n", b"GET /healthz HTTP/1.10\r\n",
    b"GET /healthz http/1.1\r\n", b"GET /healthz HTTP/1.1\n", b"GET /healthz HTTP/1.1\r", b"G\x00T /healthz HTTP/1.1\r\n", b"GET /heal\x00thz HTTP/1.1\r\n", b"GET /heal\rthz HTTP/1.1\r\n", b"GET healthz HTTP/1.1\r\n",
    b"GET http:///healthz HTTP/1.1\r\n", b"GET http://[/healthz HTTP/1.1\r\n", b"GET //[/healthz HTTP/1.1\r\n", b"GET //] HTTP/1.1\r\n", b"GET http://a:b/healthz HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n", b"GET ?x HTTP/1.1\r\n", b"GET /%s HTTP/1.1\r\n" % (b"x" * 4_070),
    b"\r\n\r\nGET /healthz HTTP/1.1\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /healthz HTTP/1.1\r\n", b"\x16\x03\x01\r\n", b"X" * 9_000 + b" / HTTP/1.1\r\n", b"GET /" + b"y" * 70_000, b"\x00" * 500, b"\n" * 500,
    b"GET /api/events?search=\xff HTTP/1.1\r\n", b"GET /api/events?search=\xc3\xa9 HTTP/1.1\r\n", b"GET /api/events/\xff HTTP/1.1\r\n",
)  # fmt: skip
FIELDS = (
    b"SCRIPT_NAME: /x\r\n", b"Script-Name: /x\r\n", b"SCRIPT_NAME: /api\r\n", b"PATH_INFO: /api/admin/users\r\n", b"REMOTE_USER: admin\r\n", b"REMOTE_ADDR: 1.2.3.4\r\n", b"wsgi.url_scheme: https\r\n", b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n",
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", b"X-Forwarded-Protocol: ssl\r\nX-Forwarded-Ssl: on\r\n", b"Host: y\r\n", b"Host\r\n", b": y\r\n", b"X\r\n", b"X Y: z\r\n", b"X\x00: y\r\n", b"X: y\x00z\r\n", b"X: y\x01z\r\n", b"X: \xff\xfe\r\n", b"\xc3\xa9: y\r\n",
    b"X: " + b"y" * 8_150 + b"\r\n", b"X: " + b"y" * 9_000 + b"\r\n", b"X: " + b"y" * 500_000, b"X: y\r\n" * 99, b"X: y\r\n" * 101, b"X: y\r\n" * 5_000, (b"X: " + b"y" * 8_000 + b"\r\n") * 90, b"X:\r\n", b"X: y\r\n\tz\r\n", b"(X): y\r\n", b"X\t: y\r\n",
    b"Connection: keep-alive, close\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Expect: 100-continue\r\nExpect: x\r\n", b"TE: trailers\r\n", b"Trailer: Content-Length\r\n", b"Range: bytes=0-0\r\n",
)  # fmt: skip


def framed(number: int) -> RawCase:
    """Somebody's request in the body of another, whose end is seen in two ways; as chunks too."""
    frame = FRAMES[number // 2 % len(FRAMES)]
    inner = smuggled(number)
    body = (b"0\r\n\r\n" if number % 2 else b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)) + inner
    return RawCase(
        f"frame {frame[:60]!r}", (LOG_IN + frame.replace(b"%d", b"%d" % len(body)) + b"\r\n" + body,)
    )


def made_up(rng: random.Random, number: int) -> RawCase:
    """One piece of a message bent, and the bytes in one piece or many, or not all of them."""
    match rng.randrange(5):
        case 0:
            length = rng.choice(BAD_LENGTHS)
            message, name = (
                LOG_IN + b"Content-Length: " + length + b"\r\n\r\n" + BODY + smuggled(number),
                f"length {length!r}",
            )
        case 1:
            chunks = rng.choice(CHUNKS)
            message, name = (
                LOG_IN + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks,
                f"chunks {chunks[:40]!r}",
            )
        case 2:
            line = rng.choice(LINES)
            message, name = line + b"Host: x\r\nConnection: close\r\n\r\n", f"line {line[:40]!r}"
        case 3:
            field = rng.choice(FIELDS)
            message, name = (
                b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + field + b"Connection: close\r\n\r\n",
                f"field {field[:40]!r}",
            )
        case _:
            whole = bytearray(
                LOG_IN + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
            )
            for _ in range(rng.choice((1, 1, 3))):
                whole[rng.randrange(len(whole))] = rng.randrange(256)
            message, name = bytes(whole), "bytes"
    if rng.randrange(8) == 0:
        message, name = message[: rng.randrange(1, len(message))], f"cut {name}"
    return RawCase(name, _pieces(rng, message))


def _pieces(rng: random.Random, message: bytes) -> tuple[bytes, ...]:
    """Mostly whole; some in a few pieces, cut anywhere."""
    if rng.randrange(4):
        return (message,)
    cuts = sorted(rng.randrange(len(message) + 1) for _ in range(rng.choice((1, 2, 5))))
    return tuple(message[start:end] for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True))
