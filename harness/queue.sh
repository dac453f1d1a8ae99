# SPDX-License-Identifier: GPL-2.0-only
# What the series consists of (overlay files and the patch queue), and how the
# assembled tree relates to it.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

patches=$top/patches
# As last assembled in the tree: every file the series touches, ...
synced=$work/synced
# ... the digest of the queue, and quilt's own copy of the queue, so that
# patches can always be popped as they were pushed.
queue_state=$work/queue-state
quilt_queue=$work/queue

# Paths of the kernel files that stand whole in the repository.
overlay_files() {
	local file
	git -C "$top" ls-files -co --exclude-standard -- drivers include Documentation tools |
		while read -r file; do
			[ ! -f "$top/$file" ] || echo "$file"
		done | sort -u
}

# Paths of the patches in order.
queue() {
	sed "s/[[:space:]]*#.*//; /^[[:space:]]*$/d; s,^,$patches/," "$patches/series"
}

queue_digest() { { queue; queue | xargs -r cat; } | sed "s,^$patches/,," | digest; }

# The message of a patch: all before the line "---" or the first hunk.
patch_header() { awk '/^---$/ || /^diff --git / || /^--- a\// { exit } { print }' "$1"; }

# The hunks of a patch; a step that only brings new files has none.
patch_hunks() { awk '/^diff --git / || /^--- a\// { found = 1 } found' "$1"; }

# The overlay files that a step brings in.
new_files() { patch_header "$1" | sed -n 's/^New-file: //p'; }

# The base's files that the patch changes.
patch_files() { patch_hunks "$1" | sed -n 's,^+++ b/,,p'; }

queue_files() {
	local patch
	for patch in $(queue); do patch_files "$patch"; done | sort -u
}

synced_files() { [ ! -d "$synced" ] || (cd "$synced" && find . -type f -printf '%P\n' | sort); }

# Files in the tree that are not as assembled. Others than the series' are
# looked at by size and time first: there are too many to read.
tree_edits() {
	local file base
	base=$(cat "$work/base")
	synced_files | while read -r file; do
		cmp -s "$synced/$file" "$tree/$file" || echo "$file"
	done
	synced_files | sed 's,^,/,' |
		rsync -rltn --omit-dir-times --out-format=%n --exclude=/.pc \
			--exclude-from=- "$tree/" "$base/" | sed '/\/$/d' |
		while read -r file; do
			cmp -s "$base/$file" "$tree/$file" || echo "$file"
		done
}

# Digests of the tree's files that are not the base's, as far as the sed script
# leaves their names: what a build depends on beside the base. To find them takes
# seconds: it is done once after assemble.
tree_sums() {
	local file part=$work/sums.$BASHPID
	if [ ! -e "$work/sums" ]; then
		{ synced_files; tree_edits; } | sort -u | while read -r file; do
			[ ! -e "$tree/$file" ] || (cd "$tree" && sha256sum "$file")
		done >"$part"
		mv "$part" "$work/sums"
	fi
	sed "$1" "$work/sums"
}
# Scripts for tree_sums.
not_in_kernel='/  Documentation\//d; /  tools\//d'

# quilt in the assembled tree. Plain diffs, which stay the same when nothing changed.
in_quilt() {
	local format="-p ab --no-timestamps --no-index --sort"
	(cd "$tree" && QUILT_PATCHES=$quilt_queue QUILT_REFRESH_ARGS=$format QUILT_DIFF_OPTS=-p \
		quilt --quiltrc /dev/null "$@")
}

# Is every patch of quilt's copy pushed, or was quilt used by hand?
all_pushed() { cmp -s "$quilt_queue/series" "$tree/.pc/applied-patches" || [ ! -s "$quilt_queue/series" ]; }

# Run a command that pops and pushes patches. Files that come out with the same
# content keep their time, all others get a new one (quilt would restore old
# times too, and make would miss the change).
keeping_times() {
	local before=$work/before file files
	files=$(synced_files; queue_files)
	rm -rf "$before"
	mkdir "$before"
	for file in $files; do
		[ ! -f "$tree/$file" ] || (cd "$tree" && cp -p --parents "$file" "$before")
	done
	"$@"
	for file in $files; do
		if cmp -s "$before/$file" "$tree/$file"; then
			touch -r "$before/$file" "$tree/$file"
		elif [ -f "$tree/$file" ]; then
			touch "$tree/$file"
		fi
	done
	rm -rf "$before"
}

# Remember the files of the queue as they now are in the tree.
record_queue() {
	local file
	for file in $(comm -23 <(synced_files) <(overlay_files)); do
		rm "$synced/$file"
	done
	for file in $(queue_files); do
		copy_changed "$tree/$file" "$synced/$file"
	done
	queue_digest >"$queue_state"
}
