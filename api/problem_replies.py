"""From an error to its RFC 9457 problem document."""

import logging
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from api.exchange import Exchange
from api.problems import MEDIA_TYPE, PROBLEMS
from api.replies import Reply
from shared.db import DATABASE_AWAY
from shared.errors import GuichetError, InvalidInputError, UnavailableError

log = logging.getLogger(__name__)

_DATABASE_AWAY_SECONDS: Final = "2"


def problem_reply(
    exchange: Exchange,
    code: str,
    detail: str = "",
    *,
    base_url: str,
    status: int | None = None,
    headers: dict[str, str] | None = None,
    **facts: Any,  # noqa: ANN401 - JSON values
) -> Reply:
    """The problem document of `code`, with its usual status unless another is given; `facts` become members
    beside the standard ones.
    """
    usual_status, title = PROBLEMS[code]
    status = status or usual_status
    body = {
        "type": f"{base_url}/problems/{code}",  # relative without a base URL: the Host header is anybody's
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        "instance": exchange.path,
        "request_id": exchange.request_id,
        **facts,
    }
    own = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **(headers or {})}
    if status == HTTPStatus.UNAUTHORIZED:
        own.setdefault("WWW-Authenticate", _challenge(exchange, code))
    return Reply(status, orjson.dumps(body), own)


def refusal_reply(exchange: Exchange, error: GuichetError, *, base_url: str) -> Reply:
    """The problem document of a refusal, raised or not: after a sell-out nearly every answer is one, and on the way
    from `raise` to its handler it costs more than what it says.
    """
    facts, headers = dict(error.facts), {}
    if isinstance(error, InvalidInputError):
        facts["errors"] = list(error.errors)
    elif isinstance(error, UnavailableError):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif "retry_after_seconds" in facts:
        headers["Retry-After"] = str(facts["retry_after_seconds"])
    return problem_reply(exchange, error.code, error.detail, base_url=base_url, headers=headers, **facts)


def error_reply(exchange: Exchange, error: Exception, *, base_url: str) -> Reply:
    """The problem document of whatever was raised: a refusal, a database that is away, or a mistake of ours."""
    if isinstance(error, GuichetError):
        return refusal_reply(exchange, error, base_url=base_url)
    if isinstance(error, DATABASE_AWAY):
        reason = str(error).split("\n", 1)[0]
        log.warning("the database is away", extra={"path": exchange.path, "error": reason})
        headers = {"Retry-After": _DATABASE_AWAY_SECONDS}
        return problem_reply(exchange, "database_unavailable", base_url=base_url, headers=headers)
    about = {"path": exchange.path, "method": exchange.environ["REQUEST_METHOD"]}
    log.error("unhandled error", exc_info=error, extra=about)
    return problem_reply(exchange, "internal_error", base_url=base_url)


def _challenge(exchange: Exchange, code: str) -> str:
    """RFC 6750: without an error for who sent no token. A wrong password makes no token invalid."""
    challenge = 'Bearer realm="guichet"'
    environ = exchange.environ
    sent = environ.get("HTTP_AUTHORIZATION", "").lower().startswith("bearer ") or "token" in parse_qs(
        environ.get("QUERY_STRING", ""), keep_blank_values=True
    )
    return f'{challenge}, error="invalid_token"' if sent and code == "unauthenticated" else challenge
