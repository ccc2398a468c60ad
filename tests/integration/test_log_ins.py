"""Logging in: passwords, the throttle, rotating tokens, ending log-ins."""

import dataclasses
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, select, update
from werkzeug.test import TestResponse

from shared.clock import utc_now
from shared.db import transaction
from shared.line import keys
from shared.models import LoginFailure, RevokedToken, User
from shared.services.passwords import Passwords
from shared.settings import Settings
from tests.account_calls import OTHER, WRONG, bearer, log_in, profile_status, refresh, register
from tests.factories import PASSWORD, make_user


@pytest.fixture
def ada(client: FlaskClient) -> dict[str, Any]:
    """What registering answered."""
    answer = register(client)
    assert answer.status_code == 201
    tokens: dict[str, Any] = answer.get_json()
    return tokens


class TestLogIn:
    def test_gives_tokens_for_the_right_password(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        answer = log_in(client, email="Ada@Example.org")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.get_json()["user"] == ada["user"]
        assert profile_status(client, answer.get_json()) == 200

    @pytest.mark.usefixtures("ada")
    def test_answers_the_same_to_an_unknown_address_and_a_wrong_password(self, client: FlaskClient) -> None:
        answers = [
            log_in(client, password=WRONG),
            log_in(client, email="eve@example.org"),
            log_in(client, email="eve"),
        ]
        bodies = [answer.get_json() for answer in answers]
        assert [answer.status_code for answer in answers] == [401, 401, 401]
        for body in bodies:
            body.pop("request_id")
        assert bodies[0]["code"] == "invalid_credentials"
        assert bodies[0] == bodies[1] == bodies[2]
        assert all(answer.headers["WWW-Authenticate"] for answer in answers)

    def test_nobody_logs_in_to_an_account_without_a_password(
        self, client: FlaskClient, engine: Engine
    ) -> None:
        user = make_user(engine)
        assert log_in(client, email=user.email).status_code == 401

    def test_renews_a_hash_made_with_older_parameters(
        self, client: FlaskClient, engine: Engine, settings: Settings
    ) -> None:
        older = Passwords(dataclasses.replace(settings, hash_time_cost=2)).hash(PASSWORD)
        with transaction(engine) as session:
            session.add(User(name="Bob", email="bob@example.org", role="attendee", password_hash=older))
        assert log_in(client, email="bob@example.org").status_code == 200
        with transaction(engine) as session:
            renewed = session.scalars(select(User.password_hash)).one()
        assert renewed != older
        assert log_in(client, email="bob@example.org").status_code == 200


class TestThrottle:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return dataclasses.replace(settings, login_failures_max=3)

    def _fail(self, client: FlaskClient, times: int, **options: str) -> list[int]:
        return [log_in(client, password=WRONG, **options).status_code for _ in range(times)]

    @pytest.mark.usefixtures("ada")
    def test_refuses_after_too_many_failures_even_the_right_password(self, client: FlaskClient) -> None:
        assert self._fail(client, 4) == [401, 401, 401, 429]
        answer = log_in(client)
        assert (answer.status_code, answer.get_json()["code"]) == (429, "login_throttled")
        assert 25 <= int(answer.headers["Retry-After"]) <= 30
        assert answer.get_json()["retry_after_seconds"] == int(answer.headers["Retry-After"])

    def test_an_unknown_address_is_throttled_alike(self, client: FlaskClient) -> None:
        assert self._fail(client, 4, email="eve@example.org") == [401, 401, 401, 429]

    def test_one_account_is_one_however_its_address_is_spelt(self, client: FlaskClient) -> None:
        """PostgreSQL takes a capital I with a dot for an i; Python's lower() makes two characters of it."""
        register(client, email="idil@example.org")
        assert log_in(client, email="\u0130DIL@example.org").status_code == 200
        spellings = ["idil@example.org", "\u0130dil@example.org", "id\u0130l@example.org", "IDIL@example.org"]
        statuses = [log_in(client, email=email, password=WRONG).status_code for email in spellings]
        assert statuses == [401, 401, 401, 429]

    @pytest.mark.usefixtures("ada")
    def test_a_network_of_ipv6_is_one_address(self, client: FlaskClient) -> None:
        """One customer has 2**64 of them: a guess from each would be no throttle at all."""
        for number in range(3):
            assert self._fail(client, 1, address=f"2001:db8:0:1::{number + 1:x}") == [401]
        assert log_in(client, address="2001:db8:0:1:ffff::1").status_code == 429
        assert log_in(client, address="2001:db8:0:2::1").status_code == 200

    @pytest.mark.usefixtures("ada")
    def test_a_forwarding_header_makes_nobody_somebody_else(self, client: FlaskClient) -> None:
        """Without a proxy that the settings count, it is anybody's to write."""
        statuses = []
        for number in range(4):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
            body = {"email": "ada@example.org", "password": WRONG}
            statuses.append(client.post("/api/auth/login", json=body, headers=headers).status_code)
        assert statuses == [401, 401, 401, 429]

    @pytest.mark.usefixtures("ada")
    def test_behind_a_proxy_what_the_client_wrote_before_it_counts_for_nothing(
        self, make_app: Callable[[Settings], Flask], settings: Settings
    ) -> None:
        """The last address is the proxy's word; those before it came with the request."""
        client = make_app(dataclasses.replace(settings, trusted_proxy_hops=1)).test_client()
        body = {"email": "ada@example.org", "password": WRONG}

        def status(forwarded: str) -> int:
            answer = client.post("/api/auth/login", json=body, headers={"X-Forwarded-For": forwarded})
            return answer.status_code

        spoofed = [status(f"203.0.113.{number}, 198.51.100.7") for number in range(4)]
        assert spoofed == [401, 401, 401, 429]
        assert status("198.51.100.7, 198.51.100.8") == 401

    @pytest.mark.usefixtures("ada")
    def test_another_address_and_another_account_go_on(self, client: FlaskClient) -> None:
        register(client, email="bob@example.org")
        self._fail(client, 4)
        assert log_in(client, address="192.0.2.2").status_code == 200
        assert log_in(client, email="bob@example.org").status_code == 200
        assert log_in(client).status_code == 429

    @pytest.mark.usefixtures("ada")
    def test_success_forgives_this_address_only(self, client: FlaskClient) -> None:
        self._fail(client, 2)
        self._fail(client, 2, address="192.0.2.2")
        assert log_in(client).status_code == 200
        assert self._fail(client, 3) == [401, 401, 401]
        assert self._fail(client, 2, address="192.0.2.2") == [401, 429]

    @pytest.mark.usefixtures("ada")
    def test_an_address_that_tries_many_accounts_is_refused(self, client: FlaskClient) -> None:
        statuses = [log_in(client, email=f"p{number}@example.org").status_code for number in range(30)]
        assert set(statuses) == {401}
        assert log_in(client).status_code == 429
        assert log_in(client, address="192.0.2.2").status_code == 200

    @pytest.mark.usefixtures("ada")
    def test_the_wait_grows_and_ends(self, client: FlaskClient, engine: Engine) -> None:
        self._fail(client, 3)
        self._pass_time(engine, seconds=31)
        assert self._fail(client, 1) == [401]
        assert 30 < int(log_in(client).headers["Retry-After"]) <= 60
        self._pass_time(engine, seconds=61)
        assert log_in(client).status_code == 200

    @pytest.mark.usefixtures("ada")
    def test_of_many_guesses_at_once_no_more_are_answered(self, app: Flask) -> None:
        statuses: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: statuses.append(log_in(app.test_client(), password=WRONG).status_code)
            )
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(401) <= 3
        assert set(statuses) <= {401, 429, 503}

    def test_confirming_with_the_password_counts_too(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        for status in (401, 401, 401, 429):
            answer = client.delete("/api/auth/account", json={"password": WRONG}, headers=bearer(ada))
            assert answer.status_code == status

    def _pass_time(self, engine: Engine, *, seconds: int) -> None:
        with transaction(engine) as session:
            session.execute(
                update(LoginFailure).values(failed_at=LoginFailure.failed_at - timedelta(seconds=seconds))
            )


class TestRefresh:
    def test_gives_a_new_pair_that_works(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        answer = refresh(client, ada["refresh_token"])
        body = answer.get_json()
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert body["user"] == ada["user"]
        assert body["refresh_token"] != ada["refresh_token"]
        assert profile_status(client, body) == 200
        assert refresh(client, body["refresh_token"]).status_code == 200

    def test_takes_the_token_as_bearer_too(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {ada['refresh_token']}"}
        assert client.post("/api/auth/refresh", headers=headers).status_code == 200

    def test_a_second_use_ends_the_whole_log_in_and_no_other(
        self, client: FlaskClient, ada: dict[str, Any]
    ) -> None:
        other = log_in(client).get_json()
        newer = refresh(client, ada["refresh_token"]).get_json()
        reused = refresh(client, ada["refresh_token"])
        assert (reused.status_code, reused.get_json()["code"]) == (401, "unauthenticated")
        assert [profile_status(client, tokens) for tokens in (ada, newer, other)] == [401, 401, 200]
        assert refresh(client, newer["refresh_token"]).status_code == 401
        assert refresh(client, other["refresh_token"]).status_code == 200

    def test_used_by_many_at_once_no_more_than_one_pair_is_given(
        self, app: Flask, ada: dict[str, Any]
    ) -> None:
        answers: list[TestResponse] = []
        threads = [
            threading.Thread(target=lambda: answers.append(refresh(app.test_client(), ada["refresh_token"])))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        given = [answer.get_json() for answer in answers if answer.status_code == 200]
        assert len(given) == 1
        # the others were a reuse: what the first was given is gone with the family
        assert profile_status(app.test_client(), given[0]) == 401
        assert refresh(app.test_client(), given[0]["refresh_token"]).status_code == 401

    @pytest.mark.parametrize("token", ["x", "a.b.c", ""])
    def test_refuses_what_is_no_refresh_token(self, client: FlaskClient, token: str) -> None:
        assert refresh(client, token).status_code in (401, 422)

    def test_an_access_token_does_not_refresh(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        assert refresh(client, ada["token"]).status_code == 401
        assert client.post("/api/auth/refresh").status_code == 401

    def test_a_refresh_token_opens_nothing_else(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        assert profile_status(client, {"token": ada["refresh_token"]}) == 401


class TestLogOut:
    def test_ends_this_log_in_at_once_and_no_other(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        other = log_in(client).get_json()
        newer = refresh(client, ada["refresh_token"]).get_json()
        assert client.post("/api/auth/logout", headers=bearer(newer)).status_code == 204
        assert [profile_status(client, tokens) for tokens in (ada, newer, other)] == [401, 401, 200]
        assert refresh(client, newer["refresh_token"]).status_code == 401
        assert client.post("/api/auth/logout", headers=bearer(newer)).status_code == 401

    def test_the_revocation_outlives_every_token_it_concerns(
        self, client: FlaskClient, engine: Engine, settings: Settings, ada: dict[str, Any]
    ) -> None:
        client.post("/api/auth/logout", headers=bearer(ada))
        with transaction(engine) as session:
            row = session.scalars(select(RevokedToken)).one()
        assert row.subject.startswith("family:")
        assert row.expires_at - utc_now() > timedelta(seconds=settings.access_token_seconds)


class TestChangePassword:
    def test_ends_every_log_in_but_this_one(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        other = log_in(client).get_json()
        answer = self._change(client, ada)
        assert answer.status_code == 204
        assert [profile_status(client, tokens) for tokens in (ada, other)] == [200, 401]
        assert refresh(client, other["refresh_token"]).status_code == 401
        assert refresh(client, ada["refresh_token"]).status_code == 200
        assert log_in(client).status_code == 401
        assert log_in(client, password=OTHER).status_code == 200

    def test_wants_the_current_password(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        other = log_in(client).get_json()
        answer = self._change(client, ada, current_password=WRONG)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_credentials")
        assert [profile_status(client, tokens) for tokens in (ada, other)] == [200, 200]
        assert log_in(client).status_code == 200

    @pytest.mark.parametrize("password", ["short", "password1234", "ada@example.org", "x1-" * 43])
    def test_judges_the_new_one_as_registering_does(
        self, client: FlaskClient, ada: dict[str, Any], password: str
    ) -> None:
        answer = self._change(client, ada, new_password=password)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["#/new_password"]

    def _change(self, client: FlaskClient, tokens: dict[str, Any], **fields: str) -> TestResponse:
        body = {"current_password": PASSWORD, "new_password": OTHER} | fields
        return client.put("/api/auth/change-password", json=body, headers=bearer(tokens))


def test_the_line_is_told_of_a_revocation(
    client: FlaskClient, ada: dict[str, Any], redis_client: Redis
) -> None:
    client.post("/api/auth/logout", headers=bearer(ada))
    family = jwt.decode(ada["token"], options={"verify_signature": False})["fam"]
    assert redis_client.ttl(keys.revoked(f"family:{family}")) > ada["expires_in"]
