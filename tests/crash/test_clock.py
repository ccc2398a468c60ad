"""PostgreSQL's clock is set back, as by a fail-over to a machine whose clock is behind: no ledger goes back with it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.db import transaction
from shared.domain.permissions import Actor
from shared.services import events
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver

# A function of ours before PostgreSQL's own, in every session from now on.
CLOCK = """
create table clock (ahead interval);
insert into clock values ('0');
create function clock_timestamp() returns timestamptz volatile language sql
as 'select pg_catalog.clock_timestamp() + ahead from public.clock';
do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$
"""


def times(desk: Desk, event: int) -> list[object]:
    rows = desk.query("select decided_at from decisions where event_id = :event order by number", event=event)
    return [row.decided_at for row in rows]


def change(engine: Engine, event_id: int, **values: object) -> None:
    with transaction(engine) as session:
        host_id = session.execute(
            text("select host_id from events where id = :id"), {"id": event_id}
        ).scalar_one()
        events.change_event(
            session,
            actor=Actor(host_id, "host"),
            event_id=event_id,
            values=values,
            whole=False,
            versions=None,
            request_id=None,
        )


@pytest.fixture
def movable(desk: Desk, settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    """A worker whose database has a clock that can be set; an hour ahead."""
    desk.execute(CLOCK)
    desk.execute("update clock set ahead = '1 hour'")
    engine.dispose()  # connections from before would go by the old one
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


class TestAClockThatIsSetBack:
    def test_sets_no_ledger_back(self, desk: Desk, movable: LineDriver, engine: Engine) -> None:
        event = desk.open_events(1, capacity=4)[0]
        desk.book_each(event)
        movable.decide_all()
        ahead = times(desk, event)[-1]
        desk.execute("update clock set ahead = '-1 hour'")
        change(engine, event, capacity=20)
        desk.book_each(event)
        movable.decide_all()
        desk.call_off(event)
        movable.decide_all()
        found = times(desk, event)
        assert found == sorted(found)
        assert found[-1] == ahead
        desk.assert_kept()

    def test_that_catches_up_is_followed_again(self, desk: Desk, movable: LineDriver) -> None:
        event = desk.open_events(1, capacity=40)[0]
        desk.book_each(event)
        movable.decide_all()
        ahead = times(desk, event)[-1]
        desk.execute("update clock set ahead = '2 hours'")
        desk.book_each(event)
        movable.decide_all()
        assert times(desk, event)[-1] > ahead
        (row,) = desk.query("select last_decided_at from events where id = :id", id=event)
        assert row.last_decided_at == times(desk, event)[-1]
