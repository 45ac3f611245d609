# Alerts: recorded once for each window that fires, whatever crashes; notified when
# it is durable, with a payload that PostgreSQL can carry.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '20 ms'", 'weir.batch_size = 500');
my $n = $ENV{WEIR_QUICK} ? 500 : 1500;
my $topic = $kafka->new_topic('alerts', 3);
my $v = events_view($node, $kafka, $topic, aggregates => 'sum(amount) AS amount, repeat(min(country), 3000) AS long');

# 1. As many as there are windows that fire, in spite of crashes.
sql($node, q{SELECT weir.create_alert('few', 'events_v', 'n % 3 = 0', for_windows => 1),
	weir.create_alert('twice', 'events_v', 'n >= 6', for_windows => 2, clear_condition => 'n < 4')});
sql($node, q{SELECT weir.create_view('keyed', $$SELECT weir.tumble(ts, '10 s') AS w, country,
	date_bin('10 s', ts, '2024-01-01') AS bucket, count(*) AS n FROM events GROUP BY 1, 2, 3$$)});
sql($node, q{SELECT weir.create_alert('open', 'keyed', 'n >= 6', windows => 'open')});
foreach my $i (0 .. 5)
{
	sql($node, qq{INSERT INTO events (country, ts, amount, part)
		SELECT substr('DEFRITES', (hashint4(g) & 3) * 2 + 1, 2), timestamptz '2024-01-01' + g * interval '0.5 second', 1, g % 3
		FROM generate_series($i * $n, ($i + 1) * $n - 1) g});
	crash($node) if $i % 2 == 1;
}
sql($node, q{SELECT weir.flush('events')});
is( sql($node, q{SELECT (SELECT count(*) FROM weir.alerts WHERE name = 'few') =
		(SELECT count(*) FROM (SELECT n % 3 = 0 AS hit, lag(n) OVER (PARTITION BY country ORDER BY w) % 3 = 0 AS before
			FROM events_v_final) f WHERE hit AND before IS NOT TRUE)}),
	't', 'each window that begins to fire is recorded once');
is( sql($node, q{SELECT count(*) FROM (
		(SELECT ("row" ->> 'w')::timestamptz, key ->> 'country' FROM weir.alerts WHERE name = 'few'
		EXCEPT ALL SELECT w, country FROM events_v_final WHERE n % 3 = 0)) d}),
	0, 'and each is of a final row');
cmp_ok(sql($node, q{SELECT count(*) FROM weir.alerts WHERE name = 'few'}), '>', 0, 'there are some');
is( sql($node, q{SELECT count(*) FROM weir.alerts WHERE state = 'firing' GROUP BY name, key HAVING count(*) > 1}),
	'', 'none fires twice at a time');

# 2. On open windows.  Each key has one window here, and n only grows: it fires if the
# window hits in the end, and nothing resolves it.
is( sql($node, q{SELECT count(*) FROM (
		(SELECT ("row" ->> 'w')::timestamptz, key ->> 'country' FROM weir.alerts WHERE name = 'open'
		EXCEPT ALL SELECT w, country FROM keyed WHERE n >= 6)
		UNION ALL (SELECT w, country FROM keyed WHERE n >= 6
		EXCEPT ALL SELECT ("row" ->> 'w')::timestamptz, key ->> 'country' FROM weir.alerts WHERE name = 'open')) d}),
	0, 'an alert on open windows fires once for each that hits, in spite of crashes');
is(sql($node, q{SELECT count(*) FROM weir.alerts WHERE name = 'open' AND state = 'resolved'}), 0, 'nothing resolves it');
cmp_ok(sql($node, q{SELECT count(*) FROM weir.alerts WHERE name = 'open'}), '>', 0, 'there are some here, too');

# 3. Notifications: of what is committed, and cut where they are too long.  One
# checkpoint finds the window open, one closes it.
sql($node, q{SELECT weir.create_alert('told', 'events_v', 'n = 7', channel => 'Told'),
	weir.create_alert('long', 'events_v', 'n = 8'),
	weir.create_alert('early', 'events_v', $$country = 'YY'$$, windows => 'open', channel => 'Told')});
