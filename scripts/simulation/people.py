"""What became of each person: filled in while a sale is simulated, or read from one that was real."""

from dataclasses import dataclass, field
from math import nan
from typing import Final

CONFIRMED: Final = "confirmed"
NOT_ENOUGH_LEFT: Final = "not_enough_left"
SOLD_OUT: Final = "sold_out"
DOOR: Final = "refused_at_door"
LINE_FULL: Final = "line_full"
DECIDED: Final = (CONFIRMED, NOT_ENOUGH_LEFT, SOLD_OUT)
ENDS: Final = (*DECIDED, DOOR, LINE_FULL)


@dataclass(slots=True)
class People:
    """By person, in seconds after the opening, `nan` where it did not happen: when the button was pressed first, when
    the request got its number, when the answer came (the 202, or the last refusal at the door), when the decision could
    be read; and the end.
    """

    pressed: list[float]
    accepted: list[float] = field(init=False)
    answered: list[float] = field(init=False)
    decided: list[float] = field(init=False)
    ends: list[str] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.pressed)
        self.accepted, self.answered, self.decided = [nan] * count, [nan] * count, [nan] * count
        self.ends = [""] * count


@dataclass(slots=True)
class Usage:
    """How long something was occupied, by second, and of a core how much it used, both in seconds."""

    occupied: dict[int, float] = field(default_factory=dict)
    cpu: float = 0.0

    def note(self, start: float, end: float) -> None:
        """It was occupied in between."""
        second = int(start)
        while second < end:
            share = min(end, second + 1) - max(start, second)
            if share > 0:
                self.occupied[second] = self.occupied.get(second, 0.0) + share
            second += 1
