# When all memory is in use, the view that has most of it stops, and the others go
# on, even if their streams' idle_timeout says that they should lose patience first.
#
# Takes 44 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.memory_limit = '16 MB'");

setup_events($node, $kafka, $kafka->new_topic('unused', 1));

# A stream with so many groups, all in one window.
sub begin_view
{
	my ($name, $idle, $groups) = @_;
	my $topic = $kafka->new_topic($name, 1);

	sql($node, qq{
		CREATE FOREIGN TABLE ${name}_s (k bigint, ts timestamptz) SERVER kafka
			OPTIONS (topic '$topic', event_time 'ts', idle_timeout '$idle');
		SELECT weir.create_view('$name', \$\$ SELECT weir.tumble(ts, '1 hour') AS w, k, count(*) AS n
			FROM ${name}_s GROUP BY 1, 2 \$\$);
		INSERT INTO ${name}_s SELECT g, '2024-01-01 00:00:00Z' FROM generate_series(1, $groups) g});
	return;
}

sub is_full
{
	my ($name) = @_;

	return wait_until($node,
		"SELECT state = 'out of memory' FROM weir.status WHERE view_name = '$name'::regclass");
}

begin_view('fills', '25 s', 200_000);
ok(is_full('fills'), 'one view fills the memory');
begin_view('small', '1 s', 20_000);
ok(is_full('small'), 'another one needs a little');
ok(wait_until($node, q{SELECT state = 'error' FROM weir.status WHERE view_name = 'fills'::regclass}),
	'the one that has most of it stops');
sql($node, q{SELECT weir.flush('small', '60 s')});
is(sql($node, 'SELECT count(*), sum(n) FROM small'), '20000|20000', 'the other one goes on');
is(sql($node, q{SELECT state FROM weir.views WHERE view = 'small'::regclass}), 'running', 'and has not stopped');

done_testing();
