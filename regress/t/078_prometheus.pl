# A real Prometheus with a real postgres_exporter and Alertmanager on a running Weir: every metric
# arrives with its value, counters survive a restart, and each alert fires when its
# fault is made.  What takes hours in life takes seconds here (Weir::Prometheus); that
# alerts have patience, and keep quiet in peace, is promtool's part.
#
# Takes 90 s.

use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);
use Weir::Prometheus;
use Weir::Test;

my $files = Weir::Prometheus::files();

# 1. What promtool and amtool say.
sub accepts
{
	my ($name, @command) = @_;
	my $ok = IPC::Run::run(\@command, '>&', \my $out);

	return ok($ok, $name) || diag($out);
}

accepts('promtool accepts the configuration', 'promtool', 'check', 'config', "$files/prometheus.yml");
accepts('amtool accepts the configuration of Alertmanager', 'amtool', 'check-config', "$files/alertmanager.yml");
accepts('promtool accepts the rules', 'promtool', 'check', 'rules', "$files/rules/weir-recording.yml",
	"$files/rules/weir-alerts.yml");
accepts('each alert fires when it should, and none in peace',
	'promtool', 'test', 'rules', "$files/tests/weir-alerts_test.yml");

# 2. Peace.
my $kafka = start_kafka();
my $node = cluster("weir.checkpoint_interval = '100 ms'", "weir.memory_limit = '16 MB'",
	"weir.queue_limit = '8 MB'");
my %topics = map { $_ => "${_}_$$" } qw(events bad lost big stuck);

# (weir-producer makes topics quicker than Kafka's own tools.)
produce($kafka, $_, '--partitions', 2, '--count', 100) foreach sort values %topics;

# Views NAME_v on streams of their own.
foreach my $stream (qw(events bad lost stuck))
{
	my %options = $stream eq 'lost' ? (offset_reset => 'earliest', on_error => 'stop') : ();

	events_view($node, $kafka, $topics{$stream}, stream => $stream, options => \%options);
}

sql($node, q{CREATE ROLE watcher LOGIN IN ROLE weir_monitor});
my $prometheus = Weir::Prometheus->start($node, 'watcher',
	'weir_checkpoint_age_seconds > 60' => 'weir_checkpoint_age_seconds > 1',
	'resets(weir_messages_total[15s])) > 3' => 'resets(weir_messages_total[15s])) > 0',
	'view:weir_freshness_seconds:p99_5m > 5' => 'view:weir_freshness_seconds:p99_5m > 1');

produce($kafka, $topics{events}, '--count', 4900);
sql($node, "SELECT weir.flush('events'), weir.flush('lost'), weir.flush('bad'), weir.flush('stuck')");
ok($prometheus->wait_for('weir_events_total{view="public.events_v"} == 5000'),
	'what is counted arrives');
ok($prometheus->wait_for('count(weir_kafka_rtt_seconds_avg) by (stream)'),
	'and what librdkafka says of its brokers');

# Rows of weir.metrics by name and labels.
sub metrics
{
	my $rows = decode_json(sql($node, q{SET ROLE watcher;
		SELECT json_agg(json_build_array(name, labels, value)) FROM weir.metrics}));

	return { map { series($_->[0], %{ $_->[1] }) => $_->[2] } @$rows };
}

# A metric as Prometheus writes it, less what it adds itself.
sub series
{
	my ($name, %labels) = @_;

	delete @labels{qw(__name__ job instance server)};
	return $name . '{' . join(',', map { "$_=$labels{$_}" } sort keys %labels) . '}';
}

# 2a. Between two readings of weir.metrics Prometheus has been there, too.
my $before = metrics();
$prometheus->wait_for_scrape;
my %seen = map { series($_->{labels}{__name__}, %{ $_->{labels} }) => $_->{value} }
  $prometheus->query('{__name__=~"weir_.+"}');
my $after = metrics();

is(join(' ', grep { !exists $seen{$_} } sort keys %$before), '', 'all metrics arrive');
is(join(' ', grep { !exists $after->{$_} } sort keys %seen), '', 'and no others');

# These go up and down by themselves.
my $restless = qr/^weir_(checkpoint_age|kafka_rtt|kafka_fetch_queue)/;

sub is_between
{
	my ($x, $a, $b) = @_;
	my $epsilon = 1e-9 * (abs($a) + abs($b));

	($a, $b) = ($b, $a) if $a > $b;
	return $x >= $a - $epsilon && $x <= $b + $epsilon;
}

is( join(' ', grep { $_ !~ $restless && !is_between($seen{$_}, $before->{$_}, $after->{$_}) }
		  grep { exists $seen{$_} && exists $after->{$_} } sort keys %$before),
	'', 'with the values of weir.metrics');

