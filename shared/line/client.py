"""The line's own Redis client: one connection pool a process, scripts by hash, errors told apart.

redis-py 8 sends a command again by default, also after a time-out; one lost reply then puts a job in the line
twice. So retries are off here, and the callers that repeat a script know that it is safe to send twice.
"""

import contextlib
import hashlib
import re
import socket
import time
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import hiredis
from redis import BlockingConnectionPool, Redis
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from shared.errors import UnavailableError
from shared.line.connections import ConnectionStack, NoConnectionError
from shared.metrics.families import REDIS_OPERATIONS

# Below the claim session's idle time-out (3 s): a hung Redis must not cost a worker its claim.
SOCKET_TIMEOUT_SECONDS: Final = 2.5
CONNECT_TIMEOUT_SECONDS: Final = 1.0
# Every connection keeps a buffer of this size, redis-py's own is four times as large; a batch of 500 is read in ten
# pieces instead of three.
_READ_BYTES: Final = 16_384
# What a conversation may have on its way; the reply of 500 bookings has 280 KB.
_SEND_BYTES: Final = 2 * 1024 * 1024

Argument = str | bytes | int | float
Run = tuple[Sequence[str], Sequence[Argument]]  # keys and arguments of a script


class LineUnavailableError(UnavailableError):
    """Redis did not run the command: it refused it, or could not be reached before anything was sent."""

    def __init__(self, detail: str) -> None:
        super().__init__("line_unavailable", detail)


class OutcomeUnknownError(UnavailableError):
    """A change was sent and no answer came: it may have been made, or may still be."""

    def __init__(self) -> None:
        super().__init__("outcome_unknown", "The change was sent to Redis, which did not answer.")


class AnswerUnknownError(Exception):
    """The command was sent and no answer came: it may have run."""


# What Redis answers when it refuses a command before running it; 6.2 wraps what a script met (`… 79: -OOM …`).
_REFUSED: Final = re.compile(
    r"(?:^|[\s-])(OOM|LOADING|READONLY|MISCONF|BUSY|MASTERDOWN|NOREPLICAS|NOAUTH|WRONGPASS|NOPERM)\s"
)


