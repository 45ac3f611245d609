# The defining equation under random load: many views on one stream, of data that
# is late, unordered and malformed, while views come, pause, are reset, and the
# server is restarted.  At the end every view equals its query in batch, and the
# counters equal what the topic says.
#
# WEIR_SEEDS="4 5 6" chooses the runs, "random" makes ten of any seed; without it
# they are 1, 2 and 3.
#
# Takes 40 s.

use strict;
use warnings;

use Weir::Test;

# What the views are: their windows, their queries, and for the oracle what is
# in WHERE (filter) and which records an expression fails for (failing).  One over
# another view has its own query (over), the oracle's over the stream, and the length
# of its windows; those that events are late for are the first view's.
my %views = (
	plain => {
		window => "weir.tumble(ts, '10 seconds')",
		size => '10 seconds',
		query => q{SELECT WINDOW AS window_start, event_type, country,
				count(*) AS events, sum(amount) AS revenue,
				avg(latency_ms) AS avg_latency, max(latency_ms) AS max_latency
			FROM STREAM GROUP BY 1, 2, 3},
	},
	lateness => {
		window => "weir.tumble(ts, '1 second')",
		size => '1 second',
		lateness => '3 seconds',
		filter => q{event_type <> 'debug'},
		query => q{SELECT WINDOW AS w, count(*), sum(user_id), min(ts) AS first,
				max(ts) AS last, min(page) AS least, max(page COLLATE "C") AS most,
				avg(latency_ms) AS mean, count(DISTINCT user_id) AS users
			FROM STREAM WHERE event_type <> 'debug' GROUP BY 1},
	},
	medium => {
		window => "weir.tumble(ts, '1 second')",
		size => '1 second',
		length => '10 seconds',
		lateness => '3 seconds',
		filter => q{event_type <> 'debug'},
		over => q{SELECT weir.tumble(w, '10 seconds') AS w, sum(count) AS count,
				sum(sum) AS sum, min(first) AS first, max(last) AS last,
				min(least) AS least, max(most) AS most, avg(mean) AS mean,
				weir.merge(users) AS users
			FROM STREAM_lateness GROUP BY 1},
		query => q{SELECT weir.tumble(WINDOW, '10 seconds') AS w, count(*)::numeric AS count,
				sum(user_id) AS sum, min(ts) AS first, max(ts) AS last,
				min(page) AS least, max(page COLLATE "C") AS most,
				avg(latency_ms) AS mean, count(DISTINCT user_id) AS users
			FROM STREAM WHERE event_type <> 'debug' GROUP BY 1},
	},
	long => {
		window => "weir.tumble(ts, '1 second')",
		size => '1 second',
		length => '1 minute',
		lateness => '3 seconds',
		filter => q{event_type <> 'debug'},
		over => q{SELECT weir.tumble(w, '1 minute') AS w, sum(count) AS count,
				avg(mean) AS mean, weir.merge(users) AS users
			FROM STREAM_medium GROUP BY 1},
		query => q{SELECT weir.tumble(WINDOW, '1 minute') AS w, count(*)::numeric AS count,
				avg(latency_ms) AS mean, count(DISTINCT user_id) AS users
			FROM STREAM WHERE event_type <> 'debug' GROUP BY 1},
	},
	narrow => {
		window => "weir.tumble(ts, '250 ms')",
		size => '250 ms',
		query => q{SELECT WINDOW AS w, count(*), count(level) AS levels,
				bool_or(amount > 10)
			FROM STREAM GROUP BY 1},
	},
	expressions => {
		window => "weir.tumble(ts, '20 seconds')",
		size => '20 seconds',
		lateness => '30 seconds',
		query => q{SELECT lower(country) AS c, latency_ms / 100 AS bucket, WINDOW AS w,
				count(*) FILTER (WHERE event_type = 'click') AS clicks,
				sum(amount) FILTER (WHERE amount > 1) * 2 AS twice,
				count(*) AS n
			FROM STREAM GROUP BY lower(country), latency_ms / 100, WINDOW
			HAVING count(*) > 3},
	},
	origin => {
		window => "weir.tumble(ts, '7 seconds', '2024-01-01 00:00:02+00')",
		size => '7 seconds',
		lateness => '1 second',
		filter => q{user_id % 3 <> 0},
		query => q{SELECT WINDOW AS w, nullif(country, 'US') AS country,
				sum(latency_ms), var_samp(latency_ms), stddev_pop(user_id)
			FROM STREAM WHERE user_id % 3 <> 0 GROUP BY 1, 2},
	},
	failing => {
		window => "weir.tumble(ts, '5 seconds')",
		size => '5 seconds',
		failing => 'latency_ms % 17 = 0',
		query => q{SELECT WINDOW AS w, sum(1000 / (latency_ms % 17)), count(*)
			FROM STREAM GROUP BY 1},
	},
	hidden => {
		window => "weir.tumble(ts, '30 seconds')",
		size => '30 seconds',
		query => q{SELECT event_type, page, count(*), min(user_id), max(amount)
			FROM STREAM GROUP BY WINDOW, event_type, page},
	},
);

