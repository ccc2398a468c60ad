"""Reading waitlists over HTTP: one's own places, an event's list and its length, places in long lists."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.clock import utc_now
from shared.db import transaction
from shared.store import waitlist
from shared.store.paging import PageRequest
from tests.factories import make_event, make_organization
from tests.plans import indexes_of

# Two thirds of 30,000 wait for one event, the others have an offer or have ended.
FILL = """
alter table waitlist_entries set (autovacuum_enabled = false);
alter table offers set (autovacuum_enabled = false);
set local session_replication_role = replica;
insert into users (name, email, role)
    select 'p', 'list-' || n || '@example.org', 'attendee' from generate_series(1, 30000) n;
insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at, ended_at)
    select md5('w' || n)::uuid, :event, u.id, md5('wj' || n)::uuid, n + 1, 1,
        case n % 6 when 0 then 'offered' when 1 then 'left' else 'waiting' end, now(),
        case n % 6 when 1 then now() end
    from generate_series(1, 30000) n join users u on u.email = 'list-' || n || '@example.org';
insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)
    select md5('o' || number)::uuid, id, event_id, user_id, 1, 'open', now() + interval '1 h', now()
    from waitlist_entries where status = 'offered';
update events set offered = 5000, waiting = '{20000,0,0,0,0,0,0,0,0,0}' where id = :event;
"""


def fill_up(crowd, event, *sizes):
    """Somebody has all tickets of the event, and others wait for so many."""
    crowd.person().book(event.id, event.capacity)
    people = crowd.people(len(sizes))
    for person, tickets in zip(people, sizes, strict=True):
        assert person.join(event.id, tickets)["status"] == "waitlisted"
    return people


class TestMine:
    def test_are_paged_with_the_newest_first(self, engine, crowd):
        events = [make_event(engine, capacity=1) for _ in range(3)]
        for event in events:
            crowd.person().book(event.id)
        person = crowd.person()
        for event in events:
            person.join(event.id)
        found, path = [], "/api/waitlist?limit=1&with_total=true"
        while path:
            answer = person.ask("GET", path)
            assert (answer.json["total"], answer.headers["Cache-Control"]) == (3, "no-store")
            found += [entry["event"]["id"] for entry in answer.json["items"]]
            cursor = answer.json["next_cursor"]
            path = cursor and f"/api/waitlist?limit=1&with_total=true&cursor={cursor}"
        assert found == [event.id for event in reversed(events)]
        oldest = person.entries("?order=asc&limit=1")
        assert [entry["event"]["id"] for entry in oldest] == [events[0].id]

    def test_can_be_asked_for_by_status(self, engine, crowd):
        event = make_event(engine, capacity=1)
        (person,) = fill_up(crowd, event, 1)
        person.leave(event.id)
        person.join(event.id)
        assert [entry["status"] for entry in person.entries()] == ["waiting", "left"]
        for status in waitlist.ENTRY_STATUSES:
            found = [entry["status"] for entry in person.entries(f"?status={status}")]
            assert found == ([status] if status in ("waiting", "left") else [])
        answer = person.ask("GET", "/api/waitlist?status=live")
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "?status")

    def test_are_expired_when_the_event_has_started(self, engine, crowd):
        event = make_event(engine, capacity=1)
        (person,) = fill_up(crowd, event, 1)
        starts_at = utc_now() - timedelta(minutes=1)
        with transaction(engine) as session:
            session.execute(
                text("update events set starts_at = :at, sales_close_at = :at where id = :id"),
                {"at": starts_at, "id": event.id},
            )
        entry = person.entry()
        assert (entry["status"], entry["position"]) == ("expired", None)
        assert entry["ended_at"] == entry["event"]["starts_at"]
        assert person.entries("?status=waiting") == []
        assert len(person.entries("?status=expired")) == 1
        shown = crowd.client.get(f"/api/events/{event.id}/waitlist").json
        assert shown["length"] == 0

    def test_are_nobody_elses(self, engine, crowd):
        event = make_event(engine, capacity=1)
        fill_up(crowd, event, 1)
        assert crowd.person("admin").entries() == []
        assert crowd.client.get("/api/waitlist").status_code == 401

    def test_move_up_when_others_go(self, engine, crowd):
        event = make_event(engine, capacity=1)
        people = fill_up(crowd, event, 1, 2, 1)
        assert [person.entry()["position"] for person in people] == [1, 2, 3]
        people[1].leave(event.id)
        assert [person.entry()["position"] for person in people] == [1, None, 2]


class TestPlaces:
    def test_are_exact_near_either_end_of_the_list(self, engine, crowd, monkeypatch):
        monkeypatch.setattr(waitlist, "PLACES_MAX", 2)
        event = make_event(engine, capacity=1)
        people = fill_up(crowd, event, *[1] * 8)
        shown = [person.entry() for person in people]
        assert [entry["position"] for entry in shown] == [1, 2, 3, 3, 3, 6, 7, 8]
        assert [entry["position_is_exact"] for entry in shown] == [True] * 3 + [False] * 2 + [True] * 3

    def test_follow_each_other_on_an_events_list(self, engine, crowd):
        host = crowd.person("host")
        event = make_event(engine, capacity=1, host=host.user)
        fill_up(crowd, event, *[1] * 5)
        path = f"/api/events/{event.id}/waitlist?limit=2"
        first = host.ask("GET", path).json
        second = host.ask("GET", f"{path}&cursor={first['next_cursor']}").json
        found = [entry["position"] for page in (first, second) for entry in page["items"]]
        assert found == [1, 2, 3, 4]
        backwards = host.ask("GET", f"{path}&order=desc").json["items"]
        assert [entry["position"] for entry in backwards] == [5, 4]


class TestOfAnEvent:
    def test_is_its_length_for_everybody(self, engine, crowd):
        event = make_event(engine, capacity=3)
        people = fill_up(crowd, event, 2, 3)
        expected = {
            "event_id": event.id,
            "waitlist_enabled": True,
            "length": 2,
            "offered": 0,
            "items": None,
            "next_cursor": None,
        }
        path = f"/api/events/{event.id}/waitlist"
        assert crowd.client.get(path).json == expected
        for somebody in (people[0], crowd.person("host")):
            assert somebody.ask("GET", f"{path}?with_total=true").json == expected
        answer = crowd.client.get(path, headers={"Authorization": "Bearer nonsense"})
        assert answer.status_code == 401

    def test_is_who_waits_for_whoever_manages_the_event(self, engine, crowd):
        host, member, admin = crowd.person("host"), crowd.person("host"), crowd.person("admin")
        organization = make_organization(engine, owners=[member.user])
        event = make_event(engine, capacity=3, host=host.user, organization_id=organization.id)
        first, second = fill_up(crowd, event, 2, 1)
        answers = [
            someone.ask("GET", f"/api/events/{event.id}/waitlist?with_total=true").json
            for someone in (host, member, admin)
        ]
        assert answers[0] == answers[1] == answers[2]
        found = answers[0]
        assert (found["length"], found["total"], found["next_cursor"]) == (2, 2, None)
        assert [entry["tickets"] for entry in found["items"]] == [2, 1]
        assert [entry["attendee"] for entry in found["items"]] == [
            {"id": person.user.id, "name": person.user.name, "email": person.user.email}
            for person in (first, second)
        ]
        assert "event" not in found["items"][0]

    def test_is_who_has_an_offer_too(self, engine, crowd):
        host, holder = crowd.person("host"), crowd.person()
        event = make_event(engine, capacity=2, host=host.user)
        holder.book(event.id, 2)
        first, second, third = crowd.people(3)
        for person in (first, second, third):
            person.join(event.id)
        holder.cancel(event.id)
        path = f"/api/events/{event.id}/waitlist"
        offered = host.ask("GET", f"{path}?status=offered&with_total=true").json
        assert (offered["length"], offered["offered"], offered["total"]) == (1, 2, 2)
        assert [entry["attendee"]["id"] for entry in offered["items"]] == [first.user.id, second.user.id]
        assert {entry["offer"]["status"] for entry in offered["items"]} == {"open"}
        assert {entry["position"] for entry in offered["items"]} == {None}
        second.decided("POST", second.entry()["offer"]["links"]["decline"])
        again = host.ask("GET", f"{path}?status=offered").json["items"]
        assert [entry["attendee"]["id"] for entry in again] == [first.user.id, third.user.id]
        refused = host.ask("GET", f"{path}?status=left")
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "?status")

    @pytest.mark.parametrize("who", [None, "host", "admin"])
    def test_is_as_secret_as_the_event(self, engine, crowd, who):
        event = make_event(engine, status="draft")
        headers = {} if who is None else crowd.person(who).headers
        answer = crowd.client.get(f"/api/events/{event.id}/waitlist", headers=headers)
        assert answer.status_code == (200 if who == "admin" else 404)
        assert crowd.client.get("/api/events/999999/waitlist").json["code"] == "event_not_found"


@pytest.fixture
def long_list(engine):
    event = make_event(engine, capacity=5000)
    with transaction(engine) as session:
        session.execute(text(FILL), {"event": event.id})
    return event


class TestLongLists:
    """On tables that were never analysed, where the planner guesses."""

    def test_are_read_by_indexes_that_have_just_what_is_asked(self, engine, long_list):
        page = PageRequest(sort="joined_at", descending=False)
        with transaction(engine) as session:
            somebody = session.scalar(text("select user_id from waitlist_entries where number = 15003"))

        def used(read):
            return {name for name in indexes_of(engine, read) if "waitlist" in name or "offer" in name}

        mine = used(
            lambda session: waitlist.list_entries_of_user(
                session, user_id=somebody, status=None, page=PageRequest(sort="joined_at", descending=True)
            )
        )
        assert mine == {
            "waitlist_entries_user_idx",
            "waitlist_entries_pkey",
            "waitlist_entries_place_idx",
            "offers_entry_id_key",
        }
        waits = used(
            lambda session: waitlist.list_entries_of_event(
                session, event_id=long_list.id, status="waiting", page=page
            )
        )
        assert waits == {"waitlist_entries_pkey", "waitlist_entries_place_idx", "offers_entry_id_key"}
        offered = used(
            lambda session: waitlist.list_entries_of_event(
                session, event_id=long_list.id, status="offered", page=page
            )
        )
        assert offered == {"offers_open_idx", "waitlist_entries_pkey"}
        counted = used(waitlist.count_waitlists)
        assert counted == {"waitlist_entries_place_idx", "offers_open_idx", "offers_due_idx"}
        assert used(lambda session: waitlist.list_offered_users(session, [long_list.id])) == {
            "offers_open_idx"
        }

    def test_have_places_at_both_ends(self, engine, long_list):
        with transaction(engine) as session:
            ids = session.scalars(
                text("select id from waitlist_entries where status = 'waiting' order by number")
            ).all()
            chosen = [0, 1, 9_999, 10_000, 10_001, 19_998, 19_999]
            places = waitlist._find_places(session, [ids[index] for index in chosen])
        assert len(ids) == 20_000
        assert [places[ids[index]].position for index in chosen] == [index + 1 for index in chosen]
        assert all(place.is_exact for place in places.values())
