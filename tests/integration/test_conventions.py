"""What holds on every route where it is promised: paging along Link, Idempotency-Key, ETag, If-Match, the 202."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select
from werkzeug.test import TestResponse

from api.contract import find_operation
from shared.db import transaction
from shared.models import Event, User
from shared.settings import Settings
from tests.documents import CheckedClient
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver

BODY: Final = {"title": "Jazz", "starts_at": "2030-06-01T18:00:00Z", "capacity": 9, "status": "scheduled"}

# POSTs that make nothing which a repeated one would make twice: they end something, steer, or say what is so already.
# rq-dashboard's are refused.
NOT_CREATING: Final = (
    *("accounts.", "admin_", "console.", "follows.", "interests.", "notifications.", "rq_dashboard."),
)

PAGES_MAX: Final = 50

LISTS: Final = (
    "/api/events",
    "/api/events/view",
    "/api/events/slots",
    "/api/events/{event}/decisions",
    "/api/events/{event}/bookings",
    "/api/events/user/registrations",
    "/api/bookings",
    "/api/bookings/history",
    "/api/bookings?event_id={event}",
    "/api/bookings/requests",
    "/api/waitlist",
    "/api/events/{event}/waitlist",
)

PERSONAL: Final = (
    "/api/auth/profile",
    "/api/users/{host}",
    "/api/bookings",
    "/api/bookings/requests",
    "/api/events/user/registrations",
    "/api/events/{event}/check-registration",
    "/api/events/{event}/bookings",
    "/api/waitlist",
    "/api/events/{event}/waitlist",
)


class Box:
    """A host and their event."""

    def __init__(self, app: Flask, settings: Settings, engine: Engine) -> None:
        app.test_client_class = CheckedClient
        self.app, self.engine, self.client = app, engine, app.test_client()
        self.driver = LineDriver(settings, engine)
        self.host = make_user(engine, role="host")
        self.event = make_event(engine, host=self.host, capacity=10)

    def fill(self) -> None:
        """Five bookings of the event, and five of the host's own of other events; and as many places on waitlists."""
        for guest in make_users(self.engine, 5):
            self.book(self.event, guest)
        for guest in make_users(self.engine, 5):
            self.join(self.event, guest, tickets=10)
        for _ in range(5):
            self.book(make_event(self.engine), self.host)
            self.join(make_event(self.engine, capacity=1), self.host, tickets=2)
        self.driver.decide_all()

    def join(self, event: Event, who: User, *, tickets: int) -> None:
        headers = {**auth_header(self.app, who), "Prefer": "wait=0"}
        body = {"event_id": event.id, "tickets": tickets}
        answer = self.client.post("/api/waitlist/join", json=body, headers=headers)
        assert answer.status_code == 202, answer.text

    def book(self, event: Event, who: User, **headers: str) -> TestResponse:
        path = f"/api/bookings/{event.id}/book"
        return self.client.post(path, headers={**auth_header(self.app, who), **headers})

    def ask(self, method: str, path: str, *, json: Any = None, **headers: str) -> TestResponse:
        """What the host gets."""
        headers = {**auth_header(self.app, self.host), **headers}
        return self.client.open(path, method=method, json=json, headers=headers)

    def walk(self, url: str) -> Iterator[list[dict[str, Any]]]:
        """Page after page, along the Link headers, to the end."""
        for _ in range(PAGES_MAX):
            answer = self.ask("GET", url)
            assert answer.status_code == 200, answer.text
            assert ("Link" in answer.headers) == (answer.json["next_cursor"] is not None)
            yield answer.json["items"]
            if "Link" not in answer.headers:
                return
            address, relation = answer.headers["Link"].split("; ")
            assert relation == 'rel="next"'
            url = address.strip("<>")
        raise AssertionError(f"no end of pages: {url}")

    def count_events(self) -> int:
        with transaction(self.engine) as session:
            return session.scalar(select(func.count()).select_from(Event)) or 0


@pytest.fixture
def box(app: Flask, settings: Settings, engine: Engine) -> Iterator[Box]:
    box = Box(app, settings, engine)
    yield box
    box.driver.close()


@pytest.fixture
def full_box(box: Box) -> Box:
    box.fill()
    return box


def names(items: Iterable[dict[str, Any]]) -> list[Any]:
    """What tells the items of any list from each other."""
    return [
        next(item[name] for name in ("hash", "job_id", "id", "event_id") if name in item) for item in items
    ]


