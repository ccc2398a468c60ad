"""Interest in an event: before its sale, once a person, seen by whoever manages the event."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text, update

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Event, Interest, User
from shared.store.interests import list_interested, list_interests
from shared.store.paging import PageRequest
from tests.event_calls import problem_of
from tests.factories import auth_header, make_event, make_organization, make_user, make_users
from tests.plans import indexes_of

TOMORROW = utc_now() + timedelta(days=1)
YESTERDAY = utc_now() - timedelta(days=1)
ROWS = 20_000


@pytest.fixture
def host(engine) -> User:
    return make_user(engine, role="host")


@pytest.fixture
def ada(engine) -> User:
    return make_user(engine, name="Ada")


@pytest.fixture
def as_ada(app, ada) -> dict[str, str]:
    return auth_header(app, ada)


@pytest.fixture
def as_host(app, host) -> dict[str, str]:
    return auth_header(app, host)


@pytest.fixture
def event(engine, host) -> Event:
    return make_event(engine, host=host, title="Soon", sales_open_at=TOMORROW)


def path(event: Event) -> str:
    return f"/api/events/{event.id}/interest"


def count(engine: Engine) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(Interest)) or 0


class TestAsk:
    def test_is_one_interest_however_often(self, client, engine, event, as_ada):
        first = client.post(path(event), headers=as_ada)
        assert first.status_code == 200
        assert first.headers["Cache-Control"] == "no-store"
        assert first.json["event"] == {
            "id": event.id,
            "title": "Soon",
            "venue": "Hall",
            "starts_at": first.json["event"]["starts_at"],
            "sales_open_at": first.json["event"]["sales_open_at"],
            "status": "scheduled",
            "sales": "not_open",
        }
        assert client.post(path(event), json={}, headers=as_ada).json == first.json
        assert count(engine) == 1

    def test_needs_somebody(self, client, engine, event):
        assert problem_of(client.post(path(event))) == (401, "unauthenticated")
        assert problem_of(client.post(path(event), json={"x": 1})) == (401, "unauthenticated")
        assert count(engine) == 0

    def test_takes_no_body(self, client, engine, event, as_ada):
        assert problem_of(client.post(path(event), json={"x": 1}, headers=as_ada)) == (
            422,
            "validation_failed",
        )
        assert count(engine) == 0

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({}, "sales_open"),
            ({"sales_open_at": YESTERDAY}, "sales_open"),
            ({"capacity": 5, "booked": 5}, "sales_open"),  # the waitlist is for that
            ({"sales_close_at": YESTERDAY}, "sales_closed"),
            ({"starts_at": YESTERDAY}, "sales_closed"),
            ({"sales_open_at": TOMORROW, "status": "cancelled"}, "event_cancelled"),
        ],
    )
    def test_too_late_is_said_so(self, client, engine, as_ada, fields, code):
        answer = client.post(path(make_event(engine, **fields)), headers=as_ada)
        assert problem_of(answer) == (409, code)
        assert count(engine) == 0

    def test_a_paused_sale_is_to_open_again(self, client, engine, as_ada):
        paused = make_event(engine, sales_paused=True)
        assert client.post(path(paused), headers=as_ada).json["event"]["sales"] == "paused"

    def test_an_event_that_one_cannot_see_is_not_there(self, client, engine, as_ada):
        hidden = make_event(engine, sales_open_at=TOMORROW, deleted_at=utc_now())
        draft = make_event(engine, status="draft", sales_open_at=TOMORROW)
        for unseen in (hidden.id, draft.id, 999_999, 2**63):
            for method in ("post", "delete"):
                answer = getattr(client, method)(f"/api/events/{unseen}/interest", headers=as_ada)
                assert problem_of(answer) == (404, "event_not_found")
        assert count(engine) == 0

    def test_whoever_manages_a_draft_may_ask_too(self, client, engine, host, as_host):
        draft = make_event(engine, host=host, status="draft")
        assert client.post(path(draft), headers=as_host).status_code == 200


class TestTakeBack:
    def test_is_safe_to_repeat(self, client, engine, event, as_ada):
        client.post(path(event), headers=as_ada)
        for _ in range(2):
            answer = client.delete(path(event), headers=as_ada)
            assert (answer.status_code, answer.data) == (204, b"")
        assert count(engine) == 0

    def test_is_possible_whatever_became_of_the_event(self, client, engine, event, as_ada):
        client.post(path(event), headers=as_ada)
        with transaction(engine) as session:
            session.execute(update(Event).values(status="draft"))
        assert client.delete(path(event), headers=as_ada).status_code == 204
        assert problem_of(client.delete(path(event), headers=as_ada)) == (404, "event_not_found")

    def test_is_ones_own(self, client, engine, event, as_ada, as_host):
        client.post(path(event), headers=as_ada)
        client.delete(path(event), headers=as_host)
        assert count(engine) == 1


class TestMine:
    def test_lists_the_last_first_page_by_page(self, app, client, engine, ada, as_ada, as_host):
        events = [make_event(engine, title=f"E{n}", sales_open_at=TOMORROW) for n in range(3)]
        for event in events:
            client.post(path(event), headers=as_ada)
        client.post(path(events[0]), headers=as_host)
        titles, url = [], "/api/interests?limit=2&with_total=true"
        while url:
            answer = client.get(url, headers=as_ada)
            assert answer.json["total"] == 3
            titles += [item["event"]["title"] for item in answer.json["items"]]
            url = answer.headers["Link"].split(">")[0][1:] if "Link" in answer.headers else None
        assert titles == ["E2", "E1", "E0"]
        assert client.get("/api/interests", headers=as_host).json["items"][0]["event"]["title"] == "E0"
        assert problem_of(client.get("/api/interests")) == (401, "unauthenticated")

    def test_shows_the_event_as_it_is_now(self, client, engine, event, as_ada):
        client.post(path(event), headers=as_ada)
        with transaction(engine) as session:
            session.execute(update(Event).values(sales_open_at=None, title="Now"))
        (item,) = client.get("/api/interests", headers=as_ada).json["items"]
        assert (item["event"]["title"], item["event"]["sales"]) == ("Now", "open")

    @pytest.mark.parametrize("fields", [{"deleted_at": func.now()}, {"status": "draft"}])
    def test_what_one_may_not_see_any_more_is_not_in_it(self, client, engine, event, as_ada, fields):
        client.post(path(event), headers=as_ada)
        with transaction(engine) as session:
            session.execute(update(Event).values(**fields))
        assert client.get("/api/interests", headers=as_ada).json["items"] == []


class TestInterested:
    def test_counts_and_lists_for_whoever_manages_the_event(self, app, client, engine, host, ada, as_ada):
        member = make_user(engine)
        organization = make_organization(engine, members=[member])
        event = make_event(engine, host=host, organization_id=organization.id, sales_open_at=TOMORROW)
        client.post(path(event), headers=as_ada)
        for user in make_users(engine, 2):
            client.post(path(event), headers=auth_header(app, user))
        for manager in (host, member, make_user(engine, role="admin")):
            answer = client.get(f"{path(event)}?limit=2", headers=auth_header(app, manager))
            assert answer.status_code == 200
            assert answer.json["interested_count"] == 3
            assert "total" not in answer.json
            assert answer.json["items"][0]["user"] == {"id": ada.id, "name": "Ada"}
            assert len(answer.json["items"]) == 2
            assert "@" not in answer.text

    def test_is_nobody_elses_business(self, app, client, engine, event, as_ada):
        assert problem_of(client.get(path(event))) == (401, "unauthenticated")
        assert problem_of(client.get(path(event), headers=as_ada)) == (403, "forbidden")
        draft = make_event(engine, status="draft")
        assert problem_of(client.get(path(draft), headers=as_ada)) == (404, "event_not_found")


class TestPlans:
    def test_pages_read_what_they_show(self, engine, host):
        """An event that many are interested in, and somebody who is interested in many."""
        fan = make_user(engine)
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into users (name, email, role)"
                    " select 'p', 'p' || n || '@x', 'attendee' from generate_series(1, :rows) n;"
                    "insert into events (host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity, status)"
                    " select :host, 'e', 'UTC', t, t, t, 1, 'scheduled' from (select now() + n * interval '1 minute' as t"
                    " from generate_series(1, :rows) n) times;"
                    "insert into interests (event_id, user_id)"
                    " select (select min(id) from events), id from users union select id, :fan from events"
                ),
                {"rows": ROWS, "host": host.id, "fan": fan.id},
            )
            for table in ("users", "events", "interests"):
                session.execute(text(f"analyze {table}"))
            event_id = session.scalar(select(func.min(Event.id)))
        asked = PageRequest(sort="created_at")
        found = indexes_of(engine, lambda s: list_interested(s, event_id=event_id, page=asked))
        assert found == {"interests_event_idx", "users_pkey"}
        found = indexes_of(engine, lambda s: list_interests(s, user_id=fan.id, page=asked))
        assert {"interests_user_idx", "events_pkey"} < found
        assert not found & {"seq scan of interests", "seq scan of events", "seq scan of users"}
