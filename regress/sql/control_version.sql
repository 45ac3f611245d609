-- A library that is preloaded and SQL objects of another version: nothing of
-- them runs, and all say so.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_version
\i :lib
\set ECHO all
CREATE FOREIGN TABLE versions (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER control_version OPTIONS (topic 'control_version', event_time 'ts');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM versions GROUP BY 1 $$);
INSERT INTO versions SELECT g, at(g), g % 4 FROM generate_series(1, 40) g;
SELECT weir.flush('v');
UPDATE pg_extension SET extversion = '0.0' WHERE extname = 'weir';
-- (There is nothing to update; but workers look at the catalog after it.)
ALTER EXTENSION weir UPDATE TO '0.0';
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
SELECT error FROM weir.status;
SELECT weir.flush('v');
SELECT weir.pause('v');
SELECT weir.create_view('w', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM versions GROUP BY 1 $$);
SELECT * FROM v;
SELECT count(*) >= 0 FROM v_final;
UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'weir';
SELECT weir.pause('v');
SELECT weir.resume('v');
INSERT INTO versions SELECT g, at(g), g % 4 FROM generate_series(41, 80) g;
SELECT weir.flush('v');
SELECT * FROM differ('v');

DROP SCHEMA control_version CASCADE;
DROP SERVER control_version;
