"""Without Redis or PostgreSQL the console says so; it never hangs, and never shows what is inside."""

import os
import signal
from dataclasses import replace

import pytest

from shared.db import make_engine
from tests.conftest import make_settings
from tests.console_calls import PAGE, READS, addresses, signed_in

LEAKS = ("Traceback", 'File "', "redis.exceptions", "psycopg2", "/redis.sock", "socket")
# The stylesheet comes from the package, whoever is away.
NEED_REDIS = [each for each in addresses(READS, queue="bookings-0", job="x") if "/static/" not in each]


@pytest.fixture
def own_engine(own_settings):
    engine = make_engine(own_settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def browser(make_app, own_settings, own_engine):
    return signed_in(make_app(own_settings), own_engine)


def shows(browser, address, status, code):
    problem = browser.get(address)
    assert (problem.status_code, problem.json["code"]) == (status, code), address
    assert problem.headers["Retry-After"]
    page = browser.get(address, headers=PAGE)
    assert (page.status_code, page.mimetype) == (status, "text/html"), address
    assert page.headers["Retry-After"]
    for leak in LEAKS:
        assert leak not in problem.text
        assert leak not in page.text


class TestRedis:
    def test_that_was_stopped(self, browser, own_redis):
        own_redis.stop()
        for address in NEED_REDIS:
            shows(browser, address, 503, "line_unavailable")
        own_redis.start()
        assert browser.get("/rq/0/data/queues.json").status_code == 200

    def test_that_hangs(self, make_app, own_settings, own_redis, own_engine):
        browser = signed_in(make_app(replace(own_settings, redis_timeout_seconds=1.0)), own_engine)
        browser.get("/rq/")
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            shows(browser, "/rq/0/data/workers.json", 503, "line_unavailable")
            shows(browser, "/rq/0/view/workers", 503, "line_unavailable")
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        assert browser.get("/rq/0/data/workers.json").status_code == 200


class TestPostgres:
    def test_that_was_stopped(self, browser, own_postgres):
        """Whether a session still counts stands there: without it nobody comes in."""
        own_postgres.stop("immediate")
        shows(browser, "/rq/0/data/queues.json", 503, "database_unavailable")
        shows(browser, "/rq/", 503, "database_unavailable")


def test_a_redis_that_was_never_there(make_app, settings, engine, tmp_path):
    elsewhere = make_settings(settings.database_url, "redis://127.0.0.1:1/0", tmp_path)
    shows(signed_in(make_app(elsewhere), engine), "/rq/0/data/queues.json", 503, "line_unavailable")
