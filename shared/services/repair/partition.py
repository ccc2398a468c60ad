"""One partition's line: read, plan, put right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from shared.db import transaction
from shared.domain.results import result_document
from shared.line import keys, mend
from shared.line.client import ScriptRunner
from shared.line.reply import JobReply, reply
from shared.line.survey import Counters, SurveyedJob, read_counters, read_jobs, read_list
from shared.line.take import Claim
from shared.services.repair.holding import RepairRefusedError
from shared.services.repair.plan import CountPlan, Found, LinePlan, after, plan_counts, plan_line
from shared.services.repair.report import Report
from shared.settings import Settings
from shared.store.decisions import RecordedDecision, list_recorded
from shared.store.repairs import list_caused_ids, list_last_arrivals, list_recorded_ids

_REPLY_CHUNK: Final = 500
_WORKER_NAME: Final = "repair"


@dataclass(frozen=True, slots=True)
class Line:
    """What stands in a partition's line after its repair: the queue, what is in flight, and their jobs."""

    queue: list[str]
    in_flight: list[str]
    jobs: dict[str, SurveyedJob]
    told: list[str]  # were in it, and got the ledger's decision

    def standing(self) -> list[SurveyedJob]:
        """The jobs that wait for a decision, in order."""
        return [self.jobs[job_id] for job_id in (*self.in_flight, *self.queue)]


