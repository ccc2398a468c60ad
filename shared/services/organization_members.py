"""Who belongs to an organization: adding, giving another role, removing, leaving, and the end of an account."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.domain.organizations import MEMBER, OWNER, MemberRole
from shared.domain.permissions import Actor, may_run_organization, may_see_members
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.ids import BIGINT_MAX
from shared.models import Organization, OrganizationMember, User
from shared.services.organizations import check_room, lock_organization, lock_run, record
from shared.services.token_families import lock_user
from shared.store.organizations import count_owners, find_membership


def check_sees_members(actor: Actor, organization_id: int) -> None:
    """Raises `organization_not_found` to whom its members are not shown. No round trip."""
    if organization_id > BIGINT_MAX or not may_see_members(actor, organization_id):
        raise NotFoundError("organization_not_found")


def set_member(
    session: Session,
    *,
    actor: Actor,
    organization_id: int,
    user_id: int | None,
    email: str | None,
    role: MemberRole,
    request_id: str | None,
) -> tuple[int, bool]:
    """Lets the user with this id, or this address, belong to the organization in this role; returns the user's id,
    and whether the member is new. Who has the role already keeps it, and nothing is written.

    Raises `organization_not_found`, `forbidden`, and only to who may ask: `user_not_found`, `last_owner`,
    `too_many_organizations`.
    """
    check_sees_members(actor, organization_id)
    # Looked at before anything is said about an account, and again under the lock: users are locked first.
    own_role = find_membership(session, organization_id=organization_id, user_id=actor.user_id)
    if not may_run_organization(actor, own_role):
        raise GuichetError("forbidden", "Only its owners and admins say who belongs to it.")
    user = _lock_member_to_be(session, user_id=user_id, email=email)
    lock_run(session, actor, organization_id)
    membership = _find(session, organization_id, user.id)
    before = None if membership is None else membership.role
    if before == role:
        return user.id, False
    if membership is None:
        check_room(session, user.id)
        session.add(OrganizationMember(organization_id=organization_id, user_id=user.id, role=role))
    else:
        _check_is_not_last_owner(session, membership)
        membership.role = role
    _record_role(
        session, organization_id, user.id, before, role, actor_id=actor.user_id, request_id=request_id
    )
    session.flush()
    return user.id, before is None


def remove_member(
    session: Session, *, actor: Actor, organization_id: int, user_id: int, request_id: str | None
) -> None:
    """Ends a membership: one's own, or as an owner or admin anybody's. Events that the member hosts stay theirs.

    Raises `organization_not_found`, `member_not_found`, `forbidden`, `last_owner`.
    """
    check_sees_members(actor, organization_id)
    if user_id == actor.user_id:
        lock_organization(session, organization_id)
    else:
        lock_run(session, actor, organization_id)
    membership = _find(session, organization_id, user_id)
    if membership is None:
        raise NotFoundError("member_not_found")
    _check_is_not_last_owner(session, membership)
    session.delete(membership)
    _record_role(
        session,
        organization_id,
        user_id,
        membership.role,
        None,
        actor_id=actor.user_id,
        request_id=request_id,
    )
    session.flush()


def end_memberships(session: Session, user_id: int, *, actor_id: int, request_id: str | None) -> None:
    """Ends every membership of a user whose account, with its row locked, is being closed.

    Where that was the last owner, who belongs to the organization for the longest time becomes one; an organization
    that nobody belongs to any more stays, for admins to manage. Locks the organizations in id order.
    """
    mine = select(OrganizationMember.organization_id).where(OrganizationMember.user_id == user_id)
    organizations = session.scalars(
        select(Organization)
        .where(Organization.id.in_(mine), Organization.deleted_at.is_(None))
        .order_by(Organization.id)
        .with_for_update(key_share=True)
    ).all()
    for organization in organizations:
        membership = _find(session, organization.id, user_id)
        if membership is None:  # removed while we waited for the lock
            continue
        session.delete(membership)
        _record_role(
            session, organization.id, user_id, membership.role, None, actor_id=actor_id, request_id=request_id
        )
        session.flush()
        if not count_owners(session, organization.id):
            _promote_oldest(session, organization.id, actor_id=actor_id, request_id=request_id)


def _promote_oldest(session: Session, organization_id: int, *, actor_id: int, request_id: str | None) -> None:
    oldest = session.scalar(
        select(OrganizationMember)
        .where(OrganizationMember.organization_id == organization_id)
        .order_by(OrganizationMember.created_at, OrganizationMember.user_id)
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if oldest is not None:
        oldest.role = OWNER
        _record_role(
            session, organization_id, oldest.user_id, MEMBER, OWNER, actor_id=actor_id, request_id=request_id
        )
        session.flush()


def _find(session: Session, organization_id: int, user_id: int) -> OrganizationMember | None:
    """The membership as it is now: the organization's row is locked."""
    if user_id > BIGINT_MAX:
        return None
    return session.get(OrganizationMember, (organization_id, user_id), populate_existing=True)


def _lock_member_to_be(session: Session, *, user_id: int | None, email: str | None) -> User:
    """The live account, locked: it is not closed before it belongs to the organization."""
    if user_id is None:
        user_id = session.scalar(
            select(User.id).where(func.lower(User.email) == func.lower(email), User.deleted_at.is_(None))
        )
    user = None if user_id is None else lock_user(session, user_id)
    if user is None:
        raise NotFoundError("user_not_found")
    return user


def _check_is_not_last_owner(session: Session, membership: OrganizationMember) -> None:
    """The organization's row is locked, so that two owners who leave at once do it one after the other."""
    if membership.role == OWNER and count_owners(session, membership.organization_id) == 1:
        raise RefusedError("last_owner")


def _record_role(
    session: Session,
    organization_id: int,
    user_id: int,
    before: str | None,
    after: str | None,
    *,
    actor_id: int,
    request_id: str | None,
) -> None:
    verb = "add_member" if before is None else "change_member" if after is not None else "remove_member"
    changes = {"user_id": user_id, "role": {"from": before, "to": after}}
    record(session, organization_id, verb, changes, actor_id=actor_id, request_id=request_id)
