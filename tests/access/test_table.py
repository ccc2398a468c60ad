"""Every route, every caller, somebody else's thing: `table.py`, called."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.contract import find_operation
from tests.access.callers import ADMINS, EVERYBODY, KNOWN, Who
from tests.access.state import Stored, changes
from tests.access.table import TABLE, Row
from tests.access.things import ABSENT, KINDS, Thing
from tests.access.world import World, open_world
from tests.conftest import connect_redis

# Things that can be taken away, and how.
GONE = {
    "an account": "/api/users/{user_id}",
    "a host": "/api/users/{host_id}",
    "an organization": "/api/organizations/{organization_id}",
    "an event": "/api/events/{event_id}",
    "a draft": "/api/events/{event_id}",
}
# What belongs to one exchange, and to no thing.
_OF_THE_EXCHANGE = {"Content-Length", "Date", "X-Request-ID", "RateLimit", "RateLimit-Policy", "Set-Cookie"}


@pytest.fixture(scope="module")
def world(postgres, redis_server, tmp_path_factory) -> Iterator[World]:
    with open_world(postgres, redis_server, tmp_path_factory.mktemp("access")) as world:
        yield world


@pytest.fixture(scope="module")
def stored(world: World) -> Iterator[Stored]:
    with connect_redis(world.settings.redis_url) as redis:
        yield Stored(world.engine, redis)


@pytest.fixture(scope="module")
def gone(world: World) -> dict[str, dict[str, Any]]:
    """Things of each kind that can be taken away, taken away."""
    things = {kind: world.make(kind).values for kind in GONE}
    for kind, path in GONE.items():
        assert world.ask(Who.ADMIN, "DELETE", path.format(**things[kind])).status_code == 204
    return things


def path_of(rule: str, values: Mapping[str, Any]) -> str:
    """The address of a thing."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), rule)


def fill_in(world: World, body: Mapping[str, Any] | None, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body with the thing's values in it."""
    if body is None:
        return None
    made = dict(body)
    for name, value in body.items():
        match value:
            case "{fresh_email}":
                made[name] = world.fresh_email()
            case str() if value.startswith("{"):
                made[name] = values[value.strip("{}")]
    return made


def call(
    world: World, row: Row, who: Who, thing: Thing, values: Mapping[str, Any], *, method: str = ""
) -> TestResponse:
    """What `who` is answered about `values`."""
    body = (row.owners_body if who is Who.OWNER else None) or row.body
    user = thing.owner if who is Who.OWNER else None
    if row.of == "oneself" and who in KNOWN:
        user = world.person(who)  # who may be gone afterwards
    path, body = path_of(row.rule, values), fill_in(world, body, values)
    return world.ask(who, method or row.method, path, body=body, user=user)


def essence(answer: TestResponse) -> tuple[int, list[tuple[str, str]], Any]:
    """An answer without what names the exchange and the address."""
    headers = sorted((name, value) for name, value in answer.headers if name not in _OF_THE_EXCHANGE)
    body = answer.get_json(silent=True)
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in ("request_id", "instance")}
    return answer.status_code, headers, body if body is not None else answer.get_data()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
class TestEveryRoute:
    def test_lets_in_who_may_and_nobody_else(self, world: World, stored: Stored, row: Row) -> None:
        thing = world.make(row.of)
        before = stored.read()
        refused = [who for who in Who if row.refuses(who)]
        found = {who: call(world, row, who, thing, thing.values).status_code for who in refused}
        if row.method == "GET":
            heads = {who: call(world, row, who, thing, thing.values, method="HEAD") for who in refused}
            assert {who: answer.status_code for who, answer in heads.items()} == found
        assert changes(before, stored.read()) == []
        for who in row.may:
            if row.method != "GET":
                thing = world.make(row.of)
            found[who] = call(world, row, who, thing, thing.values).status_code
        assert found == {who: row.status(who) for who in Who}

    def test_is_silent_about_what_is_not_ones_own(self, world: World, row: Row) -> None:
        """Somebody else's thing is answered as one that nobody ever had."""
        hidden_from = [who for who in Who if row.status(who) == 404 and who not in row.in_sight]
        thing = world.make(row.of) if hidden_from else Thing({})
        like = world.make(row.nowhere).values if row.nowhere else ABSENT
        absent = {**thing.values, **{name: like[name] for name in thing.values if name in like}}
        for who in hidden_from:
            there, nowhere = (call(world, row, who, thing, values) for values in (thing.values, absent))
            assert essence(there) == essence(nowhere), who


@pytest.mark.parametrize("row", [row for row in TABLE if row.of in GONE], ids=lambda row: row.title)
def test_what_is_gone_was_never_there(world: World, gone: dict[str, dict[str, Any]], row: Row) -> None:
    """Not for its host, and not for admins either: a hidden event, a deleted organization, a closed account."""
    for who in (Who.NOBODY, Who.STRANGER, Who.HOST, Who.ORG_OWNER, Who.ADMIN):
        values = gone[row.of]
        absent = {**values, **{name: ABSENT[name] for name in values if name in ABSENT}}
        then, never = (call(world, row, who, Thing({}), each) for each in (values, absent))
        assert essence(then) == essence(never), who


class TestTheTable:
    def test_has_every_route_and_method(self, bare_app: Flask) -> None:
        routes = {
            f"{method} {rule.rule}"
            for rule in bare_app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        assert {row.call for row in TABLE} == routes

    def test_asks_no_less_than_the_document_says(self, bare_app: Flask) -> None:
        """`@describe(auth=…)`, which clients read, is no stricter and no laxer than what is tested here."""
        allowed = {"none": EVERYBODY, "admin": ADMINS, "user": KNOWN, "host": KNOWN}
        for rule in bare_app.url_map.iter_rules():
            operation = find_operation(bare_app.view_functions[rule.endpoint])
            if operation is None or operation.auth not in allowed or rule.rule.startswith("/login"):
                continue
            calls = {f"{method} {rule.rule}" for method in rule.methods or set()}
            for row in TABLE:
                if row.call in calls:
                    assert row.may <= allowed[operation.auth], row.title
                    assert row.may == EVERYBODY or operation.auth != "none", row.title

    def test_names_kinds_of_things_that_exist(self) -> None:
        assert {row.of for row in TABLE} == set(KINDS)

    def test_has_no_line_twice(self) -> None:
        titles = [row.title for row in TABLE]
        assert sorted(set(titles)) == sorted(titles)
