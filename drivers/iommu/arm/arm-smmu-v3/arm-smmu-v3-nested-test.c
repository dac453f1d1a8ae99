// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested translation: what the hardware sees of a stream table entry while it
 * changes, and what the commands for an invalidation cover.
 *
 * Both are judged by models made from IHI 0070, the SMMUv3 architecture, alone:
 * neither the driver's masks nor its field names are used to read an STE or a
 * command, so that a mistake in them does not hide itself.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/io-pgtable.h>

#include "arm-smmu-v3-nested.h"

#define STE_QWORDS			8

/* Fields of an STE, 5.2 */
#define HW_STE0_V			BIT_ULL(0)
#define HW_STE0_CONFIG			GENMASK_ULL(3, 1)
#define HW_STE0_CONFIG_ABORT		0
#define HW_STE0_CONFIG_S1		1
#define HW_STE0_CONFIG_S2		2
#define HW_STE0_CONFIG_ON		4
#define HW_STE0_S1FMT			GENMASK_ULL(5, 4)
#define HW_STE0_S1CONTEXTPTR		GENMASK_ULL(51, 6)
#define HW_STE0_S1CDMAX			GENMASK_ULL(63, 59)
#define HW_STE1_S1DSS			GENMASK_ULL(1, 0)
#define HW_STE1_S1DSS_BYPASS		1
#define HW_STE1_S1CIR			GENMASK_ULL(3, 2)
#define HW_STE1_S1COR			GENMASK_ULL(5, 4)
#define HW_STE1_S1CSH			GENMASK_ULL(7, 6)
#define HW_STE1_MEV			BIT_ULL(19)
#define HW_STE1_S2FWB			BIT_ULL(25)
#define HW_STE1_S1STALLD		BIT_ULL(27)
#define HW_STE1_EATS			GENMASK_ULL(29, 28)
#define HW_STE1_STRW			GENMASK_ULL(31, 30)
#define HW_STE1_SHCFG			GENMASK_ULL(45, 44)
#define HW_STE2_S2VMID			GENMASK_ULL(15, 0)
#define HW_STE2_S2S			BIT_ULL(57)

enum test_ste_class {
	TEST_ABORT,
	TEST_BYPASS,
	TEST_S1,
	TEST_S2,
	TEST_PARENT,
	TEST_NESTED,
	TEST_NESTED_BYPASS,
};

/* One kind of STE, with what it was made from */
struct test_ste {
	__le64 data[STE_QWORDS];
	enum test_ste_class class;
	int parent;
	u16 vmid;
	bool ats;
	u8 s1fmt;
	u8 s1dss;
	u8 s1cdmax;
	u64 base;
};

#define TEST_PARENTS	2
#define TEST_MAX_STES	160

struct nested_test {
	struct arm_smmu_device smmu;
	struct arm_smmu_device smmu_fwb;
	struct arm_smmu_device smmu_e2h;
	struct io_pgtable s2_table[TEST_PARENTS];
	struct arm_smmu_domain parent[TEST_PARENTS];
	struct arm_smmu_domain plain;
	struct test_ste stes[TEST_MAX_STES];
	int nr_stes;
};

static void test_init_s2(struct io_pgtable *table, struct arm_smmu_domain *domain,
			 u64 vttbr, u16 vmid, bool nest_parent)
{
	table->cfg.arm_lpae_s2_cfg.vttbr = vttbr;
	table->cfg.arm_lpae_s2_cfg.vtcr.ps = 5;
	table->cfg.arm_lpae_s2_cfg.vtcr.tg = 1;
	table->cfg.arm_lpae_s2_cfg.vtcr.sh = 3;
	table->cfg.arm_lpae_s2_cfg.vtcr.orgn = 1;
	table->cfg.arm_lpae_s2_cfg.vtcr.irgn = 1;
	table->cfg.arm_lpae_s2_cfg.vtcr.sl = 2;
	table->cfg.arm_lpae_s2_cfg.vtcr.tsz = 20 + nest_parent;
	domain->pgtbl_ops = &table->ops;
	domain->s2_cfg.vmid = vmid;
	domain->nest_parent = nest_parent;
	domain->stage = ARM_SMMU_DOMAIN_S2;
}

static int nested_test_init(struct kunit *test)
{
	struct nested_test *nt;

	nt = kunit_kzalloc(test, sizeof(*nt), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, nt);
	test->priv = nt;

	nt->smmu.features = ARM_SMMU_FEAT_STALLS | ARM_SMMU_FEAT_ATTR_TYPES_OVR;
	nt->smmu_fwb.features = nt->smmu.features | ARM_SMMU_FEAT_S2FWB;
	nt->smmu_e2h.features = nt->smmu.features | ARM_SMMU_FEAT_E2H;
	test_init_s2(&nt->s2_table[0], &nt->parent[0], 0x123456789000, 7, true);
	test_init_s2(&nt->s2_table[1], &nt->parent[1], 0xabcdef012000, 8, true);
	return 0;
}

/* Take one of @base values off @combination: a loop over all of their combinations */
static unsigned int test_choose(unsigned int *combination, unsigned int base)
{
	unsigned int choice = *combination % base;

	*combination /= base;
	return choice;
}

static struct test_ste *test_new_ste(struct kunit *test, enum test_ste_class class)
{
	struct nested_test *nt = test->priv;
	struct test_ste *ste = &nt->stes[nt->nr_stes++];

	KUNIT_ASSERT_LE(test, nt->nr_stes, TEST_MAX_STES);
	ste->class = class;
	ste->parent = -1;
	return ste;
}

static void test_add_s1(struct kunit *test, struct arm_smmu_device *smmu,
			u8 s1dss, bool ats, bool stall, u64 base)
{
	struct arm_smmu_master master = {
		.smmu = smmu,
		.stall_enabled = stall,
		.cd_table.cdtab_dma = base,
		.cd_table.s1cdmax = 8,
		.cd_table.s1fmt = STRTAB_STE_0_S1FMT_64K_L2,
	};
	struct test_ste *ste = test_new_ste(test, TEST_S1);

	ste->ats = ats;
	ste->s1dss = s1dss;
	ste->base = base;
	arm_smmu_make_cdtable_ste((struct arm_smmu_ste *)ste->data, &master, ats,
				  s1dss);
}

static void test_make_s2(struct arm_smmu_device *smmu, struct test_ste *ste,
			 struct arm_smmu_domain *domain, bool stall)
{
	struct arm_smmu_master master = {
		.smmu = smmu,
		.stall_enabled = stall,
	};

	ste->vmid = domain->s2_cfg.vmid;
	arm_smmu_make_s2_domain_ste((struct arm_smmu_ste *)ste->data, &master,
				    domain, ste->ats);
}

static void test_make_nested(struct nested_test *nt, struct arm_smmu_device *smmu,
			     struct test_ste *ste)
{
	struct arm_smmu_master master = {
		.smmu = smmu,
		/* The host's stalls are not the guest's */
		.stall_enabled = true,
	};
	struct iommu_pasid_table table = {
		.parent = &nt->parent[ste->parent].domain,
		.config = {
			.format = IOMMU_PASID_TABLE_SMMUV3,
			.config = ste->class == TEST_NESTED ?
					  IOMMU_PASID_TABLE_TRANSLATE :
				  ste->class == TEST_NESTED_BYPASS ?
					  IOMMU_PASID_TABLE_BYPASS :
					  IOMMU_PASID_TABLE_ABORT,
			.pasid_bits = ste->s1cdmax,
			.base_addr = ste->base,
			.smmuv3.s1fmt = ste->s1fmt,
			.smmuv3.s1dss = ste->s1dss,
		},
	};

