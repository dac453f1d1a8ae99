// SPDX-License-Identifier: GPL-2.0-only
/*
 * The directory that is made of a guest's, while the hardware uses it.
 *
 * Whatever the guest has written, and whenever it is read again: each PASID gets
 * what its entry says or is blocked, entries that did not change stay as they are
 * meanwhile, and no cache keeps anything of the ones that did.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "nested-test.h"

#define HW_CAP_CM		BIT_ULL(7)
#define HW_ECAP_COHERENT	BIT_ULL(0)
#define HW_ECAP_FEATURES	(BIT_ULL(7) | BIT_ULL(30) | BIT_ULL(31) | \
				 BIT_ULL(34) | BIT_ULL(48))

#define TEST_FIRST_STAGE(n)	(0x1000000ULL + (n) * SZ_4K)

static bool test_same(const struct pasid_entry *a, const struct pasid_entry *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool test_zero(const struct pasid_entry *entry)
{
	return !memchr_inv(entry, 0, sizeof(*entry));
}

static unsigned int test_count_tables(struct test_hw *hw)
{
	struct pasid_dir_entry *dir = hw->ndev.pasids.table;
	unsigned int i, tables = 0;

	for (i = 0; i < hw->ndev.pasids.max_pasid / 64; i++)
		tables += dir[i].val & 1;
	return tables;
}

/* All entries are what the guest's memory says; returns how many are present */
static unsigned int test_check_dir(struct test_hw *hw)
{
	struct pasid_entry entry, want;
	unsigned int present = 0;
	u32 pasid, next = 0;

	for (pasid = 0; pasid < hw->ndev.pasids.max_pasid; pasid++) {
		vtd_test_fetch(hw, pasid, &entry);
		vtd_test_expect(hw, pasid, &want);
		KUNIT_ASSERT_TRUE_MSG(hw->test, test_same(&entry, &want),
				      "pasid %u: %llx %llx %llx", pasid,
				      entry.val[0], entry.val[1], entry.val[2]);
		if (!(entry.val[0] & 1))
			continue;
		present++;
		KUNIT_ASSERT_EQ(hw->test,
				intel_nested_next_pasid(&hw->ndev, next), pasid);
		next = pasid + 1;
	}
	KUNIT_ASSERT_EQ(hw->test, intel_nested_next_pasid(&hw->ndev, next),
			PASID_MAX);
	return present;
}

/* Nobody has a reason to read what the device does not use */
static void test_keep_secrets(struct test_guest *guest, u32 nr_pasids,
			      u32 rid_pasid, const u32 *pdes,
			      unsigned int nr_tables)
{
	unsigned int table, first;
	u32 pasid, i;

	bitmap_fill(guest->secret, TEST_PAGES * TEST_PAGE_WORDS);
	bitmap_clear(guest->secret, 0, DIV_ROUND_UP(nr_pasids, 64));
	__clear_bit(rid_pasid / 64, guest->secret);
	for (table = 0; table < nr_tables; table++) {
		first = (TEST_DIR_PAGES + table) * TEST_PAGE_WORDS;
		for (i = 0; i < 64; i++) {
			pasid = pdes[table] * 64 + i;
			if (pasid < nr_pasids || pasid == rid_pasid)
				bitmap_clear(guest->secret, first + i * 8, 8);
		}
	}
}

