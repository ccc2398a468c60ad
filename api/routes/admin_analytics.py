"""`/admin/dashboard` and `/admin/analytics`: everybody's figures, for admins."""

from typing import Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.analytics import (
    AnalyticsDocument,
    DashboardDocument,
    PeriodSchema,
    analytics_document,
    dashboard_document,
    load_period,
)
from shared.db import transaction
from shared.services.analytics_answers import read_dashboard, read_period
from shared.store.clock import read_clock

blueprint = Blueprint("admin_analytics", __name__)

_PERIOD: Final = PeriodSchema()


@blueprint.get("/admin/dashboard")
@describe(
    tag="Analytics",
    auth="admin",
    answers={200: Answer("The figures now.", DashboardDocument, headers=("Cache-Control",))},
)
def dashboard() -> Response:
    """Shows everybody's figures: of all time, of today, of the last 30 days."""
    with transaction(get_container().engine) as session:
        require_actor(session, "admin")
        figures = read_dashboard(session, read_clock(session).date())
    return json_response(dashboard_document(figures), headers=NO_STORE)


@blueprint.get("/admin/analytics")
@describe(
    tag="Analytics",
    auth="admin",
    query=PeriodSchema,
    answers={200: Answer("The figures of the period.", AnalyticsDocument, headers=("Cache-Control",))},
)
def analytics() -> Response:
    """Shows everybody's figures in a period of at most 366 days, and day by day."""
    query = load_query(_PERIOD)
    with transaction(get_container().engine) as session:
        require_actor(session, "admin")
        figures = read_period(session, load_period(query, read_clock(session).date()))
    return json_response(analytics_document(figures), headers=NO_STORE)