	arm_smmu_make_nested_ste((struct arm_smmu_ste *)ste->data, &master, &table,
				 ste->vmid, ste->ats);
}

static void test_add_nested(struct kunit *test, struct arm_smmu_device *smmu,
			    enum test_ste_class class, int parent, u16 vmid,
			    bool ats, u8 s1fmt, u8 s1dss, u8 s1cdmax, u64 base)
{
	struct test_ste *ste = test_new_ste(test, class);

	ste->parent = parent;
	ste->vmid = vmid;
	ste->ats = ats;
	ste->s1fmt = s1fmt;
	ste->s1dss = s1dss;
	ste->s1cdmax = s1cdmax;
	ste->base = base;
	test_make_nested(test->priv, smmu, ste);
}

#define TEST_BASE_A	0x80000000ULL
#define TEST_BASE_B	0xffffffffffc0ULL

/* Every kind of STE that a device below @smmu may have */
static void test_add_all(struct kunit *test, struct arm_smmu_device *smmu)
{
	struct nested_test *nt = test->priv;
	struct test_ste *ste;
	int ats, i, stall;
	u8 s1fmt, s1dss;

	ste = test_new_ste(test, TEST_ABORT);
	arm_smmu_make_abort_ste((struct arm_smmu_ste *)ste->data);
	ste = test_new_ste(test, TEST_BYPASS);
	arm_smmu_make_bypass_ste(smmu, (struct arm_smmu_ste *)ste->data);
	test_add_nested(test, smmu, TEST_ABORT, 0, 9, false, 0, 0, 0, TEST_BASE_A);

	for (ats = 0; ats < 2; ats++) {
		for (s1dss = 0; s1dss < 3; s1dss++)
			for (stall = 0; stall < 2; stall++)
				test_add_s1(test, smmu, s1dss, ats, stall,
					    0xf0f0f0f0f0c0);
		test_add_s1(test, &nt->smmu_e2h, 2, ats, false, TEST_BASE_A);

		for (stall = 0; stall < 2; stall++) {
			ste = test_new_ste(test, TEST_S2);
			ste->ats = ats;
			test_init_s2(&nt->s2_table[0], &nt->plain,
				     0x123456789000, 7, false);
			test_make_s2(smmu, ste, &nt->plain, stall);
			test_init_s2(&nt->s2_table[0], &nt->parent[0],
				     0x123456789000, 7, true);
		}
		for (i = 0; i < TEST_PARENTS; i++) {
			ste = test_new_ste(test, TEST_PARENT);
			ste->parent = i;
			ste->ats = ats;
			test_make_s2(smmu, ste, &nt->parent[i], true);
		}

		for (s1fmt = 0; s1fmt < 3; s1fmt++) {
			for (s1dss = 0; s1dss < 3; s1dss++) {
				test_add_nested(test, smmu, TEST_NESTED, 0, 9,
						ats, s1fmt, s1dss, 5,
						TEST_BASE_A);
				test_add_nested(test, smmu, TEST_NESTED, 0, 9,
						ats, s1fmt, s1dss, 20,
						TEST_BASE_B);
			}
			test_add_nested(test, smmu, TEST_NESTED, 0, 9, ats,
					s1fmt, 2, 0, TEST_BASE_A);
			test_add_nested(test, smmu, TEST_NESTED, 0, 10, ats,
					s1fmt, 2, 5, TEST_BASE_A);
			test_add_nested(test, smmu, TEST_NESTED, 1, 11, ats,
					s1fmt, 2, 5, TEST_BASE_A);
		}
		test_add_nested(test, smmu, TEST_NESTED_BYPASS, 0, 9, ats, 2, 1,
				5, TEST_BASE_B);
		test_add_nested(test, smmu, TEST_NESTED_BYPASS, 0, 10, ats, 0, 0,
				0, 0);
		test_add_nested(test, smmu, TEST_NESTED_BYPASS, 1, 11, ats, 0, 0,
				0, 0);
	}
}

enum test_seen {
	TEST_SEEN_ABORT,
	TEST_SEEN_RESERVED,
	TEST_SEEN_TRANSACTIONS,
};

/*
 * What the hardware takes from an STE: everything in @ste except for what the
 * architecture says is ignored. Fields that it does not know, or reserves, count
 * as seen.
 */
static enum test_seen test_hw_view(const __le64 *ste, u64 *seen)
{
	bool s1, s2, skip_s1;
	u64 config;
	int i;

	for (i = 0; i < STE_QWORDS; i++)
		seen[i] = le64_to_cpu(ste[i]);
	config = FIELD_GET(HW_STE0_CONFIG, seen[0]);

	if (!(seen[0] & HW_STE0_V) || config == HW_STE0_CONFIG_ABORT) {
		memset(seen, 0, STE_QWORDS * sizeof(*seen));
		return TEST_SEEN_ABORT;
	}
	if (!(config & HW_STE0_CONFIG_ON))
		return TEST_SEEN_RESERVED;

	s1 = config & HW_STE0_CONFIG_S1;
	s2 = config & HW_STE0_CONFIG_S2;
	/* Requests without a substream pass by the stage 1 */
	skip_s1 = !s1;

	if (s1 && !FIELD_GET(HW_STE0_S1CDMAX, seen[0])) {
		/* One CD, no substreams */
		seen[0] &= ~HW_STE0_S1FMT;
		seen[1] &= ~HW_STE1_S1DSS;
	} else if (s1) {
		skip_s1 = FIELD_GET(HW_STE1_S1DSS, seen[1]) ==
			  HW_STE1_S1DSS_BYPASS;
	}
	if (!s1) {
		seen[0] &= ~(HW_STE0_S1FMT | HW_STE0_S1CONTEXTPTR |
			     HW_STE0_S1CDMAX);
		seen[1] &= ~(HW_STE1_S1DSS | HW_STE1_S1CIR | HW_STE1_S1COR |
			     HW_STE1_S1CSH | HW_STE1_S1STALLD | HW_STE1_STRW);
	}
	if (!s2) {
		/*
		 * Whether events are merged makes no difference to a
		 * transaction; the driver merges those of nesting parents only.
		 */
		seen[1] &= ~(HW_STE1_S2FWB | HW_STE1_MEV);
		/* The VMID tags stage 1 of EL1 */
		if (s1 && !FIELD_GET(HW_STE1_STRW, seen[1]))
			seen[2] &= HW_STE2_S2VMID;
		else
			seen[2] = 0;
		seen[3] = 0;
	}
	if (!s1 && !s2)
		seen[1] &= ~HW_STE1_EATS;
	/* Stage 1 replaces the attributes of a transaction */
	if (!skip_s1)
		seen[1] &= ~HW_STE1_SHCFG;
	return TEST_SEEN_TRANSACTIONS;
}

