"""The requests of the last minutes, for people who look once; Prometheus keeps its own history.

Nothing is counted for it: once a second what HTTP_REQUESTS has grown by goes to the current minute.
"""

from typing import Final

from shared.metrics.families import HTTP_REQUESTS, Family, Series

MINUTES_KEPT: Final = 15

# HTTP_REQUESTS without its labels, and one number more: answers of 500 and above.
MINUTES: Final = Family("minutes", "Requests by minute.", ("minute",), HTTP_REQUESTS.size + 1)


class MinuteRoll:
    """Moves what was counted since the last call to its minute. One a process."""

    def __init__(self) -> None:
        self._rolled: Series = _sum_requests()

    def roll(self, now: float) -> None:
        """`now` in seconds since the epoch. Forgets what is older than MINUTES_KEPT."""
        minute = int(now // 60)
        found = _sum_requests()
        if found != self._rolled:
            series = MINUTES.get((str(minute),))
            for index, (new, old) in enumerate(zip(found, self._rolled, strict=True)):
                series[index] += new - old
            self._rolled = found
        for labels in list(MINUTES.series):
            if is_past(labels[0], now):
                MINUTES.series.pop(labels, None)


def is_past(minute: str, now: float) -> bool:
    """Whether the minute is too old to be kept; so is one that is none."""
    return not minute.isdecimal() or int(minute) <= now // 60 - MINUTES_KEPT


def _sum_requests() -> Series:
    total: Series = [0] * MINUTES.size
    for labels, series in list(HTTP_REQUESTS.series.items()):
        for index, number in enumerate(series):
            total[index] += number
        if labels[2] >= "500":
            total[-1] += sum(series[:-1])
    return total
