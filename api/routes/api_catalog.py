"""`/.well-known/api-catalog` (RFC 9727): where this installation's API is described."""

from typing import Final

from flask import Blueprint, Response

from api.caching import PUBLIC
from api.container import get_container
from api.contract import Answer, describe
from api.responses import json_response
from api.schemas.contract import ApiCatalogDocument, api_catalog_document

blueprint = Blueprint("api_catalog", __name__)

LINKSET: Final = "application/linkset+json"
_PROFILE: Final = f'{LINKSET}; profile="https://www.rfc-editor.org/info/rfc9727"'


@blueprint.get("/.well-known/api-catalog")
@describe(
    tag="Contract",
    auth="none",
    answers={
        200: Answer(
            "The catalogue.", ApiCatalogDocument, media_type=LINKSET, headers=("Link", "Cache-Control")
        )
    },
    local=True,
)
def show() -> Response:
    """Links to the document, its page and the health of this API."""
    base_url = get_container().settings.base_url
    response = json_response(api_catalog_document(base_url))
    response.headers["Content-Type"] = _PROFILE
    response.headers["Cache-Control"] = PUBLIC
    response.headers["Link"] = f'<{base_url}/.well-known/api-catalog>; rel="api-catalog"'
    return response
