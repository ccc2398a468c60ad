"""What an admin does to a line that is under load and under attack, over HTTP: nothing of it may break a promise."""

import random
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from scripts.load.client import Answer, Connection, TransportError, parse_target
from scripts.trials.history import Fault
from scripts.trials.programme import Programme
from shared.clock import rfc3339, utc_now

CAPACITIES: Final = (200, 5_000)  # fewest and most tickets of an event: some sell out at once, some never
_TIMEOUT_SECONDS: Final = 15.0
_RESUME_SECONDS_MAX: Final = 90.0  # the longest outage and then some: a line left paused would end no trial
_REASON: Final = "a trial of the whole installation"


class Operator:
    """An admin with a connection of their own. Not for two threads at once."""

    def __init__(self, base_url: str, token: str, programme: Programme) -> None:
        self._connection = Connection(parse_target(base_url), timeout_seconds=_TIMEOUT_SECONDS)
        self._token, self._programme = token, programme

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def pause(self, chance: random.Random) -> Fault:
        """Pauses the line for a moment; half of the pauses end by themselves."""
        seconds = chance.uniform(0.3, 4.0)
        body: dict[str, Any] = {"reason": _REASON}
        by_itself = chance.random() < 0.5
        if by_itself:
            body["resume_at"] = rfc3339(utc_now() + timedelta(seconds=seconds))
        began = time.monotonic()
        said = self._call("POST", "/api/admin/queue/pause", body)
        time.sleep(seconds)
        # Also after an unknown answer: a line that stays paused is what was asked for, not a fault of the system.
        resumed = "by itself" if by_itself else self.resume()
        return _fault("operator: pause", "line", began, f"{said}, {seconds:.1f} s, resumed {resumed}")

    def resume(self) -> str:
        """Resumes the line, however long it takes to be heard."""
        deadline = time.monotonic() + _RESUME_SECONDS_MAX
        while (said := self._call("POST", "/api/admin/queue/resume", {"reason": _REASON})) != "200":
            if time.monotonic() > deadline:
                return f"not: {said}"
            time.sleep(0.5)
        return said

    def clean(self, chance: random.Random) -> Fault:
        """Cleans finished or failed jobs out of Redis."""
        state, began = chance.choice(("finished", "failed")), time.monotonic()
        said = self._call("POST", "/api/admin/queue/clean", {"state": state, "limit": 10_000})
        return _fault("operator: clean", state, began, said)

    def drain(self, chance: random.Random) -> Fault:
        """Withdraws everything that waits for an event."""
        event_id, began = self._programme.choose(chance), time.monotonic()
        said = self._call("POST", "/api/admin/queue/drain", {"event_id": event_id, "reason": _REASON})
        return _fault("operator: drain", f"event {event_id}", began, said)

    def change_capacity(self, chance: random.Random) -> Fault:
        """More tickets or fewer; fewer than are committed must be refused."""
        event_id, began = self._programme.choose(chance), time.monotonic()
        capacity = chance.randint(*CAPACITIES)
        said = self._call("PATCH", f"/api/events/{event_id}", {"capacity": capacity})
        return _fault("operator: capacity", f"event {event_id}", began, f"{capacity}: {said}")

    def pause_sales(self, chance: random.Random) -> Fault:
        """Pauses an event's sales for a moment."""
        event_id, began = self._programme.choose(chance), time.monotonic()
        said = self._call("PATCH", f"/api/events/{event_id}", {"sales_paused": True})
        time.sleep(chance.uniform(0.2, 2.0))
        said += ", " + self._call("PATCH", f"/api/events/{event_id}", {"sales_paused": False})
        return _fault("operator: sales paused", f"event {event_id}", began, said)

    def call_off(self, chance: random.Random) -> Fault:
        """Calls an event off, with everything that waits for it, and puts another on sale."""
        event_id, began = self._programme.choose(chance), time.monotonic()
        fresh = self.make_event(chance)
        if fresh is None:
            return _fault("operator: call off", f"event {event_id}", began, "no other event could be made")
        said = self._call("PATCH", f"/api/events/{event_id}", {"status": "cancelled"})
        self._programme.replace(event_id, fresh)
        return _fault("operator: call off", f"event {event_id}", began, said)

    def make_event(self, chance: random.Random) -> int | None:
        """A free event on sale, in 30 days; None when the API could not."""
        starts_at = utc_now() + timedelta(days=30)
        body = {
            "title": "Trial",
            "starts_at": rfc3339(starts_at),
            "capacity": chance.randint(*CAPACITIES),
            "status": "scheduled",
        }
        answer = self._send("POST", "/api/events", body)
        if answer is None or answer.status != HTTPStatus.CREATED:
            return None
        return int(answer.json()["id"])

    def _call(self, method: str, path: str, body: object) -> str:
        """What was said: an HTTP status, with the problem's code if there is one."""
        answer = self._send(method, path, body)
        return "no answer" if answer is None else f"{answer.status} {answer.code}".strip()

    def _send(self, method: str, path: str, body: object) -> Answer | None:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid.uuid4())}
        try:
            return self._connection.request(method, path, headers=headers, document=body)
        except TransportError:
            return None


def operator_faults(operator: Operator) -> dict[str, Callable[[random.Random], Fault]]:
    """Kind → what the operator does."""
    return {
        "operator: pause": operator.pause,
        "operator: clean": operator.clean,
        "operator: drain": operator.drain,
        "operator: capacity": operator.change_capacity,
        "operator: sales paused": operator.pause_sales,
        "operator: call off": operator.call_off,
    }


def _fault(kind: str, target: str, began: float, note: str) -> Fault:
    return Fault(kind=kind, target=target, began_at=began, ended_at=time.monotonic(), note=note)
