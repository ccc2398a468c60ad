"""Recounting from the ledgers: finds what differs, mends it, leaves alone what does not, at any time."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from scripts.analytics import command
from shared.db import transaction
from shared.services import analytics_check
from shared.services.analytics import catch_up, roll_up_registrations
from shared.services.analytics_check import check_yesterday, rebuild, recount_event
from tests.analytics import days_ago, drain, naive, rolled, today
from tests.ledgers import TruthfulLedger, add_users
from tests.lines import environment_of
from tests.stories import Story
from worker import tasks

# Each table, spoilt in its own way.
SPOILT = {
    "event_days": "update event_days set bookings = bookings + 1, tickets = 7 where event_id = 7 and day = :day",
    "event_day_revenue": "delete from event_day_revenue where event_id = 7 and day = :day",
    "event_months": "update event_months set bookings = 90 where event_id = 7",
    "event_totals": "update event_totals set tickets = 50, published = false, capacity = 3 where event_id = 7",
    "day_totals": "update day_totals set bookings = 900, impressions = 8 where day = :day",
    "day_revenue": "insert into day_revenue (day, currency, booked_minor) values (:day, 'USD', 12)",
    "start_days": "update start_days set tickets = 99, capacity = 1",
    "user_days": "delete from user_days where user_id = (select min(user_id) from user_days)",
    "activity_days": "update activity_days set users = users + 4 where day = :day",
}


@pytest.fixture
def told(engine: Engine, tamper: Callable[..., None]) -> TruthfulLedger:
    """Event 7, most of whose rows are of yesterday, rolled up; somebody looked at it."""
    users = add_users(engine, 6)
    ledger = TruthfulLedger(event_id=7, host_id=users[0], capacity=20)
    first = ledger.book(users[1], 2)
    for user in users[2:5]:
        ledger.book(user)
    ledger.cancel(users[1], first.booking_id)
    ledger.write(engine)
    tamper(
        "update decisions set decided_at = now() - interval '1 day' where number > 2; "
        "update decisions set decided_at = now() - interval '9 days' where number <= 2"
    )
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into outbox (topic, payload, created_at) values"
                " ('impressions', '{\"counts\": {\"7\": 3}}', now() - interval '1 day')"
            )
        )
    drain(engine)
    roll_up_registrations(engine)
    while catch_up(engine):
        pass
    return ledger


@pytest.fixture
def truth(engine: Engine, told: TruthfulLedger) -> dict[str, Any]:
    found = rolled(engine)
    assert found == naive(engine, Counter({(7, days_ago(engine, 1).isoformat()): 3}))
    return found


class TestRebuild:
    @pytest.mark.parametrize("table", SPOILT)
    def test_mends_each_table_and_says_so(self, engine, truth, tamper, caplog, table):
        statement = SPOILT[table]
        tamper(statement, **({"day": days_ago(engine, 1)} if ":day" in statement else {}))
        assert rolled(engine) != truth
        recount = rebuild(engine)
        assert rolled(engine) == truth
        assert table in recount.mended
        assert any(record.table == table for record in caplog.records if record.levelname == "ERROR")
        assert rebuild(engine).mended == {}

    def test_finds_nothing_where_nothing_differs(self, engine, truth):
        recount = rebuild(engine)
        assert (recount.mended, recount.events, recount.users, recount.days) == ({}, 1, 6, 3)
        assert rolled(engine) == truth

    def test_makes_everything_anew_but_the_days_of_looks(self, engine, truth):
        with transaction(engine) as session:
            session.execute(
                text(
                    "truncate event_totals, event_day_revenue, event_months, day_totals, day_revenue, start_days,"
                    " user_days, activity_days;"
                    "update event_days set bookings = 0, tickets = 0, cancellations = 0, tickets_cancelled = 0"
                )
            )
        rebuild(engine)
        assert rolled(engine) == truth
        with transaction(engine) as session:
            assert session.scalar(text("select sum(registrations) from day_totals")) == 6

    @pytest.mark.parametrize("seed", range(3))
    def test_gives_the_same_as_counting_what_was_told(self, engine, story, seed):
        told: Story = story(300 + seed)
        told.run(60)
        before = rolled(engine)
        assert rebuild(engine).mended == {}
        assert rolled(engine) == before == naive(engine, told.looks)

    def test_reads_long_ledgers_in_slices(self, engine, truth, tamper, monkeypatch):
        monkeypatch.setattr(analytics_check, "ROWS_MAX", 2)
        tamper(SPOILT["event_days"], day=days_ago(engine, 1))
        rebuild(engine)
        assert rolled(engine) == truth

    def test_may_run_while_rows_are_decided_and_counted(self, engine, truth, line, monkeypatch):
        """Between reading the ledger and comparing, the schedule counts more of it."""
        read, more = analytics_check.read_ledger, threading.Event()

        def read_and_be_late(session: Any, spans: Any) -> Any:
            found = read(session, spans)
            if not more.is_set():
                more.set()
                line.stand_as(event_of(engine), [add_users(engine, 1)[0]])
                line.decide_all()
                drain(engine)
            return found

        monkeypatch.setattr(analytics_check, "read_ledger", read_and_be_late)
        assert rebuild(engine).mended == {}
        assert more.is_set()
        assert rolled(engine) == naive(engine, Counter({(7, days_ago(engine, 1).isoformat()): 3}))


class TestCheck:
    @pytest.mark.parametrize(
        "table", ["event_days", "event_day_revenue", "event_totals", "day_totals", "day_revenue"]
    )
    def test_mends_yesterday(self, engine, truth, tamper, table):
        statement = SPOILT[table]
        tamper(statement, **({"day": days_ago(engine, 1)} if ":day" in statement else {}))
        recount = check_yesterday(engine)
        assert table in recount.mended
        assert rolled(engine) == truth
        assert check_yesterday(engine).mended == {}

    def test_leaves_days_before_it_to_a_rebuild(self, engine, truth, tamper):
        tamper("update day_totals set bookings = 5 where day = :day", day=days_ago(engine, 9))
        assert check_yesterday(engine).mended == {}
        assert rebuild(engine).mended == {"day_totals": 1}
        assert rolled(engine) == truth

    def test_counts_rows_that_no_message_told_of(self, engine, told):
        users = add_users(engine, 2)
        TruthfulLedger(event_id=9, host_id=users[0]).write(engine)
        assert catch_up(engine) == 0
        assert check_yesterday(engine).mended == {}
        assert set(rolled(engine)["event_totals"]) == {(7,), (9,)}

    def test_is_a_task_and_due_four_times_a_day(self, engine, truth, tamper, settings, monkeypatch):
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        tamper(SPOILT["day_totals"], day=days_ago(engine, 1))
        assert tasks.check_analytics() == {"events": 1, "users": 0, "days": 1, "mended": {"day_totals": 1}}
        assert tasks.rebuild_analytics()["mended"] == {}
        assert rolled(engine) == truth


class TestCommand:
    def test_says_how_far_the_roll_ups_are(self, settings, engine, truth):
        result = run(settings, "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["complete"], report["recount"]) == (0, True, None)
        assert report["as_of"].startswith(today(engine).isoformat()[:7])
        assert "is counted; complete." in run(settings).output

    def test_recounts_one_event(self, settings, engine, truth, tamper):
        tamper(SPOILT["event_days"], day=days_ago(engine, 1))
        assert recount_event(engine, 8).mended == {}
        result = run(settings, "--event", "7")
        assert result.exit_code == 1
        assert "event_days: 1" in result.output
        assert rolled(engine) == truth
        assert "nothing differed" in run(settings, "--event", "7").output

    @pytest.mark.parametrize("option", ["--check", "--rebuild"])
    def test_recounts_and_exits_1_when_anything_differed(self, settings, engine, truth, tamper, option):
        tamper(SPOILT["day_totals"], day=days_ago(engine, 1))
        result = run(settings, option, "--json")
        assert (result.exit_code, json.loads(result.stdout)["recount"]["mended"]) == (1, {"day_totals": 1})
        assert run(settings, option).exit_code == 0
        assert rolled(engine) == truth

    def test_wants_one_thing_at_a_time(self, settings):
        assert run(settings, "--check", "--rebuild").exit_code == 2

    def test_says_when_the_database_is_away(self, settings):
        result = CliRunner().invoke(command, [], env={"DATABASE_URL": "postgresql:///x?host=/nowhere"})
        assert result.exit_code == 1
        assert "again when it is back" in result.output


def run(settings: Any, *options: str) -> Result:
    return CliRunner().invoke(command, list(options), env=environment_of(settings))


def event_of(engine: Engine) -> Any:
    from shared.models import Event

    with transaction(engine) as session:
        return session.get(Event, 7)
