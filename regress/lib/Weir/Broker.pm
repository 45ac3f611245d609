
# Weir::Broker - the brokers of the tests: real Kafka, and weir-broker
#
# Both kinds answer address, new_topic and stop.  What a test starts ends with
# the test file, also when it dies.

package Weir::Broker;

use strict;
use warnings;

use Carp;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(sleep time);

my $topics = 0;
my @started;

# The tree that the runner copied: producer/, scripts/, sql/.
sub root { return $ENV{WEIR_ROOT} || croak 'run the tests by regress/run-tap.sh' }

# Real Kafka that belongs to this test file, which may stop and kill it.  Files: what
# is to be in its folder before it starts, by name.
sub start_kafka
{
	my ($class, %files) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir('kafka');
	my $self = bless { kind => 'kafka', dir => $dir }, $class;

	PostgreSQL::Test::Utils::append_to_file("$dir/$_", $files{$_}) foreach keys %files;
	push @started, $self;
	$self->start;
	return $self;
}

# Several nodes, which replicate topics.  Each of nodes is a Kafka of its own,
# which can be stopped, killed and started, but makes no topics.
sub start_cluster
{
	my ($class, $nodes) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir('kafka');
	my $self = bless { kind => 'cluster', dir => $dir }, $class;

	$self->{nodes} = [ map { bless { kind => 'kafka', dir => "$dir/$_", running => 1 }, $class }
		  1 .. $nodes ];
	push @started, @{ $self->{nodes} };
	$self->start;
	return $self;
}

# node(N): the cluster's node N, from 1.
sub node { return $_[0]{nodes}[ $_[1] - 1 ] }

# What the cluster says of a topic's partitions: a list, by partition, of hashes
# with leader (a node's number), replicas and isr (lists of them).
sub describe_topic
{
	my ($self, $name) = @_;
	my @partitions;

	foreach (_kafka('tool', $self->{address}, 'org.apache.kafka.tools.TopicCommand',
			'--describe', '--topic', $name))
	{
		my ($p, $leader, $replicas, $isr) =
		  /Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S+)\s+Isr: (\S*)/ or next;
		$partitions[$p] = {
			leader => $leader,
			replicas => [ split /,/, $replicas ],
			isr => [ split /,/, $isr ] };
	}
	return @partitions;
}

# Make each partition's first replica its leader.
sub elect_preferred
{
	my ($self) = @_;

	_kafka('tool', $self->{address}, 'org.apache.kafka.tools.LeaderElectionCommand',
		'--election-type', 'preferred', '--all-topic-partitions');
	return;
}

# Any of Kafka's own tools.
sub tool
{
	my ($self, @args) = @_;

	return _kafka('tool', $self->{address}, @args);
}

# The Kafka that all test files share.  Its topics are to be made by new_topic,
# which finds names that nobody else has.
sub shared_kafka
{
	my ($class) = @_;
	our $own;

	return bless { kind => 'shared', address => $ENV{WEIR_TEST_KAFKA} }, $class
	  if $ENV{WEIR_TEST_KAFKA};
	return $own //= $class->start_kafka;
}

# weir-broker; arguments name => partitions.  It ends with its standard input.
sub start_mock
{
	my ($class, %topic) = @_;
	my $self = bless { kind => 'mock' }, $class;
	my $file = PostgreSQL::Test::Utils::tempdir('broker') . '/address';
	my @args = map { ('--topic', "$_:$topic{$_}") } sort keys %topic;
	my $end = time + 180;

	# Perl's own pipe, since nobody else inherits it: the broker then ends with
	# this process, however that ends.
	pipe my $out, $self->{in} or croak "cannot make a pipe: $!";
	$self->{pid} = fork // croak "cannot fork: $!";
	if ($self->{pid} == 0)
	{
		open STDIN, '<&', $out;
		open STDOUT, '>', '/dev/null';
		exec root() . '/producer/weir-broker', '--port-file', $file, @args;
	}
	push @started, $self;
	while (!-e $file)
	{
		croak 'weir-broker did not start'
		  if time > $end || waitpid($self->{pid}, POSIX::WNOHANG) != 0;
		sleep 0.01;
	}
	chomp($self->{address} = PostgreSQL::Test::Utils::slurp_file($file));
	return $self;
}

# host:port
sub address { return $_[0]->{address} }

# Start it (again), on the same port and with the same data.
sub start
{
	my ($self) = @_;

	if ($self->{kind} eq 'cluster')
	{
		$self->{address} = _kafka('cluster', $self->{dir}, scalar @{ $self->{nodes} });
		$_->{running} = 1 foreach @{ $self->{nodes} };
		return;
	}
	croak 'only a Kafka of its own can be started' if $self->{kind} ne 'kafka';
	$self->{address} = _kafka('start', $self->{dir});
	$self->{running} = 1;
	return;
}

sub stop
{
	my ($self, @how) = @_;

	if ($self->{kind} eq 'kafka')
	{
		_kafka('stop', $self->{dir}, @how) if delete $self->{running};
	}
	elsif ($self->{kind} eq 'mock' && $self->{pid})
	{
		close $self->{in};
		waitpid delete $self->{pid}, 0;
	}
	return;
}

