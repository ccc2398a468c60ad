"""A task worker that drains the outbox once, or has one turn of the schedule, and kills itself at a chosen call. Run by
tests; every line on stdin is a life.
"""

import faulthandler
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import Engine, text

from shared.db import make_engine, transaction
from shared.line.client import make_redis
from shared.services import outbox
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.services.outbox import Handler
from shared.settings import Settings, load_settings
from shared.store import outbox as store
from tests.crash.mortality import BEFORE, Death, count_calls, serve
from worker.compose import make_handlers
from worker.schedule import Schedule

LIFE_SECONDS = 30.0


def forget_before_telling(engine: Engine, handlers: Sequence[Handler]) -> int:
    """The wrong order: the messages are gone before anybody is told."""
    with transaction(engine) as session:
        messages = store.take_messages(session, outbox.TOPICS, limit=outbox.MESSAGES_MAX)
        store.delete_messages(session, [message.id for message in messages])
    with transaction(engine) as session:
        for handler in handlers:
            handler(session, messages)
    return len(messages)


def live(settings: Settings, order: dict[str, Any]) -> NoReturn:
    """One life: until its turn is over, or the chosen call."""
    faulthandler.dump_traceback_later(LIFE_SECONDS, exit=True)
    death = Death(at=order["at"], when=order.get("when", BEFORE))
    count_calls(death)
    engine, redis = make_engine(settings.database_url, pool_size=2), make_redis(settings.redis_url)
    gate = LineGate(settings, engine, redis)
    gate.check()
    with engine.connect() as connection:
        connection.execute(text("select"))  # what a connection costs at first does not count
    outbox.SLICE = order.get("slice", outbox.SLICE)  # type: ignore[misc]
    outbox.TURN_SECONDS = LIFE_SECONDS  # type: ignore[misc]  # until nothing waits, however slow the machine
    if order.get("forgets_first"):
        outbox.drain_once = forget_before_telling
    schedule = Schedule(settings, engine, LineClient(settings, redis, gate), redis, handlers=make_handlers())
    schedule.entries = tuple(entry for entry in schedule.entries if entry.name in order["entries"])
    death.arm()
    schedule.run_once()
    os._exit(0)


def main() -> None:
    """Forks a life for every order."""
    settings = load_settings(os.environ)
    serve(lambda order: live(settings, order))


if __name__ == "__main__":
    main()
