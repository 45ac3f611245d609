# Avro with the schemas of a registry: schemas that evolve, ids that are unknown or
# of no use, credentials, a registry that is away while messages come, a crash.
# The registry is a stand-in of this test that answers as Confluent's API has it
# and counts what it is asked.

use strict;
use warnings;

use Weir::Test;
use IO::Socket::INET;
use MIME::Base64;
use POSIX ();

my $dir = PostgreSQL::Test::Utils::tempdir('registry');
my %schemas = (
	1 => '{"type":"record","name":"Event","namespace":"shop","fields":[{"name":"id","type":"long"},'
	  . '{"name":"kind","type":"string"},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}}]}',
	# a field more, in front; the others in another order
	2 => '{"type":"record","name":"Event","namespace":"shop","fields":[{"name":"amount","type":["null","double"],"default":null},'
	  . '{"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"kind","type":["string","int"]},'
	  . '{"name":"id","type":"int"}]}',
	4 => '{"type":"record","name":"Broken"}');

sub answer
{
	my ($request) = @_;
	my ($id) = $request =~ m{^GET /base/schemas/ids/(\d+) HTTP};
	my ($auth) = $request =~ m{^Authorization: Basic (\S+)}mi;

	return (500, '{"error_code":50001,"message":"out of order"}') if -e "$dir/down";
	return (401, '{"error_code":40101,"message":"Unauthorized"}')
	  unless defined $auth && decode_base64($auth) eq 'reader:secret';
	return (200, '{"schema":"message A {}","schemaType":"PROTOBUF"}') if defined $id && $id == 3;
	return (200, '{"schema":"' . ' ' x (5 * 1024 * 1024) . '\\"int\\""}') if defined $id && $id == 5;
	return (404, '<html>not found</html>') if defined $id && $id > 0x7fffffff;
	return (404, '{"error_code":40403,"message":"Schema not found"}')
	  unless defined $id && $schemas{$id};
	return (200, '{"schema":"' . ($schemas{$id} =~ s/"/\\"/gr) . '"}');
}

sub serve
{
	my ($listen) = @_;

	# Nobody need listen to the end.
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $listen->accept)
	{
		my $request = '';

		while (defined(my $line = <$client>))
		{
			$request .= $line;
			last if $line eq "\r\n";
		}
		my ($status, $body) = answer($request);
		if (open my $log, '>>', "$dir/asked")
		{
			print $log $request =~ m{ids/(\d+)} ? "$1 $status\n" : "? $status\n";
			close $log;
		}
		print $client "HTTP/1.1 $status X\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n"
		  . "Connection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
		close $client;
	}
	return;
}

my $listen = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', LocalPort => 0)
  or die "cannot listen: $!";
my $url = 'http://127.0.0.1:' . $listen->sockport . '/base/';
my $server = fork // die "cannot fork: $!";
if ($server == 0)
{
	serve($listen);
	POSIX::_exit(0);
}
close $listen;
END { my $status = $?; kill 'KILL', $server if $server; $? = $status }

sub asked
{
	open my $log, '<', "$dir/asked" or return '';
	my %n;
	chomp, $n{$_}++ while <$log>;
	close $log;
	return join ', ', map { "$_: $n{$_}" } sort keys %n;
}

sub registry_down { open my $f, '>', "$dir/down" or die $!; close $f; return }

my $kafka = kafka();
my $topic = $kafka->new_topic('registry', 3);
my $node = cluster("weir.checkpoint_interval = '100 ms'");

$node->safe_psql('postgres', qq{
	CREATE EXTENSION weir;
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '} . $kafka->address . qq{', schema_registry '$url');
	CREATE USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS (schema_registry_username 'reader', schema_registry_password 'secret');
	CREATE FOREIGN TABLE events (
		id bigint NOT NULL, kind text, amount float8, ts timestamptz,
		part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
	) SERVER kafka OPTIONS (topic '$topic', format 'avro-confluent', event_time 'ts', watermark_delay '1 day', idle_timeout '1 day');
	CREATE FOREIGN TABLE raw (message bytea, part int OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic '$topic', format 'raw');
	CREATE FUNCTION varint(n bigint) RETURNS bytea LANGUAGE plpgsql AS \$\$
	DECLARE
		z numeric := CASE WHEN n < 0 THEN -2 * n::numeric - 1 ELSE 2 * n::numeric END;
		bytes bytea := '';
	BEGIN
		WHILE z >= 128 LOOP
			bytes := bytes || set_byte('\\x00', 0, (z % 128)::int + 128);
			z := div(z, 128);
		END LOOP;
		RETURN bytes || set_byte('\\x00', 0, z::int);
	END \$\$;
	CREATE FUNCTION text_bytes(t text) RETURNS bytea LANGUAGE sql RETURN varint(octet_length(t)) || convert_to(t, 'UTF8');
	CREATE FUNCTION us(s int) RETURNS bigint LANGUAGE sql RETURN (1704067200 + s) * 1000000::bigint;
	CREATE FUNCTION v1(id int) RETURNS bytea LANGUAGE sql
		RETURN '\\x0000000001' || varint(id) || text_bytes('kind ' || id % 5) || varint(us(id) / 1000);
	CREATE FUNCTION v2(id int) RETURNS bytea LANGUAGE sql
		RETURN '\\x0000000002' || CASE WHEN id % 3 = 0 THEN '\\x00'::bytea ELSE '\\x02000000000000f83f' END
			|| varint(us(id)) || CASE WHEN id % 2 = 0 THEN '\\x00' || text_bytes('kind ' || id % 5) ELSE '\\x02' || varint(id % 5) END || varint(id);
	SELECT weir.create_view('v', \$v\$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*), sum(id) AS ids, sum(amount) AS amount
		FROM events GROUP BY 1, 2 \$v\$);
});

