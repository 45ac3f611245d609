# Dead letters that cannot be written, since a lock is in the way: the checkpoint is
# postponed, its lane goes on; where it is one view's letter, the others are committed.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'");
my $topic = $kafka->new_topic('letters', 2);

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
sql($node, qq{
	CREATE FOREIGN TABLE raw (message text) SERVER kafka OPTIONS (topic '$topic', format 'raw');
	CREATE FUNCTION share(a bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 100 / a; END';
	BEGIN;
	SELECT weir.create_view('shares', \$\$ SELECT count(*) AS n, sum(share(user_id)) FROM events \$\$);
	SELECT weir.create_view('v', \$\$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS n FROM events GROUP BY 1 \$\$);
	COMMIT;
	INSERT INTO events (ts) VALUES ('2024-01-01 00:00:00Z');
	INSERT INTO raw VALUES ('first');
	SELECT weir.flush('events')});

sub coordinator
{
	return sql($node, q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir%coordinator%'});
}

my $before = coordinator();
isnt($before, '', 'there is a coordinator');

my $s = Weir::Session->new($node);

$s->query('BEGIN; LOCK TABLE weir.dead_letter_log IN SHARE MODE');
sql($node, q{INSERT INTO raw VALUES ('bad');
	INSERT INTO events (ts) VALUES ('2024-01-01 00:00:01Z')});
ok(wait_until($node, q{SELECT bool_and(state = 'postponed' AND error LIKE '%lock timeout%') FROM weir.status}),
	'the views are postponed, and it is said why');
ok(wait_until($node, 'SELECT n = 2 FROM v'), 'reading goes on');
$s->query('COMMIT');
$s->finish;
sql($node, q{SELECT weir.flush('events')});
is(sql($node, 'SELECT count(*) FROM weir.dead_letters'), 2, 'afterwards it is written');
is(sql($node, q{SELECT count(*) FROM weir.status WHERE state = 'postponed'}),
	0, 'nothing is postponed any more');

# A letter of one view, which has it after a fix, but must not say so yet.
sql($node, q{INSERT INTO events (ts, user_id) VALUES ('2024-01-01 00:00:02Z', 0);
	SELECT weir.flush('events');
	CREATE OR REPLACE FUNCTION share(a bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 100 / nullif(a, 0); END'});
$s = Weir::Session->new($node);
$s->query('BEGIN; SELECT FROM weir.dead_letter_log WHERE view IS NOT NULL FOR UPDATE');
is(sql($node, q{SELECT weir.replay_dead_letters('events', 'view IS NOT NULL')}), 1, 'one letter is to be replayed');
ok(wait_until($node, q{SELECT state = 'postponed' AND error LIKE '%lock timeout%' FROM weir.status WHERE view_name = 'shares'::regclass}),
	'the view of a letter that is locked is postponed');
sql($node, q{INSERT INTO events (ts) VALUES ('2024-01-01 00:00:03Z'); SELECT weir.flush('v', '180 s')});
is(sql($node, q{SELECT state FROM weir.status WHERE view_name = 'v'::regclass}), 'running', 'the other view of its lane is not');
$s->query('COMMIT');
$s->finish;
ok(wait_until($node, 'SELECT count(*) = 0 FROM weir.replay_queue'), 'afterwards it is replayed');
is(coordinator(), $before, 'the lane has not ended');
$node->restart;
sql($node, q{SELECT weir.flush('events')});
is(sql($node, 'SELECT (SELECT sum(n) FROM v), (SELECT n FROM shares), (SELECT count(*) FROM weir.dead_letters)'), '4|4|2',
	'all is there once');

done_testing();
