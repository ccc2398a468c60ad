"""`guichet postman`: the contract as a Postman collection, made from the OpenAPI document."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import orjson

from api.app import create_app
from api.contract import FORM
from api.openapi.document import build_document
from scripts.environment import read_settings
from shared.settings import Settings

SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
# Sent unless switched off; every other header waits to be switched on.
_HEADER_VALUES: Final = {"Idempotency-Key": "{{$guid}}"}
_SUCCESSES: Final = ("200", "201")
_KEEP_TOKENS: Final = [
    "if (pm.response.code < 300) {",
    "  const answer = pm.response.json();",
    '  pm.collectionVariables.set("token", answer.token);',
    '  pm.collectionVariables.set("refresh_token", answer.refresh_token);',
    "}",
]


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Instead of standard output.")
@click.option(
    "--base-url", help="The installation to call.  [default: GUICHET_BASE_URL, or this machine on PORT]"
)
def command(*, output: Path | None, base_url: str | None) -> None:
    """Write the API as a Postman collection: a folder per tag, logging in keeps the token for every other call."""
    settings = read_settings()
    address = base_url or settings.base_url or f"http://127.0.0.1:{settings.port}"
    content = orjson.dumps(
        make_collection(read_document(settings), address.rstrip("/")), option=orjson.OPT_INDENT_2
    )
    if output is None:
        sys.stdout.buffer.write(content + b"\n")
    else:
        output.write_bytes(content + b"\n")
        click.echo(f"{output}: import it into Postman, then send a log-in first.")


def read_document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document. The application is built, but connects to nothing and answers nobody."""
    nowhere = replace(
        settings,
        database_url=settings.database_url or "postgresql+psycopg2:///guichet",
        redis_url=settings.redis_url or "redis://127.0.0.1",
        secret_key=settings.secret_key or "nothing is signed with this one",
    )
    app = create_app(nowhere)
    try:
        return build_document(app, base_url="")
    finally:
        app.extensions["guichet"].close()


def make_collection(document: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """A collection of format 2.1 with every operation of the document once, in the folder of its tag."""
    folders: dict[str, dict[str, Any]] = {
        tag["name"]: {"name": tag["name"], "description": tag["description"], "item": []}
        for tag in document["tags"]
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            folders[operation["tags"][0]]["item"].append(_item(document, path, method.upper(), operation))
    info = document["info"]
    return {
        "info": {
            "name": f"{info['title']} {info['version']}",
            "description": info["description"],
            "schema": SCHEMA,
        },
        "auth": _bearer("token"),
        "variable": [
            {"key": "base_url", "value": base_url, "type": "string"},
            {"key": "token", "value": "", "type": "string"},
            {"key": "refresh_token", "value": "", "type": "string"},
        ],
        "item": list(folders.values()),
    }


def _item(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = [_resolve(document, parameter) for parameter in operation["parameters"]]
    request: dict[str, Any] = {
        "method": method,
        "description": operation["description"],
        "url": _url(path, parameters),
        "header": list(_headers(parameters)),
        **_auth(operation),
    }
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        request["header"].append({"key": "Content-Type", "value": media_type})
        request["body"] = _form(content["example"]) if media_type == FORM else _body(content["example"])
    item = {"name": operation["summary"], "id": operation["operationId"], "request": request, "response": []}
    if _gives_tokens(document, operation):
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": _KEEP_TOKENS}}]
    return item


def _url(path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """`{event_id}` is `:event_id` there; what goes into the query is switched off but for what must be there."""
    segments = [f":{part[1:-1]}" if part.startswith("{") else part for part in path.strip("/").split("/")]
    query = [
        {**_named(parameter), "disabled": not parameter["required"]}
        for parameter in parameters
        if parameter["in"] == "query"
    ]
    return {
        "raw": f"{{{{base_url}}}}/{'/'.join(segments)}",
        "host": ["{{base_url}}"],
        "path": segments,
        "query": query,
        "variable": [_named(parameter) for parameter in parameters if parameter["in"] == "path"],
    }


def _headers(parameters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for parameter in parameters:
        if parameter["in"] == "header":
            name = parameter["name"]
            value = _HEADER_VALUES.get(name, parameter["example"])
            yield {**_named(parameter), "value": value, "disabled": name not in _HEADER_VALUES}


def _named(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """Name, example and description of a parameter; everything is text to Postman."""
    schema = parameter["schema"]
    examples = schema.get("examples") or schema.get("enum") or [schema.get("default", "")]
    value = parameter.get("example", examples[0])
    return {
        "key": parameter["name"],
        "value": str(value).lower() if isinstance(value, bool) else str(value),
        "description": parameter.get("description", ""),
    }


def _body(example: Mapping[str, Any]) -> dict[str, Any]:
    if "refresh_token" in example:
        example = {**example, "refresh_token": "{{refresh_token}}"}
    text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}


def _form(example: Mapping[str, Any]) -> dict[str, Any]:
    fields = [{"key": name, "value": str(value), "type": "text"} for name, value in example.items()]
    return {"mode": "urlencoded", "urlencoded": fields}


def _auth(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The collection's token, unless the operation takes none or another."""
    schemes = {name for requirement in operation["security"] for name in requirement}
    if "refreshToken" in schemes:
        return {"auth": _bearer("refresh_token")}
    return {} if "bearerAuth" in schemes else {"auth": {"type": "noauth"}}


def _bearer(variable: str) -> dict[str, Any]:
    return {
        "type": "bearer",
        "bearer": [{"key": "token", "value": f"{{{{{variable}}}}}", "type": "string"}],
    }


def _gives_tokens(document: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    for status in _SUCCESSES:
        response = _resolve(document, operation["responses"].get(status, {}))
        example = response.get("content", {}).get("application/json", {}).get("example")
        if isinstance(example, dict) and {"token", "refresh_token"} <= example.keys():
            return True
    return False


def _resolve(document: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The component that a reference names, everything else as it is."""
    if "$ref" not in node:
        return node
    *_, section, name = node["$ref"].split("/")
    found: dict[str, Any] = document["components"][section][name]
    return found
