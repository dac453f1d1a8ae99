// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's SMMU: what becomes of its STEs, and which events it is shown
 *
 * Both are judged by what IHI 0070 and the user API say, written down anew: the
 * driver's masks and field names are not used, so that a mistake in them does not
 * hide itself.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/io-pgtable.h>

#include "arm-smmu-v3-viommu.h"

/* Fields of an STE, 5.2 */
#define HW_STE0_V			BIT_ULL(0)
#define HW_STE0_CONFIG			GENMASK_ULL(3, 1)
#define HW_STE0_CONFIG_ABORT		0
#define HW_STE0_CONFIG_BYPASS		4
#define HW_STE0_CONFIG_S1		5
#define HW_STE0_CONFIG_NESTED		7
#define HW_STE0_S1FMT			GENMASK_ULL(5, 4)
#define HW_STE0_S1CONTEXTPTR		GENMASK_ULL(51, 6)
#define HW_STE0_RESERVED		GENMASK_ULL(58, 52)
#define HW_STE0_S1CDMAX			GENMASK_ULL(63, 59)
#define HW_STE1_S1DSS			GENMASK_ULL(1, 0)
#define HW_STE1_S1CIR_S1COR_S1CSH	GENMASK_ULL(7, 2)
#define HW_STE1_HOST			(GENMASK_ULL(26, 8) | GENMASK_ULL(63, 30))
#define HW_STE1_S1STALLD		BIT_ULL(27)
#define HW_STE1_EATS			GENMASK_ULL(29, 28)
#define HW_STE2_S2VMID			GENMASK_ULL(15, 0)

/* Of SubstreamIDs */
#define HW_MAX_SSID_BITS		20

#define STE_QWORDS			8
#define VSTE_QWORDS			2

struct viommu_test {
	struct arm_smmu_device smmu;
	struct io_pgtable s2_table;
	struct arm_smmu_domain parent;
	struct arm_smmu_master master;
	struct iommu_viommu viommu;
	u64 random;
};

static int viommu_test_init(struct kunit *test)
{
	struct viommu_test *vt;

	vt = kunit_kzalloc(test, sizeof(*vt), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vt);
	test->priv = vt;

	vt->s2_table.cfg.arm_lpae_s2_cfg.vttbr = 0x123456789000;
	vt->s2_table.cfg.arm_lpae_s2_cfg.vtcr.ps = 5;
	vt->s2_table.cfg.arm_lpae_s2_cfg.vtcr.sl = 2;
	vt->s2_table.cfg.arm_lpae_s2_cfg.vtcr.tsz = 20;
	vt->parent.pgtbl_ops = &vt->s2_table.ops;
	vt->parent.s2_cfg.vmid = 7;
	vt->parent.nest_parent = true;
	vt->parent.stage = ARM_SMMU_DOMAIN_S2;
	vt->smmu.features = ARM_SMMU_FEAT_STALLS | ARM_SMMU_FEAT_S2FWB |
			    ARM_SMMU_FEAT_ATTR_TYPES_OVR;
	vt->master.smmu = &vt->smmu;
	vt->random = 1;
	return 0;
}

/* The same numbers each time */
static u64 test_random(struct viommu_test *vt)
{
	vt->random ^= vt->random << 13;
	vt->random ^= vt->random >> 7;
	vt->random ^= vt->random << 17;
	return vt->random;
}

/*
 * What a guest's STE means: as the user API has it, fields that are not listed
 * there are refused, and an STE that is not valid aborts.
 */
