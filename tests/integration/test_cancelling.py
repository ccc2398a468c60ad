"""Cancelling a registration: the same answer for the same key, by the strongest right; whose bookings anybody sees."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Decision, Event, User
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver

NOW = {"Prefer": "wait=0"}
KEY = {"Idempotency-Key": "leave"}


class Guest:
    """Somebody with a booking."""

    def __init__(self, app, driver: LineDriver, user: User, event: Event) -> None:
        self.client, self.driver, self.event = app.test_client(), driver, event
        self.headers = auth_header(app, user)
        self.book()

    def book(self) -> None:
        answer = self.client.post(f"/api/bookings/{self.event.id}/book", headers=self.headers)
        assert answer.status_code == 202
        self.driver.decide_all()

    def leave(self, **headers: str):
        path = f"/api/events/{self.event.id}/cancel"
        return self.client.post(path, headers={**self.headers, **NOW, **headers})

    def status(self, answer):
        return self.client.get(answer.json["links"]["status"], headers=self.headers).json


@pytest.fixture
def guest(app, engine, driver) -> Guest:
    return Guest(app, driver, make_user(engine), make_event(engine))


class TestRepeatedWithItsKey:
    def test_gets_its_job_again_and_then_its_answer(self, guest, driver):
        first = guest.leave(**KEY)
        waiting = guest.leave(**KEY)
        assert (first.status_code, waiting.status_code) == (202, 202)
        assert "Idempotency-Replayed" not in first.headers
        assert waiting.headers["Idempotency-Replayed"] == "true"
        driver.decide_all()
        decided = [guest.leave(**KEY) for _ in range(2)]
        for answer in decided:
            assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (200, "true")
            assert (answer.json["job_id"], answer.json["status"]) == (first.json["job_id"], "cancelled")
        essence = [{**answer.json, "links": None} for answer in decided]
        assert essence[0] == essence[1]

    def test_tells_a_refusal_again_too(self, app, engine, driver):
        event = make_event(engine, starts_at=utc_now() + timedelta(hours=5))
        guest = Guest(app, driver, make_user(engine), event)
        guest.leave(**KEY)
        driver.decide_all()
        answer = guest.leave(**KEY)
        assert (answer.status_code, answer.json["code"]) == (409, "cancellation_closed")
        assert answer.headers["Idempotency-Replayed"] == "true"

    def test_never_cancels_what_was_booked_since(self, guest, driver):
        guest.leave(**KEY)
        driver.decide_all()
        guest.book()
        answer = guest.leave(**KEY)
        driver.decide_all()
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
        found = guest.client.get(f"/api/events/{guest.event.id}/check-registration", headers=guest.headers)
        assert found.json["is_registered"] is True

    def test_without_a_key_it_is_another_request_and_refused(self, guest, driver):
        guest.leave()
        driver.decide_all()
        again = guest.leave()
        driver.decide_all()
        assert guest.status(again)["reason"] == "already_cancelled"


class TestByWhichRight:
    @pytest.mark.parametrize(
        ("role", "outcome"), [("attendee", "rejected"), ("host", "cancelled"), ("admin", "cancelled")]
    )
    def test_after_the_deadline(self, app, engine, driver, role, outcome):
        """The event's own host, or an admin, who came as a guest is not bound by the guests' deadline."""
        user = make_user(engine, role=role)
        fields = {"host": user} if role == "host" else {}
        guest = Guest(
            app, driver, user, make_event(engine, starts_at=utc_now() + timedelta(hours=5), **fields)
        )
        answer = guest.leave()
        driver.decide_all()
        assert guest.status(answer)["status"] == outcome

    def test_another_host_is_a_guest_like_any(self, app, engine, driver):
        event = make_event(engine, starts_at=utc_now() + timedelta(hours=5))
        guest = Guest(app, driver, make_user(engine, role="host"), event)
        answer = guest.leave()
        driver.decide_all()
        assert guest.status(answer)["reason"] == "cancellation_closed"

    def test_stands_in_the_ledger(self, app, engine, driver):
        host = make_user(engine, role="host")
        guest = Guest(app, driver, host, make_event(engine, host=host))
        guest.leave()
        driver.decide_all()
        with transaction(engine) as session:
            (facts,) = session.scalars(select(Decision.facts).where(Decision.kind == "cancel"))
        assert facts["acting_as"] == "host"


class TestBookingsOfAForeignDraft:
    """That an event exists is no more to be found out by asking who comes to it than by asking for it."""

    @pytest.mark.parametrize("role", ["attendee", "host"])
    def test_are_as_unheard_of_as_those_of_no_event(self, app, client, engine, role):
        draft, headers = make_event(engine, status="draft"), auth_header(app, make_user(engine, role=role))
        answers = [
            client.get(f"/api/bookings?event_id={number}", headers=headers) for number in (draft.id, 999_999)
        ]
        for answer in answers:
            assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")
        one, other = ({**answer.json, "request_id": None} for answer in answers)
        assert one == other

    def test_are_shown_to_its_host(self, app, client, engine):
        host = make_user(engine, role="host")
        draft = make_event(engine, status="draft", host=host)
        answer = client.get(f"/api/bookings?event_id={draft.id}", headers=auth_header(app, host))
        assert (answer.status_code, answer.json["items"]) == (200, [])

    def test_so_it_is_with_cancelling(self, app, client, engine):
        draft = make_event(engine, status="draft")
        answer = client.post(f"/api/events/{draft.id}/cancel", headers=auth_header(app, make_user(engine)))
        assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")

    def test_public_events_show_an_attendee_their_own(self, app, client, engine, driver, guest):
        other = Guest(app, driver, make_user(engine), guest.event)
        for person in (guest, other):
            answer = client.get(f"/api/bookings?event_id={guest.event.id}", headers=person.headers)
            assert (answer.status_code, len(answer.json["items"])) == (200, 1)
