# Lanes with several ingest workers: what a view holds does not depend on their
# number, nor on its changes across restarts and crashes; what readers see is
# whole; and what one worker meets, all know.
#
# WEIR_SEEDS chooses the runs, as in 020_oracle.
#
# Takes 31 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'restart_after_crash = on');
my $chunk_size = $ENV{WEIR_QUICK} ? 3_000 : 8_000;    # 1 ms apart
my @seeds = split /[\s,]+/, $ENV{WEIR_SEEDS} // ($ENV{WEIR_QUICK} ? '1' : '1 2');

@seeds = map { 1 + int rand 1_000_000 } 1 .. 10 if "@seeds" eq 'random';

# Every accumulator there is, combined from shards and the log: exact as the batch,
# but for the deviations of floats.
my %views = (
	exact => {
		size => '10 seconds',
		query => q{SELECT WINDOW AS w, event_type, count(*) AS n, count(level) AS levels,
			sum(latency_ms) AS i, avg(latency_ms) AS ia, sum(user_id) AS l, avg(user_id) AS la,
			sum(amount) AS f, min(amount) AS fmin, max(amount) AS fmax, min(latency_ms) AS imin,
			max(user_id) AS lmax, min(ts) AS first, max(ts) AS last, max(page) AS tmax,
			min(page COLLATE "C") AS tmin, min(country || '/' || session_id) AS smin,
			bool_or(amount > 10) AS bo, bool_and(latency_ms > 1) AS ba, bit_xor(latency_ms) AS x,
			var_samp(latency_ms) AS iv, stddev_pop(user_id) AS ls, sum(amount::numeric) AS d,
			avg(amount::numeric) AS da, max(amount::numeric) AS dmax,
			var_pop(amount::numeric) AS dv, max(ARRAY[latency_ms, 1]) AS a,
			sum(latency_ms * interval '1 ms') AS v, count(*) FILTER (WHERE amount > 1) AS m
			FROM STREAM GROUP BY 1, 2},
	},
	rounded => {
		size => '4 seconds',
		lateness => '2 seconds',
		columns => 'w, country, round(v::numeric, 6) AS v, round(s::numeric, 6) AS s',
		query => q{SELECT WINDOW AS w, country, variance(amount) AS v, stddev_pop(amount / 3) AS s
			FROM STREAM GROUP BY 1, 2},
	},
	failing => {
		size => '3 seconds',
		failing => 'latency_ms % 17 = 0',
		query => q{SELECT WINDOW AS w, sum(1000 / (latency_ms % 17)) AS s, count(*) AS n
			FROM STREAM GROUP BY 1},
	},
	narrow => {
		size => '250 ms',
		query => q{SELECT WINDOW AS w, count(*) AS n FROM STREAM GROUP BY 1},
	});

