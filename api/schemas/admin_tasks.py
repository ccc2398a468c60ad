"""Failed background tasks on the wire."""

from dataclasses import asdict
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import LIMIT_DEFAULT, LIMIT_MAX, list_document_of
from api.parsing import QueryInteger, StrictInteger, StrictSchema, Text
from api.places import PLACE_CHARACTERS_MAX
from shared.line.tasks import FailedTask
from shared.services.reasons import REASON_CHARACTERS_MAX


class TaskListSchema(StrictSchema):
    """Which page."""

    limit = QueryInteger(
        minimum=1,
        maximum=LIMIT_MAX,
        load_default=LIMIT_DEFAULT,
        metadata=about(f"Items a page; {LIMIT_DEFAULT} unless given.", LIMIT_DEFAULT),
    )
    cursor = fields.String(
        validate=validate.Length(min=1, max=PLACE_CHARACTERS_MAX),
        metadata=about("`next_cursor` of the page before."),
    )


class TaskRetrySchema(StrictSchema):
    """Why the task runs again."""

    reason = Text(
        minimum=1,
        maximum=REASON_CHARACTERS_MAX,
        allow_none=True,
        load_default=None,
        metadata=about("Why, for the audit log.", "The disk has room again."),
    )


class TaskDropSchema(StrictSchema):
    """Why the task is forgotten."""

    reason = Text(
        minimum=1,
        maximum=REASON_CHARACTERS_MAX,
        load_default=None,
        metadata=about("Why, for the audit log.", "Nobody needs it any more."),
    )


class TaskDocument(StrictSchema):
    """A background task that failed. What cannot be read of it is null."""

    id = fields.String(required=True, metadata=about("The task's id.", "prune-2030-01-15"))
    function = fields.String(
        required=True, allow_none=True, metadata=about("What it runs.", "worker.tasks.prune")
    )
    failed_at = InstantText(
        required=True, allow_none=True, metadata=about("When it failed.", "2030-01-15T03:00:00.000000Z")
    )
    error = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The last line of its traceback.", "OperationalError: the connection was closed"),
    )
    attempts = StrictInteger(
        required=True, minimum=1, metadata=about("How often it ran, of the last ten times.", 2)
    )


TaskListDocument: Final = list_document_of(TaskDocument, with_total=False)


class TaskChangeDocument(StrictSchema):
    """A task that was put back into its queue."""

    id = fields.String(required=True, metadata=about("The task's id.", "prune-2030-01-15"))
    status = fields.String(
        required=True, validate=validate.OneOf(["queued"]), metadata=about("Where it stands.", "queued")
    )


def task_document(task: FailedTask) -> dict[str, Any]:
    """One failed task."""
    return asdict(task)
