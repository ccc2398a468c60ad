"""Hosts as everybody sees them, and following them."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Follow, User
from shared.store.follows import list_following
from shared.store.hosts import find_host
from shared.store.paging import PageRequest
from tests.event_calls import problem_of
from tests.factories import auth_header, make_event, make_user
from tests.plans import indexes_of

DAY = timedelta(days=1)
ROWS = 20_000


@pytest.fixture
def host(engine) -> User:
    return make_user(engine, role="host", name="Clara", email="clara@secret.example")


@pytest.fixture
def ada(engine) -> User:
    return make_user(engine)


@pytest.fixture
def as_ada(app, ada) -> dict[str, str]:
    return auth_header(app, ada)


def follow(host: User) -> str:
    return f"/api/hosts/{host.id}/follow"


def count(engine: Engine) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(Follow)) or 0


class TestProfile:
    def test_is_public_and_never_has_the_address(self, client, engine, host, as_ada):
        now = utc_now()
        make_event(engine, host=host)
        make_event(engine, host=host, starts_at=now - DAY, ends_at=now + DAY)  # goes on
        make_event(engine, host=host, starts_at=now - 2 * DAY)  # over
        make_event(engine, host=host, status="draft")
        make_event(engine, host=host, status="cancelled")
        make_event(engine, host=host, deleted_at=now)
        make_event(engine)
        client.post(follow(host), headers=as_ada)
        answer = client.get(f"/api/hosts/{host.id}")
        assert answer.status_code == 200
        assert {name: value for name, value in answer.json.items() if name != "created_at"} == {
            "id": host.id,
            "name": "Clara",
            "followers": 1,
            "upcoming_events": 2,
        }
        assert "secret" not in answer.text
        again = client.get(f"/api/hosts/{host.id}", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304

    @pytest.mark.parametrize("role", ["attendee", "admin"])
    def test_who_has_published_something_is_a_host_and_nobody_else(self, client, engine, role):
        user = make_user(engine, role=role)
        make_event(engine, host=user, status="draft")
        make_event(engine, host=user, deleted_at=utc_now())
        assert problem_of(client.get(f"/api/hosts/{user.id}")) == (404, "host_not_found")
        make_event(engine, host=user, status="cancelled")
        assert client.get(f"/api/hosts/{user.id}").status_code == 200

    def test_a_closed_account_is_none(self, app, client, engine, host):
        admin = make_user(engine, role="admin")
        make_event(engine, host=host)
        client.delete(f"/api/users/{host.id}", headers=auth_header(app, admin))
        for unknown in (host.id, 999_999, 2**64):
            assert problem_of(client.get(f"/api/hosts/{unknown}")) == (404, "host_not_found")


class TestFollow:
    def test_is_once_however_often(self, client, engine, host, as_ada):
        first = client.post(follow(host), headers=as_ada)
        assert (first.status_code, first.json["host"]) == (200, {"id": host.id, "name": "Clara"})
        assert client.post(follow(host), json={}, headers=as_ada).json == first.json
        assert count(engine) == 1

    def test_nobody_follows_themselves(self, app, client, engine, host):
        answer = client.post(follow(host), headers=auth_header(app, host))
        assert problem_of(answer) == (409, "own_host")
        assert count(engine) == 0

    def test_only_hosts_are_followed(self, app, client, engine, ada, as_ada):
        attendee, admin = make_user(engine), make_user(engine, role="admin")
        closed = make_user(engine, role="host")
        client.delete(f"/api/users/{closed.id}", headers=auth_header(app, admin))
        for nobody in (attendee.id, admin.id, closed.id, 999_999, 2**63):
            for method in ("post", "delete"):
                answer = getattr(client, method)(f"/api/hosts/{nobody}/follow", headers=as_ada)
                assert problem_of(answer) == (404, "host_not_found")
        assert count(engine) == 0

    def test_needs_somebody_and_no_body(self, client, engine, host, as_ada):
        assert problem_of(client.post(follow(host))) == (401, "unauthenticated")
        assert problem_of(client.delete(follow(host))) == (401, "unauthenticated")
        answer = client.post(follow(host), json={"x": 1}, headers=as_ada)
        assert problem_of(answer) == (422, "validation_failed")
        assert count(engine) == 0


class TestUnfollow:
    def test_is_safe_to_repeat_and_ones_own(self, app, client, engine, host, as_ada):
        client.post(follow(host), headers=as_ada)
        client.post(follow(host), headers=auth_header(app, make_user(engine)))
        for _ in range(2):
            assert client.delete(follow(host), headers=as_ada).status_code == 204
        assert count(engine) == 1

    def test_is_possible_for_who_is_no_host_any_more(self, app, client, engine, host, as_ada):
        client.post(follow(host), headers=as_ada)
        admin = auth_header(app, make_user(engine, role="admin"))
        client.put(f"/api/users/{host.id}", json={"role": "attendee"}, headers=admin)
        assert client.delete(follow(host), headers=as_ada).status_code == 204
        assert client.delete(follow(host), headers=as_ada).status_code == 404


class TestFollowing:
    def test_lists_the_last_first_page_by_page(self, app, client, engine, host, as_ada):
        hosts = [make_user(engine, role="host", name=f"H{n}") for n in range(3)]
        for one in hosts:
            client.post(follow(one), headers=as_ada)
        client.post(follow(host), headers=auth_header(app, make_user(engine)))
        names, url = [], "/api/following?limit=2"
        while url:
            answer = client.get(url, headers=as_ada)
            names += [item["host"]["name"] for item in answer.json["items"]]
            url = answer.headers["Link"].split(">")[0][1:] if "Link" in answer.headers else None
        assert names == ["H2", "H1", "H0"]
        assert problem_of(client.get("/api/following")) == (401, "unauthenticated")


class TestPlans:
    def test_pages_read_what_they_show(self, engine, host, ada):
        with transaction(engine) as session:
            session.execute(
                text(
                    "with crowd as (insert into users (name, email, role) select 'p', 'p' || n || '@x', 'host'"
                    " from generate_series(1, :rows) n returning id)"
                    " insert into follows (host_id, user_id)"
                    " select :host_id, id from crowd union all select id, :ada from crowd"
                ),
                {"rows": ROWS, "host_id": host.id, "ada": ada.id},
            )
            session.execute(text("analyze users"))
            session.execute(text("analyze follows"))
        page = PageRequest(sort="created_at", descending=True)
        found = indexes_of(engine, lambda s: list_following(s, user_id=ada.id, page=page))
        assert found == {"follows_user_idx", "users_pkey"}
        found = indexes_of(engine, lambda s: find_host(s, host.id))
        assert not {name for name in found if name.startswith("seq scan")}
