"""Cursors of lists that live in Redis: opaque text for a place, checked in every part when it comes back."""

import base64
import binascii
import math
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from flask import request

from api.container import get_container
from shared.errors import InvalidInputError
from shared.line.pages import ListPlace, RegistryPlace
from shared.services.line_jobs import LinePlace, Place

PLACE_CHARACTERS_MAX: Final = 1024

_LIST: Final = "list"
_REGISTRY: Final = "registry"


def encode_place(place: Place | None) -> str | None:
    """Opaque text for a place; None for none."""
    if place is None:
        return None
    if isinstance(place, LinePlace):
        parts: list[Any] = [_LIST, place.partition, place.place.sequence, place.place.skip]
    else:
        parts = [_REGISTRY, place.score, place.id]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def decode_line_place(text: str) -> LinePlace:
    """The place in a queue that `encode_place` named. Raises InvalidInputError."""
    match _parts_of(text):
        case [str(kind), int() as partition, int() as sequence, int() as skip] if kind == _LIST:
            # Lua counts in doubles.
            if all(type(number) is int and 0 <= number < 2**53 for number in (partition, sequence, skip)):
                return LinePlace(partition, ListPlace(sequence, skip))
    raise _not_ours()


def decode_registry_place(text: str) -> RegistryPlace:
    """The place in a registry that `encode_place` named. Raises InvalidInputError."""
    match _parts_of(text):
        case [str(kind), int() | float() as score, str(job_id)] if kind == _REGISTRY and math.isfinite(score):
            return RegistryPlace(float(score), job_id)
    raise _not_ours()


def next_link(cursor: str | None) -> dict[str, str]:
    """The Link header of this request's next page, if there is one."""
    if cursor is None:
        return {}
    parameters = urlencode({**request.args.to_dict(), "cursor": cursor})
    return {"Link": f'<{get_container().settings.base_url}{request.path}?{parameters}>; rel="next"'}


def _parts_of(text: str) -> object:
    try:
        return orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None


def _not_ours() -> InvalidInputError:
    return InvalidInputError([{"pointer": "?cursor", "detail": "Is not a cursor of this list."}])
