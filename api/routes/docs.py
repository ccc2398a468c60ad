"""`/docs`: the contract for people, rendered by Swagger UI out of its Python package."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import NotFound

from api.contract import Answer, describe
from api.pages import DOCS_POLICY, page_response

blueprint = Blueprint("docs", __name__, template_folder="../templates")

_OURS: Final = Path(__file__).parents[1] / "static"
_SWAGGER_UI: Final = Path(str(files("flask_swagger_ui"))) / "dist"
# Nothing else is served, whatever lies in those folders.
ASSETS: Final = {
    "docs.js": _OURS,
    "pages.css": _OURS,
    "swagger-ui.css": _SWAGGER_UI,
    "swagger-ui-bundle.js": _SWAGGER_UI,
    "favicon-32x32.png": _SWAGGER_UI,
}
_MAX_AGE_SECONDS: Final = 3600


@blueprint.get("/docs")
@describe(
    tag="Contract",
    auth="none",
    answers={200: Answer("The page.", media_type="text/html")},
    local=True,
)
def show() -> Response:
    """The contract as a page where every call can be tried; nothing comes from another host."""
    return page_response("contract/docs.html", policy=DOCS_POLICY)


@blueprint.get("/docs/<asset>")
def asset(asset: str) -> Response:
    """A script, stylesheet or icon of the pages."""
    folder = ASSETS.get(asset)
    if folder is None:
        raise NotFound
    return send_from_directory(folder, asset, max_age=_MAX_AGE_SECONDS)
