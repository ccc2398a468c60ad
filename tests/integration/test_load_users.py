"""Load users: as many as asked for, each the same person every time."""

from sqlalchemy import Engine, text

from shared.db import transaction
from shared.services.load_users import ensure_load_users


class TestLoadUsers:
    def test_are_the_same_people_however_many_are_made_at_once(self, engine: Engine) -> None:
        with transaction(engine) as session:
            some = ensure_load_users(session, 5, at_once=2)
            more = ensure_load_users(session, 12, at_once=4)
            assert more[:5] == some
            assert more == ensure_load_users(session, 12)
            query = "select email from unnest(cast(:ids as bigint[])) with ordinality v (id, n) join users u using (id) order by n"
            emails = session.execute(text(query), {"ids": more}).scalars().all()
        assert emails == [f"load-{number}@example.org" for number in range(1, 13)]

    def test_may_be_none(self, engine: Engine) -> None:
        with transaction(engine) as session:
            assert ensure_load_users(session, 0) == []
