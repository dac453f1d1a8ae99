// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI doorbells of a guest: gIOVA -> guest doorbell (GPA) -> physical doorbell
 *
 * An MSI that is set up has its address in the device, and the device goes on
 * writing there. So what a binding or a domain promises to an MSI in use must
 * not change: whoever would change it is refused.
 *
 * Locks, from the outside: the group mutex, the mutex of the device's MSIs,
 * iommu_guest_msi_lock, that of the pages of MSI windows in dma-iommu.c. Setting up
 * an MSI holds the second one throughout.
 */
#include <linux/iommu-guest-msi.h>
#include <linux/iommu-pasid-table.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/msi.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "dma-iommu.h"
#include "iommu-priv.h"

/**
 * struct iommu_guest_msi_doorbell - A guest's doorbell in a nesting parent
 * @node: In the parent's guest_msi_doorbells
 * @parent: Nesting parent; its owner releases all bindings before it goes
 * @users: Bindings of the doorbell
 * @hole: What the flat window has to leave out for it
 * @gpa: Where the guest's doorbell is
 * @length: Its size
 * @mapped: Whether stage 2 maps it: from the first MSI on, which brings @phys
 * @phys: Page of the physical doorbell
 */
struct iommu_guest_msi_doorbell {
	struct hlist_node node;
	struct iommu_domain *parent;
	refcount_t users;
	struct iommu_dma_msi_hole hole;
	u64 gpa;
	u64 length;
	bool mapped;
	phys_addr_t phys;
};

/**
 * struct iommu_guest_msi - A doorbell that a device uses by a gIOVA
 * @item: In the device's guest_msis
 * @dev: Device; claimed
 * @doorbell: What @iova leads to
 * @iova: gIOVA
 */
struct iommu_guest_msi {
	struct list_head item;
	struct device *dev;
	struct iommu_guest_msi_doorbell *doorbell;
	u64 iova;
};

/* Guards the lists of all devices and parents, and the mappings of doorbells */
static DEFINE_MUTEX(iommu_guest_msi_lock);

/*
 * The number of each physical doorbell, by its page, under the same lock. It says
 * where the doorbell is in a flat window, in every domain the same: what a device
 * has been told is true wherever it is attached later. A machine has few
 * doorbells, and only its interrupt controllers name them.
 */
static DEFINE_XARRAY(iommu_guest_msi_numbers);
static unsigned long iommu_guest_msi_nr_numbers;

static u64 doorbell_granule(const struct iommu_guest_msi_doorbell *doorbell)
{
	return 1ULL << __ffs(doorbell->parent->pgsize_bitmap);
}

/* Offset of the page inside the guest's doorbell where the physical one is */
static u64 doorbell_offset(const struct iommu_guest_msi_doorbell *doorbell)
{
	return doorbell->phys & (doorbell->length - 1);
}

static bool doorbell_leads_to(const struct iommu_guest_msi_doorbell *doorbell,
			      phys_addr_t msi_addr)
{
	return doorbell->mapped && in_range(msi_addr, doorbell->phys,
					    doorbell_granule(doorbell));
}

/* The address that an MSI was set up with; false if it is not translated */
static bool msi_desc_address(const struct msi_desc *desc, u64 *addr)
{
#ifdef CONFIG_IRQ_MSI_IOMMU
	*addr = (u64)desc->iommu_msi_iova << desc->iommu_msi_shift;
	return desc->iommu_msi_shift;
#else
	return false;
#endif
}

static bool guest_msi_owns(const struct iommu_guest_msi *msi, u64 addr)
{
	const struct iommu_guest_msi_doorbell *doorbell = msi->doorbell;

	return in_range(addr, msi->iova, doorbell->length) ||
	       in_range(addr, doorbell->gpa, doorbell->length);
}

/**
 * iommu_guest_msi_claim() - Begin to look after the MSIs of a device
 * @dev: Device that user space has got the DMA ownership of
 *
 * From now on the domains that the device is attached to keep the MSIs in use
 * reachable, or the attach fails. The caller makes sure that the device keeps
 * its driver until iommu_guest_msi_unclaim(), and that no attach of its group
 * runs at the same time as one of the two.
 *
 * Return: 0 or -ENOMEM
 */
