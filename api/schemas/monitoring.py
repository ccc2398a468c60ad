"""What `/monitoring/sync-status` answers."""

from typing import Any

from marshmallow import fields

from api.fields import Instant, about
from api.parsing import StrictSchema
from shared.clock import rfc3339
from shared.services.sync_status import EVENTS_SHOWN, EventSync, PartitionSync, SyncStatus


class EventSyncDocument(StrictSchema):
    """An event about which Redis and the ledger disagree."""

    event_id = fields.Integer(required=True, strict=True, metadata=about("The event.", 7))
    decided = fields.Integer(
        required=True, strict=True, metadata=about("The last arrival that Redis calls decided.", 41)
    )
    last_arrival = fields.Integer(
        required=True, strict=True, metadata=about("The last arrival that the ledger has.", 42)
    )


class PartitionSyncDocument(StrictSchema):
    """One partition."""

    partition = fields.Integer(required=True, strict=True, metadata=about("Its number.", 3))
    waiting = fields.Integer(required=True, strict=True, metadata=about("Requests in the line.", 12))
    in_flight = fields.Integer(
        required=True, strict=True, metadata=about("Requests taken and not yet replied.", 0)
    )
    undecided = fields.Integer(
        required=True,
        strict=True,
        metadata=about("Accepted less decided, by the running numbers: waiting and in flight together.", 12),
    )
    lost = fields.Integer(required=True, strict=True, metadata=about("Ids set aside.", 0))
    token = fields.Integer(
        required=True, strict=True, metadata=about("The holder's claim token; 0 before the first claim.", 17)
    )
    events = fields.Integer(
        required=True, strict=True, metadata=about("Events whose counters were compared.", 25)
    )
    complete = fields.Boolean(
        required=True, metadata=about("Whether those are all; false with thousands of events.", True)
    )
    behind = fields.List(
        fields.Nested(EventSyncDocument),
        required=True,
        metadata=about("Events that the ledger has decided further than Redis knows, the first ten."),
    )
    ahead = fields.List(
        fields.Nested(EventSyncDocument),
        required=True,
        metadata=about("Events that Redis calls decided further than the ledger has, the first ten."),
    )


class ControlRequestsDocument(StrictSchema):
    """Requests that the control plane has put, or will put, into the line."""

    pending = fields.Integer(required=True, strict=True, metadata=about("Not decided yet.", 0))
    oldest_seconds = fields.Float(
        required=True, allow_none=True, metadata=about("Age of the oldest; null without any.", 1.5)
    )


class SyncStatusDocument(StrictSchema):
    """Whether the ledger and Redis say the same about the line."""

    in_sync = fields.Boolean(required=True, metadata=about("Whether nothing needs an explanation.", True))
    explanations = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What differs, and what it means; a sentence each.", "example": []},
    )
    at = Instant(required=True, metadata=about("When it was looked.", "2026-11-20T18:00:00.000000Z"))
    control_requests = fields.Nested(
        ControlRequestsDocument, required=True, metadata=about("The control plane's requests.")
    )
    token_sequence = fields.Integer(
        required=True, strict=True, metadata=about("The last claim token that PostgreSQL drew.", 17)
    )
    partitions = fields.List(
        fields.Nested(PartitionSyncDocument),
        required=True,
        metadata=about("Each partition; none when Redis is not this installation's."),
    )


def sync_status_document(status: SyncStatus) -> dict[str, Any]:
    """JSON values."""
    return {
        "in_sync": status.in_sync,
        "explanations": list(status.explanations),
        "at": rfc3339(status.at),
        "control_requests": {
            "pending": status.control_pending,
            "oldest_seconds": status.control_oldest_seconds,
        },
        "token_sequence": status.token_sequence,
        "partitions": [_partition_document(partition) for partition in status.partitions],
    }


def _partition_document(look: PartitionSync) -> dict[str, Any]:
    return {
        "partition": look.partition,
        "waiting": look.waiting,
        "in_flight": look.in_flight,
        "undecided": look.undecided,
        "lost": look.lost,
        "token": look.token,
        "events": look.events,
        "complete": look.complete,
        "behind": [_event_document(event) for event in look.behind[:EVENTS_SHOWN]],
        "ahead": [_event_document(event) for event in look.ahead[:EVENTS_SHOWN]],
    }


def _event_document(event: EventSync) -> dict[str, Any]:
    return {"event_id": event.event_id, "decided": event.decided, "last_arrival": event.last_arrival}
