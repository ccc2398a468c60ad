"""What a trial leaves for its checker, from three sources that know nothing of each other: the clients' history,
PostgreSQL, Redis.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from scripts.environment import libpq_url
from scripts.trials.history import Call, Fault, Trial, read_calls, read_faults, read_trial
from scripts.trials.sources.line_keys import LineKeys, read_line
from scripts.trials.sources.tables import Decision, Tables, read_tables
from shared.settings import Settings

CALLS: Final = "calls*.jsonl"
FAULTS: Final = "faults.jsonl"
TRIAL: Final = "trial.json"

QUEUED: Final = "queued"


@dataclass(kw_only=True)
class Evidence:
    """Everything an invariant may look at. What several of them need is worked out once, when it is first asked for;
    whoever changes a source afterwards calls `forget`.
    """

    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    trial: Trial | None = None
    tables: Tables = field(default_factory=Tables)
    line: LineKeys = field(default_factory=LineKeys)

    @cached_property
    def decided(self) -> dict[str, Decision]:
        """Job id → its row, of whatever stands in a ledger."""
        return {row.job_id: row for row in self.tables.decisions()}

    @cached_property
    def shown(self) -> dict[str, list[Call]]:
        """Job id → the calls whose answers show how it stands: 202s, status documents, the `job` of problems."""
        shown: defaultdict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            if document_of(call) is not None and not call.spied:
                shown[call.said["job_id"]].append(call)
        return dict(shown)

    @cached_property
    def named(self) -> set[str]:
        """Job ids that any answer names, also those that may have been accepted (`accept_unknown`)."""
        return {call.said["job_id"] for call in self.calls if call.said.get("job_id") and not call.spied}

    @cached_property
    def first_under_key(self) -> dict[tuple[int, str], Call]:
        """(user, key) → the call that was sent first."""
        first: dict[tuple[int, str], Call] = {}
        for call in self.calls:
            if call.key is not None:
                name = call.user_id, call.key
                if name not in first or call.sent_at < first[name].sent_at:
                    first[name] = call
        return first

    @cached_property
    def losses(self) -> list[tuple[float, float]]:
        """From when to when Redis may have lost what it had acknowledged."""
        return [
            (fault.loses_since, fault.ended_at)
            for fault in self.faults
            if fault.loses_since is not None and fault.target
        ]

    @cached_property
    def spoilt(self) -> set[str]:
        """Jobs that a fault damaged in Redis while they waited."""
        return {job for fault in self.faults for job in fault.spoilt}

    @cached_property
    def touched(self) -> set[str]:
        """Jobs that a fault laid its hand on in Redis: spoilt, or put into the line once more, be it in front."""
        return self.spoilt | {fault.target for fault in self.faults if fault.target in self.shown}

    @cached_property
    def shaken(self) -> set[int]:
        """Events of touched jobs: what waited there with such a job may get another number than Redis gave it."""
        seen = {call.said["event_id"] for job_id in self.touched for call in self.shown.get(job_id, ())}
        return seen | {fault.event_id for fault in self.faults if fault.event_id is not None}

    def may_be_lost(self, job_id: str) -> bool:
        """Whether a declared loss may have taken the job: nobody saw it before the loss began or after it ended, or a
        fault damaged it.
        """
        if job_id in self.spoilt:
            return True
        calls = self.shown.get(job_id) if self.losses else None
        if not calls:
            return False
        first = min(calls, key=lambda call: call.answered_at)
        return any(since <= first.answered_at and first.sent_at <= until for since, until in self.losses)

    def after_a_loss(self, call: Call) -> bool:
        """Whether the call was answered when some writes may have been lost already."""
        return any(call.answered_at >= since for since, _ in self.losses)

    def loss_between(self, first: Call, second: Call) -> bool:
        """Whether Redis may have lost until the second call what the first one showed: nobody saw that before the loss
        began, or the loss could not have taken it.
        """
        return any(
            since <= first.answered_at and first.sent_at <= until and since <= second.answered_at
            for since, until in self.losses
        )

    def documents(self) -> Iterator[tuple[str, Call, dict[str, Any]]]:
        """Every document of a job that its owner saw."""
        for job_id, calls in self.shown.items():
            for call in calls:
                yield job_id, call, call.said

    def forget(self) -> None:
        """Drops what was worked out: a source has changed."""
        for name in ("decided", "shown", "named", "first_under_key", "losses", "spoilt", "touched", "shaken"):
            self.__dict__.pop(name, None)


def document_of(call: Call) -> dict[str, Any] | None:
    """How the job stood when the call was answered; None when the answer does not say."""
    said = call.said
    return said if isinstance(said.get("status"), str) and said.get("job_id") else None


def load_evidence(folder: Path, settings: Settings) -> Evidence:
    """The evidence of a trial that is over: `calls*.jsonl`, `faults.jsonl` and `trial.json` of `folder`, and the
    servers that `settings` name. Some six seconds of one core and 800 MB for 300,000 calls.
    """
    with uncollected():
        evidence = Evidence(
            faults=read_faults(folder / FAULTS),
            trial=read_trial(folder / TRIAL),
            tables=read_tables(libpq_url(settings.database_url)),
            line=read_line(settings.redis_url, partitions=settings.partitions),
        )
        for path in sorted(folder.glob(CALLS)):
            evidence.calls.extend(read_calls(path))
        return evidence


@contextmanager
def uncollected() -> Iterator[None]:
    """Millions of objects and no cycle among them: looking for some again and again costs more than everything else."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
