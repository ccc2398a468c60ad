"""`/admin/queue/drain`: what waits for one event is withdrawn."""

from typing import Final

from flask import Blueprint, Response, g

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.idempotency import answer_once
from api.parsing import load_body
from api.responses import NO_STORE, json_response
from api.schemas.admin_drain import DrainDocument, DrainSchema, drain_document
from shared.db import transaction
from shared.line.drain import read_line_end
from shared.services.line_drain import drain

blueprint = Blueprint("admin_drain", __name__)

_DRAIN: Final = DrainSchema()


@blueprint.post("/admin/queue/drain")
@describe(
    tag="Queue",
    auth="admin",
    body=DrainSchema,
    answers={
        200: Answer(
            "The mark is set, or nothing waited, or this was a dry run.",
            DrainDocument,
            headers=("Cache-Control", "Idempotency-Replayed"),
        )
    },
    problems=("event_not_found", "line_unavailable"),
    request_headers=("Idempotency-Key",),
)
def drain_line() -> Response:
    """Withdraws every booking request that now waits for the event, each at its place in the line."""
    current_identity()
    values = load_body(_DRAIN)
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session, "admin")
    # Before the transaction that locks the event: whoever asks from here on is not concerned.
    end = read_line_end(container.line.runner, container.gate.installation(), values["event_id"])
    with transaction(container.engine) as session:
        return answer_once(
            session,
            actor=actor,
            kind="drain",
            payload=values,
            make=lambda: json_response(
                drain_document(
                    drain(session, end, **values, actor_id=actor.user_id, request_id=g.request_id)
                ),
                headers=NO_STORE,
            ),
        )
