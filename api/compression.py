"""gzip for large answers to clients that take it.

Not when the request has a cookie or the answer hands out tokens: who can make a browser ask with its cookie, and
have text of theirs in the answer, could read a secret beside it from the answer's length (BREACH). Bearer tokens
are not sent by browsers on their own.
"""

from typing import Final

from flask import Request, Response

from api.responses import JsonResponse, compressed

# An answer that fits into one packet arrives no sooner for being shorter.
BYTES_MIN: Final = 1_400
_TOKENS: Final = "/api/auth/"


def compress(response: Response, asked: Request) -> None:
    """Compresses the body of a GET's answer in place; its ETag becomes a weak one, as that of a 304 does whose
    body would have been compressed.
    """
    if (
        asked.method not in ("GET", "HEAD")  # the booking path ends here
        or response.status_code not in (200, 304)
        or response.is_streamed
        or (response.content_length or 0) < BYTES_MIN
        or not _is_text(response.mimetype)
        or "Content-Encoding" in response.headers
    ):
        return
    if asked.path.startswith(_TOKENS) or "Cookie" in asked.headers or "Set-Cookie" in response.headers:
        return
    response.vary.add("Accept-Encoding")
    if not _takes_gzip(asked):
        return
    tag, is_weak = response.get_etag()
    if tag is not None and not is_weak:
        response.set_etag(tag, weak=True)
    if response.status_code == 200:
        response.set_data(
            response.gzipped() if isinstance(response, JsonResponse) else compressed(response.get_data())
        )
        response.headers["Content-Encoding"] = "gzip"


def _is_text(media_type: str | None) -> bool:
    return media_type is not None and (
        media_type.startswith("text/") or media_type.endswith(("json", "javascript", "xml"))
    )


def _takes_gzip(asked: Request) -> bool:
    """Whether Accept-Encoding has gzip, by name or as `*`, and likes it no less than the plain body."""
    codings = {coding.lower(): quality for coding, quality in asked.accept_encodings}
    quality = codings.get("gzip", codings.get("*", 0))
    return quality > 0 and quality >= codings.get("identity", 0)
