"""What everybody sees of events comes from memory for a moment; nobody sees what a change has made untrue."""

import gzip
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, text

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Event, User
from shared.settings import Settings
from tests.factories import auth_header, bearer, make_event, make_organization, make_user
from tests.lines import LineDriver
from tests.web_servers import gunicorn

DESCRIPTION = "Two sets, one break. " * 100


@pytest.fixture
def app(make_app: Callable[[Settings], Flask], settings: Settings) -> Flask:
    """One process; what it keeps lasts longer than any test."""
    return make_caching(make_app, settings)


@pytest.fixture
def other(make_app: Callable[[Settings], Flask], settings: Settings) -> FlaskClient:
    """Another process of the same machine."""
    return make_caching(make_app, settings).test_client()


def make_caching(make_app: Callable[[Settings], Flask], settings: Settings) -> Flask:
    app = make_app(replace(settings, read_cache_seconds=1.0))
    container = app.extensions["guichet"]
    container.answers._seconds = 600.0
    container.stamps.share()
    return app


@pytest.fixture
def shown(engine: Engine, host: User) -> Event:
    return make_event(engine, host=host, title="Jazz", description=DESCRIPTION, capacity=10)


@contextmanager
def questions(app: Flask) -> Iterator[list[str]]:
    """What the process asks PostgreSQL."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    engine = app.extensions["guichet"].engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def age(app: Flask, seconds: float) -> None:
    for entry in app.extensions["guichet"].answers._entries.values():
        entry.read_at -= seconds


PATHS = [
    "/api/events",
    "/api/events?search=jazz&sort=title",
    "/api/events/view",
    "/api/events/{id}",
    "/api/events/{id}/view",
    "/api/events/slots",
    "/api/events/slots/{id}",
    "/api/events/{id}/slots",
]


class TestFromMemory:
    @pytest.mark.parametrize("path", PATHS)
    def test_asks_the_database_once(self, app: Flask, client: FlaskClient, shown: Event, path: str) -> None:
        first = client.get(path.format(id=shown.id))
        assert first.status_code == 200
        with questions(app) as asked:
            again = client.get(path.format(id=shown.id))
            unchanged = client.get(path.format(id=shown.id), headers={"If-None-Match": first.headers["ETag"]})
            head = client.head(path.format(id=shown.id))
        assert asked == []
        assert again.json == first.json
        assert (again.headers["ETag"], again.headers["Cache-Control"]) == (
            first.headers["ETag"],
            "public, no-cache",
        )
        assert (unchanged.status_code, unchanged.data) == (304, b"")
        assert (head.status_code, head.data) == (200, b"")

    def test_the_same_question_in_other_words_is_the_same(
        self, app: Flask, client: FlaskClient, shown: Event
    ) -> None:
        client.get("/api/events?limit=20&sort=title")
        with questions(app) as asked:
            assert client.get("/api/events?sort=title&order=asc").json["items"][0]["id"] == shown.id
        assert asked == []

    def test_a_wrong_question_is_refused_each_time(self, client: FlaskClient) -> None:
        for _ in range(2):
            assert client.get("/api/events?limit=0").status_code == 422

    @pytest.mark.usefixtures("shown")
    def test_is_compressed_once(self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = client.get("/api/events").data
        first = client.get("/api/events", headers={"Accept-Encoding": "gzip"})
        monkeypatch.setattr("api.responses.gzip.compress", lambda *_a, **_k: pytest.fail("compressed again"))
        again = client.get("/api/events", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(again.data) == gzip.decompress(first.data) == plain
        assert again.headers["ETag"].startswith("W/")

    def test_looks_are_counted_all_the_same(
        self, app: Flask, client: FlaskClient, engine: Engine, shown: Event
    ) -> None:
        for _ in range(3):
            client.get(f"/api/events/{shown.id}")
        client.head(f"/api/events/{shown.id}")
        app.extensions["guichet"].impressions.flush()
        with transaction(engine) as session:
            assert session.scalar(text("select impressions from events")) == 3

    def test_many_at_once_are_one_question(self, app: Flask, shown: Event) -> None:
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(app.test_client().get(f"/api/events/{shown.id}/slots").status_code)

        with questions(app) as asked:
            threads = [threading.Thread(target=ask) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        assert statuses == [200] * 20
        assert len([statement for statement in asked if "from events" in statement.lower()]) == 1


class TestAChange:
    """Seen at once where it was made, and by the machine's other processes."""

    @pytest.mark.parametrize("where", ["here", "there"])
    def test_of_an_event_shows(
        self,
        client: FlaskClient,
        other: FlaskClient,
        shown: Event,
        as_host: dict[str, str],
        where: str,
    ) -> None:
        looking = client if where == "here" else other
        url = f"/api/events/{shown.id}"
        before = looking.get(url)
        assert [looking.get("/api/events").json["items"][0]["title"], before.json["title"]] == [
            "Jazz",
            "Jazz",
        ]
        assert client.patch(url, json={"title": "Blues", "capacity": 20}, headers=as_host).status_code == 200
        after = looking.get(url, headers={"If-None-Match": before.headers["ETag"]})
        assert (after.status_code, after.json["title"]) == (200, "Blues")
        assert looking.get("/api/events").json["items"][0]["title"] == "Blues"
        assert looking.get(f"{url}/slots").json["slots"] == 20

    def test_back_to_a_draft_hides_it(
        self, client: FlaskClient, other: FlaskClient, shown: Event, as_host: dict[str, str]
    ) -> None:
        url = f"/api/events/{shown.id}"
        assert other.get(url).status_code == other.get(f"{url}/slots").status_code == 200
        assert client.patch(url, json={"status": "draft"}, headers=as_host).status_code == 200
        assert other.get(url).status_code == other.get(f"{url}/slots").status_code == 404
        assert other.get("/api/events").json["items"] == []
        assert other.get(url, headers=as_host).json["status"] == "draft"
        assert other.get(url).status_code == 404

    def test_that_hides_or_makes_one_shows(
        self, client: FlaskClient, other: FlaskClient, shown: Event, as_host: dict[str, str]
    ) -> None:
        assert len(other.get("/api/events").json["items"]) == 1
        starts_at = (utc_now() + timedelta(days=3)).isoformat()
        body = {"title": "New", "starts_at": starts_at, "capacity": 5, "status": "scheduled"}
        assert client.post("/api/events", json=body, headers=as_host).status_code == 201
        assert len(other.get("/api/events").json["items"]) == 2
        assert other.get(f"/api/events/{shown.id}").status_code == 200
        assert client.delete(f"/api/events/{shown.id}", headers=as_host).status_code == 204
        assert other.get(f"/api/events/{shown.id}").status_code == 404
        assert len(other.get("/api/events").json["items"]) == 1

    def test_of_an_organizations_name_shows_and_a_look_at_it_spoils_nothing(
        self,
        app: Flask,
        client: FlaskClient,
        other: FlaskClient,
        engine: Engine,
        host: User,
        as_host: dict[str, str],
    ) -> None:
        made = make_organization(engine, owners=[host], name="Cello Festival")
        make_event(engine, host=host, organization_id=made.id)
        url = f"/api/organizations/{made.id}"

        def name(looking: FlaskClient) -> str:
            return str(looking.get("/api/events").json["items"][0]["organization"]["name"])

        assert name(client) == name(other) == "Cello Festival"
        for path in (url, "/api/organizations"):
            assert other.get(path).status_code == 200
        with questions(app) as asked:
            assert name(client) == "Cello Festival"
        assert asked == []
        assert client.patch(url, json={"name": "Bow Festival"}, headers=as_host).status_code == 200
        assert name(client) == name(other) == "Bow Festival"

    def test_pausing_the_line_shows(
        self, client: FlaskClient, other: FlaskClient, shown: Event, as_admin: dict[str, str]
    ) -> None:
        url = f"/api/events/{shown.id}"
        assert other.get(url).json["sales"] == "open"
        assert (
            client.post("/api/admin/queue/pause", json={"reason": "x"}, headers=as_admin).status_code == 200
        )
        assert other.get(url).json["sales"] == "paused"

    def test_a_booking_shows_to_whoever_waited_for_it(
        self,
        app: Flask,
        client: FlaskClient,
        other: FlaskClient,
        engine: Engine,
        settings: Settings,
        shown: Event,
    ) -> None:
        url = f"/api/events/{shown.id}"
        assert other.get(f"{url}/slots").json["slots"] == other.get(url).json["available"] == 10
        headers = auth_header(app, make_user(engine))
        accepted = client.post(f"/api/bookings/{shown.id}/book", json={"tickets": 3}, headers=headers)
        assert accepted.status_code == 202, accepted.text
        driver = LineDriver(settings, engine)
        try:
            driver.decide_all()
        finally:
            driver.close()
        assert client.get(accepted.json["links"]["status"], headers=headers).json["status"] == "confirmed"
        assert other.get(f"{url}/slots").json["slots"] == other.get(url).json["available"] == 7


