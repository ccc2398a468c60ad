"""The audit log over HTTP: who, what, why, when, by which request; newest first, filtered, never walked whole."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from shared.db import transaction
from shared.ids import first_uuid7, uuid7
from shared.models import User
from shared.services import audit_log
from shared.store.audit_log import AuditLogFilter, list_audit_log
from shared.store.paging import PageRequest
from tests.factories import auth_header, make_user

URL = "/api/admin/audit-log"
T0 = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def admin(engine: Engine) -> User:
    return make_user(engine, role="admin", name="Ada")


@pytest.fixture
def entries(engine: Engine, admin: User) -> list[str]:
    """Four entries, an hour apart from 2020 on, with their ids."""
    ids = []
    with transaction(engine) as session:
        for hour, values in enumerate(
            (
                {"actor_id": admin.id, "action": "event.change", "target_type": "event", "target_id": "7"},
                {"actor_id": None, "action": "user.make_admin", "target_type": "user", "target_id": "7"},
                {
                    "actor_id": admin.id,
                    "action": "line.pause",
                    "target_type": "line",
                    "target_id": "bookings",
                },
                {"actor_id": admin.id, "action": "event.change", "target_type": "event", "target_id": "8"},
            )
        ):
            at = T0 + timedelta(hours=hour)
            row_id = uuid.UUID(int=first_uuid7(int(at.timestamp() * 1000)).int + 1)
            ids.append(str(row_id))
            session.execute(
                text(
                    "insert into audit_log (id, actor_id, action, target_type, target_id, reason, changes, request_id, at)"
                    " values (:id, :actor_id, :action, :target_type, :target_id, 'because', '{\"a\": 1}', :request, :at)"
                ),
                {**values, "id": row_id, "request": f"request-{hour}", "at": at},
            )
    return ids


def read(client: FlaskClient, app: Flask, user: User, **query: Any) -> Any:
    response = client.get(URL, query_string=query, headers=auth_header(app, user))
    assert response.status_code == 200, response.text
    return response.get_json()


def ids(document: Any) -> list[str]:
    return [item["id"] for item in document["items"]]


class TestReading:
    def test_shows_who_did_what_and_why(
        self, client: FlaskClient, app: Flask, admin: User, entries: list[str]
    ) -> None:
        newest, *_, oldest = read(client, app, admin)["items"]
        assert newest == {
            "id": entries[3],
            "actor": {"id": admin.id, "name": "Ada"},
            "action": "event.change",
            "target_type": "event",
            "target_id": "8",
            "reason": "because",
            "changes": {"a": 1},
            "job_id": None,
            "request_id": "request-3",
            "at": "2020-01-01T03:00:00.000000Z",
        }
        assert oldest["id"] == entries[0]

    def test_a_command_on_the_server_has_no_actor(
        self, client: FlaskClient, app: Flask, admin: User, entries: list[str]
    ) -> None:
        (item,) = read(client, app, admin, action="user.make_admin")["items"]
        assert item["actor"] is None

    def test_pages_by_cursor_without_missing_what_is_new(
        self, client: FlaskClient, app: Flask, admin: User, entries: list[str], engine: Engine
    ) -> None:
        first = read(client, app, admin, limit=3)
        with transaction(engine) as session:
            audit_log.record(session, actor_id=None, action="x", target_type="y", target_id=1)
        second = read(client, app, admin, limit=3, cursor=first["next_cursor"])
        assert ids(first) + ids(second) == entries[::-1]
        assert second["next_cursor"] is None

    @pytest.mark.parametrize("role", ["attendee", "host"])
    def test_is_for_admins(self, client: FlaskClient, app: Flask, engine: Engine, role: str) -> None:
        response = client.get(URL, headers=auth_header(app, make_user(engine, role=role)))
        assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")
        assert client.get(URL).status_code == 401

    def test_is_kept_by_no_cache(self, client: FlaskClient, app: Flask, admin: User) -> None:
        assert client.get(URL, headers=auth_header(app, admin)).headers["Cache-Control"] == "no-store"


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"action": "event.change"}, [3, 0]),
            ({"target_type": "event"}, [3, 0]),
            ({"target_type": "event", "target_id": "7"}, [0]),
            ({"target_type": "user", "target_id": "7"}, [1]),
            ({"request_id": "request-2"}, [2]),
            ({"from": "2020-01-01T01:00:00Z"}, [3, 2, 1]),
            ({"to": "2020-01-01T01:00:00Z"}, [0]),
            ({"from": "2020-01-01T01:00:00Z", "to": "2020-01-01T03:00:00+00:00"}, [2, 1]),
            ({"from": "2020-01-01T01:00:00Z", "action": "event.change"}, [3]),
            ({"from": "1970-01-01T00:00:00Z", "to": "9998-12-31T00:00:00Z"}, [3, 2, 1, 0]),
            ({"actor_id": "999999"}, []),
        ],
    )
    def test_narrow_it(
        self,
        client: FlaskClient,
        app: Flask,
        admin: User,
        entries: list[str],
        query: dict[str, str],
        found: list[int],
    ) -> None:
        assert ids(read(client, app, admin, **query)) == [entries[index] for index in found]

    def test_by_actor(self, client: FlaskClient, app: Flask, admin: User, entries: list[str]) -> None:
        assert ids(read(client, app, admin, actor_id=admin.id)) == [entries[3], entries[2], entries[0]]

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({"target_id": "7"}, "?target_id"),
            ({"from": "yesterday"}, "?from"),
            ({"since": "2020-01-01T01:00:00Z"}, "?since"),
            ({"actor_id": "-1"}, "?actor_id"),
            ({"sort": "action"}, "?sort"),
            ({"cursor": "gibberish"}, "?cursor"),
        ],
    )
    def test_that_make_no_sense_are_named(
        self, client: FlaskClient, app: Flask, admin: User, query: dict[str, str], pointer: str
    ) -> None:
        response = client.get(URL, query_string=query, headers=auth_header(app, admin))
        assert response.status_code == 422
        assert [error["pointer"] for error in response.get_json()["errors"]] == [pointer]

    def test_keep_what_another_clock_numbered_a_little_off(
        self, client: FlaskClient, app: Flask, admin: User, engine: Engine
    ) -> None:
        """The id is made by a process' clock, `at` by the database's; `at` decides."""
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into audit_log (id, action, target_type, target_id, at) values (:id, 'x', 'y', '1', :at)"
                ),
                {"id": first_uuid7(int(T0.timestamp() * 1000) - 60_000), "at": T0},
            )
        query = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:01Z"}
        assert len(read(client, app, admin, **query)["items"]) == 1


ROWS = 50_000
FILL = """
set local session_replication_role = replica;
insert into audit_log (id, actor_id, action, target_type, target_id, request_id, at)
select cast(lpad(to_hex(:start + n * 1000), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0')
        as uuid), n % 50, 'action-' || n % 20, 'type-' || n % 5, n % 1000, 'request-' || n,
    to_timestamp((:start + n * 1000) / 1000.0)
from generate_series(1, :rows) n;
"""


class TestPlans:
    """On a log of fifty thousand entries, never analysed: a page costs what it shows."""

    @pytest.fixture
    def filled(self, engine: Engine) -> Engine:
        with engine.begin() as connection:
            connection.execute(text("alter table audit_log set (autovacuum_enabled = false)"))
        with engine.begin() as connection:
            connection.execute(text(FILL), {"rows": ROWS, "start": int(T0.timestamp() * 1000)})
        return engine

    @pytest.mark.parametrize(
        "wanted",
        [
            AuditLogFilter(),
            AuditLogFilter(actor_id=7),
            AuditLogFilter(action="action-7"),
            AuditLogFilter(target_type="type-2", target_id="77"),
            AuditLogFilter(request_id="request-4711"),
            AuditLogFilter(since=T0 + timedelta(hours=3), until=T0 + timedelta(hours=3, minutes=1)),
        ],
        ids=["all", "actor", "action", "target", "request", "instants"],
    )
    def test_no_filter_reads_the_log_whole(self, filled: Engine, wanted: AuditLogFilter) -> None:
        plans: list[dict[str, Any]] = []
        with transaction(filled) as session:
            execute = session.execute

            def explain(statement: Any, parameters: Any = None) -> Any:
                plan = execute(text(f"explain (analyze, format json) {statement}"), parameters).scalar_one()
                plans.append(plan[0]["Plan"])
                return execute(statement, parameters)

            session.execute = explain  # type: ignore[method-assign]
            page = list_audit_log(session, wanted, PageRequest(sort="at", descending=True, limit=20))
        assert page.rows
        nodes = list(walk(plans[0]))
        assert "Seq Scan" not in {n["Node Type"] for n in nodes if n.get("Relation Name") == "audit_log"}
        # The hour of slack on both sides of the instants is read, and nothing but that.
        read_rows = max(n["Actual Rows"] + n.get("Rows Removed by Filter", 0) for n in nodes)
        assert read_rows < (2 * 3600 + 100 if wanted.since else 1100)


def walk(node: dict[str, Any]) -> Any:
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)


def test_an_id_begins_with_its_instant() -> None:
    made = uuid7()
    milliseconds = made.int >> 80
    assert first_uuid7(milliseconds) <= made < first_uuid7(milliseconds + 1)
    assert first_uuid7(-1) == first_uuid7(0)
