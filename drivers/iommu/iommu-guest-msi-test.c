// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI doorbells of a guest: where the MSIs of a device go while a guest owns
 * stage 1, and which moves of the device they survive.
 *
 * Devices, groups, tables and MSI descriptors are real; only the IOMMU below is
 * not: it records what stage 2 maps. Whether a move is fine is judged by
 * following an address from the device through what the guest has promised for
 * stage 1 and through that record, never by the state of the code under test.
 */
#include <kunit/test.h>
#include <linux/iommu-guest-msi.h>
#include <linux/iommu-pasid-table.h>
#include <linux/minmax.h>
#include <linux/msi.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "dma-iommu.h"
#include "iommu-priv.h"

/* Devices 0 and 1 have a group each, 2 and 3 share one */
#define TEST_DEVS		4
#define TEST_PARENTS		2
#define TEST_PAGES		8
#define TEST_MSIS		3
#define TEST_BINDINGS		(IOMMU_GUEST_MSI_MAX + 2)

/* The flat window of each parent */
#define TEST_FLAT		0x8000000ULL
#define TEST_FLAT_SIZE		SZ_1M
/* Physical doorbells, at the same place inside 64K */
#define TEST_P			0x8090040ULL
#define TEST_Q			0x80b0040ULL
#define TEST_R			0x80d0040ULL
/* gIOVAs, and two doorbells of the guest, one behind the other */
#define TEST_I			0x10000000ULL
#define TEST_J			0x20000000ULL
#define TEST_K			0x40000000ULL
#define TEST_G			0x30000000ULL
#define TEST_H			0x30010000ULL

#define TEST_NOWHERE		U64_MAX
#define TEST_PROT		(IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO)

#define TEST_OK(test, call)	KUNIT_ASSERT_EQ(test, call, 0)

enum test_stage1 {
	TEST_NONE,
	TEST_BYPASS,
	TEST_TRANSLATE,
	TEST_ABORT,
	TEST_STAGE1S,
};

/* Where a device is: blocked, or in a parent with some stage 1 */
#define TEST_BLOCKED		0
#define TEST_PLACE(parent, s1)	(1 + (parent) * TEST_STAGE1S + (s1))
#define TEST_PLACES		TEST_PLACE(TEST_PARENTS, 0)

struct test_page {
	u64 addr;
	u64 phys;
	int prot;
};

struct test_parent {
	struct iommu_domain domain;
	struct test_page pages[TEST_PAGES];
	unsigned int nr_pages;
	/* Mapped twice, or unmapped without being mapped, or not a page */
	bool bad;
	bool fail_map;
};

struct test_msi {
	struct msi_desc *desc;
	u64 phys;
	/* What the device has been told */
	u64 addr;
};

struct test_binding {
	struct iommu_guest_msi *msi;
	int dev;
	struct test_parent *parent;
	struct iommu_guest_msi_window window;
};

struct test_resv {
	u64 start;
	u64 length;
	enum iommu_resv_type type;
};

struct guest_msi_test {
	struct fwnode_handle fwnode;
	struct iommu_device iommu;
	bool registered;
	struct platform_device *devs[TEST_DEVS];
	/* What the hardware does for each device */
	struct iommu_domain *attached[TEST_DEVS];
	int attach_error;
	struct test_parent *parents[TEST_PARENTS];
	struct iommu_domain *places[TEST_PLACES];
	struct test_msi msis[TEST_DEVS][TEST_MSIS];
	struct test_binding bindings[TEST_BINDINGS];
	unsigned int nr_bindings;
	struct test_resv resv[2];
	unsigned int nr_resv;
	/* Where the flat windows have TEST_P and TEST_Q */
	u64 flat[2];
};

static struct device *test_dev(struct guest_msi_test *gt, int d)
{
	return &gt->devs[d]->dev;
}

static struct test_parent *test_parent_of(struct guest_msi_test *gt, int place)
{
	return place ? gt->parents[(place - 1) / TEST_STAGE1S] : NULL;
}

static enum test_stage1 test_stage1_of(int place)
{
	return place ? (place - 1) % TEST_STAGE1S : TEST_ABORT;
}

static bool test_in_window(u64 addr)
{
	return in_range(addr, TEST_FLAT, TEST_FLAT_SIZE);
}

static u64 test_flat_addr(struct guest_msi_test *gt, u64 phys)
{
	return gt->flat[(phys & PAGE_MASK) != (TEST_P & PAGE_MASK)] +
	       (phys & ~PAGE_MASK);
}

/* The fake IOMMU */

static struct guest_msi_test *test_of_dev(struct device *dev)
{
	return container_of(dev->iommu->iommu_dev, struct guest_msi_test,
			    iommu);
}

static struct test_parent *to_test_parent(struct iommu_domain *domain)
{
	return container_of(domain, struct test_parent, domain);
}

static int test_attach(struct iommu_domain *domain, struct device *dev)
{
	struct guest_msi_test *gt = test_of_dev(dev);

	if (gt->attach_error)
		return gt->attach_error;
	gt->attached[to_platform_device(dev)->id] = domain;
	return 0;
}

static struct test_page *test_find_page(struct test_parent *parent, u64 addr)
{
	unsigned int i;

	for (i = 0; i < parent->nr_pages; i++)
		if (parent->pages[i].addr == addr)
			return &parent->pages[i];
	return NULL;
}

static int test_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t paddr, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct test_parent *parent = to_test_parent(domain);

	if (parent->fail_map)
		return -ENOMEM;
	if (pgsize != SZ_4K || pgcount != 1 || test_find_page(parent, iova) ||
	    parent->nr_pages == TEST_PAGES) {
		parent->bad = true;
		return -EINVAL;
	}
	parent->pages[parent->nr_pages++] = (struct test_page){
		.addr = iova,
		.phys = paddr,
		.prot = prot,
	};
	*mapped = SZ_4K;
	return 0;
}

static size_t test_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct test_parent *parent = to_test_parent(domain);
	struct test_page *page = test_find_page(parent, iova);

	if (!page || pgsize != SZ_4K || pgcount != 1) {
		parent->bad = true;
		return 0;
	}
	*page = parent->pages[--parent->nr_pages];
	return SZ_4K;
}

static void test_free_parent(struct iommu_domain *domain)
{
	kfree(to_test_parent(domain));
}

static int test_check_table(struct iommu_domain *parent, struct device *dev,
			    const struct iommu_hwpt_pasid_table *config)
{
	return 0;
}

static int test_attach_table(struct iommu_pasid_table *table,
			     struct device *dev)
{
	return test_attach(&table->domain, dev);
}

static void test_detach_table(struct iommu_pasid_table *table,
			      struct device *dev)
{
}

static const struct iommu_pasid_table_ops test_table_ops = {
	.format = IOMMU_PASID_TABLE_SMMUV3,
	.check = test_check_table,
	.attach = test_attach_table,
	.detach = test_detach_table,
};

static const struct iommu_domain_ops test_parent_ops = {
	.attach_dev = test_attach,
	.map_pages = test_map_pages,
	.unmap_pages = test_unmap_pages,
	.free = test_free_parent,
	.pasid_table_ops = &test_table_ops,
};

static const struct iommu_domain_ops test_blocked_ops = {
	.attach_dev = test_attach,
};

