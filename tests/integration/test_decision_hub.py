"""Who waits for a decision hears of it from the hub: lost messages cost seconds and never an answer, and a crowd costs a
look for each hundred.
"""

import base64
import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import orjson
import pytest

from api import waiting
from api.waiting import DecisionHub
from shared.errors import GuichetError, NotFoundError, UnavailableError
from shared.line import keys
from shared.line.client import make_redis
from shared.line.messages import read_message
from shared.line.status import Question, Subjects
from shared.services.requests import RequestStatus
from tests.lines import await_that

FOR_EVER = 3600.0


RESULT = {"outcome": "confirmed", "arrival": 7, "booking": None}


class Ledger:
    """What the hub's reader is answered, and what it asked."""

    def __init__(self) -> None:
        self.looks: list[list[Question]] = []
        self.decided: set[uuid.UUID] = set()
        self.asked_revoked: list[list[Subjects]] = []
        self.revoked: set[Subjects] = set()
        self.is_away = False

    def look_up(self, asked: Sequence[Question]) -> list[RequestStatus]:
        self.looks.append(list(asked))
        return [status_of(job_id, decided=job_id in self.decided) for job_id, _ in asked]

    def find_revoked(self, asked: Sequence[Subjects]) -> list[int]:
        if self.is_away:
            raise UnavailableError("line_unavailable")
        self.asked_revoked.append(list(asked))
        return [place for place, subjects in enumerate(asked) if subjects in self.revoked]


def status_of(job_id: uuid.UUID, *, decided: bool, position: int = 1) -> RequestStatus:
    return RequestStatus(
        job_id=job_id,
        kind="book",
        event_id=1,
        user_id=1,
        tickets=1,
        arrival=1,
        accepted_at="2026-01-01T00:00:00.000000Z",
        position=None if decided else position,
        result={"outcome": "confirmed"} if decided else None,
    )


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def hub(settings, ledger, redis_client) -> Iterator[DecisionHub]:
    """One that is alone: those of tests before listen for a moment after they were closed."""
    await_that(lambda: subscribers(redis_client) == 0, what="nobody to listen")
    hub = DecisionHub(make_redis(settings.redis_url), ledger.look_up, ledger.find_revoked)
    yield hub
    hub.close()


