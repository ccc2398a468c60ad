"""Removing decided jobs before their time: what the ledger knows anyway."""

from dataclasses import dataclass
from typing import Final, Literal

from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, OutcomeUnknownError, ScriptRunner
from shared.line.installation import Installation

CleanableState = Literal["finished", "failed"]

# Entries of one script run: Redis does nothing else for the few milliseconds it takes.
CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one run met: `going` were removed (or would be), `young` are not old enough, of `examined` entries.
    `more`: it did not come to the registry's end.
    """

    going: int
    young: int
    examined: int
    more: bool


def sweep(
    runner: ScriptRunner,
    installation: Installation,
    partition: int,
    state: CleanableState,
    *,
    ended_until: str,
    start: int,
    maximum: int,
    dry_run: bool,
) -> Swept:
    """Looks at the next CHUNK entries of a partition's registry from rank `start` on, the oldest first, and removes
    at most `maximum` jobs that ended until then (RFC 3339; empty: whenever). One round trip.

    Raises LineUnavailableError, and OutcomeUnknownError when it cannot be known whether it ran.
    """
    try:
        reply = runner.run(
            "clean",
            [
                keys.failed(partition) if state == "failed" else keys.finished(partition),
                keys.started(partition),
                keys.INSTALLATION,
            ],
            [
                installation.mark,
                state,
                ended_until,
                start,
                maximum,
                CHUNK,
                int(dry_run),
                keys.JOB_PREFIX,
                keys.RESULT_PREFIX,
                keys.EXECUTION_SUFFIX,
            ],
        )
    except AnswerUnknownError as error:
        if dry_run:  # whether it ran or not, nothing has changed
            raise LineUnavailableError("The line did not answer.") from error
        raise OutcomeUnknownError from error
    if reply[0] == b"foreign":
        raise LineUnavailableError("This Redis belongs to another installation.")
    if reply[0] == b"uninitialised":
        return Swept(going=0, young=0, examined=0, more=False)  # it is empty
    return Swept(going=reply[1], young=reply[2], examined=reply[3], more=reply[3] == CHUNK)