static struct iommu_domain test_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &test_blocked_ops,
};

static struct iommu_device *test_probe_device(struct device *dev)
{
	struct fwnode_handle *fwnode = dev_iommu_fwspec_get(dev)->iommu_fwnode;

	return &container_of(fwnode, struct guest_msi_test, fwnode)->iommu;
}

static struct iommu_group *test_device_group(struct device *dev)
{
	struct guest_msi_test *gt = test_of_dev(dev);

	if (to_platform_device(dev)->id == 3)
		return iommu_group_ref_get(test_dev(gt, 2)->iommu_group);
	return generic_device_group(dev);
}

static void test_get_resv_regions(struct device *dev, struct list_head *head)
{
	struct guest_msi_test *gt = test_of_dev(dev);
	struct iommu_resv_region *region;
	unsigned int i;

	for (i = 0; i < gt->nr_resv; i++) {
		region = iommu_alloc_resv_region(gt->resv[i].start,
						 gt->resv[i].length, 0,
						 gt->resv[i].type, GFP_KERNEL);
		if (region)
			list_add_tail(&region->list, head);
	}
}

static const struct iommu_ops test_ops = {
	.default_domain = &test_blocked_domain,
	.blocked_domain = &test_blocked_domain,
	.probe_device = test_probe_device,
	.device_group = test_device_group,
	.get_resv_regions = test_get_resv_regions,
};

/* What user space and the irqchip do */

static int test_move(struct guest_msi_test *gt, int d, int place)
{
	return iommu_group_replace_domain(test_dev(gt, d)->iommu_group,
					  gt->places[place]);
}

/* The attach alone, without the core's way back */
static int test_attach_one(struct device *dev, void *domain)
{
	return iommu_guest_msi_attach(domain, dev, iommu_attach_domain);
}

static int test_bind(struct guest_msi_test *gt, int d, int parent, u64 iova,
		     u64 gpa, u64 length)
{
	struct test_binding *binding = &gt->bindings[gt->nr_bindings];

	binding->dev = d;
	binding->parent = gt->parents[parent];
	binding->window.iova = iova;
	binding->window.gpa = gpa;
	binding->window.length = length;
	binding->msi = iommu_bind_guest_msi(&binding->parent->domain,
					    test_dev(gt, d), &binding->window);
	if (IS_ERR(binding->msi))
		return PTR_ERR(binding->msi);
	gt->nr_bindings++;
	return 0;
}

/* Takes the place of the last one: the order is not of interest */
static void test_forget_binding(struct guest_msi_test *gt, unsigned int i)
{
	gt->bindings[i] = gt->bindings[--gt->nr_bindings];
}

static int test_unbind(struct guest_msi_test *gt, unsigned int i)
{
	int rc = iommu_unbind_guest_msi(gt->bindings[i].msi);

	if (!rc)
		test_forget_binding(gt, i);
	return rc;
}

static void test_release(struct guest_msi_test *gt, unsigned int i)
{
	iommu_release_guest_msi(gt->bindings[i].msi);
	test_forget_binding(gt, i);
}

/* An MSI as the irqchip sets it up. It is in use if and only if that works. */
static int test_prepare(struct guest_msi_test *gt, int d, int index, u64 phys)
{
	struct msi_msg msg = {
		.address_hi = upper_32_bits(phys),
		.address_lo = lower_32_bits(phys),
	};
	struct msi_desc init = { .nvec_used = 1, .msi_index = index };
	struct device *dev = test_dev(gt, d);
	struct msi_desc *desc;
	int rc;

	msi_lock_descs(dev);
	rc = msi_insert_msi_desc(dev, &init);
	if (rc)
		goto out_unlock;
	desc = msi_first_desc(dev, MSI_DESC_NOTASSOCIATED);
	rc = iommu_dma_prepare_msi(desc, phys);
	if (rc) {
		/* Nothing else would be used by a retry */
		if (desc->iommu_msi_shift || desc->iommu_msi_iova)
			rc = -EUCLEAN;
		msi_free_msi_descs_range(dev, index, index);
		goto out_unlock;
	}
	iommu_dma_compose_msi_msg(desc, &msg);
	desc->irq = index + 1;
	gt->msis[d][index] = (struct test_msi){
		.desc = desc,
		.phys = phys,
		.addr = (u64)msg.address_hi << 32 | msg.address_lo,
	};
out_unlock:
	msi_unlock_descs(dev);
	return rc;
}

static void test_free_msi(struct guest_msi_test *gt, int d, int index)
{
	struct test_msi *msi = &gt->msis[d][index];
	struct device *dev = test_dev(gt, d);

	if (!msi->desc)
		return;
	msi_lock_descs(dev);
	msi->desc->irq = 0;
	msi_free_msi_descs_range(dev, index, index);
	msi_unlock_descs(dev);
	msi->desc = NULL;
}

/* Setup and cleanup */

static struct test_parent *test_new_parent(void)
{
	struct test_parent *parent = kzalloc(sizeof(*parent), GFP_KERNEL);

	if (!parent)
		return NULL;
	parent->domain.type = IOMMU_DOMAIN_UNMANAGED;
	parent->domain.nest_parent = true;
	parent->domain.ops = &test_parent_ops;
	parent->domain.owner = &test_ops;
	parent->domain.pgsize_bitmap = SZ_4K | SZ_2M;
	parent->domain.geometry.aperture_end = BIT_ULL(40) - 1;
	if (iommu_get_msi_cookie(&parent->domain, TEST_FLAT)) {
		kfree(parent);
		return NULL;
	}
	return parent;
}

static void test_new_places(struct kunit *test)
{
	static const u32 configs[TEST_STAGE1S] = {
		[TEST_BYPASS] = IOMMU_PASID_TABLE_BYPASS,
		[TEST_TRANSLATE] = IOMMU_PASID_TABLE_TRANSLATE,
		[TEST_ABORT] = IOMMU_PASID_TABLE_ABORT,
	};
	struct iommu_hwpt_pasid_table config = {
		.format = IOMMU_PASID_TABLE_SMMUV3,
	};
	struct guest_msi_test *gt = test->priv;
	struct iommu_domain *parent, *domain;
	enum test_stage1 s1;
	int i;

	gt->places[TEST_BLOCKED] = &test_blocked_domain;
	for (i = 0; i < TEST_PARENTS; i++) {
		gt->parents[i] = test_new_parent();
		KUNIT_ASSERT_NOT_NULL(test, gt->parents[i]);
		parent = &gt->parents[i]->domain;
		gt->places[TEST_PLACE(i, TEST_NONE)] = parent;
		for (s1 = TEST_BYPASS; s1 < TEST_STAGE1S; s1++) {
			config.config = configs[s1];
			domain = iommu_pasid_table_alloc(test_dev(gt, 0),
							 parent, &config, NULL);
			KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
			gt->places[TEST_PLACE(i, s1)] = domain;
		}
	}
}

static void test_free_msis(struct guest_msi_test *gt)
{
	int d, i;

	for (d = 0; d < TEST_DEVS; d++)
		for (i = 0; i < TEST_MSIS; i++)
			test_free_msi(gt, d, i);
}

