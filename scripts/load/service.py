"""Guichet's HTTP API as a load test needs it: logging in, an event, the ledger, a status."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import gevent

from scripts.load.client import Answer, Connection, Target, TransportError
from scripts.load.history import Entry
from shared.clock import parse_rfc3339, rfc3339, utc_now

_PAGE: Final = 100
# A GET may be asked again: the server may close an idle connection, restart, or ask for patience.
_TRIES: Final = 6
_PAUSE_SECONDS: Final = 0.2
_PATIENCE_SECONDS_MAX: Final = 5.0


class ServiceError(Exception):
    """The deployment did not do what the load test needs; the message says what it answered."""


class Service:
    """A client of one deployment, on a connection of its own."""

    def __init__(self, target: Target, *, timeout_seconds: float = 30.0) -> None:
        self._connection = Connection(target, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def log_in(self, email: str, password: str) -> str:
        """An access token."""
        document = self._call(
            "POST", "/api/auth/login", {"email": email, "password": password}, HTTPStatus.OK
        )
        return str(document["token"])

    def register(self) -> tuple[str, str]:
        """A new attendee's id and access token. The server hashes a password: some 50 ms of its CPU."""
        name = uuid.uuid4().hex
        body = {"name": "Load", "email": f"load-{name}@example.org", "password": uuid.uuid4().hex}
        document = self._call("POST", "/api/auth/register", body, HTTPStatus.CREATED)
        return str(document["user"]["id"]), str(document["token"])

    def create_event(self, token: str, *, capacity: int) -> int:
        """A free event on sale, in 30 days."""
        starts_at = utc_now() + timedelta(days=30)
        body = {
            "title": f"Load test {rfc3339(utc_now())}",
            "starts_at": rfc3339(starts_at),
            "capacity": capacity,
            "max_per_booking": 10,
            "status": "scheduled",
        }
        return int(self._call("POST", "/api/events", body, HTTPStatus.CREATED, token=token)["id"])

    def get_status(self, job_id: str, token: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and document of a request's status."""
        answer = self._answer("GET", f"/api/bookings/status/{job_id}", None, token)
        document = answer.json()
        return answer.status, document if isinstance(document, dict) else {}

    def ledger_page(self, event_id: int, cursor: str | None) -> tuple[list[Entry], str | None]:
        """A page of the event's public ledger from `cursor` on, and the next cursor, None on the last page."""
        path = f"/api/events/{event_id}/decisions?limit={_PAGE}" + (f"&cursor={cursor}" if cursor else "")
        document = self._call("GET", path, None, HTTPStatus.OK)
        try:
            return [_entry(item) for item in document["items"]], document["next_cursor"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServiceError(f"the ledger of event {event_id} is unreadable: {error!r}") from error

    def _call(
        self, method: str, path: str, body: object, expected: int, *, token: str | None = None
    ) -> dict[str, Any]:
        answer = self._answer(method, path, body, token)
        document = answer.json()
        if answer.status != expected or not isinstance(document, dict):
            raise ServiceError(
                f"{method} {path} answered {answer.status} {answer.code or answer.body[:200]!r}"
            )
        return document

    def _answer(self, method: str, path: str, body: object, token: str | None) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        answer: Answer | None = None
        for pause in _pauses():
            try:
                answer = self._connection.request(method, path, headers=headers, document=body)
            except TransportError as error:
                failure = str(error)
            else:
                if answer.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                    return answer
                pause = _patience(answer)  # noqa: PLW2901 - the server knows better
            gevent.sleep(pause)
        if answer is None:
            raise ServiceError(f"{method} {path}: {failure}")
        return answer


def _pauses() -> Iterator[float]:
    yield from (_PAUSE_SECONDS * tries for tries in range(_TRIES))


def _patience(answer: Answer) -> float:
    """The seconds that Retry-After asks for, within reason."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), _PATIENCE_SECONDS_MAX) if text.isdigit() else _PAUSE_SECONDS


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(
        number=int(item["number"]),
        arrival=item["arrival"],
        job_id=item["job_id"],
        kind=item["kind"],
        tickets=item["tickets"] or 0,
        outcome=item["outcome"],
        reason=item["reason"],
        booking_id=item.get("booking_id"),
        capacity=item["facts"].get("capacity"),
        available_after=item["available_after"],
        accepted_at=parse_rfc3339(item["accepted_at"]),
        decided_at=parse_rfc3339(item["decided_at"]),
    )