struct test_writer {
	struct arm_smmu_entry_writer writer;
	struct kunit *test;
	const __le64 *from;
	const __le64 *to;
	__le64 *entry;
	/* What the hardware has for sure: the entry at the sync before */
	__le64 synced[STE_QWORDS];
	bool invalid;
	bool bad;
	int syncs;
};

static bool test_view_equal(const __le64 *a, const __le64 *b)
{
	u64 seen_a[STE_QWORDS], seen_b[STE_QWORDS];

	return test_hw_view(a, seen_a) == test_hw_view(b, seen_b) &&
	       !memcmp(seen_a, seen_b, sizeof(seen_a));
}

static void test_judge(struct test_writer *tw, const __le64 *entry)
{
	u64 seen[STE_QWORDS];

	if (!(le64_to_cpu(entry[0]) & HW_STE0_V))
		tw->invalid = true;
	if (test_hw_view(entry, seen) == TEST_SEEN_ABORT)
		return;
	if (!test_view_equal(entry, tw->from) && !test_view_equal(entry, tw->to))
		tw->bad = true;
}

/*
 * The hardware reads an STE in units of 64 bits, at any time and in any order.
 * Until a sync it may have any mix of the words before and after.
 */
static void test_writer_sync(struct arm_smmu_entry_writer *writer)
{
	struct test_writer *tw = container_of(writer, struct test_writer, writer);
	unsigned long changed = 0;
	__le64 mix[STE_QWORDS];
	unsigned int subset, i;

	tw->syncs++;
	for (i = 0; i < STE_QWORDS; i++)
		if (tw->synced[i] != tw->entry[i])
			changed |= BIT(i);
	for (subset = 0; subset < BIT(STE_QWORDS); subset++) {
		if (subset & ~changed)
			continue;
		for (i = 0; i < STE_QWORDS; i++)
			mix[i] = subset & BIT(i) ? tw->entry[i] : tw->synced[i];
		test_judge(tw, mix);
	}
	memcpy(tw->synced, tw->entry, sizeof(tw->synced));
}

static const struct arm_smmu_entry_writer_ops test_writer_ops = {
	.sync = test_writer_sync,
	.get_used = arm_smmu_get_ste_used,
};

static void test_print_ste(struct kunit *test, const char *what, const __le64 *ste)
{
	kunit_info(test, "%s %016llx %016llx %016llx %016llx", what,
		   le64_to_cpu(ste[0]), le64_to_cpu(ste[1]), le64_to_cpu(ste[2]),
		   le64_to_cpu(ste[3]));
}

/* Change an STE in the way of the driver; tell how it went */
static void test_transition(struct kunit *test, const __le64 *from,
			    const __le64 *to, struct test_writer *tw)
{
	__le64 entry[STE_QWORDS];

	memset(tw, 0, sizeof(*tw));
	memcpy(entry, from, sizeof(entry));
	memcpy(tw->synced, from, sizeof(entry));
	tw->writer.ops = &test_writer_ops;
	tw->test = test;
	tw->from = from;
	tw->to = to;
	tw->entry = entry;

	arm_smmu_write_entry(&tw->writer, entry, to);
	/* What was written is synced as well */
	if (memcmp(entry, tw->synced, sizeof(entry)) ||
	    memcmp(entry, to, sizeof(entry)) || tw->syncs > 3)
		tw->bad = true;
	tw->entry = NULL;
}

/*
 * How many words have to change for the hardware to see @to instead of @from,
 * if each word is free to change in what the hardware does not see. With one,
 * the change is possible without an invalid entry in between.
 */
static int test_words_to_change(const __le64 *from, const __le64 *to)
{
	u64 seen_from[STE_QWORDS], seen_to[STE_QWORDS], seen[STE_QWORDS];
	__le64 prepared[STE_QWORDS], probe[STE_QWORDS];
	int i, words = 0;
	u64 bit;

	test_hw_view(from, seen_from);
	test_hw_view(to, seen_to);
	/* Whatever bit of @from can have the value of @to unseen, has it */
	memcpy(prepared, from, sizeof(prepared));
	for (i = 0; i < STE_QWORDS; i++) {
		for (bit = 1; bit; bit <<= 1) {
			if (!((le64_to_cpu(prepared[i] ^ to[i])) & bit))
				continue;
			memcpy(probe, prepared, sizeof(probe));
			probe[i] ^= cpu_to_le64(bit);
			test_hw_view(probe, seen);
			if (!memcmp(seen, seen_from, sizeof(seen)))
				memcpy(prepared, probe, sizeof(prepared));
		}
	}
	for (i = 0; i < STE_QWORDS; i++) {
		memcpy(probe, to, sizeof(probe));
		probe[i] = prepared[i];
		test_hw_view(probe, seen);
		if (memcmp(seen, seen_to, sizeof(seen)))
			words++;
	}
	return words;
}

static bool test_same_stage2(const struct test_ste *a, const struct test_ste *b)
{
	return a->parent >= 0 && a->parent == b->parent;
}

/*
 * Changes that a guest makes at run time, or that bring it to life and to its
 * end: no DMA may be lost on the way. What each is worth in syncs; 0 for a pair
 * that is not one of them.
 */
static int test_hitless_syncs(const struct test_ste *a, const struct test_ste *b)
{
	bool nested_a = a->class == TEST_NESTED, nested_b = b->class == TEST_NESTED;
	bool bypass_a = a->class == TEST_NESTED_BYPASS;
	bool bypass_b = b->class == TEST_NESTED_BYPASS;

	/* To and from an abort: data first, or last, and one word that counts */
	if (hweight32(BIT(a->class) | BIT(b->class)) == 2 &&
	    (a->class == TEST_ABORT || b->class == TEST_ABORT))
		return 2;
	if (!test_same_stage2(a, b))
		return 0;
	/* Another table, or EATS alone: one word */
	if (nested_a && nested_b && a->vmid == b->vmid && a->s1dss == b->s1dss &&
	    a->ats == b->ats)
		return 1;
	if (nested_a && nested_b && a->vmid == b->vmid && a->s1dss == b->s1dss &&
	    a->base == b->base && a->s1fmt == b->s1fmt && a->s1cdmax == b->s1cdmax)
		return 1;
	/* S1DSS alone, where both have substreams */
	if (nested_a && nested_b && a->vmid == b->vmid && a->ats == b->ats &&
	    a->base == b->base && a->s1fmt == b->s1fmt && a->s1cdmax == b->s1cdmax)
		return 1;
	/* Stage 1 on and off */
	if (((nested_a && bypass_b) || (bypass_a && nested_b)) &&
	    a->vmid == b->vmid && a->ats == b->ats)
		return 2;
	/* The first and the last steps between a parent and its tables */
	if ((bypass_a || a->class == TEST_PARENT) &&
	    (bypass_b || b->class == TEST_PARENT) &&
	    (a->vmid == b->vmid || a->ats == b->ats))
		return 1;
	return 0;
}

/*
 * The driver takes more for used than the hardware does: what depends on
 * S1CDMax, and the VMID of EL2. A change may be invalid in between for that, but
 * not for any other reason.
 */
