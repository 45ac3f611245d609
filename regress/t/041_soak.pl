# Random trouble under load: processes of Weir and others killed or stalled, the
# server stopped, crashed and started, views paused, resumed, reset, created and
# dropped, while messages come all the time and readers look.  What a reader
# sees never holds a window twice, never more than was produced, and never less
# than before but after what documents allow; in the end every view is what the
# oracle says.
#
# WEIR_SOAK: for how many seconds (25).  WEIR_SEEDS: its first number, or 'random',
# is the seed (1), which fixes the actions and their order.
#
# Takes 32 s.

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use Weir::Test;

my $seconds = $ENV{WEIR_SOAK} || 25;
my ($seed) = split ' ', $ENV{WEIR_SEEDS} || 1;
$seed = int rand 1e6 if $seed eq 'random';
my $rate = 2000;
my $count = int $seconds * $rate;

my $kafka = kafka();
my $topic = $kafka->new_topic('soak', 4);
my $node = cluster("weir.checkpoint_interval = '200 ms'",
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 2),
	'restart_after_crash = on', 'weir.batch_size = 200', 'fsync = off');

my @views = (
	{
		view => 'wide',
		window => "weir.tumble(ts, '2 seconds')",
		size => '2 seconds',
		query => q{SELECT weir.tumble(ts, '2 seconds') AS w, country, page, count(*) AS n,
			sum(amount) AS amount, min(session_id) AS session FROM events GROUP BY 1, 2, 3},
		key => 'w, country, page'
	},
	{
		view => 'narrow',
		window => "weir.tumble(ts, '200 ms')",
		size => '200 ms',
		lateness => '1 second',
		failing => 'latency_ms % 50 = 0',
		query => q{SELECT weir.tumble(ts, '200 ms') AS w, count(*) AS n,
			sum(100 / (latency_ms % 50)) AS s FROM events GROUP BY 1},
		key => 'w'
	},
	{
		view => 'control',
		window => "weir.tumble(ts, '1 second')",
		size => '1 second',
		query => q{SELECT weir.tumble(ts, '1 second') AS w, level, count(*) AS n,
			max(latency_ms) AS latency FROM events GROUP BY 1, 2},
		key => 'w, level'
	});
my $create_extra = create({ %{ $views[2] }, view => 'extra' });
my @log;

