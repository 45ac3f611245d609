# History in partitions that are filled very unevenly: one has a day that the
# eleven others have long passed.  Read side by side, the windows of the whole day
# would be open at a time and not fit into memory; held back, the others wait for
# the one, and the view completes with nothing late that was not late live.

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use Weir::Test;

my $kafka = kafka();
my $limit = 16;    # MB; half of it is there for windows
my $node = cluster("weir.memory_limit = '$limit MB'",
	"weir.checkpoint_interval = '200 ms'");
my $topic = $kafka->new_topic('uneven', 12);
my $query = q{SELECT weir.tumble(ts, '10 minutes') AS w, user_id, country,
	count(*) AS n, sum(amount) AS amount FROM events GROUP BY 1, 2, 3};
my %oracle = (
	view => 'uneven', query => $query, window => "weir.tumble(ts, '10 minutes')",
	size => '10 minutes', watermark_delay => '1 minute');

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '1 minute', idle_timeout => '1 day' });

# Partition 0: many events for few users.  The others: an event in the time of
# twenty, each of a user of its own.  All of them out of order by up to a minute
# and a half, so that some are late.
sql($node, q{
	INSERT INTO events (user_id, country, amount, ts, part)
	SELECT i % 10, 'CH', (i % 64) / 64.0, '2024-01-01'::timestamptz
		+ i * interval '432 ms' - (i * 7919 % 90) * interval '1 s', 0
	FROM generate_series(1, 200000) i;
	INSERT INTO events (user_id, country, amount, ts, part)
	SELECT p * 1000000 + i, 'DE', (i % 64) / 64.0, '2024-01-01'::timestamptz
		+ i * interval '8.64 s' - (i * 7919 % 90) * interval '1 s', p
	FROM generate_series(1, 10000) i, generate_series(1, 11) p;
});

# What all groups together take is far more than there is for windows.
my $groups = 11 * 10_000;

cmp_ok($groups * 200, '>', 2 * ($limit / 2) * 1024 * 1024,
	'all windows of the day would not fit');

sql($node, "SELECT weir.create_view('uneven', \$\$ $query \$\$)");
my ($held, $most, $state) = (0, 0, '');
my $end = time + 180;

while (time < $end)
{
	my ($h, $m, $events, $s) = split /\|/, sql($node, q{
		SELECT coalesce(held, 0), coalesce(memory, 0), events, state FROM weir.status});

	$held = $h if $h > $held;
	$most = $m if $m > $most;
	$state = $s;
	last if $events == 310_000 || $s eq 'error';
	sleep 0.02;
}
isnt($state, 'error', 'the view does not fail for want of memory')
  || diag(sql($node, 'TABLE weir.status'));
cmp_ok($held, '>', 0, "partitions were held back ($held at a time)");
cmp_ok($most, '<=', $limit * 1024 * 1024, "memory stayed below the limit ($most bytes)");
view_equals_batch($node, 'and the result is that of the batch', %oracle);
is(sql($node, 'SELECT count(*) FROM weir.partitions WHERE held'), 0,
	'in the end none is held');
is(sql($node, 'SELECT bool_or(idle) FROM weir.partitions'), 'f', 'and none was ever idle');
my ($late) = oracle_counts($node, %oracle, archive => archive_stream($node));
is(sql($node, 'SELECT late FROM weir.status'), $late, "late events are those of the batch ($late)");
cmp_ok($late, '>', 0, 'and there are some');

done_testing();
