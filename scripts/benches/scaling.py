"""How accepts and decisions grow with processes, what each cost by kind of process, and whether the model knew."""

from dataclasses import dataclass, field, fields
from typing import Final

from scripts.benches import scaling_report
from scripts.benches.figures import Measurement, median
from scripts.benches.installation import Laboratory
from scripts.benches.scaling_runs import (
    CONNECTIONS,
    Run,
    run_accepts,
    run_beside,
    run_decisions,
    run_end_to_end,
)
from scripts.capacity import model
from scripts.capacity.calibration import Mixture, Prediction, Sample, calibrate, in_company, price_of_company
from scripts.capacity.model import Costs, Demand, Size
from shared.settings import Settings
from worker.booking_worker import PATIENCE_SECONDS, SMALL_BATCH

COUNTS: Final = (1, 2, 4)  # of processes
# A tenth of the usual: what a batch costs once is then most of what a decision costs.
SMALL_BATCH_MAX: Final = 25
API_PROCESSES: Final = 2  # as an installation has them, for what is accepted and decided at once


@dataclass(slots=True)
class Runs:
    """Runs by configuration: number of processes → one a round."""

    accepts: dict[int, list[Run]] = field(default_factory=dict)
    decisions: dict[int, list[Run]] = field(default_factory=dict)
    small_batches: list[Run] = field(default_factory=list)
    end_to_end: list[Run] = field(default_factory=list)
    beside: list[Mixture] = field(default_factory=list)


def measure(laboratory: Laboratory) -> Measurement:
    """The model is told the costs of one API process and of one worker, each alone and beside each other, and how much
    of the machine others left during each run. From these it says what two and four processes do, and how fast a
    sell-out is.
    """
    measurement, runs = Measurement(), Runs()
    for count in COUNTS:
        if count <= laboratory.sizes.processes_max:
            runs.accepts[count], runs.decisions[count] = [], []
    for _ in range(laboratory.sizes.rounds):
        _take_round(laboratory, measurement, runs)
    costs = calibrate_from(runs)
    scaling_report.fill_in(measurement, runs, costs, predict(costs, runs))
    return measurement


def _take_round(laboratory: Laboratory, measurement: Measurement, runs: Runs) -> None:
    sizes, batch_max = laboratory.sizes, Settings().batch_max
    with laboratory.installation(measurement) as installation:
        tokens = installation.make_tokens(sizes.scaling_accepts)
        runs.end_to_end.append(run_end_to_end(installation, tokens, processes=API_PROCESSES))
        for count, found in runs.accepts.items():
            found.append(run_accepts(installation, tokens, sizes.scaling_accepts, processes=count))
    with laboratory.installation(measurement) as installation:
        user_ids = installation.make_users(sizes.scaling_decisions)
        for count, found in runs.decisions.items():
            found.append(
                run_decisions(
                    installation, user_ids, sizes.scaling_decisions, workers=count, batch_max=batch_max
                )
            )
        small_count = max(sizes.scaling_decisions // 4, SMALL_BATCH_MAX)
        runs.small_batches.append(
            run_decisions(installation, user_ids, small_count, workers=1, batch_max=SMALL_BATCH_MAX)
        )
        fewer = installation.make_tokens(max(1, sizes.scaling_accepts // 3))
        runs.beside.append(run_beside(installation, fewer, user_ids, sizes.scaling_decisions // 2))


def calibrate_from(runs: Runs) -> Costs:
    """Of the runs with one process each: alone, the small batches included, and beside each other."""
    large, small = middle(runs.decisions[1]), middle(runs.small_batches)
    alone = calibrate(
        middle(runs.accepts[1]).each,
        Sample(small.batch_size, small.each),
        Sample(large.batch_size, large.each),
        batch_max=Settings().batch_max,
        patient_below=SMALL_BATCH,
        patience_us=PATIENCE_SECONDS * 1e6,
    )
    return in_company(alone, median([price_of_company(alone, mixture) for mixture in runs.beside]))


def predict(costs: Costs, runs: Runs) -> dict[str, Prediction]:
    """What the model says of every configuration, beside what was measured."""
    found = {}
    for count, of_count in runs.accepts.items():
        run = middle(of_count)
        size = Size(cores=run.cores, api_processes=count, clients=1, connections=CONNECTIONS)
        name = f"accepts, {_processes(count, 'API process')}"
        found[name] = Prediction(name, run.rate, model.accepts(costs, size))
    for count, of_count in runs.decisions.items():
        run = middle(of_count)
        size = Size(cores=run.cores, workers=count, busy_partitions=Settings().partitions)
        name = f"decisions, {_processes(count, 'worker')}"
        found[name] = Prediction(name, run.rate, model.decisions(costs, size))
    run = middle(runs.end_to_end)
    size = Size(cores=run.cores, api_processes=API_PROCESSES, clients=1, connections=CONNECTIONS)
    found["end to end"] = Prediction("end to end", run.rate, model.end_to_end(costs, size))
    return found


def middle(runs: list[Run]) -> Run:
    """The median of each value on its own."""
    each = {part.name: median([getattr(run.each, part.name) for run in runs]) for part in fields(Demand)}
    return Run(
        rate=median([run.rate for run in runs]),
        each=Demand(**each),
        cores=median([run.cores for run in runs]),
        batch_size=median([run.batch_size for run in runs]),
    )


def _processes(count: int, kind: str) -> str:
    plural = "es" if kind.endswith("s") else "s"
    return f"{count} {kind}{'' if count == 1 else plural}"