static void test_free_places(struct guest_msi_test *gt)
{
	int i;

	for (i = 0; i < TEST_DEVS; i++)
		if (gt->devs[i])
			test_move(gt, i, TEST_BLOCKED);
	while (gt->nr_bindings)
		test_release(gt, gt->nr_bindings - 1);
	/* The parents come before what is nested on them */
	for (i = TEST_PLACES - 1; i > TEST_BLOCKED; i--) {
		if (gt->places[i])
			iommu_domain_free(gt->places[i]);
		gt->places[i] = NULL;
	}
}

/* No MSI in use, no binding: nothing but flat windows may be left */
static void test_check_empty(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	struct test_parent *parent;
	unsigned int i, j;
	u64 addr;

	KUNIT_ASSERT_EQ(test, gt->nr_bindings, 0);
	for (i = 0; i < TEST_PARENTS; i++) {
		parent = gt->parents[i];
		KUNIT_ASSERT_FALSE(test, parent->bad);
		for (j = 0; j < parent->nr_pages; j++) {
			addr = parent->pages[j].addr;
			KUNIT_ASSERT_TRUE(test, test_in_window(addr));
		}
	}
}

static struct platform_device *test_add_device(struct guest_msi_test *gt,
					       int id)
{
	struct platform_device *pdev;
	int rc;

	pdev = platform_device_alloc("iommu-guest-msi-test", id);
	if (!pdev)
		return NULL;
	mutex_lock(&iommu_probe_device_lock);
	rc = iommu_fwspec_init(&pdev->dev, &gt->fwnode);
	mutex_unlock(&iommu_probe_device_lock);
	if (!rc)
		rc = platform_device_add(pdev);
	if (rc) {
		platform_device_put(pdev);
		return NULL;
	}
	return pdev;
}

static int guest_msi_test_init(struct kunit *test)
{
	struct guest_msi_test *gt;
	int d;

	gt = kunit_kzalloc(test, sizeof(*gt), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, gt);
	test->priv = gt;

	fwnode_init(&gt->fwnode, NULL);
	gt->iommu.fwnode = &gt->fwnode;
	TEST_OK(test, iommu_device_sysfs_add(&gt->iommu, NULL, NULL,
					     "iommu-guest-msi-test"));
	gt->registered = true;
	TEST_OK(test, iommu_device_register(&gt->iommu, &test_ops, NULL));
	gt->resv[0] = (struct test_resv){
		.start = TEST_FLAT,
		.length = TEST_FLAT_SIZE,
		.type = IOMMU_RESV_SW_MSI,
	};
	gt->nr_resv = 1;
	for (d = 0; d < TEST_DEVS; d++) {
		gt->devs[d] = test_add_device(gt, d);
		KUNIT_ASSERT_NOT_NULL(test, gt->devs[d]);
		KUNIT_ASSERT_NOT_NULL(test, test_dev(gt, d)->iommu_group);
		TEST_OK(test, iommu_guest_msi_claim(test_dev(gt, d)));
	}
	test_new_places(test);

	/* What a device is told while it is blocked has to hold ever after */
	TEST_OK(test, test_move(gt, 0, TEST_BLOCKED));
	for (d = 0; d < 2; d++) {
		TEST_OK(test, test_prepare(gt, 0, 0, d ? TEST_Q : TEST_P));
		gt->flat[d] = ALIGN_DOWN(gt->msis[0][0].addr, SZ_4K);
		KUNIT_ASSERT_TRUE(test, test_in_window(gt->flat[d]));
		test_free_msi(gt, 0, 0);
	}
	KUNIT_ASSERT_NE(test, gt->flat[0], gt->flat[1]);
	return 0;
}

static void guest_msi_test_exit(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	int d;

	if (!gt || !gt->registered)
		return;
	gt->attach_error = 0;
	test_free_msis(gt);
	test_free_places(gt);
	for (d = 0; d < TEST_DEVS; d++) {
		if (!gt->devs[d])
			continue;
		iommu_guest_msi_unclaim(test_dev(gt, d));
		platform_device_unregister(gt->devs[d]);
	}
	iommu_device_unregister(&gt->iommu);
	iommu_device_sysfs_remove(&gt->iommu);
}

/* The judge */

/* Before stage 1 a binding is at its gIOVA, after it at its GPA */
static const struct iommu_guest_msi_window *
test_find_window(struct guest_msi_test *gt, int d, int place, u64 addr,
		 bool stage1)
{
	const struct test_binding *binding;
	unsigned int i;

	for (i = 0; i < gt->nr_bindings; i++) {
		binding = &gt->bindings[i];
		if (binding->dev == d &&
		    binding->parent == test_parent_of(gt, place) &&
		    in_range(addr, stage1 ? binding->window.iova :
					    binding->window.gpa,
			     binding->window.length))
			return &binding->window;
	}
	return NULL;
}

/* What the flat window of the parent has left of it */
static bool test_is_flat(struct guest_msi_test *gt, int place, u64 addr)
{
	int d;

	for (d = 0; d < TEST_DEVS; d++)
		if (test_find_window(gt, d, place, addr, false))
			return false;
	return test_in_window(addr);
}

/* The guest promises: its bindings, and what is left of the flat window */
static u64 test_stage1(struct guest_msi_test *gt, int d, int place, u64 addr)
{
	const struct iommu_guest_msi_window *window;

	if (test_stage1_of(place) != TEST_TRANSLATE)
		return addr;
	window = test_find_window(gt, d, place, addr, true);
	if (window)
		return addr - window->iova + window->gpa;
	return test_is_flat(gt, place, addr) ? addr : TEST_NOWHERE;
}

/* To the doorbell, by what does not go away while the device uses it */
static bool test_leads_to(struct guest_msi_test *gt, int d, int place,
			  const struct test_msi *msi)
{
	u64 addr = test_stage1(gt, d, place, msi->addr);
	struct test_page *page;

	page = test_find_page(test_parent_of(gt, place),
			      ALIGN_DOWN(addr, SZ_4K));
	return page && page->phys + addr % SZ_4K == msi->phys &&
	       (test_is_flat(gt, place, addr) ||
		test_find_window(gt, d, place, addr, false));
}

/* What is blocked on purpose leads nowhere, and that is fine */
static bool test_blocks(int place)
{
	return test_stage1_of(place) == TEST_ABORT;
}

static bool test_all_lead(struct guest_msi_test *gt, int d, int place)
{
	int i;

	if (test_blocks(place))
		return true;
	for (i = 0; i < TEST_MSIS; i++)
		if (gt->msis[d][i].desc &&
		    !test_leads_to(gt, d, place, &gt->msis[d][i]))
			return false;
	return true;
}

/*
 * What a move has to do. An MSI that does not find its doorbell may get it by
 * one way only: a page of the flat window that nothing else has, if that is where
 * the device writes.
 */
static int test_expect_move(struct guest_msi_test *gt, int d, int place)
{
	struct test_parent *parent = test_parent_of(gt, place);
	unsigned int i;
	u64 addr;

	if (test_blocks(place))
		return 0;
	for (i = 0; i < TEST_MSIS; i++) {
		const struct test_msi *msi = &gt->msis[d][i];

		if (!msi->desc || test_leads_to(gt, d, place, msi))
			continue;
		addr = ALIGN_DOWN(msi->addr, SZ_4K);
		if (!test_is_flat(gt, place, addr) ||
		    test_stage1(gt, d, place, addr) != addr ||
		    test_find_page(parent, addr))
			return -EBUSY;
	}
	return 0;
}

