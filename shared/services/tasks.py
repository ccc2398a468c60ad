"""Failed background tasks: seen, run again, or dropped. Never booking requests, whose decision is final."""

from typing import Literal

from sqlalchemy.orm import Session

from shared.errors import NotFoundError, RefusedError
from shared.line import tasks as line_tasks
from shared.line.client import ScriptRunner
from shared.line.installation import Installation
from shared.services import audit_log

TaskChange = Literal["retry", "drop"]


def change_task(runner: ScriptRunner, installation: Installation, task_id: str, change: TaskChange) -> None:
    """Puts a failed task back into its queue, or forgets it. One round trip.

    Raises `task_not_found`, `task_not_failed` (nothing is changed then), and LineUnavailableError.
    """
    act = line_tasks.retry_task if change == "retry" else line_tasks.drop_task
    verdict = act(runner, installation, task_id)
    if verdict == "absent":
        raise NotFoundError("task_not_found")
    if verdict == "not_failed":
        raise RefusedError("task_not_failed")


def record_task_change(
    session: Session, task_id: str, change: TaskChange, *, actor_id: int | None, request_id: str | None = None
) -> None:
    """Writes down who did it; after the change, as for a clean: Redis cannot be part of the transaction."""
    audit_log.record(
        session,
        actor_id=actor_id,
        action=f"task.{change}",
        target_type="task",
        target_id=task_id,
        request_id=request_id,
    )
