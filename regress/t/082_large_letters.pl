# Dead letters and late events that are larger than what windows leave of shared
# memory: they are kept whole one after the other, what can never fit is cut, and
# nothing stops.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.memory_limit = '16 MB'", "weir.checkpoint_interval = '200 ms'");
my $topic = $kafka->new_topic('large', 1, 'max.message.bytes=40000000');

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '0', idle_timeout => '1 day' });
sql($node, qq{
	ALTER SERVER kafka OPTIONS (ADD "message.max.bytes" '40000000');
	CREATE FOREIGN TABLE raw (message text, key text OPTIONS (metadata 'key'))
		SERVER kafka OPTIONS (topic '$topic', format 'raw');
	SELECT weir.create_view('late_v', \$\$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS n
		FROM events GROUP BY 1 \$\$, keep_late => true);
	SELECT weir.create_view('failing_v', \$\$ SELECT weir.tumble(ts, '2 hours') AS w, sum(1 / latency_ms) AS n
		FROM events GROUP BY 1 \$\$);
	INSERT INTO events (ts, latency_ms) VALUES ('2024-01-01 01:00:00Z', 1)});

# What no view can use: each as large as half of the memory, or larger.
sql($node, q{
	INSERT INTO raw SELECT repeat(g::text, 6000000), 'half' FROM generate_series(1, 3) g;
	INSERT INTO raw VALUES (repeat('y', 11000000), 'most');
	INSERT INTO raw VALUES (repeat('z', 20000000), 'never');
	INSERT INTO events (ts, latency_ms) VALUES ('2024-01-01 01:00:01Z', 1);
	SELECT weir.flush('events', '120 s')});
is( sql($node, q{SELECT string_agg(convert_from(key, 'UTF8') || ' ' || length(payload), ', ' ORDER BY "offset")
		FROM weir.dead_letters}),
	'half 6000000, half 6000000, half 6000000, most 11000000, never 65536',
	'large messages are kept whole, but for what cannot fit');
is( sql($node, q{SELECT count(*) FROM weir.dead_letters d JOIN generate_series(1, 3) g
		ON d.payload = convert_to(repeat(g::text, 6000000), 'UTF8')}),
	3, 'byte for byte');
like(sql($node, q{SELECT reason FROM weir.dead_letters WHERE key = 'never'}),
	qr/65536 of 20000000 bytes of the payload are kept/, 'and the reason says so');

# Late for one view, failing in the other one.
sql($node, q{
	INSERT INTO events (ts, latency_ms, page)
		SELECT '2024-01-01 00:00:00Z', 0, repeat('p', 6000000 + g) FROM generate_series(1, 2) g;
	INSERT INTO events (ts, latency_ms, page) VALUES ('2024-01-01 00:00:00Z', 0, repeat('q', 20000000));
	INSERT INTO events (ts, latency_ms) VALUES ('2024-01-01 01:00:02Z', 1);
	SELECT weir.flush('events', '120 s')});
foreach my $table ('weir.late_events', 'weir.dead_letters')
{
	is( sql($node, qq{SELECT count(*) FILTER (WHERE convert_from(payload, 'UTF8') LIKE '%"ppp%'
				AND length(payload) > 6000000), count(*) FILTER (WHERE length(payload) = 65536)
			FROM $table WHERE view IS NOT NULL}),
		'2|1', "the same in $table of a view");
}
is(sql($node, 'SELECT (SELECT sum(n) FROM late_v), (SELECT sum(n) FROM failing_v)'),
	'3|3', 'the others are in the views');
is(sql($node, q{SELECT string_agg(state, ',') FROM weir.views}),
	'running,running', 'and no view stops');

# Windows of others fill what they may: an ordinary message is kept all the same.
my $filler = $kafka->new_topic('filler', 1);
sql($node, qq{
	CREATE FOREIGN TABLE filler (k bigint, ts timestamptz) SERVER kafka
		OPTIONS (topic '$filler', event_time 'ts', idle_timeout '1 day');
	SELECT weir.create_view('fills', \$\$ SELECT weir.tumble(ts, '1 hour') AS w, k, count(*) AS n
		FROM filler GROUP BY 1, 2 \$\$);
	INSERT INTO filler SELECT g, '2024-01-01 00:00:00Z' FROM generate_series(1, 200000) g});
wait_until($node, q{SELECT state = 'out of memory' FROM weir.status WHERE view_name = 'fills'::regclass});
sql($node, q{INSERT INTO raw SELECT 'small', 'small' FROM generate_series(1, 100)});
wait_until($node, q{SELECT count(*) = 100 FROM weir.dead_letters WHERE key = 'small'});
is(sql($node, q{SELECT state FROM weir.status WHERE view_name = 'fills'::regclass}),
	'out of memory', 'messages are kept while windows fill the memory');
is(sql($node, q{SELECT string_agg(state, ',') FROM weir.views}),
	'running,running,running', 'and no view stops');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/lane .* (?:ended|failed)|no room for a dead letter/, 'nor a lane');

done_testing();
