"""A simulated sale: what must hold whatever is asked, and what the profiles look like."""

import math
import re
from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.simulation import report
from scripts.simulation.arrivals import (
    PROFILES,
    SELL_OUT_PEAK,
    SELL_OUT_RESERVATIONS,
    SELL_OUT_SECONDS,
    Profile,
    press_times,
)
from scripts.simulation.clock import Clock
from scripts.simulation.costs import DOCUMENTED
from scripts.simulation.others import Others
from scripts.simulation.people import CONFIRMED, DECIDED, DOOR, ENDS, LINE_FULL, SOLD_OUT
from scripts.simulation.sale import Sale, simulate
from scripts.simulation.scenario import Scenario, parse_tickets
from scripts.simulation.summary import Load, bottleneck, loads, summarise
from worker.booking_worker import PATIENCE_SECONDS

COSTS = DOCUMENTED.costs
SCENARIO = Scenario(seats=50, people=400, seconds=2.0, cores=2)

scenarios = st.builds(
    Scenario,
    seats=st.integers(5, 300),
    people=st.integers(1, 400),
    seconds=st.floats(0.1, 5),
    workers=st.integers(1, 10),
    api=st.integers(1, 4),
    cores=st.integers(1, 8),
    profile=st.sampled_from(PROFILES),
    tickets=st.sampled_from([((1, 1.0),), ((1, 3.0), (2, 1.0)), ((3, 1.0), (10, 1.0))]),
    events=st.integers(1, 5),
    hot=st.floats(0, 1),
    sold_out_door=st.booleans(),
    batch_max=st.integers(1, 300),
    event_undecided_max=st.sampled_from([3, 50, 100_000]),
    retries=st.integers(0, 2),
    looks=st.integers(0, 2),
    polls=st.booleans(),
    connections=st.sampled_from([1, 20, 8_000]),
    client=st.booleans(),
    others=st.lists(st.floats(0, 5), max_size=3).map(tuple),
    seed=st.integers(0, 1000),
)
every_sale = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sold(scenario: Scenario) -> Sale:
    return simulate(scenario, COSTS)


class TestEverySale:
    @every_sale
    @given(scenarios)
    def test_gives_each_person_exactly_one_end(self, scenario: Scenario) -> None:
        people = sold(scenario).people
        assert len(people.ends) == scenario.people
        assert set(people.ends) <= set(ENDS)
        for person, end in enumerate(people.ends):
            assert math.isnan(people.decided[person]) == (end not in DECIDED)
            assert not math.isnan(people.answered[person])

    @every_sale
    @given(scenarios)
    def test_decides_nobody_before_they_are_accepted(self, scenario: Scenario) -> None:
        people = sold(scenario).people
        for person, end in enumerate(people.ends):
            if end in DECIDED:
                assert people.pressed[person] < people.accepted[person] < people.decided[person]
            assert people.pressed[person] < people.answered[person]

    @every_sale
    @given(scenarios)
    def test_decides_each_event_in_the_order_of_acceptance(self, scenario: Scenario) -> None:
        people, events = sold(scenario).people, scenario.events_of_people()
        for event in range(scenario.events):
            mine = [
                person
                for person in range(scenario.people)
                if events[person] == event and people.ends[person] in DECIDED
            ]
            # Accepted at one moment, to the last digit: then the order is the line's.
            mine.sort(key=lambda person: (people.accepted[person], people.decided[person]))
            assert all(people.decided[one] <= people.decided[other] for one, other in pairwise(mine))

    @every_sale
    @given(scenarios)
    def test_never_oversells(self, scenario: Scenario) -> None:
        held, tickets, events = sold(scenario), scenario.tickets_of_people(), scenario.events_of_people()
        given_away: Counter[int] = Counter()
        for person, end in enumerate(held.people.ends):
            if end == CONFIRMED:
                given_away[events[person]] += tickets[person]
        for event, seats in enumerate(scenario.seats_by_event):
            assert given_away[event] <= seats
        assert held.seats_left == scenario.seats - sum(given_away.values())

    @every_sale
    @given(scenarios)
    def test_refuses_nobody_for_space_while_their_event_has_it(self, scenario: Scenario) -> None:
        people, events = sold(scenario).people, scenario.events_of_people()
        tickets, left = scenario.tickets_of_people(), list(scenario.seats_by_event)
        order = [person for person, end in enumerate(people.ends) if end in DECIDED]
        order.sort(key=lambda person: (people.decided[person], people.accepted[person]))
        for person in order:
            fits = tickets[person] <= left[events[person]]
            assert (people.ends[person] == CONFIRMED) == fits
            left[events[person]] -= tickets[person] * fits
            assert people.ends[person] != SOLD_OUT or left[events[person]] == 0

    @every_sale
    @given(scenarios)
    def test_is_the_same_for_the_same_seed(self, scenario: Scenario) -> None:
        first, second = sold(scenario).people, sold(scenario).people
        assert first.ends == second.ends
        assert str(first.decided) == str(second.decided)

    @every_sale
    @given(scenarios)
    def test_is_summed_up_without_losing_anybody(self, scenario: Scenario) -> None:
        held = sold(scenario)
        summary = summarise(held.people, seats_left=held.seats_left)
        assert sum(summary.ends.values()) == scenario.people == sum(summary.course.pressed)
        assert sum(summary.course.decided) == sum(summary.course.accepted) == summary.decided
        assert summary.course.depth[-1] == 0
        assert (summary.gone_seconds is not None) == (held.seats_left == 0)
        for figures in summary.waits_ms.values():
            assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["max"]
        for load in loads(held, scenario, summary.ended_seconds).values():
            assert 0 <= load.mean <= load.busiest <= 1


