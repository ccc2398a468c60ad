"""Fills a line fast: the accept script itself, sent in pipelines by a few processes."""

import hashlib
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context
from typing import Any, Final

from redis import Redis

from scripts.benches.processes import BenchError
from shared.db import make_engine
from shared.domain.requests import BOOK
from shared.ids import uuid7
from shared.line import accept
from shared.line.accept import NewRequest
from shared.line.client import Argument, ScriptRunner, make_redis
from shared.line.doors import OPEN_DOOR
from shared.services.line_gate import LineGate
from shared.settings import Settings

_PROCESSES: Final = 2
_PIPELINE: Final = 200
# Below, starting them, two seconds of CPU each, takes longer than what they save: Redis is busier than who fills it.
_WORTH_PROCESSES: Final = 100_000


class _PipelineRunner(ScriptRunner):
    """Collects calls of the accept script and sends them together."""

    def __init__(self, redis: "Redis") -> None:
        super().__init__(redis)
        source = resources.files("shared.line").joinpath("scripts", "accept.lua").read_text()
        self._digest = redis.script_load(source)
        self._pipe = redis.pipeline(transaction=False)

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401, ARG002
        """Answers as if the request were known: what Redis said is looked at when the pipeline is sent."""
        self._pipe.execute_command("EVALSHA", self._digest, len(keys), *keys, *arguments)
        if len(self._pipe) >= _PIPELINE:
            self.flush()
        return [b"replay", str(arguments[2]).encode()]

    def flush(self) -> None:
        """Sends what was collected; raises BenchError unless everything was accepted."""
        for reply in self._pipe.execute():
            if reply[0] != b"accepted":
                raise BenchError(f"the line answered {reply}")


def fill(settings: Settings, event_id: int, user_ids: Sequence[int], *, processes: int | None = None) -> None:
    """Puts a booking of one ticket, under an Idempotency-Key of its own, into the line for each user id.

    By so many processes, or as many as are worth their start.
    """
    if processes is None:
        processes = _PROCESSES if len(user_ids) >= _WORTH_PROCESSES else 1
    if processes == 1:
        fill_here(settings, event_id, user_ids)
        return
    shares = [user_ids[start::processes] for start in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(fill_here, settings, event_id, share) for share in shares]:
            done.result()


def fill_here(settings: Settings, event_id: int, user_ids: Sequence[int]) -> None:
    """The same in this process."""
    engine = make_engine(settings.database_url, pool_size=1)
    redis = make_redis(settings.redis_url, max_connections=2)
    try:
        installation = LineGate(settings, engine, redis).installation()
        runner = _PipelineRunner(redis)
        for user_id in user_ids:
            accept.send(runner, settings, installation, _request(event_id, user_id), OPEN_DOOR)
        runner.flush()
    finally:
        redis.close()
        engine.dispose()


def _request(event_id: int, user_id: int) -> NewRequest:
    job_id = uuid7()
    key = hashlib.sha256(job_id.bytes).hexdigest()
    return NewRequest(
        job_id=job_id,
        kind=BOOK,
        event_id=event_id,
        user_id=user_id,
        subjects=(f"family:{uuid.UUID(int=user_id)}", f"user:{user_id}"),
        tickets=1,
        request_id=job_id.hex,  # as the API makes it
        key_hash=key,
        fingerprint=key,
    )
