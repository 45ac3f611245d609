
# Weir::Test - what the TAP tests are made of
#
#   use Weir::Test;
#
#   my $kafka = kafka();                           # shared by all test files
#   my $topic = $kafka->new_topic('events', 12);
#   my $node = cluster("weir.checkpoint_interval = '100 ms'");
#   setup_events($node, $kafka, $topic);
#   $node->safe_psql('postgres', q{SELECT weir.create_view(...)});
#   produce($kafka, $topic, '--count', 100000, '--late', 0.01);
#   view_equals_batch($node, 'after a restart', view => ..., query => ...);
#   done_testing();
#
# A cluster is a PostgreSQL::Test::Cluster: stop, start, restart, psql ...
# Everything ends with the test file.  A BROKER is a Weir::Broker or host:port.

package Weir::Test;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Weir::Broker;
use Weir::Oracle;
use Weir::Session;

our @EXPORT = (
	qw(cluster crash setup_events events_view events_counted kafka start_kafka start_broker produce
	  start_producer finish_producer hold_transaction end_transaction
	  wait_until sql log_end log_says
	  set_fault fault_reached release_fault clear_faults),
	@Weir::Oracle::EXPORT,
	@Test::More::EXPORT);

# For how long to wait, in seconds, for what has to come: another test runs beside
# this one, and the machine may be busy with more.
my $patience = 180;

my $clusters = 0;

