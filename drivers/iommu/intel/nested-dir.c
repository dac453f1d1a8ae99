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
#include <linux/xarray.h>

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

/* The table with the entry of a PASID, or NULL */
static struct pasid_entry *ndev_table(struct intel_nested_dev *ndev, u32 pasid)
{
	return get_pasid_table_from_pde(ndev_pde(ndev, pasid));
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

static void write_pde(struct intel_nested_dev *ndev, u32 pasid, u64 val)
{
	struct pasid_dir_entry *pde = ndev_pde(ndev, pasid);

	dma_wmb();
	WRITE_ONCE(pde->val, val);
	ndev_flush_cpu(ndev, pde, sizeof(*pde));
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

	xa_init_flags(&ndev->present, XA_FLAGS_ACCOUNT);
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
	struct pasid_entry *table;
	u32 pasid;

	for (pasid = 0; pasid < ndev_end(ndev); pasid += PASID_TBL_ENTRIES) {
		table = ndev_table(ndev, pasid);
		if (table)
			iommu_free_page(table);
	}
	iommu_free_pages(ndev->pasids.table, ndev->pasids.order);
	xa_destroy(&ndev->present);
}

/**
 * intel_nested_next_pasid() - Walk the PASIDs that translate
 * @ndev: Device
 * @pasid: Where to begin
 *
 * A PASID is listed before its entry becomes present, and until the caches have
 * forgotten the entry after that. Any context; entries may change meanwhile.
 *
 * Return: the first PASID from @pasid on with an entry that is or was present, or
 * PASID_MAX after the last one.
 */
u32 intel_nested_next_pasid(struct intel_nested_dev *ndev, u32 pasid)
{
	unsigned long index = pasid;

	if (!xa_find(&ndev->present, &index, PASID_MAX - 1, XA_PRESENT))
		return PASID_MAX;
	return index;
}

/* Take PASIDs off the list, a bit for each from @first on */
static void unlist_pasids(struct intel_nested_dev *ndev, u32 first, u64 pasids)
{
	for (; pasids; pasids &= pasids - 1)
		xa_erase(&ndev->present, first + __ffs64(pasids));
}

/* Returns 0, or -ENOMEM with none of them on the list */
static int list_pasids(struct intel_nested_dev *ndev, u32 first, u64 pasids)
{
	u64 left;
	int rc;

	for (left = pasids; left; left &= left - 1) {
		rc = xa_err(xa_store(&ndev->present, first + __ffs64(left),
				     xa_mk_value(0), GFP_KERNEL));
		if (rc) {
			unlist_pasids(ndev, first, pasids);
			return rc;
		}
	}
	return 0;
}

/*
 * How entries of one table of the directory change; a bit in each of the masks for
 * each PASID from @first on
 */
struct intel_nested_change {
	u32 first;
	u32 nr;
	const struct pasid_entry *entries;	/* what they become */
	u64 come;	/* not present before */
	u64 go;		/* not present after */
	u64 rewrite;	/* several words change */
	u64 in_place;	/* one word changes */
};

static const struct pasid_entry no_entry;

static bool differ_in_one_word(const struct pasid_entry *a,
			       const struct pasid_entry *b)
{
	int i, words = 0;

	for (i = 0; i < ARRAY_SIZE(a->val); i++)
		words += a->val[i] != b->val[i];
	return words == 1;
}

/* Entries are present or zero, those in memory and those of @change */
static void find_changes(const struct pasid_entry *table,
			 struct intel_nested_change *change)
{
	const struct pasid_entry *old, *new;
	u32 i;