static int test_meaning(const u64 *vste, struct iommu_hwpt_pasid_table *config,
			u64 *attrs)
{
	memset(config, 0, sizeof(*config));
	config->format = IOMMU_PASID_TABLE_SMMUV3;
	config->config = IOMMU_PASID_TABLE_ABORT;
	*attrs = 0;
	if (!(vste[0] & HW_STE0_V))
		return 0;
	if (vste[0] & HW_STE0_RESERVED || vste[1] & HW_STE1_HOST ||
	    FIELD_GET(HW_STE1_EATS, vste[1]) > 1)
		return -EIO;
	if (FIELD_GET(HW_STE1_EATS, vste[1]))
		config->flags = IOMMU_PASID_TABLE_ATS;
	switch (FIELD_GET(HW_STE0_CONFIG, vste[0])) {
	case HW_STE0_CONFIG_ABORT:
		return 0;
	case HW_STE0_CONFIG_BYPASS:
		config->config = IOMMU_PASID_TABLE_BYPASS;
		return 0;
	case HW_STE0_CONFIG_S1:
		break;
	default:
		return -EIO;
	}
	config->config = IOMMU_PASID_TABLE_TRANSLATE;
	config->pasid_bits = FIELD_GET(HW_STE0_S1CDMAX, vste[0]);
	config->base_addr = vste[0] & HW_STE0_S1CONTEXTPTR;
	*attrs = vste[1] & (HW_STE1_S1CIR_S1COR_S1CSH | HW_STE1_S1STALLD);
	/* One descriptor: neither how many are found nor which one is the default */
	if (!config->pasid_bits)
		return 0;
	config->smmuv3.s1fmt = FIELD_GET(HW_STE0_S1FMT, vste[0]);
	config->smmuv3.s1dss = FIELD_GET(HW_STE1_S1DSS, vste[1]);
	if (config->smmuv3.s1fmt == 3 || config->smmuv3.s1dss == 3 ||
	    config->pasid_bits > HW_MAX_SSID_BITS)
		return -EIO;
	return 0;
}

/* Returns what the driver said, which is what was expected */
static int test_parse(struct kunit *test, const u64 *vste,
		      struct iommu_hwpt_pasid_table *config, u64 *attrs)
{
	struct iommu_hwpt_arm_smmuv3 arg = {
		.ste = { cpu_to_le64(vste[0]), cpu_to_le64(vste[1]) },
	};
	struct iommu_hwpt_pasid_table expected;
	u64 expected_attrs;
	int ret;

	memset(config, 0, sizeof(*config));
	*attrs = 0;
	ret = arm_smmu_viommu_parse_vste(&arg, config, attrs);
	KUNIT_ASSERT_EQ_MSG(test, ret,
			    test_meaning(vste, &expected, &expected_attrs),
			    "%016llx %016llx", vste[0], vste[1]);
	if (ret)
		return ret;
	KUNIT_ASSERT_MEMEQ_MSG(test, config, &expected, sizeof(expected),
			       "%016llx %016llx", vste[0], vste[1]);
	KUNIT_ASSERT_EQ(test, *attrs, expected_attrs);
	return ret;
}

static const u64 test_vstes[][VSTE_QWORDS] = {
	/* Invalid, abort, bypass */
	{ 0x0, 0x0 },
	{ 0x1, 0x0 },
	{ 0x9, 0x0 },
	{ 0x9, 0x18000000 },
	/* One CD; tables of three formats, with everything that a guest may say */
	{ 0xb | 0x80000000, 0x0 },
	{ 0xb | 0x80000000 | 4ULL << 59, 0xd6 },
	{ 0x1b | 0x3ffffffffffc0 | 8ULL << 59, 0x180000fd },
	{ 0x2b | 0xfffffffffffc0 | 20ULL << 59, 0x8000055 },
};

/* No single bit, and no pair of bits, gets in that may not */
static void viommu_test_vste_bits(struct kunit *test)
{
	struct iommu_hwpt_pasid_table config;
	unsigned int i, a, b, bits = 64 * VSTE_QWORDS, accepted = 0;
	u64 vste[VSTE_QWORDS], attrs;

	for (i = 0; i < ARRAY_SIZE(test_vstes); i++) {
		KUNIT_ASSERT_EQ(test, test_parse(test, test_vstes[i], &config,
						 &attrs), 0);
		for (a = 0; a < bits; a++) {
			for (b = a; b < bits; b++) {
				memcpy(vste, test_vstes[i], sizeof(vste));
				vste[a / 64] ^= BIT_ULL(a % 64);
				if (a != b)
					vste[b / 64] ^= BIT_ULL(b % 64);
				accepted += !test_parse(test, vste, &config,
							&attrs);
			}
		}
	}
	KUNIT_EXPECT_GT(test, accepted, 10000);
}

