"""People who stand in line: put there through the accept script, decided when the test says so."""

import uuid
from collections.abc import Sequence
from typing import Any

from redis import Redis
from sqlalchemy import Engine

from shared.line import accept, keys
from shared.line import take as line_take
from shared.line.accept import Accepted
from shared.models import Event
from shared.settings import Settings
from tests.accepting import book
from tests.factories import make_users
from tests.lines import LineDriver


class StandingLine:
    """A line with a driver instead of a worker."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.driver = LineDriver(settings, engine)
        self.redis: Redis = self.driver.redis

    def partition_of(self, event: Event) -> int:
        """Where the event's requests stand."""
        return event.id % self.settings.partitions

    def stand(self, event: Event, count: int = 1, **fields: Any) -> list[str]:
        """So many new people ask for a ticket; their job ids in order of arrival."""
        return self.stand_as(event, [user.id for user in make_users(self.engine, count)], **fields)

    def stand_as(self, event: Event, user_ids: Sequence[int], **fields: Any) -> list[str]:
        """These people do."""
        ids = []
        for user_id in user_ids:
            request = book(event.id, user_id, **fields)
            runner, installation = self.driver.runner, self.driver.installation
            answer = accept.send(runner, self.settings, installation, request, accept.Door())
            assert isinstance(answer, Accepted), answer
            ids.append(str(request.job_id))
        return ids

    def take(self, event: Event, *, maximum: int = 250, instance: str = "driver:1") -> None:
        """Takes without deciding: what is in flight, or the head of the line."""
        self.driver.claim()
        claim = self.driver.session.held[self.partition_of(event)]
        assert claim is not None
        line_take.take(self.driver.runner, claim, maximum=maximum, worker_name="driver", instance=instance)

    def decide_all(self) -> int:
        """Everything that waits."""
        return self.driver.decide_all()

    def fail(self, job_id: str) -> None:
        """The next decision of this job is quarantine."""
        self.driver.batches._quarantine.add(uuid.UUID(job_id))

    def known(self, job_id: str) -> bool:
        """Whether Redis has its hash."""
        return bool(self.redis.exists(keys.job(job_id)))

    def close(self) -> None:
        """Lets go."""
        self.driver.close()
