"""Following hosts on the wire."""

from datetime import datetime
from typing import Any, Final

from marshmallow import fields

from api.fields import InstantText, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictSchema
from api.schemas.event_documents import HostDocument
from shared.clock import rfc3339

FOLLOW_SORTS: Final = {"created_at": Sort("instant", descending=True)}


class FollowListSchema(PagingSchema):
    """Query of whom one follows."""

    sort = sort_field(FOLLOW_SORTS)


class FollowDocument(StrictSchema):
    """Somebody follows a host."""

    host = fields.Nested(HostDocument, required=True, metadata=about("Whom."))
    created_at = InstantText(required=True, metadata=about("Since when.", "2030-01-10T08:00:00.000000Z"))


FollowListDocument: Final = list_document_of(FollowDocument)


def follow_document(*, host_id: int, host_name: str, created_at: datetime) -> dict[str, Any]:
    """Whom somebody follows, and since when."""
    return {"host": {"id": host_id, "name": host_name}, "created_at": rfc3339(created_at)}
