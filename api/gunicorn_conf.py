"""gunicorn's configuration: a few processes of greenlets; the application is built after the fork.

gevent, because thousands of clients wait at once (long-poll, SSE) and a waiting greenlet costs a few KB; sync
workers accepted 900 bookings a second on two cores, 16 threads 1,600, gevent 2,500.
"""

import gc
import os
import sys
from typing import Any

from shared.settings import SettingsError, load_settings

try:
    _settings = load_settings(os.environ)
except SettingsError as error:  # as the workers do: one line that says what to change, no trace
    sys.stderr.write(f"{error}\n")
    sys.exit(2)

# The demo's passwords are public: in development only this machine may come in.
bind = f"{'0.0.0.0' if _settings.is_production else '127.0.0.1'}:{_settings.port}"  # noqa: S104
workers = _settings.web_processes
worker_class = "api.gunicorn_worker.Worker"  # gevent's, with less to do for each request
worker_connections = 4000
backlog = 2048
keepalive = 75
timeout = 60
graceful_timeout = 5
preload_app = False
# gunicorn would take SCRIPT_NAME and PATH_INFO out of the headers of whoever asks from this machine, a proxy included:
# then a client chooses the address, or gets a 500.
forwarder_headers = ""
proc_name = "guichet-web"
# Not "auto", which takes whatever `gunicorn_h1c` happens to be installed: that parser lets requests in that this one
# refuses, as with more than one space in the request line (docs/adr/0041-a-lean-worker.md).
http_parser = "python"
accesslog = None  # api/access_log.py writes one without query strings, which may carry stream tokens
logger_class = "api.gunicorn_log.ErrorLogger"
errorlog = "-"
loglevel = "warning"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "shared.logs.JsonFormatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
    },
    "root": {"level": _settings.log_level, "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}


def post_fork(_server: Any, _worker: Any) -> None:  # noqa: ANN401 - gunicorn's signature
    """Makes psycopg2 wait with the greenlet."""
    from shared.db import wait_with_greenlets  # noqa: PLC0415 - only in workers

    wait_with_greenlets()


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's signature
    """Starts the process' own threads: watching the servers, refreshing event snapshots. Then it is complete."""
    from api.gunicorn_problems import install  # noqa: PLC0415 - only in workers

    install(_settings.base_url)
    worker.wsgi.extensions["guichet"].start()
    # A full look for garbage at what the start has made takes 0.1 s, in which nobody is answered; it never becomes any.
    gc.collect()
    gc.freeze()


def worker_exit(_server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's signature
    """Writes what the process still keeps in memory: figures, the last lines of the access log."""
    if worker.wsgi is not None:
        container = worker.wsgi.extensions["guichet"]
        container.access_log.close()
        container.figures.close()
