"""What telling people asks, on a filled database that was never analysed: look-ups, whatever the size of the tables."""

from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from shared.adapters.deliveries import InAppDelivery
from shared.db import transaction
from shared.services import outbox
from shared.services.notifier import make_notifier
from shared.store import due
from shared.store import outbox as outbox_store
from tests.factories import make_event
from tests.plans import walk

ROWS = 10_000
TABLES = (
    "bookings", "decisions", "events", "follows", "interests", "notifications", "offers", "outbox", "users",
    "waitlist_entries",
)  # fmt: skip
FILL = """
set session_replication_role = replica;
insert into users (name, email, role)
    select 'p', 'plan-' || n || '@example.org', 'attendee' from generate_series(1, {rows}) n;
insert into events (host_id, title, time_zone, starts_at, ends_at, sales_open_at, sales_close_at, capacity, status,
        sales_announced_at)
    select 1, 'e', 'UTC', now() + interval '9 days', now() + interval '9 days', now() - interval '1 day', now(), 1,
        'scheduled', now() from generate_series(1, {rows}) n;
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival, created_at)
    select md5('b' || n)::uuid, n::text, {event}, n, md5('j' || n)::uuid, 1, 'confirmed', 0, 'EUR', n, now()
    from generate_series(1, {rows}) n;
insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, booking_id, available_after,
        facts, accepted_at, decided_at, hash)
    select md5('j' || n)::uuid, {event}, n + 1, n, 'book', n, 1, 'confirmed', md5('b' || n)::uuid, 0,
        jsonb_build_object('entry_id', md5('w' || n)::uuid), now(), now(), '' from generate_series(1, {rows}) n;
insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at, ended_at)
    select md5('w' || n)::uuid, {event}, n, md5('wj' || n)::uuid, n, 1,
        case n % 2 when 0 then 'waiting' else 'left' end, now(), case n % 2 when 1 then now() end
    from generate_series(1, {rows}) n;
insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)
    select md5('o' || n)::uuid, md5('w' || n)::uuid, {event}, n, 1, 'open', now() + n * interval '1 hour',
        now() - interval '1 hour' from generate_series(1, {rows}) n;
insert into notifications (id, user_id, kind, cause, event_id)
    select md5('n' || n)::uuid, n, 'sales_open', 'sales_open:0', {event} from generate_series(1, {rows}) n;
insert into interests (event_id, user_id) select {event}, n from generate_series(1, {rows}) n;
insert into follows (host_id, user_id) select host_id, n from events, generate_series(2, {rows}) n where id = {event};
insert into outbox (topic) select 'of_a_newer_release' from generate_series(1, {rows}) n;
set session_replication_role = default;
"""


@pytest.fixture
def event(engine):
    event = make_event(engine)
    with engine.begin() as connection:
        connection.execute(text("delete from outbox"))
        for table in TABLES:  # what autovacuum would analyse in the middle of the test
            connection.execute(text(f"alter table {table} set (autovacuum_enabled = false)"))
        connection.execute(text(FILL.format(rows=ROWS, event=event.id)))
    return event


def nodes_of(engine, ask) -> list[dict[str, Any]]:
    """Every node of the plans of what `ask` asks in a session that it has set up itself."""
    asked = []

    def note(connection, _cursor, statement, parameters, *_rest):
        if not statement.lstrip().startswith(("explain", "set ", "SAVEPOINT", "RELEASE")):
            raw = connection.connection.cursor()
            raw.execute(f"explain (format json) {statement}", parameters)
            asked.append(raw.fetchone()[0][0]["Plan"])

    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    return [node for plan in asked for node in walk(plan)]


def whole_reads(nodes) -> set[tuple[str, str]]:
    """Tables that are read through: by a sequential scan, or by an index without a condition and without a limit."""
    return {
        (node["Relation Name"], node["Node Type"])
        for node in nodes
        if "Relation Name" in node
        and (node["Node Type"] == "Seq Scan" or ("Index" in node["Node Type"] and "Index Cond" not in node))
    }


def drain(engine):
    assert outbox.drain_once(engine, [make_notifier([InAppDelivery()])])


class TestADrain:
    def test_of_decisions_only_looks_things_up(self, engine, event):
        with transaction(engine) as session:
            outbox.add_ledger_range(session, event.id, from_number=2, to_number=251)
        nodes = nodes_of(engine, lambda: drain(engine))
        # the outbox itself is read in the order of its ids, past what is of a newer release
        assert whole_reads(nodes) <= {("outbox", "Index Scan")}
        assert not {"Hash Join", "Merge Join"} & {node["Node Type"] for node in nodes}
        assert {"decisions", "bookings", "waitlist_entries"} <= {node.get("Relation Name") for node in nodes}

    @pytest.mark.parametrize(
        ("topic", "index"),
        [
            ("event_changed", "bookings_one_live_key"),
            ("sales_open", "interests_pkey"),
            ("new_event", "follows_pkey"),
        ],
    )
    def test_of_a_fan_out_reads_its_slice(self, engine, event, topic, index):
        with transaction(engine) as session:
            payload = {"version": 2, "changes": {}, "after": ROWS // 2}
            outbox.add(session, topic, event_id=event.id, payload=payload)
        nodes = nodes_of(engine, lambda: drain(engine))
        assert whole_reads(nodes) <= {("outbox", "Index Scan")}
        assert index in {node.get("Index Name") for node in nodes}


class TestWhatIsDue:
    def test_openings_are_found_by_those_that_are_not_announced(self, engine, event):
        def ask():
            with transaction(engine) as session:
                assert due.list_due_openings(session, limit=100) == []

        nodes = nodes_of(engine, ask)
        assert {node.get("Index Name") for node in nodes} >= {"events_opening_idx"}
        assert whole_reads(nodes) == set()

    def test_offers_are_found_by_their_end(self, engine, event):
        def ask():
            with transaction(engine) as session:
                found = due.list_expiring_offers(session, notice_seconds=3600, limit=100)
            assert len(found) == 1

        with engine.begin() as connection:
            connection.execute(
                text("update offers set created_at = now() - interval '2 hours' where user_id = 1")
            )
        nodes = nodes_of(engine, ask)
        assert {node.get("Index Name") for node in nodes} >= {"offers_due_idx", "notifications_cause_key"}
        assert whole_reads(nodes) == set()


def test_the_next_messages_are_the_first_of_the_index(engine, event):
    def ask():
        with transaction(engine) as session:
            outbox_store.take_messages(session, outbox.TOPICS, limit=10)

    (scan,) = [node for node in nodes_of(engine, ask) if "Relation Name" in node]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "outbox_pkey")
