"""The claim session: one PostgreSQL connection that holds partitions and commits their batches.

An advisory lock lives as long as its session, and the session ends by itself when its holder falls silent:
PostgreSQL closes it after 3 s without a word, stopped process or cut cable alike. So holding the lock *on the
connection that commits* means that nobody else can be deciding these partitions. Redis is fenced besides, by a
token that grows with every claim.
"""

import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Final

import psycopg2
import psycopg2.extras
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a type

from shared.line.client import ScriptRunner
from shared.line.installation import Installation
from shared.line.take import Claim, write_token
from shared.store.batches import ADVISORY_CLASS, fetch_row

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 3  # after which PostgreSQL ends a silent holder's session
PING_SECONDS: Final = 1.0

_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "timezone=UTC",
        f"idle_session_timeout={SILENCE_SECONDS}s",
        f"idle_in_transaction_session_timeout={SILENCE_SECONDS}s",
        "lock_timeout=2s",  # a locked table costs a retry, not the claim
        "statement_timeout=20s",
        "enable_seqscan=off",  # see shared/store/batches.py
        "jit=off",
    )
)


class ClaimLostError(Exception):
    """This session no longer holds what it thought it held; whatever it did last is unknown."""


class ClaimSession:
    """A connection and the partitions it holds, each with its fencing token once that stands in Redis."""

    def __init__(self, database_url: str, application_name: str) -> None:
        self._dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._connection = psycopg2.connect(
            self._dsn,
            options=_OPTIONS,
            application_name=application_name,
            connect_timeout=3,
            keepalives_idle=2,
            tcp_user_timeout=SILENCE_SECONDS * 1000,
        )
        self._connection.autocommit = True  # begin and commit are said where they matter
        psycopg2.extras.register_uuid(conn_or_curs=self._connection)
        self.cursor: Cursor = self._connection.cursor()
        self.held: dict[int, Claim | None] = {}  # partition → claim, None until its token is in Redis
        self._spoke_at = time.monotonic()

    def close(self) -> None:
        """Ends the session, and with it every claim. Never raises: the session may be long gone."""
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()
        self.held.clear()

    def ping(self) -> None:
        """Says a word when the last one is a second old. At most one round trip; raises psycopg2.Error."""
        if time.monotonic() - self._spoke_at >= PING_SECONDS:
            self.cursor.execute("select 1")
            self.spoke()

    def spoke(self) -> None:
        """Notes that the server has just heard from this session."""
        self._spoke_at = time.monotonic()

    def claim(self, partitions: Iterable[int]) -> list[int]:
        """Locks those of `partitions` that nobody holds, and returns them. One round trip."""
        wanted = [partition for partition in partitions if partition not in self.held]
        if not wanted:
            return []
        self.cursor.execute(
            "select p from unnest(%s::int[]) p where pg_try_advisory_lock(%s, p)", (wanted, ADVISORY_CLASS)
        )
        self.spoke()
        claimed = [row[0] for row in self.cursor.fetchall()]
        self.held.update(dict.fromkeys(claimed))
        return claimed

    def fence(self, runner: ScriptRunner, installation: Installation, partition: int) -> Claim:
        """Draws a token for a held partition and writes it to Redis, so that every earlier holder's scripts do
        nothing from now on. Two round trips. Raises ForeignRedisError and what the client raises.
        """
        self.cursor.execute("select nextval('claim_token_seq')")
        while True:
            claim = Claim(partition, fetch_row(self.cursor)[0])
            newer = write_token(runner, installation, claim)
            if newer is None:
                self.held[partition] = claim
                return claim
            # A PostgreSQL restored from a backup draws lower tokens than Redis has seen. We hold the lock, so
            # the token is ours to lift.
            log.warning(
                "lifting the claim token", extra={"partition": partition, "from": claim.token, "to": newer}
            )
            self.cursor.execute(
                "select setval('claim_token_seq', greatest(%s, nextval('claim_token_seq')) + 1)", (newer,)
            )

    def give_away(self, partition: int) -> None:
        """Lets go of a partition between two batches. One round trip."""
        self.cursor.execute("select pg_advisory_unlock(%s, %s)", (ADVISORY_CLASS, partition))
        self.spoke()
        self.held.pop(partition, None)

    def rollback(self) -> None:
        """Ends the transaction, if there is one; raises psycopg2.Error when the session is gone."""
        self.cursor.execute("rollback")
        self.spoke()