/* Every value of every field but the pointer */
static void viommu_test_vste_values(struct kunit *test)
{
	struct iommu_hwpt_pasid_table config;
	u64 vste[VSTE_QWORDS], attrs;
	unsigned int n, left;

	for (n = 0; n < 2 * 8 * 4 * 32 * 4 * 4; n++) {
		left = n;
		vste[0] = 0x12345678000 | left % 2;
		left /= 2;
		vste[0] |= FIELD_PREP(HW_STE0_CONFIG, left % 8);
		left /= 8;
		vste[0] |= FIELD_PREP(HW_STE0_S1FMT, left % 4);
		left /= 4;
		vste[0] |= FIELD_PREP(HW_STE0_S1CDMAX, left % 32);
		left /= 32;
		vste[1] = FIELD_PREP(HW_STE1_S1DSS, left % 4);
		left /= 4;
		vste[1] |= FIELD_PREP(HW_STE1_EATS, left);
		test_parse(test, vste, &config, &attrs);
	}
}

/* What the guest says, as it would be allowed to */
static void test_random_vste(struct viommu_test *vt, u64 *vste)
{
	vste[0] = test_random(vt) & HW_STE0_S1CONTEXTPTR;
	vste[0] |= HW_STE0_V | FIELD_PREP(HW_STE0_CONFIG, HW_STE0_CONFIG_S1) |
		   FIELD_PREP(HW_STE0_S1FMT, test_random(vt) % 3) |
		   FIELD_PREP(HW_STE0_S1CDMAX, test_random(vt) % 21);
	vste[1] = test_random(vt) &
		  (HW_STE1_S1CIR_S1COR_S1CSH | HW_STE1_S1STALLD);
	vste[1] |= FIELD_PREP(HW_STE1_S1DSS, test_random(vt) % 3) |
		   FIELD_PREP(HW_STE1_EATS, test_random(vt) % 2);
}

static int test_no_handler(struct iopf_group *group)
{
	return 0;
}

/* Stalls need hardware that has them, a queue, a device and a guest for it */
static u64 test_stalld(const struct viommu_test *vt,
		       const struct iommu_pasid_table *table, const u64 *vste)
{
	if (!(vt->smmu.features & ARM_SMMU_FEAT_STALLS))
		return 0;
	if (table->domain.iopf_handler && vt->master.iopf_enabled)
		return vste[1] & HW_STE1_S1STALLD;
	return HW_STE1_S1STALLD;
}

/* Word by word: the host's stage 2, and of the guest's what 5.2 leaves to it */
static void test_compare_ste(struct kunit *test,
			     const struct iommu_pasid_table *table,
			     const u64 *vste, u16 vmid, bool ats)
{
	struct viommu_test *vt = test->priv;
	__le64 host[STE_QWORDS], ste[STE_QWORDS];
	u64 expected[STE_QWORDS];
	int i;

	arm_smmu_make_s2_domain_ste((struct arm_smmu_ste *)host, &vt->master,
				    &vt->parent, ats);
	for (i = 0; i < STE_QWORDS; i++)
		expected[i] = le64_to_cpu(host[i]);
	expected[0] = HW_STE0_V |
		      FIELD_PREP(HW_STE0_CONFIG, HW_STE0_CONFIG_NESTED) |
		      (vste[0] & (HW_STE0_S1FMT | HW_STE0_S1CONTEXTPTR |
				  HW_STE0_S1CDMAX));
	expected[1] |= vste[1] & (HW_STE1_S1DSS | HW_STE1_S1CIR_S1COR_S1CSH);
	if (!(vste[0] & HW_STE0_S1CDMAX)) {
		expected[0] &= ~HW_STE0_S1FMT;
		expected[1] &= ~HW_STE1_S1DSS;
	}
	expected[1] |= test_stalld(vt, table, vste);
	expected[2] = (expected[2] & ~HW_STE2_S2VMID) | vmid;

	arm_smmu_make_nested_ste((struct arm_smmu_ste *)ste, &vt->master, table,
				 vmid, ats);
	for (i = 0; i < STE_QWORDS; i++)
		KUNIT_ASSERT_EQ_MSG(test, le64_to_cpu(ste[i]), expected[i],
				    "word %d", i);
}

/*
 * From a guest's STE to the host's, with all that decides about stalls. EATS is
 * the host's: it knows whether the device does ATS.
 */
