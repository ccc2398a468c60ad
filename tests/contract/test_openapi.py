"""`/openapi.json` is the contract: it knows every route and nothing else, and what it shows as an example is true."""

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.routing import Rule

from api.app import create_app
from api.console import FOREIGN_ENDPOINT_PREFIX
from api.contract import find_operation
from api.openapi.document import build_document
from api.openapi.headers import RESPONSE_HEADERS
from api.openapi.operations import address_of, methods_of
from api.openapi.published import codes_of
from api.openapi.tags import TAGS
from api.problem_advice import ADVICE
from api.problem_members import MEMBERS
from api.problems import MEDIA_TYPE, PROBLEMS
from shared.settings import Settings

# Files of pages: a program has no use for them.
FILES = {"docs.asset"}
# The same as another field, and not to be given beside it: an example would be refused.
ALIASES = {"RegisterInput.username", "ProfileInput.username", "UserChangeInput.username"}
# Codes that no route answers with.
NEVER_ANSWERED: dict[str, str] = {
    "console_session_required": "behind /rq only, which is rq-dashboard's",
    "console_read_only": "the same",
    "withdrawn_by_user": "who asked to leave the line gets what they asked for: 200 or 202",
    "offer_not_due": "of the control plane's expire_offer alone, which nobody waits for",
    "withdrawn_by_admin": "told as a decision with 200, like every request that was withdrawn",
}

ROOT = Path(__file__).resolve().parents[2]
RAISED = {"GuichetError", "RefusedError", "NotFoundError", "UnavailableError", "rejected"}

Operations = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def silent_app() -> Flask:
    """The application, which connects to nothing."""
    return create_app(
        Settings(
            env="test",
            database_url="postgresql+psycopg2:///nowhere",
            redis_url="redis://localhost:1/0",
            secret_key="x" * 48,
            access_log=False,
        )
    )


@pytest.fixture(scope="module")
def document(silent_app) -> dict[str, Any]:
    """As it is served: what JSON cannot say is not in it."""
    return json.loads(json.dumps(build_document(silent_app, base_url="")))


