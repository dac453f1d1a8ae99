// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of the invalidations that a guest asks for: of what they name,
 * nothing is left in the caches of any device below the table.
 */
#include "nested-test.h"

#define HW_ECAP_COHERENT	BIT_ULL(0)
/* Address bits that the hardware can mask, 10.4.2 */
#define HW_CAP_MAMV		((u64)18 << 48)

#define TEST_BITS		8
#define TEST_RID_PASID		3
#define TEST_HWS		2
#define TEST_REQS		80

#define IOTLB			IOMMU_PASID_TABLE_INV_IOTLB
#define DEV_TLB			IOMMU_PASID_TABLE_INV_DEV_TLB
#define PASID_CACHE		IOMMU_PASID_TABLE_INV_PASID_CACHE

struct inv_test {
	struct iommu_domain_ops domain_ops;
	struct dmar_domain parent;
	struct test_guest *guest;
	struct intel_nested_table *nt;
	struct test_hw *hws[TEST_HWS];
	struct iommu_inv_source source;
	struct iommu_hwpt_pasid_table_invalidate reqs[TEST_REQS];
	unsigned int nr_reqs;
	unsigned int fetched;
};

static int test_fetch_reqs(struct iommu_inv_source *source, void *entries,
			   size_t size, u32 max)
{
	struct inv_test *it = container_of(source, struct inv_test, source);
	u32 nr = min(max, source->left);

	memcpy(entries, &it->reqs[it->fetched], nr * size);
	it->fetched += nr;
	source->left -= nr;
	return nr;
}

/* Two devices: one with all PASIDs and ATS, one without either */
static int nested_inv_test_init(struct kunit *test)
{
	struct inv_test *it = kunit_kzalloc(test, sizeof(*it), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, it);
	test->priv = it;
	it->domain_ops.pasid_table_ops = &intel_nested_table_ops;
	it->parent.domain.ops = &it->domain_ops;
	spin_lock_init(&it->parent.cache_lock);
	INIT_LIST_HEAD(&it->parent.nested_devs);
	it->source.fetch = test_fetch_reqs;
	it->guest = vtd_test_new_guest(test);
	it->nt = vtd_test_new_table(test, it->guest, TEST_BITS, TEST_RID_PASID);
	it->nt->core.parent = &it->parent.domain;
	for (i = 0; i < TEST_HWS; i++) {
		it->hws[i] = vtd_test_new_hw(test, it->nt, i ? 0 : BIT(TEST_BITS),
					     HW_CAP_MAMV, HW_ECAP_COHERENT);
		it->hws[i]->info.ats_enabled = !i;
		list_add(&it->hws[i]->ndev.s2_elm, &it->parent.nested_devs);
	}
	for (i = 0; i < 4; i++)
		*vtd_test_pde(it->guest, i) = TEST_TABLE(i);
	return 0;
}

static void nested_inv_test_exit(struct kunit *test)
{
	struct inv_test *it = test->priv;
	int i;

	for (i = 0; it && i < TEST_HWS; i++)
		if (it->hws[i])
			vtd_test_free_hw(it->hws[i]);
}

static void test_set_first(struct inv_test *it, u32 pasid, u64 fsptptr)
{
	vtd_test_make_first(vtd_test_entry(it->guest, pasid / 64, pasid % 64),
			    fsptptr);
}

static struct iommu_hwpt_pasid_table_invalidate *
test_add(struct inv_test *it, u32 caches, u32 granularity)
{
	struct iommu_hwpt_pasid_table_invalidate *req;

	req = &it->reqs[it->nr_reqs++];
	memset(req, 0, sizeof(*req));
	req->caches = caches;
	req->granularity = granularity;
	return req;
}

static void test_add_pasid(struct inv_test *it, u32 caches, u32 pasid)
{
	struct iommu_hwpt_pasid_table_invalidate *req;

	req = test_add(it, caches, IOMMU_PASID_TABLE_INV_ONE_PASID);
	req->flags = IOMMU_PASID_TABLE_INV_PASID;
	req->pasid = pasid;
}

static int test_run(struct inv_test *it, u32 *done)
{
	int rc, i;

	for (i = 0; i < TEST_HWS; i++) {
		it->hws[i]->nr_log = 0;
		it->hws[i]->submissions = 0;
	}
	it->fetched = 0;
	it->source.left = it->nr_reqs;
	rc = iommu_cache_invalidate(&it->nt->core.domain, &it->source, done);
	it->nr_reqs = 0;
	return rc;
}

