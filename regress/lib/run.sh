# run.sh - what run-regress.sh, run-tap.sh and run-docs.sh share; they source it
#
# The tests run in a sandbox (scripts/sandbox.sh), in a copy of what they need of
# this tree.  After "prepare", $tree is that copy, and $bin has the executables
# of a PostgreSQL with a debug build of Weir in it.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/sandbox.sh"

pg_tests=$(dirname "$($pg_config --pgxs)")/../test

# keep_logs NAME PATH ...: copy from the sandbox into build/log/NAME
keep_logs()
{
	local name=$1

	shift
	rm -rf "$source_tree/build/log/$name"
	mkdir -p "$source_tree/build/log/$name"
	cp -r "$@" "$source_tree/build/log/$name/" 2>/dev/null || true
	echo "logs are in build/log/$name"
}

prepare()
{
	local part

	sandbox check
	tree=$work/tree
	for part in scripts regress/lib regress/t regress/sql regress/expected \
		regress/regress.conf regress/isolation regress/docs extension/kafka/settings.c \
		extension/catalog/stream_options.c extension/api/metrics.c producer/weir-producer \
		producer/weir-broker sql grafana docs README.md; do
		[ -e "$source_tree/$part" ] || continue
		mkdir -p "$tree/$(dirname "$part")"
		cp -r "$source_tree/$part" "$tree/$part"
	done
	bin=$(WEIR_DEBUG=1 "$source_tree/scripts/temp-install" \
		"$source_tree/build/debug" "$work/install")
	own_sandbox
	as_user_env=(WEIR_ROOT="$tree")
}

# prove NAME TEST ...: run TAP files in the environment that PGXS's prove_installcheck
# makes; after a failure their logs, and $work/kafka's, are in build/log/NAME
prove()
{
	local name=$1 status=0

	shift
	as_user env TESTDIR="$work" TESTDATADIR="$work/tmp_check" \
		TESTLOGDIR="$work/log" PGPORT=65432 \
		PG_REGRESS="$pg_tests/regress/pg_regress" \
		PERL5LIB="$pg_tests/perl:$tree/regress/lib" \
		WEIR_TEST_KAFKA="${shared:-}" \
		WEIR_TEST_VERBOSE="${WEIR_TEST_VERBOSE:-0}" WEIR_TEST_JOBS="${WEIR_TEST_JOBS:-}" \
		perl "$tree/regress/lib/prove.pl" "$@" 2>&1 |
		tee "$work/out" || status=${PIPESTATUS[0]}
	if [ "$status" -ne 0 ]; then
		keep_logs "$name" "$work"/tmp_check/log "$work"/log "$work"/kafka/broker.log
		tail -n 1 "$work/out"
	fi
	return "$status"
}
