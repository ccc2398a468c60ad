"""Arrays as the batch writes them: PostgreSQL reads back what was meant."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine

from shared.store.arrays import array, array_of_bytes, array_of_json

TEXTS = ["", "null", "NULL", '"', "\\", "\\n", "a,b", "{}", "{a}", " x ", "%s", "'", "Žižkov 🎟", "\x7f"]
INSTANTS = [datetime(2026, 11, 20, 18, tzinfo=UTC), datetime(2026, 11, 20, 18, 0, 0, 1, tzinfo=UTC), None]
DOCUMENTS = [
    {},
    {"a": 'quote " slash \\ brace } comma ,'},
    {"b": "line\nfeed\ttab\x01"},
    {"c": None},
    "null",
    None,
]


@pytest.fixture
def read(engine: Engine) -> Callable[[str, str], list[Any]]:
    """What PostgreSQL makes of a literal of that type."""

    def read(literal: str, kind: str) -> list[Any]:
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"select unnest(%s::{kind}[])", (literal,))
            return [row[0] for row in cursor.fetchall()]
        finally:
            connection.close()

    return read


class TestArray:
    def test_keeps_text(self, read):
        assert read(array(TEXTS), "text") == TEXTS

    def test_keeps_numbers_and_what_is_missing(self, read):
        assert read(array([2**63 - 1, None, -1, 0]), "bigint") == [2**63 - 1, None, -1, 0]

    def test_keeps_ids(self, read):
        ids = [uuid.UUID(int=1), None, uuid.UUID(int=2**128 - 1)]
        assert [None if found is None else uuid.UUID(str(found)) for found in read(array(ids), "uuid")] == ids

    def test_keeps_instants_to_the_microsecond(self, read):
        assert read(array(INSTANTS), "timestamptz") == INSTANTS

    def test_may_be_empty(self, read):
        assert read(array([]), "text") == []

    def test_keeps_bytes(self, read):
        values = [b"", b"\x00\\\xff", bytes(range(256))]
        assert [bytes(found) for found in read(array_of_bytes(values), "bytea")] == values

    def test_keeps_documents_whatever_text_is_in_them(self, read):
        found = read(array_of_json(DOCUMENTS), "jsonb")
        assert [orjson.loads(each) if isinstance(each, bytes) else each for each in found] == DOCUMENTS
