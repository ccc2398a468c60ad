"""An open load: requests at their moments, whatever the answers do, from a process of its own."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import nan
from multiprocessing import get_context
from typing import Final

import gevent

from scripts.load.client import Connection, TransportError, parse_target

CONNECTIONS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `tickets` makes it a booking, otherwise it is a GET."""

    path: str
    token: str = ""
    key: str = ""
    tickets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """By call: the status, 0 without an answer, and when it came, in seconds after the start; `started_at` by the
    wall clock; CPU that the load itself used.
    """

    statuses: list[int]
    answered: list[float]
    started_at: float
    cpu_seconds: float


def send_apart(port: int, calls: Sequence[Call], dues: Sequence[float] | None = None) -> Answers:
    """Sends each call when it is due, or as soon as a connection is free; `send` in a process of its own.

    A call whose moment comes while every connection waits for an answer is sent late; its wait counts all the same.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(send, port, calls, dues).result()


def send(port: int, calls: Sequence[Call], dues: Sequence[float] | None = None) -> Answers:
    """The same in this process, on greenlets."""
    statuses, answered = [0] * len(calls), [nan] * len(calls)
    target = parse_target(f"http://127.0.0.1:{port}")
    connections = [Connection(target) for _ in range(min(CONNECTIONS, len(calls)))]
    gevent.joinall([gevent.spawn(connection.open) for connection in connections], raise_error=True)
    numbers = iter(range(len(calls)))
    cpu, started, started_at = time.process_time(), time.perf_counter(), time.time()

    def work(connection: Connection) -> None:
        for number in numbers:
            wait = (dues[number] if dues else 0.0) - (time.perf_counter() - started)
            if wait > 0:
                gevent.sleep(wait)
            statuses[number] = _send(connection, calls[number])
            answered[number] = time.perf_counter() - started
        connection.close()

    gevent.joinall([gevent.spawn(work, connection) for connection in connections], raise_error=True)
    return Answers(
        statuses=statuses,
        answered=answered,
        started_at=started_at,
        cpu_seconds=time.process_time() - cpu,
    )


def _send(connection: Connection, call: Call) -> int:
    headers = {"Authorization": f"Bearer {call.token}"} if call.token else {}
    if call.key:
        headers["Idempotency-Key"] = call.key
    try:
        if call.tickets:
            return connection.request(
                "POST", call.path, headers=headers, document={"tickets": call.tickets}
            ).status
        return connection.request("GET", call.path, headers=headers).status
    except TransportError:
        return 0
