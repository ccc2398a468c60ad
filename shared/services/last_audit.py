"""What the last nightly check of the ledgers found, for health: without the audit itself, which no API process runs."""

from shared.store.ledger_audits import AuditDone, find_last_audit

__all__ = ["AuditDone", "audit_warnings", "find_last_audit"]


def audit_warnings(last: AuditDone | None) -> dict[str, str]:
    """What health says about the last check: nothing when it found nothing."""
    if last is None or not last.findings:
        return {}
    return {"ledger_audit": f"The check of {last.night} has {last.findings} findings: run guichet audit"}
