// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of a guest: which of them pass, and what reaches the queue for them
 *
 * Both are judged by models made from IHI 0070 alone, with numbers and fields
 * written down anew. The second one has a TLB: whatever a guest's command drops
 * there, the commands in the host's queue have to drop as well.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>

#include "arm-smmu-v3-viommu.h"

/* Commands, 4.1 to 4.7 */
#define HW_CMD0_OP			GENMASK_ULL(7, 0)
#define HW_OP_CFGI_CD			0x05
#define HW_OP_CFGI_CD_ALL		0x06
#define HW_OP_TLBI_NH_ALL		0x10
#define HW_OP_TLBI_NH_ASID		0x11
#define HW_OP_TLBI_NH_VA		0x12
#define HW_OP_TLBI_NH_VAA		0x13
#define HW_OP_TLBI_NSNH_ALL		0x30
#define HW_OP_ATC_INV			0x40
#define HW_OP_SYNC			0x46
#define HW_CMD0_GLOBAL			BIT_ULL(9)
#define HW_CMD0_SSV			BIT_ULL(11)
#define HW_CMD0_SSID			GENMASK_ULL(31, 12)
#define HW_CMD0_SID			GENMASK_ULL(63, 32)
#define HW_TLBI0_NUM			GENMASK_ULL(16, 12)
#define HW_TLBI0_SCALE			GENMASK_ULL(24, 20)
#define HW_TLBI0_VMID			GENMASK_ULL(47, 32)
#define HW_TLBI0_ASID			GENMASK_ULL(63, 48)
#define HW_TLBI1_LEAF			BIT_ULL(0)
#define HW_TLBI1_TTL			GENMASK_ULL(9, 8)
#define HW_TLBI1_TG			GENMASK_ULL(11, 10)
#define HW_TLBI1_ADDR			GENMASK_ULL(63, 12)
#define HW_CFGI1_LEAF			BIT_ULL(0)
#define HW_ATC1_SIZE			GENMASK_ULL(5, 0)
#define HW_ATC1_ADDR			GENMASK_ULL(63, 12)
#define HW_ATC1_SIZE_ALL		52

#define CMD_QWORDS			2
#define TEST_RING_LOG2			12
#define TEST_RING			BIT(TEST_RING_LOG2)
#define TEST_DEVS			3
#define TEST_VMID			0x1234
#define TEST_PAGE			4096

static const unsigned int test_granules[] = { 12, 14, 16 };

/* A device of the guest, with two streams */
struct test_dev {
	struct device dev;
	struct dev_iommu iommu;
	struct arm_smmu_master master;
	struct arm_smmu_stream streams[2];
	struct arm_smmu_nested_master nested;
	struct iommu_vdevice vdev;
};

struct test_source {
	struct iommu_inv_source source;
	const u64 (*cmds)[CMD_QWORDS];
	/* Position of what cannot be read */
	u32 bad;
	u32 chunk;
};

struct vcmd_test {
	struct arm_smmu_device smmu;
	struct arm_smmu_domain parent;
	struct arm_smmu_vmid vmid;
	struct arm_smmu_viommu viommu;
	struct iommu_cmd_iter iter;
	struct test_source source;
	/* A queue that is consumed at once: one register for both ends */
	__le64 ring[TEST_RING][CMD_QWORDS];
	atomic_long_t valid_map[TEST_RING / BITS_PER_LONG];
	u32 reg;
	/* What a call wrote to it */
	u64 out[TEST_RING][CMD_QWORDS];
	unsigned int nr_out;
	unsigned int syncs;
	u64 in[TEST_RING][CMD_QWORDS];
	unsigned int nr_in;
	u64 random;
	struct test_dev devs[TEST_DEVS];
};

/* The first does ATS, the last is not behind a table of this guest now */
static void test_init_dev(struct kunit *test, struct vcmd_test *vt,
			  unsigned int n)
{
	struct test_dev *td = &vt->devs[n];

	td->dev.iommu = &td->iommu;
	td->iommu.priv = &td->master;
	td->master.smmu = &vt->smmu;
	td->master.dev = &td->dev;
	td->master.streams = td->streams;
	td->master.num_streams = ARRAY_SIZE(td->streams);
	td->streams[0].id = 0x80000000 + n;
	td->streams[1].id = 0x100 + n;
	td->nested.master = &td->master;
	td->nested.vmid = &vt->vmid;
	td->nested.ats = !n;
	if (n < TEST_DEVS - 1)
		list_add(&td->nested.elm, &vt->parent.nested);
	td->vdev.viommu = &vt->viommu.core;
	td->vdev.dev = &td->dev;
	td->vdev.virt_id = n ? U32_MAX - n : 0;
	KUNIT_ASSERT_EQ(test, xa_insert(&vt->viommu.core.vdevs, td->vdev.virt_id,
					&td->vdev, GFP_KERNEL), 0);
}

static void test_free_vdevs(void *vdevs)
{
	xa_destroy(vdevs);
}

static int vcmd_test_init(struct kunit *test)
{
	struct arm_smmu_queue *q;
	struct vcmd_test *vt;
	unsigned int i;

	vt = kunit_kzalloc(test, sizeof(*vt), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vt);
	test->priv = vt;
	vt->random = 1;

	q = &vt->smmu.cmdq.q;
	q->llq.max_n_shift = TEST_RING_LOG2;
	q->base = &vt->ring[0][0];
	q->ent_dwords = CMD_QWORDS;
	q->prod_reg = (u32 __iomem *)&vt->reg;
	q->cons_reg = (u32 __iomem *)&vt->reg;
	vt->smmu.cmdq.valid_map = vt->valid_map;
	vt->smmu.features = ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS;
	vt->smmu.pgsize_bitmap = SZ_4K | SZ_16K | SZ_64K | SZ_2M;
	vt->smmu.asid_bits = 16;
	vt->smmu.ssid_bits = 20;

	vt->vmid.id = TEST_VMID;
	vt->parent.smmu = &vt->smmu;
	vt->parent.nest_parent = true;
	INIT_LIST_HEAD(&vt->parent.nested);
	init_rwsem(&vt->parent.nested_sem);
	spin_lock_init(&vt->parent.devices_lock);
	vt->viommu.smmu = &vt->smmu;
	vt->viommu.vmid = &vt->vmid;
	vt->viommu.core.parent = &vt->parent.domain;
	init_rwsem(&vt->viommu.core.vdevs_sem);
	xa_init(&vt->viommu.core.vdevs);
	for (i = 0; i < TEST_DEVS; i++)
		test_init_dev(test, vt, i);
	return kunit_add_action_or_reset(test, test_free_vdevs,
					 &vt->viommu.core.vdevs);
}

/* The same numbers each time */
static u64 test_random(struct vcmd_test *vt)
{
	vt->random ^= vt->random << 13;
	vt->random ^= vt->random >> 7;
	vt->random ^= vt->random << 17;
	return vt->random;
}

