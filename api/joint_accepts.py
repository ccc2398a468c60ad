"""The accept script, for all who book at the same time in one trip."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis import Redis

from api.joint_trips import JointTrips
from shared.line.client import AnswerUnknownError, Argument, Run, ScriptRunner

ACCEPT: Final = "accept"
# At a moderate load nobody waits for another's trip; at the limit sixteen of sixty-four are in each.
TRIPS_MAX: Final = 4


class JointRunner(ScriptRunner):
    """Runs scripts as any runner does, but those that accept together (docs/adr/0045-accepts-share-a-trip.md).

    Whoever waits for their trip longer than two silent ones take, hears that nothing was accepted.
    """

    def __init__(self, redis: "Redis", *, timeout_seconds: float) -> None:
        super().__init__(redis)
        self._accepts: JointTrips[Run, Any] = JointTrips(
            partial(self.run_together, ACCEPT),
            lost=AnswerUnknownError,
            trips_max=TRIPS_MAX,
            wait_seconds=2 * timeout_seconds,
        )

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - a reply
        """As every runner. Raises AnswerUnknownError, too, when the trip was ended with the greenlet that made it."""
        if name != ACCEPT:
            return super().run(name, keys, arguments)
        reply = self._accepts.ask((keys, arguments))
        if isinstance(reply, Exception):
            raise reply
        return reply
