-- The centre's database: what kiosks say, and the views that operators look at.
--
--   createdb kiosks
--   psql -d kiosks -f schema.sql
--
-- Run it as a superuser, with PostgreSQL 14 or newer; run it again after an upgrade: it changes only what differs. Everything
-- belongs to kiosk_owner, a role that nobody logs in as. docs/centre.md says how it is set up and what the views mean.
--
-- Telegraf copies each message as it came into centre.inbox, which stays empty: a trigger reads the message, checks it, and files
-- it. Nothing that a kiosk sends makes a copy fail, because Telegraf gives up the whole batch of a failed copy: what cannot be
-- read goes to centre.refused, with the reason.

\set ON_ERROR_STOP on
begin;
set local client_min_messages = warning;

-- Roles

do $$
declare
    role text;
begin
    foreach role in array array['kiosk_owner', 'kiosk_writer', 'kiosk_reader', 'kiosk_supervisor'] loop
        if not exists (select from pg_roles where rolname = role) then
            execute format('create role %I nologin', role);
        end if;
    end loop;
    execute format('grant connect, create on database %I to kiosk_owner', current_database());
end $$;
comment on role kiosk_writer is 'Adds messages, and reads nothing: Telegraf.';
comment on role kiosk_reader is 'Operations, without personal data: Grafana.';
comment on role kiosk_supervisor is 'kiosk_reader, and plates, persons, findings.';
grant kiosk_reader to kiosk_supervisor;

set local role kiosk_owner;

create schema if not exists centre;
revoke all on schema centre from public;
grant usage on schema centre to kiosk_writer, kiosk_reader;

-- Filing waits until this has ended, and the views go before the tables change: else they would wait for each other.
do $$
begin
    if to_regclass('centre.inbox') is not null then
        lock table centre.inbox in share row exclusive mode;
    end if;
end $$;
drop view if exists centre.fleet, centre.loss, centre.hole, centre.availability, centre.alarms, centre.commands, centre.refusals,
    centre.findings, centre.plates_hourly, centre.identity_daily, centre.unread, centre.newest_health, centre.newest_state,
    centre.newest_config;

-- What came in

create table if not exists centre.inbox (
    time timestamptz,
    kiosk text,
    kind text,
    event text,
    value text
);
comment on table centre.inbox is
    'Where Telegraf writes to; always empty. kiosk, kind, event are from the topic, value is the message (JSON, or base64 of it).';
comment on column centre.inbox.kiosk is 'tag';
comment on column centre.inbox.kind is 'tag';
comment on column centre.inbox.event is 'tag';

create table if not exists centre.envelope (
    kiosk text not null,
    id uuid not null,
    sequence bigint,
    time timestamptz not null,
    received timestamptz not null,
    boot text,
    monotonic_ms bigint,
    synced boolean not null
);
comment on table centre.envelope is
    'The columns that all messages have; a pattern, always empty. Who files a message, or changes what filing changes, locks it.';

create table if not exists centre.kiosk (
    kiosk text primary key,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    state text,
    state_since timestamptz,
    state_time timestamptz,
    state_boot text,
    state_monotonic_ms bigint,
    session bigint not null default 0,
    agent_version text,
    last_sequence bigint not null default 0,
    numbers int8multirange not null default '{}',
    numbers_since timestamptz not null default '-infinity',
    duplicates bigint not null default 0,
    doubled bigint not null default 0,
    settled bigint not null default 0
) with (fillfactor = 50);
alter table centre.kiosk
    add column if not exists state_time timestamptz,
    add column if not exists state_boot text,
    add column if not exists state_monotonic_ms bigint;
comment on column centre.kiosk.last_seen is 'When something new was heard; a copy of what is known proves nothing.';
comment on column centre.kiosk.state_time is 'With state_boot and state_monotonic_ms: whether another state is older.';
comment on column centre.kiosk.last_sequence is 'The highest number that the kiosk says it has given out.';
comment on column centre.kiosk.numbers is 'The sequence numbers that arrived: what is between them is missing.';
comment on column centre.kiosk.numbers_since is
    'The numbers of messages received before belong to another box: centre.replaced(), centre.forget().';
comment on column centre.kiosk.duplicates is 'Messages that came again, and were dropped.';
comment on column centre.kiosk.doubled is 'Numbers that came with a second message: the box was replaced, or two boxes have one identity.';
comment on column centre.kiosk.settled is 'Missing numbers that are closed and no longer shown: centre.settle(), centre.fold().';

create table if not exists centre.arrival (
    kiosk text not null,
    id uuid not null,
    received timestamptz not null,
    primary key (kiosk, id)
);
comment on table centre.arrival is 'Messages that are known: delivery is at least once, each is filed once.';
comment on column centre.arrival.received is 'When it last came.';

