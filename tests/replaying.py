"""Replaying rows in tests, and saying where something was found."""

from shared.domain.findings import Finding
from shared.domain.ledger import LedgerRow, chain_hash
from shared.domain.replay import Replay


def replay(rows: list[LedgerRow], event_id: int = 1) -> tuple[Replay, list[Finding]]:
    run = Replay(event_id)
    return run, [finding for row in rows for finding in run.step(row)]


def rechain(rows: list[LedgerRow]) -> list[LedgerRow]:
    """What a forger with the code would do: every hash recomputed."""
    previous = bytes(32)
    for row in rows:
        row.hash = previous = chain_hash(previous, row)
    return rows


def places(findings: list[Finding]) -> set[tuple[str, int | None]]:
    return {(finding.check, finding.number) for finding in findings}
