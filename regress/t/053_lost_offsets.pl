# Offsets that Kafka no longer has: retention, and records deleted by hand, while
# a view is paused, the server is down, or the view runs and is behind.  By
# offset_reset the view stops, or goes on at what is left or at the end; what it
# skipped is in weir.lost_ranges, to the offset, and is all that is missing.
#
# Takes 60 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '100 ms'");
my $size = '10 seconds';
my $window = "weir.tumble(ts, '$size')";
my @from = ('--start-time', '2024-01-01T00:00:00Z');
my @later = ('--start-time', '2024-01-01T01:00:00Z');

sub state_is
{
	my ($v, $states, $name) = @_;

	return ok(wait_until($node, "SELECT state IN ($states) FROM weir.status"
				. " WHERE view_name = '$v->{view}'::regclass"), $name)
	  || diag(sql($node, 'TABLE weir.status'));
}

sub flush { return sql($node, "SELECT weir.flush('$_[0]{view}')") }

# The view's lost ranges, as "partition: from - upto".
sub lost
{
	my ($v) = @_;

	return sql($node, "SELECT string_agg(format('%s: %s - %s', partition, from_offset, upto_offset), ', '"
		  . " ORDER BY partition, from_offset) FROM weir.lost_ranges WHERE view = '$v->{view}'::regclass");
}

# What status and partitions say is lost.
sub lost_sums
{
	my ($v) = @_;

	return sql($node, "SELECT (SELECT lost FROM weir.status WHERE view_name = '$v->{view}'::regclass),"
		  . " (SELECT sum(lost) FROM weir.partitions WHERE view_name = '$v->{view}'::regclass)");
}

