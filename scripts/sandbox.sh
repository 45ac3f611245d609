# sandbox.sh - private servers, for the demo and the tests; to be sourced
#
# PostgreSQL's server refuses to run as root, and a clone that belongs to root
# may not even be readable to others.  So servers run as an ordinary user, in a
# temporary directory that belongs to that user: the caller, or user postgres or
# nobody if the caller is root.  When the script ends, interrupted or not, the
# servers end too and the directory goes.
#
# "sandbox NAME" sets $work, the directory, and $user.  The sourcing script then
# sets $bin, the folder of PostgreSQL's executables, and calls "own_sandbox" when
# it has put things into the directory.  "as_user COMMAND ..." runs a command
# there, with nothing of the caller's environment but PATH and TERM.

source_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=${PG_CONFIG:-pg_config}
work=
bin=
as_user_env=()

die()
{
	echo "$(basename "$0"): $*" >&2
	exit 1
}

sandbox()
{
	user=$(id -un)
	if [ "$(id -u)" -eq 0 ]; then
		user=postgres
		id postgres >/dev/null 2>&1 || user=nobody
	fi
	# Not below TMPDIR: the path of a socket has at most 107 bytes.
	work=$(mktemp -d "/tmp/weir-$1.XXXXXX")
	trap leave_sandbox EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

own_sandbox()
{
	chmod -R u+rwX "$work"
	[ "$(id -u)" -ne 0 ] || chown -R "$user" "$work"
}

as_user()
{
	local drop=()

	if [ "$(id -u)" -eq 0 ]; then
		drop=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups)
	fi
	(cd "$work" && exec env -i PATH="$bin:$PATH" TERM="${TERM:-dumb}" \
		HOME="$work" TMPDIR="$work" LANG=C LC_ALL=C PG_CONFIG="$pg_config" \
		${as_user_env[@]+"${as_user_env[@]}"} ${drop[@]+"${drop[@]}"} "$@")
}

# end_process SIGNAL PID: and wait; one that does not listen is killed
end_process()
{
	local i

	kill "-$1" "$2" 2>/dev/null || return 0
	for ((i = 0; i < 200; i++)); do
		kill -0 "$2" 2>/dev/null || return 0
		sleep 0.05
	done
	kill -KILL "$2" 2>/dev/null || true
}

# The servers whose process ids lie around in the sandbox.
stop_servers()
{
	local pid

	for pid in $(find "$work" -name postmaster.pid -exec head -n 1 {} \; \
		2>/dev/null); do
		end_process QUIT "$pid"
	done
	for pid in $(find "$work" -path '*kafka*' -name pid -exec cat {} \; \
		2>/dev/null); do
		end_process KILL "$pid"
	done
}

# leave_sandbox [STATUS]: the trap of EXIT, or the end of the script's own
leave_sandbox()
{
	local status=${1:-$?}

	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$work" ]; then
		stop_servers
		rm -rf "$work"
	fi
	exit "$status"
}
