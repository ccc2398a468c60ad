"""The schedule: one runner a turn; what it runs is safe to run twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, text, update

from shared.clock import utc_now
from shared.db import transaction
from shared.ids import first_uuid7
from shared.line import keys
from shared.models import Follow, Interest, Notification, User
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver, environment_of
from worker import tasks
from worker.schedule import Schedule


@pytest.fixture
def schedules(settings, engine, redis_client):
    line = LineClient(settings, redis_client, LineGate(settings, engine, redis_client))
    yield [Schedule(settings, engine, line, redis_client, handlers=()) for _ in range(2)]
    line.runner.close()


def run_entry(schedule, name):
    """One entry, whoever's turn it is."""
    next(entry for entry in schedule.entries if entry.name == name).run(schedule.means)


class TestSchedule:
    def test_a_turn_is_run_by_one(self, schedules):
        for schedule in schedules:  # however slow the machine, the turn is not over
            schedule.entries = tuple(replace(entry, seconds=600.0) for entry in schedule.entries)
        names = [entry.name for entry in schedules[0].entries]
        assert schedules[0].run_once() == names
        assert schedules[1].run_once() == []

    def test_a_turn_from_before_the_clock_was_set_back_holds_nobody_up(self, schedules, redis_client):
        for entry in schedules[0].entries:
            left = int(entry.seconds * 1000) + 3_600_000
            redis_client.set(keys.schedule_turn(entry.name), "somebody", px=left)
        assert schedules[0].run_once() == [entry.name for entry in schedules[0].entries]

    def test_tells_redis_of_revocations_that_it_missed(self, schedules, engine, redis_client):
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into revoked_tokens (subject, expires_at) values ('user:7', now() + interval '1 hour')"
                )
            )
        schedules[0].run_once()
        assert 3590 < redis_client.ttl("guichet:revoked:user:7") <= 3601

    def test_an_entry_that_fails_does_not_stop_the_others(self, schedules, monkeypatch):
        monkeypatch.setattr("shared.services.control_requests.put_into_line", lambda *_: 1 / 0)
        assert "prune" in schedules[0].run_once()


class TestArchive:
    """Lists of what is coming read past nothing that has long been over."""

    @pytest.fixture
    def archived(self, schedules, engine):
        def run():
            run_entry(schedules[0], "archive_events")
            with transaction(engine) as session:
                query = text("select title from events where archived order by title")
                return list(session.execute(query).scalars())

        return run

    def test_marks_what_has_been_over_for_an_hour(self, archived, engine):
        now = utc_now()
        for title, hours in (("long over", -5), ("just over", -2.5), ("running", -1), ("coming", 1)):
            make_event(engine, title=title, starts_at=now + timedelta(hours=hours))
        make_event(engine, title="draft", starts_at=now - timedelta(days=1), status="draft")
        assert archived() == ["draft", "long over"]
        assert archived() == ["draft", "long over"]

    def test_is_undone_when_the_clock_was_wrong(self, archived, engine):
        event = make_event(engine, title="coming")
        with transaction(engine) as session:
            session.execute(text("update events set archived = true where id = :id"), {"id": event.id})
        assert archived() == []

    def test_takes_slice_after_slice(self, archived, engine, monkeypatch):
        monkeypatch.setattr("worker.entries._ARCHIVE_SLICE", 2)
        for number in range(5):
            make_event(engine, title=str(number), starts_at=utc_now() - timedelta(days=1))
        assert archived() == ["0", "1", "2", "3", "4"]

    def test_waits_for_nobody(self, archived, engine):
        event = make_event(engine, title="over", starts_at=utc_now() - timedelta(days=1))
        with transaction(engine) as holder:
            holder.execute(text("select from events where id = :id for update"), {"id": event.id})
            assert archived() == []
        assert archived() == ["over"]


