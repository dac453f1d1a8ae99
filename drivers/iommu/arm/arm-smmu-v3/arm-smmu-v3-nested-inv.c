// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested translation: invalidation, on request of the guest and when stage 2
 * changes. References are to IHI 0070, section 4 (commands).
 *
 * Stage 1 of a guest is NS-EL1 whatever the host's own E2H mode is, so the
 * commands are TLBI_NH_*.
 */
#include <kunit/visibility.h>

#include "arm-smmu-v3-nested.h"

/* Without range commands: beyond this many, drop the ASID or the VMID instead */
#define ARM_SMMU_NESTED_MAX_TLBI	512

/* CMD_TLBI_*.SCALE is 5 bits wide, 4.4.1.1 */
#define ARM_SMMU_NESTED_MAX_SCALE	31

/* log2 of the translation granule that has pages or blocks of this size */
static unsigned int arm_smmu_nested_tg(unsigned int size_log2)
{
	switch (size_log2) {
	case 14:
	case 25:
		return 14;
	case 16:
	case 29:
	case 42:
		return 16;
	default:
		return 12;
	}
}

/**
 * arm_smmu_nested_make_range() - Turn a command of a single address into one of
 *                                a range
 * @smmu: SMMU
 * @addr: First address
 * @size_log2: log2 of the size of a page or block in bytes
 * @nr: Number of these
 * @cmd: Command without an address; changed
 *
 * Becomes one range command that may cover up to 1/16 more, or several of a
 * single address each.
 *
 * Return: false if the range is too long for that.
 */
bool arm_smmu_nested_make_range(const struct arm_smmu_device *smmu, u64 addr,
				unsigned int size_log2, u64 nr,
				struct arm_smmu_nested_cmd *cmd)
{
	unsigned int tg = arm_smmu_nested_tg(size_log2);
	unsigned int scale;
	u64 pages;

	cmd->data[1] |= addr & CMDQ_TLBI_1_VA_MASK;
	pages = nr << (size_log2 - tg);
	/* That is what it is; as a range it would be reserved, with TTL 0 */
	if (pages == 1)
		return true;

	if (!(smmu->features & ARM_SMMU_FEAT_RANGE_INV)) {
		if (nr >= ARM_SMMU_NESTED_MAX_TLBI)
			return false;
		cmd->stride = 1ULL << size_log2;
		cmd->count = nr;
		return true;
	}

	scale = pages > CMDQ_TLBI_RANGE_NUM_MAX + 1 ?
			fls64((pages - 1) >> 5) : 0;
	if (scale > ARM_SMMU_NESTED_MAX_SCALE)
		return false;
	cmd->data[0] |= FIELD_PREP(CMDQ_TLBI_0_NUM, (pages - 1) >> scale) |
			FIELD_PREP(CMDQ_TLBI_0_SCALE, scale);
	cmd->data[1] |= FIELD_PREP(CMDQ_TLBI_1_TG, (tg - 10) / 2);
	return true;
}

/**
 * arm_smmu_nested_init_cmd() - Start a command
 * @cmd: Returns it, without any field
 * @opcode: Its opcode
 */
void arm_smmu_nested_init_cmd(struct arm_smmu_nested_cmd *cmd, u8 opcode)
{
	cmd->data[0] = FIELD_PREP(CMDQ_0_OP, opcode);
	cmd->data[1] = 0;
	cmd->stride = 0;
	cmd->count = 1;
}

/**
 * arm_smmu_nested_check_inv() - Check what depends on the hardware
 * @smmu: SMMU
 * @req: Request, checked by the core
 *
 * Return: 0, or -EINVAL if the ASID or the granule is beyond the hardware, or
 * the ASID is missing.
 */
