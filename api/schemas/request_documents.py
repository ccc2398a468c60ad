"""What a request in the line looks like to who made it: accepted, followed, decided."""

from typing import Final, get_args

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import list_document_of
from api.parsing import StrictInteger, StrictSchema
from api.schemas.bookings import BookingDocument
from shared.domain.outcomes import CONFIRMED, REASONS, Outcome
from shared.domain.requests import BOOK, KINDS

QUEUED: Final = "queued"
REQUEST_STATUSES: Final = (QUEUED, *get_args(Outcome))

JOIN_LINK: Final = "/api/waitlist/join"  # POST
WAITLIST_LINK: Final = "/api/waitlist"  # GET

_JOB_ID: Final = "01990f5e-79b4-7f0a-8a6c-2d41be907c55"
_STATUS_LINK: Final = f"/api/bookings/status/{_JOB_ID}"
_ETA: Final = (
    "Everything before it in its partition ÷ the measured rate; null before the first measurement, and in a pause"
    " without an end."
)


class PauseDocument(StrictSchema):
    """Why the line is paused: requests are accepted, and wait."""

    reason = fields.String(
        required=True, allow_none=True, metadata=about("Why, if that was said.", "maintenance")
    )
    since = InstantText(
        required=True, allow_none=True, metadata=about("Since when.", "2030-01-15T09:00:00.000000Z")
    )
    resume_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about(
            "When it ends by itself; null when somebody must end it.", "2030-01-15T10:00:00.000000Z"
        ),
    )


class RequestLinksDocument(StrictSchema):
    """Where to follow the request, and where to leave the line."""

    status = fields.String(required=True, metadata=about("GET: the status document.", _STATUS_LINK))
    stream = fields.String(
        metadata=about(
            "GET: server-sent events, with a token for this request, good for ten minutes. Not in documents that"
            " such a stream sends.",
            f"{_STATUS_LINK}/stream?token=70c3f2a0.9a0364b9e99bb480dd25e1f0284c8555",
        )
    )
    withdraw = fields.String(
        metadata=about(
            "DELETE: leave the line. Only of an undecided request to book or to wait.", _STATUS_LINK
        )
    )
    waitlist = fields.String(
        metadata=about(
            "GET: your places on waitlists, of a request that made one. POST: wait for tickets, of a request that was"
            " refused for lack of them, where the event has a waitlist.",
            WAITLIST_LINK,
        )
    )


class AcceptedDocument(StrictSchema):
    """A request that stands in the line. It gets exactly one decision."""

    job_id = fields.UUID(required=True, metadata=about("The request's job.", _JOB_ID))
    status = fields.String(
        required=True, validate=validate.OneOf([QUEUED]), metadata=about("Undecided.", QUEUED)
    )
    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    tickets = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("Tickets asked for; null where it is about none.", 2),
    )
    arrival = StrictInteger(
        required=True,
        minimum=1,
        metadata=about("Its number: an event's requests are decided in this order.", 318),
    )
    position = StrictInteger(
        required=True,
        minimum=1,
        metadata=about("Undecided requests of the same event before it, plus 1.", 12),
    )
    eta_seconds = fields.Float(required=True, allow_none=True, metadata=about(_ETA, 0.012))
    paused = fields.Nested(
        PauseDocument,
        required=True,
        allow_none=True,
        metadata={**about("The line's pause."), "example": None},
    )
    accepted_at = InstantText(
        required=True, metadata=about("When it was accepted.", "2030-01-15T09:29:59.995000Z")
    )
    links = fields.Nested(RequestLinksDocument, required=True, metadata=about("Where to go from here."))


class RequestedEventDocument(StrictSchema):
    """The event of a decided booking; title, venue and start are null while the database is away."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    title = fields.String(
        required=True, allow_none=True, metadata=about("What it is called.", "Autumn Jazz Night")
    )
    venue = fields.String(
        required=True, allow_none=True, metadata=about("Where it takes place.", "Salle Pleyel, Paris")
    )
    starts_at = InstantText(
        required=True, allow_none=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z")
    )


class RequestBookingDocument(BookingDocument):
    """The booking that a request made or cancelled, as the decision left it: an answer never changes."""

    event = fields.Nested(RequestedEventDocument, required=True, metadata=about("The event, as it is now."))


class RequestStatusDocument(StrictSchema):
    """A request: where it stands, and once it is decided, how."""

    job_id = fields.UUID(required=True, metadata=about("The request's job.", _JOB_ID))
    kind = fields.String(
        required=True, validate=validate.OneOf(KINDS), metadata=about("What was asked.", BOOK)
    )
    status = fields.String(
        required=True,
        validate=validate.OneOf(REQUEST_STATUSES),
        metadata=about("queued, or the outcome.", CONFIRMED),
    )
    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    tickets = StrictInteger(
        required=True,
        minimum=0,
        allow_none=True,
        metadata=about("Tickets asked for, or given back; null where it is about none.", 2),
    )
    arrival = StrictInteger(
        required=True,
        minimum=1,
        metadata=about("Its number: an event's requests are decided in this order.", 318),
    )
    position = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("Undecided requests of the same event before it, plus 1; null once decided."),
    )
    eta_seconds = fields.Float(required=True, allow_none=True, metadata=about(f"{_ETA} null once decided."))
    paused = fields.Nested(
        PauseDocument,
        required=True,
        allow_none=True,
        metadata={**about("The line's pause; null once decided."), "example": None},
    )
    reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(REASONS),
        metadata=about("Why it was rejected, withdrawn or failed; null otherwise."),
    )
    detail = fields.String(required=True, allow_none=True, metadata=about("The reason, for a person."))
    facts = fields.Dict(
        required=True,
        metadata={
            **about(
                "What the rule read; its members depend on the rule. `entry_id` is the place on the waitlist that"
                " the request made or ended, `offer_id` the offer that it used or ended."
            ),
            "example": {},
        },
    )
    booking = fields.Nested(
        RequestBookingDocument,
        required=True,
        allow_none=True,
        metadata=about("What was booked or cancelled; null otherwise."),
    )
    decision_number = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about("The decision's number in the event's ledger; null while undecided.", 321),
    )
    available_slots = StrictInteger(
        required=True,
        minimum=0,
        allow_none=True,
        metadata=about("Tickets left after the decision; null while undecided.", 58),
    )
    accepted_at = InstantText(
        required=True, metadata=about("When it was accepted.", "2030-01-15T09:29:59.995000Z")
    )
    decided_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about("When it was decided; null while undecided.", "2030-01-15T09:30:00.000000Z"),
    )
    links = fields.Nested(
        RequestLinksDocument,
        required=True,
        metadata={
            **about("Where to go from here."),
            "example": {
                "status": _STATUS_LINK,
                "stream": f"{_STATUS_LINK}/stream?token=70c3f2a0.9a0364b9e99bb480dd25e1f0284c8555",
            },
        },
    )


RequestStatusListDocument: Final = list_document_of(RequestStatusDocument, with_total=False)
