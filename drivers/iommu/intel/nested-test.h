/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of guest PASID tables have instead of a guest and of hardware.
 * References are to the VT-d specification.
 */
#ifndef __INTEL_NESTED_TEST_H
#define __INTEL_NESTED_TEST_H

#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/pci.h>
#include <linux/prandom.h>

#include "nested-table.h"

/* Descriptors, 6.5.2 */
#define HW_DESC_TYPE		GENMASK_ULL(3, 0)
#define HW_DESC_IOTLB		2
#define HW_DESC_DEV_TLB		3
#define HW_DESC_WAIT		5
#define HW_DESC_PASID_IOTLB	6
#define HW_DESC_PASID_CACHE	7
#define HW_DESC_PASID_DEV_TLB	8

/**
 * enum test_desc_kind - What a descriptor drops
 * @TEST_DESC_BAD: It is none of the others, or has reserved bits set
 * @TEST_DESC_FENCE: Nothing: separates those before it from those after it
 * @TEST_DESC_CACHE_ALL: Entries of all PASIDs of a domain ID
 * @TEST_DESC_CACHE_ONE: The entry of a PASID
 * @TEST_DESC_IOTLB_DOMAIN: All translations of a domain ID
 * @TEST_DESC_IOTLB_RANGE: A range of a PASID, maybe everything
 * @TEST_DESC_DEV_TLB: A range of requests without a PASID
 * @TEST_DESC_PASID_DEV_TLB: A range of a PASID in the device
 */
enum test_desc_kind {
	TEST_DESC_BAD,
	TEST_DESC_FENCE,
	TEST_DESC_CACHE_ALL,
	TEST_DESC_CACHE_ONE,
	TEST_DESC_IOTLB_DOMAIN,
	TEST_DESC_IOTLB_RANGE,
	TEST_DESC_DEV_TLB,
	TEST_DESC_PASID_DEV_TLB,
};

/**
 * struct test_desc - A descriptor as the hardware reads it
 * @kind: What it drops
 * @did: Domain ID, of those that have one
 * @pasid: PASID, of those that have one
 * @first: First page of a range
 * @last: Last page of a range
 * @order: log2 of its number of pages
 * @everything: It is a whole address space
 * @leaf: IH
 * @sid: Source-ID, of device TLBs
 * @pfsid: Source-ID of the physical function
 * @depth: MIP
 * @drain: DW and DR
 */
struct test_desc {
	enum test_desc_kind kind;
	u16 did;
	u32 pasid;
	u64 first;
	u64 last;
	unsigned int order;
	bool everything;
	bool leaf;
	u16 sid;
	u16 pfsid;
	u8 depth;
	u8 drain;
};

void vtd_test_decode(const struct qi_desc *desc, struct test_desc *decoded);

/* A directory of 2^20 PASIDs, and tables */
#define TEST_DIR_PAGES		32
#define TEST_TABLE_PAGES	16
#define TEST_PAGES		(TEST_DIR_PAGES + TEST_TABLE_PAGES)
#define TEST_PAGE_WORDS		512
#define TEST_GUEST_BASE		0x40000000ULL
#define TEST_GPA_LAST		(BIT_ULL(39) - 1)

/**
 * struct test_guest - Memory of a guest, from TEST_GUEST_BASE on
 * @memory: What the code under test has of it
 * @words: Pages of the directory, then pages of tables
 * @holes: Pages that are not mapped
 * @secret: Words that nobody has a reason to read
 * @reads: Number of reads
 * @leaked: One of @secret was read
 * @nt: Table, whose lock nobody holds while he waits for the memory
 * @locked: Somebody has the memory
 * @error: What locking it without waiting, or waiting, returns
 * @locks: Number of times that it was locked
 */
struct test_guest {
	struct iommu_guest_memory memory;
	u64 words[TEST_PAGES * TEST_PAGE_WORDS];
	DECLARE_BITMAP(holes, TEST_PAGES);
	DECLARE_BITMAP(secret, TEST_PAGES * TEST_PAGE_WORDS);
	unsigned int reads;
	bool leaked;
	struct intel_nested_table *nt;
	bool locked;
	int error;
	unsigned int locks;
};

/* PASIDs that the hardware below has caches for */
#define TEST_PASIDS		256
#define TEST_LOG		4096

struct test_cached {
	bool valid;
	struct pasid_entry entry;
};

struct test_cached_pde {
	bool valid;
	u64 pde;
};

/**
 * struct test_hw - An IOMMU and a device
 * @test: Test
 * @iommu: IOMMU
 * @pdev: Device
 * @info: Of @dev
 * @ndev: What is under test
 * @old: Entries before the change that goes on
 * @new: Entries after it
 * @judge: @old and @new are valid
 * @away: How often an entry was found on its way from @old to @new
 * @pde_cache: Entries of the directory, as the PASID cache has them
 * @pasid_cache: PASID cache
 * @iotlb: IOTLB; which entry a translation comes from is all that matters
 * @dev_tlb: Device TLB, of requests with a PASID
 * @rid_tlb: Device TLB, of requests without
 * @error: What the queue answers
 * @submissions: Number of submissions
 * @nr_log: Number of @log
 * @log: Descriptors since the test has set @nr_log to 0
 *
 * The hardware caches whatever it can as soon as it can, and does what stands
 * between two fences in the order that is the worst: all that is cached is as old
 * as it may be.
 */
struct test_hw {
	struct kunit *test;
	struct intel_iommu iommu;
	struct pci_dev pdev;
	struct device_domain_info info;
	struct intel_nested_dev ndev;
	struct pasid_entry old[TEST_PASIDS];
	struct pasid_entry new[TEST_PASIDS];
	bool judge;
	unsigned int away;
	struct test_cached_pde pde_cache[TEST_PASIDS / 64];
	struct test_cached pasid_cache[TEST_PASIDS];
	struct test_cached iotlb[TEST_PASIDS];
	struct test_cached dev_tlb[TEST_PASIDS];
	struct test_cached rid_tlb;
	int error;
	unsigned int submissions;
	unsigned int nr_log;
	struct test_desc log[TEST_LOG];
};

struct intel_nested_table *vtd_test_new_table(struct kunit *test,
					      struct test_guest *guest,
					  unsigned int pasid_bits,
					  u32 rid_pasid);
struct test_guest *vtd_test_new_guest(struct kunit *test);
struct test_hw *vtd_test_new_hw(struct kunit *test, struct intel_nested_table *nt,
				u32 nr_pasids, u64 cap, u64 ecap);
void vtd_test_free_hw(struct test_hw *hw);

u64 vtd_test_table_gpa(unsigned int table);
/* What a directory says of a table */
#define TEST_TABLE(table)	(vtd_test_table_gpa(table) | 1)
u64 *vtd_test_pde(struct test_guest *guest, u32 index);
struct intel_guest_entry *vtd_test_entry(struct test_guest *guest,
					 unsigned int table, u32 index);
void vtd_test_make_first(struct intel_guest_entry *entry, u64 fsptptr);
int vtd_test_expect(struct test_hw *hw, u32 pasid, struct pasid_entry *entry);
void vtd_test_fetch(struct test_hw *hw, u32 pasid, struct pasid_entry *entry);
void vtd_test_prefetch(struct test_hw *hw);
void vtd_test_check_caches(struct test_hw *hw);
u64 vtd_test_random(struct rnd_state *rnd);
#endif
