"""The time in which every event of a run was being decided."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time: what was decided after its beginning, by its end, in so many batches."""

    began: float
    ended: float
    decided: int
    batches: int


def find_window(batches: Sequence[tuple[int, float, int]]) -> Window:
    """While every event had requests waiting: before, not all workers ran; after, not all had work. Where there is no
    such time, because some event is one batch, everything.

    Batches are (event, instant, decisions).
    """
    of_event: dict[int, list[float]] = {}
    for event_id, instant, _ in batches:
        of_event.setdefault(event_id, []).append(instant)
    began, ended = max(map(min, of_event.values())), min(map(max, of_event.values()))
    inside = [count for _, instant, count in batches if began < instant <= ended]
    if not inside:
        instants = [instant for _, instant, _ in batches]
        began, ended, inside = min(instants), max(instants), [count for _, _, count in batches]
    return Window(began, ended, sum(inside), len(inside))