static void test_prefetch_all(struct inv_test *it)
{
	int i;

	for (i = 0; i < TEST_HWS; i++)
		vtd_test_prefetch(it->hws[i]);
}

static void test_check_all(struct kunit *test)
{
	struct inv_test *it = test->priv;
	struct pasid_entry entry, want;
	u32 pasid;
	int i;

	for (i = 0; i < TEST_HWS; i++) {
		vtd_test_check_caches(it->hws[i]);
		for (pasid = 0; pasid < BIT(TEST_BITS); pasid++) {
			vtd_test_fetch(it->hws[i], pasid, &entry);
			vtd_test_expect(it->hws[i], pasid, &want);
			KUNIT_ASSERT_FALSE_MSG(test, memcmp(&entry, &want,
							    sizeof(want)),
					       "device %i pasid %u", i, pasid);
		}
	}
}

static bool test_is_present(struct test_hw *hw, u32 pasid)
{
	struct pasid_entry entry;

	vtd_test_fetch(hw, pasid, &entry);
	return entry.val[0] & 1;
}

/* Entries change at an invalidation of the PASID cache, and not before */
static void nested_test_pasid_cache(struct kunit *test)
{
	struct inv_test *it = test->priv;
	u32 done;

	test_set_first(it, 5, 0x1000);
	test_set_first(it, 77, 0x2000);
	test_set_first(it, TEST_RID_PASID, 0x3000);
	test_add(it, IOTLB | DEV_TLB, IOMMU_PASID_TABLE_INV_DOMAIN);
	test_add_pasid(it, IOTLB | DEV_TLB, 5);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	KUNIT_EXPECT_EQ(test, done, 2);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&it->hws[0]->ndev, 0),
			PASID_MAX);

	/* One: neither what is before nor what is after it */
	test_add_pasid(it, PASID_CACHE, 5);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	KUNIT_EXPECT_EQ(test, done, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&it->hws[0]->ndev, 0), 5);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&it->hws[0]->ndev, 6),
			PASID_MAX);
	/* The device without PASIDs has the one of requests without */
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&it->hws[1]->ndev, 0),
			PASID_MAX);

	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_check_all(test);
	KUNIT_EXPECT_TRUE(test, test_is_present(it->hws[0], 77));
	KUNIT_EXPECT_TRUE(test, test_is_present(it->hws[1], TEST_RID_PASID));

	/* Gone from all caches, the device's without a PASID included */
	test_prefetch_all(it);
	test_set_first(it, TEST_RID_PASID, 0x4000);
	test_add_pasid(it, PASID_CACHE, TEST_RID_PASID);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_check_all(test);
	KUNIT_EXPECT_GT(test, it->hws[0]->submissions, 0);
	KUNIT_EXPECT_GT(test, it->hws[1]->submissions, 0);
	test_prefetch_all(it);
	test_set_first(it, 5, 0x5000);
	test_set_first(it, TEST_RID_PASID, 0x6000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_check_all(test);
}

