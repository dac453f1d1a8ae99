/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's PASID table on VT-d. The hardware cannot read it where the guest has
 * it, so each device below it gets a directory of the host's, made of what the
 * guest's says. References are to the VT-d specification.
 */
#ifndef __INTEL_NESTED_TABLE_H
#define __INTEL_NESTED_TABLE_H

#include <linux/iommu-pasid-table.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/xarray.h>

#include "nested-batch.h"
#include "pasid.h"

/*
 * PASIDs of a device with ATS that may translate at a time: each has to be named
 * when the second stage changes
 */
#define INTEL_NESTED_ATS_PASIDS	512

/*
 * Tables of a device's directory, 4096 bytes each. With one page of its memory a
 * guest can make every entry of its own directory need one. These are enough for
 * all PASIDs below 32768, and for any 512.
 */
#define INTEL_NESTED_TABLES	512

/* A guest's entry, 9.6 */
struct intel_guest_entry {
	u64 val[8];
};

/**
 * struct intel_nested_stage2 - What is the host's in an entry
 * @cap: Capability register, of the IOMMU that uses the entry
 * @ecap: Extended capability register
 * @pgd: Second-stage page table
 * @gpa_last: Last address that it can translate
 * @did: Domain ID, of no other table
 * @agaw: Its levels, as PASID-table entries have them (AW)
 * @force_snoop: DMA has to be coherent (PGSNP)
 * @track_dirty: Accessed and dirty bits of the second stage are on (SSADE)
 */
struct intel_nested_stage2 {
	u64 cap;
	u64 ecap;
	phys_addr_t pgd;
	u64 gpa_last;
	u16 did;
	u8 agaw;
	bool force_snoop;
	bool track_dirty;
};

/**
 * struct intel_nested_table - A guest's PASID table
 * @core: What the core has of it; first
 * @lock: Protects all below, and the entries that are made of the table. Taken
 *        under the group mutex and with the guest's memory locked, so never held
 *        while user space is waited for.
 * @devs: Devices that use it, of struct intel_nested_dev
 * @batch: Where descriptors are collected
 */
struct intel_nested_table {
	struct iommu_pasid_table core;
	struct mutex lock;	/* @devs, @batch, and the entries */
	struct list_head devs;
	struct intel_nested_batch batch;
};

/**
 * struct intel_nested_dev - A device below a guest's PASID table
 * @elm: In intel_nested_table.devs
 * @s2_elm: In dmar_domain.nested_devs of the parent
 * @node: Among the devices whose faults are their guests' business
 * @table: Table
 * @dev: Device
 * @info: Of @dev
 * @s2: The host's part of the entries
 * @pasids: Directory that the hardware walks, only of this device and table. Its
 *          memory is charged to who attached, or to who ended a reset; to nobody
 *          if that had to be tried again later.
 * @nr_pasids: PASIDs from this one on are not used by the device
 * @rid_pasid: PASID of requests without one, whatever @nr_pasids is
 * @present: PASIDs whose entries the hardware may use. Changes under the table's
 *           lock, is walked without it.
 * @nr_present: Number of entries that are present
 * @nr_tables: Number of tables of @pasids; none is empty unless the hardware failed
 * @no_room: Entries were refused because others had taken their room
 * @refused: Number of the guest's entries that were refused
 */
struct intel_nested_dev {
	struct list_head elm;
	struct list_head s2_elm;
	struct hlist_node node;
	struct intel_nested_table *table;
	struct device *dev;
	struct device_domain_info *info;
	struct intel_nested_stage2 s2;
	struct pasid_table pasids;
	u32 nr_pasids;
	u32 rid_pasid;
	struct xarray present;
	u32 nr_present;
	u32 nr_tables;
	bool no_room;
	u32 refused;
};

static inline struct intel_nested_table *
to_intel_nested_table(struct iommu_pasid_table *table)
{
	return container_of(table, struct intel_nested_table, core);
}

static inline struct iommu_pasid_table *
intel_nested_core(const struct intel_nested_dev *ndev)
{
	return &ndev->table->core;
}

/*
 * Whether the device may have translations of the table in a TLB of its own. ATS
 * is on in any case, but without the flag the context entry refuses it (DTE).
 */
static inline bool intel_nested_has_ats(const struct intel_nested_dev *ndev)
{
	const struct iommu_hwpt_pasid_table *config =
		&intel_nested_core(ndev)->config;

	return intel_dev_tlb_is_used(ndev->info) &&
	       config->flags & IOMMU_PASID_TABLE_ATS &&
	       config->config != IOMMU_PASID_TABLE_ABORT;
}

/*
 * Whether the device's TLB has to be invalidated. A device that was pulled out is sent
 * nothing. What is for one that is silent is submitted: qi_submit_sync() knows whether
 * it still is at that moment.
 */
static inline bool intel_nested_uses_ats(const struct intel_nested_dev *ndev)
{
	return intel_nested_has_ats(ndev) &&
	       !pci_dev_is_disconnected(to_pci_dev(ndev->dev));
}

/* nested-table.c */
bool intel_nested_guest_reason(u8 reason);

/* nested-entry.c */
int intel_nested_make_entry(const struct intel_nested_stage2 *s2,
			    const struct intel_guest_entry *guest,
			    struct pasid_entry *entry);
void intel_nested_make_bypass(const struct intel_nested_stage2 *s2,
			      struct pasid_entry *entry);
int intel_nested_check_pde(const struct intel_nested_stage2 *s2, u64 pde,
			   u64 *gpa);

/* nested-dir.c */
int intel_nested_dir_alloc(struct intel_nested_dev *ndev);
void intel_nested_dir_free(struct intel_nested_dev *ndev);
int intel_nested_read_all(struct intel_nested_dev *ndev, bool live);
int intel_nested_read_one(struct intel_nested_dev *ndev, u32 pasid, bool live,
			  int *refused);
int intel_nested_bypass(struct intel_nested_dev *ndev);
u32 intel_nested_next_pasid(struct intel_nested_dev *ndev, u32 pasid);

/* nested-inv.c */
int intel_nested_inv_entries(struct intel_nested_dev *ndev, u32 first,
			     u64 entries, bool pde);
int intel_nested_inv_domain(struct intel_nested_dev *ndev);
int intel_nested_cache_invalidate(struct iommu_pasid_table *table,
				  struct iommu_inv_iter *iter, u32 *done);
#endif