def urls(box: Box, paths: Iterable[str]) -> Iterator[str]:
    """The addresses with a query, to which more may be added."""
    for path in paths:
        url = path.format(event=box.event.id)
        yield f"{url}{'&' if '?' in url else '?'}"


class TestPaging:
    def test_along_the_links_every_item_comes_once_and_in_order(self, full_box):
        for url in urls(full_box, LISTS):
            (whole,) = full_box.walk(url)
            pages = list(full_box.walk(f"{url}limit=2"))
            assert len(whole) >= 5, url
            assert names(item for page in pages for item in page) == names(whole), url
            assert {len(page) for page in pages[:-1]} == {2}, url

    def test_the_links_keep_what_was_asked_for(self, full_box):
        for url in urls(full_box, [path for path in LISTS if path != "/api/bookings/requests"]):
            pages = {
                order: list(full_box.walk(f"{url}order={order}&with_total=true&limit=3"))
                for order in ("asc", "desc")
            }
            up, down = (names(item for page in pages[order] for item in page) for order in ("asc", "desc"))
            assert up == down[::-1], url
            assert len(pages["asc"]) > 1, url

    def test_what_comes_meanwhile_moves_nothing(self, full_box):
        """A cursor is a place in the order and not a number of items: an offset would show one twice."""
        walk = full_box.walk("/api/bookings?limit=2")
        seen = names(next(walk))
        full_box.book(make_event(full_box.engine), full_box.host)
        full_box.driver.decide_all()
        rest = names(item for page in walk for item in page)
        assert len(seen + rest) == len(set(seen + rest)) == 5


class TestIdempotencyKey:
    def test_is_taken_by_every_post_that_makes_something(self, app):
        posts = {
            rule.endpoint
            for rule in app.url_map.iter_rules()
            if "POST" in (rule.methods or ()) and not rule.endpoint.startswith(NOT_CREATING)
        }
        operations = {name: find_operation(app.view_functions[name]) for name in posts}
        silent = {
            name
            for name, operation in operations.items()
            if operation is None or "Idempotency-Key" not in operation.request_headers
        }
        assert silent == set()
        assert len(posts) >= 5

    @pytest.mark.parametrize(
        ("path", "body", "other"),
        [
            ("/api/events", BODY, {**BODY, "capacity": 8}),
            ("/api/bookings", {"event_id": 0, "tickets": 1}, {"event_id": 0, "tickets": 2}),
            ("/api/bookings/{event}/book", {}, {"tickets": 2}),
            ("/api/events/{event}/register", {"tickets": 1}, {"tickets": 2}),
            ("/api/events/{event}/register", {"waitlist": True}, {"waitlist": False}),
            ("/api/waitlist/join", {"event_id": 0, "tickets": 1}, {"event_id": 0, "tickets": 2}),
        ],
    )
    def test_a_repeated_post_makes_nothing_more(self, box, path, body, other):
        url = path.format(event=box.event.id)
        body, other = (
            {**one, **({"event_id": box.event.id} if "event_id" in one else {})} for one in (body, other)
        )
        key = {"Idempotency-Key": "once", "Prefer": "wait=0"}
        first = box.ask("POST", url, json=body, **key)
        events, requests = box.count_events(), len(list(box.walk("/api/bookings/requests?limit=1")))
        quoted = {"X-Idempotency-Key": '"once"', "Prefer": "wait=0"}
        for headers in (key, quoted):
            again = box.ask("POST", url, json=body, **headers)
            assert (again.status_code, again.headers["Idempotency-Replayed"]) == (first.status_code, "true")
            assert essence(again) == essence(first)
        refused = box.ask("POST", url, json=other, **key)
        assert (refused.status_code, refused.json["code"]) == (422, "idempotency_key_reused")
        assert box.count_events() == events
        assert len(list(box.walk("/api/bookings/requests?limit=1"))) == requests

    def test_two_people_may_have_the_same_key(self, box):
        one, other = (
            box.book(box.event, guest, **{"Idempotency-Key": "mine"}) for guest in make_users(box.engine, 2)
        )
        assert one.json["job_id"] != other.json["job_id"]
        assert "Idempotency-Replayed" not in other.headers

    def test_one_that_is_none_is_refused(self, box):
        for path, body in (("/api/events", BODY), (f"/api/bookings/{box.event.id}/book", {})):
            for key in ("", '""', "x" * 256, "é"):
                answer = box.ask("POST", path, json=body, **{"Idempotency-Key": key})
                assert (answer.status_code, answer.json["code"]) == (400, "bad_request"), key


def essence(answer: TestResponse) -> dict[str, Any]:
    """The document without its stream link, whose token is new each time."""
    document: dict[str, Any] = dict(answer.json)
    document.get("links", {}).pop("stream", None)
    return document


