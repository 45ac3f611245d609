# Running totals: views without a window, on a real Kafka, with several ingest
# workers, against the same queries in batch; through restarts, kill -9 of the
# postmaster, and a view that begins while others run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use Weir::Oracle;
use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'",
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 3));
my $chunk = $ENV{WEIR_QUICK} ? 4_000 : 20_000;
my %views = (
	users => 'SELECT user_id, count(*) AS n, sum(amount) AS amount, min(page) AS page,'
	  . ' max(ts) AS newest FROM STREAM GROUP BY user_id',
	overall => 'SELECT count(*) AS n, avg(latency_ms), max(page) AS page FROM STREAM',
	begun_later => q{SELECT country, event_type, count(*) AS n, sum(latency_ms)
		FROM STREAM WHERE event_type <> 'debug' GROUP BY 1, 2 HAVING count(*) > 2});

sub create
{
	my ($run, $name) = @_;
	my $query = $views{$name} =~ s/STREAM/$run->{stream}/r;

	$run->{views}{$name} = { stream => $run->{stream},
		view => "$run->{stream}_$name", query => $query };
	sql($node, "SELECT weir.create_view('$run->{stream}_$name', \$\$ $query \$\$)");
	return;
}

sub check
{
	my ($run, $when) = @_;

	sql($node, "SELECT weir.flush('$run->{stream}', '120 s')");
	foreach my $name (sort keys %{ $run->{views} })
	{
		view_equals_batch($node, "$run->{stream}: $name, $when", %{ $run->{views}{$name} });
	}
	is(sql($node, "SELECT sum(late) FROM weir.status"), 0, "$run->{stream}: nothing is late, $when");
	return;
}

foreach my $seed ($ENV{WEIR_QUICK} ? 1 : (1, 2))
{
	my %run = (stream => "s$seed", topic => $kafka->new_topic("running$seed", 1 + 4 * $seed));
	my $chunks = 0;
	my $next = sub {
		return start_producer($kafka, $run{topic}, '--count', $chunk,
			'--seed', $seed * 100 + ++$chunks, '--out-of-order', 0.3, '--late', 0.1,
			'--malformed', 0.01, '--users', 3000);
	};

	setup_events($node, $kafka, $run{topic}, stream => $run{stream});
	create(\%run, 'users');
	create(\%run, 'overall');
	my $producer = $next->();
	crash($node);
	finish_producer($producer);
	check(\%run, 'after a crash');
	$producer = $next->();
	create(\%run, 'begun_later');
	$node->restart('fast');
	finish_producer($producer);
	$producer = $next->();
	wait_until($node, "SELECT sum(n) > $chunk FROM $run{views}{users}{view}");
	crash($node);
	finish_producer($producer);
	check(\%run, 'after another');
	sql($node, "SELECT weir.pause('s${seed}_users')");
	finish_producer($next->());
	sql($node, "SELECT weir.resume('s${seed}_users')");
	check(\%run, 'after a pause');
	is(sql($node, "SELECT count(*) FROM s${seed}_users_final"), 0, 'nothing is final');
	sql($node, "DROP FOREIGN TABLE $run{stream} CASCADE");
}

# Keys that live shortly: all of them together would take several times what the view may
# have, and those that live a hundredth.
my $dying = $ENV{WEIR_QUICK} ? 200_000 : 400_000;    # 1 ms apart
my $topic = $kafka->new_topic('dying', 1);

setup_events($node, $kafka, $topic, stream => 'd', options => { watermark_delay => '0', idle_timeout => '1 day' });
sql($node, q{SELECT weir.create_view('dying', 'SELECT user_id, count(*) AS n, min(ts) AS since FROM d GROUP BY 1',
	ttl => '1 second', memory_limit => '8 MB')});
produce($kafka, $topic, '--count', $dying, '--users', 50_000_000, '--start-time', '2024-01-01T00:00:00Z');
sql($node, q{SELECT weir.flush('dying', '170 s')});
is( sql($node, q{SELECT events, late, memory <= memory_limit FROM weir.status WHERE view_name = 'dying'::regclass}),
	"$dying|0|t", 'a view whose keys die keeps within its memory, and has read all');
is( sql($node, q{SELECT count(*) FROM (SELECT user_id FROM dying EXCEPT ALL SELECT DISTINCT user_id FROM d
		WHERE ts > timestamptz '2024-01-01' + interval '1 ms' * } . ($dying - 1_001) . q{) x}),
	0, 'of its keys those live that came in the last second');
is(sql($node, 'SELECT count(*) BETWEEN 900 AND 1000 FROM dying'), 't', 'all of those');

done_testing();
