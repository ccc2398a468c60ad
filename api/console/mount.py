"""`/rq`: who may come in, what may be asked, and what becomes of rq-dashboard's answers."""

import threading
from typing import Final

from flask import Blueprint, Response, current_app, g, request
from redis import exceptions as redis_errors

from api.console import origins, sessions
from api.console.dashboard import VISIT, Dashboard, make_dashboard
from api.console.pages import (
    DASHBOARD_POLICY,
    as_page,
    find_next,
    secure_page,
    see_other,
    static_file,
    wants_page,
)
from api.console.rules import CHANGES, STATIC, Call, find_call
from api.console.sessions import ConsoleSession
from api.container import get_container
from api.error_handlers import problem_response
from shared.db import transaction
from shared.domain.partitions import queue_name
from shared.errors import GuichetError, NotFoundError, UnavailableError
from shared.line.keys import TASK_QUEUE
from shared.services import audit_log

blueprint = Blueprint("rq_dashboard", __name__, url_prefix="/rq", template_folder="../templates")
blueprint.after_request(as_page)

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_EXTENSION: Final = "guichet-console"
_building = threading.Lock()


@blueprint.before_request
def require_session() -> Response | None:
    """Nothing under `/rq` without an admin's session: people are shown the way, programs get a 401."""
    session = sessions.find_session()
    if session is not None:
        g.console_session = session
        return None
    if request.method in ("GET", "HEAD") and wants_page():
        return see_other(f"/login?next={find_next(request.path)}")
    return problem_response(
        "console_session_required", headers={"WWW-Authenticate": 'Cookie realm="guichet console"'}
    )


@blueprint.get("/console.js")
def script() -> Response:
    """The one script of the pages."""
    return static_file("console.js", "text/javascript")


@blueprint.route("/", defaults={"path": ""}, methods=_METHODS)
@blueprint.route("/<path:path>", methods=_METHODS)
def dashboard(path: str) -> Response:
    """Hands over what `rules` admit."""
    container = get_container()
    session: ConsoleSession = g.console_session
    if request.method not in ("GET", "HEAD"):
        origins.require_own_origin()
        origins.require_session_token(session)
    app = _get_dashboard()
    writable = container.settings.console_writable
    call = find_call(app.url_map, f"/{path}", request.method, writable=writable)
    response = _answer(app, call, session)
    if call.endpoint != STATIC:
        secure_page(response, DASHBOARD_POLICY)
    if call.is_page or call.is_change:
        sessions.set_session(response, user_id=session.user_id, family_id=session.family_id)
    return response


def _answer(app: Dashboard, call: Call, session: ConsoleSession) -> Response:
    """What rq-dashboard says to an admissible call; its errors become ours."""
    from rq.exceptions import NoSuchJobError  # noqa: PLC0415 - imports RQ

    try:
        _require_target(call)
        if call.is_change:
            _record(call, session)
        return _ask(app, session)
    except NoSuchJobError as error:
        raise NotFoundError("job_not_found") from error
    except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
        raise UnavailableError("line_unavailable", "Redis does not answer.", retry_after_seconds=2) from error


def _get_dashboard() -> Dashboard:
    """This process' rq-dashboard, made when it is first asked for."""
    with _building:
        made: Dashboard | None = current_app.extensions.get(_EXTENSION)
        if made is None:
            made = current_app.extensions[_EXTENSION] = make_dashboard(get_container().console_redis)
        return made


def _require_target(call: Call) -> None:
    """The queue exists; and what is changed is a task, never a booking request. At most one round trip."""
    from api.console.reading import ConsoleJob, ConsoleQueue  # noqa: PLC0415 - imports RQ

    redis = get_container().console_redis
    name = call.values.get("queue_name")
    if call.is_change:
        job_id = call.values.get("job_id")
        origin = name if job_id is None else ConsoleJob.fetch(job_id, redis).origin
        if origin != TASK_QUEUE:
            raise GuichetError("console_read_only", "Booking requests are never changed from here.")
    elif name is not None:
        ours = {TASK_QUEUE, *(queue_name(number) for number in range(get_container().settings.partitions))}
        if name not in ours and name not in (queue.name for queue in ConsoleQueue.all(redis)):
            raise NotFoundError("not_found")


def _record(call: Call, session: ConsoleSession) -> None:
    """Before it happens: what is not on record is not done."""
    target, target_id = (
        ("task", call.values["job_id"]) if "job_id" in call.values else ("queue", call.values["queue_name"])
    )
    with transaction(get_container().engine) as database:
        audit_log.record(
            database,
            actor_id=session.user_id,
            action=CHANGES[call.endpoint],
            target_type=target,
            target_id=target_id,
            changes={
                name: value for name, value in call.values.items() if name not in ("job_id", "queue_name")
            },
            request_id=g.request_id,
        )


def _ask(app: Dashboard, session: ConsoleSession) -> Response:
    """rq-dashboard's answer, as an application under `/rq`."""
    visit = {
        "email": session.email,
        "token": origins.make_session_token(session),
        "writable": get_container().settings.console_writable,
    }
    environ = {
        **request.environ,
        "SCRIPT_NAME": f"{request.environ.get('SCRIPT_NAME', '')}/rq",
        "PATH_INFO": request.environ["PATH_INFO"].removeprefix("/rq") or "/",
        VISIT: visit,
    }
    return Response.from_app(app, environ, buffered=True)  # type: ignore[return-value]  # it is a `Response`
