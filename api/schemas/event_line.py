"""One event's line on the wire, as its host sees it."""

from dataclasses import asdict
from typing import Any

from marshmallow import fields, validate

from api.fields import about
from api.parsing import StrictInteger, StrictSchema
from api.schemas.request_documents import PauseDocument
from shared.clock import rfc3339_or_none
from shared.services.event_line import EventLine
from shared.store.line_state import Pause


class EventLineDocument(StrictSchema):
    """An event's line."""

    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event.", 7))
    depth = StrictInteger(required=True, minimum=0, metadata=about("Undecided requests.", 321))
    head_arrival = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("The arrival that is decided next; null when nobody waits.", 1204),
    )
    decided_per_second = fields.Float(
        required=True,
        allow_none=True,
        validate=validate.Range(min=0),
        metadata=about(
            "How fast its partition decides while there is something to decide, as measured; events of one partition "
            "share it. Null before the first measurement.",
            4210.0,
        ),
    )
    oldest_waiting_seconds = fields.Float(
        required=True,
        allow_none=True,
        validate=validate.Range(min=0),
        metadata=about(
            "Age of its oldest undecided request; null when nobody waits, and when a thousand requests of other "
            "events stand before it.",
            4.2,
        ),
    )
    paused = fields.Nested(
        PauseDocument, required=True, allow_none=True, metadata=about("The line's pause; null when it runs.")
    )


def event_line_document(line: EventLine, pause: Pause | None) -> dict[str, Any]:
    """The event's line now."""
    paused = pause and {
        "reason": pause.reason,
        "since": rfc3339_or_none(pause.paused_at),
        "resume_at": rfc3339_or_none(pause.resume_at),
    }
    return {**asdict(line), "paused": paused}
