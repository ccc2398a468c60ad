"""What is done to addresses and methods: odd ids, percent-encodings, slashes, dots, words that are no methods."""

import random
import re
from urllib.parse import quote

from tests.hostile.request import HostileRequest
from tests.hostile.values import UUIDS, odd_text

IDS = (
    "0", "00", "-1", "+5", "5.0", "0x5", "1e3", "1_0", " 5", "5 ", "٣", "３", "५", "②", "9223372036854775807", "9223372036854775808", "9" * 30, "9" * 5_000,
    "0" * 5_000 + "1", "NaN", "null", "true", "5,6", "5;x=1", "5%00", "%35", "5%2f6", "*", "'", "~", "me", "..", "5\n", "5\u200b", "\u00b2",
)  # fmt: skip
# As they stand in a request line.
PIECES = (
    "%",
    "%2",
    "%zz",
    "%00",
    "%ff",
    "%c0%ae",
    "%ed%a0%80",
    "%2e%2e",
    "%2f",
    "%5c",
    "\\",
    ";x=1",
    "%0d%0aX:y",
    "%25%30%30",
    "%u0041",
    "|",
    "^",
    "`",
    "{",
    "}",
    "%EF%BC%8F",
    "\x01",
    "\x7f",
)
METHODS = (
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "FOO",
    "PATCH",
    "PUT",
    "DELETE",
    "POST",
    "GET",
    "QUERY",
    "LINK",
    "get",
    "GET ",
    "",
    "X" * 20,
    "G\x01T",
)


def mutate_id(rng: random.Random, request: HostileRequest) -> None:
    """An id of the address that is none, or nobody's."""
    parts = request.path.split(b"/")
    places = [
        place
        for place, part in enumerate(parts)
        if re.fullmatch(rb"[0-9]+|[0-9a-f-]{36}|[0-9A-Z]{4}-[0-9A-Z]{4}", part)
    ]
    place = rng.choice(places or range(len(parts)))
    odd = rng.choice(rng.choice((IDS, IDS, UUIDS, (odd_text(rng),))))
    if rng.randrange(6) == 0:
        odd = parts[place].decode("latin-1").upper().replace("-", "")
    parts[place] = quote(
        odd.encode(errors="surrogatepass"),
        safe=rng.choice(("", "%;,*~'")),
    ).encode()
    request.path = b"/".join(parts)
    request.notes.append("id")


def mutate_path(rng: random.Random, request: HostileRequest) -> None:
    """The address bent: slashes, dots, escapes, another case, something more, something less."""
    path = request.path.decode("latin-1")
    place = rng.randrange(len(path) + 1)
    match rng.randrange(9):
        case 0:
            path = path.replace(
                "/", rng.choice(("//", "/./", "///", "\\", "%2f", "/%2e/")), rng.choice((1, -1))
            )
        case 1:
            path += rng.choice(
                ("/", "//", "/.", "/..", "/x", "%20", ".json", ".csv", "/%00", "?", ";a=b", "/" + "x" * 4_000)
            )
        case 2:
            path = path[:place] + rng.choice(PIECES) + path[place:]
        case 3:
            path = rng.choice(
                (
                    path.upper(),
                    path.title(),
                    path[1:],
                    "/" + path,
                    "//evil.example" + path,
                    "/api" + path,
                    "*",
                    "/x/.." + path,
                )
            )
        case 4:
            path = "".join(f"%{ord(letter):02x}" if letter != "/" else letter for letter in path)
        case 5:
            path = path[:place]
        case 6:
            path = path.replace(
                "/api/", rng.choice(("/api/../api/", "/api/./", "/api//", "/API/", "/api%2f", "/api;x/"))
            )
        case 7:
            path = "/" + "/".join(
                quote(odd_text(rng).encode(errors="surrogatepass")) for _ in range(rng.choice((1, 2, 50)))
            )
        case _:
            path = path[:place] + path[place + 1 :]
    request.path = path.encode("latin-1", errors="replace")
    request.notes.append("path")


def mutate_method(rng: random.Random, request: HostileRequest) -> None:
    """Another method, a known one or not."""
    request.method = rng.choice(METHODS)
    request.notes.append("method")


PATH_MUTATIONS = (mutate_id, mutate_id, mutate_path, mutate_method)
