// SPDX-License-Identifier: GPL-2.0-only
/*
 * The software MSI window: where MSIs go that have no binding. The VMM can find
 * it, and can move it as long as nothing is attached.
 */
#include "nested_msi.h"

#include "../kselftest_harness.h"

/* Where the default is not, and no 32-bit variable could have it */
#define MOVED		0x380000000ULL

/* The device is attached to the parent */
FIXTURE(window)
{
	struct msi_env m;
	struct doorbell bell;
};

FIXTURE_VARIANT(window)
{
	bool nvme;
	unsigned int granule;
};

FIXTURE_VARIANT_ADD(window, edu_4k)
{
	.granule = 12,
};

FIXTURE_VARIANT_ADD(window, edu_16k)
{
	.granule = 14,
};

FIXTURE_VARIANT_ADD(window, edu_64k)
{
	.granule = 16,
};

FIXTURE_VARIANT_ADD(window, nvme_4k)
{
	.nvme = true,
	.granule = 12,
};

FIXTURE_SETUP(window)
{
	int rc = msi_env_init(&self->m, variant->nvme, variant->granule);
	struct env *env = &self->m.env;

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, bell_window(&env->vm, env->dev, &self->bell));
}

FIXTURE_TEARDOWN(window)
{
	msi_env_exit(&self->m);
}

static int move(struct env *env, const struct vfio_dev *dev, __u64 start)
{
	return option_set(env->vm.iommufd, IOMMU_OPTION_SW_MSI_START, dev->id,
			  start);
}

/* A HWPT has the window of its first device: make a parent and a table anew */
static int renew(struct env *env)
{
	int rc = hwpt_alloc(env->vm.iommufd, env->dev->id, env->vm.ioas,
			    IOMMU_HWPT_ALLOC_NEST_PARENT, &env->vm.parent);

	return rc ?: env_config(env, IOMMU_PASID_TABLE_TRANSLATE, &env->hwpt);
}

TEST_F(window, guest_maps_window)
{
	struct env *env = &self->m.env;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(env, &self->m.msi, &self->bell));
	/* The device's other DMA does not care */
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

TEST_F(window, moved)
{
	struct env *env = &self->m.env;
	struct doorbell moved;

	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, move(env, env->dev, MOVED));
	ASSERT_EQ(0, bell_window(&env->vm, env->dev, &moved));
	EXPECT_EQ(MOVED, moved.iova);
	EXPECT_EQ(self->bell.length, moved.length);
	/* The parent has the old window already */
	EXPECT_EQ(-EINVAL, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(-EINVAL, vfio_attach(env->dev, env->hwpt));

	ASSERT_EQ(0, renew(env));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(env, &self->m.msi, &moved));
	/* The old place is free */
	EXPECT_EQ(0, ioas_map(env->vm.iommufd, env->vm.ioas, env->vm.mem,
			      self->bell.iova, 4096));
	EXPECT_EQ(-EINVAL, ioas_map(env->vm.iommufd, env->vm.ioas, env->vm.mem,
				    MOVED, 4096));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
}

/* No guest's table in between: the window is where stage 2 has it */
TEST_F(window, stage2_only)
{
	struct env *env = &self->m.env;

	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	ASSERT_EQ(0, msi_off(&self->m.msi));

	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, move(env, env->dev, MOVED));
	ASSERT_EQ(0, renew(env));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
}

/* A VM whose guest has no IOMMU, as there were before */
TEST_F(window, not_nested)
{
	struct env *env = &self->m.env;
	struct vm *vm = &env->vm;
	__u32 plain;

	ASSERT_EQ(0, vfio_attach(env->dev, vm->ioas));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, env->dev->id, vm->ioas, 0,
				&plain));
	ASSERT_EQ(0, vfio_attach(env->dev, plain));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	ASSERT_EQ(0, msi_off(&self->m.msi));

	ASSERT_EQ(0, vfio_detach(env->dev));
	ASSERT_EQ(0, move(env, env->dev, MOVED));
	ASSERT_EQ(0, vfio_attach(env->dev, vm->ioas));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
}

/* One device, the one that needs no queues */
FIXTURE(options)
{
	struct msi_env m;
	struct env *env;
	struct vfio_dev *dev, *second;
	struct doorbell bell;
	int fd;
};

FIXTURE_SETUP(options)
{
	int rc = msi_env_init(&self->m, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->env = &self->m.env;
	self->dev = self->env->dev;
	self->second = &self->m.second.dev;
	self->fd = self->env->vm.iommufd;
	ASSERT_EQ(0, bell_window(&self->env->vm, self->dev, &self->bell));
}

FIXTURE_TEARDOWN(options)
{
	msi_env_exit(&self->m);
}

/* Known before anything is attached, and no other then */
TEST_F(options, get)
{
	struct doorbell second;

	EXPECT_LT(0, self->bell.length);
	EXPECT_EQ(0, (self->bell.iova | self->bell.length) & 4095);
	ASSERT_EQ(0, bell_window(&self->env->vm, self->second, &second));
	EXPECT_EQ(self->bell.iova, second.iova);
	EXPECT_EQ(self->bell.length, second.length);
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, bell_window(&self->env->vm, self->second, &second));
	EXPECT_EQ(self->bell.iova, second.iova);
	EXPECT_EQ(self->bell.length, second.length);
}

