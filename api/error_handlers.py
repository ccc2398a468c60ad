"""Flask's errors: every one becomes a problem document."""

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from api.container import get_container
from api.exchange import current_exchange
from api.problem_replies import error_reply, problem_reply
from api.replies import as_response

_HTTP_CODES: Final = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def problem_response(code: str, *, headers: dict[str, str] | None = None, **facts: Any) -> Response:  # noqa: ANN401
    """The problem document of `code`, as the answer to Flask's current request."""
    base_url = get_container().settings.base_url
    return as_response(problem_reply(current_exchange(), code, base_url=base_url, headers=headers, **facts))


def register_error_handlers(app: Flask) -> None:
    """Makes every error of `app` a problem document."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = _HTTP_CODES.get(
            status, "bad_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal_error"
        )
        allow = error.get_response().headers.get("Allow") if status == HTTPStatus.METHOD_NOT_ALLOWED else None
        return problem_response(code, headers={} if allow is None else {"Allow": allow})

    @app.errorhandler(Exception)
    def raised(error: Exception) -> Response:
        base_url = get_container().settings.base_url
        return as_response(error_reply(current_exchange(), error, base_url=base_url))
