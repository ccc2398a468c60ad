"""Lists over HTTP: which page is asked for, opaque cursors, `Link: rel="next"`."""

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

import orjson
from flask import request
from marshmallow import Schema, fields, validate

from api.container import get_container
from api.fields import QueryBoolean, about
from api.parsing import QueryInteger, StrictBoolean, StrictInteger, StrictSchema
from shared.clock import from_micros, to_micros
from shared.errors import InvalidInputError
from shared.ids import BIGINT_MAX
from shared.store.paging import TOTAL_MAX, Key, Page, PageRequest, Position

LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 100
OFFSET_MAX: Final = 1_000_000  # rows before an offset are read and thrown away; cursors are not
CURSOR_CHARACTERS_MAX: Final = 4096
_MICROS_MAX: Final = 253_370_764_800_000_000  # the year 9999

Kind = Literal["instant", "text", "integer", "uuid"]


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort field: what kind of value it has, and whether it goes down unless the client says otherwise."""

    kind: Kind
    descending: bool = False


_SORT: Final = about("The field to sort by; ties are broken by id.")


def sort_field(sorts: Mapping[str, Sort]) -> fields.String:
    """The `sort` parameter of a list that sorts by `sorts`; the first is the default."""
    error = f"Must be one of: {', '.join(sorts)}."
    metadata = {**_SORT, "default": next(iter(sorts))}
    return fields.String(validate=validate.OneOf([*sorts], error=error), metadata=metadata)


class PagingSchema(StrictSchema):
    """Query parameters of every list; subclasses add filters."""

    limit = QueryInteger(
        minimum=1, maximum=LIMIT_MAX, metadata=about(f"Items a page; {LIMIT_DEFAULT} unless given.", 20)
    )
    offset = QueryInteger(
        minimum=0,
        maximum=OFFSET_MAX,
        metadata=about("Items to skip; a cursor is cheaper, and misses nothing. Not with `cursor`."),
    )
    cursor = fields.String(
        validate=validate.Length(min=1, max=CURSOR_CHARACTERS_MAX),
        metadata=about("`next_cursor` of the page before, with the same `sort` and `order`."),
    )
    sort = fields.String(metadata=_SORT)
    order = fields.String(
        validate=validate.OneOf(["asc", "desc"]),
        metadata=about("Up or down; the default is the field's own."),
    )
    with_total = QueryBoolean(
        metadata=about(f"Whether to count all items, up to {TOTAL_MAX:,}; costs a second look.")
    )


def list_document_of(item: type[Schema], *, with_total: bool = True) -> type[StrictSchema]:
    """The schema of a list of `item`, as `list_document` makes it; `FooDocument` gives `FooListDocument`."""
    members: dict[str, Any] = {
        "__doc__": "One page of a list.",
        "items": fields.List(
            fields.Nested(item), required=True, metadata=about("The page, in the order asked for.")
        ),
        "next_cursor": fields.String(
            required=True,
            allow_none=True,
            metadata=about("Where the next page starts; null on the last one."),
        ),
    }
    if with_total:
        members["total"] = StrictInteger(
            minimum=0,
            maximum=TOTAL_MAX,
            metadata=about("Items on all pages; only with `with_total=true`.", 137),
        )
        members["total_is_exact"] = StrictBoolean(
            metadata=about(f"Beside `total`: false when there are more than {TOTAL_MAX:,}.", example=True)
        )
    return type(f"{item.__name__.removesuffix('Document')}ListDocument", (StrictSchema,), members)


def page_request(
    query: Mapping[str, Any], sorts: Mapping[str, Sort], *, id_kind: Kind = "integer"
) -> PageRequest:
    """The page that the loaded `query` asks for; the first of `sorts` is the default.

    Raises InvalidInputError on an unknown sort, a cursor that is not ours or of another order, or a cursor
    together with an offset.
    """
    name = query.get("sort") or next(iter(sorts))
    if name not in sorts:
        raise _invalid("sort", f"Must be one of: {', '.join(sorts)}.")
    if "cursor" in query and "offset" in query:
        raise _invalid("offset", "Give a cursor or an offset, not both.")
    descending = query["order"] == "desc" if "order" in query else sorts[name].descending
    after = None
    if "cursor" in query:
        after = decode_cursor(query["cursor"], name, descending=descending, kinds=(sorts[name].kind, id_kind))
    return PageRequest(
        sort=name,
        descending=descending,
        limit=query.get("limit", LIMIT_DEFAULT),
        after=after,
        offset=query.get("offset", 0),
        with_total=query.get("with_total", False),
    )


def list_document(
    items: Sequence[Any], page: Page, asked: PageRequest
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body of a list, and its headers: a Link to the next page when there is one."""
    cursor = None if page.next is None else encode_cursor(asked.sort, page.next, descending=asked.descending)
    document: dict[str, Any] = {"items": list(items), "next_cursor": cursor}
    if page.total is not None:
        document["total"], document["total_is_exact"] = page.total, page.total_is_exact
    if cursor is None:
        return document, {}
    # A search may stop short of a full page; an offset would count what it has not looked at.
    by_offset = "offset" in request.args and len(items) == asked.limit
    return document, {"Link": f'<{_next_url(cursor, asked, by_offset=by_offset)}>; rel="next"'}


def encode_cursor(sort: str, position: Position, *, descending: bool) -> str:
    """Opaque text for the place after `position` in this order."""
    body = orjson.dumps([sort, "desc" if descending else "asc", _pack(position.key), _pack(position.id)])
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def decode_cursor(text: str, sort: str, *, descending: bool, kinds: tuple[Kind, Kind]) -> Position:
    """The place that `encode_cursor` named. Every part is checked, so whatever a client makes up is either a
    place in this order or InvalidInputError, never an error in the database.
    """
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        parts = orjson.loads(body)
    except (binascii.Error, ValueError):
        raise _invalid("cursor", "Is not a cursor of this list.") from None
    if not isinstance(parts, list) or parts[:2] != [sort, "desc" if descending else "asc"] or len(parts) != 4:
        raise _invalid("cursor", "Is not a cursor of this list in this order.")
    try:
        key, row_id = (_unpack(value, kind) for value, kind in zip(parts[2:], kinds, strict=True))
    except ValueError:
        raise _invalid("cursor", "Is not a cursor of this list.") from None
    if not isinstance(row_id, int | uuid.UUID):
        raise _invalid("cursor", "Is not a cursor of this list.")
    return Position(key, row_id)


def _pack(value: Key) -> int | str:
    if isinstance(value, datetime):
        return to_micros(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _unpack(value: object, kind: Kind) -> Key:
    if kind in ("text", "uuid"):
        if not isinstance(value, str) or "\x00" in value:
            raise ValueError(kind)
        return uuid.UUID(value) if kind == "uuid" else value
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > BIGINT_MAX:
        raise ValueError(kind)
    if kind == "integer":
        return value
    if not 0 <= value <= _MICROS_MAX:
        raise ValueError(kind)
    return from_micros(value)


def _next_url(cursor: str, asked: PageRequest, *, by_offset: bool) -> str:
    """The address of this request with the next page's place."""
    parameters = request.args.to_dict()
    parameters.pop("offset", None)
    if by_offset:
        parameters["offset"] = str(asked.offset + asked.limit)
    else:
        parameters["cursor"] = cursor
    return f"{get_container().settings.base_url}{request.path}?{urlencode(parameters)}"


def _invalid(parameter: str, detail: str) -> InvalidInputError:
    return InvalidInputError([{"pointer": f"?{parameter}", "detail": detail}])
