# SPDX-License-Identifier: GPL-2.0-only
# The commands of this project. Each is a script of harness/.

help: ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: deps ## install, build, boot, and watch a guest-owned table translate a device's DMA
	@harness/demo

test: deps ## KUnit, mock, arm64, x86; not debug, emulator, mutants; ends with "N passed, N failed"
	@harness/test harness kunit mock arm64 x86

test-kunit: deps ## KUnit
	@harness/test kunit

test-mock: deps ## kselftest against the mock driver
	@harness/test mock

test-arm64: deps ## kselftest against emulated SMMUv3
	@harness/test arm64

test-x86: deps ## kselftest against emulated VT-d
	@harness/test x86

test-debug: deps ## on kernels that find memory, locking and leak bugs; takes as long as make test
	@harness/test debug

test-emulator: deps ## the unmodified kernel on emulated VT-d
	@harness/test emulator

run: deps ## some of the machine runs in harness/runs: RUN="name ..."
	@harness/run $(RUN)

check: deps ## checkpatch, sparse, W=1, kernel-doc, coccinelle, findings; built-in, module and disabled
	@harness/check

bisect: deps ## build every step of the series
	@harness/bisect

series: deps ## export the series for git am into OUT (default: series/)
	@harness/series $(or $(OUT),series)

tree: deps ## assemble base + overlay + queue; the last line is the tree's path
	@harness/tree

refresh: ## take edits in the tree back into overlay and queue; PATCH=name.patch says into which
	@harness/refresh $(PATCH)

image: deps ## build the test kernels and print their paths
	@for kernel in arm64-test arm64-debug x86-test x86-debug; do harness/kernel $$kernel || exit; done

qemu: deps ## build the emulator of the machines vtd* (all but vtd-stage2) and print its path
	@harness/qemu-vtd

mutants: deps ## do the tests notice mistakes of the emulated VT-d? two boots for each
	@harness/mutants

bench: deps ## what nesting costs: instructions per command, calls per second, a chart
	@harness/bench

coverage: deps ## line coverage of the new kernel files
	@harness/coverage

deps:
	@harness/deps

.PHONY: help demo test test-kunit test-mock test-arm64 test-x86 test-debug test-emulator run check bisect series tree \
	refresh image qemu mutants bench coverage deps
