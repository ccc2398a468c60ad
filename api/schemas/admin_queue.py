"""The line's figures, pausing it and cleaning it, on the wire."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import Instant, InstantText, about
from api.parsing import StrictBoolean, StrictInteger, StrictSchema, Text
from shared.services.line_clean import Cleaned
from shared.services.line_stats import PAUSED, RUNNING
from shared.services.reasons import REASON_CHARACTERS_MAX

CLEAN_LIMIT_DEFAULT: Final = 1_000
CLEAN_LIMIT_MAX: Final = 10_000
AGE_SECONDS_MAX: Final = 10 * 365 * 86_400

_AGE: Final = "Age of the oldest undecided request in seconds; null when nobody waits."


def _reason(**metadata: Any) -> Text:  # noqa: ANN401 - metadata
    return Text(minimum=1, maximum=REASON_CHARACTERS_MAX, allow_none=True, load_default=None, **metadata)


class PauseSchema(StrictSchema):
    """Why the line is paused, and until when."""

    reason = _reason(metadata=about("Why; whoever waits is told.", "The printer is on fire."))
    resume_at = Instant(
        allow_none=True,
        load_default=None,
        metadata=about("When the line goes on by itself; without it, when somebody resumes it."),
    )


class ResumeSchema(StrictSchema):
    """Why the line goes on."""

    reason = _reason(metadata=about("Why, for the audit log.", "The fire is out."))


class CleanSchema(StrictSchema):
    """Which decided jobs leave Redis."""

    state = fields.String(
        required=True,
        validate=validate.OneOf(["finished", "failed"]),
        metadata=about("Which jobs; nothing that is undecided can be cleaned.", "finished"),
    )
    older_than_seconds = StrictInteger(
        minimum=0,
        maximum=AGE_SECONDS_MAX,
        load_default=0,
        metadata=about("Only what ended at least so long ago.", 600),
    )
    limit = StrictInteger(
        minimum=1,
        maximum=CLEAN_LIMIT_MAX,
        load_default=CLEAN_LIMIT_DEFAULT,
        metadata=about("How many at most.", CLEAN_LIMIT_DEFAULT),
    )
    dry_run = StrictBoolean(load_default=False, metadata=about("Only say how many; change nothing.", False))
    reason = _reason(metadata=about("Why, for the audit log.", "Redis needs the room."))


class CleanDocument(StrictSchema):
    """What was cleaned."""

    state = fields.String(
        required=True,
        validate=validate.OneOf(["finished", "failed"]),
        metadata=about("Which jobs.", "finished"),
    )
    removed = StrictInteger(required=True, minimum=0, metadata=about("Jobs that are gone from Redis.", 812))
    would_remove = StrictInteger(
        required=True,
        minimum=0,
        metadata=about("Jobs that could go, up to the limit; all of them went unless it was a dry run.", 812),
    )


class PauserDocument(StrictSchema):
    """Who paused the line."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 1))
    name = fields.String(required=True, metadata=about("The user's name as it is now.", "Ada Lovelace"))


class LinePauseDocument(StrictSchema):
    """The line's pause, as admins see it."""

    reason = fields.String(required=True, allow_none=True, metadata=about("Why.", "The printer is on fire."))
    by = fields.Nested(
        PauserDocument,
        required=True,
        allow_none=True,
        metadata=about("Who paused it; null for a command on the server."),
    )
    since = InstantText(
        required=True, allow_none=True, metadata=about("Since when.", "2030-01-15T09:30:00.000000Z")
    )
    resume_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about(
            "When it goes on by itself; null: when somebody resumes it.", "2030-01-15T10:00:00.000000Z"
        ),
    )


class LineStateDocument(StrictSchema):
    """Whether the line runs."""

    state = fields.String(
        required=True, validate=validate.OneOf([RUNNING, PAUSED]), metadata=about("What it does.", PAUSED)
    )
    paused = fields.Nested(
        LinePauseDocument,
        required=True,
        allow_none=True,
        metadata=about("The pause; null when the line runs."),
    )


