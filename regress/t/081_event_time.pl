# What is late stays late: late events are decided by each partition's order of
# messages alone.  Random disorder, partitions that are filled very unevenly,
# batches, workers, delays and lateness; meanwhile the server is restarted and
# killed, views pause, are reset, and new ones join.  Each late event is kept, and
# says by how much it was late, as the oracle computes it from the topic.  A view
# that reads all of it afterwards, with every partition idle as soon as it is read
# to its end, finds the same.
#
# WEIR_SEEDS="4 5 6" chooses the runs, "random" makes ten of any seed; without it
# they are 2 and 4.
#
# Takes 22 s.

use strict;
use warnings;

use Weir::Test;

my @seeds = split /[\s,]+/, $ENV{WEIR_SEEDS} // ($ENV{WEIR_QUICK} ? '4' : '2 4');
@seeds = map { 1 + int rand 1_000_000 } 1 .. 10 if "@seeds" eq 'random';

my $chunks = 6;
my $chunk_size = $ENV{WEIR_QUICK} ? 3_000 : 8_000;    # 1 ms apart
my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'restart_after_crash = on');

# Windows of any size, over one stream; returns what the oracle wants to know.
sub view
{
	my ($run, $name, $size, $lateness, %more) = @_;
	my $window = "weir.tumble(ts, '$size')";
	my $where = $more{filter} ? "WHERE $more{filter}" : '';

	return {
		%more,
		view => "$run->{stream}_$name",
		stream => $run->{stream},
		watermark_delay => $run->{delay},
		window => $window,
		size => $size,
		lateness => $lateness,
		query => "SELECT $window AS w, event_type, count(*) AS n, sum(user_id) AS users,"
		  . " max(ts) AS last FROM $run->{stream} $where GROUP BY 1, 2" };
}

sub create
{
	my ($v) = @_;

	sql($node, "SELECT weir.create_view('$v->{view}', \$\$ $v->{query} \$\$,"
		  . " lateness => '$v->{lateness}', keep_late => true)");
	return;
}

# What happens while each chunk arrives.
sub disturb
{
	my ($run, $i) = @_;
	my ($narrow, $patient) = map { $_->{view} } @{ $run->{views} };

	if ($i == 1)
	{
		push @{ $run->{views} }, view($run, 'filtered', '3 seconds', '500 ms',
			filter => "event_type <> 'click'");
		create($run->{views}[-1]);
		sql($node, "SELECT weir.pause('$narrow')");
	}
	elsif ($i == 2)
	{
		crash($node);
		sql($node, "SELECT weir.resume('$narrow')");
	}
	elsif ($i == 3) { sql($node, "SELECT weir.reset('$patient', 'earliest')") }
	elsif ($i == 4) { $node->restart((qw(fast immediate))[ rand 2 ]) }
	elsif ($i == 5) { crash($node) }
	return;
}

