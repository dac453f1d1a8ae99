// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSIs that arrive all the time while bindings come and go and while the
 * device's translation changes: none may be lost, and none come twice.
 */
#include <pthread.h>
#include <time.h>

#include "nested_msi.h"

#include "../kselftest_harness.h"

#define CYCLES		1000
#define PER_CYCLE	3
#define MIN_MSIS	100
#define MIN_CHANGES	100
#define SECONDS		2	/* at least this long */

/* A thread that raises one MSI after the other */
struct load {
	struct msi *msi;
	pthread_t thread;
	unsigned long arrived;
	bool stop, lost;
};

FIXTURE(load)
{
	struct msi_env m;
	struct load load;
};

FIXTURE_SETUP(load)
{
	int rc = msi_env_init(&self->m, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(load)
{
	msi_env_exit(&self->m);
}

static void *keep_raising(void *arg)
{
	struct load *load = arg;

	while (!__atomic_load_n(&load->stop, __ATOMIC_RELAXED) && !load->lost) {
		load->lost = !msi_arrives(load->msi);
		__atomic_add_fetch(&load->arrived, !load->lost,
				   __ATOMIC_RELAXED);
	}
	return NULL;
}

static int load_start(struct load *load, struct msi *msi)
{
	load->msi = msi;
	return pthread_create(&load->thread, NULL, keep_raising, load);
}

/* Returns the number of MSIs, or 0 if one was lost */
static unsigned long load_stop(struct load *load)
{
	__atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
	pthread_join(load->thread, NULL);
	return load->lost ? 0 : load->arrived;
}

/* One life of a binding. Returns 0, a negative errno, or a line number. */
static int cycle(struct msi_env *m, struct msi *msi, unsigned int nth)
{
	struct vm *vm = &m->env.vm;
	struct doorbell bell = elsewhere;
	int i, rc;

	/* The doorbell of the other device, and one of its own, in turn */
	if (nth & 1)
		bell.gpa += bell.length;
	bell_map(&m->env.table, &bell);
	rc = env_invalidate(&m->env, inv_domain(INV_IOTLB));
	rc = rc ?: bell_bind(vm, msi->dev, &bell);
	rc = rc ?: msi_on(msi);
	if (rc)
		return rc;
	for (i = 0; i < PER_CYCLE; i++)
		if (!msi_arrives(msi))
			return __LINE__;
	if (bell_unbind(vm, msi->dev, &bell) != -EBUSY)
		return __LINE__;
	rc = msi_off(msi);
	return rc ?: bell_unbind(vm, msi->dev, &bell);
}

TEST_F_TIMEOUT(load, bind_and_unbind, 600)
{
	struct msi_env *m = &self->m;
	struct doorbell steady = elsewhere;
	struct vm *vm = &m->env.vm;
	unsigned long arrived;
	unsigned int i;

	steady.iova = 0x7654320000ULL;
	bell_map(&m->env.table, &steady);
	ASSERT_EQ(0, vfio_attach(m->env.dev, m->env.hwpt));
	ASSERT_EQ(0, vfio_attach(&m->second.dev, m->env.hwpt));
	ASSERT_EQ(0, bell_bind(vm, &m->second.dev, &steady));
	ASSERT_EQ(0, msi_on(&m->msi2));
	ASSERT_EQ(0, load_start(&self->load, &m->msi2));
	for (i = 0; i < CYCLES; i++)
		ASSERT_EQ(0, cycle(m, &m->msi, i));
	arrived = load_stop(&self->load);
	EXPECT_LE(MIN_MSIS, arrived);
	EXPECT_EQ(0, faults(m->env.dev, false));
	EXPECT_EQ(0, faults(&m->second.dev, false));
	TH_LOG("%lu MSIs beside %u cycles", arrived, CYCLES);
}

/* The same without a binding to end: SET_IRQS alone, on the flat window */
TEST_F_TIMEOUT(load, window, 600)
{
	struct msi_env *m = &self->m;
	struct vm *vm = &m->env.vm;
	struct doorbell window;
	unsigned long arrived;
	unsigned int i;

	ASSERT_EQ(0, bell_window(vm, m->env.dev, &window));
	bell_map(&m->env.table, &window);
	ASSERT_EQ(0, vfio_attach(m->env.dev, m->env.hwpt));
	ASSERT_EQ(0, vfio_attach(&m->second.dev, m->env.hwpt));
	ASSERT_EQ(0, msi_on(&m->msi2));
	ASSERT_EQ(0, load_start(&self->load, &m->msi2));
	for (i = 0; i < MIN_CHANGES; i++) {
		ASSERT_EQ(0, msi_on(&m->msi));
		EXPECT_TRUE(msi_arrives(&m->msi));
		ASSERT_EQ(0, msi_off(&m->msi));
	}
	arrived = load_stop(&self->load);
	EXPECT_LT(0, arrived);
	EXPECT_EQ(0, faults(&m->second.dev, false));
}

/*
 * The guest's table, another one, none, and stage 1 skipped: all of them lead
 * to the doorbell
 */
TEST_F_TIMEOUT(load, every_state, 90)
{
	struct msi_env *m = &self->m;
	struct env *env = &m->env;
	struct pasid_table pasids;
	struct s1_table table;
	time_t start = time(NULL);
	unsigned long arrived;
	unsigned int i = 0;
	__u32 tables[4];

	ASSERT_EQ(0, env_add_table(env, &table, &pasids, 12, TAG, &tables[2]));
	bell_map(&env->table, &one_to_one);
	bell_map(&table, &one_to_one);
	tables[0] = env->hwpt;
	tables[1] = env->vm.parent;
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &tables[3]));

	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &one_to_one));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, load_start(&self->load, &m->msi));
	while (i < MIN_CHANGES || time(NULL) <= start + SECONDS)
		ASSERT_EQ(0, vfio_attach(env->dev, tables[i++ % 4]));
	arrived = load_stop(&self->load);
	EXPECT_LE(MIN_MSIS, arrived);
	EXPECT_EQ(0, faults(env->dev, false));
	TH_LOG("%lu MSIs during %u changes", arrived, i);
}

