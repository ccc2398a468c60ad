"""Admins look at the jobs in the line: page after page, whatever comes, goes, or cannot be read meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from shared.domain.outcomes import REASONS
from shared.line import keys
from shared.models import Event
from shared.services.line_jobs import SCANNED_MAX, UNREADABLE
from tests.factories import make_event, make_users

URL = "/api/admin/queue/details"
PAGES_MAX = 500
Document = dict[str, Any]


@pytest.fixture
def show(client: FlaskClient, as_admin: dict[str, str]) -> Callable[..., Document]:
    def details(**query: Any) -> Document:
        answer = client.get(URL, query_string=query, headers=as_admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: Document = answer.json
        return document

    return details


@pytest.fixture
def turn_pages(show: Callable[..., Document]) -> Callable[..., Iterator[Document]]:
    def pages(**query: Any) -> Iterator[Document]:
        document = show(**query)
        yield document
        for _ in range(PAGES_MAX):
            if document["next_cursor"] is None:
                return
            document = show(**query, cursor=document["next_cursor"])
            yield document
        raise AssertionError("the pages do not end")

    return pages


def ids_of(pages: Iterator[Document]) -> list[str]:
    return [job["id"] for page in pages for job in page["items"]]


@pytest.fixture
def event(engine) -> Event:
    return make_event(engine)


class TestJob:
    def test_that_waits(self, line, event, show, engine):
        (user,) = make_users(engine, 1)
        (job_id,) = line.stand_as(event, [user.id], tickets=3)
        (job,) = show()["items"]
        assert job == {
            "id": job_id,
            "partition": line.partition_of(event),
            "kind": "book",
            "event_id": event.id,
            "user_id": user.id,
            "tickets": 3,
            "arrival": 1,
            "status": "queued",
            "withdrawn": False,
            "accepted_at": line.redis.hget(keys.job(job_id), "enqueued_at").decode(),
            "age_seconds": job["age_seconds"],
            "attempts": 0,
            "error": None,
        }
        assert 0 <= job["age_seconds"] < 60

    def test_that_has_left_the_line(self, line, event, show):
        first, _ = line.stand(event, 2)
        line.redis.hset(keys.job(first), "withdrawn", "1")
        assert [job["withdrawn"] for job in show()["items"]] == [True, False]

    def test_in_flight(self, line, event, show):
        first, second, third = line.stand(event, 3)
        line.take(event, maximum=2)
        assert [(job["id"], job["status"], job["attempts"]) for job in show(state="in_flight")["items"]] == [
            (first, "started", 1),
            (second, "started", 1),
        ]
        assert [job["id"] for job in show(state="waiting")["items"]] == [third]

    def test_that_processes_ended_with(self, line, event, show):
        line.stand(event)
        for instance in ("first", "second", "third"):
            line.take(event, instance=instance)
        assert [job["attempts"] for job in show(state="in_flight")["items"]] == [3]

    def test_that_failed(self, line, event, show):
        bad, good = line.stand(event, 2)
        line.fail(bad)
        line.decide_all()
        (job,) = show(state="failed")["items"]
        assert (job["id"], job["status"], job["error"]) == (bad, "failed", REASONS["request_failed"])
        (job,) = show(state="finished")["items"]
        assert (job["id"], job["status"], job["error"], job["attempts"]) == (good, "finished", None, 1)


class TestWaiting:
    def test_is_in_order_partition_by_partition(self, line, engine, turn_pages):
        events = [make_event(engine) for _ in range(11)]
        stood: dict[int, list[str]] = {}
        for event in events * 2:
            stood.setdefault(line.partition_of(event), []).extend(line.stand(event))
        expected = [job_id for partition in sorted(stood) for job_id in stood[partition]]
        for limit in (1, 3, 22, 100):
            pages = list(turn_pages(limit=limit))
            assert ids_of(iter(pages)) == expected
            assert all(len(page["items"]) == limit for page in pages[:-1])
        only = line.partition_of(events[3])
        assert ids_of(turn_pages(partition=only, limit=2)) == stood[only]

    def test_pages_follow_each_other_while_the_head_moves(self, line, event, show):
        ids = line.stand(event, 9)
        first = show(limit=3)
        line.take(event, maximum=2)  # before the place
        second = show(limit=3, cursor=first["next_cursor"])
        line.redis.delete(keys.in_flight(line.partition_of(event)))
        line.take(event, maximum=5)  # beyond it
        third = show(limit=3, cursor=second["next_cursor"])
        found = [[job["id"] for job in page["items"]] for page in (first, second, third)]
        assert found == [ids[:3], ids[3:6], ids[7:9]]
        assert third["next_cursor"] is None

    def test_the_first_page_is_not_looked_for(self, line, event, show):
        """However many wait, it begins at the head; a later one is found by halving."""
        line.stand(event, 300)

        def looks(**query: Any) -> int:
            line.redis.config_resetstat()
            assert len(show(limit=10, **query)["items"]) == 10
            calls: int = line.redis.info("commandstats")["cmdstat_lrange"]["calls"]
            return calls

        cursor = show(limit=10)["next_cursor"]
        assert looks() == 1
        assert 1 < looks(cursor=cursor) <= 12

    def test_who_comes_later_is_on_a_later_page(self, line, event, show):
        line.stand(event, 2)
        first = show(limit=2)
        assert first["next_cursor"] is None
        first = show(limit=1)
        late = line.stand(event)
        second = show(limit=5, cursor=first["next_cursor"])
        assert [job["id"] for job in second["items"]][1:] == late

    def test_of_one_event(self, line, engine, turn_pages):
        event, neighbour = make_event(engine), make_event(engine)
        while line.partition_of(neighbour) != line.partition_of(event):
            neighbour = make_event(engine)
        expected = []
        for _ in range(4):
            line.stand(neighbour)
            expected += line.stand(event)
        assert ids_of(turn_pages(event_id=event.id, limit=1)) == expected
        assert ids_of(turn_pages(event_id=event.id)) == expected
        assert ids_of(turn_pages(event_id=event.id, partition=line.partition_of(event))) == expected
        assert ids_of(turn_pages(event_id=event.id, partition=line.partition_of(event) ^ 1)) == []

    def test_of_an_event_far_behind_another(self, line, engine, turn_pages):
        """A call looks at so many entries: its page is empty, and says where to go on."""
        event, neighbour = make_event(engine), make_event(engine)
        while line.partition_of(neighbour) != line.partition_of(event):
            neighbour = make_event(engine)
        (job_id,) = line.stand(neighbour)
        copies = [f"{job_id}-{number}" for number in range(SCANNED_MAX)]
        fields = line.redis.hgetall(keys.job(job_id))
        with line.redis.pipeline(transaction=False) as pipe:
            for number, copy in enumerate(copies):
                pipe.hset(keys.job(copy), mapping={**fields, b"seq": number + 2})
            pipe.rpush(keys.queue(line.partition_of(event)), *copies)
            pipe.hset(keys.counters(line.partition_of(event)), "accepted", SCANNED_MAX + 1)
            pipe.execute()
        last = line.stand(event)
        pages = list(turn_pages(event_id=event.id))
        assert [len(page["items"]) for page in pages] == [0, 1]
        assert ids_of(iter(pages)) == last


class TestDecided:
    def test_is_newest_first_over_all_partitions(self, line, engine, turn_pages, redis_client):
        events = [make_event(engine) for _ in range(3)]
        ids = [job_id for event in events * 3 for job_id in line.stand(event)]
        line.decide_all()
        for number, job_id in enumerate(ids):  # one ends after the other, some at once
            for event in events:
                redis_client.zadd(
                    keys.finished(line.partition_of(event)), {job_id: 2e9 + number // 2}, xx=True
                )
        expected = sorted(ids, key=lambda job_id: (ids.index(job_id) // 2, job_id), reverse=True)
        for limit in (1, 2, 4, 100):
            assert ids_of(turn_pages(state="finished", limit=limit)) == expected

    def test_pages_follow_each_other_while_jobs_come_and_go(self, line, event, show, redis_client):
        ids = line.stand(event, 6)
        line.decide_all()
        registry = keys.finished(line.partition_of(event))
        for number, job_id in enumerate(ids):
            redis_client.zadd(registry, {job_id: 2e9 + number})
        first = show(state="finished", limit=2)
        redis_client.zadd(registry, {"newer": 3e9})
        redis_client.zrem(registry, ids[4])  # where the page ended
        second = show(state="finished", limit=2, cursor=first["next_cursor"])
        assert [job["id"] for job in first["items"] + second["items"]] == [ids[5], ids[4], ids[3], ids[2]]

    def test_of_one_event(self, line, engine, turn_pages):
        event, neighbour = make_event(engine), make_event(engine)
        while line.partition_of(neighbour) != line.partition_of(event):
            neighbour = make_event(engine)
        expected = []
        for _ in range(3):
            expected += line.stand(event)
            line.stand(neighbour)
        line.decide_all()
        assert sorted(ids_of(turn_pages(state="finished", event_id=event.id, limit=1))) == sorted(expected)

    def test_what_has_expired_is_not_shown(self, line, event, show, redis_client):
        gone, kept = line.stand(event, 2)
        line.decide_all()
        redis_client.zadd(keys.finished(line.partition_of(event)), {gone: int(redis_client.time()[0]) - 1})
        assert [job["id"] for job in show(state="finished")["items"]] == [kept]


class TestDamage:
    """Hashes that somebody deleted or overwrote are shown as what they are."""

    @pytest.fixture(
        params=["deleted", "overwritten", "emptied", "not JSON", "of another function", "huge numbers"]
    )
    def damage(self, request, line) -> Callable[[str], None]:
        def spoil(job_id: str) -> None:
            key = keys.job(job_id)
            match request.param:
                case "deleted":
                    line.redis.delete(key)
                case "overwritten":
                    line.redis.delete(key)
                    line.redis.rpush(key, "what")
                case "emptied":
                    line.redis.hdel(key, "data", "enqueued_at", "arrival", "seq", "status")
                case "not JSON":
                    line.redis.hset(
                        key, mapping={"data": b"\xff\x00", "enqueued_at": "x", "arrival": "y", "seq": "z"}
                    )
                case "of another function":
                    line.redis.hset(key, "data", b'["os.system", null, [], {"kind": "book"}]')
                case "huge numbers":
                    line.redis.hset(
                        key, mapping={"data": b'["worker.jobs.decide", null, [], {"event_id": 9e99}]'}
                    )
                    line.redis.hset(key, "arrival", "9" * 40)

        return spoil

    def test_does_not_break_a_page(self, line, event, turn_pages, damage):
        ids = line.stand(event, 7)
        for job_id in (ids[0], ids[2], ids[3], ids[6]):
            damage(job_id)
        for limit in (1, 2, 3, 100):
            pages = list(turn_pages(limit=limit))
            assert ids_of(iter(pages)) == ids
        jobs = {job["id"]: job for page in pages for job in page["items"]}
        assert [jobs[job_id]["error"] for job_id in ids] == [
            UNREADABLE, None, UNREADABLE, UNREADABLE, None, None, UNREADABLE,
        ]  # fmt: skip
        assert jobs[ids[0]]["event_id"] is None
        assert jobs[ids[0]]["kind"] is None

    def test_does_not_hide_who_stands_behind(self, line, event, turn_pages, damage):
        ids = line.stand(event, 250)
        for job_id in ids[5:245]:
            damage(job_id)
        assert ids_of(turn_pages(limit=100)) == ids
        assert ids_of(turn_pages(limit=7)) == ids

    def test_of_decided_jobs(self, line, event, turn_pages, damage):
        ids = line.stand(event, 5)
        line.decide_all()
        for job_id in ids[1:4]:
            damage(job_id)
        for limit in (1, 2, 100):
            assert sorted(ids_of(turn_pages(state="finished", limit=limit))) == sorted(ids)

    def test_of_ids_that_are_no_text(self, line, event, show):
        line.stand(event)
        line.redis.rpush(keys.queue(line.partition_of(event)), b"\xff\xfe")
        assert [job["error"] for job in show()["items"]] == [None, UNREADABLE]


class TestInput:
    def test_is_strict(self, client, as_admin):
        for query in (
            {"state": "lost"},
            {"partition": "8"},
            {"partition": "-1"},
            {"partition": "99999999999"},
            {"event_id": "0"},
            {"event_id": str(2**63)},
            {"limit": "0"},
            {"limit": "101"},
            {"cursor": ""},
            {"cursor": "nonsense"},
            {"cursor": "WyJsaXN0IiwxXQ"},  # ["list",1]
            {"cursor": "WyJsaXN0IiwtMSwwLDBd"},  # ["list",-1,0,0]
            {"cursor": "WyJsaXN0Iix0cnVlLDAsMF0"},  # ["list",true,0,0]
            {"cursor": "WyJyZWdpc3RyeSIsMSwiYSJd"},  # a place among decided jobs
            {"cursor": "WyJsaXN0IiwwLDAsMF0", "state": "failed"},  # a place among waiting ones
            {"what": "else"},
        ):
            answer = client.get(URL, query_string=query, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), query

    def test_a_made_up_place_is_a_place(self, client, as_admin, line, event):
        line.stand(event, 2)
        for cursor in ("WyJsaXN0Iiw3NywwLDBd", "WyJsaXN0IiwwLDkwMDcxOTkyNTQ3NDA5OTEsOTAwNzE5OTI1NDc0MDk5MV0"):
            answer = client.get(URL, query_string={"cursor": cursor}, headers=as_admin)
            assert answer.status_code == 200, answer.text

    def test_the_next_page_is_linked(self, client, as_admin, line, event):
        line.stand(event, 2)
        answer = client.get(URL, query_string={"limit": 1, "state": "waiting"}, headers=as_admin)
        link = answer.headers["Link"]
        assert link.endswith('; rel="next"')
        followed = client.get(link[1 : link.index(">")], headers=as_admin)
        assert followed.json["items"][0]["arrival"] == 2
        assert "Link" not in followed.headers
