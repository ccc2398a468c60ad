"""Bearer tokens: what counts as one, without a database."""

import base64
import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask

from api.access_tokens import AccessTokens, Identity
from api.auth import (
    current_identity,
    decode_refresh_token,
    init_jwt,
)
from api.exchange import Exchange
from shared.clock import utc_now
from shared.errors import GuichetError
from shared.services.tokens import mint_access_token, mint_refresh_token
from shared.settings import Settings

SECRET = "an-only-here-used-secret-of-more-than-the-64-bytes-of-HS512-01234567"
FAMILY = uuid.uuid4()


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.app_ctx_globals_class = Exchange
    init_jwt(app, Settings(env="test", secret_key=SECRET), AccessTokens(SECRET))
    return app


def access_token(*, secret: str = SECRET, lifetime_seconds: int = 900) -> str:
    return mint_access_token(
        secret, user_id=7, role="host", family_id=FAMILY, now=utc_now(), lifetime_seconds=lifetime_seconds
    )


def forged(*, drop: str = "", secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """A valid access token's claims with some changed, signed again."""
    claims = jwt.decode(access_token(), options={"verify_signature": False}) | changes
    claims.pop(drop, None)
    return jwt.encode(claims, secret, algorithm=algorithm)


def identify(app: Flask, token: str) -> Identity:
    with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
        return current_identity()


class TestCurrentIdentity:
    def test_is_what_the_minted_token_says(self, app: Flask) -> None:
        identity = identify(app, access_token())
        assert (identity.user_id, identity.role, identity.family_id) == (7, "host", str(FAMILY))
        assert identity.subjects == (f"family:{FAMILY}", "user:7")
        assert 0 < identity.expires_at - time.time() <= 900

    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer a.b.c", "Bearer \xff"]
    )
    def test_refuses_what_is_no_bearer_token(self, app: Flask, header: str) -> None:
        with (
            app.test_request_context(headers={"Authorization": header}),
            pytest.raises(GuichetError) as refusal,
        ):
            current_identity()
        assert refusal.value.code == "unauthenticated"

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(forged(secret=SECRET[::-1]), id="another secret"),
            pytest.param(forged(algorithm="HS512"), id="another algorithm"),
            pytest.param(forged(drop="type"), id="no type"),
            pytest.param(forged(type="refresh"), id="a refresh token"),
            pytest.param(forged(iss="elsewhere"), id="another issuer"),
            pytest.param(forged(drop="iss"), id="no issuer"),
            pytest.param(forged(aud="elsewhere"), id="another audience"),
            pytest.param(forged(drop="aud"), id="no audience"),
            pytest.param(forged(drop="exp"), id="never expires"),
            pytest.param(forged(exp=int(time.time()) - 60), id="expired"),
            pytest.param(
                forged(iat=int(time.time()) + 86_400, exp=int(time.time()) + 90_000), id="from the future"
            ),
            pytest.param(forged(drop="sub"), id="nobody"),
            pytest.param(forged(sub="root"), id="no number"),
            pytest.param(forged(drop="fam"), id="no family"),
            pytest.param(forged(fam=7), id="a strange family"),
            pytest.param(forged(drop="role"), id="no role"),
        ],
    )
    def test_refuses_a_token_with_something_wrong(self, app: Flask, token: str) -> None:
        with pytest.raises(GuichetError) as refusal:
            identify(app, token)
        assert refusal.value.code == "unauthenticated"

    def test_refuses_an_unsigned_token(self, app: Flask) -> None:
        header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        with pytest.raises(GuichetError):
            identify(app, f"{header}.{access_token().split('.')[1]}.")

    def test_survives_json_nested_too_deep(self, app: Flask) -> None:
        bomb = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
        for token in (f"{bomb}.{bomb}.x", f"{access_token().split('.')[0]}.{bomb}.eHh4"):
            with pytest.raises(GuichetError) as refusal:
                identify(app, token)
            assert refusal.value.code == "unauthenticated"

    def test_forgets_a_remembered_token_when_it_expires(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = access_token(lifetime_seconds=900)
        identify(app, token)
        later = time.time() + timedelta(seconds=901).total_seconds()
        monkeypatch.setattr("api.access_tokens.time.time", lambda: later)
        verified: AccessTokens = app.extensions["guichet-tokens"]
        assert verified.find(token, later) is None
        assert len(verified) == 0


class TestAccessTokensRead:
    @pytest.mark.parametrize("changes", [{"fam": "x"}, {"sub": "root"}])
    def test_is_nobody_for_one_that_is_signed_and_wrong(self, changes: dict[str, str]) -> None:
        """Whatever is before Flask gets no error; Flask then says 401."""
        environ = {"HTTP_AUTHORIZATION": f"Bearer {forged(**changes)}"}
        assert AccessTokens(SECRET).read(environ) is None

    def test_is_who_a_good_one_names(self) -> None:
        identity = AccessTokens(SECRET).read({"HTTP_AUTHORIZATION": f"Bearer {access_token()}"})
        assert identity is not None
        assert identity.user_id == 7


class TestRefreshToken:
    def test_says_its_row_and_family(self, app: Flask) -> None:
        token_id = uuid.uuid4()
        token = mint_refresh_token(
            SECRET, token_id=token_id, user_id=7, family_id=FAMILY, now=utc_now(), lifetime_seconds=60
        )
        with app.app_context():
            claims = decode_refresh_token(token)
        assert (claims.token_id, claims.family_id, claims.user_id) == (token_id, FAMILY, 7)
        with pytest.raises(GuichetError):
            identify(app, token)

    @pytest.mark.parametrize(
        "token", [access_token(), forged(type="refresh", jti="x"), forged(drop="type"), "x"]
    )
    def test_nothing_else_is_one(self, app: Flask, token: str) -> None:
        with app.app_context(), pytest.raises(GuichetError, match="unauthenticated"):
            decode_refresh_token(token)


class TestAccessTokens:
    def test_keeps_at_most_its_capacity_and_forgets_the_oldest(self) -> None:
        verified = AccessTokens(SECRET, capacity=3)
        identities = {name: Identity(number, "attendee", "f", 100.0) for number, name in enumerate("abcd")}
        for name, identity in identities.items():
            verified.add(name, identity)
        assert len(verified) == 3
        assert verified.find("a", now=0.0) is None
        assert verified.find("d", now=0.0) == identities["d"]
