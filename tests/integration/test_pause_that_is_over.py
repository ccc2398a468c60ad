"""A pause with an end of its own: over by itself for everybody, cleared and written down by the schedule, once."""

import threading

import pytest
from sqlalchemy import text

from shared.db import transaction
from shared.services import line_pause
from shared.services.line_pause import end_if_over
from shared.store.line_state import find_pause
from tests.factories import make_user


@pytest.fixture
def pause(engine):
    def pause(ends_in):
        admin = make_user(engine, role="admin")
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=admin.id, reason="doors open late")
            session.execute(
                text("update line_state set resume_at = clock_timestamp() + cast(:ends_in as interval)"),
                {"ends_in": ends_in},
            )

    return pause


def end(engine):
    with transaction(engine) as session:
        return end_if_over(session)


def resumes(engine):
    with transaction(engine) as session:
        return session.execute(
            text("select actor_id, changes from audit_log where action = 'line.resume'")
        ).all()


def is_cleared(engine):
    with transaction(engine) as session:
        row = session.execute(
            text("select paused, pause_reason, paused_by, paused_at, resume_at from line_state")
        )
        return tuple(row.one()) == (False, None, None, None, None)


class TestAPauseThatIsOver:
    def test_is_cleared_and_written_down_once(self, engine, pause):
        pause("-1 second")
        assert end(engine)
        assert is_cleared(engine)
        ((actor_id, changes),) = resumes(engine)
        assert actor_id is None
        assert changes["by"] == "schedule"
        assert changes["resume_at"] is not None
        assert not end(engine)
        assert len(resumes(engine)) == 1

    def test_is_written_down_once_by_two_at_once(self, engine, pause):
        pause("-1 second")
        ended = []
        threads = [threading.Thread(target=lambda: ended.append(end(engine))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ended) == [False, False, False, True]
        assert len(resumes(engine)) == 1

    def test_is_not_written_down_by_who_was_second_to_get_the_lock(self, engine, pause, monkeypatch):
        pause("-1 second")
        lock = line_pause._lock

        def late(session, **seconds):
            monkeypatch.setattr(line_pause, "_lock", lock)
            assert end(engine)  # somebody else, between the first look and the lock
            return lock(session, **seconds)

        monkeypatch.setattr(line_pause, "_lock", late)
        assert not end(engine)
        assert len(resumes(engine)) == 1


class TestAnyOther:
    @pytest.mark.parametrize("ends_in", ["1 hour", None], ids=["to come", "without an end"])
    def test_stays(self, engine, pause, ends_in):
        pause(ends_in)
        assert not end(engine)
        with transaction(engine) as session:
            assert find_pause(session).reason == "doors open late"
        assert resumes(engine) == []

    def test_a_running_line_costs_no_lock(self, engine):
        with transaction(engine) as batch:
            batch.execute(text("select from line_state for share"))
            assert not end(engine)
