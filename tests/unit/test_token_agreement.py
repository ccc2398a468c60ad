"""The quick reader of access tokens and Flask-JWT-Extended agree on every token, whatever was done to it."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning

from api import auth
from api.access_tokens import AccessTokens, Identity, identity_of
from api.auth import init_jwt
from api.exchange import Exchange
from shared.clock import utc_now
from shared.errors import GuichetError
from shared.services import tokens
from shared.services.tokens import mint_access_token, mint_refresh_token, read_access_token
from shared.settings import Settings

SECRET = "an-only-here-used-secret-of-more-than-the-64-bytes-of-HS512-01234567"
THOUSANDS = settings(  # five properties of eight hundred tokens each
    max_examples=800,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEADER = {"alg": "HS256", "typ": "JWT"}
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.+/ \n\x00é"

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{InsecureKeyLengthWarning.__module__}.InsecureKeyLengthWarning"
)


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask(__name__)
    app.app_ctx_globals_class = Exchange
    init_jwt(app, Settings(env="test", secret_key=SECRET), AccessTokens(SECRET))
    with app.app_context():
        yield app


def minted(lifetime_seconds: int = 900) -> str:
    return mint_access_token(
        SECRET,
        user_id=7,
        role="host",
        family_id=uuid.uuid4(),
        now=utc_now(),
        lifetime_seconds=lifetime_seconds,
    )


def verdict(read: Callable[[], Identity]) -> Identity | str:
    try:
        return read()
    except GuichetError as error:
        return error.code


def says_the_package(token: str) -> Identity | str:
    """The verdict as it would be without the quick reader."""
    return verdict(lambda: identity_of(auth._decode(token, "access")))


def read_quickly(token: str) -> Identity | None:
    """The verdict of the quick reader alone."""
    claims = read_access_token(SECRET, token, time.time())
    return None if claims is None else identity_of(claims)


def assert_agreement(token: str) -> None:
    before = says_the_package(token)
    found = verdict(lambda: read_quickly(token) or identity_of(auth._decode(token, "access")))
    assert found in (before, says_the_package(token))  # a token may expire between the two


def signed(header: bytes, payload: bytes, secret: str = SECRET) -> str:
    """Any header and payload with a good signature, by hand: no library would make most of these."""
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    return with_signature(text.decode(), secret)


def with_signature(text: str, secret: str = SECRET) -> str:
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def good_claims() -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(minted(), options={"verify_signature": False})
    return claims


NOW = int(time.time())
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [NOW - 3600, NOW - 60, NOW - 2, NOW + 3, NOW + 60, NOW + 3600, 2**64, 10**30, -1, NOW + 0.5]
    ),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["access", "refresh", "guichet", "7", " 7 ", "٧", "7.0", str(NOW + 900), "\ud800", str(uuid.uuid4())]
    ),
    st.sampled_from([uuid.uuid4().hex, "{" + str(uuid.uuid4()) + "}", "urn:uuid:" + str(uuid.uuid4())]),
    st.sampled_from([["guichet"], ["guichet", "x"], [], {}, {"a": 1}, [["guichet"]]]),
)
NAMES = st.sampled_from(
    ["type", "jti", "role", "iss", "aud", "sub", "fam", "iat", "exp", "nbf", "csrf", "fresh", "x"]
)
CHANGES = st.dictionaries(NAMES, ODD, max_size=3)


class TestReadAccessToken:
    def test_reads_what_is_minted(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        token = minted()
        expected = says_the_package(token)
        assert isinstance(expected, Identity)
        monkeypatch.setattr(auth, "decode_token", None)  # nobody else is asked
        with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
            assert auth.current_identity() == expected

    def test_leaves_to_the_package_what_is_not_of_now(self) -> None:
        token, now = minted(lifetime_seconds=900), time.time()
        assert read_access_token(SECRET, token, now) is not None
        assert read_access_token(SECRET, token, now + 901) is None
        assert read_access_token(SECRET, token, now - 60) is None

    def test_reads_no_token_of_another_kind_or_secret(self) -> None:
        refresh = mint_refresh_token(
            SECRET,
            token_id=uuid.uuid4(),
            user_id=7,
            family_id=uuid.uuid4(),
            now=utc_now(),
            lifetime_seconds=60,
        )
        assert read_access_token(SECRET, refresh, time.time()) is None
        assert read_access_token(SECRET[::-1], minted(), time.time()) is None

    def test_reads_the_header_that_is_minted(self) -> None:
        assert json.loads(base64.urlsafe_b64decode(tokens._HEADER.rstrip(".") + "==")) == HEADER


class TestAgreement:
    @THOUSANDS
    @given(data=st.data())
    def test_on_tokens_whose_text_was_changed(self, app: Flask, data: st.DataObject) -> None:
        token = minted()
        for _ in range(data.draw(st.integers(0, 3), label="changes")):
            at = data.draw(st.integers(0, len(token)), label="at")
            to = data.draw(st.integers(at, min(len(token), at + 3)), label="to")
            token = token[:at] + data.draw(st.text(ALPHABET, max_size=3), label="new") + token[to:]
        assert_agreement(token)

    @THOUSANDS
    @given(data=st.data())
    def test_on_payloads_whose_text_was_changed_and_signed_again(
        self, app: Flask, data: st.DataObject
    ) -> None:
        text = minted().rpartition(".")[0]
        for _ in range(data.draw(st.integers(1, 2), label="changes")):
            at = data.draw(st.integers(max(0, len(text) - 40), len(text)), label="at")
            to = data.draw(st.integers(at, min(len(text), at + 2)), label="to")
            text = text[:at] + data.draw(st.text(ALPHABET, max_size=3), label="new") + text[to:]
        assert_agreement(with_signature(text))

    @THOUSANDS
    @given(changes=CHANGES, dropped=st.sets(NAMES, max_size=2))
    def test_on_claims_that_are_missing_odd_or_too_many(
        self, app: Flask, changes: dict[str, Any], dropped: set[str]
    ) -> None:
        claims = {name: value for name, value in good_claims().items() if name not in dropped} | changes
        assert_agreement(
            signed(json.dumps(HEADER, separators=(",", ":")).encode(), json.dumps(claims).encode())
        )

    @THOUSANDS
    @given(
        header=st.dictionaries(
            st.sampled_from(["alg", "typ", "kid", "crit", "b64", "cty", "jwk"]),
            st.one_of(
                st.sampled_from(["HS256", "HS512", "none", "None", "RS256", "JWT", "", ["b64"], ["x"]]), ODD
            ),
            max_size=3,
        ),
        secret=st.sampled_from([SECRET, SECRET[::-1], "", "guichet"]),
        spaces=st.booleans(),
    )
    def test_on_headers(self, app: Flask, header: dict[str, Any], secret: str, *, spaces: bool) -> None:
        text = json.dumps(HEADER | header, separators=None if spaces else (",", ":")).encode()
        assert_agreement(signed(text, json.dumps(good_claims()).encode(), secret))

    @THOUSANDS
    @given(name=NAMES, first=ODD, second=ODD)
    def test_on_claims_given_twice(self, app: Flask, name: str, first: object, second: object) -> None:
        members = [*good_claims().items(), (name, first), (name, second)]
        text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members) + "}"
        assert_agreement(signed(b'{"alg":"HS256","typ":"JWT"}', text.encode()))

    @pytest.mark.parametrize(
        "written",
        [
            pytest.param(lambda text: text.encode("utf-16"), id="UTF-16"),
            pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="a byte order mark"),
            pytest.param(lambda text: text.encode() + b"x", id="something behind it"),
            pytest.param(lambda text: b" \n" + text.encode() + b" ", id="white space"),
            pytest.param(lambda text: f"[{text}]".encode(), id="a list"),
            pytest.param(lambda text: b"null", id="null"),
            pytest.param(lambda text: b"", id="nothing"),
            pytest.param(lambda text: text.replace('"host"', '"\\ud800"').encode(), id="half a character"),
            pytest.param(lambda text: text.replace('"host"', '"\xff"').encode("latin-1"), id="no UTF-8"),
            pytest.param(lambda text: text.replace('"host"', "1" * 5_000).encode(), id="a number too long"),
            pytest.param(lambda text: text.replace('"host"', "NaN").encode(), id="no number"),
        ],
    )
    def test_on_payloads_that_are_written_oddly(self, app: Flask, written: Callable[[str], bytes]) -> None:
        assert_agreement(signed(b'{"alg":"HS256","typ":"JWT"}', written(json.dumps(good_claims()))))

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_on_another_algorithm_with_the_same_secret(self, app: Flask, algorithm: str) -> None:
        assert_agreement(jwt.encode(good_claims(), SECRET, algorithm=algorithm))
