// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mock IOMMU's PASID tables of a guest. It keeps what a driver keeps, one
 * attachment per device and table, and records what tests want to know: which
 * table a device uses and which invalidations reached it.
 */
#include <linux/fault-inject.h>
#include <linux/iommu-viommu.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "iommufd_private.h"
#include "iommufd_test.h"
#include "selftest_pasid_table.h"

#define FNV1A_64_BASIS	0xcbf29ce484222325ULL
#define FNV1A_64_PRIME	0x100000001b3ULL

struct mock_pasid_table_attach {
	struct list_head elm;
	struct iommu_pasid_table *table;
	struct device *dev;
};

/* Newest attachment first. A device has two while one table replaces another */
static LIST_HEAD(mock_attaches);
/* Protects mock_attaches and every struct mock_pasid_table_dev */
static DEFINE_MUTEX(mock_attaches_lock);

/* NULL for any device or any table */
static struct mock_pasid_table_attach *
mock_attach_find(struct device *dev, const struct iommu_pasid_table *table)
{
	struct mock_pasid_table_attach *attach;

	lockdep_assert_held(&mock_attaches_lock);
	list_for_each_entry(attach, &mock_attaches, elm)
		if (attach->dev == dev && (!table || attach->table == table))
			return attach;
	return NULL;
}

static unsigned int mock_pasid_bits(struct device *dev)
{
	return dev->iommu->max_pasids ? ilog2(dev->iommu->max_pasids) : 0;
}

static int mock_pasid_table_check(struct iommu_domain *parent,
				  struct device *dev,
				  const struct iommu_hwpt_pasid_table *config)
{
	if (memchr_inv(config->smmuv3.__reserved, 0,
		       sizeof(config->smmuv3.__reserved)))
		return -EOPNOTSUPP;
	if (config->smmuv3.s1fmt > IOMMU_PASID_TABLE_S1FMT_64K_L2 ||
	    config->smmuv3.s1dss > IOMMU_PASID_TABLE_S1DSS_SSID0 ||
	    config->base_addr % 64)
		return -EINVAL;
	if (config->pasid_bits > mock_pasid_bits(dev))
		return -EOPNOTSUPP;
	return 0;
}

static int mock_pasid_table_fail(struct mock_pasid_table_dev *mdev, u32 op)
{
	if (mdev->fail_op != op)
		return 0;
	if (mdev->fail_after) {
		mdev->fail_after--;
		return 0;
	}
	mdev->fail_op = 0;
	return -mdev->fail_errno;
}

static int mock_pasid_table_attach(struct iommu_pasid_table *table,
				   struct device *dev)
{
	struct mock_pasid_table_dev *mdev = iommufd_test_pasid_table_dev(dev);
	struct mock_pasid_table_attach *attach;
	int rc;

	if (table->viommu && table->viommu->iommu_dev != dev->iommu->iommu_dev)
		return -EINVAL;
	if (iommufd_should_fail())
		return -ENOMEM;
	attach = kzalloc(sizeof(*attach), GFP_KERNEL);
	if (!attach)
		return -ENOMEM;
	attach->table = table;
	attach->dev = dev;

	mutex_lock(&mock_attaches_lock);
	rc = mock_pasid_table_fail(mdev, MOCK_PASID_TABLE_FAIL_ATTACH);
	if (rc) {
		kfree(attach);
	} else {
		list_add(&attach->elm, &mock_attaches);
		mdev->attaches++;
	}
	mutex_unlock(&mock_attaches_lock);
	return rc;
}

static void mock_pasid_table_detach(struct iommu_pasid_table *table,
				    struct device *dev)
{
	struct mock_pasid_table_attach *attach;

	mutex_lock(&mock_attaches_lock);
	attach = mock_attach_find(dev, table);
	if (!WARN_ON(!attach)) {
		list_del(&attach->elm);
		kfree(attach);
		iommufd_test_pasid_table_dev(dev)->detaches++;
	}
	mutex_unlock(&mock_attaches_lock);
}

static u64 mock_hash(u64 hash,
		     const struct iommu_hwpt_pasid_table_invalidate *req)
{
	const u8 *bytes = (const u8 *)req;
	size_t i;

	for (i = 0; i < sizeof(*req); i++)
		hash = (hash ^ bytes[i]) * FNV1A_64_PRIME;
	return hash;
}

