"""What `/metrics` says of the line: who waits, what was decided, each decision once."""

import pytest
from sqlalchemy import text

from shared.db import make_engine, transaction
from shared.line import keys
from shared.line.counters import increments, read_counters
from shared.line.reply import JobReply, reply
from shared.line.take import take
from shared.services import line_pause
from tests.event_calls import book
from tests.factories import PASSWORD, change, make_event, make_user
from tests.lines import await_that, worker_process
from tests.scraping import Scrape, scrape
from tests.waiting import Crowd
from worker import heartbeat


def dict_of(found: Scrape, name: str) -> dict[str, float]:
    return {labels["event_id"]: value for labels, value in found.series(name)}


class TestLine:
    def test_says_who_waits_and_for_how_long(self, app, client, engine, driver, redis_client):
        event = make_event(engine)
        before = scrape(client)
        assert (before.sum("line_depth"), before("line_oldest_waiting_seconds")) == (0, 0)
        for _ in range(3):
            assert book(app, event).status_code == 202
        head = redis_client.lindex(keys.queue(event.id % 8), 0).decode()
        redis_client.hset(keys.job(head), "enqueued_at", "2026-01-01T00:00:00.000000Z")
        after = scrape(client)
        assert after("line_depth", partition=str(event.id % 8)) == after.sum("line_depth") == 3
        assert after("line_oldest_waiting_seconds") > 3600

    def test_says_what_was_taken_and_not_answered(self, app, client, engine, driver):
        event = make_event(engine)
        book(app, event)
        driver.claim()
        claim = driver.session.held[event.id % 8]
        take(driver.runner, claim, maximum=10, worker_name="driver", instance="driver:1")
        found = scrape(client)
        assert found("line_in_flight", partition=str(event.id % 8)) == found.sum("line_in_flight") == 1
        assert found.sum("line_depth") == 0

    def test_says_who_decides(self, client, driver, redis_client, engine, long_heard):
        assert (scrape(client).sum("line_claims"), scrape(client)("line_workers")) == (0, 0)
        driver.claim(2, 5)
        heartbeat.beat(redis_client, "somebody")
        found = scrape(client)
        assert {labels["partition"]: held for labels, held in found.series("line_claims")} == {
            str(partition): float(partition in (2, 5)) for partition in range(8)
        }
        assert found("line_workers") == 1

    def test_another_database_on_the_server_holds_nothing_here(self, client, driver, postgres):
        other = make_engine(postgres.database_url("postgres"), pool_size=1)
        with transaction(other) as session:
            session.execute(text("select pg_advisory_lock(4702, 3)"))
            assert scrape(client).sum("line_claims") == 0
        other.dispose()

    def test_says_who_waits_for_tickets_and_for_whom_they_are_held(self, app, client, engine, driver):
        crowd, event = Crowd(app, client, driver, engine), make_event(engine, capacity=1)
        holder, first, second = crowd.people(3)
        holder.book(event.id)
        first.join(event.id)
        second.join(event.id)
        holder.cancel(event.id)
        found = scrape(client)
        assert (found("line_waitlist_entries"), found("line_offers_open"), found("line_offers_overdue")) == (
            1, 1, 0,
        )  # fmt: skip
        assert found("line_decided_total", outcome="waitlisted") == 2
        with transaction(engine) as session:
            session.execute(text("update offers set expires_at = now()"))
        app.extensions["guichet"].line_figures._kept_until = 0.0
        assert scrape(client)("line_offers_overdue") == 1

    def test_says_that_it_is_paused(self, client, engine):
        assert scrape(client)("line_paused") == 0
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None, reason="maintenance")
        assert scrape(client)("line_paused") == 1

    def test_counts_what_was_lost(self, client, redis_client):
        redis_client.rpush(keys.lost(3), "a", "b")
        assert scrape(client)("line_lost") == 2

    def test_counts_decisions_by_outcome_and_by_time(self, app, client, engine, driver):
        event = make_event(engine, capacity=2)
        for _ in range(2):
            book(app, event)
        book(app, event)
        driver.decide_all()
        found = scrape(client)
        assert found("line_decided_total", outcome="confirmed") == found("event_registrations_total") == 2
        assert found("line_decided_total", outcome="rejected") == 1
        assert found("line_decided_total", outcome="failed") == 0
        assert found("line_accept_to_decide_seconds_bucket", le="+Inf") == 3
        assert found("line_accept_to_decide_seconds_count") == 3
        assert 0 < found("line_accept_to_decide_seconds_sum") < 3 * 3600
        buckets = [value for _, value in found.series("line_accept_to_decide_seconds_bucket")]
        assert buckets == sorted(buckets)

    def test_counts_arrivals_that_were_issued_again(self, app, client, engine, driver, redis_client):
        event = make_event(engine)
        book(app, event)
        driver.decide_all()
        redis_client.hset(keys.arrivals(event.id % 8), event.id, 40)  # a hole: Redis forgot 2 … 40
        book(app, event)
        driver.decide_all()
        assert scrape(client)("line_arrival_reissued_total") == 1

    def test_shows_what_is_on_sale(self, client, engine):
        on_sale = make_event(engine, capacity=7)
        for not_on_sale in (
            "status = 'draft'",
            "status = 'cancelled'",
            "sales_paused = true",
            "deleted_at = now()",
            "sales_open_at = now() + interval '1 day'",
            "sales_close_at = now() - interval '1 day'",
        ):
            change(engine, f"update events set {not_on_sale} where id = :id", id=make_event(engine).id)
        assert dict_of(scrape(client), "event_available_slots") == {str(on_sale.id): 7}

    def test_shows_no_more_events_than_fit(self, client, engine, monkeypatch):
        monkeypatch.setattr("shared.services.line_figures.SLOTS_MAX", 2)
        for _ in range(4):
            make_event(engine)
        assert len(dict_of(scrape(client), "event_available_slots")) == 2

    def test_counts_log_ins_that_live(self, client, engine, monkeypatch):
        monkeypatch.setattr("shared.services.line_figures.KEEP_SECONDS", 0)
        make_user(engine, email="a@example.org", password=PASSWORD)
        before = scrape(client)
        pairs = [
            client.post("/api/auth/login", json={"email": "a@example.org", "password": PASSWORD}).json
            for _ in range(3)
        ]
        client.post("/api/auth/login", json={"email": "a@example.org", "password": "wrong-" + PASSWORD})
        client.post("/api/auth/refresh", json={"refresh_token": pairs[0]["refresh_token"]})
        client.post("/api/auth/logout", headers={"Authorization": f"Bearer {pairs[1]['token']}"})
        after = scrape(client)
        assert (before("active_sessions"), after("active_sessions")) == (0, 2)
        grown = {
            status: after("login_attempts_total", status=status)
            - before("login_attempts_total", status=status)
            for status in ("succeeded", "failed", "throttled")
        }
        assert grown == {"succeeded": 3, "failed": 1, "throttled": 0}


