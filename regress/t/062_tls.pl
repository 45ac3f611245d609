# TLS and SASL against a real Kafka: what is right works; a wrong CA, host name,
# certificate, password or mechanism is a clear error in SELECT and in weir.status
# within seconds, and the view goes on when ALTER has mended it.  Passwords and keys
# are in no view, error or log, with librdkafka's debug messages on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Weir::Test;

my $dir = PostgreSQL::Test::Utils::tempdir('tls');
my ($password, $wrong) = ('s3cret-of-app', 'wr0ng-guess');
my $seen = '';

# --- certificates: two authorities, and what the first one has signed

sub openssl
{
	my ($command) = @_;

	system("openssl $command >>$dir/openssl.log 2>&1") == 0
	  or die "openssl $command: " . slurp_file("$dir/openssl.log");
	return;
}

sub authority
{
	my ($name) = @_;

	openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=$name"
		  . " -keyout $dir/$name.key -out $dir/$name.pem");
	return;
}

# Key and certificate in one file, as Kafka takes them.
sub certificate
{
	my ($name, $alt, $days) = @_;

	openssl("req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $dir/$name.key -out $dir/$name.csr");
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.ext", "subjectAltName=$alt\n");
	openssl("x509 -req -in $dir/$name.csr -CA $dir/ca.pem -CAkey $dir/ca.key -CAcreateserial"
		  . " -days $days -extfile $dir/$name.ext -out $dir/$name.crt");
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.pem",
		slurp_file("$dir/$name.key") . slurp_file("$dir/$name.crt"));
	return;
}

authority($_) foreach qw(ca other);
certificate('good', 'IP:127.0.0.1', 30);
certificate('elsewhere', 'DNS:elsewhere.example', 30);
certificate('expired', 'IP:127.0.0.1', -1);
my $client_key = slurp_file("$dir/good.key");

# --- a broker with a listener for each

my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(good elsewhere expired sasl);
my $jaas = 'org.apache.kafka.common.security';
my $extra = "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
  . "GOOD:SSL,ELSEWHERE:SSL,EXPIRED:SSL,SASL:SASL_SSL\n";
foreach my $name (sort keys %port)
{
	my $store = $name eq 'sasl' ? 'good' : $name;

	$extra .= "listener.name.$name.ssl.keystore.type=PEM\n"
	  . "listener.name.$name.ssl.keystore.location=$dir/$store.pem\n";
}
$extra .= "listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n"
  . qq{listener.name.sasl.plain.sasl.jaas.config=$jaas.plain.PlainLoginModule required user_app="$password";\n}
  . "listener.name.sasl.scram-sha-256.sasl.jaas.config=$jaas.scram.ScramLoginModule required;\n";
my $kafka = start_kafka(
	'extra.properties' => $extra,
	listeners => join(',', map { uc($_) . "://127.0.0.1:$port{$_}" } sort keys %port));
$kafka->tool('kafka.admin.ConfigCommand', '--alter', '--entity-type', 'users', '--entity-name', 'app',
	'--add-config', "SCRAM-SHA-256=[password=$password]");
my $topic = $kafka->new_topic('tls', 1);

# --- the streams

my $node = cluster("weir.broker_timeout = '5 s'", 'log_statement = none', 'log_min_error_statement = panic');
my $n = 0;
sql($node, 'CREATE EXTENSION weir');

# What a statement says, of errors too.
sub says
{
	my ($statement) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $statement);

	$seen .= "$out\n$err\n";
	return $out . $err;
}

sub server
{
	my ($listener, $protocol, $more) = @_;
	my $ca = slurp_file("$dir/ca.pem");

	says(qq{CREATE SERVER kafka FOREIGN DATA WRAPPER weir OPTIONS (
		bootstrap_servers '127.0.0.1:$port{$listener}', "security.protocol" '$protocol',
		"ssl.ca.pem" '$ca', debug 'all' $more);
		CREATE FOREIGN TABLE events (message text) SERVER kafka OPTIONS (topic '$topic', format 'raw')});
	return;
}

