"""Every header that an answer or a request may have, said once: routes name them, the document refers to them."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Header:
    """A header's form and meaning. `always`: an answer that names it always has it."""

    description: str
    schema: dict[str, Any]
    example: str
    always: bool = False


def _text(pattern: str | None = None, **schema: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    return {"type": "string", **({} if pattern is None else {"pattern": pattern}), **schema}


_SECONDS: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}

RESPONSE_HEADERS: Final[dict[str, Header]] = {
    "Allow": Header(
        "The methods that this address takes.", _text("^[A-Z, ]+$"), "GET, HEAD, OPTIONS", always=True
    ),
    "Cache-Control": Header("Who may keep the answer, and for how long.", _text(), "no-store", always=True),
    "Content-Disposition": Header(
        "The answer is a file, and this is its name (RFC 6266).",
        _text("^attachment; filename="),
        'attachment; filename="event-7-bookings.csv"',
        always=True,
    ),
    "ETag": Header(
        "The version of what the answer shows, for If-None-Match; an event's begins with what If-Match compares.",
        _text('^(W/)?".*"$'),
        '"3-9f2c1e8b7a6d5c4f"',
        always=True,
    ),
    "Idempotency-Replayed": Header(
        "`true` when the answer is that of an earlier request with the same Idempotency-Key.",
        _text(enum=["true"]),
        "true",
    ),
    "Link": Header(
        'The next page, as `<address>; rel="next"` (RFC 8288); absent on the last page.',
        _text(),
        '</api/events?cursor=eyJzIjoi>; rel="next"',
    ),
    "Location": Header(
        "The address of what was made, or where to follow the request.",
        _text(format="uri-reference"),
        "/api/bookings/status/01a1fa38-2c56-79d1-a69f-e87985a90e56",
        always=True,
    ),
    "Preference-Applied": Header(
        "The seconds for which the server would wait, when `Prefer: wait` was honoured (RFC 7240).",
        _text("^wait=[0-9]+$"),
        "wait=10",
    ),
    "RateLimit": Header(
        "What is left of the limit: `r` requests, renewed in `t` seconds.", _text(), '"general";r=299;t=60'
    ),
    "RateLimit-Policy": Header(
        "The limit that counted this request: `q` requests in `w` seconds.", _text(), '"general";q=300;w=60'
    ),
    "Retry-After": Header("Seconds after which to ask again.", _SECONDS, "1", always=True),
    "Set-Cookie": Header("The console's session.", _text(), "session=…; HttpOnly; SameSite=Strict"),
    "Vary": Header("Request headers that the answer depends on.", _text(), "Authorization", always=True),
    "WWW-Authenticate": Header(
        "How to authenticate (RFC 9110).", _text(), 'Bearer realm="guichet"', always=True
    ),
    "X-Request-ID": Header(
        "The request's id: the client's, if it is sane, else a new one. It stands in every log line.",
        _text("^[A-Za-z0-9_.:-]{1,64}$"),
        "0f8c1d6e5b7a4c3d9e2f1a0b8c7d6e5f",
        always=True,
    ),
}

_KEY: Final = (
    "Makes repeating safe: the same key with the same payload gives the same answer, with another payload 422. "
    "1 to 255 printable ASCII characters, bare or quoted; kept for 24 hours at least, per user."
)

REQUEST_HEADERS: Final[dict[str, Header]] = {
    "Idempotency-Key": Header(_KEY, _text(minLength=1, maxLength=255), "my-first-booking"),
    "X-Idempotency-Key": Header(
        f"Another spelling of Idempotency-Key, which wins when both are there. {_KEY}",
        _text(),
        "my-first-booking",
    ),
    "If-Match": Header(
        "The ETag that was read: 412 when somebody has edited it since. `*` or nothing: whatever stands there.",
        _text(),
        '"3-9f2c1e8b7a6d5c4f"',
    ),
    "If-None-Match": Header(
        "ETags that the client has: 304 without a body when one is current.", _text(), '"9f2c1e8b7a6d5c4f"'
    ),
    "Last-Event-ID": Header(
        "The last message of the stream that the client saw; it is not sent again.", _text(), "position-12"
    ),
    "Prefer": Header(
        "`wait=N`: wait for the decision, up to 30 seconds (RFC 7240). Anything else is ignored.",
        _text(),
        "wait=10",
    ),
    "X-Request-ID": Header(
        "An id of the client's own for this request: 1 to 64 of `A-Z a-z 0-9 _ . : -`; others are replaced.",
        _text(),
        "checkout-4711",
    ),
}


def response_header_components() -> dict[str, Any]:
    """`components.headers` of the document."""
    return {
        name: {
            "description": header.description,
            "schema": header.schema,
            "required": header.always,
            "example": _typed(header),
        }
        for name, header in RESPONSE_HEADERS.items()
    }


def request_header_parameters() -> dict[str, Any]:
    """The request headers' part of `components.parameters`."""
    return {
        name: {
            "name": name,
            "in": "header",
            "description": header.description,
            "required": False,
            "schema": header.schema,
            "example": header.example,
        }
        for name, header in REQUEST_HEADERS.items()
    }


def _typed(header: Header) -> str | int:
    return int(header.example) if header.schema["type"] == "integer" else header.example
