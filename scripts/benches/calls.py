"""Single calls, one after the other on one connection, and how long each takes."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from scripts.benches.figures import median
from scripts.benches.installation import Installation
from scripts.benches.processes import BenchError
from shared.clock import utc_now
from shared.db import transaction
from shared.ids import uuid7
from shared.services.tokens import mint_access_token
from shared.services.users import create_user

_TOKEN_SECONDS: Final = 3600

Call = tuple[str, str, Any]  # method, path, what the body says


class Caller:
    """Somebody with a token, on one connection."""

    def __init__(self, port: int, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """The answer; raises BenchError when it is none of 2xx."""
        data = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, body=data, headers=self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= http.client.MULTIPLE_CHOICES:
            raise BenchError(f"{method} {path} answers {response.status}: {answer!r}")
        return orjson.loads(answer) if answer else None

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """What stands there."""
        return self.call("GET", path)

    def time_each(self, calls: Sequence[Call]) -> list[float]:
        """Milliseconds of each call."""
        taken = []
        for method, path, body in calls:
            started = time.perf_counter()
            self.call(method, path, body)
            taken.append((time.perf_counter() - started) * 1000)
        return taken

    def time_get(self, path: str) -> float:
        """Milliseconds of one look."""
        return self.time_each([("GET", path, None)])[0]

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def admin_of(installation: Installation, port: int) -> Caller:
    """A new admin."""
    with transaction(installation.engine) as session:
        user = create_user(session, name="Admin", email="admin@example.org", password_hash=None, role="admin")
    token = mint_access_token(
        installation.settings.secret_key,
        user_id=user.id,
        role="admin",
        family_id=uuid7(),
        now=utc_now(),
        lifetime_seconds=_TOKEN_SECONDS,
    )
    return Caller(port, token)


def take_turns(turns: int, warm_up: int, each: Sequence[Callable[[], float]]) -> list[float]:
    """The median of each, called in turns, after some that do not count."""
    return [median(values) for values in take_samples(turns, warm_up, each)]


def take_samples(turns: int, warm_up: int, each: Sequence[Callable[[], float]]) -> list[list[float]]:
    """The value of each in every turn, after some that do not count."""
    taken: list[list[float]] = [[] for _ in each]
    for turn in range(warm_up + turns):
        for values, time_once in zip(taken, each, strict=True):
            value = time_once()
            if turn >= warm_up:
                values.append(value)
    return taken
