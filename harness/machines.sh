# SPDX-License-Identifier: GPL-2.0-only
# The emulated machines. machine NAME fills "qemu" (command), "console" (the
# kernel's console), "append" (more for the kernel's command line) and
# "acpi_override" (is the IORT replaced?).
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

uefi=/usr/share/qemu-efi-aarch64/QEMU_EFI.fd

# virt GIC-VERSION SMMU-STAGES: the board. From version 9.2 on it makes the SMMU a
# nested one whatever -global says; 9.1 is the last that leaves the choice.
virt() {
	local its="" board=virt
	[ "$1" = 2 ] || its=,its=on
	[ "$2" = nested ] || board=virt-9.1
	console=ttyAMA0
	qemu=(qemu-system-aarch64 -M "$board,gic-version=$1$its,iommu=smmuv3"
		-global "arm-smmuv3.stage=$2" -cpu cortex-a57)
}

# vtd IOMMU-OPTIONS EDU-OPTIONS: q35 with a VT-d that nests. With $mutant it makes
# that mistake: see harness/mutants.
vtd() {
	local binary
	binary=$(product qemu-vtd "$harness/qemu-vtd") || exit
	console=ttyS0
	append=no_timer_check	# which fails on a host with much to do
	iommu=intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on,x-nested=on
	qemu=("$binary" -M q35 -cpu max -vga none -device "$iommu$1${mutant:+,x-mutant=$mutant}")
	edu=,pasid=on,dma-ms=10$2
}

# ports ADDR...: root ports at these addresses (hexadecimal), with the IDs rpADDR
ports() {
	local addr
	for addr; do
		qemu+=(-device "pcie-root-port,id=rp$addr,addr=$addr,chassis=1,slot=0x$addr")
	done
}

# more_edu OPTIONS: another edu
more_edu() { qemu+=(-device "edu,$1,dma_mask=0xffffffffffffffff$edu"); }

# second OPTIONS: after vtd, another IOMMU for the first edu, and for one that marks how
# far its faults were reported (nested_marker.h)
second() {
	qemu+=(-device "$iommu,x-slots=0x90,$1")
	more_edu addr=7
}

# disk ADDR OPTIONS
disk() {
	qemu+=(-blockdev "driver=null-co,size=67108864,read-zeroes=on,node-name=disk$1"
		-device "nvme,addr=$1,drive=disk$1,serial=$1$2")
}

# Two devices that copy memory and raise MSIs at the guest's word, and a disk.
devices() {
	more_edu "${edu_at[0]}"
	more_edu "${edu_at[1]}"
	disk 6 "$nvme"
}

