"""Which faults a trial injects side by side."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from scripts.trials.faults.jobs import JobSpoiler, job_faults
from scripts.trials.faults.operator import Operator, operator_faults
from scripts.trials.faults.points import point_faults
from scripts.trials.faults.processes import process_faults
from scripts.trials.faults.servers import SERVER_FAULTS, left_out
from scripts.trials.injector import Injection, Lane
from scripts.trials.installation import Installation
from scripts.trials.plan import Plan

# Seconds of peace between two faults of a lane. The three lanes overlap, so that most faults meet another one; servers
# get the longest peace, for while one is away nobody books.
_SERVERS: Final = (3.0, 9.0)
_PROCESSES: Final = (1.0, 5.0)
_LINE: Final = (0.5, 3.0)


def make_lanes(plan: Plan, installation: Installation, operator: Operator) -> list[Lane]:
    """The lanes of a trial; a lane without any wanted kind is empty."""
    spoiler = JobSpoiler(installation.redis, installation.settings.partitions)
    missing = left_out(installation.site)
    servers = {
        kind: partial(inject, installation.site)
        for kind, inject in SERVER_FAULTS.items()
        if kind not in missing
    }
    processes = process_faults(installation.crew) | point_faults(installation)
    line = operator_faults(operator) | job_faults(spoiler)
    return [
        _lane("servers", plan, servers, _SERVERS),
        _lane("processes", plan, processes, _PROCESSES),
        _lane("line", plan, line, _LINE),
    ]


def _lane(name: str, plan: Plan, injections: Mapping[str, Injection], peace: tuple[float, float]) -> Lane:
    wanted = {kind: inject for kind, inject in injections.items() if plan.wants(kind)}
    return Lane(name, wanted, (peace[0] / plan.pace, peace[1] / plan.pace))
