"""The report as JSON."""

from collections.abc import Mapping
from typing import Any

from scripts.benches.figures import Measurement
from scripts.benches.report.circumstances import Circumstances


def make_document(found: Mapping[str, Measurement], circumstances: Circumstances) -> dict[str, Any]:
    """`ok` is whether every promise held, however slow it was."""
    return {
        "ok": not list_violations(found),
        **circumstances.document(),
        "measurements": {name: measurement.document() for name, measurement in found.items()},
    }


def list_violations(found: Mapping[str, Measurement]) -> list[str]:
    """Every broken promise."""
    return [violation for measurement in found.values() for violation in measurement.violations]


def count_audited(found: Mapping[str, Measurement]) -> int:
    """Ledger rows that were replayed."""
    return sum(measurement.audited_rows for measurement in found.values())
