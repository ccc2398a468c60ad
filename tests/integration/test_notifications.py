"""Who is told what because of ledger rows: once for each person and cause, and nobody of what was refused."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from shared.adapters.deliveries import InAppDelivery
from shared.db import transaction
from shared.services import outbox
from shared.services.announcements import warn_of_expiring_offers
from shared.services.notifier import make_notifier
from tests.factories import auth_header, make_event, make_user
from tests.telling import (
    add_booking,
    add_entry,
    add_offer,
    add_row,
    end_entry,
    in_an_hour,
    kinds_told,
    tell,
    tell_ledger,
    told,
)


@pytest.fixture
def event(engine):
    return make_event(engine)


class Line:
    """Asks over HTTP, has it decided, and tells what came of it."""

    def __init__(self, app, engine, driver):
        self.app, self.engine, self.driver = app, engine, driver

    def book(self, user, event, tickets=1):
        answer = self.app.test_client().post(
            f"/api/bookings/{event.id}/book", json={"tickets": tickets}, headers=auth_header(self.app, user)
        )
        assert answer.status_code == 202, answer.json
        self.decide()
        return answer.json["job_id"]

    def cancel(self, actor, booking_id):
        answer = self.app.test_client().delete(
            f"/api/bookings/{booking_id}", headers={**auth_header(self.app, actor), "Prefer": "wait=0"}
        )
        assert answer.status_code == 202, answer.json
        return answer.json["job_id"]

    def decide(self):
        self.driver.decide_all()
        tell(self.engine)


@pytest.fixture
def line(app, engine, driver):
    return Line(app, engine, driver)


class TestBookings:
    def test_a_confirmed_one_is_told_to_who_has_it(self, engine, line, event):
        user = make_user(engine)
        job_id = line.book(user, event, tickets=2)
        (notification,) = told(engine, user.id)
        assert notification["kind"] == "booking_confirmed"
        assert notification["cause"] == f"booking_confirmed:{job_id}"
        assert notification["event_id"] == event.id
        assert notification["payload"]["tickets"] == 2
        assert len(notification["payload"]["reference"]) == 9

    @pytest.mark.parametrize("by", ["owner", "host", "admin"])
    def test_a_cancelled_one_is_told_to_who_had_it_and_by_whom(self, engine, line, by):
        owner, host = make_user(engine), make_user(engine, role="host")
        event = make_event(engine, host=host)
        line.book(owner, event)
        booking_id = told(engine, owner.id)[0]["payload"]["booking_id"]
        actor = {"owner": owner, "host": host, "admin": make_user(engine, role="admin")}[by]
        line.cancel(actor, booking_id)
        line.decide()
        assert kinds_told(engine, owner.id) == ["booking_confirmed", "booking_cancelled"]
        assert told(engine, owner.id)[-1]["payload"] == {"booking_id": booking_id, "tickets": 1, "by": by}
        assert told(engine, host.id) == []

    def test_the_same_rows_told_again_tell_nobody_again(self, engine, line, event):
        user = make_user(engine)
        line.book(user, event)
        before = told(engine, user.id)
        for _ in range(3):
            tell_ledger(engine, event.id)
        assert told(engine, user.id) == before

    def test_a_closed_account_is_told_nothing(self, engine, line, event):
        user = make_user(engine)
        with transaction(engine) as session:
            session.execute(text("update users set deleted_at = now() where id = :id"), {"id": user.id})
        booking_id = add_booking(engine, event.id, user.id)
        add_row(
            engine,
            event.id,
            "cancel",
            outcome="cancelled",
            booking_id=booking_id,
            facts={"acting_as": "host"},
        )
        tell(engine)
        assert told(engine, user.id) == []

    def test_telling_waits_for_no_batch_and_no_batch_for_it(self, engine, line, event):
        """A batch has the event's row; the server ends whoever waits for it."""
        user = make_user(engine)
        line.app.test_client().post(f"/api/bookings/{event.id}/book", headers=auth_header(line.app, user))
        line.driver.decide_all()
        with transaction(engine) as batch:
            batch.execute(text("select from events where id = :id for update"), {"id": event.id})
            tell(engine)
        assert kinds_told(engine, user.id) == ["booking_confirmed"]

    def test_refusals_cost_one_query_and_tell_nobody(self, engine, event):
        user = make_user(engine)
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into decisions (job_id, event_id, number, kind, user_id, tickets, outcome, reason,"
                    " available_after, facts, accepted_at, decided_at, hash) select gen_random_uuid(), :event, 1 + n,"
                    " 'book', :user, 1, 'rejected', 'sold_out', 0, '{}', now(), now(), ''"
                    " from generate_series(1, 250) n"
                ),
                {"event": event.id, "user": user.id},
            )
        tell(engine)
        with transaction(engine) as session:
            outbox.add_ledger_range(session, event.id, from_number=2, to_number=251)
        statements = []
        listener = lambda _c, _cu, statement, *_: statements.append(statement)  # noqa: E731
        sqlalchemy_event.listen(engine, "before_cursor_execute", listener)
        outbox.drain_once(engine, [make_notifier([InAppDelivery()])])
        sqlalchemy_event.remove(engine, "before_cursor_execute", listener)
        assert len([s for s in statements if "decisions" in s]) == 1
        assert not [s for s in statements if "notifications" in s]
        assert told(engine, user.id) == []


