#!/usr/bin/perl
#
# prove.pl TEST ... - run TAP tests, count them, and say so in the last line
#
# As prove does, but nothing is skipped in silence: a file that skips all its
# tests, runs none, dies or exits with an error counts as one failure.  What failed
# is told again before that line, with what it said: a log that is cut to its end
# still has the reason.
#
# Two files run at a time, or as many as WEIR_TEST_JOBS says, those first that take
# longest; one, if each test is to be shown.  A file says in comments of its own:
#
#     # Takes 100 s.      about that long by itself; without it, not long
#     # Runs alone.       when nothing else runs, after all others

use strict;
use warnings;

use TAP::Harness;
use TAP::Parser::Aggregator;
use TAP::Parser::Multiplexer;
use TAP::Parser::Scheduler::Job;

my $verbose = $ENV{WEIR_TEST_VERBOSE} // 0;
my $jobs = $verbose ? 1 : $ENV{WEIR_TEST_JOBS} || 2;
my $harness = TAP::Harness->new(
	{
		jobs => $jobs,
		verbosity => $verbose,
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
				elsif ($result->is_bailout || $result->is_unknown && $result->raw =~ /\S/)
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

# The files in the order in which they start; what a file says of itself.
sub in_order
{
	my %says;

	foreach my $file (@_)
	{
		open my $in, '<', $file or next;
		while (<$in>)
		{
			$says{$file}{takes} = $1 if /^# Takes (\d+) s\.$/;
			$says{$file}{alone} = 1 if /^# Runs alone\.$/;
		}
	}
	return map { { file => $_, alone => $says{$_}{alone} // 0 } }
	  sort {
		($says{$a}{alone} // 0) <=> ($says{$b}{alone} // 0)
		  || ($says{$b}{takes} // 0) <=> ($says{$a}{takes} // 0)
	  } @_;
}

# The harness's own loop ends all of them when one bails out, which is none of the
# others' business: it exits with an error, and that counts.
my $running = TAP::Parser::Multiplexer->new;
my @waiting = in_order(@ARGV);

sub start_some
{
	while (@waiting && $running->parsers < ($waiting[0]{alone} ? 1 : $jobs))
	{
		my $file = (shift @waiting)->{file};
		my $job = TAP::Parser::Scheduler::Job->new($file, $file =~ s{.*/}{}r);
		my ($parser, $session) = $harness->make_parser($job);

		$running->add($parser, [ $session, $job ]);
		$parser->start_time($parser->get_time);
		$parser->start_times($parser->get_times);
	}
	return;
}

$harness->formatter->prepare(map { s{.*/}{}r } @ARGV);
$aggregate->start;
start_some();
while (my ($parser, $stash, $result) = $running->next)
{
	my ($session, $job) = @$stash;

	if (defined $result)
	{
		$session->result($result);
		next;
	}
	$harness->finish_parser($parser, $session);
	$aggregate->add($job->description, $parser);
	start_some();
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