static unsigned int test_tg_log2(u64 word1)
{
	return 10 + 2 * FIELD_GET(HW_TLBI1_TG, word1);
}

/* Bits that a command may have on an SMMU, besides the opcode */
static bool test_fields(const struct arm_smmu_device *smmu, u8 op, u64 *mask)
{
	mask[0] = HW_CMD0_OP;
	mask[1] = 0;
	switch (op) {
	case HW_OP_CFGI_CD:
		mask[0] |= HW_CMD0_SSID | HW_CMD0_SID;
		mask[1] |= HW_CFGI1_LEAF;
		return true;
	case HW_OP_CFGI_CD_ALL:
		mask[0] |= HW_CMD0_SID;
		return true;
	case HW_OP_TLBI_NSNH_ALL:
		return true;
	case HW_OP_TLBI_NH_ALL:
		mask[0] |= HW_TLBI0_VMID;
		return true;
	case HW_OP_TLBI_NH_ASID:
		mask[0] |= HW_TLBI0_VMID | HW_TLBI0_ASID;
		return true;
	case HW_OP_TLBI_NH_VA:
	case HW_OP_TLBI_NH_VAA:
		mask[0] |= HW_TLBI0_VMID;
		if (op == HW_OP_TLBI_NH_VA)
			mask[0] |= HW_TLBI0_ASID;
		mask[1] |= HW_TLBI1_LEAF | HW_TLBI1_ADDR;
		if (smmu->features & ARM_SMMU_FEAT_RANGE_INV) {
			mask[0] |= HW_TLBI0_NUM | HW_TLBI0_SCALE;
			mask[1] |= HW_TLBI1_TTL | HW_TLBI1_TG;
		}
		return true;
	case HW_OP_ATC_INV:
		mask[0] |= HW_CMD0_SID;
		if (smmu->ssid_bits)
			mask[0] |= HW_CMD0_SSV | HW_CMD0_GLOBAL | HW_CMD0_SSID;
		mask[1] |= HW_ATC1_SIZE | HW_ATC1_ADDR;
		return smmu->features & ARM_SMMU_FEAT_ATS;
	default:
		return false;
	}
}

/* Values that a command may have in its fields */
static bool test_values(const struct arm_smmu_device *smmu, const u64 *cmd)
{
	unsigned int tg_log2 = test_tg_log2(cmd[1]);

	switch (FIELD_GET(HW_CMD0_OP, cmd[0])) {
	case HW_OP_CFGI_CD:
		return FIELD_GET(HW_CMD0_SSID, cmd[0]) < BIT(smmu->ssid_bits);
	case HW_OP_TLBI_NH_ASID:
		return FIELD_GET(HW_TLBI0_ASID, cmd[0]) < BIT(smmu->asid_bits);
	case HW_OP_TLBI_NH_VA:
	case HW_OP_TLBI_NH_VAA:
		if (FIELD_GET(HW_TLBI0_ASID, cmd[0]) >= BIT(smmu->asid_bits))
			return false;
		if (tg_log2 == 10)
			return true;
		/* A granule that there is, and an address of a page */
		return smmu->pgsize_bitmap & BIT(tg_log2) &&
		       !(cmd[1] & HW_TLBI1_ADDR & (BIT(tg_log2) - 1));
	case HW_OP_ATC_INV:
		return FIELD_GET(HW_CMD0_SSID, cmd[0]) < BIT(smmu->ssid_bits) &&
		       FIELD_GET(HW_ATC1_SIZE, cmd[1]) <= HW_ATC1_SIZE_ALL;
	default:
		return true;
	}
}

static bool test_may_pass(const struct arm_smmu_device *smmu, const u64 *cmd)
{
	u64 mask[CMD_QWORDS];

	return test_fields(smmu, FIELD_GET(HW_CMD0_OP, cmd[0]), mask) &&
	       !(cmd[0] & ~mask[0]) && !(cmd[1] & ~mask[1]) &&
	       test_values(smmu, cmd);
}

static bool test_check(struct kunit *test, const struct arm_smmu_device *smmu,
		       u64 word0, u64 word1)
{
	u64 cmd[CMD_QWORDS] = { word0, word1 };
	bool pass = test_may_pass(smmu, cmd);

	KUNIT_ASSERT_EQ_MSG(test, arm_smmu_vcmd_check(smmu, cmd),
			    pass ? 0 : -EIO, "%016llx %016llx", word0, word1);
	return pass;
}

/* Every kind of SMMU that makes a difference to a command */
#define TEST_SMMUS	(2 * 2 * 4 * 2 * 4)

static void test_make_smmu(struct arm_smmu_device *smmu, unsigned int n)
{
	static const unsigned long sizes[] = {
		SZ_4K | SZ_2M, SZ_16K | SZ_32M, SZ_64K | SZ_512M,
		SZ_4K | SZ_16K | SZ_64K | SZ_2M | SZ_32M | SZ_512M,
	};
	static const u8 ssid_bits[] = { 0, 1, 8, 20 };

	smmu->features = n & 1 ? ARM_SMMU_FEAT_RANGE_INV : 0;
	if (n & 2)
		smmu->features |= ARM_SMMU_FEAT_ATS;
	smmu->asid_bits = n & 4 ? 16 : 8;
	smmu->ssid_bits = ssid_bits[n / 8 % 4];
	smmu->pgsize_bitmap = sizes[n / 32];
}

/* All opcodes, with each of the other bits alone */
static void vcmd_test_check_bits(struct kunit *test)
{
	struct arm_smmu_device *smmu;
	unsigned int n, op, bit, passed;

	smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, smmu);
	for (n = 0; n < TEST_SMMUS; n++) {
		test_make_smmu(smmu, n);
		passed = 0;
		for (op = 0; op < 256; op++) {
			passed += test_check(test, smmu, op, 0);
			for (bit = 8; bit < 64; bit++)
				test_check(test, smmu, op | BIT_ULL(bit), 0);
			for (bit = 0; bit < 64; bit++)
				test_check(test, smmu, op, BIT_ULL(bit));
		}
		KUNIT_EXPECT_EQ(test, passed, n & 2 ? 8 : 7);
	}
}

