# The crash matrix: every fault point, each hit by every kind of failure in the
# middle of work, on real Kafka.  The process at the point
#
#	error		raises
#	exit		ends
#	panic		is killed, and takes the server with it
#	backend		waits there, while another backend is killed
#	postmaster	loses its postmaster, and finds out by itself
#
# After each case everything that was produced is counted, once for each view,
# and everything runs again by itself; in the end views, counters and dead
# letters are what the oracle says.  The lines after __DATA__ are the points: how
# one gets there, at which passage it may be hit, and what an error does.
#
# WEIR_SEEDS="4 5 6": a round for each, with other passages and other messages;
# 'random' is four with random seeds (1).  WEIR_QUICK: panics only.  WEIR_POINTS:
# a regular expression that points have to match.
#
# Takes 220 s.

use strict;
use warnings;

use Time::HiRes qw(time);
use Weir::Test;

my @actions = $ENV{WEIR_QUICK} ? ('panic') : qw(error exit panic backend postmaster);
my @seeds = map { $_ eq 'random' ? map { int rand 1e6 } 1 .. 4 : $_ }
  split ' ', $ENV{WEIR_SEEDS} || 1;
my @points = map {
	my ($name, $how, $passages, $error) = split;
	{ name => $name, how => $how, passages => $passages, error => $error }
} grep { /\S/ } <DATA>;
if (my $only = $ENV{WEIR_POINTS})
{
	@points = grep { $_->{name} =~ /^(?:$only)$/ } @points;
}

my $chunk = 600;    # events a piece
my $rate = 2000;    # of event time and of both clocks

