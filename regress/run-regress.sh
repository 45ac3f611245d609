#!/bin/bash
#
# run-regress.sh [TEST ...] - the SQL tests, all of regress/sql or those named,
# and then the isolation tests, regress/isolation/specs, unless some are named;
# and then some SQL tests again, with two ingest workers per lane
#
# WEIR_WORKERS=N runs all that is run with N workers instead.
#
# pg_regress and pg_isolation_regress run them one after the other, in the order
# of their names, on a server of their own (regress.conf).  They find weir-broker
# in the environment: SQL tests by \getenv broker WEIR_BROKER; a topic that nobody declared comes
# into being with 4 partitions when a client asks for it, and those named
# "single..." below have one.
#
# The last line is "N passed, N failed"; the exit status says the same.  After a
# failure build/log/regress has regression.diffs, the results and the server's
# log.

. "$(dirname "${BASH_SOURCE[0]}")/lib/run.sh"

prepare

# The broker lives as long as its standard input is open, that is until
# stop_broker or as long as this shell: what the shell starts must not inherit
# the other end.
start_broker()
{
	local topics=() name i

	rm -f "$work/stdin" "$work/broker"
	mkfifo "$work/stdin"
	[ "$(id -u)" -ne 0 ] || chown "$user" "$work/stdin"
	for name in single single_1 single_2 single_3 single_4 single_records single_retention single_alerts single_many_alerts; do
		topics+=(--topic "$name:1")
	done
	as_user "$tree/producer/weir-broker" --port-file "$work/broker" \
		"${topics[@]}" <"$work/stdin" >/dev/null &
	broker_pid=$!
	exec 9>"$work/stdin"
	for ((i = 0; i < 300; i++)); do
		[ ! -s "$work/broker" ] || break
		sleep 0.1
	done
	[ -s "$work/broker" ] || die "weir-broker did not start"
	broker=$(cat "$work/broker")
}

stop_broker()
{
	exec 9>&-
	wait "$broker_pid" || true
}

# workers N: ingest workers of the lanes of the suites from now on
workers()
{
	echo "weir.ingest_workers = $1" >>"$tree/regress/regress.conf"
}

# suite NAME RUNNER INPUT TEST ...: run and count them
suite()
{
	local name=$1 runner=$2 input=$3 status=0 p f

	shift 3
	as_user env WEIR_BROKER="$broker" \
		"$pg_tests/$runner" --bindir="$bin" \
		--inputdir="$input" --outputdir="$work/$name" \
		--temp-instance="$work/$name-instance" \
		--temp-config="$tree/regress/regress.conf" --encoding=UTF8 --no-locale \
		--dbname=regression "$@" >"$work/log" 2>&1 9>&- || status=$?
	cat "$work/log"

	# "test x ... ok" up to PostgreSQL 15, "ok 1 - x" from 16 on.
	p=$(grep -cE '\.\.\. ok |^ok ' "$work/log" || true)
	f=$(grep -cE '\.\.\. FAILED|^not ok ' "$work/log" || true)
	if [ "$status" -ne 0 ]; then
		[ "$f" -gt 0 ] || f=1
		cat "$work/$name/regression.diffs" 2>/dev/null || true
		keep_logs "$name" "$work/$name"/* "$work/$name-instance/log"
	fi
	passed=$((passed + p))
	failed=$((failed + f))
}

# names FOLDER SUFFIX: the tests there, each with some expected output, as
# pg_regress would give up at the first one without
names()
{
	local file name

	for file in "$1"/*"$2"; do
		name=$(basename "$file" "$2")
		[ -e "$file" ] || die "no tests in $1"
		mkdir -p "$1/../expected"
		[ -e "$1/../expected/$name.out" ] || : >"$1/../expected/$name.out"
		echo "$name"
	done
}

passed=0
failed=0
[ -z "${WEIR_WORKERS:-}" ] || workers "$WEIR_WORKERS"
start_broker
sql_tests=$(names "$tree/regress/sql" .sql)
specs=$(names "$tree/regress/isolation/specs" .spec)
if [ "$#" -gt 0 ]; then
	sql_tests=
	specs=
	for name in "$@"; do
		name=$(basename "$name")
		case $name in
			*.spec) specs+=" ${name%.spec}" ;;
			*) sql_tests+=" ${name%.sql}" ;;
		esac
	done
fi
# shellcheck disable=SC2086
[ -z "$sql_tests" ] || suite regress regress/pg_regress "$tree/regress" $sql_tests
# shellcheck disable=SC2086
[ -z "$specs" ] ||
	suite isolation isolation/pg_isolation_regress "$tree/regress/isolation" $specs
stop_broker
if [ "$#" -eq 0 ] && [ -z "${WEIR_WORKERS:-}" ]; then
	workers 2
	start_broker
	suite regress-workers regress/pg_regress "$tree/regress" \
		aggregates aggregates_any aggregates_own append_basic dead_letters view_basic view_idle view_late view_memory
	stop_broker
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
