"""A browser at the console, as far as Flask's test client can be one; and what is planted into Redis for it to see."""

import re
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from shared.models import User
from tests.factories import PASSWORD, make_user

PAGE: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OWN: Final = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

# Every address of rq-dashboard that only shows; `{queue}` and `{job}` stand for something to look at.
READS: Final = (
    "/",
    "/0/",
    "/0/view",
    "/0/view/queues",
    "/0/view/workers",
    "/0/view/jobs",
    "/0/view/jobs/{queue}/{registry}/8/asc/1",
    "/0/view/job/{job}",
    "/0/data/queues.json",
    "/0/data/workers.json",
    "/0/data/jobs/{queue}/{registry}/8/asc/1.json",
    "/0/data/jobs/{queue}/{registry}/8/dsc/1.json",
    "/0/data/job/{job}.json",
    "/static/css/main.css",
)
CHANGES: Final = (
    "/job/{job}/delete",
    "/job/{job}/requeue",
    "/requeue/{queue}",
    "/queue/{queue}/{registry}/empty",
    "/queue/{queue}/compact",
)
REGISTRIES: Final = ("queued", "started", "finished", "failed", "deferred", "scheduled", "canceled")
# Where RQ keeps each registry of a queue.
REGISTRY_KEYS: Final = {
    "started": "rq:wip:{}",
    "finished": "rq:finished:{}",
    "failed": "rq:failed:{}",
    "deferred": "rq:deferred:{}",
    "scheduled": "rq:scheduled:{}",
    "canceled": "rq:canceled:{}",
}


def addresses(patterns: tuple[str, ...], *, queue: str, job: str) -> list[str]:
    """The patterns filled in, once for each registry where they name one."""
    return [
        "/rq" + pattern.format(queue=queue, job=job, registry=registry)
        for pattern in patterns
        for registry in (REGISTRIES if "{registry}" in pattern else REGISTRIES[:1])
    ]


def make_admin(engine: Engine, **fields: Any) -> User:
    """An admin with a password."""
    return make_user(engine, role="admin", password=PASSWORD, **fields)


def open_form(client: FlaskClient, **options: Any) -> str:
    """The token of a fresh log-in form, whose cookie the client now has."""
    response = client.get("/login", headers=PAGE, **options)
    assert response.status_code == 200, response.text
    return find_token(response)


def find_token(response: TestResponse) -> str:
    """The token of the first form on a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', response.text)
    assert found is not None
    return found[1]


def sign_in(
    client: FlaskClient,
    email: str,
    *,
    password: str = PASSWORD,
    headers: dict[str, str] | None = None,
    address: str = "192.0.2.1",
    token: str | None = None,
    **fields: str,
) -> TestResponse:
    """Fills in the form and sends it from our own page, unless `headers` say otherwise."""
    token = open_form(client) if token is None else token
    return client.post(
        "/login",
        data={"email": email, "password": password, "csrf_token": token, **fields},
        headers={**PAGE, **(OWN if headers is None else headers)},
        environ_overrides={"REMOTE_ADDR": address},
    )


def signed_in(app: Flask, engine: Engine, admin: User | None = None) -> FlaskClient:
    """A browser with an admin's session."""
    client = app.test_client()
    response = sign_in(client, (admin or make_admin(engine)).email)
    assert response.status_code == 303, response.text
    return client


def page_token(client: FlaskClient) -> str:
    """The token that the console's own pages show when they change something."""
    return find_token(client.get("/rq/", headers=PAGE))


def change(client: FlaskClient, address: str, *, method: str = "POST", **headers: str) -> TestResponse:
    """What a page's script sends to change something."""
    return client.open(address, method=method, headers={**OWN, "X-CSRF-Token": page_token(client), **headers})


def dump(redis: Redis) -> dict[Any, tuple[bytes | None, bool]]:
    """Everything in Redis: key → its serialised value and whether it expires."""
    return {key: (redis.dump(key), redis.ttl(key) >= 0) for key in redis.keys("*")}


def plant_job(redis: Redis, job_id: str, queue: str, **fields: Any) -> None:
    """A job's hash as RQ writes it, with any field replaced."""
    base = {
        "origin": queue,
        "status": "queued",
        "data": b'["some.function", null, [], {}]',
        "description": "a job",
        "created_at": "2030-01-01T00:00:00.000000Z",
        "enqueued_at": "2030-01-01T00:00:00.000000Z",
    }
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    redis.hset(f"rq:job:{job_id}", mapping=base | fields)


def plant_everywhere(redis: Redis, job_id: str, queue: str, *, score: float = 1.0) -> None:
    """The job's id in the queue and in each of its registries, expired long ago unless `score` says otherwise."""
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    redis.rpush(f"rq:queue:{queue}", job_id)
    for registry, key in REGISTRY_KEYS.items():
        member = f"{job_id}:line" if registry == "started" else job_id
        redis.zadd(key.format(queue), {member: score})
