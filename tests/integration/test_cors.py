"""Pages of other origins: kept out by browsers, unless the operator names them; never with credentials."""

import secrets
from dataclasses import replace

import pytest

from shared.settings import SettingsError, load_settings
from tests.factories import auth_header, make_user

SHOP = "https://shop.example.org"
DESK = "http://localhost:3000"
HEALTH = "/api/health"
PREFLIGHT = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


@pytest.fixture
def open_client(make_app, bare_app):
    """A deployment that two origins may use."""
    return make_app(replace(settings_of(bare_app), cors_origins=f"{SHOP},{DESK}")).test_client()


def settings_of(app):
    return app.extensions["guichet"].settings


def cors_headers(answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


class TestWithoutTheSetting:
    @pytest.mark.parametrize("path", ["/api/nothing", "/nowhere", "/healthz", "/api/health"])
    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
    def test_no_answer_mentions_origins(self, bare_client, path, method):
        answer = bare_client.open(path, method=method, headers=PREFLIGHT)
        assert cors_headers(answer) == {}
        assert "Origin" not in answer.vary

    def test_options_says_what_an_address_takes(self, bare_client):
        answer = bare_client.options("/api/events", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert words(answer.headers["Allow"]) == {"get", "head", "post", "options"}


class TestNamedOrigins:
    @pytest.mark.parametrize("origin", [SHOP, DESK])
    def test_may_read_answers_and_the_headers_that_matter(self, open_client, origin):
        answer = open_client.get(HEALTH, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert words(answer.headers["Access-Control-Expose-Headers"]) >= {
            "location", "etag", "link", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id",
            "idempotency-replayed", "preference-applied",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/api/nothing", 404), ("DELETE", HEALTH, 405), ("POST", "/api/bookings", 401)],
    )
    def test_may_read_errors(self, open_client, method, path, status):
        answer = open_client.open(path, method=method, headers={"Origin": SHOP})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, SHOP)

    def test_may_read_that_they_ask_too_often(self, make_app, bare_app):
        tight = replace(settings_of(bare_app), cors_origins=SHOP, general_rate_per_minute=1)
        client = make_app(tight).test_client()
        answer = [client.get("/api/nothing", headers={"Origin": SHOP}) for _ in range(2)][-1]
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (429, SHOP)
        assert client.options(HEALTH, headers=PREFLIGHT).status_code == 200

    def test_may_ask_what_they_may_send(self, open_client):
        answer = open_client.options("/api/events", headers=PREFLIGHT)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, SHOP)
        assert words(answer.headers["Access-Control-Allow-Methods"]) == {"get", "head", "post", "options"}
        assert words(answer.headers["Access-Control-Allow-Headers"]) >= {
            "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "prefer",
        }  # fmt: skip
        assert int(answer.headers["Access-Control-Max-Age"]) > 0

    def test_may_use_tokens(self, make_app, settings, engine):
        app = make_app(replace(settings, cors_origins=SHOP))
        user = auth_header(app, make_user(engine))
        answer = app.test_client().get("/api/auth/profile", headers={**user, "Origin": SHOP})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, SHOP)

    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
    def test_never_get_credentials(self, open_client, method):
        answer = open_client.open(HEALTH, method=method, headers=PREFLIGHT)
        assert "Access-Control-Allow-Credentials" not in answer.headers

    def test_caches_keep_their_answers_apart(self, open_client):
        for headers in ({}, {"Origin": SHOP}, {"Origin": "https://evil.example"}):
            assert "origin" in words(open_client.get(HEALTH, headers=headers).headers["Vary"])


class TestOthers:
    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example",
            "null",
            "",
            f"{SHOP}.evil.example",
            f"{SHOP}:8443",
            f"{SHOP}/",
            SHOP.replace("https", "http"),
            SHOP.upper(),
            f"{SHOP},{DESK}",
            "*",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "OPTIONS"])
    def test_get_nothing(self, open_client, origin, method):
        answer = open_client.open(HEALTH, method=method, headers={**PREFLIGHT, "Origin": origin})
        assert (answer.status_code, cors_headers(answer)) == (200, {})

    @pytest.mark.parametrize("path", ["/login", "/rq", "/rq/", "/rq/api", "/", "/docs", "/metrics", "/apis"])
    def test_pages_and_the_console_are_for_nobody(self, open_client, path):
        for method in ("GET", "OPTIONS", "POST"):
            assert cors_headers(open_client.open(path, method=method, headers=PREFLIGHT)) == {}


class TestTheSetting:
    @pytest.mark.parametrize("origins", [SHOP, f"{SHOP},{DESK}", "http://[::1]:3000", "*"])
    def test_takes_origins_as_browsers_send_them(self, origins):
        assert load_settings({"GUICHET_CORS_ORIGINS": origins}).cors_origins == origins
        assert load_settings({"GUICHET_CORS_ORIGINS": f" {origins} "}).cors_origins == origins

    @pytest.mark.parametrize(
        "origins",
        [
            f"{SHOP}/",
            f"{SHOP}/x",
            "shop.example.org",
            "ftp://x",
            "https://*.example.org",
            "null",
            f"{SHOP},",
            "https://A.org",
        ],
    )
    def test_takes_nothing_else(self, origins):
        with pytest.raises(SettingsError, match="GUICHET_CORS_ORIGINS"):
            load_settings({"GUICHET_CORS_ORIGINS": origins})

    def test_production_names_them(self):
        production = {"GUICHET_ENV": "production", "GUICHET_SECRET_KEY": secrets.token_urlsafe(48)}
        for origins in ("*", f"{SHOP},*"):
            with pytest.raises(SettingsError, match="GUICHET_CORS_ORIGINS"):
                load_settings({**production, "GUICHET_CORS_ORIGINS": origins})
        assert load_settings({**production, "GUICHET_CORS_ORIGINS": SHOP}).cors_origins == SHOP

    def test_elsewhere_anybody_may_be_let_in(self, make_app, bare_app):
        client = make_app(replace(settings_of(bare_app), cors_origins="*")).test_client()
        answer = client.get(HEALTH, headers={"Origin": "http://anything:1"})
        assert answer.headers["Access-Control-Allow-Origin"] == "http://anything:1"
        assert "Access-Control-Allow-Credentials" not in answer.headers