class TestHub:
    def test_misses_nothing_that_happens_before_it_listens(self, hub, ledger, pool, monkeypatch):
        """The first waiter of a process is looked up before the subscription stands; a message in between is lost."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        may_listen, listen, job_id = threading.Event(), DecisionHub._listen, uuid.uuid4()

        def listen_late(hub: DecisionHub) -> None:
            may_listen.wait(20)
            listen(hub)

        monkeypatch.setattr(DecisionHub, "_listen", listen_late)
        with hub.waiter(job_id, None) as waiter:
            polling = pool.submit(waiter.wait, 30)
            await_that(lambda: ledger.looks, what="the first look")
            ledger.decided.add(job_id)
            may_listen.set()
            assert polling.result(timeout=20).is_decided

    def test_notices_what_is_decided_while_it_is_not_subscribed(
        self, hub, ledger, redis_client, pool, monkeypatch
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
            looks = len(ledger.looks)
            ledger.decided.add(job_id)
            redis_client.publish(keys.DECIDED_CHANNEL, str(job_id))  # to nobody
            may_listen.set()
            assert polling.result(timeout=20).is_decided
            assert len(ledger.looks) >= looks

    def test_keeps_no_waiter_that_met_an_error(self, hub):
        with pytest.raises(ZeroDivisionError), hub.waiter(uuid.uuid4(), None):
            raise ZeroDivisionError
        assert [*hub._waiters, *hub._due, *hub._late] == []

    def test_looks_up_only_whose_job_it_is(self, hub, ledger, redis_client, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        mine, other, probe = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        with (
            hub.waiter(mine, None) as one,
            hub.waiter(mine, None) as two,
            hub.waiter(other, None) as three,
            hub.waiter(probe, None),
        ):
            await_that(lambda: subscribers(redis_client) == 1, what="the subscription")
            await_that(lambda: asked_of(ledger).count(probe) >= 1, what="the first look")
            # Messages are heard in order: whoever is looked up for this one has been for the subscription.
            redis_client.publish(keys.DECIDED_CHANNEL, str(probe))
            await_that(lambda: asked_of(ledger).count(probe) >= 2, what="a look for the message, or for both")
            ledger.decided |= {mine, other}
            del ledger.looks[:]
            redis_client.publish(keys.DECIDED_CHANNEL, f"{uuid.uuid4()},{mine}")
            assert one.wait(20).is_decided
            assert two.wait(20).is_decided
            assert three.wait(0) is None
            assert set(asked_of(ledger)) - {probe} == {mine}

    def test_asks_for_many_at_once(self, hub, ledger, monkeypatch):
        """A crowd costs a round trip for each hundred, and hears of nothing that is no news."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 3)
        jobs = [uuid.uuid4() for _ in range(7)]
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(hub.waiter(job, None)) for job in jobs]
            hub.look_once()
            assert [len(asked) for asked in ledger.looks] == [3, 3, 1]
            assert [waiter.wait(0) for waiter in crowd] == [None] * 7
            hub.look_once()
            assert len(ledger.looks) == 3  # nobody's turn
            ledger.decided.add(jobs[5])
            hub._wake(named(jobs[5]))
            hub.look_once()
            assert ledger.looks[3:] == [[(jobs[5], None)]]
            assert [index for index, waiter in enumerate(crowd) if waiter.wait(0)] == [5]

    def test_looks_first_for_those_of_whom_there_is_word(self, hub, ledger, monkeypatch):
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
            del ledger.looks[:]
            now[0] += 3
            hub._wake(named(jobs[3]))
            hub.look_once()
        assert asked_of(ledger)[0] == jobs[3]
        assert sorted(asked_of(ledger)) == sorted(jobs)  # each once

    def test_gives_way_while_it_tells_a_crowd(self, hub, ledger, monkeypatch):
        """Who books while a batch is told waits for some of the crowd, not for all of it."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 4)
        monkeypatch.setattr(waiting, "TOLD_AT_ONCE", 3)
        told: list[int] = []

        def give_way(seconds: float) -> None:
            assert seconds > 0  # a sleep of nothing looks at no socket
            told.append(sum(waiter.wait(0) is not None for waiter in crowd))

        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=time.monotonic, sleep=give_way))
        jobs = [uuid.uuid4() for _ in range(9)]
        ledger.decided |= {*jobs[:8]}
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(hub.waiter(job, None)) for job in jobs]
            hub.look_once()
            assert told == [
                3,
                3,
            ]  # since the time before: over the looks, and of those for whom there is news
            assert [bool(waiter.wait(0)) for waiter in crowd] == [False] * 6 + [True] * 2 + [False]

    def test_looks_again_in_time_whatever_it_met(self, hub, ledger, monkeypatch):
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

    def test_goes_on_after_a_mistake(self, hub, ledger, monkeypatch):
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
        ledger.decided.add(job_id)
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


class TestMessage:
    """A message that brings the results: who waits is told without a look."""

    @pytest.fixture(autouse=True)
    def still(self, monkeypatch) -> None:
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)

    def test_tells_what_it_says(self, hub, ledger):
        jobs = [uuid.uuid4() for _ in range(3)]
        with (
            hub.waiter(jobs[0], None) as one,
            hub.waiter(jobs[1], MINE) as two,
            hub.waiter(jobs[2], None) as rest,
        ):
            hub.look_once()
            del ledger.looks[:]
            hub._wake(read_message(message_of(jobs[0], jobs[1], uuid.uuid4())))
            hub.look_once()
            assert ledger.looks == []
            assert ledger.asked_revoked == [[MINE]]
            for waiter, job in ((one, jobs[0]), (two, jobs[1])):
                found = waiter.wait(0)
                assert (found.job_id, found.result, found.arrival) == (job, RESULT, 7)
                assert (found.position, found.ahead, found.rate) == (None, None, None)
            assert rest.wait(0) is None

    def test_tells_nothing_to_whose_token_is_revoked(self, hub, ledger):
        jobs = [uuid.uuid4() for _ in range(3)]
        ledger.revoked.add(OTHERS)
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

    def test_waits_for_nobody_who_is_looked_up(self, hub, ledger, monkeypatch):
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

    def test_waits_for_none_of_a_crowd_that_has_just_come(self, hub, ledger, monkeypatch):
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 2)
        job = uuid.uuid4()
        with contextlib.ExitStack() as stack:
            waiter = stack.enter_context(hub.waiter(job, None))
            hub.look_once()
            for _ in range(5):
                stack.enter_context(hub.waiter(uuid.uuid4(), None))
            hub._wake(read_message(message_of(job)))
            assert hub._take_due(time.monotonic()) == [waiter]

    def test_is_not_enough_when_nobody_knows_whose_tokens_count(self, hub, ledger):
        """Redis is away: a look tells what the ledger has."""
        job = uuid.uuid4()
        with hub.waiter(job, MINE) as waiter:
            hub.look_once()
            ledger.is_away = True
            ledger.decided.add(job)
            hub._wake(read_message(message_of(job)))
            hub.look_once()
            assert ledger.looks[1:] == [[(job, MINE)]]
            assert waiter.wait(0).is_decided

    def test_is_not_enough_for_who_was_never_looked_up(self, hub, ledger):
        """What their request is nobody knows yet."""
        job = uuid.uuid4()
        ledger.decided.add(job)
        with hub.waiter(job, None) as waiter:
            hub._wake(read_message(message_of(job)))
            hub.look_once()
            assert ledger.looks == [[(job, None)]]
            assert waiter.wait(0).is_decided

    @pytest.mark.parametrize(
        "result", [b"", b"bm8=", b"W10=", b"e30=", b"x"], ids=["before", "no", "[]", "{}", "x"]
    )
    def test_that_says_too_little_is_a_reason_to_look(self, hub, ledger, result):
        """A worker of the release before names ids alone; and anybody may publish anything."""
        job = uuid.uuid4()
        with hub.waiter(job, None) as waiter:
            hub.look_once()
            ledger.decided.add(job)
            hub._wake({str(job).encode(): result})
            hub.look_once()
            assert ledger.looks[1:] == [[(job, None)]]
            assert waiter.wait(0).is_decided


MINE, OTHERS = ("family:1", "user:1"), ("family:2", "user:2")


def named(*jobs: uuid.UUID) -> dict[bytes, bytes]:
    """What a message of a worker of the release before says."""
    return read_message(",".join(map(str, jobs)).encode())


def message_of(*jobs: uuid.UUID) -> bytes:
    result = base64.b64encode(orjson.dumps(RESULT))
    return b",".join(part for job in jobs for part in (str(job).encode(), result))


def subscribers(redis_client) -> int:
    return redis_client.pubsub_numsub(keys.DECIDED_CHANNEL)[0][1]


def asked_of(ledger: Ledger) -> list[uuid.UUID]:
    return [job_id for asked in ledger.looks for job_id, _ in asked]