/* A refused entry is told of to who named it; in any case it is blocked */
static void nested_test_refused(struct kunit *test)
{
	static const struct {
		bool refused;
		u64 pde;
		struct intel_guest_entry entry;
	} cases[] = {
		{ true, .entry.val[0] = 1 | 2 << 6 },
		{ true, .entry.val[0] = 1 | 3 << 6 },
		{ true, .entry.val[0] = 1 },
		{ true, .entry.val[0] = 1 | 7 << 6 },
		{ true, .entry.val = { 1 | 1 << 6, BIT_ULL(25) } },
		{ true, .entry.val = { 1 | 1 << 6, 0, 2 << 2 } },
		{ true, .entry.val = { 1 | 1 << 6, 0, 1 } },
		{ true, .entry.val = { 1 | 1 << 6, 0, TEST_GPA_LAST + 1 } },
		{ true, .pde = (TEST_GPA_LAST + 1) | 1 },
		{ true, .pde = TEST_GUEST_BASE | 5 },
		{ true, .pde = SZ_4K | 1 },
		{ false, .pde = TEST_GUEST_BASE },
	};
	struct inv_test *it = test->priv;
	struct test_hw *hw = it->hws[0];
	bool all, refused;
	u32 done;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		all = i % 2;
		test_set_first(it, 5, 0x1000);
		test_set_first(it, 6, 0x2000);
		*vtd_test_pde(it->guest, 0) = TEST_TABLE(0);
		test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
		KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
		KUNIT_ASSERT_TRUE(test, test_is_present(hw, 5));
		test_prefetch_all(it);

		*vtd_test_entry(it->guest, 0, 5) = cases[i / 2].entry;
		if (cases[i / 2].pde)
			*vtd_test_pde(it->guest, 0) = cases[i / 2].pde;
		/* The first and the third one are fine */
		test_add_pasid(it, IOTLB, 1);
		if (all)
			test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
		else
			test_add_pasid(it, PASID_CACHE, 5);
		test_add_pasid(it, IOTLB, 6);
		refused = !all && cases[i / 2].refused;
		KUNIT_EXPECT_EQ_MSG(test, test_run(it, &done),
				    refused ? -EREMOTEIO : 0, "case %i", i);
		KUNIT_EXPECT_EQ(test, done, refused ? 1 : 3);
		KUNIT_EXPECT_FALSE(test, test_is_present(hw, 5));
		if (all)
			test_check_all(test);
		else
			KUNIT_EXPECT_TRUE(test, test_is_present(hw, 6));
		vtd_test_check_caches(hw);
	}

	/* Whichever device it is that cannot have the entry */
	*vtd_test_pde(it->guest, 0) = TEST_TABLE(0);
	vtd_test_entry(it->guest, 0, 5)->val[0] = 1;
	for (i = 0; i < TEST_HWS; i++) {
		it->hws[i]->ndev.nr_pasids = BIT(TEST_BITS);
		it->hws[!i]->ndev.nr_pasids = 0;
		test_add_pasid(it, PASID_CACHE, 5);
		KUNIT_EXPECT_EQ(test, test_run(it, &done), -EREMOTEIO);
		KUNIT_EXPECT_EQ(test, done, 0);
	}
	it->hws[1]->ndev.nr_pasids = 0;
	it->hws[0]->ndev.nr_pasids = BIT(TEST_BITS);

	/* The directory is not there */
	*vtd_test_pde(it->guest, 0) = TEST_TABLE(0);
	__set_bit(0, it->guest->holes);
	test_add_pasid(it, PASID_CACHE, 6);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), -EREMOTEIO);
	KUNIT_EXPECT_EQ(test, done, 0);
	KUNIT_EXPECT_FALSE(test, test_is_present(hw, 6));
	/* PASIDs that a device does not have are not looked at */
	it->hws[0]->ndev.nr_pasids = 6;
	test_add_pasid(it, PASID_CACHE, 6);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	KUNIT_EXPECT_EQ(test, done, 1);
	it->hws[0]->ndev.nr_pasids = BIT(TEST_BITS);
}

/* Entries are read with the guest's memory locked, before the table's lock is taken */
static void nested_test_memory_lock(struct kunit *test)
{
	static const int errors[] = { 0, -EINTR };
	struct inv_test *it = test->priv;
	u32 done;
	int i;

	for (i = 0; i < ARRAY_SIZE(errors) * 2; i++) {
		it->guest->error = errors[i / 2];
		it->guest->locks = 0;
		it->guest->reads = 0;
		test_set_first(it, 5, 0x1000 * (i + 1));
		test_add_pasid(it, IOTLB, 5);
		if (i % 2)
			test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
		else
			test_add_pasid(it, PASID_CACHE, 5);
		KUNIT_EXPECT_EQ(test, test_run(it, &done), errors[i / 2]);
		KUNIT_EXPECT_EQ(test, done, errors[i / 2] ? 1 : 2);
		KUNIT_EXPECT_EQ(test, it->guest->locks, errors[i / 2] ? 0 : 1);
		KUNIT_EXPECT_EQ(test, !it->guest->reads, !!errors[i / 2]);
		KUNIT_EXPECT_FALSE(test, it->guest->locked);
	}
	/* Who reads nothing does not need it */
	it->guest->locks = 0;
	it->guest->error = -EINTR;
	test_add_pasid(it, IOTLB | DEV_TLB, 5);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	KUNIT_EXPECT_EQ(test, it->guest->locks, 0);
}

