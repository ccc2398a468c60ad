"""Cross-origin requests from browsers: refused, unless GUICHET_CORS_ORIGINS names who may send them.

Only what takes bearer tokens, and never with credentials: a page of another origin can use tokens that it was
given, and no cookie.
"""

from typing import Final

from flask import Flask, Response, request

from shared.settings import ANY_ORIGIN, Settings

_PATHS: Final = ("/api/", "/openapi.json", "/.well-known/")
_REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer,"
    " X-Idempotency-Key, X-Request-ID"
)
_RESPONSE_HEADERS: Final = (
    "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After,"
    " WWW-Authenticate, X-Request-ID"
)
# As long as the browser with the shortest patience remembers an answer to what it asks first.
_PREFLIGHT_SECONDS: Final = "7200"


def init_cors(app: Flask, settings: Settings) -> None:
    """Makes `app` answer browsers as the settings say; without origins it adds nothing at all."""
    if not settings.cors_origins:
        return
    origins = frozenset(settings.cors_origins.split(","))
    anyone = ANY_ORIGIN in origins

    def allow(response: Response) -> Response:
        if not request.path.startswith(_PATHS):
            return response
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or not (anyone or origin in origins):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        else:
            response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
        return response

    app.after_request(allow)