class TestPrune:
    def test_deletes_what_has_run_out_and_nothing_else(self, settings, engine, monkeypatch):
        user = make_user(engine)
        closed = make_user(engine, role="host")
        with transaction(engine) as session:
            # written while the account was being closed, or for somebody whose host it was
            session.add_all(
                [Follow(host_id=closed.id, user_id=user.id), Follow(host_id=user.id, user_id=closed.id)]
            )
            session.add(Follow(host_id=user.id, user_id=make_user(engine).id))
            session.execute(update(User).where(User.id == closed.id).values(deleted_at=func.now()))
            for age in ("0 days", "3 days"):
                session.execute(
                    text(
                        "insert into refresh_tokens (id, family_id, user_id, expires_at) values"
                        " (gen_random_uuid(), gen_random_uuid(), :user, now() - cast(:age as interval));"
                        "insert into revoked_tokens (subject, expires_at) values (:age, now() - cast(:age as interval));"
                        "insert into login_failures (account, address, failed_at) values"
                        " ('a', 'b', now() - cast(:age as interval));"
                        "insert into idempotency_keys (actor, key_hash, fingerprint, status, headers, body, created_at)"
                        " values ('a', decode(md5(:age), 'hex'), '', 200, '{}', '', now() - cast(:age as interval))"
                    ),
                    {"user": user.id, "age": age},
                )
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        expected = {
            "refresh_tokens": 1,
            "revoked_tokens": 1,
            "login_failures": 1,
            "idempotency_keys": 1,
            "interests": 0,
            "notifications": 0,
            "closed_accounts": 2,
        }
        assert tasks.prune() == expected
        assert tasks.prune() == dict.fromkeys(expected, 0)

    def test_deletes_old_notifications_slice_by_slice(self, settings, engine, monkeypatch):
        monkeypatch.setattr(tasks, "_SLICE", 2)
        user = make_user(engine)
        event = make_event(engine)
        now_ms = int(utc_now().timestamp() * 1000)
        day_ms = 86_400_000
        ages = [0, 89, 91, 92, 93, 94, 400]
        with transaction(engine) as session:
            for age in ages:
                session.add(
                    Notification(
                        id=first_uuid7(now_ms - age * day_ms),
                        user_id=user.id,
                        kind="new_event",
                        cause=f"new_event:{age}",
                        event_id=event.id,
                    )
                )
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        assert tasks.prune()["notifications"] == 5
        with transaction(engine) as session:
            assert set(session.scalars(text("select cause from notifications"))) == {
                "new_event:0",
                "new_event:89",
            }

    def test_deletes_interests_in_events_that_are_over(self, settings, engine, monkeypatch):
        user = make_user(engine)
        over, just_over, to_come = (
            make_event(engine, starts_at=utc_now() + timedelta(hours=hours)) for hours in (-72, -4, 72)
        )
        with transaction(engine) as session:
            session.add_all(
                Interest(event_id=event.id, user_id=user.id) for event in (over, just_over, to_come)
            )
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        assert tasks.prune()["interests"] == 1
        with transaction(engine) as session:
            left = set(session.scalars(text("select event_id from interests")))
        assert left == {just_over.id, to_come.id}


class TestPruneJobs:
    def test_removes_entries_of_jobs_whose_time_is_over(self, settings, engine, app, redis_client, schedules):
        """As a partition keeps them that has had no reply since."""
        event, user = make_event(engine), make_user(engine)
        client = app.test_client()
        driver = LineDriver(settings, engine)
        answer = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        driver.decide_all()
        driver.close()
        job_id = answer.json["job_id"]
        registry = keys.finished(event.id % settings.partitions)
        schedules[0].run_once()
        assert redis_client.zrange(registry, 0, -1) == [job_id.encode()]  # its hour has just begun
        redis_client.delete(keys.job(job_id))  # as its expiry does
        redis_client.delete(keys.schedule_turn("prune_jobs"))
        schedules[0].run_once()
        assert redis_client.zrange(registry, 0, -1) == []
        assert (
            client.get(answer.json["links"]["status"], headers=auth_header(app, user)).json["status"]
            == "confirmed"
        )
