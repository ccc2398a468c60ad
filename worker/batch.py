"""One batch: guard → take → load → decide → write → commit → reply; in a run of batches, each is taken and replied
while another one is being decided.

Everything that may go wrong has one answer: forget what is in memory; what Redis has in flight is looked at
again, in order, and what the ledger knows is not decided again.
"""

import contextlib
import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg2

from shared.domain.allocation import SLICE_SIZE, PoisonError, decide, decide_slice
from shared.domain.ledger import LedgerRow
from shared.domain.requests import SLICED_KINDS, Request
from shared.domain.snapshot import BookingState, Terms
from shared.line import take as line_take
from shared.line.client import ScriptRunner
from shared.line.mend import put_back_in_front
from shared.line.reply import reply, reply_command
from shared.line.take import Claim, Flying, Taken
from shared.metrics.families import DB_QUERIES
from shared.settings import Settings
from shared.store import batches
from worker.ahead import ONE_BATCH, Ahead, Turn
from worker.batch_log import log_decided, log_reissued, log_set_aside, name_in, name_of
from worker.claims import ClaimLostError, ClaimSession
from worker.decisions import Decisions, Rate, uuids_in
from worker.references import References

log = logging.getLogger(__name__)

# A batch that two processes ended with in flight is decided one by one; a request that three processes in a row
# ended with alone is quarantined.
DEATHS_BEFORE_ALONE: Final = 2
DEATHS_BEFORE_QUARANTINE: Final = 3

DATA_ERROR_CLASSES: Final = ("22", "23")  # of SQLSTATE: data exception, integrity constraint violation

# What a batch's round trips to PostgreSQL count as: the operation, and the table that it is about.
_GUARD: Final = ("select", "line_state")
_RECORDED: Final = ("select", "decisions")
_LOAD: Final = ("select", "events")
_WRITE: Final = ("insert", "decisions")
_COMMIT: Final = ("commit", "decisions")


class CommitUnknownError(Exception):
    """COMMIT was sent and no answer came: only the ledger can tell."""


