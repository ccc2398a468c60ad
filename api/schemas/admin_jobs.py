"""The jobs in the line on the wire, as admins see them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, get_args

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import LIMIT_DEFAULT, LIMIT_MAX, list_document_of
from api.parsing import QueryInteger, StrictInteger, StrictSchema
from api.places import PLACE_CHARACTERS_MAX, decode_line_place, decode_registry_place
from api.schemas.event_decisions import DecisionDocument, decision_document
from shared.services.line_job import JobDetail, Step
from shared.services.line_jobs import JobEntry, JobQuery, JobState

_PARTITION_MAX: Final = 2**31 - 1


class JobListSchema(StrictSchema):
    """Which jobs, and which page of them."""

    state = fields.String(
        load_default="waiting",
        validate=validate.OneOf(get_args(JobState)),
        metadata=about("Which jobs; those that wait unless given."),
    )
    partition = QueryInteger(minimum=0, maximum=_PARTITION_MAX, metadata=about("Only of this partition."))
    event_id = QueryInteger(
        minimum=1,
        metadata=about(
            "Only of this event. A call looks at 2,000 entries of its partition at most: a page may be short, even "
            "empty, and have a `next_cursor` all the same."
        ),
    )
    limit = QueryInteger(
        minimum=1,
        maximum=LIMIT_MAX,
        load_default=LIMIT_DEFAULT,
        metadata=about(f"Items a page; {LIMIT_DEFAULT} unless given.", LIMIT_DEFAULT),
    )
    cursor = fields.String(
        validate=validate.Length(min=1, max=PLACE_CHARACTERS_MAX),
        metadata=about("`next_cursor` of the page before, with the same filters."),
    )


class JobDocument(StrictSchema):
    """One job. What cannot be read of it is null."""

    id = fields.String(required=True, metadata=about("The job's id.", "01990f5e-79b4-7f0a-8a6c-2d41be907c55"))
    partition = StrictInteger(
        required=True, allow_none=True, minimum=0, metadata=about("The partition that it stands in.", 3)
    )
    kind = fields.String(required=True, allow_none=True, metadata=about("What was asked for.", "book"))
    event_id = StrictInteger(required=True, allow_none=True, minimum=0, metadata=about("The event.", 3))
    user_id = StrictInteger(
        required=True,
        allow_none=True,
        minimum=0,
        metadata=about("Who asked; null for the control plane.", 17),
    )
    tickets = StrictInteger(
        required=True, allow_none=True, minimum=0, metadata=about("Tickets, where it is about any.", 2)
    )
    arrival = StrictInteger(
        required=True, allow_none=True, minimum=0, metadata=about("Its arrival number of the event.", 318)
    )
    status = fields.String(
        required=True,
        allow_none=True,
        metadata=about("RQ's word for where it stands: queued, started, finished or failed.", "queued"),
    )
    withdrawn = fields.Boolean(
        required=True,
        metadata=about("Whether the client has left the line: it is decided so at its place.", False),
    )
    accepted_at = InstantText(
        required=True, allow_none=True, metadata=about("When it was accepted.", "2030-01-15T09:29:55.000000Z")
    )
    age_seconds = fields.Float(
        required=True,
        allow_none=True,
        validate=validate.Range(min=0),
        metadata=about("Seconds since then.", 4.2),
    )
    attempts = StrictInteger(
        required=True,
        minimum=0,
        metadata=about(
            "Processes that took it: 0 while it waits; in flight more than 1 when some ended with its batch; 1 once "
            "it is decided, because that clears the count.",
            0,
        ),
    )
    error = fields.String(
        required=True, allow_none=True, metadata=about("What is wrong with it, where something is.")
    )


JobListDocument: Final = list_document_of(JobDocument, with_total=False)


class JobStepDocument(StrictSchema):
    """One step of a job's way."""

    step = fields.String(
        required=True, validate=validate.OneOf(get_args(Step)), metadata=about("Which.", "accepted")
    )
    at = InstantText(required=True, metadata=about("When.", "2030-01-15T09:29:55.000000Z"))


class JobDetailDocument(JobDocument):
    """One job whole."""

    position = StrictInteger(
        required=True,
        allow_none=True,
        minimum=1,
        metadata=about("Its place among the event's undecided requests, 1 = next; null once decided.", 42),
    )
    payload = fields.Dict(
        required=True,
        allow_none=True,
        metadata=about(
            "What stands in the line for it; null when Redis no longer knows it, or it cannot be read.",
            {"v": 1, "kind": "book", "event_id": 3, "user_id": 17, "tickets": 2},
        ),
    )
    worker = fields.String(
        required=True,
        allow_none=True,
        metadata=about("Who took it, as far as Redis still knows.", "bookings-web1-17-0a1b2c3d"),
    )
    timeline = fields.List(
        fields.Nested(JobStepDocument),
        required=True,
        metadata=about(
            "The steps whose time is known. Redis' clock accepts, PostgreSQL's decides, the worker's own takes and "
            "replies."
        ),
    )
    decision = fields.Nested(
        DecisionDocument,
        required=True,
        allow_none=True,
        metadata=about("Its ledger row; null until decided."),
    )


def job_query(values: Mapping[str, Any]) -> JobQuery:
    """The jobs that the loaded query asks for. Raises InvalidInputError for a cursor that is none."""
    decode = decode_line_place if values["state"] in ("waiting", "in_flight") else decode_registry_place
    return JobQuery(
        state=values["state"],
        limit=values["limit"],
        partition=values.get("partition"),
        event_id=values.get("event_id"),
        after=decode(values["cursor"]) if "cursor" in values else None,
    )


def job_document(job: JobEntry) -> dict[str, Any]:
    """One job of a list."""
    return asdict(job)


def job_detail_document(detail: JobDetail) -> dict[str, Any]:
    """One job whole."""
    return {
        **job_document(detail.entry),
        "position": detail.position,
        "payload": detail.payload,
        "worker": detail.worker,
        "timeline": [{"step": step, "at": at} for step, at in detail.steps],
        "decision": None if detail.decision is None else decision_document(asdict(detail.decision)),
    }