/* Two tables with the doorbell where no stage 2 has it; stage 2 changes too */
TEST_F_TIMEOUT(load, two_tables, 90)
{
	struct msi_env *m = &self->m;
	struct env *env = &m->env;
	struct vm *vm = &env->vm;
	struct doorbell spare = one_to_one;
	__u64 gpa = VM_GPA + VM_SIZE;
	struct pasid_table pasids;
	struct s1_table table;
	time_t start = time(NULL);
	unsigned long arrived;
	unsigned int i = 0;
	__u32 tables[2];

	ASSERT_EQ(0, env_add_table(env, &table, &pasids, 12, TAG, &tables[1]));
	bell_map(&env->table, &elsewhere);
	bell_map(&table, &elsewhere);
	tables[0] = env->hwpt;
	ASSERT_EQ(0, vfio_attach(env->dev, tables[0]));
	ASSERT_EQ(0, bell_bind(vm, env->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	ASSERT_EQ(0, load_start(&self->load, &m->msi));
	spare.gpa += spare.length;
	while (i < MIN_CHANGES || time(NULL) <= start + SECONDS) {
		ASSERT_EQ(0, vfio_attach(env->dev, tables[++i % 2]));
		ASSERT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
		ASSERT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm->mem, gpa,
				      4096));
		/* A second doorbell that no MSI uses comes and goes */
		ASSERT_EQ(0, bell_bind(vm, env->dev, &spare));
		ASSERT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, gpa, 4096));
		ASSERT_EQ(0, bell_unbind(vm, env->dev, &spare));
	}
	arrived = load_stop(&self->load);
	EXPECT_LE(MIN_MSIS, arrived);
	EXPECT_EQ(0, faults(env->dev, false));
	TH_LOG("%lu MSIs during %u changes", arrived, i);
}

TEST_HARNESS_MAIN
