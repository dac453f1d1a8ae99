/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 1 of VT-d in scalable mode: first-stage paging structures (section 9.8
 * of the specification), the PASID directory and PASID tables (9.5, 9.6).
 *
 * Beside the calls of nested_table.h, for tables of many PASIDs:
 *
 *   pasid_table_init_bits(p, vm, bits)	a directory of 2^@bits PASIDs, empty
 *   pasid_table_entry(p, pasid)	where an entry is; adds to the directory
 *   pasid_table_set_pasid(p, pasid, t)	requests with @pasid go through @t
 *   pasid_table_pass_pasid(p, pasid)	they skip stage 1
 *   pasid_table_clear_pasid(p, pasid)	make the entry not present
 *
 * Requests without a PASID use the entry of p->rid.
 */
#ifndef __NESTED_VTD_H
#define __NESTED_VTD_H

#include <linux/const.h>

#define VTD_LEVELS		4
#define VTD_LEVEL_BITS		9

#define FSPTE_PRESENT		_BITULL(0)
#define FSPTE_WRITE		_BITULL(1)
#define FSPTE_USER		_BITULL(2)
#define FSPTE_ACCESSED		_BITULL(5)
#define FSPTE_DIRTY		_BITULL(6)
#define FSPTE_BLOCK		_BITULL(7)
#define FSPTE_ADDR		0x000ffffffffff000ULL

/* An entry of the directory names a table of 64 entries of 64 bytes */
#define PASID_TABLE_LOG2	6
#define PDE_PRESENT		_BITULL(0)
#define PDE_ADDR		(~0xfffULL)

#define PASID_WORDS		8
#define PASID0_PRESENT		_BITULL(0)
#define PASID0_NO_FAULTS	_BITULL(1)
#define PASID0_AW_48		(2ULL << 2)
#define PASID0_TYPE_SHIFT	6
#define PASID0_TYPE_MASK	(7ULL << PASID0_TYPE_SHIFT)
#define PASID1_DID_SHIFT	0
#define PASID1_PGSNP		_BITULL(24)
#define PASID1_CACHE_DISABLE	_BITULL(25)
#define PASID2_SRE		_BITULL(0)
#define PASID2_ERE		_BITULL(1)
#define PASID2_5_LEVEL		_BITULL(2)
#define PASID2_LEVELS_RESERVED	(2ULL << 2)
#define PASID2_WPE		_BITULL(4)
#define PASID2_NXE		_BITULL(5)
#define PASID2_SMEP		_BITULL(6)
#define PASID2_EAFE		_BITULL(7)
#define PASID2_RESERVED		_BITULL(8)

enum pasid_type {
	PASID_FIRST_STAGE = 1,
	PASID_SECOND_STAGE = 2,
	PASID_NESTED = 3,
	PASID_PASS_THROUGH = 4,
};

static inline void s1_init(struct s1_table *t, struct vm *vm,
			   unsigned int granule_log2, __u16 tag)
{
	t->vm = vm;
	t->granule_log2 = granule_log2;
	t->tag = tag;
	t->levels = VTD_LEVELS;
	t->root = vm_alloc(vm, 4096);
}

/* The entry that maps 1 << @size_log2 bytes at @giova; makes tables above it */
static inline __u64 *s1_entry(struct s1_table *t, __u64 giova,
			      unsigned int size_log2)
{
	unsigned int shift = 12 + (t->levels - 1) * VTD_LEVEL_BITS;
	__u64 *table = vm_ptr(t->vm, t->root), *entry, next;

	for (;; shift -= VTD_LEVEL_BITS) {
		entry = &table[giova >> shift & ((1 << VTD_LEVEL_BITS) - 1)];
		if (shift <= size_log2)
			return entry;
		if (!(*entry & FSPTE_PRESENT)) {
			next = vm_alloc(t->vm, 4096);
			s1_write(entry, next | FSPTE_PRESENT | FSPTE_WRITE |
					FSPTE_USER | FSPTE_ACCESSED);
		}
		table = vm_ptr(t->vm, *entry & FSPTE_ADDR);
	}
}

static inline void s1_map_size(struct s1_table *t, __u64 giova, __u64 gpa,
			       unsigned int size_log2,
			       enum s1_attributes attributes)
{
	__u64 pte = gpa | FSPTE_PRESENT | FSPTE_USER | FSPTE_ACCESSED |
		    FSPTE_DIRTY;

	if (size_log2 > 12)
		pte |= FSPTE_BLOCK;
	if (attributes != S1_READ_ONLY)
		pte |= FSPTE_WRITE;
	s1_write(s1_entry(t, giova, size_log2), pte);
}