int iommu_guest_msi_claim(struct device *dev)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int rc;

	/* The mutex of the MSIs has to be there before the first MSI */
	rc = msi_setup_device_data(dev);
	if (rc)
		return rc;
	INIT_LIST_HEAD(&dev->iommu->guest_msis);
	dev->iommu->msi_window_size = 0;
	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		if (region->type != IOMMU_RESV_SW_MSI)
			continue;
		dev->iommu->msi_window_start = region->start;
		dev->iommu->msi_window_size = region->length;
	}
	iommu_put_resv_regions(dev, &regions);
	dev->iommu->guest_msi_claimed = true;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_guest_msi_claim, IOMMUFD_INTERNAL);

static int guest_msi_move_window(struct device *dev, void *start)
{
	if (!dev->iommu->guest_msi_claimed)
		return 0;
	msi_lock_descs(dev);
	dev->iommu->msi_window_start = *(u64 *)start;
	msi_unlock_descs(dev);
	return 0;
}

/**
 * iommu_guest_msi_move_window() - Say where the flat window of a group will be
 * @group: Group that is blocked; none of its devices is claimed or unclaimed now
 * @start: Where the MSI cookies begin of all domains that it will be attached to
 *
 * An MSI in use stays in the old window: the next attach that translates refuses.
 */
void iommu_guest_msi_move_window(struct iommu_group *group, u64 start)
{
	iommu_group_for_each_dev(group, &start, guest_msi_move_window);
}
EXPORT_SYMBOL_NS_GPL(iommu_guest_msi_move_window, IOMMUFD_INTERNAL);

/**
 * iommu_guest_msi_unclaim() - Undo iommu_guest_msi_claim()
 * @dev: Device without any binding
 */
void iommu_guest_msi_unclaim(struct device *dev)
{
	WARN_ON(!list_empty(&dev->iommu->guest_msis));
	dev->iommu->guest_msi_claimed = false;
}
EXPORT_SYMBOL_NS_GPL(iommu_guest_msi_unclaim, IOMMUFD_INTERNAL);

static int guest_msi_check_window(struct iommu_domain *parent,
				  const struct iommu_guest_msi_window *window)
{
	const struct iommu_domain_geometry *geometry = &parent->geometry;

	if (!is_power_of_2(window->length) ||
	    window->length < 1ULL << __ffs(parent->pgsize_bitmap) ||
	    (window->iova | window->gpa) & (window->length - 1))
		return -EINVAL;
	if (window->gpa < geometry->aperture_start ||
	    window->gpa > geometry->aperture_end ||
	    window->length - 1 > geometry->aperture_end - window->gpa)
		return -EINVAL;
	return 0;
}

/**
 * iommu_guest_msi_kind() - What a binding of a device takes
 * @parent: Nesting parent
 * @dev: Device
 * @window: What the guest wants to bind; untrusted
 *
 * Return: one of enum iommu_guest_msi_kind, or
 *
 * * -EINVAL: @window is malformed, smaller than a page of @parent or beyond its
 *   addresses, or not inside the range that the hardware takes for MSIs
 * * -EOPNOTSUPP: the MSIs of the device are neither translated nor taken before
 */
int iommu_guest_msi_kind(struct iommu_domain *parent, struct device *dev,
			 const struct iommu_guest_msi_window *window)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int rc;

	rc = guest_msi_check_window(parent, window);
	if (rc)
		return rc;

	rc = -EOPNOTSUPP;
	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		if (region->type == IOMMU_RESV_SW_MSI) {
			rc = IOMMU_GUEST_MSI_MAPPED;
			break;
		}
		if (region->type != IOMMU_RESV_MSI)
			continue;
		rc = -EINVAL;
		if (window->length <= region->length &&
		    in_range(window->iova, region->start,
			     region->length - window->length + 1) &&
		    in_range(window->gpa, region->start,
			     region->length - window->length + 1)) {
			rc = IOMMU_GUEST_MSI_HARDWARE;
			break;
		}
	}
	iommu_put_resv_regions(dev, &regions);
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommu_guest_msi_kind, IOMMUFD_INTERNAL);

