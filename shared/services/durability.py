"""What the promises need of the servers: checked, never assumed."""

from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.orm import Session

REDIS_SETTINGS: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
POSTGRES_SETTINGS: Final = ("fsync", "full_page_writes", "synchronous_commit")
POSTGRES_VERSION_MIN: Final = 140_000
REDIS_VERSION_MIN: Final = (6, 2)


def redis_problems(redis: "Redis") -> list[str]:
    """Settings of this Redis that could lose an accepted request, each with what to set. Three round trips.

    A server that will not say counts as unsafe. Connection errors pass through.
    """
    try:
        # one pattern a call: Redis 6.2 takes no more
        found = {**redis.config_get("*append*"), **redis.config_get("maxmemory*")}
    except RedisError as error:
        if (
            "unknown command" in str(error)
            or "NOPERM" in str(error)
            or "no permissions" in str(error).lower()
        ):
            return ["Redis does not let its settings be read (CONFIG GET); allow it, or it cannot be trusted"]
        raise
    problems = [
        f"Redis has {name} = {found.get(name)!r}; set it to {wanted!r}"
        for name, wanted in REDIS_SETTINGS.items()
        if found.get(name) != wanted
    ]
    if found.get("maxmemory") in (None, "0"):
        problems.append(
            "Redis has no maxmemory; set it below the machine's memory, or the kernel may kill it"
        )
    version = str(redis.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < REDIS_VERSION_MIN:
        problems.append(f"Redis is version {version}; 6.2 or newer is needed")
    return problems


def postgres_problems(session: Session) -> list[str]:
    """Settings of this PostgreSQL that could lose a committed decision, each with what to set. One round trip."""
    row = session.execute(
        text(
            "select current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,"
            " current_setting('synchronous_commit') as synchronous_commit,"
            " current_setting('server_version_num')::int as version"
        )
    ).one()
    problems = [
        f"PostgreSQL has {name} = {getattr(row, name)!r}; set it to 'on'"
        for name in POSTGRES_SETTINGS
        # remote_write and remote_apply wait for the local flush too
        if getattr(row, name) not in ("on", "remote_write", "remote_apply")
    ]
    if row.version < POSTGRES_VERSION_MIN:
        problems.append(f"PostgreSQL is version {row.version // 10_000}; 14 or newer is needed")
    return problems
