-- Partitions of v_final: a day each, and wider ones when there are many, so that
-- event times far apart do not make thousands of them.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_partitions
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_partitions OPTIONS (topic 'view_partitions', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 ms') AS w, count(*), sum(n) FROM events GROUP BY 1 $$);
-- One event on each of 1500 days, then one each 200 days for 200 years, all in
-- order, in each of the topic's partitions.
INSERT INTO events SELECT g, timestamptz '1700-01-01 00:00:00+00' + g * interval '1 day', p FROM generate_series(1, 1500) g, generate_series(0, 3) p;
INSERT INTO events SELECT g, timestamptz '1705-01-01 00:00:00+00' + g * interval '200 days', p FROM generate_series(1, 365) g, generate_series(0, 3) p;
SELECT weir.flush('v');
SELECT wait_for('(SELECT count(*) = 1864 FROM v_final)');
SELECT count(*) BETWEEN 101 AND 250 AS some FROM pg_partition_tree('v_final') WHERE isleaf;
SELECT * FROM differ('v');
-- Windows that are longer than a day: a partition holds 4096 of them.
SELECT weir.create_view('long', $$ SELECT weir.tumble(ts, '30 days') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('long');
SELECT wait_for('(SELECT count(*) > 400 FROM long_final)');
SELECT count(*) BETWEEN 1 AND 20 AS few FROM pg_partition_tree('long_final') WHERE isleaf;
SELECT * FROM differ('long');

DROP SCHEMA view_partitions CASCADE;
DROP SERVER view_partitions;