static bool test_driver_cautious(const struct test_ste *a, const struct test_ste *b)
{
	return (a->class == TEST_NESTED && !a->s1cdmax) ||
	       (b->class == TEST_NESTED && !b->s1cdmax) ||
	       le64_to_cpu(a->data[1] | b->data[1]) & HW_STE1_STRW;
}

static void test_every_pair(struct kunit *test, struct arm_smmu_device *smmu)
{
	struct nested_test *nt = test->priv;
	int i, j, pairs = 0, hitless = 0, must = 0;
	struct test_writer tw;
	bool possible;
	int syncs;

	test_add_all(test, smmu);
	for (i = 0; i < nt->nr_stes; i++) {
		for (j = 0; j < nt->nr_stes; j++) {
			const struct test_ste *a = &nt->stes[i];
			const struct test_ste *b = &nt->stes[j];

			if (!memcmp(a->data, b->data, sizeof(a->data)))
				continue;
			test_transition(test, a->data, b->data, &tw);
			syncs = test_hitless_syncs(a, b);
			possible = test_words_to_change(a->data, b->data) <= 1;
			pairs++;
			hitless += !tw.invalid;
			must += !!syncs;
			if (tw.bad || (syncs && (tw.invalid || tw.syncs != syncs)) ||
			    (tw.invalid ? possible && !test_driver_cautious(a, b) :
					  !possible)) {
				test_print_ste(test, "from", a->data);
				test_print_ste(test, "to  ", b->data);
				KUNIT_FAIL(test,
					   "%d -> %d: bad %d, invalid %d, syncs %d instead of %d",
					   a->class, b->class, tw.bad, tw.invalid,
					   tw.syncs, syncs);
				return;
			}
		}
	}
	kunit_info(test, "%d STEs, %d pairs: %d hitless, %d of them required",
		   nt->nr_stes, pairs, hitless, must);
	KUNIT_EXPECT_GT(test, must, 500);
}

static void nested_test_ste_every_pair(struct kunit *test)
{
	struct nested_test *nt = test->priv;

	test_every_pair(test, &nt->smmu);
}

static void nested_test_ste_every_pair_fwb(struct kunit *test)
{
	struct nested_test *nt = test->priv;

	test_every_pair(test, &nt->smmu_fwb);
}

/* FWB or not is the choice per domain: a plain one has none of it */
static void nested_test_ste_every_pair_mixed(struct kunit *test)
{
	struct nested_test *nt = test->priv;
	struct test_writer tw;
	int i, j;

	test_add_all(test, &nt->smmu);
	for (i = 0; i < nt->nr_stes; i++) {
		struct test_ste with_fwb = nt->stes[i];

		if (with_fwb.class == TEST_PARENT)
			test_make_s2(&nt->smmu_fwb, &with_fwb,
				     &nt->parent[with_fwb.parent], true);
		else if (with_fwb.class >= TEST_NESTED)
			test_make_nested(nt, &nt->smmu_fwb, &with_fwb);
		else
			continue;
		for (j = 0; j < nt->nr_stes; j++) {
			test_transition(test, with_fwb.data, nt->stes[j].data, &tw);
			KUNIT_ASSERT_FALSE(test, tw.bad);
			test_transition(test, nt->stes[j].data, with_fwb.data, &tw);
			KUNIT_ASSERT_FALSE(test, tw.bad);
		}
	}
}

/* One way through several entries, none of which may be invalid on its way */
static void test_path(struct kunit *test, struct test_ste **path, int nr)
{
	struct test_writer tw;
	u64 seen[STE_QWORDS];
	int i;

	for (i = 1; i < nr; i++) {
		if (!memcmp(path[i - 1]->data, path[i]->data,
			    sizeof(path[i]->data)))
			continue;
		test_transition(test, path[i - 1]->data, path[i]->data, &tw);
		KUNIT_EXPECT_FALSE(test, tw.bad);
		KUNIT_EXPECT_FALSE(test, tw.invalid);
		KUNIT_EXPECT_LE(test, tw.syncs, 2);
		/* Always below the same stage 2 */
		test_hw_view(path[i]->data, seen);
		KUNIT_EXPECT_TRUE(test, FIELD_GET(HW_STE0_CONFIG, seen[0]) &
						HW_STE0_CONFIG_S2);
		KUNIT_EXPECT_EQ(test, le64_to_cpu(path[0]->data[3]),
				le64_to_cpu(path[i]->data[3]));
	}
}

/*
 * From the parent alone to a table and back, in the steps of
 * arm_smmu_nested_enter() and arm_smmu_nested_leave(): EATS, then the VMID, then
 * stage 1.
 */
static void nested_test_ste_enter_leave(struct kunit *test)
{
	struct nested_test *nt = test->priv;
	struct arm_smmu_device *smmu;
	struct test_ste ste[4], *way_in[4], *way_out[4];
	bool ats_before, ats_after;
	unsigned int n, left;
	u8 s1fmt, s1dss;
	int i;

	for (n = 0; n < 2 * 2 * 2 * 3 * 3; n++) {
		left = n;
		smmu = test_choose(&left, 2) ? &nt->smmu_fwb : &nt->smmu;
		ats_before = test_choose(&left, 2);
		ats_after = test_choose(&left, 2);
		s1fmt = test_choose(&left, 3);
		s1dss = test_choose(&left, 3);
		memset(ste, 0, sizeof(ste));
		for (i = 0; i < 4; i++) {
			ste[i].ats = i ? ats_after : ats_before;
			ste[i].class = i == 3 ? TEST_NESTED : TEST_NESTED_BYPASS;
			ste[i].vmid = 9;
			ste[i].s1fmt = s1fmt;
			ste[i].s1dss = s1dss;
			ste[i].s1cdmax = 3;
			ste[i].base = TEST_BASE_B;
			way_in[i] = &ste[i];
			way_out[3 - i] = &ste[i];
			if (i < 2)
				test_make_s2(smmu, &ste[i], &nt->parent[0], false);
			else
				test_make_nested(nt, smmu, &ste[i]);
		}
		test_path(test, way_in, 4);
		/* ATS is off or on again last: after stage 1, before the VMID */
		ste[1].vmid = 9;
		ste[1].ats = ats_before;
		test_make_nested(nt, smmu, &ste[1]);
		test_path(test, way_out, 4);
	}
}

/*
 * Whatever a guest asks for, the host's part of the STE is that of its parent
 * and the guest's is what 5.2 leaves to stage 1.
 */