create table if not exists centre.refused (
    received timestamptz not null,
    kiosk text,
    topic text,
    reason text not null,
    value text
);

create table if not exists centre.health (
    like centre.envelope,
    cause text,
    cpu_percent double precision,
    load_1m double precision,
    load_5m double precision,
    load_15m double precision,
    memory_used_percent double precision,
    memory_available_bytes bigint,
    swap_used_percent double precision,
    disk_used_percent double precision,
    disk_free_bytes bigint,
    disk_inodes_used_percent double precision,
    disk_wear_percent double precision,
    disk_read_only boolean,
    temperature_max_c double precision,
    temperature_min_c double precision,
    temperature_cpu_c double precision,
    network_interface text,
    network_received_bytes bigint,
    network_sent_bytes bigint,
    network_errors bigint,
    network_dropped bigint,
    modem_signal_percent double precision,
    modem_access text,
    uptime_s bigint,
    clock_offset_ms double precision,
    clock_error_ms double precision,
    certificate_days_left double precision,
    agent_uptime_s bigint,
    agent_rss_bytes bigint,
    agent_cpu_percent double precision,
    agent_loop_lag_ms double precision,
    agent_open_files bigint,
    agent_task_restarts bigint,
    outbox_rows bigint,
    outbox_bytes bigint,
    outbox_used_percent double precision,
    outbox_oldest_s double precision,
    outbox_lost bigint,
    link_reconnects bigint,
    cameras jsonb,
    peripherals jsonb,
    alarms jsonb,
    data jsonb
);
comment on column centre.health.data is 'As in all tables: what has no column of its own.';

create table if not exists centre.state (
    like centre.envelope,
    state text not null,
    session bigint not null,
    last_sequence bigint not null,
    agent_version text,
    started timestamptz,
    config_version bigint,
    capabilities text[],
    services jsonb,
    late boolean not null,
    data jsonb
);
comment on column centre.state.late is 'Older than a state that came before it: it says nothing.';

create table if not exists centre.config (
    like centre.envelope,
    version bigint not null,
    hash text,
    state text,
    since timestamptz,
    settings jsonb,
    failed_version bigint,
    last_error text,
    data jsonb
);

create table if not exists centre.event (
    like centre.envelope,
    event text not null,
    camera text,
    data jsonb
);

create table if not exists centre.alarm (
    like centre.envelope,
    event text not null,
    alarm_id uuid not null,
    code text not null,
    severity text not null,
    subject text,
    text text,
    raised timestamptz,
    duration_s double precision,
    value double precision,
    threshold double precision,
    closed boolean not null,
    again boolean not null,
    data jsonb
);
do $$
begin
    if not exists (select from pg_attribute where attrelid = 'centre.alarm'::regclass and attname = 'again') then
        alter table centre.alarm add column again boolean not null default false;
        update centre.alarm set again = true, closed = true where (kiosk, id) in (
            select kiosk, id from (
                select kiosk, id, row_number() over (partition by kiosk, alarm_id, event order by received, sequence) as place
                from centre.alarm
            ) heard where place > 1
        );
        -- Such a number is refused now: one of them spoils each sum.
        update centre.alarm set duration_s = null where duration_s not between -1e15 and 1e15;
    end if;
end $$;
comment on column centre.alarm.closed is 'Of alarm.raised: it was cleared, or forgotten, and is looked at no more.';
comment on column centre.alarm.again is 'The same was said of this alarm before; the views show the first.';

create table if not exists centre.receipt (
    like centre.envelope,
    command_id uuid,
    claimed_id uuid,
    action text,
    status text not null,
    code text,
    text text,
    percent double precision,
    challenge text,
    signers text[],
    result jsonb,
    data jsonb
);

create table if not exists centre.gap (
    like centre.envelope,
    message_class text not null,
    count bigint,
    first_sequence bigint not null,
    last_sequence bigint not null,
    reason text,
    from_time timestamptz,
    to_time timestamptz,
    settled boolean not null default false,
    data jsonb
);

create table if not exists centre.plate (
    like centre.envelope,
    event text not null,
    camera text,
    purpose text,
    readable boolean,
    pseudonym text,
    pseudonym_key_id text,
    text text,
    class_code text,
    colour text,
    min_confidence double precision,
    watch_list text,
    code text,
    match text,
    data jsonb
);

create table if not exists centre.person (
    like centre.envelope,
    event text not null,
    camera text,
    decision_id uuid,
    session_id uuid,
    "check" text,
    purpose text,
    outcome text,
    reasons text[],
    pseudonym text,
    pseudonym_key_id text,
    enrolment text,
    liveness text,
    reason text,
    "by" text,
    data jsonb
);

