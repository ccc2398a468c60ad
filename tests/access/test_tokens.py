"""Tokens that somebody has tampered with, and tokens where none belongs. Without servers: nobody is asked about them.

What is wrong with a token's claims is in tests/unit/test_auth.py; refresh and revocation in tests/integration/test_log_ins.py.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.stream_tokens import make_stream_token
from shared.clock import utc_now
from shared.services.tokens import mint_access_token, mint_refresh_token
from shared.settings import Settings
from tests.conftest import make_settings

PROFILE = "/api/auth/profile"
FAMILY = uuid.uuid4()
# PostgreSQL is away here: whoever is let in hears of that.
LET_IN = (503, "database_unavailable")
REFUSED = (401, "unauthenticated")


def encode(part: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def decode(part: str) -> dict[str, Any]:
    """What a part of a token says."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def sign(header: dict[str, Any], payload: str, key: str | bytes, digest: str = "sha256") -> str:
    """A token with exactly this header, whatever a library thinks of it."""
    message = f"{encode(header)}.{payload}"
    secret = key.encode() if isinstance(key, str) else key
    signature = base64.urlsafe_b64encode(hmac.digest(secret, message.encode(), digest)).rstrip(b"=").decode()
    return f"{message}.{signature}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(
        "postgresql+psycopg2:///nowhere", "redis://localhost:1/0", tmp_path_factory.mktemp("tokens")
    )


@pytest.fixture(scope="module")
def bare_app(settings: Settings) -> Iterator[Flask]:
    """One for all of them: nothing of a refused token is kept."""
    app = create_app(settings)
    yield app
    app.extensions["guichet"].close()


@pytest.fixture
def token(settings: Settings) -> str:
    return mint_access_token(
        settings.secret_key, user_id=7, role="host", family_id=FAMILY, now=utc_now(), lifetime_seconds=900
    )


@pytest.fixture
def payload(token: str) -> str:
    return token.split(".")[1]


def verdict(client: FlaskClient, path: str = PROFILE, **options: Any) -> tuple[int, str]:
    answer = client.get(path, **options)
    return answer.status_code, answer.json["code"]


def shown(client: FlaskClient, token: str) -> tuple[int, str]:
    """What the bearer of this token is told."""
    return verdict(client, headers={"Authorization": f"Bearer {token}"})


def test_an_honest_one_is_let_in(
    bare_client: FlaskClient, token: str, payload: str, settings: Settings
) -> None:
    """As is one that `sign` makes: what is refused below is refused for what is wrong with it."""
    assert shown(bare_client, token) == LET_IN
    assert shown(bare_client, sign({"alg": "HS256", "typ": "JWT"}, payload, settings.secret_key)) == LET_IN


class TestSignature:
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, "HS256"])
    def test_is_never_left_out(self, bare_client: FlaskClient, payload: str, algorithm: str | None) -> None:
        for header in ({"alg": algorithm, "typ": "JWT"}, {"typ": "JWT"}):
            for ending in ("", ".", "..", ".e30"):
                assert shown(bare_client, f"{encode(header)}.{payload}{ending}") == REFUSED

    @pytest.mark.parametrize(
        ("algorithm", "digest"),
        [
            ("HS384", "sha384"),
            ("HS512", "sha512"),
            ("RS256", "sha256"),
            ("ES256", "sha256"),
            ("EdDSA", "sha256"),
        ],
    )
    def test_is_of_one_algorithm(
        self, bare_client: FlaskClient, payload: str, settings: Settings, algorithm: str, digest: str
    ) -> None:
        """Also with the right secret: whoever names the algorithm names what the secret is taken for."""
        forged = sign({"alg": algorithm, "typ": "JWT"}, payload, settings.secret_key, digest)
        assert shown(bare_client, forged) == REFUSED

    @pytest.mark.parametrize(
        "secret", ["", "\0", "guichet", "null", "replace-me-with-32-or-more-random-bytes"]
    )
    def test_is_not_of_a_key_that_anybody_guesses(
        self, bare_client: FlaskClient, payload: str, secret: str
    ) -> None:
        assert shown(bare_client, sign({"alg": "HS256", "typ": "JWT"}, payload, secret)) == REFUSED

    @pytest.mark.parametrize(
        "named",
        [
            {"kid": "../../../../dev/null"},
            {"kid": "' union select '' --"},
            {"jku": "https://keys.example.org/jwks.json"},
            {"x5u": "https://keys.example.org/chain.pem"},
            {"jwk": {"kty": "oct", "k": "AA"}},
            {"x5c": ["MIIB"]},
        ],
        ids=lambda named: next(iter(named)),
    )
    def test_is_not_of_a_key_that_the_token_brings(
        self, bare_client: FlaskClient, payload: str, named: dict[str, Any]
    ) -> None:
        """Nothing that a header names is looked up: `tests/architecture/test_outgoing.py` shows that nothing could be."""
        for key in (b"", b"\0", str(named).encode()):
            assert shown(bare_client, sign({"alg": "HS256", "typ": "JWT", **named}, payload, key)) == REFUSED

    def test_covers_extensions_that_must_be_understood(
        self, bare_client: FlaskClient, payload: str, settings: Settings
    ) -> None:
        """RFC 7515: who does not know what `crit` names refuses."""
        header = {"alg": "HS256", "typ": "JWT", "crit": ["exp-in-header"], "exp-in-header": 1}
        assert shown(bare_client, sign(header, payload, settings.secret_key)) == REFUSED

    @pytest.mark.parametrize(
        "change", [{"role": "admin"}, {"sub": "1"}, {"exp": 4_102_444_800}, {"type": "refresh"}]
    )
    def test_covers_every_claim(self, bare_client: FlaskClient, token: str, change: dict[str, Any]) -> None:
        header, claims, signature = token.split(".")
        assert shown(bare_client, f"{header}.{encode({**decode(claims), **change})}.{signature}") == REFUSED

    def test_of_another_installation_counts_for_nothing(self, bare_client: FlaskClient, payload: str) -> None:
        other = hashlib.sha256(b"another secret").hexdigest()
        assert shown(bare_client, sign({"alg": "HS256", "typ": "JWT"}, payload, other)) == REFUSED


