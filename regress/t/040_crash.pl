# Every fault point of the engine, hit in the middle of work: a process that is
# killed (and takes the server with it), one that ends, and an error.  Afterwards
# nothing is missing, nothing counted twice, and the lane runs again by itself.

use strict;
use warnings;

use Weir::Test;

my @points = qw(
  coordinator-before-barrier coordinator-barrier-complete
  ingest-decoded ingest-applied ingest-acknowledged ingest-copied
  checkpoint-final-written checkpoint-state-written
  checkpoint-before-commit checkpoint-after-commit);
my @actions = $ENV{WEIR_QUICK} ? ('panic') : qw(panic exit error);
my $chunk = 10_000;    # events a piece, in half a second of both times
my $rate = 20_000;

my %hit = (
	panic => qr/was terminated by signal 9/,
	exit => qr/exited with exit code 1/,
	error => qr/fault point "/);

my $kafka = kafka();
my $topic = $kafka->new_topic('crash', 4);
my $node = cluster("weir.checkpoint_interval = '20 ms'",
	'restart_after_crash = on', 'weir.batch_size = 500');
my $chunks = 0;

my %wide = (
	view => 'wide',
	window => "weir.tumble(ts, '10 seconds')",
	size => '10 seconds',
	query => q{SELECT weir.tumble(ts, '10 seconds') AS w, country, count(*) AS n,
		sum(amount) AS amount, min(page) AS page FROM events GROUP BY 1, 2});
my %narrow = (
	view => 'narrow',
	window => "weir.tumble(ts, '200 ms')",
	size => '200 ms',
	lateness => '1 second',
	failing => 'latency_ms % 50 = 0',
	query => q{SELECT weir.tumble(ts, '200 ms') AS w, count(*) AS n,
		sum(100 / (latency_ms % 50)) AS s FROM events GROUP BY 1});
my @views = (\%wide, \%narrow);

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '1 second', idle_timeout => '1 day' });
foreach my $v (@views)
{
	$v->{watermark_delay} = '1 second';
	sql($node, "SELECT weir.create_view('$v->{view}', \$\$ $v->{query} \$\$,"
		  . " lateness => '" . ($v->{lateness} // '0') . "')");
}

# The next piece of the topic, in the background.
sub next_chunk
{
	my $ms = $chunks++ * $chunk / $rate * 1000;

	return start_producer($kafka, $topic, '--count', $chunk, '--rate', $rate, '--seed', $chunks,
		'--out-of-order', 0.1, '--late', 0.02, '--malformed', 0.01,
		'--start-time', sprintf('2024-01-01T%02d:%02d:%02d.%03dZ', $ms / 3_600_000,
			$ms / 60_000 % 60, $ms / 1000 % 60, $ms % 1000));
}

# What the views and counters hold, for the message of a failure.
sub totals
{
	return sql($node, q{
		SELECT (SELECT sum(n) FROM wide), (SELECT sum(n) FROM narrow),
			string_agg(view_name || ' ' || state || ' events ' || events || ' late '
				|| late || ' dead ' || dead_letters || coalesce(' ' || error, ''), ', ')
		FROM weir.status});
}

# All that was produced is counted: once for each view.
sub complete
{
	my ($name) = @_;
	my $ok = wait_until($node, q{SELECT count(*) = 2 AND bool_and(lag = 0) FROM weir.status
		WHERE state IN ('running', 'idle')}, 60);
	my ($status, undef, $err) = $node->psql('postgres', "SELECT weir.flush('events')");

	is($err, '', "$name: flush");
	# Each event of the topic is counted in a window, was late or is a dead
	# letter; late ones are fewer for narrow, but for each the sum is the same.
	my $produced = $chunks * $chunk;
	my $sum = sql($node, q{
		SELECT (SELECT sum(n) FROM wide) + (SELECT late + dead_letters FROM weir.status
				WHERE view_name = 'wide'::regclass) || ' ' ||
			(SELECT sum(n) FROM narrow) + (SELECT late + dead_letters FROM weir.status
				WHERE view_name = 'narrow'::regclass)});

	return is($sum, "$produced $produced", "$name: every event is counted once")
	  || diag(totals());
}

# A lane that failed often is started again ever later; one that was paused, at
# once.
sub forget_failures
{
	sql($node, "SELECT weir.pause('$_')") foreach map { $_->{view} } @views;
	wait_until($node, 'SELECT bool_and(lane IS NULL) FROM weir.status');
	sql($node, "SELECT weir.resume('$_')") foreach map { $_->{view} } @views;
	return;
}

finish_producer(next_chunk());
complete('at first');

foreach my $action (@actions)
{
	foreach my $point (@points)
	{
		my $name = "$action at $point";
		my $from;

		# Some progress, then the fault while more arrives.
		finish_producer(next_chunk());
		$from = log_end($node);
		set_fault($node, $point => $action);
		my $producer = next_chunk();
		
		ok(log_says($node, $hit{$action}, $from), "$name: it happens")
		  || diag(totals());
		clear_faults($node);
		finish_producer($producer);
		if ($action eq 'panic')
		{
			wait_until($node, 'SELECT true', 30);
			isnt($node->psql('postgres', 'SELECT 1'), 2, "$name: the server is back");
		}
		if ($action eq 'error' && $point =~ /-written/)
		{
			# It is the view that fails then, alone, and for good.
			ok(wait_until($node, "SELECT count(*) > 0 FROM weir.views WHERE state = 'error'", 30),
				"$name: a view stops");
			sql($node, "SELECT weir.resume(view) FROM weir.views WHERE state = 'error'");
		}
		else
		{
			is(sql($node, "SELECT count(*) FROM weir.views WHERE state <> 'running'"), 0,
				"$name: no view stops");
		}
		complete($name);
		forget_failures() if $action ne 'panic';
	}
}

my $archive = archive_stream($node);

foreach my $v (@views)
{
	view_equals_batch($node, "$v->{view} equals its query", %$v, archive => $archive);
	my ($late, $failed) = oracle_counts($node, %$v, archive => $archive);
	is( sql($node, "SELECT late FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		$late, "$v->{view}: late events");
	is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = '$v->{view}'::regclass"),
		$failed, "$v->{view}: dead letters of its own");
}
is( sql($node, 'SELECT count(*), count(DISTINCT (partition, "offset")) FROM weir.dead_letters WHERE view IS NULL'),
	join('|', ($chunks * $chunk - sql($node, "SELECT count(*) FROM $archive")) x 2),
	'dead letters of the stream, each once');
done_testing();
