"""The same booking as a stock RQ job, one at a time: what the line is compared with.

`SimpleWorker` runs its jobs itself; `Worker`, RQ's usual one, forks a process for each. The job locks the event's row,
inserts the booking, counts it and commits: the textbook way. It writes no ledger.
"""

import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a type
from redis import Redis
from rq import Queue, SimpleWorker, Worker

from scripts.benches.processes import BenchError
from scripts.environment import libpq_url

_DATABASE_URL = "GUICHET_BENCH_STOCK_DATABASE"
_SCHEMA = """
drop table if exists stock_bookings, stock_events;
create table stock_events (id bigint primary key, capacity int not null, booked int not null);
create table stock_bookings (id bigserial primary key, event_id bigint not null, user_id bigint not null,
    created_at timestamptz not null default now(), unique (event_id, user_id));
"""


def book(event_id: int, user_id: int) -> str:
    """One booking: one transaction."""
    connection = _connection()
    with connection, connection.cursor() as cursor:
        cursor.execute("select capacity, booked from stock_events where id = %s for update", (event_id,))
        capacity, booked = cursor.fetchone() or (0, 0)
        if booked >= capacity:
            return "rejected"
        cursor.execute("insert into stock_bookings (event_id, user_id) values (%s, %s)", (event_id, user_id))
        cursor.execute("update stock_events set booked = booked + 1 where id = %s", (event_id,))
        return "confirmed"


def measure_stock(database_url: str, redis_url: str, jobs: int, *, forking: bool = False) -> float:
    """Jobs a second of one stock worker, in a process of its own, on the same servers."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, libpq_url(database_url), redis_url, jobs, forking=forking).result()


def _run(database_url: str, redis_url: str, jobs: int, *, forking: bool) -> float:
    os.environ[_DATABASE_URL] = database_url
    logging.getLogger("rq").setLevel(logging.WARNING)
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(_SCHEMA)
        cursor.execute("insert into stock_events values (1, %s, 0)", (jobs // 4,))
    with Redis.from_url(redis_url) as redis:
        queue = Queue("stock", connection=redis)
        for user_id in range(jobs):
            queue.enqueue(book, 1, user_id)
        started = time.perf_counter()
        worker = (Worker if forking else SimpleWorker)([queue], connection=redis)
        worker.work(burst=True, logging_level="WARNING")
        seconds = time.perf_counter() - started
    with connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from stock_bookings")
        if cursor.fetchone() != (jobs // 4,):
            raise BenchError("the stock worker did not decide every job")
    connection.close()
    return jobs / seconds


@cache
def _connection() -> Connection:
    """Opened by whoever runs the first job: each fork has one of its own."""
    return psycopg2.connect(os.environ[_DATABASE_URL])