VISIBLE_IF_KUNIT
int arm_smmu_nested_check_inv(const struct arm_smmu_device *smmu,
			      const struct iommu_hwpt_pasid_table_invalidate *req)
{
	if (req->archid >> smmu->asid_bits)
		return -EINVAL;
	switch (req->granularity) {
	case IOMMU_PASID_TABLE_INV_ADDR:
		if (!(BIT_ULL(req->granule_log2) & smmu->pgsize_bitmap))
			return -EINVAL;
		break;
	case IOMMU_PASID_TABLE_INV_ONE_PASID:
		if ((req->caches & IOMMU_PASID_TABLE_INV_IOTLB) &&
		    !(req->flags & IOMMU_PASID_TABLE_INV_ARCHID))
			return -EINVAL;
		break;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nested_check_inv);

/* The command for one page, but for its address */
static void
arm_smmu_nested_make_va(const struct iommu_hwpt_pasid_table_invalidate *req,
			struct arm_smmu_nested_cmd *cmd)
{
	if (req->flags & IOMMU_PASID_TABLE_INV_ARCHID) {
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_NH_VA);
		cmd->data[0] |= FIELD_PREP(CMDQ_TLBI_0_ASID, req->archid);
	} else {
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_NH_VAA);
	}
	if (req->flags & IOMMU_PASID_TABLE_INV_LEAF)
		cmd->data[1] |= CMDQ_TLBI_1_LEAF;
}

/**
 * arm_smmu_nested_make_tlbi() - The command for the IOTLB of one request
 * @smmu: SMMU
 * @req: Request, checked
 * @cmd: Returns the command, without VMID
 */
VISIBLE_IF_KUNIT
void arm_smmu_nested_make_tlbi(const struct arm_smmu_device *smmu,
			       const struct iommu_hwpt_pasid_table_invalidate *req,
			       struct arm_smmu_nested_cmd *cmd)
{
	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR) {
		arm_smmu_nested_make_va(req, cmd);
		if (arm_smmu_nested_make_range(smmu, req->addr,
					       req->granule_log2,
					       req->nb_granules, cmd))
			return;
	}

	if (req->flags & IOMMU_PASID_TABLE_INV_ARCHID) {
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_NH_ASID);
		cmd->data[0] |= FIELD_PREP(CMDQ_TLBI_0_ASID, req->archid);
	} else {
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_NH_ALL);
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nested_make_tlbi);

/**
 * arm_smmu_nested_make_cfgi() - The command for the PASID cache of one request
 * @req: Request, checked by the core
 * @cmd: Returns the command, without StreamID
 */
VISIBLE_IF_KUNIT
void arm_smmu_nested_make_cfgi(const struct iommu_hwpt_pasid_table_invalidate *req,
			       struct arm_smmu_nested_cmd *cmd)
{
	if (req->granularity == IOMMU_PASID_TABLE_INV_DOMAIN) {
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_CFGI_CD_ALL);
		return;
	}
	arm_smmu_nested_init_cmd(cmd, CMDQ_OP_CFGI_CD);
	cmd->data[0] |= FIELD_PREP(CMDQ_CFGI_0_SSID, req->pasid);
	if (req->flags & IOMMU_PASID_TABLE_INV_LEAF)
		cmd->data[1] |= CMDQ_CFGI_1_LEAF;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nested_make_cfgi);

/**
 * arm_smmu_nested_make_atc() - The command for the device TLB of one request
 * @req: Request, checked by the core
 * @cmd: Returns the command, without StreamID
 */
VISIBLE_IF_KUNIT
void arm_smmu_nested_make_atc(const struct iommu_hwpt_pasid_table_invalidate *req,
			      struct arm_smmu_nested_cmd *cmd)
{
	struct arm_smmu_cmdq_ent ent;
	size_t size = 0;

	/* All of 64 bits becomes 0, which means everything */
	if (req->granularity == IOMMU_PASID_TABLE_INV_ADDR)
		size = req->nb_granules << req->granule_log2;
	/* PASID 0 is that of requests without one: covers the whole ATC */
	arm_smmu_atc_inv_to_cmd(req->pasid, req->addr, size, &ent);
	arm_smmu_cmdq_build_cmd(cmd->data, &ent);
	cmd->stride = 0;
	cmd->count = 1;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nested_make_atc);

/**
 * arm_smmu_nested_batch_init() - Start a batch
 * @smmu: SMMU
 * @batch: Returns it empty
 */
void arm_smmu_nested_batch_init(struct arm_smmu_device *smmu,
				struct arm_smmu_nested_batch *batch)
{
	batch->cmds.cmdq = &smmu->cmdq;
	batch->cmds.num = 0;
	batch->max = CMDQ_BATCH_ENTRIES;
	if (smmu->options & ARM_SMMU_OPT_CMDQ_FORCE_SYNC)
		batch->max--;
	batch->smmu = smmu;
	batch->unsynced_cfgi = false;
	batch->unsynced_tlbi = false;
	batch->error = 0;
}

