/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two ways of a VMM to say the same: guest PASID tables with generic
 * requests, or, with NESTED_VIOMMU, a vIOMMU with STEs and commands of the guest.
 * Tests that are built for both see these calls only:
 *
 *   vm_table(vm, dev, config, hwpt)	make a table for a device
 *   vm_table_apart(...)		the same, with tags of its own
 *   vm_adopt(vm, dev)			the guest gets to know a device that uses
 *					a table made for another one
 *   vm_invalidate(vm, hwpt, req)
 *   vm_send(vm, hwpt, entries, num)	entries as the call takes them; @num is how
 *					many, and then how many are complete
 *   front_page(addr)			the entry that invalidates one page
 *   front_spoil(entry, nth)		make it one that is refused, in different
 *					ways; returns the errno that is due
 */
#ifndef __NESTED_FRONT_H
#define __NESTED_FRONT_H

#ifdef NESTED_VIOMMU
#include "nested_cmd.h"

/* Tables that replace one another share a space of tags */
#define OTHER_TAG		(TAG + 1)

/* A StreamID of the guest's choice that is none of the host's */
static inline __u32 vsid_of(const struct vfio_dev *dev)
{
	return 0xfe000000 | dev->id;
}

static inline int vm_adopt_on(struct vm *vm, struct vfio_dev *dev, __u32 viommu)
{
	int rc = 0;

	if (dev->vdevice)
		rc = iommufd_destroy(vm->iommufd, dev->vdevice);
	rc = rc ?: vdevice_alloc(vm->iommufd, viommu, dev->id, vsid_of(dev),
				 &dev->vdevice);
	dev->viommu = viommu;
	return rc;
}

static inline int vm_adopt(struct vm *vm, struct vfio_dev *dev)
{
	int rc = 0;

	if (!vm->viommu)
		rc = viommu_alloc(vm->iommufd, dev->id, vm->parent,
				  &vm->viommu);
	if (rc || dev->vdevice)
		return rc;
	if (vm->nr_vsids == VM_MAX_DEVS)
		abort();
	vm->vsids[vm->nr_vsids++] = vsid_of(dev);
	return vm_adopt_on(vm, dev, vm->viommu);
}

static inline int vm_table(struct vm *vm, struct vfio_dev *dev,
			   const struct iommu_hwpt_pasid_table *config,
			   __u32 *hwpt)
{
	struct iommu_hwpt_arm_smmuv3 vste = vste_make(config);
	int rc = vm_adopt(vm, dev);

	return rc ?: hwpt_alloc_vste(vm->iommufd, dev->id, vm->viommu, &vste,
				     hwpt);
}

static inline int vm_table_apart(struct vm *vm, struct vfio_dev *dev,
				 const struct iommu_hwpt_pasid_table *config,
				 __u32 *hwpt)
{
	struct iommu_hwpt_arm_smmuv3 vste = vste_make(config);
	__u32 viommu;
	int rc;

	rc = viommu_alloc(vm->iommufd, dev->id, vm->parent, &viommu);
	rc = rc ?: vm_adopt_on(vm, dev, viommu);
	return rc ?: hwpt_alloc_vste(vm->iommufd, dev->id, viommu, &vste, hwpt);
}

#define FRONT_TYPE		IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3
#define FRONT_OTHER_TYPE	IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE

struct front_entry {
	struct smmu_cmd cmd;
};

static inline __u32 front_object(const struct vm *vm, __u32 hwpt)
{
	return vm->viommu;
}

static inline struct front_entry front_page(__u64 addr)
{
	return (struct front_entry){
		.cmd = cmd_make(CMD_TLBI_NH_VA | (__u64)TAG << CMD0_ASID_SHIFT,
				addr | CMD1_LEAF),
	};
}

/* A reserved bit, an opcode that is not the guest's, and an unknown stream */
static inline int front_spoil(struct front_entry *entry, unsigned int nth)
{
	if (nth % 3 == 0)
		entry->cmd.cmd[0] |= htole64(1ULL << 8);
	else if (nth % 3 == 1)
		entry->cmd = cmd_make(CMD_SYNC, 0);
	else
		entry->cmd = cmd_make(CMD_CFGI_CD_ALL |
				      0xdeadULL << CMD0_SID_SHIFT, 0);
	return -EIO;
}

static inline int vm_invalidate(struct vm *vm, __u32 hwpt,
				struct iommu_hwpt_pasid_table_invalidate req)
{
	struct smmu_cmd cmds[VM_MAX_DEVS + CMDS_PER_RANGE];
	unsigned int n = cmds_make(&req, vm->vsids, vm->nr_vsids, cmds);
	__u32 num = n;
	int rc = viommu_commands(vm->iommufd, vm->viommu, cmds, &num);

	return rc ?: num == n ? 0 : -EPROTO;
}

#else

#include "nested_req.h"

/* Each table may use all tags */
#define OTHER_TAG		TAG

#define FRONT_TYPE		IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE
#define FRONT_OTHER_TYPE	IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3

struct front_entry {
	struct iommu_hwpt_pasid_table_invalidate req;
};

static inline __u32 front_object(const struct vm *vm, __u32 hwpt)
{
	return hwpt;
}

static inline struct front_entry front_page(__u64 addr)
{
	return (struct front_entry){ .req = inv_addr(INV_TAG, 12, addr, 1) };
}

/* One is found out by the core, the other one by the driver */
static inline int front_spoil(struct front_entry *entry, unsigned int nth)
{
	if (nth & 1)
		return s1_spoil(&entry->req);
	entry->req.caches = 0;
	return -EINVAL;
}

static inline int vm_adopt(struct vm *vm, struct vfio_dev *dev)
{
	return 0;
}

static inline int vm_table(struct vm *vm, struct vfio_dev *dev,
			   const struct iommu_hwpt_pasid_table *config,
			   __u32 *hwpt)
{
	struct iommu_hwpt_pasid_table table = *config;

	if (S1_USES_ATS && vfio_has_cap(dev, PCI_EXT_CAP_ID_ATS)) {
		table.flags |= IOMMU_PASID_TABLE_ATS;
		vm->ats = true;
	}
	return hwpt_alloc_table(vm->iommufd, dev->id, vm->parent, &table, hwpt);
}

static inline int vm_table_apart(struct vm *vm, struct vfio_dev *dev,
				 const struct iommu_hwpt_pasid_table *config,
				 __u32 *hwpt)
{
	return vm_table(vm, dev, config, hwpt);
}

static inline int vm_invalidate(struct vm *vm, __u32 hwpt,
				struct iommu_hwpt_pasid_table_invalidate req)
{
	if (vm->ats && req.caches & IOMMU_PASID_TABLE_INV_IOTLB)
		req.caches |= IOMMU_PASID_TABLE_INV_DEV_TLB;
	return hwpt_invalidate_one(vm->iommufd, hwpt, &req);
}

#endif

static inline int vm_send(struct vm *vm, __u32 hwpt,
			  const struct front_entry *entries, __u32 *num)
{
	return invalidate_entries(vm->iommufd, front_object(vm, hwpt),
				  FRONT_TYPE, entries, sizeof(*entries), num);
}

#endif
