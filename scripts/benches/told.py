"""When each decision was told, heard where the API's processes hear it.

A ledger row's `decided_at` is when its batch began; what a client feels is when the batch was committed and told.
"""

import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

from scripts.benches.processes import BenchError
from shared.line import keys
from shared.line.client import make_redis
from shared.line.messages import read_message

_SILENCE_SECONDS: Final = 0.1
_START_SECONDS: Final = 30.0


class Told:
    """A process of its own that listens until the block ends. Then `instants` has job id → wall clock of this machine,
    which is Redis' and PostgreSQL's too.
    """

    def __init__(self, redis_url: str) -> None:
        self.instants: dict[str, float] = {}
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_listen, args=(redis_url, theirs), daemon=True)

    def __enter__(self) -> "Told":
        self._process.start()
        if not self._pipe.poll(_START_SECONDS):
            self._process.kill()
            raise BenchError("nobody listens to decisions")
        self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self._process.kill()
        else:
            self._pipe.send(None)
            for instant, message in self._pipe.recv():
                for job_id in read_message(message):  # told again after a takeover: the first time counts
                    self.instants.setdefault(job_id.decode(), instant)
        self._process.join()


def _listen(redis_url: str, pipe: Connection) -> None:
    redis = make_redis(redis_url, max_connections=2)
    heard: list[tuple[float, bytes]] = []
    with redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.DECIDED_CHANNEL)
        channel.get_message(timeout=_START_SECONDS)  # that we are subscribed
        pipe.send(None)
        is_over = False
        # What was told before we are asked to end is still in the socket.
        while (message := channel.get_message(timeout=0 if is_over else _SILENCE_SECONDS)) or not is_over:
            if message is not None:
                heard.append((time.time(), message["data"]))
            is_over = is_over or pipe.poll()
    redis.close()
    pipe.recv()
    pipe.send(heard)