static void nested_test_unknown(struct kunit *test)
{
	static const int configs[] = { IOMMU_PASID_TABLE_TRANSLATE,
				       IOMMU_PASID_TABLE_BYPASS,
				       IOMMU_PASID_TABLE_ABORT };
	struct iommu_hwpt_pasid_table_invalidate *req;
	struct inv_test *it = test->priv;
	u32 done;
	int i;

	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		it->nt->core.config.config = configs[i];
		test_add_pasid(it, IOTLB, 1);
		test_add_pasid(it, IOTLB, 2);
		req = test_add(it, IOTLB, IOMMU_PASID_TABLE_INV_ONE_PASID);
		req->flags = IOMMU_PASID_TABLE_INV_ARCHID;
		test_add_pasid(it, IOTLB, 3);
		KUNIT_EXPECT_EQ(test, test_run(it, &done), -EOPNOTSUPP);
		KUNIT_EXPECT_EQ(test, done, 2);
		/* What is before it is done */
		KUNIT_EXPECT_EQ(test, it->hws[0]->nr_log, i ? 0 : 2);

		/* Tables that do not translate have nothing in any cache */
		test_set_first(it, 5, 0x1000);
		it->guest->reads = 0;
		test_add(it, IOTLB | DEV_TLB | PASID_CACHE,
			 IOMMU_PASID_TABLE_INV_DOMAIN);
		test_add_pasid(it, PASID_CACHE, 5);
		KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
		KUNIT_EXPECT_EQ(test, done, 2);
		KUNIT_EXPECT_EQ(test, !it->guest->reads, !!i);
		KUNIT_EXPECT_EQ(test, !it->hws[0]->nr_log, !!i);
	}
}

/* With a queue that fails nothing is complete */
static void nested_test_errors(struct kunit *test)
{
	static const struct {
		int queue;
		int error;
	} cases[] = { { -ETIMEDOUT, -ETIMEDOUT }, { -EINVAL, -EIO } };
	struct inv_test *it = test->priv;
	u32 done;
	int i, d;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (d = 0; d < TEST_HWS; d++) {
			it->hws[d]->error = cases[i].queue;
			test_add_pasid(it, IOTLB, 1);
			KUNIT_EXPECT_EQ(test, test_run(it, &done),
					cases[i].error);
			KUNIT_EXPECT_EQ(test, done, 0);
			/* The other one is told in any case */
			KUNIT_EXPECT_EQ(test, it->hws[!d]->nr_log, 1);
			it->hws[d]->error = 0;

			test_set_first(it, 5, 0x1000 + i * SZ_4K);
			test_set_first(it, TEST_RID_PASID, 0x1000 + i * SZ_4K);
			test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
			KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
			it->hws[d]->error = cases[i].queue;
			vtd_test_entry(it->guest, 0, TEST_RID_PASID)->val[0] = 0;
			test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
			KUNIT_EXPECT_EQ(test, test_run(it, &done),
					cases[i].error);
			KUNIT_EXPECT_EQ(test, done, 0);
			KUNIT_EXPECT_FALSE(test, test_is_present(it->hws[d],
								 TEST_RID_PASID));
			it->hws[d]->error = 0;
		}
	}
}

/* Ranges: what is left of them after all descriptors of a call */

static bool test_desc_drops(struct test_hw *hw, const struct test_desc *desc,
			    u32 cache, u32 pasid, u64 page, bool leaf)
{
	bool page_in = page >= desc->first && page <= desc->last &&
		       (!desc->leaf || leaf);

	switch (desc->kind) {
	case TEST_DESC_IOTLB_DOMAIN:
		return cache == IOTLB && desc->did == hw->ndev.s2.did;
	case TEST_DESC_IOTLB_RANGE:
		return cache == IOTLB && desc->did == hw->ndev.s2.did &&
		       desc->pasid == pasid && page_in;
	case TEST_DESC_PASID_DEV_TLB:
		return cache == DEV_TLB && desc->pasid == pasid && page_in;
	case TEST_DESC_DEV_TLB:
		/* No PASID */
		return cache == DEV_TLB && pasid == U32_MAX && page_in;
	default:
		return false;
	}
}

static bool test_dropped(struct test_hw *hw, u32 cache, u32 pasid, u64 page,
			 bool leaf)
{
	unsigned int i;

	for (i = 0; i < hw->nr_log; i++)
		if (test_desc_drops(hw, &hw->log[i], cache, pasid, page, leaf))
			return true;
	return false;
}

