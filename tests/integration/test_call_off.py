"""Calling an event off, and closing an account: control-plane changes that the line works off."""

from sqlalchemy import Engine, select, text

from shared.db import transaction
from shared.models import Booking, ControlRequest, Decision, Event
from shared.services import control_requests
from tests.factories import auth_header, make_event, make_user, make_users


def rows_of(engine: Engine, event_id: int) -> list[tuple[str, str, str | None]]:
    with transaction(engine) as session:
        query = select(Decision.kind, Decision.outcome, Decision.reason).where(Decision.event_id == event_id)
        return [tuple(row) for row in session.execute(query.order_by(Decision.number))]


class TestCallOff:
    def test_cancels_every_booking_in_slices_and_refuses_who_waits(
        self, app, client, engine, driver, monkeypatch
    ):
        monkeypatch.setattr("worker.batch.SLICE_SIZE", 2)
        host = make_user(engine, role="host")
        event = make_event(engine, host=host, capacity=10)
        people = make_users(engine, 6)
        for user in people[:5]:
            client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        driver.decide_all()
        waiting = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, people[5])).json
        answer = client.patch(
            f"/api/events/{event.id}", json={"status": "cancelled"}, headers=auth_header(app, host)
        )
        assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
        driver.decide_all()

        rows = rows_of(engine, event.id)
        assert rows[-1] == ("call_off", "done", None)
        assert rows.count(("call_off_slice", "done", None)) == 3
        assert rows.index(("book", "rejected", "event_cancelled")) < rows.index(
            ("call_off_slice", "done", None)
        )
        with transaction(engine) as session:
            assert session.scalar(select(Event.booked)) == 0
            assert set(session.scalars(select(Booking.status))) == {"cancelled"}
            assert session.scalar(select(ControlRequest.queued_at)) is not None
        status = client.get(waiting["links"]["status"], headers=auth_header(app, people[5])).json
        assert (status["status"], status["reason"]) == ("rejected", "event_cancelled")
        late = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, people[5]))
        assert late.status_code in (202, 409)  # the door may be up to a second behind, the worker never is

    def test_is_put_into_the_line_by_the_schedule_when_redis_was_away(
        self, app, client, engine, driver, monkeypatch
    ):
        host = make_user(engine, role="host")
        event = make_event(engine, host=host)
        with transaction(engine) as session:
            job_id = control_requests.add(
                session, kind="call_off", event_id=event.id, user_id=host.id, acting_as="host"
            )
        line = app.extensions["guichet"].line
        assert control_requests.put_into_line(engine, line) == 1
        with transaction(engine) as session:  # the mark was lost, say, by a crash
            session.execute(text("update control_requests set queued_at = null"))
        assert control_requests.put_into_line(engine, line) == 1
        assert driver.decide_all() == 1
        with transaction(engine) as session:
            session.execute(text("update control_requests set queued_at = null"))
        driver.redis.flushall()
        app.extensions["guichet"].gate.check()
        driver.fence()
        assert control_requests.put_into_line(engine, line) == 0
        assert driver.decide_all() == 0  # the ledger knew it
        with transaction(engine) as session:
            assert session.scalar(select(ControlRequest.decided_at)) is not None
            assert list(session.scalars(select(Decision.job_id).where(Decision.kind == "call_off"))) == [
                job_id
            ]


class TestClosingAnAccount:
    def test_gives_the_tickets_back_and_refuses_what_still_waits(self, app, client, engine, driver):
        user = make_user(engine, password="correct-horse-battery")
        events = [make_event(engine), make_event(engine)]
        headers = auth_header(app, user)
        client.post(f"/api/bookings/{events[0].id}/book", headers=headers)
        driver.decide_all()
        client.post(f"/api/bookings/{events[1].id}/book", headers=headers)
        answer = client.delete(
            "/api/auth/account", json={"password": "correct-horse-battery"}, headers=headers
        )
        assert answer.status_code == 204
        assert client.post(f"/api/bookings/{events[1].id}/book", headers=headers).status_code == 401
        driver.decide_all()
        assert rows_of(engine, events[0].id)[-1] == ("cancel", "cancelled", None)
        assert rows_of(engine, events[1].id)[-1][0:2] in (("book", "withdrawn"), ("book", "rejected"))
        with transaction(engine) as session:
            assert set(session.scalars(select(Event.booked))) == {0}
