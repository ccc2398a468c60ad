"""Following: reads the event's public ledger until every accepted job stands in it."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent

from scripts.load.client import Target
from scripts.load.history import Attempt, Entry
from scripts.load.service import Service, ServiceError

_IDLE_SECONDS: Final = 0.25
_SAMPLE: Final = 100


class Follower:
    """Reads one event's ledger as it grows. `entries` are its rows so far, `jobs` the ids in them."""

    def __init__(self, target: Target, event_id: int) -> None:
        self._service, self._event_id = Service(target), event_id
        self._cursor: str | None = None
        self._last_number = 0
        self.entries: list[Entry] = []
        self.jobs: set[str] = set()
        self.error = ""

    def run_once(self) -> bool:
        """Reads one page; True when there is more at once."""
        try:
            page, following = self._service.ledger_page(self._event_id, self._cursor)
        except ServiceError as error:
            self.error = str(error)
            return False
        self.error = ""
        # The last page is read again until it is full; what was seen of it is skipped.
        fresh = [entry for entry in page if entry.number > self._last_number]
        twice = [
            entry for entry in page if entry.number <= self._last_number and entry.job_id not in self.jobs
        ]
        self.entries += twice + fresh
        self.jobs.update(entry.job_id for entry in page)
        if fresh:
            self._last_number = fresh[-1].number
        self._cursor = following or self._cursor
        return following is not None

    def follow(
        self, is_complete: Callable[[set[str]], bool], *, patience_seconds: float, seconds_max: float
    ) -> None:
        """Reads until `is_complete(jobs)`, or nothing new came for `patience_seconds`, or time is up."""
        began = progressed = time.monotonic()
        while not is_complete(self.jobs):
            known = len(self.entries)
            more = self.run_once()
            now = time.monotonic()
            if len(self.entries) > known:
                progressed = now
            if now - progressed > patience_seconds or now - began > seconds_max:
                return
            if not more:
                gevent.sleep(_IDLE_SECONDS)

    def catch_up(self) -> None:
        """Reads to the end of the ledger as it is now; raises ServiceError when it cannot be read."""
        while self.run_once():
            pass
        if self.error:
            raise ServiceError(self.error)

    def close(self) -> None:
        """Ends the connection."""
        self._service.close()


def sample_statuses(
    target: Target, attempts: Sequence[Attempt], tokens: dict[str, str], jobs: set[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Status documents of some decided jobs, evenly chosen, and what the status says of undecided ones."""
    accepted = [(attempt, job_id) for attempt in attempts for job_id in attempt.job_ids]
    decided = [pair for pair in accepted if pair[1] in jobs]
    undecided = [pair for pair in accepted if pair[1] not in jobs][:_SAMPLE]
    chosen = decided[:: max(1, len(decided) // _SAMPLE)][:_SAMPLE]
    service = Service(target)
    documents: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    try:
        for attempt, job_id in chosen:
            status, document = service.get_status(job_id, tokens[attempt.user])
            if status == 200:
                documents[job_id] = document
        for attempt, job_id in undecided:
            status, document = service.get_status(job_id, tokens[attempt.user])
            said = f"{document.get('status')}, position {document.get('position')}" if document else ""
            reasons[job_id] = f"not decided by the deadline: its status is {status} {said}".rstrip()
    except ServiceError:
        pass  # the ledger is the truth; the sample only checks that the status agrees
    finally:
        service.close()
    return documents, reasons