/* Directories of all sizes, with entries at the ends and around powers of two */
static void test_one_size(struct kunit *test, unsigned int bits, u32 nr_pasids,
			  u32 rid_pasid)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, bits,
						       rid_pasid);
	u32 pasids = max(nr_pasids, rid_pasid + 1);
	unsigned int i, table, nr_tables = 0, groups = 0, present;
	struct test_hw *hw;
	u32 pdes[TEST_TABLE_PAGES];
	u32 pasid;
	/* The ends, what follows them, and what is in the middle */
	const u32 edges[] = { 0, nr_pasids - 1, nr_pasids, rid_pasid,
			      nr_pasids / 2, 64, nr_pasids & ~63,
			      BIT(bits) - 1 };

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		pasid = edges[i];
		if (pasid >= BIT(bits))
			continue;
		for (table = 0; table < nr_tables; table++)
			if (pdes[table] == pasid / 64)
				break;
		if (table == nr_tables) {
			pdes[nr_tables++] = pasid / 64;
			*vtd_test_pde(guest, pasid / 64) = TEST_TABLE(table);
		}
		vtd_test_make_first(vtd_test_entry(guest, table, pasid % 64),
				    TEST_FIRST_STAGE(pasid));
	}
	test_keep_secrets(guest, nr_pasids, rid_pasid, pdes, nr_tables);
	hw = vtd_test_new_hw(test, nt, nr_pasids, 0, HW_ECAP_COHERENT);

	/* Enough for its PASIDs, and as large as the hardware is told */
	KUNIT_ASSERT_GE(test, hw->ndev.pasids.max_pasid, pasids);
	KUNIT_ASSERT_EQ(test, hw->ndev.pasids.max_pasid / 64 * sizeof(u64),
			PAGE_SIZE << hw->ndev.pasids.order);
	if (hw->ndev.pasids.order)
		KUNIT_ASSERT_LT(test, hw->ndev.pasids.max_pasid / 2, pasids);

	KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	present = test_check_dir(hw);
	KUNIT_ASSERT_GT(test, present, 0);
	for (table = 0; table < nr_tables; table++)
		if (pdes[table] < DIV_ROUND_UP(nr_pasids, 64) ||
		    pdes[table] == rid_pasid / 64)
			groups++;
	KUNIT_ASSERT_LE(test, test_count_tables(hw), groups);
	KUNIT_ASSERT_FALSE(test, guest->leaked);
	KUNIT_ASSERT_EQ(test, hw->ndev.refused, 0);
	KUNIT_ASSERT_EQ(test, hw->submissions, 0);
	/* A read for each page of the directory and each table, two for the RID */
	KUNIT_ASSERT_LE(test, guest->reads,
			nr_tables + DIV_ROUND_UP(nr_pasids, 64 * 512) + 2);
	vtd_test_free_hw(hw);
	kunit_kfree(test, nt);
	kunit_kfree(test, guest);
}

static void nested_test_sizes(struct kunit *test)
{
	unsigned int bits;
	u32 last;

	for (bits = 0; bits <= 20; bits++) {
		last = BIT(bits) - 1;
		test_one_size(test, bits, last + 1, 0);
		test_one_size(test, bits, last + 1, last);
		/* The device has fewer PASIDs than the table, or none */
		test_one_size(test, bits, 0, 0);
		test_one_size(test, bits, 0, last);
		if (!last)
			continue;
		test_one_size(test, bits, last, last);
		test_one_size(test, bits, last / 2 + 1, last);
		test_one_size(test, bits, last / 3 + 1, last / 2);
	}
}

/* Guests cannot make the host have more tables than are of use */
static void nested_test_memory(struct kunit *test)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 20, 0);
	struct test_hw *hw = vtd_test_new_hw(test, nt, BIT(20), 0, HW_ECAP_COHERENT);
	u32 i, nr = BIT(20) / 64;
	int refused;

	/* The directory is its own table */
	for (i = 0; i < nr; i++)
		*vtd_test_pde(guest, i) = TEST_GUEST_BASE + i % TEST_DIR_PAGES *
				      SZ_4K + 1;
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), 0);
	/* All of them are refused, and counted */
	KUNIT_EXPECT_EQ(test, hw->ndev.refused, BIT(20));

	/* Tables without an entry that is present, whatever else they say */
	for (i = 0; i < nr; i++)
		*vtd_test_pde(guest, i) = TEST_TABLE(0);
	for (i = 0; i < 64; i++) {
		vtd_test_make_first(vtd_test_entry(guest, 0, i), 0);
		vtd_test_entry(guest, 0, i)->val[0] ^= 3;
	}
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), 0);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&hw->ndev, 0), PASID_MAX);

	/* One that is, in each: as many as there is room for */
	vtd_test_entry(guest, 0, 7)->val[0] |= 1;
	hw->ndev.refused = 0;
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), INTEL_NESTED_TABLES);
	KUNIT_EXPECT_EQ(test, hw->ndev.nr_present, INTEL_NESTED_TABLES);
	KUNIT_EXPECT_EQ(test, hw->ndev.refused, nr - INTEL_NESTED_TABLES);
	/* They go with their last entry */
	for (i = 0; i < nr; i++)
		*vtd_test_pde(guest, i) = i < 3 ? TEST_TABLE(0) : 0;
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), 3);
	vtd_test_entry(guest, 0, 7)->val[0] ^= 1;
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, intel_nested_read_one(&hw->ndev, i * 64 + 7,
							    false, &refused), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), 0);

	/* Addresses where nothing is, and tables that are not present */
	for (i = 0; i < nr; i++)
		*vtd_test_pde(guest, i) = i % 2 ? U64_MAX - 1 :
					      TEST_TABLE(TEST_TABLE_PAGES);
	hw->ndev.refused = 0;
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), 0);
	KUNIT_EXPECT_EQ(test, hw->ndev.refused, nr / 2);

	/* One entry in each of a few */
	for (i = 0; i < nr; i++)
		*vtd_test_pde(guest, i) = i % 1000 == 999 ? TEST_TABLE(0) : 0;
	vtd_test_entry(guest, 0, 7)->val[0] |= 1;
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_count_tables(hw), nr / 1000);
	KUNIT_EXPECT_EQ(test, test_check_dir(hw), nr / 1000);
	vtd_test_free_hw(hw);
}

