"""PostgreSQL as it was some time ago, in a test: what a restored backup looks like, without a second server."""

from collections.abc import Sequence

from sqlalchemy import Engine, text

_TABLES = ("decisions", "bookings", "control_requests", "audit_log", "events", "users")
# What a batch or the control plane changes of an event.
_HEAD = (
    "booked",
    "last_number",
    "last_hash",
    "last_arrival",
    "last_decided_at",
    "arrivals_reissued",
    "status",
    "version",
    "capacity",
)
_SEQUENCES = ("claim_token_seq", "booking_reference_seq", "events_id_seq", "users_id_seq")


class Backup:
    """Remembers the tables at its making; `restore` brings them back."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            connection.execute(text("create schema backup"))
            for table in _TABLES:
                connection.execute(text(f"create table backup.{table} as table {table}"))
            self._sequences = {
                name: connection.execute(text(f"select last_value, is_called from {name}")).one()
                for name in _SEQUENCES
            }

    def restore(self) -> None:
        """Everything since is gone, sequences included."""
        self._run(
            "set local session_replication_role = replica",  # no triggers, no foreign keys
            *(
                f"delete from {table} where {key} not in (select {key} from backup.{table})"
                for table, key in zip(_TABLES, ("job_id", "id", "job_id", "id", "id", "id"), strict=True)
            ),
            f"update events e set {', '.join(f'{name} = b.{name}' for name in _HEAD)}"
            " from backup.events b where b.id = e.id",
            "update bookings k set status = b.status, cancelled_at = b.cancelled_at"
            " from backup.bookings b where b.id = k.id",
            "update control_requests c set queued_at = b.queued_at, decided_at = b.decided_at"
            " from backup.control_requests b where b.job_id = c.job_id",
            *(
                f"select setval('{name}', {value}, {called})"
                for name, (value, called) in self._sequences.items()
            ),
        )

    def _run(self, *statements: str) -> None:
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))


def count_rows(engine: Engine, tables: Sequence[str] = _TABLES) -> dict[str, int]:
    """Rows by table."""
    with engine.connect() as connection:
        return {
            table: connection.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables
        }