sub create
{
	my ($run, $name) = @_;
	my %v = %{ $views{$name} };
	my $window = "weir.tumble(ts, '$v{size}')";
	my $query = $v{query} =~ s/WINDOW/$window/gr =~ s/STREAM/$run->{stream}/gr;
	my $view = "$run->{stream}_$name";

	sql($node, "SELECT weir.create_view('$view', \$\$ $query \$\$, lateness => '"
		  . ($v{lateness} // '0') . "')");
	$run->{views}{$name} = { %v, view => $view, query => $query, window => $window,
		stream => $run->{stream}, watermark_delay => '5 seconds' };
	return;
}

# A piece of the topic, in the background.
sub next_chunk
{
	my ($run, @args) = @_;
	my $ms = $run->{chunks}++ * $chunk_size;

	return start_producer($kafka, $run->{topic}, '--count', $chunk_size,
		'--seed', $run->{seed} * 100 + $run->{chunks}, '--users', 1000,
		'--out-of-order', 0.1, '--malformed', 0.01, @args,
		'--start-time', sprintf('2024-01-01T%02d:%02d:%02d.%03dZ', $ms / 3_600_000,
			$ms / 60_000 % 60, $ms / 1000 % 60, $ms % 1000));
}

# So many workers read the stream's main lane, or any at all.
sub workers_are
{
	my ($run, $n, $name) = @_;

	return ok( wait_until($node, "SELECT bool_and(workers = $n) FROM weir.status"
				. " WHERE stream = '$run->{stream}'::regclass"
				. " AND state IN ('running', 'idle', 'catching up')"),
		"$run->{name}: $name: $n workers")
	  || diag(sql($node, 'TABLE weir.status'));
}

sub flush
{
	my ($run) = @_;

	sql($node, "SELECT weir.flush('$run->{stream}', '120 s')");
	return;
}

# The process id of one of its workers.
sub ingest_pid
{
	my ($run) = @_;
	my $which = "FROM pg_stat_activity WHERE backend_type = 'weir ingest public.$run->{stream}'";

	wait_until($node, "SELECT count(*) > 0 $which") or die 'there is no worker';
	return sql($node, "SELECT max(pid) $which");
}

sub on_all
{
	my ($run, $what) = @_;

	sql($node, "SELECT weir.$what('$_->{view}')") foreach values %{ $run->{views} };
	return;
}

sub alter
{
	my ($run, $options) = @_;

	sql($node, "ALTER FOREIGN TABLE $run->{stream} OPTIONS ($options)");
	return;
}

# What happens while each chunk arrives.
my @disturbances = (
	sub { },
	sub {
		my ($run) = @_;

		workers_are($run, 2, 'as the option says');
		create($run, 'failing');
	},
	sub { alter($_[0], "SET workers '4'") },
	sub {
		my ($run) = @_;

		workers_are($run, 4, 'altered');
		alter($run, 'DROP workers');
		$node->safe_psql('postgres', 'ALTER SYSTEM SET weir.ingest_workers = 3');
		$node->reload;
		crash($node);
		workers_are($run, 3, 'after kill -9, as the setting says');
	},
	sub {
		my ($run) = @_;

		sql($node, "SELECT weir.pause('$run->{views}{exact}{view}')");
		$node->safe_psql('postgres', 'ALTER SYSTEM SET weir.ingest_workers = 1');
		$node->restart('fast');
		workers_are($run, 1, 'after a restart');
		create($run, 'narrow');
	},
	sub {
		my ($run) = @_;

		sql($node, "SELECT weir.resume('$run->{views}{exact}{view}')");
		alter($run, "ADD workers '2'");
	},
	sub {
		my ($run) = @_;

		workers_are($run, 2, 'altered again');
		sql($node, 'SELECT pg_terminate_backend(' . ingest_pid($run) . ')');
	},
	sub {
		my ($run) = @_;

		workers_are($run, 2, 'after one of them was terminated');
		kill 9, ingest_pid($run);
		ok(wait_until($node, "SELECT state = 'running' FROM weir.status LIMIT 1"),
			"$run->{name}: after one of them was killed");
	});

# More partitions, while nothing is read: in a lane that does not know them yet a
# window may close without them.
sub grow
{
	my ($run) = @_;

	flush($run);
	on_all($run, 'pause');
	$kafka->grow_topic($run->{topic}, 12);
	finish_producer(next_chunk($run, '--partitions', 12));
	alter($run, "SET workers '4'");
	on_all($run, 'resume');
	flush($run);
	workers_are($run, 4, 'of 12 partitions');
	return;
}

# Totals that never go back, and no window twice, while windows close that are in
# the shards of four workers, some of them restored.
sub read_on
{
	my ($run) = @_;
	my ($exact, $narrow) = map { $run->{views}{$_}{view} } qw(exact narrow);
	my $s = Weir::Session->new($node);
	my $produced = $run->{chunks} * $chunk_size;
	my $producer = next_chunk($run, '--rate', $chunk_size / 2, '--late', 0.02);
	my ($last, $reads, @wrong) = (0, 0);
	my $end = time + 180;

	while (time < $end)
	{
		my ($sum, $rows, $windows) = split /\|/, $s->query(
			"SELECT (SELECT sum(n) FROM $exact), count(*), count(DISTINCT w) FROM $narrow");

		push @wrong, "backwards: $sum after $last" if $sum < $last;
		push @wrong, "a window twice: $rows, $windows" if $rows != $windows;
		$last = $sum;
		$reads++;
		last if $s->query("SELECT coalesce(sum(events + dead_letters), 0) >= $produced + $chunk_size"
			  . " FROM weir.status WHERE view_name = '$exact'::regclass") eq 't';
	}
	finish_producer($producer);
	$s->finish;
	is(scalar @wrong, 0, "$run->{name}: every read of several shards is consistent")
	  || diag(join "\n", @wrong);
	cmp_ok($reads, '>', 10, "$run->{name}: there were some ($reads)");
	return;
}

sub check_view
{
	my ($run, $v, $archive) = @_;
	my $name = "$run->{name}: $v->{view}";
	my ($late, $failed) = oracle_counts($node, %$v, archive => $archive);

	view_equals_batch($node, "$name equals its query", %$v, archive => $archive, flush => 0);
	is( sql($node, "SELECT late, (SELECT sum(late) FROM weir.partitions p"
			  . " WHERE p.view_name = s.view_name) FROM weir.status s"
			  . " WHERE view_name = '$v->{view}'::regclass"),
		"$late|$late", "$name: late events");
	is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = '$v->{view}'::regclass"),
		$failed, "$name: dead letters of its own");
	is( sql($node, "SELECT windows_open FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		sql($node, "SELECT count(DISTINCT w) FROM $v->{view}_open"), "$name: open windows");
	cmp_ok(sql($node, "SELECT count(*) FROM $v->{view}_final"), '>', 0,
		"$name: some windows are final");
	return;
}

foreach my $seed (@seeds)
{
	my %run = (
		seed => $seed,
		name => "seed $seed",
		stream => "w$seed",
		topic => $kafka->new_topic("workers$seed", 8),
		chunks => 0);

	setup_events($node, $kafka, $run{topic}, stream => $run{stream},
		options => { idle_timeout => '1 day', workers => 2 });
	create(\%run, $_) foreach qw(exact rounded);
	foreach my $disturb (@disturbances)
	{
		my $producer = next_chunk(\%run, '--late', 0.05);

		$disturb->(\%run);
		finish_producer($producer);
	}
	grow(\%run);
	read_on(\%run);
	flush(\%run);

	my $archive = archive_stream($node, stream => $run{stream});
	my $good = sql($node, "SELECT count(*) FROM $archive");

	check_view(\%run, $run{views}{$_}, $archive) foreach sort keys %{ $run{views} };
	is( sql($node, 'SELECT count(*), count(DISTINCT (partition, "offset")) FROM weir.dead_letters'
			  . " WHERE stream = '$run{stream}'::regclass AND view IS NULL"),
		join('|', ($run{chunks} * $chunk_size - $good) x 2),
		"$run{name}: what is malformed is a dead letter, once");
	ok( wait_until($node,
			"SELECT count(DISTINCT lane) = 1 FROM weir.status WHERE stream = '$run{stream}'::regclass"),
		"$run{name}: all views have come into one lane");
	sql($node, "DROP FOREIGN TABLE $run{stream} CASCADE; DROP SCHEMA "
		  . ($archive =~ s/\..*//r) . ' CASCADE');
}

# A message that stops the stream: all workers stop, nothing after it is
# committed in its partition, and all of it is there when the views go on.
{
	my $topic = $kafka->new_topic('stops', 4);
	my $query = q{SELECT weir.tumble(ts, '1 hour') AS w, count(*) AS n FROM stops GROUP BY 1};

	setup_events($node, $kafka, $topic, stream => 'stops',
		options => { idle_timeout => '1 day', on_error => 'stop', workers => 2 });
	sql($node, "SELECT weir.create_view('stops_$_', \$\$ $query \$\$)")
	  foreach 1, 2;
	produce($kafka, $topic, '--count', 5000, '--start-time', '2024-01-01T00:00:00Z');
	sql($node, "SELECT weir.flush('stops')");
	sql($node, qq{CREATE FOREIGN TABLE stops_raw (message bytea,
			part int OPTIONS (metadata 'partition')) SERVER kafka
			OPTIONS (topic '$topic', format 'raw');
		INSERT INTO stops_raw VALUES ('no JSON', 3)});
	produce($kafka, $topic, '--count', 5000, '--start-time', '2024-01-01T00:30:00Z', '--seed', 2);
	ok( wait_until($node, q{SELECT count(*) = 2 FROM weir.status
			WHERE state = 'error' AND error ~ 'partition 3, offset'}),
		'both views stop, and say where') || diag(sql($node, 'TABLE weir.status'));
	is( sql($node, q{SELECT bool_and(committed <= (SELECT (regexp_match(error, 'offset (\d+)'))[1]::bigint
				FROM weir.status s WHERE s.view_name = p.view_name))
			FROM weir.partitions p WHERE stream = 'stops'::regclass AND partition = 3}),
		't', 'before the message');
	sql($node, q{ALTER FOREIGN TABLE stops OPTIONS (SET on_error 'dead_letter');
		SELECT weir.resume('stops_1'), weir.resume('stops_2'); });
	sql($node, "SELECT weir.flush('stops')");
	is( sql($node, q{SELECT (SELECT sum(n) FROM stops_1), (SELECT sum(n) FROM stops_2),
			(SELECT count(*) FROM weir.dead_letters WHERE stream = 'stops'::regclass)}),
		'10000|10000|1', 'they go on with all of it');
}

# Kafka's tools see the offsets of all partitions: a producer that waits for the
# group to come near goes on to its end.
{
	my $topic = $kafka->new_topic('group', 6);

	setup_events($node, $kafka, $topic, stream => 'grouped',
		options => { idle_timeout => '1 day', workers => 3 });
	sql($node, q{SELECT weir.create_view('grouped_v', $$ SELECT weir.tumble(ts, '1 hour') AS w,
		count(*) AS n FROM grouped GROUP BY 1 $$)});
	# All partitions have their leaders then: the other run asks for offsets at once.
	produce($kafka, $topic, '--count', 1000);
	sql($node, "SELECT weir.flush('grouped')");
	produce($kafka, $topic, '--count', 20_000, '--hold-back',
		'weir.postgres.public.grouped:2000', '--timeout', 120);
	sql($node, "SELECT weir.flush('grouped')");
	is(sql($node, 'SELECT sum(n) FROM grouped_v'), 21_000, 'offsets of all workers are committed');
}
$node->stop;

# Too few background workers: the lane reads with what there is, and says so.
{
	my $small = cluster('max_worker_processes = 5', 'max_logical_replication_workers = 0',
		'max_parallel_workers = 0');
	my $topic = $kafka->new_topic('small', 4);

	setup_events($small, $kafka, $topic, options => { workers => 4 });
	sql($small, q{SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '1 hour') AS w,
		count(*) AS n FROM events GROUP BY 1 $$)});
	produce($kafka, $topic, '--count', 5000);
	sql($small, "SELECT weir.flush('events')");
	is(sql($small, 'SELECT sum(n) FROM v'), 5000, 'a lane runs with fewer workers');
	is( sql($small, q{SELECT workers BETWEEN 1 AND 3 AND error =
				workers || ' of 4 ingest workers run: raise max_worker_processes'
			FROM weir.status}),
		't', 'and says so') || diag(sql($small, 'TABLE weir.status'));
}

done_testing();
