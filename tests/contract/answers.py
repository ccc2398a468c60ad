"""An application whose answers are held against the document, and which of them were given."""

from typing import Any

from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from shared.models import User
from shared.settings import Settings
from tests.documents import CheckedClient
from tests.factories import auth_header
from tests.lines import LineDriver


class World:
    """An application whose answers are checked, and which of them were given; its line moves when told to."""

    def __init__(self, app: Flask, settings: Settings, engine: Engine) -> None:
        app.test_client_class = CheckedClient
        self.app, self.engine, self.client = app, engine, app.test_client()
        self.driver = LineDriver(settings, engine)
        self.seen: set[tuple[str, int]] = set()

    def ask(
        self, status: int, method: str, path: str, who: User | None = None, **options: Any
    ) -> TestResponse:
        """The answer, which has this status."""
        signed = {} if who is None else auth_header(self.app, who)
        headers = {**signed, **options.pop("headers", {})}
        answer = self.client.open(path, method=method, headers=headers, **options)
        assert answer.status_code == status, answer.text
        rule, _ = self.app.url_map.bind("").match(
            path.split("?", maxsplit=1)[0], method=method, return_rule=True
        )
        self.seen.add((rule.endpoint, status))
        return answer

    def changed(self, path: str, who: User | None = None) -> TestResponse:
        """What GET answers, asked twice: the second time it has not changed."""
        answer = self.ask(200, "GET", path, who)
        self.ask(304, "GET", path, who, headers={"If-None-Match": answer.headers["ETag"]})
        return answer

    def decided(self, status: int, method: str, path: str, who: User, **options: Any) -> TestResponse:
        """A request of the line, the 202 first, then the decision, for the same key."""
        headers = {"Idempotency-Key": f"{method} {path} {status}", "Prefer": "wait=0"}
        self.ask(202, method, path, who, headers=headers, **options)
        self.driver.decide_all()
        return self.ask(status, method, path, who, headers=headers, **options)