my $day = '2024-01-01T00';
my $chunks = 8;
my $chunk_size = $ENV{WEIR_QUICK} ? 4_000 : 12_000;    # 1 ms apart

my @seeds = split /[\s,]+/, $ENV{WEIR_SEEDS} // ($ENV{WEIR_QUICK} ? '1' : '1 2 3');
@seeds = map { 1 + int rand 1_000_000 } 1 .. 10 if "@seeds" eq 'random';

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'");
my $dir = PostgreSQL::Test::Utils::tempdir();

# The messages as they are, of a topic.
sub raw_stream
{
	my ($name, $topic) = @_;

	sql($node, qq{
		CREATE FOREIGN TABLE $name (message bytea,
			part int OPTIONS (metadata 'partition'),
			off bigint OPTIONS (metadata 'offset'))
		SERVER kafka OPTIONS (topic '$topic', format 'raw')});
	return;
}

sub create
{
	my ($run, $name, $start) = @_;
	my %v = %{ $views{$name} };
	my $query = $v{query} =~ s/WINDOW/$v{window}/gr =~ s/STREAM/$run->{stream}/gr;
	my $view = "$run->{stream}_$name";
	my $lateness = $v{lateness} // '0';

	$view .= "_$start" if $start ne 'earliest';
	my $own = $v{over} ? $v{over} =~ s/STREAM/$run->{stream}/gr : $query;
	sql($node, "SELECT weir.create_view('$view', \$\$ $own \$\$,"
		  . " start => '$start', lateness => '$lateness')");
	$run->{views}{$view} = { %v, view => $view, query => $query, start => $start };
	return;
}

# One piece of the topic; returns at once.
sub start_chunk
{
	my ($run, $i) = @_;
	my $ms = $i * $chunk_size;

	return start_producer($kafka, $run->{topic},
		'--count', $chunk_size, '--seed', $run->{seed} * 100 + $i,
		'--start-time', sprintf('%s:%02d:%02d.%03dZ', $day, $ms / 60_000,
			$ms / 1000 % 60, $ms % 1000),
		@{ $run->{args} }, '--summary-file', "$dir/summary");
}

# How often the producer says that it has broken a message.
sub malformed
{
	my $summary = PostgreSQL::Test::Utils::slurp_file("$dir/summary");

	$summary =~ /^malformed=(\d+)$/m or die "no summary: $summary";
	return $1;
}

# What a view over another holds is what the rows below add up to.
sub check_added
{
	my ($run, $name, $below, $length) = @_;
	my $s = $run->{stream};
	my $added = "SELECT weir.tumble(w, '$length') AS w, sum(count) AS n FROM ${s}_$below GROUP BY 1";
	my $is = "SELECT w, count FROM ${s}_$name";

	is( sql($node, "SELECT count(*) FROM (($added EXCEPT ALL $is) UNION ALL ($is EXCEPT ALL $added)) d"),
		0, "$run->{name}: ${s}_$name is what the rows of ${s}_$below add up to");
	return;
}

