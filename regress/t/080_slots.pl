# As many views as weir.max_views allows: one takes the place of another.
#
# Takes 10 s.

use strict;
use warnings;

use Weir::Test;

my $kafka = kafka();
my $node = cluster("weir.checkpoint_interval = '50 ms'", 'weir.max_views = 2');
my $topic = $kafka->new_topic('slots', 1);

setup_events($node, $kafka, $topic, options => { idle_timeout => '1 day' });
produce($kafka, $topic, '--count', 1000);
foreach my $name (qw(first one two three))
{
	sql($node, qq{SELECT weir.create_view('$name', \$\$ SELECT weir.tumble(ts, '1 hour') AS w,
		count(*) AS n FROM events GROUP BY 1 \$\$)});
	sql($node, "SELECT weir.flush('$name', '180 s')");
	is(sql($node, "SELECT sum(n) FROM $name"), 1000, "view $name has a place");
	sql($node, "SELECT weir.drop_view('$name')") if $name ne 'first';
}
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');

done_testing();
