# Sinks: each final window is in the topic once, for readers of committed messages,
# whatever is killed, and nothing is missing; keys; what is refused; what happens
# when the broker is away, a sink is dropped, a database is copied or dropped.
#
# Takes 107 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = start_kafka();
my $topic = $kafka->new_topic('events', 4);
my $out = $kafka->new_topic('windows', 3);
my $node = cluster("weir.checkpoint_interval = '30 ms'", 'restart_after_crash = on',
	'fsync = off');
my $v = events_view($node, $kafka, $topic,
	options => { watermark_delay => '1 second' },
	aggregates => "sum(amount) AS amount, max(page) AS \"Page \"\"one\"\"\"");
my $chunks = 0;

# Windows as the topic has them, and as v_final.  Messages of transactions that were
# aborted are none.
sql($node, qq{
	CREATE FOREIGN TABLE windows (w timestamptz, country text, n bigint, amount float8,
		page text OPTIONS (path '"Page \\"one\\""'), key text OPTIONS (metadata 'key'))
	SERVER kafka OPTIONS (topic '$out')});

sub next_chunk
{
	my $minute = $chunks++;

	return start_producer($kafka, $topic, '--count', 3000, '--rate', 6000, '--seed', $chunks,
		'--start-time', sprintf('2024-01-01T%02d:%02d:00Z', $minute / 60, $minute % 60),
		'--out-of-order', 0.1, '--late', 0.01);
}

# All of v_final is there, once, and nothing else.
sub sent
{
	my ($name) = @_;

	sql($node, "SELECT weir.flush('events_v', '60 s')");
	ok(wait_until($node, q{SELECT pending = 0 FROM weir.sinks WHERE view_name = 'events_v'::regclass}), "$name: nothing is left to be sent")
	  || diag(sql($node, 'TABLE weir.sinks'));
	is( sql($node, q{
		WITH there AS (SELECT w, country, n, amount, page FROM windows),
			here AS (TABLE events_v_final)
		SELECT (SELECT count(*) FROM (TABLE there EXCEPT ALL TABLE here) x),
			(SELECT count(*) FROM (TABLE here EXCEPT ALL TABLE there) x)}),
		'0|0', "$name: the topic has what is final");
	return;
}

# 1. what is refused
sub refused
{
	my ($statement, $like) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $statement);

	return like($err, $like, $statement);
}

refused(q{SELECT weir.create_sink('events_v', '')}, qr/cannot be the name of a topic/);
refused(q{SELECT weir.create_sink('events_v', 'a b')}, qr/cannot be the name of a topic/);
refused(qq{SELECT weir.create_sink('events_v', '$topic')}, qr/the view itself reads/);
refused(q{SELECT weir.create_sink('events_v', NULL)}, qr/must not be NULL/);
refused(q{SELECT weir.create_sink('events_v', 'w', ARRAY['nothing'])}, qr/has no column "nothing"/);
refused(q{SELECT weir.create_sink('events_v', 'w', ARRAY[NULL])}, qr/must not be NULL/);
refused(q{SELECT weir.create_sink('events', 'w')}, qr/is not a continuous view/);
refused(q{SELECT weir.drop_sink('events_v')}, qr/has no sink/);
sql($node, q{SELECT weir.create_view('totals', 'SELECT country, count(*) FROM events GROUP BY 1')});
refused(q{SELECT weir.create_sink('totals', 'w')}, qr/no window, so that no row of it is ever final/);
sql($node, q{SELECT weir.drop_view('totals')});
sql($node, q{SELECT weir.create_view('every', 'SELECT country FROM events')});
refused(q{SELECT weir.create_sink('every', 'w')}, qr/has no windows/);
sql($node, q{SELECT weir.drop_view('every')});
sql($node, q{CREATE ROLE other; GRANT USAGE ON SCHEMA public TO other});
refused(qq{SET ROLE other; SELECT weir.create_sink('events_v', 'w')}, qr/must be owner/);
sql($node, q{GRANT SELECT ON events TO other; GRANT CREATE ON SCHEMA public TO other; SET ROLE other;
	SELECT weir.create_view('others', 'SELECT weir.tumble(ts, ''1 s''), count(*) FROM events GROUP BY 1')});
refused(q{SET ROLE other; SELECT weir.create_sink('others', 'w')},
	qr/permission denied for foreign server kafka.*GRANT USAGE/s);
sql($node, q{SELECT weir.drop_view('others')});

# 2. windows are sent as they close
sql($node, qq{SELECT weir.create_sink('events_v', '$out')});
refused(q{SELECT weir.create_sink('events_v', 'w')}, qr/has a sink already/);
ok(wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'weir sender'}),
	'there is a sender');
