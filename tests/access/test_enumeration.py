"""Who has an account, and what lies behind a number: not told by an answer, and not by the work that it took.

Somebody else's things, one by one: `test_is_silent_about_what_is_not_ones_own` in test_table.py.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from shared.ids import booking_reference
from tests.access.callers import Who
from tests.access.calls import essence
from tests.access.world import World
from tests.account_calls import WRONG
from tests.console_calls import sign_in
from tests.event_calls import add_booking
from tests.factories import PASSWORD, make_user


@contextmanager
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How often a password is hashed or compared, and with which parameters."""
    done: list[str] = []
    for name in ("hash", "verify"):
        real = getattr(PasswordHasher, name)

        def counted(
            self: PasswordHasher, *arguments: str, _name: str = name, _real: Callable[..., object] = real
        ) -> object:
            done.append(f"{_name} m={self.memory_cost} t={self.time_cost}")
            return _real(self, *arguments)

        monkeypatch.setattr(PasswordHasher, name, counted)
    yield done
    monkeypatch.undo()


@pytest.fixture(scope="module")
def addresses(world: World) -> dict[str, str]:
    """Addresses of accounts in every state, and one of nobody."""
    closed = make_user(world.engine, password=PASSWORD)
    before = closed.email
    answer = world.ask(Who.OWNER, "DELETE", "/api/auth/account", body={"password": PASSWORD}, user=closed)
    assert answer.status_code == 204
    return {
        "an attendee": make_user(world.engine, password=PASSWORD).email,
        "an admin": make_user(world.engine, role="admin", password=PASSWORD).email,
        "an account without a password": make_user(world.engine).email,
        "a closed account": before,
        "nobody": "nobody@example.org",
    }


class TestLogIn:
    def test_takes_the_same_work_and_says_the_same_for_every_address(
        self, world: World, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = {}
        for name, email in addresses.items():
            with hashes(monkeypatch) as hashed, world.statements() as looked:
                answer = world.ask(
                    Who.NOBODY, "POST", "/api/auth/login", body={"email": email, "password": WRONG}
                )
            seen[name] = (essence(answer), hashed, looked)
            assert answer.status_code == 401
            assert len(hashed) == 1
        assert all(each == seen["nobody"] for each in seen.values())

    def test_to_the_console_does_too(
        self, world: World, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does it tell a right password of somebody who is no admin from a wrong one."""
        seen = {}
        for name, email in addresses.items():
            client = world.app.test_client()
            with hashes(monkeypatch) as hashed, world.statements() as looked:
                answer = sign_in(client, email, password=WRONG)
            shown = re.sub("[0-9a-f]{32}", "", answer.text.replace(email, "").replace(_token(answer), ""))
            seen[name] = (answer.status_code, shown, hashed, looked)
            assert answer.status_code == 401
        assert all(each == seen["nobody"] for each in seen.values())


class TestRegistering:
    def test_hashes_before_it_looks(
        self, world: World, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That an address is taken is said, and known to be (docs/security.md); no faster than that it is not."""
        work = []
        for email in (addresses["an attendee"], world.fresh_email()):
            with hashes(monkeypatch) as hashed:
                body = {"name": "Eve", "email": email, "password": PASSWORD}
                world.ask(Who.NOBODY, "POST", "/api/auth/register", body=body)
            work.append(hashed)
        assert work[0] == work[1]
        assert len(work[0]) == 1


class TestLists:
    """A list shows one's own things, whatever is asked for."""

    PATHS = (
        "/api/bookings",
        "/api/bookings/history",
        "/api/bookings/requests",
        "/api/events/user/registrations",
        "/api/waitlist",
        "/api/waitlist/notifications",
        "/api/notifications",
        "/api/interests",
        "/api/following",
    )

    @pytest.mark.parametrize("path", PATHS)
    def test_have_nothing_of_anybody_else(self, world: World, path: str) -> None:
        for kind in ("a booking", "a request", "a place", "an offer", "a notification"):
            world.make(kind)  # of the owner's
        for who in (Who.STRANGER, Who.EX_MEMBER, Who.EX_ADMIN, Who.OTHER_HOST):
            answer = world.ask(who, "GET", path, user=make_user(world.engine, role=_role(who)))
            assert answer.json["items"] == [], who

    def test_of_an_events_bookings_are_ones_own_for_who_does_not_manage_it(self, world: World) -> None:
        event = world.event()
        add_booking(world.engine, event.id, world.people[Who.OWNER])
        path = f"/api/bookings?event_id={event.id}"
        shown = {who: len(world.ask(who, "GET", path).json["items"]) for who in (Who.HOST, Who.ADMIN)}
        assert shown == {Who.HOST: 1, Who.ADMIN: 1}
        for who in (Who.STRANGER, Who.OTHER_HOST, Who.EX_MEMBER):
            assert world.ask(who, "GET", path).json["items"] == []

    def test_of_who_waits_are_for_who_manages_the_event(self, world: World) -> None:
        event_id = world.make("a place").values["event_id"]
        path = f"/api/events/{event_id}/waitlist"
        for who in (Who.HOST, Who.ORG_MEMBER, Who.ADMIN):
            assert len(world.ask(who, "GET", path).json["items"]) == 1
        for who in (Who.NOBODY, Who.STRANGER, Who.OWNER, Who.OTHER_HOST, Who.EX_MEMBER, Who.CONSOLE):
            assert world.ask(who, "GET", path).json["items"] is None, who

    def test_of_events_have_drafts_for_who_manages_them_only(self, world: World) -> None:
        event_id = world.make("a draft").values["event_id"]
        host = world.people[Who.HOST].id
        path = f"/api/events?status=draft&host_id={host}&limit=100"
        for who in (Who.HOST, Who.ADMIN):
            assert event_id in {event["id"] for event in world.ask(who, "GET", path).json["items"]}
        for who in (Who.NOBODY, Who.STRANGER, Who.OTHER_HOST, Who.EX_MEMBER, Who.EX_ADMIN):
            assert world.ask(who, "GET", path).json["items"] == []


class TestNumbers:
    def test_of_tickets_are_not_guessed_from_each_other(self, world: World) -> None:
        """References of bookings one after the other share no more than chance would have it."""
        key = b"k" * 32
        made = [booking_reference(number, key) for number in range(1, 500)]
        same = [
            sum(a == b for a, b in zip(first, second, strict=True)) - 1
            for first, second in itertools.pairwise(made)
        ]
        assert len(set(made)) == len(made)
        assert sum(same) / len(same) < 8 / 20  # eight of thirty-odd symbols: a quarter on average


def _role(who: Who) -> str:
    return "host" if who is Who.OTHER_HOST else "attendee"


def _token(answer: TestResponse) -> str:
    return answer.text.split('name="csrf_token" value="')[1].split('"')[0]