# Their time is somebody's patience, not Redis' work.
_BLOCKING: Final = frozenset({"BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "XREAD"})


class MeasuredPipeline(Pipeline):
    """A pipeline whose round trip is timed as a whole."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """As redis-py's."""
        started = time.perf_counter()
        try:
            return super().execute(*args, **kwargs)
        finally:
            REDIS_OPERATIONS.observe(("pipeline",), time.perf_counter() - started)


class MeasuredRedis(Redis):
    """A client whose commands are timed by their name, which is always our code's or RQ's."""

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """As redis-py's."""
        name = str(args[0])
        if name in _BLOCKING:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        started = time.perf_counter()
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            labels = (name.partition(" ")[0].lower(),)
            REDIS_OPERATIONS.observe(labels, time.perf_counter() - started)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> MeasuredPipeline:  # noqa: ANN401, FBT001, FBT002
        """As redis-py's."""
        return MeasuredPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def make_redis(
    url: str, *, max_connections: int = 64, socket_timeout: float = SOCKET_TIMEOUT_SECONDS
) -> "Redis":
    """A client that never repeats a command, waits for a free connection instead of failing, and times out."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=socket_timeout,
        socket_timeout=socket_timeout,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        protocol=2,
        socket_read_size=_READ_BYTES,
    )
    return MeasuredRedis(connection_pool=pool)


def text_of(value: bytes | str) -> str:
    """A reply as text: our clients get bytes, redis-py's types say that others may not."""
    return value if isinstance(value, str) else value.decode()


@cache
def _script(name: str) -> tuple[str, str]:
    source = resources.files("shared.line").joinpath("scripts", f"{name}.lua").read_text()
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class ScriptRunner:
    """Runs the line's Lua scripts on a Redis client, one round trip each."""

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis
        self._connections = ConnectionStack(redis)

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - a reply
        """The answer of script `name`; sends its source when Redis does not know it yet.

        Raises LineUnavailableError when Redis did not run it, AnswerUnknownError when that cannot be known.
        """
        return self._run(name, keys, arguments)

    # What `run` does here, also for those who run together, whatever a subclass makes of `run`.
    def _run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - a reply
        source, digest = _script(name)
        started = time.perf_counter()
        try:
            return self._execute("EVALSHA", digest, len(keys), *keys, *arguments)
        except redis_errors.NoScriptError:
            return self._execute("EVAL", source, len(keys), *keys, *arguments)
        finally:
            REDIS_OPERATIONS.observe((name,), time.perf_counter() - started)

    def run_together(self, name: str, runs: Sequence[Run]) -> list[Any]:
        """What `run` gives or raises (as a value) for each of these runs of script `name`: one trip for all of them.

        A trip that breaks is AnswerUnknownError for whoever's answer was not read.
        """
        if len(runs) == 1:
            return [self._run_or_error(name, *runs[0])]
        try:
            connection = self._connections.acquire()
        except NoConnectionError as error:
            return [LineUnavailableError(f"{error}.".capitalize()) for _ in runs]
        started = time.perf_counter()
        replies: list[Any] = []
        digest = _script(name)[1]
        try:
            _send(
                connection, *(("EVALSHA", digest, len(keys), *keys, *arguments) for keys, arguments in runs)
            )
            for _ in runs:  # what was read before it broke counts
                replies.append(_read(connection))  # noqa: PERF401
        except (redis_errors.RedisError, OSError) as error:
            self._connections.discard(connection)
            if isinstance(error, redis_errors.BusyLoadingError):
                replies.append(LineUnavailableError("Redis is loading its data."))
            replies += [AnswerUnknownError() for _ in runs[len(replies) :]]
        except BaseException:
            self._connections.discard(connection)  # a half-read answer must never be somebody else's
            raise
        else:
            self._connections.release(connection)
        finally:
            REDIS_OPERATIONS.observe((name,), time.perf_counter() - started)
        return [
            self._run_or_error(name, *run) if isinstance(reply, redis_errors.NoScriptError) else reply
            for run, reply in zip(runs, replies, strict=True)
        ]

    def _run_or_error(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - a reply
        try:
            return self._run(name, keys, arguments)
        except (redis_errors.RedisError, UnavailableError, AnswerUnknownError) as error:
            return error

    def converse(self) -> "Conversation":
        """A connection on which scripts are sent before the answers to those before them are read."""
        return Conversation(self._connections)

    def close(self) -> None:
        """Closes the idle connections."""
        self._connections.close()

    def _execute(self, *command: Argument) -> Any:  # noqa: ANN401 - a reply
        try:
            connection = self._connections.acquire()
        except NoConnectionError as error:
            raise LineUnavailableError(f"{error}.".capitalize()) from error
        try:
            _send(connection, command)
            answer = connection.read_response()
        except redis_errors.ResponseError as error:  # an answer like any other: read to its end
            self._connections.release(connection)
            if isinstance(error, redis_errors.NoScriptError):
                raise
            raise _refusal(error) from error
        except redis_errors.BusyLoadingError as error:
            self._connections.discard(connection)
            raise LineUnavailableError("Redis is loading its data.") from error
        except (redis_errors.RedisError, OSError) as error:
            self._connections.discard(connection)
            raise AnswerUnknownError from error
        except BaseException:
            self._connections.discard(connection)  # a half-read answer must never be somebody else's
            raise
        self._connections.release(connection)
        return answer


class Conversation:
    """Scripts that Redis runs in the order sent, while who sent them does something else; their answers are read in
    that order. Only scripts that Redis knows: their source is not sent.
    """

    def __init__(self, connections: ConnectionStack) -> None:
        self._connections = connections
        self._connection: Any = None
        self._due = 0  # answers that were not read

    def send(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        """Sends script `name` and waits for nothing. Raises LineUnavailableError when nothing was sent, and
        AnswerUnknownError.
        """
        if self._connection is None:
            try:
                self._connection = self._connections.acquire()
            except NoConnectionError as error:
                raise LineUnavailableError(f"{error}.".capitalize()) from error
            _make_room(self._connection)
        started = time.perf_counter()
        try:
            _send(self._connection, ("EVALSHA", _script(name)[1], len(keys), *keys, *arguments))
        except (redis_errors.RedisError, OSError) as error:
            self._break()
            raise AnswerUnknownError from error
        except BaseException:
            self._break()
            raise
        finally:
            REDIS_OPERATIONS.observe((name,), time.perf_counter() - started)
        self._due += 1

    def read(self) -> Any:  # noqa: ANN401 - a reply
        """The answer to the oldest script that has not been read. Raises as `ScriptRunner.run` does, and
        NoScriptError.
        """
        self._due -= 1
        try:
            return self._connection.read_response()
        except redis_errors.NoScriptError:
            raise
        except redis_errors.ResponseError as error:
            raise _refusal(error) from error
        except (redis_errors.RedisError, OSError) as error:
            self._break()
            raise AnswerUnknownError from error
        except BaseException:
            self._break()
            raise

    def close(self) -> None:
        """Gives the connection back, when every answer could be read."""
        while self._connection is not None and self._due:
            with contextlib.suppress(redis_errors.RedisError, LineUnavailableError, AnswerUnknownError):
                self.read()
        if self._connection is not None:
            self._connections.release(self._connection)
            self._connection = None

    def _break(self) -> None:
        """The connection may be half read, or half written."""
        self._connections.discard(self._connection)
        self._connection = None
        self._due = 0


def _make_room(connection: Any) -> None:  # noqa: ANN401 - redis-py's connections have no common type
    """What is sent must not wait until Redis, busy with what was sent before, reads it: a UNIX socket holds 208 KB."""
    channel = getattr(connection, "_sock", None)
    if channel is not None and channel.family == socket.AF_UNIX:  # TCP makes room by itself
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)


def _send(connection: Any, *commands: tuple[Argument, ...]) -> None:  # noqa: ANN401 - redis-py's
    """Sends commands in one piece. Packed by hiredis itself: redis-py would look at each argument first, which costs
    as much again.
    """
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type] # its stub: one argument
    connection.send_packed_command([b"".join(packed)])


def _read(connection: Any) -> Any:  # noqa: ANN401 - a reply
    """The next answer, or the error that it is."""
    try:
        return connection.read_response()
    except redis_errors.NoScriptError as error:
        return error
    except redis_errors.ResponseError as error:
        return _refusal(error)


def _refusal(error: redis_errors.ResponseError) -> Exception:
    """A refusal that passes by itself becomes LineUnavailableError; a mistake of ours stays what it is."""
    found = _REFUSED.search(f"{error} ")
    if found is not None or isinstance(error, redis_errors.OutOfMemoryError | redis_errors.ReadOnlyError):
        return LineUnavailableError(f"Redis refuses writes: {found[1] if found else type(error).__name__}")
    return error
