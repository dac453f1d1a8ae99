// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PASID directory that a device below a guest's table uses: what the guest's
 * says, entry by entry, as far as the guest may say it. References are to the
 * VT-d specification.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "nested-table.h"
#include "trace.h"

#define PDES_PER_PAGE		(VTD_PAGE_SIZE / sizeof(u64))

/* What one pass over a guest's directory reads into */
struct intel_nested_scan {
	u64 pdes[PDES_PER_PAGE];
	struct intel_guest_entry guest[PASID_TBL_ENTRIES];
	struct pasid_entry entries[PASID_TBL_ENTRIES];
};

static struct pasid_dir_entry *ndev_pde(struct intel_nested_dev *ndev, u32 pasid)
{
	struct pasid_dir_entry *dir = ndev->pasids.table;

	return &dir[pasid >> PASID_PDE_SHIFT];
}

/* PASIDs from this one on have no place in the directory */
static u32 ndev_end(const struct intel_nested_dev *ndev)
{
	return max(ndev->nr_pasids, ndev->rid_pasid + 1);
}

static void ndev_flush_cpu(struct intel_nested_dev *ndev, void *addr, size_t len)
{
	if (!ecap_coherent(ndev->info->iommu->ecap))
		clflush_cache_range(addr, len);
}

/**
 * intel_nested_dir_alloc() - Make an empty directory
 * @ndev: Device; its @nr_pasids and @rid_pasid are set
 *
 * Return: 0 or -ENOMEM.
 */
int intel_nested_dir_alloc(struct intel_nested_dev *ndev)
{
	u32 pdes = DIV_ROUND_UP(ndev_end(ndev), PASID_TBL_ENTRIES);
	struct pasid_table *dir = &ndev->pasids;

	dir->order = get_order(pdes * sizeof(struct pasid_dir_entry));
	dir->max_pasid = 1 << (dir->order + PAGE_SHIFT + 3);
	dir->table = iommu_alloc_pages_node(ndev->info->iommu->node,
					    GFP_KERNEL_ACCOUNT, dir->order);
	if (!dir->table)
		return -ENOMEM;
	ndev_flush_cpu(ndev, dir->table, PAGE_SIZE << dir->order);
	return 0;
}

/**
 * intel_nested_dir_free() - Free a directory that the hardware has forgotten
 * @ndev: Device
 */
void intel_nested_dir_free(struct intel_nested_dev *ndev)
{
	struct pasid_entry *entries;
	u32 pasid;

	for (pasid = 0; pasid < ndev_end(ndev); pasid += PASID_TBL_ENTRIES) {
		entries = get_pasid_table_from_pde(ndev_pde(ndev, pasid));
		if (entries)
			iommu_free_page(entries);
	}
	iommu_free_pages(ndev->pasids.table, ndev->pasids.order);
}

/**
 * intel_nested_next_pasid() - Walk the PASIDs that translate
 * @ndev: Device
 * @pasid: Where to begin
 *
 * An entry that is about to change counts until the caches have forgotten it: it
 * is not present then, but still has a type.
 *
 * Return: the first PASID from @pasid on with an entry that is or was present, or
 * PASID_MAX after the last one.
 */
u32 intel_nested_next_pasid(struct intel_nested_dev *ndev, u32 pasid)
{
	struct pasid_entry *entries;

	while (pasid < ndev_end(ndev)) {
		entries = get_pasid_table_from_pde(ndev_pde(ndev, pasid));
		if (!entries) {
			pasid = round_down(pasid, PASID_TBL_ENTRIES) +
				PASID_TBL_ENTRIES;
			continue;
		}
		if (pasid_pte_get_pgtt(&entries[pasid & PASID_PTE_MASK]))
			return pasid;
		pasid++;
	}
	return PASID_MAX;
}

/* The word that makes the entry valid goes last */
static void write_entry(struct pasid_entry *to, const struct pasid_entry *from)
{
	int i;

	for (i = ARRAY_SIZE(from->val) - 1; i; i--)
		WRITE_ONCE(to->val[i], from->val[i]);
	dma_wmb();
	WRITE_ONCE(to->val[0], from->val[0]);
}

