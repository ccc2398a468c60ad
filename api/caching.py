"""ETags: 304 for who has it already (If-None-Match), 412 for who overwrites another's change (If-Match)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from flask import Response, request
from werkzeug.http import parse_etags

from api.responses import AnswerResponse, ReadyAnswer

PUBLIC: Final = "public, no-cache"  # anyone may keep it, and asks each time whether it still holds
PRIVATE: Final = "private, no-cache"

_VERSIONED_TAG = re.compile(r'(?:W/)?"(\d{1,18})-[^"]*"', re.ASCII)


def make_answer(
    document: object,
    *,
    tagged: object = None,
    version: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ReadyAnswer:
    """`document` as bytes, with its ETag: the hash of `tagged`, or of the whole document, after `version` and a
    dash when there is one.
    """
    body = orjson.dumps(document)
    digest = hashlib.sha256(body if tagged is None else orjson.dumps(tagged)).hexdigest()[:16]
    return ReadyAnswer(body, digest if version is None else f"{version}-{digest}", headers)


def answer_response(
    answer: ReadyAnswer,
    *,
    cache_control: str = PUBLIC,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """`answer`, or 304 without a body when the client has it."""
    fixed = {**(headers or {}), "Cache-Control": cache_control, "Vary": "Authorization"}
    response = AnswerResponse(answer, fixed, status)
    return response.not_modified() if is_known(answer.etag, request.environ) else response


def is_known(etag: str, environ: Mapping[str, Any]) -> bool:
    """Whether who reads has the answer with this tag (If-None-Match): 304 is enough for them then.

    A reader overwrites nothing: If-Match is not looked at, nor are ranges. With them werkzeug would answer 412 with
    the whole document.
    """
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return False
    # What nearly everybody sends; werkzeug reads lists and `*`, at fifteen times the cost.
    tag = known.removeprefix("W/")
    return tag == f'"{etag}"' or parse_etags(known).contains_weak(etag)


def cached_response(
    document: object,
    *,
    tagged: object = None,
    version: int | None = None,
    cache_control: str = PUBLIC,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """`document` with its ETag, or 304 without a body when the client has it."""
    answer = make_answer(document, tagged=tagged, version=version, headers=headers)
    return answer_response(answer, cache_control=cache_control, status=status)


def if_match_versions() -> frozenset[int] | None:
    """The versions that If-Match accepts; None when it is absent or `*`.

    Only what stands before the dash counts: a booking changes an event's ETag, an edit its version. Weak tags
    count as well, because proxies that compress make them of ours. Anything else matches no version.
    """
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return None
    return frozenset(int(version) for version in _VERSIONED_TAG.findall(header))


def without_impressions(document: dict[str, Any]) -> dict[str, Any]:
    """An event's document for its ETag: a look must not change what it looked at."""
    return {name: value for name, value in document.items() if name != "impressions"}
