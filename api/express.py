"""The hottest requests pass Flask by (docs/adr/0046-an-express-lane.md): booking, and polling for the decision.

In an on-sale nearly all requests are alike: these two, from clients that do nothing out of the ordinary. Finding their
view and wrapping what goes in and comes out costs Flask more than answering them does. What is answered here is what
the view would answer, by the same functions; whatever is unusual about a request leaves it to Flask, before anything
has been done.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from functools import cache, partial
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Final

from flask import Flask
from marshmallow import Schema
from werkzeug.exceptions import BadHost
from werkzeug.http import HTTP_STATUS_CODES

from api.access_tokens import Identity
from api.compression import BYTES_MIN, compress
from api.container import Container
from api.cors import Cors
from api.exchange import Exchange
from api.gunicorn_answers import OFFERS
from api.hosts import read_host
from api.line_requests import submit_booking
from api.parsing import find_known, read_small_body
from api.problem_replies import error_reply
from api.replies import DELIVERED, Reply, as_response
from api.responses import OF_A_BODY
from api.routes.bookings import BOOK, BOOK_EVENT, WAIT_DEFAULT_SECONDS
from api.schemas.requests import WAIT_SECONDS_MAX
from api.security_headers import SecurityHeaders
from api.status_replies import status_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_BOOK: Final = re.compile(r"/api/bookings/([0-9]{1,18})/book", re.ASCII)
_BOOK_EVENT: Final = "/api/bookings"
_REGISTER: Final = re.compile(r"/api/events/([0-9]{1,18})/register", re.ASCII)
_POLL: Final = re.compile(r"/api/bookings/status/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_WAIT: Final = re.compile(r"(?:wait=([0-9]{1,2}))?", re.ASCII)

_Answer = Callable[[Exchange, Identity], Reply | None]


class ExpressLane:
    """A WSGI application before another, `flask`: it answers what it knows, and hands it everything else."""

    def __init__(self, app: Flask, container: Container, flask: "WSGIApplication") -> None:
        self._container, self._flask = container, flask
        self._security, self._cors = SecurityHeaders(container.settings), Cors(container.settings)
        self._routes = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answers a request."""
        found = self._find(environ)
        if found is not None:
            endpoint, answer = found
            exchange = Exchange()
            exchange.begin(environ, environ["PATH_INFO"])
            exchange.identity = self._container.tokens.read(environ)
            if OFFERS in environ:
                exchange.deliver = partial(self._deliver, exchange, endpoint, start_response)
            reply = None if exchange.identity is None else self._answer(exchange, exchange.identity, answer)
            exchange.deliver = None  # it knows the exchange: a circle, which only the collector ends
            if reply is DELIVERED:
                return []
            if reply is not None:
                return self._send(exchange, endpoint, reply, start_response)[1]
        return self._flask(environ, start_response)

    def _answer(self, exchange: Exchange, identity: Identity, answer: _Answer) -> Reply | None:
        try:
            return answer(exchange, identity)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes an answer
            return error_reply(exchange, error, base_url=self._container.settings.base_url)

    def _find(self, environ: "WSGIEnvironment") -> tuple[str, _Answer] | None:
        """Whose request this is, if it is one of ours."""
        path, method, query = environ["PATH_INFO"], environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        found: tuple[str, _Answer] | None = None
        if method == "POST" and not query:
            if (match := _BOOK.fullmatch(path)) is not None:
                found = "bookings.book", partial(self._book, schema=BOOK, event_id=int(match[1]))
            elif path == _BOOK_EVENT:
                found = "bookings.book_event", partial(self._book, schema=BOOK_EVENT)
            elif (match := _REGISTER.fullmatch(path)) is not None:
                found = "bookings.register", partial(self._register, event_id=int(match[1]))
        elif method == "GET" and (match := _POLL.fullmatch(path)) is not None:
            wait = _WAIT.fullmatch(query)
            if wait is not None and (seconds := int(wait[1] or 0)) <= WAIT_SECONDS_MAX:
                job_id = uuid.UUID(match[1])
                found = "requests.poll", partial(self._poll, job_id=job_id, wait_seconds=seconds)
        return found if found is not None and _is_usual(environ) else None

    def _book(
        self,
        exchange: Exchange,
        identity: Identity,
        *,
        schema: Schema,
        event_id: int | None = None,
        default_wait: int = 0,
    ) -> Reply | None:
        self._container.limits.check_booking(exchange)
        environ = exchange.environ
        raw = read_small_body(environ)
        if raw is None:
            return None
        body = find_known(schema, raw)
        if body is None:
            environ["wsgi.input"] = BytesIO(raw)  # Flask reads it again, and knows it from then on
            return None
        if event_id is not None:
            body["event_id"] = event_id
        return submit_booking(self._container, exchange, identity, **body, default_wait=default_wait)

    def _register(self, exchange: Exchange, identity: Identity, *, event_id: int) -> Reply | None:
        wait = WAIT_DEFAULT_SECONDS
        return self._book(exchange, identity, schema=BOOK, event_id=event_id, default_wait=wait)

    def _poll(self, exchange: Exchange, identity: Identity, *, job_id: uuid.UUID, wait_seconds: int) -> Reply:
        exchange.job_id = job_id
        self._container.limits.check_poll(exchange)
        return status_reply(self._container, exchange, identity, job_id, wait_seconds=wait_seconds)

    def _deliver(
        self, exchange: Exchange, endpoint: str, start_response: "StartResponse", reply: Reply
    ) -> None:
        write, body = self._send(exchange, endpoint, reply, start_response)
        write(b"".join(body))

    def _send(
        self, exchange: Exchange, endpoint: str, reply: Reply, start_response: "StartResponse"
    ) -> tuple[Callable[[bytes], object], Iterable[bytes]]:
        """What `finish` in api/app.py does to every response of Flask's, and the response."""
        container, status = self._container, reply.status
        if status >= HTTPStatus.BAD_REQUEST:
            container.limits.charge_stray(exchange, endpoint, status)
        if len(reply.body) >= BYTES_MIN:
            reply = _compressed(reply, exchange)
        container.access_log.finish(exchange, route=self._routes[endpoint], status=status)
        headers = reply.headers
        self._cors.allow(headers, exchange)
        body = [reply.body]
        if status == HTTPStatus.NOT_MODIFIED:
            body, headers = [], {name: value for name, value in headers.items() if name not in OF_A_BODY}
        else:
            headers["Content-Length"] = str(len(reply.body))
        security = self._security.of(exchange.environ)
        write = start_response(_status_line(status), [*headers.items(), *exchange.answer_headers, *security])
        return write, body


def _is_usual(environ: "WSGIEnvironment") -> bool:
    """Whether it is an exchange like any other, with a host that is one."""
    if "HTTP_UPGRADE" in environ:
        return False
    try:
        read_host(environ)
    except BadHost:
        return False
    return True


def _compressed(reply: Reply, exchange: Exchange) -> Reply:
    response = as_response(reply)
    compress(response, exchange.environ, exchange.path)
    return Reply(reply.status, response.get_data(), dict(response.headers))


@cache
def _status_line(status: int) -> str:
    return f"{status} {HTTP_STATUS_CODES[status].upper()}"