static struct iommu_guest_msi_doorbell *
doorbell_get(struct iommu_domain *parent,
	     const struct iommu_guest_msi_window *window)
{
	struct iommu_guest_msi_doorbell *doorbell;
	int rc;

	hlist_for_each_entry(doorbell, &parent->guest_msi_doorbells, node) {
		if (doorbell->gpa == window->gpa &&
		    doorbell->length == window->length) {
			refcount_inc(&doorbell->users);
			return doorbell;
		}
		if (in_range(window->gpa, doorbell->gpa, doorbell->length) ||
		    in_range(doorbell->gpa, window->gpa, window->length))
			return ERR_PTR(-EADDRINUSE);
	}

	doorbell = kzalloc(sizeof(*doorbell), GFP_KERNEL_ACCOUNT);
	if (!doorbell)
		return ERR_PTR(-ENOMEM);
	refcount_set(&doorbell->users, 1);
	doorbell->parent = parent;
	doorbell->gpa = window->gpa;
	doorbell->length = window->length;
	doorbell->hole.start = window->gpa;
	doorbell->hole.length = window->length;
	rc = iommu_dma_add_msi_hole(parent, &doorbell->hole);
	if (rc) {
		kfree(doorbell);
		return ERR_PTR(rc);
	}
	hlist_add_head(&doorbell->node, &parent->guest_msi_doorbells);
	return doorbell;
}

static void doorbell_put(struct iommu_guest_msi_doorbell *doorbell)
{
	if (!refcount_dec_and_test(&doorbell->users))
		return;
	if (doorbell->mapped)
		iommu_unmap(doorbell->parent,
			    doorbell->gpa + doorbell_offset(doorbell),
			    doorbell_granule(doorbell));
	iommu_dma_remove_msi_hole(&doorbell->hole);
	hlist_del(&doorbell->node);
	kfree(doorbell);
}

static int doorbell_map(struct iommu_guest_msi_doorbell *doorbell,
			phys_addr_t phys)
{
	int rc;

	if (doorbell->mapped)
		return 0;
	doorbell->phys = phys;
	rc = iommu_map(doorbell->parent,
		       doorbell->gpa + doorbell_offset(doorbell), phys,
		       doorbell_granule(doorbell),
		       IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO,
		       GFP_KERNEL_ACCOUNT);
	doorbell->mapped = !rc;
	return rc;
}

/* An MSI in use that no binding of the device knows would not follow a new one */
static bool guest_msi_foreign_msis(struct device *dev)
{
	struct iommu_guest_msi *msi;
	struct msi_desc *desc;
	bool found;
	u64 addr;

	msi_for_each_desc(desc, dev, MSI_DESC_ASSOCIATED) {
		if (!msi_desc_address(desc, &addr))
			continue;
		found = false;
		list_for_each_entry(msi, &dev->iommu->guest_msis, item)
			found |= guest_msi_owns(msi, addr);
		if (!found)
			return true;
	}
	return false;
}

static int guest_msi_check_bind(struct device *dev,
				const struct iommu_guest_msi_window *window)
{
	struct iommu_guest_msi *msi;
	unsigned int nr = 0;

	list_for_each_entry(msi, &dev->iommu->guest_msis, item) {
		if (in_range(window->iova, msi->iova, msi->doorbell->length) ||
		    in_range(msi->iova, window->iova, window->length))
			return -EEXIST;
		nr++;
	}
	if (nr >= IOMMU_GUEST_MSI_MAX)
		return -ENOSPC;
	return guest_msi_foreign_msis(dev) ? -EBUSY : 0;
}

/**
 * iommu_bind_guest_msi() - Bind a guest's doorbell to that of a device
 * @parent: Nesting parent that the device is attached to, or that what it is
 *          attached to is nested on. The caller keeps @parent until the binding
 *          is gone.
 * @dev: Claimed device
 * @window: What the guest says, of IOMMU_GUEST_MSI_MAPPED as iommu_guest_msi_kind()
 *          has it. The caller has reserved the range at @window->gpa: nothing
 *          else is mapped there.
 *
 * The MSIs that are set up from now on use the binding. Memory is charged to the
 * caller. May sleep.
 *
 * Return: the binding, or
 *
 * * ERR_PTR(-EEXIST): it overlaps a binding of the device
 * * ERR_PTR(-EADDRINUSE): it overlaps another doorbell in part, or a page of the
 *   flat window of @parent that is in use
 * * ERR_PTR(-EBUSY): an MSI of the device is in use without a binding
 * * ERR_PTR(-ENOSPC): the device has IOMMU_GUEST_MSI_MAX bindings
 * * ERR_PTR(-ENOMEM)
 */
