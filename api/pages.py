"""HTML for people who read the contract: no inline script or style, nothing from another host."""

from typing import Final

from flask import Response, render_template, request

# Each directive that is not named falls back to 'none'.
_NOTHING_ELSE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY: Final = f"{_NOTHING_ELSE}; style-src 'self'; img-src 'self'"
# Swagger UI's stylesheet carries its icons as data: addresses; it reads the document and tries calls out.
DOCS_POLICY: Final = (
    f"{_NOTHING_ELSE}; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
)


def page_response(template: str, *, policy: str = PAGE_POLICY, **values: object) -> Response:
    """The template in `api/templates/`, filled in, under a content security policy."""
    response = Response(render_template(template, **values), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def wants_json() -> bool:
    """True when the client would rather have JSON than a page; who does not care gets the page."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