create table if not exists centre.finding (
    like centre.envelope,
    event text not null,
    finding_id uuid not null,
    rule text not null,
    phase text not null,
    text text,
    begun timestamptz,
    duration_s double precision,
    ended text,
    camera text,
    session_id uuid,
    business text,
    enrolment text,
    decision_ids uuid[],
    count bigint,
    data jsonb
);

create index if not exists health_sequence on centre.health (kiosk, sequence desc);
create index if not exists alarm_alarm_id on centre.alarm (alarm_id);
create index if not exists alarm_open on centre.alarm (kiosk) where not closed;
create index if not exists receipt_command_id on centre.receipt (command_id);
create index if not exists finding_finding_id on centre.finding (finding_id);
create index if not exists state_received on centre.state (kiosk, received);
create index if not exists config_sequence on centre.config (kiosk, sequence desc);

-- How long what is kept

create table if not exists centre.retention (
    what text primary key,
    keep interval
);
comment on table centre.retention is 'Change it with update; null keeps for ever. centre.expire() carries it out.';
insert into centre.retention (what, keep) values
    ('arrival', '45 days'),
    ('refused', '30 days'),
    ('health', '30 days'),
    ('state', '400 days'),
    ('config', '2 years'),
    ('event', '1 year'),
    ('alarm', '2 years'),
    ('receipt', '2 years'),
    ('gap', null),
    ('plate', '30 days'),
    ('person', '90 days'),
    ('finding', '1 year')
on conflict (what) do nothing;

do $$
declare
    what text;
begin
    for what in select retention.what from centre.retention loop
        execute format('create index if not exists %I on centre.%I using brin (received)', what || '_old', what);
        if what not in ('arrival', 'refused') then
            execute format('create index if not exists %I on centre.%I (kiosk, time)', what || '_time', what);
        end if;
    end loop;
    -- Without TimescaleDB these two are ordinary tables.
    if exists (select from pg_extension where extname = 'timescaledb') then
        foreach what in array array['health', 'event'] loop
            perform create_hypertable(
                format('centre.%I', what)::regclass, 'received',
                chunk_time_interval => interval '1 day', if_not_exists => true, migrate_data => true
            );
        end loop;
    end if;
end $$;

create or replace function centre.size(numbers int8multirange) returns bigint
language sql immutable as $$
    select coalesce(sum(upper(part) - lower(part)), 0)::bigint from unnest(numbers) part
$$;

create or replace function centre.holes(of_kiosk centre.kiosk) returns int8multirange
language sql immutable as $$
    select case when isempty(of_kiosk.numbers) then '{}'::int8multirange else
        int8multirange(int8range(
            lower(of_kiosk.numbers), greatest(upper(of_kiosk.numbers), of_kiosk.last_sequence + 1)
        )) - of_kiosk.numbers
    end
$$;
comment on function centre.holes is 'The missing numbers, from the lowest that ever arrived to the highest that was ever heard of.';

create or replace function centre.settle(of_kiosk text) returns bigint
language plpgsql security definer set search_path = centre, pg_temp as $$
declare
    missing bigint;
begin
    lock table envelope in exclusive mode;
    select size(holes(k)) into missing from kiosk k where k.kiosk = of_kiosk for update;
    update kiosk k set numbers = numbers + holes(k), settled = settled + missing where k.kiosk = of_kiosk;
    update gap set settled = true where gap.kiosk = of_kiosk and not settled;
    return missing;
end $$;
comment on function centre.settle is 'Close the missing numbers of a kiosk: somebody knows of the loss. Returns how many they were.';

create or replace function centre.replaced(of_kiosk text) returns void
language plpgsql security definer set search_path = centre, pg_temp as $$
begin
    lock table envelope in exclusive mode;
    update kiosk set numbers = '{}', numbers_since = clock_timestamp(), last_sequence = 0, session = 0, doubled = 0
    where kiosk = of_kiosk;
    update gap set settled = true where gap.kiosk = of_kiosk;
    -- Nobody is left who could clear them.
    update alarm set closed = true where alarm.kiosk = of_kiosk and not closed;
end $$;
comment on function centre.replaced is 'Another box has taken the identity of a kiosk: its numbers begin anew. Call it before the box is switched on.';

create or replace function centre.forget(of_kiosk text) returns void
language plpgsql security definer set search_path = centre, pg_temp as $$
begin
    lock table envelope in exclusive mode;
    delete from kiosk where kiosk = of_kiosk;
    -- They would excuse losses of a new kiosk of this name.
    delete from gap where gap.kiosk = of_kiosk;
    update alarm set closed = true where alarm.kiosk = of_kiosk and not closed;
