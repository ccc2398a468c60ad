"""That a ledger row's event exists is checked once a statement, not once a row.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The same as the foreign key, and as its locks: whoever writes a row keeps the event from being removed until the
# commit, whoever removes an event waits for that and looks again.
UPGRADE = """
create function refuse_ledger_of_no_event() returns trigger language plpgsql as $$
begin
    if exists (
        select from (select distinct event_id from added) a
        where not exists (select from events e where e.id = a.event_id for key share)
    ) then
        raise exception 'a ledger row needs its event' using errcode = 'foreign_key_violation';
    end if;
    return null;
end $$;
create trigger decisions_event_exists after insert on decisions
    referencing new table as added for each statement execute function refuse_ledger_of_no_event();

create function refuse_loss_of_ledger() returns trigger language plpgsql as $$
begin
    if exists (select from decisions d where d.event_id = old.id) then
        raise exception 'an event with a ledger stays' using errcode = 'foreign_key_violation';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger events_keep_ledger before delete or update of id on events
    for each row execute function refuse_loss_of_ledger();
create trigger events_no_truncate before truncate on events
    for each statement execute function refuse_ledger_change();

alter table decisions drop constraint decisions_event_id_fkey;
"""

DOWNGRADE = """
alter table decisions add constraint decisions_event_id_fkey foreign key (event_id) references events;
drop trigger events_no_truncate on events;
drop trigger events_keep_ledger on events;
drop trigger decisions_event_exists on decisions;
drop function refuse_loss_of_ledger;
drop function refuse_ledger_of_no_event;
"""


def upgrade() -> None:
    """Replaces the foreign key by triggers."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Takes the foreign key back."""
    op.execute(DOWNGRADE)
