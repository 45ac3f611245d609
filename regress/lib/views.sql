-- What the tests of continuous views share.  They set :test, the name of a
-- schema and a server of their own, and \i this file.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = postgres;
\pset null '(null)'
\set SHOW_CONTEXT never
CREATE EXTENSION IF NOT EXISTS weir;
CREATE SCHEMA :test;
SET search_path = :test;
\getenv broker WEIR_BROKER
SELECT format('CREATE SERVER %I FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'test', :'broker') \gexec

-- Wait until a condition is true; the only waiting there is in these tests.
CREATE FUNCTION wait_for(condition text, timeout interval DEFAULT '60 s') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + timeout;
    reached boolean;
BEGIN
    LOOP
        EXECUTE 'SELECT ' || condition INTO reached;
        EXIT WHEN reached;
        IF clock_timestamp() > deadline THEN
            RAISE 'timed out waiting for %', condition
                USING DETAIL = (SELECT coalesce(string_agg(s::text, E'\n'), 'no views') FROM weir.status s);
        END IF;
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;

-- How many rows a view and the same query over its topic do not share.
CREATE FUNCTION differ(view text, OUT only_view bigint, OUT only_batch bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %1$I EXCEPT ALL SELECT * FROM %2$I) d', view, view || '_query') INTO only_view;
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %2$I EXCEPT ALL SELECT * FROM %1$I) d', view, view || '_query') INTO only_batch;
END $$;

-- How many rows of a view are final, and how many open.
CREATE FUNCTION windows(view text, OUT final bigint, OUT open bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM %I', view || '_final') INTO final;
    EXECUTE format('SELECT count(*) FROM %I', view || '_open') INTO open;
END $$;

-- Second s of the test's year.
CREATE FUNCTION at(s float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    RETURN timestamptz '2024-01-01 00:00:00+00' + s * interval '1 second';
