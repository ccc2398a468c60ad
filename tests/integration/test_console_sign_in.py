"""Signing in to the console and out again."""

import dataclasses

import pytest
from sqlalchemy import select

from api.contract import find_operation
from shared.db import transaction
from shared.domain.accounts import ADDRESS_FACTOR
from shared.models import LoginFailure
from tests.account_calls import WRONG, bearer
from tests.account_calls import log_in as log_in_to_the_api
from tests.console_calls import (
    OWN,
    PAGE,
    find_token,
    make_admin,
    open_form,
    page_token,
    sign_in,
    signed_in,
)
from tests.factories import PASSWORD, make_user

# Where a log-in must not lead: other hosts, other parts of the service, what a browser makes either of.
ELSEWHERE = (
    "https://evil.example/rq/",
    "//evil.example/rq/",
    "/\\evil.example",
    "/rq\\..\\evil",
    "/rq/../api/auth/logout",
    "/rq/%2e%2e/docs",
    "/rq.evil.example",
    "/rq@evil.example",
    "/rqevil",
    "/docs",
    "javascript:alert(1)",
    "/rq/\r\nSet-Cookie: a=b",
    "/rq/\n",
    "/rq//evil.example",
)
FOREIGN = (
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)


@pytest.fixture
def admin(engine):
    return make_admin(engine)


def guarded_lists(app):
    """Every address of the API that one can GET, without arguments, with an access token only."""
    found = []
    for rule in app.url_map.iter_rules():
        operation = find_operation(app.view_functions[rule.endpoint])
        if operation and "GET" in rule.methods and not rule.arguments and operation.auth in ("user", "admin"):
            found.append(rule.rule)
    assert "/api/auth/profile" in found
    return found


def cookies_of(response):
    return {header.partition("=")[0]: header for header in response.headers.getlist("Set-Cookie")}


class TestForm:
    def test_is_a_page_without_scripts_that_says_what_it_asks(self, client):
        page = client.get("/login", headers=PAGE)
        assert page.mimetype == "text/html"
        assert '<html lang="en">' in page.text
        assert "<script" not in page.text
        assert 'style="' not in page.text
        for field in ("email", "password"):
            assert f'<label for="{field}">' in page.text
            assert f'id="{field}"' in page.text

    def test_has_its_own_policy(self, client):
        headers = client.get("/login", headers=PAGE).headers
        policy = headers["Content-Security-Policy"]
        assert "script-src" not in policy
        assert policy.startswith("default-src 'none'")
        for rule in ("frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'", "style-src 'self'"):
            assert rule in policy
        assert headers.getlist("Content-Security-Policy") == [policy]
        # `no-referrer`, which other answers have, would make browsers send the form with `Origin: null`
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"

    def test_has_its_stylesheet_without_a_session(self, client):
        response = client.get("/login/console.css")
        assert (response.status_code, response.mimetype) == (200, "text/css")

    def test_shows_what_was_typed_as_text(self, client):
        page = sign_in(client, '"><img src=x onerror=alert(1)>@example.org', password=WRONG)
        assert page.status_code == 401
        assert "<img" not in page.text

    def test_never_shows_the_password_again(self, client, admin):
        assert WRONG not in sign_in(client, admin.email, password=WRONG).text


