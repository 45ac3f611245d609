# Grafana's dashboards and alert rules: that their JSON and YAML are what Grafana takes,
# and that each panel's SQL, with Grafana's macros replaced, returns what that
# panel needs: from the demo's own schema, with data of each kind, as a role that
# may only read.
#
# Takes 30 s.

use strict;
use warnings;

use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Weir::Grafana;
use Weir::Test;
use YAML::PP;

my $numeric = qr/^(?:smallint|integer|bigint|real|double precision|numeric)$/;
my $textual = qr/^(?:text|character varying)$/;
my $temporal = qr/^timestamp with time zone$/;

my $broker = start_broker(events => 4);
my $node = cluster("weir.checkpoint_interval = '100 ms'");
my $now = time;

sub rfc3339 { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }

# -- the demo, with something of each kind --------------------------------------

sub make_demo
{
	my $root = Weir::Broker::root();

	$node->command_ok(
		[
			'psql', '-Xq', '-d', $node->connstr('postgres'), '-v', 'broker=' . $broker->address,
			'-v', 'topic=events', '-v', 'fetch_wait=5', '-f', "$root/sql/init.sql"
		],
		'the demo\'s schema');
	sql($node, q{
		SELECT weir.create_view('strict', $$
			SELECT weir.tumble(ts, '10 seconds') AS w, country, count(*) AS n FROM events GROUP BY 1, 2 $$, keep_late => true);
		SELECT weir.create_alert('busy', 'traffic_10s', 'events > 0');
		SELECT weir.create_sink('traffic_10s', 'traffic')});
	# three days ago, so that there is more than one partition; then until now
	produce($broker, 'events', '--start-time', rfc3339($now - 3 * 86400), '--count', 20_000);
	sql($node, q{SELECT weir.flush('events')});
	produce($broker, 'events', '--start-time', rfc3339($now - 120), '--count', 120_000,
		'--late', 0.01, '--out-of-order', 0.02, '--malformed', 0.001, '--hold-back', 'weir.postgres.public.events:20000');
	sql($node, q{
		SELECT weir.flush('events');
		UPDATE weir.dead_letter_log SET recorded_at = recorded_at - interval '1 minute' WHERE "offset" % 2 = 0;
		UPDATE weir.late_event_log SET recorded_at = recorded_at - interval '1 minute' WHERE "offset" % 2 = 0;
		INSERT INTO weir.lost_range_log (view, topic, partition, from_offset, upto_offset, reason)
			SELECT id, 'events', 0, 0, 10, 'test' FROM weir.views LIMIT 1});
	ok( wait_until($node, q{SELECT count(DISTINCT name) = 2 FROM weir.metrics
			WHERE name IN ('weir_kafka_broker_state', 'weir_kafka_rtt_seconds_avg')}, 180),
		'librdkafka has told its figures');
	return;
}

# Who reads for Grafana: docs/grafana.md.
sub make_reader
{
	my $docs = slurp_file(Weir::Broker::root() . '/docs/grafana.md');
	my ($grants) = $docs =~ /```sql\n(CREATE ROLE grafana.*?)```/s;

	sql($node, $grants);
	sql($node, 'GRANT SELECT ON strict TO grafana');
	return;
}

# columns($sql): the result's columns as [name, type], as the reader sees them.
sub columns
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "$sql \\gdesc", extra_params => [ '-U', 'grafana' ]);

	return [ map { [ split /\|/ ] } split /\n/, $out ];
}

# rows($sql): its rows; what is NULL is undef.
sub rows
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql(
		'postgres', $sql,
		extra_params => [ '-U', 'grafana', '-P', 'null=<null>', '-F', "\x1f", '-R', "\x1e" ],
		on_error_stop => 1);

	diag("$sql\n$err") if $status != 0;
	return if $status != 0;
	return [ map { [ map { $_ eq '<null>' ? undef : $_ } split /\x1f/, $_, -1 ] } split /\x1e/, $out ];
}

# -- what a panel needs ----------------------------------------------------------

sub of_type { my ($columns, $type) = @_; return grep { $_->[1] =~ $type } @$columns }

