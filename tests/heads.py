"""Heads of requests: those that everybody sends, those that smugglers do, and others made up by number."""

import random
from itertools import pairwise

from tests.hostile.raw import BAD_LENGTHS, BODY, CHUNKS, FIELDS, FRAMES, LINES, made_up

POLL = b"GET /api/bookings/status/0192f0c1-7e3c-7a11-8b5e-0123456789ab?wait=20 HTTP/1.1\r\nHost: tickets.example.org\r\n"
BOOK = b"POST /api/bookings/7/book HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
TOKEN = b"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.%s\r\n" % (b"x" * 43)
BROWSER = (
    b"Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n"
    b'sec-ch-ua: "Chromium";v="140"\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: a=b; c="d"\r\n'
)
PLAIN = {
    "a poll": POLL + TOKEN + b'If-None-Match: "x"\r\n\r\n',
    "a browser's": POLL + TOKEN + BROWSER + b"\r\n",
    "a proxy's": POLL + TOKEN + b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.9, ::1\r\n\r\n",
    "a booking": BOOK + TOKEN + b"Content-Length: 14\r\n\r\n" + b'{"quantity":1}',
    "of three lines": BOOK + b"Content-Length: 8\r\n\r\na\nbc\n\nde",
    "a booking of nothing": BOOK + b"Content-Length: 0\r\n\r\n",
    "with a name in the path": b"GET /api/events/%C3%A9t%C3%A9%2f%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "with a question": b"GET /api/events?search=a%20b&tag=x;y?z:[/] HTTP/1.1\r\nHost: x\r\n\r\n",
    "with an address in the path": b"GET /a//b/http://c:1/[d]@e HTTP/1.1\r\nHost: x\r\n\r\n",
    "with nothing in a field": b"GET / HTTP/1.1\r\nHost: \r\nX:   \r\nY:  z  \r\n\r\n",
    "without a field": b"GET / HTTP/1.1\r\n\r\n",
    "that ends its connection": b"OPTIONS / HTTP/1.1\r\nConnection: close\r\n\r\n",
}


def head(*fields: bytes, line: bytes = b"POST /x HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: x", *fields, b"", b""])


# What smugglers send, and whatever else gunicorn has thoughts of its own about.
UNUSUAL = [
    *(head(line=b"GET %s HTTP/1.1" % target) for target in (b"*", b"x:1", b"http://y/", b"//y/z", b"///", b"/#x", b"/?#", b"", b"/\x7f", b"/\xe9", b"/\t", b"/a b", b"?x", b"/a\x00")),
    *(head(line=b"%s / HTTP/1.1" % method) for method in (b"CONNECT", b"TRACE", b"get", b"G", b"X" * 21, b"FOO", b"G,T", b"")),
    *(head(line=b"GET / %s" % version) for version in (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ", b" HTTP/1.1", b"")),
    *(head(line=b"%s * HTTP/1.1" % method) for method in (b"OPTIONS", b"CONNECT")),
    *(head(b"Content-Length: %s" % length) + b"12345678" for length in (b"+5", b"-5", b"0x5", b"5,5", b"5 5", b"", b"05", b"5.", b"1_0", b"\xb2", b"9" * 16, b"9" * 5000)),
    *(head(*fields) + b"5\r\nabcde\r\n0\r\n\r\n" for fields in (
        (b"Content-Length: 5", b"Content-Length: 5"), (b"Content-Length: 5", b"content-length: 6"), (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"), (b"Transfer-Encoding: chunked",), (b"Transfer-Encoding: gzip, chunked",), (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding : chunked",), (b"Content-Length : 5",), (b"Content_Length: 5",), (b"Transfer_Encoding: chunked", b"Content-Length: 5"), (b" Content-Length: 5",),
        (b"X: y", b" Content-Length: 5"), (b"X: y", b"\tz"), (b"Content-Length:5",), (b"Content-Length:\t5",), (b"Content-Length: 5\t",), (b"content-length: 5",),
    )),
    *(head(field) for field in (
        b"Host: x", b"host: y", b"Content-Type: a\r\nContent-Type: a", b"X: y\r\nX: z", b"X: y\r\nx: z", b"X-Y: a\r\nX_Y: b", b"X", b": y", b"X:", b"X: a\tb", b"X: \xe9", b"X: a\x00", b"X: a\x7f", b"X: a\rb", b"X: a\nb",
        b"X\xe9: y", b"(X): y", b"X Y: z", b"X\t: y", b"Expect: 100-continue", b"Expect: x", b"expect: 100-Continue", b"TE: trailers", b"Trailer: X", b"Upgrade: h2c", b"Connection: Upgrade", b"Connection: keep-alive, close",
        b"Connection: close\r\nConnection: keep-alive", b"SCRIPT_NAME: /x", b"PATH_INFO: /y", b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: on", b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off", b"X-Forwarded-Proto: http\r\nX-Forwarded-Protocol: http",
    )),
    *(whole.replace(b"\r\n", end) for whole in (head(), head(b"X: y")) for end in (b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r\n")),
    b"\r\n" + head(), b"\r\n\r\n" + head(), b"\n" + head(), b"", b"\r", b"\r\n\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + head(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /x HTTP/1.1\nHost: x\r\nContent-Length: 5\r\n\r\n12345", b"POST /x HTTP/1.1\r\nHost: x\nContent-Length: 5\r\n\r\n12345", b"GET / HTTP/1.1\r\r\n\n\r\n\r\n",
]  # fmt: skip
USUAL = [line + b"\r\n" for line in (TOKEN + BROWSER).split(b"\r\n")[:-1]]
USUAL += [
    b"X: y\r\n",
    b"X-Forwarded-Proto: https\r\n",
    b"Prefer: wait=5\r\n",
    b"Idempotency-Key: k\r\n",
    b"X-Empty: \r\n",
]
SPLINTERS = [bytes([byte]) for byte in (*range(33), 58, 95, 127, 200)] + [
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b": ",
    b"a",
]


def cut(whole: bytes, *places: int) -> tuple[bytes, ...]:
    """Pieces of it, none of which is empty: that would be the end."""
    ends = sorted({0, *places, len(whole)})
    return tuple(whole[start:end] for start, end in pairwise(ends))


def generated(rng: random.Random) -> bytes:
    """A message of usual parts, of which one or the other is not."""
    if rng.random() < 0.1:
        return b"".join(made_up(rng, rng.randrange(99)).pieces)
    line = rng.choice(LINES) if rng.random() < 0.05 else rng.choice((POLL, BOOK, b"GET / HTTP/1.1\r\n"))
    fields = rng.sample(USUAL, rng.randrange(6))
    body = b""
    match rng.randrange(12):
        case 0:
            fields.append(rng.choice(FIELDS))
        case 1:
            body = BODY + PLAIN["a poll"]
            fields.append(rng.choice(FRAMES).replace(b"%d", b"%d" % len(body)))
        case 2:
            fields.append(b"Content-Length: %s\r\n" % rng.choice(BAD_LENGTHS))
        case 3:
            body = rng.choice(CHUNKS)
            fields.append(b"Transfer-Encoding: chunked\r\n")
        case 4 | 5 | 6 | 7:
            body = BODY[: rng.randrange(len(BODY))]
            fields.append(b"Content-Length: %d\r\n" % len(body))
    whole = bytearray(line + b"".join(rng.sample(fields, len(fields))) + b"\r\n" + body)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3))):
        place = rng.randrange(len(whole))
        whole[place : place + rng.randrange(2)] = rng.choice(SPLINTERS)
    return bytes(whole)
