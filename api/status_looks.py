"""The status of one request, as a poll asks for it: whoever polls at the same time is in the same looks."""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Final

from api.joint_trips import JointTrips
from shared.db import Engine
from shared.db import waiting as patience
from shared.errors import GuichetError, NotFoundError, UnavailableError
from shared.line.status import Question
from shared.services.line import LineClient
from shared.services.requests import (
    Doubted,
    LineAnswer,
    RequestStatus,
    doubt,
    find_in_ledger,
    find_in_line,
    weigh,
)

# A database that says nothing keeps up everybody who polls for what only it knows. A look takes it milliseconds.
SILENT_SECONDS: Final = 2.0


class StatusLooks:
    """One process' looks into the line, and beside them its looks into the ledger."""

    def __init__(self, engine: Engine, line: LineClient) -> None:
        self._line: JointTrips[Question, LineAnswer] = JointTrips(partial(find_in_line, line), lost=_lost)
        self._ledger: JointTrips[Doubted, RequestStatus | UnavailableError | None] = JointTrips(
            partial(_look_into_ledger, engine), lost=_lost
        )

    def get(self, job_id: uuid.UUID, subjects: tuple[str, str] | None) -> RequestStatus:
        """The request's status; a round trip to Redis, and one or two to PostgreSQL where the line is not enough. Who
        asks at the same time shares them.

        Raises NotFoundError `job_not_found`, GuichetError `unauthenticated` for a revoked token, UnavailableError.
        """
        job = self._line.ask((job_id, subjects))
        doubted = doubt(job_id, job)
        found = weigh(job, None if doubted is None else self._ledger.ask(doubted))
        if found is None:
            raise NotFoundError("job_not_found")
        if isinstance(found, GuichetError):
            raise found
        return found


def _lost() -> UnavailableError:
    return UnavailableError("line_unavailable")


def _look_into_ledger(
    engine: Engine, doubted: Sequence[Doubted]
) -> Sequence[RequestStatus | UnavailableError | None]:
    with patience(SILENT_SECONDS):
        return find_in_ledger(engine, doubted)
