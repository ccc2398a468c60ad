"""What is done to query strings: odd values, doubled and unknown names, too many, cursors that we did not make."""

import base64
import json
import random
from urllib.parse import quote

from tests.hostile.request import HostileRequest
from tests.hostile.values import INSTANTS, INTEGERS, UUIDS, odd_text

VALUES = (
    "",
    "0",
    "-1",
    "+1",
    "1.0",
    "1e1",
    " 1",
    "101",
    "true",
    "false",
    "TRUE",
    "yes",
    "null",
    "٣",
    "asc",
    "desc",
    "starts_at",
    "created_at",
    "id",
    "title; --",
    "%",
    "1" * 5_000,
)
SORTS = (
    "",
    "created_at",
    "starts_at",
    "title",
    "popularity",
    "price",
    "name",
    "email",
    "number",
    "kind",
    "id",
    "arrival",
    "joined_at",
)
KEYS = (
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    1.5,
    1e308,
    True,
    None,
    "",
    "a",
    "\x00",
    "\ud800",
    [],
    {},
    [[1]],
    253_370_764_800_000_000,
    253_402_300_800_000_000,
    "x" * 2_000,
    "0190",
    "NaN",
)
RAW = (
    b"&&&",
    b"=",
    b"==",
    b"&=&=",
    b"limit",
    b"limit=%",
    b"limit=%zz",
    b"limit=%00",
    b"%00=1",
    b"limit=1;offset=2",
    b"limit[]=1",
    b"a[b][c]=1",
    b"+=+",
    b"\xff=\xfe",
    b"?",
    b"#x",
    b"limit=1#",
    b"search=%ed%a0%80",
    b"x=" + b"y" * 7_000,
)


def mutate_query(rng: random.Random, request: HostileRequest, names: tuple[str, ...]) -> None:
    """A few parameters: known ones with odd values, some unknown, some twice."""
    pairs = []
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        name = (
            rng.choice(names)
            if names and rng.randrange(6)
            else rng.choice(("x", "limit", "LIMIT", "limit[]", "token", "format", "__proto__", odd_text(rng)))
        )
        pairs.append((name, _value(rng, name)))
    if rng.randrange(6) == 0:
        pairs.append(rng.choice(pairs))
    request.query = b"&".join(f"{_quoted(name)}={_quoted(value)}".encode() for name, value in pairs)
    request.notes.append("query")


def mutate_raw_query(rng: random.Random, request: HostileRequest, names: tuple[str, ...]) -> None:
    """A query string that hardly is one, or thousands of parameters."""
    match rng.randrange(12):
        case 0:
            request.query = b"&".join(b"p%d=1" % number for number in range(10_000))
        case 1:
            request.query = b"limit=1&" * rng.choice((2, 1_000))
        case 2:
            request.query = b"&" * 8_000
        case _:
            request.query = rng.choice(RAW)
            if names and rng.randrange(2):
                request.query += (
                    b"&" + rng.choice(names).encode() + b"=" + bytes(rng.randrange(33, 256) for _ in range(6))
                )
    request.notes.append("raw query")


def mutate_cursor(rng: random.Random, request: HostileRequest, _names: tuple[str, ...]) -> None:
    """A cursor in our form with values that we would never write, or in no form at all."""
    sort, order = rng.choice(SORTS), rng.choice(("asc", "desc"))
    parts: object = [
        rng.choice((sort, None, 1)) if rng.randrange(8) == 0 else sort,
        order,
        rng.choice(KEYS),
        rng.choice((*KEYS, *UUIDS)),
    ]
    if rng.randrange(8) == 0:
        parts = rng.choice((parts * 2, parts[:3], {}, "x", 1, None, [[]], parts[2:]))  # type: ignore[index]
    text = json.dumps(parts, ensure_ascii=rng.randrange(2) == 0).encode(errors="surrogatepass")
    if rng.randrange(8) == 0:
        text = rng.choice((b"", b"\xff", b"[" * 3_000, b"NaN", text[:-1], text + text))
    cursor = base64.urlsafe_b64encode(text).decode()
    cursor = cursor if rng.randrange(4) == 0 else cursor.rstrip("=")
    if rng.randrange(8) == 0:
        cursor = rng.choice(
            (cursor.replace("_", "/"), cursor + "\n", cursor[:-1], " " + cursor, cursor * 20, "é", "!" * 10)
        )
    query = {"cursor": cursor, "order": order, **({"sort": sort} if sort else {})}
    if rng.randrange(8) == 0:
        query["offset"] = "1"
    request.query = "&".join(f"{name}={_quoted(value)}" for name, value in query.items()).encode()
    request.notes.append("cursor")


def _value(rng: random.Random, name: str) -> str:
    if name in ("from", "to", "starts_from", "starts_to") and rng.randrange(2):
        return rng.choice(INSTANTS)
    if name == "wait":  # a number is waited for, as long as nothing is decided
        return rng.choice(("", "-1", "0", "0.5", "31", "99999999999999999999", "x", "٣"))
    match rng.randrange(3):
        case 0:
            return str(rng.choice(INTEGERS))
        case 1:
            return odd_text(rng)
        case _:
            return rng.choice(VALUES)


def _quoted(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="%")


QUERY_MUTATIONS = (mutate_query, mutate_query, mutate_cursor, mutate_raw_query)
