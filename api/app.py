"""The application: every blueprint, every error a problem document, every response with its request id."""

import re
import uuid
from typing import Final

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from api.auth import init_jwt
from api.container import make_container
from api.parsing import BIGINT_MAX, BODY_BYTES_MAX
from api.problems import register_error_handlers
from api.routes import API_ROUTES, ROOT_ROUTES
from shared.logs import request_id_var
from shared.settings import Settings

_BIGINT_DIGITS: Final = len(str(BIGINT_MAX))
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class BigintConverter(IntegerConverter):
    """`<int:…>` in ASCII digits and within bigint: anything else names nothing, as in the database."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """The number, at most bigint's largest: identities never get there, so it names nothing either."""
        digits = value.lstrip("0")[: _BIGINT_DIGITS + 1]  # Python turns no more than 4,300 into a number
        return min(int(digits or "0"), BIGINT_MAX)


def create_app(settings: Settings) -> Flask:
    """Builds the application of one process. Connects to nothing until it is asked something."""
    app = Flask("guichet", static_folder=None)
    app.extensions["guichet"] = make_container(settings)
    # Werkzeug cuts a chunked body off there without a word: the byte too many says that it was longer.
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX + 1
    app.url_map.strict_slashes = False
    app.url_map.converters["int"] = BigintConverter
    if settings.trusted_proxy_hops:
        # The exact number of proxies: one too many, and X-Forwarded-For chooses whose limit counts.
        hops = settings.trusted_proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    init_jwt(app, settings)
    register_error_handlers(app)
    app.before_request(_begin)
    app.after_request(_finish)
    for blueprint in ROOT_ROUTES:
        app.register_blueprint(blueprint)
    for blueprint in API_ROUTES:
        app.register_blueprint(blueprint, url_prefix="/api")
    return app


def _begin() -> None:
    """The client's request id if it is sane, else a new one; the job carries it."""
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    request_id_var.set(g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
