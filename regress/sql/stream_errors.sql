-- Brokers that are not there: an error, soon, with an SQLSTATE.  (weir-broker
-- makes every topic that it is asked for, so a missing one needs a real Kafka.)
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS weir;
CREATE SCHEMA stream_errors;
SET search_path = stream_errors;
\getenv broker WEIR_BROKER
\set ECHO errors
SELECT format('CREATE SERVER se FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L)', :'broker') \gexec
\set ECHO all
-- Port 1 is nobody's.
CREATE SERVER se_down FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE SERVER se_nowhere FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers 'no-such-host.invalid:9092');
CREATE FOREIGN TABLE missing (a int) SERVER se OPTIONS (topic 'stream_errors_missing');
CREATE FOREIGN TABLE down (a int) SERVER se_down OPTIONS (topic 'x');
CREATE FOREIGN TABLE nowhere (a int) SERVER se_nowhere OPTIONS (topic 'x');

\set VERBOSITY sqlstate
-- It does not take long, whatever the timeout.
SET weir.broker_timeout = '10min';
CREATE FUNCTION outcome(query text, OUT state text, OUT soon bool) LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := clock_timestamp();
BEGIN
    BEGIN
        EXECUTE query;
        state := '00000';
    EXCEPTION WHEN OTHERS THEN
        state := SQLSTATE;
    END;
    soon := clock_timestamp() - t < interval '10 s';
END $$;
SELECT * FROM outcome('SELECT * FROM down');
SELECT * FROM outcome('INSERT INTO down VALUES (1)');
SET statement_timeout = '200ms';
SELECT * FROM down;
RESET statement_timeout;

SET weir.broker_timeout = '500ms';
SELECT * FROM nowhere;
COPY down FROM stdin;
1
\.
\set VERBOSITY terse
SELECT * FROM down;
INSERT INTO down VALUES (1);
-- Nothing is asked where no row is needed.
SELECT * FROM down LIMIT 0;
EXPLAIN (COSTS OFF) SELECT * FROM down;
EXPLAIN (COSTS OFF) INSERT INTO down VALUES (1);
SELECT * FROM down WHERE false;

-- After an error the session goes on, and the same scan works.
BEGIN;
SAVEPOINT a;
SELECT * FROM down;
ROLLBACK TO a;
SELECT 1;
COMMIT;

-- A password's file that cannot be read.
CREATE USER MAPPING FOR CURRENT_USER SERVER se OPTIONS ("sasl.password_file" '/nonexistent/secret');
\set VERBOSITY default
SELECT * FROM missing;
DROP USER MAPPING FOR CURRENT_USER SERVER se;

DROP SERVER se CASCADE;
DROP SERVER se_down CASCADE;
DROP SERVER se_nowhere CASCADE;
DROP SCHEMA stream_errors CASCADE;