class TestCallingOff:
    def test_tells_everybody_with_a_booking_once(self, app, engine, line, driver, monkeypatch):
        monkeypatch.setattr("worker.batch.SLICE_SIZE", 2)
        host = make_user(engine, role="host")
        event = make_event(engine, host=host)
        guests = [make_user(engine) for _ in range(5)]
        for guest in guests:
            line.book(guest, event)
        answer = app.test_client().patch(
            f"/api/events/{event.id}", json={"status": "cancelled"}, headers=auth_header(app, host)
        )
        assert answer.status_code == 200
        line.decide()
        tell_ledger(engine, event.id)
        for guest in guests:
            assert kinds_told(engine, guest.id) == ["booking_confirmed", "event_called_off"]
            payload = told(engine, guest.id)[-1]["payload"]
            assert payload["booking_id"] == told(engine, guest.id)[0]["payload"]["booking_id"]
            assert told(engine, guest.id)[-1]["cause"] == f"event_called_off:{event.id}"
        assert told(engine, host.id) == []

    def test_tells_who_waited(self, engine, event):
        user = make_user(engine)
        entry_id = add_entry(engine, event.id, user.id, number=1)
        add_row(engine, event.id, "call_off_slice", facts={"cancelled": [], "ended": [entry_id]})
        tell(engine)
        (notification,) = told(engine, user.id)
        assert notification["kind"] == "event_called_off"
        assert notification["payload"] == {"booking_id": None, "entry_id": entry_id, "tickets": 1}


class TestOffers:
    def test_one_that_is_made_is_told_with_its_end(self, engine, event):
        user, until = make_user(engine), in_an_hour()
        entry_id = add_entry(engine, event.id, user.id, number=1, status="offered")
        offer_id = add_row(
            engine,
            event.id,
            "offer",
            user_id=user.id,
            tickets=2,
            facts={"entry_id": entry_id, "expires_at": until},
        )
        tell(engine)
        (notification,) = told(engine, user.id)
        assert notification["kind"] == "offer_made"
        assert notification["payload"] == {
            "offer_id": str(offer_id),
            "entry_id": entry_id,
            "tickets": 2,
            "expires_at": until,
        }

    def test_one_that_has_expired_is_told(self, engine, event):
        user = make_user(engine)
        entry_id = add_entry(engine, event.id, user.id, number=1, status="expired")
        offer_id = str(uuid.uuid4())
        facts = {"entry_id": entry_id, "offer_id": offer_id}
        add_row(engine, event.id, "expire_offer", user_id=user.id, tickets=1, facts=facts)
        tell(engine)
        (notification,) = told(engine, user.id)
        assert notification["kind"] == "offer_expired"
        assert notification["payload"] == {**facts, "tickets": 1}

    def test_one_that_was_accepted_is_told_as_the_booking_it_became(self, engine, event):
        user = make_user(engine)
        booking_id = add_booking(engine, event.id, user.id, tickets=3)
        add_row(
            engine,
            event.id,
            "accept_offer",
            user_id=user.id,
            tickets=3,
            outcome="confirmed",
            booking_id=booking_id,
            facts={"offer_id": str(uuid.uuid4())},
        )
        tell(engine)
        assert kinds_told(engine, user.id) == ["booking_confirmed"]

    def test_declining_or_an_expiry_that_came_too_late_is_no_news(self, engine, event):
        user = make_user(engine)
        entry_id = add_entry(engine, event.id, user.id, number=1, status="declined")
        facts = {"entry_id": entry_id, "offer_id": str(uuid.uuid4())}
        add_row(engine, event.id, "decline_offer", user_id=user.id, facts=facts)
        add_row(
            engine, event.id, "expire_offer", user_id=user.id, outcome="rejected", reason="x", facts=facts
        )
        tell(engine)
        assert told(engine, user.id) == []


