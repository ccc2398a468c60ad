"""Taking a request into the line: one script, one round trip, safe to send twice."""

import uuid
from dataclasses import dataclass

from shared.clock import to_micros
from shared.domain.partitions import partition_of, queue_name
from shared.domain.permissions import ActingAs
from shared.domain.requests import LIMITED_KINDS, PAYLOAD_VERSION, RequestKind, encode_payload
from shared.errors import UnavailableError
from shared.line import keys
from shared.line.client import AnswerUnknownError, Argument, LineUnavailableError, ScriptRunner
from shared.line.doors import Door
from shared.line.installation import Installation
from shared.settings import Settings


# Not frozen, here and below: setting a frozen field costs several times as much, and every accept sets twenty.
@dataclass(slots=True, kw_only=True)
class NewRequest:
    """A request at the door. `key_hash` and `fingerprint` are hex sha256 of the Idempotency-Key and of what
    was asked, empty without a key; `subjects` are what a revoked token would be revoked by.
    """

    job_id: uuid.UUID
    kind: RequestKind
    event_id: int
    user_id: int | None
    subjects: tuple[str, str] = ("", "")
    tickets: int | None = None
    booking_id: uuid.UUID | None = None
    offer_id: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: ActingAs = "owner"
    request_id: str | None = None
    key_hash: str = ""
    fingerprint: str = ""
    is_control: bool = False  # made by the control plane: counts against nobody


@dataclass(slots=True, kw_only=True)
class Accepted:
    """In the line: place in the event's line (1 = next), requests ahead in the partition, measured rate."""

    job_id: uuid.UUID
    arrival: int
    position: int
    ahead: int
    rate: float | None
    accepted_at: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """This request, or this key, is known: the job that it got then."""

    job_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """Not accepted, no number taken: a stable code and its facts."""

    code: str
    retry_after_seconds: int | None = None
    scope: str | None = None


Answer = Accepted | Replayed | Refused


def send(
    runner: ScriptRunner, settings: Settings, installation: Installation, request: NewRequest, door: Door
) -> Answer | None:
    """What the line says; None when Redis is empty and has to be made this installation's first.

    Sent again once when no answer came: the script finds its own job and answers the same. Raises
    LineUnavailableError when nothing was accepted, UnavailableError `accept_unknown` with the job id when that
    cannot be known.
    """
    key_names, arguments = _script_input(settings, installation, request, door)
    try:
        return _answer(request, runner.run("accept", key_names, arguments))
    except AnswerUnknownError:
        pass
    try:
        answer = _answer(request, runner.run("accept", key_names, arguments))
    except (AnswerUnknownError, LineUnavailableError):
        answer = None
    # A refusal proves nothing now: the first copy may still be on its way, and be accepted after it.
    if not isinstance(answer, Accepted | Replayed):
        raise UnavailableError("accept_unknown", job_id=str(request.job_id))
    return answer


def _script_input(
    settings: Settings, installation: Installation, request: NewRequest, door: Door
) -> tuple[list[str], list[Argument]]:
    partition = partition_of(request.event_id, settings.partitions)
    owner = "control" if request.is_control or request.user_id is None else request.user_id
    limited = request.kind in LIMITED_KINDS
    job_id = str(request.job_id)
    key_names = [
        keys.INSTALLATION,
        keys.revoked(request.subjects[0]),
        keys.revoked(request.subjects[1]),
        keys.idempotency(owner, request.key_hash),
        keys.idempotency_before(owner, request.key_hash),
        keys.rate_of_user(owner),
        keys.undecided_by_user(request.user_id or 0),
        keys.arrivals(partition),
        keys.decided(partition),
        keys.counters(partition),
        keys.queue(partition),
        keys.job(job_id),
        keys.bell(partition),
    ]
    data = encode_payload(
        kind=request.kind,
        event_id=request.event_id,
        user_id=request.user_id,
        tickets=request.tickets,
        booking_id=request.booking_id,
        offer_id=request.offer_id,
        waitlist=request.waitlist,
        acting_as=request.acting_as,
        # One that says what the job id says is left out: 47 bytes of each waiting request.
        request_id=None if request.request_id == request.job_id.hex else request.request_id,
    )
    arguments: list[Argument] = [
        installation.mark,
        idempotency_record(request),
        job_id,
        request.event_id,
        data,
        PAYLOAD_VERSION,
        queue_name(partition),
        "1" if limited else "0",
        door.verdict,
        "" if door.sales_open_at is None else to_micros(door.sales_open_at),
        "" if door.sales_close_at is None else to_micros(door.sales_close_at),
        door.last_arrival,
        settings.event_undecided_max,
        settings.partition_undecided_max,
        settings.user_undecided_max,
        settings.booking_rate_per_second if limited else 0,
        settings.booking_rate_burst,
        settings.idempotency_ttl_seconds,
        "0" if request.is_control else "1",
        request.user_id or 0,
    ]
    return key_names, arguments


def idempotency_record(request: NewRequest) -> bytes:
    """What is remembered under the request's Idempotency-Key, see `keys.idempotency`; empty without one."""
    return bytes.fromhex(request.fingerprint[:32]) + request.job_id.bytes if request.fingerprint else b""


def _answer(request: NewRequest, reply: list[bytes]) -> Answer | None:
    code = reply[0]
    if code == b"accepted":
        return Accepted(
            job_id=request.job_id,
            arrival=int(reply[1]),
            position=int(reply[2]),
            ahead=int(reply[3]),
            rate=float(reply[4]) if reply[4] else None,
            accepted_at=reply[5].decode(),
        )
    if code == b"replay":
        return Replayed(uuid.UUID(reply[1].decode()))
    if code == b"known":
        return Replayed(uuid.UUID(bytes=reply[1]))
    if code == b"uninitialised":
        return None
    if code == b"door":
        return Refused(reply[1].decode())
    if code == b"rate_limited":
        return Refused("rate_limited", retry_after_seconds=int(reply[1]))
    if code == b"line_full":
        return Refused("line_full", retry_after_seconds=1, scope=reply[1].decode())
    if code == b"too_many_undecided":
        return Refused("too_many_undecided", retry_after_seconds=1)
    if code == b"foreign":
        raise LineUnavailableError("This Redis belongs to another installation.")
    return Refused({b"revoked": "unauthenticated", b"conflict": "idempotency_key_reused"}[code])
