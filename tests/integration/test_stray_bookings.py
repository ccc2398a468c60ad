"""Booking requests that the line has not judged: they count in the general tier, and nothing else of a sale does."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlalchemy import event as listening

from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user
from tests.integration.test_rate_limits import (
    ANYTHING,
    assert_refused,
    exchange,
    limits_of,
    statuses,
    tight,
    use_up,
)

NOWHERE = "/api/bookings/8000000/book"
ADDRESSES = (NOWHERE, "/api/bookings", "/api/events/8000000/register")
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
pytestmark = pytest.mark.usefixtures("stopped_rate_clock")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(tight(settings), booking_rate_burst=1000)


@pytest.fixture
def user(app, engine) -> dict[str, str]:
    return auth_header(app, make_user(engine))


@pytest.fixture
def asked() -> Iterator[set[int]]:
    """The events that PostgreSQL is asked for, whoever asks: what the door knows is read on connections of its own."""
    ids: set[int] = set()

    def note(_connection, _cursor, statement, parameters, *_) -> None:
        if "FROM events" in statement:
            ids.update(parameters.values())

    listening.listen(Engine, "before_cursor_execute", note)
    yield ids
    listening.remove(Engine, "before_cursor_execute", note)


class TestOfSomebodySignedIn:
    def test_for_events_that_nobody_has_are_refused_before_postgres_is_asked(self, client, user, asked):
        numbers = iter(range(8_000_000, 9_000_000))
        answers = [client.post(f"/api/bookings/{next(numbers)}/book", headers=user) for _ in range(20)]
        assert [answer.status_code for answer in answers] == [404] * 3 + [429] * 17
        assert_refused(answers[3], "general")
        assert asked == {8_000_000, 8_000_001, 8_000_002}

    def test_count_whatever_the_line_says_of_them(self, make_app, settings, engine):
        """A door that judges an unknown event is asked after PostgreSQL was."""
        app = make_app(replace(settings, booking_rate_burst=1))
        client, user = app.test_client(), auth_header(app, make_user(engine))
        assert client.post(f"/api/bookings/{make_event(engine).id}/book", headers=user).status_code == 202
        codes = [client.post(NOWHERE, headers=user).json["policy"] for _ in range(5)]
        assert codes == ["booking"] * 3 + ["general"] * 2

    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ({"json": {"tickets": 0}}, 422),
            ({"data": b"{", "content_type": "application/json"}, 400),
            ({"data": b"{}", "content_type": "text/plain"}, 415),
            ({"data": b" " * 70_000, "content_type": "application/json"}, 413),
        ],
    )
    def test_with_bodies_that_are_none_count(self, client, user, engine, options, status):
        own = make_event(engine).id
        for path in (f"/api/bookings/{own}/book", "/api/bookings", f"/api/events/{own}/register"):
            assert client.post(path, headers=user, **options).status_code == status
        assert_refused(client.post("/api/bookings", headers=user, **options), "general")

    def test_keep_the_general_tier_from_them_and_from_nobody_else(self, app, client, user, engine):
        """Behind one address, two people: only who sent them waits."""
        other, own = auth_header(app, make_user(engine)), make_event(engine).id
        assert statuses(client, NOWHERE, 4, method="POST", headers=user)[-1] == 429
        assert client.get(ANYTHING, headers=user).status_code == 429
        assert client.post(f"/api/bookings/{own}/book", headers=user).status_code == 429
        assert client.post(f"/api/bookings/{own}/book", headers=other).status_code == 202
        assert client.get(ANYTHING).status_code == 200

    def test_are_over_when_the_quota_is_back(self, app, client, user, engine):
        assert statuses(client, NOWHERE, 4, method="POST", headers=user)[-1] == 429
        limits = limits_of(app)
        limits._owing = dict.fromkeys(limits._owing, 0.0)  # as if the time had passed
        assert client.post(f"/api/bookings/{make_event(engine).id}/book", headers=user).status_code == 202
        assert limits._owing == {}

    def test_count_in_the_other_processes_too(self, make_app, settings, engine):
        here, there = make_app(settings), make_app(settings)
        for app in (here, there):
            limits_of(app).run_once()
        user = auth_header(here, make_user(engine))
        assert statuses(here.test_client(), NOWHERE, 4, method="POST", headers=user)[-1] == 429
        exchange(here, there)
        # It hears of it with the first that it answers itself.
        assert statuses(there.test_client(), NOWHERE, 2, method="POST", headers=user) == [404, 429]

    def test_who_owes_nothing_more_is_forgotten(self, app, client, user):
        assert statuses(client, NOWHERE, 4, method="POST", headers=user)[-1] == 429
        limits = limits_of(app)
        limits.run_once()
        assert len(limits._owing) == 1
        limits._owing = dict.fromkeys(limits._owing, 0.0)
        limits.run_once()
        assert limits._owing == {}


class TestOfNobody:
    @pytest.mark.parametrize("token", [None, "Bearer nonsense", "Basic eDp5"])
    def test_count_by_address(self, client, token):
        headers = {} if token is None else {"Authorization": token}
        answers = [client.post(path, headers=headers).status_code for path in ADDRESSES]
        assert answers == [401] * 3
        assert_refused(client.post("/api/bookings", headers=headers), "general")
        assert client.post(NOWHERE, environ_base=ELSEWHERE).status_code == 401

    def test_keep_nobody_who_is_signed_in_from_booking(self, client, user, engine):
        """A school is one address."""
        assert statuses(client, NOWHERE, 4, method="POST")[-1] == 429
        assert client.post(f"/api/bookings/{make_event(engine).id}/book", headers=user).status_code == 202
        use_up(client, headers=user)

    def test_with_a_token_that_was_revoked_count_for_that_log_in_alone(self, app, client, engine):
        """Whoever has found an old token cannot keep its owner from booking."""
        owner, own = make_user(engine), make_event(engine).id
        old, new = (auth_header(app, owner) for _ in range(2))
        assert client.post("/api/auth/logout", headers=old).status_code == 204
        for path in (NOWHERE, f"/api/bookings/{own}/book"):
            assert client.post(path, headers=old).status_code == 401
        assert statuses(client, NOWHERE, 2, method="POST", headers=old) == [401, 429]
        assert client.post(f"/api/bookings/{own}/book", headers=new).status_code == 202


class TestOfASale:
    def test_count_only_when_the_line_has_not_judged(self, client, user, engine):
        """Accepted, refused at the door, repeated, a key used twice: nothing of the general tier."""
        event, closed = make_event(engine), make_event(engine, sales_paused=True)
        keyed = {**user, "Idempotency-Key": "one"}
        path = f"/api/bookings/{event.id}/book"
        for _ in range(5):
            assert client.post(path, headers=user).status_code == 202
            assert client.post(f"/api/bookings/{closed.id}/book", headers=user).status_code == 409
            assert client.post(path, json={"tickets": 1}, headers=keyed).status_code in (200, 202)
            assert client.post(path, json={"tickets": 2}, headers=keyed).status_code == 422
        use_up(client, headers=user)

    def test_go_on_when_everything_else_is_used_up(self, client, user, engine):
        """Who looked too often may still book."""
        use_up(client, headers=user)
        path = f"/api/bookings/{make_event(engine).id}/book"
        assert statuses(client, path, 5, method="POST", headers=user) == [202] * 5
