# When a partition is idle: read to its end and silent, and its leader has said so.
# A broker that hangs, an open transaction and a start are no silence, and close
# nothing.
#
# Takes 43 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'");
my $window = "weir.tumble(ts, '10 seconds')";

# A stream of its own topic, and a view on it.
sub stream_and_view
{
	my ($stream, $partitions, %options) = @_;
	my $topic = $kafka->new_topic($stream, $partitions);

	setup_events($node, $kafka, $topic, stream => $stream,
		options => { watermark_delay => '0', %options });
	sql($node, "SELECT weir.create_view('${stream}_v',"
		  . " \$\$ SELECT $window AS w, count(*) AS n FROM $stream GROUP BY 1 \$\$)");
	return $topic;
}

# An event of a partition, by its time on 2024-01-01.
sub insert
{
	my ($stream, %events) = @_;

	sql($node, "INSERT INTO $stream (event_type, ts, part) VALUES " . join ', ',
		map { "('x', '2024-01-01 $events{$_}Z', $_)" } sort keys %events);
	return;
}

# What the wall clock shows; none: the time.
sub set_clock
{
	my ($time) = @_;
	my $seconds = $time
	  ? sql($node, "SELECT extract(epoch FROM '2024-01-01 $time+00' - timestamptz '2000-01-01+00')::int")
	  : 0;

	sql($node, "ALTER SYSTEM SET weir.test_clock = $seconds; SELECT pg_reload_conf()");
	return;
}

sub finals
{
	my ($stream) = @_;

	return sql($node, "SELECT count(*) FROM ${stream}_v_final");
}

# For this long nothing is closed.
sub stays_open
{
	my ($stream, $seconds, $name) = @_;
	my $before = finals($stream);

	return ok(!becomes_true("SELECT count(*) <> $before FROM ${stream}_v_final", $seconds), $name);
}

# wait_until, for what must not happen: no complaint.
sub becomes_true
{
	my ($query, $seconds) = @_;

	return sql($node, qq{DO \$\$ DECLARE
		deadline timestamptz := clock_timestamp() + interval '$seconds s'; found boolean;
		BEGIN LOOP EXECUTE '$query' INTO found; EXIT WHEN found OR clock_timestamp() > deadline;
		PERFORM pg_sleep(0.05); END LOOP; END \$\$; $query}) eq 't';
}

sub all_idle
{
	my ($stream) = @_;

	return wait_until($node, "SELECT bool_and(idle) FROM weir.partitions"
		  . " WHERE view_name = '${stream}_v'::regclass");
}

# 1. The broker hangs before anybody could ask it: partition 1, an hour behind, is
# silent for long, and nobody says that this is all.
{
	stream_and_view('hangs', 2, idle_timeout => '2 seconds');
	insert('hangs', 0 => '01:00:00', 1 => '00:00:00');
	sql($node, q{SELECT weir.flush('hangs')});
	$kafka->freeze;
	SKIP:
	{
		skip 'the machine was too slow: a window closed before', 1 if finals('hangs') > 0;
		stays_open('hangs', 5, 'a broker that hangs makes nothing idle');
	}
	$kafka->thaw;
	ok(wait_until($node, 'SELECT count(*) = 1 FROM hangs_v_final'),
		'when it answers again, the silent partition is idle');
	ok(all_idle('hangs'), 'and so is the other one');
}

# 2. It hangs after all was idle: what was said before does not count.
{
	set_clock('00:00:30');
	stream_and_view('hangs_later', 2, idle_timeout => '100 ms', idle_advance => '1 second');
	insert('hangs_later', 0 => '00:00:25', 1 => '00:00:21');
	ok(all_idle('hangs_later'), 'all is idle');
	$kafka->freeze;
	# Until the last answer is no longer recent.
	stays_open('hangs_later', 3, 'it is not time yet');
	set_clock('01:00:00');
	stays_open('hangs_later', 2, 'what a broker has said before it hung closes nothing');
	$kafka->thaw;
	ok(wait_until($node, 'SELECT count(*) = 1 FROM hangs_later_v_final'),
		'what it says now does');
	set_clock();
}

