"""The list of events and of slots: filters, order, paging."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.clock import rfc3339
from tests.factories import auth_header, make_event, make_user

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def titles(client: FlaskClient, query: str = "", headers: dict[str, str] | None = None) -> list[str]:
    answer = client.get(f"/api/events?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json["items"]]


def walk(client: FlaskClient, query: str) -> Iterator[dict[str, Any]]:
    """Every item, page by page along the Link headers."""
    url: str | None = f"/api/events?{query}"
    while url:
        answer = client.get(url)
        yield from answer.json["items"]
        assert ("Link" in answer.headers) == (answer.json["next_cursor"] is not None)
        url = answer.headers["Link"].split(">")[0][1:] if "Link" in answer.headers else None


# Query → titles, of the events in TestFilters.
FILTERED = [
    ("", ["Running", "Chess", "Piano night", "Full house", "Called off"]),
    ("status=scheduled", ["Running", "Chess", "Piano night", "Full house"]),
    ("status=completed", ["Past"]),
    ("status=cancelled", ["Called off"]),
    ("status=draft", []),
    ("category=music", ["Piano night"]),
    ("category=nothing", []),
    ("search=piano", ["Chess", "Piano night"]),
    ("search=piano%20-bar", ["Piano night"]),
    ("search=%22piano%20bar%22", ["Chess"]),
    ("search=%27;drop%20table%20events", []),
    ("search=!!!", []),
    ("available_only=true", ["Chess", "Piano night"]),
    ("available_only=true&sort=title", ["Chess", "Piano night"]),
    ("available_only=false&category=games", ["Chess", "Full house"]),
    (f"starts_to={rfc3339(NOW)}", ["Past", "Running"]),
    (f"starts_from={rfc3339(NOW + 3 * DAY)}", ["Piano night", "Full house", "Called off"]),
    (f"starts_from={rfc3339(NOW - 4 * DAY)}&starts_to={rfc3339(NOW - 2 * DAY)}", ["Past"]),
]


REFUSED_QUERIES = [
    "status=open",
    "limit=0",
    "limit=101",
    "limit=1.0",
    "limit=1&limit=2",
    "offset=-1",
    "sort=capacity",
    "order=up",
    "cursor=abc",
    "cursor=",
    "search=",
    "search=%00",
    "starts_from=tomorrow",
    "available_only=yes",
    "host_id=0",
    "host_id=99999999999999999999",
    "unknown=1",
]


class TestFilters:
    @pytest.fixture
    def events(self, engine: Engine) -> None:
        host = make_user(engine, role="host")
        make_event(engine, title="Piano night", category="Music", starts_at=NOW + 3 * DAY, host=host)
        make_event(
            engine, title="Chess", venue="Piano bar", category="games", starts_at=NOW + 2 * DAY, host=host
        )
        make_event(
            engine, title="Full house", category="games", starts_at=NOW + 4 * DAY, capacity=5, booked=5
        )
        make_event(engine, title="Called off", category="art", starts_at=NOW + 5 * DAY, status="cancelled")
        make_event(engine, title="Draft", category="art", starts_at=NOW + DAY, status="draft", host=host)
        make_event(engine, title="Running", category="art", starts_at=NOW - DAY, ends_at=NOW + DAY)
        make_event(engine, title="Past", category="art", starts_at=NOW - 3 * DAY)

    @pytest.mark.usefixtures("events")
    def test_show_what_they_say(self, client: FlaskClient) -> None:
        for query, expected in FILTERED:
            assert (query, titles(client, query)) == (query, expected)

    def test_by_host(self, client: FlaskClient, engine: Engine) -> None:
        host = make_user(engine, role="host")
        make_event(engine, title="Mine", host=host)
        make_event(engine, title="Other")
        assert titles(client, f"host_id={host.id}") == ["Mine"]

    @pytest.mark.usefixtures("events")
    def test_view_is_the_same_list(self, client: FlaskClient) -> None:
        assert client.get("/api/events/view").json == client.get("/api/events").json

    def test_drafts_are_for_their_host_and_admins(
        self, app: Flask, client: FlaskClient, engine: Engine
    ) -> None:
        host = make_user(engine, role="host")
        make_event(engine, title="Draft", status="draft", host=host)
        own, admin = auth_header(app, host), auth_header(app, make_user(engine, role="admin"))
        stranger = auth_header(app, make_user(engine, role="host"))
        assert titles(client, "status=draft", own) == titles(client, "status=draft", admin) == ["Draft"]
        assert titles(client, "", own) == ["Draft"]
        assert titles(client, "", stranger) == titles(client, "") == []
        assert "private" in client.get("/api/events", headers=own).headers["Cache-Control"]

    def test_are_strict(self, client: FlaskClient) -> None:
        for query in REFUSED_QUERIES:
            answer = client.get(f"/api/events?{query}")
            assert (query, answer.status_code) == (query, 422)
            assert answer.json["errors"][0]["pointer"] == f"?{query.partition('=')[0]}"


class TestPaging:
    @pytest.fixture
    def events(self, engine: Engine) -> None:
        """Nine events with many equal keys, so that only the id makes the order total."""
        for number in range(9):
            make_event(
                engine,
                title=f"Title {number % 3}",
                price_minor=100 * (number % 2),
                impressions=number % 3,
                starts_at=NOW + DAY * (1 + number // 4),
            )

    @pytest.mark.usefixtures("events")
    @pytest.mark.parametrize("sort", ["starts_at", "created_at", "title", "popularity", "price"])
    def test_by_cursor_shows_everything_once_in_a_total_order(self, client: FlaskClient, sort: str) -> None:
        field = {"popularity": "impressions", "price": "price_minor"}.get(sort, sort)
        for order in ("asc", "desc"):
            items = list(walk(client, f"sort={sort}&order={order}&limit=2"))
            keys = [(item[field], item["id"]) for item in items]
            assert len({item["id"] for item in items}) == 9
            assert keys == sorted(keys, reverse=order == "desc")

    @pytest.mark.usefixtures("events")
    def test_by_offset_shows_the_same(self, client: FlaskClient) -> None:
        by_offset = [item["id"] for item in walk(client, "limit=4&offset=0")]
        assert by_offset == [item["id"] for item in walk(client, "limit=4")]

    @pytest.mark.usefixtures("events")
    def test_counts_only_when_asked(self, client: FlaskClient) -> None:
        assert "total" not in client.get("/api/events?limit=1").json
        page = client.get("/api/events?limit=1&with_total=true&sort=price")
        assert (len(page.json["items"]), page.json["total"]) == (1, 9)
        cursor = page.json["next_cursor"]
        again = client.get(
            "/api/events", query_string={"cursor": cursor, "with_total": "true", "sort": "price"}
        )
        assert again.json["total"] == 9

    @pytest.mark.usefixtures("events")
    def test_neither_skips_nor_repeats_when_something_new_comes_before_the_cursor(
        self, client: FlaskClient, engine: Engine
    ) -> None:
        first = client.get("/api/events?limit=4").json
        make_event(engine, title="New", starts_at=NOW + timedelta(hours=1))
        rest = client.get("/api/events", query_string={"limit": 100, "cursor": first["next_cursor"]}).json
        assert len({item["id"] for item in first["items"] + rest["items"]}) == 9

    @pytest.mark.usefixtures("events")
    def test_a_cursor_belongs_to_its_order(self, client: FlaskClient) -> None:
        cursor = client.get("/api/events?limit=1").json["next_cursor"]
        for query in ({"sort": "title"}, {"order": "desc"}, {"offset": 1}):
            answer = client.get("/api/events", query_string={"cursor": cursor, **query})
            assert answer.status_code == 422

    @pytest.mark.usefixtures("events")
    def test_a_list_that_did_not_change_is_304(self, client: FlaskClient, engine: Engine) -> None:
        etag = client.get("/api/events?limit=3").headers["ETag"]
        headers = {"If-None-Match": etag}
        assert client.get("/api/events?limit=3", headers=headers).status_code == 304
        assert client.get("/api/events?limit=4", headers=headers).status_code == 200
        make_event(engine, starts_at=NOW + timedelta(hours=1))
        assert client.get("/api/events?limit=3", headers=headers).status_code == 200

    @pytest.mark.usefixtures("events")
    def test_counts_no_further_than_it_is_worth(self, client: FlaskClient, monkeypatch: Any) -> None:
        monkeypatch.setattr("shared.store.paging.TOTAL_MAX", 8)
        page = client.get("/api/events?limit=1&with_total=true").json
        assert (page["total"], page["total_is_exact"]) == (8, False)
        monkeypatch.setattr("shared.store.paging.TOTAL_MAX", 9)
        page = client.get("/api/events?limit=1&with_total=true").json
        assert (page["total"], page["total_is_exact"]) == (9, True)


class TestArchived:
    """A hint for indexes, which never hides what is coming."""

    def test_a_draft_of_the_past_that_gets_a_new_date_is_listed(
        self, app: Flask, client: FlaskClient, engine: Engine
    ) -> None:
        host = make_user(engine, role="host")
        event = make_event(
            engine, title="Late draft", host=host, status="draft", starts_at=NOW - 9 * DAY, archived=True
        )
        changes = {"status": "scheduled", "starts_at": rfc3339(NOW + DAY)}
        answer = client.patch(f"/api/events/{event.id}", json=changes, headers=auth_header(app, host))
        assert answer.status_code == 200, answer.text
        assert titles(client) == titles(client, "sort=popularity") == ["Late draft"]

    def test_lists_that_look_back_show_it(self, client: FlaskClient, engine: Engine) -> None:
        make_event(engine, title="Past", starts_at=NOW - 9 * DAY, archived=True)
        assert titles(client) == []
        assert titles(client, "status=completed") == ["Past"]
        assert titles(client, f"starts_from={rfc3339(NOW - 10 * DAY)}") == ["Past"]


class TestSlots:
    def test_of_what_is_on_sale_or_will_be(self, client: FlaskClient, engine: Engine) -> None:
        later = make_event(engine, starts_at=NOW + 2 * DAY, capacity=10, booked=4)
        soon = make_event(engine, starts_at=NOW + DAY, capacity=3, booked=3)
        make_event(engine, starts_at=NOW + DAY, status="draft")
        make_event(engine, starts_at=NOW + DAY, status="cancelled")
        make_event(engine, starts_at=NOW + DAY, sales_close_at=NOW - DAY)
        answer = client.get("/api/events/slots?with_total=true")
        assert answer.json["items"] == [{"event_id": soon.id, "slots": 0}, {"event_id": later.id, "slots": 6}]
        assert answer.json["total"] == 2
        first = client.get("/api/events/slots?limit=1")
        assert "Link" in first.headers
        next_page = client.get("/api/events/slots", query_string={"cursor": first.json["next_cursor"]})
        assert next_page.json["items"] == [{"event_id": later.id, "slots": 6}]

    @pytest.mark.parametrize("path", ["/api/events/slots/{}", "/api/events/{}/slots"])
    def test_of_one_event(self, client: FlaskClient, engine: Engine, path: str) -> None:
        event = make_event(engine, capacity=10, booked=4)
        assert client.get(path.format(event.id)).json == {"event_id": event.id, "slots": 6}
        assert client.get(path.format(10**9)).status_code == 404
