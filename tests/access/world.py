"""The callers of `callers.py` and the things of `table.py`, on servers shared by a module's tests."""

import itertools
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

from api.app import create_app
from api.stream_tokens import make_stream_token
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from shared.db import make_engine, transaction
from shared.models import Event, Organization, User
from shared.services import token_families
from shared.services.token_families import lock_user
from shared.services.tokens import ALGORITHM
from shared.settings import Settings
from tests.access import things
from tests.access.callers import BAD_BEARERS, COOKIES, KNOWN, Who
from tests.access.things import Thing
from tests.conftest import _TEMPLATE, connect_redis, make_settings
from tests.console_calls import signed_in
from tests.contract_world import LIMITS
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user

# What each caller's account is in the database; the others have none of their own.
_ROLES: dict[Who, str] = {
    Who.STRANGER: "attendee",
    Who.OWNER: "attendee",
    Who.HOST: "host",
    Who.OTHER_HOST: "host",
    Who.ORG_OWNER: "attendee",
    Who.ORG_MEMBER: "attendee",
    Who.EX_MEMBER: "attendee",
    Who.ADMIN: "admin",
    Who.EX_ADMIN: "attendee",
}


@dataclass
class World:
    """Everybody and everything. Things are made when they are asked for: a call may use them up."""

    app: Flask
    engine: Engine
    settings: Settings
    people: dict[Who, User] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    _bearers: dict[Who, str] = field(default_factory=dict)
    _browsers: dict[Who, FlaskClient] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fill(self) -> None:
        """The people, and what some of them once were."""
        # Looks at events are counted in memory, and written by a thread: here by nobody.
        self.app.extensions["guichet"].impressions.close()
        self.people = {who: self.person(who) for who in _ROLES}
        make_organization(self.engine, owners=[self.people[Who.OTHER_HOST]])
        make_event(self.engine, host=self.people[Who.OTHER_HOST])
        self._make_bad_bearers()
        for who in sorted(COOKIES):
            self._browsers[who] = signed_in(self.app, self.engine)
        ex_admin = make_user(self.engine, role="admin", password=PASSWORD)
        self._browsers[Who.EX_CONSOLE] = signed_in(self.app, self.engine, ex_admin)
        self._set_role(ex_admin, "host")
        self.decided = things.decided_request(self)

    def person(self, who: Who) -> User:
        """Somebody new who is what `who` is."""
        user = make_user(self.engine, role=_ROLES[who], password=PASSWORD)
        if who is Who.EX_ADMIN:
            user.role = "admin"  # which only their token says
        return user

    def organization(self) -> Organization:
        """One to which those belong who should; somebody more did until just now."""
        owner, member = self.people[Who.ORG_OWNER], self.people[Who.ORG_MEMBER]
        return make_organization(self.engine, owners=[owner], members=[member])

    def event(self, **fields: Any) -> Event:
        """One that has a host, who is no member of the organization that it belongs to."""
        fields = {"organization_id": self.organization().id, **fields}
        return make_event(self.engine, host=self.people[Who.HOST], **fields)

    def make(self, kind: str) -> Thing:
        """A thing of that kind, whose owner is the owner unless it says otherwise."""
        return things.KINDS[kind](self)

    def headers(self, who: Who, user: User | None = None) -> dict[str, str]:
        """What `who` shows; `user` when somebody in particular is it."""
        if who in KNOWN:
            return auth_header(self.app, user or self.people[who])
        return {"Authorization": f"Bearer {self._bearers[who]}"} if who in BAD_BEARERS else {}

    def client(self, who: Who) -> FlaskClient:
        """Where `who` sends it from: a browser for who has a cookie."""
        return self._browsers[who] if who in COOKIES else self.app.test_client(use_cookies=False)

    def ask(
        self,
        who: Who,
        method: str,
        path: str,
        *,
        body: object = None,
        user: User | None = None,
        more: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """The answer, without waiting for any decision; `more` are headers."""
        headers = {**self.headers(who, user), "Prefer": "wait=0", **(more or {})}
        if who is Who.STREAM and "/stream" in path:
            query = {"token": self._bearers[Who.STREAM]}
        return self.client(who).open(
            path, method=method, json=body, headers=headers, query_string=query, buffered=True
        )

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What this thread's requests ask PostgreSQL meanwhile, in their order, without the values."""
        noted: list[str] = []
        asking = threading.get_ident()

        def note(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
            if threading.get_ident() == asking:
                noted.append(statement)

        engine = self.app.extensions["guichet"].engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield noted
        finally:
            event.remove(engine, "before_cursor_execute", note)

    def refresh_token(self, user: User) -> str:
        """A refresh token of a fresh log-in."""
        with transaction(self.engine) as session:
            locked = lock_user(session, user.id)
            assert locked is not None
            return token_families.start(session, locked, settings=self.settings).pair.refresh_token

    def fresh_email(self) -> str:
        """An address that nobody has."""
        return f"newcomer-{next(self._numbers)}@example.org"

    def _make_bad_bearers(self) -> None:
        admin, client = self.people[Who.ADMIN], self.app.test_client(use_cookies=False)
        revoked, closed = auth_header(self.app, admin), self.person(Who.ADMIN)
        assert client.post("/api/auth/logout", headers=revoked).status_code == 204
        closing = auth_header(self.app, closed)
        body = {"password": PASSWORD}
        assert client.delete("/api/auth/account", json=body, headers=closing).status_code == 204
        claims = jwt.decode(
            _token(auth_header(self.app, self.people[Who.STRANGER])), options={"verify_signature": False}
        )
        self._bearers = {
            Who.REVOKED: _token(revoked),
            Who.CLOSED: _token(closing),
            Who.FORGED: jwt.encode(
                {**claims, "role": "admin", "sub": str(admin.id)}, secrets.token_hex(32), algorithm=ALGORITHM
            ),
            Who.REFRESH: self.refresh_token(admin),
            Who.STREAM: make_stream_token(self.settings.secret_key, uuid.uuid4()),
        }

    def _set_role(self, user: User, role: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"update users set role = '{role}' where id = {user.id}")


def _token(headers: Mapping[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


@contextmanager
def open_world(
    postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, folder: Path, **fields: Any
) -> Iterator[World]:
    """A world on a database of its own and an empty Redis, with limits that nobody reaches."""
    name = f"access_{secrets.token_hex(6)}"
    postgres.create_database(name, template=_TEMPLATE)
    with connect_redis(redis_server.url) as client:
        client.flushall()
    settings = make_settings(postgres.database_url(name), redis_server.url, folder, **{**LIMITS, **fields})
    app, engine = create_app(settings), make_engine(settings.database_url)
    try:
        world = World(app, engine, settings)
        world.fill()
        yield world
    finally:
        engine.dispose()
        app.extensions["guichet"].close()
        postgres.drop_database(name)