/* Values of fields, and one bit that may not be */
static void vcmd_test_check_values(struct kunit *test)
{
	static const u8 ops[] = {
		HW_OP_CFGI_CD, HW_OP_CFGI_CD_ALL, HW_OP_TLBI_NH_ALL,
		HW_OP_TLBI_NH_ASID, HW_OP_TLBI_NH_VA, HW_OP_TLBI_NH_VAA,
		HW_OP_TLBI_NSNH_ALL, HW_OP_ATC_INV,
	};
	struct vcmd_test *vt = test->priv;
	unsigned int n, op, i, passed = 0;
	struct arm_smmu_device *smmu;
	u64 mask[CMD_QWORDS], word0, word1;

	smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, smmu);
	for (n = 0; n < TEST_SMMUS * ARRAY_SIZE(ops); n++) {
		test_make_smmu(smmu, n / ARRAY_SIZE(ops));
		op = ops[n % ARRAY_SIZE(ops)];
		test_fields(smmu, op, mask);
		mask[0] &= ~HW_CMD0_OP;
		for (i = 0; i < 500; i++) {
			/* Few bits, most, or any */
			word0 = test_random(vt) & mask[0];
			word1 = test_random(vt) & mask[1];
			if (i % 4 == 1) {
				word0 &= test_random(vt);
				word0 &= test_random(vt);
			}
			if (i % 4 < 2)
				word1 &= ~HW_TLBI1_ADDR | U64_MAX << 16;
			if (i % 4 == 2)
				word0 |= BIT_ULL(8 + test_random(vt) % 56);
			if (i % 8 == 3)
				word1 |= BIT_ULL(test_random(vt) % 64);
			passed += test_check(test, smmu, op | word0, word1);
		}
		for (i = 0; i < 64; i++)
			test_check(test, smmu, op, i);
	}
	kunit_info(test, "%u passed", passed);
	KUNIT_EXPECT_GT(test, passed, 50000);
}

/*
 * Whether a command in the host's queue does what 4.1 and 4.4 promise, and is of
 * this guest. What is reserved, ignored or UNPREDICTABLE has no place there.
 */
static bool test_legal(const struct arm_smmu_device *smmu, const u64 *cmd)
{
	u8 op = FIELD_GET(HW_CMD0_OP, cmd[0]);
	u64 size = FIELD_GET(HW_ATC1_SIZE, cmd[1]);
	u64 mask[CMD_QWORDS];

	if (op == HW_OP_TLBI_NSNH_ALL || !test_fields(smmu, op, mask) ||
	    cmd[0] & ~mask[0] || cmd[1] & ~mask[1] || !test_values(smmu, cmd))
		return false;
	switch (op) {
	case HW_OP_TLBI_NH_VA:
	case HW_OP_TLBI_NH_VAA:
		if (test_tg_log2(cmd[1]) == 10)
			return !(cmd[0] & (HW_TLBI0_NUM | HW_TLBI0_SCALE)) &&
			       !(cmd[1] & HW_TLBI1_TTL);
		/* One page, of no level that is known */
		return cmd[0] & (HW_TLBI0_NUM | HW_TLBI0_SCALE) ||
		       cmd[1] & HW_TLBI1_TTL;
	case HW_OP_ATC_INV:
		if (!(cmd[0] & HW_CMD0_SSV) &&
		    cmd[0] & (HW_CMD0_GLOBAL | HW_CMD0_SSID))
			return false;
		if (size == HW_ATC1_SIZE_ALL)
			return !(cmd[1] & HW_ATC1_ADDR);
		return !(cmd[1] & HW_ATC1_ADDR & ((BIT_ULL(size) << 12) - 1));
	default:
		return true;
	}
}

/* One translation in the TLB */
struct test_entry {
	u64 addr;
	unsigned int granule_log2;
	u16 asid;
	/* Of a table, not of a page */
	bool walk;
};

static bool test_drops_address(const u64 *cmd, const struct test_entry *entry)
{
	u64 addr = cmd[1] & HW_TLBI1_ADDR, last, pages;
	unsigned int tg_log2 = test_tg_log2(cmd[1]);
	u64 page = entry->addr >> entry->granule_log2;

	if (entry->walk && cmd[1] & HW_TLBI1_LEAF)
		return false;
	/* By address: whatever has it. By range: what has the granule, too. */
	if (tg_log2 == 10)
		return addr >> entry->granule_log2 == page;
	if (tg_log2 != entry->granule_log2)
		return false;
	pages = (FIELD_GET(HW_TLBI0_NUM, cmd[0]) + 1) <<
		FIELD_GET(HW_TLBI0_SCALE, cmd[0]);
	last = (addr >> tg_log2) + pages - 1;
	return page >= addr >> tg_log2 && page <= last;
}

/* Whether a command is sure to drop an entry of the guest */
static bool test_drops(const u64 *cmd, const struct test_entry *entry)
{
	switch (FIELD_GET(HW_CMD0_OP, cmd[0])) {
	case HW_OP_TLBI_NH_ALL:
	case HW_OP_TLBI_NSNH_ALL:
		return true;
	case HW_OP_TLBI_NH_ASID:
		return FIELD_GET(HW_TLBI0_ASID, cmd[0]) == entry->asid;
	case HW_OP_TLBI_NH_VA:
		return FIELD_GET(HW_TLBI0_ASID, cmd[0]) == entry->asid &&
		       test_drops_address(cmd, entry);
	case HW_OP_TLBI_NH_VAA:
		return test_drops_address(cmd, entry);
	default:
		return false;
	}
}

static void test_unpack(const struct arm_smmu_nested_cmd *cmd, u32 nth, u64 *out)
{
	out[0] = cmd->data[0];
	out[1] = cmd->data[1] + nth * cmd->stride;
}

/* Make a command, with all that holds for any: legal, and nobody's yet */
static void test_make(struct kunit *test, const struct arm_smmu_device *smmu,
		      const u64 *from, u64 granules,
		      struct arm_smmu_nested_cmd *cmd)
{
	u64 out[CMD_QWORDS];
	u32 i;

	KUNIT_ASSERT_EQ(test, arm_smmu_vcmd_check(smmu, from), 0);
	memset(cmd, 0xff, sizeof(*cmd));
	arm_smmu_vcmd_make(smmu, from, granules, cmd);
	KUNIT_ASSERT_GE(test, cmd->count, 1);
	KUNIT_ASSERT_LT(test, cmd->count, 512);
	for (i = 0; i < cmd->count; i++) {
		test_unpack(cmd, i, out);
		KUNIT_ASSERT_TRUE_MSG(test, test_legal(smmu, out),
				      "%016llx %016llx from %016llx %016llx",
				      out[0], out[1], from[0], from[1]);
	}
	/* VMID and StreamID are of the host, which has not added them yet */
	switch (FIELD_GET(HW_CMD0_OP, cmd->data[0])) {
	case HW_OP_CFGI_CD:
	case HW_OP_CFGI_CD_ALL:
	case HW_OP_ATC_INV:
		KUNIT_ASSERT_EQ(test, cmd->data[0] & HW_CMD0_SID, 0);
		break;
	default:
		KUNIT_ASSERT_EQ(test, cmd->data[0] & HW_TLBI0_VMID, 0);
	}
}