my $kafka = kafka();
my $topic = $kafka->new_topic('crash', 4);
my $node = cluster("weir.checkpoint_interval = '15 ms'",
	'weir.ingest_workers = ' . ($ENV{WEIR_WORKERS} // 2),
	'restart_after_crash = on', 'weir.batch_size = 50', 'fsync = off');
my $chunks = 0;
my $clock = 0;      # event time of the next piece, seconds

my %wide = (
	view => 'wide',
	window => "weir.tumble(ts, '2 seconds')",
	size => '2 seconds',
	query => q{SELECT weir.tumble(ts, '2 seconds') AS w, country, event_type, page, count(*) AS n,
		sum(amount) AS amount, min(session_id) AS session FROM events GROUP BY 1, 2, 3, 4});
my %narrow = (
	view => 'narrow',
	window => "weir.tumble(ts, '200 ms')",
	size => '200 ms',
	lateness => '1 second',
	failing => 'latency_ms % 50 = 0',
	query => q{SELECT weir.tumble(ts, '200 ms') AS w, count(*) AS n,
		sum(100 / (latency_ms % 50)) AS s FROM events GROUP BY 1});
my %control = (
	view => 'control',
	window => "weir.tumble(ts, '1 second')",
	size => '1 second',
	query => q{SELECT weir.tumble(ts, '1 second') AS w, level, count(*) AS n,
		max(latency_ms) AS latency, avg(latency_ms) AS mean, count(DISTINCT user_id) AS users
		FROM events GROUP BY 1, 2});
# Over that view.
my %over = (
	view => 'over',
	window => "weir.tumble(ts, '1 second')",
	size => '1 second',
	over => q{SELECT weir.tumble(w, '5 seconds') AS w, sum(n) AS n, max(latency) AS latency,
		avg(mean) AS mean, weir.merge(users) AS users FROM control GROUP BY 1},
	query => q{SELECT weir.tumble(weir.tumble(ts, '1 second'), '5 seconds') AS w, count(*)::numeric AS n,
		max(latency_ms) AS latency, avg(latency_ms) AS mean, count(DISTINCT user_id) AS users
		FROM events GROUP BY 1});
my %extra = (%control, view => 'extra');
# Without windows: each record is a row, in a lane of its own.
my %rows = (
	view => 'rows',
	query => 'SELECT part, off, ts, country, amount, 1 AS n FROM events');
# Windows that overlap, each event in two, with generic aggregates and sets of
# distinct values; sessions, which merge over the workers.
my %hops = (
	view => 'hops',
	windows => 2,
	window => "weir.hop(ts, '400 ms', '200 ms')",
	size => '400 ms',
	lateness => '300 ms',
	query => q{SELECT weir.hop(ts, '400 ms', '200 ms') AS w, country, count(*) AS n, count(DISTINCT page) AS pages,
		sum(amount::numeric) AS amount, bit_xor(latency_ms) AS latencies FROM events GROUP BY 1, 2});
my %visits = (
	view => 'visits',
	gap => '4 ms',
	query => q{SELECT weir.session(ts, '4 ms') AS s, country, count(*) AS n, max(page) AS page FROM events GROUP BY 1, 2});
my @views = (\%wide, \%narrow, \%control, \%over, \%hops, \%visits, \%rows);

sub create
{
	my ($v) = @_;

	$v->{watermark_delay} = '1 second';
	return "SELECT weir.create_view('$v->{view}', \$\$ " . ($v->{over} // $v->{query}) . " \$\$, lateness => '"
	  . ($v->{lateness} // '0') . "')";
}

# The next piece of the topic, in the background.
sub next_chunk
{
	my $start = $clock;

	$clock += $chunk / $rate;
	return start_producer($kafka, $topic, '--count', $chunk, '--rate', $rate, '--seed',
		++$chunks + $seeds[0], '--out-of-order', 0.1, '--late', 0.02, '--malformed', 0.01,
		'--start-time', sprintf('2024-01-%02dT%02d:%02d:%02d.%03dZ', 1 + $start / 86400,
			$start / 3600 % 24, $start / 60 % 60, $start % 60, $start * 1000 % 1000));
}

# --- is everything there? -----------------------------------------------------------

# Each event of the topic is counted in its windows, was late for them or is a dead
# letter.
my $sums = join ' UNION ALL ', map {
	"SELECT ((SELECT sum(n) FROM $_->{view}) + late) / " . ($_->{windows} // 1) . ".0::float8 + dead_letters FROM weir.status"
	  . " WHERE view_name = '$_->{view}'::regclass"
} @views;

sub status
{
	return patient_sql(q{
		SELECT string_agg(view_name || ' ' || state || ' events ' || events || ' late '
			|| late || ' dead ' || dead_letters || coalesce(' ' || error, ''), ', ')
		FROM weir.status});
}

# The same as sql, for a server that may be about to crash or to start.
sub patient_sql
{
	my ($statements) = @_;
	my $end = time + 180;
	my ($out, $err);

	do
	{
		# psql may be gone before it was told anything.
		($out, $err) = ('', 'psql has ended');
		eval {
			(undef, $out, $err) = $node->psql('postgres',
				"SET client_min_messages = error;\n$statements", on_error_stop => 1);
		};
	} while ($err ne '' && time < $end);
	diag("failed: $statements\n$err") if $err ne '';
	return $out;
}

# Also waits for a server that starts.  A view in error does not come back.
sub complete
{
	my ($name) = @_;
	my $end = time + 180;
	my $wanted = join "\n", ($chunks * $chunk) x @views;
	my ($out, $err);

	do
	{
		($out, $err) = ('', 'psql has ended');
		eval {
			(undef, $out, $err) = $node->psql('postgres',
				"SELECT weir.flush('events')\\g /dev/null\n$sums", on_error_stop => 1);
		};
	} while ($err ne '' && $err !~ /in error|is paused/ && time < $end);
	return is("$out$err", $wanted, "$name: every event is counted once")
	  || diag(status());
}

# --- how to come to a point -----------------------------------------------------------

my $restart = join ';', map { ("SELECT weir.pause('$_->{view}')", "SELECT weir.resume('$_->{view}')") } @views;
my $shared = q{SELECT count(DISTINCT lane) = 1 AND count(*) = 7 AND count(lane) = 7 FROM weir.status
	WHERE view_name <> 'rows'::regclass};

# before: done before the point is armed; do: in a session of its own, while the
# point is armed; done: whether the statement has happened; after: what the next
# case does not want.
my %how = (
	load => {},
	restart => { do => "BEGIN; $restart; COMMIT" },
	# Wait until a window of the last day has closed, and come to the next one.
	day => {
		before => sub {
			$clock = (int($clock / 86400) + 1) * 86400;
			finish_producer(next_chunk());
			$clock += 10;
		}
	},
	leave => { do => "SELECT weir.pause('control')" },
	pause => {
		do => "SELECT weir.pause('control')",
		done => "SELECT state = 'paused' FROM weir.views WHERE view = 'control'::regclass"
	},
	resume => {
		before => sub { sql($node, "SELECT weir.pause('control')") },
		do => "SELECT weir.resume('control')",
		done => "SELECT state = 'running' FROM weir.views WHERE view = 'control'::regclass"
	},
	reset => {
		before => sub { sql($node, "SELECT weir.pause('control')") },
		do => "SELECT weir.reset('control', 'earliest')",
		done => q{SELECT positions = '{}' FROM weir.progress JOIN weir.views ON id = progress.view
			WHERE weir.views.view = 'control'::regclass}
	},
	create => {
		do => create(\%extra),
		done => "SELECT to_regclass('extra') IS NOT NULL"
	},
	join => { do => create(\%extra) },
	drop => {
		before => sub { sql($node, create(\%extra)) },
		do => "SELECT weir.drop_view('extra')",
		done => "SELECT to_regclass('extra_final') IS NULL"
	},
	flush => { do => "SELECT weir.flush('events')" },
	read => { do => 'SELECT count(*) FROM wide' });

sub clean_up
{
	patient_sql(q{SELECT weir.resume(view) FROM weir.views WHERE state <> 'running';
		SELECT weir.drop_view(oid) FROM pg_class WHERE relname = 'extra'});
	return;
}

# --- one case ---------------------------------------------------------------------------

# Kill a backend that has nothing to do with it.
sub kill_other
{
	my ($other) = @_;

	kill 'KILL', $other->query('SELECT pg_backend_pid()');
	return;
}

sub run_case
{
	my ($p, $action, $nth) = @_;
	my $name = "$action at $p->{name}";
	my $how = $how{ $p->{how} };
	my $other = $action eq 'backend' ? Weir::Session->new($node) : undef;
	my ($session, $producer, $pid);

	$name .= " ($nth)" if $nth > 1;
	$how->{before}->() if $how->{before};
	$session = Weir::Session->new($node, on_error => 'return') if $how->{do};
	$session->query('SELECT 1') if $session;
	set_fault($node, $p->{name} => ($action eq 'backend' ? 'wait' : $action) . " $nth");
	$producer = next_chunk();
	$session->send($how->{do}) if $session;
	$pid = fault_reached($node);
	ok($pid, "$name: it happens") || diag(status());
	kill_other($other) if $pid && $other;
	diag(eval { $session->receive } // $@) if $session && !$pid;
	eval { $session->receive } if $session && $pid;
	finish_producer($producer);
	crash($node) if $action eq 'postmaster';
	clear_faults($node);
	if ($action eq 'error' && $p->{error} eq 'view')
	{
		ok(wait_until($node, "SELECT count(*) > 0 FROM weir.views WHERE state = 'error'"),
			"$name: a view stops");
	}
	elsif ($p->{how} =~ /^(?:load|restart|day|flush|read)$/)
	{
		is(patient_sql("SELECT count(*) FROM weir.views WHERE state <> 'running'"), 0,
			"$name: no view stops");
	}
	# A backend may still commit before it finds that the postmaster has gone.
	is(patient_sql($how->{done}), $p->{error} eq 'none' ? 't' : 'f',
		"$name: the statement has happened, or not")
	  if $how->{done} && ($action ne 'postmaster' || $p->{error} eq 'none');
	clean_up();
	return complete($name);
}

setup_events($node, $kafka, $topic,
	options => { watermark_delay => '1 second', idle_timeout => '1 day' });
sql($node, create($_)) foreach @views;
finish_producer(next_chunk());
complete('at first');

diag("seeds @seeds");
foreach my $seed (@seeds)
{
	my $n = $seed;

	foreach my $p (@points)
	{
		foreach my $action (@actions)
		{
			next if $p->{error} eq 'none' && $action =~ /^(?:error|exit)$/;
			run_case($p, $action, 1 + $n++ % $p->{passages});
		}
	}
}

# A view that joins the others when all is said and done.
sql($node, create(\%extra));
ok(wait_until($node, $shared), 'a view from the beginning joins the lane of the others')
  || diag(status());
push @views, { %extra, watermark_delay => '1 second' };
sql($node, "SELECT weir.flush('events')");

my $archive = archive_stream($node);

# Sessions in batch: an event that follows another one after the gap begins one.
sub batch_of_sessions
{
	return qq{
		SELECT tstzrange(min(ts), max(ts) + interval '$visits{gap}'), country, count(*), max(page)
		FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY country ORDER BY ts, part, off) AS number
			FROM (SELECT *, ts - lag(ts) OVER (PARTITION BY country ORDER BY ts, part, off) >= interval '$visits{gap}' AS begins
				FROM (SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off
						ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval '1 second' AS watermark
					FROM $archive) w
				WHERE watermark IS NULL OR ts >= watermark) b) s
		GROUP BY country, number};
}

foreach my $v (@views)
{
	if ($v->{gap})
	{
		my $ought = batch_of_sessions();

		is( sql($node, "SELECT (SELECT count(*) FROM (TABLE $v->{view} EXCEPT ALL ($ought)) d),"
				  . " (SELECT count(*) FROM (($ought) EXCEPT ALL TABLE $v->{view}) d)"),
			'0|0', "$v->{view} equals its query");
		next;
	}
	view_equals_batch($node, "$v->{view} equals its query", %$v, archive => $archive);
	next if !$v->{window};
	my ($late, $failed) = oracle_counts($node, %$v, archive => $archive);
	is( sql($node, "SELECT late FROM weir.status WHERE view_name = '$v->{view}'::regclass"),
		$late, "$v->{view}: late events");
	is( sql($node, "SELECT count(*) FROM weir.dead_letters WHERE view = '$v->{view}'::regclass"),
		$failed, "$v->{view}: dead letters of its own");
}
is( sql($node, 'SELECT count(*), count(DISTINCT (partition, "offset")) FROM weir.dead_letters WHERE view IS NULL'),
	join('|', ($chunks * $chunk - sql($node, "SELECT count(*) FROM $archive")) x 2),
	'dead letters of the stream, each once');
done_testing();

__DATA__
append-before-commit             load     5  view
append-committed                 load     5  lane
append-rows-written              load     5  view
checkpoint-after-commit          load     3  lane
checkpoint-before-commit         load     3  lane
checkpoint-before-marks          load     3  lane
checkpoint-before-settle         load     3  lane
checkpoint-chunks-freed          load     5  lane
checkpoint-final-written         load     5  view
checkpoint-letters-written       load     3  lane
checkpoint-partition-made        day      1  view
checkpoint-state-written         load     5  view
closed-before-unlink             load     1  lane
closed-unlinked                  load     1  lane
control-committed                pause    1  none
control-notified                 pause    1  none
coordinator-barrier-complete     load     3  lane
coordinator-before-barrier       load     3  lane
coordinator-before-release       leave    1  lane
coordinator-before-watermarks    load     3  lane
coordinator-last-checkpoint      join     1  lane
coordinator-view-released        leave    1  lane
coordinator-workers-started      restart  1  lane
create-view-stored               create   1  statement
drop-view-half                   drop     1  statement
flush-waiting                    flush    1  statement
ingest-acknowledged              load     3  lane
ingest-applied                   load     5  lane
ingest-before-publish            load     9  view
ingest-copied                    load     3  lane
ingest-decoded                   load     5  lane
ingest-fetched                   load     5  lane
ingest-frozen                    load     3  lane
ingest-prepared                  restart  1  lane
ingest-slice-copied              load     5  lane
ingest-view-applied              load     9  lane
ingest-view-left                 leave    1  lane
ingest-views-joined              join     1  lane
launcher-coordinator-registered  restart  1  process
launcher-lane-ended              restart  1  process
launcher-lane-released           restart  1  process
pause-stored                     pause    1  statement
read-slice-copied                read     1  statement
reset-stored                     reset    1  statement
resume-stored                    resume   1  statement
scanner-filled                   restart  1  process
scanner-loaded                   restart  1  process
setup-committed                  restart  1  lane
setup-planned                    restart  1  lane
setup-positions-known            restart  1  lane
setup-restored                   restart  3  view
setup-stored                     restart  3  view
setup-view-joining               join     1  lane