class TestMoreOfSomething:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 7), st.integers(0, 50), st.integers(50, 2_000))
    def test_workers_never_make_distinct_events_wait_longer(
        self, workers: int, seed: int, people: int
    ) -> None:
        """But for one batch: others are its first and last, and a small one is followed by patience. There are cores
        for everybody: workers that share cores only wait for each other.
        """
        scenario = replace(
            SCENARIO,
            people=people,
            seconds=0.2,
            events=8,
            seats=8 * people,
            cores=64,
            workers=workers,
            api=8,
            seed=seed,
        )
        one_more = replace(scenario, workers=workers + 1)
        ended = [summarise(sold(each).people, seats_left=1).ended_seconds for each in (scenario, one_more)]
        batch = COSTS.batch.worker_us + COSTS.batch.postgres_us + COSTS.batch.redis_us + COSTS.batch.wait_us
        batch += 250 * (
            COSTS.decision.worker_us
            + COSTS.decision.postgres_us
            + COSTS.booking.worker_us
            + COSTS.booking.postgres_us
        )
        batch += 250 * COSTS.decision.redis_us + 2 * COSTS.sync_us
        assert ended[1] <= ended[0] + batch / 1e6 + PATIENCE_SECONDS

    def test_workers_help_distinct_events_and_not_one_hot_event(self) -> None:
        crowd = replace(SCENARIO, people=20_000, seats=20_000, seconds=0.5, cores=16, api=16, polls=False)

        def ended(**changes: int) -> float:
            return summarise(sold(replace(crowd, **changes)).people, seats_left=0).ended_seconds

        assert ended(workers=4, events=8) < 0.7 * ended(workers=1, events=8)
        assert ended(workers=4, events=1) == pytest.approx(ended(workers=1, events=1), rel=0.02)

    def test_seats_confirm_more_people(self) -> None:
        confirmed = [
            sold(replace(SCENARIO, seats=seats)).people.ends.count(CONFIRMED) for seats in (10, 50, 1000)
        ]
        assert confirmed == [10, 50, 400]

    def test_other_programs_make_everybody_wait_longer(self) -> None:
        crowd = replace(SCENARIO, people=2_000, seconds=0.5)
        alone, shared = (
            summarise(sold(replace(crowd, others=others)).people, seats_left=0).ended_seconds
            for others in ((), (4.0,))
        )
        assert shared > 1.5 * alone


