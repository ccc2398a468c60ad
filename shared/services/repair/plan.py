"""What has to be done to one partition's line so that it says what the ledger says. Pure: it reads no server."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.line.keys import EXECUTION_SUFFIX
from shared.line.survey import Counters, SurveyedJob

DECIDED: Final = ("finished", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies in Redis of one partition, and what PostgreSQL knows of it.

    `elsewhere` are jobs in no list that the ledger does not know, or that Redis does not call decided.
    `recorded` are ids in the ledger, `caused` those among the control plane's requests that PostgreSQL knows
    the cause of, `last_arrivals` is event → last arrival decided, for the events that exist.
    """

    queue: Sequence[str]
    in_flight: Sequence[str]
    lost: Sequence[str]
    elsewhere: Sequence[str]
    jobs: Mapping[str, SurveyedJob]
    recorded: Collection[str]
    caused: Collection[str]
    last_arrivals: Mapping[int, int]


@dataclass(slots=True)
class LinePlan:
    """Which ids go where. `queue` and `in_flight` is what stands in the line afterwards."""

    doubled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)  # the control plane's, whose cause PostgreSQL has lost
    set_aside: dict[str, str] = field(default_factory=dict)  # id → why nothing in it can be decided
    put_back: list[str] = field(
        default_factory=list
    )  # Redis calls them decided, the ledger does not know them
    strays: list[str] = field(default_factory=list)  # undecided and in no list, or set aside too early
    put_in_front: list[str] = field(
        default_factory=list
    )  # put back, what is in flight, strays older than the queue
    put_in_place: list[str] = field(default_factory=list)  # the other strays
    recorded: list[str] = field(default_factory=list)  # waiting or in flight, and decided
    found_again: list[str] = field(default_factory=list)  # set aside as lost, and decided
    beyond: dict[str, str] = field(default_factory=dict)  # id → why it cannot be mended
    queue: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)


def plan_line(found: Found) -> LinePlan:
    """The order that was promised: what Redis had decided first, then what was in flight, then what waits; and
    everything that lay in no list where its running number says. Cost: linear, but for strays.
    """
    plan = LinePlan()
    places = Counter([*found.in_flight, *found.queue])
    plan.doubled = [job_id for job_id, count in places.items() if count > 1]
    taken = dict.fromkeys(found.in_flight)
    flying = [job_id for job_id in taken if _stands(found, plan, job_id)]
    waiting = [
        job_id
        for job_id in dict.fromkeys(found.queue)
        if job_id not in taken and _stands(found, plan, job_id)
    ]
    _plan_elsewhere(found, plan, places)
    _plan_lost(found, plan)
    plan.put_back.sort(key=lambda job_id: found.jobs[job_id].seq)
    plan.strays.sort(key=lambda job_id: found.jobs[job_id].seq)
    if plan.put_back or plan.strays:
        plan.put_in_front, flying = [*plan.put_back, *flying], []
    head = found.jobs[waiting[0]].seq if waiting else None
    for job_id in plan.strays:
        # A queue that is gone comes back in front of who was accepted since, a thousand at a time.
        is_first = head is None or found.jobs[job_id].seq < head
        _insert(plan.put_in_front if is_first else waiting, job_id, found.jobs)
        if not is_first:
            plan.put_in_place.append(job_id)
    plan.queue, plan.in_flight = [*plan.put_in_front, *waiting], flying
    return plan


def _stands(found: Found, plan: LinePlan, job_id: str) -> bool:
    """Whether an id in a list may stay in the line; notes where it goes otherwise."""
    if job_id in found.recorded:
        plan.recorded.append(job_id)
        return False
    return _is_decidable(found, plan, job_id)


def _is_decidable(found: Found, plan: LinePlan, job_id: str) -> bool:
    job = found.jobs.get(job_id)
    why = find_fault(job, found.last_arrivals)
    if why is not None:
        plan.set_aside[job_id] = why
        return False
    if job is not None and job.is_control and job_id not in found.caused:
        plan.dropped.append(job_id)
        return False
    return True


def find_fault(job: SurveyedJob | None, events: Collection[int]) -> str | None:
    """Why no worker could decide this job; None when one can."""
    if job is None:
        return "its payload is gone"
    if job.fault is not None:
        return "its payload cannot be read"
    if job.event_id not in events:
        return f"the database does not know event {job.event_id}"
    return None


