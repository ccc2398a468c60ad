"""docs/scaling.md: its table of sizes is what the model makes of its table of costs."""

from pathlib import Path

from scripts.capacity.markdown import COLUMNS, PARTS, costs_rows, make_table, read_costs
from scripts.capacity.outlook import outlook

PAGE = (Path(__file__).resolve().parents[2] / "docs/scaling.md").read_text()


def rows_under(header: str) -> list[list[str]]:
    """The rows of the table with that first line."""
    lines = PAGE[PAGE.index(header) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


COSTS = rows_under(f"| microseconds | {' | '.join(PARTS)} |")


class TestTheTables:
    def test_the_sizes_come_of_the_costs(self):
        assert make_table(COLUMNS, outlook(read_costs(COSTS))) in PAGE

    def test_the_costs_are_written_as_the_bench_writes_them(self):
        assert [list(row) for row in costs_rows(read_costs(COSTS))] == COSTS
