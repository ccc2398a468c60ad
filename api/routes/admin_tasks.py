"""`/admin/tasks`: background tasks that failed, run again or dropped."""

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Response, g
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.parsing import load_body, load_query
from api.places import decode_registry_place, encode_place, next_link
from api.responses import NO_STORE, json_response
from api.schemas.admin_tasks import (
    TaskChangeDocument,
    TaskDropSchema,
    TaskListDocument,
    TaskListSchema,
    TaskRetrySchema,
    task_document,
)
from shared.db import transaction
from shared.line.tasks import list_failed_tasks
from shared.services.tasks import TaskChange, change_task, record_task_change

blueprint = Blueprint("admin_tasks", __name__)

_TAG: Final = "Tasks"
_PATH: Final = {"task_id": "The task's id."}
_LIST: Final = TaskListSchema()
_RETRY: Final = TaskRetrySchema()
_DROP: Final = TaskDropSchema()
_PROBLEMS: Final = ("task_not_found", "task_not_failed", "line_unavailable", "outcome_unknown")


class TaskIdConverter(BaseConverter):
    """What RQ takes for a job's id; nothing else gets as far as a Redis key."""

    regex = "[A-Za-z0-9_-]{1,128}"


@blueprint.record_once
def _add_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["task_id"] = TaskIdConverter


@blueprint.get("/admin/tasks")
@describe(
    tag=_TAG,
    auth="admin",
    query=TaskListSchema,
    answers={200: Answer("A page of failed tasks.", TaskListDocument, headers=("Link", "Cache-Control"))},
    problems=("line_unavailable",),
)
def list_tasks() -> Response:
    """Lists the background tasks that failed, newest first."""
    container = get_container()
    with transaction(container.engine) as session:
        require_actor(session, "admin")
    query = load_query(_LIST)
    after = decode_registry_place(query["cursor"]) if "cursor" in query else None
    page = list_failed_tasks(container.line.runner, after, limit=query["limit"])
    cursor = encode_place(page.next)
    document = {"items": [task_document(task) for task in page.tasks], "next_cursor": cursor}
    return json_response(document, headers={**next_link(cursor), **NO_STORE})


@blueprint.post("/admin/tasks/<task_id:task_id>/retry")
@describe(
    tag=_TAG,
    auth="admin",
    path=_PATH,
    body=TaskRetrySchema,
    body_optional=True,
    answers={200: Answer("It waits in its queue.", TaskChangeDocument, headers=("Cache-Control",))},
    problems=_PROBLEMS,
)
def retry(task_id: str) -> Response:
    """Puts a failed background task back into its queue."""
    _change(task_id, "retry", lambda: load_body(_RETRY))
    return json_response({"id": task_id, "status": "queued"}, headers=NO_STORE)


@blueprint.delete("/admin/tasks/<task_id:task_id>")
@describe(
    tag=_TAG,
    auth="admin",
    path=_PATH,
    query=TaskDropSchema,
    answers={204: Answer("It is forgotten.")},
    problems=_PROBLEMS,
)
def drop(task_id: str) -> Response:
    """Forgets a background task that failed."""
    _change(task_id, "drop", lambda: load_query(_DROP))
    return Response(status=204)


def _change(task_id: str, change: TaskChange, load: Callable[[], dict[str, Any]]) -> None:
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session, "admin")
    values = load()  # after the role: whoever may not do this is not told what is wrong with it
    changed = change_task(container.line.runner, container.gate.installation(), task_id, change)
    with transaction(container.engine) as session:
        record_task_change(session, changed, actor_id=actor.user_id, request_id=g.request_id, **values)
    if changed.trouble is not None:
        raise changed.trouble
