/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d's other way to nest: a HWPT for one first-stage table of the guest, which
 * the VMM finds in the guest's PASID table itself (IOMMU_HWPT_DATA_VTD_S1)
 */
#ifndef __NESTED_VTD_S1_H
#define __NESTED_VTD_S1_H

#include "nested_env.h"

static inline struct iommu_hwpt_vtd_s1 vtd_s1_config(const struct s1_table *t)
{
	return (struct iommu_hwpt_vtd_s1){
		.pgtbl_addr = t->root,
		.addr_width = t->levels == 5 ? 57 : 48,
	};
}

static inline int hwpt_alloc_s1(int fd, __u32 dev, __u32 parent,
				const struct iommu_hwpt_vtd_s1 *config,
				__u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev,
		.pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(*config),
		.data_uptr = (uintptr_t)config,
	};
	int rc = call(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return rc;
}

/* @num is the number of requests, and then of those that are complete */
static inline int
hwpt_invalidate_s1(int fd, __u32 hwpt,
		   const struct iommu_hwpt_vtd_s1_invalidate *reqs, __u32 *num)
{
	return invalidate_entries(fd, hwpt, IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
				  reqs, sizeof(*reqs), num);
}

static inline int
hwpt_invalidate_s1_one(int fd, __u32 hwpt, __u64 addr, __u64 npages,
		       __u32 flags)
{
	const struct iommu_hwpt_vtd_s1_invalidate req = {
		.addr = addr,
		.npages = npages,
		.flags = flags,
	};
	__u32 num = 1;
	int rc = hwpt_invalidate_s1(fd, hwpt, &req, &num);

	/* What succeeds must be counted, what fails must not */
	return num == !rc ? rc : -EPROTO;
}

#endif
