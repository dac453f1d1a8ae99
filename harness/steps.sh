# SPDX-License-Identifier: GPL-2.0-only
# The series as git commits: a repository of the base's files that the series
# touches, with one commit per step.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

steps=$work/steps
in_steps() { git -C "$steps" -c commit.gpgSign=false "$@"; }

# The exporter signs off. A trial works on a machine without an identity too.
sign_as_exporter() {
	local name email
	name=$(git -C "$top" config user.name || true)
	email=$(git -C "$top" config user.email || true)
	[ -n "$name$email" ] || [ -n "${NESTED_IOMMU_TRIAL:-}" ] ||
		die "git does not know who exports the series" "git config user.name and user.email"
	in_steps config user.name "${name:-Nobody}"
	in_steps config user.email "${email:-nobody@localhost}"
}

# Each overlay file belongs to exactly one step.
check_claims() {
	local claimed wrong
	claimed=$(for patch in $(queue); do new_files "$patch"; done | sort)
	wrong=$(uniq -d <<<"$claimed")
	[ -z "$wrong" ] || die "claimed by several steps (New-file):
$wrong"
	wrong=$(comm -3 <(overlay_files) <(echo "$claimed" | sed '/^$/d'))
	[ -z "$wrong" ] || die "overlay files that no step claims, or claims (right) without a file:
$wrong" "add 'New-file: path' to the message of the step that brings it in"
}

commit_step() {
	local patch=$1 file
	patch_hunks "$patch" | (cd "$steps" && patch -p1 -s --no-backup-if-mismatch) ||
		die "$(basename "$patch") does not apply"
	for file in $(new_files "$patch"); do
		(cd "$top" && cp --parents "$file" "$steps")
	done
	in_steps add -A
	patch_header "$patch" | sed '1s/^Subject: //; /^New-file: /d' |
		in_steps commit -q -s --cleanup=whitespace -F - ||
		die "$(basename "$patch") makes no commit" \
			"does it have a Subject, and hunks or a New-file? does git know who you are?"
}

# Make the commits; the tag "base" marks the clean base.
make_steps() {
	local base file patch edits
	base=$(cat "$work/base")
	edits=$(tree_edits)
	[ -z "$edits" ] || die "the tree has edits that are not in the queue:
$edits" "make refresh"
	check_claims
	rm -rf "$steps"
	git init -q -b series "$steps"
	sign_as_exporter
	for file in $(queue_files); do
		(cd "$base" && cp --parents "$file" "$steps")
	done
	in_steps add -A
	in_steps commit -q --allow-empty -m base
	in_steps tag base
	for patch in $(queue); do commit_step "$patch"; done
}

# Does the last commit hold what the tree holds?
compare_with_tree() {
	local file
	in_steps ls-files | while read -r file; do
		cmp "$steps/$file" "$tree/$file" || die "$file is not as in the tree"
	done
}
