"""Nothing that lies in Redis is ever unpickled, whatever page it is looked at on."""

import base64
import pickle
import zlib

import pytest

from tests.console_calls import PAGE, READS, addresses, plant_everywhere, plant_job, signed_in

QUEUE = "bookings-3"
DAMAGED_FIELDS = (
    {"status": "nonsense"},
    {"created_at": "yesterday"},
    {"data": b"\xff\xfe"},
    {"data": b"[" * 100_000},
    {"data": b"[]"},
    {"timeout": "soon"},
    {"meta": b"\xff"},
    {"description": b"\xff\xfe"},
    {"origin": b"\xff\xfe"},
    {"ttl": "x", "result_ttl": "y"},
    {"dependency_ids": b"{"},
    {"webhooks": b"{"},
    {"retry_intervals": b"{"},
    {"exc_info": b"\xff\xfe"},
)
DAMAGED_RESULTS = (
    {"type": "9"},
    {"type": "1", "return_value": "not base64 \xff"},
    {"type": "2", "exc_string": "no zlib"},
    {"nothing": "at all"},
)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.fixture
def fuse(tmp_path):
    return tmp_path / "exploded"


@pytest.fixture
def bomb(fuse):
    return pickle.dumps(Bomb(fuse))


@pytest.fixture
def browser(app, engine):
    return signed_in(app, engine)


def plant(redis, bomb, job_id="bomb"):
    """A pickle wherever RQ keeps something serialised, plain and compressed."""
    plant_everywhere(redis, job_id, QUEUE, score=9e9)
    plant_job(
        redis,
        job_id,
        QUEUE,
        status="finished",
        data=zlib.compress(bomb),
        meta=bomb,
        result=bomb,
        exc_info=zlib.compress(bomb),
    )
    redis.xadd(
        f"rq:results:{job_id}",
        {"type": "1", "return_value": base64.b64encode(bomb), "worker_name": "w"},
    )
    redis.sadd("rq:workers", "rq:worker:busy")
    redis.hset("rq:worker:busy", mapping={"queues": QUEUE, "state": "busy", "current_job": job_id})


def test_the_bomb_explodes_when_it_is_unpickled(bomb, fuse):
    pickle.loads(bomb)  # noqa: S301 - the negative control
    assert fuse.exists()


class TestBomb:
    def test_explodes_on_no_page(self, browser, redis_client, bomb, fuse):
        plant(redis_client, bomb)
        for address in addresses(READS, queue=QUEUE, job="bomb"):
            for headers in (PAGE, {}):
                response = browser.get(address, headers=headers)
                assert response.status_code == 200, address
        assert not fuse.exists()

    def test_explodes_in_no_field(self, browser, redis_client, bomb, fuse):
        for field in ("data", "meta", "result", "exc_info"):
            for value in (bomb, zlib.compress(bomb)):
                redis_client.flushall()
                plant_everywhere(redis_client, "bomb", QUEUE, score=9e9)
                plant_job(redis_client, "bomb", QUEUE, **{field: value})
                for address in addresses(READS, queue=QUEUE, job="bomb"):
                    assert browser.get(address).status_code == 200, (field, address)
        assert not fuse.exists()

    def test_is_shown_for_what_it_is(self, browser, redis_client, bomb):
        plant(redis_client, bomb)
        job = browser.get("/rq/0/data/job/bomb.json").json
        assert job["description"] == "(unreadable) a job"
        assert job["result"] == "(unreadable)"
        assert job["metadata"] == '"(unreadable)"'
        (row,) = browser.get(f"/rq/0/data/jobs/{QUEUE}/queued/8/asc/1.json").json["jobs"]
        assert row["description"] == "(unreadable) a job"

    def test_does_not_hide_what_stands_beside_it(self, browser, redis_client, bomb):
        plant_job(redis_client, "sound", QUEUE)
        plant(redis_client, bomb)
        redis_client.rpush(f"rq:queue:{QUEUE}", "sound")
        rows = browser.get(f"/rq/0/data/jobs/{QUEUE}/queued/8/asc/1.json").json["jobs"]
        assert [(row["id"], row["description"]) for row in rows] == [
            ("bomb", "(unreadable) a job"),
            ("sound", "a job"),
        ]

    def test_rqs_default_serializer_is_json_by_every_name(self, browser, bomb, fuse):
        import rq.serializers
        from rq.job import Job
        from rq.queue import Queue

        browser.get("/rq/")
        for serializer in (
            rq.serializers.DefaultSerializer,
            rq.serializers.PickleSerializer,
            rq.serializers.resolve_serializer(None),
            rq.serializers.resolve_serializer("pickle"),
            rq.serializers.resolve_serializer("rq.serializers.DefaultSerializer"),
            Job("x", connection=object()).serializer,
            Queue("x", connection=object()).serializer,
        ):
            assert serializer.loads(serializer.dumps([1, "a"])) == [1, "a"]
            with pytest.raises(ValueError, match=r"codec|JSON|Expecting"):
                serializer.loads(bomb)
        assert not fuse.exists()


class TestDamage:
    """One entry that makes no sense hides no other, and no page fails for it."""

    def test_of_a_job(self, browser, redis_client):
        for fields in DAMAGED_FIELDS:
            redis_client.flushall()
            plant_everywhere(redis_client, "damaged", QUEUE, score=9e9)
            plant_job(redis_client, "damaged", QUEUE, **fields)
            for address in addresses(READS, queue=QUEUE, job="damaged"):
                assert browser.get(address).status_code == 200, (fields.keys(), address)

    def test_of_a_result(self, browser, redis_client):
        for entry in DAMAGED_RESULTS:
            redis_client.flushall()
            plant_everywhere(redis_client, "damaged", QUEUE, score=9e9)
            plant_job(redis_client, "damaged", QUEUE, status="finished")
            redis_client.xadd("rq:results:damaged", entry)
            for address in addresses(READS, queue=QUEUE, job="damaged"):
                assert browser.get(address).status_code == 200, (entry, address)
            job = browser.get("/rq/0/data/job/damaged.json").json
            assert job["exc_info"] == "(unreadable)", entry

    def test_of_a_worker(self, browser, redis_client):
        redis_client.sadd("rq:workers", "rq:worker:odd", "no worker at all", b"\xff")
        redis_client.hset(
            "rq:worker:odd", mapping={"pid": "x", "birth": "y", "last_heartbeat": "z", "state": "busy"}
        )
        for address in ("/rq/0/view/workers", "/rq/0/data/workers.json"):
            assert browser.get(address).status_code == 200

    def test_of_the_list_of_queues(self, browser, redis_client):
        redis_client.sadd("rq:queues", "not a queue", b"\xff", "rq:queue:", "rq:queue:sound")
        names = [queue["name"] for queue in browser.get("/rq/0/data/queues.json").json["queues"]]
        assert "sound" in names
        assert browser.get("/rq/0/view/jobs").status_code == 200

    def test_of_what_should_be_a_hash(self, browser, redis_client):
        redis_client.set("rq:job:odd", "a string")
        redis_client.set("rq:results:odd", "a string")
        redis_client.rpush(f"rq:queue:{QUEUE}", "odd", "not an id at all!", "gone")
        rows = browser.get(f"/rq/0/data/jobs/{QUEUE}/queued/8/asc/1.json").json["jobs"]
        assert [row["description"] for row in rows] == ["(unreadable)", "(unreadable)", "(its hash is gone)"]
