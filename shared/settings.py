"""The only reader of the environment: every tunable of every process, with its default."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from shared.secret_rules import (
    find_secret_weakness,
    find_shared,
    find_token_weakness,
    find_url_password_weakness,
    is_readable_url,
    url_password,
)

ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")

Environment = Literal["development", "production", "test"]
Durability = Literal["strict", "relaxed"]


class SettingsError(Exception):
    """The environment asks for something that Guichet refuses; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process's configuration. Seconds, counts and bytes as the names say."""

    env: Environment = "development"
    data_dir: Path = Path(".data")
    database_url: str = ""
    redis_url: str = ""
    secret_key: str = ""
    durability: Durability = "strict"
    base_url: str = ""  # public address for links; empty: links are relative
    trusted_proxy_hops: int = 0
    cors_origins: str = ""  # comma-separated; empty: no page of another origin may ask
    log_level: str = "INFO"

    # the line
    partitions: int = 8  # fixed at the first migration
    batch_max: int = 500  # what a batch costs once is little then; more would keep Redis busy for too long
    event_undecided_max: int = 100_000
    partition_undecided_max: int = 1_000_000
    user_undecided_max: int = 20
    sold_out_door: bool = True  # off only for benches that want everyone to stand in line
    booking_rate_per_second: float = 5.0
    booking_rate_burst: int = 20
    job_ttl_seconds: int = 3600
    jobs_kept_max: int = (
        20_000  # decided jobs kept in Redis, per partition: 1.7 KB each, 5 KB with Redis' defaults
    )
    idempotency_ttl_seconds: int = 86_400

    # what one client may ask for; booking requests have their own limit above
    general_rate_per_minute: int = 600
    login_rate_per_minute: int = 60  # per address: a school or an office may share one
    poll_rate_per_second: int = 20  # status and streams
    export_rate_per_hour: int = (
        30  # of one's own data, of an event's bookings: each reads everything there is
    )

    # reading
    read_cache_seconds: float = 0.5  # how old what everybody sees of events may be; 0: read anew each time

    # policies
    cancel_until_seconds: int = 86_400  # before the start
    offer_seconds: int = 3600  # how long an offer from the waitlist holds its tickets
    access_token_seconds: int = 900
    refresh_token_seconds: int = 30 * 86_400

    # what people are told
    offer_warning_seconds: int = 600  # before it expires; shorter offers have no warning
    notifications_kept_days: int = 90

    # the task worker
    audit_hour: int = 3  # in UTC: when all ledgers are checked

    # accounts
    hash_concurrency: int = 2  # argon2id is memory-hard on purpose; more at once is a denial of service
    hash_memory_kib: int = 19_456  # OWASP's minimum for argon2id with t=2, p=1
    hash_time_cost: int = 2
    login_failures_max: int = 10  # per account and address, within the window
    login_window_seconds: int = 900

    # processes
    port: int = 8000
    web_processes: int = 2
    access_log: bool = True  # one line a request
    metrics_dir: str = ""  # where processes leave their figures for /metrics; empty: see metrics_folder
    console_writable: bool = False  # whether /rq may change background tasks
    metrics_token: str = ""  # what a scraper shows; empty: only private addresses may scrape
    database_pool_size: int = 8  # per API process
    redis_timeout_seconds: float = 1.0  # how long an API process waits for an answer of Redis

    @property
    def is_production(self) -> bool:
        """True when weak secrets and demo data are refused."""
        return self.env == "production"

    @property
    def metrics_folder(self) -> Path:
        """Where this machine's processes leave their figures for each other's `/metrics`."""
        return Path(self.metrics_dir) if self.metrics_dir else self.data_dir / "metrics"


