"""Requests that cannot be decided are set aside and said to be lost; they stand in nobody's way."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.line.accept import Accepted, Refused
from shared.models import User
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.factories import auth_header, make_event, make_users
from tests.lines import LineDriver

PARTITION = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody is kept out by how often they ask: here it is about how much they have asked for."""
    return replace(settings, booking_rate_per_second=1000.0, booking_rate_burst=1000)


def undecided(desk: Desk, user: int) -> set[str]:
    return {raw.decode() for raw in desk.redis.zrangebyscore(keys.undecided_by_user(user), user, user)}


class TestSetAside:
    def test_without_its_event_it_counts_against_its_user_no_more(
        self, desk: Desk, driver: LineDriver
    ) -> None:
        """The line knows an event that PostgreSQL does not: a database restored from a backup."""
        event = desk.open_events(1)[0]
        lost, kept = desk.book(event + 8 * 1000), desk.book(event)
        assert undecided(desk, desk.users[0]) == {str(lost.job_id), str(kept.job_id)}
        driver.claim()
        driver.decide(PARTITION)
        assert undecided(desk, desk.users[0]) == set()
        assert desk.redis.lrange(keys.lost(PARTITION), 0, -1) == [str(lost.job_id).encode()]

    def test_its_hash_is_failed_and_goes(self, desk: Desk, driver: LineDriver) -> None:
        """RQ's tools and the status script see no job that waits for ever, and Redis does not keep it for ever."""
        lost = desk.book(desk.open_events(1)[0] + 8 * 1000)
        driver.decide_all()
        job = keys.job(str(lost.job_id))
        assert desk.redis.hget(job, "status") == b"failed"
        assert desk.redis.hget(job, "ended_at") is not None
        assert 0 < desk.redis.ttl(job) <= desk.settings.job_ttl_seconds
        assert desk.line.find_job(lost.job_id) == "absent"

    def test_an_unreadable_one_is_treated_alike(self, desk: Desk, driver: LineDriver) -> None:
        """Whose it was stood in what cannot be read: the user's count is mended when they next ask."""
        lost = desk.book(desk.open_events(1)[0])
        job = keys.job(str(lost.job_id))
        desk.redis.hset(job, "data", b"\xff")
        driver.decide_all()
        assert desk.redis.hget(job, "status") == b"failed"
        assert desk.redis.ttl(job) > 0

    def test_one_that_is_gone_altogether_leaves_nothing_behind(self, desk: Desk, driver: LineDriver) -> None:
        lost = desk.book(desk.open_events(1)[0])
        job = keys.job(str(lost.job_id))
        desk.redis.delete(job)
        driver.decide_all()
        assert not desk.redis.exists(job)
        assert desk.count_undecided() == 0


class Booker:
    """Somebody who has asked for as many tickets as anybody may at once, through the API."""

    def __init__(self, app, user: User, desk: Desk) -> None:
        self.client, self.headers, self.desk = app.test_client(), auth_header(app, user), desk
        self.user, self.event = user, make_event(desk.engine)
        self.jobs = [
            self.book().json["job_id"] for _ in range(app.extensions["guichet"].settings.user_undecided_max)
        ]

    def book(self):
        return self.client.post(f"/api/bookings/{self.event.id}/book", headers=self.headers)

    def lose(self, jobs: list[str]) -> None:
        """Redis forgets these jobs, but not that their user has asked."""
        self.desk.redis.delete(*(keys.job(job) for job in jobs))


@pytest.fixture
def booker(app, engine: Engine, desk: Desk) -> Booker:
    return Booker(app, make_users(engine, 1)[0], desk)


class TestGhosts:
    def test_a_user_with_as_many_real_ones_is_refused(self, booker: Booker) -> None:
        answer = booker.book()
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_undecided")
        assert answer.json["undecided_max"] == len(booker.jobs) == 20
        assert undecided(booker.desk, booker.user.id) == set(booker.jobs)

    def test_so_is_one_whose_requests_are_in_a_workers_hands(
        self, booker: Booker, driver: LineDriver
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("worker.batch.BatchRunner._decide", die)
            driver.claim()
            with pytest.raises(KeyboardInterrupt):
                driver.decide(booker.event.id % 8)
        assert booker.book().status_code == 429

    @pytest.mark.parametrize("set_aside", [False, True], ids=["lost", "lost and set aside"])
    def test_one_whose_requests_are_lost_may_ask_again(
        self, booker: Booker, driver: LineDriver, set_aside: bool
    ) -> None:
        booker.lose(booker.jobs)
        if set_aside:
            driver.decide_all()
        answer = booker.book()
        assert answer.status_code == 202, answer.text
        assert undecided(booker.desk, booker.user.id) == {answer.json["job_id"]}
        driver.decide_all()
        assert undecided(booker.desk, booker.user.id) == set()

    def test_each_lost_one_makes_room_for_one(self, booker: Booker) -> None:
        booker.lose(booker.jobs[:2])
        assert [booker.book().status_code for _ in range(3)] == [202, 202, 429]

    def test_damaged_ones_count_as_lost(self, booker: Booker) -> None:
        """A key of another type is no job; it must not turn every later booking into an error either."""
        booker.lose(booker.jobs[:1])
        booker.desk.redis.set(keys.job(booker.jobs[0]), "text")
        assert booker.book().status_code == 202


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def strict_desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        desk.line._settings = settings  # with the limit that the API has
        yield desk


def test_the_control_planes_requests_are_never_counted(strict_desk: Desk) -> None:
    """An account with twenty events that are called off may book, and a full one may call off."""
    events = strict_desk.open_events(2)
    for _ in range(25):
        answer = strict_desk.send(events[0], "call_off", is_control=True)
        assert isinstance(answer, Accepted)
    answers = [strict_desk.send(events[1]) for _ in range(21)]
    assert [type(answer) for answer in answers] == [Accepted] * 20 + [Refused]
