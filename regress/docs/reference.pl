# docs/reference.md has every function with its arguments, every view with its
# columns, setting with its default, option, metric and property of librdkafka that
# there is.  What is missing is named.
#
# What there is comes from the catalog, but for options and properties: those are
# the tables in the sources that the extension itself reads.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Weir::Test;

my $root = Weir::Broker::root();
my $page = slurp_file("$root/docs/reference.md");
my $node = cluster();

sql($node, 'CREATE EXTENSION weir');

# section(NAME): the text under a heading, up to the next one of that level.
sub section
{
	my ($name) = @_;
	my ($level, $text) = $page =~ /^(#+) \Q$name\E\n(.*)/ms or die "no section $name";

	$text =~ s/^#{1,${\ length $level}} .*//ms;
	return $text;
}

# complete($what, $text, @names): each name is in the text, as code.
sub complete
{
	my ($what, $text, @names) = @_;
	my @missing = grep { $text !~ /`[^`\n]*(?<![\w.])(?:weir\.)?\Q$_\E(?![\w.]*\w)[^`\n]*`/ } @names;

	cmp_ok(scalar @names, '>', 0, "there are $what");
	return is(join(', ', @missing), '', "$what are all there");
}

# table($file, $name): the names in a table of the sources, the first string of each
# row, with the others of its line.
sub table
{
	my ($file, $name) = @_;
	my ($rows) = slurp_file("$root/extension/$file") =~ /\b\Q$name\E\[\] = \{\n(.*?)^\};/ms
	  or die "no table $name in $file";

	return $rows =~ /\{"([^"]+)"/g;
}

# --- functions ------------------------------------------------------------------------

# What other objects are made of (views, aggregates, wrappers, triggers, bodies of
# functions) is no function for users, nor what an ordinary user may not call, nor
# what only the library calls.
my $functions = sql($node, q{
	CREATE ROLE anybody;
	SELECT p.proname, string_agg(DISTINCT a.name, ' ')
	FROM pg_proc p LEFT JOIN LATERAL unnest(p.proargnames[:p.pronargs]) a (name) ON true
	WHERE p.pronamespace = 'weir'::regnamespace AND p.proname <> 'infer_statement' AND has_function_privilege('anybody', p.oid, 'EXECUTE')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid)
		AND NOT EXISTS (SELECT FROM pg_proc q WHERE q.pronamespace = p.pronamespace AND q.oid <> p.oid
			AND q.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
			AND strpos(q.prosrc, 'weir.' || p.proname || '(') > 0)
	GROUP BY 1 ORDER BY 1});
my %rows;
my @named = map { [ split /\|/ ] } split /\n/, $functions;

foreach (split /\n/, section('Functions') . section('Continuous views'))
{
	$rows{$1} .= "$_\n" while /`(?:weir\.)?(\w+)(?=[(`])/g;
}
complete('functions', section('Functions') . section('Continuous views'), map { $_->[0] } @named);
foreach my $f (@named)
{
	my ($name, $arguments) = @$f;

	is( join(', ', grep { ($rows{$name} // '') !~ /\b\Q$_\E\b/ } split / /, $arguments // ''),
		'', "the arguments of $name are all there");
}

# --- views --------------------------------------------------------------------------------

# Tables that everybody may look into, at least in part, are views to them.
my %columns;

foreach (split /\n/, sql($node, q{
	SELECT c.relname, a.attname
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'weir'::regnamespace AND c.relkind IN ('v', 'r')
		AND (c.relkind = 'v' OR has_any_column_privilege('anybody', c.oid, 'SELECT'))
	ORDER BY c.relname, a.attnum}))
{
	my ($view, $column) = split /\|/;

	push @{ $columns{$view} }, $column;
}
foreach my $view (sort keys %columns)
{
	my $text = join '', $page =~ /^\*\*weir\.\Q$view\E\*\*(.*?)(?=^\*\*weir\.|^#)/msg;

	isnt($text, '', "weir.$view is there");
	complete("columns of weir.$view", $text, @{ $columns{$view} });
}

# --- settings ---------------------------------------------------------------------------------

my $settings = section('Settings');
my $tested = 'weir.test_clock';    # of debug builds only

foreach (split /\n/, sql($node, "SELECT name, boot_val, unit FROM pg_settings WHERE name ~ '^weir[.]' AND name <> '$tested' ORDER BY 1"))
{
	my ($name, $value, $unit) = split /\|/;
	my ($default) = $settings =~ /^\| `\Q$name\E` \| ([^|]*?) \|/m;

	ok(defined $default, "$name is there") or next;
	my $there = sql($node, $unit =~ /B$/ ? "SELECT pg_size_bytes('$default') / pg_size_bytes('1 $unit')"
		: $unit eq 'ms' ? "SELECT (extract(epoch FROM interval '$default') * 1000)::int"
		: "SELECT '$default'");

	is($there, $value, "the default of $name");
}

# --- options, metrics, properties -------------------------------------------------------------------

my $streams = section('Streams');

complete('options of streams', $streams, table('catalog/stream_options.c', 'table_options'));
complete('options of columns', $streams, table('catalog/stream_options.c', 'column_options'));
complete('metadata columns', $streams, table('catalog/stream_options.c', 'metadata_names'));
complete('options of servers and user mappings', section('Servers and user mappings'),
	qw(bootstrap_servers schema_registry schema_registry_username schema_registry_password));
complete('metrics', $page, slurp_file("$root/extension/api/metrics.c") =~ /^\t\{"(weir_\w+)"/mg);
complete('properties of librdkafka', section('Servers and user mappings'),
	table('kafka/settings.c', 'rules'));

done_testing();