static void nested_test_ste_hostile(struct kunit *test)
{
	static const u64 allowed[STE_QWORDS] = {
		HW_STE0_V | HW_STE0_CONFIG | HW_STE0_S1FMT |
			HW_STE0_S1CONTEXTPTR | HW_STE0_S1CDMAX,
		HW_STE1_S1DSS | HW_STE1_S1CIR | HW_STE1_S1COR | HW_STE1_S1CSH |
			HW_STE1_S1STALLD,
		HW_STE2_S2VMID,
	};
	static const u32 configs[] = { IOMMU_PASID_TABLE_TRANSLATE,
				       IOMMU_PASID_TABLE_BYPASS,
				       IOMMU_PASID_TABLE_ABORT, 0, 4, U32_MAX };
	struct nested_test *nt = test->priv;
	struct arm_smmu_master master = { .smmu = &nt->smmu_fwb };
	struct iommu_pasid_table table = { .parent = &nt->parent[0].domain };
	__le64 parent[STE_QWORDS], ste[STE_QWORDS], used[STE_QWORDS];
	int i, k, stall;

	for (stall = 0; stall < 2; stall++) {
		master.stall_enabled = stall;
		arm_smmu_make_s2_domain_ste((struct arm_smmu_ste *)parent, &master,
					    &nt->parent[0], false);
		for (k = 0; k < ARRAY_SIZE(configs); k++) {
			memset(&table.config, 0xff, sizeof(table.config));
			table.config.config = configs[k];
			arm_smmu_make_nested_ste((struct arm_smmu_ste *)ste, &master,
						 &table, U16_MAX, false);
			if (configs[k] == IOMMU_PASID_TABLE_ABORT) {
				KUNIT_EXPECT_EQ(test, le64_to_cpu(ste[0]),
						HW_STE0_V);
				for (i = 1; i < STE_QWORDS; i++)
					KUNIT_EXPECT_EQ(test,
							le64_to_cpu(ste[i]),
							0);
				continue;
			}
			for (i = 0; i < STE_QWORDS; i++)
				KUNIT_EXPECT_EQ(test,
						le64_to_cpu(ste[i] ^ parent[i]) &
							~allowed[i], 0);
			KUNIT_EXPECT_EQ(test,
					FIELD_GET(HW_STE0_CONFIG, le64_to_cpu(ste[0])) &
						(HW_STE0_CONFIG_ON | HW_STE0_CONFIG_S2),
					HW_STE0_CONFIG_ON | HW_STE0_CONFIG_S2);
			/* A guest stalls nothing, at neither stage */
			KUNIT_EXPECT_FALSE(test, le64_to_cpu(ste[2]) & HW_STE2_S2S);
			if (configs[k] == IOMMU_PASID_TABLE_TRANSLATE)
				KUNIT_EXPECT_TRUE(test, le64_to_cpu(ste[1]) &
								HW_STE1_S1STALLD);
			KUNIT_EXPECT_TRUE(test, le64_to_cpu(ste[1]) & HW_STE1_MEV);
			KUNIT_EXPECT_TRUE(test, le64_to_cpu(ste[1]) & HW_STE1_S2FWB);
			memset(used, 0, sizeof(used));
			arm_smmu_get_ste_used(ste, used);
			for (i = 0; i < STE_QWORDS; i++)
				KUNIT_EXPECT_EQ(test,
						le64_to_cpu(ste[i] & ~used[i]),
						0);
		}
	}
}

/* Each field of a translating STE is where 5.2 has it */
static void nested_test_ste_fields(struct kunit *test)
{
	struct nested_test *nt = test->priv;
	struct test_ste ste = {
		.class = TEST_NESTED,
		.s1cdmax = 17,
		.base = 0x000deadbeefc0ULL,
		.vmid = 0xabcd,
	};
	u64 word[STE_QWORDS];
	unsigned int n, left;
	int i;

	for (n = 0; n < 2 * 3 * 3; n++) {
		left = n;
		ste.ats = test_choose(&left, 2);
		ste.s1fmt = test_choose(&left, 3);
		ste.s1dss = test_choose(&left, 3);
		test_make_nested(nt, &nt->smmu, &ste);
		for (i = 0; i < STE_QWORDS; i++)
			word[i] = le64_to_cpu(ste.data[i]);
		KUNIT_EXPECT_EQ(test, word[0],
				0xfULL | ste.s1fmt << 4 | ste.base | 17ULL << 59);
		KUNIT_EXPECT_EQ(test, word[1] & HW_STE1_S1DSS, ste.s1dss);
		/* The guest's CDs are write-back and inner shareable memory */
		KUNIT_EXPECT_EQ(test, word[1] & 0xfc, 0xd4);
		KUNIT_EXPECT_EQ(test, FIELD_GET(HW_STE1_EATS, word[1]), ste.ats);
		KUNIT_EXPECT_EQ(test, FIELD_GET(HW_STE1_STRW, word[1]), 0);
		KUNIT_EXPECT_EQ(test, word[1] & HW_STE1_S2FWB, 0);
		KUNIT_EXPECT_EQ(test, word[2] & HW_STE2_S2VMID, 0xabcd);
		KUNIT_EXPECT_EQ(test, word[3], 0x123456789000);
		for (i = 4; i < STE_QWORDS; i++)
			KUNIT_EXPECT_EQ(test, word[i], 0);
	}
}

/* Commands, 4.1 to 4.5 */
#define HW_CMD0_OP			GENMASK_ULL(7, 0)
#define HW_OP_CFGI_CD			0x05
#define HW_OP_CFGI_CD_ALL		0x06
#define HW_OP_TLBI_NH_ALL		0x10
#define HW_OP_TLBI_NH_ASID		0x11
#define HW_OP_TLBI_NH_VA		0x12
#define HW_OP_TLBI_NH_VAA		0x13
#define HW_OP_TLBI_S12_VMALL		0x28
#define HW_OP_TLBI_S2_IPA		0x2a
#define HW_OP_ATC_INV			0x40
#define HW_CMD0_SSV			BIT_ULL(11)
#define HW_CMD0_SSID			GENMASK_ULL(31, 12)
#define HW_TLBI0_NUM			GENMASK_ULL(16, 12)
#define HW_TLBI0_SCALE			GENMASK_ULL(25, 20)
#define HW_TLBI0_VMID			GENMASK_ULL(47, 32)
#define HW_TLBI0_ASID			GENMASK_ULL(63, 48)
#define HW_TLBI1_LEAF			BIT_ULL(0)
#define HW_TLBI1_TTL			GENMASK_ULL(9, 8)
#define HW_TLBI1_TG			GENMASK_ULL(11, 10)
#define HW_TLBI1_ADDR			GENMASK_ULL(63, 12)
#define HW_ATC1_SIZE			GENMASK_ULL(5, 0)
#define HW_ATC1_ADDR			GENMASK_ULL(63, 12)
#define HW_ATC1_SIZE_ALL		52

#define TEST_MAX_COMMANDS		512

struct test_range {
	u64 first;
	u64 last;
	/* Everything of the tag */
	bool all;
	bool bad;
	unsigned int count;
};

/*
 * What the commands of a range cover, by 4.4.1. Without a TG each drops the
 * entries for its address, so the whole page or block of the request's granule.
 */
