"""Planted in PostgreSQL, past its triggers; where hashes alone would tell, the chain is made whole again."""

from dataclasses import replace

from tests.trials.plants import plant

_LAST_OFFER = (
    "select job_id, event_id from decisions where kind = 'offer' order by event_id, number desc limit 1"
)
_FIRST_OF = "(select job_id from decisions where {} order by event_id, number limit 1)"


def change_row(scene, what: str, where: str) -> None:
    """Changes the first ledger row of its kind, and every hash after it."""
    scene.tamper(f"update decisions set {what} where job_id = {_FIRST_OF.format(where)}")
    scene.rechain()


@plant("never_oversold")
def what_an_offer_leaves(scene):
    change_row(scene, "available_after = available_after + 1", "kind = 'offer'")


@plant("never_oversold", "redis_agrees")
def what_a_booking_leaves(scene):
    change_row(scene, "available_after = available_after + 1", "outcome = 'confirmed'")


@plant("never_oversold", "tables_agree", "fair")
def fewer_seats_than_were_sold(scene):
    change_row(scene, "facts = jsonb_set(facts, '{capacity}', '5')", "kind = 'event_set'")


@plant("never_oversold", "tables_agree", "decided_once", "fair")
def a_booking_of_more_tickets(scene):
    change_row(scene, "tickets = tickets + 7", "outcome = 'confirmed' and kind = 'book'")


@plant("tables_agree")
def a_counter_of_booked_tickets(scene):
    scene.tamper("update events set booked = booked - 1 where booked > 0")


@plant("tables_agree")
def a_counter_of_who_waits(scene):
    scene.tamper("update events set waiting[3] = 1 where id = (select min(id) from events)")


@plant("tables_agree")
def a_booking_that_is_live_again(scene):
    scene.tamper(
        "update bookings set status = 'confirmed', cancelled_at = null"
        " where id = (select min(id::text)::uuid from bookings where status = 'cancelled')"
    )


@plant("tables_agree", "told_once")
def a_booking_that_is_gone(scene):
    scene.tamper("delete from bookings where id = (select min(id::text)::uuid from bookings)")


@plant("tables_agree")
def an_offer_that_ended_otherwise(scene):
    scene.tamper("update offers set status = 'expired' where status = 'declined'")


@plant("tables_agree")
def an_entry_of_another_size(scene):
    scene.tamper("update waitlist_entries set tickets = 9 where status = 'left'")


@plant("waitlist_conserves")
def an_offer_without_a_cause(scene):
    change_row(scene, "facts = jsonb_set(facts, '{cause}', to_jsonb(job_id))", "kind = 'offer'")


@plant("waitlist_conserves", "answers_stand", "redis_agrees")
def an_offer_that_ends_without_a_word(scene):
    change_row(scene, "facts = facts - 'offer_id'", "kind = 'decline_offer'")


@plant("waitlist_conserves", "tables_agree", "never_oversold", "fair")
def an_offer_that_became_more_tickets(scene):
    change_row(scene, "tickets = tickets + 1", "kind = 'accept_offer'")


@plant("waitlist_conserves", "tables_agree")
def a_second_offer_for_an_entry(evidence):
    offers = evidence.tables.offers
    offers.append(replace(offers[0], id=offers[0].entry_id))


@plant("waitlist_conserves", "tables_agree")
def two_places_of_one_person(evidence):
    entries = evidence.tables.entries
    entries += [replace(entries[0], id=name, status="waiting") for name in ("one", "another")]


@plant("decided_once", "answers_stand", "redis_agrees", "in_order")
def a_decision_that_is_gone(scene):
    scene.tamper(
        "delete from decisions where job_id = (select job_id from decisions where kind = 'book'"
        " and outcome = 'rejected' order by event_id, number limit 1)"
    )
    scene.rechain()


@plant("decided_once", "answers_stand", "redis_agrees")
def a_decision_that_failed(scene):
    change_row(scene, "outcome = 'failed', reason = 'request_failed'", "outcome = 'rejected'")


@plant("decided_once", "in_order", "chained")
def a_second_decision(evidence):
    rows = next(rows for rows in evidence.tables.ledgers.values() if rows[-1].kind == "call_off")
    rows.append(replace(rows[-1]))


@plant("one_for_each", "tables_agree")
def a_second_booking_of_a_job(evidence):
    bookings = evidence.tables.bookings
    cancelled = next(booking for booking in bookings if booking.status == "cancelled")
    bookings.append(replace(cancelled, id="another"))


@plant("one_for_each", "tables_agree", "told_once")
def two_live_bookings_of_one_person(evidence):
    live = [booking for booking in evidence.tables.bookings if booking.status == "confirmed"]
    first = live[0]
    other = next(one for one in live[1:] if one.event_id == first.event_id)
    other.user_id = first.user_id


@plant("in_order")
def an_arrival_that_was_given_out_again(scene):
    scene.tamper("update events set arrivals_reissued = 1 where id = (select max(id) from events)")


