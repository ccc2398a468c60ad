"""A booking worker that kills itself at a chosen call. Run by tests; every line on stdin is a life."""

import faulthandler
import os
import time
from typing import Any, NoReturn

import worker.batch
import worker.booking_worker
from shared.domain import allocation, waitlist
from shared.line.inspect import count_undecided
from shared.settings import Settings, load_settings
from tests.crash.mortality import BEFORE, Death, count_calls, serve
from worker.batch import BatchRunner
from worker.booking_worker import BookingWorker
from worker.claims import ClaimSession
from worker.compose import make_booking_worker

LIFE_SECONDS = 15.0
SURVIVED, TOO_LONG = 0, 9


def arm_in_batches(death: Death) -> None:
    """Calls of batches count, those that a worker makes beside them do not."""
    run_once = BatchRunner.run_once

    def armed(self: BatchRunner, *arguments: Any) -> Any:
        death.arm()
        try:
            return run_once(self, *arguments)
        finally:
            death.disarm()

    BatchRunner.run_once = armed  # type: ignore[method-assign]


def die_of_user(death: Death, user_id: int) -> None:
    """This user's booking kills the process: as a crash in a C library would."""
    judge_book = allocation.judge_book

    def deadly(snapshot: Any, event: Any, request: Any, now: Any) -> Any:
        if request.user_id == user_id:
            death.die(f"user {user_id}")
        return judge_book(snapshot, event, request, now)

    allocation.judge_book = deadly


def reply_before_commit() -> None:
    """The wrong order: who waits is told what may never have been."""
    commit, reply = BatchRunner._commit, BatchRunner._reply
    sessions: list[ClaimSession] = []

    def remember(_: BatchRunner, session: ClaimSession) -> None:
        sessions.append(session)

    def reply_then_commit(self: BatchRunner, *arguments: Any) -> None:
        reply(self, *arguments)
        for session in sessions:
            commit(self, session)
        sessions.clear()

    BatchRunner._commit, BatchRunner._reply = remember, reply_then_commit  # type: ignore[method-assign]


def live(settings: Settings, order: dict[str, Any]) -> NoReturn:
    """One life: until the line is empty, or the chosen call."""
    faulthandler.dump_traceback_later(LIFE_SECONDS + 15, exit=True)  # a life that hangs says where
    death = Death(at=order.get("at", 0), when=order.get("when", BEFORE))
    count_calls(death)
    if order.get("batches_only"):
        arm_in_batches(death)
    else:
        death.arm()
    if "user" in order:
        die_of_user(death, order["user"])
    if order.get("replies_first"):
        reply_before_commit()
    waitlist.OFFERS_MAX = order.get("offers_max", waitlist.OFFERS_MAX)  # type: ignore[misc]
    worker.booking_worker.RUN_ALONE_SECONDS = LIFE_SECONDS  # type: ignore[misc]  # or a slow machine made other calls
    worker.batch.SLICE_SIZE = order.get("slice_size", worker.batch.SLICE_SIZE)
    booking_worker = make_booking_worker(settings, "mortal", os.getpid())
    deadline = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < deadline:
        booking_worker.run_once()
        if is_done(booking_worker, settings):
            booking_worker._let_go()
            os._exit(SURVIVED)
    os._exit(TOO_LONG)


def is_done(booking_worker: BookingWorker, settings: Settings) -> bool:
    """Nothing waits and nothing is in flight."""
    return not any(count_undecided(booking_worker._runner, range(settings.partitions)).values())


def main() -> None:
    """Forks a life for every order."""
    settings = load_settings(os.environ)
    serve(lambda order: live(settings, order))


if __name__ == "__main__":
    main()