# 3. Open transactions: the record is below the high watermark, and nobody can
# read it yet.
foreach my $end (qw(committed aborted))
{
	my $s = "transaction_$end";
	my $topic;
	my $transaction;

	set_clock('00:00:05');
	$topic = stream_and_view($s, 1, idle_timeout => '100 ms', idle_advance => '1 second');
	insert($s, 0 => '00:00:03');
	ok(all_idle($s), "$end: idle before the transaction");
	$transaction = hold_transaction($kafka, $topic, '--start-time', '2024-01-01T00:00:04Z',
		$end eq 'aborted' ? ('--abort', 1) : ());
	ok( wait_until($node, "SELECT NOT idle FROM weir.partitions WHERE view_name = '${s}_v'::regclass"),
		"$end: not idle, as there is more than can be read");
	set_clock('01:00:00');
	stays_open($s, 2, "$end: an open transaction holds closing back");
	end_transaction($transaction);
	ok(wait_until($node, "SELECT count(*) = 1 FROM ${s}_v_final"), "$end: when it ends the window closes");
	is(sql($node, "SELECT n FROM ${s}_v"), $end eq 'aborted' ? 1 : 2, "$end: with its event, or without");
	is(sql($node, "SELECT late FROM weir.status WHERE view_name = '${s}_v'::regclass"),
		0, "$end: nothing is late");
	set_clock();
}

# 4. A view that reads a topic which has been silent for ever: a partition that is
# read to its end is idle at once, and the clock says that it is late. Nothing is,
# before everything was read.
{
	my $topic = $kafka->new_topic('history', 12);
	my %v = (
		stream => 'history',
		view => 'history_v',
		window => $window,
		size => '10 seconds',
		watermark_delay => '1 second',
		query => "SELECT $window AS w, country, count(*) AS n, sum(user_id) AS users"
		  . ' FROM history GROUP BY 1, 2');
	my $archive;

	# Most events are of few users, so of few partitions.
	produce($kafka, $topic, '--count', 60_000, '--start-time', '2024-01-01T00:00:00Z',
		'--key', 'user', '--users', 50, '--skew', 1.3, '--late', 0.02, '--out-of-order', 0.2);
	setup_events($node, $kafka, $topic, stream => 'history',
		options => { watermark_delay => '1 second', idle_timeout => '0', idle_advance => '0' });
	sql($node, "SELECT weir.create_view('history_v', \$\$ $v{query} \$\$)");
	foreach (1 .. 3)
	{
		wait_until($node, 'SELECT count(*) > 0 FROM history_v');
		crash($node);
	}
	$archive = archive_stream($node, stream => 'history');
	view_equals_batch($node, 'history of a silent topic', %v, archive => $archive);
	my ($late) = oracle_counts($node, %v, archive => $archive);

	cmp_ok($late, '>', 0, 'some of it was late');
	is(sql($node, q{SELECT late FROM weir.status WHERE view_name = 'history_v'::regclass}),
		$late, 'reading it later makes no more late');
	ok(wait_until($node, 'SELECT count(*) = 0 FROM history_v_open'), 'and in the end all is final');
	view_equals_batch($node, 'the same', %v, archive => $archive);
}

# 5. The server starts while the broker hangs: nothing was fetched, nothing closes.
{
	set_clock('00:00:05');
	stream_and_view('restart', 2, idle_timeout => '100 ms', idle_advance => '1 second');
	insert('restart', 0 => '00:00:03', 1 => '00:00:04');
	ok(all_idle('restart'), 'idle before the restart');
	$kafka->freeze;
	set_clock('01:00:00');
	$node->restart('immediate');
	stays_open('restart', 3, 'what was not fetched since the start is not idle');
	$kafka->thaw;
	ok(wait_until($node, 'SELECT count(*) = 1 FROM restart_v_final'), 'until the broker answers');
	set_clock();
}

done_testing();
