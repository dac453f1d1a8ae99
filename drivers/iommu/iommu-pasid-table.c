// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's PASID table: the part that does not depend on the vendor
 */
#include <linux/iommu-pasid-table.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "iommu-priv.h"

static const struct iommu_domain_ops iommu_pasid_table_domain_ops;

static const struct iommu_pasid_table_ops *
iommu_pasid_table_ops(const struct iommu_pasid_table *table)
{
	return table->parent->ops->pasid_table_ops;
}

/**
 * iommu_domain_is_pasid_table() - Whether a domain is a guest's PASID table
 * @domain: Any domain
 *
 * Return: true for what iommu_pasid_table_alloc() made.
 */
bool iommu_domain_is_pasid_table(const struct iommu_domain *domain)
{
	return domain->ops == &iommu_pasid_table_domain_ops;
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_is_pasid_table, IOMMUFD_INTERNAL);

static int
iommu_pasid_table_check(struct iommu_domain *parent,
			const struct iommu_hwpt_pasid_table *config)
{
	const struct iommu_domain_geometry *geometry = &parent->geometry;

	if (config->flags & ~IOMMU_PASID_TABLE_ATS)
		return -EOPNOTSUPP;
	if (config->format != parent->ops->pasid_table_ops->format)
		return -EOPNOTSUPP;
	if (config->config < IOMMU_PASID_TABLE_TRANSLATE ||
	    config->config > IOMMU_PASID_TABLE_ABORT)
		return -EINVAL;
	if (config->pasid_bits > IOMMU_PASID_TABLE_MAX_BITS)
		return -EINVAL;
	if (config->base_addr > geometry->aperture_end)
		return -EINVAL;
	return 0;
}

/**
 * iommu_pasid_table_alloc() - Make a domain of a guest's PASID table
 * @dev: Device that the table is meant for. Others behind the same IOMMU may be
 *       attached too, each is checked then.
 * @parent: Nesting parent; the caller keeps it alive for as long as the table
 * @config: What the guest asks for; untrusted, copied
 * @memory: The guest's memory; the caller keeps it alive for as long as the table
 *
 * The memory is charged to the caller. Free it with iommu_domain_free() once no
 * device is attached.
 *
 * Return: the domain, or
 *
 * * ERR_PTR(-EOPNOTSUPP): the driver or the hardware cannot do it, or a flag or
 *   reserved field is unknown
 * * ERR_PTR(-EINVAL): a value is malformed, or @parent is no nesting parent
 * * ERR_PTR(-ENOMEM)
 */
struct iommu_domain *
iommu_pasid_table_alloc(struct device *dev, struct iommu_domain *parent,
			const struct iommu_hwpt_pasid_table *config,
			struct iommu_guest_memory *memory)
{
	const struct iommu_pasid_table_ops *ops = parent->ops->pasid_table_ops;
	struct iommu_pasid_table *table;
	int rc;

	if (!ops)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->owner != dev_iommu_ops(dev))
		return ERR_PTR(-EINVAL);

	rc = iommu_pasid_table_check(parent, config);
	if (rc)
		return ERR_PTR(rc);
	rc = ops->check(parent, dev, config);
	if (rc)
		return ERR_PTR(rc);

	table = kzalloc(ops->size ?: sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	table->domain.type = IOMMU_DOMAIN_NESTED;
	table->domain.ops = &iommu_pasid_table_domain_ops;
	table->domain.owner = parent->owner;
	table->parent = parent;
	table->config = *config;
	table->memory = memory;
	if (ops->init)
		ops->init(table);
	return &table->domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_pasid_table_alloc, IOMMUFD_INTERNAL);

/* Whether a guest's PASID table fits a device; 0, -EINVAL or -EBUSY */
static int check_pasid_table(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_pasid_table *table = to_iommu_pasid_table(domain);

	iommu_group_mutex_assert(dev);

	if (dev_iommu_ops(dev) != domain->owner)
		return -EINVAL;
	if (iommu_pasid_table_ops(table)->check(table->parent, dev,
						&table->config))
		return -EINVAL;
	/* All PASIDs are the guest's then */
	if (iommu_group_has_pasids(dev->iommu_group))
		return -EBUSY;
	return 0;
}

/**
 * iommu_attach_pasid_table() - Let a guest's PASID table translate for a device
 * @domain: Table, of iommu_pasid_table_alloc()
 * @dev: Device behind the IOMMU of the table's parent
 *
 * The attach_dev op of the domain, so every way to attach or to replace a domain
 * ends here. The caller holds the group mutex. If it fails, the device keeps
 * the translation it had.
 *
 * Return: 0, -EINVAL if table and device do not fit, -EBUSY while PASIDs of the
 * device are attached, -EAGAIN if the guest's memory is busy, or another errno of
 * iommu_domain_ops.attach_dev.
 */
int iommu_attach_pasid_table(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_pasid_table *table = to_iommu_pasid_table(domain);
	int rc;

	/* Back to it after something else failed: the device never left it */
	if (dev->iommu->pasid_table == table)
		return 0;
	rc = check_pasid_table(domain, dev);
	if (rc)
		return rc;
	return iommu_pasid_table_ops(table)->attach(table, dev);
}

