"""Calls to the account endpoints that several tests make."""

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import PASSWORD

WRONG = "a-wrong-password-1"
OTHER = "another-fine-password"


def register(client: FlaskClient, **fields: object) -> TestResponse:
    """A registration; a field that is None is left out."""
    body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD} | fields
    return client.post(
        "/api/auth/register", json={name: value for name, value in body.items() if value is not None}
    )


def log_in(
    client: FlaskClient,
    *,
    password: str = PASSWORD,
    email: str = "ada@example.org",
    address: str = "192.0.2.1",
) -> TestResponse:
    """A log-in from `address`."""
    return client.post(
        "/api/auth/login",
        json={"email": email, "password": password},
        environ_overrides={"REMOTE_ADDR": address},
    )


def refresh(client: FlaskClient, token: str) -> TestResponse:
    """A refresh with the token in the body."""
    return client.post("/api/auth/refresh", json={"refresh_token": token})


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    """The Authorization header of a pair of tokens."""
    return {"Authorization": f"Bearer {tokens['token']}"}


def profile_status(client: FlaskClient, tokens: dict[str, Any]) -> int:
    """Whether an access token still counts: 200 or 401."""
    return client.get("/api/auth/profile", headers=bearer(tokens)).status_code
