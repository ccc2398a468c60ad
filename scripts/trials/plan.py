"""What a trial is to be: drawn from its seed, so that the same seed asks the same."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`people` act side by side, as `users`; `workers` decide. `door`: whether who asks for a sold-out event is
    refused at once, or stands in line like everybody else. `kinds`: only faults whose kind contains one of these words;
    empty: all. `pace`: by how much shorter the peace between faults is than usual.
    """

    seed: int
    seconds: float
    people: int
    users: int
    workers: int
    events: int
    door: bool
    offer_seconds: int
    kinds: tuple[str, ...] = ()
    pace: float = 1.0

    def wants(self, kind: str) -> bool:
        """Whether faults of this kind are part of the trial."""
        return not self.kinds or any(word.lower() in kind.lower() for word in self.kinds)


def make_plan(
    *,
    seed: int,
    minutes: float,
    people: int,
    kinds: tuple[str, ...],
    workers: int | None = None,
    pace: float = 1.0,
) -> Plan:
    """Two or four workers, few or many events, a door or none: by the seed."""
    chance = random.Random(f"{seed}:plan")  # noqa: S311 - a plan, no secret
    drawn = chance.choice((2, 4))
    return Plan(
        seed=seed,
        seconds=60 * minutes,
        people=people,
        users=max(2_000, 100 * people),
        workers=workers or drawn,
        events=chance.choice((4, 12, 40)),
        door=chance.random() < 0.25,
        offer_seconds=chance.choice((3, 8, 30)),
        kinds=kinds,
        pace=pace,
    )
