"""An API process that answers one HTTP request and kills itself at a chosen call. Run by tests; every line on stdin is
a life.
"""

import faulthandler
import json
import os
from dataclasses import replace
from typing import Any, NoReturn

from flask import Flask

from api.app import create_app
from shared.line import accept, keys
from shared.line.accept import NewRequest
from shared.settings import load_settings
from tests.crash.mortality import BEFORE, Death, count_calls, serve
from tests.lines import await_that

LIFE_SECONDS = 30.0


def remember_before_accepting() -> None:
    """The wrong order: the Idempotency-Key stands for a job that may never be."""
    send = accept.send

    def send_in_pieces(runner: Any, settings: Any, installation: Any, request: NewRequest, door: Any) -> Any:
        key = keys.idempotency(request.user_id or 0, request.key_hash)
        runner.redis.set(key, accept.idempotency_record(request), nx=True)
        return send(runner, settings, installation, replace(request, key_hash="", fingerprint=""), door)

    accept.send = send_in_pieces


def live(app: Flask, order: dict[str, Any]) -> NoReturn:
    """One life: until the request is answered, or the chosen call. What a process does before its first request, and
    beside all of them, does not count.
    """
    faulthandler.dump_traceback_later(LIFE_SECONDS, exit=True)
    death = Death(at=order["at"], when=order.get("when", BEFORE))
    count_calls(death)
    if order.get("in_pieces"):
        remember_before_accepting()
    container = app.extensions["guichet"]
    await_that(lambda: not container.gate.check().problems, what="servers that answer")
    container.snapshots.find(order["event_id"])
    client = app.test_client()
    client.get("/api/events/slots")  # the pool's first connection
    death.arm(beside="status-reader")
    answer = client.open(
        order["url"], method=order["method"], headers=order["headers"], json=order.get("body", {})
    )
    death.disarm()
    report = {"status": answer.status_code, "body": answer.json, "headers": dict(answer.headers)}
    os.write(1, json.dumps({"answer": report}).encode() + b"\n")
    os._exit(0)


def main() -> None:
    """Builds the application, which connects to nothing yet, and forks a life for every order."""
    app = create_app(load_settings(os.environ))
    serve(lambda order: live(app, order))


if __name__ == "__main__":
    main()
