"""Requests that come when they come, as many a second as the machine can well bear: how long until each is decided.

An open loop: nobody waits for anybody else's answer, and a latency counts from when its request was due.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, busiest
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import Process
from scripts.benches.series import Distribution
from scripts.benches.told import Told
from scripts.benches.web import Web
from scripts.load.arrivals import due_times
from shared.db import transaction

LIGHT_RATE: Final = 500
RATE: Final = 1_000
BAR_LIGHT_ACCEPT_P99_MS: Final = 15
BAR_P50_MS: Final = 15
BAR_P99_MS: Final = 60
REQUESTS_PER_SEAT: Final = 4
# So many may wait for their answer at once before the load itself is late.
CONNECTIONS: Final = 256
WARM_UP_CONNECTIONS: Final = 64

_ACCEPTED: Final = """
select cast(job_id as text), extract(epoch from accepted_at) from decisions
where event_id = :event_id and arrival is not null
"""


@dataclass(frozen=True, slots=True)
class _Round:
    outcome: Outcome
    accept_ms: list[float]
    decided_ms: list[float]

    @property
    def rate(self) -> float:
        return self.outcome.rate

    @property
    def late_ms_p99(self) -> float:
        return percentile(self.outcome.lateness, 0.99) * 1000


def measure(laboratory: Laboratory) -> Measurement:
    """API, one worker, both servers and the load share the machine; the two rates take turns."""
    measurement = Measurement()
    found: dict[int, list[_Round]] = {LIGHT_RATE: [], RATE: []}
    with (
        laboratory.installation(measurement) as installation,
        installation.worker() as worker,
        installation.web() as web,
    ):
        tokens = installation.make_tokens(laboratory.sizes.steady)
        web.warm_up(installation.make_event(WARM_UP_CONNECTIONS), tokens[:WARM_UP_CONNECTIONS])
        for seed in range(laboratory.sizes.rounds):
            for rate, rounds in found.items():
                # as long as the other one: half the rate, half the requests
                asking = tokens[: max(1, len(tokens) * rate // RATE)]
                rounds.append(_round(installation, worker, web, asking, rate=rate, seed=seed))
    measurement.figures = [*_light_figures(found[LIGHT_RATE]), *_steady_figures(found[RATE])]
    for rate, rounds in found.items():
        for what, values in (
            ("due → accepted", [value for one in rounds for value in one.accept_ms]),
            ("accepted → decided", [value for one in rounds for value in one.decided_ms]),
        ):
            measurement.distributions.append(Distribution(what=f"{what}, {rate:,}/s", values=values))
    return measurement


def _round(
    installation: Installation, worker: Process, web: Web, tokens: list[str], *, rate: int, seed: int
) -> _Round:
    event_id = installation.make_event(max(1, len(tokens) // REQUESTS_PER_SEAT))
    requests = [web.booking(event_id, token) for token in tokens]
    due = list(due_times("poisson", len(requests), rate=rate, seed=seed))
    with Told(installation.settings.redis_url) as told:
        outcome = web.load(requests, connections=CONNECTIONS, due=due, may_be_busy=True)
        installation.wait_decided(worker, event_id, outcome.accepted)
        worker.wait_until(lambda: not installation.count_waiting(), what="the last reply")
    with transaction(installation.engine) as session:
        accepted = session.execute(text(_ACCEPTED), {"event_id": event_id}).all()
    decided = [
        (told.instants[job_id] - float(instant)) * 1000
        for job_id, instant in accepted
        if job_id in told.instants
    ]
    return _Round(outcome, [seconds * 1000 for seconds in outcome.latencies], decided)


def _light_figures(rounds: list[_Round]) -> list[Figure]:
    p50s = [percentile(one.accept_ms, 0.5) for one in rounds]
    return [
        _first(
            f"accept p99 at {LIGHT_RATE}/s",
            [percentile(one.accept_ms, 0.99) for one in rounds],
            rounds,
            bar=BAR_LIGHT_ACCEPT_P99_MS,
        ),
        Figure(what="  p50", value=median(p50s), unit="ms"),
    ]


def _steady_figures(rounds: list[_Round]) -> list[Figure]:
    p99s = [percentile(one.decided_ms, 0.99) for one in rounds]
    accept_p99s = [percentile(one.accept_ms, 0.99) for one in rounds]
    busy = sum(one.outcome.busy for one in rounds)
    return [
        _first(
            f"accepted → decided p50 at {RATE:,}/s",
            [percentile(one.decided_ms, 0.5) for one in rounds],
            rounds,
            bar=BAR_P50_MS,
            says="from Redis' clock in the ledger to when it was told; ",
        ),
        Figure(
            what="  p99", value=median(p99s), unit="ms", bar=BAR_P99_MS, at_most=True, note=spread(p99s, 1)
        ),
        Figure(what="  accept p99", value=median(accept_p99s), unit="ms", note=spread(accept_p99s, 1)),
        Figure(
            what="  answered 503", value=busy, bar=0, at_most=True, note="of all rounds; nothing accepted"
        ),
    ]


def _first(what: str, values: list[float], rounds: list[_Round], *, bar: float, says: str = "") -> Figure:
    """A rate's first figure, which also says how the load was."""
    return Figure(
        what=what,
        value=median(values),
        unit="ms",
        bar=bar,
        at_most=True,
        note=f"{says}{_open_loop(rounds)}; {spread(values, 1)}",
        client_cpu=busiest([one.outcome for one in rounds]),
    )


def _open_loop(rounds: list[_Round]) -> str:
    rate = median([one.rate for one in rounds])
    late = median([one.late_ms_p99 for one in rounds])
    return f"open loop, Poisson; {rate:,.0f}/s answered; sent {late:.1f} ms after it was due (p99)"
