// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which configurations of a guest's PASID table fit a device and its IOMMU.
 */
#include <kunit/test.h>
#include <linux/device.h>

#include "iommu.h"
#include "nested-table.h"

/* Capabilities, 10.4.2 and 10.4.3 */
#define HW_CAP_SAGAW(agaw)	BIT_ULL(8 + (agaw))
#define HW_CAP_SLLPS_2M		BIT_ULL(34)
#define HW_ECAP_SC		BIT_ULL(7)
#define HW_ECAP_NEST		BIT_ULL(26)
#define HW_ECAP_SMTS		BIT_ULL(43)
#define HW_ECAP_SLADS		BIT_ULL(45)
#define HW_ECAP_SMPWC		BIT_ULL(48)
#define HW_ECAP_RPS		BIT_ULL(49)

struct table_test {
	struct intel_iommu iommu;
	struct pasid_table pasids;
	struct device_domain_info info;
	struct dev_iommu dev_iommu;
	struct device dev;
	struct dmar_domain parent;
	struct iommu_dirty_ops dirty_ops;
	struct iommu_hwpt_pasid_table config;
};

/* One that fits */
static void test_reset(struct table_test *tt)
{
	memset(tt, 0, sizeof(*tt));
	tt->iommu.cap = HW_CAP_SAGAW(1) | HW_CAP_SAGAW(2);
	tt->iommu.ecap = HW_ECAP_SC | HW_ECAP_NEST | HW_ECAP_SMTS |
			 HW_ECAP_SLADS | HW_ECAP_SMPWC | HW_ECAP_RPS;
	tt->iommu.agaw = 2;
	tt->iommu.iommu.max_pasids = BIT(16);
	tt->info.iommu = &tt->iommu;
	tt->info.pasid_table = &tt->pasids;
	tt->dev.iommu = &tt->dev_iommu;
	tt->dev_iommu.priv = &tt->info;
	spin_lock_init(&tt->parent.lock);
	tt->parent.nested_parent = 1;
	tt->parent.force_snooping = 1;
	tt->parent.agaw = 2;
	tt->parent.domain.dirty_ops = &tt->dirty_ops;
	tt->parent.domain.geometry.aperture_end = BIT_ULL(48) - 1;
	tt->config = (struct iommu_hwpt_pasid_table){
		.format = IOMMU_PASID_TABLE_VTD,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
		.pasid_bits = 16,
		.base_addr = 0xfffffffff000,
		.vtd.rid_pasid = 0xffff,
	};
}

static int test_check(struct table_test *tt)
{
	return intel_nested_table_ops.check(&tt->parent.domain, &tt->dev,
					    &tt->config);
}

static int nested_table_test_init(struct kunit *test)
{
	struct table_test *tt = kunit_kzalloc(test, sizeof(*tt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, tt);
	test->priv = tt;
	/* Nothing is supported then */
	if (!intel_iommu_sm)
		kunit_skip(test, "scalable mode is off");
	test_reset(tt);
	return 0;
}

static void nested_test_hardware(struct kunit *test)
{
	static const u64 needed[] = { HW_ECAP_NEST, HW_ECAP_SMTS };
	struct table_test *tt = test->priv;
	int i;

	KUNIT_EXPECT_EQ(test, test_check(tt), 0);
	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		test_reset(tt);
		tt->iommu.ecap &= ~needed[i];
		KUNIT_EXPECT_EQ(test, test_check(tt), -EOPNOTSUPP);
	}
	/* Not in scalable mode */
	test_reset(tt);
	tt->info.pasid_table = NULL;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EOPNOTSUPP);
	/* Requests without a PASID have one that is fixed */
	test_reset(tt);
	tt->iommu.ecap &= ~HW_ECAP_RPS;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EOPNOTSUPP);
	tt->config.vtd.rid_pasid = 1;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EOPNOTSUPP);
	tt->config.vtd.rid_pasid = 0;
	KUNIT_EXPECT_EQ(test, test_check(tt), 0);
	/* Whether it has PASIDs is the device's business: rid_pasid is left */
	test_reset(tt);
	tt->info.pasid_enabled = 0;
	KUNIT_EXPECT_EQ(test, test_check(tt), 0);
}