/* A range of a guest, for any number of its commands in a row */
static void test_make_one_range(struct kunit *test, const u64 *from, u64 granules)
{
	struct vcmd_test *vt = test->priv;
	unsigned int tg_log2 = test_tg_log2(from[1]), made_log2;
	struct arm_smmu_nested_cmd cmd;
	u64 first, pages, made;

	test_make(test, &vt->smmu, from, granules, &cmd);
	KUNIT_ASSERT_EQ(test, cmd.count, 1);
	if (granules > 32ULL << 31) {
		KUNIT_ASSERT_EQ(test, cmd.data[0], HW_OP_TLBI_NH_ASID |
				(from[0] & HW_TLBI0_ASID));
		KUNIT_ASSERT_EQ(test, cmd.data[1], 0);
		return;
	}
	KUNIT_ASSERT_EQ(test, cmd.data[0] & (HW_CMD0_OP | HW_TLBI0_ASID),
			from[0] & (HW_CMD0_OP | HW_TLBI0_ASID));
	KUNIT_ASSERT_EQ(test, cmd.data[1] & HW_TLBI1_LEAF,
			from[1] & HW_TLBI1_LEAF);
	/* The level is only a hint, and this range is not the guest's */
	KUNIT_ASSERT_EQ(test, cmd.data[1] & HW_TLBI1_TTL, 0);
	first = from[1] & HW_TLBI1_ADDR;
	KUNIT_ASSERT_EQ(test, cmd.data[1] & HW_TLBI1_ADDR, first);
	made_log2 = test_tg_log2(cmd.data[1]);
	if (made_log2 == 10) {
		KUNIT_ASSERT_EQ(test, granules, 1);
		return;
	}
	KUNIT_ASSERT_EQ(test, made_log2, tg_log2);
	pages = (FIELD_GET(HW_TLBI0_NUM, cmd.data[0]) + 1) <<
		FIELD_GET(HW_TLBI0_SCALE, cmd.data[0]);
	made = pages - granules;
	KUNIT_ASSERT_GE(test, pages, granules);
	KUNIT_ASSERT_LE(test, made, granules == 1 ? 1 : granules / 16);
}

/* Every length that a guest can say, in all granules; and runs of them */
static void vcmd_test_make_range(struct kunit *test)
{
	static const u64 addrs[] = { 0, SZ_64K, 0xffffedcba9870000, 0xffffffffffff0000 };
	static const u32 counts[] = { 1, 2, 3, 16, 17, 1000, U32_MAX };
	unsigned int num, scale, g, a, c;
	u64 from[CMD_QWORDS], granules;

	for (num = 0; num < 32; num++) {
		for (scale = 0; scale < 32; scale++) {
			granules = (num + 1ULL) << scale;
			for (c = 0; c < 3 * ARRAY_SIZE(addrs) * ARRAY_SIZE(counts);
			     c++) {
				g = c % 3;
				a = c / 3 % ARRAY_SIZE(addrs);
				from[0] = HW_OP_TLBI_NH_VA |
					  FIELD_PREP(HW_TLBI0_NUM, num) |
					  FIELD_PREP(HW_TLBI0_SCALE, scale) |
					  FIELD_PREP(HW_TLBI0_VMID, 0xffff) |
					  FIELD_PREP(HW_TLBI0_ASID, 0xabcd);
				from[1] = addrs[a] | (c & 1) |
					  FIELD_PREP(HW_TLBI1_TG, g + 1) |
					  FIELD_PREP(HW_TLBI1_TTL, c % 4);
				test_make_one_range(test, from,
						    granules * counts[c / 3 / ARRAY_SIZE(addrs)]);
			}
		}
	}
}

/* A single address says nothing of a granule, and neither may what serves it */
static void vcmd_test_make_address(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	struct arm_smmu_nested_cmd cmd;
	struct arm_smmu_device *smmu;
	u64 from[CMD_QWORDS];
	unsigned int n, i;

	smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, smmu);
	for (n = 0; n < TEST_SMMUS; n++) {
		test_make_smmu(smmu, n);
		for (i = 0; i < 1000; i++) {
			from[0] = i % 2 ? HW_OP_TLBI_NH_VA : HW_OP_TLBI_NH_VAA;
			from[0] |= test_random(vt) & HW_TLBI0_VMID;
			if (i % 2)
				from[0] |= (test_random(vt) & 0xff) << 48;
			from[1] = test_random(vt) & (HW_TLBI1_LEAF | HW_TLBI1_ADDR);
			test_make(test, smmu, from, 1, &cmd);
			KUNIT_ASSERT_EQ(test, cmd.count, 1);
			KUNIT_ASSERT_EQ(test, cmd.data[0],
					from[0] & ~HW_TLBI0_VMID);
			KUNIT_ASSERT_EQ(test, cmd.data[1], from[1]);
			/* What would be ignored in a range is not there */
			if (!(smmu->features & ARM_SMMU_FEAT_RANGE_INV))
				continue;
			from[0] |= HW_TLBI0_NUM | HW_TLBI0_SCALE;
			from[1] |= HW_TLBI1_TTL;
			test_make(test, smmu, from, 1, &cmd);
			KUNIT_ASSERT_EQ(test, cmd.data[0] & HW_TLBI0_NUM, 0);
			KUNIT_ASSERT_EQ(test, cmd.data[1],
					from[1] & ~HW_TLBI1_TTL);
		}
	}
}

/* Without ranges: one for each page, or all of the ASID, or all */
static void vcmd_test_make_repeated(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	struct arm_smmu_nested_cmd cmd;
	u64 from[CMD_QWORDS], out[CMD_QWORDS];
	unsigned int n, i, any_asid;

	vt->smmu.features &= ~ARM_SMMU_FEAT_RANGE_INV;
	for (any_asid = 0; any_asid < 2; any_asid++) {
		from[0] = any_asid ? HW_OP_TLBI_NH_VAA :
			  HW_OP_TLBI_NH_VA | FIELD_PREP(HW_TLBI0_ASID, 0xfeed);
		from[1] = 0xfffffffffe000000 | any_asid;
		for (n = 1; n < 1100; n++) {
			test_make(test, &vt->smmu, from, n, &cmd);
			if (n >= 512) {
				KUNIT_ASSERT_EQ(test, cmd.count, 1);
				KUNIT_ASSERT_EQ(test, cmd.data[0], any_asid ?
						HW_OP_TLBI_NH_ALL :
						HW_OP_TLBI_NH_ASID |
						FIELD_PREP(HW_TLBI0_ASID, 0xfeed));
				KUNIT_ASSERT_EQ(test, cmd.data[1], 0);
				continue;
			}
			KUNIT_ASSERT_EQ(test, cmd.count, n);
			for (i = 0; i < n; i++) {
				test_unpack(&cmd, i, out);
				KUNIT_ASSERT_EQ(test, out[0], from[0]);
				KUNIT_ASSERT_EQ(test, out[1],
						from[1] + i * TEST_PAGE);
			}
		}
	}
}

