"""Cursors: whatever a client makes up is a place in the list or a clear refusal."""

import base64
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.paging import Sort, decode_cursor, encode_cursor, page_request
from shared.errors import InvalidInputError
from shared.ids import uuid7
from shared.store.paging import Position

SORTS = {"starts_at": Sort("instant"), "popularity": Sort("integer", descending=True), "title": Sort("text")}
INSTANT = datetime(2030, 6, 1, 18, 30, 0, 123456, tzinfo=UTC)


def raw_cursor(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


class TestCursor:
    @pytest.mark.parametrize(
        ("kinds", "position"),
        [
            (("instant", "integer"), Position(INSTANT, 7)),
            (("text", "integer"), Position("Fête naïve ☂", 7)),
            (("integer", "integer"), Position(-3, 2**63 - 1)),
        ],
    )
    def test_comes_back_exactly(self, kinds: Any, position: Position) -> None:
        text = encode_cursor("x", position, descending=True)
        assert decode_cursor(text, "x", descending=True, kinds=kinds) == position

    def test_carries_uuids(self) -> None:
        position = Position(uuid7(), uuid7())
        text = encode_cursor("x", position, descending=False)
        assert decode_cursor(text, "x", descending=False, kinds=("uuid", "uuid")) == position

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "!",
            "abc",
            "é",
            raw_cursor({}),
            raw_cursor([]),
            raw_cursor(["starts_at", "asc", 1]),
            raw_cursor(["starts_at", "asc", 1, 2, 3]),
            raw_cursor(["starts_at", "desc", 1, 2]),
            raw_cursor(["title", "asc", 1, 2]),
            raw_cursor(["starts_at", "asc", True, 2]),
            raw_cursor(["starts_at", "asc", 1.5, 2]),
            raw_cursor(["starts_at", "asc", -1, 2]),
            raw_cursor(["starts_at", "asc", 2**62, 2]),
            raw_cursor(["starts_at", "asc", 1, "2"]),
            raw_cursor(["starts_at", "asc", 1, 2**63]),
            raw_cursor(["starts_at", "asc", None, None]),
            encode_cursor("starts_at", Position(INSTANT, 7), descending=False) + "\n",
        ],
    )
    def test_of_somebody_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            decode_cursor(text, "starts_at", descending=False, kinds=("instant", "integer"))

    def test_with_nul_or_without_a_uuid_is_refused(self) -> None:
        with pytest.raises(InvalidInputError):
            decode_cursor(
                raw_cursor(["title", "asc", "a\0", 1]), "title", descending=False, kinds=("text", "integer")
            )
        with pytest.raises(InvalidInputError):
            decode_cursor(raw_cursor(["x", "asc", "a", "b"]), "x", descending=False, kinds=("text", "uuid"))
        with pytest.raises(InvalidInputError):
            decode_cursor(raw_cursor(["x", "asc", "a", "b"]), "x", descending=False, kinds=("text", "text"))

    @given(st.text(max_size=80))
    def test_no_text_is_anything_but_a_place_or_a_refusal(self, text: str) -> None:
        try:
            position = decode_cursor(text, "title", descending=False, kinds=("text", "integer"))
        except InvalidInputError:
            return
        assert isinstance(position.id, int | uuid.UUID)


class TestPageRequest:
    def test_defaults_to_the_first_sort_in_its_own_direction(self) -> None:
        asked = page_request({}, SORTS)
        assert (asked.sort, asked.descending, asked.limit, asked.offset, asked.after) == (
            "starts_at",
            False,
            20,
            0,
            None,
        )

    def test_a_sort_has_its_own_direction_unless_told_otherwise(self) -> None:
        assert page_request({"sort": "popularity"}, SORTS).descending
        assert not page_request({"sort": "popularity", "order": "asc"}, SORTS).descending

    @pytest.mark.parametrize("query", [{"sort": "id"}, {"cursor": "x", "offset": 1}, {"cursor": "x"}])
    def test_refuses_what_is_no_page(self, query: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            page_request(query, SORTS)
