"""`guichet seed`: the demo: people, organizations, and events of every kind. Never in production."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, Final

import click
from sqlalchemy import Engine, exists, func, select
from sqlalchemy.orm import Session

from scripts.demo import ADMIN, ATTENDEES, EVENTS, HOSTS, ORGANIZATIONS, DemoEvent, DemoUser
from scripts.environment import load_command_settings
from shared.db import make_engine, transaction
from shared.domain.permissions import Actor
from shared.domain.requests import BOOK
from shared.ids import uuid7
from shared.line.accept import NewRequest
from shared.line.client import make_redis
from shared.models import AuditLogEntry, Event, Organization, User
from shared.services import audit_log
from shared.services.events import create_event
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.services.organization_members import set_member
from shared.services.organizations import create_organization
from shared.services.passwords import Passwords
from shared.services.users import create_user, make_admin
from shared.settings import Settings
from shared.store.clock import read_clock

_ACTION: Final = "demo.seed"


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
            if _holds_demo(session):
                return False
            users = _make_users(session, Passwords(settings))
            organizations = _make_organizations(session, users)
            made = _make_events(session, [users[host.email] for host in HOSTS], organizations)
        _book(settings, engine, made, [users[attendee.email] for attendee in ATTENDEES])
        with transaction(engine) as session:
            audit_log.record(
                session, actor_id=None, action=_ACTION, target_type="installation", target_id="demo"
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
            there = _holds_demo(session)
    finally:
        engine.dispose()
    return {user.email: user.password for user in (ADMIN, *HOSTS, *ATTENDEES)} if there else {}


def refuse_demo(settings: Settings) -> None:
    """Raises DemoRefusedError when the database of a production installation holds the demo's accounts."""
    if settings.is_production and demo_logins(settings):
        raise DemoRefusedError(
            "this database holds the demo, whose passwords are public; use a fresh database"
        )


def _holds_demo(session: Session) -> bool:
    return bool(session.scalar(select(exists().where(AuditLogEntry.action == _ACTION))))


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


def _make_events(session: Session, hosts: list[User], organizations: list[int]) -> dict[int, DemoEvent]:
    """Event id → demo event, of all of them; makes those that are not there."""
    today = read_clock(session).replace(hour=19, minute=0, second=0, microsecond=0)
    made = {}
    for event in EVENTS:
        found = session.scalar(select(Event.id).where(Event.code == event.code))
        if found is None:
            actor = Actor(hosts[event.host].id, "host", organization_ids=frozenset(organizations))
            values = _values(event, today)
            if event.organization is not None:
                values["organization_id"] = organizations[event.organization]
            found = create_event(session, actor=actor, values=values, request_id=None)
        made[found] = event
    return made


def _values(event: DemoEvent, today: datetime) -> dict[str, Any]:
    fields = {"status": "scheduled", "time_zone": "Europe/Paris", **event.fields}
    if "sales_open_in_days" in fields:
        fields["sales_open_at"] = today + timedelta(days=fields.pop("sales_open_in_days"))
    return {**fields, "code": event.code, "starts_at": today + timedelta(days=event.days_until_start)}


def _book(settings: Settings, engine: Engine, events: Mapping[int, DemoEvent], attendees: list[User]) -> None:
    """Puts the bookings into the line; the workers decide them when they run."""
    with closing(make_redis(settings.redis_url)) as redis:
        line = LineClient(settings, redis, LineGate(settings, engine, redis))
        for event_id, event in events.items():
            for attendee, tickets in zip(attendees, event.tickets, strict=False):
                line.accept(
                    NewRequest(
                        job_id=uuid7(), kind=BOOK, event_id=event_id, user_id=attendee.id, tickets=tickets
                    )
                )