/* All the others mean the same as before, but for whose they are */
static void vcmd_test_make_others(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	struct arm_smmu_nested_cmd cmd;
	u64 from[CMD_QWORDS], expected[CMD_QWORDS], span;
	unsigned int n, size;

	for (n = 0; n < 53 * 400; n++) {
		size = n / 400;
		from[1] = 0;
		switch (n % 6) {
		case 0:
			from[0] = HW_OP_TLBI_NSNH_ALL;
			expected[0] = HW_OP_TLBI_NH_ALL;
			break;
		case 1:
			from[0] = HW_OP_TLBI_NH_ALL |
				  (test_random(vt) & HW_TLBI0_VMID);
			expected[0] = HW_OP_TLBI_NH_ALL;
			break;
		case 2:
			from[0] = HW_OP_TLBI_NH_ASID |
				  (test_random(vt) & (HW_TLBI0_VMID | HW_TLBI0_ASID));
			expected[0] = from[0] & ~HW_TLBI0_VMID;
			break;
		case 3:
			from[0] = HW_OP_CFGI_CD |
				  (test_random(vt) & (HW_CMD0_SID | HW_CMD0_SSID));
			from[1] = n & 8 ? HW_CFGI1_LEAF : 0;
			expected[0] = from[0] & ~HW_CMD0_SID;
			break;
		case 4:
			from[0] = HW_OP_CFGI_CD_ALL |
				  (test_random(vt) & HW_CMD0_SID);
			expected[0] = HW_OP_CFGI_CD_ALL;
			break;
		default:
			from[0] = HW_OP_ATC_INV |
				  (test_random(vt) & (HW_CMD0_SID | HW_CMD0_SSID |
						      HW_CMD0_SSV | HW_CMD0_GLOBAL));
			from[1] = (test_random(vt) & HW_ATC1_ADDR) | size;
			expected[0] = from[0] & ~HW_CMD0_SID;
			if (!(from[0] & HW_CMD0_SSV))
				expected[0] = HW_OP_ATC_INV;
			break;
		}
		expected[1] = from[1];
		if (n % 6 == 5) {
			span = size == HW_ATC1_SIZE_ALL ? U64_MAX :
			       (BIT_ULL(size) << 12) - 1;
			expected[1] = (from[1] & HW_ATC1_ADDR & ~span) | size;
		}
		test_make(test, &vt->smmu, from, 0, &cmd);
		KUNIT_ASSERT_EQ(test, cmd.count, 1);
		KUNIT_ASSERT_EQ(test, cmd.data[0], expected[0]);
		KUNIT_ASSERT_EQ(test, cmd.data[1], expected[1]);
	}
}

static int test_fetch(struct iommu_inv_source *source, void *entries,
		      size_t size, u32 max)
{
	struct test_source *ts = container_of(source, struct test_source, source);
	__le64 *to = entries;
	u32 n;

	for (n = 0; n < min3(max, ts->chunk, source->left); n++) {
		if (!ts->bad)
			break;
		to[2 * n] = cpu_to_le64((*ts->cmds)[0]);
		to[2 * n + 1] = cpu_to_le64((*ts->cmds)[1]);
		ts->cmds++;
		ts->bad--;
	}
	source->left -= n;
	return n ?: -EFAULT;
}

static bool test_by_stream(u8 op)
{
	return op == HW_OP_CFGI_CD || op == HW_OP_CFGI_CD_ALL ||
	       op == HW_OP_ATC_INV;
}

/*
 * Look at what is in the queue. Each cache is filled from another one: a command
 * for it has to wait until those for the other are complete.
 */
static void test_capture(struct kunit *test, u32 prod)
{
	struct vcmd_test *vt = test->priv;
	bool cfgi = false, tlbi = false;
	u64 *cmd;
	u8 op;

	vt->nr_out = 0;
	vt->syncs = 0;
	for (; prod != vt->reg; prod = (prod + 1) % (2 * TEST_RING)) {
		cmd = vt->out[vt->nr_out];
		cmd[0] = le64_to_cpu(vt->ring[prod % TEST_RING][0]);
		cmd[1] = le64_to_cpu(vt->ring[prod % TEST_RING][1]);
		op = FIELD_GET(HW_CMD0_OP, cmd[0]);
		if (op == HW_OP_SYNC) {
			vt->syncs++;
			cfgi = false;
			tlbi = false;
			continue;
		}
		vt->nr_out++;
		KUNIT_ASSERT_TRUE_MSG(test, test_legal(&vt->smmu, cmd),
				      "%016llx %016llx", cmd[0], cmd[1]);
		if (!test_by_stream(op))
			KUNIT_ASSERT_EQ(test, FIELD_GET(HW_TLBI0_VMID, cmd[0]),
					TEST_VMID);
		KUNIT_ASSERT_FALSE(test, op == HW_OP_ATC_INV && (cfgi || tlbi));
		KUNIT_ASSERT_FALSE(test, !test_by_stream(op) && cfgi);
		cfgi |= test_by_stream(op) && op != HW_OP_ATC_INV;
		tlbi |= !test_by_stream(op);
	}
	/* The last one is a CMD_SYNC, if there is any */
	if (vt->nr_out) {
		KUNIT_ASSERT_GE(test, vt->syncs, 1);
		KUNIT_ASSERT_EQ(test, le64_to_cpu(vt->ring[(prod - 1) %
							   TEST_RING][0]) &
				HW_CMD0_OP, HW_OP_SYNC);
	}
}

/* Give the commands of @vt->in, of which one cannot be read, to the guest's SMMU */
static int test_invalidate(struct kunit *test, u32 bad, u32 *done)
{
	struct vcmd_test *vt = test->priv;
	u32 prod = vt->reg;
	int ret;

	vt->source.source.left = vt->nr_in;
	vt->source.source.fetch = test_fetch;
	vt->source.cmds = (const u64 (*)[CMD_QWORDS])vt->in;
	vt->source.bad = bad;
	vt->source.chunk = 1 + test_random(vt) % (2 * IOMMU_VIOMMU_CHUNK);
	vt->iter.source = &vt->source.source;
	*done = 0;
	ret = arm_smmu_viommu_cache_invalidate(&vt->viommu.core, &vt->iter, done);
	test_capture(test, prod);
	return ret;
}

static void test_add(struct vcmd_test *vt, u64 word0, u64 word1)
{
	vt->in[vt->nr_in][0] = word0;
	vt->in[vt->nr_in++][1] = word1;
}

static void test_all_done(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	u32 done;

	KUNIT_ASSERT_EQ(test, test_invalidate(test, U32_MAX, &done), 0);
	KUNIT_ASSERT_EQ(test, done, vt->nr_in);
}

static bool test_any_drops(const struct vcmd_test *vt,
			   const struct test_entry *entry)
{
	unsigned int i;

	for (i = 0; i < vt->nr_out; i++)
		if (test_drops(vt->out[i], entry))
			return true;
	return false;
}