class BatchRunner:
    """Decides the batches of one worker process. `instance` tells this process from every other, ever."""

    def __init__(self, settings: Settings, runner: ScriptRunner, *, worker_name: str) -> None:
        self._settings, self._runner, self._references = settings, runner, References()
        self._terms = Terms(
            cancel_until=timedelta(seconds=settings.cancel_until_seconds),
            offer_lifetime=timedelta(seconds=settings.offer_seconds),
        )
        self.worker_name = worker_name
        self.instance = f"{worker_name}:{uuid.uuid4().hex}"
        self._rates: dict[int, Rate] = {}
        self._alone: dict[int, set[uuid.UUID]] = {}  # what is being decided one by one
        self._quarantine: set[uuid.UUID] = set()
        # The last batch was replied, so Redis knows the scripts, and nothing went wrong since.
        self._is_warm = False

    def run_once(self, session: ClaimSession, claim: Claim, turn: Turn = ONE_BATCH) -> int | str:
        """Takes and decides one transaction's worth of a partition; returns how many requests were replied,
        or why there was nothing: `empty`, `paused`, `suspended`, `newer`. While batches are full and its `turn` lasts
        it goes on with the next; two of them are in flight then.

        Six to twelve round trips a batch. Raises ClaimLostError, OutdatedTokenError, CommitUnknownError, what the two
        clients raise; whatever it raises, nothing is lost, and the next call begins from what is in flight.
        """
        is_warm, self._is_warm = self._is_warm, False
        replied = 0
        with contextlib.closing(Ahead(self._runner, turn if is_warm else ONE_BATCH)) as ahead:
            while True:
                done = self._run_batch(session, claim, ahead)
                if isinstance(done, str):
                    return replied or done
                replied += done
                if ahead.next is None:
                    return replied

    def _run_batch(self, session: ClaimSession, claim: Claim, ahead: Ahead) -> int | str:
        with DB_QUERIES.time(_GUARD):
            guard = batches.begin(session.cursor, claim.partition)
        session.spoke()
        if not guard.holds:
            raise ClaimLostError
        if guard.paused:
            session.rollback()
            self._put_back(claim, ahead)
            return "paused"
        taken = ahead.next or self._take(claim, ahead.turn.others)
        if isinstance(taken, str):
            session.rollback()
            return taken
        ahead.next = None
        decisions = self._decide(session, claim, taken, ahead)
        if len(decisions.jobs) < len(taken.requests) or decisions.lost:
            self._put_back(claim, ahead)  # of this batch something is left
        self._reply(claim, taken, decisions, ahead)
        return len(decisions.jobs) + len(decisions.lost)

    def _goes_on(self, taken: Taken, ahead: Ahead) -> bool:
        """Whether what stands behind a batch is to be taken while that one is being decided."""
        is_full = taken.is_plain and len(taken.requests) >= self._settings.batch_max
        return is_full and ahead.turn.may_go_on(taken.others_wait)

    def _take(self, claim: Claim, others: Sequence[int]) -> Taken | str:
        return line_take.take(
            self._runner,
            claim,
            maximum=self._settings.batch_max,
            worker_name=self.worker_name,
            instance=self.instance,
            others=others,
        )

    def _take_ahead(self, claim: Claim, ahead: Ahead, behind: int) -> None:
        ahead.take(
            line_take.take_command(
                claim,
                maximum=self._settings.batch_max,
                worker_name=self.worker_name,
                instance=self.instance,
                behind=behind,
                others=ahead.turn.others,
            )
        )

    def _put_back(self, claim: Claim, ahead: Ahead) -> None:
        """What was taken ahead, and is not looked at next, waits in the line again, where it can be withdrawn: a pause
        came, or something is left of the batch before. Should this process end before that, it waits in flight.
        """
        following, behind = ahead.next, ahead.fetch() if ahead.takes else None
        ahead.next = None
        ahead.settle()
        job_ids = [] if following is None else following.job_ids
        if isinstance(behind, Taken):
            job_ids += behind.job_ids
        elif isinstance(behind, Flying) and following is not None:
            job_ids = behind.job_ids  # something foreign too, in its place: nothing of it is in hand
        if job_ids:
            put_back_in_front(self._runner, claim, job_ids)

    def _decide(self, session: ClaimSession, claim: Claim, taken: Taken, ahead: Ahead) -> Decisions:
        """Everything between take and reply: ends with the transaction committed or rolled back."""
        if not taken.is_plain:
            self._put_back(claim, ahead)  # what follows may talk to Redis without it
        decisions = Decisions()
        recorded = self._find_recorded(session, taken)
        request_ids = {str(r.job_id): r.request_id for r in taken.requests} if recorded else {}
        decisions.add_recorded(recorded, request_ids)
        decisions.lost = dict.fromkeys(job_id for job_id in taken.unreadable if job_id not in recorded)
        fresh = taken.requests  # nearly always: an id as text takes longer than to look for it
        if recorded:
            fresh = [request for request in fresh if str(request.job_id) not in recorded]
        part = self._next_part(claim, taken, fresh)
        if not part:
            session.rollback()
            return decisions
        whole = taken.is_plain and len(part) == len(taken.requests) and part[0].kind not in SLICED_KINDS
        if not whole:
            self._put_back(claim, ahead)
        if part[0].kind in SLICED_KINDS:
            self._work_off(session, claim, part[0], decisions)
        else:
            begins = whole and not ahead.has_begun and self._goes_on(taken, ahead)
            self._decide_part(session, claim, part, decisions, ahead if begins else None)
        return decisions

    def _find_recorded(
        self, session: ClaimSession, taken: Taken
    ) -> dict[str, tuple[LedgerRow, BookingState | None]]:
        """What the ledger knows of a batch that somebody took before. A batch fresh from the line is not asked
        for: should one of it be decided already all the same, its primary key refuses it, and what is taken
        next is what is in flight.
        """
        if not taken.recovered and not taken.unreadable:
            return {}
        job_ids = [str(request.job_id) for request in taken.requests] + uuids_in(taken.unreadable)
        with DB_QUERIES.time(_RECORDED):
            return batches.find_recorded(session.cursor, job_ids)

    def _next_part(self, claim: Claim, taken: Taken, fresh: list[Request]) -> list[Request]:
        """What this transaction decides: all, or up to a request of slices, or one when processes have died."""
        alone = self._alone.get(claim.partition, set())
        if taken.alone or taken.deaths >= DEATHS_BEFORE_ALONE:
            alone.update(request.job_id for request in fresh)
            self._alone[claim.partition] = alone
        if fresh and fresh[0].job_id in alone:
            self._begin_alone(claim, fresh[0])
            return fresh[:1]
        self._alone.pop(claim.partition, None)
        seen: set[uuid.UUID] = set()
        for index, request in enumerate(fresh):
            # What is worked off in slices is decided by itself; an id that stands in the line twice waits for its
            # first decision.
            if request.kind in SLICED_KINDS or request.job_id in seen:
                return fresh[: max(index, 1)]
            seen.add(request.job_id)
        return fresh

    def _begin_alone(self, claim: Claim, request: Request) -> None:
        deaths = line_take.begin_alone(self._runner, claim, request.job_id, self.instance)
        if deaths >= DEATHS_BEFORE_QUARANTINE:
            log.error("quarantine: processes ended with it", extra={**name_of(request), "deaths": deaths})
            self._quarantine.add(request.job_id)

    def _decide_part(
        self,
        session: ClaimSession,
        claim: Claim,
        part: list[Request],
        decisions: Decisions,
        ahead: Ahead | None = None,
    ) -> None:
        """Decides and commits; on poison marks who it was and raises, so that the next call decides again. What comes
        next is taken `ahead`, unless something of this part stays in flight.
        """
        try:
            with DB_QUERIES.time(_LOAD):
                snapshot, now = batches.load(session.cursor, part, self._terms)
            reissued_before = sum(event.arrivals_reissued for event in snapshot.events.values())
            plan = decide(snapshot, part, now, self._quarantine)
            self._references.draw(session, plan.made)
            if ahead is not None and len(plan.decided) == len(part):
                self._take_ahead(claim, ahead, behind=len(part))
            if plan.rows:
                with DB_QUERIES.time(_WRITE):
                    batches.write(session.cursor, snapshot, plan, now)
        except PoisonError as error:
            log.exception("quarantine: our code failed on it", extra=name_in(part, error.job_id))
            self._quarantine.add(error.job_id)
            raise
        except psycopg2.Error as error:
            self._blame(claim, error, part)
            raise
        self._commit(session)
        self._quarantine.difference_update(decided.request.job_id for decided in plan.decided)
        decisions.add_decided(plan, snapshot)
        decisions.reissued = (
            sum(event.arrivals_reissued for event in snapshot.events.values()) - reissued_before
        )
        if decisions.reissued:
            log_reissued(plan.decided)
        if not plan.decided and plan.rows:  # offers came first, a transaction full of them
            line_take.report_progress(self._runner, claim)

    def _blame(self, claim: Claim, error: psycopg2.Error, part: list[Request]) -> None:
        """A data error (SQLSTATE class 22 or 23) is some request's fault: found by deciding one by one, on a
        fresh snapshot each; the one that fails alone is quarantined. Any other error is nobody's fault.
        """
        if error.diag.constraint_name == "bookings_reference_key":
            self._references.left = 0  # the block was drawn twice (a restored sequence): nobody's fault
            return
        if (error.pgcode or "")[:2] not in DATA_ERROR_CLASSES:
            return
        if error.diag.constraint_name == "decisions_pkey":
            return  # one was decided before: the next look at what is in flight asks the ledger which
        if len(part) == 1:
            log.error("quarantine: its data", extra={**name_of(part[0]), "sqlstate": error.pgcode})
            self._quarantine.add(part[0].job_id)
        else:
            self._alone.setdefault(claim.partition, set()).update(request.job_id for request in part)

    def _work_off(self, session: ClaimSession, claim: Claim, request: Request, decisions: Decisions) -> None:
        """One slice of a call-off or of ending a waitlist, or its own row, the last, when nothing is left to do."""
        with DB_QUERIES.time(_LOAD):
            snapshot, bookings, entries, now = batches.load_slice(session.cursor, request, SLICE_SIZE)
        if not (bookings or entries) or request.job_id in self._quarantine:
            self._decide_part(session, claim, [request], decisions)
            return
        try:
            plan = decide_slice(snapshot, request, bookings, entries, now)
        except MemoryError:
            raise
        except Exception as error:
            log.exception("quarantine: our code failed on it", extra=name_of(request))
            self._quarantine.add(request.job_id)
            raise PoisonError(request.job_id) from error
        try:
            with DB_QUERIES.time(_WRITE):
                batches.write(session.cursor, snapshot, plan, now)
        except psycopg2.Error as error:
            self._blame(claim, error, [request])
            raise
        self._commit(session)
        line_take.report_progress(self._runner, claim)

    def _commit(self, session: ClaimSession) -> None:
        try:
            with DB_QUERIES.time(_COMMIT):
                session.cursor.execute("commit")
        except psycopg2.Error as error:
            raise CommitUnknownError from error
        session.spoke()

    def _reply(self, claim: Claim, taken: Taken, decisions: Decisions, ahead: Ahead) -> None:
        seconds = ahead.lap()
        if ahead.takes:
            self._reply_ahead(claim, taken, self._told(claim, decisions, seconds), ahead)
        else:
            ahead.settle()
            if decisions.lost:
                log_set_aside(decisions.lost, decisions.lost_request_ids)
                ttl = self._settings.job_ttl_seconds
                line_take.set_aside(self._runner, claim, decisions.lost, ttl_seconds=ttl)
            if not decisions.jobs:
                return
            reply(self._runner, self._settings, claim, **self._told(claim, decisions, seconds))
            self._is_warm = True
        log_decided(claim.partition, decisions.jobs, seconds)

    def _reply_ahead(self, claim: Claim, taken: Taken, told: dict[str, Any], ahead: Ahead) -> None:
        """Replies while the next batch is decided, and asks for what stands behind that one, of which it is not known
        yet whether it is full.
        """
        ahead.reply(reply_command(self._settings, claim, instance=self.instance, **told))
        # At once: both in one turn of Redis, which syncs its file once a turn.
        if self._goes_on(taken, ahead):
            self._take_ahead(claim, ahead, behind=self._settings.batch_max)
        # Only now: when Redis is done with what it is at, its next work is there.
        ahead.fetch_next()
        self._is_warm = ahead.next is None

    def _told(self, claim: Claim, decisions: Decisions, seconds: float) -> dict[str, Any]:
        """What a reply says."""
        rate = self._rates.setdefault(claim.partition, Rate()).note(len(decisions.jobs), seconds)
        return {
            "worker_name": self.worker_name,
            "jobs": decisions.jobs,
            "last_arrivals": decisions.last_arrivals,
            "last_given": decisions.last_given,
            "rate": rate,
            "reissued": decisions.reissued,
        }
