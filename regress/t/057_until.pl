# Views that end somewhere, on a topic that goes on: through crashes, with late
# events and transactions, they hold what the batch over these offsets returns, and
# all of it is final.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '20 ms'", 'weir.batch_size = 500');
my $n = $ENV{WEIR_QUICK} ? 20_000 : 60_000;
my $topic = $kafka->new_topic('until', 3);
my $window = "weir.tumble(ts, '10 seconds')";
my $query = "SELECT $window AS w, country, count(*) AS n, sum(amount) AS amount FROM events GROUP BY 1, 2";
my @from = ('--start-time', '2024-01-01T00:00:00Z', '--late', 0.01, '--out-of-order', 0.02);

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
produce($kafka, $topic, '--count', $n, '--transaction', 500, '--abort', 0.1, @from);

sub finished
{
	my ($view, $name) = @_;

	return ok(wait_until($node, "SELECT state = 'finished' FROM weir.status"
				. " WHERE view_name = '$view'::regclass"), $name)
	  || diag(sql($node, 'TABLE weir.status'));
}

# The view against the batch over its offsets.
sub equal
{
	my ($view, $name) = @_;
	my $where = sql($node, "SELECT string_agg(format('(part = %s AND off >= %s AND off < %s)',"
		  . " partition, start_offset, end_offset), ' OR ') FROM weir.partitions WHERE view_name = '$view'::regclass");

	view_equals_batch($node, $name, view => $view, query => $query, window => $window,
		size => '10 seconds', watermark_delay => '5 seconds', where => "($where)");
	is(sql($node, "SELECT count(*) FROM ${view}_open"), 0, "$name: nothing is open");
	is( sql($node, "SELECT progress = 100 AND messages_left = 0 AND time_left = '0'"
			  . " FROM weir.status WHERE view_name = '$view'::regclass"),
		't', "$name: weir.status says so");
	return;
}

# 1. The end as of now, behind which control records are, and more messages come.
sql($node, "SELECT weir.create_view('now', \$\$$query\$\$, until => 'latest')");
sql($node, q{SELECT weir.flush('now')});
my $more = start_producer($kafka, $topic, '--count', $n, '--seed', 2, @from, '--rate', $n / 4);
finished('now', 'a view until now is finished');
equal('now', 'until now');

# 2. In the middle, through crashes; and beside it a view that has no end.
my $middle = sql($node, q{SELECT json_object_agg(partition, end_offset / 2) FROM weir.partitions
	WHERE view_name = 'now'::regclass});
sql($node, "SELECT weir.create_view('middle', \$\$$query\$\$, until => '$middle')");
sql($node, "SELECT weir.create_view('all', \$\$$query\$\$)");
crash($node) foreach 1 .. 3;
finished('middle', 'a view until the middle is finished, in spite of crashes');
equal('middle', 'until the middle');

# 3. An end that is still to come, and crashes before it does.
finish_producer($more);
my $ends = sql($node, q{SELECT json_object_agg(part, 1 + max + 1000) FROM
	(SELECT part, max(off) FROM events GROUP BY 1) e});
sql($node, "SELECT weir.create_view('future', \$\$$query\$\$, until => '$ends')");
sql($node, q{SELECT weir.flush('future')});
is(sql($node, q{SELECT state <> 'finished' AND messages_left >= 3000 AND progress < 100
	FROM weir.status WHERE view_name = 'future'::regclass}), 't', 'an end to come is waited for');
$more = start_producer($kafka, $topic, '--count', $n, '--seed', 3, @from, '--rate', $n / 4);
crash($node);
finished('future', 'and reached');
equal('future', 'an end that came');
finish_producer($more);

# 4. By time: Kafka's timestamps, of three hours, a minute each.
my $timed = $kafka->new_topic('until_time', 3);
sql($node, qq{
	CREATE FOREIGN TABLE timed (n int, at timestamptz OPTIONS (metadata 'timestamp'), part int OPTIONS (metadata 'partition'))
		SERVER kafka OPTIONS (topic '$timed');
	CREATE TABLE produced AS SELECT g AS n, date_trunc('second', now()) - g * interval '1 minute' AS at, g % 3 AS part
		FROM generate_series(180, 1, -1) g;
	INSERT INTO timed SELECT n, at, part FROM produced ORDER BY at;
});
sql($node, q{SELECT weir.create_view('by_time', 'SELECT weir.tumble(at, ''1 hour'') AS w, count(*) AS n FROM timed GROUP BY 1',
	start => '-150.5 minutes', until => '30.5 minutes ago')});
finished('by_time', 'a view until a time is finished');
is(sql($node, 'SELECT sum(n) FROM by_time_final'), 120, 'it holds what is before it');

done_testing();
