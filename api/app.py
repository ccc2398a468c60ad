"""The application: every blueprint, every error a problem document, every response with its request id."""

import re
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from flask import Flask, Request, Response, g
from flask.globals import app_ctx, request_ctx
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map, MapAdapter
from werkzeug.wsgi import get_host

from api.access_log import AccessLog
from api.auth import init_jwt
from api.compression import compress
from api.console import init_console
from api.container import make_container
from api.cors import init_cors
from api.parsing import BODY_BYTES_MAX
from api.problems import register_error_handlers
from api.rate_limits import RateLimits
from api.routes import API_ROUTES, ROOT_ROUTES
from api.security_headers import make_adder
from shared.errors import GuichetError
from shared.ids import BIGINT_MAX, uuid7
from shared.logs import request_id_var
from shared.settings import Settings

# Anybody may name any host, in up to 8 KB.
_HOSTS_MAX: Final = 64
_BIGINT_DIGITS: Final = len(str(BIGINT_MAX))
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class BigintConverter(IntegerConverter):
    """`<int:…>` in ASCII digits and within bigint: anything else names nothing, as in the database."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """The number, at most bigint's largest: identities never get there, so it names nothing either."""
        digits = value.lstrip("0")[: _BIGINT_DIGITS + 1]  # Python turns no more than 4,300 into a number
        return min(int(digits or "0"), BIGINT_MAX)


class Application(Flask):
    """Flask without what it would look for at every request: async views, and the form of a host seen before."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function: none of ours is async."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What finds the request's route. Raises BadHost, which Flask answers with 400.

        As Flask's where neither TRUSTED_HOSTS nor SERVER_NAME is configured, for a fourteenth of its time.
        """
        if request is None or "HTTP_UPGRADE" in request.environ:  # other routes than ours may be meant
            return super().create_url_adapter(request)
        environ = request.environ
        scheme = environ["wsgi.url_scheme"]
        served = (environ.get("SERVER_NAME"), environ.get("SERVER_PORT"))
        request.host, name = _read_host(scheme, environ.get("HTTP_HOST"), *served)
        return MapAdapter(
            self.url_map,
            name,
            _read_text(environ, "SCRIPT_NAME"),
            self.url_map.default_subdomain,
            scheme,
            _read_text(environ, "PATH_INFO"),
            environ["REQUEST_METHOD"],
            _read_text(environ, "QUERY_STRING"),
        )


@lru_cache(maxsize=_HOSTS_MAX)
def _read_host(scheme: str, header: str | None, server: str | None, port: str | None) -> tuple[str, str]:
    """What a request calls the host, empty for what is none, and its name in ASCII. Raises BadHost."""
    environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": server, "SERVER_PORT": port, "HTTP_HOST": header}
    host = get_host({name: value for name, value in environ.items() if value is not None})
    return host, Map().bind(host).server_name


def _read_text(environ: dict[str, Any], name: str) -> str:
    """The text of a variable in which WSGI keeps bytes."""
    raw: str = environ.get(name, "")
    return raw if raw.isascii() else raw.encode("latin-1").decode(errors="replace")


def create_app(settings: Settings) -> Flask:
    """Builds the application of one process. Connects to nothing until it is asked something."""
    app = Application("guichet", static_folder=None)
    container = make_container(settings)
    app.extensions["guichet"] = container
    # Werkzeug cuts a chunked body off there without a word: the byte too many says that it was longer.
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX + 1
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # it would redirect to whatever host the request names
    app.url_map.converters["int"] = BigintConverter
    if settings.trusted_proxy_hops:
        # The exact number of proxies: one too many, and X-Forwarded-For chooses whose limit counts.
        hops = settings.trusted_proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    init_jwt(app, settings)
    register_error_handlers(app)
    app.before_request(_make_begin(container.limits))
    init_cors(app, settings)  # runs after what is registered after it
    app.after_request(_make_finish(settings, container.limits, container.access_log))
    for blueprint in ROOT_ROUTES:
        app.register_blueprint(blueprint)
    for blueprint in API_ROUTES:
        app.register_blueprint(blueprint, url_prefix="/api")
    init_console(app)
    return app


def _make_begin(limits: RateLimits) -> Callable[[], None]:
    """What every request goes through first. One function, as for responses: Flask takes its time for each."""

    def begin() -> None:
        """The client's request id if it is sane, else a new one; the job carries it. Then its limits."""
        about: dict[str, Any] = app_ctx.g.__dict__  # `g` looks for itself at every mention, as `request` does
        about["started_at"] = perf_counter()
        environ = request_ctx.request.environ
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        if not _SANE_REQUEST_ID.fullmatch(request_id):
            # Also of what this request puts into the line, which then need not carry both.
            about["unused_id"] = new_id = uuid7()
            request_id = new_id.hex
        about["request_id"] = request_id
        request_id_var.set(request_id)
        about["answer_headers"] = [("X-Request-ID", request_id)]
        limits.check()
        if query := environ.get("QUERY_STRING"):
            _refuse_undecodable(query.encode("latin-1"))

    return begin


def _refuse_undecodable(query: bytes) -> None:
    """Raises GuichetError `bad_request` for bytes that are no UTF-8, which werkzeug would stumble over where the
    query is read. Percent-encoded ones are replaced there, and harm nobody.
    """
    if not query.isascii():
        try:
            query.decode()
        except UnicodeDecodeError as error:
            raise GuichetError("bad_request", "The query string is not UTF-8.") from error


def _make_finish(
    settings: Settings, limits: RateLimits, access_log: AccessLog
) -> Callable[[Response], Response]:
    """What every response goes through, those of errors too."""
    add_headers = make_adder(settings)

    def finish(response: Response) -> Response:
        asked = request_ctx.request  # `request` looks for itself at every mention, half a microsecond each
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            limits.charge_stray(response.status_code)
        add_headers(response, asked, g.answer_headers)
        compress(response, asked)
        access_log.finish(response)
        return response

    return finish
