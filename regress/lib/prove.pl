#!/usr/bin/perl
#
# prove.pl TEST ... - run TAP tests, count them, and say so in the last line
#
# As prove does, but nothing is skipped in silence: a file that skips all its
# tests, runs none, dies or exits with an error counts as one failure.  What failed
# is told again before that line, with what it said: a log that is cut to its end
# still has the reason.

use strict;
use warnings;

use TAP::Harness;
use TAP::Parser::Aggregator;

my $harness = TAP::Harness->new(
	{
		verbosity => $ENV{WEIR_TEST_VERBOSE} // 0,
		merge => 1,
		timer => 1,
		lib => [ grep { $_ } split /:/, $ENV{PERL5LIB} // '' ],
	});
my $aggregate = TAP::Parser::Aggregator->new;

# What failing tests said: with each "not ok" the comments that follow it, and the
# last that a file said that is no TAP.
my $lines_kept = 8;
my @report;

$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		my (@failed, @said);
		my $room = 0;

		$parser->callback(
			ALL => sub {
				my ($result) = @_;

				if ($result->is_test)
				{
					$room = $result->is_ok ? 0 : $lines_kept;
					push @failed, $result->raw if $room;
				}
				elsif ($result->is_comment && $room > 0)
				{
					push @failed, $result->raw;
					$room--;
				}
				elsif ($result->is_unknown && $result->raw =~ /\S/)
				{
					push @said, $result->raw;
					shift @said if @said > $lines_kept;
				}
			});
		$parser->callback(
			EOF => sub {
				my ($p) = @_;

				push @report, $job->[1], map { substr("  $_", 0, 300) } @failed, @said
				  if $p->has_problems;
			});
	});

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
print "$_\n" foreach @report;
printf "%d passed, %d failed\n", scalar $aggregate->passed, $failed;
exit($failed > 0 || @ARGV == 0);
