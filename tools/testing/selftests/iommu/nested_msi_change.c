// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSIs in use when the device is attached to something else: they keep coming,
 * or are blocked on purpose, or the change is refused. They never go elsewhere.
 */
#include "nested_msi.h"

#include "../kselftest_harness.h"

/* A second VM of the same memory: addresses are the same, parents are not */
struct twin {
	__u32 ioas, parent, table;
};

FIXTURE(change)
{
	struct msi_env m;
	struct env *env;
	struct vfio_dev *dev;
	struct msi *msi;
	struct s1_table other_table;
	struct pasid_table other_pasids;
	struct doorbell window;
	__u32 hwpt, other, bypass, abort, parent;
	struct twin twin;
};

static int twin_init(struct env *env, struct twin *twin)
{
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	int rc, fd = env->vm.iommufd;

	rc = ioas_alloc(fd, &twin->ioas);
	rc = rc ?: ioas_map(fd, twin->ioas, env->vm.mem, VM_GPA, VM_SIZE);
	rc = rc ?: hwpt_alloc(fd, env->dev->id, twin->ioas,
			      IOMMU_HWPT_ALLOC_NEST_PARENT, &twin->parent);
	return rc ?: hwpt_alloc_table(fd, env->dev->id, twin->parent, &config,
				      &twin->table);
}

FIXTURE_SETUP(change)
{
	int rc = msi_env_init(&self->m, false, 12);
	struct env *env = &self->m.env;

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->env = env;
	self->dev = env->dev;
	self->msi = &self->m.msi;
	self->hwpt = env->hwpt;
	self->parent = env->vm.parent;
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &self->bypass));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &self->abort));
	ASSERT_EQ(0, env_add_table(env, &self->other_table, &self->other_pasids,
				   12, TAG, &self->other));
	ASSERT_EQ(0, bell_window(&env->vm, env->dev, &self->window));
	ASSERT_EQ(0, twin_init(env, &self->twin));
}

FIXTURE_TEARDOWN(change)
{
	msi_env_exit(&self->m);
}

/* The guest has the doorbell in both of its tables */
static void map_both(struct env *env, struct s1_table *other,
		     const struct doorbell *bell)
{
	bell_map(&env->table, bell);
	bell_map(other, bell);
}

/* The address is the same before and after stage 1: anything goes */
TEST_F(change, one_to_one)
{
	const __u32 tour[] = {
		self->parent, self->hwpt, self->other, self->bypass, self->hwpt,
		self->parent, self->bypass, self->parent, self->other,
		self->other,
	};
	unsigned int i;

	map_both(self->env, &self->other_table, &one_to_one);
	ASSERT_EQ(0, bell_bind(&self->env->vm, self->dev, &one_to_one));
	/* Set up while the guest has no table yet, as its firmware does */
	ASSERT_EQ(0, msi_on(self->msi));
	for (i = 0; i < ARRAY_SIZE(tour); i++) {
		ASSERT_EQ(0, vfio_attach(self->dev, tour[i]));
		EXPECT_TRUE(msi_arrives(self->msi)) {
			TH_LOG("place %u of the tour", i);
		}
	}
	EXPECT_EQ(0, faults(self->dev, false));
}

/* Without a binding: the window is in every parent, and without any too */
TEST_F(change, window)
{
	const __u32 tour[] = {
		self->hwpt, self->other, self->bypass, self->twin.table,
		self->hwpt, self->parent, self->twin.parent,
		self->env->vm.ioas, self->twin.ioas, self->twin.table,
	};
	unsigned int i;

	map_both(self->env, &self->other_table, &self->window);
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_arrives(self->msi));
	for (i = 0; i < ARRAY_SIZE(tour); i++) {
		ASSERT_EQ(0, vfio_attach(self->dev, tour[i]));
		EXPECT_TRUE(msi_arrives(self->msi)) {
			TH_LOG("place %u of the tour", i);
		}
	}
	/* Blocked in between */
	ASSERT_EQ(0, vfio_attach(self->dev, self->abort));
	EXPECT_TRUE(msi_is_lost(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_TRUE(msi_is_lost(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, self->parent));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(0, faults(self->dev, false));
}

/* Blocked in between, and then in a parent that has seen no MSI yet */
TEST_F(change, window_of_a_new_parent)
{
	map_both(self->env, &self->other_table, &self->window);
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, msi_on(self->msi));
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_TRUE(msi_is_lost(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, self->twin.table));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(0, faults(self->dev, false));
}

