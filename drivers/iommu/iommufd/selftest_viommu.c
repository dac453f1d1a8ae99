// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mock IOMMU as a guest sees it. It caches translations, some per vIOMMU and
 * some per device; the guest's commands drop them, and a test asks which are left.
 */
#include <linux/atomic.h>
#include <linux/fault-inject.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "iommufd_private.h"
#include "iommufd_test.h"
#include "selftest_viommu.h"
#include "viommu.h"

/**
 * struct mock_viommu - A guest's share of the mock IOMMU
 * @core: What the core knows
 * @iotlb: A bit for each translation that is cached
 * @commands: Number of commands that were carried out
 * @syncs: How often somebody waited for them
 * @fail_errno: Positive errno of the next wait, or 0
 */
struct mock_viommu {
	struct iommu_viommu core;
	u64 iotlb;
	u32 commands;
	u32 syncs;
	u32 fail_errno;
};

/* An event before the guest's name for the device is known */
struct mock_viommu_cause {
	u32 value;
	bool hidden;
};

/* Protects every struct mock_viommu_dev and what is not @core in mock_viommu */
static DEFINE_MUTEX(mock_viommu_lock);
static atomic_t mock_viommus = ATOMIC_INIT(0);

static struct mock_viommu *to_mock_viommu(struct iommu_viommu *core)
{
	return container_of(core, struct mock_viommu, core);
}

static struct iommu_viommu *mock_viommu_alloc(struct device *dev,
					      struct iommu_domain *parent)
{
	struct mock_viommu *viommu;

	if (iommufd_should_fail())
		return ERR_PTR(-ENOSPC);
	viommu = kzalloc(sizeof(*viommu), GFP_KERNEL_ACCOUNT);
	if (!viommu)
		return ERR_PTR(-ENOMEM);
	viommu->iotlb = U64_MAX;
	atomic_inc(&mock_viommus);
	return &viommu->core;
}

static void mock_viommu_free(struct iommu_viommu *core)
{
	atomic_dec(&mock_viommus);
	kfree(to_mock_viommu(core));
}

static int mock_viommu_parse_table(struct iommu_viommu *viommu,
				   const void *data,
				   struct iommu_hwpt_pasid_table *config,
				   u64 *attrs)
{
	const struct mock_viommu_table *table = data;

	if (table->config < IOMMU_PASID_TABLE_TRANSLATE ||
	    table->config > IOMMU_PASID_TABLE_ABORT)
		return -EIO;
	config->format = IOMMU_PASID_TABLE_SMMUV3;
	config->config = table->config;
	config->pasid_bits = table->pasid_bits;
	config->base_addr = table->base_addr;
	return 0;
}

static int mock_viommu_drop(u64 *cache, u32 index)
{
	if (index >= MOCK_VIOMMU_CACHE_NUM)
		return -EIO;
	*cache &= ~BIT_ULL(index);
	return 0;
}

static int mock_viommu_drop_dev(struct iommu_viommu *core,
				const struct mock_viommu_cmd *cmd)
{
	struct device *dev;
	int rc = -EIO;

	down_read(&core->vdevs_sem);
	dev = iommu_viommu_find_dev(core, cmd->virt_id);
	if (dev) {
		mutex_lock(&mock_viommu_lock);
		rc = mock_viommu_drop(&iommufd_test_viommu_dev(dev)->cache,
				      cmd->index);
		mutex_unlock(&mock_viommu_lock);
	}
	up_read(&core->vdevs_sem);
	return rc;
}

static int mock_viommu_drop_iotlb(struct mock_viommu *viommu,
				  const struct mock_viommu_cmd *cmd)
{
	int rc = 0;

	if (cmd->virt_id)
		return -EIO;
	mutex_lock(&mock_viommu_lock);
	if (cmd->op == MOCK_VIOMMU_CMD_IOTLB)
		rc = mock_viommu_drop(&viommu->iotlb, cmd->index);
	else if (cmd->index)
		rc = -EIO;
	else
		viommu->iotlb = 0;
	mutex_unlock(&mock_viommu_lock);
	return rc;
}

static int mock_viommu_command(struct mock_viommu *viommu,
			       const struct mock_viommu_cmd *cmd)
{
	switch (cmd->op) {
	case MOCK_VIOMMU_CMD_IOTLB:
	case MOCK_VIOMMU_CMD_IOTLB_ALL:
		return mock_viommu_drop_iotlb(viommu, cmd);
	case MOCK_VIOMMU_CMD_DEV:
		return mock_viommu_drop_dev(&viommu->core, cmd);
	default:
		return -EIO;
	}
}

static int mock_viommu_sync(struct mock_viommu *viommu, u32 commands)
{
	int rc;

	if (iommufd_should_fail())
		return -ETIMEDOUT;
	mutex_lock(&mock_viommu_lock);
	viommu->commands += commands;
	viommu->syncs++;
	rc = -viommu->fail_errno;
	viommu->fail_errno = 0;
	mutex_unlock(&mock_viommu_lock);
	return rc;
}

static int mock_viommu_cache_invalidate(struct iommu_viommu *core,
					struct iommu_cmd_iter *iter, u32 *done)
{
	struct mock_viommu *viommu = to_mock_viommu(core);
	int i, nr, rc = 0, sync_rc;
	u32 added = 0;

	while (!rc && (nr = iommu_cmd_next(iter)) > 0) {
		for (i = 0; i < nr; i++) {
			rc = mock_viommu_command(viommu,
						 (void *)&iter->cmds[2 * i]);
			if (rc)
				break;
		}
		added += i;
	}

