"""A crowd that waits for its decisions by long-poll and by stream: what it costs to wait, and how soon each is told."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, get_request
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import BenchError, CpuMeter, Process
from scripts.benches.series import Distribution
from scripts.benches.wait_load import Follower, Told, crowd
from scripts.benches.web import Web
from shared.clock import parse_rfc3339
from shared.db import transaction
from shared.line import keys
from shared.line.client import text_of
from shared.services.line_pause import pause, resume

BAR_TOLD_MS_P99 = 100
BAR_ACCEPT_TIMES = 2
BAR_KB_A_WAITER = 60
STREAMS_EACH = 2  # every second one waits by a stream, the others by long-poll
WAIT_SECONDS = 30
ACCEPTS_PER_SECOND = 200  # somebody else's bookings, all the while
ACCEPT_CONNECTIONS = 64
QUIET_SECONDS = 2.0


@dataclass(slots=True)
class _Found:
    """Of all rounds."""

    lags_ms: dict[bool, list[float]] = field(
        default_factory=lambda: {True: [], False: []}
    )  # by stream, by poll
    p99s_ms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    alone: list[Outcome] = field(default_factory=list)
    crowded: list[Outcome] = field(default_factory=list)
    kilobytes_each: list[float] = field(default_factory=list)
    quiet_cores: list[float] = field(default_factory=list)
    client_seconds: list[float] = field(default_factory=list)
    tell_micros: list[float] = field(default_factory=list)


def measure(laboratory: Laboratory) -> Measurement:
    """A crowd waits in a paused line, the pause ends, everybody is told. Others book all the while; and before, when
    as many were decided and nobody waited for it.
    """
    measurement, found = Measurement(), _Found()
    with laboratory.installation(measurement) as installation, installation.worker() as worker:
        for _ in range(laboratory.sizes.rounds):
            with installation.web() as web:
                _round(installation, worker, web, found)
    measurement.figures = _figures(found, laboratory.sizes.waiters)
    measurement.distributions = [
        Distribution(what="told after the decision, by stream", values=found.lags_ms[True]),
        Distribution(what="told after the decision, by long-poll", values=found.lags_ms[False]),
    ]
    return measurement


def _round(installation: Installation, worker: Process, web: Web, found: _Found) -> None:
    count = installation.laboratory.sizes.waiters
    users, tokens = installation.make_users(count), installation.make_tokens(count)
    others = installation.make_event(1_000_000)
    web.warm_up(others, tokens[:ACCEPT_CONNECTIONS])
    event_id = _stand_in_line(installation, users)
    meter = CpuMeter({"API": web.process.pids})
    with _others_book(web, others, tokens) as accepted:
        _resume(installation)
        installation.wait_decided(worker, event_id, count)
        found.alone.append(accepted())
    accept_micros = meter.micros_each(1)["API"]
    _stand_in_line(installation, users)
    jobs = installation.list_jobs(users)
    followers = [_follower(web.port, *each) for each in zip(range(count), jobs, tokens, strict=True)]
    before = _resident_bytes(web)
    with crowd(web.port, followers) as heard:
        heard()  # everybody waits
        time.sleep(QUIET_SECONDS)
        found.kilobytes_each.append((_resident_bytes(web) - before) / 1e3 / count)
        meter = CpuMeter({"API": web.process.pids})
        time.sleep(QUIET_SECONDS)
        found.quiet_cores.append(meter.micros_each(1)["API"] / 1e6 / QUIET_SECONDS)
        meter = CpuMeter({"API": web.process.pids})
        with _others_book(web, others, tokens) as accepted:
            _resume(installation)
            told = heard()
            found.crowded.append(accepted())
        found.tell_micros.append(max(0.0, meter.micros_each(1)["API"] - accept_micros) / count)
    if told is None:
        raise BenchError("the crowd was not told")
    _note_lags(installation, followers, told, found)


def _stand_in_line(installation: Installation, users: list[int]) -> int:
    """Pauses the line and puts everybody into it for one event with seats for a quarter of them."""
    with transaction(installation.engine) as session:
        pause(session, actor_id=None, reason="bench")
    event_id = installation.make_event(max(len(users) // 4, 1))
    installation.fill(event_id, users)
    return event_id


def _resume(installation: Installation) -> None:
    with transaction(installation.engine) as session:
        resume(session, actor_id=None)


@contextmanager
def _others_book(web: Web, event_id: int, tokens: list[str]) -> Iterator[Callable[[], Outcome]]:
    """Bookings at a steady rate, for a second before the block and while some thousand a second are decided in it;
    what is given waits for what became of them.
    """
    seconds = 1 + len(tokens) / 1_000
    requests = [web.booking(event_id, token) for token in tokens[: max(1, int(seconds * ACCEPTS_PER_SECOND))]]
    due = [index / ACCEPTS_PER_SECOND for index in range(len(requests))]
    with ThreadPoolExecutor(1) as pool:
        booking = pool.submit(web.load, requests, connections=ACCEPT_CONNECTIONS, due=due)
        time.sleep(1.0)
        yield booking.result


def _follower(port: int, index: int, job: str, token: str) -> Follower:
    streams = index % STREAMS_EACH == 0
    path = f"/api/bookings/status/{job}{'/stream' if streams else f'?wait={WAIT_SECONDS}'}"
    return Follower(
        job=job, request=get_request(port, path, f"Authorization: Bearer {token}"), streams=streams
    )


def _resident_bytes(web: Web) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in web.worker_pids)


def _note_lags(installation: Installation, followers: list[Follower], told: Told, found: _Found) -> None:
    """From the moment in which the worker had committed and told Redis, to the client: one machine, one clock."""
    with installation.redis.pipeline(transaction=False) as pipe:
        for follower in followers:
            pipe.hget(keys.job(follower.job), "ended_at")
        ended = [parse_rfc3339(text_of(at)).timestamp() for at in pipe.execute()]
    lags: dict[bool, list[float]] = {True: [], False: []}
    for follower, at in zip(followers, ended, strict=True):
        lags[follower.streams].append(1000 * max(0.0, told.at[follower.job] - at))
    for streams, each in lags.items():
        found.lags_ms[streams] += each
    found.p99s_ms.append(percentile([*lags[True], *lags[False]], 0.99))
    found.seconds.append(max(ended) - min(ended))
    found.client_seconds.append(told.cpu_seconds)


def _figures(found: _Found, count: int) -> list[Figure]:
    by_stream, by_poll = found.lags_ms[True], found.lags_ms[False]
    alone, crowded = (
        [_p99_ms(outcome) for outcome in found.alone],
        [_p99_ms(outcome) for outcome in found.crowded],
    )
    times = [crowd / quiet for crowd, quiet in zip(crowded, alone, strict=True)]
    return [
        Figure(
            what=f"told after the decision, p99 of {count:,} who wait",
            value=median(found.p99s_ms),
            unit="ms",
            bar=BAR_TOLD_MS_P99,
            at_most=True,
            note=f"{spread(found.p99s_ms)}; all decided within {median(found.seconds):.2f} s; the client's CPU"
            f" {median(found.client_seconds):.2f} s",
        ),
        Figure(
            what="  p50 by stream, by long-poll",
            value=percentile(by_stream, 0.5),
            unit="ms",
            note=f"{percentile(by_poll, 0.5):.0f} ms by long-poll; p99 {percentile(by_stream, 0.99):.0f} and"
            f" {percentile(by_poll, 0.99):.0f} ms",
        ),
        Figure(
            what="  accept p99 meanwhile, × without them",
            value=median(times),
            unit="×",
            bar=BAR_ACCEPT_TIMES,
            at_most=True,
            note=f"{median(alone):.0f} → {median(crowded):.0f} ms at {ACCEPTS_PER_SECOND}/s, as many decided in both",
        ),
        Figure(
            what="  CPU of the API for each that is told",
            value=median(found.tell_micros),
            unit="µs",
            note=f"{spread(found.tell_micros)}; the new places of streams included, others' bookings not",
        ),
        Figure(
            what="  memory a waiting client",
            value=median(found.kilobytes_each),
            unit="KB",
            bar=BAR_KB_A_WAITER,
            at_most=True,
            note=spread(found.kilobytes_each, 1),
        ),
        Figure(
            what="  CPU of the API while nothing is decided",
            value=median(found.quiet_cores),
            unit="cores",
            note="places looked for and told",
        ),
    ]


def _p99_ms(outcome: Outcome) -> float:
    return 1000 * percentile(outcome.latencies, 0.99)
