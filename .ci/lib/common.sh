# What every script here begins with: where the checkout is, and a scratch
# folder for all that is built or stored.

set -euo pipefail

# shellcheck disable=SC2034 # for the scripts that source this one
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# scratch_begin makes $NIXS3_LAB unless the caller has given one, whose bin/
# then serves again. Commands given to at_exit run when the script ends, the
# last one first, however it ends.
scratch_begin() {
	if [ -z "${NIXS3_LAB:-}" ]; then
		NIXS3_LAB=$(mktemp -d)
		at_exit rm -rf "$NIXS3_LAB"
	fi
	mkdir -p "$NIXS3_LAB/bin"
	NIXS3_LAB=$(cd "$NIXS3_LAB" && pwd)
	export NIXS3_LAB PATH="$NIXS3_LAB/bin:$PATH"
}

exit_commands=()

at_exit() {
	exit_commands=("$(printf '%q ' "$@")" "${exit_commands[@]+"${exit_commands[@]}"}")
	trap run_exit_commands EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

run_exit_commands() {
	local command
	for command in "${exit_commands[@]}"; do
		eval "$command" || true
	done
}