static void test_alloc_free(struct kunit *test, unsigned int bits,
			    u32 nr_pasids, u32 rid_pasid, unsigned int rounds)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, bits,
							   rid_pasid);
	unsigned int tables = DIV_ROUND_UP(nr_pasids, 64 * 256);
	struct test_hw *hw;
	u32 i;

	for (i = 0; i < nr_pasids / 64; i += 256)
		*vtd_test_pde(guest, i) = TEST_TABLE(0);
	vtd_test_make_first(vtd_test_entry(guest, 0, 0), 0);
	*vtd_test_pde(guest, rid_pasid / 64) = TEST_TABLE(1);
	vtd_test_make_first(vtd_test_entry(guest, 1, rid_pasid % 64), 0);
	while (rounds--) {
		hw = vtd_test_new_hw(test, nt, nr_pasids, 0, HW_ECAP_COHERENT);
		KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
		KUNIT_ASSERT_EQ(test, test_count_tables(hw), tables + 1);
		vtd_test_free_hw(hw);
	}
}

/* As much memory as before, but for what others do meanwhile */
static void nested_test_freed(struct kunit *test)
{
	unsigned long before = global_node_page_state(NR_IOMMU_PAGES), after;

	test_alloc_free(test, 20, BIT(20), BIT(20) - 1, 256);
	/* Whatever is beyond the PASIDs of the device */
	test_alloc_free(test, 15, 64, BIT(15) - 1, 2048);
	test_alloc_free(test, 15, 0, 64, 2048);
	after = global_node_page_state(NR_IOMMU_PAGES);
	KUNIT_EXPECT_LT(test, (long)(after - before), 1000);
}

static void nested_test_bypass(struct kunit *test)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 0, 0);
	/* SSPTPTR, second stage only, 48 bits, present; the domain ID */
	static const struct pasid_entry want = {
		.val = { 0x7654321085, 0x1234 },
	};
	struct pasid_entry entry;
	struct test_hw *hw;

	nt->core.config.config = IOMMU_PASID_TABLE_BYPASS;
	hw = vtd_test_new_hw(test, nt, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&hw->ndev, 0), PASID_MAX);
	KUNIT_EXPECT_EQ(test, intel_nested_bypass(&hw->ndev), 0);
	vtd_test_fetch(hw, 0, &entry);
	KUNIT_EXPECT_TRUE(test, test_same(&entry, &want));
	/* Requests with a PASID are blocked */
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&hw->ndev, 0), 0);
	KUNIT_EXPECT_EQ(test, intel_nested_next_pasid(&hw->ndev, 1), PASID_MAX);
	KUNIT_EXPECT_EQ(test, guest->reads, 0);
	vtd_test_free_hw(hw);
}

/* What a guest may write, by accident or not */

static u32 test_below(struct rnd_state *rnd, u32 ceiling)
{
	return prandom_u32_state(rnd) % ceiling;
}

static u64 test_random_pde(struct rnd_state *rnd)
{
	switch (test_below(rnd, 16)) {
	case 0:
		return 0;
	case 1:
		return vtd_test_table_gpa(0);
	case 2:
		return TEST_GUEST_BASE | 1;
	case 3:
		return (TEST_GPA_LAST + 1) | 1;
	case 4:
		return vtd_test_table_gpa(0) | BIT_ULL(test_below(rnd, 12)) | 1;
	case 5:
		return TEST_TABLE(TEST_TABLE_PAGES);
	case 6:
		return vtd_test_random(rnd);
	default:
		return TEST_TABLE(test_below(rnd, TEST_TABLE_PAGES));
	}
}

