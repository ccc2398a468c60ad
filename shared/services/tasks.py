"""Failed background tasks: seen, run again, or dropped. Never booking requests, whose decision is final."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from shared.errors import NotFoundError, RefusedError, UnavailableError
from shared.line import tasks as line_tasks
from shared.line.client import OutcomeUnknownError, ScriptRunner
from shared.line.installation import Installation
from shared.services import audit_log

TaskChange = Literal["retry", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged:
    """A task that was changed. With `trouble` it may have been, or may still be: nobody answered."""

    task_id: str
    change: TaskChange
    trouble: UnavailableError | None = None


def change_task(
    runner: ScriptRunner, installation: Installation, task_id: str, change: TaskChange
) -> TaskChanged:
    """Puts a failed task back into its queue, or forgets it. One round trip.

    Raises `task_not_found`, `task_not_failed`, and LineUnavailableError; nothing is changed then. When that cannot
    be known it raises nothing: see TaskChanged.
    """
    act = line_tasks.retry_task if change == "retry" else line_tasks.drop_task
    try:
        verdict = act(runner, installation, task_id)
    except OutcomeUnknownError as error:
        return TaskChanged(task_id=task_id, change=change, trouble=error)
    if verdict == "absent":
        raise NotFoundError("task_not_found")
    if verdict == "not_failed":
        raise RefusedError("task_not_failed")
    return TaskChanged(task_id=task_id, change=change)


def record_task_change(
    session: Session,
    changed: TaskChanged,
    *,
    actor_id: int | None,
    reason: str | None = None,
    request_id: str | None = None,
) -> None:
    """Writes down who did it; after the change, as for a clean: Redis cannot be part of the transaction."""
    audit_log.record(
        session,
        actor_id=actor_id,
        action=f"task.{changed.change}",
        target_type="task",
        target_id=changed.task_id,
        reason=reason,
        changes={"outcome": "unknown"} if changed.trouble is not None else {},
        request_id=request_id,
    )
