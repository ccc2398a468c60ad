"""How PostgreSQL runs the statements of a read: which indexes, which tables whole."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from shared.db import transaction


def nodes_of(engine: Engine, read: Callable[[Session], object]) -> list[dict[str, Any]]:
    """Every node of the plans of what `read` asks."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with transaction(engine) as session:
            read(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"explain (format json) {statement}", parameters).scalar_one()
            for statement, parameters in asked
        ]
    return [node for plan in plans for node in _walk(plan[0]["Plan"])]


def indexes_of(engine: Engine, read: Callable[[Session], object]) -> set[str]:
    """The indexes that are used, and `seq scan of <table>` for what is read whole."""
    nodes = nodes_of(engine, read)
    whole = {f"seq scan of {node['Relation Name']}" for node in nodes if node["Node Type"] == "Seq Scan"}
    return whole | {node["Index Name"] for node in nodes if "Index Name" in node}


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _walk(child)
