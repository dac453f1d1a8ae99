/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mock driver and its part for devices that cannot answer know of each
 * other
 */
#ifndef __IOMMUFD_SELFTEST_RESET_H
#define __IOMMUFD_SELFTEST_RESET_H

#include <linux/iommu.h>

/**
 * struct mock_reset_dev - What the mock IOMMU has of a device, PASIDs aside
 * @domain: Domain that was attached last, guest tables aside
 * @error: Positive errno that an attach fails with, or 0
 * @error_domain: Domain that @error is for, or NULL for any
 * @quiet: Nothing must be sent to the device
 */
struct mock_reset_dev {
	const struct iommu_domain *domain;
	u32 error;
	const struct iommu_domain *error_domain;
	bool quiet;
};

struct iommufd_device;
struct iommufd_ucmd;

/* In selftest.c */
struct mock_reset_dev *iommufd_test_reset_dev(struct device *dev);

int mock_reset_attach(struct iommu_domain *domain, struct device *dev);
void mock_reset_quiesce(struct device *dev);
int mock_reset_resume(struct device *dev);

int iommufd_test_reset(struct iommufd_ucmd *ucmd, struct iommufd_device *idev);

#endif
