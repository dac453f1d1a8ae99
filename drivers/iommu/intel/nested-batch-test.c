// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the descriptors for an invalidation cover: everything that was asked for,
 * and little else.
 */
#include <kunit/static_stub.h>
#include <linux/bitfield.h>

#include "nested-test.h"

/* Capabilities, 10.4.2 */
#define HW_CAP_MAMV_SHIFT	48
#define HW_CAP_DRAIN		GENMASK_ULL(55, 54)

#define TEST_DID		0xbeef
#define TEST_PASID		0xfedcb
/* Pages of an address space */
#define TEST_SPACE		BIT_ULL(52)

struct batch_test {
	struct intel_iommu iommu;
	struct device_domain_info info;
	struct intel_nested_batch batch;
	struct intel_nested_ranges ranges;
	struct kunit *test;
	/* What the queue gets and answers */
	int error;
	unsigned int submissions;
	u32 next_pasid;
};

static int nested_batch_test_init(struct kunit *test)
{
	struct batch_test *bt = kunit_kzalloc(test, sizeof(*bt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bt);
	bt->test = test;
	test->priv = bt;
	return 0;
}

/* Ranges of addresses */

static void test_init_batch(struct batch_test *bt, unsigned int widest)
{
	bt->iommu.cap = (u64)widest << HW_CAP_MAMV_SHIFT;
	intel_nested_batch_init(&bt->batch, &bt->iommu);
}

static void test_one_range(struct batch_test *bt, u64 first, u64 pages,
			   unsigned int widest, bool leaf)
{
	struct intel_nested_range range = {
		.addr = first << 12,
		.pages = pages,
		.pasid = 1,
		.leaf = leaf,
	};
	u64 last = first + pages - 1, named = 0;
	struct kunit *test = bt->test;
	struct test_desc descs[2];
	u32 i;

	test_init_batch(bt, widest);
	intel_nested_batch_piotlb(&bt->batch, TEST_DID, TEST_PASID, &range);
	KUNIT_ASSERT_GE(test, bt->batch.nr, 1);
	KUNIT_ASSERT_LE(test, bt->batch.nr, 2);
	for (i = 0; i < bt->batch.nr; i++) {
		vtd_test_decode(&bt->batch.desc[i], &descs[i]);
		KUNIT_ASSERT_EQ_MSG(test, descs[i].kind, TEST_DESC_IOTLB_RANGE,
				    "%llx: %llx %llx", range.addr,
				    bt->batch.desc[i].qw0,
				    bt->batch.desc[i].qw1);
		KUNIT_ASSERT_EQ(test, descs[i].did, TEST_DID);
		KUNIT_ASSERT_EQ(test, descs[i].pasid, TEST_PASID);
		named += BIT_ULL(descs[i].order);
	}
	if (descs[0].everything) {
		KUNIT_ASSERT_EQ(test, bt->batch.nr, 1);
		KUNIT_ASSERT_FALSE(test, descs[0].leaf);
		/* Only what the hardware cannot mask */
		if (pages)
			KUNIT_ASSERT_GT(test, pages, BIT_ULL(widest));
		return;
	}
	KUNIT_ASSERT_NE(test, pages, 0);
	KUNIT_ASSERT_LE(test, descs[0].first, first);
	KUNIT_ASSERT_GE(test, descs[i - 1].last, last);
	if (i == 2)
		KUNIT_ASSERT_EQ(test, descs[1].first, descs[0].last + 1);
	/* Less than as much again */
	KUNIT_ASSERT_GE(test, named, pages);
	KUNIT_ASSERT_LT(test, named - pages, pages);
	while (i--) {
		KUNIT_ASSERT_LE(test, descs[i].order, widest);
		KUNIT_ASSERT_EQ(test, descs[i].leaf, leaf);
	}
}

static void nested_test_small_ranges(struct kunit *test)
{
	static const u64 bases[] = { 0, BIT_ULL(31) - 32, TEST_SPACE - 64 };
	unsigned int widest, n;
	u64 first, pages;

	for (n = 0; n < ARRAY_SIZE(bases); n++)
		for (widest = 0; widest < 8; widest++)
			for (first = 0; first < 64; first++)
				for (pages = 1; pages <= 64 - first; pages++)
					test_one_range(test->priv,
						       bases[n] + first, pages,
						       widest, pages & 1);
}

static void nested_test_large_ranges(struct kunit *test)
{
	static const unsigned int widest[] = { 9, 18, 36, 51 };
	struct rnd_state rnd;
	u64 first, pages;
	unsigned int n, w;

	prandom_seed_state(&rnd, 0xba7c);
	for (n = 0; n < 100000; n++) {
		w = widest[n % ARRAY_SIZE(widest)];
		first = vtd_test_random(&rnd) % TEST_SPACE >> n % 52;
		if (n & 64)
			first = first << n % 52 & (TEST_SPACE - 1);
		pages = 1 + vtd_test_random(&rnd) % (TEST_SPACE - first);
		test_one_range(test->priv, first, pages, w, n & 128);
		pages = 1 + (pages - 1) % BIT_ULL(w);
		test_one_range(test->priv, first, pages, w, n & 128);
		/* All that is left to the end */
		test_one_range(test->priv, first, TEST_SPACE - first, w, false);
	}
	for (n = 0; n < ARRAY_SIZE(widest); n++) {
		test_one_range(test->priv, 0, 0, widest[n], true);
		test_one_range(test->priv, 0, TEST_SPACE, widest[n], true);
		test_one_range(test->priv, TEST_SPACE - 1, 1, widest[n], true);
	}
}

/* Device TLBs */

static void test_one_devtlb(struct batch_test *bt, u64 first, u64 pages,
			    bool with_pasid)
{
	struct intel_nested_range range = {
		.addr = first << 12,
		.pages = pages,
		.pasid = 1,
	};
	u64 last = pages ? first + pages - 1 : TEST_SPACE - 1;
	struct kunit *test = bt->test;
	struct test_desc desc;
	u32 i;

	test_init_batch(bt, 0);
	if (with_pasid)
		intel_nested_batch_pasid_devtlb(&bt->batch, &bt->info,
						TEST_PASID, &range);
	else
		intel_nested_batch_devtlb(&bt->batch, &bt->info, &range);
	KUNIT_ASSERT_EQ(test, bt->batch.nr, 1 + bt->info.dtlb_extra_inval);
	for (i = 0; i < bt->batch.nr; i++) {
		vtd_test_decode(&bt->batch.desc[i], &desc);
		KUNIT_ASSERT_EQ(test, desc.kind,
				with_pasid ? TEST_DESC_PASID_DEV_TLB :
					     TEST_DESC_DEV_TLB);
		KUNIT_ASSERT_EQ(test, desc.pasid, with_pasid ? TEST_PASID : 0);
		KUNIT_ASSERT_EQ(test, desc.sid, 0x5ac3);
		KUNIT_ASSERT_EQ(test, desc.pfsid, 0x8d1e);
		KUNIT_ASSERT_EQ(test, desc.depth, bt->info.ats_qdep);
		KUNIT_ASSERT_LE(test, desc.first, first);
		KUNIT_ASSERT_GE(test, desc.last, last);
		KUNIT_ASSERT_LE(test, desc.last, TEST_SPACE - 1);
		/* Half of it is too little */
		if (desc.order)
			KUNIT_ASSERT_NE(test, first >> (desc.order - 1),
					last >> (desc.order - 1));
	}
}

static void nested_test_devtlb(struct kunit *test)
{
	struct batch_test *bt = test->priv;
	unsigned int n, with_pasid;
	struct rnd_state rnd;
	u64 first, pages;

	bt->info.bus = 0x5a;
	bt->info.devfn = 0xc3;
	bt->info.pfsid = 0x8d1e;
	prandom_seed_state(&rnd, 0xd7);
	for (n = 0; n < 100000; n++) {
		bt->info.ats_qdep = n % 32;
		bt->info.dtlb_extra_inval = n & 1;
		with_pasid = n >> 1 & 1;
		first = vtd_test_random(&rnd) % TEST_SPACE >> n % 52;
		pages = 1 + vtd_test_random(&rnd) % (TEST_SPACE - first);
		test_one_devtlb(bt, first, pages, with_pasid);
		pages = 1 + pages % 64;
		if (pages <= TEST_SPACE - first)
			test_one_devtlb(bt, first, pages, with_pasid);
		test_one_devtlb(bt, first, 1, with_pasid);
		test_one_devtlb(bt, TEST_SPACE - 1 - n, n + 1, with_pasid);
	}
	for (n = 0; n < 4; n++) {
		bt->info.dtlb_extra_inval = n & 1;
		test_one_devtlb(bt, 0, 0, n >> 1);
		test_one_devtlb(bt, 0, TEST_SPACE, n >> 1);
	}
}

static void nested_test_domain(struct kunit *test)
{
	struct batch_test *bt = test->priv;
	struct test_desc desc;
	u64 drain;

	for (drain = 0; drain < 4; drain++) {
		intel_nested_batch_init(&bt->batch, &bt->iommu);
		bt->iommu.cap = FIELD_PREP(HW_CAP_DRAIN, drain);
		intel_nested_batch_domain(&bt->batch, TEST_DID);
		KUNIT_EXPECT_EQ(test, bt->batch.nr, 1);
		vtd_test_decode(&bt->batch.desc[0], &desc);
		KUNIT_EXPECT_EQ(test, desc.kind, TEST_DESC_IOTLB_DOMAIN);
		KUNIT_EXPECT_EQ(test, desc.did, TEST_DID);
		KUNIT_EXPECT_EQ(test, desc.drain, drain);
	}
}

/* Collecting ranges */

#define TEST_UNIVERSE_PASIDS	2
#define TEST_UNIVERSE_PAGES	64
/* IOTLB and device TLB */
#define TEST_UNIVERSE_CACHES	2

struct test_universe {
	/* Whether a page was asked for, on all levels or as a leaf */
	u8 asked[TEST_UNIVERSE_CACHES][TEST_UNIVERSE_PASIDS]
		[TEST_UNIVERSE_PAGES][2];
};

static bool test_range_has(const struct intel_nested_range *range,
			   unsigned int cache, u32 pasid, u64 page)
{
	u64 first = range->addr >> 12;

	return range->caches & BIT(cache) && range->pasid == pasid &&
	       (!range->pages ||
		(page >= first && page - first < range->pages));
}

static void test_ask(struct test_universe *universe,
		     const struct intel_nested_range *range)
{
	u32 pasid = range->pasid;
	unsigned int cache, page;

	for (cache = 0; cache < TEST_UNIVERSE_CACHES; cache++)
		for (page = 0; page < TEST_UNIVERSE_PAGES; page++)
			if (test_range_has(range, cache, pasid, page))
				universe->asked[cache][pasid][page][range->leaf] = 1;
}

/* What is named now is what was asked for, or everything */
static void test_check_universe(struct batch_test *bt,
				const struct test_universe *universe, u8 all,
				unsigned int adds)
{
	const struct intel_nested_ranges *ranges = &bt->ranges;
	bool leaf, other, named, named_other;
	unsigned int cache, page;
	u32 i, pasid;

	KUNIT_ASSERT_LE(bt->test, ranges->nr, INTEL_NESTED_RANGES);
	KUNIT_ASSERT_EQ(bt->test, ranges->all & ~all, 0);
	if (adds <= INTEL_NESTED_RANGES)
		KUNIT_ASSERT_EQ(bt->test, ranges->all, 0);
	for (cache = 0; cache < TEST_UNIVERSE_CACHES; cache++) {
		if (ranges->all & BIT(cache))
			continue;
		for (pasid = 0; pasid < TEST_UNIVERSE_PASIDS; pasid++) {
			for (page = 0; page < TEST_UNIVERSE_PAGES; page++) {
				leaf = universe->asked[cache][pasid][page][1];
				other = universe->asked[cache][pasid][page][0];
				named = false;
				named_other = false;
				for (i = 0; i < ranges->nr; i++) {
					if (!test_range_has(&ranges->range[i],
							    cache, pasid, page))
						continue;
					named = true;
					named_other |= !ranges->range[i].leaf;
				}
				KUNIT_ASSERT_EQ(bt->test, named, leaf || other);
				KUNIT_ASSERT_EQ(bt->test, named_other, other);
			}
		}
	}
}

static void nested_test_ranges(struct kunit *test)
{
	struct batch_test *bt = test->priv;
	unsigned int n, adds, overflows = 0;
	struct test_universe *universe;
	struct intel_nested_range range;
	struct rnd_state rnd;
	u64 page;
	u8 all;

	universe = kunit_kzalloc(test, sizeof(*universe), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, universe);
	prandom_seed_state(&rnd, 0xadd);
	for (n = 0; n < 400; n++) {
		memset(universe, 0, sizeof(*universe));
		memset(&range, 0, sizeof(range));
		bt->ranges.nr = 0;
		bt->ranges.all = 0;
		all = 0;
		for (adds = 1; adds <= 80; adds++) {
			/* Half of them follow the last one, if there is room */
			page = (range.addr >> 12) + range.pages;
			if (prandom_u32_state(&rnd) & 1 ||
			    page == TEST_UNIVERSE_PAGES) {
				page = prandom_u32_state(&rnd) %
				       TEST_UNIVERSE_PAGES;
				range.pasid = prandom_u32_state(&rnd) & 1;
				range.caches = 1 + prandom_u32_state(&rnd) % 3;
				range.leaf = prandom_u32_state(&rnd) & 1;
			}
			/* Rounds of one cache must not overflow to the other */
			if (n % 4 < 2)
				range.caches = 1 + n % 4;
			if (!range.caches)
				range.caches = 3;
			range.addr = page << 12;
			range.pages = 1 + prandom_u32_state(&rnd) %
					  min(TEST_UNIVERSE_PAGES - page, 4);
			if (n % 8 == 7 && !(prandom_u32_state(&rnd) & 15)) {
				range.addr = 0;
				range.pages = 0;
			}
			all |= range.caches;

			intel_nested_ranges_add(&bt->ranges, &range);
			test_ask(universe, &range);
			test_check_universe(bt, universe, all, adds);
		}
		overflows += !!bt->ranges.all;
	}
	KUNIT_EXPECT_GT(test, overflows, 100);
}

static void test_add(struct batch_test *bt, u64 addr, u64 pages, u32 pasid,
		     u8 caches, bool leaf)
{
	struct intel_nested_range range = {
		.addr = addr,
		.pages = pages,
		.pasid = pasid,
		.caches = caches,
		.leaf = leaf,
	};

	intel_nested_ranges_add(&bt->ranges, &range);
}

static void nested_test_merge(struct kunit *test)
{
	struct batch_test *bt = test->priv;
	u64 page;
	u32 i;

	for (page = 0; page < 1000; page++)
		test_add(bt, page << 12, 1, 0, 1, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 1);
	KUNIT_EXPECT_EQ(test, bt->ranges.range[0].pages, 1000);
	KUNIT_EXPECT_EQ(test, bt->ranges.all, 0);

	/* Up to the end of 64 bits, and nothing follows it */
	bt->ranges.nr = 0;
	test_add(bt, -SZ_8K, 1, 0, 1, true);
	test_add(bt, -SZ_4K, 1, 0, 1, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 1);
	test_add(bt, 0, 1, 0, 1, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 2);
	KUNIT_EXPECT_EQ(test, bt->ranges.range[0].addr, (u64)-SZ_8K);
	KUNIT_EXPECT_EQ(test, bt->ranges.range[0].pages, 2);
	KUNIT_EXPECT_EQ(test, bt->ranges.range[1].addr, 0);
	KUNIT_EXPECT_EQ(test, bt->ranges.range[1].pages, 1);

	/* As many different ones as there is room for, then everything */
	bt->ranges.nr = 0;
	for (i = 0; i < INTEL_NESTED_RANGES; i++)
		test_add(bt, i * SZ_8K, 1, 0, 1, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, INTEL_NESTED_RANGES);
	KUNIT_EXPECT_EQ(test, bt->ranges.all, 0);
	/* One that follows still fits */
	test_add(bt, (i - 1) * SZ_8K + SZ_4K, 1, 0, 1, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, INTEL_NESTED_RANGES);
	test_add(bt, SZ_1G, 1, 0, 2, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.all, 3);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 0);
	/* What goes anyway takes no room, what does not go is kept */
	test_add(bt, 0, 1, 0, 3, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 0);
	bt->ranges.all = 1;
	test_add(bt, 0, 1, 0, 3, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 1);
	/* Neither does what names no cache */
	bt->ranges.all = 0;
	test_add(bt, SZ_8K, 1, 0, 0, true);
	KUNIT_EXPECT_EQ(test, bt->ranges.nr, 1);
}

