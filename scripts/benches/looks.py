"""The same looks at two installations, one that has much and one that has little, in turns."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from scripts.benches.calls import Caller, take_samples
from scripts.benches.figures import Figure, median

BAR_TIMES: Final = 1.2
TURNS_A_ROUND: Final = 30
_WARM_UP: Final = 10


class Looks:
    """Named paths of one installation, each with who asks."""

    def __init__(self, paths: Mapping[str, tuple[Caller, str]]) -> None:
        self._paths = paths

    @property
    def names(self) -> list[str]:
        """What is looked at."""
        return list(self._paths)

    def time(self, name: str) -> float:
        """Milliseconds of one look."""
        caller, path = self._paths[name]
        return caller.time_get(path)

    def close(self) -> None:
        """Closes the connections."""
        for caller, _ in self._paths.values():
            caller.close()


def compare(much: Looks, little: Looks, *, rounds: int) -> list[Figure]:
    """Of each look the time at `much` as a multiple of that at `little`."""
    return [
        times(f"  {name}", *_taken([much, little], name, rounds * TURNS_A_ROUND), unit="ms")
        for name in much.names
    ]


def times(what: str, much: Sequence[float], little: Sequence[float], *, unit: str, note: str = "") -> Figure:
    """How many times as long or as much it is, against the bar of a flat cost: the median of the turns' ratios, because
    what the machine does meanwhile differs more from turn to turn than within one.
    """
    both = f"{median(much):.2f} {unit}, {median(little):.2f} {unit}"
    return Figure(
        what=what,
        value=median([one / other for one, other in zip(much, little, strict=True)]),
        unit="×",
        bar=BAR_TIMES,
        at_most=True,
        note=f"{both}; {note}" if note else both,
    )


def _taken(sides: Sequence[Looks], name: str, turns: int) -> list[list[float]]:
    return take_samples(turns, _WARM_UP, [partial(side.time, name) for side in sides])