struct iommu_guest_msi *
iommu_bind_guest_msi(struct iommu_domain *parent, struct device *dev,
		     const struct iommu_guest_msi_window *window)
{
	struct iommu_guest_msi *msi;
	int rc;

	msi = kzalloc(sizeof(*msi), GFP_KERNEL_ACCOUNT);
	if (!msi)
		return ERR_PTR(-ENOMEM);
	msi->dev = dev;
	msi->iova = window->iova;

	msi_lock_descs(dev);
	mutex_lock(&iommu_guest_msi_lock);
	rc = guest_msi_check_bind(dev, window);
	if (rc)
		goto out_unlock;
	msi->doorbell = doorbell_get(parent, window);
	if (IS_ERR(msi->doorbell)) {
		rc = PTR_ERR(msi->doorbell);
		goto out_unlock;
	}
	list_add_tail(&msi->item, &dev->iommu->guest_msis);
out_unlock:
	mutex_unlock(&iommu_guest_msi_lock);
	msi_unlock_descs(dev);
	if (rc) {
		kfree(msi);
		return ERR_PTR(rc);
	}
	return msi;
}
EXPORT_SYMBOL_NS_GPL(iommu_bind_guest_msi, IOMMUFD_INTERNAL);

static bool guest_msi_in_use(const struct iommu_guest_msi *msi)
{
	struct msi_desc *desc;
	u64 addr;

	msi_for_each_desc(desc, msi->dev, MSI_DESC_ASSOCIATED)
		if (msi_desc_address(desc, &addr) && guest_msi_owns(msi, addr))
			return true;
	return false;
}

static int guest_msi_remove(struct iommu_guest_msi *msi, bool force)
{
	struct device *dev = msi->dev;
	int rc = 0;

	msi_lock_descs(dev);
	mutex_lock(&iommu_guest_msi_lock);
	if (!force && guest_msi_in_use(msi)) {
		rc = -EBUSY;
	} else {
		list_del(&msi->item);
		doorbell_put(msi->doorbell);
		kfree(msi);
	}
	mutex_unlock(&iommu_guest_msi_lock);
	msi_unlock_descs(dev);
	return rc;
}

/**
 * iommu_unbind_guest_msi() - End a binding that no MSI uses
 * @msi: Of iommu_bind_guest_msi()
 *
 * The last binding of a doorbell takes it out of stage 2. May sleep.
 *
 * Return: 0, or -EBUSY if an MSI in use has its address in the binding: nothing
 * has changed then.
 */
int iommu_unbind_guest_msi(struct iommu_guest_msi *msi)
{
	return guest_msi_remove(msi, false);
}
EXPORT_SYMBOL_NS_GPL(iommu_unbind_guest_msi, IOMMUFD_INTERNAL);

/**
 * iommu_release_guest_msi() - End a binding whose device or parent goes
 * @msi: Of iommu_bind_guest_msi(). Its device has no MSIs any more, or is not
 *       attached to the parent of the binding nor to anything nested on it.
 *
 * An MSI that still uses the binding is lost, as it has been since the device
 * was detached. As long as it is in use no attach gives its address to anyone.
 */
void iommu_release_guest_msi(struct iommu_guest_msi *msi)
{
	guest_msi_remove(msi, true);
}
EXPORT_SYMBOL_NS_GPL(iommu_release_guest_msi, IOMMUFD_INTERNAL);

/*
 * The binding for a physical doorbell: the one that has it, else the first one
 * without any. NULL if the device has no bindings in this parent.
 */
static struct iommu_guest_msi *guest_msi_find(struct device *dev,
					      struct iommu_domain *parent,
					      phys_addr_t msi_addr)
{
	struct iommu_guest_msi *msi, *unused = NULL;
	struct iommu_guest_msi_doorbell *doorbell;
	bool found = false;

	list_for_each_entry(msi, &dev->iommu->guest_msis, item) {
		doorbell = msi->doorbell;
		if (doorbell->parent != parent)
			continue;
		found = true;
		if (doorbell_leads_to(doorbell, msi_addr))
			return msi;
		if (!doorbell->mapped && !unused)
			unused = msi;
	}
	if (!unused && found)
		return ERR_PTR(-EBUSY);
	return unused;
}

/* Where the device has to write for the binding: before or after stage 1 */
static u64 guest_msi_address(const struct iommu_guest_msi *msi,
			     const struct iommu_pasid_table *table)
{
	u64 start = msi->doorbell->gpa;

	if (table && table->config.config != IOMMU_PASID_TABLE_BYPASS)
		start = msi->iova;
	return start + doorbell_offset(msi->doorbell);
}

