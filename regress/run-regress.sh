#!/bin/bash
#
# run-regress.sh [TEST ...] - the SQL tests, all of regress/sql or those named,
# and the isolation tests, regress/isolation/specs, unless some are named; and
# some SQL tests again, with two ingest workers per lane
#
# WEIR_WORKERS=N runs all that is run with N workers instead.
#
# They are suites, each with a server of its own (regress.conf) on which
# pg_regress or pg_isolation_regress runs its tests one after the other, in the
# order of their names.  All of regress/sql are two suites, every other test in
# each, and two suites run at a time.  Tests find weir-broker in the environment:
# SQL tests by \getenv broker WEIR_BROKER; a topic that nobody declared comes
# into being with 4 partitions when a client asks for it, and those named
# "single..." below have one.
#
# The last line is "N passed, N failed"; the exit status says the same.  After a
# failure build/log has a folder for each suite that failed: regression.diffs, the
# results and the server's log.

. "$(dirname "${BASH_SOURCE[0]}")/lib/run.sh"

prepare

# start_broker NAME: a weir-broker; $broker is its address.  It lives as long as its
# standard input is open, that is as long as this shell: what the shell starts must
# not inherit the other end.
start_broker()
{
	local topics=() name i in=$work/stdin-$1 address=$work/broker-$1

	mkfifo "$in"
	[ "$(id -u)" -ne 0 ] || chown "$user" "$in"
	for name in single single_1 single_2 single_3 single_4 single_records single_retention single_alerts single_many_alerts single_open_alerts single_ttl; do
		topics+=(--topic "$name:1")
	done
	as_user "$tree/producer/weir-broker" --port-file "$address" \
		"${topics[@]}" <"$in" >/dev/null 8>&- 9>&- &
	case $1 in
		main) exec 8>"$in" ;;
		*) exec 9>"$in" ;;
	esac
	for ((i = 0; i < 1800; i++)); do
		[ ! -s "$address" ] || break
		sleep 0.1
	done
	[ -s "$address" ] || die "weir-broker did not start"
	broker=$(cat "$address")
}

# suite NAME WORKERS RUNNER INPUT TEST ...: run them, with so many ingest workers
suite()
{
	local name=$1 workers=$2 runner=$3 input=$4 status=0

	shift 4
	echo "weir.ingest_workers = $workers" >"$work/$name.conf"
	chmod a+r "$work/$name.conf"
	as_user env WEIR_BROKER="$broker" \
		"$pg_tests/$runner" --bindir="$bin" \
		--inputdir="$input" --outputdir="$work/$name" \
		--temp-instance="$work/$name-instance" \
		--temp-config="$tree/regress/regress.conf" --temp-config="$work/$name.conf" \
		--encoding=UTF8 --no-locale \
		--dbname=regression "$@" >"$work/$name.log" 2>&1 8>&- 9>&- || status=$?
	echo "$status" >"$work/$name.status"
}

# result NAME: show what a suite said, and count its tests
result()
{
	local name=$1 log=$work/$1.log status p f

	[ -e "$work/$name.status" ] || return 0
	status=$(cat "$work/$name.status")
	cat "$log"

	# "test x ... ok" up to PostgreSQL 15, "ok 1 - x" from 16 on.
	p=$(grep -cE '\.\.\. ok |^ok ' "$log" || true)
	f=$(grep -cE '\.\.\. FAILED|^not ok ' "$log" || true)
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

# every_other N NAME ...: the first, third ... of the names, or the second, fourth ...
every_other()
{
	local n=$1 i

	shift
	for ((i = n; i <= $#; i += 2)); do
		echo "${!i}"
	done
}

# What runs beside the other half, one suite after the other.
# shellcheck disable=SC2086
first_half()
{
	[ -z "$first" ] || suite regress "$workers" regress/pg_regress "$tree/regress" $first
	[ -z "$specs" ] ||
		suite isolation "$workers" isolation/pg_isolation_regress "$tree/regress/isolation" $specs
}

# shellcheck disable=SC2086
second_half()
{
	[ -z "$second" ] || suite regress-2 "$workers" regress/pg_regress "$tree/regress" $second
	[ -z "$again" ] || {
		start_broker again
		suite regress-workers 2 regress/pg_regress "$tree/regress" $again
	}
}

passed=0
failed=0
workers=${WEIR_WORKERS:-1}
first=
second=
specs=
again=
sql_tests=$(names "$tree/regress/sql" .sql)
all_specs=$(names "$tree/regress/isolation/specs" .spec)
if [ "$#" -gt 0 ]; then
	for name in "$@"; do
		name=$(basename "$name")
		case $name in
			*.spec) specs+=" ${name%.spec}" ;;
			*) first+=" ${name%.sql}" ;;
		esac
	done
else
	# shellcheck disable=SC2086
	first=$(every_other 1 $sql_tests)
	# shellcheck disable=SC2086
	second=$(every_other 2 $sql_tests)
	specs=$all_specs
	[ -n "${WEIR_WORKERS:-}" ] ||
		again='aggregates aggregates_any aggregates_own append_basic dead_letters view_basic view_idle view_late view_memory'
fi
start_broker main
second_half &
first_half
wait $!
for name in regress regress-2 isolation regress-workers; do
	result "$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
