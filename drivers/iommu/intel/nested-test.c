// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of guest PASID tables have instead of a guest and of hardware.
 * References are to the VT-d specification.
 */
#include <kunit/static_stub.h>
#include <linux/bitfield.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "nested-test.h"

u64 vtd_test_random(struct rnd_state *rnd)
{
	return (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
}

/* Descriptors */

static void test_set_range(struct test_desc *decoded, u64 addr,
			   unsigned int order)
{
	u64 mask = GENMASK_ULL(order, 0) >> 1;

	decoded->first = addr >> 12;
	decoded->last = decoded->first | mask;
	decoded->order = order;
	decoded->everything = order == 52;
	/* Bits that are masked are to be 0 */
	if (decoded->first & mask)
		decoded->kind = TEST_DESC_BAD;
}

/* The number of ones from bit 12 on is the size, if there are any at all */
static void test_set_dev_range(struct test_desc *decoded, u64 addr, bool size)
{
	unsigned int order = 0;

	while (size && order < 51 && addr & BIT_ULL(12 + order)) {
		addr &= ~BIT_ULL(12 + order);
		order++;
	}
	test_set_range(decoded, addr, size ? order + 1 : 0);
}

/**
 * vtd_test_decode() - Read a descriptor like the hardware
 * @desc: Descriptor
 * @decoded: Returns what it says
 */
void vtd_test_decode(const struct qi_desc *desc, struct test_desc *decoded)
{
	u64 used0 = HW_DESC_TYPE, used1 = 0;
	u64 qw0 = desc->qw0, qw1 = desc->qw1;
	u64 granularity = FIELD_GET(GENMASK_ULL(5, 4), qw0);
	u64 addr = qw1 & GENMASK_ULL(63, 12);

	memset(decoded, 0, sizeof(*decoded));
	switch (qw0 & HW_DESC_TYPE) {
	case HW_DESC_WAIT:
		/* Nothing but the fence */
		used0 |= BIT_ULL(6);
		if (qw0 & BIT_ULL(6))
			decoded->kind = TEST_DESC_FENCE;
		break;
	case HW_DESC_PASID_CACHE:
		used0 |= GENMASK_ULL(5, 4) | GENMASK_ULL(31, 16);
		decoded->did = FIELD_GET(GENMASK_ULL(31, 16), qw0);
		if (granularity == 0)
			decoded->kind = TEST_DESC_CACHE_ALL;
		if (granularity != 1)
			break;
		used0 |= GENMASK_ULL(51, 32);
		decoded->kind = TEST_DESC_CACHE_ONE;
		decoded->pasid = FIELD_GET(GENMASK_ULL(51, 32), qw0);
		break;
	case HW_DESC_IOTLB:
		used0 |= GENMASK_ULL(7, 4) | GENMASK_ULL(31, 16);
		decoded->did = FIELD_GET(GENMASK_ULL(31, 16), qw0);
		decoded->drain = FIELD_GET(GENMASK_ULL(7, 6), qw0);
		if (granularity == 2)
			decoded->kind = TEST_DESC_IOTLB_DOMAIN;
		break;
	case HW_DESC_PASID_IOTLB:
		used0 |= GENMASK_ULL(5, 4) | GENMASK_ULL(51, 16);
		decoded->did = FIELD_GET(GENMASK_ULL(31, 16), qw0);
		decoded->pasid = FIELD_GET(GENMASK_ULL(51, 32), qw0);
		if (granularity == 2) {
			decoded->kind = TEST_DESC_IOTLB_RANGE;
			test_set_range(decoded, 0, 52);
			break;
		}
		if (granularity != 3)
			break;
		used1 = GENMASK_ULL(63, 12) | GENMASK_ULL(6, 0);
		decoded->kind = TEST_DESC_IOTLB_RANGE;
		decoded->leaf = qw1 & BIT_ULL(6);
		test_set_range(decoded, addr, qw1 & GENMASK_ULL(5, 0));
		decoded->everything = false;
		break;
	case HW_DESC_DEV_TLB:
		used0 |= GENMASK_ULL(15, 12) | GENMASK_ULL(20, 16) |
			 GENMASK_ULL(63, 32);
		used1 = GENMASK_ULL(63, 12) | BIT_ULL(0);
		decoded->kind = TEST_DESC_DEV_TLB;
		decoded->depth = FIELD_GET(GENMASK_ULL(20, 16), qw0);
		decoded->sid = FIELD_GET(GENMASK_ULL(47, 32), qw0);
		decoded->pfsid = FIELD_GET(GENMASK_ULL(15, 12), qw0) |
				 FIELD_GET(GENMASK_ULL(63, 52), qw0) << 4;
		test_set_dev_range(decoded, addr, qw1 & BIT_ULL(0));
		used0 &= ~GENMASK_ULL(51, 48);
		break;
	case HW_DESC_PASID_DEV_TLB:
		used0 |= GENMASK_ULL(63, 4) & ~GENMASK_ULL(11, 9);
		used1 = GENMASK_ULL(63, 11);
		decoded->kind = TEST_DESC_PASID_DEV_TLB;
		decoded->depth = FIELD_GET(GENMASK_ULL(8, 4), qw0);
		decoded->sid = FIELD_GET(GENMASK_ULL(31, 16), qw0);
		decoded->pasid = FIELD_GET(GENMASK_ULL(51, 32), qw0);
		decoded->pfsid = FIELD_GET(GENMASK_ULL(15, 12), qw0) |
				 FIELD_GET(GENMASK_ULL(63, 52), qw0) << 4;
		test_set_dev_range(decoded, addr, qw1 & BIT_ULL(11));
		break;
	}
	if (qw0 & ~used0 || qw1 & ~used1 || desc->qw2 || desc->qw3)
		decoded->kind = TEST_DESC_BAD;
}

/* The guest's memory */

static int test_read(struct iommu_guest_memory *memory, u64 gpa, void *buf,
		     size_t len)
{
	struct test_guest *guest = container_of(memory, struct test_guest,
						memory);
	u64 offset = gpa - TEST_GUEST_BASE;
	size_t first, i;

	guest->reads++;
	if (offset >= sizeof(guest->words) ||
	    len > sizeof(guest->words) - offset)
		return -EFAULT;
	first = offset / sizeof(u64);
	for (i = 0; i < len / sizeof(u64); i++) {
		if (test_bit((first + i) / TEST_PAGE_WORDS, guest->holes))
			return -EFAULT;
		if (test_bit(first + i, guest->secret))
			guest->leaked = true;
	}
	memcpy(buf, &guest->words[first], len);
	return 0;
}

static int test_lock(struct iommu_guest_memory *memory, bool wait)
{
	struct test_guest *guest = container_of(memory, struct test_guest,
						memory);

	if (guest->error)
		return guest->error;
	/* An attach holds nobody up for it, and nobody an attach */
	if (guest->locked || (wait && mutex_is_locked(&guest->nt->lock)))
		return -EDEADLK;
	guest->locked = true;
	guest->locks++;
	return 0;
}

static void test_unlock(struct iommu_guest_memory *memory)
{
	container_of(memory, struct test_guest, memory)->locked = false;
}

static const struct iommu_guest_memory_ops test_guest_ops = {
	.lock = test_lock,
	.unlock = test_unlock,
	.read = test_read,
};

struct test_guest *vtd_test_new_guest(struct kunit *test)
{
	struct test_guest *guest;

	guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, guest);
	guest->memory.ops = &test_guest_ops;
	return guest;
}