static void test_random_entry(struct rnd_state *rnd,
			      struct intel_guest_entry *entry)
{
	vtd_test_make_first(entry, TEST_FIRST_STAGE(test_below(rnd, 4)));
	switch (test_below(rnd, 16)) {
	case 0:
		entry->val[test_below(rnd, 8)] ^= BIT_ULL(test_below(rnd, 64));
		break;
	case 1 ... 3:
		entry->val[0] &= ~1ULL;
		break;
	case 4 ... 5:
		/* Pass-through */
		entry->val[0] ^= 5 << 6;
		break;
	case 6:
		entry->val[2] = TEST_GPA_LAST + 1;
		break;
	case 7:
		/* Domain IDs are the guest's own */
		entry->val[1] = test_below(rnd, 0x10000);
		break;
	case 8:
		entry->val[2] |= BIT_ULL(test_below(rnd, 12));
		break;
	}
	/* FPD, whether it is present or not */
	if (!test_below(rnd, 8))
		entry->val[0] |= 2;
}

static void test_random_guest(struct rnd_state *rnd, struct test_guest *guest,
			      unsigned int changes)
{
	unsigned int table;

	while (changes--) {
		switch (test_below(rnd, 32)) {
		case 0:
			*vtd_test_pde(guest, test_below(rnd, 4)) =
				test_random_pde(rnd);
			break;
		case 1:
			__change_bit(TEST_DIR_PAGES +
				     test_below(rnd, TEST_TABLE_PAGES),
				     guest->holes);
			break;
		case 2:
			/* The directory, not often */
			if (test_below(rnd, 4))
				__clear_bit(0, guest->holes);
			else
				__set_bit(0, guest->holes);
			break;
		default:
			table = test_below(rnd, TEST_TABLE_PAGES);
			test_random_entry(rnd,
					  vtd_test_entry(guest, table,
							 test_below(rnd, 64)));
		}
	}
}

struct test_counts {
	unsigned int changed;
	unsigned int unchanged;
	unsigned int refused;
	unsigned int failed;
};

/* Read all again, or one, and see what happens to the entries meanwhile */
static void test_one_read(struct test_hw *hw, u32 pasid, bool all,
			  struct test_counts *counts)
{
	unsigned int tables = test_count_tables(hw), groups = 0;
	struct kunit *test = hw->test;
	bool changed = false, used = false;
	int error, expected = 0, refused = 0, rc;
	struct pasid_entry entry;
	unsigned int groups_seen[TEST_PASIDS / 64] = {};
	u32 p, next = 0;

	for (p = 0; p < TEST_PASIDS; p++) {
		vtd_test_fetch(hw, p, &hw->old[p]);
		error = vtd_test_expect(hw, p, &hw->new[p]);
		if (!all && p != pasid)
			hw->new[p] = hw->old[p];
		if (p == pasid)
			expected = error;
		if (!test_same(&hw->old[p], &hw->new[p])) {
			changed = true;
			used |= hw->old[p].val[0] & 1;
		}
		if (!test_zero(&hw->new[p]) && !groups_seen[p / 64]++)
			groups++;
	}
	vtd_test_prefetch(hw);
	hw->judge = true;
	hw->submissions = 0;
	hw->nr_log = 0;

	if (all)
		rc = intel_nested_read_all(&hw->ndev, true);
	else
		rc = intel_nested_read_one(&hw->ndev, pasid, true, &refused);
	hw->judge = false;

