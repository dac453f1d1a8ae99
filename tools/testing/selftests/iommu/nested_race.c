// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, from several threads: two devices change between the same
 * tables while these are invalidated, stage 2 changes and tables come and go.
 * Bugs show in the kernel log of a debug kernel.
 */
#include "nested_env.h"
#include "nested_racer.h"

#include "../kselftest_harness.h"

#define SECONDS		3
#define NR_TABLES	4

struct race {
	struct env env;
	struct edu other;
	__u32 tables[NR_TABLES];
};

FIXTURE(race)
{
	struct race r;
};

FIXTURE_SETUP(race)
{
	struct race *r = &self->r;
	int rc = env_init(&r->env, false, 12);

	r->other.dev.fd = -1;
	rc = rc ?: edu_open(&r->other, 1);
	rc = rc ?: vfio_bind(&r->other.dev, r->env.vm.iommufd);
	rc = rc ?: vm_adopt(&r->env.vm, &r->other.dev);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);

	r->tables[0] = r->env.hwpt;
	ASSERT_EQ(0, env_config(&r->env, IOMMU_PASID_TABLE_TRANSLATE,
				&r->tables[1]));
	ASSERT_EQ(0, env_config(&r->env, IOMMU_PASID_TABLE_BYPASS,
				&r->tables[2]));
	ASSERT_EQ(0, env_config(&r->env, IOMMU_PASID_TABLE_ABORT,
				&r->tables[3]));
}

FIXTURE_TEARDOWN(race)
{
	vfio_close(&self->r.other.dev);
	env_exit(&self->r.env);
}

static int attach(struct race *r, struct vfio_dev *dev, unsigned int i)
{
	switch (i % (NR_TABLES + 2)) {
	case NR_TABLES:
		return vfio_attach(dev, r->env.vm.parent);
	case NR_TABLES + 1:
		return vfio_detach(dev);
	default:
		return vfio_attach(dev, r->tables[i % (NR_TABLES + 2)]);
	}
}

static int attach_first(void *data, unsigned int i)
{
	struct race *r = data;

	return attach(r, r->env.dev, i);
}

static int attach_second(void *data, unsigned int i)
{
	struct race *r = data;

	return attach(r, &r->other.dev, 2 * i + i / 3);
}

static int invalidate(void *data, unsigned int i)
{
	struct race *r = data;
	const struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		inv_domain(INV_ALL),
		inv_one(INV_TAG | INV_PASID, INV_ALL),
		inv_addr(0, 12, GIOVA, 1),
		inv_addr(INV_TAG | INV_LEAF, 12, GIOVA, 100000),
	};
	unsigned int j;
	int rc = 0;

	for (j = 0; !rc && j < ARRAY_SIZE(reqs); j++)
		rc = vm_invalidate(&r->env.vm, r->tables[i % NR_TABLES],
				   reqs[j]);
	return rc;
}

static int change_stage2(void *data, unsigned int i)
{
	struct race *r = data;
	struct vm *vm = &r->env.vm;
	__u64 gpa = VM_GPA + VM_SIZE + (i % 16) * VM_HUGE;
	int rc;

	rc = ioas_map(vm->iommufd, vm->ioas, vm->mem, gpa, VM_HUGE);
	return rc ?: ioas_unmap(vm->iommufd, vm->ioas, gpa, VM_HUGE);
}

static int come_and_go(void *data, unsigned int i)
{
	struct race *r = data;
	__u32 hwpt;
	int rc;

	rc = env_config(&r->env, 1 + i % 3, &hwpt);
	rc = rc ?: vm_invalidate(&r->env.vm, hwpt, inv_domain(INV_ALL));
	return rc ?: iommufd_destroy(r->env.vm.iommufd, hwpt);
}

static int try_to_destroy(void *data, unsigned int i)
{
	struct race *r = data;
	int fd = r->env.vm.iommufd;

	/* Never: a table needs it */
	return iommufd_destroy(fd, r->env.vm.parent) == -EBUSY ? 0 : -EPROTO;
}

TEST_F_TIMEOUT(race, all, 60)
{
	struct race *r = &self->r;
	struct racer racers[] = {
		{ attach_first, "first device" },
		{ attach_second, "second device" },
		{ invalidate, "invalidations" },
		{ change_stage2, "stage 2" },
		{ come_and_go, "tables" },
		{ try_to_destroy, "destroy" },
	};

	ASSERT_EQ(0, racers_run(racers, ARRAY_SIZE(racers), r, SECONDS));

	ASSERT_EQ(0, vfio_attach(r->env.dev, r->env.hwpt));
	ASSERT_EQ(0, faults_start());
	EXPECT_EQ(AT_A, probe_dma(&r->env.probe, GIOVA));
	EXPECT_EQ(0, faults(r->env.dev, false));
}

TEST_HARNESS_MAIN
