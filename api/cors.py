"""Cross-origin requests from browsers: refused, unless GUICHET_CORS_ORIGINS names who may send them.

Only what takes bearer tokens, and never with credentials: a page of another origin can use tokens that it was
given, and no cookie.
"""

from typing import Final

from werkzeug.datastructures import Headers

from api.exchange import Exchange
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


class Cors:
    """Answers browsers as the settings say; without origins it adds nothing at all."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.cors_origins.split(",")) if settings.cors_origins else frozenset()

    def allow(self, headers: dict[str, str] | Headers, exchange: Exchange) -> None:
        """Adds what an answer has to say, to its headers."""
        if not self._origins or not exchange.path.startswith(_PATHS):
            return
        varies = headers.get("Vary")
        headers["Vary"] = "Origin" if varies is None else f"{varies}, Origin"
        environ = exchange.environ
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or not (ANY_ORIGIN in self._origins or origin in self._origins):
            return
        headers["Access-Control-Allow-Origin"] = origin
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            headers["Access-Control-Allow-Methods"] = headers.get("Allow", "")
            headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        else:
            headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
