# weir-producer and weir-broker: the programs alone, without PostgreSQL.
#
# Binaries are those of the tree this file lies in, or of $WEIR_TOP.  Brokers
# listen on ports of their own choosing and end with this test, because their
# standard input does.
#
# Takes 15 s.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IPC::Run qw(run start timeout);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

my $top = $ENV{WEIR_TOP} // File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my $producer = "$top/producer/weir-producer";
my $broker = "$top/producer/weir-broker";
my $dir = tempdir(CLEANUP => 1);
my @fixed = ('--start-time', '2026-01-31T12:00:00Z');
my $limit = 60;

# Run the producer; returns its exit status, standard output and error.
sub produce
{
	my ($out, $err) = ('', '');

	run([ $producer, @_ ], '<', \undef, '>', \$out, '2>', \$err,
		timeout($limit));
	return ($? >> 8, $out, $err);
}

# Run the producer; returns its exit status and its summary file as a hash.
sub summary
{
	my $file = "$dir/summary";

	unlink $file;
	my ($status, undef, $err) = produce(@_, '--summary-file', $file);
	open(my $in, '<', $file) or return ($status, {}, $err);
	my %summary = map { chomp; split /=/, $_, 2 } <$in>;
	close($in);
	return ($status, \%summary, $err);
}

# Start a broker; returns a hash with its handle, its standard input and its
# address, which is awaited.
sub start_broker
{
	my %self = (in => '', out => '', err => '');

	$self{timer} = timeout($limit);
	$self{handle} = start([ $broker, @_ ], '<', \$self{in}, '>', \$self{out},
		'2>', \$self{err}, $self{timer});
	$self{handle}->pump until $self{out} =~ /\n/;
	($self{address}) = split /\n/, $self{out};
	return \%self;
}

# Close a broker's standard input; returns its exit status.
sub end_broker
{
	my ($self) = @_;

	$self->{handle}->finish;
	return $self->{handle}->result(0);
}

sub lines
{
	my ($text) = @_;
	my @lines = split /\n/, $text, -1;

	pop @lines;
	return @lines;
}

my $json = JSON::PP->new->utf8;
my @fields = sort qw(event_id event_type user_id session_id page country
  amount latency_ms ts level);

# 1. what it makes
{
	my @args = ('--print', '--count', 5000, @fixed);
	my ($status, $first, $err) = produce(@args, '--seed', 7);
	my (undef, $again) = produce(@args, '--seed', 7);
	my (undef, $other) = produce(@args, '--seed', 8);

	is($status, 0, 'printing succeeds');
	like($err, qr/^5000 events, 0 malformed, 0 late, \d+ bytes/m, 'the summary');
	is(scalar lines($first), 5000, 'one message a line');
	ok($first eq $again, 'the same seed gives the same bytes');
	ok($first ne $other, 'another seed gives others');

	my ($bad_fields, $bad_amounts, $bad_steps, $bytes, %types) = (0, 0, 0, 0);
	my $ms = 0;
	my %ids;

	for my $line (lines($first))
	{
		my $event = $json->decode($line);
		my $ts = sprintf('2026-01-31T12:00:%02d.%03dZ', $ms / 1000, $ms % 1000);

		$bad_fields++ if join(' ', sort keys %$event) ne "@fields";
		$bad_amounts++ if $event->{amount} * 4 != int($event->{amount} * 4);
		$bad_steps++ if $event->{ts} ne $ts;
		$ids{ $event->{event_id} } = 1;
		$types{ $event->{event_type} }++;
		$bytes += length $line;
		$ms++;
	}
	is($bad_fields, 0, 'every event has the ten fields');
	is($bad_amounts, 0, 'every amount is a multiple of 0.25');
	is($bad_steps, 0, 'events are 1 ms apart');
	is(scalar keys %ids, 5000, 'event ids are unique');
	is(join(' ', sort keys %types), 'click debug log transaction', 'mixed types');
	cmp_ok($types{debug}, '<', 150, 'debug events are few');
	cmp_ok(abs($bytes / 5000 - 225), '<', 15, 'events have about 225 bytes');
}