# What happens while each chunk arrives, and after it.
sub disturb
{
	my ($run, $i) = @_;
	my $s = $run->{stream};

	if ($i == 1) { create($run, 'narrow', 'earliest') }
	if ($i == 2)
	{
		sql($node, "SELECT weir.pause('${s}_plain')");
		create($run, 'hidden', 'latest');
	}
	if ($i == 3) { $node->restart('fast') }
	if ($i == 4)
	{
		sql($node, "SELECT weir.resume('${s}_plain')");
		sql($node, "SELECT weir.reset('${s}_lateness', 'earliest')");
		create($run, 'origin', 'earliest');
	}
	if ($i == 5) { $node->stop('immediate'); $node->start }
	if ($i == 6) { create($run, $_, 'earliest') foreach qw(failing long) }
	return;
}

sub check_view
{
	my ($run, $v, $archive) = @_;
	my $name = "$run->{name}: $v->{view}";
	my %o = (%$v, %{ $run->{oracle} });
	my $own;

	# A view that began later: the archive from its start offsets on.
	if ($v->{start} ne 'earliest')
	{
		my $starts = sql($node,
			"SELECT array_agg(start_offset ORDER BY partition) FROM weir.partitions"
			  . " WHERE view_name = '$v->{view}'::regclass");

		$own = archive_stream($node, stream => $run->{stream},
			where => "off >= ('$starts'::bigint[])[part + 1]");
		cmp_ok(sql($node, "SELECT count(*) FROM $own"), '<', $run->{good},
			"$name began later");
	}
	$o{archive} = $own // $archive;
	view_equals_batch($node, "$name equals its query", %o, flush => 0);

	my ($late, $failed) = oracle_counts($node, %o);
	is( sql($node,
			"SELECT late FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		$late, "$name: late events");
	is( sql($node,
			"SELECT sum(late) FROM weir.partitions WHERE view_name = '$v->{view}'::regclass"),
		$late, "$name: late events of its partitions");
	is( sql($node,
			"SELECT count(*) FROM weir.dead_letters WHERE view = '$v->{view}'::regclass"),
		$failed, "$name: dead letters of its own");
	$run->{late} += $late;
	$run->{failed} += $failed;

	# Every row is final or open, and which is decided by the watermark.
	is( sql($node, "SELECT (SELECT count(*) FROM $v->{view}_final)"
			  . " + (SELECT count(*) FROM $v->{view}_open)"
			  . " - (SELECT count(*) FROM $v->{view})"),
		0, "$name: final and open rows make up the view");
	if ($v->{query} =~ /AS (w|window_start)\b/)
	{
		my $end = "$1 + interval '" . ($v->{length} // $v->{size}) . "' + interval '" . ($v->{lateness} // 0) . "'";
		my $closed = "(SELECT closed_upto FROM weir.status"
		  . " WHERE view_name = '$v->{view}'::regclass)";

		is( sql($node, "SELECT count(*) FROM $v->{view}_final WHERE $end > $closed"),
			0, "$name: what is final was to be closed");
		is( sql($node, "SELECT count(*) FROM $v->{view}_open WHERE $end <= $closed"),
			0, "$name: what is open was not");
	}
	sql($node, 'DROP SCHEMA ' . ($own =~ s/\..*//r) . ' CASCADE') if $own;
	return;
}

sub check_dead_letters
{
	my ($run, $malformed) = @_;
	my $s = $run->{stream};

	is( sql($node, "SELECT count(*) FROM ${s}_raw") - $run->{good}, $malformed,
		"$run->{name}: SELECT skips what is malformed");
	is( sql($node, qq{
			WITH raw AS (SELECT r.message, r.part, r.off FROM ${s}_raw r
					LEFT JOIN $run->{archive} a USING (part, off) WHERE a.off IS NULL),
				dead AS (SELECT payload, partition, "offset" FROM weir.dead_letters
					WHERE stream = '$s'::regclass AND view IS NULL)
			SELECT (SELECT count(*) FROM dead)
				|| ' ' || (SELECT count(*) FROM (TABLE raw EXCEPT ALL TABLE dead) d)
				|| ' ' || (SELECT count(*) FROM (TABLE dead EXCEPT ALL TABLE raw) d)}),
		"$malformed 0 0", "$run->{name}: the others are dead letters, byte for byte");
	my ($full) = sql($node, qq{
		SELECT dead_letters - (SELECT count(*) FROM weir.dead_letters
			WHERE view = '${s}_failing'::regclass) FROM weir.status
		WHERE view_name = '${s}_failing'::regclass});
	is($full, $malformed, "$run->{name}: the counter says so too");
	return;
}

foreach my $seed (@seeds)
{
	srand $seed;
	my $partitions = 1 + int rand 12;
	my $batch = (1, 7, 100, 1000, 4000, 20_000)[ rand 6 ];
	my $delay = ('0', '500 ms', '2 seconds', '5 seconds')[ rand 4 ];
	my @args = (
		'--out-of-order', sprintf('%.3f', rand 0.3),
		'--late', sprintf('%.3f', rand 0.1),
		'--malformed', sprintf('%.3f', rand 0.03),
		# Keys enough for every partition: an empty one, not idle for a day,
		# would keep all windows open.
		'--users', 1000, '--key', (qw(none none user))[ rand 3 ],
		'--compression', (qw(none lz4))[ rand 2 ]);
	my %run = (
		seed => $seed,
		name => "seed $seed",
		stream => "s$seed",
		args => \@args,
		topic => $kafka->new_topic("oracle$seed", $partitions),
		late => 0,
		failed => 0,
		oracle => { stream => "s$seed", watermark_delay => $delay });
	my $malformed = 0;

	diag("seed $seed: $partitions partitions, batches of $batch,"
		  . " watermark delay $delay, @args");
	$node->safe_psql('postgres', "ALTER SYSTEM SET weir.batch_size = $batch");
	$node->reload;
	setup_events($node, $kafka, $run{topic}, stream => $run{stream},
		options => { watermark_delay => $delay, idle_timeout => '1 day' });
	raw_stream("$run{stream}_raw", $run{topic});
	create(\%run, $_, 'earliest') foreach qw(plain lateness medium expressions);
	for my $i (0 .. $chunks - 1)
	{
		my $producer = start_chunk(\%run, $i);

		disturb(\%run, $i);
		finish_producer($producer);
		$malformed += malformed();
	}
	sql($node, "SELECT weir.flush('$run{stream}', '120 s')");

	my $archive = $run{archive} = archive_stream($node, stream => $run{stream});
	$run{good} = sql($node, "SELECT count(*) FROM $archive");
	is($run{good} + $malformed, $chunks * $chunk_size, "$run{name}: all was produced");
	foreach my $name (sort keys %{ $run{views} })
	{
		check_view(\%run, $run{views}{$name}, $archive);
	}
	check_added(\%run, 'medium', 'lateness', '10 seconds');
	check_added(\%run, 'long', 'lateness', '1 minute');
	check_dead_letters(\%run, $malformed);
	cmp_ok($run{late}, '>', 0, "$run{name}: some events were late");
	cmp_ok($run{failed}, '>', 0, "$run{name}: some expressions failed");
	cmp_ok( sql($node, "SELECT count(*) FROM $run{stream}_narrow_final"),
		'>', 0, "$run{name}: some windows are final");
	ok( wait_until($node,
			"SELECT count(DISTINCT lane) = 1 FROM weir.status WHERE stream = '$run{stream}'::regclass"),
		"$run{name}: all views have come into one lane");
	sql($node, "DROP FOREIGN TABLE $run{stream}, $run{stream}_raw CASCADE;"
		  . 'DROP SCHEMA ' . ($archive =~ s/\..*//r) . ' CASCADE');
	is( sql($node, 'SELECT count(*) FROM weir.views'),
		0, "$run{name}: views go with their stream");
}

done_testing();