class TestTime:
    @pytest.mark.parametrize("path", PATHS)
    def test_ends_what_nothing_else_ends(
        self, app: Flask, client: FlaskClient, engine: Engine, shown: Event, path: str
    ) -> None:
        """A worker's decision that nobody of this machine has waited for."""
        before = client.get(path.format(id=shown.id)).json
        with transaction(engine) as session:
            session.execute(text("update events set booked = 4"))
        assert client.get(path.format(id=shown.id)).json == before
        age(app, 600)
        after = client.get(path.format(id=shown.id)).json
        assert str(after).count("6") > str(before).count("6")

    def test_is_not_stretched_while_the_database_is_away(
        self, app: Flask, client: FlaskClient, shown: Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"/api/events/{shown.id}"
        assert client.get(url).status_code == 200
        monkeypatch.setattr(app.extensions["guichet"].engine.pool, "connect", away)
        assert client.get(url).status_code == 200
        age(app, 600)
        answer = client.get(url)
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")


def away() -> None:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("connect", {}, Exception("away"))


class TestPersonal:
    def test_lists_are_never_shared(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        make_event(engine, host=host, title="Draft", status="draft")
        assert client.get("/api/events").json["items"] == []
        assert [item["title"] for item in client.get("/api/events", headers=as_host).json["items"]] == [
            "Draft"
        ]
        assert client.get("/api/events").json["items"] == []

    def test_a_token_that_does_not_count_is_refused(self, client: FlaskClient) -> None:
        assert client.get("/api/events").status_code == 200
        assert client.get("/api/events", headers={"Authorization": "Bearer x"}).status_code == 401


class TestTwoProcesses:
    def test_of_a_real_server_agree_after_a_change(
        self, settings: Settings, host: User, shown: Event, tmp_path: Path
    ) -> None:
        headers = bearer(settings, host)
        url = f"/api/events/{shown.id}"
        with gunicorn(replace(settings, read_cache_seconds=1.0), tmp_path / "web.log", processes=2) as port:

            def ask(method: str = "GET", **fields: object) -> tuple[int, str]:
                """On a connection of its own: whichever process takes it."""
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                own = {"Content-Type": "application/json", **headers} if fields else {}
                connection.request(method, url, body=json.dumps(fields) if fields else None, headers=own)
                answer = connection.getresponse()
                status, document = answer.status, json.loads(answer.read())
                connection.close()
                return status, document["title"]

            for round_ in range(10):
                assert {ask() for _ in range(8)} == {(200, "Jazz" if round_ == 0 else f"Title {round_ - 1}")}
                assert ask("PATCH", title=f"Title {round_}")[0] == 200
