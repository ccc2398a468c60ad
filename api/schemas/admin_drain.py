"""Draining an event's line, on the wire."""

from typing import Any

from marshmallow import fields

from api.fields import about
from api.parsing import StrictBoolean, StrictInteger, StrictSchema, Text
from shared.services.line_drain import Drained
from shared.services.reasons import REASON_CHARACTERS_MAX


class DrainSchema(StrictSchema):
    """Which event's line to drain, and why."""

    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event whose line is drained.", 7))
    reason = Text(
        required=True,
        minimum=1,
        maximum=REASON_CHARACTERS_MAX,
        metadata=about(
            "Why. It is public: it stands in the event's ledger, and whoever is withdrawn is told.",
            "The price was wrong; please ask again.",
        ),
    )
    dry_run = StrictBoolean(
        load_default=False, metadata=about("Only say how many are concerned; change nothing.", False)
    )


class DrainDocument(StrictSchema):
    """What a drain concerns."""

    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event.", 7))
    up_to_arrival = StrictInteger(
        required=True,
        minimum=0,
        metadata=about("The newest arrival that was given out; later ones are not concerned.", 321),
    )
    undecided = StrictInteger(
        required=True,
        minimum=0,
        metadata=about("Requests up to that arrival that were not decided yet; bookings among them are.", 12),
    )
    dry_run = StrictBoolean(required=True, metadata=about("True when nothing was changed on purpose.", False))
    job_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata=about(
            "The mark's row in the ledger; null when none was written: in a dry run, and when nothing waited.",
            "01990f5e-79b4-7f0a-8a6c-2d41be907c55",
        ),
    )


def drain_document(drained: Drained) -> dict[str, Any]:
    """What was drained, or would be."""
    return {
        "event_id": drained.event_id,
        "up_to_arrival": drained.up_to_arrival,
        "undecided": drained.undecided,
        "dry_run": drained.dry_run,
        "job_id": None if drained.job_id is None else str(drained.job_id),
    }
