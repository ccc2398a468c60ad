"""What is done to bodies: fields with odd values, JSON that is none, other encodings, other types, other lengths."""

import codecs
import contextlib
import gzip
import json
import random
import zlib
from typing import Any
from urllib.parse import quote

from tests.hostile.request import HostileRequest
from tests.hostile.values import NAMES, Raw, nested, odd_text, odd_value

BODY_BYTES_MAX = 64 * 1024
FORM = "application/x-www-form-urlencoded"
ENCODINGS = (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-7",
    "utf-8-sig",
    "latin-1",
    "cp037",
    "shift_jis",
)
MEDIA_TYPES = (
    None, "", "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "application/merge-patch+json", "application/problem+json", "application/json-seq", "application",
    "application/json, text/plain", "application/json;charset=utf-16", "application/json; charset=utf-7", "application/json;;;", "application/jsonx",
    "APPLICATION/JSON", 'application/json; charset="', "application/json; boundary=" + "x" * 5000, "application/octet-stream", "*/*", "; charset=utf-8", "\x01",
)  # fmt: skip
BROKEN = (
    b"{", b"}", b"[", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b"{'a':1}", b"{a:1}", b'{"a":1}}', b'{"a":1}{"b":2}', b"//x\n{}", b"/**/{}", b"{}\x00",
    b"\x00{}", b'{"a":"\x01"}', b'{"a":"\n"}', b'{"\\u00":1}', b'{"a":"\\x41"}', b'{"a":"\xff"}', b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xf5\x80\x80\x80"}', b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b" ", b"\n", b"null", b"true", b'""', b"0", b"[]", b"[{}]", b'"{}"', b"NaN", b"-", b"\xe2\x80\xa8{}",
)  # fmt: skip


def write_json(value: Any) -> str:
    """JSON, except for what is `Raw`; surrogates stay escaped."""
    if isinstance(value, Raw):
        return value.text
    with contextlib.suppress(TypeError):  # nearly always, and ten times as fast
        return json.dumps(value)
    if isinstance(value, dict):
        members = (f"{json.dumps(name)}:{write_json(member)}" for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_json, value)) + "]"
    return json.dumps(value)


