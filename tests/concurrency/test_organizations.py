"""Organizations while two act at once: an owner stays, no event is left in one that is gone, and a right that has ended
counts no more.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from shared.db import Session, transaction
from shared.domain.permissions import Actor
from shared.errors import GuichetError
from shared.models import Event, Organization, OrganizationMember, User
from shared.services import accounts, events, organization_members, organizations
from shared.services.organizations import HeldOrganizations
from tests.event_calls import START
from tests.factories import make_event, make_organization, make_user
from tests.lines import await_that
from tests.locks import count_waiting_for_locks

Act = Callable[[Session], object]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def people(engine: Engine) -> list[User]:
    return [make_user(engine, role="host") for _ in range(2)]


def acting(user: User, organization: Organization) -> Actor:
    """Who acts, as a request knows them that began before anything ended."""
    return Actor(user.id, "host", organization_ids=frozenset({organization.id}))


def leave(user: User, organization: Organization, session: Session) -> None:
    organization_members.remove_member(
        session,
        actor=acting(user, organization),
        organization_id=organization.id,
        user_id=user.id,
        request_id=None,
    )


def remove(user: User, organization: Organization, owner: User, session: Session) -> None:
    organization_members.remove_member(
        session,
        actor=acting(owner, organization),
        organization_id=organization.id,
        user_id=user.id,
        request_id=None,
    )


def set_role(user: User, organization: Organization, owner: User, role: Any, session: Session) -> None:
    organization_members.set_member(
        session,
        actor=acting(owner, organization),
        organization_id=organization.id,
        user_id=user.id,
        email=None,
        role=role,
        request_id=None,
    )


def dissolve(user: User, organization: Organization, session: Session) -> None:
    organizations.delete_organization(
        session, actor=acting(user, organization), organization_id=organization.id, request_id=None
    )


def put_event(user: User, organization: Organization, session: Session) -> int:
    values = {"title": "Concert", "starts_at": START, "capacity": 9, "organization_id": organization.id}
    return events.create_event(session, actor=acting(user, organization), values=values, request_id=None)


def retitle(user: User, organization: Organization, event: Event, session: Session) -> None:
    events.change_event(
        session,
        actor=acting(user, organization),
        event_id=event.id,
        values={"title": "Carmen"},
        whole=False,
        versions=None,
        request_id=None,
    )


def alone(engine: Engine, act: Act) -> None:
    with transaction(engine) as session:
        act(session)


def one_waits_for_the_other(
    engine: Engine, pool: ThreadPoolExecutor, first: Act, second: Act
) -> Future[None]:
    """The second begins when the first has done everything but commit, and ends after it."""
    with transaction(engine) as session:
        first(session)
        waiting = pool.submit(alone, engine, second)
        await_that(lambda: count_waiting_for_locks(engine) == 1, what="the second to wait for the first")
    return waiting


def one_inside_the_other(engine: Engine, pool: ThreadPoolExecutor, first: Act, second: Act) -> None:
    """The second is over before the first commits: what only happens with the guard removed."""
    with transaction(engine) as session:
        first(session)
        pool.submit(alone, engine, second).result(timeout=60)


def owners(engine: Engine, organization: Organization) -> set[int]:
    with transaction(engine) as session:
        query = select(OrganizationMember.user_id).where(
            OrganizationMember.organization_id == organization.id, OrganizationMember.role == "owner"
        )
        return set(session.scalars(query))


def lock_nothing(session: Session, organization_id: int) -> Organization:
    return session.get_one(Organization, organization_id)


def hold_nothing(_session: Session, actor: Actor, *, wanted_id: int | None = None) -> HeldOrganizations:
    return HeldOrganizations(actor, actor.organization_ids)


@pytest.fixture
def without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "lock_organization", lock_nothing)
    monkeypatch.setattr(organization_members, "lock_organization", lock_nothing)


class TestTwoOwners:
    def test_who_leave_at_once_leave_one_after_the_other(self, engine, pool, people):
        made = make_organization(engine, owners=people)
        ada, bob = people
        second = one_waits_for_the_other(engine, pool, partial(leave, ada, made), partial(leave, bob, made))
        with pytest.raises(GuichetError, match="last_owner"):
            second.result(timeout=60)
        assert owners(engine, made) == {bob.id}

    @pytest.mark.usefixtures("without_the_lock")
    def test_would_leave_nobody_without_the_lock(self, engine, pool, people):
        made = make_organization(engine, owners=people)
        ada, bob = people
        one_inside_the_other(engine, pool, partial(leave, ada, made), partial(leave, bob, made))
        assert owners(engine, made) == set()

    def test_who_demote_each_other_do_it_one_after_the_other(self, engine, pool, people):
        made = make_organization(engine, owners=people)
        ada, bob = people
        second = one_waits_for_the_other(
            engine,
            pool,
            partial(set_role, ada, made, bob, "member"),
            partial(set_role, bob, made, ada, "member"),
        )
        with pytest.raises(GuichetError, match="Only its owners"):  # ada is none any more
            second.result(timeout=60)
        assert owners(engine, made) == {bob.id}

    def test_of_whom_one_closes_the_account_while_the_other_leaves(self, engine, settings, pool, people):
        made = make_organization(engine, owners=people[:1], members=people[1:])
        ada, bob = people

        def close(session: Session) -> None:
            user = organization_members.lock_user(session, ada.id)
            accounts.close_account(session, user, actor_id=ada.id, settings=settings, request_id=None)

        second = one_waits_for_the_other(engine, pool, close, partial(leave, bob, made))
        with pytest.raises(GuichetError, match="last_owner"):  # bob became it
            second.result(timeout=60)
        assert owners(engine, made) == {bob.id}


class TestAnEventAndTheEndOfItsOrganization:
    def test_an_event_that_comes_first_keeps_it(self, engine, pool, people):
        made = make_organization(engine, owners=people)
        second = one_waits_for_the_other(
            engine, pool, partial(put_event, people[0], made), partial(dissolve, people[1], made)
        )
        with pytest.raises(GuichetError, match="organization_has_events"):
            second.result(timeout=60)

    def test_an_end_that_comes_first_keeps_the_event_out(self, engine, pool, people):
        made = make_organization(engine, owners=people)
        second = one_waits_for_the_other(
            engine, pool, partial(dissolve, people[1], made), partial(put_event, people[0], made)
        )
        with pytest.raises(GuichetError, match="organization_not_found"):
            second.result(timeout=60)

    def test_without_holding_it_an_event_is_left_in_what_is_gone(self, engine, pool, people, monkeypatch):
        monkeypatch.setattr(events, "hold_organizations", hold_nothing)
        made = make_organization(engine, owners=people)
        one_inside_the_other(
            engine, pool, partial(put_event, people[0], made), partial(dissolve, people[1], made)
        )
        with transaction(engine) as session:
            gone = select(Organization.id).where(Organization.deleted_at.is_not(None))
            left = select(func.count()).where(Event.organization_id.in_(gone), Event.deleted_at.is_(None))
            assert session.scalar(left) == 1


class TestAMemberWhoActsWhileRemoved:
    @pytest.fixture
    def made(self, engine, people) -> Organization:
        return make_organization(engine, owners=people[:1], members=people[1:])

    @pytest.fixture
    def event(self, engine, made) -> Event:
        return make_event(engine, organization_id=made.id)

    def test_the_removal_is_answered_after_what_is_under_way(self, engine, pool, people, made, event):
        owner, member = people
        second = one_waits_for_the_other(
            engine, pool, partial(retitle, member, made, event), partial(remove, member, made, owner)
        )
        second.result(timeout=60)
        with pytest.raises(GuichetError, match="Only its host"):
            alone(engine, partial(retitle, member, made, event))

    def test_what_comes_after_the_removal_has_no_right(self, engine, pool, people, made, event):
        """Begun before it, as a member; it waits, and is one no more."""
        owner, member = people
        second = one_waits_for_the_other(
            engine, pool, partial(remove, member, made, owner), partial(retitle, member, made, event)
        )
        with pytest.raises(GuichetError, match="Only its host"):
            second.result(timeout=60)

    def test_without_holding_it_a_right_that_has_ended_still_counts(
        self, engine, people, made, event, monkeypatch
    ):
        monkeypatch.setattr(events, "hold_organizations", hold_nothing)
        owner, member = people
        alone(engine, partial(remove, member, made, owner))
        alone(engine, partial(retitle, member, made, event))
        with transaction(engine) as session:
            assert session.get_one(Event, event.id).title == "Carmen"


class TestAnAccountThatIsClosedWhileAdded:
    def close(self, settings, user: User, session: Session) -> None:
        locked = organization_members.lock_user(session, user.id)
        accounts.close_account(session, locked, actor_id=user.id, settings=settings, request_id=None)

    def test_belongs_to_nothing(self, engine, settings, pool, people):
        owner, nina = people
        made = make_organization(engine, owners=[owner])
        second = one_waits_for_the_other(
            engine, pool, partial(self.close, settings, nina), partial(set_role, nina, made, owner, "member")
        )
        with pytest.raises(GuichetError, match="user_not_found"):
            second.result(timeout=60)

    def test_without_its_lock_it_would(self, engine, settings, pool, people, monkeypatch):
        owner, nina = people
        made = make_organization(engine, owners=[owner])
        with transaction(engine) as session:
            self.close(settings, nina, session)
            monkeypatch.setattr(organization_members, "lock_user", lambda other, key: other.get(User, key))
            add = partial(set_role, nina, made, owner, "member")
            pool.submit(alone, engine, add).result(timeout=60)
        with transaction(engine) as session:
            assert session.get(OrganizationMember, (made.id, nina.id)) is not None