my %names = map { /^(\w+)/ => 1 } keys %seen;
my @promised = map { split } <DATA>;
is(join(' ', grep { !$names{$_} } @promised), '', 'and each that is promised is among them');
like($prometheus->exporter_page, qr/^# TYPE $_ histogram$/m, "$_ is a histogram")
  foreach 'weir_freshness_seconds', 'weir_commit_latency_seconds';
unlike($prometheus->exporter_log, qr/err=|level=(warn|error)/, 'the exporter complains of nothing');

my $p99 = $prometheus->value('view:weir_freshness_seconds:p99_5m{view="public.events_v"}');
cmp_ok($p99, '>', 0, 'the recording rules have results') if defined $p99;
is(join(' ', map { "$_->{name}: $_->{lastError}" } grep { $_->{health} ne 'ok' }
		  map { @{ $_->{rules} } } @{ $prometheus->api('rules')->{groups} }),
	'', 'all rules can be evaluated');

# What counts seconds here, where it has minutes in life, would tell of a machine that is busy.
my $hasty = join('|', map { "Weir$_" } qw(ExporterDown MetricsMissing CheckpointOld FreshnessHigh
	PartitionStalled WatermarkStuck ViewStalled));

is(join(' ', map { $_->{labels}{alertname} } $prometheus->query(
			qq(ALERTS{alertstate="firing", alertname!~"$hasty"}))),
	'', 'no alert fires in peace');

# 2b. Counters of views go on after a restart.
$node->restart;
ok(wait_until($node, q{SELECT state IN ('running', 'idle') FROM weir.status WHERE view_name = 'events_v'::regclass}),
	'the view runs again');
$prometheus->wait_for_scrape;
is($prometheus->value('weir_events_total{view="public.events_v"}'), 5000, 'events go on where they were');
is(join(' ', map { series($_->{labels}{__name__}, %{ $_->{labels} }) }
		  $prometheus->query('resets({__name__=~"weir_(events|final_rows|late_events|dead_letters|lost_offsets)_total"}[5m]) > 0')),
	'', 'no counter of a view went back');

# 3. Faults.  told($alert, $labels): it fires, or has fired since fault() was said.
my $runbooks = slurp_file(Weir::Broker::root() . '/docs/monitoring.md');
my %told;
my @annotations;
my $since;

sub fault
{
	$since = time;
	return;
}

sub told
{
	my ($alert, $labels) = @_;
	my $series = qq(ALERTS{alertname="$alert", alertstate="firing"$labels});

	$told{$alert} = 1;
	ok($prometheus->wait_for("max_over_time(timestamp($series)[5m:1s]) > $since"), "$alert fires");
	push @annotations, map { %{ $_->{annotations} } } @{ $prometheus->api('alerts')->{alerts} };
	return;
}

# Wait until one of Alertmanager's alerts of that name is as it should be.
sub wait_for_alertmanager
{
	my ($check, $alert) = @_;
	my $end = time + 180;

	while (time < $end)
	{
		return 1 if grep { $check->($_) } $prometheus->alertmanager_has($alert);
		sleep 0.1;
	}
	return 0;
}

sub of_view { return qq(, view="public.$_[0]_v") }

# 3a. Messages: malformed, late, skipped.
fault();
produce($kafka, $topics{bad}, '--count', 5000, '--malformed', 0.1, '--late', 0.1);
told('WeirMalformedMessages', ', stream="public.bad"');
told('WeirDeadLetters', of_view('bad'));
told('WeirLateEvents', of_view('bad'));

# 3b. A paused view, whose messages get old meanwhile, and some of them lost; an open
# transaction; a message that stops its view.
fault();
sql($node, q{SELECT weir.pause('lost_v')});
produce($kafka, $topics{lost}, '--count', 1000);
my $transaction = start_producer($kafka, $topics{bad}, '--transaction', 1_000_000_000,
	'--rate', 1e-6, '--timeout', 600);
$kafka->delete_records($topics{lost}, 0 => 100);
told('WeirViewPaused', of_view('lost'));
sql($node, q{SELECT weir.resume('lost_v')});
told('WeirLostOffsets', of_view('lost'));
told('WeirFreshnessHigh', of_view('lost'));
told('WeirPartitionStalled', ', stream="public.bad"');
end_transaction($transaction);
produce($kafka, $topics{lost}, '--count', 10, '--malformed', 1);
told('WeirViewInError', of_view('lost'));

# 3c. A partition whose time stands still, while the other one goes on.
fault();
sql($node, q{INSERT INTO stuck (ts, part) SELECT now(), p FROM generate_series(0, 1) p});
my $half = Weir::Session->new($node);
$half->send(q{DO $$ BEGIN
	FOR i IN 1 .. 1000 LOOP
		INSERT INTO stuck (ts, part) VALUES (clock_timestamp(), 1);
		PERFORM pg_sleep(0.2);
	END LOOP;
END $$});
told('WeirWatermarkStuck', of_view('stuck'));

# 3d. Checkpoints that wait for a lock; processes that end.
fault();
my $lock = Weir::Session->new($node);
$lock->query('BEGIN; LOCK TABLE events_v_final');
sql($node, q{INSERT INTO events (ts, part) SELECT now() + interval '1 hour', p FROM generate_series(0, 1) p});
told('WeirCheckpointsFailing', ', stream="public.events"');
told('WeirCheckpointOld', ', stream="public.events"');
told('WeirViewStalled', of_view('events') . ', state="postponed"');
ok(wait_for_alertmanager(sub { $_[0]{status}{state} eq 'suppressed' }, 'WeirCheckpointOld'),
	'Alertmanager has it, and keeps quiet about what follows from it');
ok(wait_for_alertmanager(sub { $_[0]{receivers}[0]{name} eq 'operators' }, 'WeirCheckpointsFailing'),
	'and tells of the cause');
$lock->query('ROLLBACK');
sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest public.events%'});
told('WeirViewRestarts', ', stream="public.events"');

# 3e. Memory: of a view, and of all.
sub many_groups
{
	my ($view, $options, $groups) = @_;

	sql($node, qq{SELECT weir.create_view('$view',
		\$\$ SELECT weir.tumble(ts, '1 hour') AS w, user_id, count(*) AS n FROM big GROUP BY 1, 2 \$\$$options)});
	return;
}

fault();
setup_events($node, $kafka, $topics{big}, stream => 'big');
many_groups('small_v', q{, memory_limit => '1 MB'});
sql($node, q{INSERT INTO big (user_id, ts) SELECT g, now() FROM generate_series(1, 20000) g});
told('WeirViewMemoryNearlyFull', of_view('small'));
many_groups('big_v', q{, start => 'earliest'});
sql($node, qq{INSERT INTO big (user_id, ts) SELECT g, now() FROM generate_series($_ * 50000, ($_ + 1) * 50000) g})
  foreach 1 .. 4;
told('WeirMemoryNearlyFull', '');
told('WeirViewOutOfMemory', of_view('big'));
told('WeirLagGrowing', of_view('big'));

# 3f. Brokers, and servers.
fault();
$kafka->stop;
told('WeirBrokerDown', '');
fault();
sql($node, 'REVOKE SELECT ON weir.metrics FROM PUBLIC');
told('WeirMetricsMissing', '');
fault();
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;
sql($node, 'GRANT SELECT ON weir.metrics TO PUBLIC');
told('WeirDown', '');
fault();
$prometheus->stop_exporter;
told('WeirExporterDown', '');

my @rules = slurp_file("$files/rules/weir-alerts.yml") =~ /alert: (\w+)/g;
is(join(' ', grep { !$told{$_} } @rules), '', 'all alerts have been made to fire');
is(join(' ', grep { $runbooks !~ /^### $_$/m } @rules), '', 'each has a runbook');
unlike("@annotations", qr/<(no value|error)/, 'and can say what is wrong');
$prometheus->stop;

done_testing();

__DATA__
weir_events_total weir_late_events_total weir_dead_letters_total weir_lost_offsets_total
weir_final_rows_total weir_windows_open weir_groups_open weir_memory_bytes
weir_memory_limit_bytes weir_lag_messages weir_lag_seconds weir_watermark_seconds
weir_watermark_lag_seconds weir_view_state weir_restarts_total
weir_freshness_seconds_bucket weir_freshness_seconds_sum weir_freshness_seconds_count
weir_commit_latency_seconds_bucket weir_commit_latency_seconds_sum weir_commit_latency_seconds_count
weir_partition_position weir_partition_committed weir_partition_high_watermark
weir_partition_lag_messages weir_partition_watermark_seconds weir_partition_idle
weir_partition_last_message_seconds
weir_messages_total weir_bytes_total weir_malformed_total weir_batches_total
weir_stage_seconds_total weir_checkpoints_total weir_checkpoint_failures_total
weir_checkpoint_seconds_total weir_checkpoint_bytes_total weir_checkpoint_age_seconds
weir_queue_bytes weir_workers
weir_kafka_rx_bytes_total weir_kafka_tx_bytes_total weir_kafka_rtt_seconds_avg
weir_kafka_broker_state weir_kafka_fetch_queue_messages weir_kafka_request_errors_total
weir_kafka_disconnects_total
weir_arena_bytes weir_arena_used_bytes weir_build_info weir_up weir_in_recovery
