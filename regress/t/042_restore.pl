# What a view has in memory after a restart is what it had before, and no more;
# its log holds each pane once, whatever happens between two recoveries.
#
# Takes 40 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.memory_limit = '16 MB'", "weir.checkpoint_interval = '50 ms'",
	'restart_after_crash = on');

# --- a view that fits goes on fitting ------------------------------------------

# Its one window takes four fifths of what there is for windows.

my $keys = $kafka->new_topic('keys', 2);
my $one_each = "INSERT INTO keys SELECT g, timestamptz '2024-01-01 00:00:01+00' FROM generate_series(1, 65000) g";
my $is_whole = q{SELECT count(*) = 65000 FROM keyed WHERE n = };

setup_events($node, $kafka, $kafka->new_topic('unused', 1));
sql($node, "CREATE FOREIGN TABLE keys (k bigint, ts timestamptz) SERVER kafka"
	  . " OPTIONS (topic '$keys', event_time 'ts', idle_timeout '1 day')");
sql($node, q{SELECT weir.create_view('keyed', $$
	SELECT weir.tumble(ts, '1 hour') AS w, k, count(*) AS n, max(k) AS m
	FROM keys GROUP BY 1, 2 $$)});
sql($node, $one_each);
sql($node, "SELECT weir.flush('keyed', '120 s')");
foreach my $n (2, 3)
{
	my $before = sql($node, "SELECT memory FROM weir.status WHERE view_name = 'keyed'::regclass");

	$node->restart;
	ok(wait_until($node, $is_whole . ($n - 1)), "restart $n: the window is there");
	cmp_ok(sql($node, "SELECT memory FROM weir.status WHERE view_name = 'keyed'::regclass"),
		'<=', $before, "restart $n: each group is in memory once");
	sql($node, $one_each);
	sql($node, "SELECT weir.flush('keyed', '120 s')");
	is(sql($node, $is_whole . $n), 't', "restart $n: all groups change, and still fit");
	is(sql($node, "SELECT count(DISTINCT incarnation) FROM weir.state"),
		1, "restart $n: the log holds the pane once");
}
sql($node, "SELECT weir.drop_view('keyed'); DROP FOREIGN TABLE keys, events");

# --- any number of recoveries, with and without events between --------------------

my %query = (
	sums => q{SELECT weir.tumble(ts, '10 seconds') AS w, country, count(*) AS n,
		sum(amount) AS s, max(page) AS m, min(session_id) AS d FROM STREAM GROUP BY 1, 2},
	wide => q{SELECT weir.tumble(ts, '1 hour') AS w, event_type, sum(latency_ms) AS s,
		max(session_id || page) AS m FROM STREAM GROUP BY 1, 2});

sub add_events
{
	my ($run) = @_;
	my $s = $run->{seconds};

	$run->{seconds} += 3;
	produce($kafka, $run->{topic}, '--count', 3000, '--seed', 7 + $s, '--users', 300,
		'--out-of-order', 0.1, '--late', 0.02,
		'--start-time', sprintf('2024-01-01T00:%02d:%02dZ', $s / 60, $s % 60));
	return;
}

# All that there is has been counted, and committed.
sub settle
{
	my ($run) = @_;

	sql($node, "SELECT weir.flush('$run->{stream}', '120 s')");
	return;
}

# Each disturbance ends in a recovery of all views.
my %disturb = (
	restart => sub { $node->restart },
	crash => sub { crash($node) },
	definition => sub { alter_server() },
	worker => sub {
		my ($run) = @_;

		sql($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
			  . " WHERE backend_type = 'weir ingest public.$run->{stream}'");
	},
	'two of them' => sub { $node->restart; crash($node); $node->restart });

sub alter_server
{
	my ($n) = sql($node, q{SELECT count(*) FROM pg_foreign_server
		WHERE srvname = 'kafka' AND 'fetch.wait.max.ms=20' = ANY (srvoptions)});

	sql($node, 'ALTER SERVER kafka OPTIONS ('
		  . ($n ? q{DROP "fetch.wait.max.ms"} : q{ADD "fetch.wait.max.ms" '20'}) . ')');
	return;
}

sub holds_batch
{
	my ($run, $when) = @_;
	my $archive = archive_stream($node, stream => $run->{stream});
	my %size = (sums => '10 seconds', wide => '1 hour');

	foreach my $name (sort keys %query)
	{
		view_equals_batch($node, "$run->{name}, $when: $name equals its query",
			view => "$run->{stream}_$name", query => $query{$name} =~ s/STREAM/$run->{stream}/r,
			window => "weir.tumble(ts, '$size{$name}')", size => $size{$name},
			stream => $run->{stream}, watermark_delay => '5 seconds',
			archive => $archive, flush => 0);
	}
	return;
}

foreach my $workers (1, 3)
{
	my %run = (
		name => "$workers workers",
		stream => "r$workers",
		topic => $kafka->new_topic("restore$workers", 4),
		seconds => 0);

	setup_events($node, $kafka, $run{topic}, stream => $run{stream},
		options => { idle_timeout => '1 day', workers => $workers });
	sql($node, "SELECT weir.create_view('$run{stream}_$_', \$\$"
		  . ($query{$_} =~ s/STREAM/$run{stream}/r) . '$$)') foreach sort keys %query;
	foreach my $what (sort keys %disturb)
	{
		add_events(\%run);
		settle(\%run);
		$disturb{$what}->(\%run);
		settle(\%run);
		holds_batch(\%run, "$what, nothing new");
		$disturb{$what}->(\%run);
		add_events(\%run);
		settle(\%run);
		holds_batch(\%run, "$what, more events");
	}
	sql($node, "SELECT weir.pause('$run{stream}_$_')") foreach sort keys %query;
}

done_testing();
