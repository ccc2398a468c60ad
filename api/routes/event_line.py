"""`/events/{event_id}/line`: an event's line, for its host."""

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_managed_event
from api.responses import NO_STORE, json_response
from api.schemas.event_line import EventLineDocument, event_line_document
from shared.db import transaction
from shared.services.event_line import read_event_line
from shared.store.line_state import find_pause

blueprint = Blueprint("event_line", __name__)


@blueprint.get("/events/<int:event_id>/line")
@describe(
    tag="Queue",
    auth="user",
    path={"event_id": "The event's id."},
    answers={200: Answer("The event's line now.", EventLineDocument, headers=("Cache-Control",))},
    problems=("event_not_found", "forbidden", "line_unavailable"),
)
def show_line(event_id: int) -> Response:
    """Shows who manages the event how long its line is, how fast, and whether it is paused."""
    container = get_container()
    with transaction(container.engine) as session:
        event = get_managed_event(session, require_actor(session), event_id)
        pause = find_pause(session)
    line = read_event_line(container.line.runner, container.gate.installation(), event.id)
    return json_response(event_line_document(line, pause), headers=NO_STORE)
