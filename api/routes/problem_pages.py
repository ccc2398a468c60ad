"""`/problems`: every error code, explained to a person, or as JSON to a program that asks for it."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, current_app
from werkzeug.exceptions import NotFound

from api.caching import PUBLIC
from api.container import get_container
from api.contract import Answer, describe
from api.openapi.published import published_document
from api.pages import page_response, wants_json
from api.problems import PROBLEMS
from api.responses import json_response
from api.schemas.contract import (
    ProblemIndexDocument,
    ProblemPageDocument,
    problem_code_document,
    problem_page_document,
)

blueprint = Blueprint("problem_pages", __name__, template_folder="../templates")

_HEADERS = {"Cache-Control": PUBLIC, "Vary": "Accept"}


@blueprint.get("/problems")
@describe(
    tag="Contract",
    auth="none",
    answers={200: Answer("The codes.", ProblemIndexDocument, also=("text/html",), headers=("Vary",))},
    local=True,
)
def index() -> Response:
    """Every problem code: a page, or JSON when Accept prefers it."""
    base_url = get_container().settings.base_url
    codes = sorted(PROBLEMS, key=lambda code: (PROBLEMS[code][0], code))
    documents = [problem_code_document(code, base_url=base_url) for code in codes]
    if wants_json():
        return json_response({"items": documents}, headers=_HEADERS)
    return _page("contract/problems.html", problems=documents)


@blueprint.get("/problems/<code>")
@describe(
    tag="Contract",
    auth="none",
    answers={200: Answer("The code.", ProblemPageDocument, also=("text/html",), headers=("Vary",))},
    path={"code": "A problem code, such as `sold_out`."},
    local=True,
)
def show(code: str) -> Response:
    """What one problem code means and what to do: a page, or JSON when Accept prefers it."""
    if code not in PROBLEMS:
        raise NotFound
    uses = [asdict(use) for use in published_document(current_app).operations_by_code[code]]
    document = problem_page_document(code, uses, base_url=get_container().settings.base_url)
    if wants_json():
        return json_response(document, headers=_HEADERS)
    return _page("contract/problem.html", problem=document)


def _page(template: str, **values: Any) -> Response:  # noqa: ANN401 - whatever the template shows
    response = page_response(template, **values)
    response.headers.update(_HEADERS)
    return response
