"""How PostgreSQL runs the statements of a read: which indexes, which tables whole."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from shared.db import transaction


def nodes_of(
    engine: Engine, read: Callable[[Session], object], *, analyze: bool = False
) -> list[dict[str, Any]]:
    """Every node of the plans of what `read` asks; with `analyze`, as they went."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with transaction(engine) as session:
            read(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    explain = f"explain (analyze {analyze}, format json)"
    with engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"{explain} {statement}", parameters).scalar_one()
            for statement, parameters in asked
            if not statement.startswith(("explain", "select version", "show"))
        ]
    return [node for plan in plans for node in walk(plan[0]["Plan"])]


def indexes_of(engine: Engine, read: Callable[[Session], object]) -> set[str]:
    """The indexes that are used, and `seq scan of <table>` for what is read whole."""
    nodes = nodes_of(engine, read)
    whole = {f"seq scan of {node['Relation Name']}" for node in nodes if node["Node Type"] == "Seq Scan"}
    return whole | {node["Index Name"] for node in nodes if "Index Name" in node}


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node and every node below it."""
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)
