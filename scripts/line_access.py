"""The line for commands: the same services that HTTP calls, on the servers that the environment names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click
from redis import Redis
from redis.exceptions import RedisError

from shared.db import DATABASE_AWAY, Engine, make_engine
from shared.errors import GuichetError, InvalidInputError
from shared.line.client import ScriptRunner, make_redis
from shared.line.installation import Installation
from shared.services.line_gate import LineGate
from shared.services.line_stats import line_stats_document, read_line_stats
from shared.settings import Settings

# What an outage of either server looks like to a command.
AWAY: Final = (*DATABASE_AWAY, RedisError, OSError)


@dataclass(frozen=True, slots=True)
class LineAccess:
    """One command's way to the line."""

    settings: Settings
    engine: Engine
    redis: "Redis"
    runner: ScriptRunner
    gate: LineGate

    @property
    def installation(self) -> Installation:
        """The installation, once both servers were found fit; raises UnavailableError naming what is not."""
        return self.gate.installation()

    def stats(self) -> dict[str, Any]:
        """The document of `/api/admin/queue/stats`."""
        stats = read_line_stats(self.engine, self.gate, self.redis, partitions=self.settings.partitions)
        return line_stats_document(stats)


@contextmanager
def open_line(settings: Settings) -> Iterator[LineAccess]:
    """The line, closed with the block. Connects to nothing before it is asked something."""
    engine = make_engine(settings.database_url, pool_size=2)
    redis = make_redis(settings.redis_url, max_connections=4)
    runner = ScriptRunner(redis)
    try:
        gate = LineGate(settings, engine, redis, claims_empty_redis=False)
        yield LineAccess(settings, engine, redis, runner, gate)
    finally:
        runner.close()
        redis.close()
        engine.dispose()


@contextmanager
def plain_errors() -> Iterator[None]:
    """A refusal, or a server that is away, ends the command with one line and exit code 1, not with a traceback."""
    try:
        yield
    except InvalidInputError as error:
        said = "; ".join(f"{entry['pointer'].lstrip('#/?')}: {entry['detail']}" for entry in error.errors)
        raise click.ClickException(said) from error
    except GuichetError as error:
        raise click.ClickException(f"{error.code}: {error.detail}" if error.detail else error.code) from error
    except AWAY as error:
        said = str(error).split("\n", 1)[0]
        raise click.ClickException(f"a server does not answer: {type(error).__name__}: {said}") from error
