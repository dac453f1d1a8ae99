// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which order a PASID leaves its domain.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/slab.h>

#include "iommu.h"
#include "pasid.h"

#define TEST_PASID	5
#define TEST_DOMAINS	64

struct pasid_test {
	struct kunit *test;
	struct intel_iommu iommu;
	unsigned long domain_ids[BITS_TO_LONGS(TEST_DOMAINS)];
	struct pasid_table table;
	struct pasid_dir_entry *dir;
	struct pasid_entry *entries;
	struct device_domain_info info;
	struct dev_iommu dev_iommu;
	struct device dev;
	struct dmar_domain domain;
	u16 did;
	unsigned int invalidations;
};

/* The device may still use what is to be invalidated */
static void test_invalidation(struct intel_iommu *iommu)
{
	struct pasid_test *pt = container_of(iommu, struct pasid_test, iommu);

	pt->invalidations++;
	KUNIT_EXPECT_FALSE(pt->test, list_empty(&pt->domain.cache_tags));
	KUNIT_EXPECT_TRUE(pt->test, test_bit(pt->did, pt->domain_ids));
	KUNIT_EXPECT_FALSE(pt->test,
			   pt->entries[TEST_PASID].val[0] & PASID_PTE_PRESENT);
}

static int test_submit(struct intel_iommu *iommu, struct qi_desc *descs,
		       unsigned int count, unsigned long options)
{
	test_invalidation(iommu);
	return 0;
}

static void test_flush_iotlb(struct intel_iommu *iommu, u16 did, u64 addr,
			     unsigned int size_order, u64 type)
{
	test_invalidation(iommu);
}

static int pasid_test_init(struct kunit *test)
{
	struct pasid_test *pt = kunit_kzalloc(test, sizeof(*pt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pt);
	test->priv = pt;
	pt->test = test;
	pt->dir = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	pt->entries = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pt->dir);
	KUNIT_ASSERT_NOT_NULL(test, pt->entries);
	pt->dir[0].val = virt_to_phys(pt->entries) | PASID_PTE_PRESENT;
	pt->table.table = pt->dir;
	pt->table.max_pasid = BIT(6);

	/* 64 domain IDs, coherent walks */
	pt->iommu.cap = 1;
	pt->iommu.ecap = 1;
	pt->iommu.domain_ids = pt->domain_ids;
	pt->iommu.flush.flush_iotlb = test_flush_iotlb;
	spin_lock_init(&pt->iommu.lock);
	pt->info.iommu = &pt->iommu;
	pt->info.dev = &pt->dev;
	pt->info.pasid_table = &pt->table;
	pt->dev.init_name = "intel-pasid-test";
	pt->dev.iommu = &pt->dev_iommu;
	pt->dev_iommu.priv = &pt->info;

	pt->domain.fixed_format = 1;
	pt->domain.domain.type = IOMMU_DOMAIN_UNMANAGED;
	INIT_LIST_HEAD(&pt->domain.devices);
	INIT_LIST_HEAD(&pt->domain.dev_pasids);
	INIT_LIST_HEAD(&pt->domain.cache_tags);
	spin_lock_init(&pt->domain.lock);
	spin_lock_init(&pt->domain.cache_lock);
	xa_init(&pt->domain.iommu_array);
	kunit_activate_static_stub(test, qi_submit_sync, test_submit);
	return 0;
}

static void pasid_test_exit(struct kunit *test)
{
	struct pasid_test *pt = test->priv;

	if (pt)
		kfree(pt->domain.qi_batch);
}

static void pasid_test_remove(struct kunit *test)
{
	struct pasid_test *pt = test->priv;
	struct pasid_entry *entry = &pt->entries[TEST_PASID];
	struct dev_pasid_info *dev_pasid;

	KUNIT_ASSERT_EQ(test, domain_attach_iommu(&pt->domain, &pt->iommu), 0);
	pt->did = domain_id_iommu(&pt->domain, &pt->iommu);
	KUNIT_ASSERT_EQ(test, cache_tag_assign_domain(&pt->domain, &pt->dev,
						      TEST_PASID), 0);
	dev_pasid = kzalloc(sizeof(*dev_pasid), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev_pasid);
	dev_pasid->dev = &pt->dev;
	dev_pasid->pasid = TEST_PASID;
	list_add(&dev_pasid->link_domain, &pt->domain.dev_pasids);
	pasid_set_domain_id(entry, pt->did);
	pasid_set_translation_type(entry, PASID_ENTRY_PGTT_SL_ONLY);
	pasid_set_present(entry);

	intel_iommu_ops.remove_dev_pasid(&pt->dev, TEST_PASID,
					 &pt->domain.domain);
	/* PASID cache and IOTLB */
	KUNIT_EXPECT_EQ(test, pt->invalidations, 2);
	KUNIT_EXPECT_TRUE(test, list_empty(&pt->domain.cache_tags));
	KUNIT_EXPECT_TRUE(test, list_empty(&pt->domain.dev_pasids));
	KUNIT_EXPECT_FALSE(test, test_bit(pt->did, pt->domain_ids));
	KUNIT_EXPECT_EQ(test, entry->val[0], 0);
}

static struct kunit_case pasid_test_cases[] = {
	KUNIT_CASE(pasid_test_remove),
	{},
};

static struct kunit_suite pasid_test_suite = {
	.name = "intel-pasid",
	.init = pasid_test_init,
	.exit = pasid_test_exit,
	.test_cases = pasid_test_cases,
};

kunit_test_suites(&pasid_test_suite);
