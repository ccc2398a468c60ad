"""No secret leaves the place it belongs to: every route of real processes is called with recognisable ones, at DEBUG, and
all that they write, store and answer is searched.
"""

import http.client
import json
import re
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import Engine, text

from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user
from tests.lines import await_that, worker_process
from tests.web_servers import gunicorn

FORM = "application/x-www-form-urlencoded"
# Where a client gets what it asked for: a pair of tokens, the address of a stream, the console's cookies and form.
GIVES_TOKENS = {"/api/auth/register", "/api/auth/login", "/api/auth/refresh"}


@dataclass
class Watched:
    """Secrets by what they are. None may be found where it is not given out."""

    values: dict[str, str] = field(default_factory=dict)

    def new(self, what: str, text: str = "") -> str:
        """A secret of that kind that is nowhere else."""
        self.values[what] = text or f"{what.replace(' ', '-')}-{secrets.token_hex(12)}"
        return self.values[what]

    def found_in(self, haystack: str, *, besides: tuple[str, ...] = ()) -> list[str]:
        """What can be read in it; of signed tokens the signature is looked for, without which they are worth nothing."""
        return [
            what
            for what, value in self.values.items()
            if what not in besides and (value if "@" in value else value.rpartition(".")[2]) in haystack
        ]


class Caller:
    """Somebody with a connection to a real server."""

    def __init__(self, port: int, watched: Watched) -> None:
        self._port, self._watched = port, watched

    def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[int, Any, str]:
        """Status, headers, body; what is answered to a failure must not hold any secret of the request."""
        sent = dict(headers or {})
        if isinstance(body, dict):
            form = sent.get("Content-Type") == FORM
            body = urlencode(body) if form else json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= 400:
            shown = text + str(answer.getheaders())
            # a form that is shown again keeps what was typed as the address, and has a new token
            besides = ("an e-mail address", "the form's token") if path == "/login" else ()
            assert self._watched.found_in(shown, besides=besides) == [], (method, path, text)
        return answer.status, answer.headers, text


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def settings(settings: Settings, watched: Watched) -> Settings:
    """At DEBUG, with a password in the address of the database (which `trust` does not look at)."""
    password = watched.new("the database's password")
    return replace(
        settings,
        log_level="DEBUG",
        secret_key=watched.new("the signing key", secrets.token_urlsafe(48)),
        metrics_token=watched.new("the metrics token"),
        database_url=settings.database_url.replace("postgres@", f"postgres:{password.replace(' ', '-')}@"),
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "everything.log"


@pytest.fixture
def caller(settings: Settings, watched: Watched, log: Path) -> Iterator[Caller]:
    """An API process, a booking worker and a task worker, whose output is one file."""
    with (
        gunicorn(settings, log) as port,
        worker_process(settings, log=log),
        worker_process(settings, "-m", "worker", "tasks", log=log),
    ):
        caller = Caller(port, watched)
        await_that(lambda: caller.call("GET", "/readyz")[0] == 200, what="a worker that is ready")
        yield caller


def routes(app: Flask) -> list[tuple[str, str]]:
    """Every method and address, filled in so that some name something and none is turned away for its form."""
    samples = {"job_id": str(uuid.uuid4()), "reference": "K7Q2-9XMD", "code": "not_found", "asset": "docs.js"}
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(
            r"<(?:[^:<>]+:)?([^<>]+)>",
            lambda name: samples.get(
                name[1],
                str(uuid.uuid4()) if f"uuid:{name[1]}" in rule.rule else "1",  # noqa: B023 - used at once
            ),
            rule.rule,
        )
        found += [
            (method, path) for method in sorted(rule.methods or ()) if method not in ("OPTIONS", "HEAD")
        ]
    return found


def kept_in(redis: Redis) -> str:
    """Every key of a Redis with its value."""
    readers = {
        "string": redis.get,
        "hash": redis.hgetall,
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1),
        "stream": redis.xrange,
    }
    return "\n".join(f"{key!r}: {readers[redis.type(key).decode()](key)!r}" for key in redis.scan_iter())


def sign_in(caller: Caller, watched: Watched) -> dict[str, str]:
    """Registers, logs in, rotates: everything given out is watched from then on. The header of the last log-in."""
    email, password = (
        watched.new("an e-mail address", "zz-watched-7f3a@example.org"),
        watched.new("a password"),
    )
    account = {"email": email, "password": password}
    status, _, text = caller.call("POST", "/api/auth/register", body={"name": "Ada", **account})
    assert status == 201, text
    for what in ("first", "second"):
        status, _, text = caller.call("POST", "/api/auth/login", body=account)
        pair = json.loads(text)
        watched.new(f"the {what} access token", pair["token"])
        watched.new(f"the {what} refresh token", pair["refresh_token"])
    spent = {"refresh_token": pair["refresh_token"]}
    status, _, text = caller.call("POST", "/api/auth/refresh", body=spent)
    renewed = json.loads(text)
    watched.new("the renewed access token", renewed["token"])
    watched.new("the renewed refresh token", renewed["refresh_token"])
    assert (
        caller.call("POST", "/api/auth/login", body={**account, "password": watched.new("a wrong one")})[0]
        == 401
    )
    return {"Authorization": f"Bearer {renewed['token']}"}


