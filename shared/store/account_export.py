"""What an account's export is made of, beside the lists that there are already: each list in the order of its key."""

from typing import Final

from sqlalchemy.orm import Session

from shared.domain.requests import KINDS
from shared.store.events import EVENT_COLUMNS, EVENT_TABLES
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page


def list_memberships(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """The organizations that somebody belongs to."""
    return _list_own(
        session,
        user_id,
        page,
        columns="m.organization_id, o.name as organization_name, m.role, m.created_at",
        tables="organization_members m join organizations o on o.id = m.organization_id",
        owner="m.user_id",
        key="m.organization_id",
    )


def list_decided(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """The ledger rows of somebody's requests."""
    return _list_own(
        session,
        user_id,
        page,
        columns="d.*",
        tables="decisions d",
        owner="d.kind = any(:kinds) and d.user_id",
        key="d.job_id",
    )


def list_waitlist_entries(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """Somebody's entries in waitlists, each with its offer, if it had one."""
    return _list_own(
        session,
        user_id,
        page,
        columns="""w.id, w.event_id, w.tickets, w.status, w.created_at, w.ended_at, o.id as offer_id,
            o.status as offer_status, o.expires_at, o.created_at as offered_at, o.ended_at as offer_ended_at""",
        tables="waitlist_entries w left join offers o on o.entry_id = w.id",
        owner="w.user_id",
        key="w.id",
    )


def list_own_interests(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """Which sales somebody wanted to be told of, of events too that nobody sees any more."""
    return _list_own(
        session,
        user_id,
        page,
        columns="i.event_id, i.created_at",
        tables="interests i",
        owner="i.user_id",
        key="i.created_at",
        row_id="i.event_id",
    )


def list_hosted_events(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """The events that somebody hosts, drafts too, hidden ones not; rows for `make_event_row`."""
    return _list_own(
        session,
        user_id,
        page,
        columns=EVENT_COLUMNS,
        tables=EVENT_TABLES,
        owner="e.deleted_at is null and e.host_id",
        key="e.starts_at",
        row_id="e.id",
    )


# Tokens are deleted a day after they expire: this is the last month, and a few thousand rows at the most.
_LOG_INS: Final = """(
    select family_id, min(created_at) as started_at, max(created_at) as renewed_at, max(expires_at) as expires_at,
        bool_or(used_at is null and expires_at > now()) as open
    from refresh_tokens where user_id = :user_id group by family_id
) f"""


def list_log_ins(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """When somebody logged in, as long as the tokens of it are kept."""
    return _list_own(
        session,
        user_id,
        page,
        columns="f.started_at, f.renewed_at, f.expires_at, f.open",
        tables=_LOG_INS,
        owner=":user_id",
        key="f.started_at",
        row_id="f.family_id",
    )


def _list_own(
    session: Session,
    user_id: int,
    page: PageRequest,
    *,
    columns: str,
    tables: str,
    owner: str,
    key: str,
    row_id: str | None = None,
) -> Page:
    query = ListQuery(
        columns=columns,
        tables=tables,
        conditions=[f"{owner} = :user_id"],
        parameters={"user_id": user_id, "kinds": list(KINDS)},
        key=key,
        id=row_id or key,
    )
    return fetch_page(session, query, page)