sub create
{
	my ($v) = @_;

	$v->{watermark_delay} = '1 second';
	return "SELECT weir.create_view('$v->{view}', \$\$ $v->{query} \$\$, lateness => '"
	  . ($v->{lateness} // '0') . "')";
}

# One of a list.
sub pick { return $_[ int rand @_ ] }

# Run statements as soon as the server takes them.
sub patient_sql
{
	my ($statements) = @_;
	my $end = time + 180;
	my ($out, $err);

	do
	{
		(undef, $out, $err) = $node->psql('postgres',
			"SET client_min_messages = error;\n$statements", on_error_stop => 1);
	} while ($err ne '' && time < $end);
	diag("failed: $statements\n$err") if $err ne '';
	return $out;
}

# --- reading ------------------------------------------------------------------------

my @readers = map { { view => $_->{view}, key => $_->{key}, last => 0, reads => 0 } } @views;
my @wrong;

# Totals may go back after this, in all views or in one.
sub forgive
{
	my ($view) = @_;

	foreach my $r (@readers)
	{
		$r->{last} = 0 if !defined $view || $r->{view} eq $view;
	}
	return;
}

# One read; a server that is away or goes away is no answer.  What was read since a
# process was killed, and before the server noticed, may go back, too.
sub read_view
{
	my ($r) = @_;
	my $line = eval {
		$r->{session} //= Weir::Session->new($node, timeout => 300);
		$r->{session}->query("SELECT coalesce(sum(n), 0), count(*), count(DISTINCT ($r->{key}))"
			  . " FROM $r->{view}");
	};

	if (($line // '') !~ /\|/)
	{
		delete $r->{session};
		forgive();
		return;
	}
	my ($sum, $rows, $distinct) = split /\|/, $line;
	my $after = "$r->{view}: $line, before $r->{last}, after: " . ($log[-1] // 'nothing');

	push @wrong, "a window twice: $after" if $rows != $distinct;
	push @wrong, "too much: $after" if $sum > $count;
	push @wrong, "backwards: $after" if $sum < $r->{last};
	$r->{last} = $sum;
	$r->{reads}++;
	return;
}

sub read_for
{
	my ($time) = @_;
	my $end = time + $time;

	do { read_view($_) foreach @readers } while (time < $end);
	return;
}

# --- trouble ------------------------------------------------------------------------

# Processes whose type matches, in a fixed order.
sub processes
{
	my ($type) = @_;

	return split /\n/, patient_sql(
		"SELECT pid FROM pg_stat_activity WHERE backend_type ~ '$type' AND pid <> pg_backend_pid()"
		  . ' ORDER BY backend_type, backend_start');
}

# Send a signal to one of them, if there is any.
sub signal
{
	my ($signal, $type) = @_;
	my $pid = pick(processes($type));

	kill $signal, $pid if $pid;
	return $pid;
}

sub stop_and_start
{
	my ($mode) = @_;

	delete $_->{session} foreach @readers;
	$node->stop($mode);
	forgive();
	$node->start;
	return;
}

# Weight, name, what it does.
my @actions = (
	[ 3, 'kill a process of Weir', sub { signal('KILL', '^weir'); forgive() } ],
	[ 1, 'kill a backend', sub { signal('KILL', '^client'); forgive() } ],
	[ 2, 'kill the postmaster', sub { delete $_->{session} foreach @readers; crash($node); forgive() } ],
	[ 6, 'end a process of Weir', sub { signal('TERM', '^weir') } ],
	[ 3, 'stall a process of Weir', sub
	  {
		  my $pid = signal('STOP', '^weir') or return;

		  read_for(0.3);
		  kill 'CONT', $pid;
	  } ],
	[ 1, 'stop, smart', sub { stop_and_start('smart') } ],
	[ 1, 'stop, fast', sub { stop_and_start('fast') } ],
	[ 1, 'stop, immediate', sub { stop_and_start('immediate') } ],
	[ 3, 'pause or resume', sub
	  {
		  my $view = pick(map { $_->{view} } @views);
		  my $state = patient_sql("SELECT state FROM weir.views WHERE view = '$view'::regclass");

		  forgive($view);
		  patient_sql('SELECT weir.' . ($state eq 'paused' ? 'resume' : 'pause') . "('$view')");
		  forgive($view);
	  } ],
	[ 1, 'reset', sub { patient_sql(q{SELECT weir.reset('control', 'earliest')}); forgive('control') } ],
	[ 3, 'create or drop', sub
	  {
		  patient_sql(patient_sql("SELECT to_regclass('extra') IS NULL") eq 't'
			  ? $create_extra
			  : "SELECT weir.drop_view(oid) FROM pg_class WHERE relname = 'extra'");
	  } ],
	[ 1, 'alter the stream', sub
	  {
		  patient_sql("ALTER FOREIGN TABLE events OPTIONS (SET idle_timeout '"
			  . int(rand 9) . " days 1 hour')");
	  } ]);
my @choices = map { ($_) x $_->[0] } @actions;

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '1 second', idle_timeout => '1 day' });
sql($node, create($_)) foreach @views;
diag("seed $seed, $seconds seconds");
srand $seed;

my $producer = start_producer($kafka, $topic, '--count', $count, '--rate', $rate, '--timeout', 300,
	'--seed', $seed, '--out-of-order', 0.1, '--late', 0.02, '--malformed', 0.01,
	'--start-time', '2024-01-01T00:00:00Z');

# A statement that is planned before the first partition of a view's final table is
# there, and run after, misses its rows, whatever is killed: not what is tested here.
$node->poll_query_until('postgres',
	'SELECT ' . join(' AND ', map { "EXISTS (SELECT FROM $_->{view}_final)" } @views));

my $end = time + $seconds;

while (time < $end)
{
	my ($pause, $action) = (0.1 + rand, pick(@choices));

	read_for($pause);
	push @log, sprintf '%.1f s before the end: %s', $end - time, $action->[1];
	eval { $action->[2]->(); 1 } or diag("$log[-1]: $@");
}
finish_producer($producer);

# --- everything is there ---------------------------------------------------------------

patient_sql(q{SELECT weir.drop_view(oid) FROM pg_class WHERE relname = 'extra'});
is(patient_sql("SELECT count(*) FROM weir.views WHERE state = 'error'"), 0, 'no view has stopped');
patient_sql(q{SELECT weir.resume(view) FROM weir.views WHERE state <> 'running'});
patient_sql("SELECT weir.flush('events')");
forgive();
read_view($_) foreach @readers;
foreach my $r (@readers)
{
	cmp_ok($r->{reads}, '>', 10, "$r->{view} was read often ($r->{reads} times)");
}
is(scalar @wrong, 0, 'every read was consistent')
  || diag(join "\n", @wrong[ 0 .. ($#wrong > 9 ? 9 : $#wrong) ]);

my $archive = archive_stream($node);
my $failed = @wrong;

foreach my $v (@views)
{
	$failed += !view_equals_batch($node, "$v->{view} equals its query", %$v, archive => $archive);
	my ($late, $errors) = oracle_counts($node, %$v, archive => $archive);
	$failed += !is(
		sql($node, "SELECT late FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		$late, "$v->{view}: late events");
	$failed += !is(
		sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = '$v->{view}'::regclass"),
		$errors, "$v->{view}: dead letters of its own");
}
$failed += !is(
	sql($node, 'SELECT count(*), count(DISTINCT (partition, "offset")) FROM weir.dead_letters WHERE view IS NULL'),
	join('|', ($count - sql($node, "SELECT count(*) FROM $archive")) x 2),
	'dead letters of the stream, each once');
diag(join "\n", "seed $seed:", @log) if $failed;
done_testing();
