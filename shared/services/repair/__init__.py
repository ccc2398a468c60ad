"""Mending Redis from the ledger, never the ledger: after one of the two was restored from an older copy, or Redis
lost what it had.

What only Redis knows is kept: an accepted request whose decision PostgreSQL has lost goes back into the line, in
order. What the ledger knows is told to Redis. What neither knows cannot be brought back, and is said.
"""

from shared.services.repair.holding import RepairRefusedError
from shared.services.repair.report import Mend, Report, printable
from shared.services.repair.run import repair

__all__ = ["Mend", "RepairRefusedError", "Report", "printable", "repair"]
