"""What is done to headers: odd values of those that mean something here, many, long, doubled."""

import base64
import json
import random

from tests.hostile.request import HostileRequest

# Bytes as gunicorn hands them on: it refuses NUL, CR and LF, and nothing else.
ODD = (
    "", " ", ",", ";", "=", '"', '""', "*", "0", "-1", "1.5", "1e9", "٣".encode().decode("latin-1"), "é", "\x01", "\x7f", "\t", "\xff" * 20, "x" * 256,
    "x" * 8_000, "a,b," * 500, "%00", "null", "undefined", "2147483648", "9" * 30, "true", "'; --", "\\", "\u00ad", "()",
)  # fmt: skip
NAMED: dict[str, tuple[str, ...]] = {
    "Prefer": ("wait", "wait=", "wait=-1", "wait=1e1", 'wait="0"', "wait=0;x", "respond-async", "wait=0, wait=0", "WAIT=0", "handling=strict", "wait=٣".encode().decode("latin-1"), 'wait="', "wait=99999999999999999999", "=0"),
    "Idempotency-Key": ("key", '"key"', '"', '"a', '""', "k" * 255, "k" * 256, "\x1f", '"a\\"b"', "é", "a b", " key ", "key, key"),
    "X-Idempotency-Key": ("key", "k" * 256, ""),
    "If-Match": ("*", '"1"', "1", 'W/"1"', '"', '"1-x", "2-y"', '"99999999999999999999-x"', '"-1-x"', '"٣"'.encode().decode("latin-1"), '"1', "W/", '"' + "1" * 5_000 + '"', "**"),
    "If-None-Match": ("*", '"x"', "x", 'W/"x"', ",,,", '"' * 99, '"a",' * 900, "W/", '"\x01"'),
    "If-Modified-Since": ("x", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Foo 9999 99:99:99 GMT"),
    "If-Unmodified-Since": ("x", "Thu, 01 Jan 1970 00:00:00 GMT"),
    "If-Range": ('"x"', "Thu, 01 Jan 1970 00:00:00 GMT"),
    "Accept": ("text/html", "image/png", "application/json;q=0", "*/*;q=nan", "*/*;q=1e999", "a/b;" * 500, "application/problem+json", "text/event-stream", "text/html;q=٣".encode().decode("latin-1"), "/", "*"),
    "Accept-Encoding": ("gzip;q=0", "identity;q=0", "gzip;q=x", "br", "*;q=0", "gzip, " * 500, "GZIP"),
    "Accept-Language": ("x-" * 500, "de;q=nan", "*"),
    "Accept-Charset": ("utf-16",),
    "Range": ("bytes=0-", "bytes=5-1", "bytes=-5", "bytes=0-0,1-1," * 50, "lines=1", "bytes=99999999999999999999-"),
    "Last-Event-ID": ("position-12", "position-", "position--1", "position-99999999999999999999", "decided", "x", "position-٣".encode().decode("latin-1")),
    "X-Request-ID": ("a", "x" * 64, "x" * 65, "a b", "a\tb", "\x1b[31m", "../x", "<b>", "é", ""),
    "X-HTTP-Method-Override": ("DELETE", "PUT", "GET", "x"),
    "X-Method-Override": ("DELETE",),
    "X-Forwarded-For": ("1.2.3.4", "x", "::1, 127.0.0.1", "1" * 5_000, ", " * 900, "1.2.3.4:99999"),
    "X-Forwarded-Host": ("evil.example", "a:b:c", "[", "x" * 5_000),
    "X-Forwarded-Proto": ("https", "javascript", "https,http"),
    "X-Forwarded-Port": ("99999", "x"),
    "X-Forwarded-Prefix": ("/evil", "//evil.example"),
    "Forwarded": ("for=1.2.3.4;host=evil.example", 'for="['),
    "X-Original-URL": ("/api/admin/users",),
    "X-Rewrite-URL": ("/api/admin/users",),
    "Host": ("evil.example", "", "[", "a:99999999", "a:b", "localhost\x01", "x" * 4_000, "evil.example/..", "a@b", "٣".encode().decode("latin-1"), "localhost:80:80"),
    "Origin": ("null", "https://evil.example", "x", "http://[", "a" * 5_000),
    "Referer": ("https://evil.example", "http://["),
    "Cookie": ("guichet_console=x", "a=" + "b" * 4_000, "=", ";" * 500, 'a="\\999"', "guichet_console=\x01", "session=\xff"),
    "Content-Encoding": ("gzip", "x"),
    "Content-Language": ("x",),
    "Transfer-Encoding": ("identity",),
    "Expect": ("200-ok",),
    "Upgrade": ("websocket", "h2c"),
    "Connection": ("close, x", "Upgrade"),
    "Sec-Fetch-Site": ("cross-site", "x"),
    "Access-Control-Request-Method": ("DELETE", "x"),
    "Access-Control-Request-Headers": ("x," * 900,),
    "User-Agent": ("", "${jndi:ldap://127.0.0.1/a}", "x" * 8_000, "\x1b[2J"),
}  # fmt: skip


def mutate_header(rng: random.Random, request: HostileRequest) -> None:
    """One to three headers with odd values, now and then twice."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(list(NAMED))
        value = rng.choice(NAMED[name] if rng.randrange(3) else ODD)
        if rng.randrange(4):
            request.remove(name)
        request.headers.append((rng.choice((name, name, name.lower(), name.upper())), value))
        request.notes.append(f"header {name}")


def mutate_key(rng: random.Random, request: HostileRequest) -> None:
    """A key that others of this actor's requests have too, in one of its spellings."""
    request.set("Idempotency-Key", rng.choice(("shared", '"shared"', " shared", "other", rng.choice(ODD))))
    if rng.randrange(4) == 0:
        request.headers.append((rng.choice(("Idempotency-Key", "X-Idempotency-Key")), rng.choice(ODD)))
    request.notes.append("key")


def mutate_many(rng: random.Random, request: HostileRequest) -> None:
    """As many headers as gunicorn lets through, or names that hardly are names."""
    for number in range(rng.choice((1, 20, 80))):
        name = rng.choice(
            (f"X-Odd-{number}", "X", "Content_Length", "HTTP_HOST", "wsgi.input", "REMOTE_USER", "__proto__")
        )
        request.headers.append((name.replace("_", "-"), rng.choice(ODD)))
    request.notes.append("many headers")


def mutate_token(rng: random.Random, request: HostileRequest) -> None:
    """A token that is none, is somebody's no more, or says more than it may."""
    request.set("Authorization", rng.choice((_made_up, _bent))(rng, request))
    if rng.randrange(8) == 0:
        request.headers.append(("Authorization", "Bearer x"))
    request.notes.append("token")


def _made_up(rng: random.Random, _request: HostileRequest) -> str:
    claims = {
        "sub": rng.choice(("1", 1, "x", "99999999999999999999", None, [], "-1", "1\u0000")),
        "role": "admin",
        "type": rng.choice(("access", "refresh", None, 1)),
        "fam": rng.choice(("x", None, "01900000-0000-7000-8000-000000000000")),
        "exp": rng.choice((2**40, -1, 1e400, "x", None, 2**70)),
        "aud": rng.choice(("guichet", ["guichet"], {}, None)),
        "iss": rng.choice(("guichet", None, 1)),
    }
    header = {
        "alg": rng.choice(("none", "HS256", "RS256", "", None, 1)),
        "typ": "JWT",
        "kid": "../../x",
        "crit": rng.choice((["x"], None)),
    }
    parts = [_encoded(header), _encoded(claims), rng.choice(("", "x", "A" * 43))]
    return rng.choice(("Bearer ", "bearer ", "BEARER  ", "Basic ", "Token ", "")) + ".".join(parts)


def _bent(rng: random.Random, request: HostileRequest) -> str:
    """What was sent, changed in one place, cut off or doubled; else something like it."""
    found = next((value for name, value in request.headers if name == "Authorization"), "Bearer a.b.c")
    place = rng.randrange(len(found))
    return rng.choice(
        (
            found[:place],
            found[:place] + rng.choice("Aa._-\x01é ") + found[place + 1 :],
            found + found,
            found + ".x",
            f"{found} {found}",
            found.replace(" ", "\t"),
            found.replace("Bearer", "Bearer" * 3),
            "Bearer " + "." * 5_000,
            "Bearer " + "A" * 8_000,
            "Basic YTpi",
            "Basic \xff",
            'Digest username="',
            "Bearer",
            "Bearer ",
            "",
        )
    )


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


HEADER_MUTATIONS = (mutate_header, mutate_header, mutate_header, mutate_key, mutate_many, mutate_token)
