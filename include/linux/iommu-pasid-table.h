/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's PASID table, nested on a stage 2 that the host owns
 *
 * The guest owns the table and the stage-1 translations below it, the host owns
 * the nesting parent (stage 2) and the entry of the device in its own tables.
 * The core checks what does not depend on the vendor and hands the rest to the
 * nesting parent's driver through struct iommu_pasid_table_ops.
 */
#ifndef __LINUX_IOMMU_PASID_TABLE_H
#define __LINUX_IOMMU_PASID_TABLE_H

#include <linux/iommu.h>
#include <uapi/linux/iommufd.h>

struct iommu_viommu;
struct iommu_pasid_table;

/* PCIe and SMMUv3 have 20-bit PASIDs */
#define IOMMU_PASID_TABLE_MAX_BITS	20

/* Requests that one fetch brings; the array lives on the stack */
#define IOMMU_INV_CHUNK			32

struct iommu_guest_memory;

/**
 * struct iommu_guest_memory_ops - How a driver gets at what a guest has written
 * @lock: Keep what is mapped as it is, so that @read works. Others may hold the
 *        lock for as long as user space likes. Under the group mutex, and under any
 *        lock that is taken under it, @wait must be false: -EAGAIN if the lock cannot
 *        be had at once. Otherwise waits for it, until a fatal signal: -EINTR.
 * @unlock: Undo @lock
 * @read: Copy @len bytes from guest physical address @gpa on, as a device below
 *        the nesting parent sees them, to @buf. Returns 0, or -EFAULT if there is an
 *        address among them where nothing is mapped; @buf is undefined then. Takes
 *        no page fault.
 */
struct iommu_guest_memory_ops {
	int (*lock)(struct iommu_guest_memory *memory, bool wait);
	void (*unlock)(struct iommu_guest_memory *memory);
	int (*read)(struct iommu_guest_memory *memory, u64 gpa, void *buf,
		    size_t len);
};

/**
 * struct iommu_guest_memory - A guest's memory
 * @ops: Operations
 */
struct iommu_guest_memory {
	const struct iommu_guest_memory_ops *ops;
};

/**
 * struct iommu_pasid_table - A guest's PASID table as a domain to attach
 * @domain: IOMMU_DOMAIN_NESTED, with the core's ops
 * @parent: Nesting parent: the stage 2. The owner of the table keeps it alive.
 * @config: What the guest asked for. Checked by the core and the driver,
 *          constant after allocation.
 * @viommu: The guest's IOMMU that the table was made on, kept alive like @parent,
 *          or NULL. Its address-space tags are those of all tables there.
 * @attrs: How the hardware is to fetch the table, in the driver's own encoding;
 *         0 without @viommu
 * @memory: The guest's memory, for hardware that cannot read the table itself.
 *          Lives as long as the table.
 */
struct iommu_pasid_table {
	struct iommu_domain domain;
	struct iommu_domain *parent;
	struct iommu_hwpt_pasid_table config;
	struct iommu_viommu *viommu;
	u64 attrs;
	struct iommu_guest_memory *memory;
};

/**
 * struct iommu_inv_source - Where the entries of an invalidation come from
 * @left: Number of entries that are not fetched yet; @fetch counts down
 * @fetch: Store the next entries, of @size bytes each and @max of them at most,
 *         and return their number, at least 1, or the errno of the next one.
 *         Called while there are entries left. May sleep.
 */
struct iommu_inv_source {
	u32 left;
	int (*fetch)(struct iommu_inv_source *source, void *entries,
		     size_t size, u32 max);
};

/**
 * struct iommu_inv_run - Requests in a row that differ in their ranges only
 * @len: Number of them
 * @merged: Number of the caller's requests that they stand for
 */
struct iommu_inv_run {
	u8 len;
	u8 merged;
};

/**
 * struct iommu_inv_iter - Checked requests, chunk by chunk
 * @reqs: The chunk that iommu_inv_next() returned
 * @merged: Number of the caller's requests that each of @reqs stands for: ranges
 *          that follow each other without a gap become one
 * @runs: Of each of @reqs that starts a run; undefined for the others
 * @table: Table that the requests are for
 * @source: Where they come from
 * @pending_error: Errno of the request after @reqs; private
 */
