"""Offers over HTTP: made, accepted, declined, expired, and shown to who books beside them."""

import pytest

from shared.models import Event
from tests.factories import change, make_event
from tests.waiting import Crowd, Person


@pytest.fixture
def sold_out(crowd: Crowd) -> tuple[Event, Person]:
    return crowd.sold_out()


class TestOffer:
    def test_is_made_when_somebody_cancels_and_accepted(self, sold_out, crowd):
        event, holder = sold_out
        waiting, after = crowd.people(2)
        waiting.join(event.id, 2)
        after.join(event.id)
        assert holder.cancel(event.id)["status"] == "cancelled"
        entry = waiting.entry()
        assert (entry["status"], entry["position"], entry["ended_at"]) == ("offered", None, None)
        offer = entry["offer"]
        assert (offer["status"], offer["tickets"]) == ("open", 2)
        assert after.entry()["position"] == 1
        accepted = waiting.decided("POST", offer["links"]["accept"])
        assert (accepted["kind"], accepted["status"]) == ("accept_offer", "confirmed")
        assert accepted["facts"] == {"entry_id": entry["id"], "offer_id": offer["id"]}
        assert (accepted["tickets"], accepted["booking"]["tickets"]) == (2, 2)
        entry = waiting.entry()
        assert (entry["status"], entry["offer"]["status"]) == ("accepted", "accepted")
        assert entry["offer"]["links"] is None
        assert entry["ended_at"] == accepted["decided_at"]
        check = waiting.ask("GET", f"/api/events/{event.id}/check-registration").json
        assert check["booking_id"] == accepted["booking"]["id"]

    def test_goes_to_the_next_when_it_is_declined(self, sold_out, crowd):
        event, holder = sold_out
        first, second = crowd.people(2)
        first.join(event.id, 2)
        second.join(event.id, 2)
        holder.cancel(event.id)
        offer = first.entry()["offer"]
        declined = first.decided("POST", offer["links"]["decline"])
        assert (declined["kind"], declined["status"], declined["tickets"]) == ("decline_offer", "done", None)
        assert first.entry()["status"] == "declined"
        assert second.entry()["offer"]["status"] == "open"
        again = first.ask("POST", offer["links"]["accept"])
        assert (again.status_code, again.json["code"]) == (409, "offer_ended")
        assert again.json["offer_status"] == "declined"

    def test_is_answered_with_the_booking_by_default(self, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        waiting.join(event.id)
        holder.cancel(event.id)
        accept = waiting.entry()["offer"]["links"]["accept"]
        with crowd.worker():
            answer = crowd.client.post(accept, headers=waiting.headers)
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/api/bookings/{answer.json['booking']['id']}"

    def test_is_nobody_elses(self, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        waiting.join(event.id)
        holder.cancel(event.id)
        offer = waiting.entry()["offer"]
        for stranger in (holder, crowd.person("admin"), crowd.person("host")):
            for link in offer["links"].values():
                answer = stranger.ask("POST", link)
                assert (answer.status_code, answer.json["code"]) == (404, "offer_not_found")
        unknown = waiting.ask("POST", "/api/waitlist/offers/01990f61-0a3f-7b77-9c55-1e8d4a6b2f10/accept")
        assert (unknown.status_code, unknown.json["code"]) == (404, "offer_not_found")
        assert crowd.driver.decide_all() == 0
        assert waiting.entry()["offer"] == offer

    def test_is_too_late_once_it_has_expired(self, engine, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        waiting.join(event.id)
        holder.cancel(event.id)
        offer = waiting.entry()["offer"]
        change(engine, "update offers set expires_at = now() where id = :id", id=offer["id"])
        assert waiting.entry()["offer"]["links"] is None
        decided = waiting.decided("POST", offer["links"]["accept"])
        assert (decided["status"], decided["reason"]) == ("rejected", "offer_expired")

    def test_tells_the_same_from_the_ledger_when_redis_is_empty(self, sold_out, crowd, redis_client):
        event, holder = sold_out
        waiting, other = crowd.people(2)
        documents = [waiting.join(event.id, 2), other.join(event.id)]
        holder.cancel(event.id)
        documents.append(waiting.decided("POST", waiting.entry()["offer"]["links"]["decline"]))
        documents.append(other.decided("POST", other.entry()["offer"]["links"]["accept"]))
        documents.append(waiting.decided("DELETE", f"/api/waitlist/{event.id}", Idempotency_Key="leaving"))
        redis_client.flushall()
        for document in documents:
            owner = waiting if document in (documents[0], documents[2], documents[4]) else other
            again = owner.ask("GET", document["links"]["status"]).json
            assert {**again, "links": None} == {**document, "links": None}


class TestSoldOut:
    def test_shows_the_way_to_the_waitlist_at_the_door(self, sold_out, crowd):
        event, _ = sold_out
        answer = crowd.person().ask("POST", f"/api/bookings/{event.id}/book", {})
        assert (answer.status_code, answer.json["code"]) == (409, "sold_out")
        assert answer.json["links"] == {"waitlist": "/api/waitlist/join"}

    @pytest.mark.parametrize(("tickets", "code"), [(1, "sold_out"), (4, "not_enough_left")])
    def test_shows_it_as_a_decision(self, engine, crowd, tickets, code):
        event = make_event(engine, capacity=3)
        first, second = crowd.people(2)
        first.book(event.id, 3 if code == "sold_out" else 1)
        key = {"Idempotency_Key": "mine"}
        # the door's snapshot is from before
        decided = second.decided("POST", f"/api/bookings/{event.id}/book", {"tickets": tickets}, **key)
        assert decided["links"]["waitlist"] == "/api/waitlist/join"
        answer = second.ask(
            "POST", f"/api/bookings/{event.id}/book", {"tickets": tickets}, **key, Prefer="wait=1"
        )
        assert (answer.status_code, answer.json["code"]) == (409, code)
        assert answer.json["links"] == {"waitlist": "/api/waitlist/join"}

    def test_lets_through_who_has_an_offer(self, sold_out, crowd):
        event, holder = sold_out
        waiting, stranger = crowd.people(2)
        waiting.join(event.id, 2)
        holder.cancel(event.id)
        crowd.look_again()
        assert stranger.ask("POST", f"/api/bookings/{event.id}/book", {}).json["code"] == "sold_out"
        booked = waiting.book(event.id, 2)
        assert booked["status"] == "confirmed"
        assert booked["facts"]["offer_id"] == waiting.entry()["offer"]["id"]

    def test_lets_them_through_after_sales_have_closed_too(self, engine, sold_out, crowd):
        event, holder = sold_out
        waiting = crowd.person()
        waiting.join(event.id, 2)
        holder.cancel(event.id)
        change(engine, "update events set sales_close_at = now() where id = :id", id=event.id)
        crowd.look_again()
        assert crowd.person().ask("POST", f"/api/bookings/{event.id}/book", {}).json["code"] == "sales_closed"
        assert waiting.book(event.id, 2)["status"] == "confirmed"

    def test_shows_no_way_where_there_is_none(self, engine, crowd):
        event = make_event(engine, capacity=1, waitlist_enabled=False)
        first, second = crowd.people(2)
        first.book(event.id)
        decided = second.book(event.id)
        assert (decided["reason"], "waitlist" in decided["links"]) == ("sold_out", False)
