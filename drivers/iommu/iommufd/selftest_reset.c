// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock devices that cannot answer: the test says when, as a bus would. The mock
 * IOMMU holds the core to its promise that nothing is left attached meanwhile.
 */
#include <linux/iommu-pasid-table.h>
#include <linux/iommu-reset.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"
#include "iommufd_test.h"
#include "selftest_pasid.h"
#include "selftest_pasid_table.h"
#include "selftest_reset.h"

/**
 * mock_reset_attach() - The end of the attach_dev ops
 * @domain: Domain
 * @dev: Mock device
 *
 * Return: 0, or the errno of the test.
 */
int mock_reset_attach(struct iommu_domain *domain, struct device *dev)
{
	struct mock_reset_dev *mdev = iommufd_test_reset_dev(dev);

	/* What drivers are told that they replace; a guest's table is not noted */
	WARN_ON(!mock_attached_table(dev) &&
		iommu_get_attached_domain(dev) != mdev->domain);
	if (domain->type != IOMMU_DOMAIN_BLOCKED && mdev->error &&
	    (!mdev->error_domain || mdev->error_domain == domain))
		return -mdev->error;
	mdev->domain = domain;
	return 0;
}

/**
 * mock_reset_quiesce() - The quiesce_dev op
 * @dev: Mock device; if it is parked it is blocked with all its PASIDs
 */
void mock_reset_quiesce(struct device *dev)
{
	struct mock_reset_dev *mdev = iommufd_test_reset_dev(dev);

	WARN_ON(dev->iommu->parked &&
		(mdev->domain->type != IOMMU_DOMAIN_BLOCKED ||
		 mock_attached_table(dev) ||
		 !xa_empty(&iommufd_test_pasid_dev(dev)->domains)));
	mdev->quiet = true;
}

/**
 * mock_reset_resume() - The resume_dev op
 * @dev: Mock device
 *
 * Return: 0.
 */
int mock_reset_resume(struct device *dev)
{
	iommufd_test_reset_dev(dev)->quiet = false;
	return 0;
}

static void mock_lost(struct device *dev)
{
	iommu_device_lost(dev);
	flush_work(&dev->iommu_group->lost_work);
}

/* What the driver has: the core may have forgotten a table that is still attached */
static bool mock_rid_uses(struct device *dev, struct iommu_domain *domain)
{
	struct iommu_pasid_table *table = mock_attached_table(dev);

	WARN_ON(dev->iommu->pasid_table != table);
	if (iommu_domain_is_pasid_table(domain))
		return table == to_iommu_pasid_table(domain);
	return !table && iommufd_test_reset_dev(dev)->domain == domain;
}

static u32 mock_nr_pasids(struct device *dev)
{
	struct iommu_domain *domain;
	unsigned long pasid;
	u32 nr = 0;

	xa_for_each(&iommufd_test_pasid_dev(dev)->domains, pasid, domain)
		nr++;
	return nr;
}

static void mock_reset_hwpt(struct iommu_test_cmd *cmd, struct device *dev,
			    struct iommu_domain *domain)
{
	struct mock_reset_dev *mdev = iommufd_test_reset_dev(dev);

	if (cmd->reset.what == MOCK_RESET_QUERY) {
		cmd->reset.out_uses = mock_rid_uses(dev, domain);
		return;
	}
	/* Compared, and not looked into: it may be gone by then */
	WRITE_ONCE(mdev->error_domain, domain);
	WRITE_ONCE(mdev->error, cmd->reset.error);
}

/* Under the group mutex, so that no attempt to attach is half done */
static int mock_reset_object(struct iommufd_ucmd *ucmd, struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_hw_pagetable *hwpt;
	struct iommufd_object *obj;

	obj = iommufd_get_object(ucmd->ictx, cmd->reset.pt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	mutex_lock(&group->mutex);
	if (obj->type == IOMMUFD_OBJ_HWPT_PAGING ||
	    obj->type == IOMMUFD_OBJ_HWPT_NESTED) {
		hwpt = container_of(obj, struct iommufd_hw_pagetable, obj);
		mock_reset_hwpt(cmd, dev, hwpt->domain);
	}
	cmd->reset.out_quiet = iommufd_test_reset_dev(dev)->quiet;
	cmd->reset.out_nr_pasids = mock_nr_pasids(dev);
	mutex_unlock(&group->mutex);
	iommufd_put_object(ucmd->ictx, obj);
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

/* What a test has set by MOCK_RESET_ERROR stays, unless it is to fail now */
static void mock_reset_end(struct device *dev, u32 error)
{
	struct mock_reset_dev *mdev = iommufd_test_reset_dev(dev);

	if (error) {
		WRITE_ONCE(mdev->error_domain, NULL);
		WRITE_ONCE(mdev->error, error);
	}
	iommu_device_was_reset(dev);
	iommu_device_resume(dev, IOMMU_QUIESCE_RESET);
	if (error)
		WRITE_ONCE(mdev->error, 0);
}

/**
 * iommufd_test_reset() - The test op of devices that cannot answer
 * @ucmd: The user's struct iommu_test_cmd
 * @idev: Mock device. The caller holds off faults and the device's end.
 *
 * Return: 0 or an errno.
 */
int iommufd_test_reset(struct iommufd_ucmd *ucmd, struct iommufd_device *idev)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	if (cmd->reset.error > MAX_ERRNO)
		return -EINVAL;
	switch (cmd->reset.what) {
	case MOCK_RESET_QUERY:
	case MOCK_RESET_ERROR:
		return mock_reset_object(ucmd, idev->dev);
	case MOCK_RESET_BEGIN:
		iommu_device_quiesce(idev->dev, IOMMU_QUIESCE_RESET);
		return 0;
	case MOCK_RESET_END:
		mock_reset_end(idev->dev, cmd->reset.error);
		return 0;
	case MOCK_RESET_GIVE_UP:
		iommu_device_resume(idev->dev, IOMMU_QUIESCE_RESET);
		return 0;
	case MOCK_RESET_SLEEP:
		iommu_device_quiesce(idev->dev, IOMMU_QUIESCE_POWER);
		return 0;
	case MOCK_RESET_WAKE:
		iommu_device_resume(idev->dev, IOMMU_QUIESCE_POWER);
		return 0;
	case MOCK_RESET_LOST:
		mock_lost(idev->dev);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}
