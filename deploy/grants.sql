-- What the application and its readers may do with each table: as much as the code needs, no more. `guichet migrate`
-- applies it, as the owner, in one transaction, where the roles of roles.sql exist; a table without a line here is
-- closed to both, and a test is red.
--
-- Locking a row (FOR UPDATE, FOR SHARE) needs UPDATE on one column of it, whichever: where a table has that for locks
-- alone, it says so.

do $$
declare found record;
begin
    for found in
        select c.oid::regclass::text as object, case c.relkind when 'S' then 'sequence' else 'table' end as kind
            from pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S', 'v', 'm')
                and pg_has_role(current_user, c.relowner, 'usage')
        union all
        select p.oid::regprocedure::text, 'routine' from pg_proc p
            where p.pronamespace = 'public'::regnamespace and pg_has_role(current_user, p.proowner, 'usage')
    loop
        execute format('revoke all on %s %s from public, guichet_app, guichet_reader', found.kind, found.object);
    end loop;
end $$;

-- The past: added to and read. Nothing that anybody has decided, or done as an admin, is changed or removed.
grant select, insert on decisions, audit_log to guichet_app;

-- Accounts: anonymised, never removed; the ledger refers to them.
grant select, insert, update (name, email, password_hash, role, updated_at, deleted_at) on users to guichet_app;
grant select, insert, delete, update (used_at) on refresh_tokens to guichet_app;
grant select, insert, delete, update (revoked_at, expires_at) on revoked_tokens to guichet_app;
grant select, insert, delete on login_failures to guichet_app;
grant select, insert, delete, update (status, headers, body) on idempotency_keys to guichet_app;

-- Events, bookings, waitlists: hidden or ended, never removed.
grant select, insert, update (
    host_id, organization_id, title, description, venue, category, code, time_zone, starts_at, ends_at, sales_open_at,
    sales_close_at, sales_paused, sales_announced_at, price_minor, currency, capacity, booked, offered, max_per_booking,
    waitlist_enabled, waiting, status, impressions, version, last_number, last_hash, last_arrival, arrivals_reissued,
    drained_up_to, drained_until, drain_reason, last_decided_at, updated_at, deleted_at, archived
) on events to guichet_app;
grant select, insert, update (status, cancelled_at) on bookings to guichet_app;
grant select, insert, update (status, ended_at) on waitlist_entries, offers to guichet_app;
grant select, insert, update (name, logo_url, website_url, background_url, updated_at, deleted_at)
    on organizations to guichet_app;
grant select, insert, delete, update (role) on organization_members to guichet_app;

-- Around them. `created_at` for locks alone.
grant select, insert, delete, update (created_at) on interests, follows to guichet_app;
grant select, insert, delete, update (read_at) on notifications to guichet_app;
grant select, insert, delete, update (set_aside_at, error) on outbox to guichet_app;
grant select, insert, update (queued_at, decided_at) on control_requests to guichet_app;

-- The line. LOCK TABLE, with which a pause begins, wants UPDATE of the whole table.
grant select, update on line_state to guichet_app;
grant select on alembic_version to guichet_app;

-- What can be counted again.
grant select, insert, update on event_totals, event_days, event_day_revenue, day_totals to guichet_app;
grant select, insert, update, delete on event_months, day_revenue, start_days, user_days, activity_days to guichet_app;
grant select, update (walked_to, history_counted, registrations_to) on analytics_state to guichet_app;
grant select, insert, update (started_at, ended_at, ledger_rows, findings, failed) on ledger_audits to guichet_app;

-- Ids of rows draw from their sequences by themselves; a repair lifts those of events and users, a backup reads all.
grant usage, select, update on claim_token_seq, booking_reference_seq, events_id_seq, users_id_seq to guichet_app;
grant select on organizations_id_seq, login_failures_id_seq, outbox_id_seq to guichet_app;

grant execute on function available_tickets, search_words, search_prefix, user_words, organization_words to guichet_app;

-- Who looks: what happened and how much of it, of whom only the number.
grant select on decisions, audit_log, events, bookings, waitlist_entries, offers, organizations, organization_members,
    interests, follows, control_requests, outbox, alembic_version, event_totals, event_days, event_day_revenue,
    event_months, day_totals, day_revenue, start_days, user_days, activity_days, analytics_state, ledger_audits
    to guichet_reader;
grant select (id, role, created_at, updated_at, deleted_at) on users to guichet_reader;
grant select (id, installation_id, partitions, paused, pause_reason, paused_by, paused_at, resume_at)
    on line_state to guichet_reader;
grant execute on function available_tickets, search_words, search_prefix, organization_words to guichet_reader;