class TestTheDoor:
    def test_refuses_once_the_seats_are_gone(self) -> None:
        people = sold(SCENARIO).people
        assert people.ends.count(DOOR) > 100
        gone = max(at for at, end in zip(people.decided, people.ends, strict=True) if end == CONFIRMED)
        assert all(at > gone for at, end in zip(people.answered, people.ends, strict=True) if end == DOOR)

    def test_that_is_off_lets_everybody_stand_in_line(self) -> None:
        ends = Counter(sold(replace(SCENARIO, sold_out_door=False)).people.ends)
        assert ends == {CONFIRMED: 50, SOLD_OUT: 350}

    def test_asks_those_who_try_again(self) -> None:
        once, thrice = sold(SCENARIO), sold(replace(SCENARIO, retries=2))
        refused = once.people.ends.count(DOOR)
        assert thrice.requests - once.requests == 2 * refused

    def test_of_a_full_line_is_shut(self) -> None:
        ends = sold(replace(SCENARIO, profile="burst", seconds=0.1, event_undecided_max=10)).people.ends
        assert ends.count(LINE_FULL) > 0


class TestTheRequests:
    def test_are_one_a_person_and_what_people_do_besides(self) -> None:
        quiet = replace(SCENARIO, polls=False, sold_out_door=False)
        assert sold(quiet).requests == 400
        assert sold(replace(quiet, looks=2)).requests == 1_200
        assert sold(replace(quiet, polls=True)).requests == 800  # each asks once, and knows

    def test_wait_outside_while_all_connections_are_taken(self) -> None:
        crowd = replace(SCENARIO, profile="burst", seconds=0.1)
        assert sold(replace(crowd, connections=1)).open_max > 1


class TestTheBottleneck:
    def test_is_the_api_where_cores_are_left(self) -> None:
        scenario = replace(SCENARIO, people=5_000, seconds=2.0, cores=16, api=1, sold_out_door=False)
        assert self._of(scenario) == "API"

    def test_is_the_worker_where_the_api_has_many_processes(self) -> None:
        scenario = replace(SCENARIO, people=20_000, seats=20_000, seconds=1.0, cores=64, api=60, polls=False)
        slow = replace(
            COSTS,
            decision=replace(COSTS.decision, worker_us=300.0),
            accept=replace(COSTS.accept, redis_us=10.0),
        )
        held = simulate(scenario, slow)
        summary = summarise(held.people, seats_left=held.seats_left)
        assert bottleneck(loads(held, scenario, summary.ended_seconds)) == "worker"

    def test_is_the_cores_where_everybody_shares_one(self) -> None:
        assert self._of(replace(SCENARIO, people=5_000, cores=1)) == "cores"

    def test_is_nothing_on_a_quiet_day(self) -> None:
        assert self._of(replace(SCENARIO, people=100, seconds=60.0, polls=False)) == ""

    def test_needs_something_near_its_limit(self) -> None:
        calm = dict.fromkeys(("API", "worker", "cores"), Load(mean=0.5, busiest=0.8))
        assert bottleneck(calm) == ""
        assert bottleneck(calm | {"worker": Load(mean=0.5, busiest=0.9)}) == "worker"

    def _of(self, scenario: Scenario) -> str:
        held = sold(scenario)
        summary = summarise(held.people, seats_left=held.seats_left)
        return bottleneck(loads(held, scenario, summary.ended_seconds))


class TestTheProfiles:
    @given(st.sampled_from(PROFILES), st.integers(1, 500), st.floats(0.1, 1000), st.integers(0, 100))
    def test_bring_everybody_in_time_and_in_order(
        self, profile: Profile, people: int, seconds: float, seed: int
    ) -> None:
        times = press_times(profile, people, seconds=seconds, seed=seed)
        assert len(times) == people
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= seconds

    def test_of_a_sell_out_has_its_peak_and_its_end(self) -> None:
        people = 200_000
        times = press_times("sell-out", people, seconds=SELL_OUT_SECONDS, seed=1)
        scale = SELL_OUT_RESERVATIONS / people
        by_second = Counter(map(int, times))
        assert max(by_second.values()) * scale == pytest.approx(SELL_OUT_PEAK, rel=0.02)
        assert sum(count for second, count in by_second.items() if second < 13) / people > 0.96

    def test_of_a_burst_come_first(self) -> None:
        times = press_times("burst", 100_000, seconds=60, seed=1)
        assert times[63_000] == pytest.approx(10, rel=0.03)
        assert times[95_000] == pytest.approx(29.5, rel=0.03)

    def test_of_independent_people_are_spread_like_them(self) -> None:
        times = press_times("poisson", 50_000, seconds=100, seed=3)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        mean = sum(gaps) / len(gaps)
        assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.05)

    def test_flat_is_flat(self) -> None:
        assert press_times("flat", 4, seconds=8, seed=1) == [1, 3, 5, 7]


