"""Errors that carry a stable code. Only `api/problems.py` knows which HTTP status a code has."""

from collections.abc import Mapping, Sequence
from typing import Any


class GuichetError(Exception):
    """Something a caller did or met, with a stable `code` and the `facts` behind it."""

    def __init__(self, code: str, detail: str = "", **facts: Any) -> None:  # noqa: ANN401 - facts are JSON values
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.facts: Mapping[str, Any] = facts


class RefusedError(GuichetError):
    """A rule says no; the same call later may succeed."""


class NotFoundError(GuichetError):
    """The thing is not there, or not for this caller: `<noun>_not_found`."""


class UnavailableError(GuichetError):
    """A dependency is away or unsafe; a retry may succeed. `retry_after_seconds` goes into Retry-After."""

    def __init__(self, code: str, detail: str = "", *, retry_after_seconds: int = 1, **facts: Any) -> None:  # noqa: ANN401
        super().__init__(code, detail, **facts)
        self.retry_after_seconds = retry_after_seconds


class InvalidInputError(GuichetError):
    """The input has the right syntax but values that are not accepted: one entry per JSON pointer."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__("validation_failed", "The request has fields that are not accepted.")
        self.errors = errors
