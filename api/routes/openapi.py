"""`/openapi.json`: the contract for programs."""

from flask import Blueprint, Response, current_app, request

from api.caching import PUBLIC, is_known
from api.contract import JSON, Answer, describe
from api.openapi.published import published_document
from api.responses import JsonResponse
from api.schemas.contract import OpenapiDocument

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
@describe(
    tag="Contract",
    auth="none",
    answers={
        200: Answer("This document.", OpenapiDocument, headers=("ETag", "Cache-Control")),
        304: Answer("The client has it already."),
    },
    local=True,
)
def show() -> Response:
    """The OpenAPI document of every route; the same until another version is installed."""
    published = published_document(current_app)
    headers = {"Cache-Control": PUBLIC, "ETag": f'"{published.etag}"', "Content-Type": JSON}
    response = JsonResponse(published.body, headers=headers)
    return response.not_modified() if is_known(published.etag, request.environ) else response
