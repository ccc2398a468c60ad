"""Figures, curves and tables of `scaling`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from scripts.benches.figures import Figure, Measurement, median, spread
from scripts.benches.scaling_runs import Run
from scripts.benches.series import Curve, Line, Table
from scripts.capacity.calibration import Mixture, Prediction, price_of_company
from scripts.capacity.markdown import PARTS, costs_rows
from scripts.capacity.model import Costs, Demand
from scripts.capacity.outlook import COLUMNS, outlook

if TYPE_CHECKING:
    from scripts.benches.scaling import Runs

MODEL_ERROR_BAR: Final = 0.15
# What the bar binds: two of what the model knows one of, and both at once.
JUDGED: Final = ("accepts, 2 API processes", "decisions, 2 workers", "end to end")
KINDS: Final = {part: name for name, part in PARTS.items() if part != "wait_us"}


def fill_in(
    measurement: Measurement, runs: "Runs", costs: Costs, predictions: Mapping[str, Prediction]
) -> None:
    """Everything that the runs say."""
    by_name = dict(
        zip(predictions, [*runs.accepts.values(), *runs.decisions.values(), runs.end_to_end], strict=True)
    )
    measurement.figures = [_rate(name, by_name[name], found) for name, found in predictions.items()]
    measurement.figures += [_company(runs.beside, costs), _error(predictions)]
    measurement.curves = [
        *_curves("accepts", "API processes", runs.accepts, predictions),
        *_curves("decisions", "workers", runs.decisions, predictions),
    ]
    measurement.tables = [_costs(costs), _outlook(costs)]


def cpu_by_kind(each: Demand) -> str:
    """For a note: who used how much CPU; kinds that used none are left out."""
    used = [(name, getattr(each, part)) for part, name in KINDS.items()]
    return "CPU " + ", ".join(f"{name} {value:.0f} µs" for name, value in used if value >= 0.5)


def _rate(name: str, runs: list[Run], found: Prediction) -> Figure:
    rates, cores = [run.rate for run in runs], median([run.cores for run in runs])
    batches = median([run.batch_size for run in runs])
    each = Demand(**{part: median([getattr(run.each, part) for run in runs]) for part in PARTS.values()})
    parts = [
        f"model {found.model.per_second:,.0f}/s: {found.model.limit.resource}",
        f"others left {cores:.2f} cores",
        spread(rates),
        f"each: {cpu_by_kind(each)}",
    ]
    if batches:
        parts.insert(2, f"batches of {batches:.0f}")
    return Figure(
        what=name,
        value=found.measured,
        unit="/s",
        note="; ".join(parts),
        client_cpu=found.measured * each.client_us / 1e6 if each.client_us else None,
    )


def _company(beside: list[Mixture], costs: Costs) -> Figure:
    prices = [price_of_company(costs, mixture) for mixture in beside]
    accepted = median([mixture.accepts / mixture.seconds for mixture in beside])
    decided = median([mixture.decisions / mixture.seconds for mixture in beside])
    cores = median([mixture.cores for mixture in beside])
    return Figure(
        what="price of company",
        value=costs.company,
        unit="×",
        note=f"one API process' {accepted:,.0f} accepts a second beside one worker's {decided:,.0f} decisions, over"
        f" what they cost alone; others left {cores:.2f} cores; {spread(prices, 2)}",
    )


def _error(predictions: Mapping[str, Prediction]) -> Figure:
    judged = [predictions[name] for name in JUDGED]
    return Figure(
        what="model against measured, farthest off",
        value=max(abs(found.error) for found in judged),
        bar=MODEL_ERROR_BAR,
        at_most=True,
        note="; ".join(f"{found.what} {found.error:+.0%}" for found in judged),
    )


def _curves(
    what: str, x: str, runs: Mapping[int, list[Run]], predictions: Mapping[str, Prediction]
) -> list[Curve]:
    found = dict(zip(runs, [one for name, one in predictions.items() if name.startswith(what)], strict=True))
    measured = [(float(count), one.measured) for count, one in found.items()]
    model = [(float(count), one.model.per_second) for count, one in found.items()]
    cores = ", ".join(f"{median([run.cores for run in of_count]):.2f}" for of_count in runs.values())
    kinds = [
        Line(
            name=name,
            points=[
                (float(n), median([getattr(run.each, part) for run in of_n])) for n, of_n in runs.items()
            ],
        )
        for part, name in KINDS.items()
    ]
    return [
        Curve(
            what=f"{what} over {x}",
            x=x,
            lines=[Line(name="measured", points=measured), Line(name="model", points=model, is_model=True)],
            note=f"others left {cores} cores",
        ),
        Curve(
            what=f"CPU of each of the {what} by kind of process",
            x=x,
            unit="µs",
            lines=[kind for kind in kinds if any(y for _, y in kind.points)],
            is_stacked=True,
        ),
    ]


def _costs(costs: Costs) -> Table:
    return Table(
        what="what the model reckons with: microseconds",
        columns=("", *PARTS),
        rows=costs_rows(costs),
        note="CPU of one API process' accepts, and of one worker's decisions in batches of two sizes; waiting is"
        " what an accept of a single connection, or a worker whose line is full, stands still for; in company is where"
        " every core is busy",
    )


def _outlook(costs: Costs) -> Table:
    return Table(
        what="what the model says of other sizes",
        columns=COLUMNS,
        rows=outlook(costs),
        note="cores like these, clients elsewhere; in brackets the bottleneck",
    )
