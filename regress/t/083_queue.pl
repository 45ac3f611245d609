# Memory of a worker that cannot keep up: 100 partitions with far more messages
# than weir.queue_size, and a view that takes no more, so that librdkafka's queue
# fills to the brim.
#
# Takes 24 s.

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use Weir::Test;

my $kafka = kafka();
my $queue = 48;       # MB
my $constant = 96;    # MB: what docs/reference.md says comes on top
my $node = cluster("weir.queue_size = '$queue MB'", "weir.queue_limit = '80 MB'");
my $topic = $kafka->new_topic('hundred', 100);

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
produce($kafka, $topic, '--count', 300_000, '--start-time', '2024-01-01T00:00:00Z');

sub anon
{
	my ($pid) = @_;
	open my $status, '<', "/proc/$pid/status" or return 0;
	my ($kb) = join('', <$status>) =~ /^RssAnon:\s+(\d+) kB/m;

	return ($kb // 0) / 1024;
}

my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%' ORDER BY backend_start DESC LIMIT 1};

sql($node, q{SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '1 day') AS w, event_id,
	count(*) AS n FROM events GROUP BY 1, 2 $$, memory_limit => '1 MB')});
wait_until($node, "SELECT state = 'out of memory' FROM weir.status") or die;
my $pid = sql($node, $worker);
my ($most, $end) = (0, time + 15);

while (time < $end && kill(0, $pid))
{
	my $now = anon($pid);

	$most = $now if $now > $most;
	sleep 0.1;
}
cmp_ok($most, '<', $queue + $constant, sprintf('memory of the worker is bounded (%d MB)', $most));

done_testing();