	if (hw->error && rc) {
		KUNIT_ASSERT_EQ(test, rc, hw->error);
		KUNIT_ASSERT_TRUE(test, changed);
		/* What has changed is gone, as far as the reading came */
		for (p = 0; p < TEST_PASIDS; p++) {
			vtd_test_fetch(hw, p, &entry);
			if (test_same(&entry, &hw->old[p]))
				KUNIT_ASSERT_FALSE(test, !all && used &&
						   p == pasid);
			else if (!test_same(&entry, &hw->new[p]))
				KUNIT_ASSERT_TRUE(test, test_zero(&entry) &&
						  !test_same(&hw->old[p],
							     &hw->new[p]));
			if (!all && used && p == pasid)
				KUNIT_ASSERT_TRUE(test, test_zero(&entry));
		}
		counts->failed++;
		/* What became of the caches is not known: start anew */
		memset(hw->pde_cache, 0, sizeof(hw->pde_cache));
		memset(hw->pasid_cache, 0, sizeof(hw->pasid_cache));
		memset(hw->iotlb, 0, sizeof(hw->iotlb));
		memset(hw->dev_tlb, 0, sizeof(hw->dev_tlb));
		hw->rid_tlb.valid = false;
		return;
	}
	KUNIT_ASSERT_EQ(test, rc, 0);
	KUNIT_ASSERT_FALSE(test, hw->error && hw->submissions);
	if (!all)
		KUNIT_ASSERT_EQ(test, refused, expected);
	for (p = 0; p < TEST_PASIDS; p++) {
		vtd_test_fetch(hw, p, &entry);
		KUNIT_ASSERT_TRUE_MSG(test, test_same(&entry, &hw->new[p]),
				      "pasid %u", p);
	}
	KUNIT_ASSERT_LE(test, test_count_tables(hw), tables + groups);
	for (p = 0; p < TEST_PASIDS; p++) {
		if (!(hw->new[p].val[0] & 1))
			continue;
		KUNIT_ASSERT_EQ(test, intel_nested_next_pasid(&hw->ndev, next), p);
		next = p + 1;
	}
	KUNIT_ASSERT_EQ(test, intel_nested_next_pasid(&hw->ndev, next), PASID_MAX);
	vtd_test_check_caches(hw);
	if (!changed)
		KUNIT_ASSERT_EQ(test, hw->submissions, 0);
	else if (!used && !(hw->iommu.cap & HW_CAP_CM))
		KUNIT_ASSERT_EQ(test, hw->submissions, 0);
	else
		KUNIT_ASSERT_GT(test, hw->submissions, 0);
	counts->changed += changed;
	counts->unchanged += !changed;
	counts->refused += !!refused;
}

static void test_random_reads(struct kunit *test, struct rnd_state *rnd,
			      u64 cap, u64 ecap, struct test_counts *counts)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	unsigned int bits = test_below(rnd, 9);
	u32 rid_pasid = test_below(rnd, BIT(bits));
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, bits,
						       rid_pasid);
	struct test_hw *hw;
	u32 nr_pasids, i;
	unsigned int round;

	nr_pasids = test_below(rnd, 2) ? BIT(bits) : test_below(rnd, BIT(bits));
	for (i = 0; i < 4; i++)
		*vtd_test_pde(guest, i) = TEST_TABLE(i);
	test_random_guest(rnd, guest, 1000);
	hw = vtd_test_new_hw(test, nt, nr_pasids, cap, ecap);
	hw->info.ats_enabled = test_below(rnd, 2);
	hw->info.dtlb_extra_inval = test_below(rnd, 2);
	hw->ndev.s2.force_snoop = test_below(rnd, 2);
	KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_ASSERT_EQ(test, hw->submissions, 0);
	for (round = 0; round < 60; round++) {
		if (test_below(rnd, 4))
			test_random_guest(rnd, guest, test_below(rnd, 100));
		hw->error = 0;
		if (!test_below(rnd, 8))
			hw->error = test_below(rnd, 2) ? -EIO : -ETIMEDOUT;
		test_one_read(hw, test_below(rnd, BIT(bits)),
			      test_below(rnd, 2), counts);
	}
	vtd_test_free_hw(hw);
	kunit_kfree(test, nt);
	kunit_kfree(test, guest);
}

static void nested_test_random(struct kunit *test)
{
	struct test_counts counts = {};
	struct rnd_state rnd;
	unsigned int n;

	prandom_seed_state(&rnd, 0xd1c7);
	for (n = 0; n < 100; n++)
		test_random_reads(test, &rnd, n & 1 ? HW_CAP_CM : 0,
				  (n & 2 ? HW_ECAP_COHERENT : 0) |
				  (n & 4 ? HW_ECAP_FEATURES : 0), &counts);
	kunit_info(test, "%u changed, %u unchanged, %u refused, %u failed",
		   counts.changed, counts.unchanged, counts.refused,
		   counts.failed);
	KUNIT_EXPECT_GT(test, counts.changed, 500);
	KUNIT_EXPECT_GT(test, counts.unchanged, 500);
	KUNIT_EXPECT_GT(test, counts.refused, 100);
	KUNIT_EXPECT_GT(test, counts.failed, 100);
}

/* Have a fatal signal, or not any more */
static void test_kill(bool kill)
{
	struct sighand_struct *sighand =
		rcu_dereference_protected(current->sighand, true);

	spin_lock_irq(&sighand->siglock);
	if (kill) {
		sigaddset(&current->pending.signal, SIGKILL);
		set_tsk_thread_flag(current, TIF_SIGPENDING);
	} else {
		sigdelset(&current->pending.signal, SIGKILL);
		recalc_sigpending();
	}
	spin_unlock_irq(&sighand->siglock);
}