/**
 * arm_smmu_nested_batch_issue() - Give the commands of a batch to the hardware
 * @batch: Batch; empty then
 * @sync: And wait for it
 */
void arm_smmu_nested_batch_issue(struct arm_smmu_nested_batch *batch, bool sync)
{
	struct arm_smmu_cmdq_batch *cmds = &batch->cmds;
	int ret;

	ret = arm_smmu_cmdq_issue_cmdlist(batch->smmu, cmds->cmdq, cmds->cmds,
					  cmds->num, sync);
	if (ret)
		batch->error = ret;
	if (sync) {
		batch->unsynced_cfgi = false;
		batch->unsynced_tlbi = false;
	}
	cmds->num = 0;
}

/* Add @cmd with the VMID or StreamID in @tag, at its place in the first word */
static void arm_smmu_nested_batch_add(struct arm_smmu_nested_batch *batch,
				      const struct arm_smmu_nested_cmd *cmd,
				      u64 tag)
{
	u64 word1 = cmd->data[1];
	u32 left = cmd->count;

	for (; left; left--, word1 += cmd->stride)
		arm_smmu_nested_batch_push(batch, cmd->data[0] | tag, word1);
}

/**
 * arm_smmu_nested_batch_add_tlbi() - Add a TLBI
 * @batch: Batch
 * @cmd: The command, without VMID
 * @vmid: VMID
 */
void arm_smmu_nested_batch_add_tlbi(struct arm_smmu_nested_batch *batch,
				    const struct arm_smmu_nested_cmd *cmd,
				    u16 vmid)
{
	arm_smmu_nested_batch_begin_tlbi(batch);
	arm_smmu_nested_batch_add(batch, cmd,
				  FIELD_PREP(CMDQ_TLBI_0_VMID, vmid));
	batch->unsynced_tlbi = true;
}

static void arm_smmu_nested_batch_add_sids(struct arm_smmu_nested_batch *batch,
					   const struct arm_smmu_nested_cmd *cmd,
					   const struct arm_smmu_master *master)
{
	unsigned int i;

	for (i = 0; i < master->num_streams; i++)
		arm_smmu_nested_batch_add(batch, cmd,
					  FIELD_PREP(CMDQ_CFGI_0_SID,
						     master->streams[i].id));
}

static void arm_smmu_nested_batch_add_cfgi(struct arm_smmu_nested_batch *batch,
					   const struct arm_smmu_nested_cmd *cmd,
					   const struct arm_smmu_master *master)
{
	arm_smmu_nested_batch_add_sids(batch, cmd, master);
	batch->unsynced_cfgi = true;
}

static void arm_smmu_nested_batch_add_atc(struct arm_smmu_nested_batch *batch,
					  const struct arm_smmu_nested_cmd *cmd,
					  const struct arm_smmu_nested_master *nested)
{
	if (!READ_ONCE(nested->ats))
		return;
	if (batch->unsynced_cfgi || batch->unsynced_tlbi)
		arm_smmu_nested_batch_issue(batch, true);
	arm_smmu_nested_batch_add_sids(batch, cmd, nested->master);
}

/**
 * arm_smmu_nested_batch_add_dev() - Add a CFGI or ATC_INV for a device
 * @batch: Batch
 * @cmd: The command, without StreamID
 * @parent: Nesting parent
 * @master: Device. Where it uses no table below @parent, there is nothing to
 *          invalidate.
 */
void arm_smmu_nested_batch_add_dev(struct arm_smmu_nested_batch *batch,
				   const struct arm_smmu_nested_cmd *cmd,
				   struct arm_smmu_domain *parent,
				   const struct arm_smmu_master *master)
{
	bool atc = FIELD_GET(CMDQ_0_OP, cmd->data[0]) == CMDQ_OP_ATC_INV;
	struct arm_smmu_nested_master *nested;

	down_read(&parent->nested_sem);
	list_for_each_entry(nested, &parent->nested, elm) {
		if (nested->master != master)
			continue;
		if (atc)
			arm_smmu_nested_batch_add_atc(batch, cmd, nested);
		else
			arm_smmu_nested_batch_add_cfgi(batch, cmd, master);
	}
	up_read(&parent->nested_sem);
}

