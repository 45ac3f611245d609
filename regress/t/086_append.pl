# Append views on a real Kafka: the archive of a topic equals the topic, and what
# is filtered, projected and joined equals its query, over seeds of disorder and several
# ingest workers; through kill -9 of the worker and of the postmaster, restarts,
# a broker that hangs, locks on the table, and a reset.
#
# Takes 43 s.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Weir::Oracle;
use Weir::Test;

my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'weir.batch_size = 700',
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 2), 'restart_after_crash = on');
my $chunk = $ENV{WEIR_QUICK} ? 3_000 : 15_000;

# "good": what the oracle's query leaves out as well, since an expression fails.
my %views = (
	archive => { query => 'SELECT * FROM STREAM' },
	clicks => {
		query => q{SELECT part, off, upper(country) AS country, latency_ms * 2 AS twice,
			weir.tumble(ts, '10 s') AS w FROM STREAM WHERE event_type = 'click'}
	},
	failing => {
		query => 'SELECT user_id, 1000 / (latency_ms % 50) AS share FROM STREAM WHERE amount > 1',
		good => 'latency_ms % 50 <> 0'
	},
	enriched => {
		query => q{SELECT e.part, e.off, t.title, t.rank * e.latency_ms AS weight
			FROM STREAM e LEFT JOIN titles t ON t.code = e.country}
	},
	by_title => {
		query => q{SELECT t.title, count(*) AS n, sum(e.amount) AS amount
			FROM STREAM e JOIN titles t ON t.code = e.country AND e.latency_ms > t.rank GROUP BY 1}
	},
	none => { query => 'SELECT page FROM STREAM WHERE user_id < 0' });

sub create
{
	my ($run, $name) = @_;
	my $query = $views{$name}{query} =~ s/STREAM/$run->{stream}/r;
	my $view = "$run->{stream}_$name";

	sql($node, "SELECT weir.create_view('$view', \$\$ $query \$\$)");
	$query .= " AND $views{$name}{good}" if $views{$name}{good};
	$run->{views}{$name} = { stream => $run->{stream}, view => $view, query => $query };
	return;
}

sub check
{
	my ($run, $when) = @_;
	my $archive;

	sql($node, "SELECT weir.flush('$run->{stream}', '120 s')");
	$archive = archive_stream($node, stream => $run->{stream});
	foreach my $name (sort keys %{ $run->{views} })
	{
		view_equals_batch($node, "$run->{stream}: $name, $when",
			%{ $run->{views}{$name} }, archive => $archive, flush => 0);
	}
	is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = '$run->{stream}_failing'::regclass"),
		sql($node, "SELECT count(*) FROM $archive WHERE amount > 1 AND latency_ms % 50 = 0"),
		"$run->{stream}: each record that fails is a dead letter, once, $when");
	is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE stream = '$run->{stream}'::regclass AND view IS NULL"),
		$run->{produced} - sql($node, "SELECT count(*) FROM $archive"),
		"$run->{stream}: so is each that cannot be read, $when");
	is( sql($node, "SELECT DISTINCT events + dead_letters FROM weir.status WHERE stream = '$run->{stream}'::regclass"),
		$run->{produced}, "$run->{stream}: each view has counted each message, $when");
	return;
}

# kill -9 of a worker, which the server takes for a crash of itself.
sub kill_worker
{
	my $pid = sql($node, q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%' LIMIT 1});

	kill 'KILL', $pid;
	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	return;
}

# While nobody may write to the table, the view waits; the others go on.
sub lock_archive
{
	my ($run) = @_;
	my $session = Weir::Session->new($node);
	my $view = $run->{views}{archive}{view};

	$session->query("BEGIN; LOCK TABLE $view IN ACCESS EXCLUSIVE MODE");
	finish_producer($run->{next}->());
	ok(wait_until($node, "SELECT state = 'postponed' FROM weir.status WHERE view_name = '$view'::regclass"),
		"$run->{stream}: a view whose table is locked is postponed");
	sql($node, "SELECT weir.flush('$run->{views}{clicks}{view}')");
	$session->query('COMMIT');
	return;
}

$node->safe_psql('postgres', q{CREATE TABLE titles (code text, title text, rank int);
	INSERT INTO titles SELECT c, 'country ' || c, length(c) * 20
	FROM unnest('{US,DE,FR,GB,IN,BR}'::text[]) c});
foreach my $seed ($ENV{WEIR_QUICK} ? 1 : (1, 2))
{
	my %run = (stream => "s$seed", topic => $kafka->new_topic("append$seed", 1 + 3 * $seed),
		produced => 0);
	my $producer;

	$run{next} = sub {
		$run{produced} += $chunk;
		return start_producer($kafka, $run{topic}, '--count', $chunk,
			'--seed', $seed * 100 + $run{produced}, '--out-of-order', 0.3, '--late', 0.1,
			'--malformed', 0.01);
	};
	setup_events($node, $kafka, $run{topic}, stream => $run{stream});
	create(\%run, 'archive');
	create(\%run, 'clicks');
	create(\%run, 'failing');
	create(\%run, 'enriched');
	create(\%run, 'by_title');
	$producer = $run{next}->();
	wait_until($node, "SELECT count(*) > 100 FROM $run{views}{archive}{view}");
	crash($node);
	finish_producer($producer);
	$producer = $run{next}->();
	create(\%run, 'none');
	kill_worker();
	finish_producer($producer);
	check(\%run, 'after crashes');

	lock_archive(\%run);
	$producer = $run{next}->();
	$kafka->freeze;
	$node->restart('fast');
	$kafka->thaw;
	finish_producer($producer);
	check(\%run, 'after a lock, a restart and an outage');

	sql($node, "SELECT weir.pause('$run{views}{clicks}{view}')");
	$producer = $run{next}->();
	sql($node, "SELECT weir.reset('$run{views}{archive}{view}', 'earliest')");
	crash($node);
	sql($node, "SELECT weir.resume('$run{views}{clicks}{view}')");
	finish_producer($producer);
	check(\%run, 'after a reset and a crash');
	sql($node, "DROP FOREIGN TABLE $run{stream} CASCADE");
}

done_testing();