sub check
{
	my ($run, $v) = @_;
	my %o = (%$v, archive => $run->{archive});
	my $name = "seed $run->{seed}: $v->{view}";

	view_equals_batch($node, "$name equals its query", %o);
	late_events_equal($node, $name, %o);
	my ($late) = oracle_counts($node, %o);

	is( sql($node, "SELECT late FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		$late, "$name: and in all");
	return $late;
}

foreach my $seed (@seeds)
{
	srand $seed;
	my $partitions = 1 + int rand 12;
	my $batch = (1, 13, 500, 4000, 20_000)[ rand 5 ];
	my $workers = 1 + int rand 3;
	my %run = (
		seed => $seed,
		stream => "s$seed",
		delay => ('0', '300 ms', '2 seconds')[ rand 3 ],
		topic => $kafka->new_topic("event_time$seed", $partitions));
	# Few users, some of which make most events: partitions of very different sizes.
	my @args = (
		'--out-of-order', sprintf('%.3f', rand 0.4),
		'--late', sprintf('%.3f', 0.005 + rand 0.05),
		'--malformed', sprintf('%.3f', rand 0.02),
		'--key', 'user', '--users', 200, '--skew', sprintf('%.2f', rand 1.2));
	my $late = 0;

	diag("seed $seed: $partitions partitions, batches of $batch, $workers workers,"
		  . " watermark delay $run{delay}, @args");
	sql($node, "ALTER SYSTEM SET weir.batch_size = $batch");
	$node->reload;
	setup_events($node, $kafka, $run{topic}, stream => $run{stream}, options => {
			watermark_delay => $run{delay}, idle_timeout => '1 day', workers => $workers });
	$run{views} = [
		view(\%run, 'narrow', '200 ms', '0'),
		view(\%run, 'patient', '1 second', '1 second') ];
	create($_) foreach @{ $run{views} };
	foreach my $i (0 .. $chunks - 1)
	{
		my $ms = $i * $chunk_size;
		my $producer = start_producer($kafka, $run{topic}, '--count', $chunk_size,
			'--seed', $seed * 100 + $i, @args, '--start-time',
			sprintf('2024-01-01T00:%02d:%02d.%03dZ', $ms / 60_000, $ms / 1000 % 60, $ms % 1000));

		disturb(\%run, $i);
		finish_producer($producer);
	}
	sql($node, "SELECT weir.flush('$run{stream}', '120 s')");
	$run{archive} = archive_stream($node, stream => $run{stream});
	$late += check(\%run, $_) foreach @{ $run{views} };
	cmp_ok($late, '>', 0, "seed $seed: some events were late");

	# The same, as history: all partitions but those that are still read are idle.
	my %history = (%run, stream => "h$seed");

	setup_events($node, $kafka, $run{topic}, stream => $history{stream}, options => {
			watermark_delay => $run{delay}, idle_timeout => '0', idle_advance => '0' });
	my $v = view(\%history, 'narrow', '200 ms', '0');

	create($v);
	check(\%history, $v);
	is( sql($node, q{SELECT count(*) FROM (SELECT partition, "offset", window_start, late_by, payload
				FROM weir.late_events WHERE view = '} . $run{views}[0]{view} . q{'::regclass EXCEPT ALL
			SELECT partition, "offset", window_start, late_by, payload
				FROM weir.late_events WHERE view = '} . $v->{view} . q{'::regclass) d}),
		0, "seed $seed: what was late live is late in history");
	sql($node, "DROP FOREIGN TABLE $run{stream}, $history{stream} CASCADE;"
		  . 'DROP SCHEMA ' . ($run{archive} =~ s/\..*//r) . ' CASCADE');
	is(sql($node, 'SELECT count(*) FROM weir.late_events'), 0,
		"seed $seed: late events go with their views");
}

# What was wanted by weir.advance_watermark is not forgotten, though the server is
# killed before it is done, and what it made late stays late.
{
	my $topic = $kafka->new_topic('advance', 2);
	my %run = (stream => 'advance', delay => '0');
	my $v = view(\%run, 'v', '10 seconds', '0');

	setup_events($node, $kafka, $topic, stream => 'advance',
		options => { watermark_delay => '0', idle_timeout => '1 day' });
	create($v);
	sql($node, q{INSERT INTO advance (ts, part) SELECT '2024-01-01 00:00:00Z'::timestamptz + g * interval '1 s', 0
		FROM generate_series(0, 35) g});
	sql($node, q{SELECT weir.flush('advance')});

	my $log = log_end($node);

	set_fault($node, 'coordinator-before-barrier' => 'panic 1');
	sql($node, q{SELECT weir.advance_watermark('advance_v', '2024-01-01 00:00:20Z')});
	ok(fault_reached($node), 'the coordinator is killed before it closes anything');
	clear_faults($node);
	# The server takes a moment to notice.
	log_says($node, qr/all server processes terminated/, $log) or die 'the server has not crashed';
	wait_until($node, 'SELECT true');
	sql($node, q{INSERT INTO advance (ts, part) VALUES ('2024-01-01 00:00:19Z', 1), ('2024-01-01 00:00:20Z', 1)});
	sql($node, q{SELECT weir.flush('advance')});
	is(sql($node, q{SELECT count(*) FROM advance_v_final}), 2, 'after the restart they are closed');
	is(sql($node, q{SELECT sum(n), max(n) FROM advance_v}), '37|11', 'what is older is late');
	crash($node);
	sql($node, q{INSERT INTO advance (ts, part) VALUES ('2024-01-01 00:00:19.5Z', 1)});
	sql($node, q{SELECT weir.flush('advance')});
	is(sql($node, q{SELECT late, (SELECT count(*) FROM weir.late_events WHERE view = 'advance_v'::regclass)
		FROM weir.status WHERE view_name = 'advance_v'::regclass}), '2|2', 'and after another one');
	is(sql($node, q{SELECT count(*) FROM advance_v_final}), 2, 'nothing is final twice');
}

done_testing();
