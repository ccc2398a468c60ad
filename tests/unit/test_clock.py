"""Instants: exact on the wire, one text for one instant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import EPOCH, from_micros, parse_rfc3339, rfc3339, rfc3339_or_none, to_micros, utc_now

instants = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


class TestMicros:
    @given(instants)
    def test_come_back_exactly(self, instant):
        assert from_micros(to_micros(instant)) == instant

    def test_start_at_the_epoch(self):
        assert to_micros(EPOCH) == 0
        assert to_micros(EPOCH - timedelta(microseconds=1)) == -1
        assert to_micros(datetime(2026, 11, 20, 18, 0, 0, 123_457, tzinfo=UTC)) == 1_795_197_600_123_457


class TestRfc3339:
    @given(instants)
    def test_comes_back_exactly(self, instant):
        assert parse_rfc3339(rfc3339(instant)) == instant

    @given(instants, offsets)
    def test_is_one_text_for_one_instant(self, instant, offset):
        assert rfc3339(instant.astimezone(offset)) == rfc3339(instant)

    @given(instants, instants)
    def test_sorts_like_the_instants(self, one, other):
        assert (rfc3339(one) < rfc3339(other)) == (one < other)

    def test_always_has_four_and_six_digits(self):
        assert rfc3339(datetime(2026, 11, 20, 18, tzinfo=UTC)) == "2026-11-20T18:00:00.000000Z"
        assert rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"

    def test_passes_none_through(self):
        assert rfc3339_or_none(None) is None
        assert rfc3339_or_none(EPOCH) == "1970-01-01T00:00:00.000000Z"

    @pytest.mark.parametrize(
        "text",
        ["", "x", "2026-11-20", "2026-11-20T18:00:00", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
    )
    def test_refuses_what_is_no_instant(self, text):
        with pytest.raises(ValueError):
            parse_rfc3339(text)


def test_now_is_aware():
    assert utc_now().tzinfo is UTC
