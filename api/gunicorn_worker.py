"""gunicorn's gevent worker, which does once what is the same for every request (docs/adr/0041-a-lean-worker.md).

How requests are read, judged and answered, and how a process ends, stays gunicorn's. It has no settings for what is
replaced here, so the version is pinned; `tests/unit/test_gunicorn_worker.py` fails when one of the places has moved.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import gunicorn.util
from gunicorn.http import message, parser, wsgi
from gunicorn.workers.ggevent import GeventWorker

from api.gunicorn_answers import Answer

_PEERS_MAX: Final = 4096

_format_date = lru_cache(maxsize=1)(gunicorn.util.http_date)


class Worker(GeventWorker):
    """One process of the API."""

    def init_process(self) -> None:
        """Serves until the process is told to stop."""
        install(self.cfg)
        super().init_process()


class Request(message.Request):
    """A request that knows how its peer was judged before: an address is looked up in the list of proxies once."""

    def _peer_is_trusted_proxy(self) -> bool:
        if not isinstance(self.peer_addr, tuple):
            return True  # a socket of this machine, as gunicorn has it
        return _is_proxy(self.cfg, self.peer_addr[0])


def install(config: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Makes this process' gunicorn lean; `config` must not change any more, as it does not after the fork."""
    # gunicorn finds a setting by failing to find an attribute, twenty times a request.
    vars(config).update({name: setting.get() for name, setting in config.settings.items()})
    wsgi.Response = Answer
    wsgi.base_environ = make_copier(wsgi.base_environ(config))
    gunicorn.util.http_date = http_date
    parser.RequestParser.mesg_class = Request


def make_copier(environ: dict[str, Any]) -> Callable[[object], dict[str, Any]]:
    """A function that gives a new copy of the environ at each call, whatever the configuration that it is handed."""

    def copy(_config: object) -> dict[str, Any]:
        return environ.copy()

    return copy


def http_date(timestamp: float | None = None) -> str:
    """The date as headers have it, formatted once a second."""
    return str(_format_date(int(time.time() if timestamp is None else timestamp)))


@lru_cache(maxsize=_PEERS_MAX)
def _is_proxy(config: Any, address: str) -> bool:  # noqa: ANN401 - gunicorn has no types
    return bool(
        message._ip_in_allow_list(  # noqa: SLF001 - the judgement itself stays gunicorn's
            address, config.forwarded_allow_ips, config.forwarded_allow_networks()
        )
    )
