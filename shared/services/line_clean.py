"""Cleaning the line: decided jobs leave Redis before their time. The ledger goes on answering for them."""

from dataclasses import dataclass
from datetime import timedelta

from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from shared.clock import from_micros, rfc3339
from shared.errors import UnavailableError
from shared.line.clean import CleanableState, sweep
from shared.line.client import LineUnavailableError, OutcomeUnknownError, ScriptRunner
from shared.line.installation import Installation
from shared.services import audit_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was cleaned. `found` jobs could go, up to the limit; all of them went unless it was a dry run. `trouble`
    is why it ended early: what had gone by then is gone.
    """

    state: CleanableState
    older_than_seconds: int
    found: int
    dry_run: bool
    trouble: UnavailableError | None = None

    @property
    def removed(self) -> int:
        """Jobs that are gone."""
        return 0 if self.dry_run else self.found

    @property
    def is_unknown(self) -> bool:
        """More than `removed` may be gone, or may still go: Redis did not answer."""
        return isinstance(self.trouble, OutcomeUnknownError)

    @property
    def is_change(self) -> bool:
        """There is something to write down."""
        return self.removed > 0 or self.is_unknown


def clean(
    runner: ScriptRunner,
    installation: Installation,
    *,
    state: CleanableState,
    older_than_seconds: int = 0,
    limit: int,
    dry_run: bool = False,
) -> Cleaned:
    """Removes up to `limit` jobs that ended so long ago: hash, result, registry entry. Never what waits or is in
    flight, nor idempotency records or the ledger. The oldest of each partition first, 500 a round trip; it turns to
    the next partition when 500 entries in a row are too young. Raises nothing for a line that fails meanwhile: see
    Cleaned.
    """
    found = 0
    trouble: UnavailableError | None = None
    try:
        ended_until = _ended_until(runner, older_than_seconds)
        for partition in range(installation.partitions):
            start = 0
            while found < limit:
                swept = sweep(
                    runner,
                    installation,
                    partition,
                    state,
                    ended_until=ended_until,
                    start=start,
                    maximum=limit - found,
                    dry_run=dry_run,
                )
                found += swept.going
                start += swept.examined if dry_run else swept.examined - swept.going
                if not swept.more or swept.young == swept.examined:
                    break
    except UnavailableError as error:
        trouble = error
    return Cleaned(
        state=state, older_than_seconds=older_than_seconds, found=found, dry_run=dry_run, trouble=trouble
    )


def record_clean(
    session: Session,
    cleaned: Cleaned,
    *,
    actor_id: int | None,
    reason: str | None = None,
    request_id: str | None = None,
    by: str | None = None,
) -> None:
    """Writes into the audit log what has been removed, or may have been.

    After the removal, unlike every other change: Redis cannot be part of the transaction, and only afterwards is it
    known what went. Should PostgreSQL fail in between, decided jobs that would have expired anyway are gone without
    an entry; the other way round the log could claim what never happened.
    """
    removed = (
        {"removed_at_least": cleaned.removed, "outcome": "unknown"}
        if cleaned.is_unknown
        else {"removed": cleaned.removed}
    )
    audit_log.record(
        session,
        actor_id=actor_id,
        action="line.clean",
        target_type="line",
        target_id="bookings",
        reason=reason,
        changes={"state": cleaned.state, "older_than_seconds": cleaned.older_than_seconds, **removed},
        request_id=request_id,
        by=by,
    )


def _ended_until(runner: ScriptRunner, older_than_seconds: int) -> str:
    """The newest end that is old enough, by Redis' clock; empty for any."""
    if older_than_seconds == 0:
        return ""
    try:
        seconds, micros = runner.redis.time()
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    now = from_micros(int(seconds) * 1_000_000 + int(micros))
    return rfc3339(now - timedelta(seconds=older_than_seconds))
