# Reads across the restart of a lane: its coordinator or an ingest worker fails,
# the lane starts again from the last checkpoint, and readers see no less than
# before, no window twice and none missing, until it has caught up, and after.
# Also when it fails again on the way, and while it closes windows on the way.

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use Weir::Test;

my $kafka = kafka();
my $topic = $kafka->new_topic('restart', 4);
my $node = cluster("weir.checkpoint_interval = '400 ms'", 'weir.batch_size = 50',
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 2));
my $query = q{SELECT weir.tumble(ts, '100 ms') AS w, event_type, count(*) AS n,
	sum(user_id) AS users FROM events GROUP BY 1, 2};
my $rate = 3000;
my $days = 1;
my $in_snapshot = 0;    # of $old
my %last;

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '0', idle_timeout => '1 day', max_ahead => '1 day' });
sql($node, "SELECT weir.create_view('v', \$\$ $query \$\$)");
sql($node, "SELECT weir.create_view('late', \$\$ $query \$\$, lateness => '1 second')");

my $reader = Weir::Session->new($node);
my $old = Weir::Session->new($node);
my @wrong;

# Sum, rows, different (window, key), windows, and how many there are from the
# first to the last: the producer leaves none out.
sub line
{
	my ($view) = @_;

	return "SELECT coalesce(sum(n), 0), count(*), count(DISTINCT (w, event_type)),"
	  . ' count(DISTINCT w), coalesce(round(extract(epoch FROM max(w) - min(w)) * 10) + 1, 0)'
	  . " FROM $view";
}

sub check
{
	my ($who, $line) = @_;
	my ($sum, $rows, $distinct, $windows, $span) = split /\|/, $line;

	push @wrong, "$who: a window twice: $line" if $rows != $distinct;
	push @wrong, "$who: a window is missing: $line" if $windows != $span;
	push @wrong, "$who: backwards: $line after $last{$who}" if $sum < ($last{$who} // 0);
	$last{$who} = $sum;
	return;
}

# Both views, by a session that takes a new snapshot each time and by one that
# has an old one.
sub read_all
{
	foreach my $view (qw(v late))
	{
		check($view, $reader->query(line($view)));
		check("$view in an old snapshot", $old->query(line($view))) if $in_snapshot;
	}
	return;
}

sub end_snapshot
{
	$old->query('COMMIT') if $in_snapshot;
	$in_snapshot = 0;
	delete $last{"$_ in an old snapshot"} foreach qw(v late);
	return;
}

sub new_snapshot
{
	end_snapshot();
	$in_snapshot = 1;
	$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$old->query('SELECT count(*) FROM v_final');
	return;
}

# How often lanes have begun with the views.
sub beginnings { return $reader->query('SELECT sum(incarnation) FROM weir.progress') }

# Read until both views have begun anew and are as far as the topic again.
sub read_until_caught_up
{
	my ($before) = @_;
	my $end = time + 180;
	my $running = "SELECT count(*) = 2 AND bool_and(state IN ('running', 'idle') AND lag < 1000)"
	  . " AND (SELECT sum(incarnation) FROM weir.progress) >= $before + 2 FROM weir.status";

	do { read_all() } until $reader->query($running) eq 't' || time > $end;
	read_all();
	return;
}

# End the lane in good order: readers see no less over that either.  Failures
# are forgotten by it, so the next pause is short again.
sub restart_in_order
{
	my $begun = beginnings();

	$days = 3 - $days;
	end_snapshot();
	sql($node, "ALTER FOREIGN TABLE events OPTIONS (SET max_ahead '$days days')");
	read_until_caught_up($begun);
	new_snapshot();
	return;
}

sub nothing_wrong
{
	my ($name) = @_;

	is(scalar @wrong, 0, "$name: every read was consistent")
	  || diag(join "\n", @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ]);
	@wrong = ();
	return;
}

my $producer = start_producer($kafka, $topic, '--rate', $rate, '--timeout', 300,
	'--start-time', '2024-01-01T00:00:00Z', '--seed', 61);

# A statement that is planned before the first partition of a view's final table is
# there, and run after, misses its rows, lanes or no lanes: not what is tested here.
$node->poll_query_until('postgres',
	'SELECT EXISTS (SELECT FROM v_final) AND EXISTS (SELECT FROM late_final)');
read_until_caught_up(0);
new_snapshot();

# 1. one failure, after some hundred milliseconds without a checkpoint
foreach my $case (
	[ 'ingest-applied', 'exit' ], [ 'ingest-applied', 'error' ],
	[ 'ingest-before-publish', 'exit' ], [ 'ingest-frozen', 'error' ],
	[ 'checkpoint-before-commit', 'exit' ], [ 'checkpoint-before-commit', 'error' ],
	[ 'checkpoint-before-settle', 'error' ], [ 'checkpoint-after-commit', 'exit' ],
	[ 'coordinator-before-watermarks', 'exit' ])
{
	my ($point, $action) = @$case;
	my $begun;

	restart_in_order();
	$begun = beginnings();
	set_fault($node, $point => "$action " . ($point =~ /^ingest-[ab]/ ? 25 : 2));
	ok(fault_reached($node), "$action at $point: it happens");
	clear_faults($node);
	read_until_caught_up($begun);
	nothing_wrong("$action at $point");
}

# 2. again and again, perhaps before it has caught up.  (A snapshot older than two
# restarts may have to do with the last checkpoint.)
restart_in_order();
end_snapshot();
my $begun = beginnings();
set_fault($node, 'ingest-applied' => 'exit 6');
foreach (1 .. 3)
{
	fault_reached($node) or last;
	read_all();
	release_fault($node);
}
ok(fault_reached($node), 'a lane fails again and again');
clear_faults($node);
read_until_caught_up($begun + 2);
nothing_wrong('several failures');

# 3. step by step, so that windows close on the way
{
	my ($final, $end);

	restart_in_order();
	$begun = beginnings();
	set_fault($node, 'ingest-applied' => 'exit 40');
	ok(fault_reached($node), 'a lane fails');
	$final = $reader->query('SELECT count(DISTINCT w) FROM v_final');
	set_fault($node, 'ingest-fetched' => 'wait');
	release_fault($node);
	$end = time + 180;
	until ($reader->query('SELECT count(DISTINCT w) FROM v_final') >= $final + 3 || time > $end)
	{
		read_all();
		release_fault($node);
	}
	cmp_ok($reader->query('SELECT count(DISTINCT w) FROM v_final'), '>=', $final + 3,
		'it closes windows step by step');
	clear_faults($node);
	read_until_caught_up($begun);
	nothing_wrong('windows close on the way');
}

# 4. all is there
$producer->{handle}->signal('TERM');
finish_producer($producer);
end_snapshot();
sql($node, "SELECT weir.flush('events')");
read_all();
nothing_wrong('at the end');
foreach my $v ([ 'v', undef ], [ 'late', '1 second' ])
{
	view_equals_batch($node, "$v->[0] equals its query", view => $v->[0], query => $query,
		window => "weir.tumble(ts, '100 ms')", size => '100 ms', lateness => $v->[1] // '0');
}
$_->finish foreach $reader, $old;
done_testing();
