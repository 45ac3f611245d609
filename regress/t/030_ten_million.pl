# Ten million events (three with WEIR_QUICK=1) through twelve partitions: how fast
# they are counted, and that they are counted exactly, also when the server is
# killed twice on the way.
#
# Takes 105 s.

use strict;
use warnings;

use Time::HiRes qw(time);
use Weir::Test;

my $count = $ENV{WEIR_QUICK} ? 3_000_000 : 10_000_000;
my $floor = 150_000;    # events per second; a machine that is busy otherwise
my $bad = 0.0001;

my $kafka = kafka();
my $topic = $kafka->new_topic('million', 12, 'retention.ms=-1', 'segment.bytes=268435456');
my $node = cluster("work_mem = '256 MB'", "shared_buffers = '256 MB'",
	"max_wal_size = '4 GB'", "weir.checkpoint_interval = '200 ms'");
my $dir = PostgreSQL::Test::Utils::tempdir();
my $begun = time;

produce($kafka, $topic, '--count', $count, '--seed', 30,
	'--start-time', '2024-01-01T00:00:00Z', '--out-of-order', 0.02, '--late', 0.001,
	'--malformed', $bad, '--summary-file', "$dir/summary");
note(sprintf('%d events produced in %.1f s', $count, time - $begun));

my ($malformed) =
  PostgreSQL::Test::Utils::slurp_file("$dir/summary") =~ /^malformed=(\d+)$/m;

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });

# 1. undisturbed
sub create
{
	my ($view) = @_;

	sql($node, qq{SELECT weir.create_view('$view', \$\$
		SELECT weir.tumble(ts, '10 seconds') AS window_start, event_type, country,
			count(*) AS events, sum(amount) AS revenue,
			sum(latency_ms) AS latency, max(latency_ms) AS max_latency
		FROM events WHERE event_type <> 'debug' GROUP BY 1, 2, 3 \$\$)});
	return;
}

$begun = time;
create('quiet');
sql($node, "SELECT weir.flush('quiet', '300 s')");
my $took = time - $begun;

diag(sprintf('%d events in %.1f s, start of the lane included: %.0f events/s',
		$count, $took, $count / $took));
cmp_ok($count / $took, '>', $floor, 'drain rate is above the floor');

# 2. with the postmaster killed twice in the middle, and a restart
create('killed');
my @kills = map { $count * $_ } 0.2, 0.5, 0.75;
foreach my $at (@kills)
{
	my $committed = q{(SELECT sum(committed - start_offset) FROM weir.partitions
		WHERE view_name = 'killed'::regclass)};

	ok( wait_until($node, "SELECT $committed > $at"),
		"$at events are committed") || last;
	cmp_ok(sql($node, "SELECT $committed"), '<', $count, 'and not all are');
	if ($at == $kills[-1]) { $node->restart('fast') }
	else { crash($node) }
}
sql($node, "SELECT weir.flush('killed', '300 s')");

# 3. the batch.  The archive has one row for each event; what is late follows from
# the order within its partition.
$begun = time;
sql($node, q{
	CREATE UNLOGGED TABLE archive AS
		SELECT ts, event_type, country, amount, latency_ms, part, off FROM events;
	CREATE UNLOGGED TABLE timed AS
		SELECT *, coalesce(weir.tumble(ts, '10 s') + interval '10 s' <= max(ts) OVER (
			PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
			- interval '5 s', false) AS late
		FROM archive;
	CREATE TABLE batch AS
		SELECT weir.tumble(ts, '10 seconds') AS window_start, event_type, country,
			count(*) AS events, sum(amount) AS revenue,
			sum(latency_ms) AS latency, max(latency_ms) AS max_latency
		FROM timed WHERE event_type <> 'debug' AND NOT late GROUP BY 1, 2, 3});
note(sprintf('the batch took %.1f s', time - $begun));
is(sql($node, 'SELECT count(*) FROM archive'), $count - $malformed, 'the archive is complete');

my $late = sql($node, "SELECT count(*) FROM timed WHERE late AND event_type <> 'debug'");

cmp_ok($late, '>', $count * 0.0005, 'some events are late');
cmp_ok(sql($node, 'SELECT sum(events) FROM batch'), '>', $count * 0.95, 'most are not');
foreach my $view (qw(quiet killed))
{
	my $n = sql($node, qq{
		SELECT (SELECT count(*) FROM (TABLE batch EXCEPT ALL TABLE $view) d) || ' missing, ' ||
			(SELECT count(*) FROM (TABLE $view EXCEPT ALL TABLE batch) d) || ' wrong'});

	is($n, '0 missing, 0 wrong', "$view: equals the batch")
	  || diag(sql($node, qq{
		SELECT b, v FROM batch b FULL JOIN $view v USING (window_start, event_type, country)
		WHERE b IS DISTINCT FROM v ORDER BY window_start LIMIT 10}));
	is( sql($node, "SELECT count(*) - count(DISTINCT (window_start, event_type, country)) FROM $view"),
		0, "$view: no window twice");
	is( sql($node, "SELECT late, dead_letters FROM weir.status WHERE view_name = '$view'::regclass"),
		"$late|$malformed", "$view: counters");
	is( sql($node, "SELECT sum(position - start_offset) FROM weir.partitions WHERE view_name = '$view'::regclass"),
		$count, "$view: positions");
	cmp_ok(sql($node, "SELECT count(*) FROM ${view}_final"), '>',
		sql($node, "SELECT count(*) FROM ${view}_open") * 10, "$view: most windows are final");
}
is( sql($node, 'SELECT count(*), count(DISTINCT (partition, "offset")) FROM weir.dead_letters'),
	"$malformed|$malformed", 'dead letters, each once');

$kafka->delete_topic($topic);
done_testing();
