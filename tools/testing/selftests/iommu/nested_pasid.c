// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs through VFIO on devices that have none, as most devices of emulated
 * machines: each call is refused as documented and leaves DMA alone, and VMMs
 * that know nothing of PASIDs notice nothing. iommufd_pasid tests PASIDs that
 * are there, on mock devices.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

#define PASID	5

FIXTURE(pasid)
{
	struct env env;
};

FIXTURE_VARIANT(pasid)
{
	bool nvme;
};

#ifndef EDU_PASIDS
FIXTURE_VARIANT_ADD(pasid, edu)
{
};
#endif

FIXTURE_VARIANT_ADD(pasid, nvme)
{
	.nvme = true,
};

/* The nesting parent is attached, and the guest's table is ready */
FIXTURE_SETUP(pasid)
{
	int rc = env_init(&self->env, variant->nvme, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(pasid)
{
	env_exit(&self->env);
}

static int attach(struct env *env, __u32 argsz, __u32 flags, __u32 pt,
		  __u32 pasid)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = argsz,
		.flags = flags,
		.pt_id = pt,
		.pasid = pasid,
	};

	return call(env->dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static int detach(struct env *env, __u32 argsz, __u32 flags, __u32 pasid)
{
	struct vfio_device_detach_iommufd_pt cmd = {
		.argsz = argsz,
		.flags = flags,
		.pasid = pasid,
	};

	return call(env->dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

TEST_F(pasid, width)
{
	struct env *env = &self->env;
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = env->dev->id,
	};

	ASSERT_EQ(0, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(0, cmd.out_max_pasid_log2);
	EXPECT_EQ(0, cmd.out_capabilities & (IOMMU_HW_CAP_PCI_PASID_EXEC |
					     IOMMU_HW_CAP_PCI_PASID_PRIV));
}

TEST_F(pasid, no_hwpt)
{
	static const __u32 flags[] = {
		IOMMU_HWPT_ALLOC_PASID,
		IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_ALLOC_NEST_PARENT,
		IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
	};
	struct env *env = &self->env;
	unsigned int i;
	__u32 id;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		EXPECT_EQ(-EOPNOTSUPP,
			  hwpt_alloc(env->vm.iommufd, env->dev->id,
				     env->vm.ioas, flags[i], &id));
}

/* Whatever is to be attached, the device has no PASID that it could be */
TEST_F(pasid, refused)
{
	static const __u32 pasids[] = { 0, 1, PASID, 1U << 20, ~0U };
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	const __u32 pts[] = { env->vm.parent, env->vm.ioas, env->hwpt, ~0U };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(pts); i++)
		for (j = 0; j < ARRAY_SIZE(pasids); j++)
			EXPECT_EQ(-EOPNOTSUPP,
				  attach(env, 16, VFIO_DEVICE_ATTACH_PASID,
					 pts[i], pasids[j]));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	/* Nothing is attached there, so nothing is to be detached */
	EXPECT_EQ(0, detach(env, 12, VFIO_DEVICE_DETACH_PASID, PASID));
	EXPECT_EQ(0, detach(env, 12, VFIO_DEVICE_DETACH_PASID, 0));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));

	/* Nor below a guest's table */
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(-EOPNOTSUPP, attach(env, 16, VFIO_DEVICE_ATTACH_PASID,
				      env->vm.parent, PASID));
	EXPECT_EQ(0, detach(env, 12, VFIO_DEVICE_DETACH_PASID, PASID));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
}

/* With or without a PASID in the structure, but none in the flags */
TEST_F(pasid, old_callers)
{
	static const __u32 sizes[] = { 12, 16, 20, ~0U };
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, detach(env, sizes[i] - 4, 0, ~0U));
		/* The disk would lose its queues */
		if (!variant->nvme)
			EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		ASSERT_EQ(0, attach(env, sizes[i], 0, env->vm.parent, ~0U));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, attach(env, sizes[i], 0, env->hwpt, PASID));
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	}
}

TEST_F(pasid, bad_sizes)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u32 size;

	for (size = 0; size < 16; size++) {
		EXPECT_EQ(-EINVAL,
			  attach(env, size, VFIO_DEVICE_ATTACH_PASID,
				 env->vm.parent, PASID));
		if (size < 12)
			EXPECT_EQ(-EINVAL, attach(env, size, 0, env->hwpt, 0));
	}
	for (size = 0; size < 12; size++) {
		EXPECT_EQ(-EINVAL, detach(env, size, VFIO_DEVICE_DETACH_PASID,
					  PASID));
		if (size < 8)
			EXPECT_EQ(-EINVAL, detach(env, size, 0, 0));
	}
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
}

TEST_F(pasid, bad_flags)
{
	static const __u32 sizes[] = { 8, 12, 16, 64 };
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (bit = 1; bit < 32; bit++) {
			EXPECT_EQ(-EINVAL, attach(env, sizes[i], 1U << bit,
						  env->hwpt, PASID));
			EXPECT_EQ(-EINVAL,
				  attach(env, sizes[i],
					 1U << bit | VFIO_DEVICE_ATTACH_PASID,
					 env->hwpt, PASID));
			EXPECT_EQ(-EINVAL,
				  detach(env, sizes[i], 1U << bit, PASID));
			EXPECT_EQ(-EINVAL,
				  detach(env, sizes[i],
					 1U << bit | VFIO_DEVICE_DETACH_PASID,
					 PASID));
		}
	}
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
}

/* A structure without a PASID may end where memory does */
TEST_F(pasid, end_of_memory)
{
	struct env *env = &self->env;
	long page = sysconf(_SC_PAGESIZE);
	__u32 *words;
	char *mem;

	mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, mprotect(mem + page, page, PROT_NONE));

	words = (__u32 *)(mem + page - 12);
	words[0] = 12;
	words[1] = 0;
	words[2] = env->hwpt;
	EXPECT_EQ(0, call(env->dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, words));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	/* Here it is said to go on */
	words[0] = 16;
	words[1] = VFIO_DEVICE_ATTACH_PASID;
	EXPECT_EQ(-EFAULT,
		  call(env->dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, words));

	words = (__u32 *)(mem + page - 8);
	words[0] = 12;
	words[1] = VFIO_DEVICE_DETACH_PASID;
	EXPECT_EQ(-EFAULT,
		  call(env->dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, words));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	words[0] = 8;
	words[1] = 0;
	EXPECT_EQ(0, call(env->dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, words));
	if (!variant->nvme)
		EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	munmap(mem, 2 * page);
}

TEST_HARNESS_MAIN
