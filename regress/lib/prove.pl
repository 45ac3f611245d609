#!/usr/bin/perl
#
# prove.pl TEST ... - run TAP tests, count them, and say so in the last line
#
# As prove does, but nothing is skipped in silence: a file that skips all its
# tests, runs none, dies or exits with an error counts as one failure.

use strict;
use warnings;

use TAP::Harness;
use TAP::Parser::Aggregator;

my $harness = TAP::Harness->new(
	{
		verbosity => $ENV{WEIR_TEST_VERBOSE} // 0,
		timer => 1,
		lib => [ grep { $_ } split /:/, $ENV{PERL5LIB} // '' ],
	});
my $aggregate = TAP::Parser::Aggregator->new;

# One by one, so that a file that bails out stops no other.
$aggregate->start;
foreach my $file (@ARGV)
{
	next
	  if eval { $harness->aggregate_tests($aggregate, [ $file, $file =~ s{.*/}{}r ]); 1 };
	print "$file: $@";
}
$aggregate->stop;
$harness->summary($aggregate);

my $failed = $aggregate->failed;

foreach my $parser ($aggregate->parsers)
{
	$failed++
	  if !$parser->failed && ($parser->has_problems || !$parser->passed);
}
printf "%d passed, %d failed\n", scalar $aggregate->passed, $failed;
exit($failed > 0 || @ARGV == 0);
