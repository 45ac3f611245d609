
# Weir::Oracle - does a continuous view hold what its query returns in batch?
#
# The defining equation, with late data included.  The topic is archived by a
# SELECT on the stream.  For each record of the archive the watermark of its
# partition, just before it, is
#
#     max(event time) OVER (PARTITION BY part ORDER BY off
#         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - watermark_delay
#
# and of its windows those are kept whose end + lateness is greater, or all if
# there is no watermark yet.  Over what is left the view's own query runs as a
# batch, and must return the view's rows, compared by EXCEPT ALL both ways.

package Weir::Oracle;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use Test::More ();

our @EXPORT = qw(archive_stream oracle_diff oracle_counts oracle_late
  view_equals_batch late_events_equal);

my $archives = 0;

# archive_stream($node, %options): copy a stream into a table; returns its name.
#
#   stream    the stream's name                                       (events)
#   where     a condition on its records: those that are no dead letters and
#             that the view was started for                             (true)
#   dbname    the database                                          (postgres)
#
# oracle_diff makes one when it is not given any.
sub archive_stream
{
	my ($node, %o) = (@_);
	my $stream = $o{stream} // 'events';
	my $where = $o{where} // 'true';
	my $schema = 'weir_oracle_' . ++$archives;

	$node->safe_psql(
		$o{dbname} // 'postgres',
		qq{
		CREATE SCHEMA $schema;
		CREATE TABLE $schema.archive AS SELECT * FROM $stream WHERE $where;
		ANALYZE $schema.archive;
	});
	return "$schema.archive";
}

