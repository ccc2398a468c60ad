"""The booking worker: RQ's worker to the outside, a small loop of its own inside.

RQ's loop would quit on a Redis restart, fail the jobs of dead workers, and spend up to seven synced writes a
turn. What is kept of RQ is what its tools look at: registration, heartbeat, state, commands over pub/sub.
"""

import contextlib
import logging
import math
import signal
import time
import uuid
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn

import psycopg2
import rq
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from shared.domain.allocation import PoisonError
from shared.domain.partitions import queue_name
from shared.errors import UnavailableError
from shared.line.client import AnswerUnknownError, ScriptRunner
from shared.line.inspect import count_undecided, say_trouble, wait_for_bell
from shared.line.take import NEWER, ForeignRedisError, OutdatedTokenError, report_alive
from shared.services.line_gate import LineGate
from shared.settings import Settings
from worker import heartbeat
from worker.ahead import Turn
from worker.batch import BatchRunner, CommitUnknownError
from worker.claims import ClaimLostError, ClaimSession

log = logging.getLogger(__name__)

CLAIM_SECONDS: Final = 1.0  # how often unheld partitions are looked for
SHARE_SECONDS: Final = 2.0  # how often it is looked at whether others should hold some of ours
GATE_SECONDS: Final = 10.0
GIVEN_AWAY_SECONDS: Final = 3.0  # a partition given away is left to others for this long
WORKER_TTL_SECONDS: Final = 60  # a killed worker stays as a ghost in `rq info` this long

# Tiny batches eat the CPU that the API needs on the same machine: after one below 64, 5 ms of patience gave
# 13 % more accepts a second in a prototype; a request that finds an idle line does not notice.
SMALL_BATCH: Final = 64
PATIENCE_SECONDS: Final = 0.005

# How long one partition is served at a time while others have work too, and while none has: each run of batches begins
# and ends with a batch that waits for Redis. Nobody waits for the end of a long one but what is done once a second.
RUN_SECONDS: Final = 0.05
RUN_ALONE_SECONDS: Final = 1.0