class TestTickets:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2", ((2, 1.0),)),
            ("1-3", ((1, 1.0), (2, 1.0), (3, 1.0))),
            ("1:60, 2:30,4:10", ((1, 60.0), (2, 30.0), (4, 10.0))),
        ],
    )
    def test_are_read(self, text: str, expected: object) -> None:
        assert parse_tickets(text) == expected

    @pytest.mark.parametrize("text", ["", "0", "11", "3-1", "1:0", "1:1,1:2", "a", "1:-1", "1-12"])
    def test_that_nobody_can_book_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"ticket|N-M"):
            parse_tickets(text)

    def test_come_as_often_as_asked(self) -> None:
        scenario = replace(SCENARIO, people=20_000, tickets=((1, 3.0), (4, 1.0)))
        assert Counter(scenario.tickets_of_people())[4] == pytest.approx(5_000, rel=0.05)


class TestTheClock:
    def _ended(self, clock: Clock, singles: list[float], crowd: list[float]) -> list[float]:
        """When each was done, in the order given."""
        ended: dict[int, float] = {}
        for index, seconds in enumerate([*singles, *crowd]):
            compute = clock.compute if index < len(singles) else clock.compute_in_crowd
            compute(seconds, lambda each: ended.update({each: clock.now}), index)
        clock.run()
        return [ended[index] for index in sorted(ended)]

    def test_shares_cores_evenly(self) -> None:
        assert self._ended(Clock(2), [1.0] * 4, []) == [2.0] * 4

    def test_speeds_up_when_a_core_becomes_free(self) -> None:
        assert self._ended(Clock(1), [1.0, 3.0], []) == [2.0, 4.0]

    def test_gives_a_crowd_as_much_as_one_who_is_alone(self) -> None:
        assert self._ended(Clock(1), [1.0], [1.0, 1.0]) == pytest.approx([2.0, 3.0, 3.0])

    def test_gives_a_crowd_what_those_alone_leave(self) -> None:
        assert self._ended(Clock(3), [1.0], [1.0] * 4) == pytest.approx([1.0] + [5 / 3] * 4)

    def test_shares_with_others(self) -> None:
        clock = Clock(1)
        clock.others = 3.0
        assert self._ended(clock, [1.0], []) == [4.0]

    def test_waits_without_a_core(self) -> None:
        clock, ended = Clock(1), {}
        clock.compute(1.0, lambda: ended.update(work=clock.now))
        clock.after(0.5, lambda: ended.update(wait=clock.now))
        clock.run()
        assert ended == {"work": 1.0, "wait": 0.5}


class TestWhatTheModelRepeats:
    def test_is_what_the_product_does(self) -> None:
        text = (Path(__file__).resolve().parents[2] / "api/gunicorn_conf.py").read_text()
        assert f"worker_connections = {report.CONNECTIONS_EACH}\n" in text

    def test_documented_costs_stand_in_the_document(self) -> None:
        text = (Path(__file__).resolve().parents[2] / "docs/simulate.md").read_text()
        figures = {figure.replace(",", "") for figure in re.findall(r"\d[\d,]*", text)}
        demands = [each for each in asdict(COSTS).values() if isinstance(each, dict)]
        values = [COSTS.sync_us, COSTS.round_trip_us, *(us for each in demands for us in each.values())]
        assert {f"{value:.0f}" for value in values if value} <= figures
        assert DOCUMENTED.machine in text


class TestWhatGoesOnAround:
    def test_is_known_however_short_one_looked(self, tmp_path: Path) -> None:
        with Others([], tmp_path) as others:
            found = others.found()
        assert len(found.others) <= 1
        assert found.work_us > 0
        assert found.sync_us > 0
