"""What `/admin/health` answers."""

from typing import Any

from marshmallow import fields, validate

from api.fields import Instant, InstantText, about
from api.parsing import StrictSchema
from shared.clock import rfc3339
from shared.line.look import WorkerLook
from shared.services.admin_health import MachineHealth, PostgresHealth, RedisHealth, SettingFound
from shared.services.last_audit import AuditDone
from shared.services.outbox import Backlog
from shared.services.request_rates import RequestRates


def _integer(description: str, example: int) -> fields.Integer:
    return fields.Integer(required=True, strict=True, metadata=about(description, example))


def _number(description: str, example: float, *, allow_none: bool = False) -> fields.Float:
    return fields.Float(required=True, allow_none=allow_none, metadata=about(description, example))


def _text(description: str, example: str, *, allow_none: bool = False) -> fields.String:
    return fields.String(required=True, allow_none=allow_none, metadata=about(description, example))


def _problems(description: str) -> "fields.List[str]":
    return fields.List(fields.String(), required=True, metadata={"description": description, "example": []})


class SettingDocument(StrictSchema):
    """A server's setting that the promises need."""

    name = _text("Its name.", "appendfsync")
    found = _text("What the server says; null when it does not.", "always", allow_none=True)
    needed = _text("What it has to be.", "always")


class PostgresHealthDocument(StrictSchema):
    """PostgreSQL."""

    version = _text("Its version.", "18.4")
    latency_ms = _number("One statement there and back.", 0.4)
    connections = _integer("Clients connected to the server.", 12)
    connections_max = _integer("How many it allows.", 100)
    database_bytes = _integer("Size of the database.", 52_428_800)
    schema_found = _text("The migration it stands at.", "0002", allow_none=True)
    schema_needed = _text("The migration that this release needs.", "0002")
    settings = fields.List(
        fields.Nested(SettingDocument), required=True, metadata=about("What durability needs.")
    )
    problems = _problems("Settings that could lose what was promised.")


class RedisHealthDocument(StrictSchema):
    """Redis."""

    version = _text("Its version.", "7.4.0")
    latency_ms = _number("One PING there and back.", 0.2)
    used_memory_bytes = _integer("What it uses.", 31_457_280)
    max_memory_bytes = _integer("Where it begins to refuse; 0 without a limit.", 1_073_741_824)
    aof_enabled = fields.Boolean(required=True, metadata=about("Whether the append-only file is on.", True))
    aof_last_write_ok = fields.Boolean(
        required=True, metadata=about("Whether its last write reached the disk.", True)
    )
    aof_rewrite_running = fields.Boolean(
        required=True, metadata=about("Whether the file is being rewritten now.", False)
    )
    settings = fields.List(
        fields.Nested(SettingDocument), required=True, metadata=about("What durability needs.")
    )
    problems = _problems("Settings that could lose what was promised.")


class OutboxHealthDocument(StrictSchema):
    """What happened and is still to be told on: notifications and figures come from it."""

    waiting = _integer("Messages that wait; counted to 100,000.", 3)
    oldest_seconds = _number("How long the oldest has waited.", 0.4)
    set_aside = _integer("Messages that could not be told on and are kept.", 0)


class LedgerAuditDocument(StrictSchema):
    """The last nightly check of all ledgers that came to its end."""

    night = fields.String(
        required=True, metadata={"format": "date", **about("Its date, in UTC.", "2030-01-15")}
    )
    started_at = InstantText(required=True, metadata=about("When it began.", "2030-01-15T03:00:01.000000Z"))
    ended_at = InstantText(required=True, metadata=about("When it ended.", "2030-01-15T03:01:40.000000Z"))
    ledger_rows = _integer("Rows that it replayed.", 4_812_006)
    findings = _integer("What it found: 0, or a promise does not hold.", 0)


class WorkerHealthDocument(StrictSchema):
    """A booking worker."""

    name = _text("Its name.", "bookings-host-27171-d3c5a131")
    state = _text("What it does: idle, busy, starting; gone when it died.", "busy")
    live = fields.Boolean(
        required=True, metadata=about("Whether it was heard of in the last three seconds.", True)
    )
    heartbeat_at = _text("When it was last heard of.", "2026-11-20T18:00:00.000000Z", allow_none=True)
    partitions = fields.List(
        fields.Integer(strict=True), required=True, metadata=about("What it holds.", [0, 1, 2, 3])
    )
    decided = _integer("Requests that it has decided.", 1_204)


class MachineHealthDocument(StrictSchema):
    """The machine of the process that answers."""

    cores = _integer("Processor cores.", 2)
    cpu_percent = _number("Their use just now.", 12.5)
    load_average = _number("Load average of one minute.", 0.4)
    memory_bytes = _integer("Memory.", 8_589_934_592)
    memory_available_bytes = _integer("What is left of it.", 4_294_967_296)
    process_memory_bytes = _integer("What this process uses.", 88_080_384)
    disk_path = _text("The data folder, or what exists of its path.", "/var/lib/guichet")
    disk_bytes = _integer("The size of its disk.", 107_374_182_400)
    disk_free_bytes = _integer("What is free of it.", 53_687_091_200)
    process_started_at = Instant(
        required=True, metadata=about("When this process started.", "2026-11-20T18:00:00.000000Z")
    )
    uptime_seconds = _number("How long ago that is.", 86_400.0)


