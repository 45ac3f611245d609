#!/bin/bash
#
# run-tap.sh [TEST ...] - the TAP tests, all of regress/t or those named
#
# They run against real Kafka: one broker for all files, which this starts,
# unless WEIR_TEST_KAFKA=host:port names another.  Tests that stop or kill
# Kafka start one of their own.  Two files run at a time (regress/lib/prove.pl), or
# WEIR_TEST_JOBS=N: each has its own folders, servers and topics.
# WEIR_TEST_VERBOSE=1 shows each test.
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
prove tap "${tests[@]}" || status=$?
[ -n "${WEIR_TEST_KAFKA:-}" ] ||
	as_user "$tree/scripts/kafka" stop "$work/kafka"
exit "$status"
