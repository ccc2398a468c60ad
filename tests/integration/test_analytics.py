"""What analytics answer: the same as everything counted anew, for any period, to those who may know."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from shared.db import transaction
from shared.models import Booking, Event
from shared.services import analytics_answers
from shared.services.analytics import catch_up, roll_up_registrations
from tests.analytics import days_ago, drain, naive, tell, today
from tests.event_calls import pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user
from tests.stories import Story

ADMIN = ("/api/admin/dashboard", "/api/admin/analytics")


@pytest.fixture
def analytics(client, as_admin) -> Callable[..., dict[str, Any]]:
    def over_http(first: date, last: date) -> dict[str, Any]:
        answer = client.get(f"/api/admin/analytics?from={first}&to={last}", headers=as_admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: dict[str, Any] = answer.json
        return document

    return over_http


def expected_day(tables: dict[str, Any], day: str) -> dict[str, Any]:
    figures = Counter(tables["day_totals"].get((day,), {}))
    return {
        "date": day,
        "bookings": figures["bookings"],
        "tickets": figures["tickets"] - figures["tickets_cancelled"],
        "cancellations": figures["cancellations"],
        "waitlisted": figures["waitlisted"],
        "impressions": figures["impressions"],
        "revenue": [
            {"currency": currency, "revenue_minor": amounts["booked_minor"] - amounts["cancelled_minor"]}
            for (on, currency), amounts in sorted(tables["day_revenue"].items())
            if on == day
        ],
        "active_users": sum(1 for _, on in tables["user_days"] if on == day),
        "new_users": 0,
    }


def expected_ranking(tables: dict[str, Any], figure: str, days: list[str]) -> list[tuple[int, int]]:
    sums: Counter[int] = Counter()
    for (event_id, day), figures in tables["event_days"].items():
        if day in days:
            sums[event_id] += figures[figure]
    return sorted(((e, n) for e, n in sums.items() if n), key=lambda pair: (-pair[1], pair[0]))


class TestAnalytics:
    @pytest.mark.parametrize("seed", range(3))
    def test_are_what_everything_counted_anew_comes_to(self, analytics, engine, story, seed):
        told: Story = story(100 + seed)
        told.run(60)
        tables = naive(engine, told.looks)
        with transaction(engine) as session:
            titles = dict(tuple(row) for row in session.execute(select(Event.id, Event.title)))
        chance = random.Random(seed)
        for _ in range(4):
            first = days_ago(engine, chance.randint(0, 75))
            last = first + timedelta(days=chance.randint(0, 90))
            found = analytics(first, last)
            days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
            assert (found["from"], found["to"], found["complete"]) == (days[0], days[-1], False)
            daily = [expected_day(tables, day) for day in days]
            assert [{**day, "new_users": 0} for day in found["daily"]] == daily
            for name in ("bookings", "tickets", "cancellations", "waitlisted", "impressions"):
                assert found["totals"][name] == sum(day[name] for day in daily), name
            revenue: Counter[str] = Counter()
            for each in (each for day in daily for each in day["revenue"]):
                revenue[each["currency"]] += each["revenue_minor"]
            assert found["totals"]["revenue"] == [
                {"currency": currency, "revenue_minor": minor} for currency, minor in sorted(revenue.items())
            ]
            active = {user for user, day in tables["user_days"] if day in days}
            before = {user for user, day in tables["user_days"] if day < days[0]}
            assert found["users"]["active"] == len(active)
            assert found["users"]["returning"] == len(active & before)
            starting = [row for (day,), row in tables["start_days"].items() if day in days]
            assert {name: found["utilization"][name] for name in ("events", "capacity", "tickets")} == {
                name: sum(row[name] for row in starting) for name in ("events", "capacity", "tickets")
            }
            for ranking, figure in (("by_bookings", "bookings"), ("by_impressions", "impressions")):
                shown = found["popular_events"][ranking]
                assert [(each["id"], each[figure]) for each in shown["events"]] == expected_ranking(
                    tables, figure, days
                )
                assert shown["exact"] is True
                assert all(each["title"] == titles[each["id"]] for each in shown["events"])

    def test_say_when_every_ledger_is_counted(self, client, as_admin, engine):
        make_event(engine)
        assert client.get(ADMIN[0], headers=as_admin).json["complete"] is False
        while catch_up(engine):
            pass
        first = client.get(ADMIN[0], headers=as_admin).json
        assert first["complete"] is True
        with transaction(engine) as session:
            session.execute(text("update outbox set created_at = now() - interval '1 hour'"))
        late = client.get(ADMIN[0], headers=as_admin).json
        assert late["as_of"] < first["as_of"]
        drain(engine)
        assert client.get(ADMIN[0], headers=as_admin).json["as_of"] > first["as_of"]

    def test_give_a_day_on_which_nothing_happened(self, analytics, engine):
        day = days_ago(engine, 400)
        found = analytics(day, day)
        assert found["daily"] == [expected_day(naive(engine), day.isoformat())]
        assert found["totals"]["cancellation_rate"] == found["utilization"]["utilization_percent"] == 0


class TestDashboard:
    @pytest.mark.parametrize("seed", range(2))
    def test_is_everything_of_all_time(self, client, as_admin, engine, story, seed):
        told: Story = story(200 + seed)
        told.run(60)
        tables = naive(engine, told.looks)
        found = client.get(ADMIN[0], headers=as_admin).json
        totals: Counter[str] = Counter()
        for figures in tables["day_totals"].values():
            totals.update(figures)
        assert found["totals"]["bookings"] == totals["bookings"]
        assert found["totals"]["live_bookings"] == totals["bookings"] - totals["cancellations"]
        assert found["totals"]["impressions"] == totals["impressions"]
        with transaction(engine) as session:
            live = list(session.scalars(select(Booking).where(Booking.status == "confirmed")))
        revenue: Counter[str] = Counter()
        for booking in live:
            revenue[booking.currency] += booking.tickets * booking.price_minor
        assert found["totals"]["tickets"] == sum(booking.tickets for booking in live)
        assert {
            e["currency"]: e["revenue_minor"] for e in found["totals"]["revenue"] if e["revenue_minor"]
        } == {currency: minor for currency, minor in revenue.items() if minor}
        assert len(found["daily"]) == 30
        assert found["today"] == found["daily"][-1]
        assert found["today"]["date"] == today(engine).isoformat()
        days = [day for _, day in tables["event_days"]]
        for ranking, figure in (("by_bookings", "bookings"), ("by_impressions", "impressions")):
            shown = [each[figure] for each in found["popular_events"][ranking]["events"]]
            assert shown == [count for _, count in expected_ranking(tables, figure, days)]

    def test_counts_who_registered(self, client, as_admin, engine):
        make_user(engine)
        with transaction(engine) as session:
            session.execute(
                text("update users set created_at = now() - interval '50 days' where role <> 'admin'")
            )
        roll_up_registrations(engine)
        found = client.get(ADMIN[0], headers=as_admin).json
        assert (found["totals"]["users"], found["users"]["new"], found["today"]["new_users"]) == (2, 1, 1)


class TestRankings:
    def test_leave_out_hidden_events(self, client, analytics, as_admin, engine, line, tamper):
        shown, hidden = make_event(engine), make_event(engine)
        for event, count in ((shown, 1), (hidden, 3)):
            line.stand(event, count)
        line.decide_all()
        for event in (shown, hidden):
            tell(engine, event.id, head_of(engine, event.id))
        drain(engine)
        tamper("update events set deleted_at = now(), impressions = 5 where id = :id", id=hidden.id)
        tamper("update events set impressions = 1 where id = :id", id=shown.id)
        day = today(engine)
        rankings = [
            analytics(day, day)["popular_events"]["by_bookings"],
            *client.get(ADMIN[0], headers=as_admin).json["popular_events"].values(),
        ]
        assert [[each["id"] for each in ranking["events"]] for ranking in rankings] == [[shown.id]] * 3

    def test_say_when_an_event_may_be_missing(self, analytics, engine, tamper, monkeypatch):
        """Two events lead on a day each; the third is second on both, and has more than either."""
        events = [make_event(engine).id for _ in range(4)]
        days = [days_ago(engine, 2), days_ago(engine, 1)]
        for day, leader in zip(days, events, strict=False):
            for event_id, bookings in ((leader, 9), (events[2], 8), (events[3], 1)):
                tamper(
                    "insert into event_days (event_id, day, bookings) values (:event, :day, :bookings)",
                    event=event_id,
                    day=day,
                    bookings=bookings,
                )
        monkeypatch.setattr(analytics_answers, "SHOWN", 1)
        ranking = analytics(*days)["popular_events"]["by_bookings"]
        assert ([each["id"] for each in ranking["events"]], ranking["exact"]) == ([events[2]], True)
        monkeypatch.setattr(analytics_answers, "LEADERS", 1)
        ranking = analytics(*days)["popular_events"]["by_bookings"]
        assert ([each["id"] for each in ranking["events"]], ranking["exact"]) == ([events[0]], False)
        assert analytics(days[0], days[0])["popular_events"]["by_bookings"]["exact"] is True


class TestStats:
    def test_are_the_events_figures(self, app, client, as_host, host, engine, line, tamper):
        event = make_event(engine, host=host, capacity=20, price_minor=1500)
        jobs = line.stand(event, 3, tickets=2)
        line.decide_all()
        with transaction(engine) as session:
            booking = session.scalars(select(Booking).where(Booking.job_id == jobs[0])).one()
        line.stand_as(
            event, [booking.user_id], kind="cancel", booking_id=booking.id, tickets=None, acting_as="owner"
        )
        line.decide_all()
        stale = client.get(f"/api/events/{event.id}/stats", headers=as_host).json
        assert (stale["total_bookings"], stale["uncounted_decisions"], stale["remaining"]) == (0, 5, 16)
        tell(engine, event.id, head_of(engine, event.id))
        drain(engine)
        answer = client.get(f"/api/events/{event.id}/stats", headers=as_host)
        found = answer.json
        assert answer.headers["Cache-Control"] == "no-store"
        revenue = [{"currency": "EUR", "revenue_minor": 6000}]
        expected = {
            "event_id": event.id,
            "total_bookings": 3,
            "live_bookings": 2,
            "tickets": 4,
            "capacity": 20,
            "remaining": 16,
            "utilization_percent": 20.0,
            "revenue_minor": 6000,
            "currency": "EUR",
            "revenue": revenue,
            "cancellations": 1,
            "cancellation_rate": 0.3333,
            "waitlisted": 0,
            "impressions": 0,
            "uncounted_decisions": 0,
        }
        assert {name: found[name] for name in expected} == expected
        day = {
            "bookings": 3, "tickets": 4, "cancellations": 1, "waitlisted": 0, "impressions": 0, "revenue": revenue,
        }  # fmt: skip
        assert found["daily"][-1] == {"date": today(engine).isoformat(), **day}
        assert found["period"] == {**day, "live_bookings": 2, "cancellation_rate": 0.3333}
        assert len(found["daily"]) == 30
        assert all(not each["bookings"] for each in found["daily"][:-1])

    def test_take_a_cancellation_from_the_day_it_is_made_on(
        self, client, as_host, host, engine, line, tamper
    ):
        """The day of the booking stays as it was."""
        event = make_event(engine, host=host, price_minor=500)
        (job,) = line.stand(event, 1)
        line.decide_all()
        tamper(
            "update decisions set decided_at = decided_at - interval '1 day' where event_id = :id",
            id=event.id,
        )
        with transaction(engine) as session:
            booking = session.scalars(select(Booking).where(Booking.job_id == job)).one()
        line.stand_as(
            event, [booking.user_id], kind="cancel", booking_id=booking.id, tickets=None, acting_as="owner"
        )
        line.decide_all()
        tell(engine, event.id, head_of(engine, event.id))
        drain(engine)
        found = client.get(f"/api/events/{event.id}/stats?from={days_ago(engine, 1)}", headers=as_host).json
        yesterday, now = found["daily"]
        assert (yesterday["bookings"], yesterday["tickets"], yesterday["cancellations"]) == (1, 1, 0)
        assert (now["bookings"], now["tickets"], now["cancellations"]) == (0, -1, 1)
        assert [day["revenue"][0]["revenue_minor"] for day in (yesterday, now)] == [500, -500]
        assert (found["revenue_minor"], found["period"]["revenue"][0]["revenue_minor"]) == (0, 0)

    def test_keep_currencies_apart(self, client, as_host, host, engine, tamper, line):
        event = make_event(engine, host=host, price_minor=500, currency="EUR")
        line.stand(event, 1)
        line.decide_all()
        tamper("update events set currency = 'JPY', price_minor = 90 where id = :id", id=event.id)
        line.stand(event, 2)
        line.decide_all()
        tell(engine, event.id, head_of(engine, event.id))
        drain(engine)
        found = client.get(f"/api/events/{event.id}/stats", headers=as_host).json
        assert found["revenue"] == [
            {"currency": "EUR", "revenue_minor": 500},
            {"currency": "JPY", "revenue_minor": 180},
        ]
        assert (found["currency"], found["revenue_minor"]) == ("JPY", 180)


class TestAccess:
    def test_of_an_events_figures_is_for_who_manages_it(
        self, app, client, engine, host, as_admin, as_attendee
    ):
        member, other = make_user(engine), make_user(engine, role="host")
        organization = make_organization(engine, owners=[host], members=[member])
        event = make_event(engine, host=host, organization_id=organization.id)
        draft = make_event(engine, host=host, status="draft")
        path = f"/api/events/{event.id}/stats"
        for header in (auth_header(app, host), auth_header(app, member), as_admin):
            assert client.get(path, headers=header).status_code == 200
        for header in (as_attendee, auth_header(app, other)):
            assert problem_of(client.get(path, headers=header)) == (403, "forbidden")
            assert problem_of(client.get(f"/api/events/{draft.id}/stats", headers=header)) == (
                404,
                "event_not_found",
            )
        assert problem_of(client.get(path)) == (401, "unauthenticated")
        assert problem_of(client.get("/api/events/999/stats", headers=as_admin)) == (404, "event_not_found")

    @pytest.mark.parametrize("path", ADMIN)
    def test_of_everybodys_figures_is_for_admins(self, client, path, as_admin, as_host, as_attendee):
        assert client.get(path, headers=as_admin).status_code == 200
        for header in (as_host, as_attendee):
            assert problem_of(client.get(path, headers=header)) == (403, "forbidden")
        assert problem_of(client.get(path)) == (401, "unauthenticated")


class TestPeriod:
    def test_is_thirty_days_up_to_today_unless_it_is_said(self, client, as_admin, engine):
        found = client.get(ADMIN[1], headers=as_admin).json
        assert (found["from"], found["to"]) == (days_ago(engine, 29).isoformat(), today(engine).isoformat())
        assert len(found["daily"]) == 30

    def test_is_of_utc_days_also_when_instants_are_given(self, client, as_admin):
        query = {"from": "2030-01-01T00:30:00+02:00", "to": "2030-01-02T23:59:59.999999Z"}
        found = client.get(ADMIN[1], headers=as_admin, query_string=query).json
        assert [day["date"] for day in found["daily"]] == ["2029-12-31", "2030-01-01", "2030-01-02"]

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("from=yesterday", "?from"),
            ("from=2030-02-30", "?from"),
            ("to=2030-1-1", "?to"),
            ("to=2030-01-01T00:00:00", "?to"),
            ("to=0001-01-01", "?to"),
            ("from=2030-01-02&to=2030-01-01", "?to"),
            ("from=2030-01-01&to=2031-01-02", "?to"),
            ("from=2020-01-01", "?to"),
            ("day=2030-01-01", "?day"),
            ("from=2030-01-01&from=2030-01-02", "?from"),
        ],
    )
    def test_must_be_days_in_order_and_not_too_many(self, client, as_admin, as_host, create, query, pointer):
        for path, header in ((ADMIN[1], as_admin), (f"/api/events/{create()['id']}/stats", as_host)):
            assert pointers(client.get(f"{path}?{query}", headers=header)) == [pointer]

    def test_may_be_a_leap_year(self, client, as_admin):
        found = client.get(f"{ADMIN[1]}?from=2032-01-01&to=2032-12-31", headers=as_admin).json
        assert len(found["daily"]) == 366


def head_of(engine, event_id: int) -> int:
    with transaction(engine) as session:
        return int(session.scalar(select(Event.last_number).where(Event.id == event_id)))
