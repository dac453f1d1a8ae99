# SPDX-License-Identifier: GPL-2.0-only
# Where the time of a command went: every long step leaves a line "seconds, seconds
# of the processors, name" in one file for the whole command.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

times_owner=

# For commands that show the table: the outermost of them keeps it.
times_begin() {
	[ -z "${NESTED_IOMMU_TIMES:-}" ] || return 0
	export NESTED_IOMMU_TIMES=$work/times
	: >"$NESTED_IOMMU_TIMES"
	times_owner=yes
	times_start=$SECONDS
}

# timed NAME COMMAND...
timed() {
	local name=$1 status=0 TIMEFORMAT='%0R %0U %0S' taken
	shift
	[ -n "${NESTED_IOMMU_TIMES:-}" ] || { "$@"; return; }
	taken=$(mktemp "$NESTED_IOMMU_TIMES.XXXXXX")	# these calls nest
	{ time "$@" 2>&3 || status=$?; } 3>&2 2>"$taken"
	awk -v name="$name" '{ print $1, $2 + $3, name }' "$taken" >>"$NESTED_IOMMU_TIMES"
	rm "$taken"
	return "$status"
}

# The table, longest first. Steps run beside each other and inside each other.
times_show() {
	[ -n "$times_owner" ] || return 0
	printf '\n%8s %8s  %s\n' seconds CPU "where the time went"
	sort -rn "$NESTED_IOMMU_TIMES" | awk '$1 + $2 > 1 { printf "%8d %8d  %s\n", $1, $2, $3 }'
	printf '%8d %8s  in all\n\n' $((SECONDS - times_start)) ""
}
