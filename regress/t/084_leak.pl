# An hour's worth of small windows leaves nothing behind: not in the arena, not in
# the memory of coordinator and ingest worker, not in their memory contexts.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '10 ms'", "weir.memory_limit = '16 MB'",
	"log_min_messages = log");
my $topic = $kafka->new_topic('leak', 2);
my $chunks = $ENV{WEIR_QUICK} ? 20 : 36;
my $start = '2024-01-01 00:00:00+00';

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '0', idle_timeout => '1 day' });
sql($node, q{SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '100 ms') AS w, country,
	count(*) AS n, max(page) AS page, sum(amount) AS amount FROM events GROUP BY 1, 2 $$)});

# The next so many windows, with an event of each partition, in chunks of 1000
# windows; some events are late.
my $windows = 0;

sub pass
{
	my ($n) = @_;

	foreach (1 .. $n)
	{
		my ($from, $to) = ($windows, $windows + 999);

		sql($node, qq{INSERT INTO events (country, page, amount, ts, part)
			SELECT 'CH', 'page ' || i, 0.5, CASE WHEN i % 100 = 7 AND i > 100 THEN
				timestamptz '$start' ELSE timestamptz '$start' + i * interval '100 ms' END, p
			FROM generate_series($from, $to) i, generate_series(0, 1) p});
		$windows += 1000;
		sql($node, "SELECT weir.flush('v')");
	}
	return;
}

# What the processes have, by the name of what it is.
sub measure
{
	my %now;

	foreach my $kind ('ingest', 'coordinator')
	{
		my $pid = sql($node, "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'weir $kind%'");
		my $from = log_end($node);

		open my $status, '<', "/proc/$pid/status" or die "no process $pid";
		($now{"anonymous memory of $kind"}) =
		  map { $_ * 1024 } join('', <$status>) =~ /^RssAnon:\s+(\d+) kB/m;
		sql($node, "SELECT pg_log_backend_memory_contexts($pid)");
		log_says($node, qr/Grand total: \d+ bytes/, $from) or die 'no contexts in the log';
		my ($total, $blocks, $free) = PostgreSQL::Test::Utils::slurp_file($node->logfile, $from)
		  =~ /Grand total: (\d+) bytes in (\d+) blocks; (\d+) free/;
		$now{"memory contexts of $kind"} = $total;
		$now{"used memory of contexts of $kind"} = $total - $free;
	}
	$now{'the arena'} = sql($node, 'SELECT memory FROM weir.status');
	return %now;
}

my %bound = (
	'anonymous memory of ingest' => 8 << 20,
	'anonymous memory of coordinator' => 8 << 20,
	'memory contexts of ingest' => 1 << 20,
	'memory contexts of coordinator' => 1 << 20,
	'used memory of contexts of ingest' => 64 << 10,
	'used memory of contexts of coordinator' => 256 << 10,
	'the arena' => 256 << 10);

pass(6);
my %before = measure();

pass($chunks);
my %after = measure();

foreach my $what (sort keys %bound)
{
	cmp_ok($after{$what} - $before{$what}, '<=', $bound{$what},
		"$what is flat ($before{$what} bytes, then $after{$what})");
}
cmp_ok(sql($node, 'SELECT windows_final FROM weir.status'), '>', $windows * 0.9,
	'after as many windows as there were');
is(sql($node, 'SELECT count(DISTINCT w) - count(*) FROM v'), 0, 'each once');

done_testing();
