"""gzip: of large answers, for clients that take it, without a change to what caches and ETags promise."""

import gzip

import pytest

from tests.factories import PASSWORD, auth_header, make_event, make_user

GZIP = {"Accept-Encoding": "gzip"}
LONG = "x" * 5000


@pytest.fixture
def event(engine):
    """One whose document is large."""
    return make_event(engine, description=LONG)


@pytest.fixture
def address(event) -> str:
    return f"/api/events/{event.id}"


def is_compressed(answer) -> bool:
    return answer.headers.get("Content-Encoding") == "gzip"


class TestLargeAnswers:
    def test_are_the_same_after_unpacking(self, client, address):
        plain, packed = client.get(address), client.get(address, headers=GZIP)
        assert is_compressed(packed)
        assert not is_compressed(plain)
        assert len(packed.data) < len(plain.data) / 2
        assert packed.headers["Content-Length"] == str(len(packed.data))
        assert gzip.decompress(packed.data) == plain.data
        assert packed.content_type == plain.content_type == "application/json"

    @pytest.mark.parametrize(
        ("accepted", "expected"),
        [
            ("gzip", True),
            ("GZIP", True),
            ("br, gzip;q=0.5", True),
            ("deflate, gzip;q=0.1, *;q=0", True),
            ("*", True),
            ("identity;q=0.5, *;q=0.5", True),
            ("", False),
            ("identity", False),
            ("br", False),
            ("gzip;q=0", False),
            ("gzip;q=0, *", False),
            ("*;q=0", False),
            ("identity, gzip;q=0.5", False),
        ],
    )
    def test_are_compressed_for_who_takes_it(self, bare_app, accepted, expected):
        bare_app.add_url_rule("/text", view_func=lambda: LONG)
        answer = bare_app.test_client().get("/text", headers={"Accept-Encoding": accepted})
        assert is_compressed(answer) is expected

    def test_are_not_for_who_says_nothing(self, client, address):
        assert not is_compressed(client.get(address))

    def test_have_the_same_headers_for_head(self, client, address):
        get, head = client.get(address, headers=GZIP), client.head(address, headers=GZIP)
        names = ("Content-Encoding", "Content-Length", "ETag", "Vary")
        assert [head.headers[name] for name in names] == [get.headers[name] for name in names]
        assert head.data == b""

    def test_are_kept_apart_in_caches(self, client, address):
        for headers in ({}, GZIP):
            vary = client.get(address, headers=headers).vary
            assert {"accept-encoding", "authorization"} <= {name.lower() for name in vary}


class TestOthers:
    def test_small_ones_stay_as_they_are(self, client):
        answer = client.get("/api/events", headers=GZIP)
        assert not is_compressed(answer)
        assert "Accept-Encoding" not in answer.vary

    def test_problems_stay_as_they_are(self, client):
        body = {name * 20: 1 for name in "abcdefghijklmnopqrstuvwxyz"}
        answer = client.post("/api/auth/login", json=body, headers=GZIP)
        assert answer.status_code == 422
        assert len(answer.data) > 1400
        assert not is_compressed(answer)

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_what_answers_a_change_stays_as_it_is(self, bare_app, method):
        bare_app.add_url_rule("/text", view_func=lambda: LONG, methods=[method])
        answer = bare_app.test_client().open("/text", method=method, headers=GZIP)
        assert (answer.status_code, is_compressed(answer)) == (200, False)

    def test_streams_are_never_compressed(self, app, client, engine):
        user = auth_header(app, make_user(engine))
        # the title is part of what a stream says; a host of their own may make it long
        event = make_event(engine, title="x" * 2000)
        links = client.post(f"/api/bookings/{event.id}/book", headers=user).json["links"]
        with client.get(links["stream"], headers=GZIP, buffered=False) as answer:
            assert answer.status_code == 200
            assert not is_compressed(answer)
            assert next(iter(answer.response)).startswith(b"id: position-1")

    def test_tokens_are_never_compressed(self, app, client, engine):
        """Nor anything else under /auth, however long it gets."""
        user = make_user(engine, password=PASSWORD, name="x" * 1500)
        profile = client.get("/api/auth/profile", headers={**auth_header(app, user), **GZIP})
        assert len(profile.data) > 1400
        assert not is_compressed(profile)
        body = {"email": user.email, "password": PASSWORD}
        assert not is_compressed(client.post("/api/auth/login", json=body, headers=GZIP))

    def test_nothing_is_compressed_that_a_browsers_cookie_may_have_asked_for(self, app, address):
        """A secret beside text of an attacker's could be read from the length (BREACH)."""
        app.add_url_rule("/page", view_func=lambda: (LONG, {"Set-Cookie": "session=x"}))
        client = app.test_client()
        assert is_compressed(client.get(address, headers=GZIP))
        assert not is_compressed(client.get("/page", headers=GZIP))
        assert not is_compressed(client.get(address, headers=GZIP))

    def test_what_is_no_text_stays_as_it_is(self, bare_app):
        bare_app.add_url_rule("/image", view_func=lambda: (LONG, {"Content-Type": "image/png"}))
        assert not is_compressed(bare_app.test_client().get("/image", headers=GZIP))

    @pytest.mark.parametrize(
        "media_type", ["text/html", "text/css", "text/csv", "text/javascript", "application/linkset+json"]
    )
    def test_any_text_is_compressed(self, bare_app, media_type):
        bare_app.add_url_rule("/text", view_func=lambda: (LONG, {"Content-Type": media_type}))
        assert is_compressed(bare_app.test_client().get("/text", headers=GZIP))


class TestTags:
    def test_of_a_compressed_answer_are_weak(self, client, address):
        plain, packed = (client.get(address, headers=headers).headers["ETag"] for headers in ({}, GZIP))
        assert packed == f"W/{plain}"

    @pytest.mark.parametrize("path", ["{}", "/api/events"])
    def test_that_a_client_has_are_304_with_the_same_tag(self, client, engine, address, path):
        for _ in range(3):
            make_event(engine, description=LONG)
        path = path.format(address)
        for coding in ({}, GZIP):
            first = client.get(path, headers=coding)
            again = client.get(path, headers={**coding, "If-None-Match": first.headers["ETag"]})
            assert (again.status_code, again.data) == (304, b"")
            assert again.headers["ETag"] == first.headers["ETag"]
            assert "Content-Encoding" not in again.headers
            assert {name.lower() for name in again.vary} == {name.lower() for name in first.vary}

    def test_of_either_coding_are_known_in_the_other(self, client, address):
        plain, packed = (client.get(address, headers=headers).headers["ETag"] for headers in ({}, GZIP))
        assert client.get(address, headers={**GZIP, "If-None-Match": plain}).status_code == 304
        assert client.get(address, headers={"If-None-Match": packed}).status_code == 304

    def test_of_a_compressed_event_are_good_for_changing_it(self, app, client, engine):
        host = make_user(engine, role="host")
        event = make_event(engine, host=host, description=LONG)
        headers = auth_header(app, host)
        tag = client.get(f"/api/events/{event.id}", headers=GZIP).headers["ETag"]
        assert tag.startswith("W/")
        for expected in (200, 412):
            answer = client.patch(
                f"/api/events/{event.id}", json={"title": "new"}, headers={**headers, "If-Match": tag}
            )
            assert answer.status_code == expected