static void nested_test_parent(struct kunit *test)
{
	static const u64 dirty[] = { HW_ECAP_SLADS, HW_ECAP_SMPWC };
	struct table_test *tt = test->priv;
	int i;

	tt->parent.nested_parent = 0;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EINVAL);

	/* A second stage with more levels than the hardware walks */
	test_reset(tt);
	tt->parent.agaw = 3;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EINVAL);
	tt->iommu.agaw = 3;
	tt->iommu.cap |= HW_CAP_SAGAW(3);
	KUNIT_EXPECT_EQ(test, test_check(tt), 0);
	/* Fewer levels are a feature of their own */
	tt->parent.agaw = 1;
	KUNIT_EXPECT_EQ(test, test_check(tt), 0);
	tt->iommu.cap &= ~HW_CAP_SAGAW(1);
	KUNIT_EXPECT_EQ(test, test_check(tt), -EINVAL);

	test_reset(tt);
	tt->iommu.ecap &= ~HW_ECAP_SC;
	KUNIT_EXPECT_EQ(test, test_check(tt), -EINVAL);
	tt->parent.force_snooping = 0;
	KUNIT_EXPECT_EQ(test, test_check(tt), 0);

	for (i = 0; i < ARRAY_SIZE(dirty); i++) {
		test_reset(tt);
		tt->iommu.ecap &= ~dirty[i];
		KUNIT_EXPECT_EQ(test, test_check(tt), -EINVAL);
		tt->parent.domain.dirty_ops = NULL;
		KUNIT_EXPECT_EQ(test, test_check(tt), 0);
	}
}

static void nested_test_config(struct kunit *test)
{
	struct table_test *tt = test->priv;
	unsigned int bit, bits, width;

	for (bit = 0; bit < 32; bit++) {
		test_reset(tt);
		tt->config.vtd.__reserved = BIT(bit);
		KUNIT_EXPECT_EQ(test, test_check(tt), -EOPNOTSUPP);
	}
	for (bit = 0; bit < 48; bit++) {
		test_reset(tt);
		tt->config.base_addr = BIT_ULL(bit);
		KUNIT_EXPECT_EQ(test, test_check(tt), bit < 12 ? -EINVAL : 0);
	}
	/* Widths of the table, of the hardware, and of rid_pasid */
	for (bits = 0; bits <= 20; bits++) {
		for (width = 0; width <= 20; width++) {
			test_reset(tt);
			tt->config.pasid_bits = bits;
			tt->iommu.iommu.max_pasids = width ? BIT(width) : 0;
			tt->config.vtd.rid_pasid = BIT(bits) - 1;
			KUNIT_ASSERT_EQ(test, test_check(tt),
					bits > width ? -EOPNOTSUPP : 0);
		}
		for (bit = bits; bit < 32; bit++) {
			test_reset(tt);
			tt->config.pasid_bits = bits;
			tt->iommu.iommu.max_pasids = BIT(20);
			tt->config.vtd.rid_pasid = BIT(bit);
			KUNIT_ASSERT_EQ(test, test_check(tt), -EINVAL);
		}
	}
}

static int test_fits(struct table_test *tt)
{
	return prepare_domain_attach_device(&tt->parent.domain, &tt->dev);
}

