"""The admin's view of an installation's health: both servers, the workers, this machine, the last minutes."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.db import SCHEMA_VERSION, find_schema_version
from shared.services.durability import POSTGRES_SETTINGS, REDIS_SETTINGS, postgres_problems, redis_problems

# What `cpu_percent` looks at; the request waits that long.
CPU_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class SettingFound:
    """A setting that the promises need: what the server has, and what it should have."""

    name: str
    found: str | None
    needed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresHealth:
    """PostgreSQL as this process sees it."""

    version: str
    latency_ms: float
    connections: int
    connections_max: int
    database_bytes: int
    schema_found: str | None
    schema_needed: str
    settings: Sequence[SettingFound]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisHealth:
    """Redis as this process sees it. `max_memory_bytes` is 0 without a limit."""

    version: str
    latency_ms: float
    used_memory_bytes: int
    max_memory_bytes: int
    aof_enabled: bool
    aof_last_write_ok: bool
    aof_rewrite_running: bool
    settings: Sequence[SettingFound]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHealth:
    """The machine that this process runs on. `load_average` is of one minute."""

    cores: int
    cpu_percent: float
    load_average: float
    memory_bytes: int
    memory_available_bytes: int
    process_memory_bytes: int
    disk_path: str
    disk_bytes: int
    disk_free_bytes: int
    process_started_at: datetime


def check_postgres(session: Session) -> PostgresHealth:
    """Four round trips, one of them timed."""
    started = time.perf_counter()
    row = session.execute(
        text(
            "select current_setting('server_version') as version, current_setting('max_connections')::int as allowed,"
            " (select sum(numbackends)::int from pg_stat_database) as connections,"
            " pg_database_size(current_database()) as size, current_setting('fsync') as fsync,"
            " current_setting('full_page_writes') as full_page_writes,"
            " current_setting('synchronous_commit') as synchronous_commit"
        )
    ).one()
    latency_ms = round((time.perf_counter() - started) * 1000, 3)
    return PostgresHealth(
        version=row.version,
        latency_ms=latency_ms,
        connections=row.connections,
        connections_max=row.allowed,
        database_bytes=row.size,
        schema_found=find_schema_version(session),
        schema_needed=SCHEMA_VERSION,
        settings=[SettingFound(name, getattr(row, name), "on") for name in POSTGRES_SETTINGS],
        problems=postgres_problems(session),
    )


def check_redis(redis: "Redis") -> RedisHealth | str:
    """Six round trips, one of them timed; the reason when it does not answer, or refuses what it is asked."""
    try:
        started = time.perf_counter()
        redis.ping()
        latency_ms = round((time.perf_counter() - started) * 1000, 3)
        info: Mapping[str, Any] = redis.info()
        problems = redis_problems(redis)
        return RedisHealth(
            version=str(info["redis_version"]),
            latency_ms=latency_ms,
            used_memory_bytes=int(info["used_memory"]),
            max_memory_bytes=int(info.get("maxmemory", 0)),
            aof_enabled=bool(info.get("aof_enabled")),
            aof_last_write_ok=info.get("aof_last_write_status", "ok") == "ok",
            aof_rewrite_running=bool(info.get("aof_rewrite_in_progress")),
            settings=_redis_settings(redis),
            problems=problems,
        )
    except (RedisError, OSError) as error:
        return f"Redis cannot be reached: {type(error).__name__}"


def _redis_settings(redis: "Redis") -> list[SettingFound]:
    """What the durable settings are; unknown to a Redis that does not let them be read."""
    try:
        found: dict[Any, Any] = {**redis.config_get("*append*"), **redis.config_get("maxmemory*")}
    except RedisError:
        found = {}
    settings = [SettingFound(name, found.get(name), needed) for name, needed in REDIS_SETTINGS.items()]
    return [*settings, SettingFound("maxmemory", found.get("maxmemory"), "above 0")]


def check_machine(folder: Path) -> MachineHealth:
    """This machine; `folder` says whose disk. No network, and CPU_LOOK_SECONDS of waiting."""
    import psutil  # noqa: PLC0415 - every API process would carry it, for the few who ask

    process = psutil.Process()
    memory = psutil.virtual_memory()
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    disk = psutil.disk_usage(str(existing))
    return MachineHealth(
        cores=os.cpu_count() or 1,
        cpu_percent=psutil.cpu_percent(interval=CPU_LOOK_SECONDS),
        load_average=round(os.getloadavg()[0], 2),
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        process_memory_bytes=process.memory_info().rss,
        disk_path=str(existing),
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        process_started_at=datetime.fromtimestamp(process.create_time(), UTC),
    )
