"""A trial from its beginning to its verdict: load and faults, then quiet, then three sources compared."""

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from scripts.trials.checker import Verdict, check
from scripts.trials.crowd import opened_crowd
from scripts.trials.errors import TrialError
from scripts.trials.evidence import load_evidence
from scripts.trials.faults.operator import Operator
from scripts.trials.faults.servers import left_out
from scripts.trials.history import Fault, Trial, write_lines
from scripts.trials.injector import Injector
from scripts.trials.installation import Installation, opened_installation
from scripts.trials.lanes import make_lanes
from scripts.trials.people.order import Order
from scripts.trials.plan import Plan
from scripts.trials.second_opinion import audit_findings
from shared.line.client import LineUnavailableError, ScriptRunner
from shared.line.inspect import count_undecided

_READY_SECONDS: Final = 60.0
_EMPTY_SECONDS: Final = 120.0  # four times what is promised: longer, and nobody would learn how long it took
_TOLD_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.05

Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What came of a trial. `audit`: findings of `guichet audit`, a further opinion. `deaths`: by process.
    `left_out`: kinds of faults that this machine cannot do, and why.
    """

    plan: Plan
    trial: Trial
    faults: list[Fault]
    verdict: Verdict
    audit: list[str] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Checker and audit found nothing."""
        return self.verdict.ok and not self.audit

    @property
    def empty_after_seconds(self) -> float | None:
        """From the end of faults and load until nothing waited; None when that was not seen."""
        trial = self.trial
        return None if trial.empty_at is None else trial.empty_at - max(trial.quiet_at, trial.loaded_until)


def run_trial(plan: Plan, folder: Path, say: Say) -> Outcome:
    """Runs one trial in `folder`, which keeps its history and logs. Raises TrialError when it proves nothing."""
    with opened_installation(plan, folder) as installation:
        run = _Run(plan, installation, say)
        try:
            trial = run.load_and_disturb()
        finally:
            installation.crew.stop()
        return run.judge(trial)


class _Run:
    """One trial under way."""

    def __init__(self, plan: Plan, installation: Installation, say: Say) -> None:
        self._plan, self._installation, self._say = plan, installation, say
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def load_and_disturb(self) -> Trial:
        """Everything that happens in time; nothing is judged yet."""
        installation, plan = self._installation, self._plan
        installation.crew.start()
        self._await(self._is_ready, _READY_SECONDS, "everything to be up")
        began = time.monotonic()
        with opened_crowd(self._order(), installation.folder) as crowd:
            operator, healer = installation.make_operator(), installation.make_operator()
            injector = self._injector(operator)
            injector.start()
            while time.monotonic() < began + plan.seconds and crowd.is_running:
                time.sleep(_LOOK_SECONDS)
            injector.stop()
            quiet_at = time.monotonic()
            healer.resume()  # an admin whose connection was cut in mid-pause would do no less
            crowd.stop()
            operator.close()
            healer.close()
        if injector.errors:
            raise TrialError("\n".join(injector.errors))
        loaded_until = time.monotonic()
        empty_at = self._await_empty(max(quiet_at, loaded_until) + _EMPTY_SECONDS)
        self._await(self._is_told, _TOLD_SECONDS, "the outbox to be empty")
        # Its schedule puts requests into the line again and again: without it, empty is empty.
        installation.crew.dismiss(installation.crew.tasks)
        self._await_empty(time.monotonic() + _EMPTY_SECONDS)
        return Trial(
            seed=plan.seed,
            began_at=began,
            loaded_until=loaded_until,
            quiet_at=quiet_at,
            empty_at=empty_at,
        )

    def judge(self, trial: Trial) -> Outcome:
        """Writes down what is known, and lets the checker and the audit look at it."""
        installation = self._installation
        with (installation.folder / "faults.jsonl").open("wb") as file:
            write_lines(file, self._faults)
        with (installation.folder / "trial.json").open("wb") as file:
            write_lines(file, [trial])
        verdict = check(load_evidence(installation.folder, installation.settings))
        return Outcome(
            plan=self._plan,
            trial=trial,
            faults=self._faults,
            verdict=verdict,
            audit=audit_findings(installation.settings, self._faults),
            deaths={kept.name: kept.deaths for kept in installation.crew.everyone},
            left_out=left_out(installation.site),
        )

    def _order(self) -> Order:
        installation, plan = self._installation, self._plan
        return Order(
            base_url=installation.base_url,
            seed=plan.seed,
            people=plan.people,
            users=str(installation.users_file),
            events=str(installation.programme.path),
            calls=str(installation.folder / "calls.jsonl"),
            seconds_max=plan.seconds + _READY_SECONDS,
        )

    def _injector(self, operator: Operator) -> Injector:
        return Injector(make_lanes(self._plan, self._installation, operator), self._plan.seed, self._note)

    def _note(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
        self._say(f"{fault.ended_at - fault.began_at:5.1f} s  {fault.kind}: {fault.note}")

    def _await_empty(self, deadline: float) -> float | None:
        """When nothing waited and nothing was in flight; None when that was never seen."""
        runner = ScriptRunner(self._installation.redis)
        partitions = range(self._installation.settings.partitions)
        while time.monotonic() < deadline:
            with suppress(LineUnavailableError):
                if not any(count_undecided(runner, partitions).values()):
                    return time.monotonic()
            time.sleep(_LOOK_SECONDS)
        return None

    def _is_ready(self) -> bool:
        """The API answers that servers, schema and a booking worker are there."""
        connection = http.client.HTTPConnection("127.0.0.1", self._installation.crew.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _is_told(self) -> bool:
        return self._installation.query("select count(*) from outbox where set_aside_at is null") == 0

    def _await(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise TrialError(
                    f"waiting for {what} took over {seconds:.0f} s; see the logs beside the history"
                )
            time.sleep(_LOOK_SECONDS)