class TestClaims:
    @pytest.mark.parametrize("subject", [7, 7.0, True, None, ["7"], {"id": "7"}, "", "7.5", "seven"])
    def test_of_another_type_name_nobody(
        self, bare_client: FlaskClient, payload: str, settings: Settings, subject: object
    ) -> None:
        claims = encode({**decode(payload), "sub": subject})
        assert (
            shown(bare_client, sign({"alg": "HS256", "typ": "JWT"}, claims, settings.secret_key)) == REFUSED
        )

    def test_that_are_not_valid_yet_wait(
        self, bare_client: FlaskClient, payload: str, settings: Settings
    ) -> None:
        later = int(utc_now().timestamp()) + 3600
        for claim in ("nbf", "iat"):
            claims = encode({**decode(payload), claim: later})
            forged = sign({"alg": "HS256", "typ": "JWT"}, claims, settings.secret_key)
            assert shown(bare_client, forged) == REFUSED, claim

    def test_may_be_many_and_cost_nothing(
        self, bare_client: FlaskClient, bare_app: Flask, token: str
    ) -> None:
        """A megabyte is refused, and not remembered."""
        header, claims, signature = token.split(".")
        remembered = len(bare_app.extensions["guichet-tokens"])
        for huge in (
            "a" * 1_000_000,
            f"{header}.{claims}{'A' * 1_000_000}.{signature}",
            f"{header}.{claims}.{signature * 20_000}",
            "." * 100_000,
        ):
            assert shown(bare_client, huge) == REFUSED
        assert len(bare_app.extensions["guichet-tokens"]) == remembered


class TestPlace:
    @pytest.mark.parametrize("name", ["token", "access_token", "jwt", "Authorization", "bearer"])
    def test_is_never_the_address(self, bare_client: FlaskClient, token: str, name: str) -> None:
        """Addresses are logged, kept and sent on."""
        assert verdict(bare_client, query_string={name: token}) == REFUSED

    @pytest.mark.parametrize(
        "name", ["token", "access_token", "access_token_cookie", "refresh_token_cookie", "session"]
    )
    def test_is_never_a_cookie(self, bare_client: FlaskClient, token: str, name: str) -> None:
        """A browser sends those for whoever asks it to."""
        bare_client.set_cookie(name, token)
        assert verdict(bare_client) == REFUSED

    def test_is_one_header_of_one_token(self, bare_client: FlaskClient, token: str) -> None:
        """A server joins two headers with a comma: nobody chooses which of them counts."""
        for value in (
            f"Bearer {token},Bearer {token}",
            f"Basic YTpi, Bearer {token}",
            f"Bearer {token} {token}",
        ):
            assert verdict(bare_client, headers={"Authorization": value}) == REFUSED, value

    @pytest.mark.parametrize(
        "name", ["X-Access-Token", "X-Authorization", "Proxy-Authorization", "X-User-Id"]
    )
    def test_is_no_other_header(self, bare_client: FlaskClient, token: str, name: str) -> None:
        assert verdict(bare_client, headers={name: f"Bearer {token}"}) == REFUSED


class TestKind:
    def test_a_refresh_token_is_no_access_token(self, bare_client: FlaskClient, settings: Settings) -> None:
        refresh = mint_refresh_token(
            settings.secret_key,
            token_id=uuid.uuid4(),
            user_id=7,
            family_id=FAMILY,
            now=utc_now(),
            lifetime_seconds=900,
        )
        assert shown(bare_client, refresh) == REFUSED

    def test_a_streams_token_is_none(self, bare_client: FlaskClient, settings: Settings) -> None:
        job_id = uuid.uuid4()
        stream = make_stream_token(settings.secret_key, job_id)
        assert shown(bare_client, stream) == REFUSED
        for path in (f"/api/bookings/status/{job_id}", "/api/auth/profile"):
            assert verdict(bare_client, path, query_string={"token": stream}) == REFUSED

    def test_an_access_token_is_no_streams_token(self, bare_client: FlaskClient, token: str) -> None:
        path = f"/api/bookings/status/{uuid.uuid4()}/stream"
        for query in (token[:200], jwt.encode({}, "x" * 32)):
            assert verdict(bare_client, path, query_string={"token": query}) == REFUSED