/* A device TLB is filled from the IOTLB: that one is dropped first, 6.5.2.5 */
static void test_check_order(struct kunit *test, struct test_hw *hw)
{
	bool dev_tlb = false;
	unsigned int i;

	for (i = 0; i < hw->nr_log; i++) {
		KUNIT_ASSERT_NE(test, hw->log[i].kind, TEST_DESC_BAD);
		if (hw->log[i].kind == TEST_DESC_DEV_TLB ||
		    hw->log[i].kind == TEST_DESC_PASID_DEV_TLB)
			dev_tlb = true;
		else
			KUNIT_ASSERT_FALSE(test, dev_tlb);
	}
}

static bool test_req_names(const struct iommu_hwpt_pasid_table_invalidate *req,
			   u32 cache, u32 pasid, u64 page)
{
	u64 first = req->addr >> 12;

	if (!(req->caches & cache))
		return false;
	if (req->flags & IOMMU_PASID_TABLE_INV_PASID && req->pasid != pasid)
		return false;
	if (req->granularity != IOMMU_PASID_TABLE_INV_ADDR)
		return true;
	return page >= first &&
	       page - first < req->nb_granules << (req->granule_log2 - 12);
}

/*
 * Whether some descriptor drops what @reqs name, and if @exact that nothing else
 * is dropped, on one page.
 */
static void test_check_page(struct kunit *test, struct test_hw *hw,
			    const struct iommu_hwpt_pasid_table_invalidate *reqs,
			    unsigned int nr, u32 pasid, u64 page, bool exact)
{
	bool named[2], leaf_only[2], rid = pasid == TEST_RID_PASID;
	unsigned int i, c;

	for (c = 0; c < 2; c++) {
		u32 cache = c ? DEV_TLB : IOTLB;

		named[c] = false;
		leaf_only[c] = true;
		for (i = 0; i < nr; i++) {
			if (!test_req_names(&reqs[i], cache, pasid, page))
				continue;
			named[c] = true;
			if (!(reqs[i].flags & IOMMU_PASID_TABLE_INV_LEAF))
				leaf_only[c] = false;
		}
	}
	if (named[0])
		KUNIT_ASSERT_TRUE_MSG(test,
				      test_dropped(hw, IOTLB, pasid, page,
						   leaf_only[0]),
				      "pasid %u page %llx", pasid, page);
	else if (exact)
		KUNIT_ASSERT_FALSE(test, test_dropped(hw, IOTLB, pasid, page,
						      true));
	if (!hw->info.ats_enabled) {
		KUNIT_ASSERT_FALSE(test, test_dropped(hw, DEV_TLB, pasid, page,
						      true));
		KUNIT_ASSERT_FALSE(test, test_dropped(hw, DEV_TLB, U32_MAX,
						      page, true));
		return;
	}
	/* A device has nothing of entries that are not present */
	if (named[1] && test_is_present(hw, pasid)) {
		KUNIT_ASSERT_TRUE(test, test_dropped(hw, DEV_TLB, pasid, page,
						     false));
		if (rid)
			KUNIT_ASSERT_TRUE(test,
					  test_dropped(hw, DEV_TLB, U32_MAX,
						       page, false));
	} else if (exact && !named[1]) {
		KUNIT_ASSERT_FALSE(test, test_dropped(hw, DEV_TLB, pasid, page,
						      true));
		if (rid)
			KUNIT_ASSERT_FALSE(test,
					   test_dropped(hw, DEV_TLB, U32_MAX,
							page, true));
	}
}

static void test_random_req(struct inv_test *it, struct rnd_state *rnd)
{
	u32 caches = (u32[]){ IOTLB, DEV_TLB, IOTLB | DEV_TLB }
		     [prandom_u32_state(rnd) % 3];
	u32 kind = prandom_u32_state(rnd) % 16;
	u32 pasid = prandom_u32_state(rnd) % 8;
	struct iommu_hwpt_pasid_table_invalidate *req;

	if (!kind) {
		test_add(it, caches, IOMMU_PASID_TABLE_INV_DOMAIN);
		return;
	}
	if (kind < 3) {
		test_add_pasid(it, caches, pasid);
		return;
	}
	req = test_add(it, caches, IOMMU_PASID_TABLE_INV_ADDR);
	if (kind > 3) {
		req->flags = IOMMU_PASID_TABLE_INV_PASID;
		req->pasid = pasid;
	}
	if (prandom_u32_state(rnd) & 1)
		req->flags |= IOMMU_PASID_TABLE_INV_LEAF;
	req->granule_log2 = 12 + prandom_u32_state(rnd) % 3;
	req->nb_granules = 1 + prandom_u32_state(rnd) % 4;
	req->addr = (u64)(prandom_u32_state(rnd) % 16) << req->granule_log2;
	/* The other end of 64 bits */
	if (kind == 15)
		req->addr = -(req->nb_granules << req->granule_log2);
}

