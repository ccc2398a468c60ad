"""Fields that several nouns have: instants coming in and going out, booleans in a query string; what the document
says about a field.
"""

import re
from datetime import UTC, date, datetime
from typing import Any

from marshmallow import ValidationError, fields

from shared.clock import parse_rfc3339

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_FIRST_YEAR = 1970
_LAST_YEAR = 9998  # a year of room, so that no later sum leaves what a datetime can hold


def about(description: str, example: object = None) -> dict[str, Any]:
    """A field's `metadata` for the OpenAPI document: what it is, and a value it may have. Where the value is an
    object with fields of its own, those have the examples.
    """
    return (
        {"description": description} if example is None else {"description": description, "example": example}
    )


class Instant(fields.Field[datetime]):
    """An RFC 3339 instant with its offset, as aware UTC; at most six digits of a second."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own pattern
        "invalid": "Must be an RFC 3339 instant with an offset, such as 2030-06-01T18:00:00Z.",
        "year": f"Must lie in the years {_FIRST_YEAR} to {_LAST_YEAR}.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:  # noqa: ANN401, ARG002
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise self.make_error("invalid")
        try:
            instant = parse_rfc3339(value.upper())
        except (ValueError, OverflowError):
            raise self.make_error("invalid") from None
        if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
            raise self.make_error("year")
        return instant.astimezone(UTC)


class UtcDay(fields.Field[date]):
    """A date in a query string, or an RFC 3339 instant and so the UTC day that it lies in."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own pattern
        "invalid": "Must be a date such as 2030-06-01, or an RFC 3339 instant with an offset.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:  # noqa: ANN401, ARG002
        text = f"{value}T00:00:00Z" if isinstance(value, str) and len(value) == len("2030-06-01") else value
        try:
            return Instant().deserialize(text).date()
        except ValidationError:
            raise self.make_error("invalid") from None


class QueryBoolean(fields.Field[bool]):
    """`true` or `false` in a query string (`1` and `0` too)."""

    default_error_messages = {"invalid": "Must be true or false."}  # noqa: RUF012 - marshmallow's own pattern

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:  # noqa: ANN401, ARG002
        if value in ("true", "1"):
            return True
        if value in ("false", "0"):
            return False
        raise self.make_error("invalid")


class InstantText(fields.String):
    """An instant in an answer, as `shared.clock.rfc3339` writes it: UTC, six digits of a second."""

    default_error_messages = {"invalid": "Must be an instant in UTC with six digits."}  # noqa: RUF012 - as above

    def __init__(self, *, metadata: dict[str, Any], **kwargs: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(metadata={"format": "date-time", **metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:  # noqa: ANN401
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if not _WRITTEN.fullmatch(text):
            raise self.make_error("invalid")
        return text