/* Set up while the guest translates: the address means nothing without that */
TEST_F(change, translated)
{
	struct vm *vm = &self->env->vm;

	map_both(self->env, &self->other_table, &elsewhere);
	probe_map(&self->env->probe, &self->other_table, GIOVA, AT_B);
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, self->other));
	EXPECT_TRUE(msi_arrives(self->msi));

	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->parent));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->bypass));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, vm->ioas));
	EXPECT_TRUE(msi_arrives(self->msi));
	/* What was refused is as it was: the table is still in use */
	EXPECT_EQ(-EBUSY, iommufd_destroy(vm->iommufd, self->other));
	EXPECT_EQ(AT_B, probe_dma(&self->env->probe, GIOVA));

	ASSERT_EQ(0, vfio_attach(self->dev, self->abort));
	EXPECT_TRUE(msi_is_lost(self->msi));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->parent));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->bypass));
	EXPECT_TRUE(msi_is_lost(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(0, faults(self->dev, false));

	/* Nothing is in use any more, nothing is in the way */
	ASSERT_EQ(0, msi_off(self->msi));
	EXPECT_EQ(0, vfio_attach(self->dev, self->parent));
	EXPECT_EQ(0, vfio_attach(self->dev, self->bypass));
}

/* The other way round, before the guest has a table and with one that rests */
TEST_F(change, untranslated)
{
	const __u32 places[] = { self->parent, self->bypass, self->parent };
	int i;

	map_both(self->env, &self->other_table, &elsewhere);
	ASSERT_EQ(0, bell_bind(&self->env->vm, self->dev, &elsewhere));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_attach(self->dev, places[i]));
		ASSERT_EQ(0, msi_on(self->msi));
		EXPECT_TRUE(msi_arrives(self->msi));
		EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->hwpt));
		EXPECT_TRUE(msi_arrives(self->msi));
		ASSERT_EQ(0, vfio_attach(self->dev, places[i + 1]));
		EXPECT_TRUE(msi_arrives(self->msi));
		EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->hwpt));
		ASSERT_EQ(0, vfio_attach(self->dev, self->abort));
		EXPECT_TRUE(msi_is_lost(self->msi));
		EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->hwpt));
		ASSERT_EQ(0, vfio_attach(self->dev, places[i]));
		EXPECT_TRUE(msi_arrives(self->msi));
		ASSERT_EQ(0, msi_off(self->msi));
	}
	EXPECT_EQ(0, faults(self->dev, false));

	/* Set up again it has the address of the state that it is in */
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_STREQ("", bell_check(self->env, self->msi, &elsewhere));
}

/* Where a guest begins whose IOMMU aborts after reset */
TEST_F(change, starts_in_abort)
{
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, vfio_attach(self->dev, self->abort));
	map_both(self->env, &self->other_table, &elsewhere);
	ASSERT_EQ(0, bell_bind(&self->env->vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_is_lost(self->msi));
	EXPECT_EQ(0, faults(self->dev, false));
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	EXPECT_STREQ("", bell_check(self->env, self->msi, &elsewhere));
}

TEST_F(change, detached)
{
	struct vm *vm = &self->env->vm;

	map_both(self->env, &self->other_table, &elsewhere);
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_TRUE(msi_is_lost(self->msi));
	EXPECT_EQ(-EBUSY, bell_unbind(vm, self->dev, &elsewhere));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, self->parent));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, vm->ioas));
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, vfio_attach(self->dev, self->other));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_EQ(0, faults(self->dev, false));

	/* A binding that is not used may go without the device being there */
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, msi_off(self->msi));
	EXPECT_EQ(0, bell_unbind(vm, self->dev, &elsewhere));
}

