# Every example of README.md and docs/*.md is run, document by document, in the
# order in which it stands there.
#
# Examples are what is fenced as "sql", and what is fenced as nothing and begins
# with psql's prompt, "=# ": such a block is one statement, up to its semicolon, and what
# it returns, of which everything but numbers and spaces must be the same.  They
# run in psql, in one session for each document, in a database of its own that
# has what fixture() makes.  An example must raise no error; at the end no view
# may be in state error.  Wherever an address of a broker stands, the test's is
# taken, and Grafana's macros are expanded.
#
# A document says what else there is in comments of HTML, on lines of their own:
#
#	<!-- test: bare -->                 no fixture (before the first example)
#	<!-- test: run                      run this, too; not part of the page
#	SQL ...
#	-->
#	<!-- test: error REGEXP -->         the next example raises that
#	<!-- test: rolled back -->          the next example runs in a transaction
#	                                    that is rolled back
#	<!-- test: not run, because ... --> the next example is left out
#	<!-- test: output -->               the next block, fenced as nothing, is what
#	                                    the example before it returns

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Weir::Test;

# It makes topics by itself, of four partitions; the tutorial's has one.
my $broker = start_broker(shop => 1);
my $address = $broker->address;
my $node = cluster("weir.checkpoint_interval = '100 ms'");

# What documents take for granted: a server, the stream of weir-producer's events
# with some in it, the view of README.md, and a table to be joined with it.
sub fixture
{
	return qq{
CREATE EXTENSION weir;
CREATE SERVER kafka FOREIGN DATA WRAPPER weir
	OPTIONS (bootstrap_servers '$address', "fetch.wait.max.ms" '10');
CREATE FOREIGN TABLE events (
	event_id text, event_type text, user_id bigint, session_id text, page text,
	country text, amount float8, latency_ms int, ts timestamptz, level text,
	part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER kafka OPTIONS (topic 'events', event_time 'ts', watermark_delay '5 seconds');
SELECT weir.create_view('traffic_10s', \$\$
	SELECT weir.tumble(ts, '10 seconds') AS window_start, event_type, country,
		count(*) AS events, sum(amount) AS revenue, avg(latency_ms) AS avg_latency,
		max(latency_ms) AS max_latency
	FROM events WHERE event_type <> 'debug' GROUP BY 1, 2, 3 \$\$);
CREATE TABLE users (user_id bigint PRIMARY KEY, name text, plan text);
INSERT INTO users SELECT u, 'user ' || u, CASE WHEN u % 3 = 0 THEN 'pro' ELSE 'free' END
	FROM generate_series(1, 9) u;
INSERT INTO events (event_type, user_id, page, country, amount, latency_ms, ts, level)
	SELECT (ARRAY['click', 'order', 'error'])[1 + s % 3], s % 10, '/page/' || s % 4,
		(ARRAY['DE', 'FR', 'US'])[1 + s % 3], s % 8 * 0.25, s % 90,
		'2024-01-01 00:00:00+00'::timestamptz + s * interval '1 second', 'INFO'
	FROM generate_series(0, 599) s;
SELECT weir.flush('events', '180 s');
};
}

# A document: a list of steps, hashes with line, kind (sql, run, prompt, output, not
# run), text, and error and undone of the marks that an example has.
sub steps
{
	my ($file) = @_;
	my (@steps, %mark, $step, $end, $indent);
	my $n = 0;
	my $bare = 0;

	foreach (split /\n/, slurp_file($file))
	{
		$n++;
		if ($step)
		{
			if (/$end/)
			{
				$step->{kind} = 'prompt' if $step->{kind} eq '' && $step->{text} =~ s/\A=# //;
				push @steps, $step if $step->{kind} ne '';
				undef $step;
				next;
			}
			s/^$indent//;
			$step->{text} .= "$_\n";
		}
		elsif (/^\s*<!-- test: bare -->\s*$/) { $bare = 1 }
		elsif (/^\s*<!-- test: run\s*$/)
		{
			($step, $end, $indent) = ({ kind => 'run', line => $n, text => '' }, qr/^\s*-->/, '');
		}
		elsif (/^\s*<!-- test: error (.*) -->\s*$/) { $mark{error} = $1 }
		elsif (/^\s*<!-- test: rolled back -->\s*$/) { $mark{undone} = 1 }
		elsif (/^\s*<!-- test: (not run, because .*) -->\s*$/) { $mark{kind} = $1 }
		elsif (/^\s*<!-- test: output -->\s*$/) { $mark{output} = 1 }
		elsif (/^\s*<!-- test:/) { die "$file:$n: this mark means nothing: $_\n" }
		elsif (/^(\s*)```(\w*)/)
		{
			my $kind = $mark{output} ? 'output' : $2 eq 'sql' ? 'sql' : '';

			($indent, $end) = ($1, qr/^\s*```\s*$/);
			$step = { kind => $kind, line => $n, text => '', %mark };
			%mark = () if $kind ne '' || $2 eq '';
		}
	}
	return ($bare, @steps);
}

