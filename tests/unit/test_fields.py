"""What fields say of values that they refuse: the true reason."""

import pytest
from marshmallow import ValidationError

from api.fields import Instant
from api.parsing import QueryInteger

BOUNDS = "Must be greater than or equal to 1 and less than or equal to 100."


class TestQueryInteger:
    @pytest.mark.parametrize("value", ["-1", "-0", "0", "101", "99999999999999999999"])
    def test_of_an_integer_out_of_bounds_names_the_bounds(self, value):
        with pytest.raises(ValidationError, match=BOUNDS):
            QueryInteger(minimum=1, maximum=100).deserialize(value)

    @pytest.mark.parametrize("value", ["", "-", "--1", "+1", "1.0", "1e3", "true", " 1", "1_0", "١"])
    def test_of_anything_else_says_that_it_is_none(self, value):
        with pytest.raises(ValidationError, match="Not a valid integer"):
            QueryInteger(minimum=1, maximum=100).deserialize(value)


class TestInstant:
    @pytest.mark.parametrize(
        "value", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z"]
    )
    def test_of_a_year_out_of_bounds_names_the_bounds(self, value):
        with pytest.raises(ValidationError, match="Must lie in the years 1970 to 9998"):
            Instant().deserialize(value)

    @pytest.mark.parametrize(
        "value", ["", "tomorrow", "2030-06-01", "2030-06-01T18:00:00", "2030-02-30T18:00:00Z"]
    )
    def test_of_anything_else_says_how_one_is_written(self, value):
        with pytest.raises(ValidationError, match="Must be an RFC 3339 instant with an offset"):
            Instant().deserialize(value)
