"""gunicorn's gevent worker, which does once what is the same for every request (docs/adr/0041-a-lean-worker.md).

How requests are judged and answered, and how a process ends, stays gunicorn's. It has no settings for what is
replaced here, so the version is pinned; `tests/unit/test_gunicorn_worker.py` fails when one of the places has moved.
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gunicorn.http
import gunicorn.util
from gunicorn.http import wsgi
from gunicorn.workers.ggevent import GeventWorker

from api.gunicorn_answers import OFFERS, Answer
from api.gunicorn_patience import Patience
from api.gunicorn_requests import Parser, create

_format_date = lru_cache(maxsize=1)(gunicorn.util.http_date)


class Worker(GeventWorker):
    """One process of the API."""

    def init_process(self) -> None:
        """Serves until the process is told to stop."""
        install(self.cfg)
        super().init_process()

    def run(self) -> None:
        """Takes connections."""
        self._patience = Patience(self.cfg.keepalive)
        self._patience.start()
        super().run()

    def timeout_ctx(self) -> Patience:
        """In it a connection waits for its next request."""
        return self._patience


def install(config: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Makes this process' gunicorn lean; `config` must not change any more, as it does not after the fork."""
    # gunicorn finds a setting by failing to find an attribute, twenty times a request.
    vars(config).update({name: setting.get() for name, setting in config.settings.items()})
    wsgi.Response = Answer
    wsgi.base_environ = make_copier({**wsgi.base_environ(config), OFFERS: True})
    gunicorn.util.http_date = http_date
    gunicorn.http.RequestParser = Parser
    # Where there is one, gunicorn cuts every path in two.
    if not (config.env.get("SCRIPT_NAME") or os.environ.get("SCRIPT_NAME")):
        wsgi.create = create


def make_copier(environ: dict[str, Any]) -> Callable[[object], dict[str, Any]]:
    """A function that gives a new copy of the environ at each call, whatever the configuration that it is handed."""

    def copy(_config: object) -> dict[str, Any]:
        return environ.copy()

    return copy


def http_date(timestamp: float | None = None) -> str:
    """The date as headers have it, formatted once a second."""
    return str(_format_date(int(time.time() if timestamp is None else timestamp)))
