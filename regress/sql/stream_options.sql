-- Every option of the wrapper: accepted where it belongs, refused elsewhere,
-- with a hint.  Nothing here asks a broker.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS weir;
CREATE SCHEMA stream_options;
SET search_path = stream_options;
\set VERBOSITY default

-- Servers.
CREATE SERVER so FOREIGN DATA WRAPPER weir;
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a:1,,b:2');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a:0');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a:99999');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a:x');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers ':9092');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a b');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', bootstrap_server 'b');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "bootstrap.servers" 'b');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', topic 'b');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', fetch_min_bytes '1');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "fetch.min.byte" '1');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "no.such.thing" '1');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "fetch.min.bytes" 'many');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "security.protocol" 'carrier_pigeon');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "sasl.mechanism" 'OAUTHBEARER');
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "sasl.password" 'secret');

-- What is Weir's, or would run code: refused, and why.
CREATE FUNCTION refusal(option text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE format('CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers ''a'', %I ''1'')', option);
    RETURN 'ACCEPTED';
EXCEPTION WHEN fdw_invalid_option_name THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT refusal(o) FROM unnest(ARRAY[
    'acks', 'allow.auto.create.topics', 'auto.commit.interval.ms', 'auto.offset.reset', 'enable.auto.commit',
    'enable.auto.offset.store', 'enable.partition.eof', 'enable.sasl.oauthbearer.unsecure.jwt', 'group.id',
    'group.instance.id', 'internal.termination.signal', 'log.queue', 'log_level', 'max.poll.interval.ms',
    'metadata.broker.list', 'offset.store.method', 'partition.assignment.strategy', 'plugin.library.paths',
    'request.required.acks', 'sasl.kerberos.keytab', 'sasl.kerberos.kinit.cmd', 'sasl.kerberos.principal',
    'sasl.oauthbearer.token.endpoint.url', 'session.timeout.ms', 'ssl.engine.location', 'ssl.providers',
    'statistics.interval.ms', 'test.mock.num.brokers', 'topic.blacklist', 'transactional.id',
    'error_cb', 'log_cb', 'opaque', 'open_cb', 'interceptors']) o;

-- What is allowed.
CREATE SERVER so FOREIGN DATA WRAPPER weir OPTIONS (
    bootstrap_servers 'broker1:9092, broker2,[::1]:9093',
    "api.version.request.timeout.ms" '5000', "batch.num.messages" '1000', "batch.size" '100000',
    "broker.address.family" 'v4', "broker.address.ttl" '1000', "check.crcs" 'true', "client.id" 'me', "client.rack" 'r1',
    "compression.codec" 'lz4', "compression.level" '3', "connections.max.idle.ms" '60000', "debug" 'broker',
    "delivery.timeout.ms" '20000', "enable.idempotence" 'false', "enable.ssl.certificate.verification" 'true',
    "fetch.error.backoff.ms" '500', "fetch.max.bytes" '52428800', "fetch.message.max.bytes" '1048576',
    "fetch.min.bytes" '1', "fetch.wait.max.ms" '10', "isolation.level" 'read_uncommitted', "linger.ms" '0',
    "message.max.bytes" '1000000', "message.timeout.ms" '10000', "metadata.max.age.ms" '60000',
    "partitioner" 'murmur2_random', "queue.buffering.max.messages" '1000', "queued.max.messages.kbytes" '65536',
    "queued.min.messages" '1000', "receive.message.max.bytes" '100000000', "reconnect.backoff.ms" '10',
    "reconnect.backoff.max.ms" '1000', "request.timeout.ms" '5000', "retries" '3', "sasl.mechanism" 'SCRAM-SHA-256',
    "security.protocol" 'sasl_ssl', "socket.keepalive.enable" 'true', "socket.timeout.ms" '10000',
    "ssl.ca.location" '/etc/ssl/ca.pem', "ssl.endpoint.identification.algorithm" 'https',
    "topic.metadata.refresh.interval.ms" '1000');
ALTER SERVER so OPTIONS (SET "linger.ms" '-1');
ALTER SERVER so OPTIONS (SET "linger.ms" '5', DROP debug);
ALTER SERVER so OPTIONS (DROP bootstrap_servers);

-- User mappings.
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS ("user" 'u');
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS ("sasl.usernam" 'u');
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS ("linger.ms" '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS (bootstrap_servers 'a');
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS ("sasl.password_file" 'relative');
CREATE USER MAPPING FOR CURRENT_USER SERVER so OPTIONS (
    "sasl.username" 'u', "sasl.password" 'Secret', "ssl.key.password" 'x', "ssl.keystore.location" '/x.p12',
    "ssl.keystore.password" 'y', "client.id" 'me');
ALTER USER MAPPING FOR CURRENT_USER SERVER so OPTIONS (DROP "sasl.password", ADD "sasl.password_file" '/etc/secret');

-- Files are for those who may read the server's files, debug for superusers.
CREATE ROLE regress_stream_plain;
CREATE ROLE regress_stream_files IN ROLE pg_read_server_files;
GRANT USAGE ON FOREIGN DATA WRAPPER weir TO regress_stream_plain, regress_stream_files;
SET ROLE regress_stream_plain;
CREATE SERVER so_plain FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "ssl.ca.location" '/x');
CREATE SERVER so_plain FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "debug" 'all');
CREATE SERVER so_plain FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a');
CREATE USER MAPPING FOR CURRENT_USER SERVER so_plain OPTIONS ("sasl.password_file" '/etc/secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER so_plain OPTIONS ("ssl.key.location" '/etc/secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER so_plain OPTIONS ("sasl.password" 'x');
SET ROLE regress_stream_files;
CREATE SERVER so_files FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'a', "ssl.ca.location" '/x');
CREATE USER MAPPING FOR CURRENT_USER SERVER so_files OPTIONS ("sasl.password_file" '/etc/secret');
RESET ROLE;

