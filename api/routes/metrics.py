"""`/metrics`: for Prometheus."""

import hmac
import ipaddress
from typing import Final

from flask import Blueprint, Response, request

from api.auth import require_bearer_token
from api.container import get_container
from api.contract import Answer, describe
from api.responses import NO_STORE
from shared.errors import GuichetError

blueprint = Blueprint("metrics", __name__)

# What a proxy adds: a request that carries one of these did not come from the scraper itself.
_FORWARDED: Final = (
    "X-Forwarded-For",
    "Forwarded",
    "X-Real-IP",
    "Via",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
)

_EXAMPLE: Final = (
    "# HELP line_depth Requests that wait.\n# TYPE line_depth gauge\n"
    'line_depth{partition="0"} 12.0\nline_depth{partition="1"} 0.0\n'
)


@blueprint.get("/metrics")
@describe(
    tag="Health",
    auth="none",
    local=True,  # what cannot be asked is left out
    answers={
        200: Answer(
            "Every figure, in Prometheus' text format.",
            media_type="text/plain",
            headers=("Cache-Control",),
            example=_EXAMPLE,
        )
    },
    problems=("unauthenticated", "forbidden"),
)
def metrics() -> Response:
    """Tells the figures of all processes and of the line.

    With `GUICHET_METRICS_TOKEN` set a scraper shows it as its bearer token; without one only loopback and private
    addresses may scrape, and nobody through a proxy.
    """
    # prometheus-client is a few megabytes that only a process which is scraped has to carry.
    from api.metrics import CONTENT_TYPE, render_metrics  # noqa: PLC0415

    container = get_container()
    _refuse_strangers(container.settings.metrics_token)
    return Response(render_metrics(container), headers=NO_STORE, content_type=CONTENT_TYPE)


def _refuse_strangers(token: str) -> None:
    if token:
        if not hmac.compare_digest(require_bearer_token().encode(), token.encode()):
            raise GuichetError("unauthenticated")
        return
    if any(name in request.headers for name in _FORWARDED) or not _is_near(request.remote_addr or ""):
        raise GuichetError(
            "forbidden", "Only private addresses may scrape, and not through a proxy, while no token is set."
        )


def _is_near(text: str) -> bool:
    """Whether it is an address of this machine or of a private network."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_private
