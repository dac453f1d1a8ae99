// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the calls of nesting cost, and what shadowing costs that they replace.
 *
 * Prints lines "figure NAME TIME" with the time of one call in nanoseconds: the
 * best of many. Made for an emulator whose clock counts the instructions of one
 * CPU, where that is their number, and where no time passes in the emulated
 * IOMMU. Nothing here is too slow to pass; the calls have to work.
 */
#include <time.h>

#include "nested_bench.h"
#include "nested_msi.h"

/* Enough for the best to be one that no timer interrupted */
#define ROUNDS		48
/* Calls of a round: the clock ticks every 16 ns, and interrupts every 4 ms */
#define MAX_CALLS	16ULL
#define ROUND_NS	500000ULL

static const struct doorbell bell = BENCH_BELL;
static struct env env;
static struct batch batch;

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int timed(int (*step)(void *arg), void *arg, __u64 calls, __u64 *ns)
{
	__u64 i, start = now_ns();
	int rc = 0;

	for (i = 0; i < calls && !rc; i++)
		rc = step(arg);
	*ns = now_ns() - start;
	return rc;
}

/* Print the figure of @step; whether it worked each time */
static bool measure(const char *name, int (*step)(void *arg), void *arg)
{
	__u64 calls, round, ns, best = UINT64_MAX;
	int rc;

	/* The first call may have to allocate what is kept */
	rc = timed(step, arg, 1, &ns) ?: timed(step, arg, 1, &ns);
	calls = ROUND_NS / (ns + 1);
	calls = calls < 1 ? 1 : calls > MAX_CALLS ? MAX_CALLS : calls;
	for (round = 0; round < ROUNDS && !rc; round++) {
		rc = timed(step, arg, calls, &ns);
		best = ns < best ? ns : best;
	}
	if (rc)
		ksft_print_msg("%s: %s\n", name, strerror(-rc));
	else
		printf("figure %s %llu\n", name, (best + calls / 2) / calls);
	return !rc;
}

static void must(const char *what, int rc)
{
	if (rc)
		ksft_exit_fail_msg("%s: %s\n", what, strerror(-rc));
}

/* An id that does not exist: what is left is the way in and out */
static int refused(void *arg)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = UINT32_MAX,
		.data_uptr = (uintptr_t)&cmd,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = sizeof(struct iommu_hwpt_pasid_table_invalidate),
		.entry_num = 1,
	};
	int rc = call(env.vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd);

	return rc == -ENOENT ? 0 : -EPROTO;
}

/* A call that did nothing would be quick: does the device see its effect? */
static bool batch_works(void)
{
	bool stale;

	batch_end_at(&batch, GIOVA);
	probe_map(&env.probe, &env.table, GIOVA, AT_A);
	if (batch_send(&batch) || probe_dma(&env.probe, GIOVA) != AT_A)
		return false;
	probe_map(&env.probe, &env.table, GIOVA, AT_B);
	stale = probe_dma(&env.probe, GIOVA) == AT_A;
	return !batch_send(&batch) && stale &&
	       probe_dma(&env.probe, GIOVA) == AT_B;
}

static void measure_door(const struct door *door)
{
	static const unsigned int counts[] = { 1, 8, 64, 512, BENCH_MAX_BATCH };
	const char *where;
	bool good = true;
	unsigned int i;
	char name[80];

	must("attach the table", vfio_attach(env.dev, door->table));
	for (i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		where = i % 2 ? "scattered" : "adjacent";
		snprintf(name, sizeof(name), "invalidate/%s/%s/%u", door->name,
			 where, counts[i / 2]);
		batch_fill(&batch, &env, door, counts[i / 2], !(i % 2));
		good &= measure(name, batch_send, &batch);
		if (counts[i / 2] == 64)
			good &= batch_works();
	}
	ksft_test_result(good, "invalidate: %s\n", door->name);
}

static const struct door *way;
static __u32 current, other;

static int attach_pair(void *arg)
{
	int rc = vfio_attach(env.dev, other);

	return rc ?: vfio_attach(env.dev, current);
}