static inline void pasid_table_init_bits(struct pasid_table *p, struct vm *vm,
					 unsigned int bits)
{
	__u64 size = 4096;

	if (bits > PASID_TABLE_LOG2 + 9)
		size = 8ULL << (bits - PASID_TABLE_LOG2);
	p->vm = vm;
	p->bits = bits;
	p->rid = 0;
	p->table = 0;
	p->base = vm_alloc(vm, size);
}

static inline void pasid_table_init(struct pasid_table *p, struct vm *vm)
{
	pasid_table_init_bits(p, vm, 0);
}

static inline __u64 *pasid_table_pde(const struct pasid_table *p, __u32 pasid)
{
	__u64 *directory = vm_ptr(p->vm, p->base);

	return &directory[pasid >> PASID_TABLE_LOG2];
}

static inline __u64 *pasid_table_entry(struct pasid_table *p, __u32 pasid)
{
	__u64 *pde = pasid_table_pde(p, pasid), *table;

	if (!(*pde & PDE_PRESENT))
		s1_write(pde, vm_alloc(p->vm, 4096) | PDE_PRESENT);
	table = vm_ptr(p->vm, *pde & PDE_ADDR);
	return table + (pasid & ((1 << PASID_TABLE_LOG2) - 1)) * PASID_WORDS;
}

static inline void pasid_table_clear_pasid(struct pasid_table *p, __u32 pasid)
{
	s1_write(pasid_table_entry(p, pasid), 0);
}

/* Never present with the fields of both */
static inline void pasid_table_write(struct pasid_table *p, __u32 pasid,
				     enum pasid_type type, __u64 word1,
				     __u64 word2)
{
	__u64 *entry = pasid_table_entry(p, pasid);
	int i;

	pasid_table_clear_pasid(p, pasid);
	for (i = 3; i < PASID_WORDS; i++)
		s1_write(&entry[i], 0);
	s1_write(&entry[2], word2);
	s1_write(&entry[1], word1);
	s1_write(&entry[0], PASID0_PRESENT | PASID0_AW_48 |
			    (__u64)type << PASID0_TYPE_SHIFT);
}

static inline void pasid_table_set_pasid(struct pasid_table *p, __u32 pasid,
					 const struct s1_table *t)
{
	/* The guest's own domain ID: the hardware never gets to see it */
	pasid_table_write(p, pasid, PASID_FIRST_STAGE,
			  (__u64)t->tag << PASID1_DID_SHIFT,
			  t->root | (t->levels == 5 ? PASID2_5_LEVEL : 0));
}

static inline void pasid_table_pass_pasid(struct pasid_table *p, __u32 pasid)
{
	pasid_table_write(p, pasid, PASID_PASS_THROUGH, 1, 0);
}

static inline void pasid_table_clear(struct pasid_table *p)
{
	pasid_table_clear_pasid(p, p->rid);
}

static inline void pasid_table_set(struct pasid_table *p,
				   const struct s1_table *t)
{
	__u64 *pde = pasid_table_pde(p, p->rid);

	/* Damage may have made it lead elsewhere: back to the first table */
	if (p->table)
		s1_write(pde, p->table);
	pasid_table_set_pasid(p, p->rid, t);
	p->table = *pde;
}

static inline bool pasid_table_damage(struct pasid_table *p, unsigned int nth)
{
	__u64 *pde = pasid_table_pde(p, p->rid);
	__u64 *entry = pasid_table_entry(p, p->rid);
	__u64 type = entry[0] & ~PASID0_TYPE_MASK;

	switch (nth) {
	case 0:
		pasid_table_clear(p);
		return true;
	case 1 ... 3:	/* types that need shadowing, and none */
		s1_write(&entry[0], type | (__u64)(nth == 3 ? 0 : nth + 1)
					   << PASID0_TYPE_SHIFT);
		return true;
	case 4:		/* a root that stage 2 does not map */
		s1_write(&entry[2], VM_GPA + VM_SIZE);
		return true;
	case 5:
		s1_write(&entry[2], 0xffffffffff000ULL);
		return true;
	case 6:
		s1_write(&entry[2], entry[2] | PASID2_RESERVED);
		return true;
	case 7:
		s1_write(&entry[2], entry[2] | PASID2_LEVELS_RESERVED);
		return true;
	case 8:
		s1_write(&entry[7], 1);
		return true;
	case 9:		/* no PASID table, and one that is not there */
		s1_write(pde, 0);
		return true;
	case 10:
		s1_write(pde, (VM_GPA + VM_SIZE) | PDE_PRESENT);
		return true;
	case 11:
		s1_write(pde, ~0ULL);
		return true;
	default:
		return false;
	}
}

static inline struct iommu_hwpt_pasid_table
pasid_table_config(const struct pasid_table *p)
{
	return (struct iommu_hwpt_pasid_table){
		.format = IOMMU_PASID_TABLE_VTD,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
		.pasid_bits = p->bits,
		.base_addr = p->base,
		.vtd = { .rid_pasid = p->rid },
	};
}

#endif
