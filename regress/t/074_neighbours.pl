# Other preloaded extensions, before and after Weir in shared_preload_libraries:
# pg_stat_statements and auto_explain hang into the executor and into utility
# statements, as Weir does.  Everything works, and what they show of Weir's
# workers is sane.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'pg_stat_statements.track = all',
	'auto_explain.log_min_duration = 0', 'auto_explain.log_analyze = on', 'auto_explain.log_nested_statements = on',
	"log_line_prefix = '%b: '");
my $query = q{SELECT weir.tumble(ts, '1 second') AS w, country, count(*) AS n FROM events GROUP BY 1, 2};
my $n = 4000;

foreach my $order ('pg_stat_statements, auto_explain, weir', 'weir, auto_explain, pg_stat_statements')
{
	my $topic = $kafka->new_topic('neighbours', 3);
	my @produce = ($kafka, $topic, '--count', $n, '--seed', 1);
	my $from;

	# Before the restart: a lane that starts just when it goes would raise.
	sql($node, 'DROP EXTENSION IF EXISTS weir CASCADE');
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$order'");
	$node->restart;
	$from = log_end($node);
	sql($node, 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
	sql($node, 'SELECT pg_stat_statements_reset()');
	setup_events($node, $kafka, $topic, options => { idle_timeout => '1 second' });
	sql($node, "SELECT weir.create_view('v', \$\$ $query \$\$)");
	produce(@produce, '--start-time', '2024-01-01T00:00:00Z');
	sql($node, q{SELECT weir.flush('v')});

	my $statements = sql($node, 'SELECT count(*) FROM pg_stat_statements');

	produce(@produce, '--start-time', '2024-01-01T00:00:10Z');
	sql($node, q{SELECT weir.flush('v')});
	is(sql($node, 'SELECT sum(n) FROM v'), 2 * $n, "$order: all events are counted");
	is(sql($node, 'SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE v_query) d'), 0, '... as the query does');
	ok(wait_until($node, q{SELECT count(*) > 0 FROM v_final}), 'windows are final');
	is( sql($node, q{SELECT count(*) || ' ' || (min(calls) > 1) FROM pg_stat_statements WHERE query ~ '^UPDATE weir.progress SET incarnation'}),
		'1 true', 'a checkpoint is one statement, called often');
	is( sql($node, q{SELECT count(*) FROM pg_stat_statements WHERE query ~ '^INSERT INTO public.v_final'}),
		1, 'and so are the final rows');
	cmp_ok(sql($node, 'SELECT count(*) FROM pg_stat_statements'), '<=', $statements + 15,
		'more events make no new statements');
	ok(log_says($node, qr/^weir coordinator \d+: LOG:  duration: .* plan:\n.*UPDATE weir.progress/m, $from),
		'auto_explain has plans of the coordinator');
	like(sql($node, 'EXPLAIN (ANALYZE, COSTS OFF) TABLE v'), qr/Foreign Scan on v_open/, 'EXPLAIN ANALYZE of the view');

	# Statements that Weir's own hook serves.
	sql($node, 'CREATE DATABASE copy TEMPLATE postgres');
	sql($node, 'DROP DATABASE copy');
	sql($node, 'ALTER VIEW v RENAME TO w');
	is(sql($node, 'SELECT final FROM weir.views'), 'w_final', 'the hook for utility statements is called');
	like(($node->psql('postgres', 'CREATE OR REPLACE VIEW w_query AS SELECT 1 AS a'))[2],
		qr/cannot be replaced/, 'and can refuse one');
	sql($node, q{SELECT weir.pause('w'); SELECT weir.resume('w')});
	produce(@produce, '--start-time', '2024-01-01T00:00:20Z');
	sql($node, q{SELECT weir.flush('w')});
	is(sql($node, 'SELECT sum(n) FROM w'), 3 * $n, 'and all goes on');
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile, $from), qr/^weir.*(ERROR|PANIC)/m, 'no worker has raised');
}

done_testing();
