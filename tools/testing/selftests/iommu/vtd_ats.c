// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device with a TLB of its own (ATS), below a guest's PASID table. What it has
 * there is the result of both stages: it goes when the guest says so, and when
 * either stage, an entry or the table changes. Other tests run with ATS too on
 * such a device; these are about the device TLB alone.
 */
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define FIRST		1
#define SECOND		2
/* As many PASIDs translate at a time */
#define MOST		512

FIXTURE(ats)
{
	struct vtd v;
};

FIXTURE_SETUP(ats)
{
	struct vtd *v = &self->v;

	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	ASSERT_TRUE(v->env.vm.ats);
	pasid_table_set_pasid(&v->env.pasids, FIRST, &v->env.table);
	pasid_table_set_pasid(&v->env.pasids, SECOND, &v->other);
	ASSERT_EQ(0, vfio_attach(v->env.dev, v->env.hwpt));
}

FIXTURE_TEARDOWN(ats)
{
	vtd_exit(&self->v);
}

/* Without what vm_invalidate() adds */
static int invalidate(struct vtd *v, __u32 hwpt,
		      struct iommu_hwpt_pasid_table_invalidate req)
{
	return hwpt_invalidate_one(v->env.vm.iommufd, hwpt, &req);
}

static struct iommu_hwpt_pasid_table_invalidate
in_dev_tlb(struct iommu_hwpt_pasid_table_invalidate req)
{
	req.caches = INV_DEV_TLB;
	return req;
}

/* A range of the first PASID */
static struct iommu_hwpt_pasid_table_invalidate
of_first(__u32 flags, unsigned int granule_log2, __u64 addr, __u64 nb_granules)
{
	struct iommu_hwpt_pasid_table_invalidate req =
		inv_addr(INV_PASID | flags, granule_log2, addr, nb_granules);

	req.pasid = FIRST;
	return in_dev_tlb(req);
}

/* The IOTLB is not what the device looks into, and its TLB is no filter of it */
TEST_F(ats, both_caches)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;

	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_IOTLB)));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_DEV_TLB)));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));

	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_DEV_TLB)));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, invalidate(v, env->hwpt,
				inv_domain(INV_IOTLB | INV_DEV_TLB)));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Each request that names the first PASID's page */
TEST_F(ats, pasid_requests)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	const struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		of_first(0, 12, GIOVA, 1),
		of_first(INV_LEAF, 12, GIOVA, 1),
		of_first(0, 12, GIOVA - 4096, 3),
		of_first(0, 21, GIOVA & ~0x1fffffULL, 1),
		of_first(0, 12, 0, 1ULL << 52),
		inv_pasid(INV_DEV_TLB, FIRST),
		inv_domain(INV_DEV_TLB),
	};
	enum place place = AT_A;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		EXPECT_EQ(place, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
		place = place == AT_A ? AT_B : AT_A;
		probe_map(&env->probe, &env->table, GIOVA, place);
		EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_IOTLB)));
		EXPECT_NE(place, vtd_dma(v, FIRST, GIOVA));

		/* Another PASID, other addresses */
		EXPECT_EQ(0, invalidate(v, env->hwpt,
					inv_pasid(INV_DEV_TLB, SECOND)));
		EXPECT_EQ(0, invalidate(v, env->hwpt,
					of_first(0, 12, GIOVA + 4096, 1)));
		EXPECT_NE(place, vtd_dma(v, FIRST, GIOVA));

		EXPECT_EQ(0, invalidate(v, env->hwpt, reqs[i])) {
			TH_LOG("request %u", i);
		}
		EXPECT_EQ(place, vtd_dma(v, FIRST, GIOVA)) {
			TH_LOG("request %u", i);
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Requests without a PASID, by their entry's PASID or none */
TEST_F(ats, rid_requests)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	const struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		in_dev_tlb(inv_addr(0, 12, GIOVA, 1)),
		in_dev_tlb(inv_addr(INV_PASID, 12, GIOVA, 1)),
		in_dev_tlb(inv_one(INV_PASID, INV_DEV_TLB)),
	};
	enum place place = AT_A;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		EXPECT_EQ(place, probe_dma(&env->probe, GIOVA));
		place = place == AT_A ? AT_B : AT_A;
		probe_map(&env->probe, &env->table, GIOVA, place);
		EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_IOTLB)));
		EXPECT_EQ(0, invalidate(v, env->hwpt,
					inv_pasid(INV_DEV_TLB, FIRST)));
		EXPECT_NE(place, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, invalidate(v, env->hwpt, reqs[i]));
		EXPECT_EQ(place, probe_dma(&env->probe, GIOVA)) {
			TH_LOG("request %u", i);
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* What the host changes, it drops by itself */
TEST_F(ats, second_stage)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct vm *vm = &env->vm;
	struct probe *probe = &env->probe;
	int fd = vm->iommufd;

	ASSERT_EQ(0, probe_map_apart(probe));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));

	ASSERT_EQ(0, ioas_unmap(fd, vm->ioas, probe->a, PLACE_SIZE));
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	ASSERT_EQ(0, ioas_map(fd, vm->ioas, vm_ptr(vm, probe->b), probe->a,
			      PLACE_SIZE));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
}