@plant("in_order", "answers_stand", "redis_agrees", "tables_agree")
def an_arrival_that_was_left_out(scene):
    scene.tamper(
        "update decisions set arrival = arrival + 1 where job_id = (select job_id from decisions"
        " where event_id = (select min(id) from events) and arrival is not null order by number desc limit 1)"
    )
    scene.rechain()


@plant("in_order")
def a_decision_made_before_the_one_before(scene):
    change_row(scene, "decided_at = decided_at - interval '1 hour'", "kind = 'call_off_slice'")


@plant("fair", "decided_once")
def a_refusal_while_there_are_tickets(scene):
    change_row(scene, "tickets = 2", "reason = 'not_enough_left'")


@plant("fair", "never_oversold", "tables_agree")
def places_on_a_waitlist_while_there_are_tickets(scene):
    other = "event_id = (select min(id) + 1 from events)"
    change_row(scene, "facts = jsonb_set(facts, '{capacity}', '9')", f"kind = 'event_set' and {other}")


@plant("fair", "tables_agree", "waitlist_conserves")
def an_offer_to_who_came_later(scene):
    job, entry = scene.find(
        "select d.job_id, w.id from decisions d join waitlist_entries w on w.event_id = d.event_id"
        " and w.tickets = d.tickets and w.id::text <> d.facts ->> 'entry_id' where d.kind = 'offer'"
        " and w.number > (select number from waitlist_entries where id::text = d.facts ->> 'entry_id')"
        " order by d.event_id, d.number, w.number desc limit 1"
    )
    scene.tamper(
        "update decisions set facts = jsonb_set(facts, '{entry_id}', to_jsonb(%(entry)s::text))"
        " where job_id = %(job)s",
        entry=entry,
        job=job,
    )
    scene.rechain()


@plant("answers_stand", "redis_agrees")
def another_reason_in_the_ledger(scene):
    change_row(scene, "reason = 'sales_closed'", "outcome = 'rejected'")


@plant("asked_for")
def a_call_off_that_nobody_ordered(scene):
    scene.tamper("delete from control_requests where kind = 'call_off'")


@plant("asked_for")
def an_end_of_an_offer_that_nobody_ordered(scene):
    scene.tamper("delete from control_requests where kind = 'expire_offer'")


@plant("asked_for")
def a_change_that_nobody_made(scene):
    scene.tamper("delete from audit_log where job_id = (select min(job_id::text)::uuid from audit_log)")


@plant("asked_for", "tables_agree")
def an_offer_that_was_never_made(scene):
    scene.tamper("delete from offers where id = (select min(id::text)::uuid from offers)")


@plant("chained")
def an_instant_that_was_changed(scene):
    scene.tamper(
        f"update decisions set accepted_at = accepted_at - interval '1 us' where job_id = {_FIRST_OF.format(True)}"
    )


@plant("chained")
def a_hash_that_was_changed(scene):
    scene.tamper(f"update decisions set hash = sha256(hash) where job_id = {_FIRST_OF.format(True)}")


@plant("chained")
def a_head_that_was_changed(scene):
    scene.tamper("update events set last_hash = sha256(last_hash) where id = (select min(id) from events)")


@plant("told_once")
def somebody_who_was_not_told(scene):
    scene.tamper("delete from notifications where kind = 'booking_confirmed'")


@plant("told_once")
def somebody_who_was_told_of_nothing(scene):
    scene.tamper(
        "insert into notifications (id, user_id, kind, cause)"
        " select gen_random_uuid(), user_id, kind, 'booking_confirmed:' || id from notifications limit 1"
    )


@plant("told_once")
def somebody_who_was_told_twice(evidence):
    evidence.tables.notifications.append(evidence.tables.notifications[0])


@plant("told_once")
def a_message_that_waits(scene):
    scene.tamper("insert into outbox (topic, event_id, from_number, to_number) values ('ledger', 1, 1, 2)")


@plant("never_oversold", "fair", "asked_for")
def a_sale_that_nobody_set_up(scene):
    change_row(scene, "kind = 'decline_offer', outcome = 'rejected', facts = '{}'", "kind = 'event_set'")


@plant("tables_agree", "never_oversold", "told_once", "answers_stand", "redis_agrees", "fair")
def a_cancellation_of_a_booking_that_never_was(scene):
    change_row(scene, "booking_id = job_id", "outcome = 'cancelled'")


@plant("waitlist_conserves", "tables_agree", "fair")
def an_offer_of_another_size(scene):
    change_row(scene, "tickets = tickets + 1", "kind = 'offer'")


@plant("fair", "answers_stand", "redis_agrees")
def a_place_refused_because_of_tickets_that_are_gone(scene):
    change_row(scene, "kind = 'join_waitlist', reason = 'tickets_available'", "reason = 'sold_out'")


@plant("told_once")
def a_notification_of_another_decision(scene):
    scene.tamper("update notifications set cause = cause || '0' where kind = 'booking_cancelled'")
