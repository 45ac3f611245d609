
# Weir::Prometheus - a real postgres_exporter, Prometheus and Alertmanager for a test
#
#   my $p = Weir::Prometheus->start($node, 'watcher');    # a role of the database
#   $p->value('weir_up');                                 # of a PromQL query
#   $p->wait_for('weir_up == 0');                         # until it returns something
#
# They run with the files of grafana/prometheus, but scrape and evaluate rules each
# second, and rules count seconds where the originals have minutes.

package Weir::Prometheus;

use strict;
use warnings;

use Carp;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(sleep time);
use Weir::Broker;

my @started;

# The folder with what is shipped.
sub files { return Weir::Broker::root() . '/grafana/prometheus' }

# Minutes become seconds, but a window holds three scrapes or more, and nothing has
# to hold longer than a second.
sub _hasten
{
	my ($rules) = @_;

	$rules =~ s/\[(\d+)([mh])\]/'[' . _at_least(4, $1 * ($2 eq 'h' ? 60 : 1)) . 's]'/ge;
	$rules =~ s/for: \d+[smh]$/for: 1s/gm;
	return $rules;
}

sub _at_least { return $_[0] > $_[1] ? $_[0] : $_[1] }

# start($node, $role, %rules): %rules replaces thresholds, text by text, each of
# which must be there.
sub start
{
	my ($class, $node, $role, %rules) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir('prometheus');
	my $self = bless {
		dir => $dir,
		exporter_port => PostgreSQL::Test::Cluster::get_free_port(),
		port => PostgreSQL::Test::Cluster::get_free_port(),
		alertmanager_port => PostgreSQL::Test::Cluster::get_free_port(),
		node => $node,
		role => $role }, $class;

	push @started, $self;
	$self->_configure(%rules);
	$self->start_exporter;
	$self->{prometheus} = _run(
		"$dir/prometheus.log", [
			'prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data",
			"--web.listen-address=127.0.0.1:$self->{port}" ]);
	$self->{alertmanager} = _run(
		"$dir/alertmanager.log", [
			'prometheus-alertmanager', '--config.file=' . files() . '/alertmanager.yml',
			"--storage.path=$dir/alerts", '--cluster.listen-address=',
			"--web.listen-address=127.0.0.1:$self->{alertmanager_port}" ]);
	return $self;
}

sub _configure
{
	my ($self, %rules) = @_;
	my ($dir, $from) = ($self->{dir}, files());
	my $config = slurp_file("$from/prometheus.yml");
	my $alerts = _hasten(slurp_file("$from/rules/weir-alerts.yml"));

	$config =~ s/_interval: 5s/_interval: 1s/g or croak 'no interval in prometheus.yml';
	foreach my $old (sort keys %rules)
	{
		$alerts =~ s/\Q$old\E/$rules{$old}/ or croak "no rule has \"$old\"";
	}
	mkdir "$dir/$_" foreach 'rules', 'targets';
	append_to_file("$dir/prometheus.yml", $config);
	append_to_file("$dir/rules/weir-alerts.yml", $alerts);
	append_to_file("$dir/rules/weir-recording.yml",
		_hasten(slurp_file("$from/rules/weir-recording.yml")));
	append_to_file("$dir/targets/weir.yml", "- targets: ['127.0.0.1:$self->{exporter_port}']\n");
	append_to_file("$dir/targets/alertmanager.yml", "- targets: ['127.0.0.1:$self->{alertmanager_port}']\n");
	return;
}

sub _run
{
	my ($log, $command) = @_;

	return IPC::Run::start($command, '<', \undef, '>', $log, '2>', "$log.err");
}

sub start_exporter
{
	my ($self) = @_;

	local $ENV{DATA_SOURCE_NAME} = "user=$self->{role} dbname=postgres sslmode=disable"
	  . ' host=' . $self->{node}->host . ' port=' . $self->{node}->port;
	$self->{exporter} = _run(
		"$self->{dir}/exporter.log", [
			'prometheus-postgres-exporter',
			"--web.listen-address=127.0.0.1:$self->{exporter_port}",
			'--extend.query-path=' . files() . '/postgres_exporter.yaml',
			'--disable-default-metrics', '--disable-settings-metrics',
			'--no-collector.database', '--no-collector.bgwriter' ]);
	return;
}

sub stop_exporter
{
	my ($self) = @_;

	(delete $self->{exporter})->kill_kill if $self->{exporter};
	return;
}

sub stop
{
	my ($self) = @_;

	$self->stop_exporter;
	foreach my $name (qw(prometheus alertmanager))
	{
		(delete $self->{$name})->kill_kill if $self->{$name};
	}
	return;
}

# The exporter's own page.
sub exporter_page
{
	my ($self) = @_;

	return HTTP::Tiny->new->get("http://127.0.0.1:$self->{exporter_port}/metrics")->{content};
}

# The log of the exporter, so far.
sub exporter_log { return slurp_file("$_[0]{dir}/exporter.log.err") }

# api('alerts'): the data of an answer, or nothing, as long as there is none.
sub api
{
	my ($self, $path, %parameters) = @_;
	my $http = HTTP::Tiny->new(timeout => 30);
	my $query = $http->www_form_urlencode(\%parameters);
	my $answer = $http->get("http://127.0.0.1:$self->{port}/api/v1/$path?$query");

	return if !$answer->{success};
	return decode_json($answer->{content})->{data};
}

# The alerts that Alertmanager has, of that name.
sub alertmanager_has
{
	my ($self, $alert) = @_;
	my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$self->{alertmanager_port}/api/v2/alerts");

	return if !$answer->{success};
	return grep { $_->{labels}{alertname} eq $alert } @{ decode_json($answer->{content}) };
}

# query($promql): the samples as they are now, each a hash of labels and value.
sub query
{
	my ($self, $promql) = @_;
	my $data = $self->api('query', query => $promql) or return;

	return map { { labels => $_->{metric}, value => $_->{value}[1] } } @{ $data->{result} };
}

# The value of the one sample of a query, or nothing.
sub value
{
	my ($self, $promql) = @_;
	my @samples = $self->query($promql);

	return @samples == 1 ? $samples[0]{value} : undef;
}

# Wait until a query returns something.  Returns whether it did.
sub wait_for
{
	my ($self, $promql, $timeout) = @_;
	my $end = time + ($timeout // 180);

	while (time < $end)
	{
		return 1 if $self->query($promql);
		sleep 0.1;
	}
	Test::More::diag("timed out waiting for: $promql");
	Test::More::diag(map { encode_json($_->{labels}) . " $_->{value}\n" } $self->query('ALERTS'));
	return 0;
}

# Wait for a scrape that has begun after this call.
sub wait_for_scrape
{
	my ($self) = @_;

	return $self->wait_for('timestamp(weir_up) > ' . (time + 0.1));
}

END
{
	my $status = $?;
	$_->stop foreach @started;
	$? = $status;
}

1;
