# Messages of several records count exactly once: through crashes between batches
# that end amid a message, and where a view stops amid one since its memory is
# full, which is then what is committed.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'weir.batch_size = 7', 'weir.ingest_workers = 2');
my $address = $kafka->address;

$node->safe_psql('postgres', qq{
	CREATE EXTENSION weir;
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '$address');
	CREATE FUNCTION at(s float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE
		RETURN timestamptz '2024-01-01 00:00:00+00' + s * interval '1 second';
});

# A stream NAME that reads messages of several records, and NAME_raw that writes
# them.
sub streams
{
	my ($name, $partitions) = @_;
	my $topic = $kafka->new_topic($name, $partitions);

	$node->safe_psql('postgres', qq{
		CREATE FOREIGN TABLE $name (id int NOT NULL, k text, ts timestamptz)
			SERVER kafka OPTIONS (topic '$topic', event_time 'ts', records 'auto', idle_timeout '1 day');
		CREATE FOREIGN TABLE ${name}_raw (message text, part int OPTIONS (metadata 'partition'))
			SERVER kafka OPTIONS (topic '$topic', format 'raw');
	});
	return;
}

sub equal
{
	my ($view, $name) = @_;

	sql($node, "SELECT weir.flush('$view', '120 s')");
	is(sql($node, "SELECT (SELECT count(*) FROM (SELECT * FROM $view EXCEPT ALL SELECT * FROM ${view}_query) a),"
		  . " (SELECT count(*) FROM (SELECT * FROM ${view}_query EXCEPT ALL SELECT * FROM $view) b)"),
		'0|0', $name);
	return;
}

# 1. crashes; messages of 1 to 20 records, lines and arrays in turn, each seventh
# of which has a bad one.  Times ascend, so that nothing is late.
streams('events', 3);
$node->safe_psql('postgres', q{
	SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, k, count(*), sum(id) AS ids FROM events GROUP BY 1, 2 $$);
	CREATE FUNCTION message(m int) RETURNS text LANGUAGE sql AS $$
		SELECT CASE WHEN m % 2 = 0 THEN '[' || string_agg(r, ', ' ORDER BY i) || ']' ELSE string_agg(r, E'\n' ORDER BY i) END
		FROM (SELECT i, CASE WHEN m % 7 = 0 AND i = 1 THEN '{"id": null}'
				ELSE json_build_object('id', m * 100 + i, 'k', 'k' || i % 5, 'ts', at(m + i / 100.0))::text END AS r
			FROM generate_series(0, m % 20) i) d $$;
});
foreach my $round (0 .. 3)
{
	set_fault($node, 'ingest-view-applied' => 'exit 30') if $round == 1;
	sql($node, "INSERT INTO events_raw SELECT message(m), m % 3 FROM generate_series($round * 200 + 1, $round * 200 + 200) m");
	if ($round == 1)
	{
		ok(fault_reached($node), 'a worker ends amid a message');
		clear_faults($node);
	}
	else
	{
		crash($node);
	}
}
equal('v', 'each record counts once');
is(sql($node, 'SELECT sum(count) FROM v'),
	sql($node, 'SELECT sum(m % 20 + 1) - count(*) FILTER (WHERE m % 7 = 0 AND m % 20 > 0) FROM generate_series(1, 800) m'),
	'and all of them do');
is(sql($node, 'SELECT count(*) FROM weir.dead_letters'),
	sql($node, 'SELECT count(*) FROM generate_series(1, 800) m WHERE m % 7 = 0 AND m % 20 > 0'),
	'each bad one is one dead letter');
is(sql($node, q{SELECT sum(dead_letters) FROM weir.partitions WHERE view_name = 'v'::regclass}),
	sql($node, 'SELECT count(*) FROM weir.dead_letters'), 'as the counters say');

# 2. a message with more groups than the view has memory for
streams('large', 1);
sql($node, q{SELECT weir.create_view('l', $$ SELECT weir.tumble(ts, '1 hour') AS w, k, count(*), sum(id) AS ids FROM large GROUP BY 1, 2 $$,
	memory_limit => '1 MB')});
sql($node, q{INSERT INTO large_raw SELECT string_agg(json_build_object('id', i, 'k', 'group ' || i, 'ts', at(i / 10.0))::text, E'\n' ORDER BY i), 0
	FROM generate_series(1, 9000) i});
my $amid = q{SELECT positions = '{0}' AND records[1] BETWEEN 1 AND 8999 FROM weir.progress
	WHERE view = (SELECT id FROM weir.views WHERE view = 'l'::regclass)};
ok(wait_until($node, $amid), 'a view without memory commits a part of a message')
  || diag(sql($node, 'TABLE weir.status'));
# (What commits after it takes it to disk.)
sql($node, 'CREATE TABLE durable ()');
crash($node);
is(sql($node, $amid), 't', 'and still has it after a crash');
sql($node, q{SELECT weir.set_memory_limit('l', NULL)});
sql($node, q{SELECT weir.resume('l')});
sql($node, q{INSERT INTO large_raw SELECT json_build_object('id', i, 'k', 'group ' || i, 'ts', at(i))::text, 0 FROM generate_series(1, 100) i});
equal('l', 'it goes on amid the message');
is(sql($node, 'SELECT sum(count) FROM l'), 9100, 'and counts each record once');
is(sql($node, q{SELECT "position", events FROM weir.partitions WHERE view_name = 'l'::regclass}), '101|9100', 'position and counter say so');

done_testing();