# 1. a paused view; four partitions of 250 messages, all read, then 250 more
# each, some of which are deleted: behind the position, at it, before it
foreach my $reset ('earliest', 'latest', 'error')
{
	my $topic = $kafka->new_topic("paused_$reset", 4);
	my $v = events_view($node, $kafka, $topic, stream => "paused_$reset",
		lateness => '1 day', options => { offset_reset => $reset });

	produce($kafka, $topic, '--count', 1000, @from);
	flush($v);
	sql($node, "SELECT weir.pause('$v->{view}')");
	produce($kafka, $topic, '--count', 1000, @later, '--seed', 2);
	$kafka->delete_records($topic, 0 => 251, 1 => 500, 2 => 250, 3 => 100);
	sql($node, "SELECT weir.resume('$v->{view}')");
	if ($reset eq 'error')
	{
		state_is($v, "'error'", 'by default the view stops');
		like( sql($node, "SELECT error FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
			qr/partition [01] of topic "$topic" no longer has offset 250, .*weir.reset.*offset_reset/,
			'and says what is missing, and what can be done');
		is(lost($v), '', 'nothing is skipped');
		is(events_counted($node, $v), 1000, 'it can be read');
		sql($node, "ALTER FOREIGN TABLE $v->{stream} OPTIONS (SET offset_reset 'earliest')");
		sql($node, "SELECT weir.resume('$v->{view}')");
	}
	flush($v);
	if ($reset eq 'latest')
	{
		is(lost($v), '0: 250 - 500, 1: 250 - 500',
			'latest: those go on at the end that no longer have the next offset');
		is(events_counted($node, $v), 1500, 'and the others count all');
		is(lost_sums($v), '500|500', 'status and partitions say how many are lost');
	}
	else
	{
		is(lost($v), '0: 250 - 251, 1: 250 - 500', "$reset: what is lost is known to the offset");
		is(events_counted($node, $v), 1749, 'all else is counted');
		is(lost_sums($v), '251|251', 'status and partitions say how many are lost');
	}
	is( sql($node, "SELECT count(DISTINCT recorded_at), min(reason), min(topic) FROM weir.lost_ranges"
			  . " WHERE view = '$v->{view}'::regclass"),
		"1|the broker no longer has them|$topic", 'both partitions in one transaction');
	produce($kafka, $topic, '--count', 400, @later, '--seed', 3);
	flush($v);
	is(events_counted($node, $v), $reset eq 'latest' ? 1900 : 2149, 'what comes next is counted');
}

# 2. what is lost is forgotten with the view's results, and can be read by those who may
{
	sql($node, q{
		CREATE ROLE reader; CREATE ROLE nobody;
		GRANT SELECT ON paused_earliest TO reader});
	is(sql($node, 'SET ROLE reader; SELECT count(*) FROM weir.lost_ranges'), 2,
		'lost ranges of a stream are for those who may read it');
	is(sql($node, 'SET ROLE nobody; SELECT count(*) FROM weir.lost_ranges'), 0, 'and no others');
	sql($node, q{SELECT weir.reset('paused_earliest_v', 'earliest')});
	sql($node, q{SELECT weir.flush('paused_earliest_v')});
	is(lost({ view => 'paused_earliest_v' }), '', 'reset forgets them');
	is(lost_sums({ view => 'paused_earliest_v' }), '0|0', 'in the counters, too');
	view_equals_batch($node, 'a view that begins where the topic begins now',
		view => 'paused_earliest_v', stream => 'paused_earliest', window => $window, size => $size,
		watermark_delay => '5 seconds', lateness => '1 day',
		query => "SELECT $window AS w, country, count(*) AS n, sum(amount) AS amount FROM paused_earliest GROUP BY 1, 2");
	sql($node, q{SELECT weir.drop_view('paused_latest_v')});
	is(sql($node, 'SELECT count(*) FROM weir.lost_range_log WHERE view NOT IN (SELECT id FROM weir.views)'),
		0, 'drop forgets them');
}

# 3. retention itself, while the server is down; it ends in a crash, so what
# was recorded is what was committed
{
	my $topic = $kafka->new_topic('retention', 2, 'segment.ms=1000', 'retention.ms=3000',
		'file.delete.delay.ms=100');
	my $v = events_view($node, $kafka, $topic, stream => 'retention',
		lateness => '1 day', options => { offset_reset => 'earliest' });

	produce($kafka, $topic, '--count', 1000);
	flush($v);

	my $counted = events_counted($node, $v);

	cmp_ok($counted, '>=', 1, 'something is counted before it expires');
	$node->stop('fast');
	produce($kafka, $topic, '--count', 1000, '--seed', 2);

	my $end = time + 180;

	# A segment is closed by the next message, and never deleted while it is open.
	until ((grep { $_ >= 1000 } $kafka->begins_of_topic($topic)) == 2 || time > $end)
	{
		produce($kafka, $topic, '--count', 2, '--seed', 3);
		sleep 1;
	}

	my @begins = $kafka->begins_of_topic($topic);

	cmp_ok($begins[0], '>=', 1000, 'all of it has expired');
	$node->start;
	flush($v);
	crash($node);
	flush($v);
	my ($first, $last) = split /\|/, sql($node, "SELECT min(from_offset), sum(upto_offset - from_offset)"
		  . " FROM weir.lost_ranges WHERE view = 'retention_v'::regclass");

	is($first, 500, 'the lost range begins at the position');
	cmp_ok($last, '>=', $begins[0] + $begins[1] - 1000, 'and ends where the topic begins');
	is(lost_sums($v), "$last|$last", 'as many as the counters say');
	is( sql($node, q{SELECT sum(events + lost) = sum(position) FROM weir.partitions
			WHERE view_name = 'retention_v'::regclass}),
		't', 'what is not lost is counted');
}

# 4. the view is behind when records go, and has not read any yet
{
	my $topic = $kafka->new_topic('begins', 2);

	produce($kafka, $topic, '--count', 1000, @from);
	$kafka->stop;
	my $v = events_view($node, $kafka, $topic, stream => 'begins', lateness => '1 day');

	$kafka->start;
	flush($v);
	sql($node, "SELECT weir.pause('$v->{view}'); SELECT weir.reset('$v->{view}', 'earliest')");
	$kafka->delete_records($topic, 0 => 100, 1 => 500);
	sql($node, "SELECT weir.resume('$v->{view}')");
	flush($v);
	view_equals_batch($node, 'a view that has read nothing begins where the topic begins', %$v);
	is(lost($v), '', 'and has lost nothing');
	is(events_counted($node, $v), 400, 'of what there is');
	is(lost_sums($v), '0|0', 'by no counter');
}

# 5. twice, and nothing is read in between
foreach my $reset ('earliest', 'error')
{
	my $topic = $kafka->new_topic("twice_$reset", 1);
	my $v = events_view($node, $kafka, $topic, stream => "twice_$reset",
		lateness => '1 day', options => { offset_reset => 'earliest' });

	produce($kafka, $topic, '--count', 100, @from);
	flush($v);
	foreach my $below (200, 250)
	{
		sql($node, "SELECT weir.pause('$v->{view}')");
		produce($kafka, $topic, '--count', 100, @later, '--seed', $below);
		$kafka->delete_records($topic, 0 => $below);
		sql($node, "ALTER FOREIGN TABLE $v->{stream} OPTIONS (SET offset_reset '$reset')")
		  if $below == 250;
		sql($node, "SELECT weir.resume('$v->{view}')");
		flush($v) if $below == 200 || $reset eq 'earliest';
	}
	state_is($v, "'error'", 'a view that went on elsewhere is not a new one: it stops')
	  if $reset eq 'error';
	is(lost($v), '0: 100 - 200' . ($reset eq 'error' ? '' : ', 0: 200 - 250'),
		"$reset: what is lost before a view has read on");
	is(events_counted($node, $v), $reset eq 'error' ? 100 : 150, 'and what is counted');
}

# 6. a compacted topic, with gaps and tombstones, whose end is gone, too
{
	my $topic = $kafka->new_topic('compacted', 1, 'cleanup.policy=compact', 'segment.ms=1000',
		'min.cleanable.dirty.ratio=0.01', 'max.compaction.lag.ms=1000', 'delete.retention.ms=100');
	my $v = events_view($node, $kafka, $topic, stream => 'compacted', lateness => '1 day');

	produce($kafka, $topic, '--count', 2000, '--key', 'type');
	flush($v);
	is(events_counted($node, $v), 2000, 'before it is compacted');
	sql($node, "SELECT weir.pause('$v->{view}')");
	produce($kafka, $topic, '--count', 1000, '--key', 'type', '--seed', 2);

	my $end = time + 180;
	my $rows;

	sql($node, 'CREATE VIEW compacted_size AS SELECT count(*) FROM compacted');
	do
	{
		sleep 1;
		produce($kafka, $topic, '--count', 1, '--key', 'type', '--seed', 2);
		$rows = sql($node, 'TABLE compacted_size');
	} until ($rows < 500 || time > $end);
	cmp_ok($rows, '<', 500, 'the topic has been compacted');
	sql($node, "SELECT weir.resume('$v->{view}')");
	sql($node, "SELECT weir.flush('$v->{view}', '20 s')");
	is(lost($v), '', 'gaps are nothing lost');
	is(sql($node, "SELECT lag, state IN ('running', 'idle') FROM weir.status WHERE view_name = 'compacted_v'::regclass"),
		'0|t', 'nor lag');
	sql($node, "SELECT weir.reset('$v->{view}', 'earliest')");
	view_equals_batch($node, 'a compacted topic', %$v);
}

# 7. what is latest changes all the time, and yet views over a view begin where it
# does, if they are made with it
{
	my $topic = $kafka->new_topic('together', 4);
	my $v = events_view($node, $kafka, $topic, stream => 'together', lateness => '1 day');
	my $starts = "SELECT count(*), count(DISTINCT (partition, start_offset)), sum(start_offset) > 0"
	  . " FROM weir.partitions WHERE view_name <> '$v->{view}'::regclass AND stream = 'together'::regclass";
	my $producer = start_producer($kafka, $topic, '--count', 60_000, '--rate', 10_000, @from);

	ok(wait_until($node, "SELECT events > 1000 FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		'messages come');
	sql($node, "BEGIN; SELECT weir.create_view('low', \$\$ SELECT $window AS w, country, count(*) AS n FROM together GROUP BY 1, 2 \$\$,"
		  . " start => 'latest', lateness => '1 day');"
		  . (join '', map { "SELECT weir.create_view('over$_', 'SELECT w, sum(n) AS n FROM low GROUP BY 1');" } 1 .. 5)
		  . 'COMMIT;');
	ok(wait_until($node, "SELECT count(*) = 24 FROM ($starts) x (n, d, later), generate_series(1, n)"), 'views begin');
	is(sql($node, $starts), '24|4|t', 'at the same offsets');
	finish_producer($producer);
	sql($node, "SELECT weir.flush('together', '180 s')");
	is(sql($node, "SELECT count(*) FROM (SELECT sum(n) FROM low"
			  . (join '', map { " UNION SELECT sum(n) FROM over$_" } 1 .. 5) . ') x'), 1, 'and count the same');
}

done_testing();
