"""All of one's own data as one file: everything that is there, and nothing of anybody else."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, text, update

from api import streaming
from api.routes.account_export import _LISTS, Reader
from shared.clock import utc_now
from shared.db import transaction
from shared.ids import uuid7
from shared.models import Event, Notification, Offer, User, WaitlistEntry
from shared.store.paging import Page, PageRequest, Position
from tests.account_calls import bearer, log_in
from tests.event_calls import add_booking, problem_of
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user
from tests.plans import indexes_of

EXPORT = "/api/auth/export"
LISTS = {
    *("undecided_requests", "requests", "bookings", "waitlist", "organizations", "events", "interests"),
    *("following", "notifications", "log_ins", "audit_log"),
}


@pytest.fixture
def ada(engine) -> User:
    return make_user(engine, role="host", name="Ada", email="ada@example.org", password=PASSWORD)


@pytest.fixture
def as_ada(app, ada) -> dict[str, str]:
    return auth_header(app, ada)


def wait_in_list(engine, event: Event, user: User) -> None:
    """An entry and its offer as workers leave them."""
    with transaction(engine) as session:
        entry, now = uuid7(), utc_now()
        session.add(
            WaitlistEntry(
                id=entry,
                event_id=event.id,
                user_id=user.id,
                job_id=uuid7(),
                number=2,
                tickets=2,
                status="offered",
                created_at=now,
            )
        )
        session.flush()
        session.add(
            Offer(
                id=uuid7(),
                entry_id=entry,
                event_id=event.id,
                user_id=user.id,
                tickets=2,
                status="open",
                expires_at=now,
                created_at=now,
            )
        )


class TestExport:
    def test_of_a_new_account_has_nothing_but_the_account(self, client, ada, as_ada):
        answer = client.get(EXPORT, headers=as_ada)
        assert answer.status_code == 200
        assert answer.content_type == "application/json"
        assert (
            answer.headers["Content-Disposition"] == f'attachment; filename="guichet-account-{ada.id}.json"'
        )
        assert answer.headers["Cache-Control"] == "no-store"
        profile = client.get("/api/auth/profile", headers=as_ada).json
        assert answer.json["profile"] == profile
        assert {name: value for name, value in answer.json.items() if isinstance(value, list)} == {
            name: [] for name in LISTS
        }

    def test_has_everything_there_is_about_one(self, client, engine, driver, ada):
        mine = bearer(log_in(client, email=ada.email).json)
        other = make_user(engine, role="host")
        event, coming = make_event(engine), make_event(engine, sales_open_at=utc_now() + timedelta(1))
        client.post(f"/api/bookings/{event.id}/book", json={"tickets": 2}, headers=mine)
        driver.decide_all()
        client.post(f"/api/bookings/{make_event(engine).id}/book", json={}, headers=mine)
        make_organization(engine, name="Cello", members=[ada], owners=[other])
        hosted = make_event(engine, host=ada, status="draft", title="My draft")
        client.patch(f"/api/events/{hosted.id}", json={"title": "Mine"}, headers=mine)
        assert client.post(f"/api/events/{coming.id}/interest", headers=mine).status_code == 200
        assert client.post(f"/api/hosts/{other.id}/follow", headers=mine).status_code == 200
        wait_in_list(engine, coming, ada)
        with transaction(engine) as session:
            for user in (ada, other):
                session.add(
                    Notification(id=uuid7(), user_id=user.id, kind="sales_open", cause="c", event_id=event.id)
                )
        found = client.get(EXPORT, headers=mine).json
        assert [row["event_id"] for row in found["undecided_requests"]] != []
        (request,) = found["requests"]
        assert (request["kind"], request["outcome"], request["event_id"]) == ("book", "confirmed", event.id)
        (booking,) = found["bookings"]
        assert (booking["tickets"], booking["id"]) == (2, request["booking_id"])
        (entry,) = found["waitlist"]
        assert (entry["event_id"], entry["offer"]["status"]) == (coming.id, "open")
        assert [row["organization_name"] for row in found["organizations"]] == ["Cello"]
        assert [row["title"] for row in found["events"]] == ["Mine"]
        assert [row["event_id"] for row in found["interests"]] == [coming.id]
        assert [row["host"]["id"] for row in found["following"]] == [other.id]
        assert [row["kind"] for row in found["notifications"]] == ["sales_open"]
        assert [row["open"] for row in found["log_ins"]] == [True]
        assert [row["action"] for row in found["audit_log"]] == ["event.create", "event.change"]
        assert {row["actor"]["id"] for row in found["audit_log"]} == {ada.id}

    def test_has_nothing_of_others_and_no_secret(self, app, client, engine, ada, as_ada):
        other = make_user(engine, role="host", email="other@example.org")
        theirs = make_event(engine, host=other)
        add_booking(engine, theirs.id, other)
        wait_in_list(engine, theirs, other)
        tokens = log_in(client, email=ada.email).json
        client.post(f"/api/hosts/{ada.id}/follow", headers=auth_header(app, other))
        answer = client.get(EXPORT, headers=as_ada)
        assert {name for name in LISTS if answer.json[name]} == {"log_ins"}
        assert "other@example.org" not in answer.text
        for secret in ("password", "argon2", tokens["refresh_token"]):
            assert secret not in answer.text

    def test_of_many_pages_has_each_once(self, client, engine, ada, as_ada, monkeypatch):
        monkeypatch.setattr(streaming, "ROWS", 2)
        made = [str(add_booking(engine, make_event(engine).id, ada).id) for _ in range(5)]
        for _ in range(3):
            log_in(client, email=ada.email)
        for number in range(4):
            with transaction(engine) as session:
                session.add(
                    Notification(
                        id=uuid7(),
                        user_id=ada.id,
                        kind="sales_open",
                        cause=str(number),
                        event_id=make_event(engine).id,
                        read_at=utc_now() if number % 2 else None,
                    )
                )
        hosted = [make_event(engine, host=ada).id for _ in range(3)]
        found = client.get(EXPORT, headers=as_ada).json
        assert [row["id"] for row in found["bookings"]] == made
        assert {row["id"] for row in found["events"]} == set(hosted)
        assert len(found["events"]) == 3
        assert len(found["log_ins"]) == 3
        assert len({row["id"] for row in found["notifications"]}) == len(found["notifications"]) == 4

    def test_is_made_of_pieces(self, app, client, engine, ada, as_ada, monkeypatch):
        """No piece is more than a page, and between two of them no connection is kept."""
        monkeypatch.setattr(streaming, "ROWS", 1)
        for _ in range(3):
            add_booking(engine, make_event(engine).id, ada)
        pool = app.extensions["guichet"].engine.pool
        pieces = []
        for piece in client.get(EXPORT, headers=as_ada).iter_encoded():
            assert pool.checkedout() == 0
            pieces.append(piece)
        assert len(json.loads(b"".join(pieces))["bookings"]) == 3
        assert max(piece.count(b'"reference"') for piece in pieces) == 1

    def test_says_when_nobody_knows_what_stands_in_the_line(self, make_app, settings, engine, ada):
        app = make_app(replace(settings, redis_url="redis://127.0.0.1:1/0"))
        answer = app.test_client().get(EXPORT, headers=auth_header(app, ada))
        assert problem_of(answer) == (503, "line_unavailable")
        assert "Content-Disposition" not in answer.headers


class TestWho:
    def test_is_for_whoever_is_signed_in(self, app, client, engine, ada, as_ada):
        assert problem_of(client.get(EXPORT)) == (401, "unauthenticated")
        with transaction(engine) as session:
            session.execute(update(User).where(User.id == ada.id).values(deleted_at=func.now()))
        assert problem_of(client.get(EXPORT, headers=as_ada)) == (401, "unauthenticated")


FILL = """
set local session_replication_role = replica;
insert into users (name, email, role) select 'p', n || '@x', 'host' from generate_series(1, 10000) n;
insert into events (host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity, status)
    select case when id % 5 = 0 then :ada else id end, 'e', 'UTC', t, t, t, 1, 'scheduled'
    from (select id, now() + id * interval '1 minute' as t from users) later;
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
    created_at) select md5('b' || id)::uuid, id::text, id, host_id, md5('j' || id)::uuid, 1, 'confirmed', 0, 'EUR', 1,
    now() from events;
