// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows what nesting is: a table that "the guest" owns translates the DMA of a
 * device, on top of the host's stage 2. For people to read; the exit status
 * says whether every step held.
 */
#include "nested_env.h"

#include "../kselftest.h"

static struct env env;

static void fail(const char *what, int rc)
{
	ksft_exit_fail_msg("%s: %s\n", what, strerror(-rc));
}

static void must(const char *what, int rc)
{
	if (rc)
		fail(what, rc);
}

static void show(const char *name, __u64 gpa)
{
	const __u8 *mem = vm_ptr(&env.vm, gpa);
	bool landed = probe_compare(&env.probe, mem) != NOWHERE;
	int i;

	printf("    %s, GPA %#llx: ", name, gpa);
	for (i = 0; i < 8; i++)
		printf(" %02x", mem[i]);
	printf(" ...  %s\n", landed ? "<- here" : "untouched");
}

/* Have the device write to @iova, and show where that lands */
static bool dma(__u64 iova, enum place expected)
{
	enum place place = probe_dma(&env.probe, iova);

	printf("    the device writes 64 bytes to address %#llx\n", iova);
	show("page Y", env.probe.a);
	show("page Z", env.probe.b);
	if (place != expected)
		printf("    THIS IS WRONG\n");
	return place == expected;
}

static bool faulted(void)
{
	unsigned int count = faults(env.dev, true);

	printf("    %u faults reported\n", count);
	return count;
}

static void step(const char *text)
{
	printf("\n%s\n", text);
}

static void step_stage2_only(void)
{
	step("Stage 2 only: the host maps the guest's memory for the device.");
	ksft_test_result(dma(env.probe.a, AT_A), "stage 2 only\n");
}

static void step_attach(void)
{
	step("The guest builds a table of its own that maps gIOVA X to page\n"
	     "Y, the VMM attaches it: X -> Y by the guest, Y -> memory by the\n"
	     "host.");
	printf("    X is %#llx\n", GIOVA);
	must("attach the table", vfio_attach(env.dev, env.hwpt));
	ksft_test_result(dma(GIOVA, AT_A), "the guest's table translates\n");
}

static void step_remap(void)
{
	bool stale;

	step("The guest changes its table: X to page Z. No kernel is\n"
	     "involved, the IOMMU still has the old translation in its cache.");
	probe_map(&env.probe, &env.table, GIOVA, AT_B);
	stale = dma(GIOVA, AT_A);
	step("The guest invalidates X.");
	must("invalidate", env_invalidate(&env, inv_addr(INV_TAG | INV_LEAF, 12,
							 GIOVA, 1)));
	ksft_test_result(dma(GIOVA, AT_B) && stale, "invalidation\n");
}

static void step_bypass(void)
{
	__u32 hwpt;

	step("The guest bypasses its IOMMU: the device uses GPAs.");
	must("make a bypass",
	     env_config(&env, IOMMU_PASID_TABLE_BYPASS, &hwpt));
	must("attach the bypass", vfio_attach(env.dev, hwpt));
	ksft_test_result(dma(env.probe.a, AT_A), "bypass\n");
}

static void step_abort(void)
{
	__u32 hwpt;

	step("The guest's IOMMU aborts everything.");
	must("make an abort", env_config(&env, IOMMU_PASID_TABLE_ABORT, &hwpt));
	must("attach the abort", vfio_attach(env.dev, hwpt));
	ksft_test_result(dma(GIOVA, NOWHERE), "abort\n");
}

static void step_unmap_stage2(void)
{
	bool before, after;

	step("Back to the guest's table; then the host takes all memory away.");
	must("attach the table", vfio_attach(env.dev, env.hwpt));
	before = dma(GIOVA, AT_B);
	must("unmap stage 2", ioas_unmap(env.vm.iommufd, env.vm.ioas, VM_GPA,
					 VM_SIZE));
	step("Without stage 2:");
	must("count faults", faults_start());
	after = dma(GIOVA, NOWHERE) && faulted();
	must("map stage 2", vm_map(&env.vm));
	ksft_test_result(before && after, "the host has the last word\n");
}

static void step_detach(void)
{
	bool blocked;

	step("The VMM detaches the guest's table: stage 2 only again, and X\n"
	     "is an address like any other, where the guest has nothing.");
	must("attach the parent", vfio_attach(env.dev, env.vm.parent));
	blocked = dma(GIOVA, NOWHERE);
	ksft_test_result(dma(env.probe.a, AT_A) && blocked, "detach\n");
}

int main(void)
{
	int rc;

	ksft_print_header();
	setvbuf(stdout, NULL, _IOLBF, 0);
	rc = env_init(&env, false, 12);
	if (env_reason(rc))
		ksft_exit_skip("%s\n", env_reason(rc));
	must("set up a device and its VM", rc);
	ksft_set_plan(7);
	printf("\nPCI device %s, 16 MiB of guest memory at GPA %#llx\n",
	       env.dev->name, VM_GPA);
	step_stage2_only();
	step_attach();
	step_remap();
	step_bypass();
	step_abort();
	step_unmap_stage2();
	step_detach();
	env_exit(&env);
	ksft_finished();
}