# oracle_diff($node, %options): compare; returns the number of rows by which
# view and batch differ, and in list context also a sample of them.
#
#   view      the view's name                                      (mandatory)
#   query     its query, as given to create_view                   (mandatory)
#   window    the window as the query has it, for example
#             "weir.tumble(ts, '10 seconds')"; any set of window starts
#             will do.  Without it there are no windows and nothing is late.
#   size      its size, for example '10 seconds'
#   stream    the stream's name, as the query has it                  (events)
#   event_time, part, off
#             the stream's columns of these              ('ts', 'part', 'off')
#   watermark_delay                                                       (0)
#   lateness                                                              (0)
#   where     see archive_stream; records without an event time are left out
#             anyway if there is a window
#   filter    the query's WHERE, for oracle_counts                     (true)
#   failing   a condition on records for which an expression of the query
#             fails: they move the watermark but are counted by no aggregate
#   archive   one that archive_stream made, used and left alone
#   columns   what to compare, when not everything: '*' by default; for example
#             'window_start, round(revenue::numeric, 6)'
#   settings  SQL to run before the query, such as the view's time zone
#   dbname    the database                                          (postgres)
sub oracle_diff
{
	my ($node, %o) = @_;
	my $db = $o{dbname} // 'postgres';
	my $stream = $o{stream} // 'events';
	my $columns = $o{columns} // '*';
	my $archive = $o{archive} // archive_stream($node, %o);
	my ($view, $query) = @o{qw(view query)};
	my $schema = 'weir_oracle_' . ++$archives;

	croak 'oracle_diff needs view and query' if !$view || !$query;
	$query =~ s/;\s*\z//;
	if ($o{window})
	{
		index($query, $o{window}) >= 0
		  or croak "\"$o{window}\" does not occur in the query";
		$query =~ s/\Q$o{window}\E/unnest(weir_windows)/g;
	}
	my $kept = $o{window} ? _on_time($archive, %o) : "SELECT * FROM $archive";

	my $sql = qq{
		BEGIN;
		CREATE SCHEMA $schema;
		CREATE TABLE $schema.$stream AS $kept;
		CREATE TABLE $schema.is AS SELECT $columns FROM $view;
		} . ($o{settings} // '') . qq{;
		SET LOCAL search_path = $schema, public;
		CREATE TABLE $schema.ought AS
			SELECT $columns FROM (\n$query\n) weir_query;
		CREATE TABLE $schema.diff AS
			SELECT 'in the batch only' AS side, to_jsonb(d) AS data
			FROM (TABLE $schema.ought EXCEPT ALL TABLE $schema.is) d
			UNION ALL
			SELECT 'in the view only', to_jsonb(d)
			FROM (TABLE $schema.is EXCEPT ALL TABLE $schema.ought) d;
		COMMIT;
	};
	$node->safe_psql($db, $sql);
	my $count = $node->safe_psql($db, "SELECT count(*) FROM $schema.diff");
	my $sample = $node->safe_psql(
		$db, qq{
		SELECT side || ': ' || data
		FROM (SELECT *, row_number() OVER (PARTITION BY side ORDER BY data::text) n
			  FROM $schema.diff) d
		WHERE n <= 5 ORDER BY data::text, side;
		SELECT 'rows: ' || (SELECT count(*) FROM $schema.is) || ' in the view, '
			|| (SELECT count(*) FROM $schema.ought) || ' in the batch; records: '
			|| (SELECT count(*) FROM $archive) || ' archived, '
			|| (SELECT count(*) FROM $schema.$stream) || ' of them with an open window';
	});
	$node->safe_psql($db, "SET client_min_messages = warning;"
		  . " DROP SCHEMA $schema CASCADE");
	$node->safe_psql($db,
		"SET client_min_messages = warning; DROP SCHEMA "
		  . ($archive =~ s/\..*//r) . ' CASCADE')
	  if !$o{archive};
	return wantarray ? ($count, $sample) : $count;
}

# oracle_counts($node, %options): what the view's counters must say; options
# as for oracle_diff, archive among them.  Returns the numbers of pairs of record
# and window that were late, and of records that failed.
sub oracle_counts
{
	my ($node, %o) = @_;
	my $filter = $o{filter} // 'true';
	my $failing = $o{failing} // 'false';
	my $windows = _with_windows($o{archive} // croak('no archive'), %o);

	return split /\|/, $node->safe_psql(
		$o{dbname} // 'postgres', qq{
		SELECT coalesce(sum(weir_all - cardinality(weir_windows)), 0),
			count(*) FILTER (WHERE weir_windows <> '{}' AND ($failing))
		FROM ($windows) w WHERE $filter});
}

# oracle_late(%options): the query for what was late, one row a record and
# window: part, off, window_start, and by how much.  Options as for oracle_diff,
# archive among them.
sub oracle_late
{
	my (%o) = @_;
	my $filter = $o{filter} // 'true';
	my $lateness = $o{lateness} // '0';
	my $part = $o{part} // 'part';
	my $off = $o{off} // 'off';
	my $close = "s + interval '$o{size}' + interval '$lateness'";
	my $windows = _with_windows($o{archive} // croak('no archive'), %o);

	return "SELECT $part, $off, s AS window_start, weir_watermark - ($close) AS late_by"
	  . " FROM ($windows) w, LATERAL (SELECT $o{window} AS s) x"
	  . " WHERE ($filter) AND $close <= weir_watermark";
}

# late_events_equal($node, $name, %options): what is kept of a view's late events,
# and counted by partition, is what the archive says; two tests.  Nothing may be
# late by the exceptions (idleness, the clock, an operator).
sub late_events_equal
{
	my ($node, $name, %o) = @_;
	my $db = $o{dbname} // 'postgres';
	my $ought = oracle_late(%o);
	my $is = q{SELECT partition, "offset", window_start, late_by FROM weir.late_events}
	  . " WHERE view = '$o{view}'::regclass";
	my $counted = 'SELECT partition, late FROM weir.partitions'
	  . " WHERE view_name = '$o{view}'::regclass AND late > 0";

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	Test::More::is(
		$node->safe_psql($db, "SELECT (SELECT count(*) FROM (($ought) EXCEPT ALL ($is)) d)"
			  . ", (SELECT count(*) FROM (($is) EXCEPT ALL ($ought)) d)"),
		'0|0', "$name: each late event is kept, and no other");
	Test::More::is(
		$node->safe_psql($db, "$counted ORDER BY 1"),
		$node->safe_psql($db, "SELECT partition, count(*) FROM ($is) l GROUP BY 1 ORDER BY 1"),
		"$name: as many as are counted, by partition");
	return;
}

# The archive's records that have an open window, with their open windows.
sub _on_time
{
	my ($archive, %o) = @_;
	my $failing = $o{failing} // 'false';

	return 'SELECT * FROM (' . _with_windows($archive, %o) . q{) w
		WHERE weir_windows <> '{}' AND (} . $failing . ') IS NOT TRUE';
}

# The archive's records, with their open windows and the number of all.
sub _with_windows
{
	my ($archive, %o) = @_;
	my $ts = $o{event_time} // 'ts';
	my $part = $o{part} // 'part';
	my $off = $o{off} // 'off';
	my $delay = $o{watermark_delay} // '0';
	my $lateness = $o{lateness} // '0';

	croak 'oracle_diff needs size with window' if !$o{size};
	return qq{
		SELECT *, ARRAY(
			SELECT s FROM (SELECT $o{window} AS s) w
			WHERE weir_watermark IS NULL
			   OR s + interval '$o{size}' + interval '$lateness' > weir_watermark
			) AS weir_windows,
			(SELECT count(*) FROM (SELECT $o{window} AS s) w) AS weir_all
		FROM (
			SELECT *, max($ts) OVER (
				PARTITION BY $part ORDER BY $off
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
				- interval '$delay' AS weir_watermark
			FROM $archive WHERE $ts IS NOT NULL) a};
}

# view_equals_batch($node, $name, %options): oracle_diff as one test, after all
# that the topic holds has been counted.  flush => 0 leaves that out.
sub view_equals_batch
{
	my ($node, $name, %o) = @_;

	$node->safe_psql($o{dbname} // 'postgres', "SELECT weir.flush('$o{view}')")
	  if $o{flush} // 1;
	my ($count, $sample) = oracle_diff($node, %o);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is($count, 0, $name)
	  || Test::More::diag("view and batch differ:\n$sample");
}

1;
