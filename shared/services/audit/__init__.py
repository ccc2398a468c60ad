"""Checking every promise on a live database: the ledger replayed, compared with the tables and the line."""

from shared.services.audit.findings import Tally
from shared.services.audit.line import audit_line
from shared.services.audit.tables import audit_tables, snapshot_transaction

__all__ = ["Tally", "audit_line", "audit_tables", "snapshot_transaction"]