-- Foreign tables.
CREATE FOREIGN TABLE t (a int) SERVER so;
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic '');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a b');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic '..');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topics 'a');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', path 'x');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', bootstrap_servers 'x');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', watermark_dely 'x');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', format 'xml');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', on_error 'ignore');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', offset_reset 'largest');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', event_time '');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', watermark_delay 'soon');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', watermark_delay '-1 s');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', max_ahead '1 month');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', idle_timeout '1 year');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', max_ahead '2000000000 days');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', start 'beginning');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', start 'infinity');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', workers '0');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', workers '5');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (topic 'a', workers '2 of them');
CREATE FOREIGN TABLE t (a int) SERVER so OPTIONS (
    topic 'a.b_c-D1', format 'json', on_error 'skip', event_time 'ts', watermark_delay '0', max_ahead '1 day 2 hours',
    idle_timeout '1.5 s', start '2024-01-01 00:00:00+00', workers '4');
ALTER FOREIGN TABLE t OPTIONS (SET start 'latest', SET on_error 'stop', SET workers '1', ADD offset_reset 'earliest');
ALTER FOREIGN TABLE t OPTIONS (DROP topic);

-- Columns.
CREATE FOREIGN TABLE u (a int OPTIONS (paths 'x')) SERVER so OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (a int OPTIONS (topic 'x')) SERVER so OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (a int OPTIONS (path '')) SERVER so OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (a int OPTIONS (unit 'min')) SERVER so OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (a int OPTIONS (metadata 'offsets')) SERVER so OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (
    a int OPTIONS (path 'x.y'), b timestamptz OPTIONS (unit 'ms'), c text OPTIONS (metadata 'topic'),
    d int OPTIONS (metadata 'partition'), e bigint OPTIONS (metadata 'offset'), f timestamptz OPTIONS (metadata 'timestamp'),
    g text OPTIONS (metadata 'key'), h jsonb OPTIONS (metadata 'headers')
) SERVER so OPTIONS (topic 'a');
EXPLAIN (COSTS OFF) SELECT * FROM u;

-- What options and columns say together shows when the stream is used.
CREATE FUNCTION trouble(columns text, options text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
    state text;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE w (%s) SERVER so OPTIONS (topic ''a'' %s)', columns, options);
    EXECUTE 'EXPLAIN SELECT * FROM w';
    EXECUTE 'DROP FOREIGN TABLE w';
    RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
    RETURN concat_ws(' / ', state, message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT trouble('a int OPTIONS (metadata ''topic'')');
SELECT trouble('a bigint OPTIONS (metadata ''partition'')');
SELECT trouble('a int OPTIONS (metadata ''offset'')');
SELECT trouble('a bigint OPTIONS (metadata ''timestamp'')');
SELECT trouble('a numeric(5,2) OPTIONS (metadata ''key'')');
SELECT trouble('a json OPTIONS (metadata ''headers'')');
SELECT trouble('a timestamp OPTIONS (metadata ''timestamp''), b bytea OPTIONS (metadata ''key'')');
SELECT trouble('a text OPTIONS (metadata ''key'', path ''x'')');
SELECT trouble('a timestamptz OPTIONS (metadata ''timestamp'', unit ''s'')');
SELECT trouble('a int OPTIONS (unit ''s'')');
SELECT trouble('a int GENERATED ALWAYS AS (1) STORED');
SELECT trouble('a int', ', event_time ''ts''');
SELECT trouble('a int, ts int', ', event_time ''ts''');
SELECT trouble('a int, ts timestamp', ', event_time ''ts''');
SELECT trouble('a int, ts timestamptz OPTIONS (metadata ''timestamp'')', ', event_time ''ts''');
SELECT trouble('a text, b text', ', format ''raw''');
SELECT trouble('a text OPTIONS (metadata ''key'')', ', format ''raw''');
SELECT trouble('a text OPTIONS (path ''x'')', ', format ''raw''');
SELECT trouble('a bytea, k bytea OPTIONS (metadata ''key'')', ', format ''raw''');

-- The wrapper itself has no options.
ALTER FOREIGN DATA WRAPPER weir OPTIONS (topic 'x');

DROP SERVER so CASCADE;
DROP SERVER so_plain CASCADE;
DROP SERVER so_files CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER weir FROM regress_stream_plain, regress_stream_files;
DROP ROLE regress_stream_plain, regress_stream_files;
DROP SCHEMA stream_options CASCADE;