def mutate_fields(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """One to three fields with odd values, missing, renamed or too many."""
    body = dict(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice([*body, *NAMES[:3]])
        match rng.randrange(8):
            case 0:
                body.pop(name, None)
            case 1:
                body[rng.choice(NAMES)] = odd_value(rng)
            case 2 if name in body:
                body[rng.choice((name.upper(), f" {name}", name + "\u0000"))] = body.pop(name)
            case _:
                body[name] = odd_value(rng)
    request.set_body(write_json(body).encode(errors="surrogatepass"))
    request.notes.append("fields")


def mutate_syntax(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """Text that is not JSON, or that readers could read in two ways."""
    text = write_json(body)
    match rng.randrange(8):
        case 0:
            raw = rng.choice(BROKEN)
        case 1:
            raw = text.encode()[: rng.randrange(max(1, len(text)))]
        case 2:
            raw = _twice(rng, body)
        case 3:
            raw = nested(rng).encode()
        case 4:
            name = rng.choice([*body, "tickets"])
            raw = write_json({**body, name: Raw(nested(rng))}).encode()
        case 5:
            raw = bytearray(text.encode() or b"{}")
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        case 6:
            raw = text.encode() + rng.choice((b"\x00", b",", b"{}", b"]", b"\n\n\n", b"\xef\xbb\xbf", b"//"))
        case _:
            raw = bytes(rng.randrange(256) for _ in range(rng.choice((1, 8, 64, 512))))
    request.set_body(bytes(raw))
    request.notes.append("syntax")


def _twice(rng: random.Random, body: dict[str, Any]) -> bytes:
    """A member twice, the second time perhaps spelt in escapes."""
    name = rng.choice([*body, "tickets"])
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in name) if rng.randrange(2) else name
    members = write_json(body)[1:-1]
    second = f'"{spelt}":{write_json(rng.choice((body.get(name), odd_text(rng), 2)))}'
    first = members if name in body else f'"{name}":1' + ("," + members if members else "")
    return ("{" + first + "," + second + "}").encode()


def mutate_encoding(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """The right text in the wrong bytes: another encoding, a mark before it, compressed."""
    text = write_json({**body, "name": "é"} if rng.randrange(2) else body)
    match rng.randrange(4):
        case 0:
            raw = codecs.BOM_UTF8 * rng.choice((1, 2)) + text.encode()
        case 1:
            raw = rng.choice((gzip.compress, zlib.compress))(text.encode())
            if rng.randrange(2):
                request.set(
                    "Content-Encoding", rng.choice(("gzip", "deflate", "br", "identity", "gzip, gzip"))
                )
        case 2:
            raw = text.encode()
            request.set("Content-Encoding", rng.choice(("gzip", "deflate", "br", "x", "")))
        case _:
            raw = text.encode(rng.choice(ENCODINGS), errors="replace")
    request.set_body(raw)
    request.notes.append("encoding")


def mutate_media_type(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """A body of another type, or one that says so."""
    raw = rng.choice(
        (
            write_json(body).encode(),
            b"tickets=1",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
            b"<a/>",
        )
    )
    request.set_body(raw, rng.choice(MEDIA_TYPES))
    request.notes.append("media type")


def mutate_size(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """Too much of it, or exactly as much as there may be."""
    text = write_json(body)
    match rng.choice((0, 0, 1, 1, 2, 3, 4, 5, 5)):
        case 0:
            raw = text + " " * (BODY_BYTES_MAX - len(text) + rng.choice((-1, 0, 1)))
        case 1:
            raw = write_json({**body, "description": "x" * rng.choice((1_000, 60_000, 70_000, 200_000))})
        case 2:
            raw = write_json(
                {**body, **{f"f{number}": number for number in range(rng.choice((100, 100, 5_000)))}}
            )
        case 3:
            raw = write_json([body] * rng.choice((2, 500)))
        case 4:
            raw = write_json({**body, rng.choice([*body, "tickets"]): ["x"] * 10_000})
        case _:
            raw = " " * rng.choice((1, 65_536, 65_537, 1_000_000))
    request.set_body(raw.encode())
    request.notes.append("size")


def mutate_length(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """A Content-Length that is not the body's, or none, or chunks instead."""
    request.set_body(write_json(body).encode())
    size = len(request.body)
    match rng.randrange(4):
        case 0:
            request.length = str(size + rng.choice((1, 500, 65_536)))
        case 1:
            request.length, request.body = str(size), request.body[: rng.randrange(size)]
        case 2:
            request.chunked, request.length = True, None
            request.body = request.body[: rng.choice((size, size, rng.randrange(size)))] * rng.choice(
                (1, 1, 2, 1_000)
            )
        case _:
            request.length = rng.choice((None, "0", "", str(2**31), str(2**64), "65536", "65537"))
            if request.length in (None, "0", ""):
                request.body = b""  # a server hands on no more than was announced
    request.notes.append("length")


def mutate_form(rng: random.Random, request: HostileRequest, body: dict[str, Any]) -> None:
    """A browser's form with odd values, names too many, twice or missing, escapes that are none, or files."""
    pairs = [(name, str(value)) for name, value in body.items()]
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice([*body, *NAMES])
        match rng.randrange(4):
            case 0:
                pairs = [pair for pair in pairs if pair[0] != name]
            case 1:
                pairs.append((name, odd_text(rng)))
            case _:
                pairs = [(key, odd_text(rng) if key == name else value) for key, value in pairs]
    raw = "&".join(
        f"{quote(key.encode(errors='surrogatepass'))}={quote(value.encode(errors='surrogatepass'))}"
        for key, value in pairs
    ).encode()
    raw += rng.choice(
        (b"", b"", b"&", b"&=&", b"&%zz=%", b"&\xff=\xfe", b"&a=" + b"x" * 70_000, b"&a=1" * 2_000)
    )
    request.set_body(raw, FORM if rng.randrange(8) else rng.choice(MEDIA_TYPES))
    request.notes.append("form")


BODY_MUTATIONS = (
    *[mutate_fields] * 5,
    mutate_syntax,
    mutate_syntax,
    mutate_encoding,
    mutate_media_type,
    mutate_size,
    mutate_length,
)