u64 vtd_test_table_gpa(unsigned int table)
{
	return TEST_GUEST_BASE + (TEST_DIR_PAGES + table) * SZ_4K;
}

u64 *vtd_test_pde(struct test_guest *guest, u32 index)
{
	return &guest->words[index];
}

struct intel_guest_entry *vtd_test_entry(struct test_guest *guest,
					 unsigned int table, u32 index)
{
	unsigned int page = TEST_DIR_PAGES + table;

	return (struct intel_guest_entry *)
		&guest->words[page * TEST_PAGE_WORDS + index * 8];
}

void vtd_test_make_first(struct intel_guest_entry *entry, u64 fsptptr)
{
	*entry = (struct intel_guest_entry){
		.val[0] = BIT_ULL(0) | BIT_ULL(6),
		.val[2] = fsptptr,
	};
}

/**
 * vtd_test_expect() - What the hardware is to have, given the guest's memory
 * @hw: Hardware
 * @pasid: PASID
 * @entry: Returns the entry
 *
 * Return: 0 or why the entry is refused.
 */
int vtd_test_expect(struct test_hw *hw, u32 pasid, struct pasid_entry *entry)
{
	struct test_guest *guest =
		container_of(hw->ndev.table->core.memory, struct test_guest,
			     memory);
	unsigned int page = pasid / 64 / TEST_PAGE_WORDS;
	u64 pde, offset;

	memset(entry, 0, sizeof(*entry));
	if (pasid >= hw->ndev.nr_pasids && pasid != hw->ndev.rid_pasid)
		return 0;
	if (test_bit(page, guest->holes))
		return -EFAULT;
	pde = guest->words[pasid / 64];
	if (!(pde & BIT_ULL(0)))
		return 0;
	if (pde & GENMASK_ULL(11, 2))
		return -EINVAL;
	pde &= GENMASK_ULL(63, 12);
	if (pde > TEST_GPA_LAST)
		return -ERANGE;
	offset = pde - TEST_GUEST_BASE;
	if (offset >= sizeof(guest->words) ||
	    test_bit(offset / SZ_4K, guest->holes))
		return -EFAULT;
	offset += pasid % 64 * 64;
	return intel_nested_make_entry(&hw->ndev.s2,
				       (void *)guest->words + offset, entry);
}

