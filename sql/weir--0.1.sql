-- Weir's SQL objects.  The schema is made here, so that a planted one fails.
\echo Use "CREATE EXTENSION weir" to load this file. \quit

-- Nor does an operator count that somebody has planted in the schema of the moment.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA weir;
GRANT USAGE ON SCHEMA weir TO PUBLIC;

-- Roles belong to the cluster: another database may have made them, and may be
-- making them now.  They stay when the extension goes.
DO $roles$
DECLARE
    role text;
    members text;
BEGIN
    FOREACH role IN ARRAY ARRAY['weir_monitor', 'weir_admin'] LOOP
        BEGIN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            SELECT pg_catalog.string_agg(m.member::pg_catalog.regrole::text, ', ' ORDER BY m.member)
            INTO members FROM pg_catalog.pg_auth_members m
            WHERE m.roleid OPERATOR(pg_catalog.=) role::pg_catalog.regrole
              AND m.member OPERATOR(pg_catalog.<>) ALL
                  (SELECT r.oid FROM pg_catalog.pg_roles r
                   WHERE r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) 'weir_admin');
            IF members IS NOT NULL THEN
                RAISE WARNING 'role "%" exists already, and has members: %', role, members;
            END IF;
        END;
    END LOOP;
    IF NOT pg_catalog.pg_has_role('weir_admin', 'weir_monitor', 'MEMBER') THEN
        GRANT weir_monitor TO weir_admin;
    END IF;
END
$roles$;

-- --- streams ---------------------------------------------------------------

CREATE FUNCTION weir.fdw_handler() RETURNS fdw_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_fdw_handler';
CREATE FUNCTION weir.fdw_validator(text[], oid) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_fdw_validator';
CREATE FOREIGN DATA WRAPPER weir
    HANDLER weir.fdw_handler VALIDATOR weir.fdw_validator;

-- The open part of a view is a foreign table on this server.
CREATE FUNCTION weir.open_handler() RETURNS fdw_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_open_handler';
CREATE FUNCTION weir.open_validator(text[], oid) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_open_validator';
CREATE FOREIGN DATA WRAPPER weir_open
    HANDLER weir.open_handler VALIDATOR weir.open_validator;
CREATE SERVER weir_open FOREIGN DATA WRAPPER weir_open;
GRANT USAGE ON FOREIGN SERVER weir_open TO PUBLIC;

-- --- windows ---------------------------------------------------------------

-- Not strict: without an origin it is 1970-01-01 00:00 in the time zone, or UTC.
CREATE FUNCTION weir.tumble(ts timestamptz, size interval,
        origin timestamptz DEFAULT NULL, timezone text DEFAULT NULL)
    RETURNS timestamptz
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'weir_tumble';
CREATE FUNCTION weir.tumble(ts timestamp, size interval,
        origin timestamp DEFAULT NULL)
    RETURNS timestamp
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'weir_tumble';
COMMENT ON FUNCTION weir.tumble(timestamptz, interval, timestamptz, text) IS
    'start of the tumbling window that holds ts';

CREATE FUNCTION weir.session(ts timestamptz, gap interval) RETURNS tstzrange
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'weir_session';
CREATE FUNCTION weir.session(ts timestamp, gap interval) RETURNS tsrange
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'weir_session';
COMMENT ON FUNCTION weir.session(timestamptz, interval) IS
    'session that ts is in: continuous views only';

CREATE FUNCTION weir.hop(ts timestamptz, size interval, slide interval,
        origin timestamptz DEFAULT '1970-01-01 00:00:00+00')
    RETURNS SETOF timestamptz
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'weir_hop';
CREATE FUNCTION weir.hop(ts timestamp, size interval, slide interval,
        origin timestamp DEFAULT '1970-01-01 00:00:00')
    RETURNS SETOF timestamp
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'weir_hop';
COMMENT ON FUNCTION weir.hop(timestamptz, interval, interval, timestamptz) IS
    'starts of the hopping windows that hold ts';

CREATE FUNCTION weir.cumulate(ts timestamptz, step interval, size interval,
        origin timestamptz DEFAULT '1970-01-01 00:00:00+00')
    RETURNS SETOF timestamptz
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'weir_cumulate';
CREATE FUNCTION weir.cumulate(ts timestamp, step interval, size interval,
        origin timestamp DEFAULT '1970-01-01 00:00:00')
    RETURNS SETOF timestamp
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'weir_cumulate';
COMMENT ON FUNCTION weir.cumulate(timestamptz, interval, interval, timestamptz) IS
    'ends of the cumulating windows that hold ts';

-- True of every event in a batch; a view leaves out those that are late for the window.
CREATE FUNCTION weir.in_time(window_start timestamptz) RETURNS boolean
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE RETURN true;
CREATE FUNCTION weir.in_time(window_start timestamp) RETURNS boolean
    LANGUAGE SQL IMMUTABLE PARALLEL SAFE RETURN true;
COMMENT ON FUNCTION weir.in_time(timestamptz) IS
    'condition of a continuous view: the event was in time for its tumbling window';

-- --- aggregates -------------------------------------------------------------

