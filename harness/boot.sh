# SPDX-License-Identifier: GPL-2.0-only
# Booting one machine under QEMU with its console in a log.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

. "$harness/machines.sh"
run_limit=${LIMIT:-2400}	# seconds; a run under KASAN on a slow host takes many minutes

# table_field TABLE NAME FIELD: of the line of a table of this folder that starts with NAME
table_field() {
	awk -F '|' -v name="$2" -v field="$3" '
		{ for (i = 1; i <= NF; i++) gsub(/^[ \t]+|[ \t]+$/, "", $i) }
		$1 == name { print $field; found = 1 }
		END { exit !found }' "$harness/$1" ||
		die "no '$2' in harness/$1"
}

# The fields of a line of the table "runs": name, suite, kernel, machine, command line
run_field() { table_field runs "$@"; }

# The names of a suite's runs.
suite_runs() {
	awk -F '|' -v suite="$1" '{ gsub(/[ \t]/, "", $1); gsub(/[ \t]/, "", $2) }
		$2 == suite { print $1 }' "$harness/runs"
}

# product NAME COMMAND...: the path that the command prints. Where one process builds
# for many boots, it leaves the paths by name in $NESTED_IOMMU_READY.
product() {
	local name=$1
	shift
	if [ -n "${NESTED_IOMMU_READY:-}" ] && [ -e "$NESTED_IOMMU_READY/$name" ]; then
		grep . "$NESTED_IOMMU_READY/$name"	# empty if it cannot be built
	else
		"$@"
	fi
}

# prepare KERNEL-VARIANT MACHINE: build what the machine boots
prepare() {
	kernel=$(product "kernel-$1" "$harness/kernel" "$1") || exit
	initrd=$(product "initrd-${1%-*}" "$harness/initrd" "${1%-*}") || exit
	machine "$2"
}

# override_iort RUN KERNEL-VARIANT MACHINE: put the machine's IORT override in front of
# the initrd, if it has one.
override_iort() {
	local override
	[ -n "$acpi_override" ] || return 0
	override=$("$harness/iort" "$2" "$3") || exit
	cat "$override" "$initrd" >"$work/initrd-$1"
	initrd=$work/initrd-$1
}

# boot COMMAND-LINE: the console goes to stdout
boot() {
	timeout --foreground "$run_limit" "${qemu[@]}" -kernel "$kernel/image" -initrd "$initrd" \
		-append "console=$console $append ignore_loglevel printk.devkmsg=on panic=-1 $1" \
		</dev/null
}
