"""What every answer tells browsers: this is data, to be run, framed, embedded and guessed about by nobody."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Response

from api.exchange import Exchange
from api.responses import JsonResponse
from shared.settings import Settings

# Pages that need more set a policy of their own before.
CONTENT_SECURITY_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# No Permissions-Policy: it speaks to scripts, and the policy above lets none run.
ALWAYS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    # Also where CORS is on: a request that CORS allows is not asked for this one.
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# A year. Not for subdomains: they may be somebody else's.
BEHIND_TLS: Final = ("Strict-Transport-Security", "max-age=31536000")
_SECURE: Final = (*ALWAYS, BEHIND_TLS)


class SecurityHeaders:
    """These headers, and the one for answers that left through TLS."""

    def __init__(self, settings: Settings) -> None:
        self._tls_everywhere = settings.base_url.startswith("https://")

    def of(self, environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Those of the answer to a request."""
        return _SECURE if self._tls_everywhere or environ["wsgi.url_scheme"] == "https" else ALWAYS

    def add(self, response: Response, exchange: Exchange) -> None:
        """Adds them to a response, where it has none of its own, and those that every answer gets."""
        headers, others = self.of(exchange.environ), exchange.answer_headers
        if isinstance(response, JsonResponse):
            # it has none of them; looking would cost four times as much
            response.headers.extend((*others, *headers))
        else:
            response.headers.extend(others)
            for name, value in headers:
                response.headers.setdefault(name, value)
