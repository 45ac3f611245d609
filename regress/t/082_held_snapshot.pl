# A snapshot that is held for long: while more closings pass than there are marks,
# and several times the memory that there is for windows, its reader sees what it
# saw, and each window once; the view goes on closing, and memory stays bounded.
#
# Takes 28 s.

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use Weir::Test;

my $kafka = kafka();
my $limit = 16;    # MB; half of it for windows
my $node = cluster("weir.memory_limit = '$limit MB'",
	"weir.checkpoint_interval = '10 ms'", 'weir.batch_size = 200',
	'max_parallel_workers = 8', 'max_parallel_workers_per_gather = 2');
my $topic = $kafka->new_topic('held', 2);
my $query = q{SELECT weir.tumble(ts, '20 ms') AS w, user_id, page, count(*) AS n,
	sum(amount) AS amount FROM events GROUP BY 1, 2, 3};
my ($before, $after, $rate) = (20_000, 130_000, 15_000);
my @producer = ('--rate', $rate, '--seed', 82, '--users', 1_000_000);

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '1 second', idle_timeout => '1 day' });
sql($node, "SELECT weir.create_view('v', \$\$ $query \$\$)");
produce($kafka, $topic, '--count', $before, '--start-time', '2024-01-01T00:00:00Z',
	@producer);
sql($node, "SELECT weir.flush('v')");

# After a start what is open was recovered, and has to go as well.
$node->restart;
wait_until($node, "SELECT state IN ('running', 'idle') AND windows_open > 0 FROM weir.status")
  or die 'the lane did not start';

my @parallel = ('SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0',
	'SET min_parallel_table_scan_size = 0', 'SET min_parallel_index_scan_size = 0',
	$node->pg_version >= 16
	? 'SET debug_parallel_query = on'
	: 'SET force_parallel_mode = on');
my $sums = q{SELECT sum(n), count(*), count(DISTINCT (w, user_id, page)) FROM v};
my $old = qq{SELECT md5(string_agg(v::text, ',' ORDER BY v::text)) FROM v
	WHERE w < (SELECT max(w) FROM v_final)};
my %reader;

foreach my $name ('plain', 'parallel', 'cursor', 'late cursor')
{
	my $s = $reader{$name} = Weir::Session->new($node, timeout => 300);

	$s->query($_) foreach $name eq 'parallel' ? @parallel : ();
	$s->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($s->query($sums), "$before|" . $s->query('SELECT count(*) FROM v') . '|'
		  . $s->query('SELECT count(*) FROM v'), "$name: it sees all, once");
}
like($reader{parallel}->query("EXPLAIN $sums"), qr/Gather/, 'a parallel plan');
my $seen = $reader{plain}->query($old);
my $finals = $reader{plain}->query('SELECT count(*) FROM v_final');

# One that has read what is open, and one that reads it when it is fetched.
$reader{cursor}->query('DECLARE c CURSOR FOR SELECT n FROM v_open');
my $rows_open = $reader{cursor}->query('SELECT count(*) FROM v_open');
$reader{cursor}->query('FETCH 1 FROM c');
$reader{'late cursor'}->query('DECLARE c CURSOR FOR SELECT w, user_id, page, n FROM v');
$reader{'late cursor'}->query('FETCH 10 FROM c');

my $producer = start_producer($kafka, $topic, '--count', $after,
	'--start-time', '2024-01-01T00:00:02Z', @producer);
my ($most, %states, @wrong) = (0);
my $fresh = Weir::Session->new($node);
my ($last, $end) = (0, time + 180);

until ($last == $before + $after || time > $end)
{
	my ($memory, $state) = split /\|/, $fresh->query('SELECT memory, state FROM weir.status');
	my @line = split /\|/, $fresh->query($sums);

	$most = $memory if ($memory // 0) > $most;
	$states{ $state } = 1;
	push @wrong, "@line after $last" if $line[0] < $last || $line[1] != $line[2];
	$last = $line[0];
	foreach my $name ('plain', 'parallel')
	{
		@line = split /\|/, $reader{$name}->query($sums);
		push @wrong, "$name: @line" if $line[1] != $line[2] || $line[0] > $before + $after;
	}
}
finish_producer($producer);
is($last, $before + $after, 'all was counted meanwhile');
is(scalar @wrong, 0, 'every read was consistent') || diag(join "\n", @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ]);
ok(!$states{error} && !$states{'out of memory'}, 'the view never waited for memory')
  || diag(join ', ', sort keys %states);
cmp_ok($most, '<', $limit * 1024 * 1024 / 2, "memory was bounded ($most bytes)");
cmp_ok($after * 150, '>', 2 * $limit * 1024 * 1024 / 2, 'far more than that has passed');

# As many closings more as it takes, one after the other.
for (my $i = 1; sql($node, 'SELECT count(DISTINCT xmin::text) FROM v_final') <= 256; $i++)
{
	sql($node, "INSERT INTO events (user_id, ts, part) SELECT $i, '2024-01-01T01:00:00Z'::timestamptz"
		  . " + $i * interval '1 s', p FROM generate_series(0, 1) p");
	sql($node, "SELECT weir.flush('v')");
	$after += 2;
}
cmp_ok(sql($node, 'SELECT count(DISTINCT xmin::text) FROM v_final'), '>', 256,
	'in more transactions than there are marks');
ok(wait_until($node, "SELECT closed_upto = watermark AND windows_open < 110 FROM weir.status"),
	'closing does not lag behind');

foreach my $name ('plain', 'parallel')
{
	my $s = $reader{$name};
	my ($sum, $rows, $distinct) = split /\|/, $s->query($sums);

	is($sum, $before + $after, "$name: what has come since is there");
	is($rows, $distinct, "$name: once");
	is($s->query($old), $seen, "$name: what was final is what it was");
	is($s->query('SELECT count(*) FROM v_final'), $finals, "$name: its final windows, too");
	is($s->query('SELECT count(*) FROM (SELECT w, user_id, page, n, amount FROM v_open'
			  . ' EXCEPT ALL SELECT w, user_id, page, n, amount FROM v) d'), 0,
		"$name: its open windows are in the view");
}
is(scalar(split /\n/, $reader{cursor}->query('FETCH ALL FROM c')), $rows_open - 1,
	'a cursor that has begun to read open windows goes on');
{
	my ($sum, $rows, %seen) = (10, 0);

	foreach (split /\n/, $reader{'late cursor'}->query('FETCH ALL FROM c'))
	{
		my ($w, $user, $page, $n) = split /\|/;

		$seen{"$w $user $page"}++;
		$sum += $n;
		$rows++;
	}
	is($rows, scalar keys %seen, 'a cursor that begins later has no row twice');
	cmp_ok($sum, '>=', $before + $after, 'and misses none');
}

$_->query('COMMIT') foreach values %reader;
view_equals_batch($node, 'the view equals its query', view => 'v', query => $query,
	window => "weir.tumble(ts, '20 ms')", size => '20 ms', watermark_delay => '1 second');
$_->finish foreach $fresh, values %reader;

done_testing();