# cluster(@lines): a new server with Weir, started.  @lines go to its
# configuration; WEIR_WORKERS in the environment sets weir.ingest_workers.
sub cluster
{
	my (@lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new('weir' . ++$clusters);

	$node->init;
	$node->append_conf('postgresql.conf', join "\n",
		"shared_preload_libraries = 'weir'",
		'max_worker_processes = 32',
		"weir.memory_limit = '256 MB'",
		'log_statement = none',
		'log_connections = off',
		'log_disconnections = off',
		$ENV{WEIR_WORKERS} ? "weir.ingest_workers = $ENV{WEIR_WORKERS}" : (),
		@lines, '');
	$node->start;
	return $node;
}

# crash($node): kill -9 of the postmaster, and a start, as soon as the processes
# that it left behind have noticed and gone.
sub crash
{
	my ($node) = @_;
	my $pid = $node->{_pid};
	my $end = time + $patience;

	$node->kill9;
	sleep 0.01 while kill(0, $pid) && time < $end;
	until ($node->start(fail_ok => 1))
	{
		croak 'the server did not start again after a crash' if time > $end;
		$node->{_pid} = undef;
		sleep 0.1;
	}
	return;
}

# setup_events($node, BROKER, $topic, %options): the extension, the server
# "kafka" and a stream with all columns of weir-producer's events.
#
#   stream    its name                    (events)
#   options   its options, a hash, with   (watermark_delay => '5 seconds')
#   dbname    the database                (postgres)
sub setup_events
{
	my ($node, $broker, $topic, %o) = @_;
	my $address = _address($broker);
	my $stream = $o{stream} // 'events';
	my %options = (
		topic => $topic,
		format => 'json',
		event_time => 'ts',
		watermark_delay => '5 seconds',
		%{ $o{options} // {} });
	my $options = join ', ',
	  map { "$_ '" . ($options{$_} =~ s/'/''/gr) . "'" }
	  grep { defined $options{$_} } sort keys %options;

	$node->safe_psql(
		$o{dbname} // 'postgres', qq{
		SET client_min_messages = warning;
		CREATE EXTENSION IF NOT EXISTS weir;
		CREATE SERVER IF NOT EXISTS kafka FOREIGN DATA WRAPPER weir
			OPTIONS (bootstrap_servers '$address');
		CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER kafka;
		CREATE FOREIGN TABLE $stream (
			event_id text, event_type text, user_id bigint, session_id text,
			page text, country text, amount float8, latency_ms int,
			ts timestamptz, level text,
			part int OPTIONS (metadata 'partition'),
			off bigint OPTIONS (metadata 'offset')
		) SERVER kafka OPTIONS ($options);
	});
	return;
}

# events_view($node, BROKER, $topic, %options): a stream and a view on it, in
# windows of 10 seconds; returns what the oracle wants to know of them.
#
#   stream      the stream's name; the view's has "_v" behind it    (events)
#   options     of the stream         (idle_timeout => '1 day', and as above)
#   lateness                                                             (0)
#   aggregates  beside count(*) AS n                 (sum(amount) AS amount)
sub events_view
{
	my ($node, $broker, $topic, %o) = @_;
	my $stream = $o{stream} // 'events';
	my $size = '10 seconds';
	my $window = "weir.tumble(ts, '$size')";
	my $aggregates = $o{aggregates} // 'sum(amount) AS amount';
	my %v = (
		stream => $stream,
		view => "${stream}_v",
		window => $window,
		size => $size,
		watermark_delay => '5 seconds',
		lateness => $o{lateness} // '0',
		query => "SELECT $window AS w, country, count(*) AS n, $aggregates"
		  . " FROM $stream GROUP BY 1, 2");

	setup_events($node, $broker, $topic, stream => $stream,
		options => { idle_timeout => '1 day', %{ $o{options} // {} } });
	sql($node, "SELECT weir.create_view('$v{view}', \$\$ $v{query} \$\$,"
		  . " lateness => '$v{lateness}')");
	return \%v;
}

# events_counted($node, $v): events of such a view, from its windows and the counter of
# late ones.
sub events_counted
{
	my ($node, $v) = @_;

	return sql($node, "SELECT (SELECT coalesce(sum(n), 0) FROM $v->{view}) + late FROM weir.status"
		  . " WHERE view_name = '$v->{view}'::regclass");
}

# The real Kafka that all test files share; one of its own; the mock.
sub kafka { return Weir::Broker->shared_kafka }
sub start_kafka { return Weir::Broker->start_kafka(@_) }
sub start_broker { return Weir::Broker->start_mock(@_) }

sub _address
{
	my ($broker) = @_;

	return ref $broker ? $broker->address : $broker;
}

sub _producer
{
	my ($broker, $topic, @args) = @_;

	return [
		Weir::Broker::root() . '/producer/weir-producer',
		'--brokers', _address($broker), '--topic', $topic, '--quiet', @args
	];
}

# produce(BROKER, $topic, @args): run weir-producer to its end; dies unless
# every message was delivered.
sub produce
{
	my (@args) = @_;

	finish_producer(start_producer(@args));
	return;
}

# start_producer(BROKER, $topic, @args): the same in the background;
# finish_producer waits for its end, and dies likewise.
sub start_producer
{
	my (@args) = @_;
	my $p = { command => _producer(@args), output => '' };

	$p->{handle} = IPC::Run::start($p->{command}, '<', \undef, '&>', \$p->{output});
	return $p;
}

sub finish_producer
{
	my ($p) = @_;

	$p->{handle}->finish
	  or croak "@{$p->{command}}: exit status "
	  . $p->{handle}->result . ": $p->{output}";
	return;
}

# hold_transaction($kafka, $topic, @args): an event in a transaction that stays
# open, and is in the topic's log when this returns; end_transaction commits
# it, or aborts it if @args has '--abort' => 1.  Kafka aborts it by itself after
# ten minutes.
sub hold_transaction
{
	my ($kafka, $topic, @args) = @_;
	my $before = $kafka->end_of_topic($topic);
	my $end = time + $patience;
	my $p = start_producer($kafka, $topic, '--transaction', 1_000_000_000,
		'--rate', 1e-6, '--timeout', 600, @args);

	until ($kafka->end_of_topic($topic) > $before)
	{
		croak "no event came of a transaction: $p->{output}" if time > $end;
		sleep 0.1;
	}
	return $p;
}

sub end_transaction
{
	my ($p) = @_;

	$p->{handle}->signal('TERM');
	finish_producer($p);
	return;
}

# sql($node, $statements, $dbname): run them, without notices and warnings;
# returns their rows.  Dies at an error, and says which.
sub sql
{
	my ($node, $statements, $dbname) = @_;
	my ($status, $out, $err) = $node->psql($dbname // 'postgres',
		"SET client_min_messages = error;\n$statements", on_error_stop => 1);

	return $out if $status == 0;
	diag("failed: $statements\n$err");
	croak 'a statement failed';
}

# log_end($node): where the server's log ends now, for log_says.
sub log_end
{
	my ($node) = @_;

	return -s $node->logfile;
}

# log_says($node, $regexp, $from, $timeout): wait until the log, from there on,
# has it, at most $timeout seconds (180).  Returns whether it did.
sub log_says
{
	my ($node, $regexp, $from, $timeout) = @_;
	my $end = time + ($timeout // $patience);
	my $found;

	do
	{
		$found = slurp_file($node->logfile, $from) =~ $regexp;
		sleep 0.02 if !$found;
	} while (!$found && time < $end);
	return $found;
}

# wait_until($node, $query, $timeout, $dbname): until the query returns t, at
# most $timeout seconds (180).  Errors, such as those of a server that starts,
# count as not yet.  Returns whether it did, and says what it got instead.
sub wait_until
{
	my ($node, $query, $timeout, $dbname) = @_;
	my $end = time + ($timeout // $patience);
	my ($out, $err);

	do
	{
		(undef, $out, $err) = $node->psql($dbname // 'postgres', $query);
		return 1 if defined $out && $out eq 't';
		sleep 0.05;
	} while (time < $end);
	diag("timed out waiting for: $query\nlast output: $out\nlast error: $err");
	return 0;
}

# set_fault($node, $point => $action): from now on every process of the server
# that comes by the named fault point does what the action says: 'panic' (kill
# -9), 'exit', 'error', 'wait' or 'postmaster' (kill -9 of it); 'panic 3' the
# third time only that a process comes by.  docs/development.md has the points.
# clear_faults ends that, and releases who waits.
sub set_fault
{
	my ($node, %faults) = @_;
	my $file = $node->data_dir . '/weir_faults';

	append_to_file("$file.new",
		join '', map { "$_ $faults{$_}\n" } sort keys %faults);
	rename "$file.new", $file or croak "cannot rename $file.new: $!";
	return;
}

# fault_reached($node, $timeout): wait until a process is at an armed point, at
# most $timeout seconds (180).  Returns its process id, or nothing.
sub fault_reached
{
	my ($node, $timeout) = @_;
	my $file = $node->data_dir . '/weir_fault_reached';
	my $end = time + ($timeout // $patience);

	while (time < $end)
	{
		return $1 if -s $file && slurp_file($file) =~ /^\S+ (\d+)$/m;
		sleep 0.005;
	}
	return;
}

# release_fault($node): the process that waits at a point goes on.
sub release_fault
{
	my ($node) = @_;

	unlink $node->data_dir . '/weir_fault_reached';
	return;
}

sub clear_faults
{
	my ($node) = @_;

	unlink $node->data_dir . '/weir_faults';
	release_fault($node);
	return;
}

1;
