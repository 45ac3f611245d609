# What administrators do to a server: databases dropped, copied, dumped and
# restored, the extension dropped, a standby read and promoted, a server without
# the library, and one with too few workers.
#
# Takes 22 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'wal_level = replica',
	'max_wal_senders = 4', 'hot_standby = on');
my $query = q{SELECT weir.tumble(ts, '1 second') AS w, country, count(*) AS n FROM events GROUP BY 1, 2};
my @stream = (options => { idle_timeout => '1 day', watermark_delay => '1 second' });
my $produced = 0;
my $n = 5000;    # events a piece, 1 ms apart

# The next piece of the topic.
sub more
{
	my ($topic) = @_;

	produce($kafka, $topic, '--count', $n, '--seed', $produced + 1, '--start-time',
		sprintf('2024-01-01T00:%02d:%02dZ', $produced / 60_000, $produced / 1000 % 60));
	$produced += $n;
	return;
}

sub create_view
{
	my ($db, $view) = @_;

	sql($node, "SELECT weir.create_view('$view', \$\$ $query \$\$)", $db);
	return;
}

sub total
{
	my ($db, $view, $server) = @_;

	return sql($server // $node, "SELECT coalesce(sum(n), 0) FROM $view", $db);
}

sub flushed_total
{
	my ($db, $view) = @_;

	sql($node, "SELECT weir.flush('$view')", $db);
	return total($db, $view);
}

sub create_database
{
	my ($db) = @_;

	sql($node, "CREATE DATABASE $db");
	return;
}

sub state_of
{
	my ($db, $view, $server) = @_;

	return sql($server // $node,
		"SELECT state FROM weir.status WHERE view_name = '$view'::regclass", $db);
}

# The error of statements, or nothing.
sub error_of
{
	my ($server, $db, $statements) = @_;
	my (undef, undef, $err) = $server->psql($db, $statements);

	return $err;
}

# Processes of Weir that are connected to a database.
sub workers
{
	my ($db) = @_;

	return sql($node, "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND backend_type ~ '^weir'");
}

my $topic = $kafka->new_topic('operations', 3);

# 1. two databases on one topic
create_database($_) foreach qw(one two);
setup_events($node, $kafka, $topic, dbname => $_, @stream) foreach qw(one two);
create_view('one', 'v');
create_view('two', 'v');
create_view('two', 'second');
more($topic);
is(flushed_total($_, 'v'), $n, "database $_ counts all events") foreach qw(one two);
is(total('two', 'second'), total('two', 'v'), 'and so does a second view');
cmp_ok(workers('one'), '>=', 2, 'each database has workers of its own');
is(sql($node, 'SELECT count(*) FROM weir.views', 'one'), 1, 'and its own views');

# 2. a copy of a database, while lanes run in it and events come
{
	my $producer = start_producer($kafka, $topic, '--count', $n, '--rate', 5000, '--seed', 9,
		'--start-time', sprintf('2024-01-01T00:00:%02dZ', $produced / 1000));

	is(error_of($node, 'postgres', 'CREATE DATABASE copy TEMPLATE two'), '',
		'a database is copied while its lanes run');
	finish_producer($producer);
	$produced += $n;
	is(flushed_total('two', 'v'), $produced, 'whose lanes go on afterwards');
	is(state_of('copy', 'v'), 'paused: restored', 'the views of the copy wait');
	is(workers('copy'), 0, 'it has no workers');

	my $then = total('copy', 'v');

	cmp_ok($then, '>=', $n, 'what they held can be read');
	cmp_ok($then, '<=', $produced, 'and is not more than there was');
	like(error_of($node, 'copy', q{SELECT weir.flush('v')}), qr/paused: restored/,
		'flush says so');
	sql($node, q{SELECT weir.resume('v')}, 'copy');
	is(flushed_total('copy', 'v'), $produced, 'resumed, they go on where they were');
	is(state_of('copy', 'second'), 'paused: restored', 'each by itself');
	is( sql($node, 'SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE v_query) d', 'copy'),
		0, 'and hold what their query returns');
}

# 3. ALTER and DROP DATABASE while lanes run
is(error_of($node, 'postgres', 'ALTER DATABASE copy RENAME TO renamed'), '',
	'a database is renamed while its lanes run');
more($topic);
is(flushed_total('renamed', 'v'), $produced, 'and they go on');
like( error_of($node, 'postgres', 'CREATE DATABASE one'),
	qr/already exists/, 'a statement that fails');
is(flushed_total('one', 'v'), $produced, 'leaves them running');
{
	my $held = Weir::Session->new($node, dbname => 'renamed');

	$held->query('SELECT 1');
	like(error_of($node, 'postgres', 'DROP DATABASE renamed'), qr/being accessed by other users/,
		'DROP DATABASE is refused for others than Weir');
	more($topic);
	is(flushed_total('renamed', 'v'), $produced, 'and the lanes start again');
	$held->finish;
}
is(error_of($node, 'postgres', 'DROP DATABASE renamed'), '', 'DROP DATABASE while lanes run');
is(error_of($node, 'postgres', 'DROP DATABASE two WITH (FORCE)'), '', 'and with FORCE');

# 4. DROP EXTENSION, and a new one
{
	create_view('one', 'more');
	is(error_of($node, 'one', 'SET client_min_messages = error; DROP EXTENSION weir CASCADE'), '',
		'DROP EXTENSION while lanes run');
	ok(wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE datname = 'one' AND backend_type ~ '^weir'}), 'the workers end');
	is( sql($node, q{SELECT string_agg(relname, ' ') FROM pg_class WHERE relname ~ '^(v|more)(_|$)'}, 'one'),
		'', 'nothing is left of the views');
	setup_events($node, $kafka, $topic, dbname => 'one', @stream);
	create_view('one', 'v');
	is(flushed_total('one', 'v'), $produced, 'a new extension and view count everything again');
}