static u64 mock_hash_all(const struct mock_pasid_table_dev *mdev)
{
	return mdev->range.nb_granules ? mock_hash(mdev->hash, &mdev->range) :
					 mdev->hash;
}

static void mock_record(struct mock_pasid_table_dev *mdev,
			const struct iommu_hwpt_pasid_table_invalidate *req,
			unsigned int merged)
{
	struct iommu_hwpt_pasid_table_invalidate *range = &mdev->range;

	mdev->requests += merged;
	if (req->nb_granules && req->addr &&
	    req->addr == range->addr +
				 (range->nb_granules << range->granule_log2) &&
	    !memcmp(req, range, offsetof(typeof(*req), addr))) {
		range->nb_granules += req->nb_granules;
		return;
	}
	mdev->hash = mock_hash_all(mdev);
	*range = *req;
	if (!req->nb_granules)
		mdev->hash = mock_hash(mdev->hash, req);
}

static int
mock_invalidate_one(const struct iommu_pasid_table *table,
		    const struct iommu_hwpt_pasid_table_invalidate *req,
		    unsigned int merged)
{
	struct mock_pasid_table_attach *attach;
	struct mock_pasid_table_dev *mdev;
	int rc;

	if (req->archid > MOCK_PASID_TABLE_ARCHID_MAX)
		return -EINVAL;
	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR &&
	    req->granule_log2 != MOCK_PASID_TABLE_GRANULE_LOG2)
		return -EINVAL;
	/* As the core promises, whatever it merges */
	if (WARN_ON(req->nb_granules &&
		    req->nb_granules - 1 >
			    (U64_MAX - req->addr) >> req->granule_log2))
		return -EIO;

	list_for_each_entry(attach, &mock_attaches, elm) {
		if (attach->table != table)
			continue;
		mdev = iommufd_test_pasid_table_dev(attach->dev);
		rc = mock_pasid_table_fail(mdev, MOCK_PASID_TABLE_FAIL_REQUEST);
		if (rc)
			return rc;
	}
	list_for_each_entry(attach, &mock_attaches, elm)
		if (attach->table == table)
			mock_record(iommufd_test_pasid_table_dev(attach->dev),
				    req, merged);
	return 0;
}

/* The hardware did not complete what it was given */
static int mock_invalidate_sync(const struct iommu_pasid_table *table)
{
	struct mock_pasid_table_attach *attach;
	int rc = 0;

	if (iommufd_should_fail())
		return -ETIMEDOUT;
	mutex_lock(&mock_attaches_lock);
	list_for_each_entry(attach, &mock_attaches, elm) {
		if (attach->table != table)
			continue;
		rc = mock_pasid_table_fail(iommufd_test_pasid_table_dev(attach->dev),
					   MOCK_PASID_TABLE_FAIL_SYNC);
		if (rc)
			break;
	}
	mutex_unlock(&mock_attaches_lock);
	return rc;
}

static int mock_pasid_table_cache_invalidate(struct iommu_pasid_table *table,
					     struct iommu_inv_iter *iter,
					     u32 *done)
{
	int i, nr, rc = 0, sync_rc;
	u32 added = 0;

	while (!rc && (nr = iommu_inv_next(iter)) > 0) {
		mutex_lock(&mock_attaches_lock);
		for (i = 0; i < nr; i++) {
			rc = mock_invalidate_one(table, &iter->reqs[i],
						 iter->merged[i]);
			if (rc)
				break;
			added += iter->merged[i];
		}
		mutex_unlock(&mock_attaches_lock);
	}

	sync_rc = mock_invalidate_sync(table);
	if (sync_rc)
		return sync_rc;
	*done = added;
	return rc ?: nr;
}

const struct iommu_pasid_table_ops mock_pasid_table_ops = {
	.format = IOMMU_PASID_TABLE_SMMUV3,
	.check = mock_pasid_table_check,
	.attach = mock_pasid_table_attach,
	.detach = mock_pasid_table_detach,
	.cache_invalidate = mock_pasid_table_cache_invalidate,
};

/**
 * mock_attached_table() - The table that the driver has for a device
 * @dev: Mock device
 *
 * For comparisons: who does not keep the device from moving must not use the table.
 *
 * Return: the table that was attached last and is not detached, or NULL.
 */
struct iommu_pasid_table *mock_attached_table(struct device *dev)
{
	struct mock_pasid_table_attach *attach;
	struct iommu_pasid_table *table;

