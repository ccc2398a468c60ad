"""The tally of an audit: what was looked at, what was found, what is only worth knowing."""

import uuid
from collections import Counter
from datetime import datetime
from typing import Any, Final

from shared.clock import rfc3339
from shared.domain.findings import CHECKS, Finding

# Findings kept word for word, per check: one broken ledger may give a million; all are counted.
KEPT_PER_CHECK: Final = 1000


class Tally:
    """Counts per check, the findings themselves up to a limit, and notes that are no fault."""

    def __init__(self) -> None:
        self.examined: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.notes: Counter[str] = Counter()

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.failed

    def add(self, finding: Finding) -> None:
        """Counts a finding, and keeps it unless its check already has a thousand."""
        if self.failed[finding.check] < KEPT_PER_CHECK:
            self.findings.append(finding)
        self.failed[finding.check] += 1

    def compare(self, check: str, what: str, expected: object, found: object, **place: Any) -> None:  # noqa: ANN401
        """Counts one comparison, and a finding when the two differ. `place` says where: event, number, job."""
        self.examined[check] += 1
        if expected != found:
            self.add(Finding(check=check, what=what, expected=expected, found=found, **place))

    def document(self) -> dict[str, Any]:
        """The tally as JSON values."""
        checks = [
            {
                "check": check,
                "promise": promise,
                "examined": self.examined[check],
                "findings": self.failed[check],
                "ok": not self.failed[check],
            }
            for check, promise in CHECKS.items()
        ]
        return {
            "ok": self.ok,
            "checks": checks,
            "findings": [finding_document(finding) for finding in self.findings],
            "notes": dict(self.notes),
        }


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding as JSON values."""
    return {
        "check": finding.check,
        "event_id": finding.event_id,
        "number": finding.number,
        "job_id": None if finding.job_id is None else str(finding.job_id),
        "what": finding.what,
        "expected": plain(finding.expected),
        "found": plain(finding.found),
    }


def plain(value: object) -> object:
    """A value of a ledger row as JSON has it."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value