BACK_OFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Timer:
    """Says when something periodic is due."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, 0.0

    def due(self) -> bool:
        """True at most once every `seconds`."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class BookingWorker(rq.SimpleWorker):
    """Claims partitions and decides their requests until it is told to stop.

    Two Redis clients: `control` for RQ's registration and commands, `line` for the line's scripts.
    """

    def __init__(
        self, settings: Settings, gate: LineGate, control: "Redis", line: "Redis", batches: BatchRunner
    ) -> None:
        queues = [queue_name(partition) for partition in range(settings.partitions)]
        super().__init__(
            queues,
            name=batches.worker_name,
            connection=control,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_SECONDS,
        )
        self._settings, self._gate, self._batches = settings, gate, batches
        self._runner = ScriptRunner(line)
        self._session: ClaimSession | None = None
        self._stop = False
        self._decided = 0
        self._decided_reported = 0
        self._report = heartbeat.WorkerReport()
        self._live = 1
        self._failures = 0
        self._registered = False
        self._given_away: dict[int, float] = {}
        self._owed_alive: set[int] = set()  # partitions where this process still counts as dead
        self._serving: int | None = None  # the partition whose batch is being decided
        self._troubles: dict[int, str] = {}  # partition → why it stands
        self._aside: dict[int, tuple[int, float]] = {}  # troubled partition → failures, when to try again
        self._claim_timer, self._share_timer = Timer(CLAIM_SECONDS), Timer(SHARE_SECONDS)
        self._gate_timer, self._beat_timer = Timer(GATE_SECONDS), Timer(heartbeat.BEAT_SECONDS)

    # -- RQ's hooks that must not do what they do in RQ ------------------------------------------------------

    def execute_job(self, job: Job, queue: Queue) -> NoReturn:
        """Never: nobody runs a booking singly."""
        raise NotImplementedError(f"{job.id} in {queue.name} is decided in a batch")

    def _set_connection(self, connection: "Redis") -> "Redis":
        """Keeps our time-outs: RQ would raise them to 55 s, longer than a worker may take to stop."""
        return connection

    def clean_registries(self) -> None:
        """Nothing: RQ's maintenance would fail jobs that a successor is about to decide."""

    def request_stop(self, signum: int | None, frame: FrameType | None) -> None:  # noqa: ARG002 - RQ's signature
        """Finish the batch, let go, exit 0."""
        self._stop = True

    def work(self, *_args: Any, **_kwargs: Any) -> bool:  # noqa: ANN401 - RQ's signature
        """Runs until SIGTERM or SIGINT; True when anything was decided. Survives outages of either server."""
        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop_signal, self.request_stop)
        log.info("booking worker started", extra={"worker": self.name})
        try:
            while not self._stop:
                self.run_once()
        finally:
            self._let_go()
        log.info("booking worker stopped", extra={"worker": self.name, "decided": self._decided})
        return self._decided > 0

    # -- the loop --------------------------------------------------------------------------------------------

    def run_once(self) -> None:
        """One turn: housekeeping that is due, then every held partition that has work, then sleep."""
        try:
            self._housekeep()
            if self._session is None or not self._session.held:
                time.sleep(0.2)
                return
            decided = self._serve(self._session)
            self._failures = 0
            if not decided:
                wait_for_bell(self._runner, sorted(self._session.held), self._idle_seconds(self._session))
            elif decided < SMALL_BATCH:
                time.sleep(PATIENCE_SECONDS)
        except (ClaimLostError, CommitUnknownError, OutdatedTokenError, ForeignRedisError) as error:
            self._trouble(error, drop_session=isinstance(error, ClaimLostError | CommitUnknownError))
        except (
            psycopg2.Error,
            RedisError,
            OSError,
            UnavailableError,
            AnswerUnknownError,
            MemoryError,
        ) as error:
            self._trouble(error, drop_session=False)
        except PoisonError as error:  # who it was is known now: the next try decides it `failed`
            self._trouble(error, drop_session=False)
        except Exception as error:  # a bug of ours: the line stands and says why, nothing is decided `failed`
            log.exception("unexpected error")
            self._trouble(error, drop_session=False)

    def _serve(self, session: ClaimSession) -> int:
        """One batch of every held partition that has work; returns how many requests were decided."""
        decided = 0
        now = time.monotonic()
        ready = [p for p in sorted(session.held) if p not in self._aside or self._aside[p][1] <= now]
        depths = count_undecided(self._runner, ready)
        for partition, depth in depths.items():
            session.ping()
            if depth == 0 or self._stop:
                self._aside.pop(partition, None)
                self._troubles.pop(partition, None)
                continue
            self._serving = partition
            claim = session.held[partition] or session.fence(
                self._runner, self._gate.installation(), partition
            )
            turn = Turn(
                partial(self._may_go_on, time.monotonic()), [other for other in ready if other != partition]
            )
            done = self._batches.run_once(session, claim, turn)
            self._serving = None
            self._aside.pop(partition, None)
            self._note(partition, done)
            if isinstance(done, int):
                # A slice of a call-off replies nobody and still is work done.
                decided += max(done, 1)
                self._decided += done
        return decided

    def _may_go_on(self, since: float, others_wait: bool) -> bool:  # noqa: FBT001 - a `Turn` asks so
        seconds = RUN_SECONDS if others_wait else RUN_ALONE_SECONDS
        return not self._stop and time.monotonic() < since + seconds

    def _note(self, partition: int, done: int | str) -> None:
        """Remembers why a line stands, for health; forgets it as soon as it moves."""
        if done == NEWER:
            self._troubles[partition] = "the next request was made by a newer release; upgrade this worker"
        else:
            self._troubles.pop(partition, None)

    def _idle_seconds(self, session: ClaimSession) -> float:
        """A second, or until a troubled partition is to be tried again."""
        now = time.monotonic()
        waits = [
            retry_at - now for partition, (_, retry_at) in self._aside.items() if partition in session.held
        ]
        return max(min([1.0, *waits]), 0.01)  # BLPOP takes 0 for ever

    def _housekeep(self) -> None:
        if self._gate_timer.due() or self._gate.state.problems:
            self._gate.check()
        if self._gate.state.problems:
            self._drop_session()
            time.sleep(0.5)
            return
        if self._session is None:
            self._session = ClaimSession(self._settings.database_url, f"guichet {self.name[:50]}")
            self._claim_timer = Timer(CLAIM_SECONDS)  # a new session holds nothing: claim at once
        self._session.ping()
        if self._beat_timer.due():
            self._beat()
            self._report_alive()
            # What is another's by now is no longer ours to complain about.
            self._troubles = {p: what for p, what in self._troubles.items() if p in self._session.held}
            for partition, what in self._troubles.items():
                say_trouble(self.connection, partition, what)
        if self._claim_timer.due():
            self._claim(self._session)
        if self._share_timer.due():
            self._share(self._session)

    def _claim(self, session: ClaimSession) -> None:
        now = time.monotonic()
        wanted = [p for p in range(self._settings.partitions) if self._given_away.get(p, 0.0) <= now]
        claimed = session.claim(wanted)
        for partition in claimed:
            session.fence(self._runner, self._gate.installation(), partition)
        if claimed:
            log.info("claimed", extra={"worker": self.name, "partitions": claimed})

    def _share(self, session: ClaimSession) -> None:
        """Gives away what exceeds this worker's share of the partitions, when others are alive to take it."""
        share = math.ceil(self._settings.partitions / max(self._live, 1))
        for partition in sorted(session.held, reverse=True)[: max(len(session.held) - share, 0)]:
            report_alive(self._runner, partition, self._batches.instance)
            session.give_away(partition)
            self._given_away[partition] = time.monotonic() + GIVEN_AWAY_SECONDS
            log.info("gave away", extra={"worker": self.name, "partition": partition})

    def _beat(self) -> None:
        """Registration, heartbeat and state, as RQ's tools read them."""
        self._live = heartbeat.beat(self.connection, self.name)
        if not self._registered or not self.connection.exists(self.key):
            self.connection.delete(self.key)
            self.register_birth()
            with contextlib.suppress(Exception):
                self.unsubscribe()
            self.subscribe()
            self._registered = True
            self._report.forget()
        held = () if self._session is None else self._session.held
        report: dict[Any, Any] = self._report.changes(held=held, decided=self._decided, now=time.monotonic())
        fresh = self._decided - self._decided_reported
        state = "busy" if fresh else "idle"
        # One pipeline: Redis syncs its file once for all of it.
        with self.connection.pipeline(transaction=False) as pipe:
            if state != self.get_state():
                self.set_state(state, pipeline=pipe)
            if fresh:
                pipe.hincrby(self.key, "successful_job_count", fresh)
            if report:
                pipe.hset(self.key, mapping=report)
            self.heartbeat(WORKER_TTL_SECONDS, pipeline=pipe)  # RQ's default keeps ghosts for twice as long
            pipe.execute()
        self._decided_reported += fresh
        self._report.written(report)

    # -- when something goes wrong ---------------------------------------------------------------------------

    def _trouble(self, error: BaseException, *, drop_session: bool) -> None:
        """The one answer to everything that is not a request's fault: forget, wait a little, look again."""
        extra = {
            "error": f"{type(error).__name__}: {error}".strip(),
            "sqlstate": getattr(error, "pgcode", None),
        }
        log.warning("will try again", extra=extra)
        self._recover(drop_session=drop_session)
        if isinstance(error, OutdatedTokenError) and self._session is not None:
            # While we hold the lock the token is ours to write again; the next batch checks that we do.
            self._session.held.update(dict.fromkeys(self._session.held))
        partition, self._serving = self._serving, None
        if partition is not None:
            self._troubles[partition] = extra["error"] or ""
            # One partition's trouble (an event that somebody has locked) must not make the others wait.
            failures = self._aside.get(partition, (0, 0.0))[0]
            self._aside[partition] = (failures + 1, time.monotonic() + _back_off(failures))
            if self._session is not None:
                return
        self._failures += 1
        time.sleep(_back_off(self._failures - 1))

    def _recover(self, *, drop_session: bool) -> None:
        session = self._session
        if session is not None and not drop_session:
            try:
                session.rollback()  # before unlocking anything, or the first error is masked
            except psycopg2.Error:
                drop_session = True
        if drop_session:
            self._drop_session()
        self._owed_alive.update(range(self._settings.partitions))
        self._report_alive()

    def _report_alive(self) -> None:
        """Takes this process' count back wherever it met an error; what Redis does not hear now stays owed."""
        with contextlib.suppress(RedisError, OSError):
            while self._owed_alive:
                partition = next(iter(self._owed_alive))
                report_alive(self._runner, partition, self._batches.instance)
                self._owed_alive.discard(partition)

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _let_go(self) -> None:
        self._drop_session()
        self._owed_alive.update(range(self._settings.partitions))
        self._report_alive()
        with contextlib.suppress(RedisError, OSError):
            heartbeat.leave(self.connection, self.name)
            if self._registered:
                self.register_death()
        with contextlib.suppress(Exception):
            self.unsubscribe()


def _back_off(failures: int) -> float:
    return BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]


def make_worker_name(hostname: str, pid: int) -> str:
    """A name no other worker ever had: RQ refuses two workers of one name."""
    return f"bookings-{hostname.replace('.', '-')}-{pid}-{uuid.uuid4().hex[:8]}"