/* Also where the table of a guest is not what comes between them */
static void nested_test_format(struct kunit *test)
{
	struct table_test *tt = test->priv;
	static struct iommu_domain_info in_use;
	struct dma_pte top = {}, *pgd = &top;
	int i;

	for (i = 0; i < 2; i++) {
		test_reset(tt);
		xa_init(&tt->parent.iommu_array);
		tt->parent.domain.dirty_ops = NULL;
		tt->parent.fixed_format = 1;
		tt->parent.pgd = pgd;
		tt->parent.iommu_coherency = i;
		KUNIT_EXPECT_EQ(test, test_fits(tt), 0);
		tt->iommu.ecap &= ~HW_ECAP_SMPWC;
		KUNIT_EXPECT_EQ(test, test_fits(tt), i ? -EINVAL : 0);
		tt->iommu.ecap |= HW_ECAP_SMPWC;
		tt->parent.iommu_superpage = 1;
		KUNIT_EXPECT_EQ(test, test_fits(tt), -EINVAL);
		tt->iommu.cap |= HW_CAP_SLLPS_2M;
		KUNIT_EXPECT_EQ(test, test_fits(tt), 0);
		tt->parent.agaw = 3;
		KUNIT_EXPECT_EQ(test, test_fits(tt), -EINVAL);
		KUNIT_EXPECT_EQ(test, tt->parent.agaw, 3);
		KUNIT_EXPECT_PTR_EQ(test, tt->parent.pgd, pgd);
	}

	/* The format is free, but another IOMMU uses the table */
	tt->parent.fixed_format = 0;
	KUNIT_ASSERT_FALSE(test, xa_is_err(xa_store(&tt->parent.iommu_array, 7,
						    &in_use, GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, test_fits(tt), -EINVAL);
	KUNIT_EXPECT_EQ(test, tt->parent.agaw, 3);
	xa_destroy(&tt->parent.iommu_array);
	KUNIT_EXPECT_EQ(test, test_fits(tt), 0);
	KUNIT_EXPECT_EQ(test, tt->parent.agaw, 2);
}

/* By the conditions of table 7.1.3, each with the first reason and the last */
static void nested_test_fault_reasons(struct kunit *test)
{
	static const struct {
		u8 first, last;
		bool guest;
	} reasons[] = {
		{ 0x00, 0x43 },			/* root and context entries */
		{ 0x44, 0x47, true },		/* DTE, PASIDE, PDTS, PRE */
		{ 0x48, 0x50 },			/* RID_PASID, directory access */
		{ 0x51, 0x51, true },		/* directory entry P=0 */
		{ 0x52, 0x58 },			/* reserved, table access */
		{ 0x59, 0x59, true },		/* table entry P=0 */
		{ 0x5a, 0x5b },			/* reserved, invalid */
		{ 0x5c, 0x5d, true },		/* ERE, SRE */
		{ 0x5e, 0x6f },
		{ 0x70, 0x77, true },		/* first stage */
		{ 0x78, 0x78 },			/* second-stage access */
		{ 0x79, 0x79, true },		/* second-stage rights */
		{ 0x7a, 0x7f },			/* second stage malformed */
		{ 0x80, 0x87, true },		/* address, rights, interrupts */
		{ 0x88, 0x8f },
		{ 0x90, 0x91, true },		/* accessed and dirty bits */
		{ 0x92, 0xff },
	};
	unsigned int i, reason, next = 0;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		KUNIT_ASSERT_EQ(test, reasons[i].first, next);
		for (reason = next; reason <= reasons[i].last; reason++)
			KUNIT_EXPECT_EQ_MSG(test, reasons[i].guest,
					    intel_nested_guest_reason(reason),
					    "0x%x", reason);
		next = reason;
	}
	KUNIT_EXPECT_EQ(test, next, 0x100);
}

static struct kunit_case nested_table_test_cases[] = {
	KUNIT_CASE(nested_test_hardware),
	KUNIT_CASE(nested_test_parent),
	KUNIT_CASE(nested_test_config),
	KUNIT_CASE(nested_test_format),
	KUNIT_CASE(nested_test_fault_reasons),
	{},
};

static struct kunit_suite nested_table_test_suite = {
	.name = "intel-nested-table",
	.init = nested_table_test_init,
	.test_cases = nested_table_test_cases,
};

kunit_test_suites(&nested_table_test_suite);
