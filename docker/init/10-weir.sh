#!/bin/bash
#
# 10-weir.sh - the demo's schema and the roles that read it
#
# The official image's entrypoint runs this once, when the data directory is new.

set -euo pipefail

: "${WEIR_GRAFANA_PASSWORD:?}" "${WEIR_EXPORTER_PASSWORD:?}"
: "${WEIR_KAFKA:=kafka:9092}" "${WEIR_TOPIC:=events}"

sql()
{
	psql -Xq -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

sql -v broker="$WEIR_KAFKA" -v topic="$WEIR_TOPIC" -f /weir/init.sql
# not as arguments, which everybody may see
export WEIR_GRAFANA_PASSWORD WEIR_EXPORTER_PASSWORD
sql <<'END'
\getenv grafana WEIR_GRAFANA_PASSWORD
\getenv exporter WEIR_EXPORTER_PASSWORD

-- it runs for ever, and so must not grow for ever
SELECT weir.alter_view('traffic_10s', retention => '7 days'), weir.alter_view('requests_10s', retention => '6 hours');

CREATE ROLE grafana LOGIN PASSWORD :'grafana';
GRANT weir_monitor TO grafana;
GRANT SELECT ON traffic_10s, requests_10s, events TO grafana;
ALTER ROLE grafana SET statement_timeout = '30s';
ALTER ROLE grafana SET default_transaction_read_only = on;

CREATE ROLE exporter LOGIN PASSWORD :'exporter';
GRANT pg_monitor, weir_monitor TO exporter;
END