/* Move, and compare with what has to happen. Returns where the device is. */
static int test_judge_move(struct kunit *test, int d, int from, int to)
{
	struct guest_msi_test *gt = test->priv;
	int expected = test_expect_move(gt, d, to);
	bool lead = test_all_lead(gt, d, from);
	int rc;

	rc = test_move(gt, d, to);
	KUNIT_ASSERT_EQ_MSG(test, rc, expected,
			    "%d -> %d with MSI %llx at %llx", from, to,
			    gt->msis[d][0].phys, gt->msis[d][0].addr);
	if (rc)
		to = from;
	else
		lead = true;
	KUNIT_ASSERT_EQ(test, test_all_lead(gt, d, to), lead);
	KUNIT_ASSERT_PTR_EQ(test, gt->attached[d], gt->places[to]);
	return to;
}

/* The address that a binding gives, and what stage 2 has for it */
static void guest_msi_test_serves(struct kunit *test)
{
	static const u64 lengths[] = { SZ_4K, SZ_64K, SZ_128K, SZ_1M };
	struct guest_msi_test *gt = test->priv;
	struct test_parent *parent = gt->parents[0];
	enum test_stage1 s1;
	u64 offset, start;
	int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (s1 = TEST_NONE; s1 < TEST_STAGE1S; s1++) {
			offset = (TEST_P & (lengths[i] - 1)) & ~0xfffULL;
			start = s1 == TEST_TRANSLATE || s1 == TEST_ABORT ?
					TEST_I : TEST_G;
			TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, s1)));
			TEST_OK(test, test_bind(gt, 0, 0, TEST_I, TEST_G,
						lengths[i]));
			/* No physical doorbell yet */
			KUNIT_ASSERT_EQ(test, parent->nr_pages, 0);

			TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
			KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr,
					start + offset + 0x40);
			KUNIT_ASSERT_EQ(test, parent->nr_pages, 1);
			KUNIT_EXPECT_EQ(test, parent->pages[0].addr,
					TEST_G + offset);
			KUNIT_EXPECT_EQ(test, parent->pages[0].phys,
					TEST_P & ~0xfffULL);
			KUNIT_EXPECT_EQ(test, parent->pages[0].prot, TEST_PROT);

			/* Elsewhere in the page */
			TEST_OK(test, test_prepare(gt, 0, 1, TEST_P + 0xf00));
			KUNIT_EXPECT_EQ(test, gt->msis[0][1].addr,
					start + offset + 0xf40);
			KUNIT_EXPECT_EQ(test, parent->nr_pages, 1);

			test_free_msis(gt);
			TEST_OK(test, test_unbind(gt, 0));
			KUNIT_ASSERT_EQ(test, parent->nr_pages, 0);
		}
	}
	test_check_empty(test);
}

/* Without a binding an MSI is in the window of what translates it */
static void guest_msi_test_flat(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	int place, i;

	for (place = TEST_BLOCKED; place < TEST_PLACES; place++) {
		test_free_places(gt);
		test_new_places(test);
		/* Of no use in other parents */
		TEST_OK(test, test_move(gt, 0, TEST_PLACE(1, 0)));
		TEST_OK(test, test_bind(gt, 0, 1, TEST_I, TEST_G, SZ_64K));
		TEST_OK(test, test_move(gt, 0, place));
		if (test_parent_of(gt, place) == gt->parents[1])
			TEST_OK(test, test_unbind(gt, 0));
		TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
		TEST_OK(test, test_prepare(gt, 0, 1, TEST_P + 4));
		TEST_OK(test, test_prepare(gt, 0, 2, TEST_Q));
		for (i = 0; i < TEST_MSIS; i++)
			KUNIT_EXPECT_EQ(test, gt->msis[0][i].addr,
					test_flat_addr(gt,
						       gt->msis[0][i].phys));
		KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, place));
		/* Set up while it was blocked, or elsewhere: it goes on */
		if (!test_parent_of(gt, place))
			KUNIT_EXPECT_EQ(test,
					test_move(gt, 0, TEST_PLACE(0, 0)), 0);
		KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, place ? place :
						      TEST_PLACE(0, 0)));
		test_free_msis(gt);
	}
}

/* A guest's doorbell stands for one physical doorbell */
static void guest_msi_test_shared(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const int place = TEST_PLACE(0, TEST_TRANSLATE);

	TEST_OK(test, test_move(gt, 0, place));
	TEST_OK(test, test_move(gt, 1, place));
	TEST_OK(test, test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K));
	TEST_OK(test, test_bind(gt, 1, 0, TEST_J, TEST_G, SZ_64K));

	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	/* Not to the flat window either: the guest does not look there */
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 1, 0, TEST_Q), -EBUSY);
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 1);
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 1, 0, TEST_P), 0);
	KUNIT_EXPECT_EQ(test, gt->msis[1][0].addr, TEST_J + 0x40);
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 1);

	/* A further doorbell of the guest is free for the other one */
	TEST_OK(test, test_bind(gt, 1, 0, TEST_K, TEST_H, SZ_64K));
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 1, 1, TEST_Q), 0);
	KUNIT_EXPECT_EQ(test, gt->msis[1][1].addr, TEST_K + 0x40);
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 2);

	/* A free one is not taken while another one fits */
	TEST_OK(test, test_move(gt, 2, place));
	TEST_OK(test, test_bind(gt, 2, 0, TEST_I, TEST_H + 0x10000, SZ_64K));
	TEST_OK(test, test_bind(gt, 2, 0, TEST_J, TEST_G, SZ_64K));
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 2, 0, TEST_P), 0);
	KUNIT_EXPECT_EQ(test, gt->msis[2][0].addr, TEST_J + 0x40);
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 2);

	/* The first device knows nothing of all that */
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 1, TEST_Q), -EBUSY);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, place));
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 1, place));
}

/* What is in use stays, what is not goes, and the last one unmaps */
static void guest_msi_test_unbind(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	enum test_stage1 s1;
	int d;

	for (s1 = TEST_NONE; s1 < TEST_STAGE1S; s1++) {
		for (d = 0; d < 2; d++) {
			TEST_OK(test, test_move(gt, d, TEST_PLACE(0, s1)));
			TEST_OK(test,
				test_bind(gt, d, 0, TEST_I, TEST_G, SZ_128K));
			TEST_OK(test, test_prepare(gt, d, 0, TEST_P));
		}
		KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), -EBUSY);
		/* Whatever the device is in at the moment */
		TEST_OK(test, test_move(gt, 0, TEST_BLOCKED));
		KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), -EBUSY);
		KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 1);
		KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(0, s1)), 0);
		KUNIT_EXPECT_TRUE(test,
				  test_all_lead(gt, 0, TEST_PLACE(0, s1)));

		test_free_msi(gt, 0, 0);
		TEST_OK(test, test_unbind(gt, 0));
		KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 1);
		/* That of device 1 now */
		KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), -EBUSY);
		KUNIT_EXPECT_TRUE(test,
				  test_all_lead(gt, 1, TEST_PLACE(0, s1)));

		/* Nobody asks the MSIs of what is destroyed */
		TEST_OK(test, test_move(gt, 1, TEST_BLOCKED));
		test_release(gt, 0);
		KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 0);
		/* They are lost, but never go elsewhere */
		test_judge_move(test, 1, TEST_BLOCKED, TEST_PLACE(0, s1));
		TEST_OK(test, test_move(gt, 1, TEST_BLOCKED));
		test_free_msis(gt);
	}
	test_check_empty(test);
}