/* A guest with many tables does not keep whoever wants to be killed */
static void nested_test_killed(struct kunit *test)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 20, 0);
	struct test_hw *hw = vtd_test_new_hw(test, nt, BIT(20), 0, HW_ECAP_COHERENT);
	int rc;

	*vtd_test_pde(guest, 0) = TEST_TABLE(0);
	vtd_test_make_first(vtd_test_entry(guest, 0, 0), 0);
	test_kill(true);
	rc = intel_nested_read_all(&hw->ndev, false);
	test_kill(false);
	KUNIT_EXPECT_EQ(test, rc, -EINTR);
	KUNIT_EXPECT_LE(test, guest->reads, 1);
	KUNIT_EXPECT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, test_check_dir(hw), 1);
	vtd_test_free_hw(hw);
}

/* One PASID in each of @nr tables from the first on, from the @from-th on */
static void test_set_tables(struct test_guest *guest, u32 from, u32 nr, bool set)
{
	u32 i;

	for (i = from; i < from + nr; i++)
		*vtd_test_pde(guest, i) = set ? TEST_TABLE(0) : 0;
}

static int test_read_pasid(struct test_hw *hw, u32 table)
{
	int refused;

	KUNIT_EXPECT_EQ(hw->test, intel_nested_read_one(&hw->ndev, table * 64 + 7,
							false, &refused), 0);
	return refused;
}

static bool test_is_there(struct test_hw *hw, u32 table)
{
	struct pasid_entry entry;

	vtd_test_fetch(hw, table * 64 + 7, &entry);
	return entry.val[0] & 1;
}

/* PASIDs of a device with ATS have to be named one by one: there is a limit */
static void nested_test_ats_limit(struct kunit *test)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 20, 0);
	struct test_hw *hw = vtd_test_new_hw(test, nt, BIT(20), 0, HW_ECAP_COHERENT);
	u32 i, nr = INTEL_NESTED_ATS_PASIDS + 88;

	hw->info.ats_supported = 1;
	hw->info.ats_enabled = 1;
	nt->core.config.flags = 0;
	for (i = 0; i < 64; i++)
		vtd_test_make_first(vtd_test_entry(guest, 0, i), 0);
	test_set_tables(guest, 0, nr / 64 + 1, true);
	KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, hw->ndev.nr_present, (nr / 64 + 1) * 64);
	KUNIT_EXPECT_EQ(test, hw->ndev.refused, 0);
	test_set_tables(guest, 0, nr, false);
	KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, hw->ndev.nr_present, 0);

	nt->core.config.flags = IOMMU_PASID_TABLE_ATS;
	for (i = 0; i < 64; i++)
		if (i != 7)
			vtd_test_entry(guest, 0, i)->val[0] = 0;
	test_set_tables(guest, 0, nr, true);
	KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
	KUNIT_EXPECT_EQ(test, hw->ndev.nr_present, INTEL_NESTED_ATS_PASIDS);
	KUNIT_EXPECT_EQ(test, hw->ndev.refused, 88);
	/* Those that translate stay, another one has no place */
	KUNIT_EXPECT_EQ(test, test_read_pasid(hw, 0), 0);
	KUNIT_EXPECT_EQ(test, test_read_pasid(hw, nr - 1), -ENOSPC);
	/* until one of them goes */
	test_set_tables(guest, INTEL_NESTED_ATS_PASIDS, 87, false);
	test_set_tables(guest, 0, 1, false);
	KUNIT_EXPECT_EQ(test, test_read_pasid(hw, 0), 0);
	KUNIT_EXPECT_EQ(test, test_read_pasid(hw, nr - 1), 0);
	KUNIT_EXPECT_EQ(test, hw->ndev.nr_present, INTEL_NESTED_ATS_PASIDS);
	vtd_test_free_hw(hw);
}

