// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mock IOMMU's PASIDs that are attached one by one. It keeps which domain
 * each of them has, as a driver's table does, and holds the core to its promises.
 */
#include <linux/fault-inject.h>
#include <linux/iommufd.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"
#include "iommufd_test.h"
#include "selftest_pasid.h"

/**
 * mock_pasid_check_flags() - Whether the mock IOMMU has PASIDs for a domain
 * @dev: Mock device
 * @flags: Of enum iommufd_hwpt_alloc_flags
 *
 * Return: 0, or -EOPNOTSUPP.
 */
int mock_pasid_check_flags(struct device *dev, u32 flags)
{
	if (flags & IOMMU_HWPT_ALLOC_PASID && !dev->iommu->max_pasids)
		return -EOPNOTSUPP;
	return 0;
}

/**
 * mock_pasid_set() - The set_dev_pasid op of paging and nested domains
 * @domain: Domain
 * @dev: Mock device
 * @pasid: PASID
 * @old: Domain that it has, or NULL
 *
 * Return: 0 or an errno: that of the test, -EINVAL if the device has no such PASID,
 * or -ENOMEM.
 */
int mock_pasid_set(struct iommu_domain *domain, struct device *dev,
		   ioasid_t pasid, struct iommu_domain *old)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);
	struct iommu_domain *curr;

	/* A guest's table would have all PASIDs already */
	if (WARN_ON(dev->iommu->pasid_table))
		return -EBUSY;
	if (pasid >= dev->iommu->max_pasids)
		return -EINVAL;
	/* It may have joined its group after @old was attached */
	curr = xa_load(&mdev->domains, pasid);
	if (WARN_ON(curr != old && curr))
		return -EIO;
	if (iommufd_should_fail())
		return -ENOMEM;
	if (mdev->error)
		return -mdev->error;
	return xa_err(xa_store(&mdev->domains, pasid, domain, GFP_KERNEL));
}

/**
 * mock_pasid_remove() - The remove_dev_pasid op
 * @dev: Mock device
 * @pasid: PASID
 * @domain: Domain that it has, unless it joined its group later
 */
void mock_pasid_remove(struct device *dev, ioasid_t pasid,
		       struct iommu_domain *domain)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);
	struct iommu_domain *curr = xa_erase(&mdev->domains, pasid);

	WARN_ON(pasid >= dev->iommu->max_pasids);
	WARN_ON(curr != domain && curr);
}

/**
 * mock_pasid_response() - A page fault is answered
 * @dev: Mock device; the test may want the answer to take some time
 */
void mock_pasid_response(struct device *dev)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);

	wait_event_killable(mdev->release, !READ_ONCE(mdev->hold));
}

/**
 * iommufd_test_pasid_init() - A new mock device
 * @dev: Mock device
 */
void iommufd_test_pasid_init(struct device *dev)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);

	xa_init(&mdev->domains);
	init_waitqueue_head(&mdev->release);
}

/**
 * iommufd_test_pasid_release() - A mock device is freed
 * @dev: Mock device, no PASID of which must be attached any more
 */
void iommufd_test_pasid_release(struct device *dev)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);

	WARN_ON(!xa_empty(&mdev->domains));
	xa_destroy(&mdev->domains);
}

static int mock_pasid_attach(struct iommu_test_cmd *cmd,
			     struct iommufd_device *idev)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(idev->dev);
	int rc;

	if (cmd->pasid.error > MAX_ERRNO)
		return -EINVAL;
	mdev->error = cmd->pasid.error;
	rc = iommufd_device_attach_pasid(idev, cmd->pasid.pasid,
					 cmd->pasid.pt_id);
	mdev->error = 0;
	return rc;
}

static void mock_pasid_hold(struct device *dev, bool hold)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);

	WRITE_ONCE(mdev->hold, hold);
	wake_up_all(&mdev->release);
}

/* Do the driver and the core think that the PASID has this domain, or none? */
static bool mock_pasid_uses(struct device *dev, ioasid_t pasid,
			    const struct iommu_domain *domain)
{
	struct mock_pasid_dev *mdev = iommufd_test_pasid_dev(dev);
	struct iommu_domain *core_domain = NULL;
	struct iommu_attach_handle *handle;

	handle = iommu_attach_handle_get(dev->iommu_group, pasid, 0);
	if (!IS_ERR(handle))
		core_domain = handle->domain;
	return xa_load(&mdev->domains, pasid) == domain &&
	       core_domain == domain;
}

static int mock_pasid_query(struct iommufd_ucmd *ucmd,
			    struct iommufd_device *idev)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommu_domain *domain = NULL;
	struct iommufd_object *obj = NULL;
	int rc = 0;

	if (cmd->pasid.pt_id) {
		obj = iommufd_get_object(ucmd->ictx, cmd->pasid.pt_id,
					 IOMMUFD_OBJ_ANY);
		if (IS_ERR(obj))
			return PTR_ERR(obj);
		if (obj->type != IOMMUFD_OBJ_HWPT_PAGING &&
		    obj->type != IOMMUFD_OBJ_HWPT_NESTED)
			rc = -EINVAL;
		else
			domain = container_of(obj, struct iommufd_hw_pagetable,
					      obj)->domain;
	}
	if (!rc) {
		cmd->pasid.out_uses = mock_pasid_uses(idev->dev,
						      cmd->pasid.pasid, domain);
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	if (obj)
		iommufd_put_object(ucmd->ictx, obj);
	return rc;
}

/**
 * iommufd_test_pasid() - The test ops of single PASIDs
 * @ucmd: The user's struct iommu_test_cmd, with one of these ops
 * @idev: Mock device. The caller holds off its end.
 *
 * Return: 0 or an errno.
 */
int iommufd_test_pasid(struct iommufd_ucmd *ucmd, struct iommufd_device *idev)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	switch (cmd->op) {
	case IOMMU_TEST_OP_PASID_ATTACH:
		return mock_pasid_attach(cmd, idev);
	case IOMMU_TEST_OP_PASID_DETACH:
		iommufd_device_detach_pasid(idev, cmd->pasid.pasid);
		return 0;
	case IOMMU_TEST_OP_PASID_HOLD:
		mock_pasid_hold(idev->dev, cmd->pasid.error);
		return 0;
	case IOMMU_TEST_OP_PASID_QUERY:
		return mock_pasid_query(ucmd, idev);
	default:
		return -EOPNOTSUPP;
	}
}
