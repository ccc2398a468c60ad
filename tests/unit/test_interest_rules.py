"""When there is still a sale to be told of."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.interests import check_interest
from shared.errors import RefusedError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIELDS = {
    "status": "scheduled",
    "sales_open_at": NOW + HOUR,
    "sales_close_at": NOW + 2 * HOUR,
    "sales_paused": False,
    "now": NOW,
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sales_paused": True},
        {"sales_open_at": NOW + timedelta(microseconds=1)},
        {"sales_open_at": None, "sales_paused": True},
        {"sales_open_at": NOW - HOUR, "sales_paused": True},
        {"status": "draft"},
        {"status": "draft", "sales_open_at": None},
        {"status": "draft", "sales_open_at": NOW - HOUR},
    ],
)
def test_a_sale_that_is_still_to_open(fields):
    check_interest(**{**FIELDS, **fields})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sales_open_at": None}, "sales_open"),
        ({"sales_open_at": NOW}, "sales_open"),
        ({"sales_open_at": NOW - HOUR}, "sales_open"),
        ({"sales_close_at": NOW, "sales_paused": True}, "sales_closed"),
        ({"sales_open_at": NOW - 2 * HOUR, "sales_close_at": NOW}, "sales_closed"),
        ({"status": "draft", "sales_close_at": NOW}, "sales_closed"),
        ({"status": "cancelled"}, "event_cancelled"),
        ({"status": "cancelled", "sales_close_at": NOW - HOUR}, "event_cancelled"),
    ],
)
def test_a_sale_that_nobody_would_be_told_of(fields, code):
    with pytest.raises(RefusedError) as refused:
        check_interest(**{**FIELDS, **fields})
    assert refused.value.code == code
    closes_at = {**FIELDS, **fields}["sales_close_at"]
    assert refused.value.facts == (
        {"closed_at": f"{closes_at:%Y-%m-%dT%H:%M:%S.%fZ}"} if code == "sales_closed" else {}
    )