/* Submissions */

static int test_submit(struct intel_iommu *iommu, struct qi_desc *descs,
		       unsigned int count, unsigned long options)
{
	struct batch_test *bt = container_of(iommu, struct batch_test, iommu);
	struct test_desc desc;
	unsigned int i;

	bt->submissions++;
	KUNIT_EXPECT_GT(bt->test, count, 0);
	KUNIT_EXPECT_LE(bt->test, count, QI_LENGTH / 4);
	for (i = 0; i < count; i++) {
		vtd_test_decode(&descs[i], &desc);
		KUNIT_EXPECT_EQ(bt->test, desc.kind, TEST_DESC_IOTLB_RANGE);
		KUNIT_EXPECT_EQ(bt->test, desc.pasid, bt->next_pasid++);
	}
	return bt->error;
}

static void test_fill_batch(struct batch_test *bt, u32 *pasid, unsigned int nr)
{
	static const struct intel_nested_range everything;

	while (nr--)
		intel_nested_batch_piotlb(&bt->batch, TEST_DID, (*pasid)++,
					  &everything);
}

/* Nothing is lost, in order, and the first failure is the one that counts */
static void nested_test_sync(struct kunit *test)
{
	struct batch_test *bt = test->priv;
	unsigned int nr, submissions;
	u32 pasid = 0;

	kunit_activate_static_stub(test, qi_submit_sync, test_submit);
	intel_nested_batch_init(&bt->batch, &bt->iommu);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), 0);
	KUNIT_EXPECT_EQ(test, bt->submissions, 0);
	for (nr = 1; nr < 4 * INTEL_NESTED_DESCS; nr++) {
		submissions = bt->submissions;
		test_fill_batch(bt, &pasid, nr);
		KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), 0);
		KUNIT_EXPECT_EQ(test, bt->next_pasid, pasid);
		KUNIT_EXPECT_EQ(test, bt->submissions - submissions,
				DIV_ROUND_UP(nr, INTEL_NESTED_DESCS));
	}

	bt->error = -ETIMEDOUT;
	test_fill_batch(bt, &pasid, INTEL_NESTED_DESCS + 1);
	bt->error = -EINVAL;
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), -ETIMEDOUT);
	bt->error = 0;
	test_fill_batch(bt, &pasid, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, bt->next_pasid, pasid);

	intel_nested_batch_init(&bt->batch, &bt->iommu);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), 0);
	bt->error = -EINVAL;
	test_fill_batch(bt, &pasid, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), -EIO);
	bt->error = -ETIMEDOUT;
	test_fill_batch(bt, &pasid, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), -EIO);

	/* What is left of the last time is not sent */
	bt->error = 0;
	test_fill_batch(bt, &pasid, 1);
	intel_nested_batch_init(&bt->batch, &bt->iommu);
	pasid--;
	test_fill_batch(bt, &pasid, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_batch_sync(&bt->batch), 0);
	KUNIT_EXPECT_EQ(test, bt->next_pasid, pasid);
}

static struct kunit_case nested_batch_test_cases[] = {
	KUNIT_CASE(nested_test_small_ranges),
	KUNIT_CASE(nested_test_large_ranges),
	KUNIT_CASE(nested_test_devtlb),
	KUNIT_CASE(nested_test_domain),
	KUNIT_CASE(nested_test_ranges),
	KUNIT_CASE(nested_test_merge),
	KUNIT_CASE(nested_test_sync),
	{},
};

static struct kunit_suite nested_batch_test_suite = {
	.name = "intel-nested-batch",
	.init = nested_batch_test_init,
	.test_cases = nested_batch_test_cases,
};

kunit_test_suites(&nested_batch_test_suite);
