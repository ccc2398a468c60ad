"""A console session: how long it counts, and what ends it."""

import json
import time
import uuid
from datetime import timedelta

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import func, select, update

from api.console.sessions import IDLE_SECONDS, make_signer
from shared.db import transaction
from shared.models import RefreshToken, User
from shared.services import accounts, token_families
from shared.services.console_sessions import SESSION_SECONDS
from tests.account_calls import OTHER, bearer, log_in
from tests.console_calls import OWN, PAGE, make_admin, open_form, page_token, sign_in, signed_in
from tests.factories import PASSWORD, make_user

COOKIE = "guichet_console"


@pytest.fixture
def admin(engine):
    return make_admin(engine)


@pytest.fixture
def browser(app, engine, admin):
    return signed_in(app, engine, admin)


def is_in(browser):
    return browser.get("/rq/", headers=PAGE).status_code == 200


def cookie_of(browser):
    return browser.get_cookie(COOKIE).value


def with_cookie(app, value):
    client = app.test_client()
    client.set_cookie(COOKIE, value)
    return client


def aged(settings, cookie, seconds):
    """The same session as if it had been signed so long ago."""
    content = make_signer(settings, "session").loads(cookie)

    class Past(TimestampSigner):
        def get_timestamp(self):
            return int(time.time()) - seconds

    fresh = make_signer(settings, "session")
    serializer = URLSafeTimedSerializer(
        settings.secret_key, salt=fresh.salt, signer=Past, signer_kwargs=fresh.signer_kwargs
    )
    return serializer.dumps(content)


class TestWithoutASession:
    def test_nothing_is_served(self, client):
        for address in (
            "/rq",
            "/rq/",
            "/rq/0/view/jobs",
            "/rq/0/data/queues.json",
            "/rq/console.js",
            "/rq/static/css/main.css",
            "/rq/nothing",
        ):
            page = client.get(address, headers=PAGE)
            assert page.status_code == 303, address
            assert page.headers["Location"].startswith("/login?next=/rq")
            refused = client.get(address)
            assert (refused.status_code, refused.json["code"]) == (401, "console_session_required"), address
            assert refused.headers["WWW-Authenticate"].startswith("Cookie")

    def test_nothing_is_done(self, client):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for address in ("/rq/", "/rq/requeue/tasks", "/rq/queue/tasks/failed/empty"):
                assert client.open(address, method=method, headers=PAGE | OWN).status_code == 401

    def test_rq_dashboard_is_not_even_loaded(self, app, client):
        client.get("/rq/", headers=PAGE)
        assert "guichet-console" not in app.extensions


class TestCookie:
    def test_of_another_key_counts_for_nothing(self, app, settings, browser):
        content = make_signer(settings, "session").loads(cookie_of(browser))
        for forged in (
            URLSafeTimedSerializer("another key", salt="guichet.console.session").dumps(content),
            URLSafeTimedSerializer(settings.secret_key, salt="itsdangerous").dumps(content),
            make_signer(settings, "form").dumps(content),
            make_signer(settings, "change").dumps(content),
        ):
            assert not is_in(with_cookie(app, forged))

    def test_every_changed_character_breaks_it(self, app, browser):
        cookie = cookie_of(browser)
        assert is_in(with_cookie(app, cookie))
        for position in range(0, len(cookie), 7):
            other = "A" if cookie[position] != "A" else "B"
            changed = cookie[:position] + other + cookie[position + 1 :]
            assert not is_in(with_cookie(app, changed)), position

    def test_that_we_signed_but_that_makes_no_sense(self, app, settings):
        signer = make_signer(settings, "session")
        for content in (None, 1, "x", [], [1], ["1", "no uuid"], [None, None], {"0": 1}, [[], {}], [1, 2]):
            assert not is_in(with_cookie(app, signer.dumps(content))), content

    def test_for_a_session_that_never_was(self, app, settings, admin):
        cookie = make_signer(settings, "session").dumps([admin.id, str(uuid.uuid4())])
        assert not is_in(with_cookie(app, cookie))

    def test_for_somebody_elses_session(self, app, engine, settings, browser):
        other = make_admin(engine)
        _, family = make_signer(settings, "session").loads(cookie_of(browser))
        assert not is_in(with_cookie(app, make_signer(settings, "session").dumps([other.id, family])))

    def test_for_a_family_of_access_tokens_that_has_ended(self, app, client, settings, admin):
        tokens = log_in(client, email=admin.email).json
        client.post("/api/auth/logout", headers=bearer(tokens))
        family = json.loads(_segment(tokens["token"]))["fam"]
        assert not is_in(with_cookie(app, make_signer(settings, "session").dumps([admin.id, family])))


def _segment(token):
    from base64 import urlsafe_b64decode

    middle = token.split(".")[1]
    return urlsafe_b64decode(middle + "=" * (-len(middle) % 4))


