"""Password hashes: argon2id, capped, and the same work for accounts that do not exist."""

import dataclasses
import subprocess
import sys
import threading

import pytest

from shared.errors import UnavailableError
from shared.services.passwords import Passwords
from shared.settings import Settings

CHEAP = Settings(env="test", hash_memory_kib=64, hash_time_cost=1)
PASSWORD = "correct-horse-battery"


class TestHash:
    def test_is_argon2id_with_the_parameters_of_the_settings(self) -> None:
        assert Passwords(CHEAP).hash(PASSWORD).startswith("$argon2id$v=19$m=64,t=1,p=1$")

    def test_differs_each_time(self) -> None:
        passwords = Passwords(CHEAP)
        assert passwords.hash(PASSWORD) != passwords.hash(PASSWORD)


class TestCheck:
    def test_knows_the_right_password_from_a_wrong_one(self) -> None:
        passwords = Passwords(CHEAP)
        stored = passwords.hash(PASSWORD)
        assert passwords.check(PASSWORD, stored).matches
        assert not passwords.check(PASSWORD + "!", stored).matches

    def test_takes_both_ways_to_write_an_accent(self) -> None:
        passwords = Passwords(CHEAP)
        assert passwords.check("cafe\u0301-au-lait-1", passwords.hash("caf\u00e9-au-lait-1")).matches

    def test_asks_to_renew_a_hash_with_other_parameters(self) -> None:
        old = Passwords(CHEAP).hash(PASSWORD)
        newer = Passwords(dataclasses.replace(CHEAP, hash_time_cost=2))
        renewed = newer.check(PASSWORD, old).new_hash
        assert renewed is not None
        assert "t=2" in renewed
        assert newer.check(PASSWORD, renewed).new_hash is None
        assert newer.check("wrong-password-1", old).new_hash is None

    def test_nobody_matches_whatever_is_tried(self) -> None:
        assert not Passwords(CHEAP).check(PASSWORD, None).matches

    def test_works_as_hard_for_nobody_as_for_somebody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        passwords = Passwords(CHEAP)
        compared: list[str] = []
        verify = passwords._hasher.verify

        class Spy:
            def verify(self, stored: str, password: str) -> bool:
                compared.append(stored)
                return verify(stored, password)

        monkeypatch.setattr(passwords, "_hasher", Spy())
        passwords.check(PASSWORD, None)
        assert len(compared) == 1
        assert compared[0].startswith("$argon2id$v=19$m=64,t=1,p=1$")
        assert len(compared[0]) == len(Passwords(CHEAP).hash(PASSWORD))

    def test_a_broken_hash_matches_nothing(self) -> None:
        assert not Passwords(CHEAP).check(PASSWORD, "not a hash").matches


class TestCap:
    def test_refuses_after_a_short_wait_when_all_turns_are_taken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passwords = Passwords(dataclasses.replace(CHEAP, hash_concurrency=1), wait_seconds_max=0.01)
        hashing, let_go = threading.Event(), threading.Event()

        class Slow:
            def hash(self, password: str) -> str:
                hashing.set()
                assert let_go.wait(60)
                return password

        monkeypatch.setattr(passwords, "_hasher", Slow())
        thread = threading.Thread(target=passwords.hash, args=[PASSWORD])
        thread.start()
        assert hashing.wait(60)
        with pytest.raises(UnavailableError, match="Too many") as refusal:
            passwords.check(PASSWORD, None)
        let_go.set()
        thread.join()
        assert refusal.value.code == "overloaded"
        assert refusal.value.retry_after_seconds > 0

    def test_gives_the_turn_back(self) -> None:
        passwords = Passwords(dataclasses.replace(CHEAP, hash_concurrency=1), wait_seconds_max=0.01)
        for _ in range(5):
            assert not passwords.check(PASSWORD, "not a hash").matches


# The hash takes as long as others need for ten turns: on the loop they would get none, and it would give up.
_UNDER_GEVENT = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from shared.services.passwords import Passwords
from shared.settings import Settings

passwords = Passwords(Settings(env="test", hash_memory_kib=64, hash_time_cost=1, hash_concurrency=1))
argon2 = passwords._hasher
turns_are_over = gevent.monkey.get_original("_thread", "allocate_lock")()
turns_are_over.acquire()

class Slow:
    def hash(self, password):
        assert turns_are_over.acquire(timeout=30), "nothing else ran meanwhile"
        return argon2.hash(password)

passwords._hasher = Slow()
hashing = gevent.spawn(passwords.hash, "correct-horse-battery")
for _ in range(10):
    gevent.sleep(0.001)
turns_are_over.release()
assert hashing.get().startswith("$argon2id$")
"""


def test_other_requests_go_on_while_one_hashes_under_gevent() -> None:
    # a process of its own: patching cannot be undone
    run = subprocess.run(
        [sys.executable, "-c", _UNDER_GEVENT], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
