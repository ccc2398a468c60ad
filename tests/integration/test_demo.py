"""The demo: complete, written once, never in production."""

from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import Engine, func, select

from scripts.audit import run_audit
from scripts.demo import ADMIN, EVENTS, FOLLOWS, ORGANIZATIONS
from scripts.demo_requests import count_requests
from scripts.seed import DemoRefusedError, demo_logins, refuse_demo, seed, seed_new_installation
from shared.db import transaction
from shared.errors import UnavailableError
from shared.models import Event, Follow, Interest, User, WaitlistEntry
from shared.settings import Settings
from tests.crash.flows import recover
from tests.factories import auth_header, make_user


class TestSeed:
    def test_writes_everything_once(self, settings: Settings, engine: Engine) -> None:
        assert demo_logins(settings) == {}
        assert seed(settings)
        before = counts(engine)
        assert not seed(settings)
        assert counts(engine) == before
        assert next(iter(demo_logins(settings).items())) == (ADMIN.email, ADMIN.password)

    def test_puts_its_bookings_into_the_line(self, settings: Settings, redis_client: Redis) -> None:
        seed(settings)
        waiting = sum(
            redis_client.llen(f"rq:queue:bookings-{number}") for number in range(settings.partitions)
        )
        assert waiting == sum(count_requests(event) for event in EVENTS)

    def test_shows_a_waitlist_and_an_offer_once_workers_run(self, settings: Settings, engine: Engine) -> None:
        seed(settings)
        recover(settings, engine)
        with transaction(engine) as session:
            entries = session.execute(
                select(Event.code, WaitlistEntry.status)
                .join(Event, Event.id == WaitlistEntry.event_id)
                .order_by(Event.code, WaitlistEntry.number)
            )
            assert [tuple(entry) for entry in entries] == [
                ("DEMO-OFFER", "offered"),
                ("DEMO-OFFER", "waiting"),
                ("DEMO-SOLD-OUT", "waiting"),
                ("DEMO-SOLD-OUT", "waiting"),
            ]
        assert run_audit(settings).ok

    def test_has_people_who_follow_and_are_interested(self, settings: Settings, engine: Engine) -> None:
        seed(settings)
        with transaction(engine) as session:
            assert session.scalar(select(func.count()).select_from(Follow)) == sum(map(len, FOLLOWS.values()))
            assert session.scalar(select(func.count()).select_from(Interest)) == sum(
                len(event.interested) for event in EVENTS
            )

    def test_organizations_have_members_and_events(
        self, settings: Settings, app: Flask, engine: Engine
    ) -> None:
        seed(settings)
        client = app.test_client()
        found = client.get("/api/organizations?sort=created_at&order=asc").json["items"]
        assert [item["name"] for item in found] == [one.fields["name"] for one in ORGANIZATIONS]
        with transaction(engine) as session:
            admin = session.scalars(select(User).where(User.email == ADMIN.email)).one()
        for number, (organization, item) in enumerate(zip(ORGANIZATIONS, found, strict=True)):
            members = client.get(
                f"/api/organizations/{item['id']}/members", headers=auth_header(app, admin)
            ).json["items"]
            people = [(organization.owner.name, "owner")]
            people += [(member.name, "member") for member in organization.members]
            assert [(member["user"]["name"], member["role"]) for member in members] == people
            events = client.get(
                f"/api/events?organization_id={item['id']}", headers=auth_header(app, admin)
            ).json["items"]
            codes = {event.code for event in EVENTS if event.organization == number}
            assert {event["code"] for event in events} == codes

    def test_goes_on_where_it_was_interrupted(self, settings: Settings, engine: Engine) -> None:
        with pytest.raises(UnavailableError):
            seed_new_installation(replace(settings, redis_url="unix:///nowhere"))
        before = counts(engine)
        assert seed_new_installation(settings)
        assert counts(engine) == before

    def test_leaves_a_database_in_use_alone(self, settings: Settings, engine: Engine) -> None:
        make_user(engine)
        assert not seed_new_installation(settings)
        assert counts(engine) == (1, 0)


class TestProduction:
    def test_refuses_to_seed(self, settings: Settings) -> None:
        with pytest.raises(DemoRefusedError):
            seed(replace(settings, env="production"))

    def test_refuses_a_database_that_holds_the_demo(self, settings: Settings) -> None:
        production = replace(settings, env="production")
        refuse_demo(production)
        seed(settings)
        with pytest.raises(DemoRefusedError):
            refuse_demo(production)


def counts(engine: Engine) -> tuple[int, int]:
    """How many users and events there are."""
    with transaction(engine) as session:
        users = session.scalar(select(func.count()).select_from(User)) or 0
        return users, session.scalar(select(func.count()).select_from(Event)) or 0
