"""Headers of every answer: the request's id, and what browsers may do with it; of a 401: how to be let in."""

from dataclasses import replace

import pytest

from tests.factories import auth_header, make_event, make_user

POLICY = "default-src 'none'; frame-ancestors 'none'"
TLS = "Strict-Transport-Security"
# (method, path, status): what is there, what is not, and what goes wrong on the way
ANSWERS = [
    ("GET", "/healthz", 200),
    ("HEAD", "/healthz", 200),
    ("OPTIONS", "/api/events", 200),
    ("GET", "/nowhere", 404),
    ("DELETE", "/api/events", 405),
    ("POST", "/api/bookings", 401),
    ("POST", "/api/auth/login", 422),
]


@pytest.fixture(params=ANSWERS, ids=lambda answer: " ".join(map(str, answer)))
def answer(bare_client, request):
    method, path, status = request.param
    found = bare_client.open(path, method=method)
    assert found.status_code == status
    return found


def settings_of(app):
    return app.extensions["guichet"].settings


class TestEveryAnswer:
    def test_tells_browsers_to_leave_it_alone(self, answer):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert TLS not in answer.headers

    def test_has_each_header_once(self, answer):
        names = [name.lower() for name, _ in answer.headers]
        assert len(names) == len(set(names))

    def test_has_a_request_id(self, answer):
        assert len(answer.headers["X-Request-ID"]) == 32

    def test_of_a_booking_has_them_too(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        event = make_event(engine)
        for status in (202, 422):
            answer = client.post(
                f"/api/bookings/{event.id}/book", json={} if status == 202 else {"x": 1}, headers=user
            )
            assert answer.status_code == status
            assert answer.headers["Content-Security-Policy"] == POLICY

    def test_of_a_crash_has_them_too(self, bare_app):
        def crash() -> None:
            raise RuntimeError("on purpose")

        bare_app.add_url_rule("/crash", view_func=crash)
        answer = bare_app.test_client().get("/crash", headers={"X-Request-ID": "mine"})
        assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
        assert answer.headers["X-Request-ID"] == answer.json["request_id"] == "mine"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert "on purpose" not in answer.text

    def test_of_what_fails_before_the_view_has_them_too(self, bare_app):
        def refuse() -> None:
            raise RuntimeError("before")

        bare_app.before_request(refuse)
        answer = bare_app.test_client().get("/healthz", headers={"X-Request-ID": "mine"})
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "mine")
        assert answer.headers["Content-Security-Policy"] == POLICY

    def test_may_have_a_policy_of_its_own(self, bare_app):
        own = {"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "same-origin"}
        bare_app.add_url_rule("/page", view_func=lambda: ("<p>", own))
        answer = bare_app.test_client().get("/page")
        assert {name: answer.headers.getlist(name) for name in own} == {
            name: [value] for name, value in own.items()
        }
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


class TestRequestId:
    @pytest.mark.parametrize("sane", ["a", "a" * 64, "0190-Zz_.:"])
    def test_is_the_clients_when_it_is_sane(self, bare_client, sane):
        answer = bare_client.get("/nowhere", headers={"X-Request-ID": sane})
        assert answer.headers["X-Request-ID"] == answer.json["request_id"] == sane

    @pytest.mark.parametrize("odd", ["", "a" * 65, "a b", "a\tb", "é", "<x>", "a,b"])
    def test_is_a_new_one_when_it_is_not(self, bare_client, odd):
        first, second = (bare_client.get("/healthz", headers={"X-Request-ID": odd}) for _ in range(2))
        assert first.headers["X-Request-ID"] not in (odd, second.headers["X-Request-ID"])


class TestTransportSecurity:
    def test_is_asked_for_when_the_client_came_by_tls(self, bare_client):
        for path in ("/healthz", "/nowhere"):
            assert bare_client.get(path, base_url="https://localhost").headers[TLS] == "max-age=31536000"

    def test_is_asked_for_when_the_public_address_says_so(self, make_app, bare_app):
        client = make_app(
            replace(settings_of(bare_app), base_url="https://tickets.example.org")
        ).test_client()
        assert client.get("/healthz").headers[TLS] == "max-age=31536000"

    def test_follows_the_proxies_that_there_are(self, make_app, bare_app):
        forwarded = {"X-Forwarded-Proto": "https"}
        assert TLS not in bare_app.test_client().get("/healthz", headers=forwarded).headers
        behind = make_app(replace(settings_of(bare_app), trusted_proxy_hops=1)).test_client()
        assert TLS in behind.get("/healthz", headers=forwarded).headers


class TestChallenge:
    PLAIN = 'Bearer realm="guichet"'
    INVALID = 'Bearer realm="guichet", error="invalid_token"'

    @pytest.mark.parametrize("sent", [None, "Basic eDp5", "Bearer", ""])
    def test_says_nothing_of_an_error_to_who_sent_no_token(self, bare_client, sent):
        headers = {} if sent is None else {"Authorization": sent}
        answer = bare_client.post("/api/bookings", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, self.PLAIN)

    @pytest.mark.parametrize("sent", ["Bearer x", "bearer x.y.z", "Bearer  x"])
    def test_calls_a_bad_token_bad(self, bare_client, sent):
        answer = bare_client.post("/api/bookings", headers={"Authorization": sent})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, self.INVALID)

    def test_calls_a_revoked_token_bad(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        assert client.post("/api/auth/logout", headers=user).status_code == 204
        answer = client.get("/api/auth/profile", headers=user)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, self.INVALID)
        event = make_event(engine)
        answer = client.post(f"/api/bookings/{event.id}/book", headers=user)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, self.INVALID)

    def test_calls_a_bad_stream_token_bad(self, bare_client):
        address = "/api/bookings/status/00000000-0000-7000-8000-000000000000/stream?token=x"
        answer = bare_client.get(address)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, self.INVALID)

    def test_of_a_wrong_password_leaves_the_token_alone(self, app, client, engine):
        user = auth_header(app, make_user(engine, password="correct-horse-battery"))
        answer = client.delete("/api/auth/account", json={"password": "wrong"}, headers=user)
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_credentials")
        assert answer.headers["WWW-Authenticate"] == self.PLAIN