# 5. pg_dump and restore, into another database, twice
{
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';

	sql($node, q{SELECT weir.pause('v')}, 'one');
	ok(wait_until($node, 'SELECT bool_and(lane IS NULL) FROM weir.status', undef, 'one'), 'paused');

	my $before = total('one', 'v');
	my $final = sql($node, 'SELECT count(*) FROM v_final', 'one');
	my $open = sql($node, 'SELECT count(*) FROM v_open', 'one');

	cmp_ok($open, '>', 0, 'there are open windows');
	sql($node, q{SELECT weir.resume('v')}, 'one');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('one') ],
		'pg_dump while the view runs');
	create_database('restored');
	$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ],
		'pg_restore');
	is(state_of('restored', 'v'), 'paused: restored', 'the restored view waits');
	is(sql($node, 'SELECT count(*) FROM v_final', 'restored'), $final, 'its final rows are there');
	is(sql($node, 'SELECT count(*) FROM v_open', 'restored'), $open, 'and its open ones');
	is(total('restored', 'v'), $before, 'with what they counted');
	more($topic);
	is(total('restored', 'v'), $before, 'it does not move');
	sql($node, q{SELECT weir.resume('v')}, 'restored');
	is(flushed_total('restored', 'v'), $produced, 'resumed, it goes on from its offsets');
	is( sql($node, 'SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE v_query) d', 'restored'),
		0, 'and holds what its query returns');
	is(flushed_total('one', 'v'), $produced, 'as does the one that was dumped');
	create_view('restored', 'another');
	is(flushed_total('restored', 'another'), $produced, 'a new view gets an id of its own');
	sql($node, 'DROP DATABASE restored');
}