/* A table that replaces another one, the parent, nothing, and back */
TEST_F(ats, attach)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	struct pasid_table pasids;
	struct iommu_hwpt_pasid_table config;
	__u32 hwpt, abort;
	int i;

	pasid_table_init_bits(&pasids, &env->vm, VTD_BITS);
	pasid_table_set(&pasids, &v->other);
	pasid_table_set_pasid(&pasids, FIRST, &v->other);
	config = pasid_table_config(&pasids);
	ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
		EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
		EXPECT_TRUE(vtd_blocked(v, SECOND, GIOVA));

		ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));

		ASSERT_EQ(0, vfio_attach(env->dev, abort));
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
		ASSERT_EQ(0, vfio_detach(env->dev));
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	}
}

/* An attach decides who may use ATS, and never switches it in the device */
TEST_F(ats, stays_on)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpts[4];
	unsigned int i;

	hwpts[0] = env->hwpt;
	hwpts[1] = env->vm.parent;
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &hwpts[2]));
	ASSERT_EQ(0, hwpt_alloc_table(env->vm.iommufd, env->dev->id,
				      env->vm.parent, &config, &hwpts[3]));
	for (i = 0; i < ARRAY_SIZE(hwpts); i++) {
		EXPECT_EQ(0, vfio_attach(env->dev, hwpts[i]));
		EXPECT_TRUE(pci_ats_on(env->dev));
		EXPECT_EQ(0, vfio_detach(env->dev));
		EXPECT_TRUE(pci_ats_on(env->dev));
	}
}

/* A guest that does not speak of ATS has none, and nothing is left of before */
TEST_F(ats, without_flag)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc_table(env->vm.iommufd, env->dev->id,
				      env->vm.parent, &config, &hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	probe_map(probe, &env->table, GIOVA, AT_B);
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));

	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, invalidate(v, hwpt, inv_domain(INV_DEV_TLB)));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, invalidate(v, hwpt, inv_domain(INV_IOTLB)));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	/* The device asks all the same: that is refused, and traced */
	EXPECT_LT(0, faults(env->dev, true));
}

/* Each PASID has to be named when the second stage changes: there is a limit */
TEST_F(ats, most_pasids)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	__u32 pasid;

	for (pasid = 0; pasid < 1 << VTD_BITS; pasid++)
		pasid_table_set_pasid(&env->pasids, pasid, &v->other);
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_PASID_CACHE)));
	EXPECT_EQ(AT_B, vtd_dma(v, MOST - 1, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, MOST, GIOVA));
	EXPECT_TRUE(vtd_refused(v, MOST, -ENOSPC));
	EXPECT_TRUE(vtd_blocked(v, MOST, GIOVA));
	/* Those that do translate may change */
	pasid_table_set_pasid(&env->pasids, MOST - 1, &env->table);
	EXPECT_EQ(0, vtd_changed(v, MOST - 1));
	EXPECT_EQ(AT_A, vtd_dma(v, MOST - 1, GIOVA));

	/* The first of those that wait comes as soon as another one leaves */
	pasid_table_clear_pasid(&env->pasids, FIRST);
	EXPECT_EQ(0, vtd_changed(v, FIRST));
	EXPECT_EQ(AT_B, vtd_dma(v, MOST, GIOVA));
	EXPECT_EQ(0, vtd_changed(v, MOST));
	EXPECT_TRUE(vtd_refused(v, MOST + 1, -ENOSPC));
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, MOST + 1, GIOVA));
	/* A pass in which one leaves and one comes that is before it */
	pasid_table_clear_pasid(&env->pasids, MOST);
	pasid_table_set_pasid(&env->pasids, FIRST, &v->other);
	for (pasid = MOST + 1; pasid < 1 << VTD_BITS; pasid++)
		pasid_table_clear_pasid(&env->pasids, pasid);
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_PASID_CACHE)));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, MOST, GIOVA));
	pasid_table_clear_pasid(&env->pasids, FIRST);
	pasid_table_set_pasid(&env->pasids, MOST, &v->other);
	EXPECT_EQ(0, invalidate(v, env->hwpt, inv_domain(INV_PASID_CACHE)));
	EXPECT_EQ(AT_B, vtd_dma(v, MOST, GIOVA));

	ASSERT_EQ(0, ioas_unmap(env->vm.iommufd, env->vm.ioas, VM_GPA,
				VM_SIZE));
	EXPECT_EQ(NOWHERE, vtd_dma(v, MOST - 1, GIOVA));
	EXPECT_EQ(NOWHERE, vtd_dma(v, MOST, GIOVA));
	ASSERT_EQ(0, vm_map(&env->vm));
	EXPECT_EQ(AT_B, vtd_dma(v, MOST, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
}

TEST_HARNESS_MAIN
