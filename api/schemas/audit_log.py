"""The audit log on the wire."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validates_schema

from api.fields import Instant, InstantText, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import QueryInteger, StrictInteger, StrictSchema, Text
from shared.clock import rfc3339
from shared.store.audit_log import AuditLogFilter

# UUIDv7: their order is that of their making.
AUDIT_LOG_SORTS: Final = {"at": Sort("uuid", descending=True)}

_FILTERS: Final = ("actor_id", "action", "target_type", "target_id", "request_id", "since", "until")


class AuditLogListSchema(PagingSchema):
    """Query of the audit log."""

    sort = sort_field(AUDIT_LOG_SORTS)
    actor_id = QueryInteger(minimum=1, metadata=about("Only what this user did."))
    action = Text(
        minimum=1, maximum=60, metadata=about("Only this action, such as `event.change` or `line.pause`.")
    )
    target_type = Text(
        minimum=1, maximum=60, metadata=about("Only what was done to this: `event`, `user`, `line` …")
    )
    target_id = Text(minimum=1, maximum=100, metadata=about("And only to this one; needs `target_type`."))
    request_id = Text(
        minimum=1, maximum=200, metadata=about("Only what the request with this X-Request-ID did.")
    )
    since = Instant(data_key="from", metadata=about("Only from this instant on."))
    until = Instant(data_key="to", metadata=about("Only before this instant."))

    @validates_schema
    def _refuse_an_id_of_nothing(self, data: dict[str, Any], **_options: object) -> None:
        if "target_id" in data and "target_type" not in data:
            raise ValidationError("Say with target_type what it is the id of.", "target_id")


class AuditActorDocument(StrictSchema):
    """Who did it."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 1))
    name = fields.String(required=True, metadata=about("The user's name as it is now.", "Ada Lovelace"))


class AuditLogEntryDocument(StrictSchema):
    """One change: who, what, why, when, by which request."""

    id = fields.UUID(required=True, metadata=about("The entry's id.", "01990f5e-79b4-7f0a-8a6c-2d41be907c55"))
    actor = fields.Nested(
        AuditActorDocument,
        required=True,
        allow_none=True,
        metadata=about("Who did it; null for a command on the server."),
    )
    action = fields.String(required=True, metadata=about("What was done.", "line.pause"))
    target_type = fields.String(required=True, metadata=about("What it was done to.", "line"))
    target_id = fields.String(required=True, metadata=about("Which one.", "bookings"))
    reason = fields.String(
        required=True, allow_none=True, metadata=about("Why, where it was said.", "Doors open late")
    )
    changes = fields.Dict(
        required=True,
        keys=fields.String(),
        metadata=about(
            "What changed, by field; which members depends on the action.",
            {"resume_at": "2030-01-15T10:00:00.000000Z"},
        ),
    )
    job_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata=about("The row of an event's ledger that the change wrote, if it wrote one."),
    )
    request_id = fields.String(
        required=True,
        allow_none=True,
        metadata=about(
            "X-Request-ID of the request; null for a command.", "01990f5e79b47f0a8a6c2d41be907c55"
        ),
    )
    at = InstantText(required=True, metadata=about("When.", "2030-01-15T09:30:00.000000Z"))


AuditLogListDocument: Final = list_document_of(AuditLogEntryDocument)


def audit_log_filter(query: Mapping[str, Any]) -> AuditLogFilter:
    """The filter that the loaded query asks for."""
    return AuditLogFilter(**{name: query[name] for name in _FILTERS if name in query})


def audit_log_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One entry."""
    actor = None if row["actor_id"] is None else {"id": row["actor_id"], "name": row["actor_name"]}
    return {
        "id": str(row["id"]),
        "actor": actor,
        "action": row["action"],
        "target_type": row["target_type"],
        "target_id": row["target_id"],
        "reason": row["reason"],
        "changes": row["changes"],
        "job_id": None if row["job_id"] is None else str(row["job_id"]),
        "request_id": row["request_id"],
        "at": rfc3339(row["at"]),
    }
