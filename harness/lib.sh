# SPDX-License-Identifier: GPL-2.0-only
# Common ground of the scripts in this folder: where things are, how they talk.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this
set -euo pipefail
export LC_ALL=C

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
harness=$top/harness
cache=${XDG_CACHE_HOME:-~/.cache}/nested-iommu
# What belongs to one checkout (assembled tree, build folders, logs) ...
work=$cache/checkouts/$(sha256sum <<<"$top" | cut -c1-12)
tree=$work/tree		# the assembled tree
# ... and what every checkout with the same content shares.
products=$cache/products
jobs=$(nproc)
. "$harness/times.sh"
mkdir -p "$work/logs" "$products"
if [ ! -e "$work/checkout" ]; then	# whole at once: see tidy_cache
	echo "$top" >"$work/checkout.$$"
	mv "$work/checkout.$$" "$work/checkout"
fi

# Progress goes to stderr: stdout is for results that other scripts read.
say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# die WHAT [NEXT-THING-TO-TRY]
die() {
	printf '\nfailed: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'next:   %s\n' "$2" >&2
	exit 1
}

# How far a step is, by its log: what kbuild or ninja have done, or a machine has run.
how_far() {
	local log=$1 of=${2:+ of about $2} found
	found=$(grep -oE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 || true)
	[ -z "$found" ] || { echo "$found files"; return; }
	found=$(grep -cE '^  [A-Z][A-Z0-9]+ +[^ ]' "$log" || true)
	[ "$found" = 0 ] || { echo "$found$of files"; return; }
	found=$(grep -oaE '# run [^ ]+' "$log" | tail -n 1 || true)
	[ -z "$found" ] || { echo "in ${found#\# run }"; return; }
	echo "at work"
}

# progress NAME LOG TOTAL: say how far the step is, as long as this script runs or
# until killed. Waits without a child, which would outlive it.
progress() {
	local start=$SECONDS never
	exec {never}<> <(:)
	while kill -0 $$ 2>/dev/null; do
		read -rt 30 -u "$never" || true
		say "$1: $(how_far "$2" "$3"), $((SECONDS - start)) s"
	done >/dev/null
}

# watched NAME LOG TOTAL COMMAND...: a long step that says how far it is.
watched() {
	local name=$1 log=$2 total=$3 status=0 watcher
	shift 3
	: >"$log"
	progress "$name" "$log" "$total" &
	watcher=$!
	timed "$name" "$@" >"$log" 2>&1 </dev/null || status=$?
	kill "$watcher" 2>/dev/null || true
	wait "$watcher" 2>/dev/null || true
	return "$status"
}

# logged NAME NEXT-THING-TO-TRY COMMAND...: a long step, its output in a log. The
# variable "about" may tell how many files it makes.
logged() {
	local name=$1 next=$2 log=$work/logs/$1.log start=$SECONDS
	shift 2
	say "$name ..."
	if ! watched "$name" "$log" "${about:-}" "$@"; then
		tail -n 30 "$log" >&2
		die "$name (log: $log)" "$next"
	fi
	say "$name: done in $((SECONDS - start)) s"
}

# One command at a time may change this checkout's tree and build folders.
lock() {
	[ -z "${NESTED_IOMMU_LOCKED:-}" ] || return 0
	exec 9>"$work/lock"
	if ! flock -n 9; then
		say "waiting for another command of this checkout to end"
		flock 9
	fi
	export NESTED_IOMMU_LOCKED=1
}

# Bring the tree up to date, once per command.
assemble() {
	[ -z "${NESTED_IOMMU_ASSEMBLED:-}" ] || return 0
	rm -f "$work/sums"
	"$harness/tree" >/dev/null || exit
	export NESTED_IOMMU_ASSEMBLED=1
}

# A digest of stdin, short enough for a folder's name.
digest() { sha256sum | cut -c1-16; }

# Copy only what differs, so that the time stamps which make looks at stay.
copy_changed() {
	cmp -s "$1" "$2" && return
	mkdir -p "$(dirname "$2")"
	cp --remove-destination "$1" "$2"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