/**
 * iommu_detach_pasid_table() - Forget that a device used a guest's PASID table
 * @table: Table that iommu_attach_pasid_table() gave to the device
 * @dev: Device, which translates through another domain or is blocked by now
 *
 * Which domain takes the table's place is the business of whoever replaces it:
 * the nesting parent for stage 2 only, the blocking or the default domain when
 * the device is released. The caller holds the group mutex.
 */
void iommu_detach_pasid_table(struct iommu_pasid_table *table,
			      struct device *dev)
{
	iommu_group_mutex_assert(dev);
	iommu_pasid_table_ops(table)->detach(table, dev);
}

/*
 * A device was attached to @domain. Pairs each successful attach of a table with
 * one detach, in the unwind paths of a group as well: what counts is what the
 * device itself uses, not what the group is meant to use.
 */
void __iommu_pasid_table_moved(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_pasid_table *old = dev->iommu->pasid_table;
	struct iommu_pasid_table *new = NULL;

	if (iommu_domain_is_pasid_table(domain))
		new = to_iommu_pasid_table(domain);
	if (new == old)
		return;
	WRITE_ONCE(dev->iommu->pasid_table, new);
	if (old)
		iommu_detach_pasid_table(old, dev);
}

/*
 * A device disappears while its group still uses a table, as a sibling of an
 * assigned device may. Block it first: the table goes before release_device().
 */
void __iommu_pasid_table_release(struct device *dev)
{
	struct iommu_domain *blocked = dev_iommu_ops(dev)->blocked_domain;
	struct iommu_pasid_table *old = dev->iommu->pasid_table;

	if (blocked)
		blocked->ops->attach_dev(blocked, dev);
	WRITE_ONCE(dev->iommu->pasid_table, NULL);
	iommu_detach_pasid_table(old, dev);
}

static int
iommu_inv_check_addr(const struct iommu_hwpt_pasid_table_invalidate *req)
{
	if (req->caches & IOMMU_PASID_TABLE_INV_PASID_CACHE)
		return -EINVAL;
	if (req->granule_log2 < 12 || req->granule_log2 > 63)
		return -EINVAL;
	return 0;
}

static int
iommu_inv_check_pasid(const struct iommu_hwpt_pasid_table_invalidate *req)
{
	if ((req->caches & (IOMMU_PASID_TABLE_INV_DEV_TLB |
			    IOMMU_PASID_TABLE_INV_PASID_CACHE)) &&
	    !(req->flags & IOMMU_PASID_TABLE_INV_PASID))
		return -EINVAL;
	if (!(req->flags & (IOMMU_PASID_TABLE_INV_PASID |
			    IOMMU_PASID_TABLE_INV_ARCHID)))
		return -EINVAL;
	return 0;
}

/* Everything but the range of addresses */
static int
iommu_inv_check_kind(const struct iommu_pasid_table *table,
		     const struct iommu_hwpt_pasid_table_invalidate *req)
{
	bool pasid_valid = req->flags & IOMMU_PASID_TABLE_INV_PASID;
	bool archid_valid = req->flags & IOMMU_PASID_TABLE_INV_ARCHID;

	if (req->flags & ~(IOMMU_PASID_TABLE_INV_LEAF |
			   IOMMU_PASID_TABLE_INV_PASID |
			   IOMMU_PASID_TABLE_INV_ARCHID))
		return -EOPNOTSUPP;
	if (req->caches & ~(IOMMU_PASID_TABLE_INV_IOTLB |
			    IOMMU_PASID_TABLE_INV_DEV_TLB |
			    IOMMU_PASID_TABLE_INV_PASID_CACHE))
		return -EOPNOTSUPP;
	if (!req->caches)
		return -EINVAL;
	if (pasid_valid ? req->pasid >> table->config.pasid_bits : req->pasid)
		return -EINVAL;
	if (!archid_valid && req->archid)
		return -EINVAL;
	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR)
		return iommu_inv_check_addr(req);

	if (req->granule_log2 || req->addr || req->nb_granules)
		return -EINVAL;
	switch (req->granularity) {
	case IOMMU_PASID_TABLE_INV_DOMAIN:
		return req->flags ? -EINVAL : 0;
	case IOMMU_PASID_TABLE_INV_ONE_PASID:
		return iommu_inv_check_pasid(req);
	default:
		return -EOPNOTSUPP;
	}
}

/* Aligned, at least one granule, and the last byte is inside 64 bits */
static int iommu_inv_check_range(u64 addr, u64 nr, u32 granule_log2)
{
	if (addr & ((1ULL << granule_log2) - 1))
		return -EINVAL;
	if (!nr || nr - 1 > (U64_MAX - addr) >> granule_log2)
		return -EINVAL;
	return 0;
}

