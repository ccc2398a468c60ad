"""Where an event's line ends now: what a drain mark is made of."""

from dataclasses import dataclass
from datetime import datetime

from redis.exceptions import RedisError

from shared.clock import from_micros
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.line.client import LineUnavailableError, ScriptRunner, text_of
from shared.line.installation import Installation


@dataclass(frozen=True, slots=True)
class LineEnd:
    """The newest arrival given out for the event, 0 when Redis knows of none, and Redis' time of that look."""

    last_arrival: int
    read_at: datetime


def read_line_end(runner: ScriptRunner, installation: Installation, event_id: int) -> LineEnd:
    """The end of the event's line. One round trip, in one step: who is accepted after it has a later number and
    no earlier `accepted_at`. Raises LineUnavailableError, also when Redis belongs to another installation.
    """
    try:
        with runner.redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.INSTALLATION)
            pipe.hget(keys.arrivals(partition_of(event_id, installation.partitions)), str(event_id))
            pipe.time()
            mark, last_arrival, (seconds, micros) = pipe.execute()
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    if mark is None:
        raise LineUnavailableError("This Redis is empty: what waited in it is not known.")
    if text_of(mark) != installation.mark:
        raise LineUnavailableError("This Redis belongs to another installation.")
    return LineEnd(int(last_arrival or 0), from_micros(int(seconds) * 1_000_000 + int(micros)))