static void viommu_test_vste_to_ste(struct kunit *test)
{
	struct viommu_test *vt = test->priv;
	struct iommu_pasid_table table = {
		.parent = &vt->parent.domain,
		.viommu = &vt->viommu,
	};
	u64 vste[VSTE_QWORDS];
	unsigned int n;

	for (n = 0; n < 16 * 1000; n++) {
		test_random_vste(vt, vste);
		KUNIT_ASSERT_EQ(test, test_parse(test, vste, &table.config,
						 &table.attrs), 0);
		table.domain.iopf_handler = n & 1 ? test_no_handler : NULL;
		vt->master.iopf_enabled = n & 2;
		/* The host's stalls are not the guest's */
		vt->master.stall_enabled = n & 2;
		vt->smmu.features &= ~ARM_SMMU_FEAT_STALLS;
		if (n & 4)
			vt->smmu.features |= ARM_SMMU_FEAT_STALLS;
		test_compare_ste(test, &table, vste, test_random(vt), n & 8);
	}
}

/* A vSTE that bypasses or aborts leaves nothing of its fields in the STE */
static void viommu_test_vste_untranslated(struct kunit *test)
{
	struct viommu_test *vt = test->priv;
	struct iommu_pasid_table table = {
		.domain.iopf_handler = test_no_handler,
		.parent = &vt->parent.domain,
		.viommu = &vt->viommu,
	};
	__le64 host[STE_QWORDS], ste[STE_QWORDS];
	u64 vste[VSTE_QWORDS];
	unsigned int n;
	int i;

	vt->master.iopf_enabled = true;
	for (n = 0; n < 3 * 1000; n++) {
		test_random_vste(vt, vste);
		vste[0] &= ~HW_STE0_CONFIG;
		if (n % 3 == 0)
			vste[0] &= ~HW_STE0_V;
		if (n % 3 == 1)
			vste[0] |= FIELD_PREP(HW_STE0_CONFIG,
					      HW_STE0_CONFIG_BYPASS);
		KUNIT_ASSERT_EQ(test, test_parse(test, vste, &table.config,
						 &table.attrs), 0);
		arm_smmu_make_nested_ste((struct arm_smmu_ste *)ste, &vt->master,
					 &table, 9, false);
		memset(host, 0, sizeof(host));
		host[0] = cpu_to_le64(HW_STE0_V);
		if (n % 3 == 1) {
			arm_smmu_make_s2_domain_ste((struct arm_smmu_ste *)host,
						    &vt->master, &vt->parent,
						    false);
			host[2] &= ~cpu_to_le64(HW_STE2_S2VMID);
			host[2] |= cpu_to_le64(9);
		}
		for (i = 0; i < STE_QWORDS; i++)
			KUNIT_ASSERT_EQ(test, le64_to_cpu(ste[i]),
					le64_to_cpu(host[i]));
	}
}

/* Event records, 7.3 */
#define HW_EVT0_ID			GENMASK_ULL(7, 0)
#define HW_EVT0_SSV			BIT_ULL(11)
#define HW_EVT0_SSID			GENMASK_ULL(31, 12)
#define HW_EVT0_SID			GENMASK_ULL(63, 32)
#define HW_EVT1_PNU_IND_RNW		GENMASK_ULL(35, 33)
#define HW_EVT1_S2			BIT_ULL(39)
#define HW_EVT1_CLASS			GENMASK_ULL(41, 40)
#define HW_EVT1_TTRNW			BIT_ULL(44)
#define HW_EVT3_IPA			GENMASK_ULL(51, 12)

#define HW_C_BAD_STE			0x04
#define HW_F_STREAM_DISABLED		0x06
#define HW_C_BAD_SUBSTREAMID		0x08
#define HW_F_CD_FETCH			0x09
#define HW_C_BAD_CD			0x0a
#define HW_F_WALK_EABT			0x0b
#define HW_F_TRANSLATION		0x10
#define HW_F_PERMISSION			0x13

#define HW_CLASS_CD			0
#define HW_CLASS_TTD			1

#define EVT_QWORDS			4

static bool test_fault_of_walk(u8 id)
{
	return id >= HW_F_TRANSLATION && id <= HW_F_PERMISSION;
}

/* What an SMMU of one stage calls it, 0 for what it would not know of */
static u8 test_guest_id(u8 id, bool s2, u8 class)
{
	switch (id) {
	case HW_C_BAD_STE:
	case HW_F_STREAM_DISABLED:
	case HW_C_BAD_SUBSTREAMID:
	case HW_F_CD_FETCH:
	case HW_C_BAD_CD:
		return id;
	case HW_F_WALK_EABT:
		return s2 ? 0 : id;
	}
	if (!test_fault_of_walk(id))
		return 0;
	if (!s2)
		return id;
	/* The guest's memory is not there, where its descriptors should be */
	if (class == HW_CLASS_CD)
		return HW_F_CD_FETCH;
	return class == HW_CLASS_TTD ? HW_F_WALK_EABT : 0;
}

