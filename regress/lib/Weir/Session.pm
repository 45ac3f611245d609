
# Weir::Session - a psql that stays, for readers that hold a transaction or a
# cursor, and for several statements at once
#
#   my $s = Weir::Session->new($node);
#   my $n = $s->query('SELECT count(*) FROM v');    # rows, unaligned, | between
#   $s->send('SELECT pg_sleep(1)'); ...; my $out = $s->receive;
#
# An error of the server dies with its message, but for the sessions that are
# made with on_error => 'return', whose answer it becomes.  Sessions end with
# finish, or with the test file.

package Weir::Session;

use strict;
use warnings;

use Carp;
use IPC::Run;

my $questions = 0;

# new($node, %options): dbname (postgres), timeout in seconds (300), on_error
sub new
{
	my ($class, $node, %o) = @_;
	my $self = bless { in => '', out => '', err => '', %o }, $class;

	$self->{timer} = IPC::Run::timeout($o{timeout} // 300);
	$self->{handle} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d',
			$node->connstr($o{dbname} // 'postgres')
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		$self->{timer});
	return $self;
}

# send($sql): without waiting for the answer, which receive takes.
sub send
{
	my ($self, $sql) = @_;

	croak 'the last answer was not received' if $self->{end};
	$self->{end} = 'weir-end-' . ++$questions;
	$self->{sql} = $sql;
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql;\n\\echo $self->{end}\n\\warn $self->{end}\n";
	$self->{timer}->start;
	$self->{handle}->pump_nb;
	return;
}

sub receive
{
	my ($self) = @_;
	my $end = delete $self->{end} // croak 'nothing was sent';

	until ($self->{out} =~ /^$end$/m && $self->{err} =~ /^$end$/m)
	{
		$self->{handle}->pumpable
		  or croak "psql ended at \"$self->{sql}\": $self->{err}";
		$self->{handle}->pump;
	}
	$self->{timer}->reset;
	s/^\Q$end\E\n//m foreach @$self{qw(out err)};
	if ($self->{err} =~ /^(?:psql:.*)?(?:ERROR|FATAL|PANIC):/m)
	{
		chomp $self->{err};
		return $self->{err} if ($self->{on_error} // '') eq 'return';
		croak "\"$self->{sql}\" failed: $self->{err}";
	}
	chomp $self->{out};
	return $self->{out};
}

sub query
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->receive;
}

sub finish
{
	my ($self) = @_;

	if (my $handle = delete $self->{handle})
	{
		$self->{in} .= "\\q\n";
		eval { $handle->finish; 1 } or $handle->kill_kill;
	}
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	local $@;

	$self->{handle}->kill_kill if $self->{handle};
	return;
}

1;