insert into decisions (job_id, event_id, number, kind, user_id, outcome, available_after, facts, accepted_at,
    decided_at, hash) select job_id, event_id, 2, 'book', user_id, 'confirmed', 0, '{}', now(), now(), '' from bookings;
insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at)
    select id, event_id, user_id, job_id, 1, 1, 'offered', now() from bookings;
insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)
    select id, id, event_id, user_id, 1, 'open', now(), now() from waitlist_entries;
insert into interests (event_id, user_id) select event_id, user_id from bookings;
insert into follows (host_id, user_id) select id, :ada from users where id <> :ada;
insert into notifications (id, user_id, kind, cause, event_id) select id, user_id, 'sales_open', id::text, event_id
    from bookings;
insert into audit_log (id, actor_id, action, target_type, target_id) select id, user_id, 'x', 'y', 'z' from bookings;
"""
FILLED = (
    *("users", "events", "bookings", "decisions", "waitlist_entries", "offers", "interests", "follows"),
    *("notifications", "audit_log"),
)


class TestPlans:
    def test_every_page_of_every_list_reads_what_it_shows(self, engine, ada):
        with transaction(engine) as session:
            session.execute(text(FILL), {"ada": ada.id})
            for table in FILLED:
                session.execute(text(f"analyze {table}"))
        whole = {f"seq scan of {table}" for table in FILLED}
        for name, (read, _) in _LISTS.items():
            first = PageRequest(sort="", limit=100)
            found, after = plan_of(engine, read, ada, first)
            assert (name, found & whole) == (name, set())
            if after is not None:
                found, _ = plan_of(engine, read, ada, replace(first, after=after))
                assert (name, found & whole) == (name, set())


def plan_of(engine: Engine, read: Reader, user: User, asked: PageRequest) -> tuple[set[str], Position | None]:
    """What the page is read by, and where the next one starts."""
    pages: list[Page] = []
    found = indexes_of(engine, lambda session: pages.append(read(session, user.id, asked)))
    return found, pages[0].next
