"""Makes what tests need: users, events, somebody signed in. Every event starts with its own ledger row."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import Engine, delete, func, select, text

from shared.clock import utc_now
from shared.db import transaction
from shared.domain.ledger import GENESIS
from shared.models import Event, Organization, OrganizationMember, User
from shared.services import audit_log
from shared.services.event_ledger import append_event_set
from shared.services.tokens import mint_access_token
from shared.settings import Settings

PASSWORD = "correct-horse-battery"
_numbers = itertools.count(1)
# As cheap as argon2 allows: what a test pays for every user with a password.
_hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def make_user(
    engine: Engine,
    *,
    role: str = "attendee",
    name: str | None = None,
    email: str | None = None,
    password: str | None = None,
) -> User:
    """A user; without a password nobody can log in as them, but `auth_header` works."""
    number = next(_numbers)
    user = User(
        name=name or f"Person {number}",
        email=email or f"person-{number}@example.org",
        role=role,
        password_hash=None if password is None else _hasher.hash(password),
    )
    with transaction(engine) as session:
        session.add(user)
        session.flush()
        session.refresh(user)
    return user


def make_users(engine: Engine, count: int) -> list[User]:
    """Many attendees in one transaction."""
    users = [
        User(name=f"Person {number}", email=f"person-{number}@example.org", role="attendee")
        for number in itertools.islice(_numbers, count)
    ]
    with transaction(engine) as session:
        session.add_all(users)
        session.flush()
        for user in users:
            session.refresh(user)
    return users


def make_event(engine: Engine, *, host: User | None = None, **fields: Any) -> Event:
    """A scheduled event that is on sale, in 30 days, for 100; any column may be given."""
    host = host or make_user(engine, role="host")
    with transaction(engine) as session:
        now: datetime = session.execute(select(func.now())).scalar_one()
        starts_at = fields.get("starts_at", now + timedelta(days=30))
        defaults = {
            "title": f"Event {next(_numbers)}",
            "description": "",
            "venue": "Hall",
            "category": "music",
            "time_zone": "Europe/Paris",
            "starts_at": starts_at,
            "ends_at": starts_at + timedelta(hours=2),
            "sales_open_at": None,
            "sales_close_at": starts_at,
            "sales_paused": False,
            "price_minor": 0,
            "currency": "EUR",
            "capacity": 100,
            "max_per_booking": 10,
            "status": "scheduled",
            "last_hash": GENESIS,
        }
        event = Event(host_id=host.id, **{**defaults, **fields})
        session.add(event)
        session.flush()
        job_id = append_event_set(session, event, actor_id=host.id, now=now)
        audit_log.record(
            session,
            actor_id=host.id,
            action="event.create",
            target_type="event",
            target_id=event.id,
            job_id=job_id,
        )
        session.flush()
        session.refresh(event)
    return event


def remove_member(engine: Engine, user: User) -> None:
    """Takes somebody out of every organization, behind the API's back."""
    with transaction(engine) as session:
        session.execute(delete(OrganizationMember).where(OrganizationMember.user_id == user.id))


def make_organization(
    engine: Engine, *, owners: Sequence[User] = (), members: Sequence[User] = (), **fields: Any
) -> Organization:
    """An organization and who belongs to it, the owners longer than the members."""
    with transaction(engine) as session:
        organization = Organization(**{"name": f"Organization {next(_numbers)}", **fields})
        session.add(organization)
        session.flush()
        now: datetime = session.execute(select(func.now())).scalar_one()
        people = [*((user, "owner") for user in owners), *((user, "member") for user in members)]
        session.add_all(
            OrganizationMember(
                organization_id=organization.id,
                user_id=user.id,
                role=role,
                created_at=now + timedelta(seconds=number - len(people)),
            )
            for number, (user, role) in enumerate(people)
        )
        session.flush()
        session.refresh(organization)
    return organization


def auth_header(app: Flask, user: User, *, family_id: uuid.UUID | None = None) -> dict[str, str]:
    """The Authorization header of `user`, signed in."""
    return bearer(app.extensions["guichet"].settings, user, family_id=family_id)


def bearer(settings: Settings, user: User, *, family_id: uuid.UUID | None = None) -> dict[str, str]:
    """The Authorization header of `user` for any process that runs with `settings`."""
    token = mint_access_token(
        settings.secret_key,
        user_id=user.id,
        role=user.role,
        family_id=family_id or uuid.uuid4(),
        now=utc_now(),
        lifetime_seconds=settings.access_token_seconds,
    )
    return {"Authorization": f"Bearer {token}"}


def change(engine: Engine, statement: str, **values: object) -> None:
    """What no public entrypoint does: a statement in a transaction of its own."""
    with transaction(engine) as session:
        session.execute(text(statement), values)
