"""Everything that belongs to one account, as one document."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.parsing import StrictBoolean, StrictInteger, StrictSchema
from api.schemas.audit_log import AuditLogEntryDocument
from api.schemas.bookings import BookingDocument
from api.schemas.event_decisions import DecisionDocument, decision_document
from api.schemas.event_documents import EventDocument
from api.schemas.follows import FollowDocument
from api.schemas.notifications import NotificationDocument
from api.schemas.users import UserDocument
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.organizations import MEMBER, OWNER
from shared.domain.requests import BOOK, KINDS
from shared.services.requests import RequestStatus

_EVENT_ID: Final = about("The event's id.", 7)
_INSTANT: Final = "2030-01-15T09:30:00.000000Z"


class MembershipDocument(StrictSchema):
    """An organization that one belongs to."""

    organization_id = StrictInteger(required=True, minimum=1, metadata=about("Its id.", 3))
    organization_name = fields.String(required=True, metadata=about("Its name.", "Cello Festival"))
    role = fields.String(
        required=True, validate=validate.OneOf([OWNER, MEMBER]), metadata=about("In which role.", MEMBER)
    )
    created_at = InstantText(required=True, metadata=about("Since when.", _INSTANT))


class UndecidedDocument(StrictSchema):
    """A request that stands in the line."""

    job_id = fields.UUID(
        required=True, metadata=about("The request's job.", "01990f5e-79b4-7f0a-8a6c-2d41be907c55")
    )
    kind = fields.String(
        required=True, validate=validate.OneOf(KINDS), metadata=about("What is asked for.", BOOK)
    )
    event_id = StrictInteger(required=True, minimum=1, metadata=_EVENT_ID)
    tickets = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("How many; null where it is about none.", 2),
    )
    arrival = StrictInteger(
        required=True, minimum=1, allow_none=True, metadata=about("Its arrival number.", 318)
    )
    accepted_at = InstantText(required=True, metadata=about("When it was accepted.", _INSTANT))


class OwnDecisionDocument(DecisionDocument):
    """A row of an event's ledger that decided one's request."""

    event_id = StrictInteger(required=True, minimum=1, metadata=_EVENT_ID)


class OwnOfferDocument(StrictSchema):
    """Tickets that were held for one."""

    id = fields.UUID(required=True, metadata=about("The offer's id.", "01990f5e-7b20-7c3e-9d42-5b8c1f0e6a21"))
    status = fields.String(required=True, metadata=about("What became of it.", "accepted"))
    expires_at = InstantText(required=True, metadata=about("Until when they were held.", _INSTANT))
    created_at = InstantText(required=True, metadata=about("Since when.", _INSTANT))
    ended_at = InstantText(
        required=True, allow_none=True, metadata=about("When it ended; null while it is open.")
    )


class OwnWaitlistEntryDocument(StrictSchema):
    """One's waiting for an event's tickets."""

    id = fields.UUID(required=True, metadata=about("The entry's id.", "01990f5e-7a90-7c3e-9d42-5b8c1f0e6a21"))
    event_id = StrictInteger(required=True, minimum=1, metadata=_EVENT_ID)
    tickets = StrictInteger(required=True, minimum=1, metadata=about("How many one waited for.", 2))
    status = fields.String(required=True, metadata=about("What became of it.", "accepted"))
    created_at = InstantText(required=True, metadata=about("Since when one waited.", _INSTANT))
    ended_at = InstantText(required=True, allow_none=True, metadata=about("Until when; null while it is so."))
    offer = fields.Nested(
        OwnOfferDocument, required=True, allow_none=True, metadata=about("The offer; null without one.")
    )


class OwnInterestDocument(StrictSchema):
    """A sale that one wanted to be told of."""

    event_id = StrictInteger(required=True, minimum=1, metadata=_EVENT_ID)
    created_at = InstantText(required=True, metadata=about("Since when.", _INSTANT))


class LogInDocument(StrictSchema):
    """A log-in: when, and nothing of its tokens."""

    started_at = InstantText(
        required=True, metadata=about("When one logged in; the first time that is still known.", _INSTANT)
    )
    renewed_at = InstantText(required=True, metadata=about("When its tokens were renewed last.", _INSTANT))
    expires_at = InstantText(
        required=True, metadata=about("When it would end by itself.", "2030-02-14T09:30:00.000000Z")
    )
    open = StrictBoolean(required=True, metadata=about("Whether it still counts.", example=True))


def _many(document: type[StrictSchema], description: str) -> fields.Field[Any]:
    return fields.List(fields.Nested(document), required=True, metadata=about(description))


class AccountExportDocument(StrictSchema):
    """All of one's own data. Its lists come in this order, each by id or by time."""

    exported_at = InstantText(required=True, metadata=about("When the export began.", _INSTANT))
    profile = fields.Nested(UserDocument, required=True, metadata=about("The account."))
    undecided_requests = _many(UndecidedDocument, "Requests in the line when the export began.")
    requests = _many(OwnDecisionDocument, "Requests that were decided: their rows in the events' ledgers.")
    bookings = _many(BookingDocument, "Bookings, live and cancelled.")
    waitlist = _many(OwnWaitlistEntryDocument, "Entries in waitlists, each with its offer.")
    organizations = _many(MembershipDocument, "Organizations that one belongs to.")
    events = _many(EventDocument, "Events that one hosts.")
    interests = _many(OwnInterestDocument, "Sales that one wanted to be told of.")
    following = _many(FollowDocument, "Hosts that one follows.")
    notifications = _many(NotificationDocument, "What one was told.")
    log_ins = _many(LogInDocument, "Log-ins of the last weeks.")
    audit_log = _many(AuditLogEntryDocument, "What the audit log says that one did.")


def undecided_document(status: RequestStatus) -> dict[str, Any]:
    """A request in the line."""
    return {
        "job_id": str(status.job_id),
        "kind": status.kind,
        "event_id": status.event_id,
        "tickets": status.tickets,
        "arrival": status.arrival,
        "accepted_at": status.accepted_at,
    }


def own_decision_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger row, and of which event."""
    return {**decision_document(row), "event_id": row["event_id"]}


def own_waitlist_entry_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with its offer."""
    offer = row["offer_id"] and {
        "id": str(row["offer_id"]),
        "status": row["offer_status"],
        "expires_at": rfc3339(row["expires_at"]),
        "created_at": rfc3339(row["offered_at"]),
        "ended_at": rfc3339_or_none(row["offer_ended_at"]),
    }
    return {
        "id": str(row["id"]),
        "event_id": row["event_id"],
        "tickets": row["tickets"],
        "status": row["status"],
        "created_at": rfc3339(row["created_at"]),
        "ended_at": rfc3339_or_none(row["ended_at"]),
        "offer": offer,
    }


def membership_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """An organization that one belongs to."""
    return {
        "organization_id": row["organization_id"],
        "organization_name": row["organization_name"],
        "role": row["role"],
        "created_at": rfc3339(row["created_at"]),
    }


def own_interest_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sale that one wanted to be told of."""
    return {"event_id": row["event_id"], "created_at": rfc3339(row["created_at"])}


def log_in_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A log-in's times."""
    return {
        "started_at": rfc3339(row["started_at"]),
        "renewed_at": rfc3339(row["renewed_at"]),
        "expires_at": rfc3339(row["expires_at"]),
        "open": row["open"],
    }
