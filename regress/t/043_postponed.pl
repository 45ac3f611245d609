# A transaction that is left open over a view, or a lock on its final table, holds
# up that view's checkpoints.  What it keeps in memory meanwhile is bounded; the
# others go on; afterwards all are exact.
#
# Takes 24 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.memory_limit = '16 MB'", "weir.checkpoint_interval = '20 ms'");
my $keys = 4000;
my $seconds = 0;
my %query;

setup_events($node, $kafka, $kafka->new_topic('unused', 1));

# A stream of its own, and two views in one lane: "held" has all keys, "other" none.
sub begin_views
{
	my ($topic, $size) = @_;

	$topic = $kafka->new_topic($topic, 1);
	%query = (
		held => "SELECT weir.tumble(ts, '$size') AS w, k, count(*) AS n,"
		  . ' sum(1000 / (k + 1)) AS s FROM s WHERE true GROUP BY 1, 2',
		other => "SELECT weir.tumble(ts, '$size') AS w, count(*) AS n FROM s GROUP BY 1");
	sql($node, qq{
		CREATE FOREIGN TABLE s (k bigint, ts timestamptz) SERVER kafka
			OPTIONS (topic '$topic', event_time 'ts', idle_timeout '1 day');
		SELECT weir.create_view('held', \$\$ $query{held} \$\$);
		SELECT weir.create_view('other', \$\$ $query{other} \$\$);
		SELECT weir.flush('s')});
	return;
}

sub end_views
{
	sql($node, q{SELECT weir.drop_view('held'), weir.drop_view('other');
		DROP FOREIGN TABLE s});
	return;
}

# Every key once more, a second later; in so many pieces.
sub add_events
{
	my (%o) = @_;
	my $first = $o{first} // 0;

	$seconds += $o{step} // 0;
	sql($node, "INSERT INTO s SELECT g, timestamptz '2024-01-01 00:00:00+00' + interval '$seconds s'"
		  . " FROM generate_series($first, $keys - 1) g");
	return;
}

sub memory
{
	my ($view) = @_;

	return sql($node, "SELECT memory FROM weir.status WHERE view_name = '$view'::regclass");
}

sub equals_query
{
	my ($when) = @_;

	foreach my $view (qw(held other))
	{
		my $batch = $query{$view} =~ s/true/k >= 0/r;

		is( sql($node, "SELECT (SELECT count(*) FROM (TABLE $view EXCEPT ALL ($batch)) d)"
				. " + (SELECT count(*) FROM (($batch) EXCEPT ALL TABLE $view) d)"),
			0, "$when: $view equals its query")
		  || diag(sql($node, 'TABLE weir.status'));
	}
	return;
}

# --- all groups change at every barrier ---------------------------------------------

begin_views('postponed', '1 hour');
add_events();
sql($node, "SELECT weir.flush('s')");
foreach my $end (qw(ROLLBACK COMMIT))
{
	my $s = Weir::Session->new($node);
	my $before = memory('held');
	my $most = 0;

	$s->query("BEGIN; SELECT weir.pause('held')");
	foreach my $i (1 .. 20)
	{
		my $now;

		add_events();
		sql($node, "SELECT weir.flush('other', '60 s')");
		$now = memory('held');
		$most = $now if $now > $most;
	}
	ok(wait_until($node, q{SELECT state = 'postponed' AND error = 'a transaction with a command for it is open'
			FROM weir.status WHERE view_name = 'held'::regclass}), "$end: it is said why");
	cmp_ok($most, '<', 3 * $before,
		"$end: what is not committed is at most one copy of the windows ($before, $most)");
	is(sql($node, 'SELECT n FROM other'), sql($node, 'SELECT n FROM other_query'),
		"$end: the other view goes on");
	$s->query($end);
	$s->finish;
	sql($node, "SELECT weir.resume('held')") if $end eq 'COMMIT';
	sql($node, "SELECT weir.flush('s', '60 s')");
	equals_query($end);
	$node->restart;
	sql($node, "SELECT weir.flush('s', '60 s')");
	equals_query("$end and a restart");
}
end_views();

# --- windows close that cannot be written -----------------------------------------------

# Records of k = -1 are dead letters of the view that is held up.
begin_views('closing', '1 s');
add_events(first => -1);
sql($node, "SELECT weir.flush('s')");

my $s = Weir::Session->new($node);
my $from = log_end($node);

$s->query('BEGIN; LOCK TABLE held_final IN SHARE MODE');
foreach my $i (1 .. 40)
{
	add_events(step => 1, first => -1);
}
ok(log_says($node, qr/"held" gives its memory back/, $from), 'the view leaves');
ok(wait_until($node, 'SELECT count(*) = 40 FROM other_final'), 'the other one goes on');
$s->query('ROLLBACK');
$s->finish;
# A flush has a snapshot, which would keep the windows in memory.
ok(wait_until($node, 'SELECT count(DISTINCT w) = 40 FROM held_final'), 'it comes back');
sql($node, "SELECT weir.flush('s', '120 s')");
equals_query('after windows closed');
is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = 'held'::regclass"),
	41, 'each dead letter once');

done_testing();
