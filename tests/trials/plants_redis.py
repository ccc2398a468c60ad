"""Planted in Redis."""

import base64
import uuid

import orjson

from shared.line import keys
from tests.trials.plants import plant

PARTITION = 1


def a_job(scene, kind: str = "book", status: str = "finished") -> str:
    """The id of a job in Redis."""
    for key in sorted(scene.redis.scan_iter(match=f"{keys.JOB_PREFIX}*")):
        found, data = scene.redis.hmget(key, "status", "data")
        if found == status.encode() and orjson.loads(data)[3]["kind"] == kind:
            return key.decode().removeprefix(keys.JOB_PREFIX)
    raise AssertionError("no such job")


def change_result(scene, **members) -> None:
    """What a job's result says is something else from now on."""
    key = keys.result(a_job(scene))
    ((_, entry),) = scene.redis.xrange(key)
    document = orjson.loads(base64.b64decode(entry[b"return_value"])) | members
    scene.redis.delete(key)
    scene.redis.xadd(key, entry | {b"return_value": base64.b64encode(orjson.dumps(document))})


def a_remembered_key(scene) -> bytes:
    """A key of Redis that stands for an Idempotency-Key."""
    return min(scene.redis.scan_iter(match=keys.idempotency("*", "*")))


def an_event(scene) -> bytes:
    """An event that has a line."""
    return min(scene.redis.hgetall(keys.arrivals(PARTITION)))


@plant("line_empties")
def a_request_that_waits(scene):
    scene.redis.rpush(keys.queue(PARTITION), str(uuid.uuid4()))


@plant("line_empties")
def a_request_in_flight(scene):
    scene.redis.rpush(keys.in_flight(PARTITION), a_job(scene))


@plant("line_empties")
def a_ghost_in_the_started_registry(scene):
    scene.redis.zadd(keys.started(PARTITION), {a_job(scene) + keys.EXECUTION_SUFFIX: 1})


@plant("line_empties")
def an_id_that_was_set_aside(scene):
    scene.redis.rpush(keys.lost(PARTITION), str(uuid.uuid4()))


@plant("line_empties")
def a_count_against_a_user(scene):
    scene.redis.zadd(keys.undecided_by_user(7), {a_job(scene): 7})


@plant("line_empties")
def a_job_that_is_undecided(scene):
    scene.redis.hset(keys.job(a_job(scene)), "status", "started")


@plant("line_empties")
def a_job_that_is_no_hash(scene):
    key = keys.job(a_job(scene))
    scene.redis.delete(key)
    scene.redis.set(key, "text")


@plant("line_empties")
def a_partition_that_counts_more_in_than_out(scene):
    scene.redis.hincrby(keys.counters(PARTITION), "accepted", 1)


@plant("line_empties", "redis_agrees")
def a_number_that_was_given_out_and_never_came(scene):
    scene.redis.hincrby(keys.arrivals(PARTITION), an_event(scene), 1)


@plant("redis_agrees")
def a_counter_behind_the_ledger(scene):
    scene.redis.hincrby(keys.arrivals(PARTITION), an_event(scene), -1)


@plant("redis_agrees")
def a_result_with_another_outcome(scene):
    change_result(scene, outcome="rejected")


@plant("redis_agrees")
def a_result_with_another_number(scene):
    change_result(scene, number=99)


@plant("redis_agrees")
def a_result_that_is_gone(scene):
    scene.redis.delete(keys.result(a_job(scene)))


@plant("redis_agrees")
def a_finished_job_that_no_ledger_knows(scene):
    scene.redis.rename(keys.job(a_job(scene)), keys.job(str(uuid.uuid4())))


@plant("redis_agrees")
def a_key_that_is_forgotten(scene):
    scene.redis.delete(a_remembered_key(scene))


@plant("redis_agrees")
def a_key_that_stands_for_somebody_elses_job(scene):
    first, second = sorted(scene.redis.scan_iter(match=keys.idempotency("*", "*")))[::4][:2]
    scene.redis.set(first, scene.redis.get(second))


@plant("redis_agrees")
def a_key_that_stands_for_another_job(scene):
    key = a_remembered_key(scene)
    scene.redis.set(key, scene.redis.get(key)[:16] + uuid.uuid4().bytes)