def _plan_elsewhere(found: Found, plan: LinePlan, places: Collection[str]) -> None:
    for job_id in dict.fromkeys(found.elsewhere):
        job = found.jobs.get(job_id)
        if job is None or job_id in places or job_id in found.lost:
            continue
        if job_id in found.recorded:
            if job.is_undecided:
                plan.recorded.append(job_id)
        elif (job.is_undecided or job.status in DECIDED) and _is_decidable(found, plan, job_id):
            (plan.put_back if job.status in DECIDED else plan.strays).append(job_id)


def _plan_lost(found: Found, plan: LinePlan) -> None:
    """What was set aside once may be decidable now: its event is back, or the ledger knows it after all."""
    for job_id in dict.fromkeys(found.lost):
        job = found.jobs.get(job_id)
        if job_id in found.recorded:
            plan.found_again.append(job_id)
        elif (why := find_fault(job, found.last_arrivals)) is not None:
            plan.beyond[job_id] = why
        elif job is not None and job.is_control and job_id not in found.caused:
            plan.dropped.append(job_id)
        else:
            plan.strays.append(job_id)


def _insert(waiting: list[str], job_id: str, jobs: Mapping[str, SurveyedJob]) -> None:
    own = jobs[job_id].seq
    position = len(waiting)
    while position > 0 and jobs[waiting[position - 1]].seq >= own:
        position -= 1
    waiting.insert(position, job_id)


@dataclass(slots=True)
class CountPlan:
    """What counters have to become; nothing in it when they are right. `events` is event → (arrivals, decided),
    None for a number that must not be there.
    """

    accepted_total: int
    decided_total: int
    totals_wrong: bool
    events: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    started_ghosts: list[str] = field(default_factory=list)
    started_missing: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Everything is as it has to be, but for running numbers of single jobs."""
        return not (self.totals_wrong or self.events or self.started_ghosts or self.started_missing)


def plan_counts(
    in_flight: Sequence[str],
    queue: Sequence[str],
    jobs: Mapping[str, SurveyedJob],
    counters: Counters,
    last_arrivals: Mapping[int, int],
) -> CountPlan:
    """Arrivals: the highest number that waits, else the last decided; decided: the ledger's; running numbers
    without a hole up to the newest job's.
    """
    standing = [*in_flight, *queue]
    highest: dict[int, int] = {}
    newest = 0
    for job_id in standing:
        job = jobs[job_id]
        highest[job.event_id] = max(highest.get(job.event_id, 0), job.arrival)
        newest = max(newest, job.seq)
    accepted_total = max(counters.accepted_total, newest, len(standing))
    decided_total = accepted_total - len(standing)
    totals = (counters.accepted_total, counters.decided_total)
    plan = CountPlan(accepted_total, decided_total, totals_wrong=totals != (accepted_total, decided_total))
    plan.sequences = {
        job_id: number
        for number, job_id in enumerate(standing, decided_total + 1)
        if jobs[job_id].seq != number
    }
    for event_id in {*counters.arrivals, *counters.decided, *highest}:
        found = (counters.arrivals.get(event_id, 0), counters.decided.get(event_id, 0))
        last = last_arrivals.get(event_id, 0)
        wanted = (max(last, highest.get(event_id, 0)), last)
        if event_id not in last_arrivals:
            plan.events[event_id] = (None, None)
        elif found != wanted:
            plan.events[event_id] = (wanted[0] or None, wanted[1] or None)
    members = {f"{job_id}{EXECUTION_SUFFIX}" for job_id in in_flight}
    plan.started_ghosts = sorted(counters.started - members)
    plan.started_missing = sorted(members - counters.started)
    return plan


def after(plan: LinePlan, counters: Counters, in_flight: Collection[str]) -> Counters:
    """The counters that the scripts which move ids would leave: a reply counts, and empties the registry."""
    moved = [*plan.dropped, *plan.set_aside, *plan.put_in_front, *plan.put_in_place, *plan.recorded]
    replied = sum(job_id in in_flight for job_id in plan.recorded)
    return replace(
        counters,
        decided_total=counters.decided_total + replied,
        started=counters.started.difference(f"{job_id}{EXECUTION_SUFFIX}" for job_id in moved),
    )
