"""A message that brings the results: who waits is told without a look."""

import contextlib
import time
import uuid

import pytest

from api import waiting
from api.waiting import DecisionHub
from shared.errors import GuichetError
from shared.line.messages import read_message
from tests.hubs import MINE, OTHERS, RESULT, message_of


class TestMessage:
    @pytest.fixture(autouse=True)
    def still(self, monkeypatch) -> None:
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)

    def test_tells_what_it_says(self, hub, hub_ledger):
        jobs = [uuid.uuid4() for _ in range(3)]
        with (
            hub.waiter(jobs[0], None) as one,
            hub.waiter(jobs[1], MINE) as two,
            hub.waiter(jobs[2], None) as rest,
        ):
            hub.look_once()
            del hub_ledger.looks[:]
            hub._wake(read_message(message_of(jobs[0], jobs[1], uuid.uuid4())))
            hub.look_once()
            assert hub_ledger.looks == []
            assert hub_ledger.asked_revoked == [[MINE]]
            for waiter, job in ((one, jobs[0]), (two, jobs[1])):
                found = waiter.wait(0)
                assert (found.job_id, found.result, found.arrival) == (job, RESULT, 7)
                assert (found.position, found.ahead, found.rate) == (None, None, None)
            assert rest.wait(0) is None

    def test_tells_nothing_to_whose_token_is_revoked(self, hub, hub_ledger):
        jobs = [uuid.uuid4() for _ in range(3)]
        hub_ledger.revoked.add(OTHERS)
        with (
            hub.waiter(jobs[0], MINE) as one,
            hub.waiter(jobs[1], OTHERS) as two,
            hub.waiter(jobs[2], None) as three,
        ):
            hub.look_once()
            hub._wake(read_message(message_of(*jobs)))
            hub.look_once()
            assert one.wait(0).is_decided
            with pytest.raises(GuichetError, match="unauthenticated"):
                two.wait(0)
            assert three.wait(0).is_decided

    def test_waits_for_nobody_who_is_looked_up(self, hub, hub_ledger, monkeypatch):
        """A look may be into a database that says nothing."""
        named_too, job = uuid.uuid4(), uuid.uuid4()
        with hub.waiter(named_too, None), hub.waiter(job, None) as waiter:
            hub.look_once()
            told: list[bool] = []
            monkeypatch.setattr(
                hub, "_look_up", lambda asked: told.append(waiter._news.locked()) or [None] * len(asked)
            )
            hub._wake({str(named_too).encode(): b"", **read_message(message_of(job))})
            hub.look_once()
            assert told == [False]  # nobody waits for it any more

    def test_waits_for_none_of_a_crowd_that_has_just_come(self, hub, hub_ledger, monkeypatch):
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 2)
        job = uuid.uuid4()
        with contextlib.ExitStack() as stack:
            waiter = stack.enter_context(hub.waiter(job, None))
            hub.look_once()
            for _ in range(5):
                stack.enter_context(hub.waiter(uuid.uuid4(), None))
            hub._wake(read_message(message_of(job)))
            assert hub._take_due(time.monotonic()) == [waiter]

    def test_is_not_enough_when_nobody_knows_whose_tokens_count(self, hub, hub_ledger):
        """Redis is away: a look tells what the hub_ledger has."""
        job = uuid.uuid4()
        with hub.waiter(job, MINE) as waiter:
            hub.look_once()
            hub_ledger.is_away = True
            hub_ledger.decided.add(job)
            hub._wake(read_message(message_of(job)))
            hub.look_once()
            assert hub_ledger.looks[1:] == [[(job, MINE)]]
            assert waiter.wait(0).is_decided

    def test_is_not_enough_for_who_was_never_looked_up(self, hub, hub_ledger):
        """What their request is nobody knows yet."""
        job = uuid.uuid4()
        hub_ledger.decided.add(job)
        with hub.waiter(job, None) as waiter:
            hub._wake(read_message(message_of(job)))
            hub.look_once()
            assert hub_ledger.looks == [[(job, None)]]
            assert waiter.wait(0).is_decided

    @pytest.mark.parametrize(
        "result", [b"", b"bm8=", b"W10=", b"e30=", b"x"], ids=["before", "no", "[]", "{}", "x"]
    )
    def test_that_says_too_little_is_a_reason_to_look(self, hub, hub_ledger, result):
        """A worker of the release before names ids alone; and anybody may publish anything."""
        job = uuid.uuid4()
        with hub.waiter(job, None) as waiter:
            hub.look_once()
            hub_ledger.decided.add(job)
            hub._wake({str(job).encode(): result})
            hub.look_once()
            assert hub_ledger.looks[1:] == [[(job, None)]]
            assert waiter.wait(0).is_decided