struct iommu_inv_iter {
	struct iommu_hwpt_pasid_table_invalidate reqs[IOMMU_INV_CHUNK];
	u8 merged[IOMMU_INV_CHUNK];
	struct iommu_inv_run runs[IOMMU_INV_CHUNK];
	const struct iommu_pasid_table *table;
	struct iommu_inv_source *source;
	int pending_error;
};

/**
 * struct iommu_pasid_table_ops - What a driver does for a guest's PASID table
 * @format: The one format that the hardware has, of
 *          enum iommu_pasid_table_format
 * @size: Bytes of the driver's own struct, which starts with a struct
 *        iommu_pasid_table, or 0 if that is all it needs
 * @init: Initialise what follows in the driver's struct, all 0 by then; NULL with
 *        a @size of 0
 * @check: Refuse a configuration that @dev or the hardware behind it cannot do.
 *         @parent belongs to the same driver, but may be anything else. Changes
 *         nothing. EOPNOTSUPP for what is missing, EINVAL for what is malformed.
 * @attach: Make @dev translate through @table. On failure the device keeps what
 *          it had. Called under the group mutex; each success is followed by
 *          one @detach. Errnos as for iommu_domain_ops.attach_dev; -EAGAIN if the
 *          guest's memory is busy.
 * @detach: @dev left @table: it translates through something else or is blocked
 *          by now. Drop what @attach holds. Called under the group mutex.
 * @cache_invalidate: Do the requests of @iter in their order and wait for them
 *                    once. @done returns the number of the caller's requests
 *                    that are complete.
 *                    Called with the table alive and without the group mutex:
 *                    devices come and go meanwhile.
 */
struct iommu_pasid_table_ops {
	u32 format;
	size_t size;
	void (*init)(struct iommu_pasid_table *table);
	int (*check)(struct iommu_domain *parent, struct device *dev,
		     const struct iommu_hwpt_pasid_table *config);
	int (*attach)(struct iommu_pasid_table *table, struct device *dev);
	void (*detach)(struct iommu_pasid_table *table, struct device *dev);
	int (*cache_invalidate)(struct iommu_pasid_table *table,
				struct iommu_inv_iter *iter, u32 *done);
};

static inline struct iommu_pasid_table *
to_iommu_pasid_table(struct iommu_domain *domain)
{
	return container_of(domain, struct iommu_pasid_table, domain);
}

#ifdef CONFIG_IOMMU_PASID_TABLE
bool iommu_domain_is_pasid_table(const struct iommu_domain *domain);
struct iommu_domain *
iommu_pasid_table_alloc(struct device *dev, struct iommu_domain *parent,
			const struct iommu_hwpt_pasid_table *config,
			struct iommu_guest_memory *memory);
int iommu_attach_pasid_table(struct iommu_domain *domain, struct device *dev);
void iommu_detach_pasid_table(struct iommu_pasid_table *table,
			      struct device *dev);
int iommu_cache_invalidate(struct iommu_domain *domain,
			   struct iommu_inv_source *source, u32 *done);
int iommu_inv_next(struct iommu_inv_iter *iter);
#else
static inline bool
iommu_domain_is_pasid_table(const struct iommu_domain *domain)
{
	return false;
}

static inline struct iommu_domain *
iommu_pasid_table_alloc(struct device *dev, struct iommu_domain *parent,
			const struct iommu_hwpt_pasid_table *config,
			struct iommu_guest_memory *memory)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void iommu_detach_pasid_table(struct iommu_pasid_table *table,
					    struct device *dev)
{
}

static inline int iommu_cache_invalidate(struct iommu_domain *domain,
					 struct iommu_inv_source *source,
					 u32 *done)
{
	return -EOPNOTSUPP;
}
#endif /* CONFIG_IOMMU_PASID_TABLE */
#endif