static void nested_test_requests(struct kunit *test)
{
	static struct iommu_hwpt_pasid_table_invalidate reqs[TEST_REQS];
	struct inv_test *it = test->priv;
	struct rnd_state rnd;
	unsigned int n, nr, i;
	u32 pasid, done;
	u64 page;

	for (pasid = 0; pasid < 8; pasid++)
		if (pasid != 6)
			test_set_first(it, pasid, 0x1000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);

	prandom_seed_state(&rnd, 0x14f);
	for (n = 0; n < 1000; n++) {
		nr = n & 1 ? 1 : 1 + prandom_u32_state(&rnd) % TEST_REQS;
		for (i = 0; i < nr; i++)
			test_random_req(it, &rnd);
		memcpy(reqs, it->reqs, sizeof(reqs));
		it->hws[0]->info.dtlb_extra_inval = n >> 1 & 1;
		KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
		KUNIT_ASSERT_EQ(test, done, nr);
		for (i = 0; i < TEST_HWS; i++) {
			test_check_order(test, it->hws[i]);
			for (pasid = 0; pasid < 10; pasid++) {
				for (page = 0; page < 72; page++)
					test_check_page(test, it->hws[i], reqs,
							nr, pasid, page, false);
				for (page = BIT_ULL(52) - 16;
				     page < BIT_ULL(52); page++)
					test_check_page(test, it->hws[i], reqs,
							nr, pasid, page, false);
			}
		}
		/* Others do not suffer from what one PASID does */
		if (nr > 1 || !(reqs[0].flags & IOMMU_PASID_TABLE_INV_PASID))
			continue;
		for (pasid = 0; pasid < 10; pasid++)
			if (pasid != reqs[0].pasid)
				test_check_page(test, it->hws[0], reqs, nr,
						pasid, 0, true);
	}
}

