"""How large the processes are after much work."""

from scripts.benches.figures import Figure, Measurement
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import Process, resident_megabytes
from scripts.benches.web import Web

BAR_MEGABYTES = 90
CONNECTIONS = 64


def measure(laboratory: Laboratory) -> Measurement:
    """One worker decides everything; part of it comes over HTTP, from more users than the API remembers."""
    sizes = laboratory.sizes
    measurement = Measurement()
    with laboratory.installation(measurement) as installation, installation.worker() as worker:
        with installation.web() as web:
            over_http(installation, web, worker)
            api = resident_megabytes(web.worker_pids)
        count = sizes.memory_decisions - sizes.memory_requests
        user_ids = installation.make_users(min(count, sizes.decisions))
        while count > 0:
            share = user_ids[:count]
            event_id = installation.make_event(max(1, len(share) // 4))
            installation.fill(event_id, share)
            installation.wait_decided(worker, event_id, len(share))
            count -= len(share)
        booking_worker = resident_megabytes(worker.pids)
    measurement.figures = [
        Figure(
            what="API process",
            value=api,
            unit="MB",
            bar=BAR_MEGABYTES,
            at_most=True,
            note=f"the larger of two, after {sizes.memory_requests:,} accepts of {sizes.memory_users:,} users",
        ),
        Figure(
            what="worker process",
            value=booking_worker,
            unit="MB",
            bar=BAR_MEGABYTES,
            at_most=True,
            note=f"after {sizes.memory_decisions:,} decisions",
        ),
    ]
    return measurement


def over_http(installation: Installation, web: Web, worker: Process) -> None:
    """The part of the requests that comes over HTTP, decided."""
    sizes = installation.laboratory.sizes
    tokens = installation.make_tokens(sizes.memory_users)
    event_id = installation.make_event(max(1, sizes.memory_requests // 4))
    requests = [web.booking(event_id, tokens[index % len(tokens)]) for index in range(sizes.memory_requests)]
    web.load(requests, connections=CONNECTIONS)
    installation.wait_decided(worker, event_id, sizes.memory_requests)