/**
 * arm_smmu_nested_batch_sync() - Wait for the hardware
 * @batch: Batch; without commands there is nothing to wait for
 *
 * Return: 0, or -ETIMEDOUT if the hardware did not answer, now or before.
 */
int arm_smmu_nested_batch_sync(struct arm_smmu_nested_batch *batch)
{
	if (batch->cmds.num)
		arm_smmu_nested_batch_issue(batch, true);
	return batch->error;
}

/* Add the TLBIs for @nr requests that differ in their ranges only */
static void
arm_smmu_nested_batch_add_tlbis(struct arm_smmu_nested_batch *batch,
				const struct iommu_hwpt_pasid_table_invalidate *req,
				int nr, u16 vmid)
{
	u64 tag = FIELD_PREP(CMDQ_TLBI_0_VMID, vmid);
	struct arm_smmu_nested_cmd page, cmd;

	arm_smmu_nested_batch_begin_tlbi(batch);
	arm_smmu_nested_make_va(req, &page);
	for (; nr; nr--, req++) {
		if (req->granule_log2 == 12 && req->nb_granules == 1) {
			arm_smmu_nested_batch_push(batch, page.data[0] | tag,
						   page.data[1] | req->addr);
			continue;
		}
		arm_smmu_nested_make_tlbi(batch->smmu, req, &cmd);
		arm_smmu_nested_batch_add(batch, &cmd, tag);
	}
	batch->unsynced_tlbi = true;
}

/* Do @nr requests that differ in their ranges only */
static int
arm_smmu_nested_inv_run(struct iommu_pasid_table *table,
			const struct iommu_hwpt_pasid_table_invalidate *reqs,
			int nr, struct arm_smmu_nested_batch *batch)
{
	struct arm_smmu_domain *parent = to_smmu_domain(table->parent);
	struct arm_smmu_nested_master *nested;
	struct arm_smmu_nested_cmd cmd;
	u32 caches = reqs->caches;
	int i, ret;

	lockdep_assert_held_read(&parent->nested_sem);

	ret = arm_smmu_nested_check_inv(parent->smmu, reqs);
	if (ret)
		return ret;
	/* Only a table that translates puts anything into these caches */
	if (table->config.config != IOMMU_PASID_TABLE_TRANSLATE)
		return 0;

	/* From the descriptor outwards: each cache is filled from the ones before */
	list_for_each_entry(nested, &parent->nested, elm) {
		if (nested->table != table)
			continue;
		if (caches & IOMMU_PASID_TABLE_INV_PASID_CACHE) {
			arm_smmu_nested_make_cfgi(reqs, &cmd);
			arm_smmu_nested_batch_add_cfgi(batch, &cmd,
						       nested->master);
		}
		if (caches & IOMMU_PASID_TABLE_INV_IOTLB)
			arm_smmu_nested_batch_add_tlbis(batch, reqs, nr,
							nested->vmid->id);
		for (i = 0; caches & IOMMU_PASID_TABLE_INV_DEV_TLB && i < nr;
		     i++) {
			arm_smmu_nested_make_atc(&reqs[i], &cmd);
			arm_smmu_nested_batch_add_atc(batch, &cmd, nested);
		}
	}
	return 0;
}

/**
 * arm_smmu_nested_cache_invalidate() - The cache_invalidate op
 * @table: Table
 * @iter: Requests
 * @done: Returns how many are complete
 *
 * Commands go out in batches of a fixed size and the call waits once, so neither
 * memory nor the number of CMD_SYNCs grows with the number of requests. What one
 * cache is refilled from is the exception: TLBIs follow a completed CFGI_CD, and
 * ATC_INVs follow both.
 *
 * Return: 0 or an errno of struct iommu_hwpt_pasid_table_invalidate.
 */
int arm_smmu_nested_cache_invalidate(struct iommu_pasid_table *table,
				     struct iommu_inv_iter *iter, u32 *done)
{
	struct arm_smmu_domain *parent = to_smmu_domain(table->parent);
	struct arm_smmu_nested_batch batch __uninitialized;
	int i, nr, ret = 0, sync_ret;
	u32 added = 0;

