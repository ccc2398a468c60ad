"""Alive, and ready."""

from typing import Any

from flask import Blueprint, Response

from api.container import get_container
from api.contract import Answer, describe
from api.responses import json_response
from api.schemas.health import AliveDocument, ReadinessDocument

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@blueprint.get("/api/health")
@blueprint.get("/api/health/live")
@describe(
    tag="Health",
    auth="none",
    local=True,
    answers={200: Answer("It answers.", AliveDocument, headers=("Cache-Control",))},
)
def alive() -> Response:
    """Tells that this process answers."""
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


@blueprint.get("/readyz")
@blueprint.get("/api/health/ready")
@describe(
    tag="Health",
    auth="none",
    local=True,  # what cannot be reached is what it tells
    answers={
        200: Answer("Bookings are accepted and decided.", ReadinessDocument, headers=("Cache-Control",)),
        503: Answer(
            "Bookings are not accepted, or not decided.",
            ReadinessDocument,
            headers=("Cache-Control",),
            example={"status": "unready", "problems": {"worker": "No booking worker is alive"}},
        ),
    },
)
def ready() -> Response:
    """Tells whether bookings can be accepted and decided; 503 names the part that fails.

    However many ask, a process looks at most every half second.
    """
    problems, warnings = get_container().readiness.check()
    document: dict[str, Any] = {"status": "unready" if problems else "ready", "problems": problems}
    if warnings:
        document["warnings"] = warnings
    return json_response(document, status=503 if problems else 200, headers={"Cache-Control": "no-store"})