class TestSigningIn:
    def test_lets_an_admin_in(self, client, admin):
        response = sign_in(client, admin.email)
        assert (response.status_code, response.headers["Location"]) == (303, "/rq/")
        assert client.get("/rq/", headers=PAGE).status_code == 200

    def test_gives_a_cookie_that_scripts_and_other_sites_never_see(self, client, admin):
        cookie = cookies_of(sign_in(client, admin.email))["guichet_console"]
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie
        assert "Secure" not in cookie  # over plain HTTP the browser would drop it

    @pytest.mark.parametrize("how", ["request", "base_url", "proxy"])
    def test_binds_the_cookie_to_this_host_behind_tls(self, make_app, settings, admin, how):
        environ = {}
        if how == "request":
            environ = {"wsgi.url_scheme": "https"}
        elif how == "base_url":
            settings = dataclasses.replace(settings, base_url="https://localhost")
        else:
            settings = dataclasses.replace(settings, trusted_proxy_hops=1)
            environ = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}
        client = make_app(settings).test_client()
        base_url = (
            "https://localhost"  # the client's own idea of where it is: it keeps Secure cookies to itself
        )
        page = client.get("/login", headers=PAGE, base_url=base_url, environ_overrides=environ)
        response = client.post(
            "/login",
            base_url=base_url,
            environ_overrides=environ,
            headers={"Origin": "https://localhost"},
            data={"email": admin.email, "password": PASSWORD, "csrf_token": find_token(page)},
        )
        assert response.status_code == 303
        cookie = cookies_of(response)["__Host-guichet_console"]
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert (
            client.get("/rq/", headers=PAGE, base_url=base_url, environ_overrides=environ).status_code == 200
        )

    def test_a_forged_forwarding_header_counts_for_nothing(self, client):
        response = client.get("/login", headers=PAGE | {"X-Forwarded-Proto": "https"})
        assert "guichet_login" in cookies_of(response)

    def test_an_unbound_cookie_counts_for_nothing_behind_tls(self, app, client, admin):
        sign_in(client, admin.email)
        cookie = client.get_cookie("guichet_console")
        over_tls = app.test_client()
        over_tls.set_cookie("guichet_console", cookie.value)
        assert over_tls.get("/rq/", base_url="https://localhost").status_code == 401

    def test_leads_back_to_where_one_wanted_to_go(self, client, admin):
        asked = client.get("/rq/0/view/workers", headers=PAGE)
        assert asked.headers["Location"] == "/login?next=/rq/0/view/workers"
        form = client.get(asked.headers["Location"], headers=PAGE)
        assert 'name="next" value="/rq/0/view/workers"' in form.text
        response = sign_in(client, admin.email, token=find_token(form), next="/rq/0/view/workers")
        assert response.headers["Location"] == "/rq/0/view/workers"

    def test_leads_nowhere_else(self, app, engine, admin):
        browser = signed_in(app, engine, admin)
        for elsewhere in ELSEWHERE:
            client = app.test_client()
            form = client.get("/login", headers=PAGE, query_string={"next": elsewhere})
            assert 'name="next" value="/rq/"' in form.text, elsewhere
            response = sign_in(client, admin.email, token=find_token(form), next=elsewhere)
            assert response.headers["Location"] == "/rq/", elsewhere
            again = browser.get("/login", headers=PAGE, query_string={"next": elsewhere})
            assert (again.status_code, again.headers["Location"]) == (303, "/rq/"), elsewhere


class TestRefusals:
    @pytest.mark.parametrize("role", ["attendee", "host"])
    def test_nobody_but_admins(self, engine, client, role):
        user = make_user(engine, role=role, password=PASSWORD)
        assert sign_in(client, user.email).status_code == 401
        assert client.get("/rq/").status_code == 401

    def test_all_wrong_ways_get_the_same_answer(self, engine, app, admin):
        host = make_user(engine, role="host", password=PASSWORD)
        tries = [(admin.email, WRONG), ("nobody@example.org", PASSWORD), (host.email, PASSWORD)]
        pages = []
        for email, password in tries:
            client = app.test_client()
            page = sign_in(client, email, password=password)
            assert page.status_code == 401
            assert page.headers["WWW-Authenticate"]
            assert "guichet_console" not in cookies_of(page)
            pages.append(page.text.replace(email, "…").replace(find_token(page), "…"))
        assert len(set(pages)) == 1

    def test_an_unknown_address_costs_a_hash_too(self, app, client, monkeypatch):
        checked = []
        passwords = app.extensions["guichet"].passwords
        check = type(passwords).check
        monkeypatch.setattr(
            type(passwords), "check", lambda self, *given: checked.append(given) or check(self, *given)
        )
        sign_in(client, "nobody@example.org")
        assert checked == [(PASSWORD, None)]

    def test_input_that_no_account_can_have(self, app):
        for email, password in (
            ("", PASSWORD),
            ("a\x00b@example.org", PASSWORD),
            ("ada@example.org", ""),
            ("a" * 2000, "b" * 5000),
        ):
            assert sign_in(app.test_client(), email, password=password).status_code == 401, email

    def test_a_form_that_is_too_large(self, client):
        assert sign_in(client, "ada@example.org", password="x" * 100_000).status_code == 413