# It works: a message goes and comes, and a view has it.
sub works
{
	my ($what) = @_;

	$n++;
	is(says(qq{INSERT INTO events VALUES ('$n')}), '', "$what: INSERT");
	is(says(qq{SELECT message FROM events WHERE message = '$n'}), $n, "$what: SELECT");
	is(says(q{SELECT weir.create_view('rows', 'SELECT message FROM events')
		WHERE to_regclass('rows') IS NULL}) =~ /ERROR/, '', "$what: a view");
	is(says(q{SELECT weir.flush('rows', '60 s')}), '', "$what: flush");
	is(says(qq{SELECT count(*) FROM rows WHERE message = '$n'}), 1, "$what: the view has it");
	return;
}

# It fails with a clear error, and works when it is mended.
sub fails
{
	my ($what, $error, $mend) = @_;
	my $said = says('SELECT count(*) FROM events');

	like($said, qr/$error/, "$what: SELECT says so");
	says(q{SELECT weir.create_view('rows', 'SELECT message FROM events')});
	ok( wait_until($node, qq{SELECT error ~ '$error' FROM weir.status}, 60),
		"$what: weir.status says so");
	says('SELECT * FROM weir.status; SELECT * FROM weir.partitions; SELECT * FROM weir.metrics');
	says($mend);
	works("$what, mended");
	return;
}

sub drop { sql($node, 'DROP SERVER IF EXISTS kafka CASCADE'); return }

server('good', 'ssl', '');
works('TLS');
drop();

my $other = slurp_file("$dir/other.pem");
my $ca = slurp_file("$dir/ca.pem");
server('good', 'ssl', '');
says(qq{ALTER SERVER kafka OPTIONS (SET "ssl.ca.pem" '$other')});
fails('another authority', 'certificate verify failed|could not be verified',
	qq{ALTER SERVER kafka OPTIONS (SET "ssl.ca.pem" '$ca')});
drop();

server('elsewhere', 'ssl', '');
fails('another host', 'mismatch|certificate verify failed',
	qq{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:$port{good}')});
drop();

server('expired', 'ssl', '');
fails('an expired certificate', 'expired|certificate verify failed',
	qq{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:$port{good}')});
drop();

# Before 2.6.1 librdkafka's SCRAM is refused by Kafka 3.9 and later (its pull request
# 4895): there what is mended is the mechanism.
my $version = join '', map { sprintf '%03d', $_ } split /\./, `pkg-config --modversion rdkafka`;
my $scram = $version >= 2006001;

foreach my $mechanism (qw(PLAIN SCRAM-SHA-256))
{
	my $mend = $mechanism eq 'PLAIN' || $scram ? '' : q{ALTER SERVER kafka OPTIONS (SET "sasl.mechanism" 'PLAIN');};

	server('sasl', 'sasl_ssl', qq{, "sasl.mechanism" '$mechanism'});
	says(qq{CREATE USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS ("sasl.username" 'app', "sasl.password" '$wrong')});
	fails("$mechanism, a wrong password", '[Aa]uthentication',
		qq{$mend ALTER USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS (SET "sasl.password" '$password')});
	drop();
}

server('sasl', 'sasl_ssl', q{, "sasl.mechanism" 'SCRAM-SHA-512'});
says(qq{CREATE USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS ("sasl.username" 'app', "sasl.password" '$password')});
fails('a mechanism that the broker does not have', '[Uu]nsupported SASL mechanism|mechanism',
	sprintf(q{ALTER SERVER kafka OPTIONS (SET "sasl.mechanism" '%s')}, $scram ? 'SCRAM-SHA-256' : 'PLAIN'));

# --- nothing of it is shown

says(q{CREATE ROLE nobody; GRANT SELECT ON events TO nobody; GRANT weir_monitor TO nobody});
says(qq{ALTER USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS (SET "sasl.password" '$wrong', ADD "ssl.key.pem" '$client_key')});
says(q{SET ROLE nobody; SELECT * FROM weir.status; SELECT * FROM pg_user_mappings; SELECT * FROM weir.peek('events');
	SELECT * FROM weir.metrics; SELECT * FROM weir.sinks; SELECT count(*) FROM events; SELECT * FROM pg_stat_activity});
my $log = slurp_file($node->logfile);
my ($key_line) = $client_key =~ /KEY-----\n(\S+)/;
foreach my $secret ($password, $wrong, $key_line)
{
	is(index($seen, $secret), -1, 'no view and no error shows ' . substr($secret, 0, 8));
	is(index($log, $secret), -1, 'nor does the log');
}
like($log, qr/kafka: /, 'which has what librdkafka says');

done_testing();