/* Set up while the device is blocked: the window has it wherever that ends */
TEST_F(change, before_attach)
{
	const __u32 places[] = {
		self->env->vm.ioas, self->parent, self->hwpt, self->bypass,
		self->twin.parent, self->twin.table,
	};
	struct vfio_dev *dev = &self->m.second.dev;
	struct vm *vm = &self->env->vm;
	struct msi *msi = &self->m.msi2;
	unsigned int i;

	map_both(self->env, &self->other_table, &self->window);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		ASSERT_EQ(0, msi_on(msi));
		EXPECT_TRUE(msi_is_lost(msi));
		ASSERT_EQ(0, vfio_attach(dev, places[i]));
		EXPECT_TRUE(msi_arrives(msi)) {
			TH_LOG("place %u", i);
		}
		ASSERT_EQ(0, vfio_detach(dev));
		EXPECT_TRUE(msi_is_lost(msi));
		ASSERT_EQ(0, msi_off(msi));
	}
	ASSERT_EQ(0, msi_on(msi));
	ASSERT_EQ(0, vfio_attach(dev, self->abort));
	EXPECT_TRUE(msi_is_lost(msi));
	ASSERT_EQ(0, vfio_attach(dev, self->hwpt));
	EXPECT_TRUE(msi_arrives(msi));
	/* No binding takes it over */
	EXPECT_EQ(-EBUSY, bell_bind(vm, dev, &elsewhere));
	ASSERT_EQ(0, msi_off(msi));
	ASSERT_EQ(0, bell_bind(vm, dev, &elsewhere));
	bell_map(&self->env->table, &elsewhere);
	ASSERT_EQ(0, msi_on(msi));
	EXPECT_STREQ("", bell_check(self->env, msi, &elsewhere));
}

/* The window has moved since: what would be lost is told, nested or not */
TEST_F(change, before_attach_elsewhere)
{
	struct vfio_dev *dev = &self->m.second.dev;
	struct vm *vm = &self->env->vm;
	struct msi *msi = &self->m.msi2;

	ASSERT_EQ(0, msi_on(msi));
	ASSERT_EQ(0, option_set(vm->iommufd, IOMMU_OPTION_SW_MSI_START, dev->id,
				0x380000000ULL));
	EXPECT_EQ(-EBUSY, vfio_attach(dev, vm->ioas));
	EXPECT_EQ(-EBUSY, vfio_attach(dev, self->twin.parent));
	ASSERT_EQ(0, msi_off(msi));
	ASSERT_EQ(0, msi_on(msi));
	ASSERT_EQ(0, vfio_attach(dev, vm->ioas));
	EXPECT_TRUE(msi_arrives(msi));
}

/* A binding is one of a parent */
TEST_F(change, other_parents)
{
	struct s1_table *table = &self->env->table;
	struct vm *vm = &self->env->vm;
	struct twin *twin = &self->twin;
	__u32 sibling;

	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, self->dev->id, vm->ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &sibling));
	bell_map(table, &elsewhere);
	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, twin->table));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, twin->parent));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, sibling));
	EXPECT_TRUE(msi_arrives(self->msi));

	/* There it is none, not even in the same IOAS: MSIs take the window */
	s1_unmap_range(table, elsewhere.iova, elsewhere.length);
	bell_map(table, &self->window);
	ASSERT_EQ(0, msi_off(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, twin->table));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, msi_off(self->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, sibling));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_TRUE(msi_arrives(self->msi));
	ASSERT_EQ(0, msi_off(self->msi));

	/* And back: it has never ended */
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, msi_on(self->msi));
	EXPECT_STREQ("", bell_check(self->env, self->msi, &elsewhere));
}

/* The VMM takes all memory from the guest and brings it back */
TEST_F(change, stage2)
{
	struct vm *vm = &self->env->vm;

	map_both(self->env, &self->other_table, &elsewhere);
	map_both(self->env, &self->other_table, &self->window);
	ASSERT_EQ(0, vfio_attach(self->dev, self->hwpt));
	ASSERT_EQ(0, vfio_attach(&self->m.second.dev, self->hwpt));
	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(self->msi));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi2));
	ASSERT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, 0, UINT64_MAX));
	/* The table was in that memory */
	EXPECT_TRUE(msi_is_lost(self->msi));
	EXPECT_LT(0, faults(self->dev, true));
	ASSERT_EQ(0, vm_map(vm));
	EXPECT_TRUE(msi_arrives(self->msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi2));
}

TEST_HARNESS_MAIN
