"""Links that leave the service: relative, unless the operator says under which address it is reached.

The Host header is the client's; an address made of it could lead whoever shares a link, or a cache, anywhere.
"""

from dataclasses import replace

import pytest

from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user

EVIL = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}


@pytest.fixture(params=["", "https://tickets.example.org"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return replace(settings, base_url=request.param)


def test_a_problems_type_and_no_more(client, settings):
    for path, code in (("/api/events/1", "event_not_found"), ("/nowhere", "not_found")):
        answer = client.get(path, headers=EVIL)
        assert answer.json["type"] == f"{settings.base_url}/problems/{code}"
        assert answer.json["instance"] == path
        assert "evil" not in answer.text


def test_the_next_page_of_a_list(client, engine, settings):
    for _ in range(2):
        make_event(engine)
    answer = client.get("/api/events?limit=1&order=desc", headers=EVIL)
    address, relation = answer.headers["Link"].split("; ")
    assert relation == 'rel="next"'
    assert address.startswith(f"<{settings.base_url}/api/events?limit=1&order=desc&cursor=")
    following = client.get(address.strip("<>").removeprefix(settings.base_url))
    assert following.json["items"][0]["id"] != answer.json["items"][0]["id"]


def test_the_next_page_of_ones_own_requests(app, client, engine, settings):
    headers = auth_header(app, make_user(engine))
    for _ in range(2):
        client.post(f"/api/bookings/{make_event(engine).id}/book", headers=headers)
    answer = client.get("/api/bookings/requests?limit=1", headers={**headers, **EVIL})
    cursor = answer.json["next_cursor"]
    address = f"{settings.base_url}/api/bookings/requests?limit=1&cursor={cursor}"
    assert answer.headers["Link"] == f'<{address}>; rel="next"'


def test_nothing_else_names_a_host(app, client, engine, settings):
    """Where to go on is within the service."""
    headers = {**auth_header(app, make_user(engine)), **EVIL}
    answer = client.post(f"/api/bookings/{make_event(engine).id}/book", headers=headers)
    assert answer.headers["Location"].startswith("/api/bookings/status/")
    assert all(link.startswith("/api/") for link in answer.json["links"].values())
