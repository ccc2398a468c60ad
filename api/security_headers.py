"""What every answer tells browsers: this is data, to be run, framed, embedded and guessed about by nobody."""

from collections.abc import Callable
from typing import Final

from flask import Request, Response

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


def make_adder(settings: Settings) -> Callable[[Response, Request, list[tuple[str, str]]], None]:
    """What adds these headers to a response, where it has none of its own, and those that are given."""
    tls_everywhere = settings.base_url.startswith("https://")
    secure = (*ALWAYS, BEHIND_TLS)

    def add(response: Response, asked: Request, others: list[tuple[str, str]]) -> None:
        headers = secure if tls_everywhere or asked.is_secure else ALWAYS
        if isinstance(response, JsonResponse):
            # it has none of them; looking would cost four times as much
            response.headers.extend((*others, *headers))
        else:
            response.headers.extend(others)
            for name, value in headers:
                response.headers.setdefault(name, value)

    return add
