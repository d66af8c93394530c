# Installs what the checks need and a clean Debian with Go lacks. Programs
# written in Go go into $NIXS3_LAB/bin; one that is on PATH in the very
# version asked for is taken as it is.

# shellcheck disable=SC2034 # for the scripts that source this one
{
	VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.8.0
	MINIO=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
	STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2
}

# debian_packages COMMAND=PACKAGE… installs the packages whose command is missing.
debian_packages() {
	local pair missing=()
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "only root can install ${missing[*]}"
	apt-get update -qq -o DPkg::Lock::Timeout=120
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends "${missing[@]}" >"$NIXS3_LAB/apt.log" 2>&1 ||
		{ cat "$NIXS3_LAB/apt.log" >&2; die "apt-get install ${missing[*]} failed"; }
}

# go_tool PACKAGE@VERSION builds a program unless it is there.
go_tool() {
	local package=${1%@*} version=${1#*@} name present
	name=${package##*/}
	if present=$(command -v "$name") && go version -m "$present" 2>/dev/null |
		grep -qE "^\s+mod\s+\S+\s+${version//./\\.}(\s|$)"; then
		return 0
	fi
	# Another program is built without the flags and the module of the caller.
	(cd / && GOFLAGS='' GOBIN="$NIXS3_LAB/bin" nice go install "$1") ||
		die "cannot build $1"
}
