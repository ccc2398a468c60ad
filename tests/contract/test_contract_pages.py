"""What people read of the contract: pages that ask no other host for anything, and an explanation of every code."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.problem_advice import ADVICE
from api.problems import PROBLEMS
from api.routes.docs import ASSETS
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["/docs", "/problems", *(f"/problems/{code}" for code in PROBLEMS)]
NOWHERE = Settings(
    env="test",
    database_url="postgresql+psycopg2:///nowhere",
    redis_url="redis://localhost:1/0",
    secret_key="x" * 48,
    access_log=False,
)
ELSEWHERE = re.compile(r"(?:https?:)?//[\w.-]+", re.IGNORECASE)
LOADING = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """What a page loads, links to, and carries inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.tags: list[str] = []
        self.language = ""
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in_script = tag in ("script", "style")
        for name, value in attrs:
            if (tag, name) in LOADING:
                self.loads.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")
            elif (tag, name) == ("html", "lang"):
                self.language = value or ""
            elif name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def silent_app() -> Flask:
    """The application, which connects to nothing; every test asks at most a few hundred times."""
    return create_app(NOWHERE)


@pytest.fixture
def client(silent_app) -> FlaskClient:
    return silent_app.test_client()


@pytest.fixture(scope="module")
def pages(silent_app) -> dict[str, Page]:
    client = silent_app.test_client()
    return {path: Page(client.get(path).get_data(as_text=True)) for path in PAGES}


class TestPages:
    def test_load_and_link_to_nothing_elsewhere(self, pages):
        for path, page in pages.items():
            assert [url for url in (*page.loads, *page.links) if ELSEWHERE.match(url)] == [], path

    def test_what_they_load_and_link_to_is_there(self, pages, client):
        named = {url for page in pages.values() for url in (*page.loads, *page.links)}
        assert len(named) > len(PROBLEMS)
        for url in sorted(named):
            with client.get(url) as response:
                assert response.status_code == 200, url

    def test_have_no_inline_script_or_style(self, pages):
        assert {path: page.inline for path, page in pages.items() if page.inline} == {}

    def test_can_be_read_aloud(self, pages):
        for path, page in pages.items():
            assert page.language == "en", path
            assert {"title", "main"} <= set(page.tags), path

    @pytest.mark.parametrize("path", PAGES[:3])
    def test_forbid_browsers_to_ask_another_host(self, client, path):
        policy = dict(
            directive.strip().split(" ", 1)
            for directive in client.get(path).headers["Content-Security-Policy"].split(";")
        )
        assert policy.pop("default-src") == "'none'"
        for name in ("base-uri", "form-action", "frame-ancestors"):
            assert policy.pop(name) == "'none'"
        assert set(" ".join(policy.values()).split()) <= {"'self'", "data:"}
        assert "data:" not in policy.get("script-src", "")

    @pytest.mark.parametrize("path", sorted((ROOT / "api/static").iterdir()), ids=lambda path: path.name)
    def test_our_scripts_and_styles_name_no_other_host(self, path):
        text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE)  # comments
        assert ELSEWHERE.findall(text) == []

    def test_swagger_ui_does_not_ask_its_validator(self):
        """Its default is a badge from another host."""
        assert re.search(r"^ *validatorUrl: null,$", (ROOT / "api/static/docs.js").read_text(), re.MULTILINE)


class TestAssets:
    @pytest.mark.parametrize("name", ASSETS)
    def test_are_served_to_be_kept(self, client, name):
        with client.get(f"/docs/{name}") as response:
            assert response.status_code == 200
            assert "max-age" in response.headers["Cache-Control"]
            tag = response.headers["ETag"]
        with client.get(f"/docs/{name}", headers={"If-None-Match": tag}) as again:
            assert (again.status_code, again.data) == (304, b"")

    @pytest.mark.parametrize(
        "name", ["LICENSE", "swagger-ui.js", "console.css", "..%2fapp.py", "%2e%2e/app.py"]
    )
    def test_nothing_else_is(self, client, name):
        with client.get(f"/docs/{name}") as response:
            assert response.status_code == 404
            assert response.json["code"] == "not_found"


class TestProblems:
    @pytest.mark.parametrize("code", PROBLEMS)
    def test_every_code_is_explained(self, client, code):
        status, title = PROBLEMS[code]
        document = client.get(f"/problems/{code}", headers={"Accept": "application/json"}).json
        assert (document["code"], document["status"], document["title"]) == (code, status, title)
        assert document["type"] == f"/problems/{code}"
        assert document["advice"] == ADVICE[code]

    def test_a_page_says_it_all(self, client):
        text = client.get("/problems/sales_not_open").get_data(as_text=True)
        for part in (
            "Sales have not opened yet.",
            "Come back at",
            "opens_at",
            "POST /api/bookings/{event_id}/book",
        ):
            assert part in text

    def test_who_answers_is_what_the_document_says(self, client):
        document = client.get("/problems/precondition_failed", headers={"Accept": "application/json"}).json
        assert {(use["method"], use["path"]) for use in document["operations"]} == {
            ("PUT", "/api/events/{event_id}"),
            ("PATCH", "/api/events/{event_id}"),
            ("DELETE", "/api/events/{event_id}"),
        }

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            (None, "text/html"),
            ("*/*", "text/html"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
            ("application/json", "application/json"),
            ("application/json, text/html;q=0.5", "application/json"),
        ],
    )
    def test_come_as_accept_prefers(self, client, accept, media_type):
        headers = {} if accept is None else {"Accept": accept}
        for path in ("/problems", "/problems/sold_out"):
            response = client.get(path, headers=headers)
            assert (response.status_code, response.mimetype) == (200, media_type)
            assert "Accept" in response.headers["Vary"]

    def test_the_index_has_every_code(self, client):
        document = client.get("/problems", headers={"Accept": "application/json"}).json
        assert {item["code"] for item in document["items"]} == set(PROBLEMS)

    def test_an_unknown_code_is_nothing(self, client):
        response = client.get("/problems/no_such_code")
        assert (response.status_code, response.json["code"]) == (404, "not_found")

    def test_the_type_of_an_error_leads_to_its_page(self, client):
        wrong = client.get("/api/no-such-thing")
        page = client.get(wrong.json["type"], headers={"Accept": "application/json"})
        assert page.json["code"] == wrong.json["code"]


class TestCatalogue:
    def test_leads_to_the_document_its_page_and_the_health(self, client):
        response = client.get("/.well-known/api-catalog")
        assert response.mimetype == "application/linkset+json"
        assert response.mimetype_params["profile"] == "https://www.rfc-editor.org/info/rfc9727"
        (links,) = response.json["linkset"]
        assert links["anchor"] == "/api"
        for relation in ("service-desc", "service-doc", "status"):
            (target,) = links[relation]
            found = client.get(target["href"])
            assert (found.status_code, found.mimetype) == (200, target["type"])

    def test_says_where_it_is_also_to_head(self, client):
        response = client.head("/.well-known/api-catalog")
        assert response.status_code == 200
        assert response.headers["Link"] == '</.well-known/api-catalog>; rel="api-catalog"'
