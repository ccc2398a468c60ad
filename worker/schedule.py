"""What is due again and again. Each entry is safe to run twice; one runner at a time does it."""

import logging
import threading
import uuid
from collections.abc import Sequence
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import UnavailableError
from shared.line import keys
from shared.logs import run_id_var
from shared.services.line import LineClient
from shared.services.outbox import Handler
from shared.settings import Settings
from worker.entries import ENTRIES, Entry, Means

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5

# Whoever is first has the turn, until the interval is over. A key that would live longer than the interval is from
# before Redis' clock was set back: it would hold the entry up until the clock has come there again.
_TAKE_TURN: Final = """
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Schedule:
    """Runs short entries itself and puts long ones into the task queue."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        line: LineClient,
        redis: "Redis",
        *,
        handlers: Sequence[Handler],
    ) -> None:
        self.means = Means(settings, engine, line, redis, handlers)
        self._redis = redis
        self._stop = threading.Event()
        self.entries = ENTRIES

    def run_forever(self) -> None:
        """Until `stop`; an outage of either server costs a turn, nothing else."""
        while not self._stop.wait(TICK_SECONDS):
            self.run_once()

    def stop(self) -> None:
        """Ends `run_forever` after the current entry."""
        self._stop.set()

    def run_once(self) -> list[str]:
        """Runs what is due and not being run by another task worker; returns the names."""
        ran = []
        for entry in self.entries:
            run_id = uuid.uuid4().hex
            run_id_var.set(run_id)  # every line that the entry logs carries it
            try:
                if self._claim(entry, run_id):
                    log.debug("schedule", extra={"entry": entry.name})
                    entry.run(self.means)
                    ran.append(entry.name)
            except (SQLAlchemyError, RedisError, OSError, UnavailableError) as error:
                log.warning(
                    "schedule", extra={"entry": entry.name, "error": f"{type(error).__name__}: {error}"}
                )
            except Exception:
                log.exception("schedule entry failed", extra={"entry": entry.name})
            finally:
                run_id_var.set(None)
        return ran

    def _claim(self, entry: Entry, run_id: str) -> bool:
        """Whether this process runs the entry's next turn."""
        milliseconds = int(entry.seconds * 1000)
        return bool(self._redis.eval(_TAKE_TURN, 1, keys.schedule_turn(entry.name), run_id, milliseconds))
