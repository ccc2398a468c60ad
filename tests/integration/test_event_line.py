"""A host looks at the line of their own event."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.clock import parse_rfc3339, utc_now
from shared.db import transaction
from shared.line import keys
from shared.models import Event, User
from shared.services import line_pause
from tests.factories import auth_header, make_event, make_user


@pytest.fixture
def event(engine, host: User) -> Event:
    return make_event(engine, host=host)


@pytest.fixture
def show(client, as_host) -> Callable[[Event], dict[str, Any]]:
    def over_http(event: Event) -> dict[str, Any]:
        answer = client.get(f"/api/events/{event.id}/line", headers=as_host)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: dict[str, Any] = answer.json
        return document

    return over_http


class TestLine:
    def test_of_nobody(self, show, event, line):
        assert show(event) == {
            "event_id": event.id,
            "depth": 0,
            "head_arrival": None,
            "decided_per_second": None,
            "oldest_waiting_seconds": None,
            "paused": None,
        }

    def test_counts_who_is_not_decided(self, show, event, line):
        line.stand(event, 3)
        line.decide_all()
        line.stand(event, 4)
        line.take(event, maximum=2)
        document = show(event)
        assert (document["depth"], document["head_arrival"]) == (4, 4)
        assert document["decided_per_second"] > 0
        assert 0 <= document["oldest_waiting_seconds"] < 60
        line.decide_all()
        document = show(event)
        assert (document["depth"], document["head_arrival"], document["oldest_waiting_seconds"]) == (
            0,
            None,
            None,
        )

    def test_shows_this_event_only(self, show, engine, event, line, host):
        neighbour = make_event(engine, host=host)
        while line.partition_of(neighbour) != line.partition_of(event):
            neighbour = make_event(engine, host=host)
        first = line.stand(neighbour, 3)
        line.redis.hset(keys.job(first[0]), "enqueued_at", "2020-01-01T00:00:00.000000Z")
        line.stand(event, 2)
        document = show(event)
        assert (document["depth"], document["head_arrival"]) == (2, 1)
        assert document["oldest_waiting_seconds"] < 60
        assert show(neighbour)["oldest_waiting_seconds"] > 1e8

    def test_the_oldest_of_an_event_far_behind_another_is_not_known(
        self, show, engine, event, line, host, monkeypatch
    ):
        monkeypatch.setattr("shared.services.event_line.LOOKED_AT_MAX", 3)
        neighbour = make_event(engine, host=host)
        while line.partition_of(neighbour) != line.partition_of(event):
            neighbour = make_event(engine, host=host)
        line.stand(neighbour, 3)
        line.stand(event)
        assert (show(event)["depth"], show(event)["oldest_waiting_seconds"]) == (1, None)

    def test_shows_the_pause(self, show, event, engine):
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None, reason="maintenance")
        paused = show(event)["paused"]
        assert (paused["reason"], paused["resume_at"]) == ("maintenance", None)
        parse_rfc3339(paused["since"])

    def test_of_a_job_that_cannot_be_read(self, show, event, line):
        (job_id,) = line.stand(event)
        line.redis.hset(keys.job(job_id), "enqueued_at", "soon")
        assert (show(event)["depth"], show(event)["oldest_waiting_seconds"]) == (1, None)


class TestWho:
    def test_its_host_and_admins_only(self, app, client, engine, event, as_host, as_admin, as_attendee):
        url = f"/api/events/{event.id}/line"
        stranger = auth_header(app, make_user(engine, role="host"))
        answers = [
            client.get(url, headers=headers) for headers in (as_host, as_admin, as_attendee, stranger, {})
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 403, 403, 401]

    def test_not_what_is_not_there(self, client, engine, as_host):
        hidden, draft = make_event(engine, deleted_at=utc_now()), make_event(engine, status="draft")
        for event_id in (hidden.id, draft.id, 999):
            answer = client.get(f"/api/events/{event_id}/line", headers=as_host)
            assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")

    def test_not_while_redis_is_away(self, make_app, own_redis, settings, event, host):
        app = make_app(replace(settings, redis_url=own_redis.url))
        url, headers = f"/api/events/{event.id}/line", auth_header(app, host)
        assert app.test_client().get(url, headers=headers).status_code == 200
        own_redis.stop()
        answer = app.test_client().get(url, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
