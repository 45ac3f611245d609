# Dead letters that cannot be written, since a lock is in the way: the checkpoint is
# postponed, its lane goes on.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'");
my $topic = $kafka->new_topic('letters', 2);

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
sql($node, qq{
	CREATE FOREIGN TABLE raw (message text) SERVER kafka OPTIONS (topic '$topic', format 'raw');
	SELECT weir.create_view('v', \$\$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS n FROM events GROUP BY 1 \$\$);
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
ok(wait_until($node, q{SELECT state = 'postponed' AND error LIKE '%lock timeout%' FROM weir.status}),
	'the view is postponed, and it is said why');
ok(wait_until($node, 'SELECT n = 2 FROM v'), 'reading goes on');
$s->query('COMMIT');
$s->finish;
sql($node, q{SELECT weir.flush('events')});
is(sql($node, 'SELECT count(*) FROM weir.dead_letters'), 2, 'afterwards it is written');
is(sql($node, q{SELECT count(*) FROM weir.status WHERE state = 'postponed'}),
	0, 'nothing is postponed any more');
is(coordinator(), $before, 'the lane has not ended');
$node->restart;
sql($node, q{SELECT weir.flush('events')});
is(sql($node, 'SELECT (SELECT sum(n) FROM v), (SELECT count(*) FROM weir.dead_letters)'), '2|2',
	'all is there once');

done_testing();
