"""A sell-out from HTTP to the ledger: API, worker, both servers and the client share the machine."""

from dataclasses import dataclass

from sqlalchemy import text

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import Process
from scripts.benches.web import Web
from shared.db import transaction

BAR_PER_SECOND = 1_500
CONNECTIONS = 64
REQUESTS_PER_SEAT = 4

_LEDGER = """
select count(*), count(*) filter (where outcome = 'confirmed'),
       coalesce(max(arrival) filter (where outcome = 'confirmed'), 0), extract(epoch from max(decided_at))
from decisions where event_id = :event_id and arrival is not null
"""


@dataclass(frozen=True, slots=True)
class _Round:
    rate: float
    lag_ms: float
    outcome: Outcome


def measure(laboratory: Laboratory) -> Measurement:
    """Everybody asks once, with an own account and a token the server never saw; nobody polls."""
    sizes = laboratory.sizes
    measurement = Measurement()
    rounds = []
    with laboratory.installation(measurement) as installation:
        tokens = installation.make_tokens(sizes.end_to_end)
        for _ in range(sizes.rounds):
            with installation.worker() as worker, installation.web() as web:
                rounds.append(_round(installation, worker, web, tokens, measurement))
    rates = [found.rate for found in rounds]
    latencies = [seconds * 1000 for found in rounds for seconds in found.outcome.latencies]
    client = median([found.outcome.cpu_share for found in rounds])
    asked = f"{sizes.end_to_end:,} requests for {sizes.end_to_end // REQUESTS_PER_SEAT:,} seats"
    measurement.figures = [
        Figure(
            what="end to end, decided",
            value=median(rates),
            unit="/s",
            bar=BAR_PER_SECOND,
            note=f"{asked}, {CONNECTIONS} connections; {spread(rates)}; client {client:.2f} of a core",
        ),
        Figure(
            what="  last 202 to last decision", value=median([found.lag_ms for found in rounds]), unit="ms"
        ),
        Figure(what="  accept p50", value=percentile(latencies, 0.5), unit="ms"),
        Figure(what="  accept p99", value=percentile(latencies, 0.99), unit="ms"),
    ]
    return measurement


def _round(
    installation: Installation, worker: Process, web: Web, tokens: list[str], measurement: Measurement
) -> _Round:
    web.warm_up(installation.make_event(CONNECTIONS), tokens[:CONNECTIONS])
    count, seats = len(tokens), len(tokens) // REQUESTS_PER_SEAT
    event_id = installation.make_event(seats)
    outcome = web.load([web.booking(event_id, token) for token in tokens], connections=CONNECTIONS)
    installation.wait_decided(worker, event_id, count)
    with transaction(installation.engine) as session:
        decided, confirmed, last_confirmed, ended_at = session.execute(
            text(_LEDGER), {"event_id": event_id}
        ).one()
    if (decided, confirmed, last_confirmed) != (count, seats, seats):
        measurement.violations.append(
            f"event {event_id}: {count} accepted for {seats} seats; {decided} decided, {confirmed} confirmed,"
            f" the last of them arrival {last_confirmed}"
        )
    # One machine, one clock: the client's is PostgreSQL's.
    ended = float(ended_at)
    return _Round(
        rate=count / (ended - outcome.first_sent_at),
        lag_ms=max(0.0, ended - outcome.last_answer_at) * 1000,
        outcome=outcome,
    )
