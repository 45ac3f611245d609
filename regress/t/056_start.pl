# Where views begin, by time: a time, an interval back from now; and that it is
# looked up once, and holds over crashes.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $topic = $kafka->new_topic('start', 3);
my $node = cluster("weir.checkpoint_interval = '100 ms'");

sql($node, qq{
	CREATE EXTENSION weir;
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '@{[$kafka->address]}');
	CREATE FOREIGN TABLE events (
		n int,
		at timestamptz OPTIONS (metadata 'timestamp'),
		part int OPTIONS (metadata 'partition'),
		off bigint OPTIONS (metadata 'offset')
	) SERVER kafka OPTIONS (topic '$topic', idle_timeout '1 day');
	CREATE TABLE produced AS
		SELECT g AS n, date_trunc('second', now()) - g * interval '1 minute' AS at, g % 3 AS part
		FROM generate_series(600, 1, -1) g;
	INSERT INTO events SELECT n, at, part FROM produced ORDER BY at;
});

my $query = q{SELECT weir.tumble(at, '1 minute') AS w, part, count(*) AS n, sum(n) AS total FROM events GROUP BY 1, 2};

# Compare a view with the batch over what is not before a time.
sub equal
{
	my ($view, $since, $name) = @_;
	my $batch = $query =~ s/FROM events/FROM produced WHERE at >= $since/r;

	sql($node, "SELECT weir.flush('$view')");
	is( sql($node, "SELECT count(*) FROM ((SELECT * FROM $view EXCEPT ALL $batch)"
			  . " UNION ALL ($batch EXCEPT ALL SELECT * FROM $view)) d"),
		0, "$name: the view holds what is not before it");
	cmp_ok(sql($node, "SELECT count(*) FROM $view"), '>', 0, 'and that is something');
	return;
}

sub start_of
{
	my ($view) = @_;

	return sql($node, "SELECT start FROM weir.views WHERE view = '$view'::regclass");
}

# A time is kept in UTC, whatever the session's zone.
my $time = sql($node, q{SET TimeZone = 'Asia/Tokyo'; SELECT (now() - interval '200.5 minutes')::text});
sql($node, "SET TimeZone = 'Asia/Tokyo'; SELECT weir.create_view('by_time', \$\$$query\$\$, start => '$time')");
equal('by_time', "'$time'", 'a time');
like(start_of('by_time'), qr/\+00$/, 'it is kept in UTC');

# An interval is counted from the moment of the call, and kept as a time.
my $i = 0;
foreach my $interval ('-90.5 minutes', '90.5 minutes ago', ' -1:30:30', '1 hour 30.5 minutes ago')
{
	my $view = 'back_' . $i++;

	sql($node, "SELECT weir.create_view('$view', \$\$$query\$\$, start => '$interval')");
	ok( sql($node, "SELECT start::timestamptz - (created_at - interval '90.5 minutes')"
			  . " = interval '0' FROM weir.views WHERE view = '$view'::regclass"),
		"'$interval' is a time");
	equal($view, "'" . start_of($view) . "'", "'$interval'");
}
sql($node, q{SELECT weir.reset('back_0', '-10.5 minutes')});
equal('back_0', "'" . start_of('back_0') . "'", 'weir.reset');
sql($node, q{SELECT weir.reset('back_0', '-100 years')});
equal('back_0', "'-infinity'", 'before all that there is');

# The stream's option is counted from when a view is made.
sql($node, q{ALTER FOREIGN TABLE events OPTIONS (ADD start '-30.5 minutes');
	SELECT weir.create_view('by_option', $$} . $query . q{$$)});
equal('by_option', "'" . start_of('by_option') . "'", q{the stream's option});

# Nothing is looked up again after a crash.
my $starts = q{SELECT string_agg(view_name || ':' || partition || ':' || start_offset, ' '
	ORDER BY view_name::text, partition) FROM weir.partitions};
my $before = sql($node, $starts);

crash($node);
ok(wait_until($node, q{SELECT bool_and(state IN ('running', 'idle')) FROM weir.status}), 'all run after a crash');
is(sql($node, $starts), $before, 'and have begun where they did');
equal('by_time', "'$time'", 'a time, after a crash');

done_testing();
