"""`guichet audit --repair` after one of the servers came back from an older copy: order, promises, numbers."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from scripts.repairs import run_repair
from shared.line import keys
from shared.line.take import OutdatedTokenError, take
from shared.services.repair import RepairRefusedError, repair
from shared.settings import Settings
from tests.backups import Backup
from tests.crash.flows import Desk, opened_desk
from tests.lines import LineDriver, await_that
from tests.repairs import (
    PARTITION,
    bring_back,
    decide,
    everything,
    found_by_audit,
    job_of,
    mend,
    take_and_die,
    waiting,
)


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def event(desk: Desk) -> int:
    """An event of five tickets, for eight people who want one."""
    return desk.open_events(1, partition=PARTITION, capacity=5)[0]


class TestNothingWrong:
    def test_mends_nothing(self, desk: Desk, event: int) -> None:
        desk.book_each(event)
        decide(desk, 3)
        assert mend(desk) == []
        decide(desk)
        assert mend(desk) == []
        desk.assert_kept()

    def test_an_empty_installation(self, desk: Desk) -> None:
        assert mend(desk) == ["installation"]
        assert mend(desk) == []

    def test_a_worker_that_died_in_the_middle_left_nothing_to_mend(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        take_and_die(desk)
        assert desk.redis.llen(keys.in_flight(PARTITION)) == len(asked)
        assert mend(desk) == []
        decide(desk)
        desk.assert_kept()


class TestOlderPostgres:
    def test_what_it_has_lost_is_decided_again_in_order(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        decide(desk, 2)
        backup = Backup(desk.engine)
        decide(desk, 4)
        backup.restore()
        assert found_by_audit(desk) == {"line_status", "line_counters"}
        assert mend(desk) == ["put_back", "counters", "totals", "references", "users"]
        assert waiting(desk) == [answer.job_id for answer in asked[2:]]
        assert [job_of(desk, answer).position for answer in asked[2:]] == [1, 2, 3, 4, 5, 6]
        assert [job_of(desk, answer).ahead for answer in asked[2:]] == [0, 1, 2, 3, 4, 5]
        desk.assert_audit_clean()
        decide(desk)
        desk.assert_kept()
        assert [outcome for _, outcome, _ in desk.outcomes(event)] == ["confirmed"] * 5 + ["rejected"] * 3

    def test_what_was_in_flight_comes_after_it(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        backup = Backup(desk.engine)
        decide(desk, 2)
        take_and_die(desk, 3)
        backup.restore()
        assert "put_back" in mend(desk)
        assert waiting(desk) == [answer.job_id for answer in asked]
        assert desk.redis.llen(keys.in_flight(PARTITION)) == 0
        decide(desk)
        desk.assert_kept()

    def test_a_withdraw_mark_stays(self, desk: Desk, event: int) -> None:
        backup = Backup(desk.engine)
        asked = desk.book_each(event)
        desk.withdraw(asked[1].job_id)
        decide(desk)
        backup.restore()
        mend(desk)
        decide(desk)
        assert desk.outcomes(event)[1] == (2, "withdrawn", "withdrawn_by_user")
        desk.assert_kept()

    def test_who_asks_after_it_stands_behind(self, desk: Desk, event: int) -> None:
        backup = Backup(desk.engine)
        asked = desk.book_each(event)
        decide(desk)
        backup.restore()
        mend(desk)
        later = desk.book(event, desk.users[0])
        assert (later.arrival, later.position, later.ahead) == (len(asked) + 1, len(asked) + 1, len(asked))
        decide(desk)
        desk.assert_kept()

    def test_requests_for_an_event_that_it_has_lost_are_named_and_set_aside(self, desk: Desk) -> None:
        kept = desk.open_events(1, partition=PARTITION)[0]
        backup = Backup(desk.engine)
        gone = desk.open_events(1, partition=PARTITION)[0]
        first, last = desk.book(gone), desk.book(gone, desk.users[1])
        desk.book(kept)
        decide(desk, 2)
        backup.restore()
        assert found_by_audit(desk) >= {"line_status"}
        report = run_repair(desk.settings)
        why = f"the database does not know event {gone}"
        assert report.beyond == {str(first.job_id): why, str(last.job_id): why}
        # Both stay on the audit's list until somebody has looked at them.
        assert found_by_audit(desk) == {"lost"}
        assert run_repair(desk.settings).mends == []
        decide(desk)
        assert [(arrival, outcome) for arrival, outcome, _ in desk.outcomes(kept)] == [(1, "confirmed")]
        assert desk.line.find_job(first.job_id) == "absent"

    def test_the_number_of_a_lost_event_or_user_is_never_given_out_again(self, desk: Desk) -> None:
        backup = Backup(desk.engine)
        gone = desk.open_events(1, partition=PARTITION)[0]
        with opened_desk(desk.settings, desk.engine, people=2) as newcomers:
            lost_users = newcomers.users
            newcomers.book(gone, lost_users[1])
            decide(desk)
        backup.restore()
        assert "ids" in mend(desk)
        with opened_desk(desk.settings, desk.engine, people=1) as others:
            assert others.open_events(1, partition=PARTITION)[0] > gone
            assert others.users[0] not in lost_users

    def test_a_call_off_whose_event_it_does_not_know_to_be_off_is_not_carried_out(
        self, desk: Desk, event: int
    ) -> None:
        desk.book_each(event)
        decide(desk)
        backup = Backup(desk.engine)
        job_id = desk.call_off(event)
        decide(desk)
        backup.restore()
        assert mend(desk) == ["dropped", "counters"]
        assert desk.line.find_job(job_id) == "absent"
        assert decide(desk) == 0
        assert desk.query("select status, booked from events where id = :id", id=event) == [("scheduled", 5)]
        desk.assert_audit_clean()

    def test_a_call_off_that_it_knows_of_is_carried_out_again(self, desk: Desk, event: int) -> None:
        desk.book_each(event)
        decide(desk)
        desk.call_off(event)
        backup = Backup(desk.engine)
        decide(desk)
        backup.restore()
        assert "put_back" in mend(desk)
        decide(desk)
        assert desk.query("select status, booked from events where id = :id", id=event) == [("cancelled", 0)]
        desk.assert_audit_clean()


class TestOlderRedis:
    @pytest.mark.parametrize("flying", [False, True])
    def test_what_the_ledger_has_decided_is_told(self, desk: Desk, event: int, flying: bool) -> None:
        asked = desk.book_each(event)
        if flying:
            take_and_die(desk)
        older = everything(desk.redis)
        decide(desk)
        bring_back(desk.redis, older)
        # In flight and decided is what a worker leaves that dies before its reply; waiting and decided is a fault.
        assert found_by_audit(desk) == (set() if flying else {"line_waiting", "line_counters"})
        assert mend(desk) == ["recorded", "counters"] + ["totals"] * (not flying)
        for answer in asked:
            result = job_of(desk, answer).result
            assert result is not None
            assert result["arrival"] == answer.arrival
        assert desk.line.list_undecided(desk.users[0]) == []
        desk.assert_kept()
        assert desk.book(event, desk.users[7]).arrival == len(asked) + 1

    def test_numbering_goes_on_from_the_ledger(self, desk: Desk, event: int) -> None:
        desk.book(event)
        older = everything(desk.redis)
        desk.book_each(event, desk.users[1:])
        decide(desk)
        bring_back(desk.redis, older)
        mend(desk)
        later = desk.book(event, desk.users[7])
        assert (later.arrival, later.position, later.ahead) == (9, 1, 0)
        decide(desk)
        desk.assert_kept()

    def test_an_empty_one_is_made_ours_with_the_revocations(self, desk: Desk, event: int) -> None:
        desk.book_each(event)
        decide(desk)
        desk.execute(
            "insert into revoked_tokens (subject, expires_at) values ('user:7', now() + interval '1 hour')"
        )
        desk.redis.flushall()
        assert mend(desk) == ["installation"]
        assert desk.redis.ttl(keys.revoked("user:7")) > 3500
        desk.assert_audit_clean()

    def test_another_installations_is_refused(self, desk: Desk, engine: Engine) -> None:
        desk.redis.set(keys.INSTALLATION, "another:8")
        with pytest.raises(RepairRefusedError, match="another:8"):
            repair(desk.settings, engine, desk.redis)


class TestWorkers:
    def test_nothing_is_mended_while_one_holds_a_partition(self, desk: Desk, engine: Engine) -> None:
        driver = LineDriver(desk.settings, engine, "holder-of-three")
        driver.claim(PARTITION)
        before = everything(desk.redis)
        for dry_run in (False, True):
            with pytest.raises(RepairRefusedError, match=r"holder-of-three .* holds 3\. Stop"):
                repair(desk.settings, engine, desk.redis, dry_run=dry_run)
        assert everything(desk.redis) == before
        driver.close()
        repair(desk.settings, engine, desk.redis)

    def test_they_may_claim_again_when_it_has_ended(self, desk: Desk, engine: Engine, event: int) -> None:
        desk.book_each(event)
        repair(desk.settings, engine, desk.redis)
        with engine.connect() as connection:  # the pool's connection must not have kept a lock
            connection.exec_driver_sql("select 1")
        assert decide(desk) == 8

    def test_a_late_script_of_an_old_holder_does_nothing(
        self, desk: Desk, event: int, engine: Engine
    ) -> None:
        driver = LineDriver(desk.settings, engine)
        driver.claim()
        claim = driver.session.held[PARTITION]
        assert claim is not None
        driver.session.close()
        await_that(lambda: not holds_partitions(engine), what="the session to end")
        repair(desk.settings, engine, desk.redis)
        desk.book(event)
        with pytest.raises(OutdatedTokenError):
            take(driver.runner, claim, maximum=1, worker_name="late", instance="late")
        driver.close()


def holds_partitions(engine: Engine) -> bool:
    """Whether any session has an advisory lock: PostgreSQL ends one a moment after its client has gone."""
    with engine.connect() as connection:
        query = (
            "select exists (select from pg_locks join pg_database on pg_database.oid = database"
            " where locktype = 'advisory' and datname = current_database())"
        )
        return bool(connection.scalar(text(query)))
