"""The line is steered by admins, and by nobody else; whoever may not is told before anything is looked at."""

import uuid
from typing import Any

from shared.line import keys
from tests.factories import auth_header, make_event, make_user

CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/admin/queue/stats", None),
    ("GET", "/api/admin/queue/details", None),
    ("GET", "/api/admin/queue/details?state=nonsense", None),
    ("GET", f"/api/admin/queue/jobs/{uuid.uuid4()}", None),
    ("POST", "/api/admin/queue/pause", {"reason": "mischief"}),
    ("POST", "/api/admin/queue/pause", {"nonsense": 1}),
    ("POST", "/api/admin/queue/resume", {}),
    ("POST", "/api/admin/queue/clean", {"state": "finished"}),
    ("POST", "/api/admin/queue/clean", {"state": "nonsense"}),
    ("GET", "/api/admin/tasks", None),
    ("POST", "/api/admin/tasks/some-task/retry", None),
    ("DELETE", "/api/admin/tasks/some-task", None),
]


def test_only_admins(app, client, engine, line, as_attendee, as_host, as_admin):
    line.stand(make_event(engine), 2)
    line.decide_all()
    before = {key: line.redis.dump(key) for key in line.redis.scan_iter()}
    for method, url, body in CALLS:
        anonymous = client.open(url, method=method, json=body)
        assert (anonymous.status_code, anonymous.json["code"]) == (401, "unauthenticated"), url
        for headers in (as_attendee, as_host):
            refused = client.open(url, method=method, json=body, headers=headers)
            assert (refused.status_code, refused.json["code"]) == (403, "forbidden"), url
    assert {key: line.redis.dump(key) for key in line.redis.scan_iter()} == before
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select paused from line_state").scalar_one() is False
        query = "select count(*) from audit_log where target_type in ('line', 'task')"
        assert connection.exec_driver_sql(query).scalar_one() == 0
    for method, url, body in CALLS:
        assert client.open(url, method=method, json=body, headers=as_admin).status_code not in (401, 403), url


def test_what_the_token_says_of_the_role_does_not_count(app, client, engine):
    """Somebody who was an admin when the token was made."""
    user = make_user(engine, role="admin")
    headers = auth_header(app, user)
    assert client.get("/api/admin/queue/stats", headers=headers).status_code == 200
    with engine.begin() as connection:
        connection.exec_driver_sql(f"update users set role = 'host' where id = {user.id}")
    assert client.get("/api/admin/queue/stats", headers=headers).status_code == 403


def test_nobody_learns_of_a_job_by_asking(client, engine, line, as_host):
    (job_id,) = line.stand(make_event(engine))
    known = client.get(f"/api/admin/queue/jobs/{job_id}", headers=as_host)
    unknown = client.get(f"/api/admin/queue/jobs/{uuid.uuid4()}", headers=as_host)
    assert (known.status_code, unknown.status_code) == (403, 403)
    assert line.redis.exists(keys.job(job_id))
