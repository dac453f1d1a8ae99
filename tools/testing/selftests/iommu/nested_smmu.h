/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 1 of an SMMUv3: VMSAv8-64 translation tables (Arm ARM, D8.3) and
 * context descriptors (IHI 0070, 5.4)
 */
#ifndef __NESTED_SMMU_H
#define __NESTED_SMMU_H

#include <linux/const.h>

#define S1_VA_BITS		48

#define PTE_VALID		_BITULL(0)
#define PTE_TABLE_OR_PAGE	_BITULL(1)
#define PTE_UNPRIVILEGED	_BITULL(6)
#define PTE_READ_ONLY		_BITULL(7)
#define PTE_INNER_SHAREABLE	(3ULL << 8)
#define PTE_ACCESSED		_BITULL(10)
#define PTE_NOT_GLOBAL		_BITULL(11)
#define PTE_ADDR		0x0000fffffffff000ULL

#define CD0_T0SZ		(64ULL - S1_VA_BITS)
#define CD0_T0SZ_MASK		0x3fULL
#define CD0_TG0_SHIFT		6
#define CD0_WALK_WB_ISH		(0x35ULL << 8)
#define CD0_EPD1		_BITULL(30)
#define CD0_VALID		_BITULL(31)
#define CD0_IPS_SHIFT		32
#define CD0_AA64		_BITULL(41)
#define CD0_STALL		_BITULL(44)
#define CD0_RECORD		_BITULL(45)
#define CD0_ABORT		_BITULL(46)
#define CD0_ASET		_BITULL(47)
#define CD0_ASID_SHIFT		48
#define CD3_MAIR_WB		0xffULL

#define CD_IPS_40_BITS		2ULL

static inline void s1_init(struct s1_table *t, struct vm *vm,
			   unsigned int granule_log2, __u16 tag)
{
	t->vm = vm;
	t->granule_log2 = granule_log2;
	t->tag = tag;
	t->root = vm_alloc(vm, 1ULL << granule_log2);
}

/* The entry that maps 1 << @size_log2 bytes at @giova; makes tables above it */
static inline __u64 *s1_entry(struct s1_table *t, __u64 giova,
			      unsigned int size_log2)
{
	unsigned int bits = t->granule_log2 - 3;
	unsigned int shift = t->granule_log2;
	__u64 *table = vm_ptr(t->vm, t->root), *entry, next;

	while (shift + bits < S1_VA_BITS)
		shift += bits;
	for (;; shift -= bits) {
		entry = &table[(giova >> shift) & ((1ULL << bits) - 1)];
		if (shift <= size_log2)
			return entry;
		if (!(*entry & PTE_VALID)) {
			next = vm_alloc(t->vm, 1ULL << t->granule_log2);
			s1_write(entry, next | PTE_VALID | PTE_TABLE_OR_PAGE);
		}
		table = vm_ptr(t->vm, *entry & PTE_ADDR);
	}
}

static inline void s1_map_size(struct s1_table *t, __u64 giova, __u64 gpa,
			       unsigned int size_log2,
			       enum s1_attributes attributes)
{
	__u64 pte = gpa | PTE_VALID | PTE_UNPRIVILEGED | PTE_INNER_SHAREABLE |
		    PTE_ACCESSED | PTE_NOT_GLOBAL;

	if (size_log2 == t->granule_log2)
		pte |= PTE_TABLE_OR_PAGE;
	if (attributes == S1_READ_ONLY)
		pte |= PTE_READ_ONLY;
	s1_write(s1_entry(t, giova, size_log2), pte);
}

static inline void pasid_table_init(struct pasid_table *p, struct vm *vm)
{
	p->vm = vm;
	p->base = vm_alloc(vm, 4096);
}

/* The first word of the context descriptor that serves @t */
static inline __u64 smmu_cd0(const struct s1_table *t)
{
	__u64 tg = t->granule_log2 == 12 ? 0 : t->granule_log2 == 16 ? 1 : 2;

	return CD0_T0SZ | tg << CD0_TG0_SHIFT | CD0_WALK_WB_ISH | CD0_EPD1 |
	       CD0_VALID | CD_IPS_40_BITS << CD0_IPS_SHIFT | CD0_AA64 |
	       CD0_RECORD | CD0_ABORT | CD0_ASET |
	       (__u64)t->tag << CD0_ASID_SHIFT;
}

static inline void pasid_table_clear(struct pasid_table *p)
{
	s1_write(vm_ptr(p->vm, p->base), 0);
}

static inline void pasid_table_set(struct pasid_table *p,
				   const struct s1_table *t)
{
	__u64 *cd = vm_ptr(p->vm, p->base);

	/* Never valid with the fields of both */
	pasid_table_clear(p);
	s1_write(&cd[1], t->root);
	s1_write(&cd[3], CD3_MAIR_WB);
	s1_write(&cd[0], smmu_cd0(t));
}

static inline bool pasid_table_damage(struct pasid_table *p, unsigned int nth)
{
	__u64 *cd = vm_ptr(p->vm, p->base);

	switch (nth) {
	case 0:
		pasid_table_clear(p);
		return true;
	case 1:		/* stalling is the host's business */
		s1_write(&cd[0], cd[0] | CD0_STALL);
		return true;
	case 2:
		s1_write(&cd[0], cd[0] & ~CD0_ABORT);
		return true;
	case 3:		/* more input bits than there are */
		s1_write(&cd[0], cd[0] & ~CD0_T0SZ_MASK);
		return true;
	case 4:		/* a root that stage 2 does not map */
		s1_write(&cd[1], VM_GPA + VM_SIZE);
		return true;
	case 5:
		s1_write(&cd[1], 0xffffffff000ULL);
		return true;
	default:
		return false;
	}
}

static inline struct iommu_hwpt_pasid_table
pasid_table_config(const struct pasid_table *p)
{
	return (struct iommu_hwpt_pasid_table){
		.format = IOMMU_PASID_TABLE_SMMUV3,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
		.base_addr = p->base,
	};
}

#endif
