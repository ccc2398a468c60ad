"""Stream tokens: for one job, for ten minutes, ours."""

import hmac
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream_tokens import LIFETIME_SECONDS, is_valid_stream_token, make_stream_token

SECRET = "a-secret-of-at-least-thirty-two-bytes"
JOB = uuid.UUID(int=1)
NOW = 1_800_000_000.0


def is_valid(token: str, *, secret: str = SECRET, job_id: uuid.UUID = JOB, at: float = NOW) -> bool:
    return is_valid_stream_token(secret, job_id, token, now=at)


@pytest.fixture
def token() -> str:
    return make_stream_token(SECRET, JOB, now=NOW)


class TestStreamToken:
    @given(secret=st.text(min_size=1, max_size=200, alphabet=st.characters(codec="utf-8")), job_id=st.uuids())
    def test_is_signed_with_hmac_sha256(self, secret, job_id):
        expires, _, digest = make_stream_token(secret, job_id, now=NOW).partition(".")
        message = b"stream:%s:%d" % (job_id.bytes, int(expires, 16))
        assert digest == hmac.digest(secret.encode(), message, "sha256").hex()[:32]

    def test_is_good_for_ten_minutes(self, token):
        assert LIFETIME_SECONDS == 600
        assert is_valid(token)
        assert is_valid(token, at=NOW + 599.999)
        assert not is_valid(token, at=NOW + 600)

    def test_is_good_for_its_job_only(self, token):
        assert not is_valid(token, job_id=uuid.UUID(int=2))

    def test_is_good_with_its_secret_only(self, token):
        assert not is_valid(token, secret=SECRET + "x")

    def test_cannot_be_prolonged(self, token):
        expires, _, digest = token.partition(".")
        assert not is_valid(f"{int(expires, 16) + 1:x}.{digest}")

    def test_is_made_and_checked_by_this_machines_clock(self):
        assert is_valid_stream_token(SECRET, JOB, make_stream_token(SECRET, JOB))

    def test_is_no_access_token(self, token):
        assert token.count(".") == 1

    @pytest.mark.parametrize(
        "damage", ["", ".", "x", "-1.", "0x5.", "é.é", "1_0.a", "f" * 500 + ".a", " 1.a", "1.é"]
    )
    def test_of_another_form_is_refused(self, damage):
        assert not is_valid(damage)

    @given(st.text(max_size=80))
    def test_is_never_guessed(self, text):
        assert not is_valid(text)

    @given(st.data())
    def test_is_good_as_a_whole_only(self, data):
        token = make_stream_token(SECRET, JOB, now=NOW)
        place = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.sampled_from("0123456789abcdef.x"))
        if token[place] != other:
            assert not is_valid(token[:place] + other + token[place + 1 :])
