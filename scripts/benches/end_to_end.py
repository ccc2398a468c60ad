"""A sell-out from HTTP to the ledger: API, worker, both servers and the client share the machine."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, busiest
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import CpuMeter, Process, cpu_note
from scripts.benches.series import Distribution
from scripts.benches.told import Told
from scripts.benches.web import Web
from shared.db import transaction

BAR_PER_SECOND: Final = 2_300
BAR_POLLED_PER_SECOND: Final = 1_700
BAR_LAG_MS: Final = 500
CONNECTIONS: Final = 200
REQUESTS_PER_SEAT: Final = 4

_LEDGER: Final = """
select count(*), count(*) filter (where outcome = 'confirmed'),
       coalesce(max(arrival) filter (where outcome = 'confirmed'), 0)
from decisions where event_id = :event_id and arrival is not null
"""


@dataclass(frozen=True, slots=True)
class _Round:
    rate: float
    lag_ms: float
    outcome: Outcome
    cpu: dict[str, float]


def measure(laboratory: Laboratory) -> Measurement:
    """Everybody asks once, with an own account and a token the server never saw; then the same, and everybody looks
    once for what became of it. The rounds of the two take turns.
    """
    sizes = laboratory.sizes
    measurement = Measurement()
    plain: list[_Round] = []
    polled: list[_Round] = []
    with laboratory.installation(measurement) as installation:
        tokens = installation.make_tokens(2 * sizes.end_to_end)
        for _ in range(sizes.rounds):
            # New processes, who have seen none of these tokens; half of the people ask in each of the two.
            with installation.worker() as worker, installation.web() as web:
                for rounds, first, polls in ((plain, 0, False), (polled, sizes.end_to_end, True)):
                    asking = tokens[first : first + sizes.end_to_end]
                    rounds.append(_round(installation, worker, web, asking, measurement, polls=polls))
    measurement.figures = [*_figures(plain, polls=False), *_figures(polled, polls=True)]
    latencies = {name: _milliseconds(rounds) for name, rounds in (("accepts", plain), ("with polls", polled))}
    measurement.distributions = [
        Distribution(what=f"{name}, {CONNECTIONS} connections", values=values)
        for name, values in latencies.items()
    ]
    return measurement


def _figures(rounds: list[_Round], *, polls: bool) -> list[Figure]:
    rates, lags = [found.rate for found in rounds], [found.lag_ms for found in rounds]
    outcomes = [found.outcome for found in rounds]
    count = len(outcomes[0].latencies)
    asked = f"{count:,} requests for {count // REQUESTS_PER_SEAT:,} seats, {CONNECTIONS} connections"
    latencies = _milliseconds(rounds)
    busy = sum(outcome.busy for outcome in outcomes)
    cpu = {name: median([found.cpu[name] for found in rounds]) for name in rounds[0].cpu}
    return [
        Figure(
            what="end to end with a status poll each, decided" if polls else "end to end, decided",
            value=median(rates),
            unit="/s",
            bar=BAR_POLLED_PER_SECOND if polls else BAR_PER_SECOND,
            note=f"{asked}; {spread(rates)}; a request: {cpu_note(cpu)}",
            client_cpu=busiest(outcomes),
        ),
        Figure(
            what="  last 202 to last decision",
            value=median(lags),
            unit="ms",
            bar=BAR_LAG_MS,
            at_most=True,
            note="committed and told",
        ),
        Figure(
            what="  answered 503", value=busy, bar=0, at_most=True, note="of all rounds; nothing accepted"
        ),
        Figure(what="  accept p50", value=percentile(latencies, 0.5), unit="ms"),
        Figure(what="  accept p99", value=percentile(latencies, 0.99), unit="ms"),
    ]


def _milliseconds(rounds: list[_Round]) -> list[float]:
    return [seconds * 1000 for found in rounds for seconds in found.outcome.latencies]


def _round(
    installation: Installation,
    worker: Process,
    web: Web,
    tokens: list[str],
    measurement: Measurement,
    *,
    polls: bool,
) -> _Round:
    web.warm_up(installation.make_event(CONNECTIONS), tokens[:CONNECTIONS])
    seats = max(1, len(tokens) // REQUESTS_PER_SEAT)
    event_id = installation.make_event(seats)
    requests = [web.booking(event_id, token) for token in tokens]
    looks = [web.poll(token) for token in tokens] if polls else []
    with Told(installation.settings.redis_url) as told:
        meter = CpuMeter(
            {
                "API": web.process.pids,
                "worker": worker.pids,
                "Redis": installation.redis_server.pids,
                "PostgreSQL": installation.laboratory.postgres.pids,
            }
        )
        outcome = web.load(requests, connections=CONNECTIONS, polls=looks, may_be_busy=True)
        count = outcome.accepted
        installation.wait_decided(worker, event_id, count)
        worker.wait_until(lambda: not installation.count_waiting(), what="the last reply")
        cpu = meter.micros_each(count)
    _check(installation, event_id, count, min(seats, count), measurement)
    ended = max(told.instants.values())
    return _Round(
        rate=count / (ended - outcome.first_sent_at),
        lag_ms=max(0.0, ended - outcome.last_accept_at) * 1000,
        outcome=outcome,
        cpu=cpu,
    )


def _check(
    installation: Installation, event_id: int, count: int, seats: int, measurement: Measurement
) -> None:
    """Outcomes as the ledger has them: the first get the seats, everybody is decided."""
    with transaction(installation.engine) as session:
        decided, confirmed, last = session.execute(text(_LEDGER), {"event_id": event_id}).one()
    if (decided, confirmed, last) != (count, seats, seats):
        measurement.violations.append(
            f"event {event_id}: {count} accepted for {seats} seats; {decided} decided, {confirmed} confirmed,"
            f" the last of them arrival {last}"
        )
