// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read-only mappings and nesting do not go together: hardware with erratum 772415
 * writes through them. Whichever comes first, the other one is refused.
 */
#include <linux/memfd.h>

#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PLACE		(VM_GPA + 2 * VM_SIZE)

FIXTURE(readonly)
{
	struct edu edu;
	struct vm vm;
	int memfd;
};

FIXTURE_SETUP(readonly)
{
	struct vm *vm = &self->vm;

	self->memfd = -1;
	vm->iommufd = -1;
	ASSERT_EQ(0, edu_open(&self->edu, 0));
	ASSERT_EQ(0, vm_init(vm, &self->edu.dev));
	self->memfd = memfd_create("readonly", 0);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, ftruncate(self->memfd, VM_SIZE));
}

FIXTURE_TEARDOWN(readonly)
{
	vfio_close(&self->edu.dev);
	vm_exit(&self->vm);
	close(self->memfd);
}

/* Not by ioas_map(): that is for reading and writing */
static int map_readonly(struct vm *vm, __u32 ioas)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)vm->mem,
		.length = 4096,
		.iova = PLACE,
	};

	return call(vm->iommufd, IOMMU_IOAS_MAP, &cmd);
}

static int map_file_readonly(struct vm *vm, __u32 ioas, int memfd)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.fd = memfd,
		.length = VM_SIZE,
		.iova = PLACE,
	};

	return call(vm->iommufd, IOMMU_IOAS_MAP_FILE, &cmd);
}

static int copy_readonly(struct vm *vm, __u32 from, __u32 to)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.dst_ioas_id = to,
		.src_ioas_id = from,
		.length = 4096,
		.dst_iova = PLACE,
		.src_iova = VM_GPA,
	};

	return call(vm->iommufd, IOMMU_IOAS_COPY, &cmd);
}

static int parent(struct vm *vm, const struct vfio_dev *dev, __u32 ioas,
		  __u32 *id)
{
	return hwpt_alloc(vm->iommufd, dev->id, ioas,
			  IOMMU_HWPT_ALLOC_NEST_PARENT, id);
}

/* The parent is there: the VM has it from its beginning */
TEST_F(readonly, parent_first)
{
	struct vfio_dev *dev = &self->edu.dev;
	struct vm *vm = &self->vm;
	struct probe probe;

	EXPECT_EQ(-EINVAL, map_readonly(vm, vm->ioas));
	EXPECT_EQ(-EINVAL, map_file_readonly(vm, vm->ioas, self->memfd));
	EXPECT_EQ(-EINVAL, copy_readonly(vm, vm->ioas, vm->ioas));
	ASSERT_EQ(0, vfio_attach(dev, vm->parent));
	EXPECT_EQ(-EINVAL, map_readonly(vm, vm->ioas));

	/* Nothing of it was left behind */
	EXPECT_EQ(0, ioas_map(vm->iommufd, vm->ioas, vm->mem, PLACE, VM_SIZE));
	ASSERT_EQ(0, probe_edu(&probe, vm, &self->edu));
	EXPECT_EQ(AT_A, probe_dma(&probe, probe.a));
	EXPECT_EQ(AT_A, probe_dma(&probe, probe.a + PLACE - VM_GPA));

	/* With the parent goes the reason */
	ASSERT_EQ(0, ioas_unmap(vm->iommufd, vm->ioas, PLACE, VM_SIZE));
	ASSERT_EQ(0, vfio_attach(dev, vm->ioas));
	ASSERT_EQ(0, iommufd_destroy(vm->iommufd, vm->parent));
	EXPECT_EQ(0, map_readonly(vm, vm->ioas));
}

TEST_F(readonly, mapping_first)
{
	struct vfio_dev *dev = &self->edu.dev;
	struct vm *vm = &self->vm;
	__u32 ioas, plain, id;
	int i, rc = -1;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ioas_alloc(vm->iommufd, &ioas));
		if (i == 0)
			rc = map_readonly(vm, ioas);
		else if (i == 1)
			rc = map_file_readonly(vm, ioas, self->memfd);
		else
			rc = copy_readonly(vm, vm->ioas, ioas);
		ASSERT_EQ(0, rc);
		EXPECT_EQ(-EINVAL, parent(vm, dev, ioas, &id));
		/* Without nesting it is fine, and does not change the answer */
		ASSERT_EQ(0, hwpt_alloc(vm->iommufd, dev->id, ioas, 0, &plain));
		ASSERT_EQ(0, vfio_attach(dev, plain));
		EXPECT_EQ(-EINVAL, parent(vm, dev, ioas, &id));
		ASSERT_EQ(0, ioas_unmap(vm->iommufd, ioas, 0, UINT64_MAX));
		EXPECT_EQ(0, parent(vm, dev, ioas, &id));
		EXPECT_EQ(-EINVAL, map_readonly(vm, ioas));
		ASSERT_EQ(0, vfio_attach(dev, id));
		ASSERT_EQ(0, vfio_detach(dev));
	}
}

/* The device reads what it may read and nothing else */
TEST_F(readonly, not_nested)
{
	struct vfio_dev *dev = &self->edu.dev;
	struct vm *vm = &self->vm;
	struct probe probe;
	__u32 ioas;

	ASSERT_EQ(0, vfio_attach(dev, vm->parent));
	ASSERT_EQ(0, probe_edu(&probe, vm, &self->edu));
	ASSERT_EQ(0, ioas_alloc(vm->iommufd, &ioas));
	ASSERT_EQ(0, map_readonly(vm, ioas));
	ASSERT_EQ(0, vfio_attach(dev, ioas));
	memset(vm->mem, VM_UNTOUCHED, 4096);
	ASSERT_EQ(0, edu_load(&self->edu, PLACE));
	memset(vm->mem, 0, 4096);
	ASSERT_EQ(0, edu_write(&self->edu, PLACE));
	EXPECT_EQ(0, vm->mem[EDU_CHUNK / 2]);
	/* What it read it can tell */
	ASSERT_EQ(0, vfio_attach(dev, vm->parent));
	ASSERT_EQ(0, edu_write(&self->edu, probe.a));
	EXPECT_EQ(VM_UNTOUCHED, *(__u8 *)vm_ptr(vm, probe.a));
	EXPECT_EQ(VM_UNTOUCHED,
		  *((__u8 *)vm_ptr(vm, probe.a) + EDU_CHUNK - 1));
}

/* The VMM is told of the erratum where the hardware has it */
TEST_F(readonly, reported)
{
	struct iommu_hw_info_vtd info;
	struct vm *vm = &self->vm;
	__u32 len = sizeof(info);

	ASSERT_EQ(IOMMU_HW_INFO_TYPE_INTEL_VTD,
		  hw_info(vm->iommufd, self->edu.dev.id, &info, &len));
	EXPECT_EQ(0, info.flags & ~IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
	EXPECT_EQ(1, IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
}

TEST_HARNESS_MAIN