sub equal
{
	my ($name) = @_;

	sql($node, "SELECT weir.flush('v', '120 s')");
	is(sql($node, 'SELECT (SELECT count(*) FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM v_query) a),'
		  . ' (SELECT count(*) FROM (SELECT * FROM v_query EXCEPT ALL SELECT * FROM v) b)'),
		'0|0', $name);
	return;
}

sub dead
{
	return sql($node, q{SELECT string_agg(reason, '; ' ORDER BY reason COLLATE "C") FROM weir.dead_letters});
}

# 1. schemas that evolve, mixed as producers are replaced
sql($node, 'INSERT INTO raw SELECT CASE WHEN i > 200 AND i % 2 = 0 THEN v2(i) ELSE v1(i) END, i % 3 FROM generate_series(1, 600) i');
equal('messages of two schemas');
is(sql($node, 'SELECT sum(count), sum(ids), sum(amount) FROM v'), '600|180300|199.5', 'each field in its column');
is(sql($node, "SELECT kind FROM events WHERE id = 334 UNION ALL SELECT kind FROM events WHERE id = 201 ORDER BY 1"), "kind 1\nkind 4",
	'columns are found by name');
is(dead(), '', 'none was refused');

# 2. what cannot be read is a dead letter
sql($node, q{INSERT INTO raw SELECT m, 0 FROM unnest(ARRAY['\x0000000009', '\x0000000009ff', '\x0000000003', '\x0000000004', '\x0000000005', '\x01', '', '\x000000000102', '\x0100000001', '\x00ffffffff']::bytea[]) m});
equal('messages that name no schema of use');
is(dead(), join('; ',
		'malformed Avro at byte 6: unexpected end',
		('malformed Avro: it does not begin with the id of a schema') x 3,
		'malformed Avro: no registry has a schema of that id',
		'malformed Avro: schema 3 is of type PROTOBUF, not Avro\'s',
		'malformed Avro: schema 4 is not valid: record "Broken" has no fields',
		'malformed Avro: schema 5 is larger than 4194304 bytes',
		('malformed Avro: schema 9 is not in the registry') x 2),
	'each says why');
unlike(asked(), qr/\b[1-9] 401/, 'the registry was shown the credentials');

# 3. the registry is away: nothing is skipped, and all goes on when it is back
registry_down();
$node->stop;
$node->start;
sql($node, 'INSERT INTO raw SELECT v1(i), i % 3 FROM generate_series(601, 700) i');
ok(wait_until($node, "SELECT error ~ 'could not get schema [12] from .*out of order' FROM weir.status"), 'the status says what is missing')
  || diag(sql($node, 'TABLE weir.status'));
is(sql($node, 'SELECT count(*) FROM weir.dead_letters'), 10, 'no message is refused for that');
my ($rc, undef, $err) = $node->psql('postgres', 'SELECT * FROM events');
like($err, qr/could not get schema \d from "$url": the registry answers with status 500: out of order/, 'a query says so, too');
unlink "$dir/down";
ok(wait_until($node, "SELECT error IS NULL AND state IN ('running', 'idle') FROM weir.status"), 'and goes on by itself');
equal('after the registry was away');

# 4. a crash
sql($node, 'INSERT INTO raw SELECT v2(i), i % 3 FROM generate_series(701, 900) i');
crash($node);
equal('after a crash');
is(sql($node, 'SELECT sum(count) FROM v'), 900, 'each message is counted once');

# 5. a wrong password, an address that nobody answers
sql($node, "ALTER USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS (SET schema_registry_password 'wrong')");
($rc, undef, $err) = $node->psql('postgres', 'SELECT * FROM events');
like($err, qr/status 401: Unauthorized/, 'the registry wants the right password');
sql($node, "ALTER SERVER kafka OPTIONS (SET schema_registry 'http://127.0.0.1:1')");
($rc, undef, $err) = $node->psql('postgres', 'SELECT * FROM events');
like($err, qr/no answer from the registry/, 'no registry is an error');
foreach my $bad ('ftp://x', 'localhost:8081', 'http://', 'http://a:b@c')
{
	($rc, undef, $err) = $node->psql('postgres', "ALTER SERVER kafka OPTIONS (SET schema_registry '$bad')");
	like($err, qr/invalid value for option "schema_registry"/, "refused: $bad");
}
unlike($err, qr/a:b/, 'a password in the address is not in the error');
sql($node, 'ALTER SERVER kafka OPTIONS (DROP schema_registry)');
($rc, undef, $err) = $node->psql('postgres', 'SELECT * FROM events');
like($err, qr/has no schema registry/, 'the format wants one');

done_testing();
