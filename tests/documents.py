"""Holds answers against `/openapi.json` and against what their routes say of them in `@describe`.

A test opts in with `app.test_client_class = CheckedClient`: each answer that its clients get is checked, and one that
the contract does not know, in status, media type, header or member, is an AssertionError there and then.
"""

import gzip
import json
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from api.contract import find_operation
from api.openapi.document import build_document
from api.openapi.operations import address_of
from api.problems import MEDIA_TYPE
from api.schemas.request_documents import RequestStatusDocument

# What an answer has only when its route, or its status, says so. Other headers belong to every answer.
OWN_HEADERS: Final = (
    "Allow",
    "Content-Disposition",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "WWW-Authenticate",
)


class CheckedClient(FlaskClient):
    """Flask's test client, which checks every answer that it gets."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """The answer, when the contract knows it."""
        response = super().open(*args, **kwargs)
        check_answer(self.application, response)
        return response


class Contract:
    """An application's OpenAPI document, and validators made of it."""

    def __init__(self, app: Flask) -> None:
        # through JSON, as it is served: what JSON cannot say is not in it
        self.document: dict[str, Any] = json.loads(json.dumps(build_document(app, base_url="")))
        self.problem = self.validator({"$ref": "#/components/schemas/Problem"})
        self._made: dict[tuple[str, ...], Draft202012Validator] = {}

    def validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        """Checks a schema of the document, whose references it follows."""
        whole = {**schema, "components": self.document["components"]}
        return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def find_response(self, path: str, method: str, status: int) -> dict[str, Any] | None:
        """What the document says of this status; None when it says nothing."""
        response = self.document["paths"].get(path, {}).get(method, {}).get("responses", {}).get(str(status))
        while response is not None and "$ref" in response:
            response = self._resolve(response["$ref"])
        return response

    def headers(self, response: dict[str, Any]) -> dict[str, bool]:
        """The response's headers, and whether it always has each."""
        found = {}
        for name, header in response.get("headers", {}).items():
            found[name] = self._resolve(header["$ref"]) if "$ref" in header else header
        return {name: header.get("required", False) for name, header in found.items()}

    def validator_of(self, path: str, method: str, status: int, media_type: str) -> Draft202012Validator:
        """Checks the body of a response that the document has; made once."""
        key = path, method, str(status), media_type
        if key not in self._made:
            response = self.find_response(path, method, status) or {}
            self._made[key] = self.validator(response["content"][media_type]["schema"])
        return self._made[key]

    def _resolve(self, reference: str) -> Any:
        found: Any = self.document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        return found


_contracts: dict[frozenset[tuple[str, str]], Contract] = {}


def contract_of(app: Flask) -> Contract:
    """The contract of `app`; applications with the same routes share one, for it takes a while to make."""
    rules = frozenset((rule.rule, rule.endpoint) for rule in app.url_map.iter_rules())
    if rules not in _contracts:
        _contracts[rules] = Contract(app)
    return _contracts[rules]


def check_answer(app: Flask, response: TestResponse) -> None:
    """Raises AssertionError unless the route that answered describes this answer, to the last member."""
    if (
        response.request.method == "OPTIONS"
    ):  # what a browser asks first: headers only, and those are every route's
        return
    contract = contract_of(app)
    method = "get" if response.request.method == "HEAD" else response.request.method.lower()
    rule = _find_rule(app, response)
    if rule is None:  # nobody's address, or not with this method
        assert response.status_code in (404, 405, 429), _about(response)
        if response.request.method != "HEAD":
            _validate(contract.problem, response)
        return
    path = address_of(rule)
    described = contract.find_response(path, method, response.status_code)
    assert described is not None, f"{_about(response)}: the document does not know this status"
    _check_headers(response, contract.headers(described))
    if response.request.method == "HEAD":
        return
    if "content" not in described:
        assert not response.get_data(), f"{_about(response)}: a body that the document does not know"
        return
    media_type = response.mimetype or ""
    assert media_type in described["content"], f"{_about(response)}: {response.content_type}"
    if media_type.endswith("json"):
        _validate(contract.validator_of(path, method, response.status_code, media_type), response)
        _load(app, rule, response)


def load_strictly(schema: type[Schema], document: Any) -> None:
    """Raises AssertionError unless `document` has exactly the members that `schema` says, of the kinds it says."""
    try:
        schema().load(document)
    except ValidationError as error:
        raise AssertionError(f"{schema.__name__}: {error.messages} in {document}") from None


def _load(app: Flask, rule: Rule, response: TestResponse) -> None:
    """Holds the body against the route's own schema, which checks more than JSON Schema can say."""
    document = _json(response)
    if response.mimetype == MEDIA_TYPE:
        if "job" in document:
            load_strictly(RequestStatusDocument, document["job"])
        return
    operation = find_operation(app.view_functions[rule.endpoint])
    answer = None if operation is None else operation.answers.get(response.status_code)
    schema = None if answer is None else answer.document
    assert schema is not None, f"{_about(response)}: JSON without a schema"
    load_strictly(schema, document)


def _find_rule(app: Flask, response: TestResponse) -> Rule | None:
    request = response.request
    try:
        rule, _ = app.url_map.bind("localhost").match(request.path, method=request.method, return_rule=True)
    except HTTPException:
        return None
    return rule


def _check_headers(response: TestResponse, described: dict[str, bool]) -> None:
    for name in OWN_HEADERS:
        if name in response.headers:
            assert name in described, f"{_about(response)}: {name} is not described"
    if response.mimetype == MEDIA_TYPE:
        # where a problem shares its status with a document of the route's own, their headers are said together
        return
    for name, always in described.items():
        assert name in response.headers or not always, f"{_about(response)}: {name} is missing"


def _validate(validator: Draft202012Validator, response: TestResponse) -> None:
    document = _json(response)
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
    assert not errors, f"{_about(response)}: {errors} in {document}"


def _json(response: TestResponse) -> Any:
    body = response.get_data()
    return json.loads(gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body)


def _about(response: TestResponse) -> str:
    return f"{response.request.method} {response.request.path} → {response.status_code}"
