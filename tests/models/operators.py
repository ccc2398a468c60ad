"""What operators and the schedule do, to the real thing and to the model."""

import uuid
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.clock import parse_rfc3339, rfc3339
from shared.services import control_requests, offers
from tests.models.expected import Asked
from tests.models.people import EVENTS, People

HOUR, AT_ONCE = timedelta(hours=1), timedelta(microseconds=1)

DEEDS = [
    *["capacity"] * 4,
    *["offers_last"] * 3,
    *["pause", "drain"] * 2,
    "close_or_open_the_sale",
    "sales_paused",
    "waitlist_enabled",
    "call_off",
]


class Operators(People):
    """The host, an admin, and what is due by the clock."""

    @rule(which=EVENTS, what=st.sampled_from(DEEDS), more=st.integers(-3, 4))
    def operate(self, which: int, what: str, more: int) -> None:
        """One rule for all of them: most of what happens is that people ask for tickets."""
        if what == "capacity":
            self.change_capacity(which, more)
        elif what in ("sales_paused", "waitlist_enabled"):
            self.switch(which, what)
        elif what == "pause":
            self.pause_or_resume()
        else:
            getattr(self, what)(which)

    def pause_or_resume(self) -> None:
        verb = "resume" if self.expected.paused else "pause"
        answer = self.office.call("POST", f"/admin/queue/{verb}", self.office.admin.id)
        assert answer.status_code == 200, answer.text
        self.expected.paused = not self.expected.paused

    def change(self, which: int, **values: Any) -> None:
        """The host changes the event; who waits is served before whoever asks next."""
        event_id, model = self.event(which)
        answer = self.office.call("PATCH", f"/events/{event_id}", self.office.host.id, **values)
        if model.status == "cancelled":
            assert answer.json["code"] == "event_over", answer.text
            return
        assert answer.status_code == 200, answer.text
        for name, value in values.items():
            setattr(model, name, parse_rfc3339(value) if name.endswith("_at") else value)
        kinds = [one.kind for one in self.control_requests_follow()]
        if model.status == "cancelled":
            assert kinds == ["call_off"]
        else:
            waits = any(one.status == "waiting" for one in model.waitlist)
            assert kinds == (["serve_waitlist"] if waits else [])

    def control_requests_follow(self) -> list[Asked]:
        """What the control plane has put into the line behind everybody."""
        known = {str(one.job_id) for one in self.expected.line}
        new = [job_id for job_id in self.office.in_line() if job_id not in known]
        found = {
            str(row.job_id): row
            for row in self.office.query(
                "select job_id, kind, event_id, user_id, offer_id from control_requests where decided_at is null"
            )
        }
        followed = []
        for row in (found[job_id] for job_id in new):
            if row.event_id in self.expected.events:
                of = None if row.offer_id is None else self.place_of_offer(row.offer_id)
                user = row.user_id if row.kind == "expire_offer" else None
                asked = Asked(row.job_id, row.kind, row.event_id, user, of=of)
                followed.append(asked)
                self.let_in(asked)
        return followed

    def place_of_offer(self, offer_id: uuid.UUID) -> uuid.UUID:
        ((job_id,),) = self.office.query(
            "select w.job_id from offers o join waitlist_entries w on w.id = o.entry_id where o.id = :id",
            id=offer_id,
        )
        return job_id

    def change_capacity(self, which: int, more: int) -> None:
        event_id, model = self.event(which)
        taken, wanted = model.booked() + model.offered(), max(model.capacity + more, 1)
        if wanted == model.capacity:
            return
        if wanted < taken and model.status != "cancelled":
            answer = self.office.call("PATCH", f"/events/{event_id}", self.office.host.id, capacity=wanted)
            assert answer.json["code"] == "capacity_below_committed", answer.text
        else:
            self.change(which, capacity=wanted)

    def close_or_open_the_sale(self, which: int) -> None:
        """The window: who was accepted before it closed is judged by that."""
        _, model = self.event(which)
        is_open = model.sales_close_at == model.starts_at
        self.change(which, sales_close_at=rfc3339(self.office.now() if is_open else model.starts_at))

    def switch(self, which: int, what: str) -> None:
        _, model = self.event(which)
        self.change(which, **{what: not getattr(model, what)})

    def call_off(self, which: int) -> None:
        """Once more changes nothing."""
        event_id, model = self.event(which)
        if model.status == "cancelled":
            url = f"/events/{event_id}"
            again = self.office.call("PATCH", url, self.office.host.id, status="cancelled")
            assert again.status_code == 200, again.text
            assert self.control_requests_follow() == []
        else:
            self.change(which, status="cancelled")

    def drain(self, which: int) -> None:
        event_id, model = self.event(which)
        waiting = len(self.expected.waiting(event_id))
        body = {"event_id": event_id, "reason": "Rain"}
        answer = self.office.call("POST", "/admin/queue/drain", self.office.admin.id, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json["undecided"] == waiting
        if waiting:  # its number bounds it: none is given out again here
            model.drained = (model.arrivals + waiting, self.office.now() + timedelta(days=1))

    def offers_last(self, _which: int) -> None:
        """An hour, or from now on no time at all."""
        self.office.set_lifetime(HOUR if self.office.lifetime == AT_ONCE else AT_ONCE)

    @rule()
    def expire_offers(self) -> None:
        """The schedule asks for the end of those that are over and of which nobody has asked yet."""
        now = self.office.now()
        asked_for = {one.of for one in self.expected.line if one.kind == "expire_offer"}
        over = {
            one.made_by
            for model in self.expected.events.values()
            for one in model.waitlist
            if one.status == "offered" and one.expires_at and one.expires_at <= now
        }
        offers.expire_offers(self.office.engine, self.office.app.extensions["guichet"].line)
        self.mark_decided()
        assert {one.of for one in self.control_requests_follow()} == over - asked_for

    def mark_decided(self) -> None:
        """What the schedule does besides: requests that the ledger has are owed no more."""
        line = self.office.app.extensions["guichet"].line
        control_requests.put_into_line(self.office.engine, line)