	for (i = 0; i < change->nr; i++) {
		old = table ? &table[i] : &no_entry;
		new = &change->entries[i];
		if (!memcmp(old, new, sizeof(*old)))
			continue;
		if (!(old->val[0] & PASID_PTE_PRESENT))
			change->come |= BIT_ULL(i);
		else if (!(new->val[0] & PASID_PTE_PRESENT))
			change->go |= BIT_ULL(i);
		else if (differ_in_one_word(old, new))
			change->in_place |= BIT_ULL(i);
		else
			change->rewrite |= BIT_ULL(i);
	}
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

static void write_entries(struct pasid_entry *table, u64 which,
			  const struct pasid_entry *entries)
{
	int i;

	for (; which; which &= which - 1) {
		i = __ffs64(which);
		write_entry(&table[i], &entries[i]);
	}
}

static void clear_entries(struct pasid_entry *table, u64 which)
{
	for (; which; which &= which - 1)
		pasid_clear_entry(&table[__ffs64(which)]);
}

static bool table_is_empty(const struct pasid_entry *table)
{
	int i;

	for (i = 0; i < PASID_TBL_ENTRIES; i++)
		if (table[i].val[0] & PASID_PTE_PRESENT)
			return false;
	return true;
}

/* Entries where the directory has no table yet */
static int add_table(struct intel_nested_dev *ndev,
		     const struct intel_nested_change *change)
{
	struct pasid_entry *table;

	table = iommu_alloc_page_node(ndev->info->iommu->node,
				      GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	memcpy(&table[change->first & PASID_PTE_MASK], change->entries,
	       change->nr * sizeof(*change->entries));
	ndev_flush_cpu(ndev, table, VTD_PAGE_SIZE);
	write_pde(ndev, change->first, virt_to_phys(table) | PASID_PTE_PRESENT);
	ndev->nr_tables++;
	return 0;
}

/*
 * Section 6.5.3.3: an entry that is in use belongs to the hardware. It is taken
 * away first, and changed when no cache knows it any more; requests are blocked
 * meanwhile. If one word is all that changes, the hardware finds the old entry or
 * the new one whenever it looks, and no request has to be lost: both are what
 * intel_nested_make_entry() made, with the same domain ID.
 *
 * A table whose last entry leaves is taken out of the directory before the caches
 * forget it, and freed after that. If they cannot be told, it stays, empty.
 */
static int change_table(struct intel_nested_dev *ndev, struct pasid_entry *page,
			const struct intel_nested_change *change, bool live)
{
	struct pasid_entry *table = &page[change->first & PASID_PTE_MASK];
	size_t len = change->nr * sizeof(*table);
	u64 away = change->go | change->rewrite;
	u64 used = away | change->in_place;
	u64 left, pde = ndev_pde(ndev, change->first)->val;
	bool empty;
	int rc = 0;

	for (left = away; left; left &= left - 1)
		pasid_clear_present(&table[__ffs64(left)]);
	write_entries(table, change->in_place, change->entries);
	empty = !change->come && !change->rewrite && table_is_empty(page);
	if (empty)
		write_pde(ndev, change->first, 0);
	if (used && live) {
		ndev_flush_cpu(ndev, table, len);
		rc = intel_nested_inv_entries(ndev, change->first, used, empty);
	}
	if (rc && empty)
		write_pde(ndev, change->first, pde);
	if (rc || empty) {
		clear_entries(table, used);
	} else {
		clear_entries(table, change->go);
		write_entries(table, change->rewrite | change->come,
			      change->entries);
	}
	ndev_flush_cpu(ndev, table, len);
	if (empty && !rc) {
		iommu_free_page(page);
		ndev->nr_tables--;
	}
	return rc;
}

/* Section 6.1: with caching mode what is not present is cached, too */
static int tell_not_present(struct intel_nested_dev *ndev,
			    const struct intel_nested_change *change,
			    bool new_table)
{
	struct intel_iommu *iommu = ndev->info->iommu;
	u64 absent = change->come | change->rewrite | change->go;

	if (absent && cap_caching_mode(iommu->cap))
		return intel_nested_inv_entries(ndev, change->first, absent,
						new_table);
	iommu_flush_write_buffer(iommu);
	return 0;
}

/*
 * Make @nr entries from PASID @first on what @entries says. They are in one table
 * of the directory. Those that are right already are not touched.
 */
static int update_entries(struct intel_nested_dev *ndev, u32 first, u32 nr,
			  const struct pasid_entry *entries, bool live)
{
	struct pasid_entry *page = ndev_table(ndev, first);
	struct intel_nested_change change = {
		.first = first,
		.nr = nr,
		.entries = entries,
	};
	u64 lost;
	int rc;

	find_changes(page ? &page[first & PASID_PTE_MASK] : NULL, &change);
	if (!(change.come | change.go | change.rewrite | change.in_place))
		return 0;

	rc = list_pasids(ndev, first, change.come);
	if (rc)
		return rc;
	if (page)
		rc = change_table(ndev, page, &change, live);
	else
		rc = add_table(ndev, &change);
	lost = change.go;
	if (rc)
		lost |= change.come | change.rewrite | change.in_place;
	unlist_pasids(ndev, first, lost);
	ndev->nr_present += hweight64(change.come) - hweight64(lost);
	if (rc || !live)
		return rc;
	return tell_not_present(ndev, &change, !page);
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
	return update_entries(ndev, ndev->rid_pasid, 1, &entry, false);
}

/* What one pass over entries of the guest is for */
enum intel_nested_pass {
	PASS_ALL,	/* what is refused is counted */
	PASS_PRESENT,	/* entries that are present stay right, or leave */
	PASS_AGAIN,	/* what was refused for lack of room comes, if there is some */
};

static void refuse(struct intel_nested_dev *ndev, u32 pasid, int error,
		   enum intel_nested_pass pass)
{
	if (error == -ENOSPC)
		ndev->no_room = true;
	if (pass != PASS_ALL)
		return;
	ndev->refused++;
	trace_nested_entry_refused(ndev->dev, pasid, error, ndev->refused);
}

static int read_guest(struct intel_nested_dev *ndev, u64 gpa, void *buf,
		      size_t len)
{
	struct iommu_guest_memory *memory = intel_nested_core(ndev)->memory;

	return memory->ops->read(memory, gpa, buf, len);
}

/* Whether @more PASIDs can come into a table of the directory */
static bool has_room(const struct intel_nested_dev *ndev, bool new_table,
		     u32 more)
{
	if (new_table && ndev->nr_tables >= INTEL_NESTED_TABLES)
		return false;
	return !intel_nested_has_ats(ndev) ||
	       ndev->nr_present + more <= INTEL_NESTED_ATS_PASIDS;
}

/* Whether entries may have to be refused because of others */
static bool can_be_full(const struct intel_nested_dev *ndev)
{
	u32 pasids = ndev_end(ndev);

	if (intel_nested_has_ats(ndev) && pasids > INTEL_NESTED_ATS_PASIDS)
		return true;
	return DIV_ROUND_UP(pasids, PASID_TBL_ENTRIES) > INTEL_NESTED_TABLES;
}

/* Make one entry; @old is NULL unless it has a table, @more come before it */
static int read_entry(struct intel_nested_dev *ndev,
		      const struct intel_guest_entry *guest,
		      const struct pasid_entry *old, struct pasid_entry *entry,
		      u32 *more, enum intel_nested_pass pass)
{
	int rc = intel_nested_make_entry(&ndev->s2, guest, entry);

	if (!(entry->val[0] & PASID_PTE_PRESENT))
		return rc;
	if (old && old->val[0] & PASID_PTE_PRESENT)
		return 0;
	if (pass != PASS_PRESENT && has_room(ndev, !old, *more + 1)) {
		++*more;
		return 0;
	}
	pasid_clear_entry(entry);
	return pass == PASS_PRESENT ? 0 : -ENOSPC;
}

/*
 * Translate @nr entries of the guest, from PASID @first on, of which the guest's
 * directory says @pde. Returns the errno of the last one that is refused.
 */
static int read_entries(struct intel_nested_dev *ndev, u64 pde, u32 first,
			u32 nr, struct intel_guest_entry *guest,
			struct pasid_entry *entries,
			enum intel_nested_pass pass)
{
	const struct pasid_entry *table = ndev_table(ndev, first);
	u32 i, index = first & PASID_PTE_MASK, more = 0;
	int error, rc;
	u64 gpa;

	memset(entries, 0, nr * sizeof(*entries));
	rc = intel_nested_check_pde(&ndev->s2, pde, &gpa);
	if (!rc)
		return 0;
	if (rc > 0)
		rc = read_guest(ndev, gpa + index * sizeof(*guest), guest,
				nr * sizeof(*guest));
	if (rc) {
		refuse(ndev, first, rc, pass);
		return rc;
	}
	for (i = 0; i < nr; i++) {
		error = read_entry(ndev, &guest[i],
				   table ? &table[index + i] : NULL,
				   &entries[i], &more, pass);
		if (error) {
			refuse(ndev, first + i, error, pass);
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

/* The entry of one PASID that the device has */
static int read_pasid(struct intel_nested_dev *ndev, u32 pasid, bool live,
		      int *refused, enum intel_nested_pass pass)
{
	struct intel_guest_entry guest;
	struct pasid_entry entry = {};
	u64 pde;
	int rc;

	rc = read_guest(ndev, guest_pde_gpa(ndev, pasid), &pde, sizeof(pde));
	if (rc)
		refuse(ndev, pasid, rc, pass);
	else
		rc = read_entries(ndev, pde, pasid, 1, &guest, &entry, pass);
	*refused = rc;
	return update_entries(ndev, pasid, 1, &entry, live);
}

/* The entries of PASIDs from @first on that the guest's directory has in one table */
static int read_table(struct intel_nested_dev *ndev, u64 pde, u32 first,
		      struct intel_nested_scan *scan, bool live,
		      enum intel_nested_pass pass)
{
	u32 nr = min(ndev->nr_pasids - first, PASID_TBL_ENTRIES);

	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	read_entries(ndev, pde, first, nr, scan->guest, scan->entries, pass);
	return update_entries(ndev, first, nr, scan->entries, live);
}

/* The entries of a guest's directory from PASID @first on, at most a page of them */
static int read_pdes(struct intel_nested_dev *ndev, u32 first,
		     struct intel_nested_scan *scan, bool live,
		     enum intel_nested_pass pass)
{
	u32 nr_pdes = DIV_ROUND_UP(ndev->nr_pasids - first, PASID_TBL_ENTRIES);
	int rc;
	u32 i;

	nr_pdes = min(nr_pdes, PDES_PER_PAGE);
	rc = read_guest(ndev, guest_pde_gpa(ndev, first), scan->pdes,
			nr_pdes * sizeof(*scan->pdes));
	if (rc) {
		refuse(ndev, first, rc, pass);
		memset(scan->pdes, 0, sizeof(scan->pdes));
	}
	for (i = 0; i < nr_pdes; i++, first += PASID_TBL_ENTRIES) {
		if (!scan->pdes[i] && !ndev_table(ndev, first))
			continue;
		rc = read_table(ndev, scan->pdes[i], first, scan, live, pass);
		if (rc)
			return rc;
	}
	return 0;
}

/* All that the guest's directory has */
static int read_directory(struct intel_nested_dev *ndev,
			  struct intel_nested_scan *scan, bool live,
			  enum intel_nested_pass pass)
{
	int refused, rc = 0;
	u32 pasid;

	ndev->no_room = false;
	if (ndev->rid_pasid >= ndev->nr_pasids)
		rc = read_pasid(ndev, ndev->rid_pasid, live, &refused, pass);
	for (pasid = 0; pasid < ndev->nr_pasids && !rc;
	     pasid += PDES_PER_PAGE * PASID_TBL_ENTRIES)
		rc = read_pdes(ndev, pasid, scan, live, pass);
	return rc;
}

/* The entries that are present, so that those that leave make room */
static int read_present(struct intel_nested_dev *ndev,
			struct intel_nested_scan *scan, bool live)
{
	u32 pasid = intel_nested_next_pasid(ndev, 0);
	int rc = 0;
	u64 pde;

	for (; pasid < ndev->nr_pasids && !rc;
	     pasid = intel_nested_next_pasid(ndev, pasid + PASID_TBL_ENTRIES)) {
		pasid = round_down(pasid, PASID_TBL_ENTRIES);
		if (read_guest(ndev, guest_pde_gpa(ndev, pasid), &pde,
			       sizeof(pde)))
			pde = 0;
		rc = read_table(ndev, pde, pasid, scan, live, PASS_PRESENT);
	}
	return rc;
}

/*
 * Entries were refused for lack of room, and others have left: see what can come.
 * Which of them do must not depend on what was read first.
 */
static int read_again(struct intel_nested_dev *ndev,
		      struct intel_nested_scan *scan, bool live)
{
	if (!ndev->no_room || !has_room(ndev, true, 1))
		return 0;
	return read_directory(ndev, scan, live, PASS_AGAIN);
}

/**
 * intel_nested_read_one() - Read the guest's entry of one PASID
 * @ndev: Device
 * @pasid: PASID, of those that the table has
 * @live: The hardware uses the directory
 * @refused: Returns an errno of intel_nested_make_entry() or
 *           intel_nested_check_pde(), -EFAULT for an entry that is not mapped, or
 *           -ENOSPC if there is no room for it, if that is why the PASID is
 *           blocked from now on; else 0
 *
 * If an entry leaves and others have been refused for lack of room, the whole
 * directory is read for them. The caller holds the guest's memory and the table's
 * lock.
 *
 * Return: 0, -EINTR, -ENOMEM, or what the invalidation queue says.
 */
int intel_nested_read_one(struct intel_nested_dev *ndev, u32 pasid, bool live,
			  int *refused)
{
	struct intel_nested_scan *scan;
	int rc;

	*refused = 0;
	if (pasid >= ndev->nr_pasids && pasid != ndev->rid_pasid)
		return 0;
	rc = read_pasid(ndev, pasid, live, refused, PASS_ALL);
	if (rc || !ndev->no_room || !has_room(ndev, true, 1))
		return rc;

	scan = kmalloc(sizeof(*scan), GFP_KERNEL_ACCOUNT);
	if (!scan)
		return -ENOMEM;
	rc = read_again(ndev, scan, live);
	kfree(scan);
	return rc;
}

/**
 * intel_nested_read_all() - Read a guest's directory
 * @ndev: Device
 * @live: The hardware uses the directory that is made of it
 *
 * Takes time for each page of the guest's directory, and for each of its tables
 * that is present; yields the CPU, and ends early for a fatal signal. The caller
 * holds the guest's memory and the table's lock.
 *
 * Return: 0, whatever the guest's entries are; -EINTR, -ENOMEM or what the
 * invalidation queue says, with a part of the entries read.
 */
int intel_nested_read_all(struct intel_nested_dev *ndev, bool live)
{
	struct intel_nested_scan *scan;
	int refused, rc = 0;

	/* Requests without a PASID are all that many devices make */
	if (!ndev->nr_pasids || ndev_end(ndev) == 1)
		return intel_nested_read_one(ndev, ndev->rid_pasid, live,
					     &refused);

	scan = kmalloc(sizeof(*scan), GFP_KERNEL_ACCOUNT);
	if (!scan)
		return -ENOMEM;
	if (can_be_full(ndev))
		rc = read_present(ndev, scan, live);
	rc = rc ?: read_directory(ndev, scan, live, PASS_ALL);
	/* The guest may have written between the two */
	rc = rc ?: read_again(ndev, scan, live);
	kfree(scan);
	return rc;
}
