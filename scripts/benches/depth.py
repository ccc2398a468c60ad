"""What accepting costs when the line is long: latency behind a deep line against an empty one."""

from scripts.benches.figures import Figure, Measurement, percentile
from scripts.benches.installation import Laboratory

BAR_TIMES_EMPTY = 1.2
CONNECTIONS = 8
TURNS = 10


def measure(laboratory: Laboratory) -> Measurement:
    """Two installations, each with a Redis and an API of its own, are asked in turns; no worker runs."""
    sizes = laboratory.sizes
    measurement = Measurement()
    deep_ms: list[float] = []
    empty_ms: list[float] = []
    with (
        laboratory.installation(measurement, own_redis=True) as deep,
        laboratory.installation(measurement, own_redis=True) as empty,
    ):
        tokens = {
            installation: installation.make_tokens(sizes.depth_probes) for installation in (deep, empty)
        }
        events = {installation: installation.make_event(sizes.depth) for installation in (deep, empty)}
        deep.fill(events[deep], deep.make_users(sizes.depth))
        with deep.web() as deep_web, empty.web() as empty_web:
            for installation, web in ((deep, deep_web), (empty, empty_web)):
                web.warm_up(events[installation], tokens[installation])
            for _ in range(TURNS):
                for installation, web, found in ((deep, deep_web, deep_ms), (empty, empty_web, empty_ms)):
                    requests = [web.booking(events[installation], token) for token in tokens[installation]]
                    outcome = web.load(requests, connections=CONNECTIONS)
                    found += [seconds * 1000 for seconds in outcome.latencies]
    at_most = f"depth 0 … {(TURNS + 1) * sizes.depth_probes:,}"
    p50, p50_empty = percentile(deep_ms, 0.5), percentile(empty_ms, 0.5)
    measurement.figures = [
        Figure(
            what=f"accept p50 at depth {sizes.depth:,}, × empty line",
            value=p50 / p50_empty,
            unit="×",
            bar=BAR_TIMES_EMPTY,
            at_most=True,
            note=f"{p50:.2f} ms, {p50_empty:.2f} ms at {at_most}; {CONNECTIONS} connections, {TURNS} turns",
        ),
        Figure(
            what="  accept p99, × empty line",
            value=percentile(deep_ms, 0.99) / percentile(empty_ms, 0.99),
            unit="×",
            note=f"{percentile(deep_ms, 0.99):.2f} ms, {percentile(empty_ms, 0.99):.2f} ms",
        ),
    ]
    return measurement
