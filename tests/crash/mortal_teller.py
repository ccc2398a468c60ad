"""Drains the outbox once and kills itself at a chosen moment. Run by tests as a process of its own."""

import os
import signal
import sys
from collections.abc import Sequence

from sqlalchemy.orm import Session

from shared.db import make_engine
from shared.services import outbox
from shared.services.outbox import Message
from shared.settings import load_settings
from worker.compose import make_handlers


def die(_session: Session | None = None, _messages: Sequence[Message] = ()) -> None:
    """The kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(moment: str) -> None:
    """`before` the handlers, `after` them and before the commit, or when it is `committed`."""
    engine = make_engine(load_settings(os.environ).database_url, pool_size=1)
    handlers = make_handlers()
    if moment == "before":
        handlers = (die, *handlers)
    if moment == "after":
        handlers = (*handlers, die)
    outbox.drain_once(engine, handlers)
    die()


if __name__ == "__main__":
    main(sys.argv[1])
