"""Columns of a batch as PostgreSQL reads arrays: one text each, written by the JSON encoder at C's speed."""

from typing import Any

import orjson


def array(values: list[Any]) -> str:
    """PostgreSQL's literal of an array: numbers, None, ids, instants, and text without control characters.

    Of these JSON's list differs in its brackets only: both put text in quotes, a backslash before a quote or a
    backslash, and write null for None.
    """
    return f"{{{orjson.dumps(values, option=orjson.OPT_UTC_Z)[1:-1].decode()}}}"


def array_of_json(values: list[Any]) -> str:
    """The literal of an array of JSON values. Any text may be in them: what JSON writes has no control characters."""
    return array([orjson.dumps(value).decode() for value in values])


def array_of_bytes(values: list[bytes]) -> str:
    """The literal of a `bytea[]`."""
    return array([f"\\x{value.hex()}" for value in values])