{
	my (undef, $out) = produce('--print', '--count', 3, @fixed, '--rate', 100);
	my @ts = map { $json->decode($_)->{ts} } lines($out);

	is($ts[2], '2026-01-31T12:00:00.020Z', 'with a rate, events are 1/rate apart');
	(undef, $out) = produce('--print', '--count', 1, '--start-time',
		'2024-02-29T23:59:59.5Z');
	like($out, qr/"ts":"2024-02-29T23:59:59\.500Z"/, 'a leap day');
	for my $kind (qw(log click transaction))
	{
		(undef, $out) =
		  produce('--print', '--count', 200, '--kind', "${kind}s", @fixed);
		is(scalar(grep { $json->decode($_)->{event_type} ne $kind } lines($out)),
			0, "kind ${kind}s");
	}
}

# 2. users
{
	my %seen;
	my @args = ('--print', '--count', 10000, '--users', 100, @fixed);
	my (undef, $out) = produce(@args);

	$seen{ $json->decode($_)->{user_id} }++ for lines($out);
	is(join(' ', (sort { $a <=> $b } keys %seen)[ 0, -1 ]), '1 100',
		'users 1 to N');
	cmp_ok($seen{1}, '<', 160, 'without skew the first is like the others');

	# under Zipf with exponent 1, the first of 100 has 1/H(100) = 19.3 %
	%seen = ();
	(undef, $out) = produce(@args, '--skew', 1);
	$seen{ $json->decode($_)->{user_id} }++ for lines($out);
	cmp_ok(abs($seen{1} - 1928), '<', 160, 'the first user of a Zipf law');
	cmp_ok(abs($seen{2} - 964), '<', 130, 'the second user of a Zipf law');
	cmp_ok(abs($seen{10} - 193), '<', 60, 'the tenth user of a Zipf law');
}

# 3. shares of bad, late and unordered events
{
	my $count = 10000;
	my @shares = ('--malformed', 0.1, '--late', 0.2, '--out-of-order', 0.3);
	my @args = ('--print', '--count', $count, @fixed, @shares);
	my (undef, $out) = produce(@args);
	my (undef, $sum) = summary(@args);
	my ($unparsed, $wrong, $late, $early, $beyond, $n) = (0, 0, 0, 0, 0, 0);

	for my $line (lines($out))
	{
		my $event = eval { $json->decode($line) };
		my $turn = $n++;

		if (!$event)
		{
			$unparsed++;
			next;
		}
		if (   ref $event->{user_id}
			|| $event->{latency_ms} !~ /^\d+$/
			|| $event->{amount} !~ /^[\d.]+$/
			|| $event->{ts} !~ /T(\d\d):(\d\d):(\d\d)\.(\d\d\d)Z$/)
		{
			$wrong++;
			next;
		}

		my $behind =
		  $turn - ((($1 - 12) * 60 + $2) * 60 + $3) * 1000 - $4;

		if ($behind >= 20000 && $behind <= 120000) { $late++ }
		elsif ($behind > 0 && $behind <= 3000) { $early++ }
		elsif ($behind != 0) { $beyond++ }
	}
	is($beyond, 0, 'no event is displaced by other amounts');
	is($unparsed + $wrong, $sum->{malformed}, 'malformed ones are counted');
	is($late, $sum->{late}, 'late ones are counted');
	is($early, $sum->{out_of_order}, 'unordered ones are counted');
	is($sum->{produced}, $count, 'all are counted');
	cmp_ok(abs($sum->{malformed} - 1000), '<', 150, 'share of malformed ones');
	cmp_ok(abs($sum->{late} - 1800), '<', 200, 'share of late ones');
	cmp_ok(abs($sum->{out_of_order} - 2700), '<', 240, 'share of unordered ones');
	cmp_ok($wrong, '>', 100, 'some are JSON of wrong types');
	cmp_ok(scalar(grep { $_ eq '' } lines($out)), '>', 100, 'some are empty');
	cmp_ok(scalar(grep { /[\xc0\xf8-\xff]/ } lines($out)), '>', 100,
		'some are not UTF-8');
	cmp_ok(scalar(grep { /trailing$/ } lines($out)), '>', 100,
		'some have trailing garbage');
}