/* A binding comes before the MSIs that are to use it */
static void guest_msi_test_bind_late(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	int place;

	for (place = TEST_BLOCKED; place < TEST_PLACE(1, 0); place++) {
		TEST_OK(test, test_move(gt, 0, place));
		TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
		KUNIT_EXPECT_EQ(test,
				test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K),
				-EBUSY);
		test_free_msis(gt);
		TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, 0)));
		KUNIT_EXPECT_EQ(test,
				test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K), 0);
		/* MSIs that have a binding do not mind */
		TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
		KUNIT_EXPECT_EQ(test,
				test_bind(gt, 0, 0, TEST_J, TEST_H, SZ_64K),
				0);
		test_free_msis(gt);
		TEST_OK(test, test_unbind(gt, 0));
		TEST_OK(test, test_unbind(gt, 0));
	}
	test_check_empty(test);
}

/* Take one of @base values off @combination: a loop over all combinations */
static unsigned int test_choose(unsigned int *combination, unsigned int base)
{
	unsigned int choice = *combination % base;

	*combination /= base;
	return choice;
}

/* The bindings of the device that moves */
struct test_scene_bindings {
	char *name;
	struct {
		int parent;
		u64 iova;
		u64 gpa;
	} bindings[2];
};

static const struct test_scene_bindings test_scenes[] = {
	{ "no binding" },
	{ "gIOVA is GPA", { { 0, TEST_G, TEST_G } } },
	{ "gIOVA is not GPA", { { 0, TEST_I, TEST_G } } },
	{ "in both parents",
	  { { 0, TEST_I, TEST_G }, { 1, TEST_J, TEST_G } } },
	{ "in both parents, gIOVA is GPA once",
	  { { 0, TEST_G, TEST_G }, { 1, TEST_J, TEST_G } } },
	/* One doorbell is where the device writes for another one */
	{ "gIOVA is another GPA",
	  { { 0, TEST_I, TEST_G }, { 0, TEST_J, TEST_I } } },
	/* Where the window would have pages, but for the binding */
	{ "GPA in the window", { { 0, TEST_I, TEST_FLAT } } },
	{ "both in the window", { { 0, TEST_FLAT, TEST_FLAT } } },
	{ "gIOVA in the window of the other parent",
	  { { 1, TEST_FLAT, TEST_G } } },
};

KUNIT_ARRAY_PARAM_DESC(test_scenes, test_scenes, name);

/*
 * What other devices have in a parent: doorbells in its flat window, and one at
 * the GPA that the device that moves uses
 */
struct test_scene_parent {
	u64 flat[2];
	u64 bound;
};

static void test_set_parent(struct kunit *test, int parent,
			    const struct test_scene_parent *scene)
{
	struct guest_msi_test *gt = test->priv;
	int i;

	TEST_OK(test, test_move(gt, 1, TEST_PLACE(parent, 0)));
	for (i = 0; i < ARRAY_SIZE(scene->flat); i++) {
		if (!scene->flat[i])
			continue;
		TEST_OK(test, test_prepare(gt, 1, 0, scene->flat[i]));
		test_free_msi(gt, 1, 0);
	}
	if (!scene->bound)
		return;
	TEST_OK(test, test_bind(gt, 1, parent, TEST_K, TEST_G, SZ_64K));
	TEST_OK(test, test_prepare(gt, 1, 0, scene->bound));
}

static void test_set_bindings(struct kunit *test,
			      const struct test_scene_bindings *scene)
{
	struct guest_msi_test *gt = test->priv;
	int i, parent, rc;

	for (i = 0; i < ARRAY_SIZE(scene->bindings); i++) {
		if (!scene->bindings[i].iova)
			continue;
		parent = scene->bindings[i].parent;
		TEST_OK(test, test_move(gt, 0, TEST_PLACE(parent, 0)));
		rc = test_bind(gt, 0, parent, scene->bindings[i].iova,
			       scene->bindings[i].gpa, SZ_64K);
		/* Another device's pages may be there */
		if (rc != -EADDRINUSE ||
		    !test_in_window(scene->bindings[i].gpa))
			TEST_OK(test, rc);
	}
}

static void test_end_scene(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	int i;

	test_free_msis(gt);
	/* Whoever is where it is: no MSI, no use */
	while (gt->nr_bindings)
		TEST_OK(test, test_unbind(gt, 0));
	test_check_empty(test);
	for (i = 0; i < 2; i++)
		TEST_OK(test, test_move(gt, i, TEST_BLOCKED));
	/* The next one begins with empty windows */
	for (i = 0; i < TEST_PARENTS; i++) {
		iommu_put_dma_cookie(&gt->parents[i]->domain);
		TEST_OK(test, iommu_get_msi_cookie(&gt->parents[i]->domain,
						   TEST_FLAT));
		gt->parents[i]->nr_pages = 0;
	}
}

/*
 * A device finds its doorbells wherever it goes, or does not go there. From
 * each place to each place, also by way of where it may forget or learn
 * something, and with the same doorbell or another one where it might find it.
 */
static void guest_msi_test_moves(struct kunit *test)
{
	static const struct test_scene_parent parents[] = {
		{},
		{ .flat = { TEST_Q } },
		{ .flat = { TEST_P } },
		{ .flat = { TEST_Q, TEST_P } },
		{ .bound = TEST_P },
		{ .bound = TEST_Q },
	};
	static const u64 msis[][2] = {
		{ TEST_P },
		{ TEST_P, TEST_Q },
	};
	static const int detours[] = {
		TEST_BLOCKED,
		TEST_PLACE(0, TEST_ABORT),
		TEST_PLACE(1, TEST_ABORT),
		TEST_PLACE(1, TEST_NONE),
	};
	/* A sample with KASAN, which looks at memory and takes minutes */
	const unsigned int step = IS_ENABLED(CONFIG_KASAN) ? 7 : 1;
	unsigned int n, left, m, i, detour, trials = 0, moved = 0;
	struct guest_msi_test *gt = test->priv;
	int from, to, place;

	for (n = 0; n < TEST_PLACES * TEST_PLACES * ARRAY_SIZE(msis) *
				(1 + ARRAY_SIZE(detours)) * 2 *
				ARRAY_SIZE(parents); n += step) {
		left = n;
		to = test_choose(&left, TEST_PLACES);
		from = test_choose(&left, TEST_PLACES);
		m = test_choose(&left, ARRAY_SIZE(msis));
		detour = test_choose(&left, 1 + ARRAY_SIZE(detours));
		test_set_parent(test, 0, &parents[test_choose(&left, 2)]);
		test_set_parent(test, 1, &parents[left]);
		test_set_bindings(test, test->param_value);
		TEST_OK(test, test_move(gt, 0, from));
		for (i = 0; i < ARRAY_SIZE(msis[m]); i++)
			/* A binding may be taken, but never leads elsewhere */
			if (msis[m][i])
				test_prepare(gt, 0, i, msis[m][i]);
		KUNIT_ASSERT_TRUE(test, test_all_lead(gt, 0, from));

		place = from;
		if (detour)
			place = test_judge_move(test, 0, from,
						detours[detour - 1]);
		moved += test_judge_move(test, 0, place, to) == to;
		trials++;
		test_end_scene(test);
		cond_resched();
	}
	/* The model is not that nothing ever moves */
	KUNIT_EXPECT_GT(test, moved, trials / 4);
}

