#!/bin/bash
#
# run-regress.sh [TEST ...] - the SQL tests, all of regress/sql or those named
#
# pg_regress runs them one after the other, in the order of their names, or as
# regress/schedule says, on a server of its own (regress.conf).  They find
# weir-broker by \getenv broker WEIR_BROKER; a topic that nobody declared comes
# into being with 4 partitions when a client asks for it, and those named
# "single..." below have one.
#
# The last line is "N passed, N failed"; the exit status says the same.  After a
# failure build/log/regress has regression.diffs, the results and the server's
# log.

. "$(dirname "${BASH_SOURCE[0]}")/lib/run.sh"

prepare

# The broker lives as long as its standard input is open, that is as long as
# this shell: what the shell starts must not inherit the other end.
mkfifo "$work/stdin"
[ "$(id -u)" -ne 0 ] || chown "$user" "$work/stdin"
topics=()
for name in single single_1 single_2 single_3 single_4; do
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

tests=()
for name in "$@"; do
	name=$(basename "$name")
	tests+=("${name%.sql}")
done
if [ "${#tests[@]}" -eq 0 ] && [ -e "$tree/regress/schedule" ]; then
	tests=(--schedule="$tree/regress/schedule")
elif [ "${#tests[@]}" -eq 0 ]; then
	for name in "$tree"/regress/sql/*.sql; do
		[ -e "$name" ] || die "no tests in regress/sql"
		tests+=("$(basename "$name" .sql)")
	done
fi

# pg_regress would give up at the first test that has no expected output.
for name in "$tree"/regress/sql/*.sql; do
	name=$tree/regress/expected/$(basename "$name" .sql).out
	[ -e "$name" ] || {
		mkdir -p "${name%/*}"
		: >"$name"
	}
done

status=0
as_user env WEIR_BROKER="$broker" \
	"$pg_tests/regress/pg_regress" --bindir="$bin" \
	--inputdir="$tree/regress" --outputdir="$work/out" \
	--temp-instance="$work/instance" \
	--temp-config="$tree/regress/regress.conf" --encoding=UTF8 --no-locale \
	--dbname=regression "${tests[@]}" >"$work/log" 2>&1 9>&- || status=$?
exec 9>&-
wait "$broker_pid" || true
cat "$work/log"

# "test x ... ok" up to PostgreSQL 15, "ok 1 - x" from 16 on.
passed=$(grep -cE '\.\.\. ok |^ok ' "$work/log" || true)
failed=$(grep -cE '\.\.\. FAILED|^not ok ' "$work/log" || true)
if [ "$status" -ne 0 ]; then
	[ "$failed" -gt 0 ] || failed=1
	cat "$work/out/regression.diffs" 2>/dev/null || true
	keep_logs regress "$work"/out/* "$work"/instance/log
fi
echo "$passed passed, $failed failed"
exit "$status"