my $later = q{'2024-02-01'};
my ($status, $out) = $node->psql('postgres', qq{
	LISTEN "Told"; LISTEN weir;
	INSERT INTO events (country, ts, amount, part) SELECT 'YY', $later, 1, 0 FROM generate_series(1, 7);
	SELECT weir.flush('events');
	INSERT INTO events (country, ts, amount, part) SELECT repeat('Z', 9), $later, 1, 0 FROM generate_series(1, 8);
	INSERT INTO events (country, ts, amount, part) SELECT 'YY', timestamptz $later + interval '1 hour', 1, p FROM generate_series(0, 2) p;
	SELECT weir.flush('events');
	SELECT 1;
});
like($out, qr/notification "Told" with payload "\{"alert": "told", "view": "events_v", "state": "firing", "row": \{.*"country": "YY"/,
	'a notification with the row');
like($out, qr/notification "weir" with payload "\{"alert": "long", "view": "events_v", "state": "firing", "row": null, "truncated": true\}"/,
	'one without it, where it is too long');
like($out, qr/"Told" with payload "\{"alert": "early", .*"state": "firing", "row": .*, "open": true\}"/,
	'one of an open window says that it is');
is(sql($node, q{SELECT length("row" ->> 'long') FROM weir.alerts WHERE name = 'long'}), 27_000, 'which is recorded as a whole');

# 4. Closings: each window and each row is in one notification; none after the view
# was altered.
sub listen_for
{
	my ($from, $count) = @_;
	my ($rc, $text) = $node->psql('postgres', join("\n", 'LISTEN closings;', map {
		qq{INSERT INTO events (country, ts, amount, part)
			SELECT 'C' || g, timestamptz '2024-03-01' + $_ * interval '10 s', 1, g % 3 FROM generate_series(1, 9) g;
		SELECT weir.flush('events');}
	} $from .. $from + $count - 1));

	return $text;
}
sql($node, q{SELECT weir.create_view('few', $$SELECT weir.tumble(ts, '1 hour') AS w, count(*) AS n FROM events GROUP BY 1$$,
	notify => 'closings')});
sql($node, q{SELECT weir.create_view('spans', $$SELECT weir.session(ts, '5 s') AS s, country, count(*) AS n FROM events
	WHERE ts >= '2024-03-01' GROUP BY 1, 2$$, notify => 'closings')});
sql($node, q{SELECT weir.alter_view('events_v', notify => 'closings')});
$out = listen_for(0, 5);
my ($windows, $rows) = (0, 0);
foreach (split /\n/, $out)
{
	next unless /"closings" with payload "\{"view": "events_v", "windows": (\d+), "first_start": "2024-03-01T[^"]+", "last_end": "2024-03-01T[^"]+", "rows": (\d+)\}"/;
	$windows += $1;
	$rows += $2;
}
is($windows, sql($node, q{SELECT count(DISTINCT w) FROM events_v_final WHERE w >= '2024-03-01'}), 'each window that closes is notified');
is($rows, sql($node, q{SELECT count(*) FROM events_v_final WHERE w >= '2024-03-01'}), 'and the number of their rows');
cmp_ok($rows, '>', 0, 'there are some');
like($out, qr/"view": "few", "windows": \d+/, 'another view notifies on the same channel, as it was made to');
my $sessions = 0;
$sessions += $1 while $out =~ /"view": "spans", "windows": (\d+), "first_start": "2024-03-01T00:00:\d0\+00:00", "last_end": "2024-03-01T00:00:\d5\+00:00", "rows": \1\}/g;
is($sessions, sql($node, q{SELECT count(*) FROM spans_final}), 'sessions that close are notified, too');
cmp_ok($sessions, '>', 0, 'there are some of those');
is(sql($node, q{SELECT string_agg(view || ':' || notify, ' ' ORDER BY id) FROM weir.views}), 'events_v:closings few:closings spans:closings',
	'weir.views has the channels');
sql($node, q{SELECT weir.alter_view('events_v', notify => 'none')});
unlike(listen_for(6, 3), qr/"events_v"/, 'nothing is notified of a view that was told not to');

done_testing();
