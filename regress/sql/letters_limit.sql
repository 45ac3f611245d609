-- A topic of garbage does not fill the disk: how many dead letters a stream keeps.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test letters_limit
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (n int, ts timestamptz) SERVER letters_limit OPTIONS (topic 'letters_limit', event_time 'ts', dead_letters_limit '0');
CREATE FOREIGN TABLE events (n int, ts timestamptz) SERVER letters_limit OPTIONS (topic 'letters_limit', event_time 'ts', dead_letters_full 'burst');
CREATE FOREIGN TABLE events (n int, ts timestamptz) SERVER letters_limit OPTIONS (topic 'letters_limit', event_time 'ts', dead_letter_rate '-1');
CREATE FOREIGN TABLE events (n int, ts timestamptz) SERVER letters_limit OPTIONS (topic 'letters_limit', event_time 'ts', dead_letters_limit '10 kB', dead_letters_full 'drop_oldest');
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition')) SERVER letters_limit OPTIONS (topic 'letters_limit', format 'raw');
CREATE PROCEDURE alter_to(options text) LANGUAGE plpgsql AS $$ BEGIN
    PERFORM weir.pause(view) FROM weir.views WHERE state = 'running';
    COMMIT;
    PERFORM wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
    EXECUTE format('ALTER FOREIGN TABLE events OPTIONS (%s)', options);
    PERFORM weir.resume(view) FROM weir.views;
END $$;
CREATE FUNCTION letters() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM weir.dead_letters WHERE stream = 'letters_limit.events'::regclass $$;
CREATE FUNCTION counted(view regclass) RETURNS bigint LANGUAGE sql AS $$ SELECT dead_letters FROM weir.status WHERE view_name = $1 $$;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('rows', $$ SELECT * FROM events $$);

-- The oldest go.
INSERT INTO raw SELECT 'no json ' || g, g % 4 FROM generate_series(101, 200) g;
SELECT weir.flush('events');
SELECT wait_for('letters() < 50');
SELECT letters() > 20 AS some;
SELECT counted('v'), counted('rows');

-- They are counted, and not kept; and kept again when there is room.
CALL alter_to('SET dead_letters_limit ''1 kB'', DROP dead_letters_full');
CREATE PROCEDURE garbage(condition text) LANGUAGE plpgsql AS $$
DECLARE reached boolean := false; BEGIN
    FOR i IN 1 .. 3000 LOOP
        INSERT INTO raw VALUES ('garbage', 0);
        COMMIT;
        PERFORM pg_sleep(0.02);
        EXECUTE 'SELECT ' || condition INTO reached;
        IF reached THEN RETURN; END IF;
    END LOOP;
    RAISE 'never came: %', condition;
END $$;
CALL garbage('counted(''v'') > letters() + 100 + 10 AND counted(''rows'') > letters() + 100 + 10');
SELECT weir.purge_dead_letters('events') > 0 AS purged;
CALL garbage('letters() > 0');

-- The stream stops.
CALL alter_to('SET dead_letters_limit ''1'', ADD dead_letters_full ''stop''');
CALL garbage('(SELECT bool_and(state = ''error'') FROM weir.status)');
SELECT DISTINCT regexp_replace(error, 'offset \d+', 'offset N') FROM weir.status;

-- A rate.
SELECT weir.purge_dead_letters('events') > 0 AS purged;
CALL alter_to('SET dead_letters_limit ''none'', DROP dead_letters_full, ADD dead_letter_rate ''2''');
INSERT INTO raw SELECT 'no json ' || g, g % 4 FROM generate_series(1, 400) g;
SELECT weir.flush('events');
SELECT letters() BETWEEN 1 AND 200 AS few;

SET client_min_messages = warning;
DROP SCHEMA letters_limit CASCADE;
DROP SERVER letters_limit;
