/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest writes into its memory: stage-1 translation tables, and the
 * PASID table that names them. Each vendor's header has the same few calls:
 *
 *   s1_init(t, vm, granule_log2, tag)	an empty table; @tag is the ASID, if any
 *   s1_map(t, giova, gpa)		map one granule
 *   s1_map_size(t, giova, gpa, size_log2, attributes)	a page or a block
 *   s1_entry(t, giova, size_log2)	where that entry is, for damage
 *   s1_unmap(t, giova)			take one granule away
 *   pasid_table_init(p, vm)		a table of one entry, not valid
 *   pasid_table_set(p, t)		requests without a PASID go through @t
 *   pasid_table_clear(p)		make the entry invalid
 *   pasid_table_damage(p, n)		make it bad in the @n th way, while there is
 *					one
 *   pasid_table_config(p)		how to describe it to the kernel
 *
 * None of them invalidates anything: that is what the tests are about.
 */
#ifndef __NESTED_TABLE_H
#define __NESTED_TABLE_H

#include "nested_vm.h"

enum s1_attributes {
	S1_READ_WRITE,
	S1_READ_ONLY,
};

struct s1_table {
	struct vm *vm;
	unsigned int granule_log2;
	unsigned int levels;	/* where the guest can choose */
	__u16 tag;
	__u64 root;	/* GPA */
};

struct pasid_table {
	struct vm *vm;
	__u64 base;	/* GPA */
	/* of tables that have more than one entry */
	unsigned int bits;
	__u32 rid;
	__u64 table;
};

static inline void s1_write(void *entry, __u64 value)
{
	/* What the entry points to comes first; the device looks any time */
	__atomic_store_n((__u64 *)entry, value, __ATOMIC_SEQ_CST);
	__sync_synchronize();
}

#if !S1_SUPPORTED
#include "nested_none.h"
#elif defined(__aarch64__)
#include "nested_smmu.h"
#else
#include "nested_vtd.h"
#endif

static inline void s1_map(struct s1_table *t, __u64 giova, __u64 gpa)
{
	s1_map_size(t, giova, gpa, t->granule_log2, S1_READ_WRITE);
}

static inline void s1_unmap(struct s1_table *t, __u64 giova)
{
	s1_write(s1_entry(t, giova, t->granule_log2), 0);
}

/* @size is a number of granules, or less than one */
static inline void s1_map_range(struct s1_table *t, __u64 giova, __u64 gpa,
				__u64 size)
{
	__u64 done;

	for (done = 0; done < size; done += 1ULL << t->granule_log2)
		s1_map(t, giova + done, gpa + done);
}

static inline void s1_unmap_range(struct s1_table *t, __u64 giova, __u64 size)
{
	__u64 done;

	for (done = 0; done < size; done += 1ULL << t->granule_log2)
		s1_unmap(t, giova + done);
}

#endif