# misfits($panel, $target, $columns, $rows): why the panel could not show them.
sub misfits
{
	my ($p, $target, $columns, $rows) = @_;
	my $kind = $p->{type};
	my %name = map { $_->[0] => 1 } @$columns;
	my @wrong;

	return 'no rows' if !@$rows;
	push @wrong, map { "$_->[0] is of type $_->[1]" }
	  grep { $_->[1] !~ $numeric && $_->[1] !~ $textual && $_->[1] !~ $temporal && $_->[1] ne 'boolean' } @$columns;
	push @wrong, map { "no column \"$_\" to format" }
	  grep { !$name{$_} } map { $_->{matcher}{options} } @{ $p->{fieldConfig}{overrides} };
	push @wrong, map { "a link to the missing column $_" }
	  grep { !$name{$_} } JSON::PP::encode_json($p) =~ /__data\.fields\.(\w+)/g;
	push @wrong, misfits_of_series($target, $columns, $rows) if $kind eq 'timeseries';
	push @wrong, 'not one row of numbers' if $kind =~ /^(?:stat|gauge)$/ && (@$rows != 1 || of_type($columns, $numeric) != @$columns);
	push @wrong, 'not a name and a number'
	  if $kind eq 'bargauge' && (of_type($columns, $textual) != 1 || of_type($columns, $numeric) != 1);
	push @wrong, 'no text and numbers to draw'
	  if $kind eq 'barchart'
	  && ($p->{options}{xField} ne $columns->[0][0] || $columns->[0][1] !~ $textual || of_type($columns, $numeric) != @$columns - 1);
	push @wrong, "format $target->{format}" if ($kind eq 'timeseries') != ($target->{format} eq 'time_series');
	return @wrong;
}

# Times are there, ascend, and are there once for each series.
sub misfits_of_series
{
	my ($target, $columns, $rows) = @_;
	my @labels = of_type($columns, $textual);
	my (%seen, @wrong);

	return 'the first column is not "time"' if $columns->[0][0] ne 'time';
	return 'a label that is not "metric"' if grep { $_->[0] ne 'metric' } @labels;
	push @wrong, 'no numbers' if of_type($columns, $numeric) < 2;
	push @wrong, 'fewer than two points' if @$rows < 2;
	push @wrong, 'a time that is NULL' if grep { !defined $_->[0] } @$rows;
	push @wrong, 'times do not ascend' if grep { $rows->[$_][0] < $rows->[ $_ - 1 ][0] } 1 .. $#$rows;
	push @wrong, 'a point twice' if grep { $seen{ join ' ', @$_[ 0 .. @labels ] }++ } @$rows;
	return @wrong;
}

# The time that is shown.
sub shown { return (from => $now - 900, to => time + 1, interval => 10) }

# choices($board): what can be chosen for each of its variables: all.
sub choices
{
	my ($board) = @_;
	my %chosen;

	foreach my $v (grep { $_->{type} eq 'query' } @{ $board->{templating}{list} })
	{
		my $sql = expand($v->{query}, shown(), variables => \%chosen);
		my $rows = rows($sql);

		ok(@$rows > 0 && @{ $rows->[0] } == 1, "$board->{uid}: the variable $v->{name} has values");
		$chosen{ $v->{name} } = [ map { $_->[0] } @$rows ];
	}
	return \%chosen;
}

sub check_panels
{
	my ($board) = @_;
	my %o = (shown(), variables => choices($board));

	foreach (queries($board))
	{
		my ($p, $target) = @$_;
		my $sql = expand($target->{rawSql}, %o);
		my $rows = rows($sql);
		my @wrong = $rows ? misfits($p, $target, columns($sql), $rows) : 'an error';

		is(join('; ', @wrong), '', "$board->{uid}: \"$p->{title}\" shows what it should");
	}
	return;
}

# check_pruning($board): windows out of the time that is shown cost nothing: partitions
# of other days are left out, and of one the index is used if it pays.
sub check_pruning
{
	my ($board) = @_;
	my %o = (from => $now - 60, to => $now, interval => 10, variables => choices($board));
	my @old = split /\n/, sql($node, q{
		SELECT tableoid::regclass FROM traffic_10s_final WHERE window_start < now() - interval '2 days'
		UNION SELECT tableoid::regclass FROM requests_10s_final WHERE window_start < now() - interval '2 days'});

	cmp_ok(@old, '>', 0, 'there are partitions of former days');
	foreach (queries($board))
	{
		my ($p, $target) = @$_;
		my $plan = sql($node, 'SET enable_seqscan = off; EXPLAIN (COSTS OFF) ' . expand($target->{rawSql}, %o));

		next if $plan !~ /_10s_final/;
		ok(!(grep { $plan =~ /\b$_\b/ } @old) && $plan =~ /(?:Index|Bitmap Index) (?:Only )?(?:Scan|Cond).*window_start/s,
			"$board->{uid}: \"$p->{title}\" reads the partitions of its time, by the index")
		  or diag($plan);
	}
	return;
}

# -- PromQL ------------------------------------------------------------------------

