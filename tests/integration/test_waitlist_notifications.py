"""Waitlists from the request to the notification: through the line, its ledger and its outbox."""

import random
from collections import Counter

import pytest
from sqlalchemy import text

from shared.db import transaction
from shared.services.offers import expire_offers
from tests.factories import auth_header, make_event, make_user
from tests.telling import kinds_told, tell, tell_ledger, told
from tests.waiting import Crowd, Person


class House:
    """An event of few tickets, all of them booked, and people who wait."""

    def __init__(self, crowd: Crowd, *, waiting: int, capacity: int = 1) -> None:
        self.crowd, self.engine = crowd, crowd.engine
        self.host = make_user(self.engine, role="host")
        self.event = make_event(self.engine, host=self.host, capacity=capacity, venue="Hall")
        self.holders = crowd.people(capacity)
        for holder in self.holders:
            holder.book(self.event.id)
        crowd.look_again()
        self.waiting = crowd.people(waiting)
        for person in self.waiting:
            assert person.join(self.event.id)["status"] == "waitlisted"
        tell(self.engine)

    def free_a_ticket(self) -> None:
        self.holders[0].cancel(self.event.id)
        tell(self.engine)

    def let_offers_expire(self) -> None:
        with transaction(self.engine) as session:
            session.execute(
                text("update offers set expires_at = now() - interval '1 s' where status = 'open'")
            )
        assert expire_offers(self.engine, self.crowd.app.extensions["guichet"].line) > 0
        self.crowd.driver.decide_all()
        tell(self.engine)

    def change(self, **fields: object) -> None:
        headers = auth_header(self.crowd.app, self.host)
        answer = self.crowd.client.patch(f"/api/events/{self.event.id}", json=fields, headers=headers)
        assert answer.status_code == 200, answer.text
        self.crowd.driver.decide_all()
        tell(self.engine)

    def kinds(self) -> list[list[str]]:
        """What each of those who waited was told."""
        return [kinds_told(self.engine, person.user.id) for person in self.waiting]


class TestAFreedTicket:
    def test_is_offered_to_the_first_and_the_others_move_up(self, crowd):
        house = House(crowd, waiting=3)
        assert house.kinds() == [[], [], []]  # whoever joins knows their place
        house.free_a_ticket()
        assert house.kinds() == [["offer_made"], ["waitlist_moved"], ["waitlist_moved"]]
        first = house.waiting[0]
        (made,) = told(house.engine, first.user.id)
        offer = first.entry()["offer"]
        assert (made["payload"]["offer_id"], made["payload"]["expires_at"]) == (
            offer["id"],
            offer["expires_at"],
        )
        places = [told(house.engine, person.user.id)[0]["payload"]["place"] for person in house.waiting[1:]]
        assert places == [person.entry()["position"] for person in house.waiting[1:]] == [1, 2]

    def test_whose_offer_expires_goes_to_the_next(self, crowd):
        house = House(crowd, waiting=2)
        house.free_a_ticket()
        house.let_offers_expire()
        assert house.kinds() == [["offer_made", "offer_expired"], ["waitlist_moved", "offer_made"]]

    def test_that_is_accepted_is_a_booking(self, crowd):
        house = House(crowd, waiting=2)
        house.free_a_ticket()
        first = house.waiting[0]
        offer_id = first.entry()["offer"]["id"]
        assert first.decided("POST", f"/api/waitlist/offers/{offer_id}/accept")["status"] == "confirmed"
        tell(house.engine)
        assert house.kinds() == [["offer_made", "booking_confirmed"], ["waitlist_moved"]]

    def test_that_is_declined_goes_to_the_next_without_a_word(self, crowd):
        house = House(crowd, waiting=2)
        house.free_a_ticket()
        first = house.waiting[0]
        first.decided("POST", f"/api/waitlist/offers/{first.entry()['offer']['id']}/decline")
        tell(house.engine)
        assert house.kinds() == [["offer_made"], ["waitlist_moved", "offer_made"]]


