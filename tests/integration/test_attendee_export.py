"""An event's bookings as a file: whole, for who may see them, and nobody waits for it."""

import csv
import io
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from api import streaming
from api.schemas.event_bookings import ATTENDEE_COLUMNS
from shared.db import transaction
from shared.models import Event
from shared.store.event_bookings import list_attendees
from shared.store.paging import PageRequest
from tests.event_calls import add_booking, pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user, make_users
from tests.plans import indexes_of

ROWS = 20_000


@pytest.fixture
def event(engine, host) -> Event:
    return make_event(engine, host=host)


def path(event: Event) -> str:
    return f"/api/events/{event.id}/bookings.csv"


@pytest.fixture
def lines(client: FlaskClient, as_host: dict[str, str]) -> Callable[..., list[dict[str, str]]]:
    def ask(event: Event, query: str = "") -> list[dict[str, str]]:
        answer = client.get(f"{path(event)}?{query}", headers=as_host)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))

    return ask


class TestFile:
    def test_has_who_comes_oldest_first(self, client, engine, event, as_host):
        ada = make_user(engine, name='Ada "Countess" Lovelace', email="ada@example.org")
        first = add_booking(engine, event.id, ada, tickets=3)
        second = add_booking(engine, event.id, make_user(engine), status="cancelled")
        add_booking(engine, make_event(engine).id, ada)
        answer = client.get(path(event), headers=as_host)
        assert answer.status_code == 200
        assert answer.content_type == "text/csv; charset=utf-8; header=present"
        assert (
            answer.headers["Content-Disposition"] == f'attachment; filename="event-{event.id}-bookings.csv"'
        )
        assert answer.headers["Cache-Control"] == "no-store"
        rows = list(csv.reader(io.StringIO(answer.text, newline="")))
        assert rows[0] == list(ATTENDEE_COLUMNS)
        api = client.get(f"/api/events/{event.id}/bookings", headers=as_host).json["items"]
        assert rows[1] == [
            *(first.reference, 'Ada "Countess" Lovelace', "ada@example.org", "3", "confirmed", "0", "EUR"),
            *(api[0]["created_at"], ""),
        ]
        assert (rows[2][0], rows[2][4], rows[2][8]) == (
            second.reference,
            "cancelled",
            api[1]["cancelled_at"],
        )
        assert len(rows) == 3

    def test_has_the_status_asked_for(self, engine, event, lines, client, as_host):
        for status in ("confirmed", "cancelled", "confirmed"):
            add_booking(engine, event.id, make_user(engine), status=status)
        assert [line["status"] for line in lines(event)] == ["confirmed", "cancelled", "confirmed"]
        assert len(lines(event, "status=confirmed")) == 2
        assert len(lines(event, "status=cancelled")) == 1
        for query, pointer in (("status=held", "?status"), ("limit=5", "?limit")):
            assert pointers(client.get(f"{path(event)}?{query}", headers=as_host)) == [pointer]

    def test_of_an_event_without_bookings_has_only_the_names(self, client, event, as_host):
        assert client.get(path(event), headers=as_host).text == ",".join(ATTENDEE_COLUMNS) + "\r\n"

    def test_is_no_program(self, engine, event, lines):
        mallory = make_user(engine, name='=HYPERLINK("http://evil.example","Prize")', email="+1@example.org")
        add_booking(engine, event.id, mallory)
        (line,) = lines(event)
        assert line["name"] == '\'=HYPERLINK("http://evil.example","Prize")'
        assert line["email"] == "'+1@example.org"

    def test_of_many_pages_has_each_once(self, engine, event, lines, monkeypatch):
        monkeypatch.setattr(streaming, "ROWS", 2)
        monkeypatch.setattr("api.routes.event_bookings.ROWS", 2)
        made = [add_booking(engine, event.id, user).reference for user in make_users(engine, 7)]
        assert [line["reference"] for line in lines(event)] == made

    def test_head_has_no_body(self, client, event, as_host):
        answer = client.head(path(event), headers=as_host)
        assert (answer.status_code, answer.data) == (200, b"")


class TestWho:
    def test_is_for_whoever_manages_the_event(self, app, client, engine, host):
        member = make_user(engine)
        organization = make_organization(engine, members=[member])
        event = make_event(engine, host=host, organization_id=organization.id)
        add_booking(engine, event.id, make_user(engine, email="secret@example.org"))
        for manager in (host, member, make_user(engine, role="admin")):
            answer = client.get(path(event), headers=auth_header(app, manager))
            assert answer.status_code == 200
            assert "secret@example.org" in answer.text

    def test_is_nobody_elses(self, app: Flask, client: FlaskClient, engine: Engine, event: Event) -> None:
        guest = make_user(engine)
        add_booking(engine, event.id, guest)
        assert problem_of(client.get(path(event))) == (401, "unauthenticated")
        for user in (guest, make_user(engine, role="host")):
            assert problem_of(client.get(path(event), headers=auth_header(app, user))) == (403, "forbidden")
        draft = make_event(engine, status="draft")
        for unseen in (path(draft), "/api/events/999999/bookings.csv"):
            answer = client.get(unseen, headers=auth_header(app, guest))
            assert problem_of(answer) == (404, "event_not_found")


class TestManners:
    def test_between_two_pages_the_database_is_left_alone(
        self, app, client, engine, event, as_host, monkeypatch
    ):
        """A client that reads slowly keeps neither a transaction nor a connection."""
        monkeypatch.setattr(streaming, "ROWS", 1)
        monkeypatch.setattr("api.routes.event_bookings.ROWS", 1)
        for user in make_users(engine, 3):
            add_booking(engine, event.id, user)
        pool = app.extensions["guichet"].engine.pool
        answer = client.get(path(event), headers=as_host)
        seen = [(pool.checkedout(), chunk) for chunk in answer.iter_encoded()]
        assert [out for out, _ in seen] == [0] * 4  # the names, and a page each
        assert all(chunk.count(b"\r\n") == 1 for _, chunk in seen)

    def test_what_fails_before_the_first_line_is_a_problem(self, client, event, as_host, monkeypatch):
        def fail(*_arguments: object, **_options: object) -> None:
            raise RuntimeError

        monkeypatch.setattr("api.routes.event_bookings.list_attendees", fail)
        assert problem_of(client.get(path(event), headers=as_host)) == (500, "internal_error")

    def test_a_page_reads_what_it_shows(self, engine, event):
        with transaction(engine) as session:
            session.execute(
                text(
                    "set local session_replication_role = replica;"
                    "insert into users (name, email, role)"
                    " select 'p', 'p' || n || '@x', 'attendee' from generate_series(1, :rows) n;"
                    "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,"
                    " currency, arrival, created_at) select md5('b' || id)::uuid, id::text, :event_id, id,"
                    " md5('j' || id)::uuid, 1, 'confirmed', 0, 'EUR', id, now() from users"
                ),
                {"rows": ROWS, "event_id": event.id},
            )
            session.execute(text("analyze users"))
            session.execute(text("analyze bookings"))
        page = PageRequest(sort="", limit=streaming.ROWS)
        for status in (None, "confirmed"):
            found = indexes_of(
                engine,
                lambda s, status=status: list_attendees(s, event_id=event.id, status=status, page=page),
            )
            assert found == {"bookings_event_idx", "users_pkey"}