/* Is the group between two domains, with @dev in the new one already? */
static bool guest_msi_moving(struct device *dev)
{
	const struct iommu_pasid_table *table = dev->iommu->msi_table;

	return iommu_get_domain_for_dev(dev) !=
	       (table ? &table->domain : dev->iommu->msi_domain);
}

/* The number of a physical doorbell, or -ENOMEM */
static long guest_msi_number(phys_addr_t msi_addr)
{
	unsigned long page = msi_addr >> PAGE_SHIFT;
	void *number;
	int rc;

	lockdep_assert_held(&iommu_guest_msi_lock);

	number = xa_load(&iommu_guest_msi_numbers, page);
	if (!number) {
		number = xa_mk_value(iommu_guest_msi_nr_numbers);
		rc = xa_err(xa_store(&iommu_guest_msi_numbers, page, number,
				     GFP_KERNEL));
		if (rc)
			return rc;
		iommu_guest_msi_nr_numbers++;
	}
	return xa_to_value(number);
}

/*
 * A place for a doorbell in the flat window: that of its number, or the next one
 * if @domain has something else there. A device that is blocked (@domain is NULL)
 * gets what the attach to come will most likely have free.
 */
static int guest_msi_find_place(struct device *dev, struct iommu_domain *domain,
				phys_addr_t msi_addr, u64 *place)
{
	struct dev_iommu *param = dev->iommu;
	unsigned long i, nr = param->msi_window_size >> PAGE_SHIFT;
	long number;
	int rc;

	number = guest_msi_number(msi_addr);
	if (number < 0)
		return number;
	for (i = 0; i < nr; i++) {
		*place = param->msi_window_start +
			 ((u64)((number + i) % nr) << PAGE_SHIFT);
		if (!domain)
			return 0;
		rc = iommu_dma_keep_msi(domain, *place, msi_addr);
		if (rc != -EBUSY)
			return rc;
	}
	return -EBUSY;
}

/**
 * iommu_guest_msi_prepare() - Find the address for an MSI that is being set up
 * @desc: The MSI. Returns the address, if there is one.
 * @msi_addr: Physical doorbell
 *
 * Called with the mutex of the device's MSIs held. While the device is blocked
 * the address is where its flat window will have the doorbell: the attach to come
 * keeps it or fails.
 *
 * Return: 1 if @desc has its address, 0 if nobody looks after the device or it has
 * no window, -EBUSY if none of the device's bindings can have this physical doorbell, the flat
 * window is full or another domain is being attached, or an errno of iommu_map().
 */
int iommu_guest_msi_prepare(struct msi_desc *desc, phys_addr_t msi_addr)
{
	struct device *dev = msi_desc_to_dev(desc);
	struct dev_iommu *param = dev->iommu;
	struct iommu_guest_msi *msi = NULL;
	unsigned int shift = PAGE_SHIFT;
	struct iommu_domain *domain;
	u64 granule, addr;
	int rc = 0;

	desc->iommu_msi_phys = msi_addr;
	if (!param || !param->guest_msi_claimed || !param->msi_domain ||
	    !param->msi_window_size)
		return 0;
	/* The other devices of the group may refuse: no place is sure now */
	if (guest_msi_moving(dev))
		return -EBUSY;

	domain = param->msi_domain->iova_cookie ? param->msi_domain : NULL;
	mutex_lock(&iommu_guest_msi_lock);
	if (domain)
		msi = guest_msi_find(dev, domain, msi_addr);
	if (IS_ERR(msi)) {
		rc = PTR_ERR(msi);
	} else if (msi) {
		granule = doorbell_granule(msi->doorbell);
		rc = doorbell_map(msi->doorbell,
				  msi_addr & ~(phys_addr_t)(granule - 1));
		addr = guest_msi_address(msi, param->msi_table);
		shift = ilog2(granule);
	} else {
		rc = guest_msi_find_place(dev, domain, msi_addr, &addr);
	}
	mutex_unlock(&iommu_guest_msi_lock);
	if (rc)
		return rc;
	msi_desc_set_iommu_msi_iova(desc, addr, shift);
	return 1;
}

