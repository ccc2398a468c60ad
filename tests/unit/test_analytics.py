"""Periods, rates, spans and rankings: what analytics count with."""

import random
from datetime import date, timedelta

import pytest

from shared.domain.analytics import (
    PERIOD_DAYS_DEFAULT,
    Block,
    EventCount,
    EventSettings,
    Figures,
    Money,
    Period,
    Rolled,
    Span,
    choose_candidates,
    make_period,
    next_spans,
    percent,
    ratio,
    split_months,
)

TODAY = date(2030, 5, 2)
DAY = timedelta(days=1)


class TestPeriod:
    @pytest.mark.parametrize(
        ("first", "last", "expected"),
        [
            (None, None, (TODAY - 29 * DAY, TODAY)),
            (date(2030, 5, 1), None, (date(2030, 5, 1), TODAY)),
            (None, date(2030, 1, 30), (date(2030, 1, 1), date(2030, 1, 30))),
            (date(2030, 1, 1), date(2030, 1, 1), (date(2030, 1, 1), date(2030, 1, 1))),
            (TODAY + DAY, None, (TODAY + DAY, TODAY + PERIOD_DAYS_DEFAULT * DAY)),
        ],
    )
    def test_is_what_was_asked_for_or_the_last_days(self, first, last, expected):
        period = make_period(first, last, TODAY)
        assert (period.first, period.last) == expected

    def test_has_both_its_ends(self):
        period = Period(TODAY - DAY, TODAY)
        assert period.length == 2
        assert list(period.days()) == [TODAY - DAY, TODAY]

    @pytest.mark.parametrize(
        ("first", "last", "months"),
        [
            (date(2030, 1, 1), date(2030, 12, 31), 12),
            (date(2030, 1, 2), date(2030, 12, 30), 10),
            (date(2030, 1, 31), date(2030, 3, 1), 1),
            (date(2032, 2, 1), date(2032, 2, 29), 1),
            (date(2032, 2, 1), date(2032, 2, 28), 0),
            (date(2030, 12, 1), date(2031, 1, 1), 1),
        ],
    )
    def test_is_split_into_whole_months_and_the_days_beside_them(self, first, last, months):
        found, days = split_months(Period(first, last))
        assert len(found) == months
        covered = list(days)
        for month in found:
            covered += [
                day
                for day in Period(first, last).days()
                if (day.year, day.month) == (month.year, month.month)
            ]
        assert sorted(covered) == list(Period(first, last).days())


class TestFigures:
    def test_of_live_bookings_are_those_made_less_those_cancelled(self):
        figures = Figures(bookings=3, tickets=7, cancellations=1, tickets_cancelled=2)
        assert (figures.live_bookings, figures.live_tickets, figures.cancellation_rate) == (2, 5, 0.3333)
        assert Money(booked_minor=500, cancelled_minor=700).revenue_minor == -200

    def test_are_nothing_when_all_are_zero(self):
        assert not Figures()
        assert Figures(impressions=1)
        assert not Money()
        assert Money(cancelled_minor=1)

    def test_rates_of_nothing_are_zero(self):
        assert (ratio(0, 0), ratio(1, 3), percent(0, 0), percent(2, 3)) == (0.0, 0.3333, 0.0, 66.67)


class TestRolled:
    def test_is_added_and_taken_away_by_event_and_day(self):
        settings = EventSettings(TODAY, published=True, capacity=5)
        rolled, more = Rolled(), Rolled(settings={1: settings})
        more.add_day(1, TODAY, Figures(bookings=2))
        more.add_day(1, TODAY - DAY, Figures(bookings=1))
        more.add_money(1, TODAY, "EUR", Money(booked_minor=10))
        rolled.add(more)
        rolled.add(more)
        assert rolled.totals() == {1: Figures(bookings=6)}
        assert rolled.money == {(1, TODAY, "EUR"): Money(booked_minor=20)}
        assert rolled.settings == {1: settings}
        rolled.add(more, sign=-1)
        assert rolled.totals() == more.totals()


class TestShare:
    def test_is_that_of_a_published_event_on_the_day_it_starts(self):
        count = EventCount(event_id=1, figures=Figures(tickets=4, tickets_cancelled=1))
        assert count.share() == {}
        count.settings = EventSettings(TODAY, published=False, capacity=5)
        assert count.share() == {}
        count.settings = EventSettings(TODAY, published=True, capacity=5)
        assert count.share() == {TODAY: (1, 5, 3)}


class TestSpans:
    def test_are_the_first_rows_that_are_not_counted(self):
        uncounted = {1: (0, 3), 2: (5, 5), 3: (2, 9), 4: (0, 1)}
        assert next_spans(uncounted, 6) == [
            Span(event_id=1, after=0, up_to=3),
            Span(event_id=3, after=2, up_to=5),
        ]
        assert next_spans(uncounted, 100)[-1] == Span(event_id=4, after=0, up_to=1)


class TestCandidates:
    def test_of_short_blocks_are_everybody_and_nobody_else_has_anything(self):
        blocks = [Block([(1, 5), (2, 3)], 3), Block([(2, 4)], 3)]
        assert choose_candidates(blocks, 2, 10) == ([2, 1], 0)

    def test_leave_out_who_cannot_be_among_the_best(self):
        blocks = [Block([(1, 90), (2, 80), (3, 10)], 3), Block([(1, 50), (2, 40), (4, 1)], 3)]
        assert choose_candidates(blocks, 2, 10) == ([1, 2], 11)

    def test_are_nobody_where_nothing_happened(self):
        assert choose_candidates([], 10, 10) == ([], 0)

    def test_beyond_the_limit_are_told_as_what_they_may_have(self):
        blocks = [Block([(1, 9), (2, 8), (3, 7)], 4)]
        assert choose_candidates(blocks, 3, 1) == ([1], 8)

    @pytest.mark.parametrize("seed", range(40))
    def test_hold_the_best_or_nobody_claims_so(self, seed):
        """Against everything added up: who was left out has no more than is said, or is none of the best."""
        chance = random.Random(seed)
        blocks_of = [
            {
                event: chance.choice([1, 2, 3, chance.randint(1, 60)])
                for event in range(40)
                if chance.random() < 0.6
            }
            for _ in range(6)
        ]
        full = chance.choice([2, 5, 20])
        blocks = [
            Block(sorted(values.items(), key=lambda item: (-item[1], item[0]))[:full], full)
            for values in blocks_of
        ]
        candidates, others_max = choose_candidates(blocks, 3, chance.choice([4, 40]))
        sums = {event: sum(values.get(event, 0) for values in blocks_of) for event in range(40)}
        best = sorted(sums.values(), reverse=True)[:3]
        assert all(sums[e] <= others_max or sums[e] < best[-1] for e in sums if e not in candidates)
        found = sorted((sums[event] for event in candidates), reverse=True)[:3]
        if len(found) == 3 and others_max <= found[-1]:
            assert found == best
