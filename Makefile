# SPDX-License-Identifier: GPL-2.0-only
# The commands of this project. Each is a script of harness/.

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: tree
tree: deps ## assemble base + overlay + queue; the last line is the tree's path
	@harness/tree

.PHONY: refresh
refresh: ## take edits in the tree back into overlay and queue [PATCH=name.patch]
	@harness/refresh $(PATCH)

.PHONY: image
image: deps ## build the test kernels and print their paths
	@for kernel in arm64-test arm64-debug x86-test; do harness/kernel $$kernel || exit; done

.PHONY: run
run: deps ## one or some of the runs in harness/runs: make run RUN="machine-acpi ..."
	@harness/run $(RUN)

.PHONY: deps
deps:
	@harness/deps