# End it with SIGKILL.
sub kill
{
	my ($self) = @_;

	$self->stop('kill');
	return;
}

# Let it hang: connections stay, but nothing answers until it thaws.
sub freeze
{
	my ($self) = @_;

	croak 'only a Kafka of its own can be frozen' if $self->{kind} ne 'kafka';
	_kafka('freeze', $self->{dir});
	return;
}

sub thaw
{
	my ($self) = @_;

	_kafka('thaw', $self->{dir});
	return;
}

# A new topic with a name of its own: new_topic('events', 12, 'retention.ms=-1')
sub new_topic
{
	my ($self, $prefix, $partitions, @settings) = @_;
	my $name = join '_', $prefix, $$, ++$topics, int(time);

	$self->create_topic($name, $partitions, @settings);
	return $name;
}

sub create_topic
{
	my ($self, $name, $partitions, @settings) = @_;

	croak 'weir-broker makes its topics when it starts' if $self->{kind} eq 'mock';
	_kafka('topic', $self->{address}, $name, $partitions, @settings);
	$self->_await_topic($name) if $self->{kind} eq 'cluster';
	return;
}

# Wait until each node says that a topic exists.  A node learns it some time after
# the controller has made it; a client that hears both answers in turn takes the
# topic for deleted.
sub _await_topic
{
	my ($self, $name) = @_;
	my $end = time + 180;

	foreach my $address (split /,/, $self->{address})
	{
		until (_topic_error($address, $name) == 0)
		{
			croak "$address does not know the topic $name" if time > $end;
			sleep 0.1;
		}
	}
	return;
}

# The error code that one node, and no other, gives for a topic: 0 for none.  (A
# metadata request and its response, version 1 of Kafka's protocol.)
sub _topic_error
{
	my ($address, $name) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 10)
	  or return -1;
	my $request = pack 'nnN n/a N n/a', 3, 1, 0, 'weir-tests', 1, $name;

	print {$socket} pack 'N/a', $request;
	$socket->flush;
	read($socket, my $length, 4) == 4 or return -1;
	read($socket, my $body, unpack 'N', $length) == unpack 'N', $length or return -1;

	my (undef, $brokers) = unpack 'NN', substr $body, 0, 8, '';

	foreach (1 .. $brokers)
	{
		my (undef, undef, undef, $rack) = unpack 'N n/a N n', $body;

		$body = substr $body, 12 + unpack('x4 n', $body) + ($rack == 0xffff ? 0 : $rack);
	}
	return unpack 'x4 x4 n', $body;
}

sub delete_topic
{
	my ($self, $name) = @_;

	croak 'weir-broker cannot delete topics' if $self->{kind} eq 'mock';
	_kafka('delete-topic', $self->{address}, $name);
	return;
}

# Add partitions, so that there are $partitions.
sub grow_topic
{
	my ($self, $name, $partitions) = @_;

	_kafka('tool', $self->{address}, 'org.apache.kafka.tools.TopicCommand',
		'--alter', '--topic', $name, '--partitions', $partitions);
	return;
}

# Delete what a topic's partitions hold below these offsets, as retention does:
# delete_records('events', 0 => 100, 3 => 50).
sub delete_records
{
	my ($self, $name, %below) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir('kafka') . '/offsets';
	my @partitions = map { qq({"topic": "$name", "partition": $_, "offset": $below{$_}}) }
	  sort keys %below;

	PostgreSQL::Test::Utils::append_to_file($file,
		'{"partitions": [' . join(', ', @partitions) . '], "version": 1}');
	_kafka('tool', $self->{address}, 'org.apache.kafka.tools.DeleteRecordsCommand',
		'--offset-json-file', $file);
	return;
}

# The first offset of each of a topic's partitions, in their order.
sub begins_of_topic
{
	my ($self, $name) = @_;

	return map { (split /:/)[2] }
	  _kafka('tool', $self->{address}, 'org.apache.kafka.tools.GetOffsetShell',
		'--topic', $name, '--time', 'earliest');
}

# The sum of the ends of a topic's partitions, what is in open transactions
# included.
sub end_of_topic
{
	my ($self, $name) = @_;
	my $sum = 0;

	$sum += (split /:/)[2]
	  foreach _kafka('tool', $self->{address}, 'org.apache.kafka.tools.GetOffsetShell',
		'--topic', $name);
	return $sum;
}

# Run scripts/kafka; returns the lines of its output.  (Its output goes to files: a
# broker that it starts keeps what it inherited open.)
sub _kafka
{
	my (@args) = @_;
	my $log = PostgreSQL::Test::Utils::tempdir('kafka') . '/out';
	my $pid = fork // croak "cannot fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', $log;
		open STDERR, '>', "$log.err";
		exec root() . '/scripts/kafka', @args;
	}
	waitpid $pid, 0;
	my $status = $?;
	croak "scripts/kafka @args failed: "
	  . PostgreSQL::Test::Utils::slurp_file("$log.err")
	  if $status != 0;
	my @lines = split /\n/, PostgreSQL::Test::Utils::slurp_file($log);
	return wantarray ? @lines : $lines[0];
}

END
{
	my $status = $?;
	$_->stop foreach @started;
	$? = $status;
}

1;
