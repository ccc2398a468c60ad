"""Looking at the console changes nothing in Redis: not the line, not a registry, not a worker's entry."""

import dataclasses

import pytest
from werkzeug.exceptions import MethodNotAllowed

from api.console.readonly_redis import READS as READ_COMMANDS
from api.console.readonly_redis import ReadOnlyRedis, WriteRefusedError
from api.console.rules import CHANGES, DATA, PAGES, STATIC, find_call
from shared.errors import GuichetError
from tests.console_calls import (
    CHANGES as CHANGE_ADDRESSES,
)
from tests.console_calls import (
    PAGE,
    READS,
    REGISTRIES,
    addresses,
    change,
    dump,
    plant_everywhere,
    plant_job,
    signed_in,
)

QUEUES = ("bookings-0", "bookings-5", "tasks", "somebody-elses")
MISSING = "01a1fa38-2c56-79d1-a69f-000000000000"

NONSENSE = (
    "/favicon.ico",
    "/1/view/queues",
    "/7/data/queues.json",
    "/0/data/jobs/bookings-0/nonsense/8/asc/1.json",
    "/0/data/jobs/bookings-0/queued/0/asc/1.json",
    "/0/data/jobs/bookings-0/queued/100000/asc/1.json",
    "/0/data/jobs/bookings-0/queued/8/sideways/1.json",
    "/0/data/jobs/bookings-0/queued/8/asc/0.json",
    "/0/data/jobs/bookings-0/queued/8/asc/-1.json",
    "/0/data/jobs/bookings-0/queued/8/asc/x.json",
    "/0/data/jobs/bookings-0/queued/8/asc/\u0661.json",
    "/0/data/jobs/bookings-0/queued/x/asc/1.json",
    "/0/data/jobs/no-such-queue/queued/8/asc/1.json",
    "/0/view/jobs/no-such-queue/queued/8/asc/1",
    "/0/view/job/no-such-job",
    "/0/data/job/no-such-job.json",
    "/0/data/job/%3Cb%3E.json",
    "/0/data/job/" + "x" * 200 + ".json",
    "/" + "9" * 5000 + "/view/queues",
    "/static/js/jquery-3.5.1.min.js",
    "/static/../web.py",
    "/static/%2e%2e/web.py",
    "//evil.example/",
    "/0//view/queues",
)


@pytest.fixture
def browser(app, engine):
    return signed_in(app, engine)


@pytest.fixture
def dashboard(app, browser):
    browser.get("/rq/")
    return app.extensions["guichet-console"]


def plant_what_rq_would_clean_up(redis, queue):
    """Entries of every registry that expired long ago, jobs without a hash, workers without a key."""
    for job_id in (f"abandoned-{queue}", f"retried-{queue}", MISSING):
        plant_everywhere(redis, job_id, queue)
    plant_job(
        redis, f"abandoned-{queue}", queue, status="started", failure_callback_name="os.abort", timeout="1"
    )
    plant_job(redis, f"retried-{queue}", queue, status="started", retries_left="3", number_of_retries="0")
    for worker in ("vanished", "ghost"):
        redis.sadd("rq:workers", f"rq:worker:{worker}")
        redis.sadd(f"rq:workers:{queue}", f"rq:worker:{worker}")
    redis.hset("rq:worker:ghost", mapping={"queues": queue, "state": "busy", "current_job": MISSING})


class TestNoAddressWrites:
    @pytest.mark.parametrize("queue", QUEUES)
    def test_by_reading(self, browser, redis_client, queue):
        plant_what_rq_would_clean_up(redis_client, queue)
        before = dump(redis_client)
        for job in (f"abandoned-{queue}", f"retried-{queue}"):
            for address in addresses(READS + CHANGE_ADDRESSES, queue=queue, job=job):
                for method in ("GET", "HEAD", "OPTIONS"):
                    browser.open(address, method=method)
                browser.get(address, headers=PAGE)
        assert dump(redis_client) == before

    @pytest.mark.parametrize("queue", QUEUES)
    def test_by_anything_while_it_is_read_only(self, browser, redis_client, queue):
        plant_what_rq_would_clean_up(redis_client, queue)
        before = dump(redis_client)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for address in addresses(READS + CHANGE_ADDRESSES, queue=queue, job=f"abandoned-{queue}"):
                refused = change(browser, address, method=method)
                assert refused.status_code in (403, 404, 405), (method, address)
                assert refused.mimetype == "application/problem+json"
        assert dump(redis_client) == before

    def test_where_only_get_and_post_are_one_route(self, browser, redis_client, make_app, settings, engine):
        """rq-dashboard requeues everything that failed when a browser merely opens this address."""
        plant_job(redis_client, "failed-task", "tasks", status="failed")
        redis_client.zadd("rq:failed:tasks", {"failed-task": 9e9})
        writable = make_app(dataclasses.replace(settings, console_writable=True))
        before = dump(redis_client)
        for client in (browser, signed_in(writable, engine)):
            for method in ("GET", "HEAD"):
                refused = client.open("/rq/requeue/tasks", method=method)
                assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
        assert dump(redis_client) == before

    def test_every_page_was_really_shown(self, browser, redis_client):
        """What the tests above call answers with 200, or they would prove nothing."""
        plant_what_rq_would_clean_up(redis_client, "bookings-0")
        for address in addresses(READS, queue="bookings-0", job="abandoned-bookings-0"):
            assert browser.get(address).status_code == 200, address
        listed = browser.get("/rq/0/data/jobs/bookings-0/queued/8/asc/1.json").json["jobs"]
        assert [job["id"] for job in listed] == ["abandoned-bookings-0", "retried-bookings-0", MISSING]
        workers = browser.get("/rq/0/data/workers.json").json["workers"]
        assert [worker["name"] for worker in workers] == ["ghost"]

    def test_looking_at_workers_leaves_the_time_out_alone(self, app, browser, redis_client):
        """RQ's Worker raises its connection pool's time-out to minutes: a hung Redis would then hang the page."""
        plant_what_rq_would_clean_up(redis_client, "bookings-0")
        options = app.extensions["guichet"].console_redis.connection_pool.connection_kwargs
        before = options["socket_timeout"]
        browser.get("/rq/0/data/workers.json")
        browser.get("/rq/0/view/workers")
        assert options["socket_timeout"] == before == app.extensions["guichet"].settings.redis_timeout_seconds