TEST_F(options, set)
{
	__u64 size = self->bell.length;
	const struct {
		__u64 start;
		int error;
	} cases[] = {
		{ 0x1234567, -EINVAL },
		{ MOVED + 1, -EINVAL },
		{ MOVED + 0x800, -EINVAL },
		{ ~0ULL, -EINVAL },
		{ -4096ULL, size > 4096 ? -EINVAL : 0 },
		{ 4096 - size, size > 4096 ? -EINVAL : 0 },
		{ 1ULL << 63, 0 },
		{ 0, -EINVAL },
		{ MOVED, 0 },
	};
	struct doorbell now;
	__u64 start = self->bell.iova;
	unsigned int i;

	EXPECT_EQ(-EBUSY, move(self->env, self->dev, MOVED));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	EXPECT_EQ(-EBUSY, move(self->env, self->dev, MOVED));
	ASSERT_EQ(0, vfio_detach(self->dev));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].error,
			  move(self->env, self->dev, cases[i].start)) {
			TH_LOG("start %#llx", cases[i].start);
		}
		if (!cases[i].error)
			start = cases[i].start;
		ASSERT_EQ(0, bell_window(&self->env->vm, self->dev, &now));
		EXPECT_EQ(start, now.iova);
		EXPECT_EQ(size, now.length);
	}
	/* Each device has its own */
	ASSERT_EQ(0, bell_window(&self->env->vm, self->second, &now));
	EXPECT_EQ(self->bell.iova, now.iova);
}

TEST_F(options, bad_calls)
{
	const __u32 ids[] = {
		0, ~0U, self->env->vm.ioas, self->env->vm.parent,
		self->env->hwpt, self->env->hwpt + 1000,
	};
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = IOMMU_OPTION_SW_MSI_START,
		.op = 2,
		.object_id = self->dev->id,
	};
	unsigned int i;
	__u64 value;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		EXPECT_EQ(-ENOENT, option_get(self->fd,
					      IOMMU_OPTION_SW_MSI_START,
					      ids[i], &value));
		EXPECT_EQ(-ENOENT, option_get(self->fd,
					      IOMMU_OPTION_SW_MSI_SIZE,
					      ids[i], &value));
		EXPECT_EQ(-ENOENT, option_set(self->fd,
					      IOMMU_OPTION_SW_MSI_START,
					      ids[i], MOVED));
	}
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(-EOPNOTSUPP, option_set(self->fd, IOMMU_OPTION_SW_MSI_SIZE,
					  self->dev->id, self->bell.length));
	EXPECT_EQ(-EOPNOTSUPP, call(self->fd, IOMMU_OPTION, &cmd));
	cmd.op = IOMMU_OPTION_OP_SET;
	cmd.val64 = MOVED;
	cmd.__reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, call(self->fd, IOMMU_OPTION, &cmd));
	ASSERT_EQ(0, option_get(self->fd, IOMMU_OPTION_SW_MSI_START,
				self->dev->id, &value));
	EXPECT_EQ(self->bell.iova, value);
}

/* Memory keeps away from the window while a device has it */
TEST_F(options, memory_over_window)
{
	struct vm *vm = &self->env->vm;
	__u64 start = self->bell.iova, last = start + self->bell.length - 1;

	EXPECT_EQ(0, ioas_allows(self->fd, vm->ioas, start));
	EXPECT_EQ(0, ioas_allows(self->fd, vm->ioas, last));
	EXPECT_EQ(1, ioas_allows(self->fd, vm->ioas, last + 1));
	EXPECT_EQ(-EINVAL, ioas_map(self->fd, vm->ioas, vm->mem, start, 4096));
	EXPECT_EQ(-EINVAL, ioas_map(self->fd, vm->ioas, vm->mem, last - 4095,
				    VM_HUGE));
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(0, ioas_map(self->fd, vm->ioas, vm->mem, start, 4096));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, vm->parent));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, ioas_unmap(self->fd, vm->ioas, start, 4096));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &self->bell));
}

/* Windows that a HWPT cannot have; after each of them a good one will do */
TEST_F(options, bad_windows)
{
	struct vm *vm = &self->env->vm;
	struct doorbell moved;

	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, renew(self->env));
	ASSERT_EQ(0, move(self->env, self->dev, VM_GPA));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, vm->parent));
	ASSERT_EQ(0, move(self->env, self->dev, VM_GPA + VM_SIZE - 4096));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, move(self->env, self->dev, 1ULL << 60));
	EXPECT_EQ(-EINVAL, vfio_attach(self->dev, vm->parent));
	EXPECT_EQ(-EINVAL, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, move(self->env, self->dev, MOVED));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, bell_window(vm, self->dev, &moved));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &moved));
}