/* What a VMM does when its guest changes its configuration */
static int replace(void *arg)
{
	__u32 old = current;
	int rc = way->config(way, &env, &env.pasids, &current);

	rc = rc ?: vfio_attach(env.dev, current);
	return rc ?: iommufd_destroy(env.vm.iommufd, old);
}

/* A table that comes, is used and goes, beside one that stays */
static int visit(void *arg)
{
	__u32 visitor;
	int rc = way->config(way, &env, &env.pasids, &visitor);

	rc = rc ?: vfio_attach(env.dev, visitor);
	rc = rc ?: vfio_attach(env.dev, current);
	return rc ?: iommufd_destroy(env.vm.iommufd, visitor);
}

static void measure_change(const struct door *door)
{
	struct pasid_table pasids;
	struct s1_table table;
	char name[80];
	bool good;

	way = door;
	env_table(&env, &table, &pasids, 12, TAG + 1);
	must("make a table", way->config(way, &env, &env.pasids, &current));
	must("make another", way->config(way, &env, &pasids, &other));
	must("attach the table", vfio_attach(env.dev, current));
	snprintf(name, sizeof(name), "attach-pair/%s", door->name);
	good = measure(name, attach_pair, NULL);
	snprintf(name, sizeof(name), "replace/%s", door->name);
	good &= measure(name, replace, NULL);
	snprintf(name, sizeof(name), "visit/%s", door->name);
	good &= measure(name, visit, NULL);
	good &= probe_dma(&env.probe, GIOVA) != NOWHERE;
	ksft_test_result(good, "change the table: %s\n", door->name);
}

static int msi_pair(void *arg)
{
	int rc = bell_bind(&env.vm, env.dev, &bell);

	return rc ?: bell_unbind(&env.vm, env.dev, &bell);
}

static void measure_msi(void)
{
	ksft_test_result(measure("msi-bind-unbind", msi_pair, NULL),
			 "bind a doorbell\n");
}

struct mapping {
	__u32 ioas;
	__u64 pages;
};

static int map_pair(void *arg)
{
	const struct mapping *map = arg;
	struct vm *vm = &env.vm;
	/* As a guest's pages are: none becomes part of a block */
	__u64 iova = VM_GPA + 4 * VM_SIZE + 4096;
	int rc = ioas_map(vm->iommufd, map->ioas, vm->mem, iova,
			  map->pages * 4096);

	return rc ?: ioas_unmap(vm->iommufd, map->ioas, iova,
				map->pages * 4096);
}

static bool measure_maps(const char *where, __u32 ioas)
{
	static const unsigned int counts[] = { 1, 8, 64, 512 };
	struct mapping map = { .ioas = ioas };
	bool good = true;
	unsigned int i;
	char name[80];

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		snprintf(name, sizeof(name), "map-unmap/%s/%u", where,
			 counts[i]);
		map.pages = counts[i];
		good &= measure(name, map_pair, &map);
	}
	return good;
}

/* Without nesting: the VMM maps what the guest maps, in the device's IOAS */
static void measure_shadowing(void)
{
	__u32 ioas;

	must("make an IOAS", ioas_alloc(env.vm.iommufd, &ioas));
	must("attach it", vfio_attach(env.dev, ioas));
	ksft_test_result(measure_maps("shadow", ioas), "shadowing\n");
}

/* The host's memory changes below a guest's table */
static void measure_stage2(void)
{
	must("attach the table", vfio_attach(env.dev, current));
	ksft_test_result(measure_maps("stage2", env.vm.ioas),
			 "change stage 2\n");
}

int main(void)
{
	unsigned int i;
	int rc;

	ksft_print_header();
	rc = env_init(&env, false, 12);
	if (env_reason(rc))
		ksft_exit_skip("%s\n", env_reason(rc));
	must("set up", rc);
	ksft_set_plan(4 + 2 * NR_DOORS);
	ksft_test_result(measure("refused", refused, NULL), "refused\n");
	for (i = 0; i < NR_DOORS; i++) {
		must(doors[i].name, doors[i].open(&doors[i], &env));
		measure_door(&doors[i]);
		measure_change(&doors[i]);
	}
	measure_msi();
	measure_stage2();
	measure_shadowing();
	env_exit(&env);
	ksft_finished();
}