class TestAddresses:
    def test_each_of_rq_dashboards_views_is_known_or_absent(self, dashboard):
        """A release with new views fails here; until somebody looks at them, they are not served."""
        known = {*CHANGES, *PAGES, *DATA, STATIC}
        assert {rule.endpoint for rule in dashboard.url_map.iter_rules()} - known == {"rq_dashboard.favicon"}

    def test_the_tests_above_call_each_of_them(self, dashboard):
        called = set()
        for address in addresses(READS + CHANGE_ADDRESSES, queue="bookings-0", job="x"):
            for method in ("GET", "POST"):
                try:
                    path = address.removeprefix("/rq")
                    called.add(find_call(dashboard.url_map, path, method, writable=True).endpoint)
                except MethodNotAllowed:
                    pass
        assert called == {*CHANGES, *PAGES, *DATA, STATIC}

    def test_that_make_no_sense_are_not_found(self, browser):
        for path in NONSENSE:
            refused = browser.get(f"/rq{path}")
            assert refused.status_code == 404, path
            assert refused.mimetype == "application/problem+json"

    def test_problems_are_pages_for_people(self, browser):
        page = browser.get("/rq/0/view/job/no-such-job", headers=PAGE)
        assert (page.status_code, page.mimetype) == (404, "text/html")
        assert "There is no such request." in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")

    def test_the_environment_changes_nothing(self, make_app, settings, engine, monkeypatch):
        for name, value in {
            "RQ_DASHBOARD_REDIS_URL": "redis://evil.example:1/0",
            "RQ_DASHBOARD_DISABLE_DELETE": "false",
            "RQ_DASHBOARD_POLL_INTERVAL": "1",
            "RQ_DASHBOARD_SHOW_FULL_ARGS": "true",
        }.items():
            monkeypatch.setenv(name, value)
        browser = signed_in(make_app(settings), engine)
        assert browser.get("/rq/0/data/queues.json").status_code == 200
        assert 'data-poll-milliseconds="2500"' in browser.get("/rq/").text


class TestClient:
    """The second wall: what reads for the console cannot write, whoever asks it to."""

    def test_refuses_what_does_not_read(self, redis_client):
        reader = ReadOnlyRedis(redis_client.connection_pool)
        redis_client.rpush("list", "x")
        for command in (
            lambda: reader.set("a", 1),
            lambda: reader.lrem("list", 1, "x"),
            lambda: reader.srem("rq:workers", "x"),
            lambda: reader.zremrangebyscore("z", 0, 1),
            lambda: reader.eval("return redis.call('SET', 'a', '1')", 0),
            reader.register_script("return 1"),
            reader.flushall,
            lambda: reader.execute_command("set", "a", 1),
            lambda: reader.execute_command("CONFIG SET", "a", 1),
            lambda: reader.pipeline().set("a", 1),
            lambda: reader.pipeline().watch("a"),
            lambda: reader.transaction(lambda pipeline: pipeline.set("a", 1), "a"),
            reader.pubsub,
            reader.monitor,
        ):
            with pytest.raises(WriteRefusedError):
                command()
        assert dump(redis_client).keys() == {b"list"}

    def test_reads(self, redis_client):
        redis_client.rpush("list", "x")
        reader = ReadOnlyRedis(redis_client.connection_pool)
        assert reader.lrange("list", 0, -1) == [b"x"]
        pipeline = reader.pipeline(transaction=False)
        pipeline.llen("list")
        assert pipeline.execute() == [1]

    def test_redis_itself_calls_each_of_its_commands_read_only(self, redis_client):
        for name in READ_COMMANDS:
            description = redis_client.execute_command("COMMAND", "INFO", name)[name.lower()]
            assert "readonly" in description["flags"], name

    def test_rq_would_write_with_another(self, redis_client):
        """The negative control: stock RQ drops a request without a hash from the line when somebody looks."""
        from rq import Queue, Worker

        plant_what_rq_would_clean_up(redis_client, "bookings-0")
        before = dump(redis_client)
        Queue("bookings-0", connection=redis_client).fetch_job(MISSING)
        Worker.all(connection=redis_client)
        after = dump(redis_client)
        assert before[b"rq:queue:bookings-0"] != after[b"rq:queue:bookings-0"]
        assert before[b"rq:workers"] != after[b"rq:workers"]

    def test_a_change_that_is_not_one_of_rq_dashboards_is_no_read(self, dashboard):
        with pytest.raises(GuichetError, match="console_read_only"):
            find_call(dashboard.url_map, "/requeue/tasks", "POST", writable=False)


def test_registries_are_all_of_rqs():
    from api.console.reading import REGISTRIES as KNOWN

    assert {"queued", *KNOWN} == set(REGISTRIES)
