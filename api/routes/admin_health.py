"""`/admin/health`: everything that health knows."""

import time
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from flask import Blueprint, Response
from redis.exceptions import RedisError

from api.auth import require_actor
from api.container import Container, get_container
from api.contract import Answer, describe
from api.responses import NO_STORE, json_response
from api.schemas.admin_health import (
    AdminHealthDocument,
    ledger_audit_document,
    machine_document,
    outbox_document,
    postgres_document,
    rates_document,
    redis_document,
    worker_document,
)
from shared.clock import utc_now
from shared.db import transaction
from shared.errors import UnavailableError
from shared.line.look import look_at_workers
from shared.services.health import check_readiness
from shared.services.last_audit import audit_warnings, find_last_audit
from shared.services.outbox import look_at_backlog, outbox_warnings
from shared.services.production import role_warnings
from shared.services.request_rates import rates_of

blueprint = Blueprint("admin_health", __name__)

MINUTES: Final = 5


@blueprint.get("/admin/health")
@describe(
    tag="Health",
    auth="admin",
    answers={200: Answer("What was found.", AdminHealthDocument, headers=("Cache-Control",))},
)
def admin_health() -> Response:
    """Tells the state of both servers, the workers, this machine, and the requests of the last minutes.

    Who asks is looked up in PostgreSQL: without it the answer is 503, and `/readyz` is where to look.
    """
    # psutil costs a process a megabyte that most never need.
    from shared.services.admin_health import (  # noqa: PLC0415
        RedisHealth,
        check_machine,
        check_postgres,
        check_redis,
    )

    container = get_container()
    redis = container.line.runner.redis
    with transaction(container.engine) as session:
        require_actor(session, "admin")
        postgres = check_postgres(session)
        backlog, last_audit = look_at_backlog(session), find_last_audit(session)
        role = role_warnings(session) if container.settings.is_production else {}
    found = check_redis(redis)
    problems, warnings = check_readiness(
        container.gate, redis, partitions=container.settings.partitions, pause=container.snapshots.pause
    )
    machine = check_machine(container.settings.data_dir)
    rates = rates_of(container.figures.read(), minute=int(time.time() // 60), minutes=MINUTES)
    document = {
        "status": "unready" if problems else "ready",
        "version": _version(),
        "problems": dict(problems),
        "warnings": {**warnings, **role, **outbox_warnings(backlog), **audit_warnings(last_audit)},
        "postgres": postgres_document(postgres),
        "redis": redis_document(found) if isinstance(found, RedisHealth) else None,
        "outbox": outbox_document(backlog),
        "ledger_audit": None if last_audit is None else ledger_audit_document(last_audit),
        "workers": _workers(container),
        "machine": machine_document(
            machine, uptime_seconds=(utc_now() - machine.process_started_at).total_seconds()
        ),
        "requests": rates_document(rates),
    }
    return json_response(document, headers=NO_STORE)


def _workers(container: Container) -> list[dict[str, object]]:
    try:
        return [worker_document(worker) for worker in look_at_workers(container.line.runner.redis)]
    except (RedisError, OSError, UnavailableError):
        return []


def _version() -> str:
    try:
        return version("guichet")
    except PackageNotFoundError:  # run from a checkout without being installed
        return "unknown"
