# Steps with a heading and a duration; the first that fails ends the run.

STEPS_PASSED=0

# step TITLE COMMAND… runs a command or a function of the script, in a shell
# of its own.
step() {
	local title=$1 began=$SECONDS status=0
	shift
	printf '\n=== %s\n' "$title"
	# Not "if ! (…)" nor "(…) ||": in there, a function goes on behind a
	# command that failed.
	set +e
	(
		set -e
		"$@"
	) </dev/null
	status=$?
	set -e
	if [ $status -ne 0 ]; then
		printf '\nFAIL: %s, after %d s, with status %d (%d steps passed, 1 failed)\n' \
			"$title" $((SECONDS - began)) $status $STEPS_PASSED
		exit 1
	fi
	STEPS_PASSED=$((STEPS_PASSED + 1))
	printf -- '--- %s: %d s\n' "$title" $((SECONDS - began))
}

steps_done() {
	printf '\n%d minutes in all\n%d passed, 0 failed\n' $(((SECONDS + 30) / 60)) $STEPS_PASSED
}
