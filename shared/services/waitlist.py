"""What the door asks before somebody leaves a waitlist."""

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.db import transaction
from shared.errors import UnavailableError
from shared.services.line import LineClient
from shared.store.waitlist import has_place


def may_have_place(engine: Engine, line: LineClient, *, event_id: int, user_id: int) -> bool:
    """Whether the user has a place to leave, or might have one when a request to leave is decided: something of theirs
    is undecided, or a server does not answer. One round trip to Redis, and one to PostgreSQL.

    Who never waited must not fill somebody's ledger with rows that say so.
    """
    try:
        if line.list_undecided(user_id):
            return True
        with transaction(engine) as session:
            return has_place(session, event_id=event_id, user_id=user_id)
    except (UnavailableError, SQLAlchemyError, OSError):
        return True  # what frees tickets always gets in; the worker decides
