"""What a request calls the host: looked at once for each way to call it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from werkzeug.routing import Map
from werkzeug.wsgi import get_host

# Anybody may name any host, in up to 8 KB.
_HOSTS_MAX: Final = 64


def read_host(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The host as the request calls it, empty for what is none, and its name in ASCII. Raises BadHost."""
    return _read(
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST"),
        environ.get("SERVER_NAME"),
        environ.get("SERVER_PORT"),
    )


@lru_cache(maxsize=_HOSTS_MAX)
def _read(scheme: str, header: str | None, server: str | None, port: str | None) -> tuple[str, str]:
    environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": server, "SERVER_PORT": port, "HTTP_HOST": header}
    host = get_host({name: value for name, value in environ.items() if value is not None})
    return host, Map().bind(host).server_name