# Everything but what differs from run to run.
sub shape
{
	my ($text) = @_;

	$text =~ s/\d+(?:\.\d+)?/N/g;
	$text =~ s/[-+]{3,}/-/g;
	$text =~ s/[ \t]+/ /g;
	$text =~ s/^ | $//gm;
	$text =~ s/\s+\z//;
	return $text;
}

# What Grafana makes of a panel's query, more or less.
sub expand_macros
{
	my ($text) = @_;

	$text =~ s/\$__timeGroup\(([^,)]+),[^)]*\)/date_trunc('minute', $1)/g;
	$text =~ s/\$__timeFilter\(([^)]+)\)/$1 < now()/g;
	$text =~ s/\$\{\w+:sqlstring\}/'DE'/g;
	return $text;
}

# The document as psql's script: before each step a line that says where its
# output begins.
sub script
{
	my ($bare, @steps) = @_;
	my $script = "\\pset footer off\nSET statement_timeout = '180 s';\n"
	  . "SET client_min_messages = warning;\n";

	$script .= fixture() if !$bare;
	foreach my $s (@steps)
	{
		my $text = $s->{text};

		next if $s->{kind} !~ /^(?:sql|run|prompt)$/;
		$text =~ s/;.*\z/;\n/s if $s->{kind} eq 'prompt';
		$text =~ s/(bootstrap_servers) '[^']*'/$1 '$address'/g;
		$text =~ s/\s*\z/;\n/ if $text !~ /;\s*(?:--.*)?\s*\z/ && $text !~ /\\\w+\s*\z/;
		$text = expand_macros($text);
		$text = "BEGIN;\n$text\nROLLBACK;\n" if $s->{undone};
		$script .= "\n\\echo\n\\echo step $s->{line}\n$text\n";
	}
	return "$script\n\\echo\n\\echo step end\n"
	  . "SELECT format('%s is in error: %s', view_name, error) FROM weir.status WHERE state = 'error';\n";
}

# run($dbname, $script): what psql says, by step
sub run
{
	my ($dbname, $script) = @_;
	my $out = '';
	my %said;

	IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr($dbname), '-f', '-' ], '<', \$script, '>', \$out, '2>&1');
	my ($first, @parts) = split /^step (\w+)\n/m, $out;

	%said = ('' => $first, @parts);
	s/^psql:<stdin>:\d+: //gm, s/\n+\z/\n/ foreach values %said;
	return \%said;
}

sub check
{
	my ($name, $s, $said, $before) = @_;

	return note("$name is $s->{kind}") if $s->{kind} =~ /^not run/;
	return is(shape($said // ''), shape($s->{text} =~ s/\A[^;]*;\n//r), "$name returns what the page shows")
	  if $s->{kind} eq 'prompt';
	return is($before, $s->{text}, "$name is what the example before it returns")
	  if $s->{kind} eq 'output';
	return like($said // '', qr/ERROR:.*$s->{error}/s, "$name raises what the page says")
	  if defined $s->{error};
	return ok(defined $said && $said !~ /^(?:ERROR|FATAL|PANIC|invalid command|\\\w+:)/m, "$name runs")
	  || diag($said // 'psql did not come to it');
}

my $root = Weir::Broker::root();
my $examples = 0;

foreach my $file ("$root/README.md", sort glob "$root/docs/*.md")
{
	my $document = $file =~ s/\A\Q$root\E\///r;
	my $dbname = "document_" . ++$examples;
	my ($bare, @steps) = steps($file);
	my ($said, $before, %roles);

	next if !grep { $_->{kind} ne 'output' } @steps;
	sql($node, "CREATE DATABASE $dbname");
	$roles{$_} = 1 foreach split /\n/, sql($node, 'SELECT rolname FROM pg_roles');
	$said = run($dbname, script($bare, @steps));
	check($document, { kind => 'run' }, $said->{''});
	foreach my $s (@steps)
	{
		check("$document, line $s->{line},", $s, $said->{ $s->{line} }, $before);
		$before = $said->{ $s->{line} } if $s->{kind} ne 'output';
	}
	unlike($said->{end} // 'psql did not come to its end', qr/is in error|did not come|ERROR/, "$document: no view is in error");
	sql($node, "DROP DATABASE $dbname WITH (FORCE)");
	sql($node, qq{DROP ROLE "$_"})
	  foreach grep { !$roles{$_} } split /\n/, sql($node, 'SELECT rolname FROM pg_roles');
}
done_testing();
