// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two devices behind IOMMUs of different abilities: the first device's IOMMU lacks
 * something that page tables made for the second one's need. A page table stays as
 * it is, whoever tries to use it, and works wherever it fits.
 */
#include "nested_vtd_s1.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PASID		5
/*
 * In reach of both IOMMUs: what is mapped beyond the lesser one's width is refused
 * for that reason alone
 */
#define HIGH		0x400000000000ULL

/* Second-stage page tables: bit n is for n + 2 levels */
#define CAP_SAGAW(cap)	((cap) >> 8 & 0x1f)
#define ECAP_SMPWC	_BITULL(48)

FIXTURE(mixed)
{
	struct env env;		/* the lesser IOMMU's device, on its own parent */
	struct edu peer;
	struct iommu_hw_info_vtd lesser, greater;
	struct probe probe;	/* the peer, on its parent */
	__u32 ioas;
	__u32 parent;
	__u32 paging;
};

/* B again, by tables of its own */
static int high_map(struct _test_data_mixed *self)
{
	struct vm *vm = &self->env.vm;

	return ioas_map(vm->iommufd, self->ioas, vm_ptr(vm, self->probe.b),
			HIGH, PLACE_SIZE);
}

static int high_unmap(struct _test_data_mixed *self)
{
	return ioas_unmap(self->env.vm.iommufd, self->ioas, HIGH, PLACE_SIZE);
}

static int peer_init(struct _test_data_mixed *self)
{
	struct env *env = &self->env;
	struct vm *vm = &env->vm;
	struct env other = { .vm = *vm, .dev = &self->peer.dev };
	__u32 flags = IOMMU_HWPT_ALLOC_PASID;
	__u8 max_pasid_log2;
	int rc;

	rc = edu_open(&self->peer, 1);
	rc = rc ?: vfio_bind(&self->peer.dev, vm->iommufd);
	rc = rc ?: vtd_info(env, &self->lesser, &max_pasid_log2);
	rc = rc ?: vtd_info(&other, &self->greater, &max_pasid_log2);
	rc = rc ?: ioas_alloc(vm->iommufd, &self->ioas);
	rc = rc ?: ioas_map(vm->iommufd, self->ioas, vm->mem, VM_GPA, VM_SIZE);
	rc = rc ?: hwpt_alloc(vm->iommufd, self->peer.dev.id, self->ioas,
			      flags | IOMMU_HWPT_ALLOC_NEST_PARENT,
			      &self->parent);
	rc = rc ?: hwpt_alloc(vm->iommufd, self->peer.dev.id, self->ioas, flags,
			      &self->paging);
	rc = rc ?: vfio_attach(&self->peer.dev, self->parent);
	rc = rc ?: probe_edu(&self->probe, vm, &self->peer);
	self->probe.a = env->probe.a;
	self->probe.b = env->probe.b;
	return rc ?: high_map(self);
}

FIXTURE_SETUP(mixed)
{
	self->peer.dev.fd = -1;
	ASSERT_EQ(0, env_init(&self->env, false, 12));
	ASSERT_EQ(0, peer_init(self));
	/* Otherwise there is nothing to be seen on this machine */
	ASSERT_TRUE(CAP_SAGAW(self->lesser.cap_reg) <
		    CAP_SAGAW(self->greater.cap_reg) ||
		    (self->greater.ecap_reg & ~self->lesser.ecap_reg &
		     ECAP_SMPWC));
}

FIXTURE_TEARDOWN(mixed)
{
	vfio_close(&self->peer.dev);
	env_exit(&self->env);
}

/* Let the IOMMU walk the page table of the peer from its top */
static int forget(struct _test_data_mixed *self)
{
	int rc = high_unmap(self);

	return rc ?: high_map(self);
}

/* Page tables of the greater IOMMU, by themselves and as a second stage */
TEST_F(mixed, refused)
{
	struct env *env = &self->env;
	struct vm *vm = &env->vm;
	struct iommu_hwpt_vtd_s1 s1 = vtd_s1_config(&env->table);
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpts[4] = { self->parent, self->paging };
	unsigned int i;

	ASSERT_EQ(0, hwpt_alloc_table(vm->iommufd, self->peer.dev.id,
				      self->parent, &config, &hwpts[2]));
	ASSERT_EQ(0, hwpt_alloc_s1(vm->iommufd, self->peer.dev.id,
				   self->parent, &s1, &hwpts[3]));
	for (i = 0; i < ARRAY_SIZE(hwpts); i++) {
		EXPECT_EQ(AT_B, probe_dma(&self->probe, HIGH));
		EXPECT_EQ(-EINVAL, vfio_attach(env->dev, hwpts[i])) {
			TH_LOG("HWPT %u", i);
		}
		EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
		EXPECT_EQ(0, forget(self));
		EXPECT_EQ(AT_B, probe_dma(&self->probe, HIGH)) {
			TH_LOG("HWPT %u", i);
		}
		EXPECT_EQ(AT_A, probe_dma(&self->probe, self->probe.a));
	}
	/* A guest's table has no PASIDs of the host's beside it */
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-EINVAL,
			  vfio_attach_pasid(env->dev, PASID, hwpts[i]));
	EXPECT_EQ(0, forget(self));
	EXPECT_EQ(AT_B, probe_dma(&self->probe, HIGH));
	EXPECT_EQ(0, high_unmap(self));
	EXPECT_EQ(NOWHERE, probe_dma(&self->probe, HIGH));
}

/* The other way round it depends on what the greater one has beside */
TEST_F(mixed, of_the_lesser)
{
	struct env *env = &self->env;
	unsigned int levels = CAP_SAGAW(self->lesser.cap_reg);
	bool fits;

	/* The most levels of the lesser, among those of the greater */
	while (levels & (levels - 1))
		levels &= levels - 1;
	fits = CAP_SAGAW(self->greater.cap_reg) & levels;
	EXPECT_EQ(fits ? 0 : -EINVAL,
		  vfio_attach(&self->peer.dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	EXPECT_EQ(fits ? NOWHERE : AT_B, probe_dma(&self->probe, HIGH));
	EXPECT_EQ(AT_A, probe_dma(&self->probe, self->probe.a));
	EXPECT_EQ(fits ? 0 : -EINVAL, vfio_attach(&self->peer.dev, env->hwpt));
	EXPECT_EQ(fits ? AT_A : NOWHERE, probe_dma(&self->probe, GIOVA));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* A guest's table of each device on a parent that fits, and an IOAS for both */
TEST_F(mixed, each_its_own)
{
	struct env *env = &self->env;
	struct vm *vm = &env->vm;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc_table(vm->iommufd, self->peer.dev.id,
				      self->parent, &config, &hwpt));
	EXPECT_EQ(0, vfio_attach(&self->peer.dev, hwpt));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(&self->probe, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));

	EXPECT_EQ(0, vfio_attach(env->dev, vm->ioas));
	EXPECT_EQ(0, vfio_attach(&self->peer.dev, vm->ioas));
	EXPECT_EQ(AT_A, probe_dma(&self->probe, self->probe.a));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	EXPECT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, VM_GPA, VM_SIZE));
	EXPECT_EQ(NOWHERE, probe_dma(&self->probe, self->probe.a));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, env->probe.a));
}

TEST_HARNESS_MAIN
