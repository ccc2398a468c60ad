"""Runs cases, one after the other, and keeps what was wrong."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.hostile.cases import Target, make_case, targets_of
from tests.hostile.judge import SAFE, Judge
from tests.hostile.request import HostileAnswer, HostileRequest, send
from tests.hostile.world import World

# Cases of one world: then all of it is made anew. A case that fails only after others is run with them by this.
EPOCH_CASES = 1_000
FAULTS_MAX = 50


@dataclass
class Tally:
    """What came of the cases."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused_with: Counter[str] = field(default_factory=Counter)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    faulty: int = 0

    @property
    def cases(self) -> int:
        return self.statuses.total()


class CaughtErrors(logging.Handler):
    """Keeps the last error that the application logged, so that a report says where it came from."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remembers it."""
        self.last = (
            "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else record.getMessage()
        )


def run_cases(world: World, judge: Judge, indices: Iterable[int], seed: int) -> Tally:
    """Runs the cases of these numbers; the world is renewed every `EPOCH_CASES`, and for the first."""
    tally, targets, epoch = Tally(), targets_of(judge.document), -1
    caught = CaughtErrors()
    logging.getLogger().addHandler(caught)
    try:
        for index in indices:
            if index // EPOCH_CASES != epoch:
                epoch = index // EPOCH_CASES
                world.renew()
            _run(world, judge, targets, index, seed, tally, caught)
            if len(tally.faults) >= FAULTS_MAX:
                break
    finally:
        logging.getLogger().removeHandler(caught)
    return tally


def _run(
    world: World,
    judge: Judge,
    targets: list[Target],
    index: int,
    seed: int,
    tally: Tally,
    caught: CaughtErrors,
) -> None:
    request = make_case(world, targets, seed, index)
    caught.last = ""
    try:
        answer = send(world.app, request)
        faults = judge.find_faults(request, answer, world.traces.read())
    except Exception as error:
        caught.last = "".join(traceback.format_exception(error))
        answer, faults = HostileAnswer(0, [], b""), [f"raised {type(error).__name__}"]
    tally.statuses[answer.status] += 1
    if (answer.status < 400 or answer.status == 409) and request.method not in SAFE:
        world.settle(paused="pause" in request.operation_id)
    for fault in faults:
        tally.faulty += 1
        tally.faults.setdefault(
            (request.operation_id, fault), _report(request, answer, fault, index, seed, caught.last)
        )


def _report(
    request: HostileRequest, answer: HostileAnswer, fault: str, index: int, seed: int, error: str
) -> str:
    again = f"--hostile-seed={seed} --hostile-case={index}"
    shown = f"{answer.status} {answer.get('Content-Type')}\n{answer.body[:600]!r}"
    return f"{request.operation_id}: {fault}\n  {again}\n{request.describe()}\n→ {shown}\n{error[-3000:]}"
