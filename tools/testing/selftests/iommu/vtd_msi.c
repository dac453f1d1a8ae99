// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSIs below a guest's table on VT-d. Interrupt remapping takes writes to the
 * interrupt range before any translation: a binding inside it succeeds and
 * changes nothing, a binding elsewhere is refused, and MSIs arrive in any case.
 */
#include <pthread.h>

#include "nested_msi.h"

#include "../kselftest_harness.h"

#define RANGE_FIRST	0xfee00000ULL
#define RANGE_LAST	0xfeefffffULL
#define CHANGES		200

FIXTURE(msi)
{
	struct msi_env m;
	struct env *env;
	struct vm *vm;
	struct vfio_dev *dev;
	struct msi *msi;
};

FIXTURE_VARIANT(msi)
{
	bool nvme;
};

FIXTURE_VARIANT_ADD(msi, edu)
{
};

FIXTURE_VARIANT_ADD(msi, nvme)
{
	.nvme = true,
};

FIXTURE_SETUP(msi)
{
	ASSERT_EQ(0, msi_env_init(&self->m, variant->nvme, 12));
	self->env = &self->m.env;
	self->vm = &self->env->vm;
	self->dev = self->env->dev;
	self->msi = &self->m.msi;
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(self->msi));
}

FIXTURE_TEARDOWN(msi)
{
	msi_env_exit(&self->m);
}

static const struct {
	const char *what;
	struct doorbell bell;
	int error;
} bells[] = {
	{ "first page", { RANGE_FIRST, RANGE_FIRST, 4096 }, 0 },
	{ "a page", { 0xfee12000, 0xfee12000, 4096 }, 0 },
	{ "last page", { RANGE_LAST - 4095, RANGE_LAST - 4095, 4096 }, 0 },
	{ "all of it", { RANGE_FIRST, RANGE_FIRST, 0x100000 }, 0 },
	{ "no length", { RANGE_FIRST, RANGE_FIRST, 0 }, -EINVAL },
	{ "no power of two", { RANGE_FIRST, RANGE_FIRST, 0x3000 }, -EINVAL },
	{ "less than a page", { RANGE_FIRST, RANGE_FIRST, 64 }, -EINVAL },
	{ "more than all", { RANGE_FIRST, RANGE_FIRST, 0x200000 }, -EINVAL },
	{ "the page before", { RANGE_FIRST - 4096, RANGE_FIRST - 4096, 4096 },
	  -EINVAL },
	{ "the page behind", { RANGE_LAST + 1, RANGE_LAST + 1, 4096 },
	  -EINVAL },
	{ "GPA outside", { RANGE_FIRST, VM_GPA + 2 * VM_SIZE, 4096 }, -EINVAL },
	{ "gIOVA outside", { GIOVA, RANGE_FIRST, 4096 }, -EINVAL },
	{ "elsewhere", { 0x7000000000, 0x0a000000, 0x10000 }, -EINVAL },
	{ "in guest memory", { GIOVA, VM_GPA, 4096 }, -EINVAL },
};

TEST_F(msi, bind)
{
	unsigned int i;
	int rc;

	EXPECT_TRUE(msi_arrives(self->msi));
	for (i = 0; i < ARRAY_SIZE(bells); i++) {
		rc = bell_bind(self->vm, self->dev, &bells[i].bell);
		EXPECT_EQ(bells[i].error, rc) {
			TH_LOG("%s", bells[i].what);
		}
		EXPECT_TRUE(msi_arrives(self->msi));
		if (rc) {
			EXPECT_EQ(-ENOENT, bell_unbind(self->vm, self->dev,
						       &bells[i].bell));
			continue;
		}
		EXPECT_EQ(-EEXIST, bell_bind(self->vm, self->dev,
					     &bells[i].bell));
		/* Nothing was changed, so nothing is in use */
		EXPECT_EQ(0, bell_unbind(self->vm, self->dev, &bells[i].bell));
		EXPECT_EQ(-ENOENT, bell_unbind(self->vm, self->dev,
					       &bells[i].bell));
		EXPECT_TRUE(msi_arrives(self->msi));
	}
	EXPECT_EQ(AT_A, probe_dma(&self->env->probe, GIOVA));
	EXPECT_EQ(0, faults(self->dev, false));
}