/*
 * Entries at the edges of what a command drops, in every granule that there is:
 * all that it drops has to be dropped by something in the queue.
 */
static void test_one_dropped(struct kunit *test, const u64 *cmd)
{
	struct vcmd_test *vt = test->priv;
	struct test_entry entry;
	unsigned int n;
	u64 bytes = 1;

	if (test_by_stream(FIELD_GET(HW_CMD0_OP, cmd[0])))
		return;
	if (cmd[1] & HW_TLBI1_TG)
		bytes = (FIELD_GET(HW_TLBI0_NUM, cmd[0]) + 1) <<
			(FIELD_GET(HW_TLBI0_SCALE, cmd[0]) +
			 test_tg_log2(cmd[1]));
	for (n = 0; n < 3 * 3 * 2; n++) {
		entry.granule_log2 = test_granules[n % 3];
		entry.addr = cmd[1] & HW_TLBI1_ADDR;
		if (n / 3 % 3)
			entry.addr += n / 3 % 3 == 1 ? bytes - 1 : bytes / 2;
		entry.walk = n / 9;
		entry.asid = FIELD_GET(HW_CMD0_OP, cmd[0]) == HW_OP_TLBI_NH_VAA ?
				     0xa5 : FIELD_GET(HW_TLBI0_ASID, cmd[0]);
		if (!(vt->smmu.pgsize_bitmap & BIT(entry.granule_log2)) ||
		    entry.addr < (cmd[1] & HW_TLBI1_ADDR) ||
		    !test_drops(cmd, &entry))
			continue;
		KUNIT_ASSERT_TRUE_MSG(test, test_any_drops(vt, &entry),
				      "%016llx %016llx, entry %llx << %u",
				      cmd[0], cmd[1], entry.addr,
				      entry.granule_log2);
	}
}

static void test_all_dropped(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	unsigned int i;

	for (i = 0; i < vt->nr_in; i++)
		test_one_dropped(test, vt->in[i]);
}

/* A command like the one before, in some way or other */
static void test_next_random(struct vcmd_test *vt)
{
	unsigned int choice = test_random(vt) % 16;
	u64 word0, word1, last[CMD_QWORDS] = { HW_OP_TLBI_NH_VA };
	bool ril = vt->smmu.features & ARM_SMMU_FEAT_RANGE_INV;

	if (vt->nr_in)
		memcpy(last, vt->in[vt->nr_in - 1], sizeof(last));
	word0 = last[0];
	word1 = last[1];
	if (choice < 10) {
		/* The next page, or not quite */
		word1 += TEST_PAGE * (choice < 8 ? 1 : test_random(vt) % 40);
	} else if (choice < 12) {
		word0 ^= FIELD_PREP(HW_TLBI0_ASID, test_random(vt) % 4);
		word1 += TEST_PAGE;
	} else if (choice == 12) {
		word1 ^= HW_TLBI1_LEAF;
	} else {
		word0 = (choice & 1 ? HW_OP_TLBI_NH_VA : HW_OP_TLBI_NH_VAA) |
			(test_random(vt) & HW_TLBI0_VMID);
		word1 = test_random(vt) & (HW_TLBI1_LEAF | HW_TLBI1_ADDR);
		/* Near the end of the addresses */
		if (choice == 15)
			word1 |= U64_MAX << (16 + test_random(vt) % 8);
		if (ril && test_random(vt) % 2) {
			word0 |= test_random(vt) & HW_TLBI0_NUM;
			word0 |= FIELD_PREP(HW_TLBI0_SCALE, test_random(vt) % 8);
			word1 |= test_random(vt) & (HW_TLBI1_TG | HW_TLBI1_TTL);
		}
	}
	word1 &= HW_TLBI1_LEAF | HW_TLBI1_ADDR | HW_TLBI1_TG | HW_TLBI1_TTL;
	if (FIELD_GET(HW_CMD0_OP, word0) == HW_OP_TLBI_NH_VAA)
		word0 &= ~HW_TLBI0_ASID;
	test_add(vt, word0, word1);
	if (!test_may_pass(&vt->smmu, vt->in[vt->nr_in - 1]))
		vt->nr_in--;
}

/* Nothing is lost on the way, whatever is joined and wherever chunks end */
static void vcmd_test_issue_random(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	unsigned int n, wanted, in = 0, out = 0;

	for (n = 0; n < 600; n++) {
		test_make_smmu(&vt->smmu, n % TEST_SMMUS | 2);
		vt->nr_in = 0;
		wanted = 1 + test_random(vt) % 100;
		while (vt->nr_in < wanted)
			test_next_random(vt);
		test_all_done(test);
		KUNIT_ASSERT_EQ(test, vt->syncs, 1);
		test_all_dropped(test);
		in += vt->nr_in;
		out += vt->nr_out;
	}
	kunit_info(test, "%u commands became %u", in, out);
}

/* Neighbours are joined */
static void test_run(struct kunit *test, u64 word0, u64 word1, u64 step,
		     unsigned int nr, unsigned int expected)
{
	struct vcmd_test *vt = test->priv;
	unsigned int i;

	vt->nr_in = 0;
	for (i = 0; i < nr; i++)
		test_add(vt, word0, word1 + i * step);
	test_all_done(test);
	KUNIT_ASSERT_EQ(test, vt->syncs, 1);
	KUNIT_ASSERT_EQ_MSG(test, vt->nr_out, expected, "%u of %016llx %016llx",
			    nr, word0, word1);
	test_all_dropped(test);
}

static void vcmd_test_issue_runs(struct kunit *test)
{
	const u64 va = HW_OP_TLBI_NH_VA | FIELD_PREP(HW_TLBI0_ASID, 5);
	const u64 range = va | FIELD_PREP(HW_TLBI0_NUM, 3);
	const u64 tg4k = FIELD_PREP(HW_TLBI1_TG, 1);
	const u64 tg64k = FIELD_PREP(HW_TLBI1_TG, 3);
	struct vcmd_test *vt = test->priv;
	unsigned int nr;

	for (nr = 2; nr < 300; nr += nr / 2) {
		/* In each granule there is */
		test_run(test, va, 0, TEST_PAGE, nr, 3);
		test_run(test, va, 0xdeadbeef000, TEST_PAGE, nr, 3);
		test_run(test, HW_OP_TLBI_NH_VAA, 0x123000, TEST_PAGE, nr, 3);
		test_run(test, range, tg4k, 4 * SZ_4K, nr, 1);
		test_run(test, range, tg64k | 1, 4 * SZ_64K, nr, 1);
		/* With a gap, on top of each other, or backwards */
		test_run(test, va, 0, 2 * TEST_PAGE, nr, nr);
		test_run(test, va, 0, 0, nr, nr);
		test_run(test, va, 0x7ffffff000, -TEST_PAGE, nr, nr);
		test_run(test, range, tg4k, 5 * SZ_4K, nr, nr);
		test_run(test, range, tg4k, 3 * SZ_4K, nr, nr);
		/* Not by address */
		test_run(test, HW_OP_TLBI_NH_ALL, 0, 0, nr, nr);
		test_run(test, HW_OP_TLBI_NH_ASID, 0, 0, nr, nr);
	}
	vt->smmu.pgsize_bitmap = SZ_16K;
	test_run(test, va, 0, TEST_PAGE, 100, 1);
	vt->smmu.features &= ~ARM_SMMU_FEAT_RANGE_INV;
	test_run(test, va, 0, TEST_PAGE, 511, 511);
	test_run(test, va, 0, TEST_PAGE, 512, 1);
}