/* The window moves along as it is, or not at all */
static void guest_msi_test_flat_moves(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	struct test_page *page;
	enum test_stage1 s1;
	int i;

	TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, 0)));
	for (i = 0; i < 2; i++)
		TEST_OK(test, test_prepare(gt, 0, i, i ? TEST_Q : TEST_P));
	for (s1 = TEST_NONE; s1 < TEST_ABORT; s1++) {
		KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, s1)), 0);
		KUNIT_ASSERT_EQ(test, gt->parents[1]->nr_pages, 2);
		for (i = 0; i < 2; i++) {
			page = &gt->parents[1]->pages[i];
			KUNIT_EXPECT_EQ(test, page->addr, gt->flat[i]);
			KUNIT_EXPECT_EQ(test, page->phys,
					(i ? TEST_Q : TEST_P) & ~0xfffULL);
			KUNIT_EXPECT_EQ(test, page->prot, TEST_PROT);
		}
	}
	/* Both have it now, the way back is free */
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(0, 0)), 0);
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 2);

	/* Whatever came first to the window of another parent */
	test_free_msis(gt);
	TEST_OK(test, test_move(gt, 0, TEST_BLOCKED));
	test_free_places(gt);
	test_new_places(test);
	TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, 0)));
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	TEST_OK(test, test_move(gt, 1, TEST_PLACE(1, 0)));
	TEST_OK(test, test_prepare(gt, 1, 0, TEST_Q));
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, 0)), 0);
	KUNIT_EXPECT_EQ(test, test_move(gt, 1, TEST_PLACE(0, 0)), 0);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, TEST_PLACE(1, 0)));
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 1, TEST_PLACE(0, 0)));
}

/* A window that is somewhere else when the device comes back */
static void guest_msi_test_window_moves(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const u64 moved = TEST_FLAT + TEST_FLAT_SIZE;
	struct iommu_domain *parent = &gt->parents[1]->domain;

	TEST_OK(test, test_move(gt, 0, TEST_BLOCKED));
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	iommu_put_dma_cookie(parent);
	TEST_OK(test, iommu_get_msi_cookie(parent, moved));
	iommu_guest_msi_move_window(test_dev(gt, 0)->iommu_group, moved);
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, 0)), -EBUSY);
	KUNIT_EXPECT_EQ(test, gt->parents[1]->nr_pages, 0);
	test_free_msis(gt);
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr,
			test_flat_addr(gt, TEST_P) + TEST_FLAT_SIZE);
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, 0)), 0);
	KUNIT_ASSERT_EQ(test, gt->parents[1]->nr_pages, 1);
	KUNIT_EXPECT_EQ(test, gt->parents[1]->pages[0].addr,
			gt->flat[0] + TEST_FLAT_SIZE);
}

/* A doorbell in the flat window has its pages, but none that are in use */
static void guest_msi_test_window_shared(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const int place = TEST_PLACE(0, TEST_NONE);
	struct test_parent *parent = gt->parents[0];
	u64 next;
	int d;

	for (d = 0; d < 3; d++)
		TEST_OK(test, test_move(gt, d, place));
	TEST_OK(test, test_bind(gt, 0, 0, TEST_I, gt->flat[0], SZ_4K));
	/* Without a binding, beside it; with one, in it: in any order */
	TEST_OK(test, test_prepare(gt, 1, 0, TEST_P));
	next = ALIGN_DOWN(gt->msis[1][0].addr, SZ_4K);
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr, gt->flat[0] + 0x40);
	TEST_OK(test, test_prepare(gt, 1, 1, TEST_Q));
	for (d = 0; d < 2; d++)
		KUNIT_EXPECT_TRUE(test, test_all_lead(gt, d, place));
	KUNIT_EXPECT_NE(test, next, gt->flat[0]);

	/* Nothing takes what is in use */
	KUNIT_EXPECT_EQ(test, test_bind(gt, 2, 0, TEST_I, next, SZ_4K),
			-EADDRINUSE);
	KUNIT_EXPECT_EQ(test, test_bind(gt, 2, 0, TEST_I, TEST_FLAT,
					TEST_FLAT_SIZE), -EADDRINUSE);
	/* But in another parent */
	TEST_OK(test, test_bind(gt, 2, 1, TEST_I, TEST_FLAT, TEST_FLAT_SIZE));
	KUNIT_EXPECT_EQ(test, test_move(gt, 1, TEST_PLACE(1, 0)), -EBUSY);
	test_free_msis(gt);
	TEST_OK(test, test_move(gt, 1, TEST_PLACE(1, 0)));
	/* Which has no room left then */
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 1, 0, TEST_P), -EBUSY);
	KUNIT_EXPECT_EQ(test, gt->parents[1]->nr_pages, 0);

	/* What was told without looking at the binding is found out */
	TEST_OK(test, test_move(gt, 1, TEST_BLOCKED));
	TEST_OK(test, test_prepare(gt, 1, 0, TEST_P));
	KUNIT_EXPECT_EQ(test, test_move(gt, 1, place), -EBUSY);
	TEST_OK(test, test_unbind(gt, 0));
	KUNIT_EXPECT_EQ(test, test_move(gt, 1, place), 0);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 1, place));
	KUNIT_EXPECT_FALSE(test, parent->bad);
}

/* A group moves as one: whose MSIs allow it goes back with the other */
static void guest_msi_test_group(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const int to = TEST_PLACE(0, TEST_TRANSLATE);
	const int from = TEST_PLACE(0, TEST_NONE);
	int d;

	KUNIT_ASSERT_PTR_EQ(test, test_dev(gt, 2)->iommu_group,
			    test_dev(gt, 3)->iommu_group);
	TEST_OK(test, test_move(gt, 2, from));
	TEST_OK(test, test_bind(gt, 2, 0, TEST_G, TEST_G, SZ_64K));
	TEST_OK(test, test_bind(gt, 3, 0, TEST_I, TEST_G, SZ_64K));
	TEST_OK(test, test_prepare(gt, 2, 0, TEST_P));
	TEST_OK(test, test_prepare(gt, 3, 0, TEST_P));

	KUNIT_EXPECT_EQ(test, test_move(gt, 2, to), -EBUSY);
	for (d = 2; d < TEST_DEVS; d++) {
		KUNIT_EXPECT_PTR_EQ(test, gt->attached[d], gt->places[from]);
		KUNIT_EXPECT_NULL(test, test_dev(gt, d)->iommu->pasid_table);
		KUNIT_EXPECT_TRUE(test, test_all_lead(gt, d, from));
	}
	test_free_msi(gt, 3, 0);
	KUNIT_EXPECT_EQ(test, test_move(gt, 2, to), 0);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 2, to));
}