@pytest.fixture(scope="module")
def operations(document) -> Operations:
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def described_rules(app: Flask) -> Iterator[Rule]:
    """The rules of our own: not those of rq-dashboard, which is somebody else's and only for people."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in FILES and not rule.endpoint.startswith(FOREIGN_ENDPOINT_PREFIX):
            yield rule


def raised_facts() -> Iterator[tuple[str, set[str]]]:
    """Code → the facts that stand as keywords where it is raised or decided, anywhere in the sources."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in [*(ROOT / "api").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            name, first = node.func.id, node.args[0]
            if name not in RAISED or not isinstance(first, ast.Constant):
                continue
            # UnavailableError keeps its seconds for the header.
            facts = {keyword.arg for keyword in node.keywords if keyword.arg} - {"detail"}
            found[first.value] |= facts - ({"retry_after_seconds"} if name == "UnavailableError" else set())
    yield from found.items()


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Checks against a schema of the document, whose references it follows."""
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def responses(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, response in operation["responses"].items():
        name = response.get("$ref", "").rpartition("/")[2]
        yield status, document["components"]["responses"][name] if name else response


class TestDocument:
    def test_is_valid_openapi_3_1(self, document):
        assert document["openapi"].startswith("3.1.")
        assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []

    def test_knows_every_route_and_no_other(self, silent_app, operations):
        routes = {
            f"{method} {address_of(rule)}"
            for rule in described_rules(silent_app)
            for method in methods_of(rule)
        }
        assert {name for name, _ in operations} == routes

    def test_every_view_of_ours_says_its_contract(self, silent_app):
        silent = {
            rule.endpoint
            for rule in described_rules(silent_app)
            if find_operation(silent_app.view_functions[rule.endpoint]) is None
        }
        assert silent == set()

    def test_operation_ids_are_unique(self, operations):
        ids = Counter(operation["operationId"] for _, operation in operations)
        assert [operation_id for operation_id, count in ids.items() if count > 1] == []

    def test_every_tag_is_explained(self, document):
        assert {tag["name"] for tag in document["tags"]} <= set(TAGS)

    def test_every_operation_has_a_summary_that_fits_a_line(self, operations):
        assert [name for name, operation in operations if not 3 <= len(operation["summary"]) <= 110] == []

    def test_every_parameter_is_described(self, operations):
        silent = [
            (name, parameter["name"])
            for name, operation in operations
            for parameter in operation["parameters"]
            if "$ref" not in parameter and not parameter.get("description")
        ]
        assert silent == []

    def test_every_field_is_described(self, document):
        silent = [
            f"{schema}.{name}"
            for schema, body in document["components"]["schemas"].items()
            for name, field in body.get("properties", {}).items()
            if "description" not in field
        ]
        assert silent == []

    def test_bodies_and_answers_are_strict(self, document):
        open_schemas = {
            name
            for name, schema in document["components"]["schemas"].items()
            if schema.get("additionalProperties") is not False
        }
        assert open_schemas == {"Openapi", "Problem"}

    def test_names_only_headers_that_are_in_the_table(self, document, operations):
        named = {
            header
            for _, operation in operations
            for _, response in responses(document, operation)
            for header in response.get("headers", {})
        }
        assert named - set(RESPONSE_HEADERS) == set()
        assert set(RESPONSE_HEADERS) - named == set()


class TestProblems:
    def test_every_code_is_answered_by_some_operation(self, document, operations):
        answered = set().union(*(codes_of(document, operation) for _, operation in operations))
        assert answered == set(PROBLEMS) - set(NEVER_ANSWERED)

    def test_every_code_has_an_advice(self):
        assert set(ADVICE) == set(PROBLEMS)

    def test_facts_belong_to_codes_that_exist(self):
        assert set(MEMBERS) - set(PROBLEMS) == set()

    def test_every_fact_that_is_raised_is_described(self):
        raised = dict(raised_facts())
        assert raised["not_enough_left"] == {"available"}
        unknown = {code: facts - set(MEMBERS.get(code, {})) for code, facts in raised.items()}
        assert {code: facts for code, facts in unknown.items() if facts} == {}

    def test_examples_are_true(self, document, operations):
        examples = document["components"]["examples"]
        wrong = []
        for name, operation in operations:
            for status, response in responses(document, operation):
                content = response.get("content", {}).get(MEDIA_TYPE)
                if content is None:
                    continue
                check = validator(document, content["schema"])
                for code, reference in content["examples"].items():
                    value = examples[reference["$ref"].rpartition("/")[2]]["value"]
                    if not check.is_valid(value) or value["code"] != code or value["status"] != int(status):
                        wrong.append((name, status, code))
        assert wrong == []

    def test_every_operation_has_those_that_any_may_answer(self, document, operations):
        for name, operation in operations:
            codes = codes_of(document, operation)
            assert {"bad_request", "method_not_allowed", "internal_error"} <= codes, name
            if operation["security"] and {} not in operation["security"] and "console" not in name:
                assert "unauthenticated" in codes or "consoleSession" in operation["security"][0], name


class TestPages:
    def test_of_the_console_tell_problems_as_html_too(self, document):
        """A browser that signs in with an old form gets a page, not JSON."""
        refused = document["paths"]["/login"]["post"]["responses"]["403"]
        assert set(refused["content"]) == {MEDIA_TYPE, "text/html"}


class TestExamples:
    def test_every_json_answer_has_one_that_is_true(self, document, operations):
        wrong = []
        for name, operation in operations:
            for status, response in responses(document, operation):
                for media_type, content in response.get("content", {}).items():
                    if "json" not in media_type or media_type == MEDIA_TYPE:
                        continue
                    errors = validator(document, content["schema"]).iter_errors(content["example"])
                    wrong += [f"{name} {status}: {error.json_path}: {error.message}" for error in errors]
        assert wrong == []

    def test_every_success_with_a_body_has_a_schema(self, document, operations):
        silent = [
            f"{name} {status}"
            for name, operation in operations
            for status, response in responses(document, operation)
            if status.startswith("2")
            for content in response.get("content", {}).values()
            if "schema" not in content
        ]
        assert silent == []

    def test_every_body_has_one_that_loads(self, silent_app):
        wrong = []
        for rule in described_rules(silent_app):
            operation = find_operation(silent_app.view_functions[rule.endpoint])
            if operation is None or operation.body is None:
                continue
            for method, example in body_examples(silent_app, rule):
                errors = operation.body(partial=operation.body_partial).validate(example)
                if errors:
                    wrong.append((method, address_of(rule), errors))
        assert wrong == []

    def test_no_text_is_without(self, document):
        """A schema's own properties: what a reader of the page sees."""
        silent = [
            f"{name}.{field}"
            for name, schema in document["components"]["schemas"].items()
            if name != "Problem"
            for field, body in schema.get("properties", {}).items()
            if f"{name}.{field}" not in ALIASES
            and body.get("type") == "string"
            and not {"examples", "enum", "format", "default"} & set(body)
        ]
        assert silent == []


def body_examples(app: Flask, rule: Rule) -> Iterator[tuple[str, Any]]:
    item = build_document(app, base_url="")["paths"][address_of(rule)]
    for method in methods_of(rule):
        content = item[method.lower()]["requestBody"]["content"]["application/json"]
        yield method, content["example"]


class TestOverHttp:
    def test_is_served_with_its_tag(self, silent_app):
        client = silent_app.test_client()
        first = client.get("/openapi.json")
        assert first.status_code == 200
        assert first.content_type == "application/json"
        again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        head = client.head("/openapi.json")
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == first.headers["ETag"]

    def test_a_public_address_is_the_server(self, silent_app):
        document = build_document(silent_app, base_url="https://tickets.example")
        assert document["servers"] == [{"url": "https://tickets.example"}]
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", document["info"]["version"])
