"""Events as admins list them: all of them, and what only they see."""

from collections.abc import Mapping
from typing import Any, Final

from api.fields import InstantText, QueryBoolean, about
from api.paging import list_document_of, sort_field
from api.parsing import StrictInteger
from api.schemas.event_documents import EventDocument
from api.schemas.events import EVENT_SORTS, EventListSchema, event_document, event_filters
from shared.clock import rfc3339_or_none
from shared.domain.permissions import Actor
from shared.store.events import EventFilters, make_event_row

# The newest first: what an admin looks for was made a moment ago.
ADMIN_EVENT_SORTS: Final = {"created_at": EVENT_SORTS["created_at"], **EVENT_SORTS}


class AdminEventListSchema(EventListSchema):
    """Query of all events."""

    sort = sort_field(ADMIN_EVENT_SORTS)
    hidden = QueryBoolean(metadata=about("Only those that were deleted, instead of those that were not."))


class AdminEventDocument(EventDocument):
    """An event with what only admins see."""

    offered = StrictInteger(
        required=True, minimum=0, metadata=about("Tickets held for open offers of the waitlist.", 2)
    )
    waiting = StrictInteger(required=True, minimum=0, metadata=about("Entries that wait in the waitlist.", 9))
    deleted_at = InstantText(
        required=True, allow_none=True, metadata=about("When it was hidden; null while it is not.")
    )


AdminEventListDocument: Final = list_document_of(AdminEventDocument)


def admin_event_filters(query: Mapping[str, Any], viewer: Actor) -> EventFilters:
    """The filters in a loaded AdminEventListSchema."""
    return event_filters(query, viewer, of_every_time=True, hidden=query.get("hidden", False))


def admin_event_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that was selected with ADMIN_COLUMNS."""
    return {
        **event_document(make_event_row(row)),
        "offered": row["offered"],
        "waiting": row["entries_waiting"],
        "deleted_at": rfc3339_or_none(row["deleted_at"]),
    }
