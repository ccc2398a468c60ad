"""What the console shows is what is there: the partitions, who works on them, what was decided."""

import pytest

from api.console.dashboard import HarmlessJson
from shared.domain.partitions import queue_name
from shared.line.take import take
from tests.console_calls import PAGE, plant_job, signed_in
from tests.factories import auth_header, make_event, make_users
from tests.lines import LineDriver, await_that, worker_process

PER_PAGE = 5


@pytest.fixture
def browser(app, engine):
    return signed_in(app, engine)


@pytest.fixture
def event(engine):
    return make_event(engine, capacity=10)


def book(app, users, event):
    """One ticket for each; the job ids."""
    client, jobs = app.test_client(), []
    for user in users:
        response = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        assert response.status_code == 202, response.text
        jobs.append(response.json["job_id"])
    return jobs


def queues_of(browser):
    listed = browser.get("/rq/0/data/queues.json").json["queues"]
    return {queue["name"]: queue for queue in listed}


def ids_of(browser, queue, registry, *, page=1, order="asc", per_page=PER_PAGE):
    answer = browser.get(f"/rq/0/data/jobs/{queue}/{registry}/{per_page}/{order}/{page}.json").json
    return [job["id"] for job in answer["jobs"]]


class TestWaiting:
    def test_counts_and_order_are_the_lines(self, browser, app, engine, settings, event):
        partition = queue_name(event.id % settings.partitions)
        jobs = book(app, make_users(engine, 12), event)
        assert queues_of(browser)[partition]["count"] == 12
        pages = [ids_of(browser, partition, "queued", page=page) for page in (1, 2, 3, 4)]
        assert pages == [jobs[:5], jobs[5:10], jobs[10:], []]
        backwards = [ids_of(browser, partition, "queued", page=page, order="dsc") for page in (1, 2, 3, 4)]
        assert backwards == [jobs[:6:-1], jobs[6:1:-1], jobs[1::-1], []]

    def test_a_job_says_where_it_stands(self, browser, app, engine, settings, event):
        (job_id,) = book(app, make_users(engine, 1), event)
        job = browser.get(f"/rq/0/data/job/{job_id}.json").json
        assert job["id"] == job_id
        assert job["origin"] == queue_name(event.id % settings.partitions)
        assert job["status"] == "queued"
        assert job["result"] is job["exc_info"] is job["started_at"] is job["ended_at"] is None


class TestDecided:
    def test_results_are_readable(self, browser, app, engine, settings, event):
        partition = queue_name(event.id % settings.partitions)
        users = make_users(engine, 12)
        jobs = book(app, users, event)
        with worker_process(settings):
            await_that(lambda: queues_of(browser)[partition]["finished_job_registry_count"] == 12)
            await_workers(browser)
        queue = queues_of(browser)[partition]
        assert (queue["count"], queue["started_job_registry_count"], queue["failed_job_registry_count"]) == (
            0,
            0,
            0,
        )
        assert sorted(ids_of(browser, partition, "finished", per_page=50)) == sorted(jobs)
        outcomes = []
        for job_id in jobs:
            job = browser.get(f"/rq/0/data/job/{job_id}.json").json
            assert job["status"] == "finished"
            assert job["ended_at"] is not None
            outcomes.append(job["result"]["outcome"])
        assert outcomes == ["confirmed"] * 10 + ["rejected"] * 2

    def test_registries_page_without_gaps(self, browser, redis_client):
        ids = [f"job-{number:02}" for number in range(12)]
        for score, job_id in enumerate(ids):
            plant_job(redis_client, job_id, "bookings-0", status="finished")
            redis_client.zadd("rq:finished:bookings-0", {job_id: 9e9 + score})
        for order, expected in (("asc", ids), ("dsc", ids[::-1])):
            pages = [
                ids_of(browser, "bookings-0", "finished", page=page, order=order) for page in (1, 2, 3, 4)
            ]
            assert pages == [expected[:5], expected[5:10], expected[10:], []]

    def test_what_is_in_flight_is_started(self, browser, app, engine, settings, event):
        partition = event.id % settings.partitions
        jobs = book(app, make_users(engine, 3), event)
        driver = LineDriver(settings, engine)
        try:
            driver.claim(partition)
            claim = driver.session.held[partition]
            take(driver.runner, claim, maximum=10, worker_name="driver", instance="driver:1")
        finally:
            driver.close()
        name = queue_name(partition)
        assert queues_of(browser)[name]["started_job_registry_count"] == 3
        assert sorted(ids_of(browser, name, "started")) == sorted(jobs)
        job = browser.get(f"/rq/0/data/job/{jobs[0]}.json").json
        assert job["status"] == "started"
        assert job["started_at"] is not None

    def test_a_failed_request_shows_its_document(self, browser, redis_client):
        """RQ shows no return value of what failed; our requests have one."""
        import base64

        import orjson

        from shared.line.reply import _FAILURE_TEXT

        plant_job(redis_client, "job-1", "bookings-0", status="failed")
        redis_client.zadd("rq:failed:bookings-0", {"job-1": 9e9})
        document = {"outcome": "failed", "reason": "request_failed"}
        redis_client.xadd(
            "rq:results:job-1",
            {
                "type": "2",
                "worker_name": "w",
                "return_value": base64.b64encode(orjson.dumps(document)),
                "exc_string": _FAILURE_TEXT,
            },
        )
        job = browser.get("/rq/0/data/job/job-1.json").json
        assert (job["status"], job["result"]) == ("failed", document)
        assert job["exc_info"]
        (row,) = browser.get("/rq/0/data/jobs/bookings-0/failed/8/asc/1.json").json["jobs"]
        assert (row["status"], row["exc_info"]) == ("failed", job["exc_info"])


def await_workers(browser):
    """The worker stands in the list as it is: which partitions it serves, and that it lives."""

    def found():
        workers = browser.get("/rq/0/data/workers.json").json["workers"]
        return workers if workers and workers[0]["last_heartbeat"] else None

    (worker,) = await_that(found)
    assert worker["state"] in ("idle", "busy", "started")
    assert sorted(worker["queues"]) == [queue_name(number) for number in range(8)]
    assert worker["pid"]
    assert browser.get("/rq/0/view/workers", headers=PAGE).status_code == 200


class TestPages:
    def test_have_figures_that_a_person_can_read(self, browser, redis_client):
        plant_job(redis_client, "job-1", "bookings-0")
        page = browser.get("/rq/0/view/jobs/bookings-0/failed/20/dsc/3", headers=PAGE).text
        for stated in (
            'data-queue="bookings-0"',
            'data-registry="failed"',
            'data-per-page="20"',
            'data-order="dsc"',
            'data-page="3"',
            "read-only",
            "<option selected>bookings-0</option>",
        ):
            assert stated in page

    def test_without_a_name_show_the_first_partition(self, browser):
        """rq-dashboard shows a queue `default`, which does not exist."""
        page = browser.get("/rq/0/view/jobs", headers=PAGE).text
        assert 'data-queue="bookings-0"' in page
        assert "default" not in page


def test_every_registered_partition_is_listed(browser, app, engine, settings):
    names = set()
    for _ in range(settings.partitions):
        event = make_event(engine)
        names.add(queue_name(event.id % settings.partitions))
        book(app, make_users(engine, 1), event)
    assert names == {queue_name(number) for number in range(settings.partitions)}
    assert names <= queues_of(browser).keys()


def test_json_has_no_character_of_html(app):
    text = HarmlessJson(app).dumps({"<&>'": "\u2028é", "b": b"\xff"})
    assert text.isascii()
    assert not set("<>&'") & set(text)
