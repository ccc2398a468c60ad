"""Many at once do to organizations what can be done: nobody waits in a circle, and what must hold holds afterwards."""

import random
import threading
from collections import Counter
from collections.abc import Callable

from sqlalchemy import Engine, text

from shared.db import Session, transaction
from shared.domain.permissions import Actor
from shared.errors import GuichetError
from shared.models import User
from shared.services import accounts, events, organization_members, organizations
from shared.settings import Settings
from tests.event_calls import START
from tests.factories import make_event, make_organization, make_user

THREADS = 6
ACTS = 80

# Broken promises, each as rows that must not be.
BROKEN = {
    "an organization with members and no owner": """
        select organization_id from organization_members group by 1 having count(*) filter (where role = 'owner') = 0
    """,
    "an event in an organization that is gone": """
        select e.id from events e join organizations o on o.id = e.organization_id
        where o.deleted_at is not null and e.deleted_at is null
    """,
    "a member of an organization that is gone": """
        select m.user_id from organization_members m join organizations o on o.id = m.organization_id
        where o.deleted_at is not null
    """,
    "a member whose account is closed": """
        select m.user_id from organization_members m join users u on u.id = m.user_id where u.deleted_at is not null
    """,
}


class Crowd:
    """People of three organizations, each with events, who do whatever they like."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        people = [make_user(engine, role="host") for _ in range(12)]
        self.members = [[people[(first + n) % 12] for n in range(5)] for first in range(0, 12, 4)]
        self.organizations = [
            make_organization(engine, owners=some[:3], members=some[3:]).id for some in self.members
        ]
        self.events = [
            [make_event(engine, host=some[0], organization_id=organization_id).id for _ in range(2)]
            for some, organization_id in zip(self.members, self.organizations, strict=True)
        ]
        self.came_of: Counter[str] = Counter()
        self.unexpected: list[BaseException] = []

    def act(self, dice: random.Random) -> None:
        """One thing by one person, in a transaction of its own."""
        place = dice.randrange(len(self.organizations))
        user, other = dice.sample(self.members[place], 2)
        organization_id, event_id = self.organizations[place], dice.choice(self.events[place])
        acts: list[Callable[[Session, Actor], object]] = [
            lambda session, actor: self._set_role(session, actor, organization_id, other, dice),
            lambda session, actor: self._set_role(session, actor, organization_id, other, dice),
            lambda session, actor: organization_members.remove_member(
                session, actor=actor, organization_id=organization_id, user_id=other.id, request_id=None
            ),
            lambda session, actor: organization_members.remove_member(
                session, actor=actor, organization_id=organization_id, user_id=user.id, request_id=None
            ),
            lambda session, actor: organizations.delete_organization(
                session, actor=actor, organization_id=organization_id, request_id=None
            ),
            lambda session, actor: self._move(session, actor, event_id, organization_id),
            lambda session, actor: self._move(session, actor, event_id, None),
            lambda session, actor: self._create(session, actor, organization_id),
        ]
        weights = [6, 6, 3, 3, 0.5, 4, 3, 2]
        if dice.random() < 0.004:
            self._run(user, self._close)
        else:
            self._run(user, dice.choices(acts, weights)[0])

    def _run(self, user: User, act: Callable[[Session, Actor], object]) -> None:
        try:
            with transaction(self.engine) as session:
                actor = accounts.find_actor(session, user_id=user.id, family_id="", subjects=())
                if actor is None:
                    raise GuichetError("unauthenticated")
                act(session, actor)
        except GuichetError as error:
            self.came_of[error.code] += 1
        except Exception as error:  # whatever it is, it is reported
            self.unexpected.append(error)
        else:
            self.came_of["done"] += 1

    def _set_role(
        self, session: Session, actor: Actor, organization_id: int, other: User, dice: random.Random
    ) -> None:
        organization_members.set_member(
            session,
            actor=actor,
            organization_id=organization_id,
            user_id=other.id,
            email=None,
            role=dice.choice(["owner", "member"]),
            request_id=None,
        )

    def _move(self, session: Session, actor: Actor, event_id: int, organization_id: int | None) -> None:
        events.change_event(
            session,
            actor=actor,
            event_id=event_id,
            values={"organization_id": organization_id},
            whole=False,
            versions=None,
            request_id=None,
        )

    def _create(self, session: Session, actor: Actor, organization_id: int) -> None:
        values = {"title": "New", "starts_at": START, "capacity": 5, "organization_id": organization_id}
        events.create_event(session, actor=actor, values=values, request_id=None)

    def _close(self, session: Session, actor: Actor) -> None:
        user = organization_members.lock_user(session, actor.user_id)
        if user is None:
            raise GuichetError("unauthenticated")
        accounts.close_account(session, user, actor_id=actor.user_id, settings=self.settings, request_id=None)


def test_no_circle_and_nothing_broken(engine: Engine, settings: Settings) -> None:
    crowd = Crowd(engine, settings)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(ACTS):
            crowd.act(dice)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowd.unexpected == []
    assert sum(crowd.came_of.values()) == THREADS * ACTS
    assert crowd.came_of["done"] >= THREADS * ACTS / 10, crowd.came_of
    with transaction(engine) as session:
        broken = {name: list(session.scalars(text(query))) for name, query in BROKEN.items()}
    assert broken == {name: [] for name in BROKEN}
