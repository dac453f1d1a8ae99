# SPDX-License-Identifier: GPL-2.0-only
# Adding up commands that end with "N passed, N failed".
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

passed=0 failed=0 failures=()

# Run a command, show what it prints but its last line, and add that line up.
count() {
	local line summary="" first=yes p f
	while IFS= read -r line; do
		[ -n "$first" ] || echo "$summary"
		first=
		[[ $line != "not ok "* ]] || failures+=("$line")
		summary=$line
	done < <("$@" || true)
	if [[ $summary =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
		read -r p _ f _ <<<"$summary"
		passed=$((passed + p)) failed=$((failed + f))
	else
		failures+=("not ok $*: ended early: $summary")
		echo "${failures[-1]}"
		failed=$((failed + 1))
	fi
}

# The last line and the exit status of a command that counts.
conclude() {
	times_show
	# once more where they are found: after thousands of lines
	if [ -n "$times_owner" ] && [ ${#failures[@]} -gt 0 ]; then
		printf '%s\n' "${failures[@]}" ""
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
