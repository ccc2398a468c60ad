"""Identifiers: strictly growing, of the right version, derived the same every time, never given twice."""

import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids
from shared.ids import ALPHABET, REFERENCE_SPACE, booking_reference, derived_uuid, parse_uuid, texts_of, uuid7

KEY = bytes(range(32))
STAYS = ["NJ3G-WFMF", "6ZNZ-SSQ4", "78DB-TN8T"]
parents = st.integers(0, 2**128 - 1).map(lambda number: uuid.UUID(int=number))


class TestUuid7:
    def test_grows_strictly(self):
        made = [uuid7() for _ in range(20_000)]
        assert made == sorted(set(made))

    def test_grows_strictly_in_threads(self):
        made: list[list[uuid.UUID]] = [[] for _ in range(4)]

        def make(mine: list[uuid.UUID]) -> None:
            mine.extend(uuid7() for _ in range(2_000))

        threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ticks = [one.int >> 64 for mine in made for one in mine]
        assert len(set(ticks)) == len(ticks)
        assert all(mine == sorted(mine) for mine in made)

    def test_has_the_version_the_variant_and_the_time(self):
        before = time.time_ns() // 1_000_000
        one = uuid7()
        after = time.time_ns() // 1_000_000
        assert (one.version, one.variant) == (7, uuid.RFC_4122)
        assert before <= one.int >> 80 <= after + 1

    def test_grows_when_the_clock_stands_or_goes_back(self, monkeypatch):
        first = uuid7()
        later = time.time_ns() + 1_000
        for nanos in (later, later, 5, 0):
            monkeypatch.setattr(time, "time_ns", lambda nanos=nanos: nanos)
            following = uuid7()
            assert following > first
            assert (following.version, following.variant) == (7, uuid.RFC_4122)
            first = following


class TestDerivedUuid:
    @given(parents, st.integers(0, 2**63))
    def test_is_the_same_every_time_and_stays_near_its_parent(self, parent, part):
        derived = derived_uuid(parent, part)
        assert derived == derived_uuid(parent, part)
        assert derived.int >> 64 == parent.int >> 64
        assert derived.variant == uuid.RFC_4122

    @given(parents, parents, st.integers(0, 10**6), st.integers(0, 10**6))
    def test_differs_by_parent_and_by_part(self, parent, other, part, another):
        if (parent, part) != (other, another):
            assert derived_uuid(parent, part) != derived_uuid(other, another)

    def test_of_a_uuid7_is_one(self):
        assert derived_uuid(uuid7(), 0).version == 7


class TestParsing:
    @given(parents)
    def test_gives_the_uuid_that_this_is_the_usual_form_of(self, made):
        assert parse_uuid(str(made)) == made

    @pytest.mark.parametrize(
        "other",
        [str.upper, lambda text: text.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format, "{}\n".format],
    )
    def test_refuses_every_other_form(self, other):
        with pytest.raises(ValueError, match="usual form"):
            parse_uuid(other("0198c0de-0000-7abc-8def-0123456789ab"))


class TestBookingReference:
    @given(
        st.sets(st.integers(0, REFERENCE_SPACE - 1), min_size=2, max_size=50),
        st.binary(min_size=1, max_size=64),
    )
    def test_is_given_to_one_number_only(self, numbers, key):
        assert len({booking_reference(number, key) for number in numbers}) == len(numbers)

    @pytest.mark.parametrize("key", [KEY, bytes(32), b"k"])
    def test_is_a_bijection(self, monkeypatch, key):
        """The same network over a space small enough to see all of it: only the last symbol of each half varies."""
        monkeypatch.setattr(ids, "REFERENCE_SPACE", len(ALPHABET) ** 2)
        monkeypatch.setattr(ids, "_HALF", len(ALPHABET))
        references = {booking_reference(number, key) for number in range(len(ALPHABET) ** 2)}
        still = 3 * ALPHABET[0]
        assert references == {f"{still}{one}-{still}{other}" for one in ALPHABET for other in ALPHABET}

    def test_stays_what_it_was(self):
        """Tickets with it have been printed."""
        assert [booking_reference(number, KEY) for number in (0, 123_456, REFERENCE_SPACE - 1)] == STAYS

    def test_has_no_look_alikes(self):
        assert len(set(ALPHABET)) == len(ALPHABET)
        assert not set(ALPHABET) & set("01OILUVAE")
        reference = booking_reference(123_456, KEY)
        assert (len(reference), reference[4]) == (9, "-")
        assert set(reference.replace("-", "")) <= set(ALPHABET)

    def test_says_nothing_about_its_neighbours(self):
        references = [booking_reference(number, KEY) for number in range(1000)]
        assert references != sorted(references)
        assert len({reference[:4] for reference in references}) > 900
        assert booking_reference(0, KEY) != booking_reference(0, bytes(32))

    @pytest.mark.parametrize("number", [-1, REFERENCE_SPACE])
    def test_ends_with_its_space(self, number):
        with pytest.raises(ValueError, match="outside the space"):
            booking_reference(number, KEY)


class TestTextsOf:
    def test_are_the_usual_forms_in_order(self):
        ids = [uuid7() for _ in range(3)]
        assert texts_of(ids) == [str(each) for each in ids]

    def test_of_nothing_are_none(self):
        assert texts_of([]) == []
