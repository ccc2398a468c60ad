"""A booking worker that keeps no promise: every fifth batch it answers, and rolls back what it answered.

It shows that a whole trial of a system that loses requests is red.
"""

import itertools
import sys
from typing import Final

from worker.__main__ import main
from worker.batch import BatchRunner
from worker.claims import ClaimSession

_FORGOTTEN_EVERY: Final = 5
_batches = itertools.count(1)
_commit = BatchRunner._commit


def forget(self: BatchRunner, session: ClaimSession) -> None:
    """Commits four batches, and forgets the fifth."""
    if next(_batches) % _FORGOTTEN_EVERY:
        _commit(self, session)
    else:
        session.rollback()


if __name__ == "__main__":
    BatchRunner._commit = forget  # type: ignore[method-assign]
    sys.exit(main(["bookings"]))
