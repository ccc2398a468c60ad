"""`python -m scripts.trials.people ORDER`: a crowd, until its standard input ends or its time is up."""

import contextlib
import os
import random
import signal
import sys
from pathlib import Path
from typing import Final

import gevent
import gevent.os
import orjson
from gevent.pool import Group

from scripts.load.client import parse_target
from scripts.trials.history import Call, write_lines
from scripts.trials.people.order import Order
from scripts.trials.people.person import Person, World

_FLUSH_SECONDS: Final = 0.5


def run(order: Order) -> bool:
    """Everybody acts until the end; then the last calls are answered and written. Whether all came so far."""
    noted: list[Call] = []
    world = World(parse_target(order.base_url), noted.append)
    users = [_user(line) for line in Path(order.users).read_text().splitlines()]
    shares = [users[number :: order.people] for number in range(order.people)]
    group, everybody = Group(), []
    with Path(order.calls).open("ab") as file:
        _refresh(world, order.events)
        for number, share in enumerate(shares):
            person = Person(world, share, random.Random(f"{order.seed}:{number}"))  # noqa: S311 - a load, no secret
            everybody.append(group.spawn(person.live))
        ending = gevent.spawn(_await_end, world, order.seconds_max)
        while len(group):
            group.join(timeout=_FLUSH_SECONDS)
            _refresh(world, order.events)
            write_lines(file, noted)
            file.flush()
            noted.clear()
        ending.kill()
    return all(person.successful() for person in everybody)


def _user(line: str) -> tuple[int, str]:
    user_id, _, token = line.partition("\t")
    return int(user_id), token


def _refresh(world: World, path: str) -> None:
    world.events = orjson.loads(Path(path).read_bytes())


def _await_end(world: World, seconds_max: float) -> None:
    """Whoever started us closes our input, also by dying."""
    gevent.os.make_nonblocking(0)
    with contextlib.suppress(TimeoutError), gevent.Timeout(seconds_max, TimeoutError):
        while gevent.os.nb_read(0, 4096):
            pass
    world.is_over = True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trial ends us, in its order
    os._exit(0 if run(Order(**orjson.loads(Path(sys.argv[1]).read_bytes()))) else 1)
