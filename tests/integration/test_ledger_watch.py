"""The watch finds by itself what must never be: more booked than there is, rows out of order, rows gone."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from shared.db import make_engine, transaction
from shared.line import keys
from shared.line.counters import read_counters
from shared.services import ledger_watch
from shared.services.ledger_watch import Turn, watch_ledger
from shared.store.ledger_watch import Span, list_heads, read_spans
from tests.factories import auth_header, make_event, make_users
from tests.ledgers import TruthfulLedger, add_users
from tests.lines import LineDriver
from tests.scraping import Scrape


@pytest.fixture
def users(engine: Engine) -> list[int]:
    return list(add_users(engine, 12))


@pytest.fixture
def ledger(engine: Engine, users: list[int]) -> TruthfulLedger:
    """Event 7: ten rows, two of them without an arrival; beside it event 9 with a call-off in slices."""
    ledger = TruthfulLedger(event_id=7, host_id=users[0], capacity=5)
    for user in users[1:8]:
        ledger.book(user)
    ledger.set_event(capacity=6)
    ledger.book(users[8])
    ledger.write(engine)
    other = TruthfulLedger(event_id=9, host_id=users[0])
    for user in users[1:6]:
        other.book(user)
    other.call_off()
    other.write(engine)
    return ledger


@pytest.fixture
def tamper(engine: Engine, tamper: Callable[..., None]) -> Callable[..., None]:
    """Without the check of the counters too: what the watch is for is that the guards have failed."""
    with engine.begin() as connection:
        connection.execute(text("alter table events drop constraint events_never_oversold"))
    return tamper


def found(redis: Redis) -> dict[str, int]:
    """What the counters say, zeros left out."""
    counters = read_counters(redis)
    values = {"oversells": counters.oversells, "inversions": counters.inversions, "gaps": counters.gaps}
    return {name: value for name, value in values.items() if value}


class TestTruthfulLedger:
    def test_has_nothing_to_find(self, engine, redis_client, ledger):
        assert watch_ledger(engine, redis_client).rows == count_rows(engine)
        assert found(redis_client) == {}

    def test_is_read_once(self, engine, redis_client, ledger, users):
        watch_ledger(engine, redis_client)
        assert watch_ledger(engine, redis_client).rows == 0
        TruthfulLedger(event_id=11, host_id=users[0]).write(engine)
        assert watch_ledger(engine, redis_client).rows == 1

    def test_of_the_real_worker(self, app, client, engine, settings, redis_client):
        event = make_event(engine, capacity=2)
        for user in make_users(engine, 4):
            client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        driver = LineDriver(settings, engine)
        driver.decide_all()
        driver.close()
        assert watch_ledger(engine, redis_client).rows == 5
        assert found(redis_client) == {}


class TestFindings:
    @pytest.fixture(autouse=True)
    def _written(self, ledger: TruthfulLedger) -> None:
        """The ledgers to tamper with."""

    def test_a_row_that_left_fewer_than_no_tickets(self, engine, redis_client, tamper):
        tamper("update decisions set available_after = -1 where event_id = 7 and number = 4")
        watch_ledger(engine, redis_client)
        assert found(redis_client) == {"oversells": 1}

    def test_an_event_with_more_booked_than_it_has(self, engine, redis_client, tamper):
        tamper("update events set booked = capacity + 1 where id = 7")
        for _ in range(3):
            watch_ledger(engine, redis_client)
        assert found(redis_client) == {"oversells": 1}  # once, however often it is looked at
        tamper("update events set booked = capacity where id = 7")
        watch_ledger(engine, redis_client)
        tamper("update events set booked = capacity + 1 where id = 7")
        watch_ledger(engine, redis_client)
        assert found(redis_client) == {"oversells": 2}

    def test_two_rows_that_changed_places(self, engine, redis_client, tamper):
        tamper("update decisions set arrival = 9 - arrival where event_id = 7 and arrival in (4, 5)")
        watch_ledger(engine, redis_client)
        assert found(redis_client) == {"inversions": 2}

    def test_a_row_in_the_middle_that_is_gone(self, engine, redis_client, tamper):
        tamper("delete from decisions where event_id = 7 and number = 4")
        watch_ledger(engine, redis_client)
        assert found(redis_client) == {"gaps": 1, "inversions": 1}

    def test_the_last_rows_that_are_gone(self, engine, redis_client, tamper):
        tamper("delete from decisions where event_id = 7 and number >= 9")
        watch_ledger(engine, redis_client)
        assert found(redis_client) == {"gaps": 2}

    def test_all_rows_that_are_gone(self, engine, redis_client, tamper):
        tamper("delete from decisions where event_id = 7")
        watch_ledger(engine, redis_client)
        assert found(redis_client)["gaps"] == 10

    def test_are_found_across_the_border_of_two_turns(self, engine, redis_client, tamper, monkeypatch):
        """The first row of a turn must follow the last one of the turn before."""
        monkeypatch.setattr(ledger_watch, "ROWS_MAX", 4)
        tamper("update decisions set arrival = 9 - arrival where event_id = 7 and arrival in (4, 5)")
        turns = read_everything(engine, redis_client)
        assert max(turn.rows for turn in turns) <= 4
        assert sum(turn.rows for turn in turns) == count_rows(engine)
        assert found(redis_client) == {"inversions": 2}

    def test_show_on_metrics_and_in_the_log(self, client, engine, redis_client, tamper, caplog):
        tamper("update decisions set available_after = -1 where event_id = 7 and number = 4")
        tamper("delete from decisions where event_id = 9 and number = 3")
        watch_ledger(engine, redis_client)
        shown = Scrape(client.get("/metrics").text)
        names = ("line_oversells_total", "line_order_inversions_total", "line_ledger_gaps_total")
        assert [shown(name) for name in names] == [1, 1, 1]
        said = {
            (r.event_id, r.found, r.count, r.levelname) for r in caplog.records if r.message == "ledger watch"
        }
        assert said == {(7, "oversells", 1, "ERROR"), (9, "inversions", 1, "ERROR"), (9, "gaps", 1, "ERROR")}


class TestTurns:
    def test_are_bounded_and_get_round_to_everything(self, engine, redis_client, ledger, users, monkeypatch):
        for event_id in range(20, 30):
            TruthfulLedger(event_id=event_id, host_id=users[0]).write(engine)
        monkeypatch.setattr(ledger_watch, "EVENTS_MAX", 3)
        monkeypatch.setattr(ledger_watch, "ROWS_MAX", 4)
        turns = read_everything(engine, redis_client)
        assert sum(turn.rows for turn in turns) == count_rows(engine)
        assert found(redis_client) == {}

    def test_of_two_at_once_one_counts(self, engine, redis_client, ledger, tamper, monkeypatch):
        tamper("update decisions set available_after = -1 where event_id = 7 and number = 4")

        def meanwhile(*arguments: Any, **fields: Any) -> list[Any]:
            monkeypatch.undo()
            watch_ledger(engine, redis_client)
            return list_heads(*arguments, **fields)

        monkeypatch.setattr(ledger_watch, "list_heads", meanwhile)
        assert watch_ledger(engine, redis_client) == Turn()
        assert found(redis_client) == {"oversells": 1}

    def test_begin_again_when_redis_has_lost_everything(self, engine, redis_client, ledger, tamper):
        tamper("update decisions set available_after = -1 where event_id = 7 and number = 4")
        watch_ledger(engine, redis_client)
        redis_client.flushall()
        assert watch_ledger(engine, redis_client).rows == count_rows(engine)
        assert found(redis_client) == {"oversells": 1}

    def test_begin_again_when_postgres_was_restored_from_a_backup(self, engine, redis_client, ledger, tamper):
        watch_ledger(engine, redis_client)
        tamper("delete from decisions where event_id = 7 and number > 6")
        tamper("update events set last_number = 6 where id = 7")
        assert watch_ledger(engine, redis_client).rows == 6
        assert found(redis_client) == {}

    def test_know_nothing_to_do_without_events(self, engine, redis_client):
        assert watch_ledger(engine, redis_client).rows == 0


def test_reads_by_index_only(engine: Engine, users: list[int]) -> None:
    """On a database that was never analysed, with a long ledger: neither query reads a table through."""
    with transaction(engine) as session:
        session.execute(text("set session_replication_role = replica"))
        session.execute(text(_FILL), {"host": users[0]})
        session.execute(text("set session_replication_role = origin"))
    unanalysed = make_engine(engine.url.render_as_string(hide_password=False), pool_size=1)
    with transaction(unanalysed) as session:
        plans = Plans(session)
        list_heads(plans, after=0, limit=1000)
        read_spans(plans, [Span(event_id=e, after=100, up_to=200, arrival=100) for e in range(1, 51)])
        assert len(plans.texts) == 2
        for plan in plans.texts:
            assert "Seq Scan" not in plan, plan
            assert "Index" in plan, plan
    unanalysed.dispose()


class Plans:
    """A session that keeps the plan of every statement."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.texts: list[str] = []

    def execute(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        if values is not None:
            rows = self.session.execute(text(f"explain {statement.text}"), values)
            self.texts.append("\n".join(row[0] for row in rows))
        return self.session.execute(statement, values)


_FILL = """
insert into events (id, host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity, last_number)
    overriding system value
    select n, :host, 'e', 'UTC', now(), now(), now(), 10, 2000 from generate_series(1, 5000) n;
insert into decisions (job_id, event_id, number, arrival, kind, outcome, available_after, facts, accepted_at,
        decided_at, hash)
    select gen_random_uuid(), 1 + n % 50, 1 + n / 50, 1 + n / 50, 'book', 'rejected', 0, '{}', now(), now(), ''
    from generate_series(0, 99999) n;
"""


def count_rows(engine: Engine) -> int:
    with transaction(engine) as session:
        return int(session.execute(text("select count(*) from decisions")).scalar_one())


def read_everything(engine: Engine, redis: Redis) -> list[Turn]:
    """Turns until eight in a row had nothing to read: once round all events."""
    turns: list[Turn] = []
    while len(turns) < 100 and (len(turns) < 8 or any(turn.rows for turn in turns[-8:])):
        turns.append(watch_ledger(engine, redis))
    assert redis.hget(keys.LEDGER_WATCH, "cursor") is not None
    return turns