static void test_decode_range(const struct arm_smmu_nested_cmd *cmd, bool ril,
			      unsigned int granule_log2, struct test_range *range)
{
	u64 word0, word1, addr, num, scale, tg, first, last, bytes;
	unsigned int i, tg_log2;

	memset(range, 0, sizeof(*range));
	range->count = cmd->count;
	range->bad = !cmd->count || cmd->count > TEST_MAX_COMMANDS;
	for (i = 0; i < cmd->count && !range->bad; i++) {
		word0 = cmd->data[0];
		word1 = cmd->data[1] + i * cmd->stride;
		num = FIELD_GET(HW_TLBI0_NUM, word0);
		scale = FIELD_GET(HW_TLBI0_SCALE, word0);
		tg = FIELD_GET(HW_TLBI1_TG, word1);
		addr = word1 & HW_TLBI1_ADDR;

		if (!tg) {
			/* Neither is more than an address without TG */
			range->bad |= num || scale || FIELD_GET(HW_TLBI1_TTL, word1);
			first = addr & ~(BIT_ULL(granule_log2) - 1);
			last = first + (BIT_ULL(granule_log2) - 1);
		} else {
			tg_log2 = 10 + 2 * tg;
			/* Reserved: one page of any level */
			range->bad |= !num && !scale &&
				      !FIELD_GET(HW_TLBI1_TTL, word1);
			range->bad |= !ril || addr & (BIT_ULL(tg_log2) - 1);
			first = addr;
			bytes = (num + 1) << (scale + tg_log2);
			last = first + bytes - 1;
			/* To the end of the addresses, not around it */
			if (scale + tg_log2 + 5 >= 64 || last < first)
				last = U64_MAX;
		}
		if (!i) {
			range->first = first;
			range->last = last;
			continue;
		}
		/* Without a hole, the one after the other */
		range->bad |= first != range->last + 1;
		range->last = last;
	}
}

static const unsigned int test_granules[] = { 12, 21, 30, 14, 25, 16, 29, 42 };

static unsigned int test_tg_log2(unsigned int granule_log2)
{
	switch (granule_log2) {
	case 12:
	case 21:
	case 30:
		return 12;
	case 14:
	case 25:
		return 14;
	default:
		return 16;
	}
}

static const u64 test_counts[] = {
	1, 2, 3, 15, 16, 31, 32, 33, 63, 64, 65, 127, 511, 512, 513, 1023,
	100000, 0x1ffff, 0x20000, 0x20001, 0x123456789, BIT_ULL(36) - 1,
	BIT_ULL(36), BIT_ULL(36) + 1, BIT_ULL(40), BIT_ULL(48), BIT_ULL(52) - 1,
	BIT_ULL(52),
};

/* As the core promises to the driver */
static bool
test_request_fits(const struct iommu_hwpt_pasid_table_invalidate *req)
{
	return !(req->addr & (BIT_ULL(req->granule_log2) - 1)) &&
	       req->nb_granules - 1 <= (U64_MAX - req->addr) >> req->granule_log2;
}

static void test_one_tlbi(struct kunit *test, const struct arm_smmu_device *smmu,
			  const struct iommu_hwpt_pasid_table_invalidate *req)
{
	bool ril = smmu->features & ARM_SMMU_FEAT_RANGE_INV;
	bool asid_valid = req->flags & IOMMU_PASID_TABLE_INV_ARCHID;
	unsigned int tg_log2 = test_tg_log2(req->granule_log2);
	struct arm_smmu_nested_cmd cmd;
	struct test_range range;
	u64 last, pages, extra;
	u8 op;

	KUNIT_ASSERT_EQ(test, arm_smmu_nested_check_inv(smmu, req), 0);
	/* Whoever forgets to write a field is found out */
	memset(&cmd, 0xff, sizeof(cmd));
	arm_smmu_nested_make_tlbi(smmu, req, &cmd);
	op = FIELD_GET(HW_CMD0_OP, cmd.data[0]);
	KUNIT_ASSERT_EQ(test, FIELD_GET(HW_TLBI0_VMID, cmd.data[0]), 0);
	KUNIT_ASSERT_EQ(test, FIELD_GET(HW_TLBI0_ASID, cmd.data[0]),
			asid_valid ? req->archid : 0);

	if (op == HW_OP_TLBI_NH_ASID || op == HW_OP_TLBI_NH_ALL) {
		KUNIT_ASSERT_EQ(test, op == HW_OP_TLBI_NH_ASID, asid_valid);
		KUNIT_ASSERT_EQ(test, cmd.count, 1);
		KUNIT_ASSERT_EQ(test, cmd.data[0] & ~(HW_CMD0_OP | HW_TLBI0_ASID), 0);
		KUNIT_ASSERT_EQ(test, cmd.data[1], 0);
		if (req->granularity != IOMMU_PASID_TABLE_INV_ADDR)
			return;
		/* More than was asked for: only where the range is too long */
		pages = req->nb_granules << (req->granule_log2 - tg_log2);
		if (ril)
			KUNIT_ASSERT_GT(test, pages, BIT_ULL(36));
		else
			KUNIT_ASSERT_GE(test, req->nb_granules, TEST_MAX_COMMANDS);
		return;
	}

	KUNIT_ASSERT_EQ(test, req->granularity, IOMMU_PASID_TABLE_INV_ADDR);
	KUNIT_ASSERT_EQ(test, op, asid_valid ? HW_OP_TLBI_NH_VA : HW_OP_TLBI_NH_VAA);
	KUNIT_ASSERT_EQ(test, cmd.data[0] & ~(HW_CMD0_OP | HW_TLBI0_NUM |
					      HW_TLBI0_SCALE | HW_TLBI0_ASID), 0);
	KUNIT_ASSERT_EQ(test, cmd.data[1] & ~(HW_TLBI1_LEAF | HW_TLBI1_TG |
					      HW_TLBI1_TTL | HW_TLBI1_ADDR), 0);
	KUNIT_ASSERT_EQ(test, cmd.data[1] & HW_TLBI1_LEAF,
			!!(req->flags & IOMMU_PASID_TABLE_INV_LEAF));

	test_decode_range(&cmd, ril, req->granule_log2, &range);
	last = req->addr + (req->nb_granules << req->granule_log2) - 1;
	KUNIT_ASSERT_FALSE_MSG(test, range.bad,
			       "%016llx %016llx, %u commands for %llx + %llu << %u",
			       cmd.data[0], cmd.data[1], cmd.count, req->addr,
			       req->nb_granules, req->granule_log2);
	KUNIT_ASSERT_LE(test, range.first, req->addr);
	KUNIT_ASSERT_GE(test, range.last, last);
	/* At most 1/16 too much */
	extra = range.last - last;
	if (!ril)
		KUNIT_ASSERT_EQ(test, extra, 0);
	else
		KUNIT_ASSERT_LE(test, extra, (last - req->addr) / 16);
	KUNIT_ASSERT_EQ(test, range.first, req->addr);
	if (ril)
		KUNIT_ASSERT_EQ(test, range.count, 1);
}

/* The first range, one that is not, one in the middle, the last one */
#define TEST_ADDRS	4

static u64 test_addr(unsigned int choice, unsigned int granule_log2, u64 count)
{
	u64 mask = ~(BIT_ULL(granule_log2) - 1);

	switch (choice) {
	case 0:
		return 0;
	case 1:
		return BIT_ULL(granule_log2);
	case 2:
		return 0x7fffedcba9876543ULL & mask;
	default:
		return -(count << granule_log2);
	}
}

