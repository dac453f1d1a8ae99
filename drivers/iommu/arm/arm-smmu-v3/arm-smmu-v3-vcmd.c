// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation commands that a guest gives in the hardware's own format: which
 * of them may pass, and what they become. References are to IHI 0070, section 4.
 *
 * None is passed on as it is. Each is taken apart and made anew by the functions
 * that serve generic requests, so a guest cannot put a command into the host's
 * queue that the host would not make itself.
 */
#include <kunit/visibility.h>

#include "arm-smmu-v3-viommu.h"

/* CMD_ATC_INV.Size of all addresses, 4.5.1 */
#define ARM_SMMU_VCMD_ATC_ALL		52

/**
 * struct arm_smmu_vcmd_run - Neighbours that differ in their addresses only
 * @first: The first of them
 * @next: The second word that one more would have, or 0
 * @step: Distance of their addresses in bytes
 * @granules: That one of them covers, 0 if it is not by address
 * @page: The first word of what serves one of them, 0 if that is not a command of
 *        a single address
 * @count: Number of commands, 0 if there is no run
 *
 * They become one command, or one for each granule that they may be meant for.
 * Those that name none are joined at a distance of 4 KiB.
 */
struct arm_smmu_vcmd_run {
	u64 first[CMDQ_ENT_DWORDS];
	u64 next;
	u64 step;
	u64 granules;
	u64 page;
	u32 count;
};

/* Fields that a command has on this SMMU, apart from the opcode, 4.3 to 4.5 */
static bool arm_smmu_vcmd_fields(const struct arm_smmu_device *smmu, u8 opcode,
				 u64 *fields)
{
	fields[0] = CMDQ_0_OP;
	fields[1] = 0;
	switch (opcode) {
	case CMDQ_OP_TLBI_NSNH_ALL:
		return true;
	case CMDQ_OP_TLBI_NH_ALL:
		fields[0] |= CMDQ_TLBI_0_VMID;
		return true;
	case CMDQ_OP_TLBI_NH_ASID:
		fields[0] |= CMDQ_TLBI_0_VMID | CMDQ_TLBI_0_ASID;
		return true;
	case CMDQ_OP_TLBI_NH_VA:
		fields[0] |= CMDQ_TLBI_0_ASID;
		fallthrough;
	case CMDQ_OP_TLBI_NH_VAA:
		fields[0] |= CMDQ_TLBI_0_VMID;
		fields[1] |= CMDQ_TLBI_1_LEAF | CMDQ_TLBI_1_VA_MASK;
		if (smmu->features & ARM_SMMU_FEAT_RANGE_INV) {
			fields[0] |= CMDQ_TLBI_0_NUM | CMDQ_TLBI_0_SCALE;
			fields[1] |= CMDQ_TLBI_1_TTL | CMDQ_TLBI_1_TG;
		}
		return true;
	case CMDQ_OP_CFGI_CD:
		fields[0] |= CMDQ_CFGI_0_SSID;
		fields[1] |= CMDQ_CFGI_1_LEAF;
		fallthrough;
	case CMDQ_OP_CFGI_CD_ALL:
		fields[0] |= CMDQ_CFGI_0_SID;
		return true;
	case CMDQ_OP_ATC_INV:
		if (!(smmu->features & ARM_SMMU_FEAT_ATS))
			return false;
		fields[0] |= CMDQ_ATC_0_SID;
		fields[1] |= CMDQ_ATC_1_SIZE | CMDQ_ATC_1_ADDR_MASK;
		if (smmu->ssid_bits)
			fields[0] |= CMDQ_0_SSV | CMDQ_ATC_0_GLOBAL |
				     CMDQ_ATC_0_SSID;
		return true;
	default:
		return false;
	}
}

/* log2 of the granule of a range command; a single address has none, 4.4.1.1 */
static unsigned int arm_smmu_vcmd_granule(u64 word1)
{
	unsigned int tg = FIELD_GET(CMDQ_TLBI_1_TG, word1);

	return tg ? 10 + 2 * tg : 12;
}