/* What fails leaves nothing behind, and works when it is tried again */
static void guest_msi_test_map_fails(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const int place = TEST_PLACE(0, TEST_TRANSLATE);

	TEST_OK(test, test_move(gt, 0, place));
	TEST_OK(test, test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K));
	gt->parents[0]->fail_map = true;
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_P), -ENOMEM);
	gt->parents[0]->fail_map = false;
	/* Not even the choice of the physical doorbell */
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_Q), 0);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, place));
	test_free_msis(gt);
	KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), 0);

	/* A binding that has never been mapped is not unmapped */
	TEST_OK(test, test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K));
	gt->parents[0]->fail_map = true;
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_P), -ENOMEM);
	KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), 0);
	KUNIT_EXPECT_FALSE(test, gt->parents[0]->bad);

	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_P), -ENOMEM);
	gt->parents[0]->fail_map = false;
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_P), 0);
	KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr, test_flat_addr(gt, TEST_P));

	/* The window of the next parent */
	gt->parents[1]->fail_map = true;
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, 0)), -ENOMEM);
	KUNIT_EXPECT_PTR_EQ(test, gt->attached[0], gt->places[place]);
	gt->parents[1]->fail_map = false;
	KUNIT_EXPECT_EQ(test, test_move(gt, 0, TEST_PLACE(1, 0)), 0);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, TEST_PLACE(1, 0)));
}

/* A driver that refuses: the device stays, and so do its later MSIs */
static void guest_msi_test_attach_fails(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	const int place = TEST_PLACE(0, TEST_TRANSLATE);
	struct device *dev = test_dev(gt, 0);
	int to;

	TEST_OK(test, test_move(gt, 0, place));
	TEST_OK(test, test_bind(gt, 0, 0, TEST_I, TEST_G, SZ_64K));
	gt->attach_error = -EIO;
	/* The table that the device has is not for the driver to attach again */
	for (to = TEST_BLOCKED; to < TEST_PLACES; to++)
		KUNIT_EXPECT_EQ(test,
				iommu_group_for_each_dev(dev->iommu_group,
							 gt->places[to],
							 test_attach_one),
				to == place ? 0 : -EIO);
	gt->attach_error = 0;
	KUNIT_EXPECT_PTR_EQ(test, &dev->iommu->pasid_table->domain,
			    gt->places[place]);
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_P), 0);
	KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr, TEST_I + 0x40);
	KUNIT_EXPECT_TRUE(test, test_all_lead(gt, 0, place));
}

/* Ranges overlap in every way that powers of two can, or are next to it */
static void guest_msi_test_overlaps(struct kunit *test)
{
	static const u64 lengths[] = { SZ_4K, SZ_64K, SZ_128K, SZ_1M };
	struct guest_msi_test *gt = test->priv;
	bool overlaps, partly;
	int i, rc, d;
	u64 base;

	for (d = 0; d < 2; d++)
		TEST_OK(test, test_move(gt, d, TEST_PLACE(0, 0)));
	TEST_OK(test,
		test_bind(gt, 0, 0, TEST_I + 0x10000, TEST_H, SZ_64K));
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (base = 0; base < SZ_1M; base += lengths[i]) {
			overlaps = base < SZ_128K && base + lengths[i] > SZ_64K;
			partly = overlaps && (base != SZ_64K ||
					      lengths[i] != SZ_64K);

			/* The same gIOVAs mean two things to the device */
			rc = test_bind(gt, 0, 0, TEST_I + base, TEST_K + base,
				       lengths[i]);
			KUNIT_ASSERT_EQ(test, rc, overlaps ? -EEXIST : 0);
			if (!rc)
				TEST_OK(test, test_unbind(gt, 1));
			/* But not to another device */
			TEST_OK(test, test_bind(gt, 1, 0, TEST_I + base,
						TEST_K + base, lengths[i]));
			TEST_OK(test, test_unbind(gt, 1));

			/* A doorbell is shared as a whole, with itself too */
			for (d = 0; d < 2; d++) {
				rc = test_bind(gt, d, 0, TEST_J + base,
					       TEST_G + base, lengths[i]);
				KUNIT_ASSERT_EQ(test, rc, partly ?
						-EADDRINUSE : 0);
				if (!rc)
					TEST_OK(test, test_unbind(gt, 1));
			}
			/* Another parent has doorbells of its own */
			TEST_OK(test, test_bind(gt, 1, 1, TEST_J + base,
						TEST_G + base, lengths[i]));
			TEST_OK(test, test_unbind(gt, 1));
		}
	}
}

static void guest_msi_test_max(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	u64 offset = 0;
	int i;

	for (i = 0; i < IOMMU_GUEST_MSI_MAX; i++, offset += SZ_4K)
		TEST_OK(test, test_bind(gt, 0, i % 2, TEST_I + offset,
					TEST_G + offset, SZ_4K));
	KUNIT_EXPECT_EQ(test,
			test_bind(gt, 0, 0, TEST_I + offset, TEST_G + offset,
				  SZ_4K),
			-ENOSPC);
	/* Each device has its own */
	KUNIT_EXPECT_EQ(test,
			test_bind(gt, 1, 0, TEST_I + offset, TEST_G + offset,
				  SZ_4K),
			0);
	KUNIT_EXPECT_EQ(test, test_unbind(gt, 0), 0);
	KUNIT_EXPECT_EQ(test,
			test_bind(gt, 0, 0, TEST_I + offset, TEST_G + offset,
				  SZ_4K),
			0);
}

static int test_kind(struct guest_msi_test *gt, u64 iova, u64 gpa, u64 length)
{
	struct iommu_guest_msi_window window = {
		.iova = iova,
		.gpa = gpa,
		.length = length,
	};

	return iommu_guest_msi_kind(&gt->parents[0]->domain, test_dev(gt, 0),
				    &window);
}

/* Values that a guest must not get away with */
static void guest_msi_test_window(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	u64 last = BIT_ULL(40);
	int i, j;

	for (i = 0; i < 64; i++) {
		const u64 length = BIT_ULL(i);
		const int fits = i >= 12 && i <= 40 ? IOMMU_GUEST_MSI_MAPPED :
						      -EINVAL;

		KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, length), fits);
		/* The end of the parent, and beyond */
		KUNIT_EXPECT_EQ(test, test_kind(gt, 0, last - length, length),
				fits);
		KUNIT_EXPECT_EQ(test, test_kind(gt, 0, last, length), -EINVAL);
		KUNIT_EXPECT_EQ(test, test_kind(gt, 0, -length, length),
				-EINVAL);
		/* Stage 1 may have more addresses than the parent */
		KUNIT_EXPECT_EQ(test, test_kind(gt, -length, 0, length), fits);
		/* One bit too many */
		for (j = 0; j < 64; j++) {
			if (j != i)
				KUNIT_EXPECT_EQ(test,
						test_kind(gt, 0, 0,
							  length | BIT_ULL(j)),
						-EINVAL);
			if (j < i) {
				KUNIT_EXPECT_EQ(test,
						test_kind(gt, BIT_ULL(j), 0,
							  length),
						-EINVAL);
				KUNIT_EXPECT_EQ(test,
						test_kind(gt, 0, BIT_ULL(j),
							  length),
						-EINVAL);
			}
		}
	}
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, 0), -EINVAL);

	gt->parents[0]->domain.pgsize_bitmap = SZ_64K | SZ_512M;
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_32K), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_64K),
			IOMMU_GUEST_MSI_MAPPED);
	gt->parents[0]->domain.geometry.aperture_start = SZ_1M;
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, SZ_1M - SZ_64K, SZ_64K),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, SZ_1M, SZ_64K),
			IOMMU_GUEST_MSI_MAPPED);
}

