# Reads while windows close at full speed: what a session sees of a view never
# goes backwards, never exceeds what was produced, has no window twice and none
# missing, whatever the isolation, the plan or the cursor; and a SELECT sees an
# event long before the next checkpoint.
#
# Runs alone.

use strict;
use warnings;

use Time::HiRes qw(time);
use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '10 ms'", 'weir.batch_size = 200',
	'max_parallel_workers = 8', 'max_parallel_workers_per_gather = 2');
my $count = $ENV{WEIR_QUICK} ? 150_000 : 500_000;
my $rate = 40_000;

# 1. readers of all kinds.  Partitions, seconds and types are such that at every
# moment some windows are closing.
my $topic = $kafka->new_topic('reads', 4);
my $query = q{SELECT weir.tumble(ts, '50 ms') AS w, event_type, count(*) AS n,
	sum(user_id) AS users FROM events GROUP BY 1, 2};

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '0', idle_timeout => '1 day' });
sql($node, "SELECT weir.create_view('v', \$\$ $query \$\$)");
sql($node, "SELECT weir.create_view('two', \$\$ $query \$\$, lateness => '500 ms')");

# One line: sum of counts, rows, different (window, key), windows, and how many
# there are from the first to the last: the producer leaves none out.
sub line
{
	my ($view) = @_;

	return "SELECT coalesce(sum(n), 0), count(*), count(DISTINCT (w, event_type)),"
	  . ' count(DISTINCT w), coalesce(round(extract(epoch FROM max(w) - min(w)) * 20) + 1, 0)'
	  . " FROM $view";
}

my @parallel = ('SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0',
	'SET min_parallel_table_scan_size = 0', 'SET min_parallel_index_scan_size = 0',
	$node->pg_version >= 16
	? 'SET debug_parallel_query = on'
	: 'SET force_parallel_mode = on');
my @readers = (
	{ name => 'read committed', view => 'v' },
	{ name => 'read committed, parallel', view => 'v', setup => \@parallel },
	{ name => 'with lateness', view => 'two' },
	{ name => 'repeatable read', view => 'v', kind => 'repeatable' },
	{ name => 'repeatable read, parallel', view => 'two', kind => 'repeatable',
		setup => \@parallel },
	{ name => 'cursor', view => 'v', kind => 'cursor' },
	{ name => 'cursor, two', view => 'two', kind => 'cursor' });