	mutex_lock(&mock_attaches_lock);
	attach = mock_attach_find(dev, NULL);
	table = attach ? attach->table : NULL;
	mutex_unlock(&mock_attaches_lock);
	return table;
}

/**
 * iommufd_test_pasid_table_init() - A new mock device
 * @dev: Mock device
 */
void iommufd_test_pasid_table_init(struct device *dev)
{
	iommufd_test_pasid_table_dev(dev)->hash = FNV1A_64_BASIS;
}

/**
 * iommufd_test_pasid_table_release() - A mock device is freed
 * @dev: Mock device, which must not be attached to anything any more
 */
void iommufd_test_pasid_table_release(struct device *dev)
{
	struct mock_pasid_table_dev *mdev = iommufd_test_pasid_table_dev(dev);

	mutex_lock(&mock_attaches_lock);
	WARN_ON(mock_attach_find(dev, NULL) || mdev->attaches != mdev->detaches);
	mutex_unlock(&mock_attaches_lock);
}

/* The table of a HWPT; the caller keeps the object */
static struct iommu_pasid_table *mock_table_of(struct iommufd_object *obj)
{
	struct iommufd_hw_pagetable *hwpt =
		container_of(obj, struct iommufd_hw_pagetable, obj);

	if (!iommu_domain_is_pasid_table(hwpt->domain))
		return NULL;
	return to_iommu_pasid_table(hwpt->domain);
}

static int mock_pasid_table_query(struct iommufd_ucmd *ucmd, struct device *dev)
{
	struct mock_pasid_table_dev *mdev = iommufd_test_pasid_table_dev(dev);
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_pasid_table_attach *attach;
	struct iommu_pasid_table *table = NULL;
	struct iommufd_object *obj = NULL;

	if (cmd->id) {
		obj = iommufd_get_object(ucmd->ictx, cmd->id,
					 IOMMUFD_OBJ_HWPT_NESTED);
		if (IS_ERR(obj))
			return PTR_ERR(obj);
		table = mock_table_of(obj);
	}

	mutex_lock(&mock_attaches_lock);
	attach = mock_attach_find(dev, NULL);
	/* The core and the driver have to agree */
	cmd->pasid_table_query.out_uses =
		(attach ? attach->table : NULL) == table &&
		READ_ONCE(dev->iommu->pasid_table) == table;
	cmd->pasid_table_query.out_attaches = mdev->attaches;
	cmd->pasid_table_query.out_detaches = mdev->detaches;
	cmd->pasid_table_query.out_requests = mdev->requests;
	cmd->pasid_table_query.out_hash = mock_hash_all(mdev);
	mutex_unlock(&mock_attaches_lock);

	if (obj)
		iommufd_put_object(ucmd->ictx, obj);
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int mock_pasid_table_set_fail(struct iommu_test_cmd *cmd,
				     struct device *dev)
{
	struct mock_pasid_table_dev *mdev = iommufd_test_pasid_table_dev(dev);

	if (cmd->pasid_table_fail.error > MAX_ERRNO)
		return -EINVAL;
	mutex_lock(&mock_attaches_lock);
	mdev->fail_op = cmd->pasid_table_fail.op;
	mdev->fail_after = cmd->pasid_table_fail.after;
	mdev->fail_errno = cmd->pasid_table_fail.error;
	mutex_unlock(&mock_attaches_lock);
	return 0;
}

/**
 * iommufd_test_pasid_table() - The test ops of PASID tables
 * @ucmd: The user's struct iommu_test_cmd
 *
 * Return: 0, or -EOPNOTSUPP for an op that is not one of these, or an errno.
 */
int iommufd_test_pasid_table(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	int rc;

	if (cmd->op != IOMMU_TEST_OP_PASID_TABLE_QUERY &&
	    cmd->op != IOMMU_TEST_OP_PASID_TABLE_FAIL)
		return -EOPNOTSUPP;

	idev = iommufd_get_device(ucmd, cmd->pasid_table_query.dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	if (!iommufd_selftest_is_mock_dev(idev->dev))
		rc = -EINVAL;
	else if (cmd->op == IOMMU_TEST_OP_PASID_TABLE_QUERY)
		rc = mock_pasid_table_query(ucmd, idev->dev);
	else
		rc = mock_pasid_table_set_fail(cmd, idev->dev);
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}
