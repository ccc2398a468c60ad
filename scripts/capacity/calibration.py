"""Costs out of a bench's figures, and how far the model is from what was measured besides."""

from dataclasses import dataclass, fields

from scripts.capacity.model import Costs, Demand, Throughput


@dataclass(frozen=True, slots=True)
class Sample:
    """What a decision cost in batches of one size."""

    batch_size: float
    each: Demand


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


def _rounded(demand: Demand) -> Demand:
    return Demand(**{part.name: round(getattr(demand, part.name), 1) for part in fields(Demand)})
