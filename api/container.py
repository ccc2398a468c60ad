"""What the routes of one API process share, built once after the fork, from the settings."""

from dataclasses import dataclass
from functools import partial

from flask import current_app
from redis import Redis

from api.access_log import AccessLog
from api.access_tokens import AccessTokens
from api.answer_cache import AnswerCache, Questions
from api.change_stamps import ChangeStamps
from api.impressions import ImpressionCounter
from api.joint_accepts import JointRunner
from api.rate_limits import RateLimits
from api.readiness import Readiness
from api.status_looks import StatusLooks
from api.waiting import DecisionHub
from shared.db import Engine, make_engine
from shared.line.client import make_redis
from shared.metrics.sharing import SharedFigures
from shared.services.event_snapshots import EventSnapshots
from shared.services.health import check_readiness
from shared.services.line import LineClient
from shared.services.line_figures import LineFigures
from shared.services.line_gate import LineGate
from shared.services.passwords import Passwords
from shared.services.requests import find_statuses
from shared.settings import Settings

# Made as they are needed. Redis answers everybody who spoke since its last turn and syncs its file once for them all,
# so more at once costs nothing; whoever finds none free for a second is refused (503). Redis allows 10,000 in all.
REDIS_CONNECTIONS_MAX = 256
CONSOLE_CONNECTIONS_MAX = 4


@dataclass(frozen=True, slots=True)
class Container:
    """One process' objects: the engine, the line, the event snapshots, who waits for decisions, hashes."""

    settings: Settings
    engine: Engine
    line: LineClient
    gate: LineGate
    snapshots: EventSnapshots
    statuses: StatusLooks
    hub: DecisionHub
    passwords: Passwords
    impressions: ImpressionCounter
    stamps: ChangeStamps
    answers: AnswerCache
    questions: Questions
    limits: RateLimits
    readiness: Readiness
    figures: SharedFigures
    line_figures: LineFigures
    access_log: AccessLog
    tokens: AccessTokens
    console_redis: "Redis"  # of the console alone: whoever looks never takes the line's connections

    def start(self) -> None:
        """Starts what a serving process does beside its requests; after the fork."""
        self.gate.watch()
        self.snapshots.start()
        self.hub.start()
        self.stamps.share()
        self.limits.start()
        self.figures.start()
        self.access_log.start()

    def close(self) -> None:
        """Stops the threads and closes the connections."""
        self.gate.close()
        self.impressions.close()
        self.limits.close()
        self.figures.close()
        self.access_log.close()
        self.hub.close()
        self.snapshots.close()
        self.engine.dispose()
        self.line.runner.close()
        self.line.runner.redis.connection_pool.disconnect()
        self.console_redis.connection_pool.disconnect()


def make_container(settings: Settings) -> Container:
    """Builds everything; connects to nothing yet."""
    engine = make_engine(settings.database_url, pool_size=settings.database_pool_size)
    redis = make_redis(
        settings.redis_url,
        max_connections=REDIS_CONNECTIONS_MAX,
        socket_timeout=settings.redis_timeout_seconds,
    )
    gate = LineGate(settings, engine, redis)
    snapshots = EventSnapshots(make_engine(settings.database_url, pool_size=1))
    line = LineClient(
        settings, redis, gate, runner=JointRunner(redis, timeout_seconds=settings.redis_timeout_seconds)
    )
    return Container(
        settings=settings,
        engine=engine,
        line=line,
        gate=gate,
        snapshots=snapshots,
        statuses=StatusLooks(engine, line),
        hub=DecisionHub(
            make_redis(settings.redis_url, max_connections=2),
            partial(find_statuses, engine, line),
            line.find_revoked,
        ),
        passwords=Passwords(settings),
        impressions=ImpressionCounter(engine),
        stamps=ChangeStamps(settings.metrics_folder),
        answers=AnswerCache(settings.read_cache_seconds),
        questions=Questions(),
        figures=SharedFigures(settings.metrics_folder),
        line_figures=LineFigures(engine, redis, settings.partitions),
        access_log=AccessLog(enabled=settings.access_log),
        tokens=AccessTokens(settings.secret_key),
        console_redis=make_redis(
            settings.redis_url,
            max_connections=CONSOLE_CONNECTIONS_MAX,
            socket_timeout=settings.redis_timeout_seconds,
        ),
        readiness=Readiness(
            lambda: check_readiness(gate, redis, partitions=settings.partitions, pause=snapshots.pause)
        ),
        limits=RateLimits(settings, make_redis(settings.redis_url, max_connections=2), gate),
    )


def get_container() -> Container:
    """The container of the application that handles the current request."""
    container: Container = current_app.extensions["guichet"]
    return container
