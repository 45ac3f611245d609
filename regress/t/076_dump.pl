# pg_dump and restore: plain and custom, of all and in two parts, while the views
# run.  What is restored waits, shows what was dumped, and goes on from its
# offsets; open windows with values that mean something else in another database
# are refused, not shown wrong.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $topic = $kafka->new_topic('dump', 3);
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'fsync = off');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $n = 3000;
my $produced = 0;
my %views = (
	plain => 'country',
	domain => 'latency_ms::positive AS l',
	enum => 'event_type::kind AS k',
	composite => '(country, level)::pair AS p');

sub more
{
	produce($kafka, $topic, '--count', $n, '--seed', $produced + 1, '--kind', 'logs',
		'--start-time', sprintf('2024-01-01T00:00:%02dZ', $produced / 1000));
	$produced += $n;
	return;
}

sub error_of
{
	my ($db, $statements) = @_;

	return ($node->psql($db, $statements))[2];
}

# A database for a dump, restored by some command of which DB is its name.
sub restore
{
	my ($db, @commands) = @_;

	sql($node, "CREATE DATABASE $db");
	foreach my $command (@commands)
	{
		$node->command_ok([ map { s/DB/$node->connstr($db)/er } @$command ], "$db: @$command[0 .. 1]");
	}
	return;
}

# What was restored into the database is what was dumped, waits, and goes on.
sub check
{
	my ($db, $before, $at) = @_;

	is(sql($node, q{SELECT string_agg(DISTINCT state, ' ') FROM weir.status}, $db), 'paused: restored', "$db: all views wait");
	is(sql($node, 'TABLE plain ORDER BY 1, 2', $db), $before, "$db: a view holds what was dumped");
	foreach my $view (qw(plain domain over rows))
	{
		is(sql($node, "SELECT sum(n) FROM $view", $db), $at, "$db: $view");
		sql($node, "SELECT weir.resume('$view'); SELECT weir.flush('$view')", $db);
		is(sql($node, "SELECT sum(n) FROM $view", $db), $produced, "$db: $view goes on from its offsets");
		is(sql($node, "SELECT count(*) FROM (TABLE $view EXCEPT ALL TABLE ${view}_query) d", $db),
			0, "$db: and holds what its query returns");
	}
	is(sql($node, 'SELECT sum(n) FROM totals', $db), $at, "$db: totals with a time to live");
	sql($node, "SELECT weir.resume('totals'); SELECT weir.flush('totals')", $db);
	is(sql($node, 'SELECT sum(n) FROM totals', $db), $produced, "$db: those go on, too");
	is( sql($node, q{SELECT (SELECT ttl FROM weir.views WHERE view = 'totals'::regclass),
			(SELECT notify FROM weir.views WHERE view = 'plain'::regclass), (SELECT windows FROM weir.alert_rules)}, $db),
		'1000 days|closed|open', "$db: what views and alerts were made with");
	like(error_of($db, "SELECT weir.drop_view('plain')"), qr/continuous view over depends on/, "$db: a view over a view still keeps that");
	foreach my $view (qw(enum composite))
	{
		like(error_of($db, $_), qr/cannot be taken over/, "$db: refused: $_")
		  foreach ("SELECT * FROM $view", "SELECT weir.resume('$view')");
		is(error_of($db, "SELECT * FROM ${view}_final"), '', "$db: final windows of $view can be read");
		sql($node, "SELECT weir.reset('$view', 'earliest'); SELECT weir.resume('$view')", $db);
		sql($node, "SELECT weir.flush('$view')", $db);
		is(sql($node, "SELECT sum(n) FROM $view", $db), $produced, "$db: $view is computed anew");
	}
	sql($node, "DROP DATABASE $db");
	return;
}

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day', watermark_delay => '1 second' });
sql($node, q{CREATE TYPE kind AS ENUM ('debug', 'log', 'click', 'purchase', 'refund', 'view');
	CREATE TYPE pair AS (a text, b text); CREATE DOMAIN positive AS int CHECK (VALUE >= 0)});
sql($node, "SELECT weir.create_view('$_', \$\$ SELECT weir.tumble(ts, '1 second') AS w, $views{$_}, count(*) AS n FROM events GROUP BY 1, 2 \$\$)")
  foreach sort keys %views;
sql($node, q{SELECT weir.create_view('over', $$ SELECT weir.tumble(w, '5 seconds') AS w, sum(n) AS n FROM plain GROUP BY 1 $$)});
sql($node, 'SELECT weir.create_view(\'rows\', $$ SELECT part, off, country, 1 AS n FROM events $$)');
sql($node, q{SELECT weir.create_view('totals', $$ SELECT country, count(*) AS n FROM events GROUP BY 1 $$, ttl => '1000 days')});
sql($node, q{SELECT weir.alter_view('plain', notify => 'closed'), weir.create_alert('soon', 'plain', 'n > 100000', windows => 'open')});
more();
sql($node, q{SELECT weir.flush('events')});
is(sql($node, "SELECT sum(n) FROM $_"), $n, "view $_") foreach sort keys %views;

my $before = sql($node, 'TABLE plain ORDER BY 1, 2');
my $at = $produced;
my $from = $node->connstr('postgres');

$node->command_ok([ 'pg_dump', '-f', "$dir/plain", $from ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", $from ], 'pg_dump, custom');
more();
restore('plain', [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain", '-d', 'DB' ]);
check('plain', $before, $at);
restore('custom', [ 'pg_restore', '-e', '-d', 'DB', "$dir/custom" ]);
check('custom', $before, $at);

# Without data there are relations, and nothing that says what they are; the
# data can come later.
restore('parts', [ 'pg_restore', '-e', '--schema-only', '-d', 'DB', "$dir/custom" ]);
is(sql($node, 'SELECT count(*) FROM weir.status', 'parts'), 0, 'parts: no views without data');
like(error_of('parts', 'TABLE plain'), qr/belongs to no continuous view.*create_view/s, 'parts: which says so');
$node->command_ok([ 'pg_restore', '-e', '--data-only', '-d', $node->connstr('parts'), "$dir/custom" ], 'parts: the data');
check('parts', $before, $at);
sql($node, q{SELECT weir.flush('events')});
is(sql($node, "SELECT sum(n) FROM $_"), $produced, "the views that were dumped went on: $_") foreach sort keys %views;

done_testing();
