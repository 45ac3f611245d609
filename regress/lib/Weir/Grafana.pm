# Weir::Grafana - what Grafana does with a dashboard before PostgreSQL sees its SQL
#
#   my $board = dashboard('weir-demo');                # the JSON of grafana/dashboards
#   my $sql = expand($target->{rawSql}, from => ..., to => ..., interval => 10,
#       variables => { country => [ 'DE', 'US' ] });   # epochs, seconds, lists
#   my $promql = expand_promql($target->{expr}, interval => 10, variables => { ... });
#   my @wrong = complaints($board);                    # what Grafana would not take
#
# Macros are replaced as Grafana's PostgreSQL data source does it, with the limits
# that it has: an argument ends at a comma, the arguments at the first bracket.

package Weir::Grafana;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use JSON::PP ();
use POSIX qw(strftime);
use PostgreSQL::Test::Utils ();
use Weir::Broker;

our @EXPORT = qw(dashboards dashboard queries expand expand_promql complaints);

my $sources = qr/^(?:\$\{datasource\}|weir-postgres|weir-prometheus)$/;

sub _folder { return Weir::Broker::root() . '/grafana/dashboards' }

sub dashboards { return map { dashboard($_) } map { m{([^/]+)\.json$} } sort glob _folder() . '/*.json' }

sub dashboard
{
	my ($uid) = @_;

	return JSON::PP->new->utf8->decode(PostgreSQL::Test::Utils::slurp_file(_folder() . "/$uid.json"));
}

# queries($board): the queries of its panels, as [panel, target]; rows have none.
sub queries
{
	my ($board) = @_;

	return map { my $p = $_; map { [ $p, $_ ] } @{ $p->{targets} // [] } } @{ $board->{panels} };
}

# expand($text, %o): SQL with variables and macros replaced.
sub expand
{
	my ($text, %o) = @_;

	$text =~ s/\$\{(\w+):(\w+)\}/_variable($1, $2, $o{variables})/ge;
	$text =~ s/\$__interval_ms\b/$o{interval} * 1000/ge;
	$text =~ s/\$__interval\b/$o{interval}s/g;
	while ($text =~ /\$(\w+)\(([^)]*)\)(,?)/)
	{
		my ($from, $to, $name, $comma) = ($-[0], $+[0], $1, $3);
		my @arguments = map { s/^ +| +$//gr } split /,/, $2;

		$name = '__timeGroupAlias' if $name eq '__timeGroup' && $comma;
		substr($text, $from, $to - $from) = _macro($name, \@arguments, \%o) . $comma;
	}
	croak "a variable is left: $text" if $text =~ /\$[{\w]/;
	return $text;
}

sub _variable
{
	my ($name, $format, $variables) = @_;
	my $values = $variables->{$name} // croak "no variable $name";

	croak "unknown format $format" if $format ne 'sqlstring';
	return join ',', map { "'" . s/'/''/gr . "'" } @$values;
}

# expand_promql($text, %o): PromQL likewise; a value is escaped for a regular
# expression, and that for a string, if a variable may have several.
sub expand_promql
{
	my ($text, %o) = @_;

	$text =~ s/\$__rate_interval\b/4 * $o{interval} . 's'/ge;
	$text =~ s/\$__interval\b/$o{interval}s/g;
	$text =~ s/=~'\$(\w+)'/"=~'(" . join('|', map { _escape($_) } @{ $o{variables}{$1} }) . ")'"/ge;
	$text =~ s/='\$(\w+)'/='$o{variables}{$1}[0]'/g;
	croak "a variable is left: $text" if $text =~ /\$[{\w]/;
	return $text;
}

sub _escape { return $_[0] =~ s/([\$^*{}\[\]'+?.()|])/\\\\$1/gr }

sub _time { return "'" . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) . "'" }

sub _macro
{
	my ($name, $arguments, $o) = @_;
	my ($column, $interval) = @$arguments;

	return _time($o->{from}) if $name eq '__timeFrom';
	return _time($o->{to}) if $name eq '__timeTo';
	return "$column BETWEEN " . _time($o->{from}) . ' AND ' . _time($o->{to}) if $name eq '__timeFilter';
	return _macro('__timeGroup', $arguments, $o) . ' AS "time"' if $name eq '__timeGroupAlias';
	croak "unknown macro $name" if $name ne '__timeGroup';
	$interval =~ /^'?(\d+)s'?$/ or croak "not an interval: $interval";
	return "floor(extract(epoch from $column)/$1)*$1";
}

# complaints($board): what is wrong with it, by what Grafana requires; nothing if
# all is well.
sub complaints
{
	my ($board) = @_;
	my @panels = @{ $board->{panels} };
	my @wrong;
	my (%id, %taken);

	push @wrong, 'uid' if ($board->{uid} // '') !~ /^[a-z0-9-]{1,40}$/;
	push @wrong, 'schemaVersion' if $board->{schemaVersion} != 37;
	push @wrong, 'an id of another installation' if defined $board->{id};
	push @wrong, "leftovers of an export: $_" foreach grep { exists $board->{$_} } qw(__inputs __requires __elements);
	push @wrong, 'no panels' if !@panels;
	push @wrong, 'a title is missing' if !length $board->{title};
	push @wrong, "no tag for the links" if !grep { $_ eq 'weir' } @{ $board->{tags} };
	foreach my $p (@panels)
	{
		my $name = $p->{title} || $p->{type};

		push @wrong, "$name: an id twice" if $id{ $p->{id} // 0 }++ || !$p->{id};
		push @wrong, map { "$name: $_" } _misplaced($p->{gridPos}, \%taken), _wrong_sources($p);
		push @wrong, "$name: unknown type $p->{type}"
		  if $p->{type} !~ /^(?:stat|gauge|bargauge|barchart|table|timeseries|state-timeline|heatmap|text|row)$/;
	}
	push @wrong, map { "variable $_->{name}: data source" }
	  grep { $_->{type} eq 'query' && $_->{datasource}{uid} !~ $sources } @{ $board->{templating}{list} };
	return @wrong;
}

# Of 24 columns; nothing stands where something else does.
sub _misplaced
{
	my ($at, $taken) = @_;
	my ($x, $y, $w, $h) = @$at{qw(x y w h)};

	return 'outside' if $x < 0 || $y < 0 || $w < 1 || $h < 1 || $x + $w > 24;
	foreach my $column ($x .. $x + $w - 1)
	{
		foreach my $line ($y .. $y + $h - 1)
		{
			return 'overlaps' if $taken->{"$column $line"}++;
		}
	}
	return;
}

sub _wrong_sources
{
	my ($p) = @_;
	my %ref;
	my @wrong;

	return if $p->{type} =~ /^(?:row|text)$/;
	push @wrong, 'no query' if !@{ $p->{targets} // [] };
	push @wrong, 'a refId twice' if grep { $ref{ $_->{refId} // '' }++ } @{ $p->{targets} };
	return (@wrong, 'a data source that is named otherwise than by its uid')
	  if grep { ref $_ ne 'HASH' || $_->{uid} !~ $sources || $_->{type} !~ /^(?:postgres|prometheus)$/ }
	  map { $_->{datasource} } $p, @{ $p->{targets} };
	push @wrong, 'targets of several data sources'
	  if grep { $_->{datasource}{uid} ne $p->{datasource}{uid} } @{ $p->{targets} };
	return @wrong;
}

1;
