"""No body sets what is not the caller's to set: ids, roles, counters, owners, times, hashes."""

from collections.abc import Iterator

import pytest
from flask import Flask
from marshmallow import Schema, ValidationError, fields

from api.contract import Operation, find_operation
from api.parsing import ERRORS_MAX
from shared.models import Base
from tests.access.callers import Who
from tests.access.calls import call
from tests.access.state import Stored, changes
from tests.access.table import TABLE, Row
from tests.access.world import World

_WRITES = ("POST", "PUT", "PATCH", "DELETE")


def operations(app: Flask) -> dict[str, Operation]:
    """`PUT /api/events/<int:event_id>` → what it says of itself."""
    return {
        f"{method} {rule.rule}": operation
        for rule in app.url_map.iter_rules()
        for method in rule.methods or set()
        if (operation := find_operation(app.view_functions[rule.endpoint])) is not None
    }


def names_in(schema: type[Schema] | Schema) -> Iterator[str]:
    """The members of a document, and of those inside it."""
    for name, field in (schema() if isinstance(schema, type) else schema).fields.items():
        yield name
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, fields.Nested):
            yield from names_in(inner.schema)


@pytest.fixture(scope="module")
def names(world: World) -> set[str]:
    """Every member of every document, and every column of every table."""
    shown = {
        name
        for operation in operations(world.app).values()
        for answer in operation.answers.values()
        if answer.document is not None
        for name in names_in(answer.document)
    }
    return shown | {column.key for table in Base.metadata.tables.values() for column in table.columns}


def batched(names: list[str]) -> Iterator[list[str]]:
    """Few enough at a time for an answer to name each."""
    for start in range(0, len(names), ERRORS_MAX // 2):
        yield names[start : start + ERRORS_MAX // 2]


def writing_rows() -> list[Row]:
    """The rows whose routes take a body."""
    return [row for row in TABLE if row.method in _WRITES and row.call.split(" ")[1].startswith("/api/")]


@pytest.mark.parametrize("row", writing_rows(), ids=lambda row: row.title)
def test_no_body_sets_more_than_it_may(world: World, stored: Stored, names: set[str], row: Row) -> None:
    operation = operations(world.app)[row.call]
    if operation.body is None:  # it reads none
        return
    foreign = names - operation.body().fields.keys()
    assert {"id", "created_at", "password_hash", "booked", "version", "host_id", "deleted_at"} <= foreign
    who = next((who for who in (Who.ADMIN, Who.OWNER, Who.ORG_MEMBER) if who in row.may), Who.HOST)
    thing = world.make(row.of)
    before = stored.read()
    for some in batched(sorted(foreign)):
        answer = call(world, row, who, thing, thing.values, extra=dict.fromkeys(some, 1), afresh=False)
        assert answer.status_code == 422, answer.text
        assert {f"#/{name}" for name in some} == {
            error["pointer"] for error in answer.json["errors"] if error["detail"] == "Unknown field."
        }
    assert changes(before, stored.read()) == []


def test_no_body_names_the_role_of_an_admin(world: World) -> None:
    """An admin is made on the server, by `guichet create-admin`, or not at all."""
    roles = 0
    for operation in operations(world.app).values():
        role = operation.body and operation.body().fields.get("role")
        if role:
            roles += 1
            assert role.validators, operation
            with pytest.raises(ValidationError, match="Must be one of"):
                role.deserialize("admin")
    assert roles >= 3