# 6. a standby, and its promotion
{
	my $standby = PostgreSQL::Test::Cluster->new('weir_standby');
	my $backup = 'b';

	$node->append_conf('pg_hba.conf', 'local replication all trust');
	$node->reload;
	$node->backup($backup);
	$standby->init_from_backup($node, $backup, has_streaming => 1);
	$standby->start;
	more($topic);
	is(flushed_total('one', 'v'), $produced, 'the primary counts');
	ok( wait_until($standby, "SELECT sum(n) = $produced FROM v", undef, 'one'),
		'the standby shows final windows and the open ones of the last checkpoint')
	  || diag('the standby has ' . total('one', 'v', $standby));
	is(sql($standby, 'SELECT count(*) FROM v_final', 'one'),
		sql($node, 'SELECT count(*) FROM v_final', 'one'), 'as many final ones');
	cmp_ok(sql($standby, 'SELECT count(*) FROM v_open', 'one'), '>', 0, 'and open ones');
	is(sql($standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^weir (coordinator|ingest)'}),
		0, 'a standby reads no topic');
	like(error_of($standby, 'one', $_), qr/standby|during recovery|read-only/, "$_ is refused there")
	  foreach (q{SELECT weir.pause('v')}, q{SELECT weir.resume('v')},
		q{SELECT weir.reset('v', 'earliest')}, q{SELECT weir.flush('v')},
		q{SELECT weir.checkpoint('events')}, q{SELECT weir.drop_view('v')},
		"SELECT weir.create_view('x', \$\$ $query \$\$)");
	is(error_of($standby, 'one', 'SELECT * FROM weir.status; SELECT * FROM weir.partitions'),
		'', 'status can be read there');
	is(sql($standby, q{SELECT state FROM weir.status WHERE view_name = 'v'::regclass}, 'one'),
		'standby', 'which says that it is one');
	is( sql($standby, q{SELECT string_agg(name, ' ' ORDER BY name) FROM weir.metrics WHERE value = 1
			AND (name IN ('weir_up', 'weir_in_recovery') OR labels @> '{"view": "public.v", "state": "standby"}')}, 'one'),
		'weir_in_recovery weir_view_state', 'and so do metrics');
	like(error_of($standby, 'one', "\\set VERBOSITY sqlstate\nSELECT weir.$_"), qr/25006/, "the SQLSTATE of $_")
	  foreach (q{pause('v')}, q{reset('v', 'earliest')}, q{drop_view('v')}, q{flush('v')},
		"create_view('x', \$\$ $query \$\$)");
	is( sql($standby, q{
			SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
			SET force_parallel_mode = on; SELECT sum(n) FROM v}, 'one'),
		$produced, 'parallel query there');
	is( sql($standby, q{
			BEGIN; DECLARE c SCROLL CURSOR FOR SELECT n FROM v; MOVE ALL FROM c; MOVE BACKWARD ALL FROM c;
			DECLARE total CURSOR FOR SELECT sum(n) FROM v; FETCH total; COMMIT}, 'one'),
		$produced, 'and cursors');

	# Failover: what the primary had counted last may be lost, what the topic has
	# is not.
	my $producer = start_producer($kafka, $topic, '--count', $n, '--rate', 5000, '--seed', 11,
		'--start-time', sprintf('2024-01-01T00:00:%02dZ', $produced / 1000));

	ok(wait_until($node, "SELECT sum(n) > $produced + 500 FROM v", undef, 'one'), 'more comes');
	$node->stop('immediate');
	$standby->promote;
	finish_producer($producer);
	$produced += $n;
	ok(wait_until($standby, q{SELECT state IN ('running', 'idle') FROM weir.status}, undef, 'one'),
		'a promoted standby starts its lanes')
	  || diag(sql($standby, 'TABLE weir.status', 'one'));
	is(error_of($standby, 'one', q{SELECT weir.flush('v')}), '', 'flush');
	is(total('one', 'v', $standby), $produced, 'and goes on, with nothing lost or twice');
	is( sql($standby, 'SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE v_query) d', 'one'),
		0, 'the view is what its query returns');
	$standby->stop;
	$node->start;
	is(flushed_total('one', 'v'), $produced, 'the old primary, alone, comes to the same');
}

# 7. without the library in shared_preload_libraries
{
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
	$node->restart;
	foreach my $statement (q{SELECT weir.pause('v')}, q{SELECT weir.flush('v')},
		"SELECT weir.create_view('x', \$\$ $query \$\$)")
	{
		like(error_of($node, 'one', $statement), qr/shared_preload_libraries/,
			"$statement without the library preloaded says so");
	}
	is(error_of($node, 'one', 'SET client_min_messages = error; SELECT * FROM weir.status'),
		'', 'status can be read');
	cmp_ok(sql($node, 'SELECT count(*) FROM v_final', 'one'), '>', 0, 'final windows can be read');
	is(($node->psql('one', 'SELECT count(*) FROM events'))[1], $produced, 'a stream, too');
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'weir'");
	$node->restart;
	is(flushed_total('one', 'v'), $produced, 'with it again, the view goes on');
}

# 8. too few workers: none to look for views, none to read the topic.
# (Launchers, of PostgreSQL's logical replication and of Weir, take two.)
foreach my $workers (2, 3)
{
	my $from;

	$node->stop;
	$node->adjust_conf('postgresql.conf', 'max_worker_processes', $workers);
	$from = log_end($node);
	$node->start;
	ok( wait_until($node, q{SELECT coalesce(error, '') ~ 'max_worker_processes|background worker'
			FROM weir.status WHERE view_name = 'v'::regclass}, undef, 'one'),
		"$workers workers: the status names what is missing")
	  || diag(sql($node, 'TABLE weir.status', 'one'));
	ok(log_says($node, qr/Raise max_worker_processes/, $from), "$workers workers: the log has a hint");
	is(error_of($node, 'one', 'SELECT * FROM v'), '', "$workers workers: the view can be read");
}
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
$node->restart;
is(flushed_total('one', 'v'), $produced, 'with more workers the view goes on');

done_testing();
