# SPDX-License-Identifier: GPL-2.0-only
# Adding up commands that end with "N passed, N failed".
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

passed=0 failed=0

# Run a command, show what it prints but its last line, and add that line up.
count() {
	local line summary="" first=yes p f
	while IFS= read -r line; do
		[ -n "$first" ] || echo "$summary"
		first=
		summary=$line
	done < <("$@" || true)
	if [[ $summary =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
		read -r p _ f _ <<<"$summary"
		passed=$((passed + p)) failed=$((failed + f))
	else
		echo "not ok $*: ended early: $summary"
		failed=$((failed + 1))
	fi
}

# The last line and the exit status of a command that counts.
conclude() {
	times_show
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