end $$;
comment on function centre.forget is 'A kiosk is no more: it leaves the views of what is now; what it said goes when it is old.';

create or replace function centre.fold(of_kiosk text) returns void
language plpgsql set search_path = centre, pg_temp as $$
declare
    most constant int := 1000;
    cut bigint;
begin
    select case when count(*) > most then (array_agg(lower(part) order by part desc))[most / 2] end into cut
    from kiosk k cross join lateral unnest(k.numbers) part where k.kiosk = of_kiosk;
    if cut is null then
        return;
    end if;
    update kiosk set
        numbers = numbers + int8multirange(int8range(lower(numbers), cut)),
        settled = settled + size(int8multirange(int8range(lower(numbers), cut)) - numbers)
    where kiosk = of_kiosk;
    update gap set settled = true where gap.kiosk = of_kiosk and not settled and last_sequence < cut;
end $$;
comment on function centre.fold is 'Close the older half of very many holes: each message would take longer than the one before.';

create or replace function centre.expire() returns table (what text, rows bigint)
language plpgsql security definer set search_path = centre, pg_temp as $$
declare
    rule record;
begin
    for rule in select * from retention where keep is not null order by retention.what loop
        what := rule.what;
        rows := 0;
        if rule.what in ('health', 'event') and exists (select from pg_extension where extname = 'timescaledb') then
            execute format('select count(*) from %s(%L::regclass, older_than => %L::interval)',
                (select p.oid::regproc from pg_proc p where p.proname = 'drop_chunks' limit 1), 'centre.' || rule.what, rule.keep)
            into rows;
        elsif rule.what in ('state', 'config') then
            -- The newest stays: it says what holds now.
            execute format('delete from %1$I where received < now() - %2$L::interval '
                'and (kiosk, id) not in (select kiosk, id from newest_%1$s)', rule.what, rule.keep);
            get diagnostics rows = row_count;
        elsif rule.what = 'arrival' then
            -- The broker retains the newest state and settings, and says them again however old they are.
            delete from arrival where received < now() - rule.keep and (kiosk, id) not in (
                select kiosk, id from newest_state union all select kiosk, id from newest_config
            );
            get diagnostics rows = row_count;
        else
            execute format('delete from %I where received < now() - %L::interval', rule.what, rule.keep);
            get diagnostics rows = row_count;
        end if;
        return next;
    end loop;
    delete from refused where ctid in (
        select newer.ctid from (
            select r.ctid, row_number() over (partition by r.kiosk order by r.received desc) as place from refused r
        ) newer where place > 1000
    );
    what := 'refused, beyond 1000 of a kiosk';
    get diagnostics rows = row_count;
    return next;
    -- From here on what filing changes too: one at a time, or they would wait for each other.
    lock table envelope in exclusive mode;
    update alarm set closed = true
    where not closed and id in (select a.id from alarm a join alarms v using (kiosk, alarm_id) where not a.closed and not v.open);
    what := 'alarms, forgotten by an agent that restarted';
    get diagnostics rows = row_count;
    return next;
    what := 'missing numbers, admitted and older than 30 days';
    select coalesce(sum(settle(l.kiosk)), 0) into rows
    from loss l
    where l.missing > 0 and l.unexplained = 0
        and not exists (select from gap g where g.kiosk = l.kiosk and g.received > now() - interval '30 days');
    return next;
    delete from gap where settled and received < now() - interval '30 days';
    what := 'admitted losses, settled and older than 30 days';
    get diagnostics rows = row_count;
    return next;
end $$;
comment on function centre.expire is 'Delete what is older than centre.retention says; for once a day.';

-- Filing

create or replace function centre.room(kind text, event text) returns text
language sql immutable as $$
    select case
        when kind in ('state', 'health', 'config', 'receipt', 'gap') then kind
        when kind <> 'event' then null
        when event like 'alarm.%' then 'alarm'
        when event like 'plate.%' then 'plate'
        when event = 'supervision.finding' then 'finding'
        when event like 'identity.%' or event like 'staff.%' or event = 'cabinet.opened' then 'person'
        else 'event'
    end
$$;
comment on function centre.room is 'The table that a message belongs into.';

create or replace function centre.file(box centre.inbox) returns void
language plpgsql set search_path = centre, pg_temp as $$
declare
    room text := room(box.kind, box.event);
    seen timestamptz := least(box.time, clock_timestamp());
    message jsonb;
    content jsonb;
    filed jsonb;
    number bigint;
    last bigint;
    arrived int8multirange;