static void nested_test_tlbi(struct kunit *test)
{
	struct iommu_hwpt_pasid_table_invalidate req;
	struct arm_smmu_device smmu = { .pgsize_bitmap = 0 };
	unsigned int n, left, requests = 0;

	for (n = 0; n < ARRAY_SIZE(test_granules); n++)
		smmu.pgsize_bitmap |= BIT_ULL(test_granules[n]);

	for (n = 0; n < 2 * 2 * 8 * ARRAY_SIZE(test_granules) *
				ARRAY_SIZE(test_counts) * TEST_ADDRS; n++) {
		left = n;
		smmu.features = test_choose(&left, 2) ? ARM_SMMU_FEAT_RANGE_INV : 0;
		smmu.asid_bits = test_choose(&left, 2) ? 16 : 8;
		memset(&req, 0, sizeof(req));
		req.caches = IOMMU_PASID_TABLE_INV_IOTLB;
		req.granularity = IOMMU_PASID_TABLE_INV_ADDR;
		/* With and without LEAF, PASID and ARCHID */
		req.flags = test_choose(&left, 8);
		if (req.flags & IOMMU_PASID_TABLE_INV_PASID)
			req.pasid = 0xfffff;
		if (req.flags & IOMMU_PASID_TABLE_INV_ARCHID)
			req.archid = BIT(smmu.asid_bits) - 1 - (n & 1);
		req.granule_log2 = test_granules[test_choose(&left,
							     ARRAY_SIZE(test_granules))];
		req.nb_granules = test_counts[test_choose(&left,
							  ARRAY_SIZE(test_counts))];
		req.addr = test_addr(left, req.granule_log2, req.nb_granules);
		if (!test_request_fits(&req))
			continue;
		test_one_tlbi(test, &smmu, &req);
		requests++;
	}
	kunit_info(test, "%u requests", requests);
	KUNIT_EXPECT_GT(test, requests, 10000);
}

/* By ASID, everything */
static void nested_test_tlbi_no_range(struct kunit *test)
{
	struct iommu_hwpt_pasid_table_invalidate req;
	struct arm_smmu_device smmu = { .pgsize_bitmap = SZ_4K };
	unsigned int flags;

	for (smmu.asid_bits = 8; smmu.asid_bits <= 16; smmu.asid_bits += 8) {
		memset(&req, 0, sizeof(req));
		req.caches = IOMMU_PASID_TABLE_INV_IOTLB;
		test_one_tlbi(test, &smmu, &req);

		req.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID;
		for (flags = 0; flags < 4; flags++) {
			req.flags = flags | IOMMU_PASID_TABLE_INV_ARCHID;
			req.pasid = 5;
			req.archid = 0;
			test_one_tlbi(test, &smmu, &req);
			req.archid = BIT(smmu.asid_bits) - 1;
			test_one_tlbi(test, &smmu, &req);
		}
	}
}

/*
 * What the hardware cannot express is refused, for every combination of caches:
 * a request is not done by half.
 */
static void nested_test_inv_refused(struct kunit *test)
{
	static const u64 sizes[] = { SZ_4K | SZ_2M | SZ_1G, SZ_16K | SZ_32M,
				     SZ_64K | SZ_512M, BIT_ULL(42) };
	struct iommu_hwpt_pasid_table_invalidate req = {};
	struct arm_smmu_device smmu = {};
	unsigned int n, left, archid_bits;
	int expected;

	for (n = 0; n < 2 * 2 * ARRAY_SIZE(sizes) * 8 * 8 * 3 * 32 * 2; n++) {
		left = n;
		smmu.features = test_choose(&left, 2) ? ARM_SMMU_FEAT_RANGE_INV : 0;
		smmu.asid_bits = test_choose(&left, 2) ? 16 : 8;
		smmu.pgsize_bitmap = sizes[test_choose(&left, ARRAY_SIZE(sizes))];
		req.caches = test_choose(&left, 8);
		req.flags = test_choose(&left, 8);
		req.granularity = test_choose(&left, 3);
		archid_bits = test_choose(&left, 32);
		req.archid = req.flags & IOMMU_PASID_TABLE_INV_ARCHID ?
				     GENMASK(archid_bits, 0) : 0;
		/* The page sizes, and what is not one of them */
		req.granule_log2 = req.granularity == IOMMU_PASID_TABLE_INV_ADDR ?
					   12 + archid_bits + 19 * left : 0;
		req.nb_granules = !!req.granule_log2;

		expected = 0;
		if (req.archid >= BIT(smmu.asid_bits))
			expected = -EINVAL;
		if (req.granule_log2 &&
		    !(smmu.pgsize_bitmap & BIT_ULL(req.granule_log2)))
			expected = -EINVAL;
		if (req.granularity == IOMMU_PASID_TABLE_INV_ONE_PASID &&
		    (req.caches & IOMMU_PASID_TABLE_INV_IOTLB) &&
		    !(req.flags & IOMMU_PASID_TABLE_INV_ARCHID))
			expected = -EINVAL;
		KUNIT_ASSERT_EQ(test, arm_smmu_nested_check_inv(&smmu, &req),
				expected);
	}
}

static void nested_test_cfgi(struct kunit *test)
{
	static const u32 pasids[] = { 0, 1, 0x80000, 0xfffff };
	struct iommu_hwpt_pasid_table_invalidate req = {
		.caches = IOMMU_PASID_TABLE_INV_PASID_CACHE,
	};
	struct arm_smmu_nested_cmd cmd;
	int i, leaf;

	memset(&cmd, 0xff, sizeof(cmd));
	arm_smmu_nested_make_cfgi(&req, &cmd);
	KUNIT_EXPECT_EQ(test, cmd.data[0], HW_OP_CFGI_CD_ALL);
	KUNIT_EXPECT_EQ(test, cmd.data[1], 0);
	KUNIT_EXPECT_EQ(test, cmd.count, 1);

	req.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID;
	for (i = 0; i < ARRAY_SIZE(pasids); i++) {
		for (leaf = 0; leaf < 2; leaf++) {
			req.pasid = pasids[i];
			req.flags = IOMMU_PASID_TABLE_INV_PASID |
				    (leaf ? IOMMU_PASID_TABLE_INV_LEAF : 0);
			memset(&cmd, 0xff, sizeof(cmd));
			arm_smmu_nested_make_cfgi(&req, &cmd);
			KUNIT_EXPECT_EQ(test, cmd.data[0],
					HW_OP_CFGI_CD |
						FIELD_PREP(HW_CMD0_SSID, pasids[i]));
			KUNIT_EXPECT_EQ(test, cmd.data[1], leaf);
			KUNIT_EXPECT_EQ(test, cmd.count, 1);
		}
	}
}