static int arm_smmu_vcmd_check_range(const struct arm_smmu_device *smmu,
				     const u64 *cmd)
{
	unsigned int granule = arm_smmu_vcmd_granule(cmd[1]);

	if (!FIELD_GET(CMDQ_TLBI_1_TG, cmd[1]))
		return 0;
	if (!(smmu->pgsize_bitmap & BIT_ULL(granule)))
		return -EIO;
	if (cmd[1] & CMDQ_TLBI_1_VA_MASK & (BIT_ULL(granule) - 1))
		return -EIO;
	return 0;
}

/**
 * arm_smmu_vcmd_check() - Whether a guest's command may pass
 * @smmu: SMMU
 * @cmd: The command
 *
 * Its StreamID is not looked at.
 *
 * Return: 0, or -EIO for another opcode than those of invalidation by a guest, a
 * reserved bit or value, or one that this SMMU does not have.
 */
VISIBLE_IF_KUNIT
int arm_smmu_vcmd_check(const struct arm_smmu_device *smmu, const u64 *cmd)
{
	u8 opcode = FIELD_GET(CMDQ_0_OP, cmd[0]);
	u64 fields[CMDQ_ENT_DWORDS];

	if (!arm_smmu_vcmd_fields(smmu, opcode, fields))
		return -EIO;
	if ((cmd[0] & ~fields[0]) | (cmd[1] & ~fields[1]))
		return -EIO;

	switch (opcode) {
	case CMDQ_OP_TLBI_NH_VA:
	case CMDQ_OP_TLBI_NH_VAA:
		if (arm_smmu_vcmd_check_range(smmu, cmd))
			return -EIO;
		fallthrough;
	case CMDQ_OP_TLBI_NH_ASID:
		if (FIELD_GET(CMDQ_TLBI_0_ASID, cmd[0]) >> smmu->asid_bits)
			return -EIO;
		return 0;
	case CMDQ_OP_ATC_INV:
		if (FIELD_GET(CMDQ_ATC_1_SIZE, cmd[1]) > ARM_SMMU_VCMD_ATC_ALL)
			return -EIO;
		fallthrough;
	case CMDQ_OP_CFGI_CD:
		if (FIELD_GET(CMDQ_CFGI_0_SSID, cmd[0]) >> smmu->ssid_bits)
			return -EIO;
		return 0;
	default:
		return 0;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vcmd_check);

/* The second word of an ATC_INV, its address aligned to its size, 4.5.1 */
static u64 arm_smmu_vcmd_atc_span(u64 word1)
{
	u64 size = FIELD_GET(CMDQ_ATC_1_SIZE, word1);

	if (size == ARM_SMMU_VCMD_ATC_ALL)
		return size;
	return size | (word1 & CMDQ_ATC_1_ADDR_MASK & (U64_MAX << (12 + size)));
}

/**
 * arm_smmu_vcmd_make() - The command that serves a guest's
 * @smmu: SMMU
 * @from: The guest's command, checked
 * @granules: Granules from the address of @from on, of a TLBI by address
 * @cmd: Returns the command, without VMID or StreamID
 */
VISIBLE_IF_KUNIT
void arm_smmu_vcmd_make(const struct arm_smmu_device *smmu, const u64 *from,
			u64 granules, struct arm_smmu_nested_cmd *cmd)
{
	u8 opcode = FIELD_GET(CMDQ_0_OP, from[0]);

	switch (opcode) {
	case CMDQ_OP_TLBI_NH_VA:
	case CMDQ_OP_TLBI_NH_VAA:
		arm_smmu_nested_init_cmd(cmd, opcode);
		cmd->data[0] |= from[0] & CMDQ_TLBI_0_ASID;
		cmd->data[1] |= from[1] & CMDQ_TLBI_1_LEAF;
		if (arm_smmu_nested_make_range(smmu,
					       from[1] & CMDQ_TLBI_1_VA_MASK,
					       arm_smmu_vcmd_granule(from[1]),
					       granules, cmd))
			return;
		opcode = opcode == CMDQ_OP_TLBI_NH_VA ? CMDQ_OP_TLBI_NH_ASID :
							CMDQ_OP_TLBI_NH_ALL;
		fallthrough;
	case CMDQ_OP_TLBI_NH_ASID:
		arm_smmu_nested_init_cmd(cmd, opcode);
		if (opcode == CMDQ_OP_TLBI_NH_ASID)
			cmd->data[0] |= from[0] & CMDQ_TLBI_0_ASID;
		return;
	case CMDQ_OP_TLBI_NSNH_ALL:
		arm_smmu_nested_init_cmd(cmd, CMDQ_OP_TLBI_NH_ALL);
		return;
	case CMDQ_OP_CFGI_CD:
		arm_smmu_nested_init_cmd(cmd, opcode);
		cmd->data[0] |= from[0] & CMDQ_CFGI_0_SSID;
		cmd->data[1] |= from[1];
		return;
	case CMDQ_OP_ATC_INV:
		arm_smmu_nested_init_cmd(cmd, opcode);
		/* Without a substream the other two say nothing */
		if (from[0] & CMDQ_0_SSV)
			cmd->data[0] |= from[0] & (CMDQ_0_SSV |
						   CMDQ_ATC_0_GLOBAL |
						   CMDQ_ATC_0_SSID);
		cmd->data[1] |= arm_smmu_vcmd_atc_span(from[1]);
		return;
	default:
		arm_smmu_nested_init_cmd(cmd, opcode);
		return;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vcmd_make);

static bool arm_smmu_vcmd_by_address(const u64 *cmd)
{
	u8 opcode = FIELD_GET(CMDQ_0_OP, cmd[0]);

	return opcode == CMDQ_OP_TLBI_NH_VA || opcode == CMDQ_OP_TLBI_NH_VAA;
}

static bool arm_smmu_vcmd_by_stream(const u64 *cmd)
{
	u8 opcode = FIELD_GET(CMDQ_0_OP, cmd[0]);

	return opcode == CMDQ_OP_CFGI_CD || opcode == CMDQ_OP_CFGI_CD_ALL ||
	       opcode == CMDQ_OP_ATC_INV;
}

/* To every stream of the device, if it uses a table now */
static int arm_smmu_vcmd_add_stream(struct arm_smmu_viommu *viommu,
				    const u64 *from,
				    struct arm_smmu_nested_batch *batch)
{
	struct arm_smmu_domain *parent = to_smmu_domain(viommu->core.parent);
	u32 vsid = FIELD_GET(CMDQ_CFGI_0_SID, from[0]);
	struct arm_smmu_nested_cmd cmd;
	struct device *dev;

	arm_smmu_vcmd_make(viommu->smmu, from, 0, &cmd);

	down_read(&viommu->core.vdevs_sem);
	dev = iommu_viommu_find_dev(&viommu->core, vsid);
	if (dev)
		arm_smmu_nested_batch_add_dev(batch, &cmd, parent,
					      dev_iommu_priv_get(dev));
	up_read(&viommu->core.vdevs_sem);
	return dev ? 0 : -EIO;
}

/* What arm_smmu_vcmd_make() would make of a single page */
static __always_inline void
arm_smmu_vcmd_flush_page(const struct arm_smmu_vcmd_run *run,
			 struct arm_smmu_nested_batch *batch)
{
	arm_smmu_nested_batch_begin_tlbi(batch);
	arm_smmu_nested_batch_push(batch, run->page,
				   run->first[1] & (CMDQ_TLBI_1_LEAF |
						    CMDQ_TLBI_1_VA_MASK));
	batch->unsynced_tlbi = true;
}

/*
 * A command of a single address drops translations of every granule, but a range
 * need not drop those of another granule than its own. Which one the guest uses
 * only the guest knows, so each has a range of its own.
 */
static void arm_smmu_vcmd_flush_addresses(struct arm_smmu_viommu *viommu,
					  const struct arm_smmu_vcmd_run *run,
					  struct arm_smmu_nested_batch *batch)
{
	u64 first = run->first[1] & CMDQ_TLBI_1_VA_MASK;
	u64 last = first + (((u64)run->count << 12) - 1);
	u64 from[CMDQ_ENT_DWORDS] = { run->first[0] };
	struct arm_smmu_nested_cmd cmd;
	unsigned int granule;
	u64 start;

	for (granule = 12; granule <= 16; granule += 2) {
		if (!(viommu->smmu->pgsize_bitmap & BIT_ULL(granule)))
			continue;
		start = first & (U64_MAX << granule);
		from[1] = start | (run->first[1] & CMDQ_TLBI_1_LEAF) |
			  FIELD_PREP(CMDQ_TLBI_1_TG, (granule - 10) / 2);
		arm_smmu_vcmd_make(viommu->smmu, from,
				   ((last - start) >> granule) + 1, &cmd);
		arm_smmu_nested_batch_add_tlbi(batch, &cmd, viommu->vmid->id);
	}
}

/* Whether @run is of more than one address, and ranges are to be had */
static bool arm_smmu_vcmd_run_of_addresses(const struct arm_smmu_viommu *viommu,
					   const struct arm_smmu_vcmd_run *run)
{
	return run->count > 1 && !FIELD_GET(CMDQ_TLBI_1_TG, run->first[1]) &&
	       viommu->smmu->features & ARM_SMMU_FEAT_RANGE_INV;
}

static void arm_smmu_vcmd_flush(struct arm_smmu_viommu *viommu,
				struct arm_smmu_vcmd_run *run,
				struct arm_smmu_nested_batch *batch)
{
	struct arm_smmu_nested_cmd cmd;

	if (!run->count)
		return;
	if (run->page && run->count == 1) {
		arm_smmu_vcmd_flush_page(run, batch);
	} else if (arm_smmu_vcmd_run_of_addresses(viommu, run)) {
		arm_smmu_vcmd_flush_addresses(viommu, run, batch);
	} else {
		arm_smmu_vcmd_make(viommu->smmu, run->first,
				   run->granules * run->count, &cmd);
		arm_smmu_nested_batch_add_tlbi(batch, &cmd, viommu->vmid->id);
	}
	run->count = 0;
}

/* Nothing follows the end of 64 bits */
static void arm_smmu_vcmd_advance(struct arm_smmu_vcmd_run *run, u64 word1)
{
	run->next = word1 + run->step;
	if (run->next < word1)
		run->next = 0;
	run->count++;
}

static void arm_smmu_vcmd_start(const struct arm_smmu_viommu *viommu,
				struct arm_smmu_vcmd_run *run, const u64 *cmd)
{
	run->first[0] = cmd[0];
	run->first[1] = cmd[1];
	run->granules = 0;
	run->page = 0;
	if (arm_smmu_vcmd_by_address(cmd)) {
		run->granules = 1;
		if (FIELD_GET(CMDQ_TLBI_1_TG, cmd[1]))
			run->granules = (FIELD_GET(CMDQ_TLBI_0_NUM, cmd[0]) + 1)
					<< FIELD_GET(CMDQ_TLBI_0_SCALE, cmd[0]);
		else
			run->page = (cmd[0] & (CMDQ_0_OP | CMDQ_TLBI_0_ASID)) |
				    FIELD_PREP(CMDQ_TLBI_0_VMID,
					       viommu->vmid->id);
	}
	run->step = run->granules << arm_smmu_vcmd_granule(cmd[1]);
	arm_smmu_vcmd_advance(run, cmd[1]);
}

static int arm_smmu_vcmd_add(struct arm_smmu_viommu *viommu, const u64 *cmd,
			     struct arm_smmu_vcmd_run *run,
			     struct arm_smmu_nested_batch *batch)
{
	int ret;

	ret = arm_smmu_vcmd_check(viommu->smmu, cmd);
	if (ret)
		return ret;
	if (run->count)
		arm_smmu_vcmd_flush(viommu, run, batch);
	if (arm_smmu_vcmd_by_stream(cmd))
		return arm_smmu_vcmd_add_stream(viommu, cmd, batch);
	arm_smmu_vcmd_start(viommu, run, cmd);
	return 0;
}

/* Whether @cmd and the first one of @run are of a page each, and differ in which */
static bool arm_smmu_vcmd_same_kind(const u64 *cmd,
				    const struct arm_smmu_vcmd_run *run)
{
	return run->page && cmd[0] == run->first[0] &&
	       !((cmd[1] ^ run->first[1]) & ~CMDQ_TLBI_1_VA_MASK);
}

/* Another page of the kind that @run is of: its address needs no check */
static void arm_smmu_vcmd_add_page(struct arm_smmu_viommu *viommu, u64 word1,
				   struct arm_smmu_vcmd_run *run,
				   struct arm_smmu_nested_batch *batch)
{
	if (run->count == 1)
		arm_smmu_vcmd_flush_page(run, batch);
	else
		arm_smmu_vcmd_flush(viommu, run, batch);
	run->first[1] = word1;
	run->count = 0;
	arm_smmu_vcmd_advance(run, word1);
}

/* Whether @cmd is the next one of @run: all but its address is checked then */
static bool arm_smmu_vcmd_follows(const u64 *cmd,
				  const struct arm_smmu_vcmd_run *run)
{
	return run->count && cmd[0] == run->first[0] && cmd[1] == run->next &&
	       run->step && run->next;
}

/**
 * arm_smmu_viommu_cache_invalidate() - The cache_invalidate op of vIOMMUs
 * @core: vIOMMU
 * @iter: Commands of the guest
 * @done: Returns how many are complete
 *
 * Commands go out in batches of a fixed size and the call waits once.
 *
 * Return: 0, -EIO for a command that may not pass or a StreamID that the guest
 * does not have, -ETIMEDOUT if the SMMU did not answer (@done is 0 then), or an
 * errno of iommu_cmd_next().
 */
int arm_smmu_viommu_cache_invalidate(struct iommu_viommu *core,
				     struct iommu_cmd_iter *iter, u32 *done)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core);
	struct arm_smmu_vcmd_run run __uninitialized;
	struct arm_smmu_nested_batch batch __uninitialized;
	int i, nr, ret = 0, sync_ret;
	u64 cmd[CMDQ_ENT_DWORDS];
	u32 added = 0;

	run.count = 0;
	run.page = 0;
	arm_smmu_nested_batch_init(viommu->smmu, &batch);
	while (!ret && (nr = iommu_cmd_next(iter)) > 0) {
		for (i = 0; i < nr; i++) {
			cmd[0] = le64_to_cpu(iter->cmds[2 * i]);
			cmd[1] = le64_to_cpu(iter->cmds[2 * i + 1]);
			if (arm_smmu_vcmd_follows(cmd, &run)) {
				arm_smmu_vcmd_advance(&run, cmd[1]);
				continue;
			}
			if (arm_smmu_vcmd_same_kind(cmd, &run)) {
				arm_smmu_vcmd_add_page(viommu, cmd[1], &run,
						       &batch);
				continue;
			}
			ret = arm_smmu_vcmd_add(viommu, cmd, &run, &batch);
			if (ret)
				break;
		}
		added += i;
	}

	arm_smmu_vcmd_flush(viommu, &run, &batch);
	sync_ret = arm_smmu_nested_batch_sync(&batch);
	if (sync_ret)
		return sync_ret;
	*done = added;
	return ret ?: nr;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_viommu_cache_invalidate);
