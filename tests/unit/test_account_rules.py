"""Which passwords are accepted, and how long somebody waits after failed log-ins."""

import pytest

from shared.domain.accounts import (
    ANONYMISED_NAME,
    anonymised_email,
    find_password_fault,
    login_wait_seconds,
    throttle_key,
)

EMAIL = "ada@example.org"


class TestPasswordRules:
    @pytest.mark.parametrize(
        "password",
        [
            "correct-horse-battery",
            "kq8#Lm2vTz!x",
            "drei graue Kater am Fenster",
            "пароль-на-сегодня",
            "x" * 64 + "yq7" * 20,
            "SecurePass123!",
            "TestPassword123!",
        ],
    )
    def test_accepts_what_is_hard_to_guess(self, password: str) -> None:
        assert find_password_fault(password, EMAIL) is None

    @pytest.mark.parametrize("password", ["short-pass1", "x1-" * 43])
    def test_wants_12_to_128_characters(self, password: str) -> None:
        assert find_password_fault(password, EMAIL) == "Must have 12 to 128 characters."

    @pytest.mark.parametrize("password", ["ada@example.org", "ADA@Example.org"])
    def test_refuses_the_email_address(self, password: str) -> None:
        assert find_password_fault(password, EMAIL) == "Must not be the e-mail address."

    @pytest.mark.parametrize(
        "password",
        [
            "password1234",
            "Password123!",
            "P@ssw0rd2024!",
            "passwordpassword",
            "password password",
            "!!letmein!!123",
            "iloveyou1234",
            "123456789012",
            "987654321098",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghijkl",
            "qwertyuiopasdf",
            "qwertyuiop123",
            "qwerty123456",
            "1q2w3e4r5t6y",
            "Zaq12wsxcde3",
            "administrator",
            "111111222222",
            "............",
        ],
    )
    def test_refuses_what_is_tried_first(self, password: str) -> None:
        assert "tried first" in (find_password_fault(password, EMAIL) or "")


class TestLoginWait:
    def test_the_first_failures_cost_nothing(self) -> None:
        assert self._wait(failures=9) == 0

    def test_doubles_with_each_further_failure_up_to_the_window(self) -> None:
        assert [self._wait(failures=failures) for failures in (10, 11, 12, 13, 14, 15, 5000)] == [
            30,
            60,
            120,
            240,
            480,
            900,
            900,
        ]

    def test_counts_from_the_last_failure_in_whole_seconds(self) -> None:
        assert self._wait(failures=10, seconds_since_last=29.5) == 1
        assert self._wait(failures=10, seconds_since_last=30) == 0

    def _wait(self, *, failures: int, seconds_since_last: float = 0.0) -> int:
        return login_wait_seconds(
            failures=failures, failures_max=10, seconds_since_last=seconds_since_last, window_seconds=900
        )


def test_an_account_is_throttled_however_its_address_is_written() -> None:
    assert throttle_key(" Ada@Example.org") == throttle_key(EMAIL)
    assert throttle_key(EMAIL) != throttle_key("eve@example.org")


def test_a_deleted_account_has_an_address_that_nobody_can_register() -> None:
    assert anonymised_email(7) == "deleted-7@invalid"
    assert ANONYMISED_NAME == "Deleted user"
