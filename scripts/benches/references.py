"""What decisions are compared with, measured in turns with them: stock RQ, and PostgreSQL alone."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Final

from scripts.benches.figures import Figure, median, spread
from scripts.benches.installation import Laboratory
from scripts.benches.postgres_alone import BATCHES, SINGLE, Shape, measure_alone
from scripts.benches.stock_rq import measure_stock

BAR_TIMES_SIMPLE: Final = 80
BAR_TIMES_ALONE: Final = 3
_DATABASE: Final = "references"
_SIMPLE: Final = "stock RQ SimpleWorker"
_FORKING: Final = "stock RQ Worker"
_BATCHES: Final = f"PostgreSQL alone, {BATCHES.name}"


class References:
    """A round after each round of decisions; the ratio is of the two that stand beside each other."""

    def __init__(self, laboratory: Laboratory) -> None:
        laboratory.postgres.create_database(_DATABASE)
        self._laboratory = laboratory
        self._sizes = laboratory.sizes
        self._database_url = laboratory.postgres.database_url(_DATABASE)
        self._rates: dict[str, list[float]] = defaultdict(list)

    def take_round(self) -> None:
        """Each of them once."""
        for name, measure in self._measures().items():
            self._rates[name].append(measure())

    def figures(self, rates: list[float]) -> list[Figure]:
        """`rates`, the decisions a second of as many rounds, as multiples of each, and each itself.

        Of the ways to book singly, the bar is against the one that is fastest here.
        """
        fastest = max(map(_name, SINGLE), key=lambda name: median(self._rates[name]))
        bars = {_SIMPLE: BAR_TIMES_SIMPLE, fastest: BAR_TIMES_ALONE}
        return [
            figure
            for name, found in self._rates.items()
            for figure in (
                _times(name, rates, found, bars.get(name)),
                Figure(what=f"  {name}", value=median(found), unit="/s", note=spread(found)),
            )
        ]

    def _measures(self) -> dict[str, Callable[[], float]]:
        sizes, url = self._sizes, self._database_url
        folder = self._laboratory.folder
        redis_url = f"{self._laboratory.redis.url}?db=15"  # the last one: an installation uses the first
        return {
            _SIMPLE: lambda: measure_stock(url, redis_url, sizes.stock_jobs),
            _FORKING: lambda: measure_stock(url, redis_url, sizes.stock_forks, forking=True),
            **{_name(shape): partial(measure_alone, url, shape, folder) for shape in SINGLE},
            _BATCHES: partial(measure_alone, url, BATCHES, folder),
        }


def _name(shape: Shape) -> str:
    several = "" if shape.connections == 1 else f", {shape.connections} connections"
    return f"PostgreSQL alone, {shape.name}{several}"


def _times(name: str, rates: list[float], found: list[float], bar: float | None) -> Figure:
    times = [rate / reference for rate, reference in zip(rates, found, strict=True)]
    return Figure(what=f"  × {name}", value=median(times), unit="×", bar=bar, note=spread(times, 1))
