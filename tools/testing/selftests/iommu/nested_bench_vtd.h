/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d's other way into the kernel, which the base has: a HWPT for each of the
 * guest's first-stage tables
 */
#ifndef __NESTED_BENCH_VTD_H
#define __NESTED_BENCH_VTD_H

#include "nested_vtd_s1.h"

/* A doorbell of a guest: gIOVA, GPA, length */
#define BENCH_BELL	{ 0xfee00000ULL, 0xfee00000ULL, 0x1000 }

/* As a VMM finds it out, in the guest's entry */
static inline int s1_make(const struct door *door, struct env *env,
			  const struct pasid_table *pasids, __u32 *hwpt)
{
	struct pasid_table table = *pasids;
	const __u64 *entry = pasid_table_entry(&table, table.rid);
	const struct iommu_hwpt_vtd_s1 config = {
		.pgtbl_addr = entry[2] & ~0xfffULL,
		.addr_width = 48,
	};

	return hwpt_alloc_s1(env->vm.iommufd, env->dev->id, env->vm.parent,
			     &config, hwpt);
}

static inline int s1_open(struct door *door, struct env *env)
{
	int rc = s1_make(door, env, &env->pasids, &door->table);

	door->id = door->table;
	return rc;
}

static inline void s1_page(void *entry, __u64 giova)
{
	*(struct iommu_hwpt_vtd_s1_invalidate *)entry =
		(struct iommu_hwpt_vtd_s1_invalidate){
			.addr = giova,
			.npages = 1,
			.flags = IOMMU_VTD_INV_FLAGS_LEAF,
		};
}

#define VENDOR_DOOR { \
	.name = "vtd-s1", \
	.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, \
	.entry_len = sizeof(struct iommu_hwpt_vtd_s1_invalidate), \
	.open = s1_open, \
	.config = s1_make, \
	.page = s1_page, \
}

#endif
