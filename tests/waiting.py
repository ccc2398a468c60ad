"""People who wait for tickets, over HTTP: what they ask, and what comes of it once the line has moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.models import Event, User
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver, await_that, worker_process

AT_ONCE = {"Prefer": "wait=0"}


class Person:
    """Somebody with a token, whose requests are decided before they look again."""

    def __init__(self, app: Flask, client: FlaskClient, driver: LineDriver, user: User) -> None:
        self.client, self.driver, self.user, self.headers = client, driver, user, auth_header(app, user)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str):
        """The answer at once: 202, or what the door says."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(path, method=method, json=body, headers={**self.headers, **AT_ONCE, **names})

    def decided(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        """The status document of a request that was accepted, after its decision."""
        answer = self.ask(method, path, body, **headers)
        assert answer.status_code == 202, answer.text
        self.driver.decide_all()
        return self.ask("GET", answer.json["links"]["status"]).json

    def book(self, event_id: int, tickets: int = 1, **fields: Any) -> Any:
        """The decision on a booking."""
        return self.decided("POST", f"/api/bookings/{event_id}/book", {"tickets": tickets, **fields})

    def join(self, event_id: int, tickets: int = 1) -> Any:
        """The decision on joining."""
        return self.decided("POST", "/api/waitlist/join", {"event_id": event_id, "tickets": tickets})

    def leave(self, event_id: int) -> Any:
        """The decision on leaving."""
        return self.decided("DELETE", f"/api/waitlist/{event_id}")

    def cancel(self, event_id: int) -> Any:
        """The decision on giving a booking back."""
        return self.decided("POST", f"/api/events/{event_id}/cancel")

    def entries(self, query: str = "") -> list[Any]:
        """One's own places."""
        answer = self.ask("GET", f"/api/waitlist{query}")
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json["items"]
        return items

    def entry(self) -> Any:
        """The only place that one has."""
        (entry,) = self.entries()
        return entry


class Crowd:
    """An application whose line moves when told to, and people at its door."""

    def __init__(self, app: Flask, client: FlaskClient, driver: LineDriver, engine: Engine) -> None:
        self.app, self.client, self.driver, self.engine = app, client, driver, engine

    def people(self, count: int) -> list[Person]:
        """So many of them."""
        return [self._person(user) for user in make_users(self.engine, count)]

    def person(self, role: str = "attendee") -> Person:
        """One of them."""
        return self._person(make_user(self.engine, role=role))

    def sold_out(self) -> tuple[Event, Person]:
        """An event whose only two tickets somebody has, and who, known at the door."""
        event, holder = make_event(self.engine, capacity=2), self.person()
        assert holder.book(event.id, 2)["status"] == "confirmed"
        self.look_again()
        return event, holder

    def look_again(self) -> None:
        """The door sees what was decided, without waiting for its next turn."""
        self.app.extensions["guichet"].snapshots.refresh_once()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker process that is ready to decide, instead of the driver, which lets go for good."""
        self.driver.close()
        with worker_process(self.driver.settings):
            await_that(lambda: self.client.get("/readyz").status_code == 200, what="a worker that is ready")
            yield

    def _person(self, user: User) -> Person:
        return Person(self.app, self.client, self.driver, user)