class PartitionStatsDocument(StrictSchema):
    """One partition's line."""

    partition = StrictInteger(required=True, minimum=0, metadata=about("Its number.", 3))
    waiting = StrictInteger(required=True, minimum=0, metadata=about("Requests that wait.", 1200))
    in_flight = StrictInteger(
        required=True, minimum=0, metadata=about("Requests that a worker has taken.", 250)
    )
    finished = StrictInteger(
        required=True, minimum=0, metadata=about("Decided jobs that Redis still knows.", 5000)
    )
    failed = StrictInteger(
        required=True, minimum=0, metadata=about("Jobs in quarantine that Redis still knows.", 0)
    )
    lost = StrictInteger(
        required=True, minimum=0, metadata=about("Ids that were set aside because they cannot be read.", 0)
    )
    holder = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The live worker that holds it; null when none says so.", "bookings-web1-17-0a1b2c3d"),
    )
    oldest_waiting_seconds = fields.Float(
        required=True, allow_none=True, validate=validate.Range(min=0), metadata=about(_AGE, 4.2)
    )
    trouble = fields.String(
        required=True, allow_none=True, metadata=about("Why its line stands, in its worker's words; or null.")
    )


class WorkerStatsDocument(StrictSchema):
    """One booking worker."""

    name = fields.String(required=True, metadata=about("Its name.", "bookings-web1-17-0a1b2c3d"))
    state = fields.String(required=True, metadata=about("RQ's word for what it does: busy or idle.", "busy"))
    partitions = fields.List(
        StrictInteger(minimum=0), required=True, metadata=about("The partitions that it holds.", [0, 1, 2, 3])
    )
    heartbeat_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about("When it last said a word, by its own clock.", "2030-01-15T09:30:00.000000Z"),
    )
    live = fields.Boolean(
        required=True, metadata=about("Whether it was heard of within the last three seconds.", True)
    )
    decided = StrictInteger(
        required=True, minimum=0, metadata=about("What it has decided since it started.", 52_311)
    )
    decided_per_second = fields.Float(
        required=True,
        validate=validate.Range(min=0),
        metadata=about("Over its last second; 0 when idle.", 4210.0),
    )


class LineProblemDocument(StrictSchema):
    """One thing that is wrong."""

    part = fields.String(
        required=True,
        metadata=about(
            "Where: postgres, schema, redis, durability, installation, worker, suspended, lost, or a partition.",
            "worker",
        ),
    )
    detail = fields.String(
        required=True, metadata=about("What.", "No booking worker is alive; requests are accepted and wait")
    )


class LineStatsDocument(LineStateDocument):
    """The line in figures."""

    waiting = StrictInteger(required=True, minimum=0, metadata=about("Requests that wait.", 9600))
    in_flight = StrictInteger(
        required=True, minimum=0, metadata=about("Requests that workers have taken and not answered.", 500)
    )
    failed = StrictInteger(
        required=True, minimum=0, metadata=about("Jobs in quarantine that Redis still knows.", 0)
    )
    finished = StrictInteger(
        required=True, minimum=0, metadata=about("Decided jobs that Redis still knows.", 40_000)
    )
    oldest_waiting_seconds = fields.Float(
        required=True,
        allow_none=True,
        validate=validate.Range(min=0),
        metadata=about(_AGE, 4.2),
    )
    decided_per_second = fields.Float(
        required=True,
        validate=validate.Range(min=0),
        metadata=about("What live workers decided in their last second.", 8420.0),
    )
    partitions = fields.List(
        fields.Nested(PartitionStatsDocument), required=True, metadata=about("Every partition.")
    )
    workers = fields.List(
        fields.Nested(WorkerStatsDocument),
        required=True,
        metadata=about("Booking workers that were heard of lately, by name."),
    )
    healthy = fields.Boolean(
        required=True,
        metadata=about("Requests are accepted, and decided unless the line is paused.", True),
    )
    problems = fields.List(
        fields.Nested(LineProblemDocument),
        required=True,
        metadata=about("What is wrong; the parts durability and lost do not stop the line."),
    )


def clean_document(cleaned: Cleaned) -> dict[str, Any]:
    """What was cleaned, or would be."""
    return {"state": cleaned.state, "removed": cleaned.removed, "would_remove": cleaned.found}


def clean_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """The loaded body as the service takes it."""
    return {name: values[name] for name in ("state", "older_than_seconds", "limit", "dry_run")}