/* What leaves makes room for what comes, in whatever order they are */
static void nested_test_room(struct kunit *test)
{
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 20, 0);
	const u32 far = INTEL_NESTED_ATS_PASIDS + 1000;
	struct test_hw *hw;
	u32 ats, refused;

	vtd_test_make_first(vtd_test_entry(guest, 0, 7), 0);
	for (ats = 0; ats < 2; ats++) {
		hw = vtd_test_new_hw(test, nt, BIT(20), 0, HW_ECAP_COHERENT);
		hw->info.ats_supported = ats;
		hw->info.ats_enabled = ats;
		test_set_tables(guest, 0, far + 1000, false);
		test_set_tables(guest, 1, INTEL_NESTED_ATS_PASIDS, true);
		KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
		KUNIT_EXPECT_EQ(test, hw->ndev.nr_present,
				INTEL_NESTED_ATS_PASIDS);

		/* In one pass the last one leaves and the first one comes */
		test_set_tables(guest, INTEL_NESTED_ATS_PASIDS, 1, false);
		test_set_tables(guest, 0, 1, true);
		KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
		KUNIT_EXPECT_TRUE(test, test_is_there(hw, 0));
		KUNIT_EXPECT_EQ(test, hw->ndev.refused, 0);
		/* and the other way round */
		test_set_tables(guest, 0, 1, false);
		test_set_tables(guest, INTEL_NESTED_ATS_PASIDS, 1, true);
		KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
		KUNIT_EXPECT_TRUE(test, test_is_there(hw, INTEL_NESTED_ATS_PASIDS));
		KUNIT_EXPECT_EQ(test, hw->ndev.refused, 0);

		/* Refused by a pass: there when another one has left */
		test_set_tables(guest, far, 2, true);
		KUNIT_ASSERT_EQ(test, intel_nested_read_all(&hw->ndev, false), 0);
		KUNIT_EXPECT_FALSE(test, test_is_there(hw, far));
		KUNIT_EXPECT_EQ(test, hw->ndev.refused, 2);
		test_set_tables(guest, 3, 1, false);
		KUNIT_EXPECT_EQ(test, test_read_pasid(hw, 3), 0);
		KUNIT_EXPECT_TRUE(test, test_is_there(hw, far));
		KUNIT_EXPECT_FALSE(test, test_is_there(hw, far + 1));
		/* What is still refused is not counted twice */
		KUNIT_EXPECT_EQ(test, hw->ndev.refused, 2);
		/* Refused by itself */
		test_set_tables(guest, far + 1, 1, false);
		KUNIT_EXPECT_EQ(test, test_read_pasid(hw, far + 1), 0);
		test_set_tables(guest, 0, 1, true);
		KUNIT_EXPECT_EQ(test, test_read_pasid(hw, 0), -ENOSPC);
		test_set_tables(guest, far, 1, false);
		KUNIT_EXPECT_EQ(test, test_read_pasid(hw, far), 0);
		KUNIT_EXPECT_TRUE(test, test_is_there(hw, 0));

		/* Nobody waits any more: nothing but the entry is read */
		guest->reads = 0;
		test_set_tables(guest, 4, 1, false);
		KUNIT_EXPECT_EQ(test, test_read_pasid(hw, 4), 0);
		refused = hw->ndev.refused;
		KUNIT_EXPECT_LE(test, guest->reads, 2);
		KUNIT_EXPECT_EQ(test, hw->ndev.refused, refused);
		KUNIT_EXPECT_EQ(test, hw->ndev.nr_present,
				INTEL_NESTED_ATS_PASIDS - 1);
		vtd_test_free_hw(hw);
	}
}

/*
 * A change of one word reaches the hardware in one step: no request finds that the
 * entry is away. Others need several, and the entry is away meanwhile.
 */
