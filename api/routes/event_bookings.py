"""Who comes to an event, and the caller's own registrations. Booking itself goes through the line."""

from typing import Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.event_access import get_managed_event, get_readable_event
from api.paging import PagingSchema, list_document, page_request
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.event_bookings import attendee_document, registration_check_document, registration_document
from api.schemas.events import ATTENDEE_SORTS, REGISTRATION_SORTS, AttendeeListSchema
from shared.db import transaction
from shared.store.event_bookings import find_live_booking, list_attendees, list_registrations
from shared.store.events import make_event_row

blueprint = Blueprint("event_bookings", __name__)

_ATTENDEES: Final = AttendeeListSchema()
_REGISTRATIONS: Final = PagingSchema()


@blueprint.get("/events/<int:event_id>/check-registration")
def check_registration(event_id: int) -> Response:
    """Whether the caller has a live booking of the event."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        event = get_readable_event(session, event_id)
        booking = find_live_booking(session, event_id=event.id, user_id=actor.user_id)
    return json_response(registration_check_document(booking), headers=NO_STORE)


@blueprint.get("/events/user/registrations")
def registrations() -> Response:
    """Events that the caller has live bookings of, the newest booking first."""
    asked = page_request(load_query(_REGISTRATIONS), REGISTRATION_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page = list_registrations(session, user_id=actor.user_id, page=asked)
    items = [registration_document(make_event_row(row), row) for row in page.rows]
    document, headers = list_document(items, page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.get("/events/<int:event_id>/bookings")
def attendees(event_id: int) -> Response:
    """Bookings of the event and who made them, for its host and admins, oldest first."""
    query = load_query(_ATTENDEES)
    asked = page_request(query, ATTENDEE_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        event = get_managed_event(session, actor, event_id)
        page = list_attendees(session, event_id=event.id, status=query.get("status"), page=asked)
    document, headers = list_document([attendee_document(row, event) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})
