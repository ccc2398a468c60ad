"""What clients do, to the real thing and to the model."""

import uuid
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from shared.clock import parse_rfc3339
from shared.ids import derived_uuid
from tests.models.expected import Asked, Expected, Sent
from tests.models.office import Office
from tests.waitlist_model import Model

UNDECIDED_MAX = 6
BATCHES = [1, 3, 250]
PEOPLE = st.integers(0, 4)
EVENTS = st.integers(0, 1)
PICKS = st.integers(0, 30)  # which of those there are
SIZES = st.sampled_from([1, 1, 1, 2, 2, 3, 4])


class People(RuleBasedStateMachine):
    """Two events of one partition, and five people who want tickets for them."""

    office: ClassVar[Office]

    def __init__(self) -> None:
        super().__init__()
        self.office.begin_anew()
        self.expected = Expected(UNDECIDED_MAX)
        self.read: dict[int, int] = {}  # event → how far its ledger was read
        self.stories: dict[int, list[tuple[Any, ...]]] = {}
        self.seen: dict[uuid.UUID, dict[str, Any]] = {}  # answers that somebody was given
        self.news: list[uuid.UUID] = []
        self.number = self.deaths = self.turn = 0
        self.batch_max = 250

    @initialize(
        capacities=st.tuples(st.integers(1, 4), st.integers(2, 8)),
        max_per_booking=st.sampled_from([2, 10]),
        batch_max=st.sampled_from(BATCHES),
    )
    def open(self, capacities: tuple[int, int], max_per_booking: int, batch_max: int) -> None:
        self.batch_max = batch_max
        for capacity in capacities:
            event = self.office.open_event(capacity=capacity, max_per_booking=max_per_booking)
            self.expected.events[event.id] = Model(
                capacity=capacity,
                max_per_booking=max_per_booking,
                starts_at=event.starts_at,
                sales_open_at=None,
                sales_close_at=event.sales_close_at,
            )
            self.read[event.id], self.stories[event.id] = 0, []
        self.office.open_worker(batch_max)

    def event(self, which: int) -> tuple[int, Model]:
        event_id = self.office.events[which]
        return event_id, self.expected.events[event_id]

    def user(self, person: int) -> int:
        return self.office.users[person].id

    def decide_all(self) -> None:
        """Everything that waits, by the worker and by the model."""
        raise NotImplementedError

    # people ask

    def ask(
        self,
        url: str,
        asked: Asked,
        *,
        method: str = "POST",
        key: str = "",
        lost: int = 0,
        executed: bool = True,
        **body: Any,
    ) -> None:
        """A request that the door judges; it is in the line afterwards, or the client knows why not."""
        refused = self.expected.refused(asked, self.office.now())
        arrival = self.expected.next_arrival(asked.event_id)
        end = self.office.lose_answers(lost, executed=executed)
        try:
            answer = self.office.call(method, url, asked.user_id or 0, key=key, **body)
        finally:
            end()
        sent = Sent(asked.user_id or 0, key, url, body, asked.kind, asked.event_id)
        if key:
            self.expected.sent.append(sent)
        if lost == 2 or (lost and refused):  # a refusal proves nothing of the copy that was sent before it
            assert (answer.status_code, answer.json["code"]) == (503, "accept_unknown"), answer.text
            if refused or not executed:
                return
        elif refused:
            assert answer.json.get("code") == refused, (refused, answer.text)
            return
        else:
            assert answer.status_code == 202, answer.text
            assert answer.json["status"] == "queued"
            assert answer.json["arrival"] == arrival
            assert answer.json["position"] == len(self.expected.waiting(asked.event_id)) + 1
        asked.job_id = sent.job_id = uuid.UUID(answer.json["job_id"])
        self.let_in(asked)

    def let_in(self, asked: Asked) -> None:
        self.expected.accept(asked)
        document = self.status(asked)
        asked.accepted_at = parse_rfc3339(document["accepted_at"])

    def status(self, asked: Asked) -> dict[str, Any]:
        who = asked.user_id if asked.user_id in self.office.headers else self.office.admin.id
        answer = self.office.call("GET", f"/bookings/status/{asked.job_id}", who or self.office.admin.id)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json
        return document

    def new_key(self, wanted: bool) -> str:
        self.number += 1
        return f"key-{self.number}" if wanted else ""

    @rule(who=PEOPLE, which=EVENTS, tickets=SIZES, waitlist=st.booleans(), keyed=st.booleans())
    def book(self, who: int, which: int, tickets: int, waitlist: bool, keyed: bool) -> None:
        event_id, _ = self.event(which)
        asked = Asked(uuid.uuid4(), "book", event_id, self.user(who), tickets=tickets, waitlist=waitlist)
        self.ask(
            f"/bookings/{event_id}/book", asked, key=self.new_key(keyed), tickets=tickets, waitlist=waitlist
        )

    @rule(which=EVENTS, tickets=SIZES, decided=st.booleans())
    def everybody_books_or_waits(self, which: int, tickets: int, decided: bool) -> None:
        for who in range(5):
            self.book(who, which, tickets, waitlist=True, keyed=True)
        if decided:
            self.decide_all()

    @rule(who=PEOPLE, which=EVENTS, tickets=SIZES, lost=st.integers(1, 2), executed=st.booleans())
    def book_and_lose_the_answer(self, who: int, which: int, tickets: int, lost: int, executed: bool) -> None:
        """Once: the API asks again by itself. Twice: the client is told that nobody knows."""
        event_id, _ = self.event(which)
        asked = Asked(uuid.uuid4(), "book", event_id, self.user(who), tickets=tickets, waitlist=True)
        url, body = f"/bookings/{event_id}/book", {"tickets": tickets, "waitlist": True}
        self.ask(url, asked, key=self.new_key(True), lost=lost, executed=executed, **body)

    @rule(who=PEOPLE, which=EVENTS, tickets=SIZES, keyed=st.booleans())
    def join(self, who: int, which: int, tickets: int, keyed: bool) -> None:
        event_id, _ = self.event(which)
        asked = Asked(uuid.uuid4(), "join_waitlist", event_id, self.user(who), tickets=tickets)
        self.ask("/waitlist/join", asked, key=self.new_key(keyed), event_id=event_id, tickets=tickets)

    @rule(who=PEOPLE, which=EVENTS)
    def leave(self, who: int, which: int) -> None:
        event_id, model = self.event(which)
        user = self.user(who)
        if model.place_of(user) or self.expected.of_user(user):
            asked = Asked(uuid.uuid4(), "leave_waitlist", event_id, user)
            self.ask(f"/waitlist/{event_id}", asked, method="DELETE")
        else:
            answer = self.office.call("DELETE", f"/waitlist/{event_id}", user)
            assert (answer.status_code, answer.json["code"]) == (409, "not_waiting")

    @rule(pick=PICKS, which=EVENTS, keyed=st.booleans(), decided=st.booleans())
    def cancel(self, pick: int, which: int, keyed: bool, decided: bool) -> None:
        """Mostly a booking that is live: its tickets are somebody else's then."""
        event_id, model = self.event(which)
        live = [one for one in model.bookings if one.live]
        found = live if live and pick % 6 else model.bookings
        if not found:
            return
        made = found[pick % len(found)]
        url, key = f"/bookings/{derived_uuid(made.made_by, 0)}/cancel", self.new_key(keyed)
        if made.live or keyed:
            asked = Asked(uuid.uuid4(), "cancel", event_id, made.user, of=made.made_by)
            self.ask(url, asked, method="PUT", key=key)
        else:
            answer = self.office.call("PUT", url, made.user)
            assert (answer.status_code, answer.json["code"]) == (409, "already_cancelled")
        if decided:
            self.decide_all()

    @rule(pick=PICKS, which=EVENTS, verb=st.sampled_from(["accept", "accept", "decline"]))
    def answer_offer(self, pick: int, which: int, verb: str) -> None:
        event_id, model = self.event(which)
        places = [one for one in model.waitlist if one.offer_status]
        if not places:
            return
        places = [one for one in places if one.status == "offered"] or places
        place = places[pick % len(places)]
        url = f"/waitlist/offers/{self.office.offer_of(place.made_by)}/{verb}"
        if place.status == "offered":
            asked = Asked(uuid.uuid4(), f"{verb}_offer", event_id, place.user, of=place.made_by)
            self.ask(url, asked)
        else:
            answer = self.office.call("POST", url, place.user)
            assert (answer.status_code, answer.json["code"]) == (409, "offer_ended")

    @precondition(lambda self: self.expected.sent)
    @rule(pick=PICKS, other=st.booleans())
    def retry(self, pick: int, other: bool) -> None:
        """The same key again: the same request, or with something else a conflict, once the key is known."""
        sent = self.expected.sent[pick % len(self.expected.sent)]
        method = "PUT" if sent.kind == "cancel" else "POST"
        if sent.kind == "cancel" and other:
            return
        body = {**sent.body, "tickets": 9 if sent.body["tickets"] != 9 else 8} if other else sent.body
        if sent.job_id is None:
            if other or sent.kind == "cancel":
                return
            self.expected.sent.remove(sent)
            asked = Asked(
                uuid.uuid4(), sent.kind, sent.event_id, sent.user_id,
                tickets=sent.body["tickets"], waitlist=sent.body.get("waitlist", False),
            )  # fmt: skip
            self.ask(sent.url, asked, key=sent.key, **body)
            return
        answer = self.office.call(method, sent.url, sent.user_id, key=sent.key, **body)
        if other:
            assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused"), answer.text
            return
        document = answer.json.get("job", answer.json)
        assert answer.headers["Idempotency-Replayed"] == "true", answer.text
        assert uuid.UUID(document["job_id"]) == sent.job_id
        decided = self.expected.answers.get(sent.job_id)
        assert document["status"] == (decided[0] if decided else "queued")
        codes = {"confirmed": 201, "rejected": 409, "queued": 202}
        assert answer.status_code == codes.get(document["status"], 200), answer.text

    @rule(pick=PICKS)
    def withdraw(self, pick: int) -> None:
        own = [one for one in self.expected.line if one.user_id in self.office.headers]
        if not own:
            return
        asked = own[pick % len(own)]
        answer = self.office.call("DELETE", f"/bookings/status/{asked.job_id}", asked.user_id or 0)
        if asked.kind not in ("book", "join_waitlist"):
            assert answer.json["code"] == "not_withdrawable"
        elif str(asked.job_id) in self.office.in_flight():
            assert answer.json["code"] == "already_decided"  # whoever died had taken it
        else:
            assert answer.status_code == 202, answer.text
            asked.withdrawn = True
