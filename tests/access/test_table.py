"""Every route, every caller, somebody else's thing: `table.py`, called."""

from typing import Any

import pytest
from flask import Flask

from api.contract import find_operation
from tests.access.callers import ADMINS, EVERYBODY, KNOWN, Who
from tests.access.calls import call, essence
from tests.access.state import Stored, changes
from tests.access.table import TABLE, Row
from tests.access.things import ABSENT, KINDS, Thing
from tests.access.world import World

# Things that can be taken away, and how.
GONE = {
    "an account": "/api/users/{user_id}",
    "a host": "/api/users/{host_id}",
    "an organization": "/api/organizations/{organization_id}",
    "an event": "/api/events/{event_id}",
    "a draft": "/api/events/{event_id}",
}


@pytest.fixture(scope="module")
def gone(world: World) -> dict[str, dict[str, Any]]:
    """Things of each kind that can be taken away, taken away."""
    things = {kind: world.make(kind).values for kind in GONE}
    for kind, path in GONE.items():
        assert world.ask(Who.ADMIN, "DELETE", path.format(**things[kind])).status_code == 204
    return things


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
class TestEveryRoute:
    def test_lets_in_who_may_and_nobody_else(self, world: World, stored: Stored, row: Row) -> None:
        thing = world.make(row.of)
        before = stored.read()
        refused = [who for who in Who if row.refuses(who)]
        found = {who: call(world, row, who, thing, thing.values).status_code for who in refused}
        if row.method == "GET":
            for who in {Who.NOBODY, Who.STRANGER, Who.CONSOLE}.intersection(refused):
                head = call(world, row, who, thing, thing.values, method="HEAD")
                assert head.status_code == found[who], who
        assert changes(before, stored.read()) == []
        for who in row.may:
            if row.method != "GET":
                thing = world.make(row.of)
            found[who] = call(world, row, who, thing, thing.values).status_code
        assert found == {who: row.status(who) for who in Who}

    def test_is_silent_about_what_is_not_ones_own(self, world: World, row: Row) -> None:
        """Somebody else's thing is answered as one that nobody ever had, after the same look-ups."""
        hidden_from = [who for who in Who if row.status(who) in (401, 404) and who not in row.in_sight]
        thing = world.make(row.of) if hidden_from else Thing({})
        like = world.make(row.nowhere).values if row.nowhere else ABSENT
        absent = {**thing.values, **{name: like[name] for name in thing.values if name in like}}
        for who in hidden_from:
            with world.statements() as looked:
                there = call(world, row, who, thing, thing.values)
            with world.statements() as looked_in_vain:
                nowhere = call(world, row, who, thing, absent)
            assert essence(there) == essence(nowhere), who
            if row.status(Who.STRANGER) == 404 and not row.unguessable:
                assert looked == looked_in_vain, who


@pytest.mark.parametrize("row", [row for row in TABLE if row.of in GONE], ids=lambda row: row.title)
def test_what_is_gone_was_never_there(world: World, gone: dict[str, dict[str, Any]], row: Row) -> None:
    """Not for its host, and not for admins either: a hidden event, a deleted organization, a closed account."""
    for who in (Who.NOBODY, Who.HOST, Who.ORG_OWNER, Who.ADMIN):
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
