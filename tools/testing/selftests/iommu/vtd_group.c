// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two functions of one device that are not isolated from each other, and so are one
 * group: whatever is attached is attached to both. Each has a TLB of its own, and is
 * reset, sleeps and leaves by itself. PCI does not let them use PASIDs.
 */
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define FUNCTIONS	2

FIXTURE(group)
{
	struct env env;		/* the first function */
	struct edu second;
	struct probe probe[FUNCTIONS];
};

static int second_init(struct _test_data_group *self)
{
	struct env *env = &self->env;
	struct edu *second = &self->second;
	int rc = edu_open(second, 1);

	rc = rc ?: vfio_bind(&second->dev, env->vm.iommufd);
	rc = rc ?: vfio_attach(&second->dev, env->vm.parent);
	rc = rc ?: probe_edu(&self->probe[1], &env->vm, second);
	self->probe[0] = env->probe;
	self->probe[1].a = env->probe.a;
	self->probe[1].b = env->probe.b;
	return rc;
}

FIXTURE_SETUP(group)
{
	struct env *env = &self->env;

	self->second.dev.fd = -1;
	ASSERT_EQ(0, env_init(env, false, 12));
	ASSERT_TRUE(env->vm.ats);
	ASSERT_EQ(0, second_init(self));
	ASSERT_EQ(0, probe_map_apart(&env->probe));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_TRUE(pci_ats_on(env->dev));
	ASSERT_TRUE(pci_ats_on(&self->second.dev));
}

FIXTURE_TEARDOWN(group)
{
	vfio_close(&self->second.dev);
	env_exit(&self->env);
}

/* Whether both reach this place at GIOVA */
static bool both_reach(struct _test_data_group *self, enum place place)
{
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++)
		if (probe_dma(&self->probe[i], GIOVA) != place)
			return false;
	return true;
}

static bool both_have_ats(struct _test_data_group *self)
{
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++)
		if (!pci_ats_on(self->probe[i].dev))
			return false;
	return true;
}

/* Changes of either stage, an entry and the table reach both */
TEST_F(group, changes)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;

	EXPECT_TRUE(both_reach(self, AT_A));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, env_invalidate(env, inv_addr(0, 12, GIOVA, 1)));
	EXPECT_TRUE(both_reach(self, AT_B));
	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_TRUE(both_reach(self, AT_A));

	pasid_table_clear(&env->pasids);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_TRUE(both_reach(self, NOWHERE));
	pasid_table_set(&env->pasids, &env->table);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_TRUE(both_reach(self, AT_A));

	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(both_reach(self, NOWHERE));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(both_reach(self, AT_A));
}

/* Whoever is named, both go */
TEST_F(group, attach)
{
	struct env *env = &self->env;
	struct vfio_dev *dev[] = { env->dev, &self->second.dev };
	unsigned int i;
	__u32 abort;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));
	for (i = 0; i < 2 * FUNCTIONS; i++) {
		EXPECT_TRUE(both_reach(self, AT_A));
		EXPECT_EQ(0, vfio_attach(dev[i % FUNCTIONS], abort));
		EXPECT_TRUE(both_reach(self, NOWHERE));
		EXPECT_EQ(0, vfio_attach(dev[i % FUNCTIONS], env->vm.parent));
		EXPECT_TRUE(both_reach(self, NOWHERE));
		EXPECT_EQ(AT_A, probe_dma(&self->probe[0], env->probe.a));
		EXPECT_EQ(AT_A, probe_dma(&self->probe[1], env->probe.a));
		EXPECT_EQ(0, vfio_attach(dev[i / FUNCTIONS], env->hwpt));
	}
	EXPECT_TRUE(both_reach(self, AT_A));
}

/* One is reset, and nothing is lost on the way */
TEST_F(group, reset)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int i;

	for (i = 0; i < FUNCTIONS; i++) {
		struct edu *edu = self->probe[i].edu;

		EXPECT_TRUE(both_reach(self, AT_A));
		ASSERT_EQ(0, edu_reset(edu));
		EXPECT_TRUE(both_have_ats(self));
		EXPECT_TRUE(both_reach(self, AT_A));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_TRUE(both_reach(self, NOWHERE));
		EXPECT_EQ(0, probe_map_a(probe));
	}
}