class TestCaching:
    def test_nobody_keeps_what_is_personal(self, box):
        for path in PERSONAL:
            answer = box.ask("GET", path.format(event=box.event.id, host=box.host.id))
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store"), path
            assert "ETag" not in answer.headers, path

    def test_every_route_with_an_etag_answers_304(self, box):
        """Without a body, and with the tag again."""
        job = box.book(box.event, box.host).json["job_id"]
        described = {
            rule.rule
            for rule in box.app.url_map.iter_rules()
            if rule.endpoint.split(".")[0] in {"events", "event_slots", "event_decisions", "requests"}
            if "GET" in (rule.methods or ())
            if 304 in find_operation(box.app.view_functions[rule.endpoint]).answers
        }
        for rule in sorted(described):
            path = rule.replace("<int:event_id>", str(box.event.id)).replace("<uuid:job_id>", job)
            fresh = box.ask("GET", path)
            same = box.ask("GET", path, **{"If-None-Match": fresh.headers["ETag"]})
            assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", fresh.headers["ETag"])
            other = box.ask("GET", path, **{"If-None-Match": '"another"'})
            assert other.status_code == 200
        assert len(described) == 10


class TestIfMatch:
    """On whatever changes an event."""

    @pytest.fixture(params=["PUT", "PATCH", "DELETE"])
    def event(self, request, box) -> "Changeable":
        return Changeable(box, request.param)

    def test_whoever_read_the_newest_version_may_change_it(self, event):
        assert event.change(event.tag()).status_code in (200, 204)

    def test_whoever_read_an_older_one_may_not(self, event, box):
        tag = event.tag()
        box.ask("PATCH", event.path, json={"venue": "elsewhere"})
        answer = event.change(tag)
        assert (answer.status_code, answer.json["code"]) == (412, "precondition_failed")
        assert answer.json["version"] == 2
        assert box.ask("GET", event.path).json["venue"] == "elsewhere"

    def test_a_sold_ticket_is_no_edit(self, event, box):
        """It changes the tag, and not what stands before the dash."""
        before = event.tag()
        box.book(event.event, make_user(box.engine))
        box.driver.decide_all()
        assert event.tag() != before
        assert event.change(before).status_code == (409 if event.method == "DELETE" else 200)

    def test_other_ways_to_say_the_same(self, event):
        for tag in (None, "*", 'W/"1-x"', '"7-x", "1-y"'):
            assert event.anew().change(tag).status_code in (200, 204), tag

    def test_what_names_no_version_matches_none(self, event):
        for tag in ("1", '"x"', '"1"', '"2-x"'):
            assert event.change(tag).status_code == 412, tag


class Changeable:
    """An event, and one way to change it."""

    def __init__(self, box: Box, method: str) -> None:
        self.box, self.method = box, method
        self.event = make_event(box.engine, host=box.host)
        self.path = f"/api/events/{self.event.id}"

    def anew(self) -> "Changeable":
        return Changeable(self.box, self.method)

    def tag(self) -> str:
        return str(self.box.ask("GET", self.path).headers["ETag"])

    def change(self, tag: str | None) -> TestResponse:
        """Changes it, or hides it, if it still has this tag."""
        headers = {} if tag is None else {"If-Match": tag}
        return self.box.ask(self.method, self.path, json=None if self.method == "DELETE" else BODY, **headers)


class TestAccepted:
    def test_says_where_to_ask_and_when(self, box):
        """Whether it comes at once, after a wait in vain, or again for the same key; and to who cancels or leaves."""
        box.book(box.event, box.host)
        box.driver.decide_all()
        guest, key = make_user(box.engine), {"Idempotency-Key": "a"}
        booked = [
            box.book(box.event, guest, **key),
            box.book(box.event, guest, **key),
            box.book(box.event, guest, **{**key, "Prefer": "wait=1"}),
        ]
        assert essence(booked[0]) == essence(booked[1]) == essence(booked[2])
        (mine,) = box.ask("GET", "/api/bookings").json["items"]
        cancelled = box.ask("PUT", f"/api/bookings/{mine['id']}/cancel", Prefer="wait=0")
        link = booked[0].json["links"]["withdraw"]
        left = box.client.delete(link, headers=auth_header(box.app, guest))
        for answer in (*booked, cancelled, left):
            assert answer.status_code == 202
            assert answer.headers["Location"] == answer.json["links"]["status"]
            assert 1 <= int(answer.headers["Retry-After"]) <= 30