# labels_of_metrics(): the names in weir.metrics, with the labels of each.
sub labels_of_metrics
{
	my %labels;

	foreach (@{ rows('SELECT DISTINCT name, k FROM weir.metrics LEFT JOIN LATERAL jsonb_object_keys(labels) k ON true') })
	{
		$labels{ $_->[0] }{ $_->[1] // '' } = 1;
	}
	return \%labels;
}

# unknown($promql, $legend, $metrics): what is named in an expression, and is not there.
sub unknown
{
	my ($promql, $legend, $metrics) = @_;
	my @names = $promql =~ /\b(weir_\w+)/g;
	my %label = map { $_ => 1 } map { keys %{ $metrics->{$_} // {} } } @names;
	my @used = $legend =~ /\{\{(\w+)\}\}/g;
	my @wrong = map { "the metric $_" } grep { !$metrics->{$_} } @names;

	push @used, map { split /, */ } $promql =~ /\bby \(([^)]*)\)/g;
	push @wrong, map { "the label $_" } grep { !$label{$_} } @used;
	while ($promql =~ /\b(weir_\w+)\{([^}]*)\}/g)
	{
		my ($name, $matchers) = ($1, $2);

		push @wrong, map { "the label $_ of $name" } grep { !$metrics->{$name}{$_} } $matchers =~ /(\w+)=/g;
	}
	push @wrong, 'no metric at all' if !@names;
	return @wrong;
}

sub check_history
{
	my ($board) = @_;
	my $metrics = labels_of_metrics();
	my %o = (interval => 10, variables => { stream => ['public.events'], view => [ 'public.traffic_10s', 'public."Odd|one"' ] });
	my @rules;

	foreach (queries($board))
	{
		my ($p, $target) = @$_;
		my $promql = expand_promql($target->{expr}, %o);

		is(join('; ', unknown($promql, $target->{legendFormat}, $metrics)),
			'', "$board->{uid}: \"$p->{title}\" asks for what there is");
		push @rules, { record => 'panel:' . @rules, expr => $promql };
	}
	foreach my $v (grep { $_->{type} eq 'query' } @{ $board->{templating}{list} })
	{
		my ($name, $label) = $v->{definition} =~ /^label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)$/;

		ok($metrics->{$name}{$label}, "$board->{uid}: the variable $v->{name} has values");
	}

	# JSON is YAML, too.
	my $file = PostgreSQL::Test::Utils::tempdir('promql') . '/rules.yml';

	append_to_file($file, JSON::PP->new->canonical->encode({ groups => [ { name => 'panels', rules => \@rules } ] }));
	command_ok([ 'promtool', 'check', 'rules', $file ], "$board->{uid}: promtool understands each expression");
	return;
}

# -- alert rules -----------------------------------------------------------------

sub yaml
{
	my ($file) = @_;
	my $text = slurp_file(Weir::Broker::root() . "/grafana/provisioning/$file");

	return YAML::PP->new->load_string($text);
}

