# Kafka's transactions: what was aborted is never counted, what is open holds a
# view at the last stable offset, and control records, which nobody can read, make
# neither the lag stick nor flush hang.
#
# Takes 22 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '100 ms'");
my $n = $ENV{WEIR_QUICK} ? 5_000 : 20_000;
my @from = ('--start-time', '2024-01-01T00:00:00Z');

# Run the producer to its end; how many of its events were aborted.
sub produce_some
{
	my ($topic, @args) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/summary';

	produce($kafka, $topic, '--summary-file', $file, @from, @args);
	my ($aborted) = slurp($file) =~ /^aborted=(\d+)$/m;
	return $aborted;
}

sub slurp { return PostgreSQL::Test::Utils::slurp_file($_[0]) }

sub lag_is
{
	my ($v, $lag, $name) = @_;

	return ok(wait_until($node, "SELECT lag = $lag FROM weir.status"
				. " WHERE view_name = '$v->{view}'::regclass"), $name)
	  || diag(sql($node, 'TABLE weir.partitions'));
}

sub positions
{
	my ($v) = @_;

	return sql($node, "SELECT sum(position), sum(high_watermark) FROM weir.partitions"
		  . " WHERE view_name = '$v->{view}'::regclass");
}

# 1. committed and aborted ones, and plain messages between them
{
	my $topic = $kafka->new_topic('mixed', 3);
	my $v = events_view($node, $kafka, $topic, stream => 'mixed');
	my $aborted = produce_some($topic, '--count', $n, '--transaction', 500, '--abort', 0.4,
		'--late', 0.01);

	is($aborted, 0.4 * $n, 'the producer aborts the share that it was told to');
	produce_some($topic, '--count', $n, '--seed', 2, '--malformed', 0.01);
	$aborted += produce_some($topic, '--count', $n, '--transaction', 200, '--abort', 0.5, '--seed', 3);
	view_equals_batch($node, 'transactions and plain messages', %$v);
	is( events_counted($node, $v) + sql($node, q{SELECT count(*) FROM weir.dead_letters
			WHERE stream = 'mixed'::regclass}),
		3 * $n - $aborted, 'what was aborted is not counted, all else is');
	lag_is($v, 0, 'control records at the end are no lag');
	is(positions($v), join('|', ($kafka->end_of_topic($topic)) x 2),
		'positions are behind the last control record');
}

# 2. a topic whose end, or all of it, is aborted
{
	my $topic = $kafka->new_topic('nothing', 2);
	my $v = events_view($node, $kafka, $topic, stream => 'nothing');

	produce_some($topic, '--count', 1000, '--transaction', 300, '--abort', 1);
	view_equals_batch($node, 'nothing but aborted transactions', %$v);
	is(events_counted($node, $v), 0, 'nothing is counted');
	lag_is($v, 0, 'nothing is left to read');
	$node->restart;
	produce_some($topic, '--count', 10);
	produce_some($topic, '--count', 1000, '--transaction', 300, '--abort', 1);
	view_equals_batch($node, 'and after a restart', %$v);
	is(events_counted($node, $v), 10, 'what came between is counted');
	lag_is($v, 0, 'and nothing is left to read');
}

# 3. an open transaction
foreach my $end ('committed', 'aborted')
{
	my $topic = $kafka->new_topic('open', 1);
	my $v = events_view($node, $kafka, $topic, stream => "open_$end");

	produce_some($topic, '--count', 100);
	sql($node, "SELECT weir.flush('$v->{view}')");

	my $open = hold_transaction($kafka, $topic, @from, $end eq 'aborted' ? ('--abort', 1) : ());

	produce_some($topic, '--count', 100, '--seed', 2);
	lag_is($v, 101, 'what is behind the start of an open transaction is not read');
	sql($node, "SELECT weir.flush('$v->{view}', '10 s')");
	is(events_counted($node, $v), 100, 'flush does not wait for it');
	end_transaction($open);
	lag_is($v, 0, "it is when the transaction is $end");
	view_equals_batch($node, "a transaction that was $end", %$v);
	is(events_counted($node, $v), $end eq 'aborted' ? 200 : 201, "which is right for one that was $end");
}

done_testing();
