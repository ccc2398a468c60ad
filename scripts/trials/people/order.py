"""What a crowd is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a crowd is told: a JSON file. `users`: a file of `id<tab>token`; `events`: a file with the ids on sale,
    looked at again and again; `calls`: where the history goes.
    """

    base_url: str
    seed: int
    people: int
    users: str
    events: str
    calls: str
    seconds_max: float
