"""Costs out of a bench's figures, and how far the model is from what was measured besides."""

from dataclasses import dataclass, fields, replace

from scripts.capacity.model import MICROS, Costs, Demand, Throughput


@dataclass(frozen=True, slots=True)
class Sample:
    """What a decision cost in batches of one size."""

    batch_size: float
    each: Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What was accepted and, in so many batches, decided at once, while more processes than cores wanted to work; how
    long that took, and the cores that others left.
    """

    accepts: int
    decisions: int
    batches: int
    seconds: float
    cores: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One configuration: what was measured, a second, and what the model says of it."""

    what: str
    measured: float
    model: Throughput

    @property
    def error(self) -> float:
        """How much too high (or, negative, too low) the model is, as a share of what was measured."""
        return self.model.per_second / self.measured - 1


def split(small: Sample, large: Sample) -> tuple[Demand, Demand]:
    """What a decision costs by itself, and what its batch costs once, so that batches of both sizes come out right.

    What would be negative (two equal batches, noise) is nothing: then everything is a decision's own cost.
    """
    each, batch = {}, {}
    rarer = 1 / small.batch_size - 1 / large.batch_size
    for part in fields(Demand):
        much, little = getattr(small.each, part.name), getattr(large.each, part.name)
        once = max(0.0, (much - little) / rarer) if rarer > 0 else 0.0
        once = min(once, little * large.batch_size)
        batch[part.name] = once
        each[part.name] = little - once / large.batch_size
    return Demand(**each), Demand(**batch)


def calibrate(
    accept: Demand,
    small: Sample,
    large: Sample,
    *,
    batch_max: int,
    patient_below: int,
    patience_us: float,
) -> Costs:
    """Costs of one API process' accepts and one worker's decisions in small and in large batches; the rest is how
    the worker is set. Tenths of a microsecond: what is finer is noise.
    """
    decision, batch = split(small, large)
    return Costs(
        accept=_rounded(accept),
        decision=_rounded(decision),
        batch=_rounded(batch),
        batch_max=batch_max,
        patient_below=patient_below,
        patience_us=patience_us,
    )


def price_of_company(costs: Costs, mixture: Mixture) -> float:
    """How many seconds of a core a second's worth of lone work took beside other work. Never less than one: what is
    cheaper in company is noise.

    It is more because the CPU of each is dearer (neighbours in the caches, interruptions), and because a core idles at
    times while who could use it waits for somebody who waits for the other core.
    """
    alone_us = (
        mixture.accepts * costs.accept.cpu_us
        + mixture.decisions * costs.decision.cpu_us
        + mixture.batches * costs.batch.cpu_us
    )
    return max(1.0, MICROS * mixture.cores * mixture.seconds / alone_us)


def in_company(costs: Costs, company: float) -> Costs:
    """The costs with that price. Hundredths: what is finer is noise."""
    return replace(costs, company=round(company, 2))


def _rounded(demand: Demand) -> Demand:
    return Demand(**{part.name: round(getattr(demand, part.name), 1) for part in fields(Demand)})
