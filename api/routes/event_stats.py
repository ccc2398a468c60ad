"""`/events/{event_id}/stats`: an event's figures, for who manages it."""

from typing import Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_managed_event
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.analytics import PeriodSchema, load_period
from api.schemas.event_stats import EventStatsDocument, event_stats_document
from shared.db import transaction
from shared.services.analytics_answers import read_event_stats

blueprint = Blueprint("event_stats", __name__)

_PERIOD: Final = PeriodSchema()


@blueprint.get("/events/<int:event_id>/stats")
@describe(
    tag="Analytics",
    auth="user",
    path={"event_id": "The event's id."},
    query=PeriodSchema,
    answers={200: Answer("The event's figures.", EventStatsDocument, headers=("Cache-Control",))},
    problems=("event_not_found", "forbidden"),
)
def show_stats(event_id: int) -> Response:
    """Shows who manages the event its figures: of all time, of a period, and day by day."""
    query = load_query(_PERIOD)
    with transaction(get_container().engine) as session:
        event = get_managed_event(session, require_actor(session), event_id)
        period = load_period(query, event.read_at.date())
        stats = read_event_stats(session, event.id, period)
    return json_response(event_stats_document(event, stats), headers=NO_STORE)
