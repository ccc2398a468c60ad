"""Whatever clients, operators and deaths do in whatever order, API, line, worker and ledger do as a model that is too
naive to be wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine

from shared.settings import Settings
from tests.models.expected import Asked
from tests.models.office import Office
from tests.models.operators import Operators
from tests.models.people import BATCHES, UNDECIDED_MAX

STEPS = 30
EXAMPLES_DEFAULT = 30  # half a minute
DEATHS_MAX = 2  # in a row: a third one over the same request, alone, is quarantine, which is another test's


class TicketOffice(Operators):
    """The worker and the API's process, and what must hold after every step."""

    @rule()
    def decide_a_batch(self) -> None:
        self.decide(self.office.decide_a_batch)

    @rule()
    def decide_all(self) -> None:
        self.decide(self.office.decide_all)
        if not self.expected.paused:
            assert self.expected.line == []
            self.deaths = 0

    def decide(self, decide: Callable[[], None]) -> None:
        waiting = len(self.expected.line)
        for model in self.expected.events.values():
            model.lifetime = self.office.lifetime
        decide()
        self.read_the_ledger()
        if self.expected.paused:
            assert len(self.expected.line) == waiting

    @precondition(lambda self: self.expected.line and self.deaths < DEATHS_MAX)
    @rule(at=st.integers(1, 14), after=st.booleans(), then=st.booleans())
    def die_deciding(self, at: int, after: bool, then: bool) -> None:
        """The next holder goes on at once, or when somebody lets it."""
        died = []
        self.decide(
            lambda: died.append(self.office.die_deciding(at=at, after=after, batch_max=self.batch_max))
        )
        self.deaths += died[0]
        if then:
            self.decide_all()

    @rule(batch_max=st.sampled_from(BATCHES), api=st.booleans())
    def restart(self, batch_max: int, api: bool) -> None:
        if api:
            self.office.open_api()
        else:
            self.batch_max = batch_max
            self.office.open_worker(batch_max)

    def read_the_ledger(self) -> None:
        """What was decided since, one row after the other: the model must say the same."""
        for event_id in self.expected.events:
            self.read[event_id], rows = self.office.rows_after(event_id, self.read[event_id])
            for row in rows:
                if row.kind == "offer":
                    ends = datetime.fromisoformat(row.facts["expires_at"])
                    said: tuple[Any, ...] = ("offer", row.made_by, row.user_id, row.tickets, ends)
                else:
                    self.expected.decide(event_id, row.job_id, row.decided_at)
                    self.news.append(row.job_id)
                    said = ("decision", row.job_id, row.outcome, row.reason)
                self.stories[event_id].append(said)

    # what must hold

    @invariant()
    def the_ledger_is_the_models_story(self) -> None:
        for event_id, model in self.expected.events.items():
            assert self.stories[event_id] == model.story

    @invariant()
    def nothing_is_oversold_and_nobody_has_two_bookings(self) -> None:
        for event_id, model in self.expected.events.items():
            ((capacity, booked, offered, arrivals),) = self.office.query(
                "select capacity, booked, offered, last_arrival from events where id = :event", event=event_id
            )
            assert booked + offered <= capacity
            assert (capacity, booked, offered) == (model.capacity, model.booked(), model.offered())
            assert arrivals == model.arrivals
            live = self.office.query(
                "select user_id, sum(tickets) as tickets, count(*) as bookings from bookings"
                " where event_id = :event and status = 'confirmed' group by user_id",
                event=event_id,
            )
            assert all(row.bookings == 1 for row in live)
            assert sum(row.tickets for row in live) == booked

    @invariant()
    def whoever_asks_is_told_what_the_ledger_says_and_ever_the_same(self) -> None:
        news, self.news = self.news[-3:], []
        decided = [*self.expected.answers]
        for job_id in {*news, *decided[self.turn % max(len(decided), 1) :][:1]}:
            (row,) = self.office.query(
                "select user_id, number from decisions where job_id = :job", job=job_id
            )
            document = self.status(Asked(job_id, "", 0, row.user_id))
            assert (document["status"], document["reason"]) == self.expected.answers[job_id]
            assert document["decision_number"] == row.number
            told = {name: document[name] for name in ("status", "reason", "facts", "arrival", "decided_at")}
            assert self.seen.setdefault(job_id, told) == told
        if self.expected.line:
            asked = self.expected.line[self.turn % len(self.expected.line)]
            document = self.status(asked)
            assert document["status"] == "queued"
            assert document["position"] == self.expected.position(asked.job_id)
            assert (document["paused"] is not None) == self.expected.paused
        self.turn += 1

    @invariant()
    def who_is_counted_as_undecided_is(self) -> None:
        for user in self.office.users:
            assert self.office.count_undecided(user.id) == len(self.expected.of_user(user.id))

    def teardown(self) -> None:
        """In the end everything is decided, and the audit finds nothing."""
        if not self.office.events or self.office.driver is None:
            return
        if self.expected.paused:
            self.pause_or_resume()
        self.decide_all()
        self.the_ledger_is_the_models_story()
        self.office.assert_audit_clean()
        self.office.close_worker()


@pytest.fixture
def office(settings: Settings, engine: Engine, make_app: Callable[[Settings], Flask]) -> Office:
    """Nobody is kept out for asking often; how many requests may wait is a limit that the model knows."""
    return Office(
        replace(
            settings,
            booking_rate_per_second=100_000.0,
            booking_rate_burst=100_000,
            user_undecided_max=UNDECIDED_MAX,
            access_log=False,
        ),
        engine,
        make_app,
    )


def test_whatever_happens_happens_as_in_the_model(office: Office, model_examples: int | None) -> None:
    """`--model-examples N` tries N others; without it they are always the same."""

    class Machine(TicketOffice):
        pass

    Machine.office = office
    run_state_machine_as_test(
        Machine,
        settings=hypothesis_settings(
            max_examples=model_examples or EXAMPLES_DEFAULT,
            derandomize=model_examples is None,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
