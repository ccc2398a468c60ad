"""The task worker: a stock RQ worker on the queue `tasks`, and beside it the schedule."""

import logging
import signal
import threading
import time
import uuid
from types import FrameType

import rq
from rq.serializers import JSONSerializer

from shared.line.client import make_redis
from shared.settings import Settings
from worker.entries import TASK_QUEUE
from worker.schedule import Schedule

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0


class TaskWorker:
    """Runs RQ's own loop again whenever an outage has ended it, until a signal asks it to stop."""

    def __init__(self, settings: Settings, schedule: Schedule, *, name_prefix: str) -> None:
        self._settings, self._schedule, self._name_prefix = settings, schedule, name_prefix
        self._stop = False

    def work(self) -> None:
        """Until SIGTERM or SIGINT."""
        thread = threading.Thread(target=self._schedule.run_forever, name="schedule", daemon=True)
        thread.start()
        log.info("task worker started", extra={"worker": self._name_prefix})
        while not self._stop:
            for stop_signal in (signal.SIGTERM, signal.SIGINT):  # RQ's loop puts its own there while it runs
                signal.signal(stop_signal, self._request_stop)
            self._stop = self._run_worker() or self._stop
            if not self._stop:
                time.sleep(RESTART_SECONDS)
        self._schedule.stop()
        thread.join(timeout=3.0)
        log.info("task worker stopped", extra={"worker": self._name_prefix})

    def _request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stop = True

    def _run_worker(self) -> bool:
        """RQ's loop until it ends; True when it ended because it was asked to."""
        worker: rq.SimpleWorker | None = None
        try:
            worker = rq.SimpleWorker(
                [TASK_QUEUE],
                name=f"{self._name_prefix}-{uuid.uuid4().hex[:8]}",
                connection=make_redis(self._settings.redis_url),
                serializer=JSONSerializer,
                worker_ttl=60,
            )
            worker.work(logging_level=None)
        except Exception as error:  # noqa: BLE001 - RQ's loop may end with any error of redis-py
            log.warning("the task worker's loop ended", extra={"error": f"{type(error).__name__}: {error}"})
        return worker is not None and worker._shutdown_requested_date is not None  # noqa: SLF001 - no public one
