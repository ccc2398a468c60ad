"""`guichet seed`: the demo: people, organizations, events of every kind, who waits, follows and is interested. Never in
production.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from scripts.demo import ADMIN, ATTENDEES, EVENTS, FOLLOWS, HOSTS, ORGANIZATIONS, DemoEvent, DemoUser
from scripts.demo_requests import put_into_line
from scripts.environment import load_command_settings
from shared.db import make_engine, transaction
from shared.domain.permissions import Actor
from shared.models import Event, Organization, User
from shared.services import audit_log
from shared.services.events import create_event
from shared.services.follows import follow
from shared.services.interests import add_interest
from shared.services.organization_members import set_member
from shared.services.organizations import create_organization
from shared.services.passwords import Passwords
from shared.services.production import DEMO_ACTION, holds_demo
from shared.services.users import create_user, make_admin
from shared.settings import Settings
from shared.store.clock import read_clock
from shared.store.events import find_event
from shared.store.impressions import add_impressions


class DemoRefusedError(Exception):
    """Production and the demo do not go together: the demo's passwords are public."""


@click.command()
def command() -> None:
    """Writes the demo data; does nothing when it is there. For development only."""
    settings = load_command_settings()
    try:
        written = seed(settings)
    except DemoRefusedError as error:
        raise click.ClickException(str(error)) from None
    click.echo("The demo is in place." if written else "The demo was there already; nothing was changed.")
    for user in (ADMIN, *HOSTS, *ATTENDEES):
        click.echo(f"  {user.role:<9} {user.email:<24} {user.password}")


def seed(settings: Settings) -> bool:
    """Writes what is missing of the demo and puts its bookings into the line, to be decided like any other.

    False when the demo was complete. Raises DemoRefusedError in production.
    """
    if settings.is_production:
        raise DemoRefusedError("the demo's passwords are public: it is not for production")
    engine = make_engine(settings.database_url, pool_size=2)
    try:
        with transaction(engine) as session:
            if holds_demo(session):
                return False
            users = _make_users(session, Passwords(settings))
            hosts = [users[host.email].id for host in HOSTS]
            attendees = [users[attendee.email].id for attendee in ATTENDEES]
            organizations = _make_organizations(session, users)
            _follow(session, hosts, attendees)
            made = _make_events(session, hosts, organizations)
            _show_interest(session, made, attendees)
        put_into_line(settings, engine, made, attendees)
        with transaction(engine) as session:
            audit_log.record(
                session, actor_id=None, action=DEMO_ACTION, target_type="installation", target_id="demo"
            )
    finally:
        engine.dispose()
    return True


def seed_new_installation(settings: Settings) -> bool:
    """Seeds a database without accounts, or one whose seeding was interrupted; leaves any other alone."""
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            in_use = session.scalar(select(exists(select(User.id))))
            begun = _find_user(session, ADMIN) is not None
    finally:
        engine.dispose()
    return (begun or not in_use) and seed(settings)


def demo_logins(settings: Settings) -> dict[str, str]:
    """E-mail address → password of the demo's accounts, the admin first; empty where there is no demo."""
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            there = holds_demo(session)
    finally:
        engine.dispose()
    return {user.email: user.password for user in (ADMIN, *HOSTS, *ATTENDEES)} if there else {}


def refuse_demo(settings: Settings) -> None:
    """Raises DemoRefusedError when the database of a production installation holds the demo's accounts."""
    if settings.is_production and demo_logins(settings):
        raise DemoRefusedError(
            "this database holds the demo, whose passwords are public; use a fresh database"
        )


def _find_user(session: Session, user: DemoUser) -> User | None:
    return session.scalar(select(User).where(func.lower(User.email) == user.email, User.deleted_at.is_(None)))


def _make_users(session: Session, passwords: Passwords) -> dict[str, User]:
    users = {}
    for user in (ADMIN, *HOSTS, *ATTENDEES):
        found = _find_user(session, user)
        if found is None:
            fields = {"name": user.name, "email": user.email, "password_hash": passwords.hash(user.password)}
            if user.role == "admin":
                found, _ = make_admin(session, **fields)
            else:
                found = create_user(session, role=user.role, **fields)
        users[user.email] = found
    return users


def _make_organizations(session: Session, users: Mapping[str, User]) -> list[int]:
    """The ids of all of them; makes those that are not there."""
    made = []
    for organization in ORGANIZATIONS:
        name = organization.fields["name"]
        found = session.scalar(select(Organization.id).where(Organization.name == name))
        if found is None:
            owner_id = users[organization.owner.email].id
            found = create_organization(
                session, actor=Actor(owner_id, "host"), values=organization.fields, request_id=None
            )
            owner = Actor(owner_id, "host", organization_ids=frozenset({found}))
            for member in organization.members:
                set_member(
                    session,
                    actor=owner,
                    organization_id=found,
                    user_id=users[member.email].id,
                    email=None,
                    role="member",
                    request_id=None,
                )
        made.append(found)
    return made


def _follow(session: Session, hosts: list[int], attendees: list[int]) -> None:
    """Before there are events, so that they are news."""
    for number, followed in FOLLOWS.items():
        for host in followed:
            follow(session, hosts[host], actor=Actor(attendees[number], "attendee"))


def _make_events(session: Session, hosts: list[int], organizations: list[int]) -> dict[int, DemoEvent]:
    """Event id → demo event, of all of them; makes those that are not there, looked at as often as they say."""
    looks: dict[int, int] = {}
    now = read_clock(session)
    made = {}
    for event in EVENTS:
        found = session.scalar(select(Event.id).where(Event.code == event.code))
        if found is None:
            actor = Actor(hosts[event.host], "host", organization_ids=frozenset(organizations))
            values = _values(event, now)
            if event.organization is not None:
                values["organization_id"] = organizations[event.organization]
            found = create_event(session, actor=actor, values=values, request_id=None)
            if event.looks:
                looks[found] = event.looks
        made[found] = event
    if looks:
        add_impressions(session, looks)
    return made


def _show_interest(session: Session, events: Mapping[int, DemoEvent], attendees: list[int]) -> None:
    """Of a sale that has opened since (an interrupted seeding) nobody is told any more."""
    for event_id, event in events.items():
        found = find_event(session, event_id) if event.interested else None
        if found is None or found.sales_open_at is None or found.sales_open_at <= found.read_at:
            continue
        for number in event.interested:
            add_interest(session, found, actor=Actor(attendees[number], "attendee"))


def _values(event: DemoEvent, now: datetime) -> dict[str, Any]:
    today = now.replace(hour=19, minute=0, second=0, microsecond=0)
    fields = {"status": "scheduled", "time_zone": "Europe/Paris", **event.fields}
    if "sales_open_in" in fields:
        fields["sales_open_at"] = now + fields.pop("sales_open_in")
    return {**fields, "code": event.code, "starts_at": today + timedelta(days=event.days_until_start)}
