"""The load test's verdict: a truthful history passes, and every broken promise is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scripts.load.history import Attempt, Entry, History
from scripts.load.report import percentiles, report_document
from scripts.load.verdict import judge

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def entry(number: int, arrival: int | None, **fields: object) -> Entry:
    values: dict[str, object] = {
        "job_id": f"job-{number}",
        "kind": "book",
        "tickets": 1,
        "outcome": "confirmed",
        "reason": None,
        "booking_id": f"booking-{number}",
        "capacity": None,
        "available_after": 0,
        "accepted_at": NOON + timedelta(seconds=number),
        "decided_at": NOON + timedelta(seconds=number, milliseconds=5),
    }
    return Entry(number=number, arrival=arrival, **(values | fields))  # type: ignore[arg-type]


def refusal(number: int, arrival: int, reason: str, left: int, **fields: object) -> Entry:
    return entry(
        number, arrival, outcome="rejected", reason=reason, booking_id=None, available_after=left, **fields
    )


def attempt(index: int, arrival: int | None, **fields: object) -> Attempt:
    values: dict[str, object] = {
        "user": f"user-{index}",
        "key": f"key-{index}",
        "tickets": 1,
        "sent_at": float(index),
        "answered_at": index + 0.5,
        "status": 202,
        "job_ids": [f"job-{index}"],
    }
    return Attempt(index=index, arrival=arrival, **(values | fields))  # type: ignore[arg-type]


@pytest.fixture
def history() -> History:
    """Three tickets: jobs 2 and 3 get them (2, then 1), 4 gets none, 5 was refused at the door."""
    ledger = [
        entry(1, None, kind="event_set", outcome="done", capacity=3, available_after=3, tickets=0),
        entry(2, 1, tickets=2, available_after=1),
        entry(3, 2, available_after=0),
        refusal(4, 3, "sold_out", 0),
    ]
    attempts = [attempt(number, number - 1) for number in (2, 3, 4)]
    attempts.append(attempt(5, None, status=409, code="sold_out", job_ids=[]))
    return History(attempts, ledger, {"job-2": {"status": "confirmed"}})


def test_a_truthful_history_passes(history: History) -> None:
    verdict = judge(history)
    assert verdict.ok
    assert verdict.examined == {"oversold": 4, "lost": 3, "doubled": 3, "inverted": 3, "errors": 4}


Plant = Callable[[History], object]


def change(history: History, position: int, **fields: object) -> None:
    history.ledger[position] = replace(history.ledger[position], **fields)  # type: ignore[arg-type]


PLANTS: dict[str, tuple[str, Plant]] = {
    "more confirmed than there are": (
        "oversold",
        lambda h: change(h, 3, outcome="confirmed", reason=None, available_after=-1),
    ),
    "a wrong number left": ("oversold", lambda h: change(h, 1, available_after=2)),
    "no capacity": ("oversold", lambda h: change(h, 0, kind="book", job_id="job-1")),
    "an accepted job without a decision": ("lost", lambda h: h.ledger.pop()),
    "one key, two jobs": ("doubled", lambda h: h.attempts[0].job_ids.append("job-3")),
    "one job, two requests": ("doubled", lambda h: h.attempts.append(attempt(9, 1, job_ids=["job-2"]))),
    "a job decided twice": (
        "doubled",
        lambda h: h.ledger.append(refusal(5, 4, "sold_out", 0, job_id="job-4")),
    ),
    "two bookings of one user": ("doubled", lambda h: setattr(h.attempts[1], "user", "user-2")),
    "a hole in the numbers": ("inverted", lambda h: change(h, 3, number=5)),
    "arrivals out of order": ("inverted", lambda h: (change(h, 1, arrival=2), change(h, 2, arrival=1))),
    "another arrival than promised": ("inverted", lambda h: setattr(h.attempts[2], "arrival", 7)),
    "a later arrival got the place": (
        "inverted",
        lambda h: (
            change(h, 2, outcome="rejected", reason="sold_out", available_after=1),
            change(h, 3, outcome="confirmed", reason=None),
        ),
    ),
    "sent later, arrived earlier": (
        "inverted",
        lambda h: (setattr(h.attempts[0], "sent_at", 9.0), setattr(h.attempts[0], "answered_at", 9.5)),
    ),
    "a 500": (
        "errors",
        lambda h: h.attempts.append(attempt(9, None, status=500, code="internal_error", job_ids=[])),
    ),
    "an undeclared 503": ("errors", lambda h: h.attempts.append(attempt(9, None, status=503, job_ids=[]))),
    "a 401": (
        "errors",
        lambda h: h.attempts.append(attempt(9, None, status=401, code="unauthenticated", job_ids=[])),
    ),
    "no answer": (
        "errors",
        lambda h: h.attempts.append(attempt(9, None, status=0, job_ids=[], error="reset")),
    ),
    "a broken repetition": ("errors", lambda h: setattr(h.attempts[0], "error", "500 to the repetition")),
    "a status that is not the ledger's": (
        "errors",
        lambda h: h.statuses.update({"job-3": {"status": "rejected"}}),
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_named(history: History, name: str) -> None:
    question, plant = PLANTS[name]
    plant(history)
    verdict = judge(history)
    assert not verdict.ok
    assert verdict.violations[question]


class TestFairness:
    def test_a_smaller_request_may_still_fit(self, history: History) -> None:
        change(
            history,
            2,
            outcome="rejected",
            reason="not_enough_left",
            tickets=2,
            booking_id=None,
            available_after=1,
        )
        change(history, 3, outcome="confirmed", reason=None, booking_id="b")
        assert judge(history).ok

    def test_what_a_cancellation_frees_may_go_to_a_later_one(self, history: History) -> None:
        history.ledger.append(
            entry(
                5, 4, kind="cancel", tickets=2, outcome="cancelled", booking_id="booking-2", available_after=2
            )
        )
        history.ledger.append(entry(6, 5, available_after=1))
        assert judge(history).ok

    def test_who_cancelled_may_book_again(self, history: History) -> None:
        history.ledger.append(
            entry(
                5, 4, kind="cancel", tickets=2, outcome="cancelled", booking_id="booking-2", available_after=2
            )
        )
        history.ledger.append(entry(6, 5, available_after=1))
        history.attempts.append(attempt(6, 5, user="user-2"))
        assert judge(history).ok

    def test_a_called_off_event_gives_everything_back(self, history: History) -> None:
        history.ledger.append(
            entry(5, None, kind="event_set", outcome="done", tickets=0, capacity=3, available_after=0)
        )
        history.ledger.append(
            entry(6, None, kind="call_off_slice", outcome="done", tickets=3, available_after=3)
        )
        history.ledger.append(entry(7, 4, kind="call_off", outcome="done", tickets=0, available_after=3))
        assert judge(history).ok

    @pytest.mark.parametrize("code", ["line_full", "accept_unknown"])
    def test_a_declared_503_breaks_no_promise(self, history: History, code: str) -> None:
        history.attempts.append(attempt(9, None, status=503, code=code, job_ids=[]))
        assert judge(history).ok


class TestReport:
    def test_has_counts_latencies_and_rates(self, history: History) -> None:
        document = report_document(history, judge(history), open_loop=False)
        assert document["ok"]
        assert (document["requests"], document["accepted"], document["decided"]) == (4, 3, 3)
        assert document["confirmed_tickets"] == 3
        assert document["answers"] == {"202": 3, "409 sold_out": 1}
        assert document["outcomes"] == {"confirmed": 2, "rejected sold_out": 1}
        assert document["accept_latency_ms"] == {"p50": 500.0, "p95": 500.0, "p99": 500.0, "max": 500.0}
        assert document["decision_latency_ms"]["max"] == 5.0
        assert document["decided_per_second"] == 1.5
        assert document["late_ms"] is None

    def test_measures_from_when_a_request_was_due_in_an_open_loop(self, history: History) -> None:
        document = report_document(history, judge(history), open_loop=True)
        assert document["accept_latency_ms"]["max"] == 4500.0
        assert document["late_ms"]["max"] == 5000.0

    def test_of_nothing_has_no_figures(self) -> None:
        history = History()
        document = report_document(history, judge(history), open_loop=False)
        assert document["accept_latency_ms"] is None
        assert document["accepts_per_second"] is None

    def test_percentiles_are_nearest_ranks(self) -> None:
        values = [n / 1000 for n in range(1, 101)]
        assert percentiles(values) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
        assert percentiles([0.003]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