# 4. wrong command lines
for my $case (
	[ [qw(--bogus 1)], qr/unknown option "--bogus"/ ],
	[ [qw(extra)], qr/unexpected argument "extra"/ ],
	[ [qw(--count)], qr/--count needs a value/ ],
	[ [qw(--count many)], qr/--count must be an integer/ ],
	[ [qw(--malformed 1.5)], qr/--malformed must be a number from 0 to 1/ ],
	[ [qw(--late 0.6 --out-of-order 0.6)], qr/must not exceed 1 together/ ],
	[ [qw(--kind poems)], qr/--kind must be one of/ ],
	[ [qw(--compression zip)], qr/--compression must be one of/ ],
	[ [qw(--start-time 2026-02-30T00:00:00Z)], qr/--start-time must be/ ],
	[ [qw(--hold-back g:0)], qr/--hold-back must be/ ],
	[ [qw(--idempotence --acks 1)], qr/--idempotence needs --acks all/ ],
	[ [qw(--abort 0.5)], qr/--abort needs --transaction/ ],
	[ [qw(--transaction 10 --acks 1)], qr/--transaction needs --acks all/ ],
	[ [qw(--transaction 10 --print)], qr/--transaction .* cannot go with --print/ ],
	[ [qw(--print=yes)], qr/--print takes no value/ ])
{
	my ($args, $message) = @$case;
	my ($status, undef, $err) = produce(@$args);

	is($status, 2, "@$args: exit status");
	like($err, qr/^weir-producer: .*$message/, "@$args: message");
}

{
	my ($status, $out) = produce('--help');

	is($status, 0, '--help succeeds');
	like($out, qr/^  --hold-back GROUP/m, '--help names the options');
	($status, $out) = produce('--version');
	like($out, qr/^weir-producer \S+$/, '--version');

	my $help = '';
	run([ $broker, '--help' ], '>', \$help);
	like($help, qr/5 MiB or 100,000 batches/, 'the broker tells its limits');
	run([ $broker, '--topic', 'a:0' ], '<', \undef, '2>', \$help);
	is($? >> 8, 2, 'the broker refuses a topic without partitions');
}

# 5. the broker
{
	my $port_file = "$dir/port";
	my $self =
	  start_broker('--topic', 'two:2', '--brokers', 2, '--port-file', $port_file);

	like($self->{address}, qr/^127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/,
		'the address of two brokers');
	open(my $in, '<', $port_file) or die "$port_file: $!";
	is(<$in>, "$self->{address}\n", 'the port file has the address');
	close($in);
	is($self->{err}, '', 'the broker is quiet');
	is(end_broker($self), 0, 'the broker ends when standard input does');
	ok(!-e $port_file, 'the port file is gone');

	$self = start_broker('--ignore-stdin');
	$self->{handle}->signal('TERM');
	is(end_broker($self), 0, 'the broker ends at SIGTERM');
}

