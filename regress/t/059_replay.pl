# Dead letters after a fix count once in each view that lacked them, on a real Kafka with
# two ingest workers: through kills of each process that has a hand in it, at the
# steps of it, and of the postmaster; against the same queries in batch.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'",
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 2), 'restart_after_crash = on');
my $topic = $kafka->new_topic('replay', 4);
my @views = qw(v total rows);
my $next = 0;

sql($node, q{CREATE EXTENSION weir; CREATE SERVER kafka FOREIGN DATA WRAPPER weir
	OPTIONS (bootstrap_servers '} . $kafka->address . qq{');
	CREATE FOREIGN TABLE events (id int, n int NOT NULL, ts timestamptz, part int OPTIONS (metadata 'partition'))
		SERVER kafka OPTIONS (topic '$topic', event_time 'ts', watermark_delay '1 day', idle_timeout '1 day');
	CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition'))
		SERVER kafka OPTIONS (topic '$topic', format 'raw');
	SELECT weir.create_view('v', 'SELECT weir.tumble(ts, ''10 s'') AS w, count(*), sum(n) FROM events GROUP BY 1');
	SELECT weir.create_view('total', 'SELECT id % 7 AS k, count(*), sum(n) FROM events GROUP BY 1');
	SELECT weir.create_view('rows', 'SELECT id, n, part FROM events')});

# The stream as altered, for all of its views.
sub altered
{
	my ($what) = @_;

	sql($node, 'SELECT weir.pause(view) FROM weir.views');
	wait_until($node, 'SELECT count(*) = 0 FROM weir.running_views()', 180);
	sql($node, "ALTER FOREIGN TABLE events ALTER n $what NOT NULL; SELECT weir.resume(view) FROM weir.views");
	sql($node, q{SELECT weir.flush('events', '180 s')});
	return;
}

# Messages of which every fifth cannot be used until n may be missing.
sub break_some
{
	altered('SET');
	sql($node, qq{INSERT INTO raw SELECT format('{"id": %s, "ts": "2024-01-01T00:%s:%sZ"%s}', $next + g,
			lpad((g / 60 % 60)::text, 2, '0'), lpad((g % 60)::text, 2, '0'),
			CASE WHEN g % 5 > 0 THEN ', "n": ' || g ELSE '' END), g % 4
		FROM generate_series(1, 600) g; SELECT weir.flush('events', '180 s')});
	$next += 600;
	altered('DROP');
	return;
}

sub all_there
{
	my ($when) = @_;

	ok(wait_until($node, 'SELECT count(*) = 0 FROM weir.replay_queue', 180), "all is tried, $when");
	sql($node, q{SELECT weir.flush('events', '180 s')});
	foreach my $view (@views)
	{
		is( sql($node, "SELECT (SELECT count(*) FROM (SELECT * FROM $view EXCEPT ALL SELECT * FROM ${view}_query) a),
				(SELECT count(*) FROM (SELECT * FROM ${view}_query EXCEPT ALL SELECT * FROM $view) b)"),
			'0|0', "$view equals its query, $when");
	}
	is(sql($node, 'SELECT count(*) FROM weir.dead_letters'), 0, "no letter is left, $when");
	return;
}

foreach my $fault (
	[ 'replay-handed-out', 'exit' ],
	[ 'replay-applied', 'panic 7' ],
	[ 'checkpoint-letters-written', 'panic' ],
	[ 'checkpoint-after-commit', 'panic' ],
	[ 'append-before-commit', 'exit' ],
	[ 'append-committed', 'panic 9' ])
{
	my ($point, $action) = @$fault;
	my $log;

	break_some();
	is(sql($node, 'SELECT count(*), bool_and(cardinality(views) = 3) FROM weir.dead_letter_log'), '120|t',
		'each letter says which views lack it');
	$log = log_end($node);
	$action .= ' 1' unless $action =~ / /;
	set_fault($node, $point => $action);
	# It is committed, but the server may have gone down before its answer is out.
	$node->psql('postgres', q{SELECT weir.replay_dead_letters('events')});
	ok(fault_reached($node, 180), "$action at $point");
	clear_faults($node);
	log_says($node, qr/all server processes terminated/, $log, 180) if $action =~ /panic/;
	ok(wait_until($node, 'SELECT true', 180), 'the server is there');
	all_there("after $action at $point");
}
# An error ends neither the worker nor what is behind the letter.
break_some();
my $workers = sql($node, q{SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'});
set_fault($node, 'replay-decode' => 'error 3');
sql($node, q{SELECT weir.replay_dead_letters('events')});
ok(fault_reached($node, 180), 'error at replay-decode');
ok(wait_until($node, 'SELECT count(*) = 0 FROM weir.replay_queue', 180), 'an error at replay-decode holds nothing back');
clear_faults($node);
is(sql($node, q{SELECT count(*) > 0, bool_and(reason LIKE '%replay-decode%') FROM weir.dead_letters}),
	't|t', 'the letter that met it says so');
is(sql($node, q{SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'}),
	$workers, 'no worker has ended by it');
sql($node, q{SELECT weir.replay_dead_letters('events')});
all_there('after error at replay-decode');
break_some();
sql($node, q{SELECT weir.replay_dead_letters('events')});
wait_until($node, 'SELECT count(*) < 300 FROM weir.replay_queue', 180);
crash($node);
all_there('after kill -9 of the postmaster');

done_testing();
