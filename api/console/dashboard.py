"""rq-dashboard as an application of its own, built at the first visit.

Not a blueprint of ours: its configuration, its templates, its errors and its Redis client stay its own, and what
it imports is not paid for by a process that nobody asks. What of it is replaced, and why, stands here:

- pickle (`no_pickle`), and RQ's classes that write while reading (`reading`);
- its `before_request`, which opens a connection of its own for each request, without a time-out, and keeps it in
  the application where another request finds it;
- its templates, by ours of the same names in `api/templates/rq_dashboard`: its own need `eval` and inline scripts,
  and put descriptions, results and queue names into HTML as they are;
- its except clause for a Redis that is away, which would answer 200.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from redis import Redis

from api.console.readonly_redis import ReadOnlyRedis
from shared.clock import rfc3339

VISIT: Final = "guichet.console"  # in the WSGI environment: what our templates are told
# Under a second of reads for each open page; jobs change faster than anybody reads.
POLL_MILLISECONDS: Final = 2500
_TEMPLATES: Final = Path(__file__).parents[1] / "templates"
# Text that a browser which takes JSON for HTML could make something of. All of it stands in strings.
_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}


class HarmlessJson(DefaultJSONProvider):
    """JSON without a character that means something in HTML; parsed, it is the same text."""

    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:  # noqa: ANN401 - Flask's signature
        """The document as ASCII."""
        return json.dumps(obj, default=_plain, **kwargs).translate(_ESCAPES)


class Dashboard(Flask):
    """rq-dashboard, reading with a client that cannot write."""

    json_provider_class = HarmlessJson

    def __init__(self, redis: Redis) -> None:
        super().__init__("guichet-console", template_folder=str(_TEMPLATES), static_folder=None)
        self._writer = redis
        self._reader = ReadOnlyRedis(redis.connection_pool)

    @property
    def redis_conn(self) -> Redis:
        """Where rq-dashboard's views look for their client. `rules` lets only changes come as POST."""
        return self._writer if request.method == "POST" else self._reader


def make_dashboard(redis: Redis) -> Dashboard:
    """The application, its errors left to whoever calls it."""
    # Here, because it is 5 MB that most processes never need.
    from api.console.no_pickle import forbid_pickle  # noqa: PLC0415

    forbid_pickle()
    from rq_dashboard import web  # noqa: PLC0415

    from api.console import reading  # noqa: PLC0415

    for name, replacement in {
        "Job": reading.ConsoleJob,
        "Queue": reading.ConsoleQueue,
        "Worker": reading.ConsoleWorker,
        "requeue_job": lambda job_id, connection: reading.ConsoleJob.fetch(job_id, connection).requeue(),
        "get_queue_registry_jobs_count": reading.list_jobs,
        "RedisConnectionError": (),  # nothing is caught: an outage is ours to tell
    }.items():
        if not hasattr(web, name):
            raise RuntimeError(f"rq-dashboard has no {name} any more: look at api/console again")
        setattr(web, name, replacement)
    web.blueprint.before_request_funcs.clear()
    app = Dashboard(redis)
    app.config.update(
        RQ_DASHBOARD_REDIS_URL=("",),  # its pages would show it; the views look only how many there are
        RQ_DASHBOARD_POLL_INTERVAL=POLL_MILLISECONDS,
        PROPAGATE_EXCEPTIONS=True,
        TRAP_HTTP_EXCEPTIONS=True,
    )
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False  # no address redirects: `rules` could not look at where it leads
    app.register_blueprint(web.blueprint)
    app.context_processor(lambda: {"visit": request.environ[VISIT]})
    return app


def _plain(value: Any) -> str:  # noqa: ANN401 - anything that JSON has no form for
    return rfc3339(value) if isinstance(value, datetime) else repr(value)