class TestLeaving:
    def test_moves_up_who_stood_behind(self, crowd):
        house = House(crowd, waiting=3)
        house.waiting[1].leave(house.event.id)
        tell(house.engine)
        assert house.kinds() == [[], [], ["waitlist_moved"]]

    def test_by_booking_fewer_tickets_does_too(self, crowd):
        """Two are free after all, of which the first wanted three."""
        event = make_event(crowd.engine, capacity=2)
        first, second = crowd.people(2)
        assert first.join(event.id, 3)["status"] == "waitlisted"
        assert second.join(event.id, 4)["status"] == "waitlisted"
        assert first.book(event.id, 2)["status"] == "confirmed"
        tell(crowd.engine)
        assert kinds_told(crowd.engine, first.user.id) == ["booking_confirmed"]
        assert kinds_told(crowd.engine, second.user.id) == ["waitlist_moved"]


class TestTheEvent:
    def test_called_off_is_told_to_everybody_once(self, crowd):
        house = House(crowd, waiting=2, capacity=2)
        house.free_a_ticket()
        house.change(status="cancelled")
        tell_ledger(house.engine, house.event.id)
        assert [kinds[-1] for kinds in house.kinds()] == ["event_called_off"] * 2
        assert kinds_told(house.engine, house.holders[1].user.id) == ["booking_confirmed", "event_called_off"]
        assert kinds_told(house.engine, house.holders[0].user.id) == [
            "booking_confirmed",
            "booking_cancelled",
        ]
        assert all(kinds.count("event_called_off") == 1 for kinds in house.kinds())

    def test_moved_to_another_place_is_told_to_who_waits(self, crowd):
        house = House(crowd, waiting=1)
        house.change(venue="Arena")
        assert house.kinds() == [["event_changed"]]
        assert kinds_told(house.engine, house.holders[0].user.id) == ["booking_confirmed", "event_changed"]


class TestWhateverHappens:
    """A crowd that books, cancels, waits, leaves, answers offers and lets them expire: what was told is what the
    tables say, once each, also when every row is told again and again.
    """

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_what_is_told_is_what_happened(self, crowd, engine, seed):
        chance = random.Random(seed)
        house = House(crowd, waiting=0, capacity=3)
        people = [*house.holders, *crowd.people(7)]
        for _ in range(40):
            crowd.look_again()
            self.step(chance, house, chance.choice(people))
            if chance.random() < 0.5:
                tell(engine)
            if chance.random() < 0.1:
                tell_ledger(engine, house.event.id)
        tell(engine)
        tell_ledger(engine, house.event.id)
        assert self.told_of(engine) == self.happened(engine)

    def step(self, chance: random.Random, house: House, person: Person) -> None:
        event_id = house.event.id
        offers = [entry["offer"] for entry in person.entries("?status=offered")]
        choice = chance.choice(("book", "join", "leave", "cancel", "accept", "decline", "expire"))
        if choice == "book":
            person.ask("POST", f"/api/bookings/{event_id}/book", {"tickets": chance.choice((1, 1, 2))})
        elif choice == "join":
            person.ask("POST", "/api/waitlist/join", {"event_id": event_id, "tickets": chance.choice((1, 2))})
        elif choice == "leave":
            person.ask("DELETE", f"/api/waitlist/{event_id}")
        elif choice == "cancel":
            person.ask("POST", f"/api/events/{event_id}/cancel")
        elif choice in ("accept", "decline") and offers:
            person.ask("POST", f"/api/waitlist/offers/{offers[0]['id']}/{choice}")
        elif choice == "expire" and offers:
            house.let_offers_expire()
        house.crowd.driver.decide_all()

    def told_of(self, engine) -> Counter[tuple[str, int]]:
        """Of each kind, how many each person was told; moving up aside, which has tests of its own."""
        with transaction(engine) as session:
            rows = session.execute(
                text("select kind, user_id from notifications where kind <> 'waitlist_moved'")
            )
            return Counter(tuple(row) for row in rows)

    def happened(self, engine) -> Counter[tuple[str, int]]:
        with transaction(engine) as session:
            rows = session.execute(
                text(
                    "select 'booking_confirmed', user_id from bookings union all"
                    " select 'booking_cancelled', user_id from bookings where status = 'cancelled' union all"
                    " select 'offer_made', user_id from offers union all"
                    " select 'offer_expired', user_id from offers where status = 'expired'"
                )
            )
            return Counter(tuple(row) for row in rows)
