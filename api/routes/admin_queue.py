"""`/admin/queue`: the line in figures and job by job, paused, resumed, cleaned. `drain` is in `admin_drain.py`."""

import uuid
from typing import Final

from flask import Blueprint, Response, g

from api.auth import require_actor
from api.container import Container, get_container
from api.contract import Answer, describe
from api.parsing import load_body, load_query
from api.places import encode_place, next_link
from api.responses import NO_STORE, json_response
from api.schemas.admin_jobs import (
    JobDetailDocument,
    JobListDocument,
    JobListSchema,
    job_detail_document,
    job_document,
    job_query,
)
from api.schemas.admin_queue import (
    CleanDocument,
    CleanSchema,
    LineStateDocument,
    LineStatsDocument,
    PauseSchema,
    ResumeSchema,
    clean_document,
)
from shared.db import transaction
from shared.errors import NotFoundError
from shared.services import line_pause
from shared.services.line_clean import clean, record_clean
from shared.services.line_job import find_job_detail
from shared.services.line_jobs import list_jobs
from shared.services.line_stats import line_stats_document, pause_document, read_line_stats
from shared.store.line_state import find_pause_record

blueprint = Blueprint("admin_queue", __name__)

_TAG: Final = "Queue"
_NO_STORE: Final = ("Cache-Control",)
_LIST: Final = JobListSchema()
_PAUSE: Final = PauseSchema()
_RESUME: Final = ResumeSchema()
_CLEAN: Final = CleanSchema()


@blueprint.get("/admin/queue/stats")
@describe(
    tag=_TAG,
    auth="admin",
    answers={200: Answer("The line now.", LineStatsDocument, headers=_NO_STORE)},
    problems=("line_unavailable",),
)
def show_stats() -> Response:
    """Shows the line in figures: depths, ages, speed, holders, workers, what is wrong."""
    container = get_container()
    with transaction(container.engine) as session:
        require_actor(session, "admin")
    stats = read_line_stats(
        container.engine,
        container.gate,
        container.line.runner.redis,
        partitions=container.settings.partitions,
    )
    return json_response(line_stats_document(stats), headers=NO_STORE)


@blueprint.get("/admin/queue/details")
@describe(
    tag=_TAG,
    auth="admin",
    query=JobListSchema,
    answers={200: Answer("A page of jobs.", JobListDocument, headers=("Link", *_NO_STORE))},
    problems=("line_unavailable",),
)
def list_details() -> Response:
    """Lists the jobs in the line; those that are undecided by partition and oldest first, others newest first."""
    container = get_container()
    with transaction(container.engine) as session:
        require_actor(session, "admin")
    query = job_query(load_query(_LIST))
    page = list_jobs(container.line.runner, partitions=container.settings.partitions, query=query)
    cursor = encode_place(page.next)
    document = {"items": [job_document(job) for job in page.jobs], "next_cursor": cursor}
    return json_response(document, headers={**next_link(cursor), **NO_STORE})


@blueprint.get("/admin/queue/jobs/<uuid:job_id>")
@describe(
    tag=_TAG,
    auth="admin",
    path={"job_id": "The job's id."},
    answers={200: Answer("All that is known of it.", JobDetailDocument, headers=_NO_STORE)},
    problems=("job_not_found", "line_unavailable"),
)
def show_job(job_id: uuid.UUID) -> Response:
    """Shows one job whole: payload, timeline, place, decision."""
    container = get_container()
    with transaction(container.engine) as session:
        require_actor(session, "admin")
    detail = find_job_detail(container.engine, container.line.runner, container.gate.installation(), job_id)
    if detail is None:
        raise NotFoundError("job_not_found")
    return json_response(job_detail_document(detail), headers=NO_STORE)


@blueprint.post("/admin/queue/pause")
@describe(
    tag=_TAG,
    auth="admin",
    body=PauseSchema,
    body_optional=True,
    answers={
        200: Answer(
            "No further request is decided until the pause ends.", LineStateDocument, headers=_NO_STORE
        )
    },
    problems=("line_busy",),
)
def pause_line() -> Response:
    """Pauses the line: requests are still accepted, and wait."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session, "admin")
        values = load_body(_PAUSE)
        line_pause.pause(session, actor_id=actor.user_id, request_id=g.request_id, **values)
        session.flush()
        document = pause_document(find_pause_record(session))
    return _tell(container, document)


@blueprint.post("/admin/queue/resume")
@describe(
    tag=_TAG,
    auth="admin",
    body=ResumeSchema,
    body_optional=True,
    answers={200: Answer("The line runs.", LineStateDocument, headers=_NO_STORE)},
    problems=("line_busy",),
)
def resume_line() -> Response:
    """Ends the line's pause; a line that runs goes on running."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session, "admin")
        values = load_body(_RESUME)
        line_pause.resume(session, actor_id=actor.user_id, request_id=g.request_id, **values)
    return _tell(container, pause_document(None))


def _tell(container: Container, document: dict[str, object]) -> Response:
    """The line's state, which this process tells who waits from now on; others follow within a second."""
    container.snapshots.refresh_pause()
    container.stamps.everything_changed()
    return json_response(document, headers=NO_STORE)


@blueprint.post("/admin/queue/clean")
@describe(
    tag=_TAG,
    auth="admin",
    body=CleanSchema,
    answers={200: Answer("They are gone, or this was a dry run.", CleanDocument, headers=_NO_STORE)},
    problems=("line_unavailable", "outcome_unknown"),
)
def clean_line() -> Response:
    """Removes decided jobs from Redis before their time; the ledger goes on answering for them."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session, "admin")
    values = load_body(_CLEAN)
    reason = values.pop("reason")
    cleaned = clean(container.line.runner, container.gate.installation(), **values)
    if cleaned.is_change:
        with transaction(container.engine) as session:
            record_clean(session, cleaned, actor_id=actor.user_id, reason=reason, request_id=g.request_id)
    if cleaned.trouble is not None:
        raise cleaned.trouble
    return json_response(clean_document(cleaned), headers=NO_STORE)
