"""Planted in what clients saw, and in the trial's times."""

import uuid
from dataclasses import replace

from tests.trials.plants import later, plant, shown


@plant("decided_once")
def a_202_that_is_in_no_ledger(evidence):
    (call, *_) = shown(evidence, said="queued", action="book", keyed=False)
    evidence.calls.append(replace(call, said=call.said | {"job_id": str(uuid.uuid4())}))


@plant("decided_once")
def another_number_of_tickets_than_was_asked_for(evidence):
    shown(evidence, said="queued", action="book", keyed=False)[0].tickets += 1


@plant("decided_once")
def a_decision_about_another_event(evidence):
    call = shown(evidence, said="queued", action="book", keyed=False)[0]
    call.event_id = call.said["event_id"] = call.event_id + 1


@plant("decided_once")
def an_accepted_job_that_later_never_was(evidence):
    look = later(shown(evidence)[0])
    evidence.calls.append(replace(look, status=404, code="job_not_found", said={}, booking_id=None))


@plant("one_for_each")
def another_job_under_the_same_key(evidence):
    first = shown(evidence, said="queued", action="book", keyed=True)[0]
    other = next(
        call for call in shown(evidence, action="book", keyed=False) if call.user_id == first.user_id
    )
    evidence.calls.append(replace(later(other, 1e-7), action="book", key=first.key, status=202))


@plant("in_order")
def another_arrival_than_was_told(evidence):
    shown(evidence, said="queued", action="join_waitlist")[0].said["arrival"] += 7


@plant("in_order")
def a_request_that_was_answered_first_and_decided_later(evidence):
    first, second = shown(evidence, said="queued", action="join_waitlist")[:2]
    second.sent_at, second.answered_at = first.sent_at - 0.002, first.sent_at - 0.001


@plant("answers_stand")
def another_outcome(evidence):
    evidence.calls.append(later(shown(evidence, said="confirmed")[0], status="rejected"))


@plant("answers_stand")
def another_reason(evidence):
    evidence.calls.append(later(shown(evidence, said="rejected")[0], reason="sales_closed"))


@plant("answers_stand")
def another_fact(evidence):
    look = shown(evidence, said="waitlisted")[0]
    evidence.calls.append(later(look, facts=look.said["facts"] | {"entry_id": str(uuid.uuid4())}))


@plant("answers_stand")
def another_decision_number(evidence):
    look = shown(evidence, said="confirmed")[0]
    evidence.calls.append(later(look, decision_number=look.said["decision_number"] + 1))


@plant("answers_stand")
def another_booking(evidence):
    shown(evidence, said="confirmed")[0].booking_id = str(uuid.uuid4())


@plant("answers_stand")
def a_decided_job_that_waits_again(evidence):
    evidence.calls.append(later(shown(evidence, said="confirmed")[0], status="queued"))


@plant("answers_stand")
def a_place_further_back(evidence):
    accepted = shown(evidence, said="queued", action="book")[0]
    evidence.calls.append(later(accepted, 1e-7, position=accepted.said["position"] + 1))


@plant("asked_for")
def a_decision_that_nobody_was_told_of(evidence):
    job_id = shown(evidence, said="queued", action="book", keyed=False)[0].said["job_id"]
    evidence.calls = [call for call in evidence.calls if call.said.get("job_id") != job_id]


@plant("asked_for")
def a_decision_whose_unanswered_call_never_was(evidence):
    evidence.calls.remove(next(call for call in evidence.calls if call.status == 0 and call.key is None))


@plant("asked_for")
def a_decision_about_more_than_the_unanswered_call_asked_for(evidence):
    next(call for call in evidence.calls if call.status == 0 and call.key is None).tickets += 1


@plant("asked_for")
def two_decisions_for_one_unanswered_call(evidence):
    kept = next(call for call in evidence.calls if call.status == 0 and call.key is None)
    job_id = shown(evidence, said="queued", action="book", keyed=False)[0].said["job_id"]
    row = evidence.decided[job_id]
    kept.user_id, kept.event_id, kept.tickets = row.user_id, row.event_id, row.tickets
    evidence.calls = [call for call in evidence.calls if call.said.get("job_id") != job_id]


@plant("line_empties")
def a_line_that_was_never_empty(evidence):
    evidence.trial.empty_at = None


@plant("line_empties")
def a_line_that_took_too_long(evidence):
    evidence.trial.empty_at = evidence.trial.quiet_at + 30.5


@plant("redis_agrees")
def a_key_that_no_client_sent(evidence):
    kept = next(call for call in evidence.calls if call.status == 0 and call.key is not None)
    evidence.calls = [replace(call, key=None) if call.key == kept.key else call for call in evidence.calls]


@plant("declared")
def an_internal_error(evidence):
    call = next(call for call in evidence.calls if call.status == 0)
    evidence.calls.append(replace(call, action="read", status=500, code="internal_error"))


@plant("declared")
def a_503_that_the_contract_does_not_know(evidence):
    call = next(call for call in evidence.calls if call.status == 0)
    evidence.calls.append(replace(call, action="read", status=503, code="on_fire"))


@plant("declared")
def a_refusal_without_a_code(evidence):
    next(call for call in evidence.calls if call.status == 409).code = ""


@plant("declared")
def a_stack_trace(evidence):
    evidence.calls[0].leak = "Traceback (most recent call last)"


@plant("private")
def a_job_that_is_forbidden_instead_of_unknown(evidence):
    spy = next(call for call in evidence.calls if call.spied)
    spy.status, spy.code = 403, "forbidden"


@plant("private")
def a_job_that_somebody_else_was_shown(evidence):
    spy = next(call for call in evidence.calls if call.spied)
    spy.status, spy.code, spy.said = 200, "", shown(evidence)[0].said


@plant("private", "decided_once")
def a_202_for_somebody_elses_job(evidence):
    call = shown(evidence, said="queued", action="join_waitlist")[0]
    call.user_id += 1
