"""What everybody sees alike, given from memory: a list and an event over HTTP, against a route that does nothing."""

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, busiest, get_request
from scripts.benches.installation import Laboratory
from scripts.benches.processes import CpuMeter, cpu_note

BAR_PER_SECOND = 4_000
CONNECTIONS = 64
EVENTS = 20  # a page


def measure(laboratory: Laboratory) -> Measurement:
    """The same list, event and slots again and again, as during a sale; looks are counted and written meanwhile."""
    sizes = laboratory.sizes
    measurement = Measurement()
    with laboratory.installation(measurement) as installation:
        event_id, *_ = [installation.make_event(100) for _ in range(EVENTS)]
        paths = {
            f"a list of {EVENTS} events": ("/api/events",),
            "  the same, gzip": ("/api/events", "Accept-Encoding: gzip"),
            "an event": (f"/api/events/{event_id}",),
            "  its slots": (f"/api/events/{event_id}/slots",),
        }
        outcomes: dict[str, list[Outcome]] = {name: [] for name in ("noop", *paths)}
        cpu: dict[str, str] = {}
        with installation.web() as web, installation.web("scripts.benches.noop_app:app") as noop:
            for _ in range(sizes.rounds):
                plain = [get_request(noop.port, "/noop")] * sizes.reads
                meter = CpuMeter({"server": noop.process.pids})
                outcomes["noop"].append(noop.load(plain, connections=CONNECTIONS))
                cpu["noop"] = cpu_note(meter.micros_each(sizes.reads))
                for name, request in paths.items():
                    requests = [get_request(web.port, *request)] * sizes.reads
                    meter = CpuMeter({"API": web.process.pids, "PostgreSQL": laboratory.postgres.pids})
                    outcomes[name].append(web.load(requests, connections=CONNECTIONS))
                    cpu[name] = cpu_note(meter.micros_each(sizes.reads))
    noops = [outcome.rate for outcome in outcomes["noop"]]
    for name in paths:
        rates = [outcome.rate for outcome in outcomes[name]]
        times = [rate / noop for rate, noop in zip(rates, noops, strict=True)]
        latencies = [seconds * 1000 for outcome in outcomes[name] for seconds in outcome.latencies]
        measurement.figures.append(
            Figure(
                what=f"{name}, {CONNECTIONS} connections",
                value=median(rates),
                unit="/s",
                bar=None if name.startswith(" ") else BAR_PER_SECOND,
                note=f"{spread(rates)}; {median(times):.2f} × no-op;"
                f" p99 {percentile(latencies, 0.99):.0f} ms; {cpu[name]}",
                client_cpu=busiest(outcomes[name]),
            )
        )
    measurement.figures.append(
        Figure(
            what="  no-op route",
            value=median(noops),
            unit="/s",
            note=f"{spread(noops)}; {cpu['noop']}",
            client_cpu=busiest(outcomes["noop"]),
        )
    )
    return measurement
