"""Who comes to an event, and the caller's own registrations. Booking itself goes through the line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.csv_text import csv_text
from api.event_access import get_managed_event, get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.event_bookings import (
    ATTENDEE_COLUMNS,
    EventBookingListDocument,
    RegistrationCheckDocument,
    RegistrationListDocument,
    attendee_cells,
    attendee_document,
    registration_check_document,
    registration_document,
)
from api.schemas.events import (
    ATTENDEE_SORTS,
    REGISTRATION_SORTS,
    AttendeeExportSchema,
    AttendeeListSchema,
    RegistrationListSchema,
)
from api.streaming import ROWS, download, each_page
from shared.db import Session, transaction
from shared.store.event_bookings import find_live_booking, list_attendees, list_registrations
from shared.store.events import make_event_row
from shared.store.paging import Page, PageRequest

blueprint = Blueprint("event_bookings", __name__)

_ATTENDEES: Final = AttendeeListSchema()
_REGISTRATIONS: Final = RegistrationListSchema()

_EXPORT: Final = AttendeeExportSchema()

_TAG: Final = "Bookings"
_PATH: Final = {"event_id": "The event's id."}
_CSV_EXAMPLE: Final = """\
reference,name,email,tickets,status,price_minor,currency,created_at,cancelled_at
K7Q2-9XMD,Ada Lovelace,ada@example.org,2,confirmed,2500,EUR,2030-01-15T09:30:00.000000Z,
"""


@blueprint.get("/events/<int:event_id>/check-registration")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={
        200: Answer("Whether, and which.", RegistrationCheckDocument, headers=("Cache-Control",)),
    },
    problems=("event_not_found",),
)
def check_registration(event_id: int) -> Response:
    """Tells whether the caller has a live booking of the event."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        event = get_readable_event(session, event_id)
        booking = find_live_booking(session, event_id=event.id, user_id=actor.user_id)
    return json_response(registration_check_document(booking), headers=NO_STORE)


@blueprint.get("/events/user/registrations")
@describe(
    tag=_TAG,
    auth="user",
    query=RegistrationListSchema,
    answers={200: Answer("A page of events.", RegistrationListDocument, headers=("Link", "Cache-Control"))},
)
def registrations() -> Response:
    """Lists the events that the caller has live bookings of, the newest booking first."""
    asked = page_request(load_query(_REGISTRATIONS), REGISTRATION_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page = list_registrations(session, user_id=actor.user_id, page=asked)
    items = [registration_document(make_event_row(row), row) for row in page.rows]
    document, headers = list_document(items, page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.get("/events/<int:event_id>/bookings")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    query=AttendeeListSchema,
    answers={200: Answer("A page of bookings.", EventBookingListDocument, headers=("Link", "Cache-Control"))},
    problems=("forbidden", "event_not_found"),
)
def attendees(event_id: int) -> Response:
    """Lists an event's bookings and who made them, oldest first; for its host and admins."""
    query = load_query(_ATTENDEES)
    asked = page_request(query, ATTENDEE_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        event = get_managed_event(session, actor, event_id)
        page = list_attendees(session, event_id=event.id, status=query.get("status"), page=asked)
    document, headers = list_document([attendee_document(row, event) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.get("/events/<int:event_id>/bookings.csv")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    query=AttendeeExportSchema,
    answers={
        200: Answer(
            "The file, in UTF-8, with a line of names. An answer that breaks off is not complete.",
            media_type="text/csv",
            headers=("Cache-Control", "Content-Disposition"),
            example=_CSV_EXAMPLE,
        )
    },
    problems=("forbidden", "event_not_found"),
)
def attendees_csv(event_id: int) -> Response:
    """Exports an event's bookings and who made them as CSV, oldest first; for its host and admins.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    status = load_query(_EXPORT).get("status")
    engine = get_container().engine

    def read(session: Session, page: PageRequest) -> Page:
        return list_attendees(session, event_id=event_id, status=status, page=page)

    with transaction(engine) as session:
        get_managed_event(session, require_actor(session), event_id)
        first = read(session, PageRequest(sort="", limit=ROWS))
    return download(
        _csv(each_page(engine, read, first=first)),
        content_type="text/csv; charset=utf-8; header=present",
        file_name=f"event-{event_id}-bookings.csv",
    )


def _csv(pages: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[bytes]:
    yield csv_text([ATTENDEE_COLUMNS])
    for rows in pages:
        yield csv_text(attendee_cells(row) for row in rows)
