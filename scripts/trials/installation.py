"""The installation of a trial: servers of its own, people and events in it, and the processes of the Procfile."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, text

from scripts.benches.processes import environment_of
from scripts.benches.web import find_free_port
from scripts.database_roles import OWNER
from scripts.embedded.postgres import DATABASE
from scripts.migrate import migrate
from scripts.trials.faults.operator import CAPACITIES, Operator
from scripts.trials.plan import Plan
from scripts.trials.processes import Crew
from scripts.trials.programme import Programme
from scripts.trials.site import Site
from scripts.trials.site import site as opened_site
from shared.db import make_engine, transaction
from shared.domain.permissions import Actor
from shared.services.events import create_event
from shared.services.load_users import ensure_load_users, mint_load_tokens
from shared.services.users import create_user
from shared.settings import Settings
from shared.store.clock import read_clock

USERS_FILE: Final = "users.tsv"
_TOKEN_SECONDS: Final = 24 * 3600
_NO_LIMIT: Final = 1_000_000


@dataclass(slots=True)
class Installation:
    """Everything that a trial acts on. `settings` reach the servers directly, the processes go by the proxies."""

    folder: Path
    site: Site
    settings: Settings
    engine: Engine
    redis: Redis
    programme: Programme
    crew: Crew
    base_url: str
    admin_token: str
    users_file: Path

    def make_operator(self) -> Operator:
        """An admin with a connection of their own."""
        return Operator(self.base_url, self.admin_token, self.programme)

    def query(self, statement: str) -> int:
        """A number out of PostgreSQL."""
        with self.engine.connect() as connection:
            return int(connection.execute(text(statement)).scalar_one())


@contextmanager
def opened_installation(plan: Plan, folder: Path) -> Iterator[Installation]:
    """Servers, tables, people and events; the processes are not started yet. Everything ends with the block."""
    with ExitStack() as stack:
        site = stack.enter_context(opened_site(folder, seed=plan.seed))
        settings = _settings(plan, folder, site.postgres.url, site.redis.url)
        migrate(site.postgres.database_url(DATABASE, OWNER), partitions=settings.partitions)
        engine = make_engine(settings.database_url, pool_size=2)
        stack.callback(engine.dispose)
        redis = Redis.from_url(settings.redis_url, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        stack.enter_context(closing(redis))
        admin_token = _make_people(settings, engine, plan.users, folder / USERS_FILE)
        programme = Programme(folder / "events.json", _make_events(engine, plan))
        port = find_free_port()
        proxied = replace(settings, database_url=site.database_url, redis_url=site.redis_url, port=port)
        crew = Crew(environment_of(proxied), folder, workers=plan.workers, port=port)
        yield Installation(
            folder=folder,
            site=site,
            settings=settings,
            engine=engine,
            redis=redis,
            programme=programme,
            crew=crew,
            base_url=f"http://127.0.0.1:{port}",
            admin_token=admin_token,
            users_file=folder / USERS_FILE,
        )


def _settings(plan: Plan, folder: Path, database_url: str, redis_url: str) -> Settings:
    """As an installation has them, but nobody is limited: the people of a trial ask as fast as they can."""
    return Settings(
        data_dir=folder,
        database_url=database_url,
        redis_url=redis_url,
        secret_key=secrets.token_urlsafe(48),
        log_level="WARNING",
        access_log=False,
        user_undecided_max=_NO_LIMIT,
        booking_rate_per_second=1e6,
        booking_rate_burst=_NO_LIMIT,
        general_rate_per_minute=1_000 * _NO_LIMIT,
        poll_rate_per_second=_NO_LIMIT,
        sold_out_door=plan.door,
        offer_seconds=plan.offer_seconds,
    )


def _make_people(settings: Settings, engine: Engine, count: int, path: Path) -> str:
    """Writes the people's tokens to a file; the admin's token."""
    with transaction(engine) as session:
        admin = create_user(
            session, name="Operator", email="operator@example.org", password_hash=None, role="admin"
        )
        ids, now, admin_id = ensure_load_users(session, count), read_clock(session), admin.id
    tokens = mint_load_tokens(settings, [admin_id, *ids], now=now, lifetime_seconds=_TOKEN_SECONDS)
    (_, admin_token), *others = tokens
    path.write_text("".join(f"{user_id}\t{token}\n" for user_id, token in others))
    path.chmod(0o600)
    return admin_token


def _make_events(engine: Engine, plan: Plan) -> list[int]:
    found = []
    with transaction(engine) as session:
        host = create_user(session, name="Host", email="host@example.org", password_hash=None, role="host")
        starts_at = read_clock(session) + timedelta(days=30)
        for number in range(plan.events):
            capacity = CAPACITIES[number % 2] // (1 + number % 3)
            values = {"title": "Trial", "starts_at": starts_at, "capacity": capacity, "status": "scheduled"}
            found.append(create_event(session, actor=Actor(host.id, "host"), values=values, request_id=None))
    return found
