-- Alerts over final windows: so many in a row fire, clearing resolves, key by key;
-- a condition that fails stops its alert, not the view.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_alerts
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    country text, n int, ts timestamptz
) SERVER view_alerts OPTIONS (topic 'single_alerts', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('v', $$SELECT weir.tumble(ts, '10 s') AS w, country, sum(n) AS total, count(*) AS events FROM events GROUP BY 1, 2$$);
SELECT weir.create_alert('high', 'v', 'total > 100');
SELECT weir.create_alert('stays high', 'v', 'total > 100', for_windows => 2, clear_condition => 'total < 50', channel => 'other');
SELECT weir.create_alert('ratio', 'v', $$100 / total > 10 -- a comment$$);
SELECT weir.create_alert('never', 'v', 'NULL');
SELECT name, view, condition, clear_condition, for_windows, channel, state, reason FROM weir.alert_rules WHERE view = 'v'::regclass ORDER BY name;

-- DE: 200 50 200 200 60 40; FR: 200 once.
INSERT INTO events VALUES ('DE', 200, at(1)), ('FR', 200, at(2)), ('DE', 50, at(11)), ('FR', 1, at(12)), ('DE', 200, at(21)), ('DE', 200, at(31)), ('DE', 60, at(41)), ('X', 1, at(60));
SELECT weir.flush('v');
SELECT name, key, state, "row" -> 'total' AS fired, resolved_row -> 'total' AS resolved FROM weir.alerts WHERE view = 'v'::regclass ORDER BY name, since, key;
SELECT alert, hits, firing FROM weir.alert_hits ORDER BY 1, 2;
INSERT INTO events VALUES ('DE', 40, at(61)), ('X', 1, at(80));
SELECT weir.flush('v');
SELECT name, key, state, "row", resolved_row FROM weir.alerts WHERE view = 'v'::regclass AND name = 'stays high';
SELECT since <= resolved_at AND since > now() - interval '1 hour' AS times FROM weir.alerts WHERE name = 'stays high';

-- A condition that fails stops its alert, with the reason.
INSERT INTO events VALUES ('DE', 0, at(81)), ('X', 1, at(100));
SELECT weir.flush('v');
SELECT name, state, reason FROM weir.alert_rules WHERE view = 'v'::regclass AND state <> 'running';
SELECT state IN ('running', 'catching up') AS runs, dead_letters FROM weir.status WHERE view_name = 'v'::regclass;
SELECT * FROM differ('v');

-- So does one that is no expression, however it came here.
INSERT INTO weir.alert_defs (name, view, condition, for_windows, channel)
    SELECT 'odd', id, 'true), (NULL', 1, 'weir' FROM weir.views WHERE view = 'v'::regclass;
INSERT INTO events VALUES ('DE', 1, at(101)), ('X', 1, at(120));
SELECT weir.flush('v');
SELECT state, reason FROM weir.alert_rules WHERE name = 'odd';
SELECT weir.drop_alert('odd');

-- Windows that overlap, and one that is not shown.
BEGIN;
SELECT weir.create_view('hops', $$SELECT country AS k, count(*) AS events FROM events GROUP BY weir.hop(ts, '20 s', '10 s'), 1$$);
SELECT weir.create_alert('hops', 'hops', 'events >= 2');
COMMIT;
SELECT weir.flush('hops');
SELECT key, state, "row", resolved_row FROM weir.alerts WHERE name = 'hops';

-- Many rows: what an alert says of them is not all in memory.  They are sent in
-- pieces, each of which is read before the next: the broker keeps 5 MiB.
PREPARE pieces(int) AS SELECT statement FROM generate_series(1, 15001, 5000) g,
    LATERAL (VALUES (1, format($$INSERT INTO many SELECT repeat('key', 100) || g, at(%s + g %% 10) FROM generate_series(%s, %s) g$$, $1, g, g + 4999)),
                    (2, $$SELECT weir.flush('m')$$)) s(n, statement) ORDER BY g, n;
CREATE FUNCTION coordinator_kb() RETURNS bigint LANGUAGE sql
    RETURN (SELECT substring(pg_read_file('/proc/' || pid || '/status', 0, 100000, true) FROM 'VmPeak:\s+(\d+)')::bigint
            FROM pg_stat_activity WHERE backend_type = 'weir coordinator ' || (SELECT lane FROM weir.status WHERE view_name::text = 'm'));
CREATE FOREIGN TABLE many (
    k text, ts timestamptz
) SERVER view_alerts OPTIONS (topic 'single_many_alerts', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('m', $$SELECT weir.tumble(ts, '10 s') AS w, k, count(*) AS n FROM many GROUP BY 1, 2$$);
EXECUTE pieces(0) \gexec
INSERT INTO many VALUES ('X', at(20));
SELECT weir.flush('m');
SELECT coordinator_kb() AS before \gset
SELECT weir.create_alert('never m', 'm', 'n > 1'), weir.create_alert('x', 'm', $$k = 'X'$$);
EXECUTE pieces(20) \gexec
INSERT INTO many VALUES ('X', at(40));
SELECT weir.flush('m');
SELECT name, key, "row" ->> 'n' AS n FROM weir.alerts WHERE view = 'm'::regclass;
SELECT coordinator_kb() - :before < 16 * 1024 AS little;
SELECT weir.drop_view('m');

-- reset forgets; so do drop_alert and drop_view.
SELECT weir.reset('v', 'latest');
SELECT weir.flush('v');
SELECT count(*) FROM weir.alerts WHERE view = 'v'::regclass;
SELECT count(*) FROM weir.alert_hits JOIN weir.alert_defs ON name = alert AND name <> 'hops';
SELECT weir.drop_alert('ratio');
SELECT weir.create_alert('ratio', 'v', '1 / events > 2');
INSERT INTO events VALUES ('DE', 200, at(201)), ('X', 1, at(220));
SELECT weir.flush('v');
SELECT name, key, "row" -> 'total' AS fired FROM weir.alerts WHERE view = 'v'::regclass ORDER BY name;

-- As the owner of the view, whoever creates it; and who may see it.
CREATE ROLE view_alerts_owner;
CREATE ROLE view_alerts_other;
GRANT USAGE, CREATE ON SCHEMA view_alerts TO view_alerts_owner;
GRANT USAGE ON SCHEMA view_alerts TO view_alerts_other;
GRANT SELECT ON events TO view_alerts_owner;
CREATE TABLE secrets AS SELECT 1 AS a;
BEGIN;
SET LOCAL ROLE view_alerts_owner;
SELECT weir.create_view('theirs', $$SELECT weir.tumble(ts, '10 s') AS w, count(*) AS events FROM events GROUP BY 1$$);
RESET ROLE;
SELECT weir.create_alert('theirs', 'theirs', 'EXISTS (SELECT FROM secrets)');
SELECT weir.create_alert('who', 'theirs', $$current_user = 'view_alerts_owner'$$);
COMMIT;
SELECT weir.flush('theirs');
SELECT name, state, reason FROM weir.alert_rules WHERE view = 'theirs'::regclass ORDER BY 1;
SELECT count(*) FROM weir.alerts WHERE name = 'who';
SET ROLE view_alerts_other;
SELECT count(*) FROM weir.alerts;
SELECT count(*) FROM weir.alert_rules;
SELECT weir.drop_alert('who');
SELECT weir.create_alert('mine', 'theirs', 'true');
RESET ROLE;

-- Refused.
SELECT weir.create_alert('high', 'v', 'true');
SELECT weir.create_alert('x', 'v', 'no_column > 1');
SELECT weir.create_alert('x', 'v', 'total >');
SELECT weir.create_alert('x', 'v', 'true', clear_condition => 'false)');
SELECT weir.create_alert('x', 'v', 'true), (NULL');
SELECT weir.create_alert('x', 'v', 'true, false');
SELECT weir.create_alert('x', 'v', 'true AS a');
SELECT weir.create_alert('x', 'v', 'true FROM secrets');
SELECT weir.create_alert('x', 'v', 'true ORDER BY 1');
SELECT weir.create_alert('x', 'v', 'true LIMIT 0');
SELECT weir.create_alert('x', 'v', '');
SELECT weir.create_alert('x', 'v', 'true', clear_condition => 'true WHERE false');
SELECT weir.create_alert('x', 'v', $$(regexp_matches(country, 'D')) IS NOT NULL$$);
SELECT weir.create_alert('x', 'v', 'unnest(ARRAY[total]) = 1');
SELECT weir.create_alert('x', 'v', 'sum(total) > 1');
SELECT weir.create_alert('x', 'v', 'rank() OVER () > 1');
SELECT weir.create_alert('x', 'v', 'events');
SELECT weir.create_alert('x', 'v', 'random() > 0.5');
SELECT weir.create_alert('x', 'v', 'total IN (SELECT a FROM secrets WHERE pg_sleep(0) IS NOT NULL)');
SELECT weir.create_alert('x', 'v', 'true', clear_condition => $$set_config('search_path', 'x', false) IS NULL$$);
SELECT weir.create_alert('x', 'v', 'true', for_windows => 0);
SELECT weir.create_alert('x', 'v', 'true', channel => '');
SELECT weir.create_alert('', 'v', 'true');
SELECT weir.create_alert(repeat('x', 64), 'v', 'true');
SELECT weir.create_alert('x', 'v', NULL);
SELECT weir.create_alert('x', 'events', 'true');
SELECT weir.drop_alert('x');
SELECT weir.create_view('totals', 'SELECT count(*) FROM events');
SELECT weir.create_alert('x', 'totals', 'true');
SELECT weir.drop_view('v');
SELECT name FROM weir.alert_rules ORDER BY 1;
DROP SCHEMA view_alerts CASCADE;
DROP SERVER view_alerts;
DROP OWNED BY view_alerts_owner, view_alerts_other;
DROP ROLE view_alerts_owner, view_alerts_other;
SELECT count(*) FROM weir.alert_defs;