foreach my $r (@readers)
{
	$r->{session} = Weir::Session->new($node);
	$r->{session}->query($_) foreach @{ $r->{setup} // [] };
	$r->{wrong} = [];
	$r->{last} = $r->{reads} = 0;
}
like($readers[1]{session}->query('EXPLAIN ' . line('v')), qr/Gather/,
	'a plan of the parallel reader is parallel');
unlike($readers[0]{session}->query('EXPLAIN ' . line('v')), qr/Gather/,
	'one of the others is not');

sub statements
{
	my ($r) = @_;
	my $line = line($r->{view});
	my $final = line("$r->{view}_final");

	# The first read sets the snapshot; final ones agree in it, and what is not
	# final in it is open: together they are never less.  (Open windows show what
	# has come since, so the whole may grow.)
	return "BEGIN ISOLATION LEVEL REPEATABLE READ; $line; $final; $line; $final;"
	  . " $line; COMMIT"
	  if ($r->{kind} // '') eq 'repeatable';
	# Between the first rows and the others some windows close, while there are any.
	return "BEGIN; DECLARE c CURSOR FOR SELECT round(extract(epoch FROM w) * 20), event_type, n"
	  . " FROM $r->{view}; FETCH 10 FROM c; DO \$\$ DECLARE"
	  . " before timestamptz := (SELECT max(w) FROM $r->{view}_final);"
	  . " until timestamptz := clock_timestamp() + '200 ms';"
	  . ' BEGIN WHILE clock_timestamp() < until LOOP'
	  . " EXIT WHEN (SELECT max(w) FROM $r->{view}_final) > before + interval '100 ms';"
	  . ' END LOOP; END $$; FETCH ALL FROM c; COMMIT'
	  if ($r->{kind} // '') eq 'cursor';
	return $line;
}

sub check_line
{
	my ($r, $line) = @_;
	my ($sum, $rows, $distinct, $windows, $span) = split /\|/, $line;

	push @{ $r->{wrong} }, "a window twice: $line" if $rows != $distinct;
	push @{ $r->{wrong} }, "a window is missing: $line" if $windows != $span;
	push @{ $r->{wrong} }, "backwards: $line after $r->{last}" if $sum < $r->{last};
	push @{ $r->{wrong} }, "too much: $line" if $sum > $count;
	$r->{last} = $sum if $sum > $r->{last};
	return;
}

sub check_answer
{
	my ($r, $answer) = @_;
	my @lines = split /\n/, $answer;

	$r->{reads}++;
	if (($r->{kind} // '') eq 'repeatable')
	{
		check_line($r, $_) foreach @lines[ 0, 2, 4 ];
		push @{ $r->{wrong} }, "final differs in a snapshot: @lines[1, 3]"
		  if $lines[1] ne $lines[3];
		push @{ $r->{wrong} }, "a window is missing in a snapshot: @lines[1, 2]"
		  if (split /\|/, $lines[2])[1] < (split /\|/, $lines[1])[1];
	}
	elsif (($r->{kind} // '') eq 'cursor')
	{
		my ($sum, %rows, %windows) = (0);

		foreach my $line (@lines)
		{
			my ($w, $type, $n) = split /\|/, $line;

			$rows{"$w $type"}++;
			$windows{$w}++;
			$sum += $n;
		}
		my ($first, $last) = (sort { $a <=> $b } keys %windows)[ 0, -1 ];

		check_line($r, join '|', $sum, scalar @lines, scalar keys %rows,
			scalar keys %windows, @lines ? $last - $first + 1 : 0);
	}
	else { check_line($r, $lines[0]) }
	return;
}

my $producer = start_producer($kafka, $topic, '--count', $count, '--rate', $rate,
	'--start-time', '2024-01-01T00:00:00Z', '--seed', 60);
my $end = time + 180 + $count / $rate;
my $whole = 0;

until ($whole || time > $end)
{
	$_->{session}->send(statements($_)) foreach @readers;
	check_answer($_, $_->{session}->receive) foreach @readers;
	$whole = !grep { $_->{last} < $count } @readers;
}
finish_producer($producer);
foreach my $r (@readers)
{
	is($r->{last}, $count, "$r->{name}: all is seen in the end");
	is(scalar @{ $r->{wrong} }, 0, "$r->{name}: every read is consistent")
	  || diag(join "\n", @{ $r->{wrong} }[ 0 .. ($#{ $r->{wrong} } > 4 ? 4 : $#{ $r->{wrong} }) ]);
	cmp_ok($r->{reads}, '>', 10, "$r->{name}: it read often ($r->{reads} times)");
}
cmp_ok(sql($node, 'SELECT count(DISTINCT w) FROM v_final'), '>',
	$count / $rate * 15, 'windows closed all the time');

# 2. an old snapshot keeps its windows while many close behind it
{
	my $s = Weir::Session->new($node);
	my ($before, $after);

	$s->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$before = $s->query('SELECT count(*) FROM v_final; SELECT sum(n) FROM v');
	produce($kafka, $topic, '--count', 20_000, '--start-time', '2024-01-01T01:00:00Z');
	sql($node, "SELECT weir.flush('events')");
	cmp_ok(sql($node, 'SELECT count(*) FROM v_final'), '>',
		(split /\n/, $before)[0], 'windows have closed meanwhile');
	$after = $s->query('SELECT count(*) FROM v_final; SELECT sum(n) FROM v');
	is((split /\n/, $after)[0], (split /\n/, $before)[0],
		'an old snapshot has the final windows that it had');
	is((split /\n/, $after)[1], $count + 20_000,
		'and all others as open ones');
	is( $s->query('SELECT count(*) - count(DISTINCT (w, event_type)) FROM v'),
		0, 'none twice');
	$s->query('COMMIT');
	is( $s->query("SELECT sum(n) - ($count + 20000) FROM v"), 0,
		'a new one has them all too');
	$s->finish;
}
view_equals_batch($node, 'the view equals its query', view => 'v', query => $query,
	window => "weir.tumble(ts, '50 ms')", size => '50 ms');
$_->{session}->finish foreach @readers;

# 3. freshness: an event is seen without a checkpoint's help.  The best of some
# tries counts, since the machine may have others to serve.
{
	my $fresh = $kafka->new_topic('fresh', 2);
	my $best = 1e9;
	my $limit = 0.1;

	$node->safe_psql('postgres', "ALTER SYSTEM SET weir.checkpoint_interval = '60 s'");
	$node->reload;
	setup_events($node, $kafka, $fresh, stream => 'fresh');
	sql($node, q{SELECT weir.create_view('fresh_v', $$
		SELECT weir.tumble(ts, '1 hour') AS w, country, count(*) AS n FROM fresh GROUP BY 1, 2 $$)});
	sql($node, "INSERT INTO fresh (country, ts) VALUES ('first', now())");
	sql($node, "SELECT weir.flush('fresh')");

	my $writer = Weir::Session->new($node);
	my $reader = Weir::Session->new($node);
	my $before = sql($node, q{SELECT sum(committed) FROM weir.partitions WHERE view_name = 'fresh_v'::regclass});

	foreach my $try (1 .. 20)
	{
		my $given_up = time + 180;
		my $produced;

		# The time is that of the message's acknowledgement, when INSERT returns.
		$writer->query("INSERT INTO fresh (country, ts) VALUES ('try $try', now())");
		$produced = time;
		1 until $reader->query("SELECT count(*) FROM fresh_v WHERE country = 'try $try'")
		  || time > $given_up;
		$best = time - $produced if time - $produced < $best;
		last if $best < $limit && $try >= 5;
	}
	cmp_ok($best, '<', $limit, sprintf('an event is seen %.1f ms after it was produced',
			$best * 1000));
	is( sql($node, q{SELECT sum(committed) FROM weir.partitions WHERE view_name = 'fresh_v'::regclass}),
		$before, 'and not yet committed');
	$_->finish foreach $writer, $reader;
}

done_testing();
