# What hundreds of checkpoints do to Weir's own tables, with a topic of 100
# partitions (whose arrays are TOASTed), with autovacuum, and with a snapshot
# that is held during a part of them: nothing grows but while the snapshot is
# held, and what that leaves is used again.
#
# A checkpoint each 20 ms and autovacuum each second are about what they are in
# production, fifty times as fast.  There are 600 in all, and 3600, an hour's
# worth, if WEIR_SEEDS is 'random', as in check-long.
#
# Runs alone.

use strict;
use warnings;

use Weir::Test;

my $n = ($ENV{WEIR_SEEDS} // '') eq 'random' ? 3600 : 600;
my $kafka = kafka();
my $topic = $kafka->new_topic('bloat', 100);
my $node = cluster("weir.checkpoint_interval = '20 ms'", 'autovacuum_naptime = 1s', 'fsync = off');
my $query = q{SELECT weir.tumble(ts, '1 second') AS w, country, count(*) AS n FROM events GROUP BY 1, 2};

# Checkpoints so far, as updates of the view's row.
sub checkpoints
{
	return sql($node, q{SELECT pg_stat_get_tuples_updated('weir.progress'::regclass)});
}

sub wait_for_checkpoints
{
	my ($more) = @_;
	my $target = checkpoints() + $more;

	return wait_until($node, "SELECT pg_stat_get_tuples_updated('weir.progress'::regclass) >= $target", 300);
}

# Kilobytes of a relation with its TOAST table and indexes.
sub size_of
{
	my ($relation) = @_;

	return sql($node, "SELECT pg_total_relation_size('$relation') / 1024");
}

# In the catalog, of all that making and dropping relations writes to.
sub size_of_catalog
{
	return sql($node, q{SELECT sum(pg_total_relation_size(oid)) / 1024 FROM pg_class
		WHERE oid IN ('pg_class'::regclass, 'pg_attribute'::regclass, 'pg_depend'::regclass, 'pg_type'::regclass)});
}

sub is_at_most
{
	my ($size, $limit, $name) = @_;

	return ok($size <= $limit, "$name: at most $limit kB") || diag("$size kB");
}

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 second', watermark_delay => '5 seconds' });
sql($node, "SELECT weir.create_view('v', \$\$ $query \$\$)");

my $producer = start_producer($kafka, $topic, '--duration', 900, '--rate', 400, '--timeout', 300, '--start-time', '2024-01-01T00:00:00Z');

# A part of it without, a part with a snapshot, and a part after that.
ok(wait_for_checkpoints($n / 3), 'checkpoints come');

my $catalog = size_of_catalog();

is_at_most(size_of('weir.progress'), 1024, 'weir.progress');
is_at_most(size_of('weir.state'), 4096, 'weir.state');

my $held = Weir::Session->new($node);

$held->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM v');
ok(wait_for_checkpoints($n / 3), 'so they do while a snapshot is held');

my %peak = map { $_ => size_of($_) } qw(weir.progress weir.state);
my $held_kb = $n / 3 * 6;    # a row and its arrays: less than 6 kB a checkpoint

is_at_most($peak{'weir.progress'}, 1024 + $held_kb, 'weir.progress, with the snapshot');
$held->query('COMMIT');
$held->finish;
ok(wait_for_checkpoints($n / 3), 'and after it');
is_at_most(size_of('weir.progress'), $peak{'weir.progress'} * 1.2 + 200, 'weir.progress, afterwards');
is_at_most(size_of('weir.state'), $peak{'weir.state'} * 1.2 + 1024, 'weir.state, afterwards');
is_at_most(size_of_catalog(), $catalog + 256, 'the catalog');
ok( wait_until($node, q{SELECT bool_and(n_dead_tup <= 1200) AND bool_or(autovacuum_count > 0) FROM pg_stat_all_tables WHERE schemaname = 'weir'}),
	'autovacuum knows of the tables, and keeps up');
diag(sprintf '%d checkpoints: weir.progress %d kB (%d with the snapshot), weir.state %d kB (%d)',
	checkpoints(), size_of('weir.progress'), $peak{'weir.progress'}, size_of('weir.state'), $peak{'weir.state'});
$producer->{handle}->signal('TERM');
finish_producer($producer);
sql($node, q{SELECT weir.flush('v', '2 min')});
is(sql($node, 'SELECT events FROM weir.status'), sql($node, 'SELECT count(*) FROM events'), 'each event was counted once');

done_testing();