/* The last page and the first one are no neighbours */
static void vcmd_test_issue_end(struct kunit *test)
{
	const u64 va = HW_OP_TLBI_NH_VA;
	struct vcmd_test *vt = test->priv;
	unsigned int nr, i;

	for (nr = 1; nr < 40; nr++) {
		vt->nr_in = 0;
		for (i = 0; i < nr; i++)
			test_add(vt, va, (u64)-TEST_PAGE * (nr - i));
		for (i = 0; i < nr; i++)
			test_add(vt, va, (u64)TEST_PAGE * i);
		test_all_done(test);
		KUNIT_ASSERT_EQ(test, vt->nr_out, nr > 1 ? 6 : 2);
		test_all_dropped(test);
	}
}

/* A command that differs in anything but the address is not joined */
static void vcmd_test_issue_not_joined(struct kunit *test)
{
	const u64 va = HW_OP_TLBI_NH_VA | FIELD_PREP(HW_TLBI0_ASID, 5) |
		       FIELD_PREP(HW_TLBI0_NUM, 1);
	const u64 at = SZ_64K | FIELD_PREP(HW_TLBI1_TG, 1);
	static const u64 others[][CMD_QWORDS] = {
		/* ASID, VMID, length, opcode */
		{ FIELD_PREP_CONST(HW_TLBI0_ASID, 4), 0 },
		{ FIELD_PREP_CONST(HW_TLBI0_VMID, 1), 0 },
		{ FIELD_PREP_CONST(HW_TLBI0_NUM, 2), 0 },
		{ FIELD_PREP_CONST(HW_TLBI0_SCALE, 1), 0 },
		{ 1 | FIELD_PREP_CONST(HW_TLBI0_ASID, 5), 0 },
		/* Leaf, level, granule */
		{ 0, HW_TLBI1_LEAF },
		{ 0, FIELD_PREP_CONST(HW_TLBI1_TTL, 3) },
		{ 0, FIELD_PREP_CONST(HW_TLBI1_TG, 1) },
		{ 0, FIELD_PREP_CONST(HW_TLBI1_TG, 2) },
	};
	struct vcmd_test *vt = test->priv;
	unsigned int n, i;

	for (n = 0; n < 2 * ARRAY_SIZE(others); n++) {
		i = n / 2;
		vt->nr_in = 0;
		test_add(vt, va, at);
		test_add(vt, va ^ others[i][0], (at + SZ_8K) ^ others[i][1]);
		if (!test_may_pass(&vt->smmu, vt->in[1]))
			vt->in[1][1] = (at + SZ_64K) ^ others[i][1];
		/* The other way round, with the addresses upwards again */
		if (n & 1) {
			swap(vt->in[0][0], vt->in[1][0]);
			swap(vt->in[0][1], vt->in[1][1]);
			vt->in[1][1] += SZ_64K * 2;
		}
		test_all_done(test);
		KUNIT_ASSERT_EQ_MSG(test, vt->nr_out, 2, "%u", i);
		test_all_dropped(test);
	}
}

/*
 * The commands before a bad one are done, none after it is, and the count says
 * so: wherever it is, and whatever is wrong with it.
 */
static void vcmd_test_issue_bad(struct kunit *test)
{
	const struct test_entry behind = {
		.addr = 600 * TEST_PAGE,
		.granule_log2 = 12,
	};
	struct vcmd_test *vt = test->priv;
	unsigned int pos, kind, i;
	u32 done;

	for (pos = 0; pos < 140; pos++) {
		for (kind = 0; kind < 4; kind++) {
			vt->nr_in = 0;
			for (i = 0; i < 150; i++)
				test_add(vt, HW_OP_TLBI_NH_VA,
					 (u64)TEST_PAGE * i * (1 + pos % 2));
			if (kind == 0)
				vt->in[pos][0] = HW_OP_SYNC;
			else if (kind == 1)
				vt->in[pos][1] |= BIT(4);
			else if (kind == 2)
				vt->in[pos][0] = HW_OP_CFGI_CD_ALL | BIT_ULL(40);
			KUNIT_ASSERT_EQ(test,
					test_invalidate(test, kind == 3 ? pos :
							U32_MAX, &done),
					kind == 3 ? -EFAULT : -EIO);
			KUNIT_ASSERT_EQ(test, done, pos);
			KUNIT_ASSERT_EQ(test, vt->syncs, !!pos);
			vt->nr_in = pos;
			test_all_dropped(test);
			/* Nothing far behind it is dropped */
			KUNIT_ASSERT_FALSE(test, test_any_drops(vt, &behind));
		}
	}
}

/* Nothing to do is a probe */
static void vcmd_test_issue_none(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;

	test_all_done(test);
	KUNIT_EXPECT_EQ(test, vt->nr_out, 0);
	KUNIT_EXPECT_EQ(test, vt->syncs, 0);
}

