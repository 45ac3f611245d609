# weir.metrics on real Kafka: counters equal what happened, over a restart of the
# server, a lane that is killed, a pause, an error and an outage of the broker;
# histograms add up; librdkafka's statistics arrive; pg_stat_activity and the log
# say what goes on, and the log says it once.
#
# Takes 35 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '100 ms'",
	"weir.kafka_statistics_interval = '500 ms'");
my $topic = $kafka->new_topic('metrics', 3);
my $n = 5_000;
my $minute = 0;

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
sql($node, q{CREATE FOREIGN TABLE raw (message bytea, key bytea OPTIONS (metadata 'key'),
		part int OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic '} . $topic . q{', format 'raw')});
sql($node, q{SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 seconds') AS w, country, count(*) AS n
		FROM events GROUP BY 1, 2 $$, keep_late => true)});

# The metrics of the view and its stream as they are now, without the states:
# those of its lanes and partitions added up, and the last buckets of histograms.
sub metrics
{
	my %m = split /[\n|]/, sql($node, q{SELECT name, sum(value) FROM weir.metrics WHERE labels @> '{"stream": "public.events"}'
		AND NOT labels ? 'state' AND coalesce(labels ->> 'le', '+Inf') = '+Inf' GROUP BY name});

	return { map { s/^weir_//r => $m{$_} } keys %m };
}

# More of the topic, read to its end.  Each part is later than the one before it.
sub produce_more
{
	produce($kafka, $topic, '--count', $n, '--seed', $minute + 1, '--late', 0.01, '--malformed', 0.01,
		'--start-time', sprintf('2024-01-01T00:%02d:00Z', $minute++));
	sql($node, q{SELECT weir.flush('v', '120 s')});
	return;
}

# What is kept with the results, against what the topic and the tables hold.
sub kept_equals
{
	my ($name) = @_;
	my $m = metrics();
	my ($dead, $late, $final) = split /\|/, sql($node, 'SELECT (SELECT count(*) FROM weir.dead_letters),'
		  . ' (SELECT count(*) FROM weir.late_events), (SELECT count(*) FROM v_final)');

	is($kafka->end_of_topic($topic), $minute * $n, "$name: the topic has what was produced");
	is($m->{events_total} + $m->{dead_letters_total}, $minute * $n, "$name: each message is an event or a dead letter");
	is($m->{dead_letters_total}, $dead, "$name: dead letters");
	is($m->{late_events_total}, $late, "$name: late events");
	is($m->{final_rows_total}, $final, "$name: final rows");
	is($m->{partition_position}, $minute * $n, "$name: positions of partitions");
	is($m->{partition_lag_messages} + $m->{lag_messages} + $m->{lag_seconds}, 0, "$name: no lag");
	return $m;
}

# What belongs to the running server, since it has read $read messages.
sub work_equals
{
	my ($m, $read, $name) = @_;

	for my $h (qw(freshness_seconds commit_latency_seconds))
	{
		is($m->{"${h}_count"}, $read, "$name: weir_${h}_count counts each message");
		is($m->{"${h}_bucket"}, $read, "$name: its last bucket has them all");
		cmp_ok($m->{"${h}_sum"}, '>', 0, "$name: and its sum some time");
	}
	return;
}

sub state_is
{
	my ($state, $name) = @_;

	return ok( wait_until($node, "SELECT (SELECT state FROM weir.status) = '$state' AND (SELECT labels ->> 'state' FROM weir.metrics"
			. " WHERE name = 'weir_view_state' AND value = 1) = '$state'", 180), $name);
}

# How often the log says something, from there on.
sub times_logged
{
	my ($regexp, $from) = @_;
	my @found = slurp_file($node->logfile, $from) =~ /$regexp/g;

	return scalar @found;
}

sub slurp_file { return PostgreSQL::Test::Utils::slurp_file(@_) }

# 1. what happened
produce_more();
my $m = kept_equals('at first');
work_equals($m, $n, 'at first');
is($m->{messages_total}, $n, 'weir_messages_total is what was produced');
is($m->{bytes_total}, sql($node, 'SELECT sum(coalesce(length(message), 0) + coalesce(length(key), 0)) FROM raw'),
	'weir_bytes_total is the length of keys and values');
is($m->{malformed_total}, $m->{dead_letters_total}, 'weir_malformed_total is what could not be decoded');
is($m->{restarts_total}, 0, 'the view was not restarted');
is($m->{checkpoint_failures_total}, 0, 'no checkpoint has failed');
cmp_ok($m->{partition_committed}, '<=', $m->{partition_position}, 'what is committed was read');
ok(wait_until($node, q{SELECT sum(value) = 0 FROM weir.metrics WHERE name = 'weir_partition_low_watermark' HAVING count(*) = 3}, 180),
	'the broker has said where partitions begin');

# 2. librdkafka's statistics, and what processes say of themselves
ok( wait_until($node, q{SELECT bool_and(value = 1) FROM weir.metrics WHERE name = 'weir_kafka_broker_state'}, 180),
	'the broker is connected');
ok( wait_until($node, q{SELECT sum(value) FILTER (WHERE name = 'weir_kafka_rx_bytes_total')
		> 0.3 * sum(value) FILTER (WHERE name = 'weir_bytes_total') FROM weir.metrics}, 180),
	'bytes were received, compressed or not');
$m = metrics();
cmp_ok($m->{kafka_tx_bytes_total}, '>', 0, 'bytes were sent');
cmp_ok($m->{kafka_rtt_seconds_avg}, '>', 0, 'a request takes some time');
is($m->{kafka_disconnects_total}, 0, 'no connection was lost');
ok( wait_until($node, "SELECT query ~ '^(running|idle), topic $topic, [0-9]+ events/s\$' AND application_name = 'weir ingest public.events'"
		. " FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'", 180), 'pg_stat_activity says what an ingest worker does');
ok( wait_until($node, q{SELECT query ~ '^(running|idle), 1 view of public.events$' FROM pg_stat_activity WHERE backend_type LIKE 'weir coordinator%'}, 180),
	'and a coordinator');
my $pid = sql($node, q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'});
like(slurp_file("/proc/$pid/cmdline"), qr/weir ingest public\.events (running|idle), topic/, "so does the process's title");

# 2b. What is kept is what is committed: all else is taken back by a failure.
my $producer = start_producer($kafka, $topic, '--count', $n, '--seed', $minute + 1, '--rate', 1000,
	'--start-time', sprintf('2024-01-01T00:%02d:00Z', $minute++));

ok( wait_until($node, q{SELECT s.events > m.value AND m.value = (SELECT sum(e) FROM weir.progress, unnest(events) e)
		FROM weir.status s, weir.metrics m WHERE m.name = 'weir_events_total'}, 180),
	'events that are not committed are in weir.status, and not in weir.metrics yet');
finish_producer($producer);
sql($node, q{SELECT weir.flush('v', '120 s')});
$m = kept_equals('after a flush');

# 3. a pause
my $messages = $m->{messages_total};
sql($node, q{SELECT weir.pause('v')});
state_is('paused', 'the view is paused');
ok(wait_until($node, 'SELECT lane IS NULL FROM weir.status', 180), 'its lane has ended');
$m = metrics();
is($m->{messages_total}, $messages, 'counters of the lane stay');
is($m->{workers}, 0, 'it has no workers');
sql($node, q{SELECT weir.resume('v')});
produce_more();
$m = kept_equals('after a pause');
work_equals($m, $minute * $n, 'after a pause');
is($m->{messages_total}, $minute * $n, 'the lane has gone on counting');
is($m->{restarts_total}, 1, 'the view was restarted once');

# 4. a worker is killed: what it had read is read again
sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'});
ok(wait_until($node, q{SELECT value = 1 FROM weir.metrics WHERE name = 'weir_lane_failures_total'}, 180), 'its lane has failed once');
produce_more();
$m = kept_equals('after a failure');
cmp_ok($m->{messages_total}, '>=', $minute * $n, 'no message is forgotten');
cmp_ok($m->{freshness_seconds_count}, '>=', $minute * $n, 'nor how old it was');
is($m->{restarts_total}, 2, 'the view was restarted again');

# 5. an error, and since when
sql($node, q{ALTER TABLE v_final ADD CONSTRAINT none CHECK (n < 0) NOT VALID});
my $log = log_end($node);
produce($kafka, $topic, '--count', $n, '--seed', $minute + 1, '--start-time', sprintf('2024-01-01T00:%02d:00Z', $minute++));
state_is('error', 'a view that cannot write its rows is in error');
is(sql($node, q{SELECT state_since BETWEEN now() - interval '3 minutes' AND now() FROM weir.status}), 't', 'weir.status says since when');
is(times_logged(qr/continuous view "v" stops/, $log), 1, 'the log says so once');
$m = metrics();
cmp_ok($m->{checkpoint_failures_total}, '>', 0, 'a checkpoint has failed');
sql($node, q{ALTER TABLE v_final DROP CONSTRAINT none; SELECT weir.resume('v'); SELECT weir.flush('v', '120 s')});
$m = kept_equals('after an error');

# 6. the server starts again
sql($node, q{SELECT weir.checkpoint('events')});
my ($events, $before) = @$m{qw(events_total partition_position)};
$node->restart;
ok(wait_until($node, q{SELECT bool_or(state IN ('running', 'idle')) FROM weir.status}, 180), 'the view runs again');
is(metrics()->{events_total}, $events, 'what is kept is kept');
produce_more();
$m = kept_equals('after a restart');
work_equals($m, $minute * $n - $before, 'after a restart');
is($m->{restarts_total}, 4, 'the view was restarted by resume and with the server');

# 7. the broker is away: one line in the log for it, and one for its return
$log = log_end($node);
$kafka->stop;
state_is('waiting for broker', 'the view waits for the broker');
ok(wait_until($node, q{SELECT bool_and(value = 0) FROM weir.metrics WHERE name = 'weir_kafka_broker_state'}, 180), 'it is not connected');
ok(log_says($node, qr/stands still on stream "public.events": waiting for broker/, $log, 180), 'the log says so');
cmp_ok(metrics()->{kafka_disconnects_total}, '>', 0, 'connections were lost');
$kafka->start;
produce_more();
ok(log_says($node, qr/goes on reading stream "public.events"/, $log, 180), 'the log says that it is over');
is(times_logged(qr/stands still/, $log), 1, 'it said once that the broker was away');
kept_equals('after an outage');
cmp_ok(times_logged(qr/kafka: FAIL/, $log), '<=', 10, 'connections that fail again and again do not fill the log');

done_testing();
