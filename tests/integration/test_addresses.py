"""Numbers in addresses: whatever is no row's id names nothing, on every route and with every method."""

import re

import pytest
from flask import Flask

from api.parsing import BIGINT_MAX
from tests.factories import auth_header, make_event, make_user

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
EVENT = {
    "title": "x", "venue": "v", "category": "music", "time_zone": "Europe/Paris", "capacity": 1,
    "starts_at": "2090-01-01T00:00:00Z", "ends_at": "2090-01-01T02:00:00Z",
}  # fmt: skip
BODIES = {
    ("PUT", "/api/events/<int:event_id>"): EVENT,
    ("PATCH", "/api/events/<int:event_id>"): {"title": "x"},
    ("PUT", "/api/organizations/<int:organization_id>"): {"name": "x"},
    ("PATCH", "/api/organizations/<int:organization_id>"): {"name": "x"},
    ("POST", "/api/organizations/<int:organization_id>/members"): {"user_id": 1},
}
ANY_NUMBER = re.compile("<int:([a-z]+)_id>")


def routes(app: Flask) -> list[tuple[str, str]]:
    """(method, rule) of everything with a number in its address."""
    rules = [rule for rule in app.url_map.iter_rules() if "<int:" in rule.rule]
    return sorted((method, rule.rule) for rule in rules for method in rule.methods or () if method in METHODS)


@pytest.mark.parametrize(
    "number",
    ["0", str(BIGINT_MAX), str(BIGINT_MAX + 1), str(2**64), "1" + "0" * 30, "9" * 5000, "0" * 5000],
    ids=lambda number: number[:22],
)
@pytest.mark.parametrize("role", ["admin", "attendee"])
def test_a_number_that_nobody_has_is_not_found_by_name(app, client, engine, role, number):
    headers = auth_header(app, make_user(engine, role=role))
    found = routes(app)
    assert len(found) >= 15
    for method, rule in found:
        path = ANY_NUMBER.sub(number, rule)
        answer = client.open(path, method=method, headers=headers, json=BODIES.get((method, rule)))
        noun = ANY_NUMBER.findall(rule)[0]  # what is asked for first: without it there is nothing inside
        assert (method, rule, answer.status_code, answer.json["code"]) == (
            method,
            rule,
            404,
            f"{noun}_not_found",
        )
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("text", ["١", "-1", "1.0", "+1", "1e3", "%31%00", "abc", " 1"])
def test_what_is_no_number_names_nothing_either(app, client, engine, text):
    headers = auth_header(app, make_user(engine, role="admin"))
    for method, rule in routes(app):
        path = ANY_NUMBER.sub(text, rule)
        answer = client.open(path, method=method, headers=headers)
        assert (method, rule, answer.status_code) == (method, rule, 404)
        assert answer.content_type == "application/problem+json"


def test_nobody_is_mistaken_for_the_owner_of_the_largest_number(app, client, engine):
    """Numbers beyond bigint are taken for the largest one: identities never get there."""
    event = make_event(engine)
    assert event.id < BIGINT_MAX
    for number in (2**64 + event.id, BIGINT_MAX + event.id, 2**63 * 2 + event.id):
        assert client.get(f"/api/events/{number}").status_code == 404


@pytest.mark.parametrize("spelling", ["{}", "0{}", "000000000000000000000000000000{}"])
def test_leading_zeros_change_nothing(client, engine, spelling):
    event = make_event(engine)
    assert client.get(f"/api/events/{spelling.format(event.id)}").json["id"] == event.id
