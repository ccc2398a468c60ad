"""The waitlist over HTTP: joining it, with or without a booking that may come of it, and leaving it. Offers: test_waitlist_offers.py."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Event
from shared.services.offers import expire_offers
from tests.factories import auth_header, change, make_event, make_user
from tests.waiting import Crowd, Person


@pytest.fixture
def sold_out(crowd: Crowd) -> tuple[Event, Person]:
    return crowd.sold_out()


def ledger_rows(engine, event_id: int) -> int:
    with transaction(engine) as session:
        return session.scalar(text("select count(*) from decisions where event_id = :id"), {"id": event_id})


class TestJoin:
    def test_gives_a_place_in_the_order_of_joining(self, sold_out, crowd):
        event, _ = sold_out
        first, second = crowd.people(2)
        joined = first.join(event.id, 2)
        assert (joined["kind"], joined["status"], joined["tickets"]) == ("join_waitlist", "waitlisted", 2)
        assert joined["links"]["waitlist"] == "/api/waitlist"
        second.join(event.id)
        mine = first.entry()
        assert mine["id"] == joined["facts"]["entry_id"]
        assert (mine["position"], mine["tickets"], mine["status"], mine["offer"]) == (1, 2, "waiting", None)
        assert (mine["event"]["id"], mine["event"]["title"]) == (event.id, event.title)
        assert mine["joined_at"] == joined["decided_at"]
        assert second.entry()["position"] == 2

    def test_answers_with_the_decision_by_default(self, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        with crowd.worker():
            answer = crowd.client.post(
                "/api/waitlist/join", json={"event_id": event.id}, headers=person.headers
            )
            again = crowd.client.post(
                "/api/waitlist/join", json={"event_id": event.id}, headers=person.headers
            )
        assert (answer.status_code, answer.json["status"]) == (200, "waitlisted")
        assert (again.status_code, again.json["code"]) == (409, "already_waiting")
        assert again.json["entry_id"] == answer.json["facts"]["entry_id"]

    def test_is_refused_while_there_are_tickets(self, engine, crowd):
        event = make_event(engine, capacity=3)
        decided = crowd.person().join(event.id, 3)
        assert (decided["status"], decided["reason"]) == ("rejected", "tickets_available")
        assert decided["facts"]["available"] == 3

    def test_is_for_who_wants_more_than_is_left(self, engine, crowd):
        event = make_event(engine, capacity=3)
        assert crowd.person().join(event.id, 4)["status"] == "waitlisted"

    def test_is_refused_to_who_has_a_booking(self, sold_out):
        event, holder = sold_out
        assert holder.join(event.id)["reason"] == "already_booked"

    def test_is_refused_at_the_door_without_a_number(self, engine, crowd):
        now, person = utc_now(), crowd.person()
        cases = [
            ({"waitlist_enabled": False}, "waitlist_disabled", 409),
            ({"sales_open_at": now + timedelta(days=1)}, "sales_not_open", 409),
            ({"sales_close_at": now - timedelta(seconds=1)}, "sales_closed", 409),
            ({"sales_paused": True}, "sales_paused", 409),
            ({"status": "cancelled"}, "event_cancelled", 409),
            ({"status": "draft"}, "event_not_found", 404),
            ({"max_per_booking": 1}, "too_many_tickets", 409),
        ]
        for fields, code, status in cases:
            event = make_event(engine, **fields)
            answer = person.ask("POST", "/api/waitlist/join", {"event_id": event.id, "tickets": 2})
            assert (answer.json["code"], answer.status_code) == (code, status)
        unknown = person.ask("POST", "/api/waitlist/join", {"event_id": 999_999})
        assert unknown.json["code"] == "event_not_found"
        assert crowd.driver.decide_all() == 0

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#/event_id"),
            ({"event_id": 0}, "#/event_id"),
            ({"event_id": "1"}, "#/event_id"),
            ({"event_id": 2**63}, "#/event_id"),
            ({"event_id": 1, "tickets": 0}, "#/tickets"),
            ({"event_id": 1, "tickets": 11}, "#/tickets"),
            ({"event_id": 1, "tickets": True}, "#/tickets"),
            ({"event_id": 1, "waitlist": True}, "#/waitlist"),
        ],
    )
    def test_refuses_bad_input(self, crowd, body, pointer):
        answer = crowd.person().ask("POST", "/api/waitlist/join", body)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)

    def test_can_be_withdrawn_before_its_turn(self, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        links = person.ask("POST", "/api/waitlist/join", {"event_id": event.id}).json["links"]
        assert person.ask("DELETE", links["withdraw"]).status_code == 202
        crowd.driver.decide_all()
        decided = person.ask("GET", links["status"]).json
        assert (decided["status"], decided["reason"]) == ("withdrawn", "withdrawn_by_user")
        assert person.entries() == []

    def test_counts_in_the_booking_tier(self, sold_out, crowd, make_app, settings):
        event, _ = sold_out
        app = make_app(replace(settings, booking_rate_burst=1, booking_rate_per_second=0.01))
        person = Crowd(app, app.test_client(), crowd.driver, crowd.engine).person()
        answers = [person.ask("POST", "/api/waitlist/join", {"event_id": event.id}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 429]
        assert answers[1].json["policy"] == "booking"
        assert "RateLimit-Policy" not in answers[0].headers  # or the general tier would have counted it too


class TestLeave:
    def test_gives_the_place_up(self, sold_out, crowd):
        event, _ = sold_out
        first, second = crowd.people(2)
        first.join(event.id)
        second.join(event.id)
        left = first.leave(event.id)
        assert (left["kind"], left["status"]) == ("leave_waitlist", "done")
        assert first.entry()["status"] == "left"
        assert second.entry()["position"] == 1
        assert first.join(event.id)["status"] == "waitlisted"
        assert [entry["position"] for entry in first.entries()] == [2, None]

    def test_of_who_has_no_place_writes_nothing(self, sold_out, crowd, engine):
        event, _ = sold_out
        (stranger,) = crowd.people(1)
        before = ledger_rows(engine, event.id)
        answer = stranger.ask("DELETE", f"/api/waitlist/{event.id}")
        assert (answer.status_code, answer.json["code"]) == (409, "not_waiting")
        crowd.driver.decide_all()
        assert ledger_rows(engine, event.id) == before

    def test_is_not_answered_to_who_has_logged_out(self, sold_out, crowd, app, client, engine):
        """The line, which knows what was revoked, is not asked when there is nothing to leave."""
        event, _ = sold_out
        headers = auth_header(app, make_user(engine))
        assert client.post("/api/auth/logout", headers=headers).status_code == 204
        answer = client.delete(f"/api/waitlist/{event.id}", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")

    def test_behind_an_undecided_request_to_join_stands_in_the_line(self, sold_out, crowd):
        """Whether there is a place to leave is known when its turn comes."""
        event, _ = sold_out
        (person,) = crowd.people(1)
        joined = person.ask("POST", "/api/waitlist/join", {"event_id": event.id})
        left = person.ask("DELETE", f"/api/waitlist/{event.id}")
        assert (joined.status_code, left.status_code) == (202, 202)
        crowd.driver.decide_all()
        assert person.entry()["status"] == "left"

    def test_gives_an_open_offer_up_too(self, sold_out, crowd):
        event, holder = sold_out
        first, second = crowd.people(2)
        first.join(event.id, 2)
        second.join(event.id, 2)
        holder.cancel(event.id)
        first.leave(event.id)
        assert (first.entry()["status"], first.entry()["offer"]["status"]) == ("left", "declined")
        assert second.entry()["status"] == "offered"

    def test_comes_after_a_join_that_is_still_in_the_line(self, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        assert person.ask("POST", "/api/waitlist/join", {"event_id": event.id}).status_code == 202
        assert person.leave(event.id)["status"] == "done"

    def test_needs_an_event(self, crowd):
        answer = crowd.person().ask("DELETE", "/api/waitlist/999999")
        assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")

    @pytest.mark.parametrize("hidden", [{"status": "draft"}, {"deleted_at": utc_now()}])
    def test_tells_nobody_of_a_hidden_event_and_writes_nothing_into_its_ledger(self, engine, crowd, hidden):
        event = make_event(engine, **hidden)
        answer = crowd.person().ask("DELETE", f"/api/waitlist/{event.id}")
        assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")
        assert crowd.driver.decide_all() == 0

    def test_cannot_be_withdrawn(self, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        person.join(event.id)
        links = person.ask("DELETE", f"/api/waitlist/{event.id}").json["links"]
        assert "withdraw" not in links
        assert person.ask("DELETE", links["status"]).json["code"] == "not_withdrawable"


class TestBookOrWait:
    def test_waits_when_too_few_are_left(self, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        decided = person.book(event.id, 2, waitlist=True)
        assert (decided["kind"], decided["status"], decided["booking"]) == ("book", "waitlisted", None)
        assert person.entry()["id"] == decided["facts"]["entry_id"]
        assert decided["links"]["waitlist"] == "/api/waitlist"
        answer = person.ask("POST", f"/api/bookings/{event.id}/book", {"waitlist": True}, Prefer="wait=0")
        crowd.driver.decide_all()
        assert person.ask("GET", answer.headers["Location"]).json["reason"] == "already_waiting"

    def test_books_when_there_are_tickets(self, engine, crowd):
        event = make_event(engine, capacity=2)
        assert crowd.person().book(event.id, 2, waitlist=True)["status"] == "confirmed"

    @pytest.mark.parametrize("waitlist", [1, "true", None])
    def test_is_a_boolean(self, engine, crowd, waitlist):
        event = make_event(engine)
        answer = crowd.person().ask("POST", f"/api/bookings/{event.id}/book", {"waitlist": waitlist})
        assert answer.json["errors"][0]["pointer"] == "#/waitlist"

    def test_stands_at_every_address(self, sold_out, crowd):
        event, _ = sold_out
        for path, body in (
            ("/api/bookings", {"event_id": event.id}),
            (f"/api/events/{event.id}/register", {}),
        ):
            assert crowd.person().decided("POST", path, {**body, "waitlist": True})["status"] == "waitlisted"

    def test_is_of_no_use_without_a_waitlist(self, engine, crowd):
        event = make_event(engine, capacity=1, waitlist_enabled=False)
        crowd.person().book(event.id)
        crowd.look_again()
        answer = crowd.person().ask("POST", f"/api/bookings/{event.id}/book", {"waitlist": True})
        assert (answer.json["code"], "links" in answer.json) == ("sold_out", False)


class TestIdempotencyKey:
    def test_gives_the_same_answer_after_the_event_has_changed(self, engine, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        asked = [("POST", "/api/waitlist/join", {"event_id": event.id})]
        joined = waiting.decided(*asked[0], Idempotency_Key="join")
        holder.cancel(event.id)
        accept = waiting.entry()["offer"]["links"]["accept"]
        accepted = waiting.decided("POST", accept, Idempotency_Key="accept")
        change(
            engine,
            "update events set waitlist_enabled = false, sales_paused = true, status = 'cancelled' where id = :id",
            id=event.id,
        )
        crowd.look_again()
        again = waiting.ask(*asked[0], Idempotency_Key="join", Prefer="wait=1")
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
        assert again.json["job_id"] == joined["job_id"]
        again = waiting.ask("POST", accept, Idempotency_Key="accept", Prefer="wait=1")
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert again.json["booking"] == accepted["booking"]

    def test_is_of_one_payload(self, engine, sold_out, crowd):
        event, _ = sold_out
        person = crowd.person()
        path, key = f"/api/bookings/{event.id}/book", {"Idempotency_Key": "mine"}
        assert person.ask("POST", path, {"waitlist": True}, **key).status_code == 202
        replayed = person.ask("POST", f"/api/events/{event.id}/register", {"waitlist": True}, **key)
        assert replayed.headers["Idempotency-Replayed"] == "true"
        for body in ({}, {"waitlist": False}, {"waitlist": True, "tickets": 2}):
            assert person.ask("POST", path, body, **key).json["code"] == "idempotency_key_reused"
        other = person.ask("POST", "/api/waitlist/join", {"event_id": event.id}, **key)
        assert other.json["code"] == "idempotency_key_reused"

    def test_of_a_booking_is_the_same_without_a_waitlist_as_before_there_were_any(self, engine, crowd):
        event, person = make_event(engine), crowd.person()
        path, key = f"/api/bookings/{event.id}/book", {"Idempotency_Key": "mine"}
        first = person.ask("POST", path, {}, **key)
        again = person.ask("POST", path, {"waitlist": False, "tickets": 1}, **key)
        assert again.json["job_id"] == first.json["job_id"]


class TestRequests:
    def test_are_those_that_somebody_asked_for(self, engine, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        waiting.join(event.id)
        holder.cancel(event.id)
        change(engine, "update offers set expires_at = now() - interval '1 s'")
        container = crowd.app.extensions["guichet"]
        assert expire_offers(engine, container.line) == 1
        crowd.driver.decide_all()
        entry = waiting.entry()
        assert (entry["status"], entry["offer"]["status"]) == ("expired", "expired")
        kinds = [item["kind"] for item in waiting.ask("GET", "/api/bookings/requests").json["items"]]
        assert kinds == ["join_waitlist"]
