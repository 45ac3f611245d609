-- A stream joined with tables, in append views and in views with groups.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test append_join
\i :lib
ALTER SYSTEM SET weir.join_refresh = '50 ms';
SELECT pg_reload_conf() \g /dev/null
\set ECHO all
CREATE FOREIGN TABLE events (
    user_id int, kind text, n int, ts timestamptz,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER append_join OPTIONS (topic 'single_2', event_time 'ts');
CREATE TABLE users (user_id int PRIMARY KEY, name text, country text, secret text, factor int DEFAULT 1);
CREATE TABLE countries (code text, title text);
INSERT INTO users SELECT g, 'user ' || g, (ARRAY['de', 'fr', 'xx'])[g % 3 + 1], 'hidden' FROM generate_series(1, 6) g;
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France');
CREATE VIEW adults AS SELECT user_id AS id, name FROM users WHERE user_id > 3;

SELECT weir.create_view('inner_v', $$ SELECT off, user_id, name, n FROM events JOIN users USING (user_id) $$);
SELECT weir.create_view('left_v', $$ SELECT e.off, u.name, upper(c.title) AS title, u.name || e.n AS both
    FROM events e LEFT JOIN users u ON u.user_id = e.user_id LEFT JOIN countries c ON c.code = u.country WHERE e.kind <> 'debug' $$);
SELECT weir.create_view('comma_v', $$ SELECT e.off, a.name FROM events e, adults a WHERE a.id = e.user_id AND a.name <> 'user 5' AND e.n > 0 $$);
SELECT weir.create_view('range_v', $$ SELECT e.off, s.code, s.k FROM events e JOIN (SELECT code, length(title) AS k FROM countries) s ON s.k <= e.n $$);
SELECT weir.create_view('grouped_v', $$ SELECT weir.tumble(e.ts, '10 s') AS w, coalesce(u.country, '?') AS country, count(*), count(u.name) AS known, sum(e.n * u.factor) AS n, max(u.name) AS last
    FROM events e LEFT JOIN users u USING (user_id) GROUP BY 1, 2 $$);
SELECT weir.create_view('totals_v', $$ SELECT c.title, count(*) FROM events e JOIN users u USING (user_id) JOIN countries c ON c.code = u.country GROUP BY 1 HAVING count(*) > 0 $$);
INSERT INTO events SELECT g % 9, CASE WHEN g % 10 = 0 THEN 'debug' ELSE 'click' END, g % 12, at(g / 50.0) FROM generate_series(1, 2000) g;
SELECT weir.flush('events');
SELECT view, d.* FROM unnest('{inner_v,left_v,comma_v,range_v,grouped_v,totals_v}'::text[]) view, differ(view) d;
SELECT count(*), count(DISTINCT name) FROM inner_v;
SELECT count(*), count(name), count(title), count("both") FROM left_v;
SELECT count(*) FROM range_v;
SELECT * FROM totals_v ORDER BY 1;

-- changes of a table are seen
CREATE FUNCTION see(id int, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        INSERT INTO append_join.events VALUES (id, 'probe', 1, append_join.at(100));
        PERFORM pg_sleep(0.01);
        EXIT WHEN EXISTS (SELECT FROM append_join.inner_v i WHERE i.name = see.name);
    END LOOP;
END $$;
INSERT INTO users VALUES (100, 'new one', 'de');
SELECT see(100, 'new one');
UPDATE users SET name = 'another name' WHERE user_id = 100;
SELECT see(100, 'another name');
ALTER TABLE users ADD COLUMN more text;
ALTER TABLE users ALTER COLUMN secret TYPE varchar(20);
ALTER TABLE users RENAME COLUMN name TO full_name;
ALTER TABLE users RENAME TO people;
UPDATE people SET full_name = 'rewritten' WHERE user_id = 100;
SELECT see(100, 'rewritten');
ALTER TABLE people RENAME TO users;
ALTER TABLE users RENAME COLUMN full_name TO name;

DO $$
BEGIN
    LOOP
        INSERT INTO events VALUES (100, 'probe', 1, at(100));
        PERFORM pg_sleep(0.01);
        EXIT WHEN EXISTS (SELECT FROM left_v WHERE name = 'rewritten');
    END LOOP;
END $$;

-- a table that is locked: what was read last is used, and nothing waits
BEGIN;
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;
UPDATE users SET name = 'while locked' WHERE user_id = 100;
INSERT INTO events VALUES (100, 'locked', 7, at(101));
SELECT wait_for($$EXISTS (SELECT FROM inner_v WHERE name = 'rewritten' AND n = 7)$$);
SELECT wait_for($$EXISTS (SELECT FROM left_v WHERE "both" = 'rewritten7')$$);
SELECT view_name, state, error FROM weir.status WHERE state NOT IN ('running', 'idle');
COMMIT;
SELECT see(100, 'while locked');

-- a record whose join fails is a dead letter, of this view alone
SELECT weir.create_view('failing_v', $$ SELECT e.off, e.n, u.name FROM events e JOIN users u ON u.user_id = 12 / e.n $$);
SELECT weir.create_view('failing_g', $$ SELECT u.name, count(*) FROM events e JOIN users u ON u.user_id = 12 / e.n GROUP BY 1 $$);
SELECT weir.flush('failing_v'), weir.flush('failing_g');
SELECT (SELECT count(*) FROM failing_v) = (SELECT count(*) FROM events e JOIN users u ON u.user_id = 12 / nullif(e.n, 0)) AS all_others,
    (SELECT sum(count) FROM failing_g) = (SELECT count(*) FROM failing_v) AS as_many;
SELECT view, sqlstate, count(*) = (SELECT count(*) FROM events WHERE n = 0) AS all_of_them FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY 1, 2 ORDER BY 1;

-- more rows than a batch has room for
CREATE TABLE many AS SELECT g AS k FROM generate_series(1, 300) g;
SELECT weir.create_view('many_v', $$ SELECT e.off, m.k FROM events e CROSS JOIN many m $$);
SELECT weir.create_view('many_g', $$ SELECT m.k, count(*) FROM events e, many m GROUP BY 1 $$);
SELECT weir.flush('many_v'), weir.flush('many_g');
SELECT (SELECT count(*) FROM many_v) = 300 * (SELECT count(*) FROM events) AS rows, (SELECT sum(count) FROM many_g) = 300 * (SELECT count(*) FROM events) AS counted;

-- the rows of a record are written all, or none, and count as one
BEGIN;
SELECT weir.create_view('all_v', $$ SELECT e.off, m.k FROM events e JOIN many m ON m.k <= 3 $$);
ALTER TABLE all_v ADD CHECK (off % 5 <> 2 OR k = 3);
COMMIT;
SELECT weir.flush('all_v');
SELECT count(*) = 3 * count(DISTINCT off) AS whole, count(DISTINCT off) = (SELECT count(*) FROM events WHERE off % 5 <> 2) AS others FROM all_v;
SELECT events = (SELECT count(*) FROM events WHERE off % 5 <> 2) AS events, dead_letters = (SELECT count(*) FROM events WHERE off % 5 = 2) AS dead FROM weir.status WHERE view_name = 'all_v'::regclass;
SELECT sqlstate, count(*) = (SELECT count(*) FROM events WHERE off % 5 = 2) AS once FROM weir.dead_letters WHERE view = 'all_v'::regclass GROUP BY 1;

-- as the owner: column privileges, row-level security
CREATE ROLE append_joiner;
GRANT USAGE, CREATE ON SCHEMA append_join TO append_joiner;
GRANT SELECT ON events TO append_joiner;
GRANT SELECT (user_id, name, secret) ON users TO append_joiner;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON users TO append_joiner USING (user_id < 3);
SET ROLE append_joiner;
SELECT weir.create_view('mine_v', $$ SELECT e.off, u.name FROM append_join.events e JOIN append_join.users u USING (user_id) $$);
SELECT weir.create_view('secret_v', $$ SELECT e.off, u.secret FROM append_join.events e JOIN append_join.users u USING (user_id) $$);
SELECT weir.create_view('secret_g', $$ SELECT u.secret, count(*) FROM append_join.events e JOIN append_join.users u USING (user_id) GROUP BY 1 $$);
RESET ROLE;
SELECT weir.flush('mine_v');
SELECT DISTINCT name FROM mine_v ORDER BY 1;
REVOKE SELECT (secret) ON users FROM append_joiner;
DO $$
BEGIN
    LOOP
        INSERT INTO events VALUES (1, 'revoked', 1, at(102));
        PERFORM pg_sleep(0.01);
        EXIT WHEN (SELECT count(*) = 2 FROM weir.status WHERE state = 'error');
    END LOOP;
END $$;
SELECT view_name, error FROM weir.status WHERE state NOT IN ('running', 'idle') ORDER BY 1;
SELECT weir.flush('mine_v');

-- what is refused
SELECT weir.create_view('x', $$ SELECT e.off FROM users u LEFT JOIN events e USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e FULL JOIN users u USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e JOIN events f USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e JOIN (SELECT user_id FROM events) f USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e JOIN LATERAL (SELECT name FROM users u WHERE u.user_id = e.user_id) f ON true $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e JOIN generate_series(1, 3) g ON g = e.n $$);
SELECT weir.create_view('x', $$ SELECT e.off, u FROM events e JOIN users u USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off, u.ctid FROM events e JOIN users u USING (user_id) $$);
SELECT weir.create_view('x', $$ SELECT e.off FROM events e JOIN users u ON u.factor > random() $$);
SELECT weir.create_view('x', $$ SELECT u.name FROM users u JOIN countries c ON c.code = u.country $$);

DROP SCHEMA append_join CASCADE;
DROP OWNED BY append_joiner;
DROP ROLE append_joiner;
DROP SERVER append_join CASCADE;
ALTER SYSTEM RESET weir.join_refresh;
SELECT pg_reload_conf() \g /dev/null