CREATE FUNCTION weir.first_step(bytea, anyelement, "any") RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_first_step';
CREATE FUNCTION weir.first_combine(bytea, bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_first_combine';
CREATE FUNCTION weir.first_final(bytea, anyelement, "any") RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_first_final';
CREATE AGGREGATE weir.first(value anyelement, "order" "any") (
    sfunc = weir.first_step, stype = bytea, combinefunc = weir.first_combine,
    finalfunc = weir.first_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE weir.first(anyelement, "any") IS
    'the value that comes first by its second argument, such as the event time';

CREATE FUNCTION weir.last_step(bytea, anyelement, "any") RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_last_step';
CREATE FUNCTION weir.last_combine(bytea, bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_last_combine';
CREATE AGGREGATE weir.last(value anyelement, "order" "any") (
    sfunc = weir.last_step, stype = bytea, combinefunc = weir.last_combine,
    finalfunc = weir.first_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE weir.last(anyelement, "any") IS
    'the value that comes last by its second argument, such as the event time';

CREATE FUNCTION weir.topk_step(internal, anyelement, int) RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_topk_step';
CREATE FUNCTION weir.topk_combine(internal, internal) RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_topk_combine';
CREATE FUNCTION weir.topk_serialize(internal) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_topk_serialize';
CREATE FUNCTION weir.topk_deserialize(bytea, internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_topk_deserialize';
CREATE FUNCTION weir.topk_final(internal) RETURNS jsonb
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_topk_final';
CREATE AGGREGATE weir.topk(value anyelement, k int) (
    sfunc = weir.topk_step, stype = internal, combinefunc = weir.topk_combine,
    serialfunc = weir.topk_serialize, deserialfunc = weir.topk_deserialize,
    finalfunc = weir.topk_final, parallel = safe);
-- Stands in the query of a view over another one, and is not called there.
CREATE FUNCTION weir.merge_step(anyelement, anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_merge_step';
CREATE FUNCTION weir.merge_final(anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_merge_step';
CREATE AGGREGATE weir.merge(anyelement) (
    sfunc = weir.merge_step, stype = anyelement, finalfunc = weir.merge_final, parallel = safe);
COMMENT ON AGGREGATE weir.merge(anyelement) IS
    'the aggregate behind a column of a continuous view, over all events of the group: in a view over that view';
-- A state that somebody made up could have any bytes: they are the aggregates' own.
REVOKE ALL ON FUNCTION weir.first_step(bytea, anyelement, "any"), weir.last_step(bytea, anyelement, "any"),
    weir.first_combine(bytea, bytea), weir.last_combine(bytea, bytea), weir.first_final(bytea, anyelement, "any") FROM PUBLIC;
COMMENT ON AGGREGATE weir.topk(anyelement, int) IS
    'the k most frequent values and their counts';

-- --- catalog ---------------------------------------------------------------
-- Names of objects are regclass only, so that pg_upgrade and pg_dump follow.

CREATE SEQUENCE weir.view_id AS int;

CREATE TABLE weir.views (
    id          int PRIMARY KEY DEFAULT nextval('weir.view_id'),
    view        regclass NOT NULL UNIQUE,   -- what users read
    query       regclass NOT NULL,          -- the query, as a view over the stream
    final       regclass NOT NULL,          -- windows that are final
    open        regclass,                   -- windows that are open; NULL: an
                -- append view, whose rows are in "view", which is also "final"
    stream      regclass NOT NULL,
    upstream    regclass,                   -- the view that it is over; NULL: the stream
    definition  text,                       -- the query as written, over "upstream"
    lateness    interval NOT NULL,
    ttl         interval,                   -- of silence that end a running total; NULL: none
    retention   interval,                   -- that final windows are kept; NULL: for ever
    memory_limit bigint,                    -- bytes; NULL: only weir.memory_limit
    on_memory_limit text NOT NULL DEFAULT 'wait'
                CHECK (on_memory_limit IN ('wait', 'error')),
    start       text NOT NULL,              -- 'earliest', 'latest', a time, or offsets
    until       text,                       -- the same: where it ends; NULL: nowhere
    settings    text[] NOT NULL,            -- frozen: name, value, name, value ...
    keep_late   boolean NOT NULL,           -- late events go to late_event_log
    notify      text,                       -- a channel: windows that close are notified
    state       text NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'paused', 'error', 'finished')),
    reason      text,                       -- why it is in error
    state_since timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- How far a view is: one row a view, rewritten by each of its checkpoints.
-- Arrays are by partition, from 1 for partition 0.  Times are microseconds
-- since 2000-01-01; NULL: none yet.
CREATE TABLE weir.progress (
    view         int PRIMARY KEY REFERENCES weir.views ON DELETE CASCADE,
    generation   bigint NOT NULL            -- raised by pause, resume, reset;
                 -- begins where no view of the same id has been before
                 DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    incarnation  int NOT NULL DEFAULT 0,    -- raised by each recovery
    closed_upto  bigint,
    advance      bigint,                    -- wanted by weir.advance_watermark
    windows_final bigint NOT NULL DEFAULT 0,
    rows_final   bigint NOT NULL DEFAULT 0, -- rows of these, or of an append view
    chunks       bigint NOT NULL DEFAULT 0, -- rows in weir.state
    topic        text,                      -- whose positions these are
    starts       bigint[] NOT NULL DEFAULT '{}',
    positions    bigint[] NOT NULL DEFAULT '{}',
    watermarks   bigint[] NOT NULL DEFAULT '{}',
    events       bigint[] NOT NULL DEFAULT '{}',
    late         bigint[] NOT NULL DEFAULT '{}',
    dead         bigint[] NOT NULL DEFAULT '{}',
    lost         bigint[] NOT NULL DEFAULT '{}',
    -- the last record read: by it a topic that was recreated is told
    last_offsets bigint[] NOT NULL DEFAULT '{}',
    last_prints  bigint[] NOT NULL DEFAULT '{}',
    ends         bigint[] NOT NULL DEFAULT '{}', -- where the view ends, if it does
    -- of the message at the position: how many of its records are counted
    records      bigint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000);

-- The log of open windows: changed groups of each checkpoint, in chunks.
CREATE TABLE weir.state (
    view        int NOT NULL,
    pane        bigint NOT NULL,            -- its last window
    first       bigint NOT NULL,            -- ... and its first one
    incarnation int NOT NULL,
    shard       int NOT NULL,
    seq         bigint NOT NULL,
    data        bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE weir.state ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX state_key ON weir.state (view, pane, first, incarnation, shard, seq);

-- Views that belong to this database.  Not dumped: views that were restored
-- or copied from elsewhere have no row here and wait for weir.resume.
CREATE TABLE weir.home (
    view        int PRIMARY KEY REFERENCES weir.views ON DELETE CASCADE,
    database    oid NOT NULL
);

CREATE SEQUENCE weir.dead_letter_id;

CREATE TABLE weir.dead_letter_log (
    stream      regclass NOT NULL,
    view        int,                        -- NULL: for the whole stream
    topic       text NOT NULL,
    partition   int NOT NULL,
    "offset"    bigint NOT NULL,
    "timestamp" timestamptz,                -- Kafka's
    key         bytea,
    payload     bytea,                      -- NULL: a tombstone
    sqlstate    text NOT NULL,
    reason      text NOT NULL,
    fingerprint bigint NOT NULL,            -- of the record
    recorded_at timestamptz NOT NULL DEFAULT now(),
    id          bigint NOT NULL DEFAULT nextval('weir.dead_letter_id'),
    views       int[] NOT NULL DEFAULT '{}', -- that have passed it and lack it
    whole       boolean NOT NULL DEFAULT true, -- false: cut
    record      int                         -- of several in a message; NULL: all of it
);
ALTER TABLE weir.dead_letter_log ALTER COLUMN payload SET STORAGE EXTERNAL;
-- Two lanes may read the same record.  A topic that was recreated has others
-- at the same offsets.
CREATE UNIQUE INDEX dead_letters_key ON weir.dead_letter_log
    (stream, partition, "offset", coalesce(view, 0), fingerprint);
CREATE UNIQUE INDEX dead_letters_id ON weir.dead_letter_log (id);
CREATE INDEX dead_letters_recorded_at ON weir.dead_letter_log (recorded_at); -- the newest ones

-- Letters that are to be tried once more: a row goes in the transaction in which
-- the view has the letter, or has found it unusable again.
CREATE TABLE weir.replay_queue (
    view        int NOT NULL REFERENCES weir.views ON DELETE CASCADE,
    letter      bigint NOT NULL,
    PRIMARY KEY (view, letter)
);

-- Messages that stop no view of a stream with on_error 'stop' any more.
CREATE TABLE weir.skip_log (
    stream      regclass NOT NULL,
    partition   int NOT NULL,
    "offset"    bigint NOT NULL,
    skipped_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, partition, "offset")
);

-- Offsets that a view skipped since Kafka no longer had them.
CREATE TABLE weir.lost_range_log (
    view        int NOT NULL REFERENCES weir.views ON DELETE CASCADE,
    topic       text NOT NULL,
    partition   int NOT NULL,
    from_offset bigint NOT NULL,
    upto_offset bigint,                     -- the first not lost; NULL: not known
    reason      text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lost_ranges_view ON weir.lost_range_log (view);

-- Late events of the views that keep them: one row a window they were late for.
CREATE TABLE weir.late_event_log (
    stream       regclass NOT NULL,
    view         int NOT NULL,
    topic        text NOT NULL,
    partition    int NOT NULL,
    "offset"     bigint NOT NULL,
    "timestamp"  timestamptz,               -- Kafka's
    key          bytea,
    payload      bytea,
    event_time   timestamptz NOT NULL,
    window_start timestamptz NOT NULL,
    window_end   timestamptz NOT NULL,
    late_by      interval NOT NULL,         -- since the window had closed for it
    fingerprint  bigint NOT NULL,           -- of the record
    recorded_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE weir.late_event_log ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX late_events_key
    ON weir.late_event_log (stream, partition, "offset", view, window_start, window_end, fingerprint);
CREATE INDEX late_events_view ON weir.late_event_log (view);

-- Views whose final windows go to a topic, too.  Rows are numbered in the order
-- of their commits; a sink that is made anew begins above all earlier numbers.
CREATE TABLE weir.sink_state (
    view        int PRIMARY KEY REFERENCES weir.views ON DELETE CASCADE,
    topic       text NOT NULL,
    key         int[] NOT NULL,             -- columns, from 1
    first       bigint NOT NULL,            -- numbers above this one are used ...
    numbered    bigint NOT NULL,            -- ... up to here
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000);

-- The sender's own, so that a checkpoint never waits for it.
CREATE TABLE weir.sink_sent (
    view        int PRIMARY KEY REFERENCES weir.sink_state ON DELETE CASCADE,
    sent        bigint NOT NULL,            -- up to here the topic has them
    error       text,                       -- why the last attempt failed
    error_since timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000);

-- What is still to be sent.
CREATE TABLE weir.outbox (
    view        int NOT NULL,
    number      bigint NOT NULL,
    key         text,
    value       text NOT NULL,
    PRIMARY KEY (view, number)
);

-- Alerts, what has fired, and how often in a row each key has been hit.
CREATE TABLE weir.alert_defs (
    name        text PRIMARY KEY,
    view        int NOT NULL REFERENCES weir.views ON DELETE CASCADE,
    condition   text NOT NULL,
    clear_condition text,                   -- NULL: when the condition is not true
    for_windows int NOT NULL,               -- so many in a row fire it
    windows     text NOT NULL DEFAULT 'final' -- 'open': those, too
                CHECK (windows IN ('final', 'open')),
    channel     text NOT NULL,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'error')),
    reason      text,                       -- why it is in error
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alert_defs_view ON weir.alert_defs (view);
CREATE TABLE weir.alert_log (
    alert       text NOT NULL REFERENCES weir.alert_defs ON DELETE CASCADE,
    key         jsonb NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    "row"       jsonb NOT NULL,             -- that fired it
    resolved_at timestamptz,
    resolved_row jsonb
);
CREATE INDEX alert_log_open ON weir.alert_log (alert) WHERE resolved_at IS NULL;
CREATE TABLE weir.alert_hits (
    alert       text NOT NULL REFERENCES weir.alert_defs ON DELETE CASCADE,
    key_hash    text NOT NULL,              -- keys may be longer than an index allows
    hits        int NOT NULL,
    firing      boolean NOT NULL DEFAULT false,
    "window"    bigint NOT NULL,            -- the last one that hit, by its name
    PRIMARY KEY (alert, key_hash)
) WITH (fillfactor = 50);

SELECT pg_catalog.pg_extension_config_dump('weir.alert_defs', '');
SELECT pg_catalog.pg_extension_config_dump('weir.alert_log', '');
SELECT pg_catalog.pg_extension_config_dump('weir.alert_hits', '');
SELECT pg_catalog.pg_extension_config_dump('weir.view_id', '');
SELECT pg_catalog.pg_extension_config_dump('weir.views', '');
SELECT pg_catalog.pg_extension_config_dump('weir.progress', '');
SELECT pg_catalog.pg_extension_config_dump('weir.state', '');
SELECT pg_catalog.pg_extension_config_dump('weir.dead_letter_id', '');
SELECT pg_catalog.pg_extension_config_dump('weir.dead_letter_log', '');
SELECT pg_catalog.pg_extension_config_dump('weir.replay_queue', '');
SELECT pg_catalog.pg_extension_config_dump('weir.skip_log', '');
SELECT pg_catalog.pg_extension_config_dump('weir.late_event_log', '');
SELECT pg_catalog.pg_extension_config_dump('weir.lost_range_log', '');
SELECT pg_catalog.pg_extension_config_dump('weir.sink_state', '');
SELECT pg_catalog.pg_extension_config_dump('weir.sink_sent', '');
SELECT pg_catalog.pg_extension_config_dump('weir.outbox', '');

-- --- control ---------------------------------------------------------------

CREATE FUNCTION weir.create_view(name text, query text,
        start text DEFAULT NULL, lateness interval DEFAULT NULL,
        retention interval DEFAULT NULL, keep_late boolean DEFAULT false,
        memory_limit text DEFAULT NULL, on_memory_limit text DEFAULT 'wait',
        until text DEFAULT NULL, notify text DEFAULT NULL, ttl interval DEFAULT NULL)
    RETURNS regclass LANGUAGE C AS 'MODULE_PATHNAME', 'weir_create_view';
COMMENT ON FUNCTION weir.create_view(text, text, text, interval, interval, boolean, text, text, text, text, interval) IS
    'define a continuous view; it starts when the transaction commits';

CREATE FUNCTION weir.drop_view(name regclass) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_drop_view';
COMMENT ON FUNCTION weir.drop_view(regclass) IS
    'stop a continuous view and drop all that belongs to it';

CREATE FUNCTION weir.pause(view regclass) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_pause';
COMMENT ON FUNCTION weir.pause(regclass) IS 'stop a continuous view for a while';

CREATE FUNCTION weir.resume(view regclass) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_resume';
COMMENT ON FUNCTION weir.resume(regclass) IS
    'go on with a view that is paused, in error, or restored from a dump';

CREATE FUNCTION weir.reset(view regclass, start text, until text DEFAULT NULL)
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_reset';
COMMENT ON FUNCTION weir.reset(regclass, text, text) IS
    'throw the results of a view away and compute them anew from ''earliest'', ''latest'', a time, an interval back from now, or offsets, and up to such a place';

-- query, start, lateness and ttl are there to be refused, with a reason.
CREATE FUNCTION weir.alter_view(view regclass, retention text DEFAULT NULL,
        keep_late boolean DEFAULT NULL, memory_limit text DEFAULT NULL,
        on_memory_limit text DEFAULT NULL, query text DEFAULT NULL,
        start text DEFAULT NULL, lateness text DEFAULT NULL,
        notify text DEFAULT NULL, ttl text DEFAULT NULL)
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_alter_view';
COMMENT ON FUNCTION weir.alter_view(regclass, text, boolean, text, text, text, text, text, text, text) IS
    'change what can be changed of a continuous view without computing it anew';

CREATE FUNCTION weir.create_alert(name text, view regclass, condition text,
        clear_condition text DEFAULT NULL, for_windows int DEFAULT 1,
        channel text DEFAULT 'weir', windows text DEFAULT 'final')
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_create_alert';
COMMENT ON FUNCTION weir.create_alert(text, regclass, text, text, int, text, text) IS
    'watch the final windows of a continuous view for a condition, or the open ones, too';

CREATE FUNCTION weir.drop_alert(name text) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_drop_alert';
COMMENT ON FUNCTION weir.drop_alert(text) IS
    'watch for a condition no more, and forget what it has brought';

CREATE FUNCTION weir.set_memory_limit(view regclass, memory_limit text,
        on_memory_limit text DEFAULT NULL)
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_set_memory_limit';
COMMENT ON FUNCTION weir.set_memory_limit(regclass, text, text) IS
    'set how much shared memory a continuous view may have, and what it does at the limit';

CREATE FUNCTION weir.replay_dead_letters(stream regclass, "where" text DEFAULT NULL)
    RETURNS bigint LANGUAGE C AS 'MODULE_PATHNAME', 'weir_replay_dead_letters';
COMMENT ON FUNCTION weir.replay_dead_letters(regclass, text) IS
    'have the views that lack dead letters try them once more; returns how many';

CREATE FUNCTION weir.purge_dead_letters(stream regclass,
        before timestamptz DEFAULT NULL, "where" text DEFAULT NULL)
    RETURNS bigint LANGUAGE C AS 'MODULE_PATHNAME', 'weir_purge_dead_letters';
COMMENT ON FUNCTION weir.purge_dead_letters(regclass, timestamptz, text) IS
    'delete dead letters; returns how many';

CREATE FUNCTION weir.skip(target regclass, partition int, "offset" bigint)
    RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_skip';
COMMENT ON FUNCTION weir.skip(regclass, int, bigint) IS
    'let a message that cannot be used be a dead letter where on_error is ''stop''';

CREATE FUNCTION weir.flush(target regclass, timeout interval DEFAULT '30 s')
    RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_flush';
COMMENT ON FUNCTION weir.flush(regclass, interval) IS
    'wait until all that the topic of a stream or view held at the call is counted and committed';

CREATE FUNCTION weir.checkpoint(stream regclass) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_checkpoint';
COMMENT ON FUNCTION weir.checkpoint(regclass) IS 'commit what has been read so far';

CREATE FUNCTION weir.advance_watermark(target regclass, upto timestamptz)
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_advance_watermark';
COMMENT ON FUNCTION weir.advance_watermark(regclass, timestamptz) IS
    'close windows that end at or before a time, of a view or of the views that run with a stream';

CREATE FUNCTION weir.create_sink(view regclass, topic text, key text[] DEFAULT NULL)
    RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'weir_create_sink';
COMMENT ON FUNCTION weir.create_sink(regclass, text, text[]) IS
    'write each window of a continuous view to a Kafka topic, once, when it is final';

CREATE FUNCTION weir.drop_sink(view regclass) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'weir_drop_sink';
COMMENT ON FUNCTION weir.drop_sink(regclass) IS
    'write windows of a continuous view to no topic any more; what has not been sent is dropped';

-- --- what is going on -------------------------------------------------------

-- May the reader see how a view is doing, and why it fails?  Owner, weir_monitor,
-- and who may read the view or its stream; why: not who may read only the view.
CREATE FUNCTION weir.sees(view regclass, stream regclass) RETURNS bool
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_sees';
CREATE FUNCTION weir.sees_reason(view regclass, stream regclass) RETURNS bool
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_sees_reason';
CREATE FUNCTION weir.is_monitor() RETURNS bool
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_role_monitor';

CREATE FUNCTION weir.running_views(OUT id int, OUT lane int, OUT state text,
        OUT since timestamptz, OUT error text, OUT events bigint, OUT late bigint, OUT dead bigint,
        OUT lost bigint,
        OUT lag bigint, OUT lag_time interval, OUT events_per_second bigint,
        OUT freshness_p50_ms float8, OUT freshness_p99_ms float8,
        OUT windows_open bigint, OUT groups_open bigint, OUT windows_final bigint,
        OUT memory bigint, OUT watermark timestamptz, OUT held int,
        OUT queue_memory bigint, OUT workers int,
        OUT messages_left bigint, OUT progress float8)
    RETURNS SETOF record LANGUAGE C STRICT
    AS 'MODULE_PATHNAME', 'weir_running_views';

CREATE FUNCTION weir.running_partitions(OUT id int, OUT partition int,
        OUT start_offset bigint, OUT "position" bigint, OUT committed bigint,
        OUT high_watermark bigint, OUT lag bigint, OUT watermark timestamptz,
        OUT idle boolean, OUT events bigint, OUT late bigint, OUT dead bigint,
        OUT held boolean, OUT lost bigint, OUT low_watermark bigint,
        OUT last_message timestamptz)
    RETURNS SETOF record LANGUAGE C STRICT
    AS 'MODULE_PATHNAME', 'weir_running_partitions';

-- Why views that should run are in no lane; NULL: no reason known.
CREATE FUNCTION weir.problem() RETURNS text LANGUAGE C STRICT
    AS 'MODULE_PATHNAME', 'weir_problem';

CREATE FUNCTION weir.microseconds_to_time(us bigint) RETURNS timestamptz
    LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN us >= 9200000000000000000 THEN 'infinity' -- all is closed
                ELSE timestamptz '2000-01-01 00:00:00+00' + us * interval '1 microsecond' END;

CREATE VIEW weir.status WITH (security_barrier) AS
    SELECT v.view AS view_name, v.stream,
           CASE WHEN v.state <> 'running' THEN v.state
                WHEN h.view IS NULL THEN 'paused: restored'
                WHEN r.state IS NULL AND pg_catalog.pg_is_in_recovery() THEN 'standby'
                ELSE coalesce(r.state, 'starting') END AS state,
           CASE WHEN v.state = 'running' AND h.view IS NOT NULL THEN coalesce(r.since, v.state_since)
                ELSE v.state_since END AS state_since,
           coalesce(r.events, (SELECT sum(x) FROM unnest(p.events) x), 0)::bigint AS events,
           coalesce(r.events_per_second, 0) AS events_per_second,
           r.lag, r.lag_time,
           CASE WHEN v.state = 'finished' THEN 0 ELSE r.messages_left END AS messages_left,
           CASE WHEN v.state = 'finished' THEN 100 ELSE trunc(r.progress::numeric, 1) END AS progress,
           CASE WHEN v.state = 'finished' OR r.messages_left = 0 THEN interval '0'
                WHEN r.events_per_second > 0
                THEN ceil(r.messages_left::float8 / r.events_per_second) * interval '1 second'
           END AS time_left,
           coalesce(r.late, (SELECT sum(x) FROM unnest(p.late) x), 0)::bigint AS late,
           coalesce(r.dead, (SELECT sum(x) FROM unnest(p.dead) x), 0)::bigint AS dead_letters,
           coalesce(r.lost, (SELECT sum(x) FROM unnest(p.lost) x), 0)::bigint AS lost,
           r.freshness_p50_ms, r.freshness_p99_ms,
           CASE WHEN v.open IS NOT NULL THEN r.windows_open END AS windows_open,
           CASE WHEN v.open IS NOT NULL THEN r.groups_open END AS groups_open,
           CASE WHEN v.open IS NOT NULL THEN p.windows_final END AS windows_final,
           p.rows_final,
           r.watermark,
           CASE WHEN pg_catalog.isfinite(r.watermark)
                THEN pg_catalog.clock_timestamp() - r.watermark END AS watermark_lag,
           weir.microseconds_to_time(p.closed_upto) AS closed_upto,
           r.memory, v.memory_limit, r.queue_memory, r.held, r.lane, r.workers,
           greatest(p.incarnation - 1, 0) AS restarts,
           coalesce(CASE WHEN weir.sees_reason(v.view, v.stream) THEN v.reason END, r.error,
               CASE WHEN r.id IS NULL AND v.state = 'running' THEN weir.problem() END) AS error
    FROM weir.views v
    LEFT JOIN weir.progress p ON p.view = v.id
    LEFT JOIN weir.home h ON h.view = v.id AND h.database =
        (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    LEFT JOIN weir.running_views() r ON r.id = v.id
    WHERE weir.sees(v.view, v.stream);

-- What is committed, of the views that weir.status shows: what lanes have counted
-- since is taken back if they fail.
CREATE VIEW weir.kept WITH (security_barrier) AS
    SELECT v.view AS view_name,
           coalesce((SELECT sum(x) FROM unnest(p.events) x), 0)::bigint AS events,
           coalesce((SELECT sum(x) FROM unnest(p.late) x), 0)::bigint AS late,
           coalesce((SELECT sum(x) FROM unnest(p.dead) x), 0)::bigint AS dead_letters,
           coalesce((SELECT sum(x) FROM unnest(p.lost) x), 0)::bigint AS lost
    FROM weir.views v
    LEFT JOIN weir.progress p ON p.view = v.id
    WHERE weir.sees(v.view, v.stream);
GRANT SELECT ON weir.kept TO PUBLIC;

CREATE VIEW weir.partitions WITH (security_barrier) AS
    SELECT v.view AS view_name, v.stream, c.partition, c.start_offset, c.end_offset,
           coalesce(r.position, c.committed) AS "position", c.committed,
           r.low_watermark, r.high_watermark, r.lag,
           coalesce(r.watermark, weir.microseconds_to_time(c.watermark)) AS watermark,
           r.idle, r.last_message, coalesce(r.events, c.events) AS events,
           coalesce(r.late, c.late) AS late,
           coalesce(r.dead, c.dead) AS dead_letters,
           coalesce(r.lost, c.lost) AS lost, r.held
    FROM weir.views v
    JOIN weir.progress p ON p.view = v.id
    CROSS JOIN LATERAL (
        SELECT (n - 1)::int AS partition, starts[n] AS start_offset,
               ends[n] AS end_offset,
               positions[n] AS committed, watermarks[n] AS watermark,
               events[n] AS events, late[n] AS late, dead[n] AS dead, lost[n] AS lost
        FROM generate_subscripts(p.positions, 1) n) c
    LEFT JOIN weir.running_partitions() r
        ON r.id = v.id AND r.partition = c.partition
    WHERE weir.sees(v.view, v.stream);

-- What is counted, for Prometheus.
CREATE FUNCTION weir.metric_rows(OUT name text, OUT labels jsonb, OUT value float8)
    RETURNS SETOF record LANGUAGE C STRICT ROWS 1000
    AS 'MODULE_PATHNAME', 'weir_metric_rows';
CREATE VIEW weir.metrics AS
    SELECT name, labels, value FROM weir.metric_rows();

-- Messages that could not be used, of the streams that the reader may read.
CREATE VIEW weir.dead_letters WITH (security_barrier) AS
    SELECT d.stream, v.view, d.topic, d.partition, d."offset", d."timestamp",
           d.key, d.payload, d.sqlstate, d.reason, d.recorded_at, d.id, d.record
    FROM weir.dead_letter_log d
    LEFT JOIN weir.views v ON v.id = d.view
    WHERE pg_catalog.has_table_privilege(d.stream, 'SELECT');

-- How many there are, by what is wrong and by the hour; reasons quote messages, so
-- there is none here, and weir_monitor may see it.
CREATE VIEW weir.dead_letter_summary WITH (security_barrier) AS
    SELECT d.stream, v.view, d.sqlstate,
           pg_catalog.date_trunc('hour', d.recorded_at) AS hour,
           count(*) AS letters, count(DISTINCT (d.partition, d."offset")) AS messages,
           sum(coalesce(length(d.key), 0)::bigint + coalesce(length(d.payload), 0))::bigint AS bytes,
           count(q.letter) AS to_replay,
           min(d.recorded_at) AS first_at, max(d.recorded_at) AS last_at
    FROM weir.dead_letter_log d
    LEFT JOIN weir.views v ON v.id = d.view
    LEFT JOIN (SELECT DISTINCT letter FROM weir.replay_queue) q ON q.letter = d.id
    WHERE pg_catalog.has_table_privilege(d.stream, 'SELECT') OR weir.is_monitor()
    GROUP BY 1, 2, 3, 4;

-- When each was recorded, for whom the summary is: a condition on recorded_at reads no others.
CREATE VIEW weir.dead_letter_times WITH (security_barrier) AS
    SELECT d.stream, v.view, d.sqlstate, d.recorded_at
    FROM weir.dead_letter_log d
    LEFT JOIN weir.views v ON v.id = d.view
    WHERE pg_catalog.has_table_privilege(d.stream, 'SELECT') OR weir.is_monitor();

-- A message as jsonb; NULL where it is not JSON, or none that jsonb can hold.
CREATE FUNCTION weir.message_as_jsonb(message bytea) RETURNS jsonb
    LANGUAGE C STABLE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'weir_message_as_jsonb';

-- Topics that final windows are written to.
CREATE VIEW weir.sinks WITH (security_barrier) AS
    SELECT v.view AS view_name, v.stream, s.topic, p.sent - s.first AS sent,
           s.numbered - p.sent AS pending,
           CASE WHEN weir.sees_reason(v.view, v.stream) THEN p.error END AS error,
           p.error_since
    FROM weir.sink_state s
    JOIN weir.sink_sent p ON p.view = s.view
    JOIN weir.views v ON v.id = s.view
    WHERE weir.sees(v.view, v.stream);

-- Late events that views have kept, of the streams that the reader may read.
CREATE VIEW weir.late_events WITH (security_barrier) AS
    SELECT l.stream, v.view, l.topic, l.partition, l."offset", l."timestamp",
           l.key, l.payload, l.event_time, l.window_start, l.window_end,
           l.late_by, l.recorded_at, weir.message_as_jsonb(l.payload) AS "row"
    FROM weir.late_event_log l
    JOIN weir.views v ON v.id = l.view
    WHERE pg_catalog.has_table_privilege(l.stream, 'SELECT');

-- Offsets that views have skipped.
CREATE VIEW weir.lost_ranges WITH (security_barrier) AS
    SELECT v.view, v.stream, l.topic, l.partition, l.from_offset, l.upto_offset,
           l.reason, l.recorded_at
    FROM weir.lost_range_log l
    JOIN weir.views v ON v.id = l.view
    WHERE weir.sees(v.view, v.stream);

-- Alerts on views that the reader may read, and what they have brought.  What an
-- alert says is for those who watch: it is notified to whoever listens, too.
CREATE VIEW weir.alert_rules WITH (security_barrier) AS
    SELECT a.name, v.view, a.condition, a.clear_condition, a.for_windows,
           a.windows, a.channel, a.state, a.reason, a.created_at
    FROM weir.alert_defs a
    JOIN weir.views v ON v.id = a.view
    WHERE weir.is_monitor() OR pg_catalog.has_table_privilege(v.view, 'SELECT');
CREATE VIEW weir.alerts WITH (security_barrier) AS
    SELECT l.alert AS name, v.view, l.key,
           CASE WHEN l.resolved_at IS NULL THEN 'firing' ELSE 'resolved' END AS state,
           l.since, l."row", l.resolved_at, l.resolved_row
    FROM weir.alert_log l
    JOIN weir.alert_defs a ON a.name = l.alert
    JOIN weir.views v ON v.id = a.view
    WHERE weir.is_monitor() OR pg_catalog.has_table_privilege(v.view, 'SELECT');
GRANT SELECT ON weir.alert_rules, weir.alerts TO PUBLIC;

GRANT SELECT ON weir.dead_letters, weir.dead_letter_summary, weir.dead_letter_times, weir.late_events, weir.lost_ranges, weir.sinks, weir.status, weir.partitions, weir.metrics TO PUBLIC;
-- Not the reason: it may quote a message.  weir.status shows it to those who may
-- read the stream.
GRANT SELECT (id, view, query, final, open, stream, upstream, definition, lateness, ttl, retention, memory_limit, on_memory_limit,
              start, until, settings, keep_late, notify, state, state_since, created_at) ON weir.views TO PUBLIC;

-- --- looking into a topic ----------------------------------------------------

CREATE FUNCTION weir.peek(stream regclass, n int DEFAULT 10,
        OUT partition int, OUT "offset" bigint, OUT "timestamp" timestamptz,
        OUT key text, OUT headers jsonb, OUT payload text, OUT "row" jsonb,
        OUT error text)
    RETURNS SETOF record LANGUAGE C STRICT PARALLEL UNSAFE ROWS 10
    AS 'MODULE_PATHNAME', 'weir_peek';
COMMENT ON FUNCTION weir.peek(regclass, int) IS
    'the newest messages of a stream, raw and decoded';

-- Up to n messages of a topic, half of them the oldest and half the newest.
CREATE FUNCTION weir.sample_messages(server name, topic text, n int,
        OUT partition int, OUT "offset" bigint, OUT "timestamp" timestamptz,
        OUT payload bytea,
        OUT "text" text)                    -- the same, if it is text
    RETURNS SETOF record LANGUAGE C STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'weir_sample_messages';

-- The CREATE FOREIGN TABLE that fits a topic, by a sample of its messages; NULL:
-- there are none.  See docs/reference.md, "infer".
CREATE FUNCTION weir.infer_statement(server name, topic text, sample int, "table" text)
    RETURNS text LANGUAGE sql STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET jit = off
AS $function$
WITH RECURSIVE
-- 1. Messages, and the JSON objects in them.
messages AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY m.partition, m."offset") AS id, m.*,
           weir.message_as_jsonb(m.payload) AS b
    FROM weir.sample_messages($1, $2, $3) m
    WHERE m.payload IS NOT NULL
), shapes AS (
    SELECT id, CASE WHEN jsonb_typeof(b) = 'object' THEN 'object'
                    WHEN jsonb_typeof(b) = 'array' AND jsonb_typeof(b -> 0) = 'object' THEN 'array'
                    WHEN b IS NULL AND text ~ '^\s*[{].*[}]\s*\n\s*[{].*[}]\s*$'
                         AND (SELECT bool_and(coalesce(jsonb_typeof(weir.message_as_jsonb(convert_to(l.line, 'UTF8'))) = 'object', false))
                              FROM regexp_split_to_table(text, '\n') l (line) WHERE l.line ~ '\S') THEN 'lines'
               END AS shape
    FROM messages
), counts AS (
    SELECT count(*) AS n, count(shape) AS json,
           count(*) FILTER (WHERE shape = 'object') AS objects,
           count(*) FILTER (WHERE shape = 'array') AS arrays,
           count(*) FILTER (WHERE shape = 'lines') AS lines,
           2 * count(shape) > count(*) AS is_json
    FROM shapes
), records AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY m.id, e.n) AS id, m.partition, m."offset", m."timestamp", e.value AS j
    FROM messages m JOIN shapes s USING (id)
    CROSS JOIN LATERAL (
        SELECT m.text::json AS value, 0::bigint AS n WHERE s.shape = 'object'
        UNION ALL
        SELECT a.value, a.n
        FROM json_array_elements(CASE WHEN s.shape = 'array' THEN m.text::json END)
             WITH ORDINALITY a (value, n)
        WHERE json_typeof(a.value) = 'object'
        UNION ALL
        SELECT l.line::json, l.n
        FROM regexp_split_to_table(CASE WHEN s.shape = 'lines' THEN m.text END, '\n')
             WITH ORDINALITY l (line, n)
        WHERE l.line ~ '\S') e
    WHERE s.shape IS NOT NULL
),
-- 2. Every value in them, with the keys that lead to it; objects are gone into.
nodes (id, path, ord, value) AS (
    SELECT r.id, ARRAY[e.key], ARRAY[e.n], e.value
    FROM records r, json_each(r.j) WITH ORDINALITY e (key, value, n)
    UNION ALL
    SELECT n.id, n.path || e.key, n.ord || e.n, e.value
    FROM nodes n, json_each(CASE WHEN json_typeof(n.value) = 'object' THEN n.value END)
         WITH ORDINALITY e (key, value, n)
    WHERE cardinality(n.path) < 8
), paths AS MATERIALIZED (
    SELECT path, min(ord) AS ord,
           coalesce(array_agg(DISTINCT json_typeof(value)) FILTER (WHERE json_typeof(value) <> 'null'), '{}') AS kinds,
           count(DISTINCT id) FILTER (WHERE json_typeof(value) <> 'null') AS present
    FROM nodes GROUP BY path
), opened AS (
    -- Objects whose fields become columns; one with very many keys is a map.
    SELECT p.path FROM paths p
    WHERE p.kinds = '{object}' AND cardinality(p.path) < 8
      AND (SELECT count(*) FROM paths c WHERE c.path[:cardinality(c.path) - 1] = p.path) BETWEEN 1 AND 64
), leaves AS (
    SELECT p.* FROM paths p
    WHERE '' <> ALL (p.path)
      AND NOT EXISTS (SELECT FROM opened o WHERE o.path = p.path)
      AND NOT EXISTS (SELECT FROM generate_series(1, cardinality(p.path) - 1) k
                      WHERE NOT EXISTS (SELECT FROM opened o WHERE o.path = p.path[:k]))
    ORDER BY p.ord LIMIT 1000
),
-- 3. What the values of each column look like.
looks AS (
    SELECT l.path,
           bool_and(v.text ~ '^-?[0-9]+$') AS whole,
           bool_and(length(regexp_replace(v.text, '[^0-9]', '', 'g')) <= 15) AS short,
           min(CASE WHEN v.kind = 'number' THEN v.text::numeric END) AS least,
           max(CASE WHEN v.kind = 'number' THEN v.text::numeric END) AS most,
           bool_and(v.text ~ '^[12]\d{3}-(0[1-9]|1[0-2])-[0-3]\d[T ][0-2]\d:[0-5]\d(:[0-5]\d([.]\d+)?)? ?(Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)?$') AS iso,
           bool_and(v.text ~ '^[12]\d{3}-(0[1-9]|1[0-2])-[0-3]\d$') AS day
    FROM leaves l JOIN nodes n USING (path)
    CROSS JOIN LATERAL (SELECT n.value #>> '{}' AS text, json_typeof(n.value) AS kind) v
    WHERE v.kind IN ('number', 'string') AND l.kinds <@ '{number,string}'
    GROUP BY l.path
), guesses AS (
    SELECT l.path, l.ord, l.kinds, l.present, k.whole, k.short, k.least, k.most, k.iso, k.day, u.unit, u.per_second,
           l.path[cardinality(l.path)] ~ '[a-z](At|Ts)$'
           OR l.path[cardinality(l.path)] ~* '(^|[_-])(ts|time|timestamp|datetime|date|at|when|epoch|created|updated|modified)([_-]|$)|time(stamp)?$' AS named
    FROM leaves l LEFT JOIN looks k USING (path)
    LEFT JOIN (VALUES ('s', 1::numeric), ('ms', 1e3), ('us', 1e6), ('ns', 1e9)) u (unit, per_second)
        ON l.kinds = '{number}' AND k.least >= 946684800 * u.per_second AND k.most < 4102444800 * u.per_second
), times AS MATERIALIZED (
    SELECT g.path, n.id, r.partition, r."offset", r."timestamp" AS kafka,
           CASE WHEN g.unit IS NOT NULL THEN to_timestamp((v.text::numeric / g.per_second)::float8)
                WHEN substr(v.text, 9, 2) BETWEEN '01' AND '28' AND substr(v.text, 12, 2) <= '23' THEN v.text::timestamptz
           END AS t
    FROM guesses g JOIN nodes n USING (path) JOIN records r USING (id)
    CROSS JOIN LATERAL (SELECT n.value #>> '{}' AS text) v
    WHERE json_typeof(n.value) IN ('number', 'string') AND (g.unit IS NOT NULL OR (g.kinds = '{string}' AND g.iso))
), closeness AS (
    SELECT path, percentile_disc(0.5) WITHIN GROUP (ORDER BY abs(extract(epoch FROM t - kafka))) AS off,
           max(t - kafka) AS ahead
    FROM times GROUP BY path
),
-- 4. Types, names and options of the columns.
typed AS (
    SELECT g.*, c.off, c.ahead,
           g.unit IS NOT NULL AND (g.named OR coalesce(c.off < 3600, false)) AS is_epoch,
           CASE WHEN g.kinds = '{}' THEN 'text'
                WHEN g.kinds && '{object,array}' THEN 'jsonb'
                WHEN g.kinds = '{boolean}' THEN 'boolean'
                WHEN g.kinds = '{number}' AND g.unit IS NOT NULL AND (g.named OR coalesce(c.off < 3600, false)) THEN 'timestamptz'
                WHEN g.kinds = '{number}' AND g.whole AND g.least >= -9223372036854775808 AND g.most <= 9223372036854775807 THEN 'bigint'
                WHEN g.kinds = '{number}' AND NOT g.whole AND g.short THEN 'float8'
                WHEN g.kinds = '{number}' THEN 'numeric'
                WHEN g.kinds = '{string}' AND g.iso THEN 'timestamptz'
                WHEN g.kinds = '{string}' AND g.day THEN 'date'
                ELSE 'text' END AS type,
           s.base || CASE WHEN s.base IN ('tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid') THEN '_' ELSE '' END AS base
    FROM guesses g LEFT JOIN closeness c USING (path)
    CROSS JOIN LATERAL (SELECT array_to_string(g.path, '_')::name::text AS base) s
), numbered AS (
    -- The cast to name cuts what is too long, where a character ends.
    SELECT t.*, row_number() OVER (PARTITION BY t.base ORDER BY cardinality(t.path), t.ord) AS nth,
           (SELECT coalesce(max(substring(o.base FROM '_([0-9]{1,7})$')::int), 0) FROM typed o) AS taken
    FROM typed t
), named AS (
    -- One that is there already gets a number that ends no other name.
    SELECT t.*,
           CASE WHEN t.nth = 1 THEN t.base
                ELSE substr(('123456789' || t.base)::name::text, 10) || '_'
                     || greatest(t.taken, 1) + row_number() OVER (PARTITION BY t.nth > 1 ORDER BY cardinality(t.path), t.ord)
           END AS name,
           (SELECT string_agg(CASE WHEN k ~ '^[A-Za-z_][A-Za-z0-9_]*$' THEN k
                                   ELSE '"' || replace(replace(k, '\', '\\'), '"', '\"') || '"' END, '.' ORDER BY n)
            FROM unnest(t.path) WITH ORDINALITY p (k, n)) AS steps
    FROM numbered t
), event_time AS (
    SELECT n.path, n.name, n.ahead FROM named n
    WHERE n.type = 'timestamptz' AND n.present = (SELECT count(*) FROM records)
    ORDER BY coalesce(n.off > 86400, true),
             CASE WHEN n.base ~* '^(event_?)?(ts|time|timestamp)$|^event_?at$' THEN 0 WHEN n.named THEN 1 ELSE 2 END,
             n.off, n.ord
    LIMIT 1
), disorder AS (
    SELECT ceil(coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY d.behind), 0)) AS usual, ceil(max(d.behind)) AS most
    FROM (SELECT extract(epoch FROM greatest(max(t.t) OVER (PARTITION BY t.partition ORDER BY t."offset", t.id
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - t.t, interval '0')) AS behind
          FROM times t JOIN event_time USING (path)) d
),
-- 5. The text.
lines AS (
    SELECT n.ord,
           '    ' || quote_ident(n.name) || ' ' || n.type
           || CASE WHEN o.options <> '' THEN ' OPTIONS (' || o.options || ')' ELSE '' END AS definition,
           concat_ws('; ',
               CASE WHEN n.kinds = '{}' THEN 'null in each of them'
                    WHEN cardinality(n.kinds) > 1 THEN array_to_string(n.kinds, ' or ') END,
               CASE WHEN n.kinds <> '{}' AND n.present < r.total
                    THEN 'missing or null in ' || greatest(round(100.0 * (r.total - n.present) / r.total), 1) || ' %' END) AS remark
    FROM named n
    CROSS JOIN (SELECT count(*) AS total FROM records) r
    CROSS JOIN LATERAL (
        SELECT concat_ws(', ', CASE WHEN cardinality(n.path) > 1 OR n.name <> n.path[1] THEN 'path ' || quote_literal(n.steps) END,
                         CASE WHEN n.is_epoch THEN 'unit ' || quote_literal(n.unit) END) AS options) o
    UNION ALL
    SELECT '{1}', '    payload ' || CASE WHEN count(text) = count(*) THEN 'text' ELSE 'bytea' END, ''
    FROM messages HAVING NOT (SELECT is_json FROM counts)
)
SELECT '-- ' || c.n || ' messages sampled'
       || CASE WHEN NOT c.is_json THEN '; most are no JSON objects'
               WHEN c.json < c.n THEN '; ' || c.n - c.json || ' are no JSON objects, and would be dead letters' ELSE '' END || E'\n'
       || CASE WHEN c.is_json AND NOT EXISTS (SELECT FROM event_time)
               THEN E'-- no column looks like an event time: Kafka''s timestamp is taken\n' ELSE '' END
       || CASE WHEN d.most > d.usual
               THEN '-- 1 % of the event times are more than ' || d.usual || ' s behind, one ' || d.most || E' s\n' ELSE '' END
       || 'CREATE FOREIGN TABLE ' || quote_ident($4) || E' (\n'
       || (SELECT string_agg(l.definition || CASE WHEN l.n < l.total THEN ',' ELSE '' END
                             || CASE WHEN l.remark <> '' THEN '  -- ' || l.remark ELSE '' END, E'\n' ORDER BY l.n)
           FROM (SELECT definition, remark, row_number() OVER (ORDER BY ord, definition) AS n, count(*) OVER () AS total FROM lines) l)
       || E'\n) SERVER ' || quote_ident($1) || ' OPTIONS ('
       || concat_ws(', ', 'topic ' || quote_literal($2),
              'format ' || CASE WHEN c.is_json THEN '''json''' ELSE '''raw''' END,
              CASE WHEN c.is_json AND c.arrays + c.lines > 0
                   THEN 'records ' || CASE WHEN c.objects + c.lines = 0 THEN '''array''' WHEN c.objects + c.arrays = 0 THEN '''lines''' ELSE '''auto''' END END,
              'event_time ' || quote_literal(e.name),
              CASE WHEN d.usual > 0 THEN 'watermark_delay ' || quote_literal(d.usual || ' seconds') END,
              CASE WHEN e.ahead > interval '1 day' THEN 'max_ahead ' || quote_literal(ceil(extract(epoch FROM e.ahead) / 86400) + 1 || ' days') END)
       || ')'
FROM counts c LEFT JOIN event_time e ON true CROSS JOIN disorder d
WHERE c.n > 0 AND EXISTS (SELECT FROM lines)
$function$;

CREATE FUNCTION weir.infer(server name, topic text, sample int DEFAULT 1000)
    RETURNS text LANGUAGE C STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_infer';
COMMENT ON FUNCTION weir.infer(name, text, int) IS
    'the CREATE FOREIGN TABLE that fits a topic, by a sample of its messages';

-- --- objects that go away by plain DROP -------------------------------------

CREATE FUNCTION weir.on_drop() RETURNS event_trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'weir_on_drop';
CREATE EVENT TRIGGER weir_on_drop ON sql_drop EXECUTE FUNCTION weir.on_drop();
