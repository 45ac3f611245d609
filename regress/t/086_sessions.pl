# Sessions on a real Kafka, with several ingest workers, against gaps and islands
# over an archive of the topic, late data included; through kill -9 of the
# postmaster and restarts.

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
my $chunk = $ENV{WEIR_QUICK} ? 4_000 : 10_000;    # 1 ms apart
my %views = (
	users => { gap => '300 ms', lateness => '0', key => 'user_id' },
	patient => { gap => '2 seconds', lateness => '1 second', key => 'user_id' },
	countries => { gap => '20 ms', lateness => '500 ms', key => 'country' });
# Running totals with a time to live: each key's last session, while it is open.
my %totals = (
	visits => { gap => '300 ms', lateness => '0', key => 'user_id' },
	lately => { gap => '20 ms', lateness => '500 ms', key => 'country' });

# The sessions of a view as they must be, over an archive.
sub sessions
{
	my ($v, $archive) = @_;

	return qq{
		SELECT tstzrange(min(ts), max(ts) + interval '$v->{gap}') AS session, $v->{key} AS key,
			count(*), sum(latency_ms), min(page)
		FROM (SELECT *, count(*) FILTER (WHERE begins) OVER
				(PARTITION BY $v->{key} ORDER BY ts, part, off) AS number
			FROM (SELECT *, ts - lag(ts) OVER (PARTITION BY $v->{key} ORDER BY ts, part, off)
					>= interval '$v->{gap}' AS begins
				FROM (SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off
						ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
						- interval '1 second' AS watermark
					FROM $archive) w
				WHERE watermark IS NULL OR ts >= watermark - interval '$v->{lateness}') b) s
		GROUP BY $v->{key}, number};
}

sub check
{
	my ($stream, $when) = @_;
	my $archive;

	sql($node, "SELECT weir.flush('$stream', '120 s')");
	$archive = archive_stream($node, stream => $stream);
	foreach my $name (sort keys %views)
	{
		my $is = "TABLE ${stream}_$name";
		my $ought = sessions($views{$name}, $archive);

		is( sql($node, "SELECT (SELECT count(*) FROM ($is EXCEPT ALL ($ought)) d),"
				  . " (SELECT count(*) FROM (($ought) EXCEPT ALL $is) d)"),
			'0|0', "$stream: $name, $when");
	}
	foreach my $name (sort keys %totals)
	{
		my $v = $totals{$name};
		my $is = "TABLE ${stream}_$name";
		my $ought = qq{SELECT key, count, sum, min FROM (SELECT DISTINCT ON (key) * FROM (}
		  . sessions($v, $archive)
		  . qq{) s ORDER BY key, session DESC) l WHERE upper(session) + interval '$v->{lateness}'
			> (SELECT closed_upto FROM weir.status WHERE view_name = '${stream}_$name'::regclass)};

		is( sql($node, "SELECT (SELECT count(*) FROM ($is EXCEPT ALL ($ought)) d),"
				  . " (SELECT count(*) FROM (($ought) EXCEPT ALL $is) d)"),
			'0|0', "$stream: totals $name with a time to live, $when");
	}
	return;
}

foreach my $seed ($ENV{WEIR_QUICK} ? 1 : (1, 2))
{
	my $stream = "s$seed";
	my $topic = $kafka->new_topic("sessions$seed", 4);
	my $chunks = 0;
	my $next = sub {
		my $ms = $chunks * $chunk;

		return start_producer($kafka, $topic, '--count', $chunk, '--rate', $chunk / 2,
			'--seed', $seed * 100 + ++$chunks, '--out-of-order', 0.2, '--late', 0.05,
			'--users', 300, '--start-time',
			sprintf('2024-01-01T00:%02d:%02d.%03dZ', $ms / 60_000, $ms / 1000 % 60, $ms % 1000));
	};

	setup_events($node, $kafka, $topic, stream => $stream,
		options => { watermark_delay => '1 second', idle_timeout => '1 day' });
	foreach my $name (sort keys %views)
	{
		my $v = $views{$name};
		my $window = "weir.session(ts, '$v->{gap}')";

		sql($node, "SELECT weir.create_view('${stream}_$name', \$\$ SELECT $window AS session,"
			  . " $v->{key} AS key, count(*), sum(latency_ms), min(page) FROM $stream"
			  . " GROUP BY 1, 2 \$\$, lateness => '$v->{lateness}')");
	}
	foreach my $name (sort keys %totals)
	{
		my $v = $totals{$name};

		sql($node, "SELECT weir.create_view('${stream}_$name', \$\$ SELECT $v->{key} AS key, count(*),"
			  . " sum(latency_ms), min(page) FROM $stream GROUP BY 1 \$\$,"
			  . " lateness => '$v->{lateness}', ttl => '$v->{gap}')");
	}
	for my $round (1 .. 3)
	{
		my $producer = $next->();

		wait_until($node, "SELECT count(*) > 0 FROM ${stream}_users");
		$round == 2 ? $node->restart('fast') : crash($node);
		finish_producer($producer);
		check($stream, "round $round");
	}
	cmp_ok(sql($node, "SELECT count(*) FROM ${stream}_users_final"), '>', 0, 'some are final');
	cmp_ok(sql($node, "SELECT count(*) FROM ${stream}_visits"), '>', 0, 'some totals live');
	is(sql($node, "SELECT count(*) FROM ${stream}_visits_final"), 0, 'none is ever final');
	cmp_ok(sql($node, "SELECT sum(late) FROM weir.status"), '>', 0, 'some events were late');
	sql($node, "DROP FOREIGN TABLE $stream CASCADE");
}

done_testing();
