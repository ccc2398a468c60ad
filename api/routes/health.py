"""Alive, and ready."""

from typing import Any

from flask import Blueprint, Response

from api.container import get_container
from api.responses import json_response
from shared.services.health import check_readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@blueprint.get("/api/health")
@blueprint.get("/api/health/live")
def alive() -> Response:
    """This process answers."""
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


@blueprint.get("/readyz")
@blueprint.get("/api/health/ready")
def ready() -> Response:
    """Whether bookings can be accepted and decided: 503 naming the part that fails."""
    container = get_container()
    problems, warnings = check_readiness(
        container.gate,
        container.line.runner.redis,
        partitions=container.settings.partitions,
        pause=container.snapshots.pause,
    )
    document: dict[str, Any] = {"status": "unready" if problems else "ready", "problems": problems}
    if warnings:
        document["warnings"] = warnings
    return json_response(document, status=503 if problems else 200, headers={"Cache-Control": "no-store"})
