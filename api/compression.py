"""gzip for large answers to clients that take it.

Not when the request has a cookie or the answer hands out tokens: who can make a browser ask with its cookie, and
have text of theirs in the answer, could read a secret beside it from the answer's length (BREACH). Bearer tokens
are not sent by browsers on their own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from flask import Response
from werkzeug.http import parse_accept_header

from api.responses import JsonResponse, compressed

# An answer that fits into one packet arrives no sooner for being shorter.
BYTES_MIN: Final = 1_400
_TOKENS: Final = "/api/auth/"


def compress(response: Response, environ: Mapping[str, Any], path: str) -> None:
    """Compresses the body of a GET's answer in place; its ETag becomes a weak one, as that of a 304 does whose
    body would have been compressed.
    """
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):  # the booking path ends here
        return
    if response.status_code not in (200, 304) or not _is_worth_it(response):
        return
    if "HTTP_COOKIE" in environ or path.startswith(_TOKENS) or "Set-Cookie" in response.headers:
        return
    headers = response.headers
    varies = headers.get("Vary")
    headers["Vary"] = "Accept-Encoding" if varies is None else f"{varies}, Accept-Encoding"
    if not _takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return
    tag = headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        headers["ETag"] = f"W/{tag}"
    if response.status_code == 200:
        response.set_data(
            response.gzipped() if isinstance(response, JsonResponse) else compressed(response.get_data())
        )
        headers["Content-Encoding"] = "gzip"


def _is_worth_it(response: Response) -> bool:
    """Whether the body, also the one that a 304 leaves out, is long enough, whole, text, and not compressed yet."""
    if isinstance(response, JsonResponse):
        return response.body_bytes >= BYTES_MIN
    return (
        not response.is_streamed
        and (response.content_length or 0) >= BYTES_MIN
        and _is_text(response.mimetype)
        and "Content-Encoding" not in response.headers
    )


def _is_text(media_type: str | None) -> bool:
    return media_type is not None and (
        media_type.startswith("text/") or media_type.endswith(("json", "javascript", "xml"))
    )


@lru_cache(maxsize=256)
def _takes_gzip(accept_encoding: str) -> bool:
    """Whether Accept-Encoding has gzip, by name or as `*`, and likes it no less than the plain body."""
    codings = {coding.lower(): quality for coding, quality in parse_accept_header(accept_encoding)}
    quality = codings.get("gzip", codings.get("*", 0))
    return quality > 0 and quality >= codings.get("identity", 0)