begin
    if coalesce(box.kiosk, '') !~ '^[a-z0-9][a-z0-9-]{0,62}$' or room is null then
        raise data_exception using message = 'the topic is not one of a kiosk';
    end if;
    if box.value is null or length(box.value) > 90000 then
        raise data_exception using message = 'empty, or larger than 64 KiB';
    end if;
    message := case when starts_with(box.value, '{') then box.value
        else convert_from(decode(box.value, 'base64'), 'UTF8') end;
    content := message -> 'data';
    number := message ->> 'sequence';
    last := content ->> 'last_sequence';
    if message ->> 'source' is distinct from '/kiosk/' || box.kiosk then
        raise data_exception using message = 'the source is not the kiosk of the topic';
    end if;
    if message ->> 'type' is distinct from 'kiosk.' || box.kind || coalesce('.' || box.event, '') || '.v1' then
        raise data_exception using message = 'the type is not that of the topic, or of another version';
    end if;
    if message ->> 'specversion' is distinct from '1.0' or jsonb_typeof(content) is distinct from 'object'
        or coalesce(message ->> 'time', '') !~ '^\d{4}-\d\d-\d\dT[\d:.]+(Z|[-+][\d:]+)$'
        or coalesce(message ->> 'timequality', '') not in ('synced', 'unsynced')
        or (number is null) <> (room = 'state') or number not between 1 and 9007199254740991
        or room in ('state', 'gap') and (
            last is null or last not between coalesce((content ->> 'first_sequence')::bigint, 0) and 9007199254740991
            or coalesce((content ->> 'first_sequence')::bigint, 1) < 1
        )
    then
        raise data_exception using message = 'not a message of a kiosk';
    end if;

    insert into arrival (kiosk, id, received) values (box.kiosk, (message ->> 'id')::uuid, seen) on conflict do nothing;
    if not found then
        -- A retained message comes at each connection of Telegraf, be the kiosk there or not: known on, and nothing heard.
        update arrival set received = greatest(received, seen) where kiosk = box.kiosk and id = (message ->> 'id')::uuid;
        update kiosk set duplicates = duplicates + 1 where kiosk = box.kiosk;
        return;
    end if;

    -- A number or a time at the end of its type breaks the sums of all kiosks. Whether there may be one is sooner seen than whether
    -- there is.
    if content @? '$.* ? (@ > 1e15 || @ < -1e15 || @ like_regex "^\\s*[-+]?(nan|inf|0x|[0-9.]+e|[0-9.]{16})" flag "i")' then
        if exists (
            select from pg_attribute
            where attrelid = format('centre.%I', room)::regclass and attnum > 0 and case atttypid
                when 'double precision'::regtype then (content ->> attname::text)::double precision not between -1e15 and 1e15
                when 'timestamptz'::regtype then not isfinite((content ->> attname::text)::timestamptz)
            end
        ) then
            raise data_exception using message = 'a number or a time beyond all sense';
        end if;
    end if;

    filed := content || jsonb_build_object(
        'kiosk', box.kiosk,
        'id', message -> 'id',
        'sequence', number,
        'time', message -> 'time',
        'received', seen,
        'boot', message -> 'bootid',
        'monotonic_ms', message -> 'monotonicms',
        'synced', message ->> 'timequality' = 'synced',
        'data', content - (
            select array_agg(attname::text) from pg_attribute
            where attrelid = format('centre.%I', room)::regclass and attnum > 0 and not attisdropped
        )
    );
    case room
    when 'state' then
        -- The retained state comes first, and then what was said before it. A box that counts from 1 again says first that it is
        -- online, at a later time; and nothing is said on a connection after its end.
        filed := filed || jsonb_build_object('late', exists (
            select from kiosk k, (select (content ->> 'session')::bigint as session) said
            where k.kiosk = box.kiosk and (
                k.session > said.session and (
                    content ->> 'state' <> 'online'
                    or k.state_time >= (message ->> 'time')::timestamptz
                    or k.state_boot = message ->> 'bootid' and k.state_monotonic_ms > (message ->> 'monotonicms')::bigint
                )
                or k.session = said.session and k.state_boot = message ->> 'bootid' and (
                    k.state = 'offline' and content ->> 'state' <> 'offline'
                    or k.state = 'stopping' and content ->> 'state' = 'online'
                )
            )
        ));
    when 'receipt' then
        -- Names of staff stay with who asked for them.
        if content ->> 'action' like 'identity.%' then
            filed := filed - 'result';
        end if;
    when 'gap' then
        filed := filed || jsonb_build_object('settled', false);
    when 'alarm' then
        filed := filed || jsonb_build_object('event', box.event, 'again', exists (
            select from alarm where kiosk = box.kiosk and alarm_id = (content ->> 'alarm_id')::uuid and event = box.event
        ));
        filed := filed || jsonb_build_object('closed', box.event = 'alarm.cleared' or (filed -> 'again')::boolean or exists (
            select from alarm where kiosk = box.kiosk and alarm_id = (content ->> 'alarm_id')::uuid and event = 'alarm.cleared'
        ));
        if box.event = 'alarm.cleared' and not (filed -> 'again')::boolean then
            update alarm set closed = true where kiosk = box.kiosk and alarm_id = (content ->> 'alarm_id')::uuid and not closed;
        end if;
    when 'health', 'config' then
    else
        filed := filed || jsonb_build_object('event', box.event);
    end case;
    execute format('insert into %I select * from jsonb_populate_record(null::%1$I, $1)', room) using filed;

    loop
        update kiosk k set
            last_seen = greatest(last_seen, seen),
            numbers = case when number is null then numbers else numbers + int8multirange(int8range(number, number, '[]')) end,
            doubled = doubled + coalesce(numbers @> number, false)::int,
            last_sequence = greatest(last_sequence, case when room in ('state', 'gap') then last end)
        where k.kiosk = box.kiosk
        returning k.numbers into arrived;
        exit when found;
        -- What was said long before is of a box of this name that was forgotten. The minute: clocks of two Telegrafs.
        insert into kiosk (kiosk, first_seen, last_seen, numbers_since) values (box.kiosk, seen, seen, seen - interval '1 minute');
    end loop;
    if number is not null and not arrived @> number - 1 then
        -- One more hole; counting them each time would take long.
        perform fold(box.kiosk);
    end if;
    if room = 'state' and not (filed -> 'late')::boolean then
        update kiosk k set
            state = content ->> 'state',
            state_since = case when content ->> 'state' = 'offline' then seen else least((message ->> 'time')::timestamptz, seen) end,
            state_time = (message ->> 'time')::timestamptz,
            state_boot = message ->> 'bootid',
            state_monotonic_ms = (message ->> 'monotonicms')::bigint,
            session = (content ->> 'session')::bigint,
            agent_version = coalesce(content ->> 'agent_version', k.agent_version)
        where k.kiosk = box.kiosk;
    end if;
