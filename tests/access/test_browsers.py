"""What a browser may be brought to do: by another page, by an address, by a host that the service is not."""

import re

import pytest
from werkzeug.test import TestResponse

from tests.access.callers import Who
from tests.access.calls import call
from tests.access.state import Stored, changes
from tests.access.table import TABLE, Row
from tests.access.world import World

EVIL = "evil.example"
# Everything by which a request can say that the service is called so, or that it comes from there.
CLAIMS = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "4443",
    "X-Forwarded-Prefix": f"//{EVIL}",
    "X-Original-Host": EVIL,
    "X-Original-URL": f"https://{EVIL}/",
    "X-Rewrite-URL": f"//{EVIL}/",
    "Forwarded": f"host={EVIL};proto=https",
    "Origin": f"https://{EVIL}",
    "Referer": f"https://{EVIL}/page",
}
WAYS_OUT = (f"https://{EVIL}/", f"//{EVIL}/", f"/\\{EVIL}/", f"/rq/../../{EVIL}", "javascript:alert(1)")
HTML = {"Accept": "text/html,*/*;q=0.8"}
# Each route once, of the first kind of thing that it has.
ROUTES = list({row.call: row for row in reversed(TABLE)}.values())[::-1]


def insider(row: Row) -> Who:
    """Somebody who gets furthest."""
    return next((who for who in (Who.ADMIN, Who.OWNER, Who.CONSOLE, *Who) if who in row.may), Who.CONSOLE)


def assert_not_led_away(answer: TestResponse) -> None:
    """No header and no line of the body names the other host, and a redirect stays within the service."""
    assert EVIL not in str(answer.headers)
    assert EVIL not in answer.get_data(as_text=True)
    assert re.match(r"/(?![/\\])", answer.headers.get("Location", "/")), answer.headers["Location"]


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.call)
class TestEveryRoute:
    def test_believes_nobody_about_its_name_and_lets_no_other_origin_read(
        self, world: World, row: Row
    ) -> None:
        thing = world.make(row.of)
        preflight = {**CLAIMS, "Access-Control-Request-Method": row.method}
        for method, headers in (("", CLAIMS), ("OPTIONS", preflight)):
            answer = call(world, row, insider(row), thing, thing.values, method=method, headers=headers)
            assert_not_led_away(answer)
            assert "Access-Control" not in str(answer.headers)


@pytest.mark.parametrize("row", [row for row in ROUTES if row.method == "GET"], ids=lambda row: row.call)
class TestEveryGet:
    def test_changes_nothing(self, world: World, stored: Stored, row: Row) -> None:
        """A link, a picture, a look ahead: browsers send them for anybody. (Looks at events are counted in memory.)"""
        thing = world.make(row.of)
        world.make("a notification")  # which a careless look would mark as read
        before = stored.read()
        for who in {insider(row), Who.OWNER}:
            for method in ("GET", "HEAD", "OPTIONS"):
                call(world, row, who, thing, thing.values, method=method, afresh=False)
        assert changes(before, stored.read()) == []

    def test_leads_nowhere_else(self, world: World, row: Row) -> None:
        thing = world.make(row.of)
        for way in WAYS_OUT if row.rule == "/login" else WAYS_OUT[:1]:
            for who in (insider(row), Who.CONSOLE):
                query = dict.fromkeys(("next", "url", "redirect", "redirect_uri", "return_to"), way)
                answer = call(world, row, who, thing, thing.values, headers=HTML, query=query)
                assert_not_led_away(answer)
                assert "javascript:" not in answer.get_data(as_text=True)

    def test_that_is_a_page_is_framed_by_nobody_and_runs_nothing_but_ours(
        self, world: World, row: Row
    ) -> None:
        thing = world.make(row.of)
        for who in (insider(row), Who.NOBODY):
            answer = call(world, row, who, thing, thing.values, headers=HTML)
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "default-src 'none'" in policy
            assert not re.search(r"unsafe|\*|https?:", policy), policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if answer.mimetype == "text/html" and answer.status_code != 303:
                assert "base-uri 'none'" in policy
                assert re.search(r"form-action '(none|self)'", policy)
                page = answer.get_data(as_text=True)
                assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=|javascript:", page)


class TestCookies:
    def test_change_nothing_alone(self) -> None:
        """The table knows no writing route that takes the console's cookie without the page's token."""
        writing = {row.call for row in TABLE if row.method != "GET" and Who.CONSOLE in row.may}
        assert writing == {
            "POST /api/auth/register",
            "POST /api/auth/login",
        }  # which ask for no cookie either
