"""Response times and errors of the last minutes, over all API processes, from what they share."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.metrics.families import HTTP_REQUESTS
from shared.metrics.files import Totals
from shared.metrics.minutes import MINUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRates:
    """`errors` are answers of 500 and above. Percentiles are read off the histogram's bounds, so they are about
    right; None without requests.
    """

    minutes: int
    requests: int
    errors: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def error_rate(self) -> float:
        """Errors among the requests, 0 … 1."""
        return self.errors / self.requests if self.requests else 0.0


def rates_of(totals: Totals, *, minute: int, minutes: int) -> RequestRates:
    """Of the minute numbered `minute` and those before it, `minutes` in all; the current one is not over yet."""
    added: list[float] = [0.0] * MINUTES.size
    for labels, series in totals[MINUTES.name].items():
        if minute - minutes < int(labels[0]) <= minute:
            added = [a + b for a, b in zip(added, series, strict=True)]
    *buckets, seconds, errors = added
    requests = sum(buckets)
    return RequestRates(
        minutes=minutes,
        requests=int(requests),
        errors=int(errors),
        mean_ms=round(1000 * seconds / requests, 3) if requests else None,
        p50_ms=_percentile_ms(buckets, 0.5),
        p95_ms=_percentile_ms(buckets, 0.95),
        p99_ms=_percentile_ms(buckets, 0.99),
    )


def _percentile_ms(buckets: Sequence[float], share: float) -> float | None:
    """As Prometheus' histogram_quantile: evenly spread between two bounds, the highest bound beyond it."""
    wanted = sum(buckets) * share
    if not wanted:
        return None
    low = below = 0.0
    for bound, count in zip(HTTP_REQUESTS.bounds, buckets[:-1], strict=True):
        if count and below + count >= wanted:
            return round(1000 * (low + (bound - low) * (wanted - below) / count), 3)
        low, below = bound, below + count
    return round(1000 * HTTP_REQUESTS.bounds[-1], 3)
