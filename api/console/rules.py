"""Which of rq-dashboard's addresses exist here, and for what. Whatever is not named does not."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, RequestRedirect

from shared.errors import GuichetError

_PREFIX: Final = "rq_dashboard."
# View → what it does, as the audit log says it. rq-dashboard lets `requeue_all` be called by GET.
CHANGES: Final[dict[str, str]] = {
    f"{_PREFIX}delete_job_view": "console.delete_job",
    f"{_PREFIX}requeue_job_view": "console.requeue_job",
    f"{_PREFIX}requeue_all": "console.requeue_failed",
    f"{_PREFIX}empty_queue": "console.empty_registry",
    f"{_PREFIX}compact_queue": "console.compact_queue",
}
PAGES: Final = frozenset(
    f"{_PREFIX}{view}" for view in ("queues_overview", "jobs_overview", "workers_overview", "job_view")
)
DATA: Final = frozenset(
    f"{_PREFIX}{view}" for view in ("list_queues", "list_jobs", "list_workers", "job_info")
)
STATIC: Final = f"{_PREFIX}static"
# Our pages have a script of their own: rq-dashboard's, and the libraries they lean on, are not served.
STATIC_FILES: Final = frozenset({"css/bootstrap.min.css", "css/main.css"})

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH_LENGTH_MAX: Final = 512
JOBS_PER_PAGE_MAX: Final = 200
REGISTRY_NAMES: Final = frozenset(
    {"queued", "started", "finished", "failed", "deferred", "scheduled", "canceled"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """One admissible call of a view with its arguments."""

    endpoint: str
    values: Mapping[str, Any]

    @property
    def is_change(self) -> bool:
        """True when it may write."""
        return self.endpoint in CHANGES

    @property
    def is_page(self) -> bool:
        """True when a person asks, not a page's script by itself."""
        return self.endpoint in PAGES


def find_call(addresses: Map, path: str, method: str, *, writable: bool) -> Call:
    """What `method` at `path` (which begins with `/`) calls. Reads are GET and HEAD, changes are POST.

    Raises NotFound, MethodNotAllowed, GuichetError `console_read_only` for a change that the setting forbids.
    """
    if len(path) > _PATH_LENGTH_MAX:
        raise NotFound
    try:
        endpoint, values = addresses.bind("localhost").match(path, method=method)
    except RequestRedirect as error:
        raise NotFound from error
    if endpoint in CHANGES:
        if method != "POST":
            raise MethodNotAllowed(valid_methods=["POST"])
        if not writable:
            raise GuichetError("console_read_only")
    elif endpoint in PAGES | DATA | {STATIC}:
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(valid_methods=["GET", "HEAD"])
    else:
        raise NotFound
    _require_sane(values)
    return Call(endpoint, values)


def _require_sane(values: Mapping[str, Any]) -> None:
    """Every argument has the form and the bounds that the views forget to look at."""
    for name, value in values.items():
        is_sane = _SANE.get(name)
        if is_sane is None or not is_sane(value):
            raise NotFound


def _is_between(value: object, maximum: int) -> bool:
    text = str(value)
    return _NUMBER.fullmatch(text) is not None and 1 <= int(text) <= maximum


_SANE: Final[dict[str, Callable[[Any], bool]]] = {
    "instance_number": lambda value: value == 0,
    "queue_name": lambda _: True,  # it must exist, which the caller asks Redis
    "registry_name": lambda value: value in REGISTRY_NAMES,
    "order": lambda value: value in ("asc", "dsc"),
    "per_page": lambda value: _is_between(value, JOBS_PER_PAGE_MAX),
    "page": lambda value: _is_between(value, 10**8),
    "job_id": lambda value: _JOB_ID.fullmatch(value) is not None,
    "filename": lambda value: value in STATIC_FILES,
}