/* Whether two requests differ in their ranges only */
static bool
iommu_inv_same_kind(const struct iommu_hwpt_pasid_table_invalidate *req,
		    const struct iommu_hwpt_pasid_table_invalidate *other)
{
	const u64 *a = (const u64 *)req, *b = (const u64 *)other;

	static_assert(offsetof(struct iommu_hwpt_pasid_table_invalidate,
			       addr) == 3 * sizeof(u64));
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/*
 * Check the ranges of a run that starts at @from, and move it to @iter->reqs[*out]
 * and on. A range that follows the one before it without a gap becomes part of
 * that; nothing follows the end of 64 bits. Returns the end of the run, or the
 * request that is @iter->pending_error.
 */
static struct iommu_hwpt_pasid_table_invalidate *
iommu_inv_check_run(struct iommu_inv_iter *iter,
		    struct iommu_hwpt_pasid_table_invalidate *from,
		    const struct iommu_hwpt_pasid_table_invalidate *stop,
		    int *out)
{
	const struct iommu_hwpt_pasid_table_invalidate kind = *from;
	struct iommu_hwpt_pasid_table_invalidate *req = from;
	int err, first = *out, to = *out;
	u64 next = 0;

	do {
		err = iommu_inv_check_range(req->addr, req->nb_granules,
					    kind.granule_log2);
		if (err)
			break;
		if (req->addr && req->addr == next) {
			iter->reqs[to - 1].nb_granules += req->nb_granules;
			iter->merged[to - 1]++;
		} else {
			if (req != &iter->reqs[to])
				iter->reqs[to] = *req;
			iter->merged[to++] = 1;
		}
		next = req->addr + (req->nb_granules << kind.granule_log2);
	} while (++req < stop && iommu_inv_same_kind(req, &kind));

	iter->runs[first].len = to - first;
	iter->runs[first].merged = req - from;
	iter->pending_error = err;
	*out = to;
	return req;
}

/* Check @nr requests and merge them in place */
static int iommu_inv_check_chunk(struct iommu_inv_iter *iter, int nr)
{
	struct iommu_hwpt_pasid_table_invalidate *req = iter->reqs;
	struct iommu_hwpt_pasid_table_invalidate *stop = req + nr;
	int out = 0;

	while (req < stop && !iter->pending_error) {
		iter->pending_error = iommu_inv_check_kind(iter->table, req);
		if (iter->pending_error)
			break;
		if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR) {
			req = iommu_inv_check_run(iter, req, stop, &out);
			continue;
		}
		iter->reqs[out] = *req++;
		iter->runs[out] = (struct iommu_inv_run){ 1, 1 };
		iter->merged[out++] = 1;
	}
	return out ?: iter->pending_error;
}

/**
 * iommu_inv_next() - Get the next requests of an invalidation
 * @iter: From the driver's cache_invalidate op
 *
 * The requests are copies that the core has checked; the driver checks what
 * depends on its hardware. May sleep.
 *
 * Return: the number of requests in @iter->reqs, 0 after the last one, or the
 * errno of the next request, after all the ones before it.
 */
int iommu_inv_next(struct iommu_inv_iter *iter)
{
	int nr;

	if (iter->pending_error || !iter->source->left)
		return iter->pending_error;
	if (fatal_signal_pending(current))
		return -EINTR;

	nr = iter->source->fetch(iter->source, iter->reqs, sizeof(*iter->reqs),
				 IOMMU_INV_CHUNK);
	if (iter->source->left)
		cond_resched();
	return nr < 0 ? nr : iommu_inv_check_chunk(iter, nr);
}
EXPORT_SYMBOL_GPL(iommu_inv_next);

/**
 * iommu_cache_invalidate() - Drop cached translations of a guest's PASID table
 * @domain: Table, of iommu_pasid_table_alloc()
 * @source: Where the requests come from; untrusted
 * @done: Returns the number of requests that are complete, from the first on.
 *        The request after them is the cause of an error.
 *
 * Waits for the hardware once. Takes no lock that an attach holds while it
 * sleeps; the caller keeps the table alive. May sleep.
 *
 * Return: 0 if all requests are complete, or the errnos that struct
 * iommu_hwpt_pasid_table_invalidate lists.
 */
int iommu_cache_invalidate(struct iommu_domain *domain,
			   struct iommu_inv_source *source, u32 *done)
{
	struct iommu_pasid_table *table = to_iommu_pasid_table(domain);
	/* The chunk is written before it is read */
	struct iommu_inv_iter iter __uninitialized;

	iter.table = table;
	iter.source = source;
	iter.pending_error = 0;
	*done = 0;
	return iommu_pasid_table_ops(table)->cache_invalidate(table, &iter,
							      done);
}
EXPORT_SYMBOL_NS_GPL(iommu_cache_invalidate, IOMMUFD_INTERNAL);

static void iommu_pasid_table_free(struct iommu_domain *domain)
{
	kfree(to_iommu_pasid_table(domain));
}

static const struct iommu_domain_ops iommu_pasid_table_domain_ops = {
	.attach_dev = iommu_attach_pasid_table,
	.free = iommu_pasid_table_free,
};