# Variables that other platforms already name; everything else is GUICHET_<FIELD>.
_VARIABLES = {
    "database_url": "DATABASE_URL",
    "redis_url": "REDIS_URL",
    "port": "PORT",
    "data_dir": "GUICHET_DATA",
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "env": ("development", "production", "test"),
    "durability": ("strict", "relaxed"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
}
# Servers: the schemes that their clients know, and what an address looks like.
_SERVERS = {
    "database_url": (
        ("postgres", "postgresql", "postgresql+psycopg2"),
        "postgresql://user:password@host:5432/database",
    ),
    "redis_url": (("redis", "rediss", "unix"), "redis://user:password@host:6379/0"),
}
# What other programs' debuggers are switched on with; Flask's would show what it knows to whoever breaks a page.
_DEBUG_SWITCHES = ("FLASK_DEBUG",)
_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_MAY_BE_ZERO = frozenset(
    {"trusted_proxy_hops", "cancel_until_seconds", "port", "audit_hour", "read_cache_seconds"}
)
# What is shown of an event is never behind by more than a second: a promise.
_AT_MOST = {"audit_hour": 23, "read_cache_seconds": 1, "redis_timeout_seconds": 30}


def variable_name(field_name: str) -> str:
    """Name of the environment variable that sets `field_name`."""
    return _VARIABLES.get(field_name, f"GUICHET_{field_name.upper()}")


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`; empty variables count as absent.

    Raises SettingsError naming the variable, and showing no secret, when a value has the wrong form or a name is
    nearly one of ours; in production also when a secret is missing, weak, documented or used twice, and when a
    debugger is switched on.
    """
    _refuse_misspelled(environ)
    values: dict[str, Any] = {}
    for field in fields(Settings):
        raw = environ.get(variable_name(field.name), "")
        if raw:
            values[field.name] = _parse(field.name, raw, field.default)
    settings = Settings(**values)
    if settings.is_production:
        _refuse_weak_secrets(settings)
        _refuse_any_origin(settings.cors_origins)
        _refuse_debugging(environ)
    return settings


def _refuse_misspelled(environ: Mapping[str, str]) -> None:
    """A production that was misspelled would be a development without a word."""
    known = {variable_name(field.name) for field in fields(Settings)}
    for name in sorted(environ):
        if name in known or not name.upper().startswith("GUICHET"):
            continue
        near = get_close_matches(name.upper(), known, n=1, cutoff=0.9)
        if environ[name].strip().lower() in ("production", "prod"):
            near = [variable_name("env")]
        if near:
            raise SettingsError(f"{name} is no setting; did you mean {near[0]}?")


def _parse(field_name: str, raw: str, default: object) -> object:
    variable = variable_name(field_name)
    if field_name in _CHOICES:
        if raw not in _CHOICES[field_name]:
            raise SettingsError(f"{variable}={raw!r}: expected one of {', '.join(_CHOICES[field_name])}")
        return raw
    if field_name == "cors_origins":
        return _origins(raw)
    if field_name in _SERVERS:
        return _server_url(field_name, raw)
    if field_name == "base_url":
        return raw.rstrip("/")
    if isinstance(default, Path):
        return Path(raw)
    if isinstance(default, bool):
        if raw.lower() not in _BOOLEANS:
            raise SettingsError(f"{variable}={raw!r}: expected one of {', '.join(_BOOLEANS)}")
        return _BOOLEANS[raw.lower()]
    if isinstance(default, int | float):
        return _number(field_name, raw, type(default))
    return raw


def _number(field_name: str, raw: str, kind: type[int] | type[float]) -> int | float:
    variable = variable_name(field_name)
    try:
        value = kind(raw)
    except ValueError:
        raise SettingsError(f"{variable}={raw!r}: expected a number") from None
    if value < 0 or (value == 0 and field_name not in _MAY_BE_ZERO):
        raise SettingsError(
            f"{variable}={raw!r}: must be {'0 or more' if field_name in _MAY_BE_ZERO else 'above 0'}"
        )
    if value > _AT_MOST.get(field_name, value):
        raise SettingsError(f"{variable}={raw!r}: must be at most {_AT_MOST[field_name]}")
    return value


def _server_url(field_name: str, raw: str) -> str:
    """The address as clients want it: hosting platforms hand out `postgres://`, which SQLAlchemy no longer knows."""
    schemes, example = _SERVERS[field_name]
    if not is_readable_url(raw, schemes):
        raise SettingsError(
            f"{variable_name(field_name)} cannot be read (it is not shown here); expected {example}, with the"
            " signs in the password percent-encoded: %40 for @, %2F for /"
        )
    return (
        re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", raw) if field_name == "database_url" else raw
    )


def _origins(raw: str) -> str:
    """Origins as browsers send them: scheme, host, port if it is not the usual one, and no path."""
    origins = [origin.strip() for origin in raw.split(",")]
    for origin in origins:
        if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"{variable_name('cors_origins')}: {origin!r} is no origin; expected https://host or https://host:port"
            )
    return ",".join(origins)


def _refuse_any_origin(origins: str) -> None:
    if ANY_ORIGIN in origins.split(","):
        raise SettingsError(f"{variable_name('cors_origins')}: production needs the origins by name, not *")


def _refuse_debugging(environ: Mapping[str, str]) -> None:
    for name in _DEBUG_SWITCHES:
        if environ.get(name, "").lower() not in ("", "0", "false", "no"):
            raise SettingsError(f"{name} is set: production runs without a debugger; remove it")


def _refuse_weak_secrets(settings: Settings) -> None:
    """Says what to do, and never what the secret is."""
    found = {"secret_key": find_secret_weakness(settings.secret_key)}
    if settings.metrics_token:
        found["metrics_token"] = find_token_weakness(settings.metrics_token)
    for name in _SERVERS:
        found[name] = find_url_password_weakness(getattr(settings, name))
    for name, weakness in found.items():
        if weakness:
            raise SettingsError(f"{variable_name(name)}: {weakness}; make a new one: openssl rand -base64 48")
    held = {name: getattr(settings, name) for name in ("secret_key", "metrics_token")}
    held |= {name: url_password(getattr(settings, name)) for name in _SERVERS}
    if twice := find_shared(held):
        first, second = (variable_name(name) for name in twice)
        raise SettingsError(f"{first} and {second} hold the same secret; give each its own")
