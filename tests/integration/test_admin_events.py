"""Every event there is, for admins: drafts of everybody, what is over, and what was deleted."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Event
from shared.store.events import ADMIN_COLUMNS, EventFilters, list_events
from shared.store.paging import PageRequest
from tests.event_calls import EVENT_FIELDS, pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user
from tests.plans import indexes_of

DAY = timedelta(days=1)
ROWS = 20_000


@pytest.fixture
def titles(client, as_admin):
    def ask(query: str = "") -> list[str]:
        answer = client.get(f"/api/admin/events?{query}", headers=as_admin)
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json["items"]]

    return ask


@pytest.fixture
def events(engine, host) -> None:
    now = utc_now()
    make_event(engine, title="Coming", host=host, category="art")
    make_event(engine, title="Draft", status="draft")
    make_event(engine, title="Old draft", status="draft", starts_at=now - 9 * DAY)
    make_event(engine, title="Called off", status="cancelled")
    make_event(engine, title="Over", starts_at=now - 5 * DAY)
    make_event(engine, title="Deleted", deleted_at=now, host=host)
    make_event(engine, title="Deleted draft", status="draft", deleted_at=now, starts_at=now - DAY)


class TestWho:
    def test_is_for_admins(self, client, as_admin, as_host, as_attendee):
        path = "/api/admin/events"
        assert problem_of(client.get(path)) == (401, "unauthenticated")
        for headers in (as_host, as_attendee):
            assert problem_of(client.get(path, headers=headers)) == (403, "forbidden")
        assert client.get(path, headers=as_admin).headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("events")
class TestList:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["Over", "Called off", "Old draft", "Draft", "Coming"]),
            ("hidden=false", ["Over", "Called off", "Old draft", "Draft", "Coming"]),
            ("hidden=true", ["Deleted draft", "Deleted"]),
            ("hidden=true&status=draft", ["Deleted draft"]),
            ("hidden=true&search=deleted&sort=title", ["Deleted", "Deleted draft"]),
            ("status=draft", ["Old draft", "Draft"]),
            ("status=completed", ["Over"]),
            ("status=scheduled", ["Coming"]),
            ("status=cancelled", ["Called off"]),
            ("search=draft", ["Old draft", "Draft"]),
            ("category=art", ["Coming"]),
            ("available_only=true", ["Coming"]),
            ("sort=starts_at&limit=2", ["Old draft", "Over"]),
            ("sort=title&order=desc&limit=1", ["Over"]),
        ],
    )
    def test_shows_what_the_filters_say_and_all_without(self, titles, query, expected):
        assert titles(query) == expected

    def test_of_a_host_or_an_organization(self, engine, host, titles):
        organization = make_organization(engine, owners=[host])
        with transaction(engine) as session:
            session.execute(
                update(Event).where(Event.title == "Over").values(organization_id=organization.id)
            )
        assert titles(f"host_id={host.id}") == ["Coming"]
        assert titles(f"host_id={host.id}&hidden=true") == ["Deleted"]
        assert titles(f"organization_id={organization.id}") == ["Over"]

    def test_goes_on_page_by_page(self, client, as_admin):
        found, url = [], "/api/admin/events?limit=2&with_total=true"
        while url:
            answer = client.get(url, headers=as_admin)
            assert answer.json["total"] == 5
            found += [item["title"] for item in answer.json["items"]]
            url = answer.headers["Link"].split(">")[0][1:] if "Link" in answer.headers else None
        assert found == ["Over", "Called off", "Old draft", "Draft", "Coming"]

    @pytest.mark.parametrize(
        ("query", "pointer"), [("hidden=maybe", "?hidden"), ("deleted=true", "?deleted"), ("sort=x", "?sort")]
    )
    def test_refuses_what_it_does_not_know(self, client, as_admin, query, pointer):
        assert pointers(client.get(f"/api/admin/events?{query}", headers=as_admin)) == [pointer]

    def test_the_public_list_knows_nothing_of_it(self, client):
        assert pointers(client.get("/api/events?hidden=true")) == ["?hidden"]


class TestDocument:
    def test_has_what_only_admins_see(self, client, engine, as_admin):
        deleted_at = utc_now()
        make_event(
            engine, capacity=9, offered=4, waiting=[2, 0, 1, 0, 0, 0, 0, 0, 0, 0], deleted_at=deleted_at
        )
        (item,) = client.get("/api/admin/events?hidden=true", headers=as_admin).json["items"]
        assert set(item) == EVENT_FIELDS | {"offered", "waiting", "deleted_at"}
        assert (item["offered"], item["waiting"]) == (4, 3)
        assert item["deleted_at"] == f"{deleted_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        make_event(engine)
        (item,) = client.get("/api/admin/events", headers=as_admin).json["items"]
        assert (item["offered"], item["waiting"], item["deleted_at"]) == (0, 0, None)

    def test_a_host_that_deletes_an_event_is_seen(self, app, client, engine, host, as_host, titles):
        event = make_event(engine, host=host, title="Mistake")
        assert client.delete(f"/api/events/{event.id}", headers=as_host).status_code == 204
        assert titles() == []
        assert titles("hidden=true") == ["Mistake"]
        assert client.get(f"/api/events/{event.id}", headers=auth_header(app, host)).status_code == 404
        assert client.get("/api/admin/events", headers=auth_header(app, make_user(engine))).status_code == 403


class TestPlans:
    @pytest.mark.parametrize(
        ("sort", "hidden", "index"),
        [
            ("created_at", False, "events_created_idx"),
            ("starts_at", False, "events_upcoming_idx"),
            ("title", False, "events_title_idx"),
            ("popularity", False, "events_popularity_idx"),
            ("price", False, "events_price_idx"),
            ("created_at", True, "events_hidden_idx"),
        ],
    )
    def test_a_page_reads_what_it_shows(self, engine, host, sort, hidden, index):
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into events (host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity,"
                    " status, created_at, price_minor, impressions, deleted_at)"
                    " select :host, 'e' || n, 'UTC', t, t, t, 1, 'scheduled', t, n, n,"
                    " case when n % 40 = 0 then now() end from (select n, now() + n * interval '1 minute' as t"
                    " from generate_series(1, :rows) n) later"
                ),
                {"rows": ROWS, "host": host.id},
            )
            session.execute(text("analyze events"))
        filters = EventFilters(viewer_is_admin=True, of_every_time=True, hidden=hidden)
        page = PageRequest(sort=sort, descending=True)
        found = indexes_of(engine, lambda s: list_events(s, filters, page, columns=ADMIN_COLUMNS))
        assert index in found
        assert "seq scan of events" not in found
