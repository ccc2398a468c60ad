"""What an event's changes announce, to whom, slice by slice; sales that open; each once."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.clock import rfc3339, utc_now
from shared.db import transaction
from shared.models import Follow, Interest, OutboxMessage
from shared.services import announcements, outbox
from shared.services.announcements import announce_open_sales
from tests.factories import auth_header, make_event, make_user, make_users
from tests.telling import add_booking, add_entry, kinds_told, tell, told
from worker.compose import make_handlers


@pytest.fixture
def host(engine):
    return make_user(engine, role="host")


class Desk:
    """The host's, over HTTP."""

    def __init__(self, app, engine, host):
        self.client, self.headers, self.engine = app.test_client(), auth_header(app, host), engine

    def create(self, **fields):
        body = {"title": "Jazz", "starts_at": in_days(30), "capacity": 10, **fields}
        answer = self.client.post("/api/events", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.json
        tell(self.engine)
        return answer.json["id"]

    def change(self, event_id, **fields):
        answer = self.client.patch(f"/api/events/{event_id}", json=fields, headers=self.headers)
        assert answer.status_code == 200, answer.json
        tell(self.engine)


@pytest.fixture
def desk(app, engine, host):
    return Desk(app, engine, host)


def in_days(days):
    return rfc3339(utc_now() + timedelta(days=days))


def follow(engine, host, *users):
    with transaction(engine) as session:
        session.add_all(Follow(host_id=host.id, user_id=user.id) for user in users)


def be_interested(engine, event_id, *users):
    with transaction(engine) as session:
        session.add_all(Interest(event_id=event_id, user_id=user.id) for user in users)


def count_waiting(engine):
    with transaction(engine) as session:
        return session.query(OutboxMessage).count()


class TestNewEvents:
    def test_are_told_to_followers_when_they_are_published(self, engine, desk, host):
        fan, other = make_user(engine), make_user(engine)
        follow(engine, host, fan)
        event_id = desk.create()
        assert told(engine, fan.id) == []
        desk.change(event_id, status="scheduled")
        (notification,) = told(engine, fan.id)
        assert (notification["kind"], notification["event_id"]) == ("new_event", event_id)
        assert told(engine, other.id) == []

    def test_published_at_once_are_told_at_once(self, engine, desk, host):
        fan = make_user(engine)
        follow(engine, host, fan)
        desk.create(status="scheduled")
        assert kinds_told(engine, fan.id) == ["new_event"]

    def test_withdrawn_and_published_again_are_told_once(self, engine, desk, host):
        fan = make_user(engine)
        follow(engine, host, fan)
        event_id = desk.create(status="scheduled")
        desk.change(event_id, status="draft")
        desk.change(event_id, status="scheduled")
        assert kinds_told(engine, fan.id) == ["new_event"]

    def test_called_off_before_it_was_told_are_not(self, engine, desk, host):
        fan = make_user(engine)
        follow(engine, host, fan)
        event_id = desk.create(status="scheduled")
        with transaction(engine) as session:
            session.execute(text("delete from notifications"))
            outbox.add(session, "new_event", event_id=event_id)
        desk.change(event_id, status="cancelled")
        assert told(engine, fan.id) == []


class TestChanges:
    def test_of_time_and_venue_are_told_to_everybody_who_comes_or_waits(self, engine, desk):
        event_id = desk.create(status="scheduled", venue="Hall")
        booked, cancelled, waiting, offered, left = make_users(engine, 5)
        add_booking(engine, event_id, booked.id)
        gone = add_booking(engine, event_id, cancelled.id)
        with transaction(engine) as session:
            session.execute(
                text("update bookings set status = 'cancelled', cancelled_at = now() where id = :id"),
                {"id": gone},
            )
        for number, (user, status) in enumerate(((waiting, "waiting"), (offered, "offered"), (left, "left"))):
            add_entry(engine, event_id, user.id, number=number, status=status)
        starts_at = in_days(31)
        desk.change(event_id, starts_at=starts_at, venue="Arena", title="Jazz!")
        for user in (booked, waiting, offered):
            (notification,) = told(engine, user.id)
            assert notification["kind"] == "event_changed"
            changes = notification["payload"]["changes"]
            assert changes["venue"] == {"from": "Hall", "to": "Arena"}
            assert changes["starts_at"]["to"] == starts_at
            assert set(changes) == {"venue", "starts_at", "ends_at"}
        assert [told(engine, user.id) for user in (cancelled, left)] == [[], []]

    def test_of_anything_else_are_not_told(self, engine, desk):
        event_id = desk.create(status="scheduled")
        user = make_user(engine)
        add_booking(engine, event_id, user.id)
        desk.change(event_id, title="Other", capacity=20, price_minor=100, sales_paused=True)
        assert told(engine, user.id) == []

    def test_are_told_once_for_each_version(self, engine, desk):
        event_id = desk.create(status="scheduled", venue="Hall")
        user = make_user(engine)
        add_booking(engine, event_id, user.id)
        for venue in ("Arena", "Hall", "Hall"):
            desk.change(event_id, venue=venue)
        payloads = [row["payload"] for row in told(engine, user.id)]
        assert [payload["changes"]["venue"]["to"] for payload in payloads] == ["Arena", "Hall"]

    def test_of_a_draft_are_nobodys_business(self, engine, desk):
        event_id = desk.create(venue="Hall")
        desk.change(event_id, venue="Arena")
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from notifications")) == 0

    def test_that_fail_tell_nothing(self, engine, desk):
        event_id = desk.create(status="scheduled", venue="Hall")
        user = make_user(engine)
        add_booking(engine, event_id, user.id)
        answer = desk.client.patch(
            f"/api/events/{event_id}",
            json={"venue": "Arena", "sales_close_at": in_days(99)},
            headers=desk.headers,
        )
        assert answer.status_code == 422
        assert count_waiting(engine) == 0


class TestSlices:
    """A fan-out never makes a large transaction: it goes on in a message of its own."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(outbox, "SLICE", 3)

    def fan_out(self, engine, people):
        event = make_event(engine)
        users = make_users(engine, people)
        for user in users:
            add_booking(engine, event.id, user.id)
        tell(engine)
        with transaction(engine) as session:
            changes = {"venue": {"from": "a", "to": "b"}}
            outbox.add(
                session, "event_changed", event_id=event.id, payload={"version": 2, "changes": changes}
            )
        return event, users

    def count_told(self, engine, users):
        return [len(told(engine, user.id)) for user in users]

    @pytest.mark.parametrize(("people", "turns"), [(0, 1), (2, 1), (3, 2), (7, 3)])
    def test_each_is_a_transaction_and_everybody_is_told_once(self, engine, people, turns):
        _, users = self.fan_out(engine, people)
        done = []
        while outbox.drain_once(engine, make_handlers()):
            done.append(sum(self.count_told(engine, users)))
            assert done[-1] <= 3 * len(done)
        assert len(done) == turns
        assert self.count_told(engine, users) == [1] * people
        assert "after" not in str([told(engine, user.id) for user in users])

    def test_ends_when_the_event_is_called_off(self, engine):
        event, users = self.fan_out(engine, 7)
        outbox.drain_once(engine, make_handlers())
        with transaction(engine) as session:
            session.execute(text("update events set status = 'cancelled' where id = :id"), {"id": event.id})
        tell(engine)
        assert self.count_told(engine, users) == [1, 1, 1, 0, 0, 0, 0]

    def test_repeated_from_the_beginning_tells_nobody_twice(self, engine):
        event, users = self.fan_out(engine, 7)
        outbox.drain_once(engine, make_handlers())
        with transaction(engine) as session:
            changes = {"venue": {"from": "a", "to": "b"}}
            outbox.add(
                session, "event_changed", event_id=event.id, payload={"version": 2, "changes": changes}
            )
        tell(engine)
        assert self.count_told(engine, users) == [1] * 7


class TestSalesThatOpen:
    """`due` are announced by the schedule, the others by the change itself."""

    def open_now(self, engine, event_id):
        with transaction(engine) as session:
            session.execute(
                text("update events set sales_open_at = now() - interval '1 second' where id = :id"),
                {"id": event_id},
            )

    def announce(self, engine):
        count = announce_open_sales(engine)
        tell(engine)
        return count

    @pytest.fixture
    def fan(self, engine):
        return make_user(engine)

    @pytest.fixture
    def event_id(self, engine, desk, fan):
        event_id = desk.create(status="scheduled", sales_open_at=in_days(1))
        be_interested(engine, event_id, fan)
        return event_id

    def test_are_told_to_the_interested_once(self, engine, event_id, fan):
        assert self.announce(engine) == 0
        self.open_now(engine, event_id)
        assert self.announce(engine) == 1
        assert self.announce(engine) == 0
        (notification,) = told(engine, fan.id)
        assert (notification["kind"], notification["cause"]) == ("sales_open", f"sales_open:{event_id}")

    def test_put_off_before_anybody_was_told_are_told_when_they_open(self, engine, desk, event_id, fan):
        desk.change(event_id, sales_open_at=in_days(2))
        assert self.announce(engine) == 0
        self.open_now(engine, event_id)
        self.announce(engine)
        assert kinds_told(engine, fan.id) == ["sales_open"]

    def test_put_off_after_that_are_told_to_who_came_since(self, engine, desk, event_id, fan):
        self.open_now(engine, event_id)
        self.announce(engine)
        desk.change(event_id, sales_open_at=in_days(2))
        late = make_user(engine)
        be_interested(engine, event_id, late)
        assert self.announce(engine) == 0
        self.open_now(engine, event_id)
        assert self.announce(engine) == 1
        assert [kinds_told(engine, user.id) for user in (fan, late)] == [["sales_open"], ["sales_open"]]

    def test_put_off_between_the_announcement_and_the_telling_are_not_told(self, engine, desk, event_id, fan):
        self.open_now(engine, event_id)
        announce_open_sales(engine)
        desk.change(event_id, sales_open_at=in_days(2))
        assert told(engine, fan.id) == []

    def test_opened_by_a_change_are_told_at_once(self, engine, desk, event_id, fan):
        desk.change(event_id, sales_open_at=None)
        assert kinds_told(engine, fan.id) == ["sales_open"]
        assert self.announce(engine) == 0

    def test_paused_are_told_when_the_pause_ends(self, engine, desk, event_id, fan):
        desk.change(event_id, sales_paused=True)
        self.open_now(engine, event_id)
        assert self.announce(engine) == 0
        desk.change(event_id, sales_paused=False)
        assert kinds_told(engine, fan.id) == ["sales_open"]

    def test_withdrawn_and_published_again_are_told_to_who_came_since(self, engine, desk, event_id, fan):
        self.open_now(engine, event_id)
        self.announce(engine)
        desk.change(event_id, status="draft")
        late = make_user(engine)
        be_interested(engine, event_id, late)  # as whoever sees the draft may be
        desk.change(event_id, status="scheduled")
        assert [kinds_told(engine, user.id) for user in (fan, late)] == [["sales_open"], ["sales_open"]]

    @pytest.mark.parametrize(
        "change", ["status = 'cancelled'", "status = 'draft'", "deleted_at = now()"], ids=lambda text: text
    )
    def test_of_events_that_nobody_can_book_are_not(self, engine, event_id, fan, change):
        self.open_now(engine, event_id)
        with transaction(engine) as session:
            session.execute(text(f"update events set {change} where id = :id"), {"id": event_id})
        assert self.announce(engine) == 0
        assert told(engine, fan.id) == []

    def test_a_new_event_that_is_on_sale_leaves_the_schedule_nothing_to_do(self, engine, desk):
        desk.create(status="scheduled")
        desk.create(status="scheduled", sales_open_at=in_days(-1))
        assert self.announce(engine) == 0
        assert count_waiting(engine) == 0

    def test_two_schedules_at_once_announce_once(self, engine, event_id, monkeypatch):
        """Both have found it due; the other is faster."""
        self.open_now(engine, event_id)
        find = announcements.list_due_openings

        def late(session, *, limit):
            monkeypatch.setattr(announcements, "list_due_openings", find)
            due = find(session, limit=limit)
            assert announce_open_sales(engine) == 1
            return due

        monkeypatch.setattr(announcements, "list_due_openings", late)
        assert announce_open_sales(engine) == 0
        assert count_waiting(engine) == 1
