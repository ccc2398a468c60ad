"""Who waits for a decision hears of it from the hub: lost messages cost seconds and never an answer, and a crowd costs a
look for each hundred.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from api import waiting
from api.waiting import DecisionHub
from shared.errors import NotFoundError, UnavailableError
from shared.line import keys
from shared.line.status import Question
from shared.services.requests import RequestStatus
from tests.hubs import asked_of, named, status_of, subscribers
from tests.lines import await_that

FOR_EVER = 3600.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class TestHub:
    def test_misses_nothing_that_happens_before_it_listens(self, hub, hub_ledger, pool, monkeypatch):
        """The first waiter of a process is looked up before the subscription stands; a message in between is lost."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        may_listen, listen, job_id = threading.Event(), DecisionHub._listen, uuid.uuid4()

        def listen_late(hub: DecisionHub) -> None:
            may_listen.wait(20)
            listen(hub)

        monkeypatch.setattr(DecisionHub, "_listen", listen_late)
        with hub.waiter(job_id, None) as waiter:
            polling = pool.submit(waiter.wait, 30)
            await_that(lambda: hub_ledger.looks, what="the first look")
            hub_ledger.decided.add(job_id)
            may_listen.set()
            assert polling.result(timeout=20).is_decided

    def test_notices_what_is_decided_while_it_is_not_subscribed(
        self, hub, hub_ledger, redis_client, pool, monkeypatch
    ):
        """Cut off, it hears nothing until it has subscribed again; then everybody is looked up once more."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        monkeypatch.setattr(waiting, "RECONNECT_SECONDS", 0)
        listen, may_listen, cut_off = DecisionHub._listen, threading.Event(), threading.Event()
        may_listen.set()

        def listen_when_allowed(hub: DecisionHub) -> None:
            if not may_listen.is_set():
                cut_off.set()
                may_listen.wait(20)
            listen(hub)

        monkeypatch.setattr(DecisionHub, "_listen", listen_when_allowed)
        job_id = uuid.uuid4()
        with hub.waiter(job_id, None) as waiter:
            polling = pool.submit(waiter.wait, 30)
            await_that(lambda: subscribers(redis_client) == 1, what="the subscription")
            may_listen.clear()
            redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert cut_off.wait(20)
            looks = len(hub_ledger.looks)
            hub_ledger.decided.add(job_id)
            redis_client.publish(keys.DECIDED_CHANNEL, str(job_id))  # to nobody
            may_listen.set()
            assert polling.result(timeout=20).is_decided
            assert len(hub_ledger.looks) >= looks

    def test_keeps_no_waiter_that_met_an_error(self, hub):
        with pytest.raises(ZeroDivisionError), hub.waiter(uuid.uuid4(), None):
            raise ZeroDivisionError
        assert [*hub._waiters, *hub._due, *hub._late] == []

    def test_looks_up_only_whose_job_it_is(self, hub, hub_ledger, redis_client, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        mine, other, probe = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        with (
            hub.waiter(mine, None) as one,
            hub.waiter(mine, None) as two,
            hub.waiter(other, None) as three,
            hub.waiter(probe, None),
        ):
            await_that(lambda: subscribers(redis_client) == 1, what="the subscription")
            await_that(lambda: asked_of(hub_ledger).count(probe) >= 1, what="the first look")
            # Messages are heard in order: whoever is looked up for this one has been for the subscription.
            redis_client.publish(keys.DECIDED_CHANNEL, str(probe))
            await_that(
                lambda: asked_of(hub_ledger).count(probe) >= 2, what="a look for the message, or for both"
            )
            hub_ledger.decided |= {mine, other}
            del hub_ledger.looks[:]
            redis_client.publish(keys.DECIDED_CHANNEL, f"{uuid.uuid4()},{mine}")
            assert one.wait(20).is_decided
            assert two.wait(20).is_decided
            assert three.wait(0) is None
            assert set(asked_of(hub_ledger)) - {probe} == {mine}

    def test_asks_for_many_at_once(self, hub, hub_ledger, monkeypatch):
        """A crowd costs a round trip for each hundred, and hears of nothing that is no news."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 3)
        jobs = [uuid.uuid4() for _ in range(7)]
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(hub.waiter(job, None)) for job in jobs]
            hub.look_once()
            assert [len(asked) for asked in hub_ledger.looks] == [3, 3, 1]
            assert [waiter.wait(0) for waiter in crowd] == [None] * 7
            hub.look_once()
            assert len(hub_ledger.looks) == 3  # nobody's turn
            hub_ledger.decided.add(jobs[5])
            hub._wake(named(jobs[5]))
            hub.look_once()
            assert hub_ledger.looks[3:] == [[(jobs[5], None)]]
            assert [index for index, waiter in enumerate(crowd) if waiter.wait(0)] == [5]

    def test_looks_first_for_those_of_whom_there_is_word(self, hub, hub_ledger, monkeypatch):
        """However many places are to be looked for: nobody waits for them who has been decided."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 2)
        now = [1000.0]
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
        jobs = [uuid.uuid4() for _ in range(4)]
        with contextlib.ExitStack() as stack:
            for job in jobs:
                stack.enter_context(hub.waiter(job, None, every=2.0))
            hub.look_once()
            del hub_ledger.looks[:]
            now[0] += 3
            hub._wake(named(jobs[3]))
            hub.look_once()
        assert asked_of(hub_ledger)[0] == jobs[3]
        assert sorted(asked_of(hub_ledger)) == sorted(jobs)  # each once

    def test_gives_way_while_it_tells_a_crowd(self, hub, hub_ledger, monkeypatch):
        """Who books while a batch is told waits for some of the crowd, not for all of it."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 4)
        monkeypatch.setattr(waiting, "AT_ONCE", 3)
        told: list[int] = []

        def give_way(seconds: float) -> None:
            assert seconds > 0  # a sleep of nothing looks at no socket
            told.append(sum(waiter.wait(0) is not None for waiter in crowd))

        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=time.monotonic, sleep=give_way))
        jobs = [uuid.uuid4() for _ in range(9)]
        hub_ledger.decided |= {*jobs[:8]}
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(hub.waiter(job, None)) for job in jobs]
            hub.look_once()
            assert told == [
                3,
                3,
            ]  # since the time before: over the looks, and of those for whom there is news
            assert [bool(waiter.wait(0)) for waiter in crowd] == [False] * 6 + [True] * 2 + [False]

    def test_looks_again_in_time_whatever_it_met(self, hub, hub_ledger, monkeypatch):
        """Neither errors nor the absence of news may turn waiting into spinning, or end it."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        now = [1000.0]
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
        answers = [UnavailableError("line_unavailable"), None]
        monkeypatch.setattr(hub, "_look_up", lambda asked: [answers.pop(0) for _ in asked])
        with hub.waiter(uuid.uuid4(), None, every=2.0) as waiter:
            hub.look_once()
            hub.look_once()
            now[0] += 1.9
            hub.look_once()
            assert len(answers) == 1
            with pytest.raises(UnavailableError):
                waiter.wait(0)
            now[0] += 0.5
            hub.look_once()
            with pytest.raises(NotFoundError):
                waiter.wait(0)

    def test_goes_on_after_a_mistake(self, hub, hub_ledger, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", 0.01)
        monkeypatch.setattr(waiting, "TURN_SECONDS", 0.01)
        look_up, mistakes = hub._look_up, [1, 2]

        def stumble(asked: Sequence[Question]) -> list[RequestStatus]:
            if mistakes:
                mistakes.pop()
                raise RuntimeError("a mistake")
            return look_up(asked)

        monkeypatch.setattr(hub, "_look_up", stumble)
        job_id = uuid.uuid4()
        hub_ledger.decided.add(job_id)
        with hub.waiter(job_id, None) as waiter:
            assert waiter.wait(20).is_decided

    def test_tells_a_place_once_and_only_who_wants_it(self, hub, monkeypatch):
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        places = [3, 3, 2]
        monkeypatch.setattr(
            hub,
            "_look_up",
            lambda asked: [status_of(job, decided=False, position=places[0]) for job, _ in asked],
        )
        job_id, told = uuid.uuid4(), []
        with hub.waiter(job_id, None, place=4) as curious, hub.waiter(job_id, None) as patient:
            while places:
                hub._wake(named(job_id))
                hub.look_once()
                told.append((curious.wait(0), patient.wait(0)))
                places.pop(0)
        assert [(found and found.position, patient) for found, patient in told] == [
            (3, None),
            (None, None),
            (2, None),
        ]