class TestFixation:
    def test_a_cookie_from_before_is_never_taken_over(self, app, engine, settings, admin):
        """Somebody plants a cookie of their own; the log-in must make another session."""
        planted = signed_in(app, engine)
        browser = with_cookie(app, cookie_of(planted))
        browser.delete_cookie(COOKIE)
        token = open_form(browser)
        browser.set_cookie(COOKIE, cookie_of(planted))
        before = cookie_of(planted)
        assert sign_in(browser, admin.email, token=token).status_code == 303
        signer = make_signer(settings, "session")
        assert signer.loads(cookie_of(browser))[0] == admin.id
        assert signer.loads(cookie_of(browser))[1] != signer.loads(before)[1]

    def test_the_session_from_before_ends(self, app, engine, admin):
        planted = signed_in(app, engine)
        browser = app.test_client()
        token = open_form(browser)
        browser.set_cookie(COOKIE, cookie_of(planted))
        sign_in(browser, admin.email, token=token)
        assert not is_in(planted)
        assert is_in(browser)

    def test_two_log_ins_are_two_sessions(self, app, engine, admin):
        one, two = signed_in(app, engine, admin), signed_in(app, engine, admin)
        one.post("/logout", data={"csrf_token": page_token(one)}, headers=OWN)
        assert not is_in(one)
        assert is_in(two)


class TestTime:
    def test_is_over_after_an_hour_of_nothing(self, app, settings, browser):
        cookie = cookie_of(browser)
        assert is_in(with_cookie(app, aged(settings, cookie, IDLE_SECONDS - 60)))
        assert not is_in(with_cookie(app, aged(settings, cookie, IDLE_SECONDS + 60)))

    def test_opening_a_page_lets_it_begin_anew(self, app, settings, browser):
        old = aged(settings, cookie_of(browser), IDLE_SECONDS - 60)
        browser = with_cookie(app, old)
        assert is_in(browser)
        assert cookie_of(browser) != old

    def test_what_an_open_page_fetches_by_itself_does_not(self, app, settings, browser):
        old = aged(settings, cookie_of(browser), IDLE_SECONDS - 60)
        browser = with_cookie(app, old)
        assert browser.get("/rq/0/data/queues.json").status_code == 200
        assert cookie_of(browser) == old

    def test_is_over_after_its_life_whatever_one_does(self, engine, browser):
        with transaction(engine) as session:
            left = session.scalar(select(RefreshToken.expires_at - func.now()))
            assert timedelta(seconds=SESSION_SECONDS - 60) < left <= timedelta(seconds=SESSION_SECONDS)
            session.execute(update(RefreshToken).values(expires_at=func.now()))
        assert not is_in(browser)


class TestEnd:
    def test_logging_out_ends_it_for_every_copy_of_the_cookie(self, app, browser):
        copy = with_cookie(app, cookie_of(browser))
        response = browser.post("/logout", data={"csrf_token": page_token(browser)}, headers=OWN)
        assert (response.status_code, response.headers["Location"]) == (303, "/login")
        assert browser.get_cookie(COOKIE) is None
        assert not is_in(copy)

    def test_logging_out_twice_does_no_harm(self, browser):
        token = page_token(browser)
        for _ in range(2):
            assert browser.post("/logout", data={"csrf_token": token}, headers=OWN).status_code == 303

    def test_stays_ended_when_revocations_are_forgotten(self, app, engine, browser):
        """`prune` drops revoked subjects after a day; a session must not come back by that."""
        copy = with_cookie(app, cookie_of(browser))
        browser.post("/logout", data={"csrf_token": page_token(browser)}, headers=OWN)
        with transaction(engine) as session:
            assert session.scalar(select(RefreshToken.used_at)) is not None
        assert not is_in(copy)

    def test_a_changed_password_ends_it(self, client, admin, browser):
        tokens = log_in(client, email=admin.email).json
        body = {"current_password": PASSWORD, "new_password": OTHER}
        assert client.put("/api/auth/change-password", json=body, headers=bearer(tokens)).status_code == 204
        assert not is_in(browser)

    def test_a_closed_account_ends_it(self, engine, settings, admin, browser):
        make_user(engine, role="admin")  # the last one cannot be closed
        with transaction(engine) as session:
            user = token_families.lock_user(session, admin.id)
            accounts.close_account(session, user, actor_id=admin.id, settings=settings, request_id=None)
        assert not is_in(browser)

    def test_another_role_ends_it(self, engine, admin, browser):
        with transaction(engine) as session:
            session.execute(update(User).where(User.id == admin.id).values(role="host"))
        assert not is_in(browser)

    def test_revoking_the_user_ends_it(self, engine, settings, admin, browser):
        with transaction(engine) as session:
            token_families.lock_user(session, admin.id)
            token_families.revoke_user(session, admin.id, settings=settings)
        assert not is_in(browser)

    def test_an_open_page_is_told(self, browser):
        browser.delete_cookie(COOKIE)
        refused = browser.get("/rq/0/data/queues.json", headers={"Accept": "application/json"})
        assert (refused.status_code, refused.json["code"]) == (401, "console_session_required")