/* The hardware */

static u64 test_memory_pde(struct test_hw *hw, u32 pasid)
{
	struct pasid_dir_entry *dir = hw->ndev.pasids.table;

	return pasid < hw->ndev.pasids.max_pasid ? dir[pasid / 64].val : 0;
}

static void test_fetch_entry(u64 pde, u32 pasid, struct pasid_entry *entry)
{
	struct pasid_entry *table;

	memset(entry, 0, sizeof(*entry));
	if (!(pde & 1))
		return;
	table = phys_to_virt(pde & GENMASK_ULL(63, 12));
	*entry = table[pasid % 64];
}

/* An entry of the directory and the table as they are in memory, 3.4.3 */
void vtd_test_fetch(struct test_hw *hw, u32 pasid, struct pasid_entry *entry)
{
	test_fetch_entry(test_memory_pde(hw, pasid), pasid, entry);
}

static bool test_present(const struct pasid_entry *entry)
{
	return entry->val[0] & BIT_ULL(0);
}

static bool test_same(const struct pasid_entry *a, const struct pasid_entry *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* What may be in memory while entries change */
static void test_judge_entry(struct test_hw *hw, u32 pasid,
			     const struct pasid_entry *entry)
{
	const struct pasid_entry *old = &hw->old[pasid];
	const struct pasid_entry *new = &hw->new[pasid];
	struct pasid_entry absent = *old;

	absent.val[0] &= ~BIT_ULL(0);
	/* A device TLB may have what the entry says, or said a moment ago */
	if (memchr_inv(entry, 0, sizeof(*entry)))
		KUNIT_EXPECT_EQ(hw->test, intel_nested_next_pasid(&hw->ndev, pasid),
				pasid);
	if (test_same(entry, old) || test_same(entry, new))
		return;
	hw->away++;
	/* The rest stays until no cache has it, 6.5.3.3 */
	KUNIT_EXPECT_TRUE_MSG(hw->test, test_same(entry, &absent),
			      "pasid %u: %llx %llx %llx", pasid, entry->val[0],
			      entry->val[1], entry->val[2]);
	KUNIT_EXPECT_FALSE(hw->test, test_same(old, new));
}

static bool test_caching_mode(struct test_hw *hw)
{
	return hw->iommu.cap & BIT_ULL(7);
}

static void test_fill(struct test_cached *cached, const struct pasid_entry *entry)
{
	cached->valid = true;
	cached->entry = *entry;
}

/* Which entry the hardware finds if it is not in the PASID cache */
static void test_walk(struct test_hw *hw, u32 pasid, struct pasid_entry *entry)
{
	struct test_cached_pde *cached = &hw->pde_cache[pasid / 64];

	if (!cached->valid) {
		cached->pde = test_memory_pde(hw, pasid);
		cached->valid = cached->pde & 1 || test_caching_mode(hw);
	}
	test_fetch_entry(cached->pde, pasid, entry);
}

/**
 * vtd_test_prefetch() - Cache all that can be cached
 * @hw: Hardware
 *
 * What is not present is cached in caching mode alone, and never by a device.
 */
void vtd_test_prefetch(struct test_hw *hw)
{
	struct test_cached *cache, *iotlb;
	struct pasid_entry entry;
	u32 pasid;

	for (pasid = 0; pasid < TEST_PASIDS; pasid++) {
		cache = &hw->pasid_cache[pasid];
		iotlb = &hw->iotlb[pasid];
		vtd_test_fetch(hw, pasid, &entry);
		if (hw->judge)
			test_judge_entry(hw, pasid, &entry);
		test_walk(hw, pasid, &entry);
		if (!cache->valid &&
		    (test_present(&entry) || test_caching_mode(hw)))
			test_fill(cache, &entry);
		if (!iotlb->valid && cache->valid)
			test_fill(iotlb, &cache->entry);
		if (!hw->info.ats_enabled ||
		    !(hw->ndev.table->core.config.flags & IOMMU_PASID_TABLE_ATS) ||
		    !iotlb->valid ||
		    !test_present(&iotlb->entry))
			continue;
		if (!hw->dev_tlb[pasid].valid && pasid < hw->ndev.nr_pasids)
			test_fill(&hw->dev_tlb[pasid], &iotlb->entry);
		if (!hw->rid_tlb.valid && pasid == hw->ndev.rid_pasid)
			test_fill(&hw->rid_tlb, &iotlb->entry);
	}
}

/* Translations of a second stage alone do not belong to a PASID, 6.2.1 */
static bool test_has_pasid(const struct test_cached *cached)
{
	return !test_present(&cached->entry) ||
	       (cached->entry.val[0] & GENMASK_ULL(8, 6)) == 3 << 6;
}

static void test_execute(struct test_hw *hw, const struct test_desc *desc)
{
	bool own = desc->did == hw->ndev.s2.did;
	bool dev = desc->sid == PCI_DEVID(hw->info.bus, hw->info.devfn) &&
		   desc->pfsid == hw->info.pfsid;
	u32 pasid = desc->pasid;

	KUNIT_EXPECT_NE(hw->test, desc->kind, TEST_DESC_BAD);
	if (desc->kind == TEST_DESC_CACHE_ALL && own) {
		memset(hw->pde_cache, 0, sizeof(hw->pde_cache));
		memset(hw->pasid_cache, 0, sizeof(hw->pasid_cache));
	}
	if (desc->kind == TEST_DESC_IOTLB_DOMAIN && own)
		memset(hw->iotlb, 0, sizeof(hw->iotlb));
	if (desc->kind == TEST_DESC_DEV_TLB && dev && desc->everything)
		hw->rid_tlb.valid = false;
	if (pasid >= TEST_PASIDS)
		return;
	if (desc->kind == TEST_DESC_CACHE_ONE && own)
		hw->pasid_cache[pasid].valid = false;
	if (desc->kind == TEST_DESC_IOTLB_RANGE && own && desc->everything &&
	    test_has_pasid(&hw->iotlb[pasid]))
		hw->iotlb[pasid].valid = false;
	if (desc->kind == TEST_DESC_PASID_DEV_TLB && dev && desc->everything)
		hw->dev_tlb[pasid].valid = false;
}

static bool test_is_cache(const struct test_desc *desc)
{
	return desc->kind == TEST_DESC_CACHE_ALL ||
	       desc->kind == TEST_DESC_CACHE_ONE;
}

/* The PASID cache last: what the TLBs had from it has come back by then */
static void test_execute_group(struct test_hw *hw, const struct test_desc *desc,
			       const struct test_desc *end)
{
	const struct test_desc *each;
	int cache;

	for (cache = 0; cache < 2; cache++) {
		for (each = desc; each < end; each++) {
			if (test_is_cache(each) != cache)
				continue;
			test_execute(hw, each);
			vtd_test_prefetch(hw);
		}
	}
}

/* In place of qi_submit_sync() */
static int test_submit(struct intel_iommu *iommu, struct qi_desc *descs,
		       unsigned int count, unsigned long options)
{
	struct test_hw *hw = container_of(iommu, struct test_hw, iommu);
	struct test_desc *log = &hw->log[hw->nr_log];
	unsigned int i, first = 0;

	hw->submissions++;
	KUNIT_EXPECT_NE(hw->test, count, 0);
	/* One more is the wait; others want to have room, too */
	KUNIT_EXPECT_LE(hw->test, count, QI_LENGTH / 4);
	if (hw->nr_log + count > TEST_LOG)
		return -ENOSPC;
	vtd_test_prefetch(hw);
	if (hw->error)
		return hw->error;
	for (i = 0; i < count; i++)
		vtd_test_decode(&descs[i], &log[i]);
	for (i = 0; i <= count; i++) {
		if (i < count && log[i].kind != TEST_DESC_FENCE)
			continue;
		test_execute_group(hw, &log[first], &log[i]);
		first = i + 1;
	}
	hw->nr_log += count;
	return 0;
}

static void test_check_cached(struct test_hw *hw, const char *what,
			      const struct test_cached *cached, u32 pasid)
{
	struct pasid_entry entry;

	vtd_test_fetch(hw, pasid, &entry);
	if (cached->valid)
		KUNIT_ASSERT_TRUE_MSG(hw->test, test_same(&cached->entry, &entry),
				      "%s, pasid %u", what, pasid);
}

/**
 * vtd_test_check_caches() - Expect that the caches have nothing old
 * @hw: Hardware
 */
void vtd_test_check_caches(struct test_hw *hw)
{
	u32 pasid;

	for (pasid = 0; pasid < TEST_PASIDS; pasid++) {
		if (hw->pde_cache[pasid / 64].valid)
			KUNIT_ASSERT_EQ(hw->test, hw->pde_cache[pasid / 64].pde,
					test_memory_pde(hw, pasid));
		test_check_cached(hw, "PASID cache", &hw->pasid_cache[pasid],
				  pasid);
		test_check_cached(hw, "IOTLB", &hw->iotlb[pasid], pasid);
		test_check_cached(hw, "device TLB", &hw->dev_tlb[pasid], pasid);
	}
	test_check_cached(hw, "device TLB without a PASID", &hw->rid_tlb,
			  hw->ndev.rid_pasid);
}

struct intel_nested_table *vtd_test_new_table(struct kunit *test,
					      struct test_guest *guest,
					  unsigned int pasid_bits,
					  u32 rid_pasid)
{
	struct intel_nested_table *nt;

	nt = kunit_kzalloc(test, sizeof(*nt), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, nt);
	nt->core.memory = &guest->memory;
	guest->nt = nt;
	nt->core.config = (struct iommu_hwpt_pasid_table){
		.flags = IOMMU_PASID_TABLE_ATS,
		.format = IOMMU_PASID_TABLE_VTD,
		.config = IOMMU_PASID_TABLE_TRANSLATE,
		.pasid_bits = pasid_bits,
		.base_addr = TEST_GUEST_BASE,
		.vtd.rid_pasid = rid_pasid,
	};
	intel_nested_table_ops.init(&nt->core);
	kunit_activate_static_stub(test, qi_submit_sync, test_submit);
	return nt;
}

/**
 * vtd_test_new_hw() - Put a device below a table, with an empty directory
 * @test: Test
 * @nt: Table
 * @nr_pasids: PASIDs that the device and the table have
 * @cap: Capability register
 * @ecap: Extended capability register
 *
 * Return: the hardware, for vtd_test_free_hw().
 */
struct test_hw *vtd_test_new_hw(struct kunit *test, struct intel_nested_table *nt,
				u32 nr_pasids, u64 cap, u64 ecap)
{
	struct test_hw *hw;

	hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hw);
	hw->test = test;
	hw->iommu.cap = cap;
	hw->iommu.ecap = ecap;
	hw->iommu.node = NUMA_NO_NODE;
	hw->iommu.gcmd = DMA_GCMD_TE;
	hw->pdev.dev.init_name = "intel-nested-test";
	hw->info.iommu = &hw->iommu;
	hw->info.dev = &hw->pdev.dev;
	hw->info.bus = 0x5a;
	hw->info.devfn = 0xc3;
	hw->info.pfsid = 0x8d1e;
	hw->ndev.table = nt;
	hw->ndev.dev = &hw->pdev.dev;
	hw->ndev.info = &hw->info;
	hw->ndev.nr_pasids = nr_pasids;
	hw->ndev.rid_pasid = nt->core.config.vtd.rid_pasid;
	hw->ndev.s2 = (struct intel_nested_stage2){
		.cap = cap,
		.ecap = ecap,
		.pgd = 0x7654321000,
		.gpa_last = TEST_GPA_LAST,
		.did = 0x1234 + !list_empty(&nt->devs),
		.agaw = 1,
	};
	KUNIT_ASSERT_EQ(test, intel_nested_dir_alloc(&hw->ndev), 0);
	list_add(&hw->ndev.elm, &nt->devs);
	return hw;
}

void vtd_test_free_hw(struct test_hw *hw)
{
	list_del(&hw->ndev.elm);
	intel_nested_dir_free(&hw->ndev);
	kunit_kfree(hw->test, hw);
}
