"""A running gunicorn, and the load that a bench puts on it."""

import http.client
import secrets
import socket
from collections.abc import Sequence
from contextlib import closing

from scripts.benches import http_load
from scripts.benches.apart import run_apart
from scripts.benches.processes import BenchError, Process


class Web:
    """A running web server."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self.port = process, port

    @property
    def worker_pids(self) -> list[int]:
        """Gunicorn's workers, without their master."""
        return self.process.pids[1:]

    def booking(self, event_id: int, token: str, *, prefer: str = "") -> bytes:
        """A booking of one ticket under an Idempotency-Key of its own."""
        path = f"/api/bookings/{event_id}/book"
        key = secrets.token_hex(16)
        return http_load.post_request(
            self.port, path, token=token, key=key, body=b'{"tickets":1}', prefer=prefer
        )

    def poll(self, token: str) -> bytes:
        """A look at the status of a job that is not known yet: see `http_load.Plan.polls`."""
        path = f"/api/bookings/status/{http_load.JOB_PLACE.decode()}"
        return http_load.get_request(self.port, path, f"Authorization: Bearer {token}")

    def load(
        self,
        requests: Sequence[bytes],
        *,
        connections: int,
        pause_seconds: float = 0.0,
        due: Sequence[float] = (),
        polls: Sequence[bytes] = (),
        may_be_busy: bool = False,
    ) -> http_load.Outcome:
        """Sends the requests from a process of its own; raises BenchError when one was neither 2xx nor
        304.

        The arguments are those of `http_load.Plan`. `may_be_busy`: 503 is an answer, counted in the outcome.
        """
        plan = http_load.Plan(
            port=self.port,
            connections=connections,
            requests=requests,
            pause_seconds=pause_seconds,
            due=due,
            polls=polls,
        )
        outcome = run_apart(http_load.run, plan)
        if outcome.refusal or (outcome.busy and not may_be_busy):
            raise BenchError(f"answers {dict(outcome.statuses)}, one of them: {outcome.refusal!r}")
        return outcome

    def warm_up(self, event_id: int, tokens: list[str]) -> None:
        """A few requests, so that every process has its connections and its snapshot of the event."""
        self.load([self.booking(event_id, token) for token in tokens], connections=len(tokens))


def find_free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_answered(port: int) -> bool:
    """Whether a server on that port answers HTTP, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except OSError:
        return False
    else:
        return True
    finally:
        connection.close()
