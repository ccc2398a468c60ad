"""One booking on an idle system, the client waiting for its decision."""

from scripts.benches.figures import Figure, Measurement, percentile
from scripts.benches.installation import Laboratory
from scripts.benches.series import Distribution

PAUSE_SECONDS = 0.01
BAR_P50_MS = 12


def measure(laboratory: Laboratory) -> Measurement:
    """From sending the request with `Prefer: wait` to the decision in hand, one after another."""
    measurement = Measurement()
    count = laboratory.sizes.idle
    with (
        laboratory.installation(measurement) as installation,
        installation.worker(),
        installation.web() as web,
    ):
        tokens = installation.make_tokens(count)
        event_id = installation.make_event(2 * count)
        web.warm_up(installation.make_event(count), tokens[:8])
        requests = [web.booking(event_id, token, prefer="wait=5") for token in tokens]
        outcome = web.load(requests, connections=1, pause_seconds=PAUSE_SECONDS)
    milliseconds = [seconds * 1000 for seconds in outcome.latencies]
    measurement.figures = [
        Figure(
            what="single booking to decision p50",
            value=percentile(milliseconds, 0.5),
            unit="ms",
            bar=BAR_P50_MS,
            at_most=True,
            note=f"{count:,} one after another on an idle system, `Prefer: wait`",
            client_cpu=outcome.cpu_share,
        ),
        Figure(what="  p99", value=percentile(milliseconds, 0.99), unit="ms"),
    ]
    measurement.distributions = [Distribution(what="single booking to decision", values=milliseconds)]
    return measurement
