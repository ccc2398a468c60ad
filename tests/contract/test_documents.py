"""Every answer that a route describes is really given, and looks as it is described: to the last member.

`CheckedClient` holds each answer of these stories against the document; together they get every one there is.
"""

from collections.abc import Callable, Iterator
from typing import Final

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.contract import find_operation
from api.line_answers import (
    ACCEPT_PROBLEMS,
    BOOKING_PROBLEMS,
    CANCELLATION_PROBLEMS,
    JOIN_PROBLEMS,
    LEAVE_PROBLEMS,
)
from api.schemas.event_documents import SlotsDocument
from shared.domain.outcomes import REASONS
from shared.errors import NotFoundError
from shared.settings import Settings
from tests.contract import line_stories, stories
from tests.contract.answers import World
from tests.documents import check_answer, load_strictly
from tests.factories import make_event

BLUEPRINTS: Final = {
    "accounts",
    "account_export",
    "users",
    "events",
    "event_slots",
    "event_bookings",
    "event_decisions",
    "event_stats",
    "admin_analytics",
    "event_waitlist",
    "requests",
    "bookings",
    "interests",
    "hosts",
    "follows",
    "health",
}
STORIES: Final[list[Callable[[World], None]]] = [
    stories.an_account,
    stories.an_event,
    line_stories.bookings,
    line_stories.a_waitlist,
    line_stories.what_is_refused,
    line_stories.requests_that_are_followed,
    line_stories.an_event_that_is_called_off,
    stories.those_who_follow,
    stories.figures,
    stories.health,
]


@pytest.fixture
def world(app: Flask, settings: Settings, engine: Engine, long_heard: None) -> Iterator[World]:
    world = World(app, settings, engine)
    yield world
    world.driver.close()


class TestEveryDescribedAnswer:
    def test_is_given_and_looks_as_described(self, world):
        for story in STORIES:
            story(world)
        described = {
            (rule.endpoint, status)
            for rule in world.app.url_map.iter_rules()
            if rule.endpoint.split(".")[0] in BLUEPRINTS
            for status in find_operation(world.app.view_functions[rule.endpoint]).answers
        }
        assert described - world.seen == set()


class TestReasons:
    def test_of_a_refusal_are_all_described(self):
        """But two that are told otherwise, with a document that is no problem, and one that no client is told."""
        told = {*BOOKING_PROBLEMS, *CANCELLATION_PROBLEMS, *JOIN_PROBLEMS, *LEAVE_PROBLEMS, *ACCEPT_PROBLEMS}
        assert REASONS.keys() - told == {"withdrawn_by_user", "withdrawn_by_admin", "offer_not_due"}


class TestTheCheck:
    """It can fail."""

    @pytest.mark.parametrize(
        "document",
        [
            {"event_id": 1},
            {"event_id": 1, "slots": 2, "more": 3},
            {"event_id": 1, "slots": -1},
            {"event_id": "1", "slots": 2},
            {"event_id": 1, "slots": None},
            [],
        ],
    )
    def test_refuses_a_document_that_is_not_the_described_one(self, document):
        with pytest.raises(AssertionError):
            load_strictly(SlotsDocument, document)

    @pytest.mark.parametrize(
        ("member", "value"),
        [("more", 1), ("created_at", "2030-01-15T09:30:00Z"), ("sales", "maybe"), ("code", 1)],
    )
    def test_refuses_an_answer_with_another_member(self, app, client, engine, monkeypatch, member, value):
        document = client.get(f"/api/events/{make_event(engine).id}").json
        monkeypatch.setattr("api.routes.events.event_document", lambda _event: {**document, member: value})
        answer = client.get(f"/api/events/{document['id']}")
        assert answer.status_code == 200
        with pytest.raises(AssertionError, match=member):
            check_answer(app, answer)

    @pytest.mark.parametrize(
        "change",
        [
            lambda answer: setattr(answer, "status_code", 202),
            lambda answer: setattr(answer, "content_type", "text/html"),
            lambda answer: answer.headers.set("Location", "/"),
            lambda answer: answer.headers.remove("ETag"),
        ],
        ids=["status", "media type", "header too many", "header missing"],
    )
    def test_refuses_what_stands_around_it(self, app, client, engine, change):
        answer = client.get(f"/api/events/{make_event(engine).id}/slots")
        check_answer(app, answer)
        change(answer)
        with pytest.raises(AssertionError):
            check_answer(app, answer)

    def test_refuses_a_code_that_is_not_the_routes(self, app, client, monkeypatch):
        def refuse(*_: object) -> None:
            raise NotFoundError("user_not_found")

        monkeypatch.setattr("api.routes.event_slots.get_readable_event", refuse)
        with pytest.raises(AssertionError, match="user_not_found"):
            check_answer(app, client.get("/api/events/1/slots"))

    def test_refuses_a_route_that_nobody_described(self, app):
        app.add_url_rule("/strange", view_func=lambda: {"what": "is this"})
        with pytest.raises(AssertionError, match="does not know"):
            check_answer(app, app.test_client().get("/strange"))
