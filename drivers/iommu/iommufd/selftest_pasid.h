/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mock driver and its part for single PASIDs know of each other
 */
#ifndef __IOMMUFD_SELFTEST_PASID_H
#define __IOMMUFD_SELFTEST_PASID_H

#include <linux/iommu.h>
#include <linux/wait.h>
#include <linux/xarray.h>

/**
 * struct mock_pasid_dev - The PASIDs of a mock device as the mock IOMMU sees them
 * @domains: What each PASID is attached to
 * @error: Positive errno that the driver fails with, or 0
 * @hold: Responses to page faults wait until it is false
 * @release: Where they wait
 */
struct mock_pasid_dev {
	struct xarray domains;
	u32 error;
	bool hold;
	wait_queue_head_t release;
};

struct iommufd_device;
struct iommufd_ucmd;

/* In selftest.c */
struct mock_pasid_dev *iommufd_test_pasid_dev(struct device *dev);

int mock_pasid_check_flags(struct device *dev, u32 flags);
int mock_pasid_set(struct iommu_domain *domain, struct device *dev,
		   ioasid_t pasid, struct iommu_domain *old);
void mock_pasid_remove(struct device *dev, ioasid_t pasid,
		       struct iommu_domain *domain);

void mock_pasid_response(struct device *dev);

void iommufd_test_pasid_init(struct device *dev);
void iommufd_test_pasid_release(struct device *dev);
int iommufd_test_pasid(struct iommufd_ucmd *ucmd, struct iommufd_device *idev);

#endif