class PartitionRepair:
    """Mends one partition, which the caller holds; `claim` is None in a dry run, which writes nothing."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        runner: ScriptRunner,
        report: Report,
        *,
        partition: int,
        claim: Claim | None,
    ) -> None:
        self._settings, self._engine, self._runner, self._report = settings, engine, runner, report
        self._partition, self._claim = partition, claim

    def run(self, elsewhere: Sequence[str]) -> Line:
        """Puts the line right; `elsewhere` as in `Found`. Returns what stands in it then.

        Interrupted anywhere, it leaves a line that the next repair puts right: what is put back is in order at
        every moment, and counters come last.
        """
        found = self._read(elsewhere)
        plan = plan_line(found)
        self._tell(plan)
        self._report.beyond.update(plan.beyond | plan.set_aside)
        line = Line(plan.queue, plan.in_flight, dict(found.jobs), plan.recorded)
        if self._claim is None:
            return self._foresee_counts(line, found, plan)
        self._apply(self._claim, plan)
        return self._mend_counts(self._claim, line)

    def _read(self, elsewhere: Sequence[str]) -> Found:
        redis, partition = self._runner.redis, self._partition
        queue = read_list(redis, keys.queue(partition))
        in_flight = read_list(redis, keys.in_flight(partition))
        lost = read_list(redis, keys.lost(partition))
        ids = list(dict.fromkeys([*in_flight, *queue, *lost, *elsewhere]))
        jobs = read_jobs(redis, ids)
        if any(job.fault == "newer" for job in jobs.values()):
            raise RepairRefusedError(
                f"partition {partition} holds requests of a newer release; run that release's repair"
            )
        controls = [job.id for job in jobs.values() if job.is_control]
        events = {job.event_id for job in jobs.values() if job.fault is None}
        with transaction(self._engine) as session:
            return Found(
                queue=queue,
                in_flight=in_flight,
                lost=lost,
                elsewhere=elsewhere,
                jobs=jobs,
                recorded=list_recorded_ids(session, ids),
                caused=list_caused_ids(session, controls),
                last_arrivals=list_last_arrivals(session, events),
            )

    def _tell(self, plan: LinePlan) -> None:
        for what, sentence, ids in (
            ("doubled", "stood in the line more than once", plan.doubled),
            (
                "dropped",
                "the control plane's, for a change that the database does not know: gone, make the change again",
                plan.dropped,
            ),
            ("set_aside", "no worker could decide it: set aside as lost", plan.set_aside),
            (
                "put_back",
                "decided to Redis, unknown to the ledger: back into the line, before what came later",
                plan.put_back,
            ),
            ("put_in_place", "undecided and in no list: back into the line, at its place", plan.strays),
            ("recorded", "waited, and is decided: told the ledger's decision", plan.recorded),
            ("found_again", "set aside as lost, and decided: off the list of lost ones", plan.found_again),
        ):
            self._report.note(what, sentence, ids, partition=self._partition)

    def _apply(self, claim: Claim, plan: LinePlan) -> None:
        runner, ttl = self._runner, self._settings.job_ttl_seconds
        mend.take_off(runner, claim, plan.doubled, why="doubled", ttl_seconds=ttl)
        mend.take_off(runner, claim, plan.dropped, why="dropped", ttl_seconds=ttl)
        mend.take_off(runner, claim, list(plan.set_aside), why="lost", ttl_seconds=ttl)
        # Before any reply: that trims the registries of decided jobs, among which these still are.
        mend.put_back_in_front(runner, claim, plan.put_in_front)
        mend.put_back_in_place(runner, claim, plan.put_in_place)
        mend.take_off(runner, claim, plan.recorded, why="recorded", ttl_seconds=ttl)
        self._reply(claim, plan.recorded)
        mend.forget_lost(runner, self._partition, plan.found_again)

    def _reply(self, claim: Claim, job_ids: Sequence[str]) -> None:
        """Tells Redis the ledger's decisions, as their worker would have."""
        for start in range(0, len(job_ids), _REPLY_CHUNK):
            chunk = job_ids[start : start + _REPLY_CHUNK]
            with transaction(self._engine) as session:
                recorded = list_recorded(session, chunk)
            reply(
                self._runner,
                self._settings,
                claim,
                worker_name=_WORKER_NAME,
                jobs=[_reply_of(decision) for decision in recorded],
                last_arrivals={},
                rate=None,
            )

    def _foresee_counts(self, line: Line, found: Found, plan: LinePlan) -> Line:
        """What counters would become; told only if nobody was accepted since the line was read."""
        redis, partition = self._runner.redis, self._partition
        counters = after(plan, read_counters(redis, partition), found.in_flight)
        counts, last_arrivals = self._plan_counts(line, counters)
        if redis.llen(keys.queue(partition)) == len(found.queue):
            self._tell_counts(counts, counters, last_arrivals)
        return line

    def _mend_counts(self, claim: Claim, line: Line) -> Line:
        line = self._read_again(line)
        counters = read_counters(self._runner.redis, self._partition)
        plan, last_arrivals = self._plan_counts(line, counters)
        if not plan.is_empty:
            wrong = mend.set_counts(
                self._runner,
                claim,
                waiting=len(line.queue),
                accepted_total=plan.accepted_total,
                decided_total=plan.decided_total,
                events=plan.events,
                started_ghosts=plan.started_ghosts,
                started_missing=plan.started_missing,
            )
            # Somebody accepted between the two looks makes right counters look wrong.
            plan.totals_wrong = wrong.totals
            plan.events = {event: plan.events[event] for event in plan.events if event in wrong.events}
        self._tell_counts(plan, counters, last_arrivals)
        if plan.sequences:
            mend.renumber(self._runner, claim, plan.sequences)
        return line

    def _read_again(self, line: Line) -> Line:
        """The line as it is by now: others may have been accepted."""
        redis, partition = self._runner.redis, self._partition
        queue = read_list(redis, keys.queue(partition))
        in_flight = read_list(redis, keys.in_flight(partition))
        unknown = [job_id for job_id in (*in_flight, *queue) if job_id not in line.jobs]
        return Line(queue, in_flight, line.jobs | read_jobs(redis, unknown), line.told)

    def _plan_counts(self, line: Line, counters: Counters) -> tuple[CountPlan, dict[int, int]]:
        events = {job.event_id for job in line.standing()} | {*counters.arrivals, *counters.decided}
        with transaction(self._engine) as session:
            last_arrivals = list_last_arrivals(session, events)
        return plan_counts(line.in_flight, line.queue, line.jobs, counters, last_arrivals), last_arrivals

    def _tell_counts(self, plan: CountPlan, counters: Counters, last_arrivals: dict[int, int]) -> None:
        events = [
            f"event {event}: arrivals {counters.arrivals.get(event)} → {given},"
            f" decided {counters.decided.get(event)} → {last}"
            + ("" if event in last_arrivals else " (the database does not know it)")
            for event, (given, last) in sorted(plan.events.items())
        ]
        totals = (
            f"accepted {counters.accepted_total} → {plan.accepted_total},"
            f" decided {counters.decided_total} → {plan.decided_total}"
        )
        for what, sentence, items in (
            ("counters", "events' counters set to what the ledger and the line say", events),
            ("totals", "running numbers of the partition", [totals] if plan.totals_wrong else []),
            ("sequences", "jobs' running numbers, from which the wait is told", list(plan.sequences)),
            ("started", "RQ's started registry without what is not in flight", plan.started_ghosts),
            ("started", "RQ's started registry with what is in flight", plan.started_missing),
        ):
            self._report.note(what, sentence, items, partition=self._partition)


def _reply_of(recorded: RecordedDecision) -> JobReply:
    row = recorded.row
    seconds = max((row.decided_at - row.accepted_at).total_seconds(), 0.0)  # two machines' clocks
    return JobReply(str(row.job_id), row.user_id, result_document(row, recorded.booking), seconds)
