"""How much one client may ask for: counted per user or address, in tiers, over all processes, and said in headers."""

import re
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from api.rate_limits import BOOKINGS, EXPORTS, POLLS, UNLIMITED
from shared.line import keys
from shared.settings import Settings
from tests.factories import auth_header, bearer, make_event, make_user
from tests.lines import await_that

ANYTHING = "/api/events"
LOG_IN = "/api/auth/login"
WRONG = {"email": "nobody@example.org", "password": "wrong"}


def tight(settings: Settings) -> Settings:
    """So little, and so slowly given back, that a test is over before anybody has one request more."""
    return replace(
        settings,
        general_rate_per_minute=3,
        login_rate_per_minute=3,
        poll_rate_per_second=1,
        export_rate_per_hour=2,
        booking_rate_burst=2,
        booking_rate_per_second=0.01,
    )


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return tight(settings)


pytestmark = pytest.mark.usefixtures("stopped_rate_clock")


def statuses(client, path: str, count: int, *, method: str = "GET", **options) -> list[int]:
    return [client.open(path, method=method, **options).status_code for _ in range(count)]


def use_up(client, **options) -> None:
    """Everything of the general tier; the next is refused."""
    assert statuses(client, ANYTHING, 4, **options) == [200, 200, 200, 429]


def assert_refused(answer: TestResponse, policy: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.content_type == "application/problem+json"
    assert re.fullmatch(f'"{policy}";q=[0-9]+;w=[0-9]+', answer.headers["RateLimit-Policy"])
    wait = answer.headers["Retry-After"]
    assert int(wait) >= 1
    assert answer.headers["RateLimit"] == f'"{policy}";r=0;t={wait}'
    assert (answer.json["policy"], answer.json["retry_after_seconds"]) == (policy, int(wait))


class TestExportTier:
    def test_counts_files_of_every_kind_together_and_nothing_else(self, app, client, engine):
        host = make_user(engine, role="host")
        headers = auth_header(app, host)
        path = f"/api/events/{make_event(engine, host=host).id}/bookings.csv"
        first = client.get(path, headers=headers)
        assert (first.status_code, first.headers["RateLimit-Policy"]) == (200, '"export";q=2;w=3600')
        assert client.get("/api/auth/export", headers=headers).status_code == 200
        for refused in (path, "/api/auth/export"):
            assert_refused(client.get(refused, headers=headers), "export")
        assert statuses(client, ANYTHING, 3, headers=headers) == [200] * 3
        another = auth_header(app, make_user(engine))
        assert client.get("/api/auth/export", headers=another).status_code == 200


class TestGeneralTier:
    def test_says_what_is_left_until_nothing_is(self, client):
        left = [client.get(ANYTHING).headers for _ in range(3)]
        assert {headers["RateLimit-Policy"] for headers in left} == {'"general";q=3;w=60'}
        assert [headers["RateLimit"] for headers in left] == [
            '"general";r=2;t=20',
            '"general";r=1;t=40',
            '"general";r=0;t=60',
        ]
        refused = client.get(ANYTHING)
        assert_refused(refused, "general")
        assert int(refused.headers["Retry-After"]) <= 20

    def test_counts_errors_and_addresses_where_nothing_is(self, client):
        assert statuses(client, "/nowhere", 4) == [404, 404, 404, 429]
        assert client.post(ANYTHING).status_code == 429

    def test_is_each_users_own_wherever_they_are(self, app, client, engine):
        one, other = (auth_header(app, make_user(engine)) for _ in range(2))
        use_up(client, headers=one)
        assert client.get(ANYTHING, headers=other).status_code == 200
        elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
        assert client.get(ANYTHING, headers=one, environ_base=elsewhere).status_code == 429

    def test_is_the_address_for_whoever_shows_no_valid_token(self, client):
        use_up(client)
        for token in ("Bearer nonsense", "Basic eDp5", "Bearer"):
            assert client.get(ANYTHING, headers={"Authorization": token}).status_code == 429
        assert client.get(ANYTHING, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200

    def test_is_shared_by_a_network_of_ipv6(self, client):
        use_up(client, environ_base={"REMOTE_ADDR": "2001:db8:0:1::1"})
        neighbour, stranger = ({"REMOTE_ADDR": f"2001:db8:0:{network}:ffff::2"} for network in (1, 2))
        assert client.get(ANYTHING, environ_base=neighbour).status_code == 429
        assert client.get(ANYTHING, environ_base=stranger).status_code == 200

    def test_knows_an_ipv4_address_in_both_spellings(self, client):
        use_up(client, environ_base={"REMOTE_ADDR": "::ffff:192.0.2.7"})
        assert client.get(ANYTHING, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 429

    def test_does_not_believe_a_client_about_its_address(self, client):
        use_up(client)
        assert client.get(ANYTHING, headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 429

    def test_believes_the_proxies_that_there_are_and_no_more(self, make_app, settings):
        client = make_app(replace(settings, trusted_proxy_hops=1)).test_client()
        use_up(client, headers={"X-Forwarded-For": "192.0.2.7"})
        assert client.get(ANYTHING, headers={"X-Forwarded-For": "1.1.1.1, 192.0.2.7"}).status_code == 429
        assert client.get(ANYTHING, headers={"X-Forwarded-For": "192.0.2.8"}).status_code == 200

    @pytest.mark.parametrize(
        "spellings",
        [
            ("192.0.2.7", "192.0.2.7:5555", "192.0.2.7:1", "[::ffff:192.0.2.7]:80"),
            ("2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::2]:81"),
            ("nonsense", "unknown", "_hidden:80", "[::1", "1.2.3.4.5:80", "1.2.3"),
        ],
        ids=["IPv4", "IPv6", "no address"],
    )
    def test_takes_ports_and_nonsense_for_no_other_client(self, make_app, settings, spellings):
        client = make_app(replace(settings, trusted_proxy_hops=1)).test_client()
        use_up(client, headers={"X-Forwarded-For": spellings[0]})
        for spelling in spellings[1:]:
            assert client.get(ANYTHING, headers={"X-Forwarded-For": spelling}).status_code == 429, spelling

    def test_leaves_out_health_and_what_browsers_ask_first(self, client):
        use_up(client)
        for path in ("/healthz", "/api/health", "/api/health/live", "/readyz"):
            answers = [client.get(path) for _ in range(5)]
            assert {answer.status_code for answer in answers} <= {200, 503}
            assert "RateLimit" not in answers[0].headers
        assert statuses(client, ANYTHING, 5, method="OPTIONS") == [200] * 5


class TestLogInTier:
    def test_counts_every_post_to_auth_by_address(self, app, client, engine):
        for path in (LOG_IN, "/api/auth/register", "/api/auth/refresh"):
            assert client.post(path, json={}).headers["RateLimit-Policy"] == '"login";q=3;w=60'
        assert_refused(client.post(LOG_IN, json=WRONG), "login")
        signed_in = auth_header(app, make_user(engine))
        assert_refused(client.post("/api/auth/logout", headers=signed_in), "login")

    def test_is_another_than_the_general_one(self, client):
        assert statuses(client, LOG_IN, 4, method="POST", json={})[-1] == 429
        use_up(client)

    def test_stands_beside_the_throttle_of_failures(self, make_app, settings):
        patient = replace(settings, login_rate_per_minute=1000, login_failures_max=2)
        client = make_app(patient).test_client()
        throttled = [client.post(LOG_IN, json=WRONG) for _ in range(4)][-1]
        assert (throttled.status_code, throttled.json["code"]) == (429, "login_throttled")
        assert int(throttled.headers["Retry-After"]) >= 1
        assert throttled.headers["RateLimit-Policy"] == '"login";q=1000;w=60'


class TestPolls:
    def test_have_a_tier_of_their_own(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        address = f"/api/bookings/status/{'0' * 8}-0000-7000-8000-{'0' * 12}"
        answers = [client.get(address, headers=user) for _ in range(50)]
        assert answers[0].headers["RateLimit-Policy"] == '"poll";q=1;w=1'
        assert_refused(next(answer for answer in answers if answer.status_code == 429), "poll")
        use_up(client, headers=user)

    def test_of_streams_count_too(self, client):
        address = f"/api/bookings/status/{'0' * 8}-0000-7000-8000-{'0' * 12}/stream?token=x"
        answers = [client.get(address) for _ in range(50)]
        assert_refused(next(answer for answer in answers if answer.status_code == 429), "poll")


class TestBookings:
    def test_are_limited_by_the_line_and_say_so_in_the_same_headers(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        event = make_event(engine)
        addresses = (
            (f"/api/bookings/{event.id}/book", {}),
            ("/api/bookings", {"event_id": event.id}),
        )
        for path, body in addresses:
            accepted = client.post(path, json=body, headers=user)
            assert accepted.status_code == 202
            assert "RateLimit" not in accepted.headers
        refused = client.post(addresses[0][0], headers=user)
        assert_refused(refused, "booking")
        assert refused.headers["RateLimit-Policy"] == '"booking";q=2;w=200'

    def test_cost_nothing_of_the_general_tier(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        address = f"/api/events/{make_event(engine).id}/register"
        prefer = {**user, "Prefer": "wait=0"}
        assert statuses(client, address, 5, method="POST", headers=prefer) == [202, 202, 429, 429, 429]
        use_up(client, headers=user)

    def test_too_many_undecided_ones_are_no_matter_of_a_rate(self, make_app, settings, engine):
        app = make_app(replace(settings, user_undecided_max=1, booking_rate_burst=10))
        user, event = auth_header(app, make_user(engine)), make_event(engine)
        answers = [app.test_client().post(f"/api/bookings/{event.id}/book", headers=user) for _ in range(2)]
        assert (answers[1].status_code, answers[1].json["code"]) == (429, "too_many_undecided")
        assert int(answers[1].headers["Retry-After"]) >= 1
        assert "RateLimit" not in answers[1].headers


class TestOverAllProcesses:
    @pytest.fixture
    def pair(self, make_app, settings):
        """Two processes' applications that listen to each other."""
        apps = make_app(settings), make_app(settings)
        for app in apps:
            limits_of(app).run_once()
        return apps

    @pytest.mark.parametrize(
        ("path", "method"), [(ANYTHING, "GET"), (LOG_IN, "POST")], ids=["general", "login"]
    )
    def test_what_was_used_in_one_is_gone_in_the_others(self, pair, path, method):
        here, there = pair
        assert statuses(here.test_client(), path, 4, method=method, json={})[-1] == 429
        exchange(here, there)
        assert there.test_client().open(path, method=method, json={}).status_code == 429

    def test_without_an_exchange_each_would_give_the_whole_quota(self, pair):
        for app in pair:
            use_up(app.test_client())

    def test_nobody_pays_twice(self, pair):
        here, there = pair
        assert here.test_client().get(ANYTHING).headers["RateLimit"].startswith('"general";r=2;')
        exchange(here, there)
        limits_of(here).run_once()  # hears itself
        for app in pair:
            assert app.test_client().get(ANYTHING).headers["RateLimit"].startswith('"general";r=1;')

    def test_nothing_is_written_for_it(self, pair, redis_client):
        written = redis_client.info("persistence")["aof_current_size"]
        use_up(pair[0].test_client())
        exchange(*pair)
        assert redis_client.info("persistence")["aof_current_size"] == written
        assert not redis_client.keys("guichet:rates*")

    def test_messages_that_are_none_change_nothing(self, pair, redis_client):
        here, there = pair
        there.test_client().get(ANYTHING)
        channel = keys.rates(str(here.extensions["guichet"].gate.installation().id))
        nonsense = b"", b"{", b"1", b"[]", b'["x", 1]', b'["x", {"general": 1, "other": {"a": 1}}]'
        for message in (*nonsense, b'["x", {"general": {"address:127.0.0.1": -5, "b": "c"}}]'):
            assert redis_client.publish(channel, message) == 2
        here.test_client().get(ANYTHING, environ_base={"REMOTE_ADDR": "192.0.2.7"})
        limits_of(here).run_once()
        await_that(lambda: hears_of(there) == 2, what="what comes after them")
        assert there.test_client().get(ANYTHING).headers["RateLimit"].startswith('"general";r=1;')

    def test_another_installation_on_the_same_server_is_not_heard(self, pair, redis_client):
        channel = keys.rates("00000000-0000-0000-0000-000000000000")
        assert redis_client.publish(channel, b'["x", {"general": {"address:127.0.0.1": 3}}]') == 0

    def test_each_counts_alone_while_redis_is_away(self, make_app, own_settings, own_redis):
        here, there = (make_app(tight(own_settings)) for _ in range(2))
        for app in (here, there):
            limits_of(app).run_once()
        own_redis.stop()
        use_up(here.test_client())
        limits_of(here).run_once()
        own_redis.start()
        for app in (here, there):
            limits_of(app).run_once()  # may find the old connection broken
            limits_of(app).run_once()
        other = {"REMOTE_ADDR": "192.0.2.7"}
        use_up(here.test_client(), environ_base=other)
        exchange(here, there)
        assert there.test_client().get(ANYTHING, environ_base=other).status_code == 429

    def test_a_started_process_exchanges_by_itself(self, pair, make_app, settings):
        started = make_app(settings)
        started.extensions["guichet"].start()
        use_up(started.test_client())
        # It may tell of them one by one.
        await_that(lambda: tokens_left(pair[0]) == [0], what="all that the started process counted")
        assert pair[0].test_client().get(ANYTHING).status_code == 429


def limits_of(app):
    return app.extensions["guichet"].limits


def exchange(speaker, listener) -> None:
    """Lets one process tell what it has, and the other hear it."""
    limits_of(speaker).run_once()
    await_that(lambda: hears_of(listener), what="the other process' counts")


def hears_of(app) -> int:
    """How many clients a process knows that has served none itself."""
    limits = limits_of(app)
    limits.run_once()
    return len(limits.general) + len(limits.login)


def tokens_left(app) -> list[float]:
    """Of the general tier, to each client that a process knows."""
    limits = limits_of(app)
    limits.run_once()
    return [tokens for tokens, _ in limits.general._buckets.values()]


def test_the_views_that_are_named_exist(app):
    """A view that is renamed would fall into the general tier without a word."""
    assert set(app.view_functions) >= UNLIMITED | BOOKINGS | POLLS | EXPORTS


def test_any_process_may_be_asked_with_the_same_token(make_app, settings, engine):
    """The key is the user, not the token."""
    user = make_user(engine)
    client = make_app(settings).test_client()
    assert [client.get(ANYTHING, headers=bearer(settings, user)).status_code for _ in range(4)][-1] == 429
