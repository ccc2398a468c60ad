"""Where a worker process' objects are built, once, from its settings."""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError

from shared.adapters.deliveries import InAppDelivery
from shared.db import make_engine
from shared.line.client import ScriptRunner, make_redis
from shared.services.analytics import roll_up_messages
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.services.notifier import make_notifier
from shared.services.outbox import Handler
from shared.settings import Settings
from worker.batch import BatchRunner
from worker.booking_worker import BookingWorker, make_worker_name
from worker.schedule import Schedule
from worker.task_worker import TaskWorker

log = logging.getLogger(__name__)


def make_booking_worker(settings: Settings, hostname: str, pid: int) -> BookingWorker:
    """A booking worker; waits for Redis, which RQ's worker asks for its own address."""
    control, line = make_redis(settings.redis_url), make_redis(settings.redis_url)
    _wait_for(control)
    gate = LineGate(settings, make_engine(settings.database_url, pool_size=1), line)
    batches = BatchRunner(settings, ScriptRunner(line), worker_name=make_worker_name(hostname, pid))
    return BookingWorker(settings, gate, control, line, batches)


def make_task_worker(settings: Settings, hostname: str, pid: int) -> TaskWorker:
    """The task worker with its schedule."""
    redis = make_redis(settings.redis_url)
    engine = make_engine(settings.database_url, pool_size=2)
    line = LineClient(settings, redis, LineGate(settings, engine, redis))
    schedule = Schedule(settings, engine, line, redis, handlers=make_handlers())
    return TaskWorker(settings, schedule, name_prefix=f"tasks-{hostname.replace('.', '-')}-{pid}")


def make_handlers() -> tuple[Handler, ...]:
    """What is made of the outbox' messages; each handler gets all of them, in this order."""
    return (make_notifier([InAppDelivery()]), roll_up_messages)


def _wait_for(redis: "Redis") -> None:
    while True:
        try:
            redis.ping()
        except (RedisError, OSError) as error:
            log.warning("waiting for Redis", extra={"error": str(error)})
            time.sleep(1.0)
        else:
            return
