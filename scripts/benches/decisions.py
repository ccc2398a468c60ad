"""Decisions a second of one worker on one hot event, against stock RQ and PostgreSQL alone."""

from typing import Final

from scripts.benches.deciding import REQUESTS_PER_SEAT, decide
from scripts.benches.figures import Figure, Measurement, median, spread
from scripts.benches.installation import Laboratory
from scripts.benches.processes import cpu_note
from scripts.benches.references import References

BAR_PER_SECOND: Final = 12_000


def measure(laboratory: Laboratory) -> Measurement:
    """The line is full before the worker starts; a round of the references follows each round of ours."""
    sizes = laboratory.sizes
    measurement = Measurement()
    references = References(laboratory)
    rounds = []
    with laboratory.installation(measurement) as installation:
        user_ids = installation.make_users(sizes.decisions)
        for _ in range(sizes.rounds):
            rounds.append(decide(installation, user_ids))
            references.take_round()
    rates = [decided.rate for decided in rounds]
    cpu = {name: median([decided.cpu_micros[name] for decided in rounds]) for name in rounds[0].cpu_micros}
    waiting = f"{sizes.decisions:,} waiting on one event for {sizes.decisions // REQUESTS_PER_SEAT:,} seats"
    measurement.figures = [
        Figure(
            what="decisions, one worker",
            value=median(rates),
            unit="/s",
            bar=BAR_PER_SECOND,
            note=f"{waiting}; {spread(rates)}; a decision: {cpu_note(cpu)}",
        ),
        *references.figures(rates),
    ]
    return measurement
