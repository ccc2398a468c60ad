"""What the console's pages have in common: their policies, where they lead, and problems for people."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Final

import orjson
from flask import Response, render_template, request

from api.problems import MEDIA_TYPE

_STATIC: Final = Path(__file__).parents[1] / "static"
HOME: Final = "/rq/"
_NOTHING_ELSE: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'self'; "
    "img-src 'self'"
)
LOGIN_POLICY: Final = _NOTHING_ELSE
# Our one script writes text nodes only; trusted types hold it to that: with none, nothing becomes HTML by script.
DASHBOARD_POLICY: Final = (
    f"{_NOTHING_ELSE}; script-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# Only addresses that the console itself has: no scheme, no host, no dots, nothing encoded.
_OWN_ADDRESS: Final = re.compile(r"/rq(?:/[A-Za-z0-9_-]+)*/?")


def find_next(address: str) -> str:
    """Where to go after the log-in: `address` if it is the console's own, else its first page."""
    return address if _OWN_ADDRESS.fullmatch(address) else HOME


def secure_page(response: Response, policy: str) -> Response:
    """Headers of a page. With `no-referrer`, which everything else has, forms would send `Origin: null`."""
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def static_file(name: str, media_type: str) -> Response:
    """One of our own files in `api/static`. They are a few kilobytes."""
    response = Response((_STATIC / name).read_bytes(), content_type=f"{media_type}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    return response


def wants_page() -> bool:
    """True when a person looks at the answer: browsers name HTML, scripts and fetches do not."""
    return "text/html" in request.headers.get("Accept", "")


def as_page(response: Response) -> Response:
    """After each request: a problem becomes a page for who looks at it."""
    if response.mimetype != MEDIA_TYPE or not wants_page():
        return response
    document = orjson.loads(response.get_data())
    page = Response(
        render_template("console/problem.html", problem=document),
        status=response.status_code,
        content_type="text/html; charset=utf-8",
    )
    for name in ("Retry-After", "Allow", "WWW-Authenticate"):
        if name in response.headers:
            page.headers[name] = response.headers[name]
    return secure_page(page, LOGIN_POLICY)


def see_other(address: str) -> Response:
    """Go there; `address` is one of our own."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address, "Cache-Control": "no-store"})