class TestThrottling:
    def test_counts_together_with_the_log_ins_of_the_api(self, make_app, settings, admin, engine):
        settings = dataclasses.replace(settings, login_failures_max=3)
        app = make_app(settings)
        for number in range(3):
            if number % 2:
                assert sign_in(app.test_client(), admin.email, password=WRONG).status_code == 401
            else:
                assert (
                    log_in_to_the_api(app.test_client(), email=admin.email, password=WRONG).status_code == 401
                )
        refused = sign_in(app.test_client(), admin.email)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.mimetype == "text/html"
        assert log_in_to_the_api(app.test_client(), email=admin.email).status_code == 429
        assert sign_in(app.test_client(), admin.email, address="192.0.2.2").status_code == 303

    def test_counts_every_account_that_one_address_tries(self, make_app, settings, admin):
        settings = dataclasses.replace(settings, login_failures_max=1)
        app = make_app(settings)
        for number in range(ADDRESS_FACTOR):
            sign_in(app.test_client(), f"nobody-{number}@example.org")
        assert sign_in(app.test_client(), admin.email).status_code == 429

    def test_success_forgives(self, client, admin, engine):
        sign_in(client, admin.email, password=WRONG)
        sign_in(client, admin.email)
        with transaction(engine) as session:
            assert session.scalars(select(LoginFailure)).all() == []

    def test_hashes_are_capped(self, app, client, admin):
        passwords = app.extensions["guichet"].passwords
        passwords._wait_seconds_max = 0.01
        while passwords._turns.acquire(blocking=False):
            pass
        response = sign_in(client, admin.email)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "2"


class TestForgery:
    """Somebody else's page makes the browser send a log-in, or a log-out."""

    def test_from_another_origin_is_refused(self, app, engine, admin):
        browser = signed_in(app, engine, admin)
        token = page_token(browser)
        for headers in FOREIGN:
            response = sign_in(app.test_client(), admin.email, headers=headers)
            assert response.status_code == 403, headers
            assert "guichet_console" not in cookies_of(response)
            refused = browser.post("/logout", data={"csrf_token": token}, headers=headers)
            assert (refused.status_code, refused.json["code"]) == (403, "cross_site"), headers
        assert browser.get("/rq/", headers=PAGE).status_code == 200

    def test_either_header_suffices_for_our_own(self, app, admin):
        for headers in ({"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}):
            assert sign_in(app.test_client(), admin.email, headers=headers).status_code == 303, headers

    def test_without_the_forms_token_is_refused(self, client, admin):
        open_form(client)
        assert sign_in(client, admin.email, token="").status_code == 403

    def test_with_the_token_of_another_browser_is_refused(self, app, client, admin):
        theirs = open_form(app.test_client())
        open_form(client)
        assert sign_in(client, admin.email, token=theirs).status_code == 403

    def test_without_the_forms_cookie_is_refused(self, client, admin):
        token = open_form(client)
        client.delete_cookie("guichet_login")
        assert sign_in(client, admin.email, token=token).status_code == 403

    def test_a_sessions_token_is_no_forms_token(self, app, engine, admin):
        browser = signed_in(app, engine, admin)
        token = page_token(browser)
        browser.set_cookie("guichet_login", "x")
        assert sign_in(browser, admin.email, token=token).status_code == 403

    def test_a_log_out_without_its_sessions_token_is_refused(self, app, engine, admin):
        mine, theirs = signed_in(app, engine, admin), signed_in(app, engine)
        for token in ("", page_token(theirs)):
            assert mine.post("/logout", data={"csrf_token": token}, headers=OWN).status_code == 403
        assert mine.get("/rq/", headers=PAGE).status_code == 200

    def test_logging_out_takes_a_post(self, app, engine):
        browser = signed_in(app, engine)
        assert browser.get("/logout").status_code == 405
        assert browser.get("/rq/", headers=PAGE).status_code == 200


class TestBearersAndCookies:
    def test_the_cookie_opens_nothing_of_the_api(self, app, engine, admin):
        browser = signed_in(app, engine, admin)
        value = browser.get_cookie("guichet_console").value
        for path in guarded_lists(app):
            assert browser.get(path).status_code == 401, path
            assert browser.get(path, headers={"Authorization": f"Bearer {value}"}).status_code == 401, path

    def test_an_access_token_opens_nothing_of_the_console(self, app, client, admin):
        tokens = log_in_to_the_api(client, email=admin.email).json
        assert client.get("/rq/", headers=bearer(tokens)).status_code == 401
        for name in ("token", "refresh_token"):
            client.set_cookie("guichet_console", tokens[name])
            assert client.get("/rq/").status_code == 401
