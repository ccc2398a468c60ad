"""From the line back to the client: the 202, the decision, the refusal, the status document."""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from api.container import Container
from api.exchange import Exchange
from api.problem_replies import problem_reply
from api.replies import DELIVERED, Reply, json_reply
from api.schemas.requests import (
    accepted_document,
    eta_seconds,
    retry_after,
    status_document,
    undecided_document,
    way_to_wait,
)
from api.stream_tokens import make_stream_token
from api.waiter import Waiter
from shared.clock import rfc3339, utc_now
from shared.domain.outcomes import CONFIRMED, FAILED, REJECTED
from shared.errors import GuichetError, RefusedError, UnavailableError
from shared.line.accept import Accepted, NewRequest, Refused
from shared.services.event_snapshots import EventSnapshot
from shared.services.requests import RequestStatus

CONFLICT: Final = 409


def await_reply(
    container: Container,
    exchange: Exchange,
    job_id: uuid.UUID,
    subjects: tuple[str, str] | None,
    *,
    seconds: float,
    make: Callable[[RequestStatus], Reply],
    sits_out: bool = False,
) -> Reply:
    """What `make` makes of the decision, or of what the status is after `seconds`. DELIVERED where the answer was sent
    by who found the decision. Raises as `StatusLooks.get` does; who `sits_out` only when the time is over.
    """

    def deliver(status: RequestStatus) -> bool:
        if exchange.deliver is None or not container.snapshots.is_known(status.event_id):
            return False
        reply = make(status)
        with suppress(OSError):  # the client has gone
            exchange.deliver(reply)
        return True

    if seconds > 0:
        with container.hub.waiter(job_id, subjects, deliver=deliver) as waiter:
            decided = _sit_out(waiter, seconds) if sits_out else waiter.wait(seconds)
        if waiter.is_told:
            return DELIVERED
        if decided is not None:
            return make(decided)
    return make(container.statuses.get(job_id, subjects))


def _sit_out(waiter: Waiter, seconds: float) -> RequestStatus | None:
    """As `Waiter.wait`; but whoever is known to wait sits out what cannot be known meanwhile: a moment in which the
    line does not answer must not send a whole crowd away, to come again at once.
    """
    ends_at = time.monotonic() + seconds
    while True:
        try:
            return waiter.wait(max(0.0, ends_at - time.monotonic()))
        except UnavailableError:
            if not waiter.is_known:
                raise


def read_document(container: Container, status: RequestStatus, *, stream_link: bool = True) -> dict[str, Any]:
    """The status document of a request as it is now. Without `stream_link` for who came by a stream token:
    it must not renew itself.
    """
    return status_document(
        status,
        event=_find_event(container, status.event_id),
        pause=container.snapshots.pause,
        now=utc_now(),
        stream_token=make_stream_token(container.settings.secret_key, status.job_id) if stream_link else None,
    )


def accept_unknown(job_id: uuid.UUID) -> UnavailableError:
    """That nobody knows whether the request stands in the line, and where to ask."""
    links = {"status": f"/api/bookings/status/{job_id}"}
    return UnavailableError("accept_unknown", job_id=str(job_id), links=links)


def accepted_reply(
    container: Container, request: NewRequest, accepted: Accepted, headers: dict[str, str]
) -> Reply:
    """The 202 of a request that stands in the line."""
    pause = container.snapshots.pause
    eta = eta_seconds(accepted.ahead, accepted.rate, pause, utc_now())
    document = accepted_document(
        accepted,
        kind=request.kind,
        event_id=request.event_id,
        tickets=request.tickets,
        eta=eta,
        pause=pause,
        stream_token=make_stream_token(container.settings.secret_key, accepted.job_id),
    )
    headers["Location"] = document["links"]["status"]
    headers["Retry-After"] = retry_after(eta)
    return json_reply(document, status=202, headers=headers)


def decision_reply(
    container: Container, exchange: Exchange, status: RequestStatus, headers: dict[str, str]
) -> Reply:
    """The status document as the answer of who waited: 201, 200, a 409 problem, or 202 when still undecided."""
    document = read_document(container, status)
    outcome = document["status"]
    if not status.is_decided:
        headers["Location"] = document["links"]["status"]
        headers["Retry-After"] = retry_after(document["eta_seconds"])
        return json_reply(undecided_document(document), status=202, headers=headers)
    container.stamps.event_decided(status.event_id)
    if outcome in (REJECTED, FAILED):
        code = document["reason"]
        facts = {**document["facts"], **_links(way_to_wait(code, _find_event(container, status.event_id)))}
        return problem_reply(
            exchange,
            code,
            document["detail"],
            base_url=container.settings.base_url,
            status=CONFLICT,
            headers=headers,
            **facts,
            job=document,
        )
    if outcome == CONFIRMED:
        headers["Location"] = f"/api/bookings/{document['booking']['id']}"
        return json_reply(document, status=201, headers=headers)
    return json_reply(document, headers=headers)


def refusal(
    container: Container, exchange: Exchange, refused: Refused, snapshot: EventSnapshot | None
) -> GuichetError:
    """What the door or a limit of the line says, with the facts behind it."""
    facts: dict[str, Any] = {}
    if refused.retry_after_seconds is not None:
        facts["retry_after_seconds"] = refused.retry_after_seconds
        if refused.code == "rate_limited":
            facts["policy"] = container.limits.booking.name
            container.limits.booking_refused(exchange, refused.retry_after_seconds)
    if refused.scope is not None:
        facts["scope"] = refused.scope
    if refused.code == "too_many_undecided":
        facts["undecided_max"] = container.settings.user_undecided_max
    if snapshot is not None:
        if refused.code == "sales_not_open" and snapshot.sales_open_at is not None:
            facts["opens_at"] = rfc3339(snapshot.sales_open_at)
        elif refused.code == "sales_closed":
            facts["closed_at"] = rfc3339(snapshot.sales_close_at)
        elif refused.code == "too_many_tickets":
            facts["max_per_booking"] = snapshot.max_per_booking
        facts |= _links(way_to_wait(refused.code, snapshot))
    return RefusedError(refused.code, **facts)


def _links(found: dict[str, str]) -> dict[str, Any]:
    """A problem's member `links`, absent when it would be empty."""
    return {"links": found} if found else {}


def _find_event(container: Container, event_id: int) -> EventSnapshot | None:
    """The event's title and place, if they can be had: an outage must not hide a decision."""
    try:
        return container.snapshots.find(event_id)
    except UnavailableError:
        return None
