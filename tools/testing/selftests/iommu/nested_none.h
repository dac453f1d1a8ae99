/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Architectures whose tables have no header here: everything builds, and tests
 * that need a table are skipped before they get to make one
 */
#ifndef __NESTED_NONE_H
#define __NESTED_NONE_H

#include <stdlib.h>

static inline void s1_init(struct s1_table *t, struct vm *vm,
			   unsigned int granule_log2, __u16 tag)
{
	abort();
}

static inline __u64 *s1_entry(struct s1_table *t, __u64 giova,
			      unsigned int size_log2)
{
	abort();
}

static inline void s1_map_size(struct s1_table *t, __u64 giova, __u64 gpa,
			       unsigned int size_log2,
			       enum s1_attributes attributes)
{
	abort();
}

static inline void pasid_table_init(struct pasid_table *p, struct vm *vm)
{
	abort();
}

static inline void pasid_table_clear(struct pasid_table *p)
{
	abort();
}

static inline void pasid_table_set(struct pasid_table *p,
				   const struct s1_table *t)
{
	abort();
}

static inline bool pasid_table_damage(struct pasid_table *p, unsigned int nth)
{
	abort();
}

static inline struct iommu_hwpt_pasid_table
pasid_table_config(const struct pasid_table *p)
{
	abort();
}

#endif
