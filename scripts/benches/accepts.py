"""Accepts a second over HTTP with everything on, against a no-op Flask route on the same server."""

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, busiest, get_request
from scripts.benches.installation import Laboratory
from scripts.benches.processes import CpuMeter, cpu_note
from scripts.benches.series import Distribution
from scripts.benches.web import Web

BAR_PER_SECOND = 3_000
BAR_TIMES_NOOP = 0.33
BAR_P99_MS = 60
CONNECTIONS = 64
REQUESTS_PER_USER = 4  # of the requests in a round: as many come with a token that their process never saw


def measure(laboratory: Laboratory) -> Measurement:
    """Token, revocation, validation, limits, rate and an Idempotency-Key on every request; no worker runs."""
    sizes = laboratory.sizes
    measurement = Measurement()
    accepts: list[Outcome] = []
    noops: list[Outcome] = []
    cpu: dict[str, float] = {}
    noop_cpu: dict[str, float] = {}
    with laboratory.installation(measurement) as installation:
        tokens = installation.make_tokens(max(sizes.accepts // REQUESTS_PER_USER, CONNECTIONS))
        with installation.web() as web, installation.web("scripts.benches.noop_app:app") as noop:
            event_id = installation.make_event(100_000)
            web.warm_up(event_id, tokens[:CONNECTIONS])
            for _ in range(sizes.rounds):
                plain = [get_request(noop.port, "/noop")] * sizes.accepts
                meter = CpuMeter({"server": noop.process.pids})
                noops.append(noop.load(plain, connections=CONNECTIONS))
                noop_cpu = meter.micros_each(sizes.accepts)
                meter = CpuMeter({"API": web.process.pids, "Redis": installation.redis_server.pids})
                accepts.append(_round(web, event_id, tokens, sizes.accepts))
                cpu = meter.micros_each(sizes.accepts)
    measurement.figures = _figures(accepts, noops, cpu_note(cpu), cpu_note(noop_cpu))
    measurement.distributions = [
        Distribution(what=f"{what}, {CONNECTIONS} connections", values=_milliseconds(outcomes))
        for what, outcomes in (("accept", accepts), ("no-op route", noops))
    ]
    return measurement


def _round(web: Web, event_id: int, tokens: list[str], count: int) -> Outcome:
    requests = [web.booking(event_id, tokens[index % len(tokens)]) for index in range(count)]
    return web.load(requests, connections=CONNECTIONS)


def _figures(accepts: list[Outcome], noops: list[Outcome], cpu: str, noop_cpu: str) -> list[Figure]:
    rates, noop_rates = [outcome.rate for outcome in accepts], [outcome.rate for outcome in noops]
    times = [rate / noop for rate, noop in zip(rates, noop_rates, strict=True)]
    latencies = _milliseconds(accepts)
    return [
        Figure(
            what=f"accepts, {CONNECTIONS} connections",
            value=median(rates),
            unit="/s",
            bar=BAR_PER_SECOND,
            note=f"{spread(rates)}; an accept: {cpu}",
            client_cpu=busiest(accepts),
        ),
        Figure(
            what="  × no-op route", value=median(times), unit="×", bar=BAR_TIMES_NOOP, note=spread(times, 2)
        ),
        Figure(
            what="  no-op route",
            value=median(noop_rates),
            unit="/s",
            note=f"{spread(noop_rates)}; {noop_cpu}",
            client_cpu=busiest(noops),
        ),
        Figure(what="  accept p50", value=percentile(latencies, 0.5), unit="ms"),
        Figure(
            what="  accept p99", value=percentile(latencies, 0.99), unit="ms", bar=BAR_P99_MS, at_most=True
        ),
    ]


def _milliseconds(outcomes: list[Outcome]) -> list[float]:
    return [seconds * 1000 for outcome in outcomes for seconds in outcome.latencies]