class TestMovingUp:
    def queue(self, engine, event, length):
        """`length` people, and their entries, in this order."""
        users = [make_user(engine) for _ in range(length)]
        return users, [
            add_entry(engine, event.id, user.id, number=10 + place) for place, user in enumerate(users)
        ]

    def leave(self, engine, event, entry_id):
        end_entry(engine, entry_id, "left")
        add_row(engine, event.id, "leave_waitlist", facts={"entry_id": entry_id})
        tell(engine)

    def places(self, engine, user):
        return [row["payload"]["place"] for row in told(engine, user.id, "waitlist_moved")]

    def test_is_told_to_who_comes_near_the_head_and_to_nobody_else(self, engine, event):
        users, entries = self.queue(engine, event, 13)
        self.leave(engine, event, entries[0])
        assert [self.places(engine, user) for user in users] == [
            [], [1], [2], [3], [4], [5], [6], [7], [8], [9], [10], [], [],
        ]  # fmt: skip

    def test_is_told_once_a_step(self, engine, event):
        users, entries = self.queue(engine, event, 12)
        for entry_id in entries[:11]:
            self.leave(engine, event, entry_id)
        assert self.places(engine, users[11]) == [10, 5, 3, 2, 1]

    def test_is_not_told_to_who_stands_before_the_one_that_left(self, engine, event):
        users, entries = self.queue(engine, event, 4)
        self.leave(engine, event, entries[2])
        assert [self.places(engine, user) for user in users] == [[], [], [], [3]]

    def test_an_offer_moves_the_others_up(self, engine, event):
        users, entries = self.queue(engine, event, 2)
        end_entry(engine, entries[0], "offered")
        facts = {"entry_id": entries[0], "expires_at": in_an_hour()}
        add_row(engine, event.id, "offer", user_id=users[0].id, tickets=1, facts=facts)
        tell(engine)
        assert [kinds_told(engine, user.id) for user in users] == [["offer_made"], ["waitlist_moved"]]

    def test_the_end_of_an_offer_moves_nobody(self, engine, event):
        """Its entry had left its place when the offer was made."""
        users, entries = self.queue(engine, event, 2)
        end_entry(engine, entries[0], "expired")
        facts = {"entry_id": entries[0], "offer_id": str(uuid.uuid4())}
        add_row(engine, event.id, "expire_offer", user_id=users[0].id, tickets=1, facts=facts)
        tell(engine)
        assert self.places(engine, users[1]) == []

    @pytest.mark.parametrize(
        "change",
        [
            "status = 'cancelled'",
            "starts_at = now() - interval '1 minute', sales_close_at = now() - interval '1 hour'",
        ],
        ids=["called off", "started"],
    )
    def test_nobody_moves_up_for_an_event_that_will_not_be_sold(self, engine, event, change):
        users, entries = self.queue(engine, event, 2)
        with transaction(engine) as session:
            session.execute(text(f"update events set {change} where id = :id"), {"id": event.id})
        self.leave(engine, event, entries[0])
        assert self.places(engine, users[1]) == []


class TestOffersAboutToExpire:
    def warn(self, engine, seconds=600):
        with transaction(engine) as session:
            return warn_of_expiring_offers(session, notice_seconds=seconds)

    def offer(self, engine, event, *, made, expires):
        user = make_user(engine)
        entry_id = add_entry(engine, event.id, user.id, number=user.id, status="offered")
        return user, add_offer(
            engine,
            event.id,
            user.id,
            entry_id,
            made=timedelta(minutes=made),
            expires=timedelta(minutes=expires),
        )

    def test_are_told_once(self, engine, event):
        user, offer_id = self.offer(engine, event, made=51, expires=9)
        assert self.warn(engine) == 1
        assert self.warn(engine) == 1  # not told yet: harmless
        tell(engine)
        assert self.warn(engine) == 0
        tell(engine)
        (notification,) = told(engine, user.id)
        assert notification["kind"] == "offer_expiring"
        assert notification["payload"]["offer_id"] == offer_id

    def test_are_told_in_time_and_only_if_they_last_longer(self, engine, event):
        self.offer(engine, event, made=30, expires=30)  # later
        self.offer(engine, event, made=1, expires=8)  # never lasted longer than the warning
        self.offer(engine, event, made=61, expires=-1)  # over, though nobody said so
        assert self.warn(engine) == 0
        assert self.warn(engine, seconds=1850) == 1

    def test_one_that_was_accepted_meanwhile_is_not(self, engine, event):
        user, offer_id = self.offer(engine, event, made=51, expires=9)
        self.warn(engine)
        with transaction(engine) as session:
            session.execute(
                text("update offers set status = 'accepted', ended_at = now() where id = :id"),
                {"id": offer_id},
            )
        tell(engine)
        assert told(engine, user.id) == []