end $$;

create or replace function centre.take() returns trigger
language plpgsql security definer set search_path = centre, pg_temp as $$
begin
    begin
        perform file(new);
    exception
        -- What the message is to blame for. A full disk, a lock or a stop is not: then Telegraf keeps the batch and tries again.
        when data_exception or integrity_constraint_violation or program_limit_exceeded then
            insert into refused (received, kiosk, topic, reason, value) values (
                clock_timestamp(), left(new.kiosk, 63), left(concat_ws('/', new.kind, new.event), 200),
                left(sqlerrm, 500), left(new.value, 2000)
            );
    end;
    return null;
end $$;

create or replace function centre.queue() returns trigger
language plpgsql security definer set search_path = centre, pg_temp as $$
begin
    -- One writer at a time: two Telegrafs would lock rows of kiosks in different order, and wait for each other. A table that only
    -- the owner may lock: an advisory lock anybody may take, and keep.
    lock table envelope in exclusive mode;
    return null;
end $$;

create or replace trigger queue before insert on centre.inbox for each statement execute function centre.queue();
create or replace trigger take before insert on centre.inbox for each row execute function centre.take();

-- Views

create view centre.newest_health as
select h.*
from centre.kiosk k
cross join lateral (
    select * from centre.health h where h.kiosk = k.kiosk and h.received >= k.numbers_since order by h.sequence desc limit 1
) h;

create view centre.newest_state as
select s.*
from centre.kiosk k
cross join lateral (select * from centre.state s where s.kiosk = k.kiosk and not s.late order by s.received desc limit 1) s;

create view centre.newest_config as
select c.*
from centre.kiosk k
cross join lateral (
    select * from centre.config c where c.kiosk = k.kiosk and c.received >= k.numbers_since order by c.sequence desc limit 1
) c;
comment on view centre.newest_config is 'The last one that the kiosk said; it may have come before an older one.';

create view centre.alarms as
select
    r.kiosk, r.alarm_id, r.code, r.severity, r.subject, r.text, r.value, r.threshold,
    r.time as raised,
    c.time as cleared,
    coalesce(c.duration_s, case when not r.closed and not gone then extract(epoch from now() - r.time) end) as duration_s,
    not r.closed and not gone as open