# faults($rule, $boards): what Grafana would not take of an alert rule.
sub faults
{
	my ($rule, $boards) = @_;
	my ($query, $condition) = @{ $rule->{data} };
	my ($section) = $rule->{annotations}{runbook} =~ /^docs\/monitoring\.md#(\w+)$/;
	my $columns = columns($query->{model}{rawSql});
	my @panels = map { @{ $_->{panels} } } grep { $_->{uid} eq $rule->{dashboardUid} } @$boards;
	my @wrong;

	push @wrong, "no $_" foreach grep { !length($rule->{$_} // '') } qw(uid title condition for noDataState execErrState);
	push @wrong, 'not a query and a condition' if @{ $rule->{data} } != 2 || $rule->{condition} ne $condition->{refId};
	push @wrong, 'no time range' if grep { !$_->{relativeTimeRange}{from} } @{ $rule->{data} };
	push @wrong, 'a refId that differs' if grep { $_->{refId} ne $_->{model}{refId} } @{ $rule->{data} };
	push @wrong, 'a data source that differs'
	  if grep { $_->{datasourceUid} ne $_->{model}{datasource}{uid} } @{ $rule->{data} };
	push @wrong, 'unknown data sources'
	  if $query->{datasourceUid} ne 'weir-postgres' || $condition->{datasourceUid} ne '__expr__';
	push @wrong, 'a threshold of something else' if $condition->{model}{expression} ne $query->{refId};
	push @wrong, 'not one number with labels of text'
	  if of_type($columns, $numeric) != 1 || of_type($columns, $textual) != @$columns - 1;
	push @wrong, map { "no label $_" }
	  grep { my $label = $_; !grep { $_->[0] eq $label } @$columns } $rule->{annotations}{summary} =~ /\.Labels\.(\w+)/g;
	push @wrong, 'no section of the runbook'
	  if slurp_file(Weir::Broker::root() . '/docs/monitoring.md') !~ /^### $section$/im;
	push @wrong, 'no such table' if !grep { $_->{id} == $rule->{panelId} && $_->{type} eq 'table' } @panels;
	push @wrong, 'an error' if !rows($query->{model}{rawSql});
	return @wrong;
}

sub check_alerting
{
	my (@boards) = @_;
	my $rules = yaml('alerting/weir-rules.yaml');
	my $notify = yaml('alerting/weir-notify.yaml');
	my %uid;

	foreach my $rule (map { @{ $_->{rules} } } @{ $rules->{groups} })
	{
		is(join('; ', faults($rule, \@boards)), '', "alert rule \"$rule->{title}\"");
		ok(!$uid{ $rule->{uid} }++, "alert rule \"$rule->{title}\": its uid is its own");
	}
	my ($letters) = grep { $_->{uid} eq 'weir-dead-letters' } map { @{ $_->{rules} } } @{ $rules->{groups} };

	like(sql($node, 'SET enable_seqscan = off; EXPLAIN ' . $letters->{data}[0]{model}{rawSql}), qr/dead_letters_recorded_at/,
		"alert rule \"$letters->{title}\": reads the newest letters only");
	unlike(slurp_file(Weir::Broker::root() . "/grafana/provisioning/alerting/weir-$_.yaml"), qr/\$/,
		"alerting, $_: nothing that could be taken for a variable")
	  foreach qw(rules notify);
	is_deeply([ grep { $_ ne 'weir' } map { ($_->{receiver}, map { $_->{receiver} } @{ $_->{routes} }) } @{ $notify->{policies} } ],
		[], 'policies name a contact point that is there');
	is(join(' ', map { $_->{name} } @{ $notify->{contactPoints} }), 'weir', 'which is defined');
	return;
}

# What dashboards and rules look for are the provisioned data sources.
sub check_data_sources
{
	my $sources = yaml('datasources/weir.yaml')->{datasources};
	my $docs = slurp_file(Weir::Broker::root() . '/docs/grafana.md');
	my %variable = map { $_ => 1 } slurp_file(Weir::Broker::root() . '/grafana/provisioning/datasources/weir.yaml') =~ /\$(\w+)/g;

	is(join(' ', map { "$_->{name} $_->{uid} $_->{type}" } @$sources),
		'weir-postgres weir-postgres postgres weir-prometheus weir-prometheus prometheus', 'the data sources');
	is(join(' ', grep { $docs !~ /`$_`/ } sort keys %variable), '', 'docs/grafana.md has the variables that they need');
	is(yaml('dashboards/weir.yaml')->{providers}[0]{options}{path}, '/var/lib/grafana/dashboards/weir', 'the dashboards\' folder');
	return;
}

# What complaints() has to notice: boards that are broken one way each.
sub check_complaints
{
	my %break = (
		'an id twice' => sub { $_[0]{panels}[1]{id} = $_[0]{panels}[0]{id} },
		'overlaps' => sub { $_[0]{panels}[1]{gridPos}{x}-- },
		'outside' => sub { $_[0]{panels}[0]{gridPos}{w} = 25 },
		'a data source that is named' => sub { $_[0]{panels}[0]{targets}[0]{datasource} = 'PostgreSQL' },
		'leftovers of an export' => sub { $_[0]{__inputs} = [] },
		'an id of another' => sub { $_[0]{id} = 7 });

	foreach my $wrong (sort keys %break)
	{
		my $board = dashboard('weir-demo');

		$break{$wrong}->($board);
		like(join('; ', complaints($board)), qr/\Q$wrong\E/, "what is wrong is noticed: $wrong");
	}
	return;
}

# -- run ---------------------------------------------------------------------------

my @boards = dashboards();
my %uid;

is( join(' ', map { $_->{uid} } @boards), 'weir-demo weir-history weir-overview weir-stream',
	'there are four dashboards');
foreach my $board (@boards)
{
	is(join('; ', complaints($board)), '', "$board->{uid}: what Grafana requires");
	ok(!$uid{ $board->{uid} }++, "$board->{uid}: its uid is its own");
}
command_ok([ Weir::Broker::root() . '/grafana/generate', '--check' ], 'the dashboards are what generate makes');

check_complaints();
make_demo();
make_reader();
check_panels($_) foreach grep { $_->{uid} ne 'weir-history' } @boards;
check_history(dashboard('weir-history'));
check_pruning(dashboard('weir-demo'));
check_alerting(@boards);
check_data_sources();

done_testing();