/* Devices on one HWPT have one window, on two HWPTs they need not */
TEST_F(options, two_devices)
{
	struct vm *vm = &self->env->vm;
	__u32 first_hwpt = self->env->hwpt;
	struct doorbell moved;

	ASSERT_EQ(0, move(self->env, self->second, MOVED));
	ASSERT_EQ(0, bell_window(vm, self->second, &moved));
	EXPECT_EQ(-EINVAL, vfio_attach(self->second, vm->parent));
	EXPECT_EQ(-EINVAL, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &self->bell));

	ASSERT_EQ(0, renew(self->env));
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi2, &moved));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	ASSERT_EQ(0, vfio_attach(self->dev, first_hwpt));
	EXPECT_TRUE(msi_arrives(&self->m.msi));

	/* With the other one's window it is welcome */
	ASSERT_EQ(0, msi_off(&self->m.msi));
	EXPECT_EQ(-EINVAL, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, move(self->env, self->dev, MOVED));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi2));
}

/* The windows of other parents do not mind a doorbell, nor it them */
TEST_F(options, window_over_doorbell)
{
	struct vm *vm = &self->env->vm;
	struct doorbell moved;

	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &elsewhere));
	ASSERT_EQ(0, renew(self->env));
	ASSERT_EQ(0, move(self->env, self->second, elsewhere.gpa));
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, bell_window(vm, self->second, &moved));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi2, &moved));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
}

/*
 * A guest's doorbell in the window, as on a virtual machine that has an ITS
 * there: the window of the others goes on around it
 */
TEST_F(options, doorbell_in_window)
{
	struct vm *vm = &self->env->vm;
	const __u64 half = self->bell.length / 2;
	const struct doorbell its = {
		.iova = elsewhere.iova,
		.gpa = self->bell.gpa + half,
		.length = 0x10000,
	};
	const struct doorbell used = {
		.iova = elsewhere.iova + self->bell.length,
		.gpa = self->bell.gpa,
		.length = half,
	};

	ASSERT_EQ(0, bell_bind(vm, self->dev, &its));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &its));
	EXPECT_EQ(0, ioas_allows(self->fd, vm->ioas, its.gpa));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi2, &self->bell));
	EXPECT_TRUE(msi_arrives(&self->m.msi));

	/* What is in use is not given up */
	EXPECT_EQ(-EADDRINUSE, bell_bind(vm, self->dev, &used));
	EXPECT_TRUE(msi_arrives(&self->m.msi));
	EXPECT_TRUE(msi_arrives(&self->m.msi2));

	/* The doorbell goes, the window stays */
	ASSERT_EQ(0, msi_off(&self->m.msi));
	ASSERT_EQ(0, bell_unbind(vm, self->dev, &its));
	EXPECT_EQ(0, ioas_allows(self->fd, vm->ioas, its.gpa));
	EXPECT_TRUE(msi_arrives(&self->m.msi2));
}

/* All of the window for a doorbell: nothing is left for who has no binding */
TEST_F(options, doorbell_for_window)
{
	struct vm *vm = &self->env->vm;
	struct doorbell bell = self->bell;
	unsigned int i;

	bell.iova = elsewhere.iova;
	ASSERT_EQ(0, bell_bind(vm, self->dev, &bell));
	ASSERT_EQ(0, vfio_attach(self->dev, self->env->hwpt));
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi, &bell));
	/* More often than an interrupt controller has vectors to lose */
	for (i = 0; i < 200; i++)
		ASSERT_EQ(-ENOSPC, msi_on(&self->m.msi2));
	EXPECT_TRUE(msi_arrives(&self->m.msi));

	/* Nor for one that has its interrupts set up already */
	ASSERT_EQ(0, vfio_detach(self->second));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_EQ(-EBUSY, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, msi_off(&self->m.msi));
	ASSERT_EQ(0, bell_unbind(vm, self->dev, &bell));
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi2, &self->bell));
}

/* Who opens the device next has not moved anything */
TEST_F(options, forgotten)
{
	struct doorbell now;

	ASSERT_EQ(0, move(self->env, self->second, MOVED));
	vfio_close(self->second);
	ASSERT_EQ(0, edu_open(&self->m.second, 1));
	ASSERT_EQ(0, vfio_bind(self->second, self->fd));
	ASSERT_EQ(0, bell_window(&self->env->vm, self->second, &now));
	EXPECT_EQ(self->bell.iova, now.iova);
	ASSERT_EQ(0, vfio_attach(self->second, self->env->hwpt));
	ASSERT_EQ(0, msi_on(&self->m.msi2));
	EXPECT_STREQ("", bell_check(self->env, &self->m.msi2, &self->bell));
}

TEST_HARNESS_MAIN
