"""The plans of lists on a filled database: none reads a whole table of events or bookings, analysed or not.

And what an index of theirs costs the booking worker: nothing, its updates stay HOT.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from scripts.benches.lists_fill import COMMON_WORD, RARE_WORD, Filled, fill
from scripts.embedded.postgres import EmbeddedPostgres
from shared.clock import utc_now
from shared.db import make_engine, transaction
from shared.domain.analytics import make_period
from shared.services.analytics_answers import read_dashboard, read_event_stats, read_period
from shared.store.bookings import list_bookings
from shared.store.event_archive import archive_events
from shared.store.event_bookings import list_attendees, list_registrations
from shared.store.events import EventFilters, find_event, list_events
from shared.store.paging import PageRequest, Position
from tests.conftest import fresh_database
from tests.plans import nodes_of

EVENTS = 20_000
LARGE = {"events", "bookings", "event_totals", "event_days"}
SORTS = {"starts_at": False, "created_at": True, "title": False, "popularity": True, "price": False}


@pytest.fixture(scope="module", params=[True, False], ids=["analysed", "never analysed"])
def filled(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Filled]]:
    with fresh_database(postgres) as url:
        ids = fill(url, events=EVENTS, analyse=request.param)
        engine = make_engine(url, pool_size=1)
        yield engine, ids
        engine.dispose()


def reads_of(engine: Engine, run: Callable[[Any], object]) -> list[dict[str, Any]]:
    """The nodes that read a table, as they went, of everything that `run` asks the database."""
    found = [node for node in nodes_of(engine, run, analyze=True) if "Relation Name" in node]
    assert found
    return found


def assert_no_table_is_read(engine: Engine, run: Callable[[Any], object]) -> None:
    scans = {(node["Relation Name"], node["Node Type"]) for node in reads_of(engine, run)}
    assert not {table for table, kind in scans if "Seq Scan" in kind} & LARGE, scans


def rows_read(engine: Engine, run: Callable[[Any], object]) -> int:
    """Events that were looked at, those that a filter removed included."""
    return sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in reads_of(engine, run)
        if node["Relation Name"] == "events"
    )


class TestLists:
    @pytest.mark.parametrize("sort", list(SORTS))
    @pytest.mark.parametrize(
        "filters",
        [
            {},
            {"category": "Music"},
            {"category": "nothing"},
            {"available_only": True},
            {"host_id": 3},
            {"status": "cancelled"},
            {"search": RARE_WORD},
            {"search": COMMON_WORD},
            {"search": "jazz", "category": "music"},
        ],
        ids=str,
    )
    def test_of_events(self, filled: tuple[Engine, Filled], filters: dict[str, Any], sort: str) -> None:
        page = PageRequest(sort=sort, descending=SORTS[sort])
        assert_no_table_is_read(
            filled[0], lambda session: list_events(session, EventFilters(**filters), page)
        )

    def test_of_events_far_behind(self, filled: tuple[Engine, Filled]) -> None:
        engine, _ = filled
        with transaction(engine) as session:
            key = session.scalar(text("select now() + interval '300 days'"))
        page = PageRequest(sort="starts_at", after=Position(key, 5))
        assert_no_table_is_read(engine, lambda session: list_events(session, EventFilters(), page))

    @pytest.mark.parametrize("sort", list(SORTS))
    @pytest.mark.parametrize("filters", [{}, {"available_only": True}, {"category": "music"}], ids=str)
    def test_read_little_more_than_they_show(
        self, filled: tuple[Engine, Filled], filters: dict[str, Any], sort: str
    ) -> None:
        """Ten thousand events are over, the next eight hundred are sold out, seven in eight of another category."""
        engine, _ = filled
        page = PageRequest(sort=sort, descending=SORTS[sort])
        read = rows_read(engine, lambda session: list_events(session, EventFilters(**filters), page))
        with transaction(engine) as session:
            analysed = session.scalar(text("select count(*) from pg_stats where tablename = 'events'")) > 0
        # Without statistics everything looks rare; what is coming is read by its index and sorted.
        assert 20 < read < (600 if analysed else EVENTS * 0.6)

    def test_of_what_is_to_be_archived(self, filled: tuple[Engine, Filled]) -> None:
        assert_no_table_is_read(filled[0], lambda session: archive_events(session, limit=500))

    def test_of_slots(self, filled: tuple[Engine, Filled]) -> None:
        page = PageRequest(sort="starts_at")
        assert_no_table_is_read(
            filled[0], lambda session: list_events(session, EventFilters(on_sale=True), page)
        )

    @pytest.mark.parametrize("sort", ["created_at", "starts_at"])
    def test_of_somebodys_bookings(self, filled: tuple[Engine, Filled], sort: str) -> None:
        engine, ids = filled
        page = PageRequest(sort=sort, descending=True)
        for upcoming_only in (False, True):
            assert_no_table_is_read(
                engine,
                lambda session, upcoming_only=upcoming_only: list_bookings(
                    session,
                    user_id=ids.few_user_id,
                    event_id=None,
                    status=None,
                    upcoming_only=upcoming_only,
                    page=page,
                ),
            )

    def test_of_an_event(self, filled: tuple[Engine, Filled]) -> None:
        engine, ids = filled
        page = PageRequest(sort="created_at", descending=True)
        assert_no_table_is_read(engine, lambda session: find_event(session, ids.event_id))
        assert_no_table_is_read(
            engine, lambda session: list_attendees(session, event_id=ids.event_id, status=None, page=page)
        )
        assert_no_table_is_read(
            engine, lambda session: list_registrations(session, user_id=ids.few_user_id, page=page)
        )

    def test_of_figures(self, filled: tuple[Engine, Filled]) -> None:
        engine, ids = filled
        today = utc_now().date()
        assert_no_table_is_read(engine, lambda session: read_dashboard(session, today))
        period = make_period(None, None, today)
        assert_no_table_is_read(engine, lambda session: read_event_stats(session, ids.event_id, period))
        assert_no_table_is_read(engine, lambda session: read_period(session, period))

    def test_would_read_the_table_without_its_index(self, filled: tuple[Engine, Filled]) -> None:
        """The negative control: what no index serves is seen here."""
        page = PageRequest(sort="starts_at")
        with pytest.raises(AssertionError, match="Seq Scan"):
            assert_no_table_is_read(
                filled[0],
                lambda session: session.execute(text("select * from events where venue = 'Hall 7'")),
            )
        assert_no_table_is_read(filled[0], lambda session: list_events(session, EventFilters(), page))


class TestHotUpdates:
    """What a batch changes stands in no index: PostgreSQL then writes no index entry for it (HOT)."""

    BATCH = """
        update events set booked = booked + 1, offered = offered, waiting = waiting,
            last_number = last_number + 1, last_hash = sha256(last_hash), last_arrival = last_arrival + 1
        where id = :id
    """

    def changed(self, engine: Engine, event_id: int, statement: str) -> tuple[int, int]:
        """Updated rows, and those of them that were HOT, in one transaction."""
        counts = text(
            "select pg_stat_get_xact_tuples_updated(r), pg_stat_get_xact_tuples_hot_updated(r)"
            " from (select 'events'::regclass::oid r) t"
        )
        with transaction(engine) as session:
            before = session.execute(counts).one()  # of transactions whose counts were not yet sent
            session.execute(text(statement), {"id": event_id})
            after = session.execute(counts).one()
            session.rollback()
        return after[0] - before[0], after[1] - before[1]

    def test_a_batch_is_one(self, filled: tuple[Engine, Filled]) -> None:
        engine, ids = filled
        assert self.changed(engine, ids.event_id, self.BATCH) == (1, 1)

    def test_somebody_who_waits_is_one(self, filled: tuple[Engine, Filled]) -> None:
        engine, ids = filled
        waits = "update events set waiting = '{1,0,0,0,0,0,0,0,0,0}', booked = booked where id = :id"
        sold_out = f"update events set booked = capacity where id = {ids.event_id}; {waits}"
        assert self.changed(engine, ids.event_id, sold_out) == (2, 1)

    def test_selling_out_is_none(self, filled: tuple[Engine, Filled]) -> None:
        """The negative control, and why the index knows it at once."""
        engine, ids = filled
        assert self.changed(engine, ids.event_id, "update events set booked = capacity where id = :id") == (
            1,
            0,
        )
