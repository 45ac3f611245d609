# A topic that is deleted and made again: while the view runs, is paused, or the
# server is down; with fewer, as many and more messages than before, with fewer
# and more partitions; and a broker whose data are gone.  By offset_reset the view
# stops, or goes on in the new topic; never does it take records of the new topic
# for those of the old one.
#
# Takes 95 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '100 ms'");
my $window = "weir.tumble(ts, '10 seconds')";
my @old = ('--start-time', '2024-01-01T00:00:00Z', '--malformed', 0.01);
my @new = ('--start-time', '2024-01-01T00:00:05Z', '--malformed', 0.01, '--seed', 2);
my $n = 1000; # messages of the old topic

# A stream and a view on it, and $n messages that are read.
sub stream_and_view
{
	my ($stream, $reset, $partitions) = @_;
	my $v = { stream => $stream, view => "${stream}_v", partitions => $partitions // 2 };

	$v->{topic} = $kafka->new_topic($stream, $v->{partitions});
	setup_events($node, $kafka, $v->{topic}, stream => $stream,
		options => { idle_timeout => '1 day', $reset ? (offset_reset => $reset) : () });
	sql($node, "SELECT weir.create_view('$v->{view}', 'SELECT "
		  . $window =~ s/'/''/gr . " AS w, count(*) AS n, max(off) AS off"
		  . " FROM $stream GROUP BY 1', lateness => '1 day')");
	produce($kafka, $v->{topic}, '--count', $n, @old);
	flush($v);
	return $v;
}

sub recreate
{
	my ($v, $messages, $partitions) = @_;

	$kafka->delete_topic($v->{topic});
	$kafka->create_topic($v->{topic}, $partitions // 2);
	produce($kafka, $v->{topic}, '--count', $messages, @new) if $messages > 0;
	return;
}

sub flush { return sql($node, "SELECT weir.flush('$_[0]{view}')") }

sub status
{
	my ($v, $columns) = @_;

	return sql($node, "SELECT $columns FROM weir.status WHERE view_name = '$v->{view}'::regclass");
}

sub wait_for_status
{
	my ($v, $condition, $name) = @_;

	return ok(wait_until($node, "SELECT $condition FROM weir.status"
				. " WHERE view_name = '$v->{view}'::regclass"), $name)
	  || diag(sql($node, "TABLE weir.status; TABLE weir.partitions"));
}

# All that was read of both topics: good messages and bad ones.
sub counted
{
	my ($v) = @_;

	return sql($node, "SELECT (SELECT sum(n) FROM $v->{view}) + (SELECT count(*)"
		  . " FROM weir.dead_letters WHERE stream = '$v->{stream}'::regclass)");
}

# The view goes on by the policy, and counts what it should, once.
sub goes_on
{
	my ($v, $reset, $messages, $name) = @_;
	my $more = 100;

	wait_for_status($v, qq{lag = 0 AND state IN ('running', 'idle') AND $v->{partitions} =
		(SELECT count(DISTINCT partition) FROM weir.lost_ranges l
		WHERE l.view = view_name AND reason = 'the topic was recreated')}, "$name: it goes on");
	produce($kafka, $v->{topic}, '--count', $more, @new, '--seed', 3);
	flush($v);
	is( counted($v), $n + $more + ($reset eq 'earliest' ? $messages : 0),
		"$name: what is in the old topic and what should be of the new one, dead letters too");
	is( sql($node, "SELECT sum(position) FROM weir.partitions WHERE view_name = '$v->{view}'::regclass"),
		$messages + $more, "$name: positions are those of the new topic");
	is( sql($node, "SELECT sum(upto_offset - from_offset) FROM weir.lost_ranges"
			  . " WHERE view = '$v->{view}'::regclass AND reason ~ 'skips'"),
		$reset eq 'latest' && $messages > 0 ? $messages : '',
		"$name: what offset_reset skips is recorded");
	return;
}

sub stops
{
	my ($v, $name) = @_;

	wait_for_status($v, q{state = 'error' AND error ~ 'was recreated'}, "$name: the view stops");
	is(counted($v), $n, "$name: and has counted nothing of the new topic");
	return;
}

# 1. while a view is paused: fewer, as many, more messages
foreach my $case ([ fewer => $n - 200 ], [ equal => $n ], [ more => 2 * $n ], [ no => 0 ])
{
	my ($what, $messages) = @$case;

	foreach my $reset ('error', 'earliest', 'latest')
	{
		my $v = stream_and_view("paused_${what}_$reset", $reset eq 'error' ? undef : $reset);
		my $name = "paused, $what messages, $reset";

		sql($node, "SELECT weir.pause('$v->{view}')");
		recreate($v, $messages);
		sql($node, "SELECT weir.resume('$v->{view}')");
		$reset eq 'error' ? stops($v, $name) : goes_on($v, $reset, $messages, $name);
		if ($reset eq 'error' && $what eq 'equal')
		{
			sql($node, "SELECT weir.resume('$v->{view}')");
			stops($v, "$name, resumed");
			sql($node, "ALTER FOREIGN TABLE $v->{stream} OPTIONS (ADD offset_reset 'earliest')");
			sql($node, "SELECT weir.resume('$v->{view}')");
			goes_on($v, 'earliest', $messages, "$name, and then earliest");
		}
		sql($node, "SELECT weir.pause('$v->{view}')");
	}
}

# 2. while it runs
foreach my $case ([ fewer => 200 ], [ more => 2 * $n ])
{
	my ($what, $messages) = @$case;

	foreach my $reset ('error', 'earliest')
	{
		my $v = stream_and_view("runs_${what}_$reset", $reset eq 'error' ? undef : $reset);
		my $name = "running, $what messages, $reset";

		recreate($v, $messages);
		$reset eq 'error' ? stops($v, $name) : goes_on($v, $reset, $messages, $name);
		is( sql($node, "SELECT string_agg(DISTINCT (upto_offset - from_offset)::text, ',') FROM weir.lost_ranges"
				  . " WHERE view = '$v->{view}'::regclass AND reason = 'the topic was recreated'"),
			$reset eq 'error' ? '' : '0', "$name: the old topic was read to its end");
		sql($node, "SELECT weir.pause('$v->{view}')");
	}
}

# 3. deleted, and made again only later
{
	my $v = stream_and_view('gone', 'earliest');

	$kafka->delete_topic($v->{topic});
	wait_for_status($v, q{state = 'waiting for topic' AND error ~ 'does not exist'},
		'a topic that is gone: the state says so');
	is(counted($v), $n, 'its view can be read');
	$kafka->create_topic($v->{topic}, 2);
	produce($kafka, $v->{topic}, '--count', 50, @new);
	goes_on($v, 'earliest', 50, 'made again later');
	is(status($v, 'error'), '', 'no error is left');
	sql($node, "SELECT weir.pause('$v->{view}')");
}

# 4. while the server is down; fewer and more partitions
foreach my $partitions (2, 1, 4)
{
	my @v = map { stream_and_view("down_${partitions}_$_", $_ eq 'error' ? undef : $_) }
	  ('error', 'earliest', 'latest');

	$node->stop('fast');
	recreate($_, 300, $partitions) foreach @v;
	$node->start;
	stops($v[0], "server down, $partitions partitions, error");
	goes_on($v[1], 'earliest', 300, "server down, $partitions partitions, earliest");
	if ($partitions != 4)
	{
		goes_on($v[2], 'latest', 300, "server down, $partitions partitions, latest");
	}
	else
	{
		# Nobody can say that partitions 2 and 3 are not later additions, which are
		# read from their beginning.
		flush($v[2]);
		is(counted($v[2]), $n + 150, "server down, $partitions partitions, latest");
	}
	is(status($v[1], 'events + dead_letters'), $n + 400, 'the counters go on');
	crash($node);
	flush($v[1]);
	is(counted($v[1]), $n + 400, 'a crash changes nothing');
	sql($node, "SELECT weir.pause('$_->{view}')") foreach @v;
}

# 5. while it runs, with fewer partitions
{
	my $v = stream_and_view('shrinks', 'earliest', 3);

	recreate($v, 300, 1);
	goes_on($v, 'earliest', 300, 'running, fewer partitions');
	is(sql($node, q{SELECT count(*) FROM weir.partitions WHERE view_name = 'shrinks_v'::regclass}), 1,
		'partitions that are gone are no longer shown');
	is(status($v, 'events + dead_letters'), $n + 400, 'but what they had counts');
	sql($node, "SELECT weir.pause('$v->{view}')");
}

done_testing();
