# A cluster of three brokers that loses its leaders, one after the other, and
# gets them back; and outages of a minute, hung or stopped, under load.  Nothing is
# lost, nothing is counted twice, nothing is taken for idle or for another topic.
#
# WEIR_LONG=1 makes the outages a minute long, not some seconds.
#
# Takes 130 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = Weir::Broker->start_cluster(3);
my $node = cluster("weir.checkpoint_interval = '100 ms'");
my $n = 12_000;
my $rate = 1000;
my $outage = $ENV{WEIR_LONG} ? 60 : 8;

# A load of its own for each trouble, later than the one before it.
sub start_load
{
	my ($broker, $topic, $minute) = @_;

	return start_producer($broker, $topic, '--count', $n, '--rate', $rate, '--seed', $minute + 1,
		'--start-time', sprintf('2024-01-01T00:%02d:00Z', $minute), '--late', 0.01,
		'--idempotence', '--timeout', 180);
}

sub wait_for_events
{
	my ($v, $events, $name) = @_;

	return ok(wait_until($node, "SELECT events >= $events FROM weir.status"
				. " WHERE view_name = '$v->{view}'::regclass"), $name)
	  || diag(sql($node, 'TABLE weir.status'));
}

# After the load: all is there, once.
sub whole
{
	my ($v, $events, $name) = @_;

	sql($node, "SELECT weir.flush('$v->{view}', '120 s')");
	view_equals_batch($node, $name, %$v);

	# A producer whose brokers are killed may have written a message twice.
	my $there = sql($node, "SELECT count(*) FROM $v->{stream}");

	cmp_ok($there, '>=', $events, "$name: the topic has all that was produced");
	is(events_counted($node, $v), $there, "$name: nothing is lost, nothing twice");
	is( sql($node, "SELECT lost, error FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		'0|', "$name: and nobody says so");
	return;
}

# 1. leaders are killed, one after the other, and come back
{
	my $topic = $kafka->new_topic('leaders', 6);
	my $v = events_view($node, $kafka, $topic, stream => 'leaders',
		lateness => '1 second');

	foreach my $turn (1, 2)
	{
		my $producer = start_load($kafka, $topic, $turn);
		my $before = ($turn - 1) * $n;

		wait_for_events($v, $before + 500, "turn $turn: events arrive");

		my $killed = ($kafka->describe_topic($topic))[0]{leader};

		$kafka->node($killed)->kill;
		finish_producer($producer);
		wait_for_events($v, $before + $n, "turn $turn: all arrive though leader $killed was killed");
		# The broker that answers may not know yet.
		my $end = time + 180;

		sleep 1
		  while ($kafka->describe_topic($topic))[0]{leader} == $killed && time < $end;
		isnt(($kafka->describe_topic($topic))[0]{leader}, $killed, "turn $turn: another one leads");
		$kafka->node($killed)->start;
	}
	until ((grep { @{ $_->{isr} } == 3 } $kafka->describe_topic($topic)) == 6)
	{
		sleep 1;
	}
	$kafka->elect_preferred;
	is((grep { $_->{leader} == $_->{replicas}[0] } $kafka->describe_topic($topic)), 6,
		'all preferred leaders lead again');
	whole($v, 2 * $n, 'after the leaders changed');
}

# 2. a broker hangs, and goes on
{
	my $topic = $kafka->new_topic('hangs', 3);
	my $v = events_view($node, $kafka, $topic, stream => 'hangs',
		lateness => '1 second');
	my $producer = start_load($kafka, $topic, 0);

	wait_for_events($v, 500, 'events arrive');

	my $leader = ($kafka->describe_topic($topic))[0]{leader};

	$kafka->node($leader)->freeze;
	sleep $outage;
	$kafka->node($leader)->thaw;
	finish_producer($producer);
	whole($v, $n, 'after a broker hung');
}

# 3. all of them: stopped, and started again
{
	my $topic = $kafka->new_topic('away', 3);
	my $v = events_view($node, $kafka, $topic, stream => 'away',
		lateness => '1 second');
	my $producer = start_load($kafka, $topic, 0);

	wait_for_events($v, 500, 'events arrive');
	$kafka->node($_)->kill foreach 1 .. 3;
	ok( wait_until($node, q{SELECT state = 'waiting for broker' FROM weir.status
			WHERE view_name = 'away_v'::regclass}), 'the view waits');
	sleep $outage;
	$kafka->start;
	finish_producer($producer);
	whole($v, $n, 'after all brokers were away');
}

done_testing();