/* A function at work */
static int use_function(void *probe, unsigned int i)
{
	return probe_dma(probe, GIOVA) == AT_A ? 0 : -EPROTO;
}

/*
 * One is reset; the other one and the owner of their address space, whose unmaps are
 * for both, do not notice. That one is asked which cannot answer would be in the log.
 */
TEST_F_TIMEOUT(group, others, 120)
{
	struct env *env = &self->env;
	int log = log_open();
	unsigned int i;

	ASSERT_LE(0, log);
	for (i = 0; i < FUNCTIONS; i++) {
		struct racer racers[] = {
			{ use_function, "the other function", &self->probe[!i] },
			{ vm_round, "their address space", &env->vm },
		};
		bool stop = false;

		EXPECT_TRUE(both_reach(self, AT_A));
		ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), NULL,
					  &stop));
		do {
			EXPECT_EQ(0, edu_reset(self->probe[i].edu));
		} while (!racers_got_somewhere(racers, ARRAY_SIZE(racers)));
		EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
		/* A little later if the address space changed at the end of the reset */
		EXPECT_TRUE(probe_gets_to(&self->probe[i], GIOVA, AT_A));
		EXPECT_TRUE(both_have_ats(self));
		EXPECT_TRUE(both_reach(self, AT_A));
	}
	EXPECT_EQ(0, log_count(log, TIME_OUT));
	close(log);
}

/* A DMA is on its way when its device is reset, or sent to sleep */
TEST_F(group, dma_on_its_way)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	struct edu *edu = &env->edu;
	int sleeps;

	for (sleeps = 0; sleeps < 2; sleeps++) {
		EXPECT_TRUE(both_reach(self, AT_A));
		ASSERT_EQ(0, edu_begin_write(edu, GIOVA));
		ASSERT_EQ(0, sleeps ? vfio_sleep(&edu->dev, true) :
				      call(edu->dev.fd, VFIO_DEVICE_RESET, NULL));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, probe_dma(&self->probe[1], GIOVA));
		ASSERT_EQ(0, sleeps ? vfio_sleep(&edu->dev, false) : 0);
		ASSERT_EQ(0, edu_after_reset(edu));
		EXPECT_TRUE(both_reach(self, NOWHERE));
		EXPECT_EQ(0, probe_map_a(probe));
	}
	EXPECT_TRUE(both_reach(self, AT_A));
}

/* One sleeps while things change for both */
TEST_F(group, sleep)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	struct edu *edu = &env->edu;
	struct vm *vm = &env->vm;

	EXPECT_TRUE(both_reach(self, AT_A));
	ASSERT_EQ(0, vfio_sleep(&edu->dev, true));
	EXPECT_TRUE(pci_ats_on(&self->second.dev));
	EXPECT_EQ(AT_A, probe_dma(&self->probe[1], GIOVA));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, probe_dma(&self->probe[1], GIOVA));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(AT_B, probe_dma(&self->probe[1], GIOVA));
	EXPECT_EQ(0, vfio_attach(&self->second.dev, vm->parent));
	EXPECT_EQ(0, vfio_attach(&self->second.dev, env->hwpt));
	ASSERT_EQ(0, vfio_sleep(&edu->dev, false));
	ASSERT_EQ(0, edu_after_reset(edu));
	EXPECT_TRUE(both_have_ats(self));
	EXPECT_TRUE(both_reach(self, AT_B));
	EXPECT_EQ(0, probe_map_a(probe));
}

/* One is closed and the group's attachment stays for the other */
TEST_F(group, close)
{
	struct env *env = &self->env;
	struct vfio_dev *dev = env->dev;

	EXPECT_TRUE(both_reach(self, AT_A));
	vfio_close(dev);
	EXPECT_EQ(AT_A, probe_dma(&self->probe[1], GIOVA));
	EXPECT_EQ(0, probe_unmap_a(&env->probe));
	EXPECT_EQ(NOWHERE, probe_dma(&self->probe[1], GIOVA));
	EXPECT_EQ(0, vfio_detach(&self->second.dev));
	EXPECT_EQ(0, probe_map_a(&env->probe));
	EXPECT_EQ(NOWHERE, probe_dma(&self->probe[1], GIOVA));
	EXPECT_EQ(0, vfio_attach(&self->second.dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&self->probe[1], GIOVA));
}

TEST_HARNESS_MAIN