static bool guest_msi_serves(struct device *dev, struct iommu_domain *parent,
			     const struct iommu_pasid_table *table, u64 addr,
			     phys_addr_t msi_addr)
{
	struct iommu_guest_msi *msi;

	list_for_each_entry(msi, &dev->iommu->guest_msis, item)
		if (msi->doorbell->parent == parent &&
		    doorbell_leads_to(msi->doorbell, msi_addr) &&
		    guest_msi_address(msi, table) == addr)
			return true;
	return false;
}

/* Does the guest's stage 1 have something else where the device writes? */
static bool guest_msi_misleads(struct device *dev, struct iommu_domain *parent,
			       const struct iommu_pasid_table *table, u64 addr)
{
	struct iommu_guest_msi *msi;

	if (!table || table->config.config == IOMMU_PASID_TABLE_BYPASS)
		return false;
	list_for_each_entry(msi, &dev->iommu->guest_msis, item)
		if (msi->doorbell->parent == parent &&
		    in_range(addr, msi->iova, msi->doorbell->length) &&
		    msi->iova != msi->doorbell->gpa)
			return true;
	return false;
}

static int guest_msi_keep(struct iommu_domain *domain,
			  const struct iommu_pasid_table *table,
			  struct device *dev, u64 addr, phys_addr_t msi_addr)
{
	struct dev_iommu *param = dev->iommu;

	lockdep_assert_held(&iommu_guest_msi_lock);

	if (guest_msi_serves(dev, domain, table, addr, msi_addr))
		return 0;
	if (!in_range(addr, param->msi_window_start, param->msi_window_size) ||
	    guest_msi_misleads(dev, domain, table, addr))
		return -EBUSY;
	return iommu_dma_keep_msi(domain, addr, msi_addr);
}

/* Do the MSIs in use still find their doorbells when @dev is in @domain? */
static int guest_msi_check_attach(struct iommu_domain *domain,
				  const struct iommu_pasid_table *table,
				  struct device *dev)
{
	struct msi_desc *desc;
	int rc = 0;
	u64 addr;

	/* What is blocked on purpose may be so; other MSIs are not translated */
	if (!domain->iova_cookie ||
	    (table && table->config.config == IOMMU_PASID_TABLE_ABORT))
		return 0;
	mutex_lock(&iommu_guest_msi_lock);
	msi_for_each_desc(desc, dev, MSI_DESC_ASSOCIATED) {
		if (!msi_desc_address(desc, &addr))
			continue;
		rc = guest_msi_keep(domain, table, dev, addr,
				    desc->iommu_msi_phys);
		if (rc)
			break;
	}
	mutex_unlock(&iommu_guest_msi_lock);
	return rc;
}

/**
 * iommu_guest_msi_attach() - Attach a domain that keeps the MSIs in use
 * @domain: Any domain
 * @dev: Device
 * @attach: Attaches @domain: the attach_dev op, or what takes its place
 *
 * Takes the place of the attach_dev op. The caller holds the group mutex. The way
 * back to the domain of the group is always open: no MSI was set up meanwhile.
 *
 * Return: 0, -EBUSY if an MSI in use would go elsewhere, -ENOMEM, or an errno of
 * iommu_domain_ops.attach_dev.
 */
int iommu_guest_msi_attach(struct iommu_domain *domain, struct device *dev,
			   int (*attach)(struct iommu_domain *domain,
					 struct device *dev))
{
	struct iommu_domain *msi_domain = domain, *old = dev->iommu->msi_domain;
	struct iommu_pasid_table *table = NULL;
	bool translated;
	int rc = 0;

	if (iommu_domain_is_pasid_table(domain)) {
		table = to_iommu_pasid_table(domain);
		msi_domain = table->parent;
	}
	/* Elsewhere MSIs have nothing to do with domains, nor with their locks */
	translated = dev->iommu->guest_msi_claimed &&
		     (msi_domain->iova_cookie || (old && old->iova_cookie));
	if (translated) {
		msi_lock_descs(dev);
		if (domain != iommu_get_domain_for_dev(dev))
			rc = guest_msi_check_attach(msi_domain, table, dev);
		if (rc)
			goto out_unlock;
	}
	rc = attach(domain, dev);
	if (rc)
		goto out_unlock;
	dev->iommu->msi_domain = msi_domain;
	dev->iommu->msi_table = table;
out_unlock:
	if (translated)
		msi_unlock_descs(dev);
	return rc;
}
