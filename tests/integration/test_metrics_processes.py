"""`/metrics` of a real gunicorn with two processes: whichever answers, the totals are those of all."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import psutil
import pytest

from tests.factories import bearer, make_event, make_user
from tests.lines import await_that
from tests.scraping import Scrape
from tests.web_servers import gunicorn

SENT = 60


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    """On a connection of its own: any process may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(port: int) -> Scrape:
    status, text = get(port, "/metrics")
    assert status == 200, text
    return Scrape(text)


def requests_of(found: Scrape, route: str) -> tuple[float, float]:
    """Of a route: as the counter says, and as the histogram."""
    return (
        found.sum("http_requests_total", route=route),
        found.sum("http_request_duration_seconds_count", route=route),
    )


@pytest.fixture
def port(settings, tmp_path: Path):
    with gunicorn(settings, tmp_path / "web.log", processes=2) as port:
        yield port


def web_processes() -> list[psutil.Process]:
    """gunicorn's workers: the children of this test's child."""
    masters = [child for child in psutil.Process().children() if "gunicorn" in child.cmdline()]
    return [worker for master in masters for worker in master.children()]


def test_every_process_tells_the_totals_of_all(port, settings, engine):
    admin = bearer(settings, make_user(engine, role="admin"))
    event = make_event(engine)
    paths = [f"/api/events/{event.id}", "/api/events/999999", "/nowhere"] * (SENT // 3)
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda path: get(port, path), paths)]
    assert statuses == [200, 404, 404] * (SENT // 3)

    def settled() -> Scrape | None:
        """A process hears of the other's last second a second later."""
        found = scrape(port)
        return found if found.sum("http_requests_total", route="unmatched") >= SENT // 3 else None

    await_that(settled, what="the other process' figures")
    seen: list[float] = []
    for _ in range(10):
        found = scrape(port)
        assert requests_of(found, "/api/events/<int:event_id>") == (2 * SENT // 3, 2 * SENT // 3)
        assert found("http_requests_total", method="GET", route="unmatched", status_code="404") == SENT // 3
        seen.append(found.sum("http_requests_total", route="/metrics"))
    assert seen == sorted(seen)  # a total that goes back looks like a restart of everything
    assert seen[-1] >= 9
    status, text = get(port, "/api/admin/health", **admin)
    assert status == 200
    rates = orjson.loads(text)["requests"]
    assert (rates["requests"] >= SENT, rates["errors"], rates["p50_ms"] > 0) == (True, 0, True)


def test_the_figures_of_a_killed_process_stay(port):
    for _ in range(SENT):
        get(port, "/nowhere")
    await_that(lambda: scrape(port).sum("http_requests_total", route="unmatched") == SENT, what="all of them")
    victim = web_processes()[0]
    victim.kill()
    await_that(lambda: len({*web_processes()} - {victim}) == 2, what="another process")
    for _ in range(5):
        assert scrape(port).sum("http_requests_total", route="unmatched") == SENT


def test_a_clean_end_leaves_one_file(settings, tmp_path):
    with gunicorn(settings, tmp_path / "web.log", processes=2) as port:
        get(port, "/nowhere")
    names = [path.name for path in settings.metrics_folder.glob("*.json")]
    assert names == ["ended.json"], (tmp_path / "web.log").read_text()
