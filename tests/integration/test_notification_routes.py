"""Reading one's notifications, and marking them read."""

import uuid

import pytest
from sqlalchemy import text

from shared.adapters.deliveries import InAppDelivery
from shared.db import transaction
from shared.domain.notifications import Notice
from tests.factories import auth_header, make_event, make_user


@pytest.fixture
def user(engine):
    return make_user(engine)


@pytest.fixture
def event(engine):
    return make_event(engine, title="Jazz Night", venue="Salle Pleyel")


@pytest.fixture
def get(app, client, user):
    def get(path="/api/notifications", **query):
        return client.get(path, query_string=query, headers=auth_header(app, user))

    return get


@pytest.fixture
def post(app, client, user):
    def post(path, **options):
        return client.post(f"/api/notifications/{path}", headers=auth_header(app, user), **options)

    return post


@pytest.fixture
def notify(engine, event, user):
    """Tells the user (or another) so many things; the newest has the highest place."""

    def notify(count=1, *, kind="waitlist_moved", whom=None, first=1):
        whom = whom or user
        with transaction(engine) as session:
            InAppDelivery().deliver(
                session,
                [
                    Notice(
                        user_id=whom.id,
                        kind=kind,
                        cause=f"{kind}:{place}",
                        event_id=event.id,
                        facts={"place": place, "entry_id": "e", "tickets": 1, "by": "host"},
                    )
                    for place in range(first, first + count)
                ],
            )

    return notify


def places(answer):
    assert answer.status_code == 200, answer.json
    return [item["facts"]["place"] for item in answer.json["items"]]


class TestList:
    def test_is_ones_own_in_words(self, engine, get, notify, event):
        notify()
        notify(whom=make_user(engine))
        answer = get()
        (item,) = answer.json["items"]
        assert (item["kind"], item["title"]) == ("waitlist_moved", "You moved up")
        assert item["body"] == "You are now first on the waitlist of Jazz Night."
        assert item["event"]["id"] == event.id
        assert item["event"]["venue"] == "Salle Pleyel"
        assert item["read_at"] is None
        assert answer.json["unread_count"] == 1
        assert answer.headers["Cache-Control"] == "no-store"

    def test_has_what_is_unread_first_and_then_what_is_newest(self, get, post, notify):
        notify(5)
        for item in get().json["items"]:
            if item["facts"]["place"] in (2, 5):
                post(f"{item['id']}/read")
        assert places(get()) == [4, 3, 1, 5, 2]
        assert get().json["unread_count"] == 3

    def test_pages_follow_each_other_over_both_parts(self, get, post, notify):
        notify(7)
        for item in get().json["items"]:
            if item["facts"]["place"] % 2:
                post(f"{item['id']}/read")
        seen, cursor = [], {}
        while True:
            answer = get(limit=2, **cursor)
            seen += places(answer)
            if answer.json["next_cursor"] is None:
                break
            assert 'rel="next"' in answer.headers["Link"]
            cursor = {"cursor": answer.json["next_cursor"]}
        assert seen == [6, 4, 2, 7, 5, 3, 1]

    def test_filters(self, get, post, notify):
        notify(2)
        notify(1, kind="sales_open", first=9)
        post(f"{get().json['items'][0]['id']}/read")
        assert places(get(unread="true")) == [2, 1]
        assert places(get(unread="false")) == [9]
        assert places(get(kind="sales_open", with_total="true")) == [9]
        assert get(kind="sales_open", with_total="true").json["total"] == 1
        assert get(kind="sales_open").json["unread_count"] == 2

    @pytest.mark.parametrize(
        "query",
        [
            {"kind": "gossip"},
            {"unread": "maybe"},
            {"sort": "kind"},
            {"cursor": "x"},
            {"limit": "0"},
            {"a": "1"},
        ],
        ids=str,
    )
    def test_refuses_what_it_does_not_know(self, get, query):
        assert get(**query).status_code == 422

    def test_needs_somebody(self, client):
        assert client.get("/api/notifications").status_code == 401

    def test_of_waitlists_has_no_others(self, get, notify):
        notify(1, kind="sales_open")
        notify(2, first=5)
        notify(1, kind="offer_expired", first=8)
        path = "/api/waitlist/notifications"
        assert places(get(path)) == [8, 6, 5]
        assert places(get(path, kind="offer_expired")) == [8]
        assert get(path, kind="sales_open").status_code == 422

    def test_costs_an_index_and_no_sort(self, engine, get, user, notify):
        notify(3)
        with transaction(engine) as session:
            session.execute(text("set local enable_seqscan = off"))
            plan = "\n".join(
                session.scalars(
                    text(
                        "explain select id from notifications n where user_id = :user and (unread, id) < (1, :id)"
                        " order by unread desc, id desc limit 21"
                    ),
                    {"user": user.id, "id": uuid.uuid4()},
                )
            )
        assert "notifications_list_idx" in plan
        assert "Sort" not in plan


class TestMarkingRead:
    def test_one_stays_read_since_the_first_time(self, get, post, notify):
        notify(2)
        notification_id = get().json["items"][0]["id"]
        first = post(f"{notification_id}/read")
        assert first.status_code == 200
        assert first.json["read_at"] is not None
        assert post(f"{notification_id}/read").json == first.json
        assert get().json["unread_count"] == 1

    def test_somebody_elses_is_not_there_and_stays_unread(self, app, engine, client, post, notify):
        other = make_user(engine)
        notify(whom=other)
        theirs = client.get("/api/notifications", headers=auth_header(app, other)).json["items"][0]["id"]
        answer = post(f"{theirs}/read")
        assert (answer.status_code, answer.json["code"]) == (404, "notification_not_found")
        assert client.get("/api/notifications", headers=auth_header(app, other)).json["unread_count"] == 1

    def test_none_is_not_there(self, post):
        assert post(f"{uuid.uuid4()}/read").status_code == 404
        assert post("7/read").status_code == 404

    def test_all_of_ones_own(self, app, engine, client, get, post, notify):
        other = make_user(engine)
        notify(3)
        notify(1, whom=other)
        assert post("read-all").json == {"marked": 3}
        assert post("read-all").json == {"marked": 0}
        assert get().json["unread_count"] == 0
        assert client.get("/api/notifications", headers=auth_header(app, other)).json["unread_count"] == 1

    def test_takes_no_body(self, get, post, notify):
        notify()
        assert post("read-all", json={"all": True}).status_code == 422
        assert get().json["unread_count"] == 1