static void nested_test_in_place(struct kunit *test)
{
	/*
	 * In the second column type, 48 bits, FPD and present below the host's
	 * SSPTPTR; PGSNP, PWSNP and the host's domain ID; the guest's first stage
	 */
	static const struct {
		struct intel_guest_entry guest;
		struct pasid_entry hw;
	} entries[] = {
		{ { .val = { 0x41, 0, TEST_FIRST_STAGE(0) } },
		  { .val = { 0x76543210c5, 0x801234, TEST_FIRST_STAGE(0) } } },
		{ { .val = { 0x43, 0, TEST_FIRST_STAGE(0) } },
		  { .val = { 0x76543210c7, 0x801234, TEST_FIRST_STAGE(0) } } },
		{ { .val = { 0x41, 0x1000000, TEST_FIRST_STAGE(0) } },
		  { .val = { 0x76543210c5, 0x1801234, TEST_FIRST_STAGE(0) } } },
		{ { .val = { 0x43, 0x1000000, TEST_FIRST_STAGE(0) } },
		  { .val = { 0x76543210c7, 0x1801234, TEST_FIRST_STAGE(0) } } },
		{ { .val = { 0x41, 0, TEST_FIRST_STAGE(1) } },
		  { .val = { 0x76543210c5, 0x801234, TEST_FIRST_STAGE(1) } } },
		{ { .val = { 0x41, 0, TEST_FIRST_STAGE(0) | 1 } },
		  { .val = { 0x76543210c5, 0x801234, TEST_FIRST_STAGE(0) | 1 } } },
		{ { .val = { 0x41, 0, TEST_FIRST_STAGE(0) | 3 } },
		  { .val = { 0x76543210c5, 0x801234, TEST_FIRST_STAGE(0) | 3 } } },
		{ { .val = { 0x43, 0, TEST_FIRST_STAGE(1) } },
		  { .val = { 0x76543210c7, 0x801234, TEST_FIRST_STAGE(1) } } },
		{ { .val = { 0x41, 0x1000000, TEST_FIRST_STAGE(1) } },
		  { .val = { 0x76543210c5, 0x1801234, TEST_FIRST_STAGE(1) } } },
		{ { .val = { 0x41 } },
		  { .val = { 0x76543210c5, 0x801234 } } },
		{ { .val = { 0x101 } },
		  { .val = { 0x7654321085, 0x801234 } } },
		{ { .val = { 0x103 } },
		  { .val = { 0x7654321087, 0x801234 } } },
		{ },
	};
	struct test_guest *guest = vtd_test_new_guest(test);
	struct intel_nested_table *nt = vtd_test_new_table(test, guest, 8, 0);
	unsigned int i, words, cm, in_place = 0, away = 0;
	const unsigned int nr = ARRAY_SIZE(entries);
	struct pasid_entry entry;
	struct test_hw *hw;
	int refused, w;

	*vtd_test_pde(guest, 1) = TEST_TABLE(0);
	for (cm = 0; cm < 2; cm++) {
		hw = vtd_test_new_hw(test, nt, 256, cm ? HW_CAP_CM : 0,
				     HW_ECAP_FEATURES);
		hw->info.ats_enabled = 1;
		for (i = 0; i < nr * nr; i++) {
			*vtd_test_entry(guest, 0, 3) = entries[i / nr].guest;
			KUNIT_ASSERT_EQ(test, intel_nested_read_one(&hw->ndev, 67,
								    true, &refused), 0);
			KUNIT_ASSERT_EQ(test, refused, 0);
			vtd_test_prefetch(hw);
			vtd_test_fetch(hw, 67, &hw->old[67]);
			KUNIT_ASSERT_TRUE(test, test_same(&hw->old[67],
							  &entries[i / nr].hw));
			*vtd_test_entry(guest, 0, 3) = entries[i % nr].guest;
			hw->new[67] = entries[i % nr].hw;
			for (w = 0, words = 0; w < 8; w++)
				words += hw->old[67].val[w] != hw->new[67].val[w];
			hw->nr_log = 0;
			hw->submissions = 0;
			hw->away = 0;
			hw->judge = true;
			KUNIT_ASSERT_EQ(test, intel_nested_read_one(&hw->ndev, 67,
								    true, &refused), 0);
			hw->judge = false;
			vtd_test_fetch(hw, 67, &entry);
			KUNIT_ASSERT_TRUE(test, test_same(&entry, &hw->new[67]));
			vtd_test_check_caches(hw);
			if (!(hw->old[67].val[0] & hw->new[67].val[0] & 1))
				continue;
			KUNIT_EXPECT_EQ_MSG(test, !!hw->away, words > 1,
					    "from %u to %u", i / nr, i % nr);
			KUNIT_EXPECT_EQ(test, !!hw->submissions, !!words);
			in_place += words == 1;
			away += words > 1;
		}
		vtd_test_free_hw(hw);
	}
	KUNIT_EXPECT_GT(test, in_place, 40);
	KUNIT_EXPECT_GT(test, away, 40);
}

static struct kunit_case nested_dir_test_cases[] = {
	KUNIT_CASE(nested_test_sizes),
	KUNIT_CASE(nested_test_memory),
	KUNIT_CASE(nested_test_freed),
	KUNIT_CASE(nested_test_bypass),
	KUNIT_CASE_SLOW(nested_test_random),
	KUNIT_CASE(nested_test_killed),
	KUNIT_CASE(nested_test_ats_limit),
	KUNIT_CASE(nested_test_room),
	KUNIT_CASE(nested_test_in_place),
	{},
};

static struct kunit_suite nested_dir_test_suite = {
	.name = "intel-nested-dir",
	.test_cases = nested_dir_test_cases,
};

kunit_test_suites(&nested_dir_test_suite);