/* The range is not the guest's memory, nor does its table lead anywhere */
TEST_F(msi, range)
{
	struct s1_table *table = &self->env->table;
	struct vm *vm = self->vm;

	EXPECT_EQ(0, ioas_allows(vm->iommufd, vm->ioas, RANGE_FIRST));
	EXPECT_EQ(0, ioas_allows(vm->iommufd, vm->ioas, RANGE_LAST));
	EXPECT_EQ(1, ioas_allows(vm->iommufd, vm->ioas, RANGE_LAST + 1));
	EXPECT_EQ(-EINVAL, ioas_map(vm->iommufd, vm->ioas, vm->mem, RANGE_FIRST,
				    4096));
	/* A guest that maps the range to its memory still gets its MSIs */
	s1_map(table, RANGE_FIRST, self->env->probe.a);
	ASSERT_EQ(0, env_invalidate(self->env, inv_domain(INV_ALL)));
	memset(vm_ptr(vm, self->env->probe.a), VM_UNTOUCHED, 4096);
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(VM_UNTOUCHED, *(__u8 *)vm_ptr(vm, self->env->probe.a));
	EXPECT_EQ(0, faults(self->dev, false));
}

/* What the device is attached to does not matter to its MSIs */
TEST_F(msi, every_state)
{
	struct env *env = self->env;
	__u32 tour[6];
	unsigned int i;

	tour[0] = env->vm.parent;
	tour[1] = env->hwpt;
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &tour[2]));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &tour[3]));
	tour[4] = env->vm.ioas;
	tour[5] = env->hwpt;
	ASSERT_EQ(0, bell_bind(self->vm, self->dev, &bells[0].bell));
	for (i = 0; i < ARRAY_SIZE(tour); i++) {
		ASSERT_EQ(0, vfio_attach(self->dev, tour[i]));
		/* A disk cannot fetch the command that makes it raise one */
		if (variant->nvme && i == 3)
			continue;
		EXPECT_TRUE(msi_arrives(self->msi)) {
			TH_LOG("place %u of the tour", i);
		}
	}
	/* Nor does it to the binding, which is there until it is unbound */
	EXPECT_EQ(0, bell_unbind(self->vm, self->dev, &bells[0].bell));
}

struct load {
	struct msi *msi;
	unsigned long arrived;
	bool stop, lost;
};

static void *keep_raising(void *arg)
{
	struct load *load = arg;

	while (!__atomic_load_n(&load->stop, __ATOMIC_RELAXED) && !load->lost) {
		load->lost = !msi_arrives(load->msi);
		load->arrived += !load->lost;
	}
	return NULL;
}

/* No MSI is lost, and none comes twice, while tables are replaced */
TEST_F(msi, under_load)
{
	struct load load = { .msi = self->msi };
	struct env *env = self->env;
	struct pasid_table pasids;
	struct s1_table table;
	pthread_t thread;
	__u32 tables[2];
	int i;

	ASSERT_EQ(0, env_add_table(env, &table, &pasids, 12, TAG, &tables[1]));
	tables[0] = env->hwpt;
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_raising, &load));
	for (i = 0; i < CHANGES; i++) {
		EXPECT_EQ(0, bell_bind(self->vm, self->dev, &bells[1].bell));
		EXPECT_EQ(0, vfio_attach(self->dev, tables[i & 1]));
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
		EXPECT_EQ(0, bell_unbind(self->vm, self->dev, &bells[1].bell));
	}
	while (__atomic_load_n(&load.arrived, __ATOMIC_RELAXED) < 10 &&
	       !load.lost)
		usleep(1000);
	__atomic_store_n(&load.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_FALSE(load.lost);
	EXPECT_EQ(0, faults(self->dev, false));
	TH_LOG("%lu rounds of MSIs during %u changes", load.arrived, CHANGES);
}

/* Only below a nesting parent is there a guest */
TEST_F(msi, not_nested)
{
	ASSERT_EQ(0, vfio_attach(self->dev, self->vm->ioas));
	EXPECT_EQ(-EINVAL, bell_bind(self->vm, self->dev, &bells[0].bell));
	ASSERT_EQ(0, vfio_attach(self->dev, self->vm->parent));
	EXPECT_EQ(0, bell_bind(self->vm, self->dev, &bells[0].bell));
	EXPECT_TRUE(msi_arrives(self->msi));
	/* It goes with the device */
}

TEST_HARNESS_MAIN
