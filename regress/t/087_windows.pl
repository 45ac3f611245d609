# Windows that overlap, and days of a time zone: on a real Kafka, with several
# ingest workers, late data and lateness, against the same queries in batch, pair
# by pair of record and window; through kill -9 of the postmaster, restarts, other
# numbers of workers, and views that begin while others run.  In between, each
# window is seen once.
#
# WEIR_SEEDS="4 5 6" chooses the runs, 'random' makes three of any seed (1).
#
# Takes 85 s.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Weir::Oracle;
use Weir::Test;

my $kafka = kafka();
# A day of the oracle is one of the session's time zone.
my $node = cluster("weir.checkpoint_interval = '50 ms'", "timezone = 'Europe/Berlin'",
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 3));
my $chunk = $ENV{WEIR_QUICK} ? 4_000 : 8_000;    # 1 ms apart
my @seeds = map { $_ eq 'random' ? map { int rand 1e6 } 1 .. 3 : $_ }
  split /[\s,]+/, $ENV{WEIR_SEEDS} // '1';
my $aggregates = 'country, count(*) AS n, sum(amount) AS amount, avg(latency_ms) AS latency,'
  . ' min(page) AS least, max(page) AS most, sum(amount::numeric) AS exact,'
  . ' count(DISTINCT event_type) AS types';
# The size is what the end of a window is after the time that the query shows.
my %views = (
	even => { window => "weir.hop(ts, '4 seconds', '1 second')", size => '4 seconds' },
	odd => { window => "weir.hop(ts, '2 seconds', '300 ms')", size => '2 seconds',
		lateness => '1 second' },
	many => { window => "weir.hop(ts, '3 seconds', '100 ms')", size => '3 seconds',
		lateness => '200 ms' },
	gaps => { window => "weir.hop(ts, '100 ms', '700 ms')", size => '100 ms' },
	sums => { window => "weir.cumulate(ts, '1 second', '20 seconds')", size => '0 s',
		lateness => '2 seconds' },
	day => { window => "weir.tumble(ts, '1 day', timezone => 'Europe/Berlin')", size => '1 day' },
	later => { window => "weir.hop(ts, '3 seconds', '500 ms', '2024-01-01 00:00:00.1+00')",
		size => '3 seconds' });

sub create
{
	my ($run, $name) = @_;
	my %v = %{ $views{$name} };
	my $query = "SELECT $v{window} AS w, $aggregates FROM $run->{stream} GROUP BY 1, 2";
	my $lateness = $v{lateness} // '0';

	$run->{views}{$name} = { %v, stream => $run->{stream}, view => "$run->{stream}_$name",
		query => $query, watermark_delay => '500 ms' };
	sql($node, "SELECT weir.create_view('$run->{stream}_$name', \$\$ $query \$\$,"
		  . " lateness => '$lateness', keep_late => true)");
	return;
}

# A piece of the topic, in the background.  The first ends before the end of the day
# on which the clocks go forward in Berlin, the second after it.
sub next_chunk
{
	my ($run) = @_;
	my $ms = 3_600_000 + ($run->{chunks}++ - 1.5) * $chunk;

	return start_producer($kafka, $run->{topic}, '--count', $chunk, '--users', 1000,
		'--seed', $run->{seed} * 100 + $run->{chunks}, '--out-of-order', 0.2,
		'--late', 0.05, '--malformed', 0.01,
		'--start-time', sprintf('2024-03-31T%02d:%02d:%02d.%03dZ', 21 + $ms / 3_600_000,
			$ms / 60_000 % 60, $ms / 1000 % 60, $ms % 1000));
}

# While windows close, each is open or final, and not both.
sub seen_once
{
	my ($run, $when) = @_;

	foreach my $name (sort keys %{ $run->{views} })
	{
		my $view = $run->{views}{$name}{view};

		is( sql($node, "SELECT count(*) FROM (SELECT FROM $view GROUP BY w, country HAVING count(*) > 1) d"),
			0, "$run->{stream}: $name: no window is seen twice, $when");
	}
	return;
}

sub check
{
	my ($run, $when) = @_;
	my $archive;

	sql($node, "SELECT weir.flush('$run->{stream}', '120 s')");
	$archive = archive_stream($node, stream => $run->{stream});
	foreach my $name (sort keys %{ $run->{views} })
	{
		my %v = (%{ $run->{views}{$name} }, archive => $archive);
		my $title = "$run->{stream}: $name, $when";
		my ($late) = oracle_counts($node, %v);

		view_equals_batch($node, "$title: equals its query", %v, flush => 0);
		is( sql($node, "SELECT late FROM weir.status WHERE view_name = '$v{view}'::regclass"),
			$late, "$title: late pairs");
		is( sql($node, "SELECT count(*) FROM weir.late_events WHERE view = '$v{view}'::regclass"),
			$late, "$title: and each of them is kept");
		$run->{late}{$name} = $late;
	}
	sql($node, 'DROP SCHEMA ' . ($archive =~ s/\..*//r) . ' CASCADE');
	return;
}

foreach my $seed (@seeds)
{
	my %run = (seed => $seed, stream => "s$seed", chunks => 0,
		topic => $kafka->new_topic("windows$seed", 2 + 2 * ($seed % 3)));
	my $producer;

	setup_events($node, $kafka, $run{topic}, stream => $run{stream},
		options => { watermark_delay => '500 ms', idle_timeout => '1 day' });
	create(\%run, $_) foreach grep { $_ ne 'later' } sort keys %views;
	$producer = next_chunk(\%run);
	crash($node);
	finish_producer($producer);
	check(\%run, 'after a crash');

	$producer = next_chunk(\%run);
	create(\%run, 'later');
	seen_once(\%run, 'while it is produced');
	$node->restart('fast');
	seen_once(\%run, 'after a restart');
	finish_producer($producer);
	$producer = next_chunk(\%run);
	wait_until($node, "SELECT sum(n) > $chunk FROM $run{views}{gaps}{view}");
	crash($node);
	seen_once(\%run, 'after another crash');
	sql($node, "ALTER FOREIGN TABLE $run{stream} OPTIONS (ADD workers '1')");
	finish_producer($producer);
	check(\%run, 'after it, with one worker');

	sql($node, "SELECT weir.pause('$run{stream}_many'), weir.reset('$run{stream}_odd', 'earliest')");
	finish_producer(next_chunk(\%run));
	sql($node, "SELECT weir.resume('$run{stream}_many')");
	check(\%run, 'after a pause, and a reset');
	cmp_ok($run{late}{$_}, '>', 0, "$run{stream}: $_: some were late") foreach qw(even odd many);
	is( sql($node, "SELECT string_agg(DISTINCT w::text, ' ' ORDER BY w::text) FROM $run{views}{day}{view}_final"),
		'2024-03-31 00:00:00+01', "$run{stream}: the day of 23 hours is over");
	sql($node, "DROP FOREIGN TABLE $run{stream} CASCADE");
}

done_testing();
