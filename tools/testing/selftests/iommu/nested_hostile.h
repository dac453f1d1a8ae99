/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bad input as a table: one line says which field becomes what, and the errno
 * that this must give
 */
#ifndef __NESTED_HOSTILE_H
#define __NESTED_HOSTILE_H

#include <stdint.h>
#include <string.h>

#include <linux/iommufd.h>

/* Which of the structs of a call a field is in */
enum target {
	CMD,		/* the ioctl's own */
	DATA,		/* what it points to */
};

/* A field of a struct, by its width in bits */
#define ALLOC32(_member) \
	.target = CMD, .size = 4, \
	.offset = offsetof(struct iommu_hwpt_alloc, _member)
#define ALLOC64(_member) \
	.target = CMD, .size = 8, \
	.offset = offsetof(struct iommu_hwpt_alloc, _member)
#define TABLE8(_member) \
	.target = DATA, .size = 1, \
	.offset = offsetof(struct iommu_hwpt_pasid_table, _member)
#define TABLE32(_member) \
	.target = DATA, .size = 4, \
	.offset = offsetof(struct iommu_hwpt_pasid_table, _member)
#define TABLE64(_member) \
	.target = DATA, .size = 8, \
	.offset = offsetof(struct iommu_hwpt_pasid_table, _member)
#define INVAL32(_member) \
	.target = CMD, .size = 4, \
	.offset = offsetof(struct iommu_hwpt_invalidate, _member)
#define INVAL64(_member) \
	.target = CMD, .size = 8, \
	.offset = offsetof(struct iommu_hwpt_invalidate, _member)
#define REQ32(_member) \
	.target = DATA, .size = 4, \
	.offset = offsetof(struct iommu_hwpt_pasid_table_invalidate, _member)
#define REQ64(_member) \
	.target = DATA, .size = 8, \
	.offset = offsetof(struct iommu_hwpt_pasid_table_invalidate, _member)

/* Values that are known at run time only */
enum value {
	NUMBER,
	IOAS_ID,
	DEVICE_ID,
	PLAIN_ID,	/* a HWPT that is no nesting parent */
	PARENT_ID,
	TABLE_ID,
	FOREIGN_ID,	/* of another /dev/iommu file */
	HOLE,		/* an address where nothing is mapped */
	NR_VALUES,
};

struct bad {
	const char *what;
	enum target target;
	__u32 size;
	__u32 offset;
	int error;
	enum value kind;
	__u64 number;
};

/* What a call needs, with room for a tail */
struct call_frame {
	union {
		struct iommu_hwpt_alloc alloc;
		struct iommu_hwpt_invalidate inv;
		__u8 bytes[256];
	} cmd;
	union {
		struct iommu_hwpt_pasid_table table;
		struct iommu_hwpt_pasid_table_invalidate req;
		__u8 bytes[8192];
	} data;
};

static inline void bad_apply(const struct bad *bad, struct call_frame *frame,
			     const __u64 *values)
{
	__u8 *base = bad->target == CMD ? frame->cmd.bytes : frame->data.bytes;
	__u64 value = bad->kind == NUMBER ? bad->number : values[bad->kind];

	memcpy(base + bad->offset, &value, bad->size);
}

/* What only one vendor's structs and requests can get wrong */
#ifdef __x86_64__
#include "nested_hostile_vtd.h"
#else
#include "nested_hostile_smmu.h"
#endif

#endif
