"""The application: every blueprint, every error a problem document, every response with its request id."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Request, Response
from flask.globals import request_ctx
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, MapAdapter

from api.access_log import UNMATCHED
from api.auth import init_jwt
from api.compression import compress
from api.console import init_console
from api.container import Container, make_container
from api.cors import Cors
from api.error_handlers import register_error_handlers
from api.exchange import Exchange, current_exchange
from api.express import ExpressLane
from api.hosts import read_host
from api.parsing import BODY_BYTES_MAX
from api.rate_limits import RateLimits
from api.routes import API_ROUTES, ROOT_ROUTES
from api.security_headers import SecurityHeaders
from shared.errors import GuichetError
from shared.ids import BIGINT_MAX
from shared.settings import Settings

_BIGINT_DIGITS: Final = len(str(BIGINT_MAX))


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
        request.host, name = read_host(environ)
        return MapAdapter(
            self.url_map,
            name,
            _read_text(environ, "SCRIPT_NAME"),
            self.url_map.default_subdomain,
            environ["wsgi.url_scheme"],
            _read_text(environ, "PATH_INFO"),
            environ["REQUEST_METHOD"],
            _read_text(environ, "QUERY_STRING"),
        )


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
    init_jwt(app, settings, container.tokens)
    app.app_ctx_globals_class = Exchange  # what `g` is
    register_error_handlers(app)
    app.before_request(_make_begin(container.limits))
    app.after_request(_make_finish(settings, container, Cors(settings)))
    for blueprint in ROOT_ROUTES:
        app.register_blueprint(blueprint)
    for blueprint in API_ROUTES:
        app.register_blueprint(blueprint, url_prefix="/api")
    init_console(app)
    app.wsgi_app = ExpressLane(app, container, app.wsgi_app)  # type: ignore[method-assign]
    if settings.trusted_proxy_hops:
        # The exact number of proxies: one too many, and X-Forwarded-For chooses whose limit counts.
        hops = settings.trusted_proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _make_begin(limits: RateLimits) -> Callable[[], None]:
    """What every request that Flask answers goes through first. One function, as for responses: Flask takes its time
    for each.
    """

    def begin() -> None:
        asked = request_ctx.request  # `request` looks for itself at every mention, half a microsecond each
        current_exchange().begin(asked.environ, asked.path)
        limits.check()
        if query := asked.environ.get("QUERY_STRING"):
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


def _make_finish(settings: Settings, container: Container, cors: Cors) -> Callable[[Response], Response]:
    """What every response of Flask goes through, those of errors too."""
    security = SecurityHeaders(settings)

    def finish(response: Response) -> Response:
        asked, exchange = request_ctx.request, current_exchange()
        status = response.status_code
        if status >= HTTPStatus.BAD_REQUEST:
            container.limits.charge_stray(exchange, asked.endpoint, status)
        security.add(response, exchange)
        compress(response, exchange.environ, exchange.path)
        route = UNMATCHED if asked.url_rule is None else asked.url_rule.rule
        job_id = (asked.view_args or {}).get("job_id")
        container.access_log.finish(exchange, route=route, status=response.status_code, job_id=job_id)
        cors.allow(response.headers, exchange)
        return response

    return finish