	sync_rc = mock_viommu_sync(viommu, added);
	if (sync_rc)
		return sync_rc;
	*done = added;
	return rc ?: nr;
}

const struct iommu_viommu_ops mock_viommu_ops = {
	.type = IOMMU_VIOMMU_TYPE_SELFTEST,
	.table_type = IOMMU_HWPT_DATA_SELFTEST_VIOMMU,
	.table_len = sizeof(struct mock_viommu_table),
	.inv_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
	.event_type = IOMMU_VEVENTQ_TYPE_SELFTEST,
	.event_len = sizeof(struct mock_viommu_event),
	.max_virt_id = MOCK_VIOMMU_MAX_VIRT_ID,
	.alloc = mock_viommu_alloc,
	.free = mock_viommu_free,
	.parse_table = mock_viommu_parse_table,
	.cache_invalidate = mock_viommu_cache_invalidate,
};

static bool mock_viommu_convert(const void *from, u64 virt_id, void *to)
{
	const struct mock_viommu_cause *cause = from;
	struct mock_viommu_event *event = to;

	if (cause->hidden)
		return false;
	event->virt_id = virt_id;
	event->value = cause->value;
	return true;
}

/* The mock device makes events, with values that count up */
static int mock_viommu_event(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_viommu_cause cause = {
		.value = cmd->viommu_event.value,
		.hidden = cmd->viommu_event.hidden,
	};
	struct iommufd_device *idev;
	u32 i, reported = 0;

	idev = iommufd_get_device(ucmd, cmd->id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	for (i = 0; i < min(cmd->viommu_event.count, MOCK_VIOMMU_MAX_EVENTS);
	     i++, cause.value++) {
		reported += iommu_vdevice_report(idev->dev, &mock_viommu_ops,
						 mock_viommu_convert, &cause);
		cond_resched();
	}
	iommufd_put_object(ucmd->ictx, &idev->obj);
	cmd->viommu_event.out_reported = reported;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int mock_viommu_query_dev(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_viommu_dev *mdev;
	struct iommufd_device *idev;

	idev = iommufd_get_device(ucmd, cmd->viommu_query.dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	mdev = iommufd_test_viommu_dev(idev->dev);
	mutex_lock(&mock_viommu_lock);
	cmd->viommu_query.out_dev_cache = mdev->cache;
	if (cmd->viommu_query.refill)
		mdev->cache = U64_MAX;
	mutex_unlock(&mock_viommu_lock);
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return 0;
}

static int mock_viommu_query(struct iommufd_ucmd *ucmd,
			     struct mock_viommu *viommu)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	int rc;

	if (cmd->viommu_query.dev_id) {
		rc = mock_viommu_query_dev(ucmd);
		if (rc)
			return rc;
	}
	mutex_lock(&mock_viommu_lock);
	cmd->viommu_query.out_iotlb = viommu->iotlb;
	cmd->viommu_query.out_commands = viommu->commands;
	cmd->viommu_query.out_syncs = viommu->syncs;
	if (cmd->viommu_query.refill)
		viommu->iotlb = U64_MAX;
	mutex_unlock(&mock_viommu_lock);
	cmd->viommu_query.out_viommus = atomic_read(&mock_viommus);
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int mock_viommu_set_fail(struct iommu_test_cmd *cmd,
				struct mock_viommu *viommu)
{
	if (cmd->viommu_fail.error > MAX_ERRNO)
		return -EINVAL;
	mutex_lock(&mock_viommu_lock);
	viommu->fail_errno = cmd->viommu_fail.error;
	mutex_unlock(&mock_viommu_lock);
	return 0;
}

static int mock_viommu_use(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_viommu *viommu;
	int rc;

	viommu = iommufd_get_viommu(ucmd, cmd->id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	if (viommu->core->ops != &mock_viommu_ops)
		rc = -EINVAL;
	else if (cmd->op == IOMMU_TEST_OP_VIOMMU_QUERY)
		rc = mock_viommu_query(ucmd, to_mock_viommu(viommu->core));
	else
		rc = mock_viommu_set_fail(cmd, to_mock_viommu(viommu->core));
	iommufd_put_object(ucmd->ictx, &viommu->obj);
	return rc;
}

/* As if as many events had come before */
static int mock_veventq_sequence(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_veventq *veventq;
	struct iommufd_object *obj;

	obj = iommufd_get_object(ucmd->ictx, cmd->id, IOMMUFD_OBJ_VEVENTQ);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	veventq = container_of(obj, struct iommufd_veventq, obj);
	spin_lock(&veventq->lock);
	veventq->sequence = cmd->veventq_sequence.next & INT_MAX;
	spin_unlock(&veventq->lock);
	iommufd_put_object(ucmd->ictx, obj);
	return 0;
}

/**
 * iommufd_test_viommu() - The test ops of vIOMMUs
 * @ucmd: The user's struct iommu_test_cmd
 *
 * Return: 0, or -EOPNOTSUPP for an op that is not one of these, or an errno.
 */
int iommufd_test_viommu(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	switch (cmd->op) {
	case IOMMU_TEST_OP_VIOMMU_QUERY:
	case IOMMU_TEST_OP_VIOMMU_FAIL:
		return mock_viommu_use(ucmd);
	case IOMMU_TEST_OP_VIOMMU_EVENT:
		return mock_viommu_event(ucmd);
	case IOMMU_TEST_OP_VEVENTQ_SEQUENCE:
		return mock_veventq_sequence(ucmd);
	default:
		return -EOPNOTSUPP;
	}
}