class TestReplyCounts:
    """Each decision once, whatever is sent twice."""

    @pytest.fixture
    def taken(self, app, engine, driver):
        """Two requests in flight: what a worker is about to reply."""
        event = make_event(engine)
        for _ in range(2):
            book(app, event)
        driver.claim()
        claim = driver.session.held[event.id % 8]
        taken = take(driver.runner, claim, maximum=10, worker_name="driver", instance="driver:1")
        return event, claim, [str(request.job_id) for request in taken.requests]

    def send(self, driver, taken, jobs=None) -> None:
        event, claim, job_ids = taken
        reply(
            driver.runner,
            driver.settings,
            claim,
            worker_name="driver",
            jobs=[JobReply(job_id, None, {"outcome": "confirmed"}, 0.02) for job_id in jobs or job_ids],
            last_arrivals={event.id: 2},
            rate=1.0,
            reissued=1,
        )

    def test_a_repeated_reply_adds_nothing(self, driver, taken, redis_client):
        for _ in range(3):
            self.send(driver, taken)
        found = read_counters(redis_client)
        assert (found.decided, sum(found.buckets), found.reissued) == ({"confirmed": 2}, 2, 1)
        assert found.seconds_sum == pytest.approx(0.04)

    def test_a_reply_that_does_not_take_all_its_jobs_adds_nothing(self, driver, taken, redis_client):
        self.send(driver, taken, jobs=[*taken[2], "01890000-0000-7000-8000-000000000000"])
        assert read_counters(redis_client).decided == {}

    def test_a_damaged_key_fails_no_reply(self, driver, taken, redis_client):
        redis_client.set(keys.METRICS, "somebody's")
        self.send(driver, taken)
        assert redis_client.llen(keys.in_flight(taken[1].partition)) == 0
        assert redis_client.hget(keys.job(taken[2][0]), "status") == b"finished"

    def test_what_a_batch_adds(self):
        assert increments([]) == {}
        assert increments([("confirmed", 0.0), ("rejected", 1e9), ("confirmed", 0.005)], 2) == {
            "decided:confirmed": 2,
            "decided:rejected": 1,
            "seconds:0.005": 2,
            "seconds:inf": 1,
            "seconds:sum": "1000000000.005000",
            "reissued": 2,
        }

    def test_a_decision_that_was_only_recorded_counts_when_it_is_replied(
        self, app, client, engine, settings, driver, monkeypatch
    ):
        """The worker died between commit and reply; its successor replies."""
        event = make_event(engine)
        book(app, event)
        with monkeypatch.context() as patch:
            patch.setattr("worker.batch.reply", die)
            with pytest.raises(KeyboardInterrupt):
                driver.decide_all()
        assert scrape(client).sum("line_decided_total") == 0
        driver.session.rollback()
        driver.decide_all()
        assert scrape(client)("line_decided_total", outcome="confirmed") == 1


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_worker_of_another_process_counts_too(app, client, engine, settings):
    """Its figures come through the folder, the line's through Redis."""
    app.extensions["guichet"].start()
    event = make_event(engine)
    before = scrape(client)
    with worker_process(settings):
        answer = book(app, event, Prefer="wait=20")
        assert answer.status_code == 201
        operation = {"operation": "commit", "table": "decisions"}
        after = await_that(
            lambda: (
                (found := scrape(client))("db_query_duration_seconds_count", **operation)
                > before("db_query_duration_seconds_count", **operation)
                and found
            ),
            what="the worker's figures",
        )
    assert after("line_decided_total", outcome="confirmed") == 1