from centre.alarm r
left join centre.alarm c on c.alarm_id = r.alarm_id and c.kiosk = r.kiosk and c.event = 'alarm.cleared' and not c.again
left join centre.newest_health h on h.kiosk = r.kiosk
cross join lateral (
    select coalesce(
        h.sequence > r.sequence and not h.alarms @> jsonb_build_array(jsonb_build_object('alarm_id', r.alarm_id)), false
    ) as gone
) g
where r.event = 'alarm.raised' and not r.again;
comment on view centre.alarms is
    'One row an alarm. Open: not cleared, and the newest health message does not lack it (an agent that restarted forgets).';

create view centre.commands as
select distinct on (kiosk, command_id)
    kiosk,
    command_id,
    action,
    status,
    code,
    text,
    percent,
    signers,
    min(time) over known as begun,
    case when done then time end as ended,
    case when done then extract(epoch from time - min(time) over known) end as took_s,
    not done as open
from centre.receipt
cross join lateral (select status in ('succeeded', 'failed', 'cancelled', 'rejected', 'expired') as done) d
where command_id is not null
window known as (partition by kiosk, command_id)
order by kiosk, command_id, done desc, case when done then -sequence else sequence end desc;
comment on view centre.commands is 'One row a command: its outcome, or how far it has come.';

create view centre.refusals as
select kiosk, time, claimed_id, action, code, text from centre.receipt where command_id is null;
comment on view centre.refusals is 'Commands that a kiosk turned away because nobody it trusts vouched for them.';

create view centre.hole as
select
    k.kiosk,
    lower(part) as first_sequence,
    upper(part) - 1 as last_sequence,
    upper(part) - lower(part) as count,
    exists (
        select from centre.gap g
        where g.kiosk = k.kiosk and not g.settled and int8range(g.first_sequence, g.last_sequence, '[]') && part
    ) as spoken_of
from centre.kiosk k
cross join lateral unnest(centre.holes(k)) part;
comment on view centre.hole is 'Runs of missing numbers. spoken_of: a gap message lies over it; how many of it are admitted, centre.loss says.';

create view centre.loss as
select
    kiosk,
    missing,
    missing - unexplained as admitted,
    unexplained,
    outbox_rows,
    outbox_oldest_s,
    case
        when missing = 0 then 'complete'
        when unexplained = 0 then 'admitted'
        when unexplained <= coalesce(outbox_rows, 0) then 'on the way'
        else 'missing'
    end as verdict,
    settled,
    duplicates,
    doubled
from (
    select
        k.*,
        centre.size(holes) as missing,
        (
            centre.size(holes) - centre.size(holes * uncounted) - least(centre.size((holes - uncounted) * counted), greatest(told, 0))
        )::bigint as unexplained,
        h.outbox_rows,
        h.outbox_oldest_s
    from centre.kiosk k
    cross join lateral (select centre.holes(k) as holes) m
    cross join lateral (
        select
            coalesce(range_agg(span) filter (where count is not null), '{}') as counted,
            coalesce(range_agg(span) filter (where count is null), '{}') as uncounted,
            coalesce(sum(count), 0) as told
        from (
            select g.count, int8range(g.first_sequence, g.last_sequence, '[]') as span
            from centre.gap g where g.kiosk = k.kiosk and not g.settled
        ) g
    ) a
    left join centre.newest_health h on h.kiosk = k.kiosk
) l;
comment on view centre.loss is
    'Missing sequence numbers of each kiosk, and how many of them it has admitted. on the way: it still holds so many messages.';

create view centre.fleet as
select
    k.kiosk,
    case
        when k.state is null then 'unknown'
        when k.state = 'online' and k.last_seen < now() - interval '15 minutes' then 'silent'
        else k.state
    end as state,
    k.state_since,
    k.last_seen,
    extract(epoch from now() - k.last_seen) as unheard_s,
    k.agent_version,
    c.version as config_version,
    coalesce(a.open, 0) as alarms_open,
    a.worst as worst_alarm,
    h.time as health_time,
    h.synced as clock_synced,
    h.cpu_percent,
    h.memory_used_percent,
    h.disk_used_percent,
    h.temperature_max_c,
    h.modem_signal_percent,
    h.outbox_rows,
    h.outbox_oldest_s,
    h.certificate_days_left,
    jsonb_array_length(coalesce(jsonb_path_query_array(h.cameras, '$[*] ? (@.state != "online")'), '[]')) as cameras_lost,
    l.unexplained as numbers_missing