/* By stream: to each one of the device, under the names of the host */
static void vcmd_test_issue_streams(struct kunit *test)
{
	static const u64 cmds[][CMD_QWORDS] = {
		{ HW_OP_CFGI_CD | FIELD_PREP_CONST(HW_CMD0_SSID, 0x12345), 1 },
		{ HW_OP_CFGI_CD_ALL, 0 },
		{ HW_OP_ATC_INV | HW_CMD0_SSV |
		  FIELD_PREP_CONST(HW_CMD0_SSID, 7), 3 },
	};
	struct vcmd_test *vt = test->priv;
	struct test_dev *td;
	unsigned int n, i, d;
	u64 other;

	for (n = 0; n < ARRAY_SIZE(cmds) * TEST_DEVS; n++) {
		i = n % ARRAY_SIZE(cmds);
		d = n / ARRAY_SIZE(cmds);
		td = &vt->devs[d];
		vt->nr_in = 0;
		test_add(vt, cmds[i][0] | FIELD_PREP(HW_CMD0_SID, td->vdev.virt_id),
			 cmds[i][1]);
		test_all_done(test);
		/* Without a table of the guest, or without ATS, there is nothing */
		if (d == 2 || (i == 2 && !td->nested.ats)) {
			KUNIT_ASSERT_EQ(test, vt->nr_out, 0);
			continue;
		}
		KUNIT_ASSERT_EQ(test, vt->nr_out, 2);
		KUNIT_ASSERT_EQ(test, vt->out[0][0], cmds[i][0] |
				FIELD_PREP(HW_CMD0_SID, td->streams[0].id));
		KUNIT_ASSERT_EQ(test, vt->out[1][0], cmds[i][0] |
				FIELD_PREP(HW_CMD0_SID, td->streams[1].id));
		KUNIT_ASSERT_EQ(test, vt->out[0][1], cmds[i][1]);
		KUNIT_ASSERT_EQ(test, vt->out[1][1], cmds[i][1]);
	}

	/* The host's own name of a stream is none of the guest's */
	for (d = 0; d < TEST_DEVS; d++) {
		other = FIELD_PREP(HW_CMD0_SID, vt->devs[d].streams[1].id);
		for (i = 0; i < ARRAY_SIZE(cmds); i++) {
			u32 done;

			vt->nr_in = 0;
			test_add(vt, cmds[i][0] | other, cmds[i][1]);
			KUNIT_ASSERT_EQ(test, test_invalidate(test, U32_MAX, &done),
					-EIO);
			KUNIT_ASSERT_EQ(test, done, 0);
			KUNIT_ASSERT_EQ(test, vt->nr_out, 0);
			KUNIT_ASSERT_EQ(test, vt->syncs, 0);
		}
	}
}

/*
 * Each cache is invalid before the ones that are filled from it are invalidated:
 * test_capture() looks. No more CMD_SYNCs than it takes.
 */
static void vcmd_test_issue_order(struct kunit *test)
{
	static const u64 kinds[][CMD_QWORDS] = {
		{ HW_OP_CFGI_CD, 0 },
		{ HW_OP_TLBI_NH_ASID, 0 },
		{ HW_OP_ATC_INV, HW_ATC1_SIZE_ALL },
	};
	struct vcmd_test *vt = test->priv;
	unsigned int n, left, i, last, syncs;

	for (n = 0; n < 3 * 3 * 3 * 3 * 3; n++) {
		vt->nr_in = 0;
		syncs = 1;
		last = 2;
		for (left = n, i = 0; i < 5; i++, left /= 3) {
			test_add(vt, kinds[left % 3][0], kinds[left % 3][1]);
			/* What a CMD_SYNC has made complete stays so */
			if (!i || left % 3 <= last) {
				last = left % 3;
				continue;
			}
			syncs++;
			last = left % 3;
		}
		test_all_done(test);
		KUNIT_ASSERT_LE(test, vt->syncs, syncs);
	}
}

/* More commands than go out at once, on an SMMU that wants a CMD_SYNC with them */
static void vcmd_test_issue_long(struct kunit *test)
{
	struct vcmd_test *vt = test->priv;
	unsigned int i, n, force_sync;

	for (force_sync = 0; force_sync < 2; force_sync++) {
		if (force_sync)
			vt->smmu.options |= ARM_SMMU_OPT_CMDQ_FORCE_SYNC;
		vt->nr_in = 0;
		for (i = 0; i < 400; i++)
			test_add(vt, HW_OP_TLBI_NH_VA, (u64)i * 2 * TEST_PAGE);
		test_all_done(test);
		KUNIT_ASSERT_EQ(test, vt->nr_out, 400);
		KUNIT_ASSERT_EQ(test, vt->syncs, force_sync ?
				DIV_ROUND_UP(400, BITS_PER_LONG - 1) : 1);
		test_all_dropped(test);
	}
	/* A TLBI that starts the next batch is not complete for an ATC_INV */
	for (n = BITS_PER_LONG - 3; n < BITS_PER_LONG + 3; n++) {
		vt->nr_in = 0;
		for (i = 0; i < n; i++)
			test_add(vt, HW_OP_TLBI_NH_VA, (u64)i * 2 * TEST_PAGE);
		test_add(vt, HW_OP_ATC_INV, HW_ATC1_SIZE_ALL);
		test_all_done(test);
	}
}

/* A CMD_SYNC in between does not complete what comes after it */
static void vcmd_test_issue_long_order(struct kunit *test)
{
	static const u8 counts[] = { 1, 2, 31, 61, 62, 63, 64, 65, 66, 100, 125,
				     126, 127, 128, 129, 189, 190, 191, 192 };
	struct vcmd_test *vt = test->priv;
	unsigned int n, nr, i, step;

	for (n = 0; n < 2 * 2 * 2 * ARRAY_SIZE(counts); n++) {
		nr = counts[n / 8];
		/* One by one, or a run that is repeated without ranges */
		step = n & 1 ? TEST_PAGE : 2 * TEST_PAGE;
		vt->smmu.features = ARM_SMMU_FEAT_ATS;
		if (n & 2)
			vt->smmu.features |= ARM_SMMU_FEAT_RANGE_INV;
		vt->smmu.options = n & 4 ? ARM_SMMU_OPT_CMDQ_FORCE_SYNC : 0;
		vt->nr_in = 0;
		for (i = 0; i < nr; i++)
			test_add(vt, HW_OP_TLBI_NH_VA, (u64)i * step);
		test_add(vt, HW_OP_ATC_INV, HW_ATC1_SIZE_ALL);
		for (i = 0; i < nr; i++)
			test_add(vt, HW_OP_CFGI_CD_ALL, 0);
		test_add(vt, HW_OP_TLBI_NH_ALL, 0);
		test_all_done(test);
		test_all_dropped(test);
	}
}

static struct kunit_case vcmd_test_cases[] = {
	KUNIT_CASE(vcmd_test_check_bits),
	KUNIT_CASE(vcmd_test_check_values),
	KUNIT_CASE(vcmd_test_make_range),
	KUNIT_CASE(vcmd_test_make_address),
	KUNIT_CASE(vcmd_test_make_repeated),
	KUNIT_CASE(vcmd_test_make_others),
	KUNIT_CASE(vcmd_test_issue_random),
	KUNIT_CASE(vcmd_test_issue_runs),
	KUNIT_CASE(vcmd_test_issue_end),
	KUNIT_CASE(vcmd_test_issue_not_joined),
	KUNIT_CASE(vcmd_test_issue_bad),
	KUNIT_CASE(vcmd_test_issue_none),
	KUNIT_CASE(vcmd_test_issue_streams),
	KUNIT_CASE(vcmd_test_issue_order),
	KUNIT_CASE(vcmd_test_issue_long),
	KUNIT_CASE(vcmd_test_issue_long_order),
	{},
};

static struct kunit_suite vcmd_test_suite = {
	.name = "arm-smmu-v3-vcmd",
	.init = vcmd_test_init,
	.test_cases = vcmd_test_cases,
};

kunit_test_suites(&vcmd_test_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests for a guest's commands on arm-smmu-v3");
MODULE_LICENSE("GPL");
