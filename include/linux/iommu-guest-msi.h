/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSI doorbells of a guest
 *
 * A device writes its MSIs to an address like any other DMA. While a guest owns
 * stage 1 they take the way gIOVA -> guest doorbell (GPA) -> physical doorbell:
 * the VMM says which gIOVA and GPA by a binding, the physical doorbell is what
 * the interrupt controller names when an MSI is set up.
 */
#ifndef __LINUX_IOMMU_GUEST_MSI_H
#define __LINUX_IOMMU_GUEST_MSI_H

#include <linux/iommu.h>

struct msi_desc;

/* Bindings of one device: bounds the searches that user space can cause */
#define IOMMU_GUEST_MSI_MAX	64

struct iommu_guest_msi;

/**
 * struct iommu_guest_msi_window - What a guest says about a doorbell
 * @iova: gIOVA that the guest gave to its device, in bytes
 * @gpa: GPA of the guest's doorbell, in bytes
 * @length: Size of both, in bytes: a power of two that both are multiples of
 */
struct iommu_guest_msi_window {
	u64 iova;
	u64 gpa;
	u64 length;
};

/**
 * enum iommu_guest_msi_kind - How the MSIs of a device find their doorbell
 * @IOMMU_GUEST_MSI_HARDWARE: The hardware takes them before it translates
 * @IOMMU_GUEST_MSI_MAPPED: They are translated: stage 2 has to map the doorbell
 */
enum iommu_guest_msi_kind {
	IOMMU_GUEST_MSI_HARDWARE,
	IOMMU_GUEST_MSI_MAPPED,
};

#ifdef CONFIG_IOMMU_PASID_TABLE
int iommu_guest_msi_claim(struct device *dev);
void iommu_guest_msi_unclaim(struct device *dev);
void iommu_guest_msi_move_window(struct iommu_group *group, u64 start);
int iommu_guest_msi_kind(struct iommu_domain *parent, struct device *dev,
			 const struct iommu_guest_msi_window *window);
struct iommu_guest_msi *
iommu_bind_guest_msi(struct iommu_domain *parent, struct device *dev,
		     const struct iommu_guest_msi_window *window);
int iommu_unbind_guest_msi(struct iommu_guest_msi *msi);
void iommu_release_guest_msi(struct iommu_guest_msi *msi);

int iommu_guest_msi_prepare(struct msi_desc *desc, phys_addr_t msi_addr);
int iommu_guest_msi_attach(struct iommu_domain *domain, struct device *dev,
			   int (*attach)(struct iommu_domain *domain,
					 struct device *dev));
#else
static inline int iommu_guest_msi_claim(struct device *dev)
{
	return 0;
}

static inline void iommu_guest_msi_unclaim(struct device *dev)
{
}

static inline int iommu_guest_msi_prepare(struct msi_desc *desc,
					  phys_addr_t msi_addr)
{
	return 0;
}

static inline int
iommu_guest_msi_attach(struct iommu_domain *domain, struct device *dev,
		       int (*attach)(struct iommu_domain *domain,
				     struct device *dev))
{
	return attach(domain, dev);
}
#endif /* CONFIG_IOMMU_PASID_TABLE */
#endif
