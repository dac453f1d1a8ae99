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

# logged NAME NEXT-THING-TO-TRY COMMAND...: a long step, its output in a log.
logged() {
	local name=$1 next=$2 log=$work/logs/$1.log start=$SECONDS
	shift 2
	say "$name ..."
	if ! "$@" >"$log" 2>&1 </dev/null; then
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
