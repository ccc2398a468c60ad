"""`python -m scripts.capacity.markdown report.json`: the tables of docs/scaling.md, from a bench's JSON report."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from scripts.benches.report.words import number
from scripts.capacity.model import Costs, Demand
from scripts.capacity.outlook import COLUMNS, outlook

# The columns of the costs, and what the model calls them.
PARTS: Mapping[str, str] = {
    "API": "api_us",
    "Redis": "redis_us",
    "PostgreSQL": "postgres_us",
    "worker": "worker_us",
    "client": "client_us",
    "waiting": "wait_us",
}
OPERATIONS: Mapping[str, str] = {"an accept": "accept", "a decision": "decision", "a batch, once": "batch"}
COMPANY = "in company, times"


def make_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has them; cells hold no bars."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def costs_rows(costs: Costs) -> list[tuple[str, ...]]:
    """A row for each of OPERATIONS, a column for each of PARTS, microseconds; and how many times that in company, which
    makes nobody wait longer.
    """
    prices = (1.0 if part == "wait_us" else costs.company for part in PARTS.values())
    return [
        *(
            (label, *(f"{getattr(getattr(costs, name), part):.1f}" for part in PARTS.values()))
            for label, name in OPERATIONS.items()
        ),
        (COMPANY, *(f"{price:.2f}" for price in prices)),
    ]


def read_costs(rows: Sequence[Sequence[str]]) -> Costs:
    """What `costs_rows` wrote, with a worker that is set as usual."""
    *operations, company = rows
    demands = {
        OPERATIONS[row[0]]: Demand(**dict(zip(PARTS.values(), map(float, row[1:]), strict=True)))
        for row in operations
    }
    return Costs(
        accept=demands["accept"],
        decision=demands["decision"],
        batch=demands["batch"],
        company=float(company[1]),
    )


def main() -> None:
    """Prints what was measured, the costs, and the outlook that comes of them."""
    report: dict[str, Any] = orjson.loads(Path(sys.argv[1]).read_bytes())
    found = report["measurements"]["scaling"]
    rows = [(f["what"].strip(), number(f["value"], f["unit"]), f["note"]) for f in found["figures"]]
    costs = found["tables"][0]["rows"]
    sys.stdout.write(make_table(("measured", "value", "circumstances"), rows) + "\n")
    sys.stdout.write(make_table(("microseconds", *PARTS), costs) + "\n")
    sys.stdout.write(make_table(COLUMNS, outlook(read_costs(costs))))


if __name__ == "__main__":
    main()