/* Aligned ranges cost one descriptor for each cache, and drop nothing else */
static void nested_test_exact(struct kunit *test)
{
	struct iommu_hwpt_pasid_table_invalidate *req, copy;
	struct inv_test *it = test->priv;
	struct test_hw *hw = it->hws[0];
	u32 done, flags, order;
	u64 page;

	test_set_first(it, 5, 0x1000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
	for (order = 0; order <= 18; order++) {
		for (flags = 0; flags < 2; flags++) {
			req = test_add(it, IOTLB | DEV_TLB,
				       IOMMU_PASID_TABLE_INV_ADDR);
			req->flags = IOMMU_PASID_TABLE_INV_PASID | flags;
			req->pasid = 5;
			req->granule_log2 = 12 + order / 2;
			req->nb_granules = BIT(order - order / 2);
			req->addr = 3ULL << (12 + order);
			copy = *req;
			KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
			KUNIT_ASSERT_EQ(test, hw->nr_log, 2);
			KUNIT_EXPECT_EQ(test, hw->log[0].leaf, flags);
			for (page = 0; page < 8; page++)
				test_check_page(test, hw, &copy, 1, 5,
						page << order, true);
		}
	}
	/* What goes with everything is not named again, before or after it */
	test_add_pasid(it, IOTLB | DEV_TLB, 5);
	test_add(it, IOTLB, IOMMU_PASID_TABLE_INV_DOMAIN);
	test_add_pasid(it, IOTLB, 6);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	KUNIT_EXPECT_EQ(test, hw->nr_log, 2);
	KUNIT_EXPECT_EQ(test, hw->log[0].kind, TEST_DESC_IOTLB_DOMAIN);
	KUNIT_EXPECT_EQ(test, hw->log[1].kind, TEST_DESC_PASID_DEV_TLB);

	/* The whole of 64 bits, in granules of a half */
	req = test_add(it, IOTLB | DEV_TLB, IOMMU_PASID_TABLE_INV_ADDR);
	req->flags = IOMMU_PASID_TABLE_INV_PASID;
	req->pasid = 5;
	req->granule_log2 = 63;
	req->nb_granules = 2;
	copy = *req;
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
	test_check_page(test, hw, &copy, 1, 5, 0, true);
	test_check_page(test, hw, &copy, 1, 5, BIT_ULL(52) - 1, true);
}

/* A change of the second stage leaves nothing in any device TLB */
static void nested_test_stage2_changed(struct kunit *test)
{
	struct inv_test *it = test->priv;
	unsigned int i, rids = 0, zeroes = 0;
	struct test_hw *hw = it->hws[0];
	u32 pasid, done;

	test_set_first(it, 0, 0x1000);
	test_set_first(it, TEST_RID_PASID, 0x1000);
	test_set_first(it, 200, 0x1000);
	test_set_first(it, 255, 0x1000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
	test_prefetch_all(it);
	KUNIT_ASSERT_TRUE(test, hw->rid_tlb.valid && hw->dev_tlb[255].valid);

	/* What the IOTLB has goes by domain ID, elsewhere */
	memset(hw->iotlb, 0, sizeof(hw->iotlb));
	memset(hw->pasid_cache, 0, sizeof(hw->pasid_cache));
	hw->nr_log = 0;
	spin_lock(&it->parent.cache_lock);
	intel_nested_stage2_changed(&it->parent);
	spin_unlock(&it->parent.cache_lock);
	for (pasid = 0; pasid < 256; pasid++)
		if (test_is_present(hw, pasid))
			KUNIT_EXPECT_TRUE(test, test_dropped(hw, DEV_TLB, pasid,
							     0x12345, false));
	KUNIT_EXPECT_TRUE(test, test_dropped(hw, DEV_TLB, U32_MAX, 0x12345,
					     false));
	/* One for each PASID that translates */
	KUNIT_EXPECT_EQ(test, hw->nr_log, 5);
	KUNIT_EXPECT_EQ(test, it->hws[1]->nr_log, 0);

	/* A device that has to be told twice, of PASID 0 as of the others */
	hw->info.dtlb_extra_inval = 1;
	hw->nr_log = 0;
	spin_lock(&it->parent.cache_lock);
	intel_nested_stage2_changed(&it->parent);
	spin_unlock(&it->parent.cache_lock);
	KUNIT_EXPECT_EQ(test, hw->nr_log, 10);
	for (i = 0; i < hw->nr_log; i++) {
		const struct test_desc *desc = &hw->log[i];

		if (desc->kind == TEST_DESC_DEV_TLB)
			rids++;
		else if (desc->kind == TEST_DESC_PASID_DEV_TLB && !desc->pasid)
			zeroes++;
	}
	KUNIT_EXPECT_EQ(test, rids, 2);
	KUNIT_EXPECT_EQ(test, zeroes, 2);
}

/* The last user of a domain ID leaves nothing in the IOMMU */
static void nested_test_domain_id(struct kunit *test)
{
	struct inv_test *it = test->priv;
	struct test_hw *hw = it->hws[0];
	u32 done, pasids;
	unsigned int i;

	for (i = 0; i < 4; i++)
		test_set_first(it, i * 64, 0x1000);
	vtd_test_entry(it->guest, 0, 0)->val[0] = 1 | 4 << 6;
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
	test_prefetch_all(it);
	/* ATS is on, for whatever follows */
	hw->nr_log = 0;
	KUNIT_EXPECT_EQ(test, intel_nested_inv_domain(&hw->ndev), 0);
	for (i = 0; i < TEST_PASIDS; i++)
		if (test_is_present(hw, i))
			KUNIT_EXPECT_TRUE(test, test_dropped(hw, DEV_TLB, i,
							     0x12345, false));
	hw->info.ats_enabled = 0;
	/* The hardware does not use the directory any more, but for its caches */
	pasids = hw->ndev.pasids.max_pasid;
	hw->ndev.pasids.max_pasid = 0;
	KUNIT_EXPECT_TRUE(test, hw->pasid_cache[64].valid);
	KUNIT_EXPECT_EQ(test, intel_nested_inv_domain(&hw->ndev), 0);
	hw->ndev.pasids.max_pasid = pasids;
	for (i = 0; i < TEST_PASIDS; i++) {
		KUNIT_EXPECT_FALSE(test, hw->pasid_cache[i].valid);
		KUNIT_EXPECT_FALSE(test, hw->iotlb[i].valid);
	}
}

static void test_no_device_tlb(struct kunit *test, struct test_hw *hw)
{
	unsigned int i;

	KUNIT_EXPECT_NE(test, hw->submissions, 0);
	for (i = 0; i < hw->nr_log; i++) {
		KUNIT_EXPECT_NE(test, hw->log[i].kind, TEST_DESC_DEV_TLB);
		KUNIT_EXPECT_NE(test, hw->log[i].kind,
				TEST_DESC_PASID_DEV_TLB);
	}
	hw->nr_log = 0;
	hw->submissions = 0;
}

/*
 * A device that is silent may be heard again, with something in its TLB, before what
 * was put together meanwhile is submitted.
 */
static void nested_test_silent(struct kunit *test)
{
	struct inv_test *it = test->priv;
	struct test_hw *hw = it->hws[0];
	struct dev_iommu *dev_iommu;
	unsigned int i;
	u32 done;

	dev_iommu = kunit_kzalloc(test, sizeof(*dev_iommu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev_iommu);
	hw->pdev.dev.iommu = dev_iommu;
	for (i = 0; i < 2; i++) {
		test_set_first(it, 5, 0x1000);
		test_set_first(it, TEST_RID_PASID, 0x2000);
		test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
		KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
		test_prefetch_all(it);

		dev_iommu->silent = true;
		hw->info.ats_enabled = false;
		hw->info.ats_quiesced = true;
		vtd_test_entry(it->guest, 0, 5)->val[0] = 0;
		vtd_test_entry(it->guest, 0, TEST_RID_PASID)->val[0] = 0;
		if (i) {
			test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
		} else {
			test_add_pasid(it, PASID_CACHE, 5);
			test_add_pasid(it, PASID_CACHE, TEST_RID_PASID);
		}
		KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
		vtd_test_check_caches(hw);
		KUNIT_EXPECT_FALSE(test, hw->dev_tlb[5].valid);
		KUNIT_EXPECT_FALSE(test, hw->rid_tlb.valid);

		hw->info.ats_enabled = true;
		hw->info.ats_quiesced = false;
		dev_iommu->silent = false;
	}
	hw->pdev.dev.iommu = NULL;
}

/* ATS is on in the device, but the guest's table does not use it */
static void nested_test_without_ats(struct kunit *test)
{
	struct inv_test *it = test->priv;
	struct test_hw *hw = it->hws[0];
	unsigned int i;
	u32 done;

	it->nt->core.config.flags = 0;
	for (i = 0; i < 4; i++)
		test_set_first(it, i * 64, 0x1000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_ASSERT_EQ(test, test_run(it, &done), 0);
	test_prefetch_all(it);

	test_add(it, DEV_TLB, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_add(it, IOTLB, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_no_device_tlb(test, hw);

	/* Entries change, and go */
	for (i = 0; i < 4; i++)
		test_set_first(it, i * 64, 0x2000);
	test_add(it, PASID_CACHE, IOMMU_PASID_TABLE_INV_DOMAIN);
	KUNIT_EXPECT_EQ(test, test_run(it, &done), 0);
	test_no_device_tlb(test, hw);
	KUNIT_EXPECT_EQ(test, intel_nested_inv_domain(&hw->ndev), 0);
	test_no_device_tlb(test, hw);

	spin_lock(&it->parent.cache_lock);
	intel_nested_stage2_changed(&it->parent);
	spin_unlock(&it->parent.cache_lock);
	KUNIT_EXPECT_EQ(test, hw->submissions, 0);
}

static struct kunit_case nested_inv_test_cases[] = {
	KUNIT_CASE(nested_test_pasid_cache),
	KUNIT_CASE(nested_test_refused),
	KUNIT_CASE(nested_test_memory_lock),
	KUNIT_CASE(nested_test_unknown),
	KUNIT_CASE(nested_test_errors),
	KUNIT_CASE_SLOW(nested_test_requests),
	KUNIT_CASE(nested_test_exact),
	KUNIT_CASE(nested_test_stage2_changed),
	KUNIT_CASE(nested_test_domain_id),
	KUNIT_CASE(nested_test_silent),
	KUNIT_CASE(nested_test_without_ats),
	{},
};

static struct kunit_suite nested_inv_test_suite = {
	.name = "intel-nested-inv",
	.init = nested_inv_test_init,
	.exit = nested_inv_test_exit,
	.test_cases = nested_inv_test_cases,
};

kunit_test_suites(&nested_inv_test_suite);
