"""The public ledger's documents."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import list_document_of
from api.parsing import StrictInteger, StrictSchema
from shared.clock import rfc3339
from shared.domain.ledger import CALL_OFF_SLICE, DRAIN, END_WAITLIST_SLICE, EVENT_SET, OFFER
from shared.domain.outcomes import CONFIRMED, REASONS, Outcome
from shared.domain.requests import BOOK, KINDS
from shared.store.events import EventRow

_KINDS: Final = (*KINDS, EVENT_SET, OFFER, CALL_OFF_SLICE, END_WAITLIST_SLICE, DRAIN)


def _hash_field() -> fields.String:
    """A hash of the chain: sha256, in hex."""
    return fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9a-f]{64}\Z"),
        metadata=about(
            "sha256 of the hash before it and of this row as canonical JSON.",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    )


class DecisionDocument(StrictSchema):
    """A row of an event's ledger: everything that its hash covers, without the user."""

    job_id = fields.UUID(
        required=True,
        metadata=about("The request's job; the row's own id.", "01990f5e-79b4-7f0a-8a6c-2d41be907c55"),
    )
    number = StrictInteger(
        required=True, minimum=1, metadata=about("Place in the event's ledger, without gaps.", 321)
    )
    arrival = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("The request's arrival number; null for rows that did not stand in the line.", 318),
    )
    kind = fields.String(
        required=True, validate=validate.OneOf(_KINDS), metadata=about("What was decided.", BOOK)
    )
    tickets = StrictInteger(
        required=True,
        minimum=0,
        allow_none=True,
        metadata=about("Tickets that were asked for or given back; null where it is about none.", 2),
    )
    outcome = fields.String(
        required=True,
        validate=validate.OneOf(get_args(Outcome)),
        metadata=about("How it was decided.", CONFIRMED),
    )
    reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(REASONS),
        metadata=about("Why it was rejected, withdrawn or failed; null otherwise."),
    )
    booking_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata=about("The booking made, or asked about.", "01990f5e-7a10-7c3e-9d42-5b8c1f0e6a21"),
    )
    available_after = StrictInteger(
        required=True, minimum=0, metadata=about("Tickets left after the decision.", 58)
    )
    facts = fields.Dict(
        required=True,
        metadata=about("What else the rule read; which members depends on the rule.", {"available": 1}),
    )
    accepted_at = InstantText(
        required=True, metadata=about("When the request was accepted.", "2030-01-15T09:29:59.995000Z")
    )
    decided_at = InstantText(
        required=True, metadata=about("When it was decided.", "2030-01-15T09:30:00.000000Z")
    )
    hash = _hash_field()


class LedgerHeadDocument(StrictSchema):
    """The newest row of an event's ledger."""

    number = StrictInteger(required=True, minimum=0, metadata=about("The newest row's number.", 321))
    hash = _hash_field()


DecisionListDocument: Final = list_document_of(DecisionDocument)


def decision_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger row: everything its hash covers, without the user."""
    return {
        "job_id": str(row["job_id"]),
        "number": row["number"],
        "arrival": row["arrival"],
        "kind": row["kind"],
        "tickets": row["tickets"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "booking_id": None if row["booking_id"] is None else str(row["booking_id"]),
        "available_after": row["available_after"],
        "facts": row["facts"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "decided_at": rfc3339(row["decided_at"]),
        "hash": bytes(row["hash"]).hex(),
    }


def head_document(event: EventRow) -> dict[str, Any]:
    """The newest row's number and hash: whoever keeps it can tell later that nothing before it changed."""
    return {"number": event.last_number, "hash": event.last_hash.hex()}