from centre.kiosk k
left join centre.newest_health h on h.kiosk = k.kiosk
left join centre.loss l on l.kiosk = k.kiosk
left join centre.newest_config c on c.kiosk = k.kiosk
left join (
    select
        kiosk,
        count(*) as open,
        (array_agg(severity order by array_position(array['critical', 'major', 'minor', 'warning'], severity)))[1] as worst
    from centre.alarms where open group by kiosk
) a on a.kiosk = k.kiosk;
comment on view centre.fleet is 'One row a kiosk, as it is now. silent: online as far as the broker knows, and nothing heard for 15 minutes.';

create or replace function centre.availability(since timestamptz, until timestamptz)
returns table (kiosk text, day date, online_s double precision, known_s double precision, percent double precision)
language sql stable set search_path = centre, pg_temp as $$
    with told as (
        -- A will is worded when a line comes up: when the line broke, its arrival says.
        select s.kiosk, s.state, s.received, least(s.received, case when s.state <> 'offline' and s.synced then s.time end) as at
        from state s
        where not s.late and s.received < until and s.received >= coalesce(
            (select max(b.received) from state b where b.kiosk = s.kiosk and not b.late and b.received < since), '-infinity'
        )
    ), spans as (
        select t.kiosk, t.state, at as begun,
            lead(at, 1, least(until, now())) over (partition by t.kiosk order by received) as ended
        from told t
    ), days as (
        select s.kiosk, s.state, day, greatest(
            0, extract(epoch from least(ended, day + interval '1 day', until) - greatest(begun, day, since))
        ) as seconds
        from spans s
        cross join lateral generate_series(date_trunc('day', greatest(begun, since)), ended, interval '1 day') day
    )
    select d.kiosk, day::date, coalesce(sum(seconds) filter (where state = 'online'), 0), sum(seconds),
        100 * coalesce(sum(seconds) filter (where state = 'online'), 0) / nullif(sum(seconds), 0)
    from days d group by d.kiosk, day having sum(seconds) > 0
$$;
comment on function centre.availability is 'Share of each day that a kiosk was online; days of the session''s time zone.';

create view centre.availability as
select * from centre.availability(now() - interval '30 days', now());

create view centre.findings as
select distinct on (kiosk, finding_id)
    kiosk, finding_id, rule, text, begun, duration_s, ended, camera, business, count, phase = 'begin' as open
from centre.finding order by kiosk, finding_id, phase = 'begin', sequence desc;
comment on view centre.findings is 'One row a finding of supervision; whom it is about, centre.finding says, for supervisors.';

create view centre.plates_hourly as
select kiosk, camera, date_trunc('hour', time) as hour, event, class_code, colour, readable, count(*) as vehicles
from centre.plate group by kiosk, camera, date_trunc('hour', time), event, class_code, colour, readable;
comment on view centre.plates_hourly is 'How many vehicles, and no pseudonym: those make a profile of who went where.';

create view centre.identity_daily as
select kiosk, date_trunc('day', time) as day, "check", purpose, outcome, count(*) as decisions
from centre.person where event = 'identity.decision' group by kiosk, date_trunc('day', time), "check", purpose, outcome;

create view centre.unread as
select
    received, kiosk, topic,
    -- PostgreSQL quotes what it cannot read, quotation marks in it too; of a reason that was cut short the last one is missing.
    regexp_replace(reason, case when length(reason) < 500 then '".*"' else '".*' end, '"..."') as reason
from centre.refused;
comment on view centre.unread is 'Messages that could not be filed, without what they said.';

-- What an earlier version of this schema did not note, or has forgotten.
update centre.kiosk k set state_time = s.time, state_boot = s.boot, state_monotonic_ms = s.monotonic_ms
from centre.newest_state s where s.kiosk = k.kiosk and s.session = k.session and k.state_time is null;
insert into centre.arrival (kiosk, id, received)
select kiosk, id, received from centre.newest_state union all select kiosk, id, received from centre.newest_config
on conflict do nothing;

-- Rights

revoke all on all tables in schema centre from public, kiosk_writer, kiosk_reader, kiosk_supervisor;
revoke all on all functions in schema centre from public;
grant insert on centre.inbox to kiosk_writer;
grant select on
    centre.kiosk, centre.health, centre.state, centre.config, centre.event, centre.alarm, centre.gap, centre.retention,
    centre.newest_health, centre.newest_state, centre.newest_config, centre.alarms, centre.commands, centre.refusals, centre.hole,
    centre.loss, centre.fleet, centre.availability, centre.findings, centre.plates_hourly, centre.identity_daily, centre.unread
to kiosk_reader;
grant execute on function centre.availability(timestamptz, timestamptz), centre.size(int8multirange), centre.holes(centre.kiosk)
    to kiosk_reader;
grant select on centre.plate, centre.person, centre.finding, centre.receipt, centre.refused to kiosk_supervisor;

commit;
