-- The roles of a Guichet database. Once, before the first migration, by a superuser (or by the database's owner who may
-- create roles), connected to that database; run again it changes nothing, and takes over tables that another role made:
--
--     psql -v ON_ERROR_STOP=1 --single-transaction -f deploy/roles.sql "dbname=guichet user=postgres"
--
-- Passwords are set apart, so that none stands in a file: \password guichet_owner, \password guichet_app, or
-- deploy/passwords.sql. What each role may do with each table stands in grants.sql, which `guichet migrate` applies.
--
--   guichet_owner   owns the tables: `guichet migrate` and nothing else
--   guichet_app     the API, both workers, every other command
--   guichet_reader  people who look: no secrets, no personal data, nothing written

set lock_timeout = '4s';

do $$
declare
    name text;
    found record;
begin
    foreach name in array array['guichet_owner', 'guichet_app', 'guichet_reader'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I login', name);
        end if;
        -- pg_temp last: a table of a session must never be taken for one of ours
        execute format('alter role %I in database %I set search_path = public, pg_temp', name, current_database());
    end loop;

    -- Whoever makes roles without being a superuser is no member of them by itself.
    if not pg_has_role(current_user, 'guichet_owner', 'member') then
        execute format('grant guichet_owner to %I', current_user);
    end if;

    execute format('revoke all on database %I from public', current_database());
    execute format('revoke all on database %I from guichet_app, guichet_reader', current_database());
    execute format('grant connect on database %I to guichet_owner, guichet_app, guichet_reader', current_database());

    -- The code sets its own limits; these are for sessions that set none: psql, a tool of somebody's.
    execute format('alter role guichet_app in database %I set statement_timeout = ''60s''', current_database());
    execute format('alter role guichet_app in database %I set lock_timeout = ''5s''', current_database());
    execute format('alter role guichet_app in database %I set idle_in_transaction_session_timeout = ''60s''',
        current_database());
    execute format('alter role guichet_reader in database %I set statement_timeout = ''5min''', current_database());
    execute format('alter role guichet_reader in database %I set lock_timeout = ''2s''', current_database());
    execute format('alter role guichet_reader in database %I set idle_in_transaction_session_timeout = ''60s''',
        current_database());
    execute format('alter role guichet_reader in database %I set default_transaction_read_only = on',
        current_database());

    -- What another role made here before (a release without roles, a restored dump) is handed over; what belongs to an
    -- extension, or to a column, follows by itself.
    for found in
        select case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
                as kind, c.oid::regclass::text as object, c.relowner as owner
            from pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S', 'v', 'm')
                and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass
                    and d.deptype in ('e', 'i', 'a'))
        union all
        select 'routine', p.oid::regprocedure::text, p.proowner from pg_proc p
            where p.pronamespace = 'public'::regnamespace
                and not exists (select from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass
                    and d.deptype = 'e')
        union all
        select 'statistics', s.stxname::text, s.stxowner from pg_statistic_ext s
            where s.stxnamespace = 'public'::regnamespace
    loop
        if found.owner <> 'guichet_owner'::regrole then
            execute format('alter %s %s owner to guichet_owner', found.kind, found.object);
        end if;
    end loop;
end $$;

revoke all on schema public from public;
revoke all on schema public from guichet_app, guichet_reader;
grant usage on schema public to guichet_app, guichet_reader;
grant usage, create on schema public to guichet_owner;

-- What a later migration makes is nobody's but its owner's, until grants.sql has a line for it.
alter default privileges for role guichet_owner revoke all on routines from public;
alter default privileges for role guichet_owner revoke all on tables from public;
alter default privileges for role guichet_owner revoke all on sequences from public;