	arm_smmu_nested_batch_init(parent->smmu, &batch);
	while (!ret && (nr = iommu_inv_next(iter)) > 0) {
		down_read(&parent->nested_sem);
		for (i = 0; i < nr; i += iter->runs[i].len) {
			ret = arm_smmu_nested_inv_run(table, &iter->reqs[i],
						      iter->runs[i].len,
						      &batch);
			if (ret)
				break;
			added += iter->runs[i].merged;
		}
		up_read(&parent->nested_sem);
	}

	sync_ret = arm_smmu_nested_batch_sync(&batch);
	if (sync_ret)
		return sync_ret;
	*done = added;
	return ret ?: nr;
}

/**
 * arm_smmu_nested_inv_vmid() - Drop everything that stage 1 put under a VMID
 * @smmu: SMMU
 * @vmid: VMID of a device
 */
void arm_smmu_nested_inv_vmid(struct arm_smmu_device *smmu, u16 vmid)
{
	struct arm_smmu_nested_batch batch __uninitialized;
	struct arm_smmu_nested_cmd cmd;

	arm_smmu_nested_init_cmd(&cmd, CMDQ_OP_TLBI_NH_ALL);
	arm_smmu_nested_batch_init(smmu, &batch);
	arm_smmu_nested_batch_add_tlbi(&batch, &cmd, vmid);
	arm_smmu_nested_batch_sync(&batch);
}

/**
 * arm_smmu_nested_make_s2_ipa() - The command for a change of stage 2
 * @parent: Nesting parent
 * @ipa: First address, in bytes
 * @size: Length in bytes, 0 for everything
 * @cmd: Returns the command, without VMID
 */
VISIBLE_IF_KUNIT
void arm_smmu_nested_make_s2_ipa(const struct arm_smmu_domain *parent,
				 unsigned long ipa, size_t size,
				 struct arm_smmu_nested_cmd *cmd)
{
	unsigned int tg = __ffs(parent->domain.pgsize_bitmap);

	arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_S2_IPA);
	if (!size || !arm_smmu_nested_make_range(parent->smmu, ipa, tg,
						 size >> tg, cmd))
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_S12_VMALL);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nested_make_s2_ipa);

/* Send @cmd for each device below @parent, and wait */
static void arm_smmu_nested_inv_all(struct arm_smmu_domain *parent,
				    const struct arm_smmu_nested_cmd *cmd,
				    bool atc)
{
	struct arm_smmu_nested_master *nested;
	struct arm_smmu_nested_batch batch __uninitialized;
	unsigned long flags;

	arm_smmu_nested_batch_init(parent->smmu, &batch);
	spin_lock_irqsave(&parent->devices_lock, flags);
	list_for_each_entry(nested, &parent->nested, elm) {
		if (atc)
			arm_smmu_nested_batch_add_atc(&batch, cmd, nested);
		else
			arm_smmu_nested_batch_add_tlbi(&batch, cmd,
						       nested->vmid->id);
	}
	spin_unlock_irqrestore(&parent->devices_lock, flags);
	arm_smmu_nested_batch_sync(&batch);
}

/**
 * __arm_smmu_nested_inv_stage2() - Stage 2 changed below the guests' tables
 * @parent: Nesting parent; its own VMID and the devices that are attached to it
 *          directly are the caller's business
 * @ipa: First address, in bytes
 * @size: Length in bytes, 0 for everything
 *
 * TLBI_S2_IPA drops translations of stage 2 alone. Those of both stages are found
 * by gIOVA only, so all of a VMID go; afterwards, or they could be made anew from
 * the old stage 2. The devices' own TLBs are filled from both and come last.
 *
 * Any context.
 */
void __arm_smmu_nested_inv_stage2(struct arm_smmu_domain *parent,
				  unsigned long ipa, size_t size)
{
	static const struct iommu_hwpt_pasid_table_invalidate all = {
		.granularity = IOMMU_PASID_TABLE_INV_DOMAIN,
	};
	struct arm_smmu_nested_cmd cmd;

	arm_smmu_nested_make_s2_ipa(parent, ipa, size, &cmd);
	arm_smmu_nested_inv_all(parent, &cmd, false);
	arm_smmu_nested_init_cmd(&cmd, CMDQ_OP_TLBI_NH_ALL);
	arm_smmu_nested_inv_all(parent, &cmd, false);
	arm_smmu_nested_make_atc(&all, &cmd);
	arm_smmu_nested_inv_all(parent, &cmd, true);
}