/* Entries where the directory has none yet; @nr of them from PASID @first on */
static int add_entries(struct intel_nested_dev *ndev, u32 first, u32 nr,
		       const struct pasid_entry *entries)
{
	struct pasid_dir_entry *pde = ndev_pde(ndev, first);
	struct pasid_entry *table;

	table = iommu_alloc_page_node(ndev->info->iommu->node,
				      GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	memcpy(&table[first & PASID_PTE_MASK], entries, nr * sizeof(*entries));
	ndev_flush_cpu(ndev, table, VTD_PAGE_SIZE);
	dma_wmb();
	WRITE_ONCE(pde->val, virt_to_phys(table) | PASID_PTE_PRESENT);
	ndev_flush_cpu(ndev, pde, sizeof(*pde));
	return 0;
}

/*
 * Section 6.5.3.3: an entry that is in use belongs to the hardware. It is taken
 * away first, and changed when no cache knows it any more; requests are blocked
 * meanwhile. @changed has a bit for each of the @nr entries of @table.
 */
static int change_entries(struct intel_nested_dev *ndev, u32 first, u32 nr,
			  u64 changed, struct pasid_entry *table,
			  const struct pasid_entry *entries, bool live)
{
	u64 used = 0, left;
	int i, rc = 0;

	for (left = changed; left; left &= left - 1) {
		i = __ffs64(left);
		if (!pasid_pte_is_present(&table[i]))
			continue;
		pasid_clear_present(&table[i]);
		used |= BIT_ULL(i);
	}
	if (used && live) {
		ndev_flush_cpu(ndev, table, nr * sizeof(*table));
		rc = intel_nested_inv_entries(ndev, first, used);
	}
	for (left = changed; left; left &= left - 1) {
		i = __ffs64(left);
		if (rc)
			pasid_clear_entry(&table[i]);
		else
			write_entry(&table[i], &entries[i]);
	}
	ndev_flush_cpu(ndev, table, nr * sizeof(*table));
	return rc;
}

/*
 * Make @nr entries from PASID @first on what @entries says. They are in one table
 * of the directory. Those that are right already are not touched.
 */
static int update_entries(struct intel_nested_dev *ndev, u32 first, u32 nr,
			  const struct pasid_entry *entries, bool live)
{
	struct intel_iommu *iommu = ndev->info->iommu;
	static const struct pasid_entry none;
	struct pasid_entry *table;
	const struct pasid_entry *old;
	u32 i, gone = 0, come = 0;
	u64 changed = 0;
	int rc;

	table = get_pasid_table_from_pde(ndev_pde(ndev, first));
	if (table)
		table += first & PASID_PTE_MASK;
	for (i = 0; i < nr; i++) {
		old = table ? &table[i] : &none;
		if (!memcmp(old, &entries[i], sizeof(*old)))
			continue;
		changed |= BIT_ULL(i);
		come += entries[i].val[0] & PASID_PTE_PRESENT;
		gone += old->val[0] & PASID_PTE_PRESENT;
	}
	if (!changed)
		return 0;

	if (table)
		rc = change_entries(ndev, first, nr, changed, table, entries,
				    live);
	else
		rc = add_entries(ndev, first, nr, entries);
	ndev->nr_present += (rc ? 0 : come) - gone;
	if (rc || !live)
		return rc;
	/* Section 6.1: with caching mode what is not present is cached, too */
	if (cap_caching_mode(iommu->cap))
		return intel_nested_inv_entries(ndev, first, changed);
	iommu_flush_write_buffer(iommu);
	return 0;
}

/**
 * intel_nested_bypass() - Let requests without a PASID skip the first stage
 * @ndev: Device, with an empty directory that the hardware does not use
 *
 * Return: 0 or -ENOMEM.
 */
int intel_nested_bypass(struct intel_nested_dev *ndev)
{
	struct pasid_entry entry;

	intel_nested_make_bypass(&ndev->s2, &entry);
	return add_entries(ndev, ndev->rid_pasid, 1, &entry);
}

static void refuse(struct intel_nested_dev *ndev, u32 pasid, int error)
{
	ndev->refused++;
	trace_nested_entry_refused(ndev->dev, pasid, error, ndev->refused);
}

static int read_guest(struct intel_nested_dev *ndev, u64 gpa, void *buf,
		      size_t len)
{
	struct iommu_guest_memory *memory = intel_nested_core(ndev)->memory;

	return memory->read(memory, gpa, buf, len);
}

static bool is_present(struct intel_nested_dev *ndev, u32 pasid)
{
	struct pasid_entry *table =
		get_pasid_table_from_pde(ndev_pde(ndev, pasid));

	return table && pasid_pte_is_present(&table[pasid & PASID_PTE_MASK]);
}

/* The device may have translations of each PASID in a TLB of its own */
static bool may_use_ats(struct intel_nested_dev *ndev)
{
	return ndev->info->ats_supported &&
	       intel_nested_core(ndev)->config.flags & IOMMU_PASID_TABLE_ATS;
}

/*
 * Translate @nr entries of the guest, from PASID @first on, of which the guest's
 * directory says @pde. Returns the errno of the last one that is refused.
 */
static int read_entries(struct intel_nested_dev *ndev, u64 pde, u32 first,
			u32 nr, struct intel_guest_entry *guest,
			struct pasid_entry *entries)
{
	u32 i, more = 0;
	int error, rc;
	u64 gpa;

	memset(entries, 0, nr * sizeof(*entries));
	rc = intel_nested_check_pde(&ndev->s2, pde, &gpa);
	if (!rc)
		return 0;
	if (rc > 0)
		rc = read_guest(ndev, gpa + (first & PASID_PTE_MASK) *
				sizeof(*guest), guest, nr * sizeof(*guest));
	if (rc) {
		refuse(ndev, first, rc);
		return rc;
	}
	for (i = 0; i < nr; i++) {
		error = intel_nested_make_entry(&ndev->s2, &guest[i],
						&entries[i]);
		if (pasid_pte_is_present(&entries[i]) &&
		    !is_present(ndev, first + i) && may_use_ats(ndev) &&
		    ndev->nr_present + more++ >= INTEL_NESTED_ATS_PASIDS) {
			pasid_clear_entry(&entries[i]);
			error = -ENOSPC;
		}
		if (error) {
			refuse(ndev, first + i, error);
			rc = error;
		}
	}
	return rc;
}

static u64 guest_pde_gpa(struct intel_nested_dev *ndev, u32 pasid)
{
	return intel_nested_core(ndev)->config.base_addr +
	       (pasid >> PASID_PDE_SHIFT) * sizeof(u64);
}

/**
 * intel_nested_read_one() - Read the guest's entry of one PASID
 * @ndev: Device
 * @pasid: PASID, of those that the table has
 * @live: The hardware uses the directory
 * @refused: Returns an errno of intel_nested_make_entry() or
 *           intel_nested_check_pde(), or -EFAULT for an entry that is not mapped,
 *           if that is why the PASID is blocked from now on; else 0
 *
 * The caller holds the table's lock.
 *
 * Return: 0, -ENOMEM, or what the invalidation queue says.
 */
int intel_nested_read_one(struct intel_nested_dev *ndev, u32 pasid, bool live,
			  int *refused)
{
	struct intel_guest_entry guest;
	struct pasid_entry entry = {};
	u64 pde;
	int rc;

	*refused = 0;
	if (pasid >= ndev->nr_pasids && pasid != ndev->rid_pasid)
		return 0;
	rc = read_guest(ndev, guest_pde_gpa(ndev, pasid), &pde, sizeof(pde));
	if (rc)
		refuse(ndev, pasid, rc);
	else
		rc = read_entries(ndev, pde, pasid, 1, &guest, &entry);
	*refused = rc;
	return update_entries(ndev, pasid, 1, &entry, live);
}

/* The entries of a guest's directory from PASID @first on, at most a page of them */
static int read_pdes(struct intel_nested_dev *ndev, u32 first,
		     struct intel_nested_scan *scan, bool live)
{
	u32 nr_pdes = DIV_ROUND_UP(ndev->nr_pasids - first, PASID_TBL_ENTRIES);
	int rc;
	u32 nr, i;

	nr_pdes = min(nr_pdes, PDES_PER_PAGE);
	rc = read_guest(ndev, guest_pde_gpa(ndev, first), scan->pdes,
			nr_pdes * sizeof(*scan->pdes));
	if (rc) {
		refuse(ndev, first, rc);
		memset(scan->pdes, 0, sizeof(scan->pdes));
	}
	for (i = 0; i < nr_pdes; i++, first += PASID_TBL_ENTRIES) {
		if (!scan->pdes[i] && !pasid_pde_is_present(ndev_pde(ndev, first)))
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		nr = min(ndev->nr_pasids - first, PASID_TBL_ENTRIES);
		read_entries(ndev, scan->pdes[i], first, nr, scan->guest,
			     scan->entries);
		rc = update_entries(ndev, first, nr, scan->entries, live);
		if (rc)
			return rc;
	}
	return 0;
}

/**
 * intel_nested_read_all() - Read a guest's directory
 * @ndev: Device
 * @live: The hardware uses the directory that is made of it
 *
 * Takes time for each page of the guest's directory, and for each of its tables
 * that is present; yields the CPU, and ends early for a fatal signal. The caller
 * holds the table's lock.
 *
 * Return: 0, whatever the guest's entries are; -EINTR, -ENOMEM or what the
 * invalidation queue says, with a part of the entries read.
 */
int intel_nested_read_all(struct intel_nested_dev *ndev, bool live)
{
	struct intel_nested_scan *scan;
	int refused, rc = 0;
	u32 pasid;

	/* Requests without a PASID are all that many devices make */
	if (!ndev->nr_pasids || ndev_end(ndev) == 1)
		return intel_nested_read_one(ndev, ndev->rid_pasid, live,
					     &refused);

	scan = kmalloc(sizeof(*scan), GFP_KERNEL_ACCOUNT);
	if (!scan)
		return -ENOMEM;
	for (pasid = 0; pasid < ndev->nr_pasids && !rc;
	     pasid += PDES_PER_PAGE * PASID_TBL_ENTRIES)
		rc = read_pdes(ndev, pasid, scan, live);
	kfree(scan);
	if (!rc && ndev->rid_pasid >= ndev->nr_pasids)
		rc = intel_nested_read_one(ndev, ndev->rid_pasid, live,
					   &refused);
	return rc;
}
