"""What stands in the line: the request, and the payload that carries it through Redis."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

import orjson

from shared.domain.permissions import ActingAs
from shared.ids import BIGINT_MAX, parse_uuid

RequestKind = Literal[
    "book",
    "cancel",
    "join_waitlist",
    "leave_waitlist",
    "accept_offer",
    "decline_offer",
    "expire_offer",
    "serve_waitlist",
    "end_waitlist",
    "call_off",
]

BOOK: Final = "book"
CANCEL: Final = "cancel"
JOIN_WAITLIST: Final = "join_waitlist"
LEAVE_WAITLIST: Final = "leave_waitlist"
ACCEPT_OFFER: Final = "accept_offer"
DECLINE_OFFER: Final = "decline_offer"
EXPIRE_OFFER: Final = "expire_offer"
SERVE_WAITLIST: Final = "serve_waitlist"
END_WAITLIST: Final = "end_waitlist"
CALL_OFF: Final = "call_off"
KINDS: Final[tuple[RequestKind, ...]] = get_args(RequestKind)

# Only these take space in the line that others compete for, and only these can leave it by a mark (withdraw,
# drain); what frees tickets always gets in, and stays.
LIMITED_KINDS: Final = frozenset({BOOK, JOIN_WAITLIST})

# Only the control plane asks for these: they count against nobody.
CONTROL_KINDS: Final = frozenset({EXPIRE_OFFER, SERVE_WAITLIST, END_WAITLIST, CALL_OFF})

# These are worked off in slices, each with a row of its own before theirs.
SLICED_KINDS: Final = frozenset({END_WAITLIST, CALL_OFF})

# What a request of a kind names besides its event.
_ASKS_FOR_TICKETS: Final = LIMITED_KINDS
_IS_SOMEBODYS: Final = frozenset({BOOK, JOIN_WAITLIST, LEAVE_WAITLIST, ACCEPT_OFFER, DECLINE_OFFER})
_RIGHTS: Final = get_args(ActingAs)
_IS_ABOUT_AN_OFFER: Final = frozenset({ACCEPT_OFFER, DECLINE_OFFER, EXPIRE_OFFER})

# Written into every payload. A worker decides this version and the one before, and leaves a newer one waiting.
PAYLOAD_VERSION: Final = 2

INTEGER_MAX: Final = 2**31 - 1

# The only function a booking job may name: JSON jobs still run any import path, so workers check this one.
JOB_FUNCTION: Final = "worker.jobs.decide"


class PayloadError(ValueError):
    """Bytes in the line that are not a request of ours."""


@dataclass(slots=True, kw_only=True)  # not frozen: setting thirteen frozen fields takes 1.4 µs longer
class Request:
    """One request as the worker takes it from the line. Nobody changes one.

    `tickets` is set for `book` and `join_waitlist`, `booking_id` for `cancel`, `offer_id` for what is about an offer.
    `waitlist`: a `book` that would rather wait than be refused for lack of tickets. `arrival` is what Redis numbered
    it; the worker has the last word. `withdrawn` is the client's mark. `acting_as` is the right the API granted.
    `request_id` is that of the HTTP request it came with: the job's own in hex, unless the client gave one.
    """

    job_id: uuid.UUID
    kind: RequestKind
    event_id: int
    user_id: int | None
    arrival: int
    accepted_at: datetime
    tickets: int | None = None
    booking_id: uuid.UUID | None = None
    offer_id: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: ActingAs = "owner"
    withdrawn: bool = False
    request_id: str | None = None


def encode_payload(
    *,
    kind: RequestKind,
    event_id: int,
    user_id: int | None,
    tickets: int | None = None,
    booking_id: uuid.UUID | None = None,
    offer_id: uuid.UUID | None = None,
    waitlist: bool = False,
    acting_as: ActingAs = "owner",
    request_id: str | None = None,
) -> bytes:
    """The job's `data`: RQ's (function, instance, args, kwargs) as JSON, so that stock RQ tools can read it."""
    payload: dict[str, Any] = {"v": PAYLOAD_VERSION, "kind": kind, "event_id": event_id, "user_id": user_id}
    if tickets is not None:
        payload["tickets"] = tickets
    if booking_id is not None:
        payload["booking_id"] = str(booking_id)
    if offer_id is not None:
        payload["offer_id"] = str(offer_id)
    if waitlist:
        payload["waitlist"] = True
    if acting_as != "owner":
        payload["acting_as"] = acting_as
    if request_id:
        payload["request_id"] = request_id
    return orjson.dumps([JOB_FUNCTION, None, [], payload])


def decode_payload(data: bytes) -> dict[str, Any]:
    """The payload inside a job's `data`; raises PayloadError when it is not one of ours."""
    try:
        function, _, _, payload = orjson.loads(data)
    except (ValueError, TypeError) as error:
        raise PayloadError("job data is not RQ's JSON") from error
    if function != JOB_FUNCTION or not isinstance(payload, dict) or payload.get("kind") not in KINDS:
        raise PayloadError("job data names no request of ours")
    return payload


def decode_request(
    job_id: str, data: bytes, *, arrival: int, accepted_at: datetime, withdrawn: bool
) -> Request:
    """The request in a job's fields; raises PayloadError when any of them is unreadable."""
    payload = decode_payload(data)
    try:
        request = Request(
            job_id=parse_uuid(job_id),
            kind=payload["kind"],
            event_id=payload["event_id"],
            user_id=payload["user_id"],
            arrival=arrival,
            accepted_at=accepted_at,
            tickets=payload.get("tickets"),
            booking_id=uuid.UUID(payload["booking_id"]) if "booking_id" in payload else None,
            offer_id=uuid.UUID(payload["offer_id"]) if "offer_id" in payload else None,
            waitlist=payload.get("waitlist", False),
            acting_as=payload.get("acting_as", "owner"),
            withdrawn=withdrawn,
            request_id=payload.get("request_id") or job_id.replace("-", ""),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise PayloadError("job data lacks a field") from error
    if not _is_sound(request):
        raise PayloadError("job data has a field of the wrong type")
    return request


def is_job_id(text: str) -> bool:
    """Whether a job of ours could have this id: a UUID in its usual form."""
    try:
        parse_uuid(text)
    except ValueError:
        return False
    return True


def _is_sound(request: Request) -> bool:
    """Whether every field could be written to the ledger: a hash that was tampered with must not stop a line."""
    user_id, tickets, kind = request.user_id, request.tickets, request.kind
    return (
        _is_bigint(request.event_id)
        and (_is_bigint(user_id) if user_id is not None else kind not in _IS_SOMEBODYS)
        and (tickets is None or (_is_bigint(tickets) and tickets <= INTEGER_MAX))
        and request.acting_as in _RIGHTS
        and (request.request_id is None or type(request.request_id) is str)
        and type(request.waitlist) is bool
        and (bool(tickets) if kind in _ASKS_FOR_TICKETS else tickets is None)
        and (request.offer_id is not None or kind not in _IS_ABOUT_AN_OFFER)
    )


def _is_bigint(number: object) -> bool:
    return type(number) is int and 0 <= number <= BIGINT_MAX
