"""`guichet postman`: every operation once, ready to be sent."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import main
from scripts.postman import SCHEMA, make_collection, read_document
from shared.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_document(Settings())


@pytest.fixture(scope="module")
def collection(document) -> dict[str, Any]:
    return make_collection(document, "https://tickets.example")


@pytest.fixture(scope="module")
def requests(collection) -> dict[str, dict[str, Any]]:
    """Operation id → item."""
    return {item["id"]: item for item in items(collection)}


def items(collection: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for folder in collection["item"]:
        yield from folder["item"]


class TestCollection:
    def test_has_the_form_that_postman_reads(self, collection):
        assert collection["info"]["schema"] == SCHEMA
        assert collection["info"]["name"].startswith("Guichet ")
        assert {variable["key"]: variable["value"] for variable in collection["variable"]} == {
            "base_url": "https://tickets.example",
            "token": "",
            "refresh_token": "",
        }
        for item in items(collection):
            request, url = item["request"], item["request"]["url"]
            assert item["name"]
            assert request["method"] in {"GET", "POST", "PUT", "PATCH", "DELETE"}
            assert url["raw"] == "/".join(["{{base_url}}", *url["path"]])
            assert all(isinstance(entry["value"], str) for entry in (*request["header"], *url["query"]))
            body = request.get("body", {"mode": "urlencoded", "urlencoded": []})
            if body["mode"] == "raw":
                json.loads(body["raw"])
            else:
                assert all(field.keys() == {"key", "value", "type"} for field in body["urlencoded"])

    def test_has_every_operation_once(self, document, collection):
        expected = sorted(
            (method.upper(), path.lstrip("/"))
            for path, operations in document["paths"].items()
            for method in operations
        )
        found = sorted((item["request"]["method"], spelled(item)) for item in items(collection))
        assert found == expected

    def test_every_place_in_a_path_has_a_value(self, collection):
        for item in items(collection):
            url = item["request"]["url"]
            places = [part[1:] for part in url["path"] if part.startswith(":")]
            assert [variable["key"] for variable in url["variable"]] == places
            assert all(variable["value"] for variable in url["variable"]), item["id"]

    def test_logging_in_keeps_the_tokens(self, collection):
        keeping = {item["id"] for item in items(collection) if "event" in item}
        assert keeping == {"accounts_register", "accounts_log_in", "accounts_refresh"}

    def test_calls_carry_the_token_that_they_need(self, collection, requests):
        assert collection["auth"]["bearer"][0]["value"] == "{{token}}"
        assert "auth" not in requests["bookings_book"]["request"]
        assert requests["accounts_log_in"]["request"]["auth"] == {"type": "noauth"}
        refresh = requests["accounts_refresh"]["request"]
        assert refresh["auth"]["bearer"][0]["value"] == "{{refresh_token}}"
        assert json.loads(refresh["body"]["raw"]) == {"refresh_token": "{{refresh_token}}"}

    def test_bookings_are_safe_to_send_twice(self, requests):
        headers = {header["key"]: header for header in requests["bookings_book"]["request"]["header"]}
        assert headers["Idempotency-Key"] | {"description": ""} == {
            "key": "Idempotency-Key",
            "value": "{{$guid}}",
            "description": "",
            "disabled": False,
        }
        assert headers["Prefer"]["disabled"]


class TestCommand:
    def test_writes_a_file(self, tmp_path):
        target = tmp_path / "guichet.json"
        result = CliRunner().invoke(
            main,
            ["postman", "--output", str(target), "--base-url", "http://localhost:1/"],
            env={"DATABASE_URL": ""},
        )
        assert result.exit_code == 0, result.output
        assert json.loads(target.read_bytes())["variable"][0]["value"] == "http://localhost:1"

    def test_writes_to_standard_output(self):
        result = CliRunner().invoke(main, ["postman"], env={"GUICHET_BASE_URL": "https://tickets.example"})
        assert result.exit_code == 0
        assert json.loads(result.stdout_bytes)["variable"][0]["value"] == "https://tickets.example"


def spelled(item: dict[str, Any]) -> str:
    """The address as OpenAPI spells it."""
    parts = item["request"]["url"]["path"]
    return "/".join(f"{{{part[1:]}}}" if part.startswith(":") else part for part in parts)
