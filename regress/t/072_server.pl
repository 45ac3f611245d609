# What happens to a server in the middle of work, on real Kafka: it is shut down
# in each mode, another backend is killed, its configuration is reloaded, one of
# its databases is in trouble.  Each time the views go on by themselves, and in
# the end hold what the oracle says.
#
# Takes 65 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $topic = $kafka->new_topic('server', 3);
my $node = cluster("weir.checkpoint_interval = '20 ms'", 'restart_after_crash = on');
my $chunk = 6000;    # events a piece, 1 ms apart
my $chunks = 0;
my %view = (
	view => 'v',
	window => "weir.tumble(ts, '1 second')",
	size => '1 second',
	watermark_delay => '1 second',
	query => q{SELECT weir.tumble(ts, '1 second') AS w, country, count(*) AS n, sum(amount) AS amount FROM events GROUP BY 1, 2});

# The next piece of the topic, for two seconds.
sub load
{
	return start_producer($kafka, $topic, '--count', $chunk, '--rate', 3000,
		'--seed', ++$chunks, '--late', 0.01,
		'--start-time', sprintf('2024-01-01T00:%02d:%02dZ', $chunks / 10, $chunks % 10 * 6));
}

# While a piece comes, and some of it has been counted, do something to the
# server; what comes of it is what the oracle says.
sub in_the_middle
{
	my ($name, $does) = @_;
	my $before = sql($node, 'SELECT coalesce(sum(n), 0) FROM v');
	my $producer = load();

	ok(wait_until($node, "SELECT sum(n) > $before + 1000 FROM v"), "$name: in the middle of work");
	$does->();
	finish_producer($producer);
	ok(wait_until($node, q{SELECT state IN ('running', 'idle') FROM weir.status}), "$name: it runs again");
	view_equals_batch($node, "$name: the view is what its query returns", %view);
	is(sql($node, 'SELECT events FROM weir.status'), $chunk * $chunks, "$name: each event was counted once");
	return;
}

sub workers
{
	return sql($node, q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type ~ '^weir ingest'});
}

sub reload
{
	my ($name, $value) = @_;

	$node->append_conf('postgresql.conf', "$name = '$value'");
	$node->reload;
	return;
}

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day', watermark_delay => '1 second' });
sql($node, "SELECT weir.create_view('v', \$\$ $view{query} \$\$)");

# 1. shutdown in each mode
foreach my $mode (qw(smart fast immediate))
{
	in_the_middle("shutdown $mode", sub { $node->stop($mode); $node->start; });
}

# 2. a crash of another backend
in_the_middle('kill -9 of a backend', sub {
	my $session = Weir::Session->new($node, on_error => 'return');
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $from = log_end($node);

	kill 'KILL', $pid;
	ok(log_says($node, qr/all server processes terminated; reinitializing/, $from), 'the server restarts');
	ok(wait_until($node, 'SELECT true'), 'and is there again');
	$session->finish;
});

# 3. settings that a reload changes
{
	my $before = workers();

	# Process ids that must be gone.
	$before =~ s/ /|/g;

	in_the_middle('reload', sub {
		foreach my $change ([ 'weir.batch_size', 7 ], [ 'weir.queue_size', '2 MB' ], [ 'weir.ingest_workers', 2 ])
		{
			reload(@$change);
			ok( wait_until($node, qq{SELECT count(*) > 0 AND NOT string_agg(pid::text, ' ' ORDER BY pid) ~ '$before'
					FROM pg_stat_activity WHERE backend_type ~ '^weir ingest'}),
				"reload: $change->[0] reaches the workers");
			$before = workers();
			$before =~ s/ /|/g;
		}
	});
	is(sql($node, 'SELECT workers FROM weir.status'), 2, 'there are as many workers as it says');

	# An hour; then short again, which counts at once.
	reload('weir.checkpoint_interval', '1 h');
	sql($node, q{SELECT weir.flush('v')});
	finish_producer(load());
	ok(wait_until($node, "SELECT sum(n) > $chunk * ($chunks - 0.5) FROM v"), 'events come');

	my $final = sql($node, 'SELECT windows_final FROM weir.status');

	reload('weir.checkpoint_interval', '20 ms');
	ok(wait_until($node, "SELECT windows_final > $final FROM weir.status"), 'a shorter interval counts at once');
	view_equals_batch($node, 'and the view is what its query returns', %view);
}

# 4. trouble of one database, which is not that of another
{
	my $count = q{SELECT coalesce(sum(n), 0) FROM v};

	foreach my $db (qw(closed damaged failing))
	{
		sql($node, "CREATE DATABASE $db");
		setup_events($node, $kafka, $topic, dbname => $db);
		sql($node, "SELECT weir.create_view('v', \$\$ $view{query} \$\$)", $db);
		sql($node, q{SELECT weir.flush('v')}, $db);
	}
	my $pids = q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ '^weir coordinator' AND datname = };

	# One that takes no connections any more, one whose catalog is damaged, and
	# one whose lanes fail whenever they look at the view's progress.
	sql($node, 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
	sql($node, 'ALTER TABLE weir.views RENAME COLUMN lateness TO early', 'damaged');
	sql($node, 'ALTER TABLE weir.progress RENAME COLUMN dead TO alive', 'failing');
	sql($node, "$pids '$_'") foreach qw(closed damaged failing);
	in_the_middle('others are in trouble', sub { });
	ok(wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^weir (coordinator|ingest)' AND datname <> 'postgres'}),
		'nothing runs there');
	like(($node->psql('damaged', 'TABLE weir.status'))[1] . '', qr/^v\|/, 'a status can be read');
	sql($node, 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
	sql($node, 'ALTER TABLE weir.views RENAME COLUMN early TO lateness', 'damaged');
	sql($node, 'ALTER TABLE weir.progress RENAME COLUMN alive TO dead', 'failing');
	# The launcher looks at all databases once a minute, and when one says so.
	foreach my $db (qw(closed damaged failing))
	{
		sql($node, q{SELECT weir.pause('v')}, $db);
		sql($node, q{SELECT weir.resume('v')}, $db);
		sql($node, q{SELECT weir.flush('v')}, $db);
		is(sql($node, $count, $db), sql($node, $count), "database $db goes on when it is well again");
	}
}

done_testing();