/* What takes the MSIs of a device is what the IOMMU driver says */
static void guest_msi_test_kinds(struct kunit *test)
{
	static const u64 places[] = { 0, SZ_1M - SZ_64K, SZ_1M, SZ_2M - SZ_64K,
				      SZ_2M };
	struct guest_msi_test *gt = test->priv;
	int i, j;

	gt->nr_resv = 0;
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_64K), -EOPNOTSUPP);
	gt->resv[0].type = IOMMU_RESV_RESERVED;
	gt->resv[0].start = 0;
	gt->resv[0].length = SZ_4M;
	gt->nr_resv = 1;
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_64K), -EOPNOTSUPP);

	/* The second one, behind one that does not matter */
	gt->resv[1].type = IOMMU_RESV_SW_MSI;
	gt->nr_resv = 2;
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_64K),
			IOMMU_GUEST_MSI_MAPPED);

	gt->resv[1].type = IOMMU_RESV_MSI;
	gt->resv[1].start = SZ_1M;
	gt->resv[1].length = SZ_1M;
	for (i = 0; i < ARRAY_SIZE(places); i++)
		for (j = 0; j < ARRAY_SIZE(places); j++)
			KUNIT_EXPECT_EQ(test,
					test_kind(gt, places[i], places[j],
						  SZ_64K),
					i >= 2 && i <= 3 && j >= 2 && j <= 3 ?
						IOMMU_GUEST_MSI_HARDWARE :
						-EINVAL);
	/* As long as it, twice as long, and with one end inside only */
	KUNIT_EXPECT_EQ(test, test_kind(gt, SZ_1M, SZ_1M, SZ_1M),
			IOMMU_GUEST_MSI_HARDWARE);
	KUNIT_EXPECT_EQ(test, test_kind(gt, 0, 0, SZ_2M), -EINVAL);
	gt->resv[1].start = 0x101000;
	KUNIT_EXPECT_EQ(test, test_kind(gt, SZ_1M, SZ_1M, SZ_64K), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_kind(gt, SZ_2M, SZ_2M, SZ_64K), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_kind(gt, SZ_2M, SZ_2M, SZ_4K),
			IOMMU_GUEST_MSI_HARDWARE);

	/* The window of software takes what hardware does not */
	gt->resv[0].type = IOMMU_RESV_MSI;
	gt->resv[1].type = IOMMU_RESV_SW_MSI;
	KUNIT_EXPECT_EQ(test, test_kind(gt, SZ_4M, SZ_4M, SZ_64K),
			IOMMU_GUEST_MSI_MAPPED);
}

/* Nobody looks after a device that is not claimed */
static void guest_msi_test_unclaimed(struct kunit *test)
{
	struct guest_msi_test *gt = test->priv;
	int from, to, i;

	iommu_guest_msi_unclaim(test_dev(gt, 0));
	for (from = TEST_BLOCKED; from < TEST_PLACES; from++) {
		TEST_OK(test, test_move(gt, 0, from));
		TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
		/* Its own domain counts, and a table has no window */
		KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr,
				from && test_stage1_of(from) == TEST_NONE ?
					TEST_FLAT + 0x40 : TEST_P);
		for (to = TEST_BLOCKED; to < TEST_PLACES; to++)
			KUNIT_EXPECT_EQ(test, test_move(gt, 0, to), 0);
		test_free_msis(gt);
	}
	KUNIT_EXPECT_EQ(test, gt->parents[0]->nr_pages, 1);
	KUNIT_EXPECT_EQ(test, gt->parents[1]->nr_pages, 1);

	/* It shares the window with those that are, and keeps off bindings */
	TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, 0)));
	TEST_OK(test, test_move(gt, 1, TEST_PLACE(0, 0)));
	TEST_OK(test, test_prepare(gt, 1, 0, TEST_P));
	TEST_OK(test, test_prepare(gt, 1, 1, TEST_Q));
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_Q));
	TEST_OK(test, test_prepare(gt, 0, 1, TEST_R));
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_TRUE(test,
				  test_all_lead(gt, i, TEST_PLACE(0, 0)));
	test_free_msis(gt);
	TEST_OK(test, test_move(gt, 1, TEST_PLACE(1, 0)));
	TEST_OK(test, test_bind(gt, 1, 1, TEST_I, TEST_FLAT + SZ_512K,
				SZ_512K));
	TEST_OK(test, test_bind(gt, 1, 1, TEST_J, TEST_FLAT + 4096, SZ_4K));
	TEST_OK(test, test_move(gt, 0, TEST_PLACE(1, 0)));
	KUNIT_EXPECT_EQ(test, test_prepare(gt, 0, 0, TEST_R), -ENOMEM);
	KUNIT_EXPECT_FALSE(test, gt->parents[1]->bad);

	/* The claim begins with what the device is in */
	TEST_OK(test, test_move(gt, 0, TEST_PLACE(0, TEST_TRANSLATE)));
	TEST_OK(test, iommu_guest_msi_claim(test_dev(gt, 0)));
	TEST_OK(test, test_prepare(gt, 0, 0, TEST_P));
	KUNIT_EXPECT_EQ(test, gt->msis[0][0].addr, test_flat_addr(gt, TEST_P));
}

static struct kunit_case guest_msi_test_cases[] = {
	KUNIT_CASE(guest_msi_test_serves),
	KUNIT_CASE(guest_msi_test_flat),
	KUNIT_CASE(guest_msi_test_shared),
	KUNIT_CASE(guest_msi_test_unbind),
	KUNIT_CASE(guest_msi_test_bind_late),
	KUNIT_CASE_PARAM(guest_msi_test_moves, test_scenes_gen_params),
	KUNIT_CASE(guest_msi_test_flat_moves),
	KUNIT_CASE(guest_msi_test_window_moves),
	KUNIT_CASE(guest_msi_test_window_shared),
	KUNIT_CASE(guest_msi_test_group),
	KUNIT_CASE(guest_msi_test_map_fails),
	KUNIT_CASE(guest_msi_test_attach_fails),
	KUNIT_CASE(guest_msi_test_overlaps),
	KUNIT_CASE(guest_msi_test_max),
	KUNIT_CASE(guest_msi_test_window),
	KUNIT_CASE(guest_msi_test_kinds),
	KUNIT_CASE(guest_msi_test_unclaimed),
	{},
};

static struct kunit_suite guest_msi_test_suite = {
	.name = "iommu-guest-msi",
	.init = guest_msi_test_init,
	.exit = guest_msi_test_exit,
	.test_cases = guest_msi_test_cases,
};

kunit_test_suites(&guest_msi_test_suite);

MODULE_DESCRIPTION("KUnit tests for the MSI doorbells of a guest");
MODULE_LICENSE("GPL");
