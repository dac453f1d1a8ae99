/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways into the kernel for a guest's invalidations, side by side: what a
 * measurement needs of each
 */
#ifndef __NESTED_BENCH_H
#define __NESTED_BENCH_H

#include "nested_env.h"

#include "../kselftest.h"

#define BENCH_MAX_BATCH		4096
#define BENCH_ENTRY_WORDS	6
/* A range of gIOVAs beside the one that leads somewhere, never mapped */
#define BENCH_GIOVA		(GIOVA + (1ULL << 32))
#define BENCH_PAGES		65536ULL
/* Prime to the above: all pages come up, and none beside the one before it */
#define BENCH_STRIDE		7919ULL

/**
 * struct door - One way in
 * @name: What figures call it
 * @data_type: Of its invalidations
 * @entry_len: Size of one entry in bytes
 * @id: What invalidations name; set by @open
 * @table: The table of @env as a HWPT; set by @open
 * @open: Make what it needs. Returns 0 or a negative errno.
 * @config: Make a HWPT of a table. Returns 0 or a negative errno.
 * @page: Fill in an entry: a leaf page of 4096 bytes under the guest's tag
 */
struct door {
	const char *name;
	__u32 data_type;
	__u32 entry_len;
	__u32 id;
	__u32 table;
	int (*open)(struct door *door, struct env *env);
	int (*config)(const struct door *door, struct env *env,
		      const struct pasid_table *pasids, __u32 *hwpt);
	void (*page)(void *entry, __u64 giova);
};

static inline int pasid_table_open(struct door *door, struct env *env)
{
	door->id = env->hwpt;
	door->table = env->hwpt;
	return 0;
}

static inline int pasid_table_make(const struct door *door, struct env *env,
				   const struct pasid_table *pasids,
				   __u32 *hwpt)
{
	struct iommu_hwpt_pasid_table config = pasid_table_config(pasids);

	return hwpt_alloc_table(env->vm.iommufd, env->dev->id, env->vm.parent,
				&config, hwpt);
}

static inline void pasid_table_page(void *entry, __u64 giova)
{
	struct iommu_hwpt_pasid_table_invalidate *req = entry;

	*req = inv_addr(INV_TAG | INV_LEAF, 12, giova, 1);
}

#ifdef __x86_64__
#include "nested_bench_vtd.h"
#else
#include "nested_bench_smmu.h"
#endif

static struct door doors[] = {
	{
		.name = "pasid-table",
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = sizeof(struct iommu_hwpt_pasid_table_invalidate),
		.open = pasid_table_open,
		.config = pasid_table_make,
		.page = pasid_table_page,
	},
	VENDOR_DOOR,
};

#define NR_DOORS	ARRAY_SIZE(doors)

/* A call with many entries */
struct batch {
	struct env *env;
	const struct door *door;
	__u32 count;
	__u64 entries[BENCH_MAX_BATCH * BENCH_ENTRY_WORDS];
};

/* Pages that are neighbours, or none of which is beside the one before it */
static inline void batch_fill(struct batch *batch, struct env *env,
			      const struct door *door, __u32 count,
			      bool adjacent)
{
	__u8 *entry = (__u8 *)batch->entries;
	__u64 page = 0;
	__u32 i;

	batch->env = env;
	batch->door = door;
	batch->count = count;
	for (i = 0; i < count; i++, entry += door->entry_len) {
		door->page(entry, BENCH_GIOVA + page * 4096);
		page = (page + (adjacent ? 1 : BENCH_STRIDE)) % BENCH_PAGES;
	}
}

/* Have the last entry name the page that leads somewhere */
static inline void batch_end_at(struct batch *batch, __u64 giova)
{
	__u8 *entry = (__u8 *)batch->entries;

	batch->door->page(entry + (batch->count - 1) * batch->door->entry_len,
			  giova);
}

static inline int batch_send(void *arg)
{
	const struct batch *batch = arg;
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = batch->door->id,
		.data_uptr = (uintptr_t)batch->entries,
		.data_type = batch->door->data_type,
		.entry_len = batch->door->entry_len,
		.entry_num = batch->count,
	};
	int rc = call(batch->env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &cmd);

	return rc ?: cmd.entry_num == batch->count ? 0 : -EPROTO;
}

#endif
