"""Pausing the line: its own row, seen by every batch."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select

from shared.db import transaction
from shared.models import AuditLogEntry
from shared.services import line_pause
from shared.settings import Settings
from shared.store.line_state import find_pause
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver, await_that


@pytest.fixture
def driver(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine)
    driver.claim()
    yield driver
    driver.close()


class TestPause:
    def test_stops_deciding_until_resumed(self, app, client, engine, driver):
        admin, user, event = make_user(engine, role="admin"), make_user(engine), make_event(engine)
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=admin.id, reason="printer on fire")
        answer = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        assert answer.status_code == 202  # still accepted
        partition = event.id % 8
        assert driver.decide(partition) == "paused"
        shown = await_that(
            lambda: client.get(answer.json["links"]["status"], headers=auth_header(app, user)).json["paused"]
        )
        assert shown["reason"] == "printer on fire"
        with transaction(engine) as session:
            assert line_pause.resume(session, actor_id=admin.id)
            assert not line_pause.resume(session, actor_id=admin.id)
        assert driver.decide(partition) == 1
        with transaction(engine) as session:
            actions = session.scalars(
                select(AuditLogEntry.action)
                .where(AuditLogEntry.target_type == "line")
                .order_by(AuditLogEntry.id)
            )
            assert list(actions) == ["line.pause", "line.resume"]

    def test_ends_by_itself(self, app, client, engine, driver):
        user, event = make_user(engine), make_event(engine)
        with transaction(engine) as session:
            now = session.scalar(select(func.now()))
            line_pause.pause(session, actor_id=None, resume_at=now + timedelta(milliseconds=200))
        client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        await_that(lambda: driver.decide(event.id % 8) == 1, what="the pause to end")
        with transaction(engine) as session:
            assert find_pause(session) is None
            assert not line_pause.resume(session, actor_id=None)

    def test_waits_for_a_running_batch(self, engine, driver):
        """The pause's commit cannot come between a batch's look at the row and its commit."""
        from shared.store import batches

        assert not batches.begin(driver.session.cursor, 0).paused
        with engine.connect() as connection:
            connection.exec_driver_sql("set lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                connection.exec_driver_sql("update line_state set paused = true")
        driver.session.rollback()
