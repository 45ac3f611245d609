# Dead letters and late events that do not fit in shared memory: the batch waits,
# goes on in pieces, and nothing is lost, nothing kept that is not counted.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
# Letters may take half of it: 8 MB, and each takes 1 kB.
my $node = cluster("weir.memory_limit = '16 MB'", 'weir.batch_size = 20000',
	"weir.checkpoint_interval = '200 ms'", 'restart_after_crash = on');
my $n = 12_000;
my $topic = $kafka->new_topic('letters', 1);

# The first event makes all that follow late, but for each tenth; of these each
# second one fails in the view that divides.
setup_events($node, $kafka, $topic,
	options => { watermark_delay => '0', idle_timeout => '1 day' });
sql($node, qq{
	INSERT INTO events (ts, latency_ms) VALUES ('2024-01-01 01:00:00Z', 1);
	INSERT INTO events (ts, latency_ms, page)
		SELECT CASE WHEN g % 10 = 0 THEN timestamptz '2024-01-01 01:00:00Z' ELSE '2024-01-01 00:00:00Z' END,
			g / 10 % 2, repeat('x', 450) FROM generate_series(1, $n) g;
	SELECT weir.create_view('late_v', \$\$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS n
		FROM events GROUP BY 1 \$\$, keep_late => true);
	SELECT weir.create_view('failing_v', \$\$ SELECT weir.tumble(ts, '1 minute') AS w, sum(1 / latency_ms) AS n
		FROM events GROUP BY 1 \$\$, keep_late => true);
	SELECT weir.create_view('dead_v', \$\$ SELECT weir.tumble(ts, '2 hours') AS w, sum(1 / (length(page) - 450)) AS n,
		count(*) AS all FROM events GROUP BY 1 \$\$)});

# All is read; if not, say where it stands.
sub all_read
{
	return if eval { sql($node, q{SELECT weir.flush('events', '180 s')}); 1 };
	diag(sql($node, 'TABLE weir.status; TABLE weir.partitions'));
	die $@;
}

sub counts
{
	my ($name) = @_;
	my $late = $n * 9 / 10;
	my $failed = $n / 20;

	is( sql($node, q{SELECT string_agg(view_name || ' ' || state || ' ' || late || ' ' || dead_letters, ', '
				ORDER BY view_name::text) FROM weir.status}) =~ s/\b(?:idle|catching up)\b/running/gr,
		"dead_v running 0 $n, failing_v running $late $failed, late_v running $late 0",
		"$name: all is counted");
	is( sql($node, q{SELECT (SELECT count(*) FROM weir.late_events WHERE view = 'late_v'::regclass),
			(SELECT count(*) FROM weir.late_events WHERE view = 'failing_v'::regclass),
			(SELECT count(*) FROM weir.dead_letters WHERE view = 'failing_v'::regclass),
			(SELECT count(*) FROM weir.dead_letters WHERE view = 'dead_v'::regclass)}),
		"$late|$late|$failed|$n", "$name: and kept");
	is(sql($node, 'SELECT (SELECT sum(n) FROM late_v), (SELECT sum(n) FROM failing_v), (SELECT sum("all") FROM dead_v)'),
		join('|', $n / 10 + 1, $n / 20 + 1, 1), "$name: what is in time is in the views");
	return;
}

all_read();
counts('without room');

# The same, and killed in between.
sql($node, q{SELECT weir.reset(view, 'earliest') FROM weir.views});
wait_until($node, q{SELECT count(*) > 1000 FROM weir.late_events});
crash($node);
all_read();
counts('killed in between');

# A batch of nothing but messages that no view can use.
sql($node, qq{
	CREATE FOREIGN TABLE raw (message text) SERVER kafka OPTIONS (topic '$topic', format 'raw');
	INSERT INTO raw SELECT repeat('x', 450) FROM generate_series(1, $n);
	SELECT weir.flush('events', '180 s')});
is( sql($node, q{SELECT count(*), count(DISTINCT "offset") FROM weir.dead_letters WHERE view IS NULL}),
	"$n|$n", 'messages that no view can use are kept, too');
is( sql($node, q{SELECT string_agg(state, ',') FROM weir.views}),
	'running,running,running', 'and no view stops');

done_testing();