class RequestRatesDocument(StrictSchema):
    """The requests of the last minutes, over all API processes that share their figures."""

    minutes = _integer("How many minutes; the last one is under way.", 5)
    requests = _integer("Requests answered. Those that waited for a decision count with their wait.", 4_800)
    errors = _integer("Answers of 500 and above.", 0)
    error_rate = _number("Errors among the requests, 0 to 1.", 0.0)
    mean_ms = _number("Mean time of an answer; null without requests.", 6.1, allow_none=True)
    p50_ms = _number("Half of the answers took no longer.", 4.0, allow_none=True)
    p95_ms = _number("All but one in twenty.", 21.0, allow_none=True)
    p99_ms = _number("All but one in a hundred.", 46.0, allow_none=True)


class AdminHealthDocument(StrictSchema):
    """An installation's health in detail."""

    status = fields.String(
        required=True,
        validate=validate.OneOf(["ready", "unready"]),
        metadata=about("What `/readyz` says.", "ready"),
    )
    version = _text("Guichet's version.", "0.1.0")
    problems = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={**about("As at `/readyz`."), "example": {}},
    )
    warnings = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={
            **about("As at `/readyz`, and those of the outbox, the nightly check and the database role."),
            "example": {},
        },
    )
    postgres = fields.Nested(PostgresHealthDocument, required=True, metadata=about("PostgreSQL."))
    redis = fields.Nested(
        RedisHealthDocument,
        required=True,
        allow_none=True,
        metadata=about("Redis; null when it does not answer, which `problems` says."),
    )
    outbox = fields.Nested(OutboxHealthDocument, required=True, metadata=about("The outbox."))
    ledger_audit = fields.Nested(
        LedgerAuditDocument,
        required=True,
        allow_none=True,
        metadata=about("The last nightly check; null before the first."),
    )
    workers = fields.List(
        fields.Nested(WorkerHealthDocument),
        required=True,
        metadata=about("Booking workers. A dead one is forgotten after a minute."),
    )
    machine = fields.Nested(MachineHealthDocument, required=True, metadata=about("This machine."))
    requests = fields.Nested(
        RequestRatesDocument, required=True, metadata=about("Response times and errors.")
    )


def postgres_document(health: PostgresHealth) -> dict[str, Any]:
    """JSON values."""
    return {
        "version": health.version,
        "latency_ms": health.latency_ms,
        "connections": health.connections,
        "connections_max": health.connections_max,
        "database_bytes": health.database_bytes,
        "schema_found": health.schema_found,
        "schema_needed": health.schema_needed,
        "settings": [_setting_document(setting) for setting in health.settings],
        "problems": list(health.problems),
    }


def redis_document(health: RedisHealth) -> dict[str, Any]:
    """JSON values."""
    return {
        "version": health.version,
        "latency_ms": health.latency_ms,
        "used_memory_bytes": health.used_memory_bytes,
        "max_memory_bytes": health.max_memory_bytes,
        "aof_enabled": health.aof_enabled,
        "aof_last_write_ok": health.aof_last_write_ok,
        "aof_rewrite_running": health.aof_rewrite_running,
        "settings": [_setting_document(setting) for setting in health.settings],
        "problems": list(health.problems),
    }


def outbox_document(backlog: Backlog) -> dict[str, Any]:
    """JSON values."""
    return {
        "waiting": backlog.waiting,
        "oldest_seconds": round(backlog.oldest_seconds, 3),
        "set_aside": backlog.set_aside,
    }


def ledger_audit_document(last: AuditDone) -> dict[str, Any]:
    """JSON values."""
    return {
        "night": last.night.isoformat(),
        "started_at": rfc3339(last.started_at),
        "ended_at": rfc3339(last.ended_at),
        "ledger_rows": last.ledger_rows,
        "findings": last.findings,
    }


def worker_document(worker: WorkerLook) -> dict[str, Any]:
    """JSON values."""
    return {
        "name": worker.name,
        "state": worker.state,
        "live": worker.live,
        "heartbeat_at": worker.heartbeat_at,
        "partitions": list(worker.partitions),
        "decided": worker.decided,
    }


def machine_document(health: MachineHealth, *, uptime_seconds: float) -> dict[str, Any]:
    """JSON values."""
    return {
        "cores": health.cores,
        "cpu_percent": health.cpu_percent,
        "load_average": health.load_average,
        "memory_bytes": health.memory_bytes,
        "memory_available_bytes": health.memory_available_bytes,
        "process_memory_bytes": health.process_memory_bytes,
        "disk_path": health.disk_path,
        "disk_bytes": health.disk_bytes,
        "disk_free_bytes": health.disk_free_bytes,
        "process_started_at": rfc3339(health.process_started_at),
        "uptime_seconds": round(uptime_seconds, 3),
    }


def rates_document(rates: RequestRates) -> dict[str, Any]:
    """JSON values."""
    return {
        "minutes": rates.minutes,
        "requests": rates.requests,
        "errors": rates.errors,
        "error_rate": round(rates.error_rate, 6),
        "mean_ms": rates.mean_ms,
        "p50_ms": rates.p50_ms,
        "p95_ms": rates.p95_ms,
        "p99_ms": rates.p99_ms,
    }


def _setting_document(setting: SettingFound) -> dict[str, Any]:
    return {"name": setting.name, "found": setting.found, "needed": setting.needed}
