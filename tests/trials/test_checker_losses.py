"""Where a fault declares that Redis lost what it had acknowledged: what may be missing then, and what may not."""

import copy
from dataclasses import replace

import pytest

from scripts.trials.checker import check
from scripts.trials.evidence import Evidence
from scripts.trials.history import Call, Fault
from tests.trials.plants import later, shown


@pytest.fixture
def evidence(lived) -> Evidence:
    return copy.deepcopy(lived.evidence)


def a_202(evidence: Evidence, *, keyed: bool = False) -> Call:
    """The last booking that was accepted before anything was decided of it."""
    return shown(evidence, said="queued", action="book", keyed=keyed)[-1]


def declare(evidence: Evidence, since: float, until: float, **fields) -> None:
    """A loss from then until then."""
    fault = {"kind": "redis", "target": "redis", "loses_since": since, **fields}
    evidence.faults.append(Fault(began_at=since, ended_at=until, **fault))


def lose(evidence: Evidence, call: Call) -> str:
    """A job that was shown in this call only, and that no server knows."""
    job_id = "00000000-0000-7000-8000-000000000000"
    evidence.calls.append(replace(call, key=None, said=call.said | {"job_id": job_id}))
    evidence.forget()
    return job_id


def seen(evidence: Evidence, invariant: str) -> dict[str, int]:
    """What an invariant has counted."""
    evidence.forget()
    return next(dict(finding.seen) for finding in check(evidence).findings if finding.name == invariant)


class TestALostRequest:
    def test_is_counted_when_it_was_accepted_within_a_declared_loss(self, evidence):
        call = a_202(evidence)
        lose(evidence, call)
        declare(evidence, call.sent_at - 1, call.answered_at + 1)
        assert check(evidence).broken == set()
        assert seen(evidence, "decided_once")["lost where that was declared"] == 1

    def test_is_a_violation_when_it_was_accepted_before(self, evidence):
        call = a_202(evidence)
        lose(evidence, call)
        declare(evidence, call.answered_at + 0.1, call.answered_at + 1)
        assert check(evidence).broken == {"decided_once"}

    def test_is_a_violation_when_it_was_accepted_afterwards(self, evidence):
        call = a_202(evidence)
        lose(evidence, call)
        declare(evidence, call.sent_at - 2, call.sent_at - 1)
        assert check(evidence).broken == {"decided_once"}

    def test_is_a_violation_when_it_was_seen_before_the_loss_began(self, evidence):
        call = a_202(evidence)
        job_id = lose(evidence, call)
        evidence.calls.append(replace(later(call, 1e-7), said=call.said | {"job_id": job_id}))
        declare(evidence, call.answered_at + 0.1, call.answered_at + 1)
        assert check(evidence).broken == {"decided_once"}

    def test_is_a_violation_when_the_fault_hit_nobody(self, evidence):
        call = a_202(evidence)
        lose(evidence, call)
        declare(evidence, call.sent_at - 1, call.answered_at + 1, target="")
        assert check(evidence).broken == {"decided_once"}

    def test_may_be_unknown_to_its_owner_after_the_loss(self, evidence):
        call = a_202(evidence)
        look = later(call)
        gone = replace(look, status=404, code="job_not_found", said={}, booking_id=None)
        evidence.calls.append(gone)
        evidence.forget()
        assert check(evidence).broken == {"decided_once"}
        declare(evidence, call.sent_at - 1, call.answered_at + 1)
        evidence.forget()
        assert check(evidence).broken == set()

    def test_may_be_asked_for_again_under_its_key(self, evidence):
        call = a_202(evidence, keyed=True)
        lost = "00000000-0000-7000-8000-000000000000"
        first = {"sent_at": call.sent_at - 2, "answered_at": call.sent_at - 1.9}
        evidence.calls.append(replace(call, said=call.said | {"job_id": lost}, **first))
        evidence.forget()
        assert check(evidence).broken == {"decided_once", "one_for_each"}
        declare(evidence, call.sent_at - 3, call.sent_at - 0.5)
        evidence.forget()
        assert check(evidence).broken == set()
        assert seen(evidence, "one_for_each")["keys answered anew after a declared loss"] == 1


class TestAnOldAnswer:
    def test_may_be_undecided_again_across_a_loss_and_only_there(self, evidence):
        look = shown(evidence, said="confirmed")[0]
        again = later(look, status="queued")
        evidence.calls.append(again)
        evidence.forget()
        assert check(evidence).broken == {"answers_stand"}
        declare(evidence, look.answered_at + 1, again.sent_at - 1)
        evidence.forget()
        assert check(evidence).broken == {"answers_stand"}  # the loss was of what came after the first look
        declare(evidence, look.sent_at - 1, look.answered_at + 1)
        evidence.forget()
        assert check(evidence).broken == set()

    def test_never_changes_its_outcome_whatever_was_lost(self, evidence):
        look = shown(evidence, said="confirmed")[0]
        evidence.calls.append(later(look, status="rejected"))
        declare(evidence, 0.0, look.answered_at + 1000)
        evidence.forget()
        assert check(evidence).broken == {"answers_stand"}


class TestAnArrival:
    def test_may_be_another_after_a_loss_as_often_as_that_was_counted(self, evidence):
        call = shown(evidence, said="queued", action="join_waitlist")[0]
        call.said["arrival"] += 3
        declare(evidence, call.sent_at - 1, call.answered_at + 1)
        evidence.forget()
        assert check(evidence).broken == {"in_order"}  # nobody counted it
        evidence.tables.events[call.said["event_id"]].arrivals_reissued = 1
        assert check(evidence).broken == set()

    def test_may_be_another_behind_a_spoilt_job_of_the_same_event(self, evidence):
        call = shown(evidence, said="queued", action="join_waitlist")[0]
        call.said["arrival"] += 3
        evidence.tables.events[call.said["event_id"]].arrivals_reissued = 1
        evidence.faults.append(
            spoiling(evidence, lambda other: other.said["event_id"] != call.said["event_id"])
        )
        evidence.forget()
        assert check(evidence).broken == {"in_order"}
        evidence.faults.append(
            spoiling(evidence, lambda other: other.said["event_id"] == call.said["event_id"])
        )
        evidence.forget()
        assert check(evidence).broken == set()

    def test_may_be_another_where_a_job_was_put_in_front(self, evidence):
        first, second = shown(evidence, said="queued", action="join_waitlist")[:2]
        second.sent_at, second.answered_at = first.sent_at - 0.002, first.sent_at - 0.001
        assert check(evidence).broken == {"in_order"}
        target = second.said["job_id"]
        evidence.faults.append(Fault(kind="job", target=target, began_at=0.0, ended_at=1.0))
        evidence.forget()
        assert check(evidence).broken == set()


def spoiling(evidence: Evidence, which) -> Fault:
    """A fault that damaged a job."""
    job = next(call.said["job_id"] for call in shown(evidence, said="queued", action="book") if which(call))
    return Fault(kind="job", target=job, began_at=0.0, ended_at=1.0, spoilt=[job])


class TestASpoiltJob:
    def test_may_be_lost_or_failed_and_no_other(self, evidence):
        call = a_202(evidence)
        job_id = lose(evidence, call)
        assert check(evidence).broken == {"decided_once"}
        evidence.faults.append(Fault(kind="job", target=job_id, began_at=0.0, ended_at=1.0, spoilt=[job_id]))
        evidence.line.partitions[0].lost.append(job_id)
        evidence.forget()
        assert check(evidence).broken == set()
        evidence.line.partitions[0].lost.append("another")
        assert check(evidence).broken == {"line_empties"}