# 6. producing
{
	my $self = start_broker('--topic', 'three:3', '--topic', 'held');
	my @to = ('--brokers', $self->{address}, '--topic');
	my ($status, $sum, $err) =
	  summary(@to, 'three', '--partitions', 3, '--count', 4000, '--malformed', 0.05);

	is($status, 0, 'producing succeeds');
	is($sum->{produced}, 4000, 'all were delivered');
	is($sum->{errors}, 0, 'none was lost');
	cmp_ok($sum->{malformed}, '>', 100, 'malformed ones among them');
	like($err, qr/^4000 events,.* 0 delivery errors$/m, 'the summary on stderr');

	for my $how (
		[qw(--key user)], [qw(--compression lz4)],
		[qw(--idempotence)], [qw(--acks 1 --rate 20000)])
	{
		($status, $sum) = summary(@to, 'three', '--count', 1000, @$how);
		is("$status $sum->{produced}", '0 1000', "@$how");
	}

	($status, $sum) = summary(@to, 'made', '--count', 10);
	is("$status $sum->{produced}", '0 10', 'a topic that did not exist');
	($status, $sum, $err) = summary(@to, 'three', '--partitions', 5, '--count', 10);
	is($status, 1, 'another number of partitions is an error');
	like($err, qr/has 3 partitions, not 5/, 'and says so');

	# no consumer: it sends the lead and no more
	($status, $sum) = summary(@to, 'held', '--count', 1000,
		'--hold-back', 'nobody:300', '--duration', 1);
	is($status, 0, 'being held back is no error');
	is($sum->{produced}, 300, 'held back at the lead');

	# what is in the topic counts
	($status, $sum) = summary(@to, 'held', '--count', 1000,
		'--hold-back', 'nobody:500', '--duration', 1);
	is($sum->{produced}, 200, 'held back at the lead, with what was there');

	# a rate is kept, and a signal ends it in good order
	my $begun = time;
	($status, $sum) = summary(@to, 'three', '--count', 500, '--rate', 1000);
	cmp_ok(time - $begun, '>', 0.4, 'it takes as long as the rate says');

	is(end_broker($self), 0, 'the broker ends');
}

# 7. signals: after the first events were printed, so it is known to run
{
	my ($out, $err) = ('', '');
	my $run = start([ $producer, '--print', '--rate', 200 ],
		'<', \undef, '>', \$out, '2>', \$err, timeout($limit));

	$run->pump until $out =~ /\n/;
	$run->signal('INT');
	$run->finish;
	is($run->result(0), 0, 'SIGINT ends a run in good order');
	like($err, qr/^(\d+) events,/m, 'and the summary is printed');
	my ($count) = $err =~ /^(\d+) events,/m;
	is(scalar lines($out), $count, 'which counts what was printed');
}

# 8. no broker, and one that goes away
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
	  or die "no port: $!";
	my $port = $socket->sockport;
	close($socket);

	my $begun = time;
	my ($status, $sum, $err) = summary('--brokers', "127.0.0.1:$port",
		'--count', 10, '--timeout', 1);
	isnt($status, 0, 'without a broker it fails');
	cmp_ok(time - $begun, '<', 10, 'soon');
	is($sum->{produced}, 0, 'nothing was delivered');
	like($err, qr/is not available/, 'and says why');
}

{
	my $self = start_broker('--topic', 'gone');
	my @to = ('--brokers', $self->{address}, '--topic', 'gone');
	my ($out, $err) = ('', '');
	my $run = start([ $producer, @to, '--rate', 5000, '--timeout', 1,
			'--summary-file', "$dir/gone" ],
		'<', \undef, '>', \$out, '2>', \$err, timeout($limit));

	# it has begun when another one finds a thousand messages in the topic
	my $until = time + $limit;
	my $begun = 0;
	until ($begun || time > $until)
	{
		my (undef, $sum) = summary(@to, '--count', 1, '--duration', 0.1,
			'--hold-back', 'probe:1000');
		$begun = $sum->{produced} == 0;
	}
	ok($begun, 'the producer is at work');
	end_broker($self);
	$run->pump until $err =~ /messages are lost/;
	pass('it says that messages are lost');
	$run->signal('INT');
	$run->finish;
	open(my $in, '<', "$dir/gone") or die "$dir/gone: $!";
	my %sum = map { chomp; split /=/, $_, 2 } <$in>;
	close($in);
	is($run->result(0), 1, 'lost messages are a failure');
	cmp_ok($sum{errors}, '>', 0, 'and counted');
	is($sum{produced} + $sum{errors}, $sum{events}, 'and not as produced');
}

done_testing();
