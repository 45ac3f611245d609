# Aggregates through their own functions, with DISTINCT, and of extensions, under
# load: small batches, so that states are alive over many of them; transition
# functions that raise amid batches; crashes of the server and of workers; one and
# two workers; a cache that holds no state; a dump that is restored; a limit that is
# met.  Every view against the batch oracle.
#
# Takes 36 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster('weir.batch_size = 100', "weir.checkpoint_interval = '200 ms'", 'fsync = off', 'restart_after_crash = on');
my $dir = PostgreSQL::Test::Utils::tempdir();

# A user's own with an internal state, and one that must not see 97.
my $own = q{
	CREATE AGGREGATE own_numeric(numeric) (sfunc = numeric_avg_accum, stype = internal, combinefunc = numeric_avg_combine,
		serialfunc = numeric_avg_serialize, deserialfunc = numeric_avg_deserialize, finalfunc = numeric_avg);
	CREATE FUNCTION append(text[], text) RETURNS text[] LANGUAGE sql IMMUTABLE AS 'SELECT array_append($1, $2)';
	CREATE FUNCTION sorted(text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS 'SELECT array_agg(x ORDER BY x) FROM unnest($1) x';
	CREATE AGGREGATE all_of(text) (sfunc = append, stype = text[], combinefunc = array_cat, finalfunc = sorted, initcond = '{}');
};
my %query = (
	states => q{SELECT weir.tumble(ts, '10 seconds') AS w, country, own_numeric(latency_ms) AS a, weir.topk(page, 3) AS pages, all_of(level) AS levels,
		weir.first(page, ts) AS first, weir.last(event_id, ts) AS last, count(*) AS n FROM STREAM GROUP BY 1, 2},
	sets => q{SELECT weir.tumble(ts, '10 seconds') AS w, event_type, count(DISTINCT user_id) AS users, sum(DISTINCT latency_ms) AS s,
		array_agg(DISTINCT page) AS pages, count(DISTINCT session_id) FILTER (WHERE amount > 1) AS f FROM STREAM GROUP BY 1, 2},
	# k is 0 for some, which raises in the transition of an internal state
	failing => q{SELECT weir.tumble(ts, '10 seconds') AS w, country, weir.topk(page, CASE WHEN latency_ms % 17 = 0 THEN 0 ELSE 3 END) AS pages,
		own_numeric(latency_ms) AS a, count(DISTINCT user_id) AS users, max(page) AS m, count(*) AS n FROM STREAM GROUP BY 1, 2},
	hops => q{SELECT weir.tumble(ts, '1 hour') AS w, own_numeric(latency_ms) AS a, count(DISTINCT user_id) AS users, weir.topk(user_id, 5) AS top FROM STREAM GROUP BY 1});
my %size = (states => '10 seconds', sets => '10 seconds', failing => '10 seconds', hops => '1 hour');

sub has_extension
{
	my ($name) = @_;

	return sql($node, "SELECT count(*) FROM pg_available_extensions WHERE name = '$name'");
}

sub add_events
{
	my ($run, $count, @more) = @_;
	my $s = $run->{seconds};

	$run->{seconds} += 4;
	return ($kafka, $run->{topic}, '--count', $count, '--seed', 11 + $s, '--users', 500, '--out-of-order', 0.1, '--late', 0.02,
		'--start-time', sprintf('2024-01-01T00:%02d:%02dZ', $s / 60, $s % 60), @more);
}

sub holds_batch
{
	my ($run, $when) = @_;

	sql($node, "SELECT weir.flush('$run->{stream}', '180 s')");
	my $archive = archive_stream($node, stream => $run->{stream});
	foreach my $name (sort keys %query)
	{
		view_equals_batch($node, "$run->{stream}, $when: $name equals its query",
			view => "$run->{stream}_$name", query => $query{$name} =~ s/STREAM/$run->{stream}/r,
			window => "weir.tumble(ts, '$size{$name}')", size => $size{$name},
			stream => $run->{stream}, watermark_delay => '5 seconds', archive => $archive, flush => 0,
			$name eq 'failing' ? (failing => 'latency_ms % 17 = 0') : ());
	}
	return;
}

my %disturb = (
	'1 nothing' => sub { },
	'2 crash' => sub { crash($node) },
	'3 worker' => sub {
		sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%'});
	},
	'4 no cache' => sub { sql($node, q{ALTER SYSTEM SET weir.aggregate_cache = '64 kB'}); $node->reload },
	'5 crash without' => sub { crash($node) });

setup_events($node, $kafka, $kafka->new_topic('unused', 1));
sql($node, $own);
foreach my $workers (1, 2)
{
	my %run = (stream => "s$workers", topic => $kafka->new_topic("aggregates$workers", 4), seconds => 0);

	sql($node, q{ALTER SYSTEM RESET weir.aggregate_cache});
	$node->reload;
	setup_events($node, $kafka, $run{topic}, stream => $run{stream}, options => { idle_timeout => '1 day', workers => $workers });
	sql($node, "SELECT weir.create_view('$run{stream}_$_', \$\$" . ($query{$_} =~ s/STREAM/$run{stream}/r) . '$$)') foreach sort keys %query;
	foreach my $what (sort keys %disturb)
	{
		my $producer = start_producer(add_events(\%run, 6000));

		wait_until($node, "SELECT sum(events) > 0 FROM weir.status WHERE stream = '$run{stream}'::regclass");
		$disturb{$what}->();
		finish_producer($producer);
		holds_batch(\%run, $what);
	}
	is(sql($node, "SELECT count(*) > 0 FROM weir.dead_letters WHERE view = '$run{stream}_failing'::regclass"), 't', "$run{stream}: rows have failed");
	is(sql($node, "SELECT count(*) FROM weir.dead_letters WHERE stream = '$run{stream}'::regclass AND view <> '$run{stream}_failing'::regclass"),
		0, "$run{stream}: in one view only");
	sql($node, "SELECT weir.pause('$run{stream}_$_')") foreach sort keys %query;
}

# --- a dump ---------------------------------------------------------------------

my $open = sql($node, 'TABLE s1_sets_open ORDER BY 1, 2');
my $states = sql($node, 'TABLE s1_states_open ORDER BY 1, 2');

$node->command_ok([ 'pg_dump', '-f', "$dir/dump", $node->connstr('postgres') ], 'pg_dump');
sql($node, 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump", '-d', $node->connstr('restored') ], 'restored');
is(sql($node, 'TABLE s1_sets_open ORDER BY 1, 2', 'restored'), $open, 'sets are taken over');
is(sql($node, 'TABLE s1_states_open ORDER BY 1, 2', 'restored'), $states, 'states are taken over');
sql($node, "SELECT weir.resume('s1_$_'); SELECT weir.flush('s1_$_')", 'restored') foreach qw(sets states);
is(sql($node, 'TABLE s1_sets_open ORDER BY 1, 2', 'restored'), $open, 'and go on');
sql($node, 'DROP DATABASE restored WITH (FORCE)');

# --- extensions -----------------------------------------------------------------

SKIP:
{
	skip 'no hll or tdigest', 3 if !has_extension('hll') || !has_extension('tdigest');
	my %run = (stream => 'x', topic => $kafka->new_topic('extensions', 4), seconds => 0);

	sql($node, 'CREATE EXTENSION hll; CREATE EXTENSION tdigest');
	setup_events($node, $kafka, $run{topic}, stream => 'x', options => { idle_timeout => '1 day', workers => 2 });
	sql($node, q{SELECT weir.create_view('sketches', $$ SELECT weir.tumble(ts, '1 hour') AS w, country, hll_cardinality(hll_add_agg(hll_hash_bigint(user_id))) AS users,
		hll_union_agg(hll_add(hll_empty(), hll_hash_text(page))) AS pages, tdigest_percentile(latency_ms, 200, 0.9) AS p90, tdigest_percentile(latency_ms, 200, ARRAY[0.1, 0.5]) AS some, count(*) AS n
		FROM x GROUP BY 1, 2 $$)});
	my $producer = start_producer(add_events(\%run, 20000, '--late', 0));
	wait_until($node, q{SELECT events > 0 FROM weir.status WHERE view_name = 'sketches'::regclass});
	crash($node);
	finish_producer($producer);
	sql($node, q{SELECT weir.flush('x', '180 s')});
	is(sql($node, q{SELECT events, late FROM weir.status WHERE view_name = 'sketches'::regclass}), '20000|0', 'all events are in the sketches');
	is(sql($node, 'SELECT count(*) FROM (SELECT w, country, users, pages::text, n FROM sketches EXCEPT ALL SELECT w, country, users, pages::text, n FROM sketches_query) d'), 0, 'hll');
	is(sql($node, q{SELECT count(*) FROM sketches v JOIN sketches_query q USING (w, country)
		WHERE abs(v.p90 / q.p90 - 1) > 0.1 OR abs(v.some[2] / q.some[2] - 1) > 0.1}), 0, 'tdigest, as near as it is');
	sql($node, q{SELECT weir.pause('sketches')});
}

# --- the limit ------------------------------------------------------------------

# A set that does not fit stops its view, with the reason, and nothing else.
my $topic = $kafka->new_topic('limit', 1);

sql($node, "CREATE FOREIGN TABLE wide (k text, ts timestamptz) SERVER kafka OPTIONS (topic '$topic', event_time 'ts')");
sql($node, q{SELECT weir.create_view('big', $$ SELECT weir.tumble(ts, '1 hour') AS w, count(DISTINCT k) AS d FROM wide GROUP BY 1 $$, memory_limit => '1 MB', on_memory_limit => 'error');
	SELECT weir.create_view('small', $$ SELECT weir.tumble(ts, '1 hour') AS w, count(*) AS n FROM wide GROUP BY 1 $$)});
sql($node, q{INSERT INTO wide SELECT repeat('x', 100) || g, timestamptz '2024-01-01 00:00:01+00' FROM generate_series(1, 20000) g});
ok(wait_until($node, q{SELECT state = 'error' FROM weir.status WHERE view_name = 'big'::regclass}), 'a set beyond the limit stops its view');
like(sql($node, q{SELECT error FROM weir.status WHERE view_name = 'big'::regclass}), qr/memory_limit/, 'and says so');
sql($node, q{SELECT weir.flush('small')});
is(sql($node, 'SELECT n FROM small'), 20000, 'the other view goes on');
sql($node, q{SELECT weir.set_memory_limit('big', '64 MB'); SELECT weir.resume('big'); SELECT weir.flush('big')});
is(sql($node, 'SELECT d FROM big'), 20000, 'with more it goes on, and nothing is lost');

done_testing();