machine() {
	acpi_override=
	append=
	local cpus=2 edu="" nvme="" iommu edu_at=(addr=4 addr=5)
	case $1 in
	acpi)	# the full machine, as firmware of a coherent SMMU describes it
		virt 3 nested
		qemu+=(-bios "$uefi")
		acpi_override=yes ;;
	acpi-count)	# the same with one CPU whose clock counts its instructions
		virt 3 nested
		cpus=1
		qemu+=(-bios "$uefi" -icount "shift=0,sleep=off")
		acpi_override=yes ;;
	acpi-nocanwbs)	# firmware that does not promise coherent DMA
		virt 3 nested
		qemu+=(-bios "$uefi") ;;
	dt)	virt 3 nested ;;
	stage1)	virt 3 1
		qemu+=(-bios "$uefi")
		acpi_override=yes ;;
	stage2)	virt 3 2
		qemu+=(-bios "$uefi")
		acpi_override=yes ;;
	gicv2)	virt 2 nested ;;	# MSIs by GICv2m
	gicv2-acpi)
		virt 2 nested
		qemu+=(-bios "$uefi")
		acpi_override=yes ;;
	vtd-stage2)	# as QEMU has it: stage 2 alone
		console=ttyS0
		append=no_timer_check
		qemu=(qemu-system-x86_64 -M q35 -cpu max
			-device "intel-iommu,intremap=on,x-scalable-mode=on") ;;
	x86)	# no VT-d: the core would take its ops for the mock driver's devices,
		# since neither has a firmware node
		console=ttyS0
		qemu=(qemu-system-x86_64 -M q35 -cpu max) ;;
	vtd)	vtd "" "" ;;
	vtd-ats)	# the same with devices that have TLBs of their own
		vtd ,device-iotlb=on ,ats=on ;;
	vtd-quick)	# the same with DMA that takes no time
		vtd ,device-iotlb=on ,ats=on,dma-ms=0 ;;
	vtd-restless)	# ... that are reset and sleep; what they do not answer times out
		vtd ,device-iotlb=on,x-ats-timeout-ms=50 ,ats=on,flr=on,pm=on,dma-ms=0 ;;
	vtd-late)	# invalidations take a while, and nobody forces snooping
		vtd ,device-iotlb=on,x-late-us=100,x-ecap-off=0x80 ,ats=on ;;
	vtd-legacy)	# no PASID tables: one page table for each device
		vtd ,x-nested=off,x-flts=off,x-scalable-mode=off,device-iotlb=on,x-ats-timeout-ms=50 \
			,ats=on,flr=on,pm=on,dma-ms=0 ;;
	vtd-away)	# devices that are reset, sleep and leave, the second behind a port;
			# an invalidation that they do not answer times out
		vtd ,device-iotlb=on,x-ats-timeout-ms=50 ,ats=on,flr=on,pm=on
		ports 8
		edu_at[1]=bus=rp8 ;;
	vtd-port | vtd-switch) # devices that only a reset of their bus resets: one and one alone
			# below its port, two functions that are isolated from each other, and
			# two that are not. On vtd-switch the first one is behind a switch, whose
			# ports forget their bus numbers when the bus above them is reset
		vtd ,device-iotlb=on,x-ats-timeout-ms=50 ,ats=on,pm=on,no-soft-reset=on
		ports 8 9 a b
		edu_at=(bus=rp8 bus=rp9)
		if [ "$1" = vtd-switch ]; then
			qemu+=(-device "x3130-upstream,id=switch,bus=rp8"
				-device "xio3130-downstream,id=below,bus=switch,chassis=2,slot=1")
			edu_at[0]=bus=below
		fi
		more_edu bus=rpa,addr=0.0,multifunction=on,acs=on
		more_edu bus=rpa,addr=0.1,acs=on
		more_edu bus=rpb,addr=0.0,multifunction=on
		more_edu bus=rpb,addr=0.1 ;;
	vtd-sriov)	# a device that can have VFs, behind a port, and one that cannot. The kernel is
			# told not to let VFs sleep: if that begins during a reset of the PF, it
			# saves all ones as the configuration of the VF
		vtd ,device-iotlb=on,x-ats-timeout-ms=50 ,ats=on,flr=on
		ports 8
		qemu+=(-global pcie-root-port.mem-reserve=8M)	# for the BARs of the VFs
		edu_at=("bus=rp8,multifunction=on,acs=on,vfs=2" addr=5) ;;
	vtd-host)	# two disks of the host's own with ATS, in one group; what they do not
			# answer times out when a reset has long been over
		vtd ,device-iotlb=on,x-ats-timeout-ms=300 ,ats=on
		nvme=,multifunction=on,ats=on
		disk 6.1 ,ats=on ;;
	vtd-deaf)	# the first device never answers an invalidation
		vtd ,device-iotlb=on,x-ats-timeout-ms=20 ,ats=on,flr=on,dma-ms=0
		edu_at[0]+=,x-ats-deaf=on ;;
	vtd-unnamed)	# ... answers too late, and the IOMMU's error does not say who it was
		vtd ,device-iotlb=on,x-ats-timeout-ms=20,x-unnamed-timeouts=on ,ats=on,flr=on,dma-ms=0
		edu_at[0]+=,x-ats-late=on ;;
	vtd-cm)	# what is not present is cached, too
		vtd ,device-iotlb=on,caching-mode=on ,ats=on ;;
	vtd-group)	# two functions of one device that are not isolated from each other
		vtd ,device-iotlb=on,x-ats-timeout-ms=50 ,ats=on,flr=on,pm=on
		edu_at=("addr=4.0,multifunction=on" addr=4.1) ;;
	vtd-narrow)	# the first edu is behind an IOMMU of fewer second-stage levels; the
			# other one has no tables of as few
		vtd ,aw-bits=57,x-cap-off=0x600 ""
		second aw-bits=48 ;;
	vtd-mixed)	# ... behind one whose walks do not snoop
		vtd "" ""
		second x-ecap-off=0x1000000000001 ;;
	vtd-count)	# with one CPU whose clock counts its instructions
		vtd "" ""
		cpus=1
		qemu+=(-icount "shift=0,sleep=off") ;;
	*)	die "no machine '$1' in harness/machines.sh" ;;
	esac
	devices
	qemu+=(-m "${memory:-1G}" -smp "$cpus" -nographic -no-reboot -net none)
}
