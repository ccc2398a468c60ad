"""A tiny deployment on loopback with the real rules behind it, and one bug planted on purpose."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import gevent.socket
import orjson
from gevent.pywsgi import WSGIHandler, WSGIServer

from shared.clock import rfc3339
from shared.domain.ledger import LedgerRow
from tests.ledgers import TruthfulLedger

TOKENS = {f"token-{number}": number for number in range(1, 5000)}
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class FakeGuichet:
    """Decides every request the moment it comes, unless `bug` says otherwise."""

    def __init__(self, bug: str = "", *, capacity: int = 10) -> None:
        self.bug = bug
        self.ledger = TruthfulLedger(capacity=capacity, max_per_booking=10)
        self.answers: dict[str, dict[str, Any]] = {}
        self.users = itertools.count(1)
        self.hits = itertools.count(1)
        self.created: list[dict[str, Any]] = []
        self.asked: set[str] = set()
        self.dead = False

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """WSGI."""
        body = orjson.loads(environ["wsgi.input"].read() or b"{}")
        status, document = self.answer(environ, body)
        kind = "application/json" if status < 400 else "application/problem+json"
        start_response(f"{status} X", [("Content-Type", kind)])
        return [orjson.dumps(document)]

    def answer(self, environ: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The whole API."""
        path = environ["PATH_INFO"].removeprefix("/api")
        token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if path == "/auth/login":
            right = body["password"] == "right"
            return (200, {"token": "admin"}) if right else (401, {"code": "invalid_credentials"})
        if path == "/auth/register":
            user = next(self.users)
            return 201, {"user": {"id": user}, "token": f"token-{user}"}
        if path == "/events":
            self.created.append(body)
            return 201, {"id": 1}
        if path == "/events/1/decisions" and self.bug == "is_busy" and next(self.hits) % 2:
            return 503, {"code": "overloaded"}
        if path == "/events/1/decisions":
            return 200, self.page(parse_qs(environ["QUERY_STRING"]))
        if path == "/bookings/1/book" and token in TOKENS:
            return self.book(TOKENS[token], environ["HTTP_IDEMPOTENCY_KEY"], body["tickets"])
        if path.startswith("/bookings/status/"):
            return self.status(path.rpartition("/")[2])
        return 404, {"code": "not_found"}

    def book(self, user: int, key: str, tickets: int) -> tuple[int, dict[str, Any]]:
        """Accepts and decides."""
        hit = next(self.hits)
        self.dead = self.bug == "dies" and hit == 20
        if self.bug == "hesitates" and key not in self.asked:
            self.asked.add(key)
            return 503, {"code": "accept_unknown", "job_id": str(uuid.uuid4())}
        if self.bug == "names_no_job":
            return 202, {"arrival": 1}
        if self.bug == "breaks_repetitions" and key in self.answers:
            return 502, {}
        if self.bug == "fails" and hit == 5:
            return 500, {"code": "internal_error"}
        if key in self.answers and self.bug != "forgets_keys":
            return 202, self.answers[key]
        if self.bug == "oversells" and self.ledger.event.available == 0:
            self.ledger.event.capacity += tickets
        if self.bug == "doubles_bookings":
            self.ledger.snapshot.live.clear()
        row = self.ledger.book(user, tickets, job_id=uuid.uuid4())
        if self.bug == "loses" and hit == 7:
            self.ledger.rows.pop()
        if self.bug == "inverts" and hit == 7:
            rows = self.ledger.rows
            rows[-1].arrival, rows[-2].arrival = rows[-2].arrival, rows[-1].arrival
        if self.bug == "decides_twice" and hit == 7:
            self.ledger.book(user, tickets, job_id=row.job_id)
        self.answers[key] = {"job_id": str(row.job_id), "arrival": row.arrival, "status": "queued"}
        return 202, self.answers[key]

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The ledger after the cursor, which is a number here."""
        if self.bug == "garbles_its_ledger":
            return {"items": [{}], "next_cursor": None}
        after, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        rows = self.ledger.rows[after : after + limit]
        more = len(self.ledger.rows) > after + limit
        return {
            "items": [_document(row) for row in rows],
            "next_cursor": str(after + limit) if more else None,
        }

    def status(self, job_id: str) -> tuple[int, dict[str, Any]]:
        """A request's status."""
        outcome = next((row.outcome for row in self.ledger.rows if str(row.job_id) == job_id), None)
        if outcome is None:
            return 404, {"code": "job_not_found"}
        lies = self.bug == "lies_in_status" and outcome == "rejected"
        return 200, {"status": "confirmed" if lies else outcome}


class _Handler(WSGIHandler):
    """Hangs up without an answer when the application is dead."""

    def handle_one_response(self) -> None:
        if getattr(self.application, "dead", False):
            self.close_connection = True
        else:
            super().handle_one_response()


@contextmanager
def serving(fake: Any) -> Iterator[str]:
    """Serves `fake` on a free port of loopback from this process' greenlets; gives the base URL."""
    listener = gevent.socket.socket()
    listener.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)  # accepted ones inherit it
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = WSGIServer(listener, fake, log=None, error_log=None, handler_class=_Handler)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=1)


def _document(row: LedgerRow) -> dict[str, Any]:
    return {
        "job_id": str(row.job_id),
        "number": row.number,
        "arrival": row.arrival,
        "kind": row.kind,
        "tickets": row.tickets,
        "outcome": row.outcome,
        "reason": row.reason,
        "booking_id": None if row.booking_id is None else str(row.booking_id),
        "available_after": row.available_after,
        "facts": row.facts,
        "accepted_at": rfc3339(row.accepted_at),
        "decided_at": rfc3339(row.decided_at),
        "hash": row.hash.hex(),
    }
