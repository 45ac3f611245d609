#!/bin/bash
#
# run-tap.sh [TEST ...] - the TAP tests, all of regress/t or those named
#
# They run against real Kafka: one broker for all files, which this starts,
# unless WEIR_TEST_KAFKA=host:port names another.  Tests that stop or kill
# Kafka start one of their own.  Two files run at a time (regress/lib/prove.pl), or
# WEIR_TEST_JOBS=N: each has its own folders, servers and topics.  The environment is the one that PGXS's
# prove_installcheck makes.  WEIR_TEST_VERBOSE=1 shows each test.
#
# The last line is "N passed, N failed"; the exit status says the same.  Logs of
# a failed run are kept in build/log/tap.

. "$(dirname "${BASH_SOURCE[0]}")/lib/run.sh"

prepare

# The jars are cached in the caller's home, where the user may not look.
kafka_jars=$("$tree/scripts/kafka" jars)
if [ "$(id -u)" -eq 0 ]; then
	cp -r "$kafka_jars" "$work/jars"
	chmod -R go+rX "$work/jars"
	kafka_jars=$work/jars
fi
as_user_env+=(WEIR_KAFKA_JARS="$kafka_jars")
for name in WEIR_QUICK WEIR_SEEDS WEIR_WORKERS WEIR_POINTS WEIR_SOAK WEIR_LONG; do
	[ -z "${!name:-}" ] || as_user_env+=("$name=${!name}")
done

shared=${WEIR_TEST_KAFKA:-}
[ -n "$shared" ] ||
	shared=$(as_user "$tree/scripts/kafka" start "$work/kafka")

tests=()
for name in "$@"; do
	name=$(basename "$name")
	tests+=("$tree/regress/t/${name%.pl}.pl")
done
[ "${#tests[@]}" -gt 0 ] || tests=("$tree"/regress/t/*.pl)
[ -e "${tests[0]}" ] || die "no tests in regress/t"

status=0
as_user env TESTDIR="$work" TESTDATADIR="$work/tmp_check" \
	TESTLOGDIR="$work/log" PGPORT=65432 \
	PG_REGRESS="$pg_tests/regress/pg_regress" \
	PERL5LIB="$pg_tests/perl:$tree/regress/lib" \
	WEIR_TEST_KAFKA="$shared" \
	WEIR_TEST_VERBOSE="${WEIR_TEST_VERBOSE:-0}" WEIR_TEST_JOBS="${WEIR_TEST_JOBS:-}" \
	perl "$tree/regress/lib/prove.pl" "${tests[@]}" 2>&1 |
	tee "$work/out" || status=${PIPESTATUS[0]}
if [ "$status" -ne 0 ]; then
	keep_logs tap "$work"/tmp_check/log "$work"/log "$work"/kafka/broker.log
	tail -n 1 "$work/out"
fi
[ -n "${WEIR_TEST_KAFKA:-}" ] ||
	as_user "$tree/scripts/kafka" stop "$work/kafka"
exit "$status"
