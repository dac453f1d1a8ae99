# SPDX-License-Identifier: GPL-2.0-only
# Booting one machine under QEMU with its console in a log.
# shellcheck shell=bash

. "$harness/machines.sh"
run_limit=900	# seconds; a run under KASAN on a slow host takes a few minutes

# prepare KERNEL-VARIANT MACHINE: build what the machine boots
prepare() {
	kernel=$("$harness/kernel" "$1")
	initrd=$("$harness/initrd" "${1%-*}")
	machine "$2"
}

# Put the machine's IORT override in front of the initrd, if it has one.
override_iort() {
	local override
	[ -n "$acpi_override" ] || return 0
	override=$("$harness/iort" "$1")
	cat "$override" "$initrd" >"$work/initrd"
	initrd=$work/initrd
}

# boot LOG COMMAND-LINE
boot() {
	timeout --foreground "$run_limit" "${qemu[@]}" -kernel "$kernel/image" -initrd "$initrd" \
		-append "console=$console ignore_loglevel printk.devkmsg=on panic=-1 $2" \
		</dev/null >"$1" 2>&1
}