static void test_one_atc(struct kunit *test,
			 const struct iommu_hwpt_pasid_table_invalidate *req)
{
	struct arm_smmu_nested_cmd cmd;
	u64 size, first, span, last;

	memset(&cmd, 0xff, sizeof(cmd));
	arm_smmu_nested_make_atc(req, &cmd);
	KUNIT_ASSERT_EQ(test, cmd.count, 1);
	/* PASID 0 is that of requests without one, which only SSV 0 reaches */
	KUNIT_ASSERT_EQ(test, cmd.data[0],
			HW_OP_ATC_INV | (req->pasid ? HW_CMD0_SSV : 0) |
				FIELD_PREP(HW_CMD0_SSID, req->pasid));
	KUNIT_ASSERT_EQ(test, cmd.data[1] & ~(HW_ATC1_ADDR | HW_ATC1_SIZE), 0);
	size = FIELD_GET(HW_ATC1_SIZE, cmd.data[1]);
	first = cmd.data[1] & HW_ATC1_ADDR;
	KUNIT_ASSERT_LE(test, size, HW_ATC1_SIZE_ALL);
	if (size == HW_ATC1_SIZE_ALL) {
		KUNIT_ASSERT_EQ(test, first, 0);
		if (req->granularity != IOMMU_PASID_TABLE_INV_ADDR)
			return;
	}
	KUNIT_ASSERT_EQ(test, req->granularity, IOMMU_PASID_TABLE_INV_ADDR);
	span = size == HW_ATC1_SIZE_ALL ? U64_MAX : (BIT_ULL(size) << 12) - 1;
	KUNIT_ASSERT_EQ(test, first & span, 0);
	last = req->addr + (req->nb_granules << req->granule_log2) - 1;
	KUNIT_ASSERT_LE(test, first, req->addr);
	KUNIT_ASSERT_GE(test, first + span, last);
	/* Half of it is too little */
	if (size)
		KUNIT_ASSERT_NE(test, req->addr & ~(span >> 1), last & ~(span >> 1));
}

static void nested_test_atc(struct kunit *test)
{
	static const u32 pasids[] = { 0, 1, 0xfffff };
	struct iommu_hwpt_pasid_table_invalidate req;
	unsigned int n, left;

	for (n = 0; n < ARRAY_SIZE(pasids); n++) {
		memset(&req, 0, sizeof(req));
		req.caches = IOMMU_PASID_TABLE_INV_DEV_TLB;
		req.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID;
		req.flags = IOMMU_PASID_TABLE_INV_PASID;
		req.pasid = pasids[n];
		test_one_atc(test, &req);
	}
	memset(&req, 0, sizeof(req));
	req.caches = IOMMU_PASID_TABLE_INV_DEV_TLB;
	test_one_atc(test, &req);

	req.granularity = IOMMU_PASID_TABLE_INV_ADDR;
	for (n = 0; n < 52 * ARRAY_SIZE(test_counts) * TEST_ADDRS *
				ARRAY_SIZE(pasids); n++) {
		left = n;
		req.granule_log2 = 12 + test_choose(&left, 52);
		req.nb_granules = test_counts[test_choose(&left,
							  ARRAY_SIZE(test_counts))];
		req.addr = test_addr(test_choose(&left, TEST_ADDRS),
				     req.granule_log2, req.nb_granules);
		req.pasid = pasids[left];
		req.flags = req.pasid ? IOMMU_PASID_TABLE_INV_PASID : 0;
		if (test_request_fits(&req))
			test_one_atc(test, &req);
	}
}

static void test_one_s2_ipa(struct kunit *test, const struct arm_smmu_domain *parent,
			    u64 addr, u64 count)
{
	bool ril = parent->smmu->features & ARM_SMMU_FEAT_RANGE_INV;
	unsigned int tg_log2 = __ffs(parent->domain.pgsize_bitmap);
	u64 last = addr + (count << tg_log2) - 1;
	struct arm_smmu_nested_cmd cmd;
	struct test_range range;

	memset(&cmd, 0xff, sizeof(cmd));
	arm_smmu_nested_make_s2_ipa(parent, addr, count << tg_log2, &cmd);
	if (FIELD_GET(HW_CMD0_OP, cmd.data[0]) == HW_OP_TLBI_S12_VMALL) {
		KUNIT_ASSERT_EQ(test, cmd.data[0], HW_OP_TLBI_S12_VMALL);
		KUNIT_ASSERT_EQ(test, cmd.data[1], 0);
		KUNIT_ASSERT_EQ(test, cmd.count, 1);
		/* More than was asked for: everything, or a long range */
		if (count)
			KUNIT_ASSERT_GE(test, count,
					ril ? BIT_ULL(36) + 1 : TEST_MAX_COMMANDS);
		return;
	}
	KUNIT_ASSERT_NE(test, count, 0);
	KUNIT_ASSERT_EQ(test, cmd.data[0] & ~(HW_TLBI0_NUM | HW_TLBI0_SCALE),
			HW_OP_TLBI_S2_IPA);
	/* Not only the last level: tables are freed as well */
	KUNIT_ASSERT_EQ(test, cmd.data[1] & HW_TLBI1_LEAF, 0);
	KUNIT_ASSERT_EQ(test, cmd.data[1] & GENMASK_ULL(63, 52), 0);
	test_decode_range(&cmd, ril, tg_log2, &range);
	KUNIT_ASSERT_FALSE(test, range.bad);
	KUNIT_ASSERT_EQ(test, range.first, addr);
	KUNIT_ASSERT_GE(test, range.last, last);
	KUNIT_ASSERT_LE(test, range.last - last,
			ril ? (last - addr) / 16 : 0);
	if (ril)
		KUNIT_ASSERT_EQ(test, range.count, 1);
}

/* Changes of stage 2, whose addresses have no more than 52 bits */
static void nested_test_s2_ipa(struct kunit *test)
{
	static const unsigned long tables[] = { SZ_4K | SZ_2M | SZ_1G,
						SZ_16K | SZ_32M,
						SZ_64K | SZ_512M };
	struct arm_smmu_device smmu = {};
	struct arm_smmu_domain parent = { .smmu = &smmu };
	unsigned int n, left, tg_log2;
	u64 count, size;

	for (n = 0; n < 2 * ARRAY_SIZE(tables) * ARRAY_SIZE(test_counts); n++) {
		left = n;
		smmu.features = test_choose(&left, 2) ? ARM_SMMU_FEAT_RANGE_INV : 0;
		parent.domain.pgsize_bitmap = tables[test_choose(&left,
								 ARRAY_SIZE(tables))];
		tg_log2 = __ffs(parent.domain.pgsize_bitmap);
		test_one_s2_ipa(test, &parent, BIT_ULL(tg_log2), 0);
		count = test_counts[left];
		size = count << tg_log2;
		if (size > BIT_ULL(51))
			continue;
		test_one_s2_ipa(test, &parent, 0, count);
		test_one_s2_ipa(test, &parent, BIT_ULL(tg_log2), count);
		test_one_s2_ipa(test, &parent, BIT_ULL(52) - size, count);
	}
}

static struct kunit_case nested_test_cases[] = {
	KUNIT_CASE(nested_test_ste_every_pair),
	KUNIT_CASE(nested_test_ste_every_pair_fwb),
	KUNIT_CASE(nested_test_ste_every_pair_mixed),
	KUNIT_CASE(nested_test_ste_enter_leave),
	KUNIT_CASE(nested_test_ste_hostile),
	KUNIT_CASE(nested_test_ste_fields),
	KUNIT_CASE(nested_test_tlbi),
	KUNIT_CASE(nested_test_tlbi_no_range),
	KUNIT_CASE(nested_test_inv_refused),
	KUNIT_CASE(nested_test_cfgi),
	KUNIT_CASE(nested_test_atc),
	KUNIT_CASE(nested_test_s2_ipa),
	{},
};

static struct kunit_suite nested_test_suite = {
	.name = "arm-smmu-v3-nested",
	.init = nested_test_init,
	.test_cases = nested_test_cases,
};

kunit_test_suites(&nested_test_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests for nested translation on arm-smmu-v3");
MODULE_LICENSE("GPL");
