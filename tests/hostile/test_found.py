"""What made-up requests have found, each held as it was found."""

import orjson
import pytest

from tests.conftest import make_settings
from tests.factories import auth_header, make_event, make_user
from tests.hostile.traces import Traces
from tests.lines import LineDriver
from tests.web_servers import gunicorn, send_raw

LOG_IN = "/api/auth/login"


class TestAQueryThatIsNotUtf8:
    @pytest.mark.parametrize("path", ["/api/events", "/api/users", "/openapi.json", "/login", "/nowhere"])
    @pytest.mark.parametrize("query", ["limit=\xa7", "\xff\xfe", "search=\xed\xa0\x80"])
    def test_is_refused_everywhere(self, bare_client, path, query):
        answer = bare_client.get(path, environ_overrides={"QUERY_STRING": query})
        assert (answer.status_code, answer.json["code"]) == (400, "bad_request")

    def test_does_not_keep_out_what_is(self, client):
        query = "search=é".encode().decode("latin-1")
        assert client.get("/api/events", environ_overrides={"QUERY_STRING": query}).status_code == 200


class TestABodyThatIsNotUtf8:
    def test_is_refused_in_our_own_words(self, bare_client):
        answer = bare_client.post(
            LOG_IN, data='{"email": "é"}'.encode("latin-1"), content_type="application/json"
        )
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")
        assert answer.json["detail"] == "The body is not UTF-8."


class TestMoreThanCanBeSaid:
    def test_is_said_in_part(self, client):
        """Thousands of unknown members or parameters: the answer names a hundred."""
        many = {f"f{number}": number for number in range(4_000)}
        answers = [
            client.post(LOG_IN, json=many),
            client.get("/api/events", query_string=many),
            client.get("/api/events?" + "&".join(f"f{number}=1&f{number}=2" for number in range(500))),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
            assert len(answer.json["errors"]) == 100


class TestAnOriginThatIsNone:
    @pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a\u2100b", "//]"])
    @pytest.mark.parametrize("path", ["/login", "/logout"])
    def test_is_not_ours(self, bare_client, path, origin):
        header = origin.encode().decode("latin-1")
        answer = bare_client.post(path, environ_overrides={"HTTP_ORIGIN": header})
        assert (answer.status_code, answer.json["code"]) == (403, "cross_site")


class TestAReadWithIfMatch:
    @pytest.fixture
    def paths(self, app, client, engine) -> list[str]:
        """One of each kind of answer that has a tag."""
        event, guest = make_event(engine), make_user(engine)
        accepted = client.post(
            f"/api/bookings/{event.id}/book", headers={**auth_header(app, guest), "Prefer": "wait=0"}
        )
        self.headers = auth_header(app, guest)
        return ["/openapi.json", f"/api/events/{event.id}", "/api/events", accepted.json["links"]["status"]]

    @pytest.mark.parametrize("tag", ["*", '"x"', 'W/"x"'])
    def test_is_a_read(self, client, paths, tag):
        """Not 412 with the whole document: there is nothing to overwrite."""
        for path in paths:
            whole = client.get(path, headers={**self.headers, "If-Match": tag})
            assert whole.status_code == 200, path
            asked = {
                **self.headers,
                "If-Match": tag,
                "If-None-Match": whole.headers["ETag"],
                "Range": "bytes=0-0",
            }
            assert client.get(path, headers=asked).status_code == 304, path
            other = client.get(path, headers={**asked, "If-None-Match": '"other"'})
            assert (other.status_code, other.data) == (200, whole.data) or path == paths[-1], path


class TestAnAdminsCancellationThatIsRefused:
    def test_is_not_noted_when_its_key_is_none(self, app, client, settings, engine, redis_client):
        event, guest, admin = make_event(engine), make_user(engine), make_user(engine, role="admin")
        asked = {**auth_header(app, guest), "Prefer": "wait=0"}
        client.post(f"/api/bookings/{event.id}/book", headers=asked)
        driver = LineDriver(settings, engine)
        driver.decide_all()
        driver.close()
        (booking,) = client.get("/api/bookings", headers=asked).json["items"]
        traces = Traces(settings.database_url, redis_client)
        refused = client.put(
            f"/api/bookings/{booking['id']}/cancel",
            headers={**auth_header(app, admin), "Idempotency-Key": "é"},
        )
        assert (refused.status_code, refused.json["code"]) == (400, "bad_request")
        assert traces.read() == []
        traces.close()


@pytest.fixture(scope="module")
def lone_port(tmp_path_factory):
    """A real gunicorn's; it needs no servers for this."""
    folder = tmp_path_factory.mktemp("gunicorn")
    nowhere = make_settings("postgresql+psycopg2:///nowhere", "redis://localhost:1/0", folder)
    with gunicorn(nowhere, folder / "log") as port:
        yield port


class TestAHeaderThatNamesTheAddress:
    @pytest.mark.parametrize("field", [b"SCRIPT_NAME: /x", b"SCRIPT_NAME: /api", b"PATH_INFO: /metrics"])
    def test_is_no_address(self, lone_port, field):
        answer = send_raw(
            lone_port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + field + b"\r\n\r\n"
        )
        assert (answer.status, orjson.loads(answer.body)) == (200, {"status": "ok"})