is(sql($node, 'SELECT sent, pending FROM weir.sinks'), '0|0', 'nothing is sent yet');
finish_producer(next_chunk()) foreach 1 .. 2;
sent('at first');
cmp_ok(sql($node, 'SELECT count(*) FROM windows'), '>', 10, 'there are some');
is(sql($node, q{SELECT count(*) FROM windows WHERE key IS DISTINCT FROM json_build_object('country', country)::text
		AND key::json ->> 'country' IS DISTINCT FROM country}), 0, 'the key is that of the group');
is(sql($node, 'SELECT sent = (SELECT count(*) FROM events_v_final), error IS NULL FROM weir.sinks'),
	't|t', 'and is counted');

# ... and other sinks are no hindrance: of a stream that cannot be used, and one that
# somebody is about to drop.
{
	sql($node, qq{
		CREATE FOREIGN TABLE broken (ts timestamptz) SERVER kafka OPTIONS (topic '$topic', event_time 'ts');
		SELECT weir.create_view('broken_v', 'SELECT weir.tumble(ts, ''1 s'') AS w, count(*) FROM broken GROUP BY 1');
		SELECT weir.create_sink('broken_v', 'broken_windows');
		ALTER FOREIGN TABLE broken OPTIONS (SET event_time 'nosuch')});
	finish_producer(next_chunk());
	sent('beside a stream that cannot be used');

	my $s = Weir::Session->new($node);

	$s->query(q{BEGIN; SELECT weir.drop_sink('broken_v')});
	finish_producer(next_chunk());
	sent('beside a sink that is locked');
	$s->query('COMMIT');
	$s->finish;
	sql($node, q{SELECT weir.drop_view('broken_v')});
}

# 3. kills, at each step and anywhere
foreach my $point (qw(sender-rows-taken sender-written sender-opened))
{
	foreach my $action (qw(error exit panic))
	{
		my $producer;
		my $log = log_end($node);

		set_fault($node, $point => "$action 1");
		sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'weir sender'})
		  if $point eq 'sender-opened';
		$producer = next_chunk();
		ok(fault_reached($node), "$action at $point");
		clear_faults($node);
		finish_producer($producer);
		log_says($node, qr/all server processes terminated/, $log) if $action eq 'panic';
		ok(wait_until($node, 'SELECT true'), 'the server is there');
		sent("$action at $point");
	}
}
foreach my $turn (1 .. 3)
{
	my $producer = next_chunk();
	my $before = sql($node, 'SELECT sent + pending FROM weir.sinks');

	wait_until($node, "SELECT sent + pending > $before FROM weir.sinks");
	crash($node);
	finish_producer($producer);
	sent("crash $turn of the server");
}

# 4. the broker is away
{
	my $producer = next_chunk();

	finish_producer($producer);
	sent('before the broker goes');
	$kafka->kill;
	ok( wait_until($node, q{SELECT state = 'waiting for broker' FROM weir.status}),
		'the view waits for the broker');
	$kafka->start;
	finish_producer(next_chunk());
	sent('after the broker was away');
}

# 5. a sink that is dropped sends nothing any more, and one that is made again begins
# with what closes then
sql($node, q{SELECT weir.drop_sink('events_v')});
is(sql($node, 'SELECT count(*) FROM weir.sinks, weir.outbox'), 0, 'nothing is left of it');
my $had = sql($node, 'SELECT count(*) FROM windows');
finish_producer(next_chunk());
sql($node, q{SELECT weir.flush('events_v')});
is(sql($node, 'SELECT count(*) FROM windows'), $had, 'nothing is sent without it');
my $final = sql($node, 'SELECT count(*) FROM events_v_final');
sql($node, qq{SELECT weir.create_sink('events_v', '$out', key => '{}')});
finish_producer(next_chunk());
sql($node, q{SELECT weir.flush('events_v')});
ok(wait_until($node, 'SELECT pending = 0 AND sent > 0 FROM weir.sinks'), 'a new one sends');
is(sql($node, "SELECT (SELECT count(*) FROM windows) - $had = (SELECT count(*) FROM events_v_final) - $final"),
	't', 'what has closed since');
is(sql($node, 'SELECT count(*) > 0 FROM windows WHERE key IS NULL'), 't', 'without a key, if none is wanted');

# 6. the sender goes with its last sink, and does not keep a database from being dropped
sql($node, q{SELECT weir.drop_sink('events_v')});
ok(wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'weir sender'}),
	'no sender without a sink');
sql($node, 'CREATE DATABASE second');
my $topic2 = $kafka->new_topic('second', 1);
setup_events($node, $kafka, $topic2, dbname => 'second');
$node->safe_psql('second', q{SELECT weir.create_view('v', 'SELECT weir.tumble(ts, ''1 s'') AS w, count(*) FROM events GROUP BY 1');
	SELECT weir.create_sink('v', 'second_windows')});
ok(wait_until($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'weir sender' AND datname = 'second'}),
	'another database has a sender of its own');
sql($node, 'DROP DATABASE second');
ok(wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'weir sender'}),
	'and can be dropped');

done_testing();
