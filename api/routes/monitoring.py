"""`/monitoring/sync-status`: the ledger against Redis."""

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.responses import NO_STORE, json_response
from api.schemas.monitoring import SyncStatusDocument, sync_status_document
from shared.db import transaction
from shared.services.sync_status import look_at_sync

blueprint = Blueprint("monitoring", __name__)


@blueprint.get("/monitoring/sync-status")
@describe(
    tag="Health",
    auth="admin",
    answers={200: Answer("What was found.", SyncStatusDocument, headers=("Cache-Control",))},
    problems=("line_unavailable",),
)
def sync_status() -> Response:
    """Compares what Redis and the ledger say about the line, for each partition."""
    container = get_container()
    with transaction(container.engine) as session:
        require_actor(session, "admin")
    status = look_at_sync(container.engine, container.line.runner.redis)
    return json_response(sync_status_document(status), headers=NO_STORE)