class TestEveryRoute:
    def test_keeps_what_it_is_shown_to_itself(
        self, app: Flask, caller: Caller, watched: Watched, engine: Engine, redis_client: Redis, log: Path
    ) -> None:
        as_ada, event = sign_in(caller, watched), make_event(engine)
        key = {"Idempotency-Key": watched.new("an idempotency key")}
        status, _, text = caller.call(
            "POST",
            f"/api/events/{event.id}/register",
            headers={**as_ada, **key, "Prefer": "wait=0"},
            body={"tickets": 1},
        )
        assert status == 202, text
        stream = json.loads(text)["links"]["stream"]
        watched.new("the stream's token", stream.partition("token=")[2])
        assert "decided" in caller.call("GET", stream)[2]
        admin = auth_header(app, make_user(engine, role="admin"))
        watched.new("an admin's access token", admin["Authorization"])
        self._ask_everything(app, caller, watched, {"nobody": {}, "Ada": as_ada, "an admin": admin})
        caller.call("POST", "/api/auth/logout", headers=as_ada)
        written = await_that(lambda: self._is_all_there(log), what="the last access lines")
        assert '"level":"debug"' in written
        assert watched.found_in(written) == []
        kept = kept_in(redis_client)
        assert "guichet:" in kept
        assert watched.found_in(kept) == []
        bearer = {"Authorization": f"Bearer {watched.values['the metrics token']}"}
        status, _, figures = caller.call("GET", "/metrics", headers=bearer)
        assert (status, watched.found_in(figures)) == (200, [])

    def _ask_everything(
        self, app: Flask, caller: Caller, watched: Watched, people: dict[str, dict[str, str]]
    ) -> None:
        """Each route, as each of them, with secrets in all places where somebody may put one by mistake."""
        planted = {
            "password": watched.new("a password in a body"),
            "current_password": watched.new("a current password"),
            "new_password": watched.new("a new password"),
            "refresh_token": watched.new("a refresh token in a body"),
            "token": watched.new("a token in a body"),
            "email": watched.new("an address in a body", "zz-planted-91c2@example.org"),
        }
        query = urlencode(
            {"token": watched.new("a token in a query"), "password": watched.new("a password in a query")}
        )
        cookie = {
            "Cookie": f"guichet_console={watched.new('a cookie')}; session={watched.new('another cookie')}"
        }
        leaving = {("POST", "/api/auth/logout"), ("POST", "/logout")}
        asked = 0
        for method, path in routes(app):
            if (method, path) in leaving:
                continue
            for headers in people.values():
                sent = {**headers, **cookie, "Idempotency-Key": watched.values["an idempotency key"]}
                if path == "/login":
                    sent["Content-Type"] = FORM
                body = None if method == "GET" else planted
                status, _, _ = caller.call(method, f"{path}?{query}", headers=sent, body=body)
                assert status < 500 or status == 503, (method, path, status)
                asked += 1
        assert asked > 250

    def _is_all_there(self, log: Path) -> str:
        written = log.read_text(errors="replace")
        return written if '"route":"/api/auth/logout"' in written else ""


class TestFailures:
    def test_of_the_database_do_not_tell_what_was_to_be_written(
        self, caller: Caller, watched: Watched, engine: Engine, log: Path
    ) -> None:
        """A driver's error quotes the statement, which has the values in it."""
        as_ada = sign_in(caller, watched)
        with engine.begin() as connection:
            connection.execute(
                text("alter table refresh_tokens add constraint planted check (used_at is null) not valid")
            )
        assert caller.call("POST", "/api/auth/logout", headers=as_ada)[0] == 500
        with engine.begin() as connection:
            connection.execute(text("alter table users rename column password_hash to gone"))
        body = {
            "name": watched.new("a name", "Zz-Watched-Name"),
            "email": watched.new("a new address", "zz-failed-55d0@example.org"),
            "password": watched.new("a password that is stored nowhere"),
        }
        credentials = {"email": body["email"], "password": body["password"]}
        for path, sent in (("register", body), ("login", credentials)):
            status, _, answer = caller.call("POST", f"/api/auth/{path}", body=sent)
            assert status == 500, (path, answer)
        written = await_that(lambda: self._has(log, "unhandled error"), what="three errors")
        assert "UndefinedColumn" in written
        assert "CheckViolation" in written
        assert "$argon2id$" not in written
        assert watched.found_in(written) == []

    def _has(self, log: Path, message: str) -> str:
        written = log.read_text(errors="replace")
        return written if written.count(message) >= 3 else ""

    def test_of_both_servers_do_not_tell_their_passwords(
        self, settings: Settings, watched: Watched, tmp_path: Path
    ) -> None:
        """Nobody listens there; a client that cannot connect says where it tried to."""
        log = tmp_path / "alone.log"
        away = replace(
            settings,
            database_url=f"postgresql+psycopg2://guichet_app:{watched.new('a database password')}@127.0.0.1:1/guichet",
            redis_url=f"redis://somebody:{watched.new('a Redis password')}@127.0.0.1:1/0",
        )
        with gunicorn(away, log) as port, worker_process(away, "-m", "worker", "tasks", log=log):
            caller = Caller(port, watched)
            account = {"email": "a@example.org", "password": watched.new("a password")}
            for method, path, body in (
                ("GET", "/readyz", None),
                ("POST", "/api/auth/login", account),
                ("GET", "/api/events", None),
                ("GET", "/metrics", None),
            ):
                caller.call(method, path, body=body)
            with worker_process(away, log=log):
                await_that(lambda: "waiting for Redis" in log.read_text(), what="a worker that waits")
                await_that(
                    lambda: '"logger":"worker.schedule"' in log.read_text(), what="a schedule that fails"
                )
        assert watched.found_in(log.read_text()) == []