/* The record as a whole. Fields that the event does not have are 0. */
static void test_guest_event(const u64 *evt, u8 id, u32 vsid, u64 *event)
{
	bool s2 = evt[1] & HW_EVT1_S2 &&
		  test_fault_of_walk(FIELD_GET(HW_EVT0_ID, evt[0]));

	memset(event, 0, EVT_QWORDS * sizeof(*event));
	event[0] = id | (evt[0] & (HW_EVT0_SSV | HW_EVT0_SSID)) |
		   FIELD_PREP(HW_EVT0_SID, vsid);
	if (id >= HW_F_WALK_EABT) {
		/* By whom, where and with what */
		event[1] = evt[1] & (HW_EVT1_PNU_IND_RNW | HW_EVT1_CLASS);
		event[2] = evt[2];
	}
	if (test_fault_of_walk(id))
		event[1] |= evt[1] & HW_EVT1_TTRNW;
	/* The address of a fetch is physical, to the guest */
	if (s2)
		event[3] = evt[3] & HW_EVT3_IPA;
}

static bool test_one_event(struct kunit *test, const u64 *evt, u32 vsid)
{
	u8 id = test_guest_id(FIELD_GET(HW_EVT0_ID, evt[0]), evt[1] & HW_EVT1_S2,
			      FIELD_GET(HW_EVT1_CLASS, evt[1]));
	u64 event[EVT_QWORDS], expected[EVT_QWORDS];
	bool shown;
	int i;

	/* Whoever forgets to write a word is found out */
	memset(event, 0xff, sizeof(event));
	shown = arm_smmu_vevent_convert(evt, vsid, event);
	KUNIT_ASSERT_EQ_MSG(test, shown, id != 0, "%016llx %016llx", evt[0],
			    evt[1]);
	if (!shown)
		return false;
	test_guest_event(evt, id, vsid, expected);
	for (i = 0; i < EVT_QWORDS; i++)
		KUNIT_ASSERT_EQ_MSG(test, event[i], expected[i],
				    "word %d of %016llx %016llx", i, evt[0],
				    evt[1]);
	return true;
}

/* Every number of an event, stage and class, with all kinds of other bits */
static void viommu_test_event(struct kunit *test)
{
	struct viommu_test *vt = test->priv;
	static const u32 vsids[] = { 0, 1, 0xfedcba98, U32_MAX };
	unsigned int n, left, i, shown = 0;
	u64 evt[EVT_QWORDS];

	for (n = 0; n < 256 * 2 * 4 * 4 * 8; n++) {
		left = n / (256 * 2 * 4);
		for (i = 0; i < EVT_QWORDS; i++)
			evt[i] = left % 8 == 0 ? 0 :
				 left % 8 == 1 ? U64_MAX : test_random(vt);
		evt[0] &= ~HW_EVT0_ID;
		evt[0] |= n % 256;
		evt[1] &= ~(HW_EVT1_S2 | HW_EVT1_CLASS);
		evt[1] |= FIELD_PREP(HW_EVT1_S2, n / 256 % 2) |
			  FIELD_PREP(HW_EVT1_CLASS, n / 512 % 4);
		shown += test_one_event(test, evt, vsids[left / 8]);
	}
	/* 5 whatever else they say, one of stage 1, 4 of both: 5 * 8 + 4 + 4 * 6 */
	KUNIT_EXPECT_EQ(test, shown, (5 * 8 + 4 + 4 * 6) * 32);
}

static struct kunit_case viommu_test_cases[] = {
	KUNIT_CASE(viommu_test_vste_bits),
	KUNIT_CASE(viommu_test_vste_values),
	KUNIT_CASE(viommu_test_vste_to_ste),
	KUNIT_CASE(viommu_test_vste_untranslated),
	KUNIT_CASE(viommu_test_event),
	{},
};

static struct kunit_suite viommu_test_suite = {
	.name = "arm-smmu-v3-viommu",
	.init = viommu_test_init,
	.test_cases = viommu_test_cases,
};

kunit_test_suites(&viommu_test_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests for a guest's SMMU on arm-smmu-v3");
MODULE_LICENSE("GPL");
