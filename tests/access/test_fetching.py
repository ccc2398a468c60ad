"""Addresses that clients write down are shown to clients, and fetched by nobody here."""

import re
import socket
from collections.abc import Iterator

import pytest
from flask import Flask
from marshmallow import Schema, ValidationError

from api.contract import find_operation
from tests.access.callers import Who
from tests.access.world import World
from tests.console_calls import PAGE

HARMFUL = (
    "javascript:alert(1)",
    "JavaScript://example.org/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:6379/flushall",
    "//example.org/logo.svg",
    "https://example.org/\"onerror='alert(1)'",
    "https://user:password@example.org/",
)


def address_fields(app: Flask) -> Iterator[tuple[type[Schema], str]]:
    """Every field of a body that is an address, by its name or by what the document says of it."""
    for view in app.view_functions.values():
        operation = find_operation(view)
        if operation is None or operation.body is None:
            continue
        for name, field in operation.body().fields.items():
            if field.metadata.get("format") == "uri" or re.search(r"ur[il]|link|href|webhook|callback", name):
                yield operation.body, name


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """Somebody on this machine who would notice being asked."""
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.setblocking(False)
        yield trap


def test_none_but_http_addresses_are_taken(bare_app: Flask) -> None:
    found = sorted({name for _, name in address_fields(bare_app)})
    assert found == ["background_url", "logo_url", "website_url"]
    for schema, name in address_fields(bare_app):
        for address in HARMFUL:
            with pytest.raises(ValidationError):
                schema().fields[name].deserialize(address)


def test_nobody_fetches_one(world: World, trap: socket.socket) -> None:
    """Written, read in every form that shows it, and no connection was made."""
    address = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data"
    body = {"name": "Choir", **{name: address for _, name in address_fields(world.app)}}
    organization = world.ask(Who.ADMIN, "POST", "/api/organizations", body=body).json
    assert organization["logo_url"] == address
    event = world.event(organization_id=organization["id"])
    for path in (
        f"/api/organizations/{organization['id']}",
        "/api/organizations",
        f"/api/events/{event.id}",
        "/api/events",
        "/api/admin/audit-log",
        "/api/auth/export",
        "/docs",
    ):
        assert world.ask(Who.ADMIN, "GET", path, more=PAGE).status_code == 200, path
    with pytest.raises(BlockingIOError):
        trap.accept()
