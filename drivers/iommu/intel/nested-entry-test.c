// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the hardware gets for an entry that a guest has written.
 *
 * What the guest may say lands where the specification has it, all else is the
 * host's or nothing at all. Section 9.5 and 9.6 of the VT-d specification are
 * repeated here, bit by bit, so that a mistake in the driver's masks does not
 * hide itself.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "nested-table.h"

#define HW_P			BIT_ULL(0)
#define HW_FPD			BIT_ULL(1)
#define HW_AW_SHIFT		2
#define HW_PGTT_SHIFT		6
#define HW_SSADE		BIT_ULL(9)
#define HW_PWSNP		BIT_ULL(23)
#define HW_PGSNP		BIT_ULL(24)
#define HW_SRE			BIT_ULL(0)
#define HW_WPE			BIT_ULL(4)
#define HW_FSPM			GENMASK_ULL(3, 2)
#define HW_POINTER		GENMASK_ULL(63, 12)

#define HW_PGTT_FIRST		1ULL
#define HW_PGTT_SECOND		2ULL
#define HW_PGTT_NESTED		3ULL
#define HW_PGTT_PASS		4ULL

/* Capabilities, 10.4.2 and 10.4.3 */
#define HW_CAP_FL5LP		BIT_ULL(60)
#define HW_ECAP_SC		BIT_ULL(7)
#define HW_ECAP_ERS		BIT_ULL(30)
#define HW_ECAP_SRS		BIT_ULL(31)
#define HW_ECAP_EAFS		BIT_ULL(34)
#define HW_ECAP_SMPWC		BIT_ULL(48)

#define TEST_PGD		0x123456789000ULL
#define TEST_DID		0xa5c3
#define TEST_FSPTPTR		0x2345678000ULL
#define TEST_GPA_LAST		(BIT_ULL(48) - 1)
/* Six features, and what the host asks for */
#define TEST_STAGE2S		256

static void test_stage2(unsigned int n, struct intel_nested_stage2 *s2)
{
	*s2 = (struct intel_nested_stage2){
		.cap = n & 1 ? HW_CAP_FL5LP : 0,
		.ecap = (n & 2 ? HW_ECAP_SC : 0) | (n & 4 ? HW_ECAP_ERS : 0) |
			(n & 8 ? HW_ECAP_SRS : 0) |
			(n & 16 ? HW_ECAP_EAFS : 0) |
			(n & 32 ? HW_ECAP_SMPWC : 0),
		.pgd = TEST_PGD,
		.gpa_last = TEST_GPA_LAST,
		.did = TEST_DID,
		.agaw = 2,
		.force_snoop = n & 64,
		.track_dirty = n & 128,
	};
	/* All other features there are do not matter */
	if (n & 1)
		s2->ecap |= ~(HW_ECAP_SC | HW_ECAP_ERS | HW_ECAP_SRS |
			      HW_ECAP_EAFS | HW_ECAP_SMPWC);
	else
		s2->cap |= ~HW_CAP_FL5LP;
}

/* The host's part of an entry, with nothing of the guest */
static void test_host(const struct intel_nested_stage2 *s2, u64 pgtt,
		      struct pasid_entry *want)
{
	*want = (struct pasid_entry){
		.val[0] = s2->pgd | s2->agaw << HW_AW_SHIFT |
			  pgtt << HW_PGTT_SHIFT | HW_P |
			  (s2->track_dirty ? HW_SSADE : 0),
		.val[1] = s2->did | (s2->ecap & HW_ECAP_SMPWC ? HW_PWSNP : 0),
	};
	if (s2->force_snoop && pgtt == HW_PGTT_NESTED)
		want->val[1] |= HW_PGSNP;
}

static void test_guest(u64 pgtt, struct intel_guest_entry *guest)
{
	*guest = (struct intel_guest_entry){
		.val[0] = HW_P | pgtt << HW_PGTT_SHIFT,
		.val[2] = pgtt == HW_PGTT_FIRST ? TEST_FSPTPTR : 0,
	};
}

static int test_make(const struct intel_nested_stage2 *s2,
		     const struct intel_guest_entry *guest,
		     struct pasid_entry *entry)
{
	/* Whoever forgets to write a field is found out */
	memset(entry, 0xff, sizeof(*entry));
	return intel_nested_make_entry(s2, guest, entry);
}

static bool test_same(const struct pasid_entry *a, const struct pasid_entry *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool test_zero(const struct pasid_entry *entry)
{
	return !memchr_inv(entry, 0, sizeof(*entry));
}

enum test_fate {
	TEST_IGNORED,
	TEST_KEPT,
	TEST_ABSENT,
	TEST_REFUSED,
	/* Kept as far as the second stage goes, else -ERANGE */
	TEST_ADDRESS,
	/* Kept if the hardware can, else -ENXIO */
	TEST_FEATURE,
};

/* What becomes of an entry if one of these bits is the other way round */
struct test_bits {
	u8 word;
	u8 first;
	u8 last;
	enum test_fate fate;
	int error;
	u64 cap;
	u64 ecap;
};

static const struct test_bits test_first_bits[] = {
	{ 0, 0, 0, TEST_ABSENT },
	{ 0, 1, 1, TEST_KEPT },				/* FPD */
	{ 0, 2, 4, TEST_IGNORED },			/* AW */
	{ 0, 5, 5, TEST_REFUSED, -EINVAL },
	{ 0, 6, 6, TEST_REFUSED, -EINVAL },		/* PGTT 0 */
	{ 0, 7, 7, TEST_REFUSED, -EOPNOTSUPP },		/* PGTT 3 */
	{ 0, 8, 8, TEST_REFUSED, -EINVAL },		/* PGTT 5 */
	{ 0, 9, 9, TEST_IGNORED },			/* SSADE */
	{ 0, 10, 11, TEST_REFUSED, -EINVAL },
	{ 0, 12, 63, TEST_IGNORED },			/* SSPTPTR */
	{ 1, 0, 15, TEST_IGNORED },			/* DID */
	{ 1, 16, 22, TEST_REFUSED, -EINVAL },
	{ 1, 23, 23, TEST_IGNORED },			/* PWSNP */
	{ 1, 24, 24, TEST_FEATURE, .ecap = HW_ECAP_SC },	/* PGSNP */
	{ 1, 25, 63, TEST_REFUSED, -EINVAL },		/* memory types */
	{ 2, 0, 0, TEST_FEATURE, .ecap = HW_ECAP_SRS },	/* SRE */
	{ 2, 1, 1, TEST_FEATURE, .ecap = HW_ECAP_ERS },	/* ERE */
	{ 2, 2, 2, TEST_FEATURE, .cap = HW_CAP_FL5LP },	/* FSPM 1 */
	{ 2, 3, 3, TEST_REFUSED, -EINVAL },		/* FSPM 2 */
	{ 2, 4, 4, TEST_IGNORED },			/* WPE without SRE */
	{ 2, 5, 5, TEST_FEATURE, .ecap = HW_ECAP_ERS },	/* NXE */
	{ 2, 6, 6, TEST_FEATURE, .ecap = HW_ECAP_ERS },	/* SMEP */
	{ 2, 7, 7, TEST_FEATURE, .ecap = HW_ECAP_EAFS },	/* EAFE */
	{ 2, 8, 11, TEST_REFUSED, -EINVAL },
	{ 2, 12, 63, TEST_ADDRESS },			/* FSPTPTR */
	{ 3, 0, 63, TEST_REFUSED, -EINVAL },
	{ 4, 0, 63, TEST_REFUSED, -EINVAL },
	{ 5, 0, 63, TEST_REFUSED, -EINVAL },
	{ 6, 0, 63, TEST_REFUSED, -EINVAL },
	{ 7, 0, 63, TEST_REFUSED, -EINVAL },
};

static const struct test_bits test_pass_bits[] = {
	{ 0, 0, 0, TEST_ABSENT },
	{ 0, 1, 1, TEST_KEPT },				/* FPD */
	{ 0, 2, 4, TEST_IGNORED },			/* AW */
	{ 0, 5, 5, TEST_REFUSED, -EINVAL },
	{ 0, 6, 8, TEST_REFUSED, -EINVAL },		/* PGTT 5, 6, 0 */
	{ 0, 9, 9, TEST_IGNORED },			/* SSADE */
	{ 0, 10, 11, TEST_REFUSED, -EINVAL },
	{ 0, 12, 63, TEST_IGNORED },			/* SSPTPTR */
	{ 1, 0, 15, TEST_IGNORED },			/* DID */
	{ 1, 16, 22, TEST_REFUSED, -EINVAL },
	{ 1, 23, 24, TEST_IGNORED },			/* PWSNP, PGSNP */
	{ 1, 25, 63, TEST_REFUSED, -EINVAL },		/* memory types */
	{ 2, 0, 7, TEST_IGNORED },			/* first stage */
	{ 2, 8, 11, TEST_REFUSED, -EINVAL },
	{ 2, 12, 63, TEST_IGNORED },			/* FSPTPTR */
	{ 3, 0, 63, TEST_REFUSED, -EINVAL },
	{ 4, 0, 63, TEST_REFUSED, -EINVAL },
	{ 5, 0, 63, TEST_REFUSED, -EINVAL },
	{ 6, 0, 63, TEST_REFUSED, -EINVAL },
	{ 7, 0, 63, TEST_REFUSED, -EINVAL },
};

static void test_one_bit(struct kunit *test,
			 const struct intel_nested_stage2 *s2, u64 pgtt,
			 const struct test_bits *bits, unsigned int bit)
{
	struct pasid_entry entry, want;
	struct intel_guest_entry guest;
	int rc, expected = 0;

	test_guest(pgtt, &guest);
	guest.val[bits->word] ^= BIT_ULL(bit);
	test_host(s2, pgtt == HW_PGTT_PASS ? HW_PGTT_SECOND : HW_PGTT_NESTED,
		  &want);
	want.val[2] = pgtt == HW_PGTT_FIRST ? TEST_FSPTPTR : 0;

	switch (bits->fate) {
	case TEST_IGNORED:
		break;
	case TEST_FEATURE:
		if ((s2->cap & bits->cap) != bits->cap ||
		    (s2->ecap & bits->ecap) != bits->ecap)
			expected = -ENXIO;
		/* The host may have set it already */
		want.val[bits->word] |= BIT_ULL(bit);
		break;
	case TEST_ADDRESS:
		if ((guest.val[2] & HW_POINTER) > s2->gpa_last)
			expected = -ERANGE;
		want.val[2] ^= BIT_ULL(bit);
		break;
	case TEST_KEPT:
		want.val[bits->word] |= BIT_ULL(bit);
		break;
	case TEST_ABSENT:
		memset(&want, 0, sizeof(want));
		break;
	case TEST_REFUSED:
		expected = bits->error;
		break;
	}
	if (expected)
		memset(&want, 0, sizeof(want));
	rc = test_make(s2, &guest, &entry);
	KUNIT_ASSERT_EQ_MSG(test, rc, expected, "word %u bit %u cap %llx ecap %llx",
			    bits->word, bit, s2->cap, s2->ecap);
	KUNIT_ASSERT_TRUE_MSG(test, test_same(&entry, &want),
			      "word %u bit %u: %llx %llx %llx, not %llx %llx %llx",
			      bits->word, bit, entry.val[0], entry.val[1],
			      entry.val[2], want.val[0], want.val[1],
			      want.val[2]);
}

static unsigned int test_every_bit(struct kunit *test, u64 pgtt,
				   const struct test_bits *bits, int nr)
{
	struct intel_nested_stage2 s2;
	unsigned int n, bit, done = 0;
	int i;

	for (n = 0; n < TEST_STAGE2S; n++) {
		test_stage2(n, &s2);
		for (i = 0; i < nr; i++)
			for (bit = bits[i].first; bit <= bits[i].last; bit++) {
				test_one_bit(test, &s2, pgtt, &bits[i], bit);
				done++;
			}
	}
	return done;
}

static void nested_test_first_stage(struct kunit *test)
{
	/* Each bit has one place in the table */
	KUNIT_EXPECT_EQ(test, test_every_bit(test, HW_PGTT_FIRST,
					     test_first_bits,
					     ARRAY_SIZE(test_first_bits)),
			TEST_STAGE2S * 512);
}

static void nested_test_pass_through(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, test_every_bit(test, HW_PGTT_PASS,
					     test_pass_bits,
					     ARRAY_SIZE(test_pass_bits)),
			TEST_STAGE2S * 512);
}

static void nested_test_types(struct kunit *test)
{
	static const int errors[] = {
		-EINVAL, 0, -EOPNOTSUPP, -EOPNOTSUPP, 0, -EINVAL, -EINVAL,
		-EINVAL,
	};
	struct intel_guest_entry guest;
	struct intel_nested_stage2 s2;
	struct pasid_entry entry;
	unsigned int n;
	u64 pgtt;

	for (n = 0; n < TEST_STAGE2S; n++) {
		test_stage2(n, &s2);
		for (pgtt = 0; pgtt < ARRAY_SIZE(errors); pgtt++) {
			test_guest(pgtt, &guest);
			KUNIT_ASSERT_EQ(test, test_make(&s2, &guest, &entry),
					errors[pgtt]);
			KUNIT_ASSERT_EQ(test, test_zero(&entry),
					!!errors[pgtt]);
			/* Nothing is kept of an entry that is not present */
			guest.val[0] &= ~HW_P;
			KUNIT_ASSERT_EQ(test, test_make(&s2, &guest, &entry), 0);
			KUNIT_ASSERT_TRUE(test, test_zero(&entry));
			guest.val[0] |= HW_FPD;
			KUNIT_ASSERT_EQ(test, test_make(&s2, &guest, &entry), 0);
			KUNIT_ASSERT_TRUE(test, test_zero(&entry));
		}
	}
}

/* The flags of the first stage together, on all hardware */
static void nested_test_flags(struct kunit *test)
{
	struct pasid_entry entry, want;
	struct intel_guest_entry guest;
	struct intel_nested_stage2 s2;
	unsigned int n, i, bit;
	u64 flags;
	bool missing;
	int rc;

	for (n = 0; n < TEST_STAGE2S; n++) {
		test_stage2(n, &s2);
		for (flags = 0; flags < 256; flags++) {
			missing = false;
			for (i = 0; i < ARRAY_SIZE(test_first_bits); i++) {
				const struct test_bits *bits = &test_first_bits[i];

				bit = bits->first;
				if (bits->word == 2 && flags & BIT_ULL(bit) &&
				    bits->fate == TEST_FEATURE &&
				    ((s2.cap & bits->cap) != bits->cap ||
				     (s2.ecap & bits->ecap) != bits->ecap))
					missing = true;
			}
			test_guest(HW_PGTT_FIRST, &guest);
			guest.val[2] |= flags;
			test_host(&s2, HW_PGTT_NESTED, &want);
			want.val[2] = guest.val[2];
			if (!(flags & HW_SRE))
				want.val[2] &= ~HW_WPE;
			rc = test_make(&s2, &guest, &entry);
			if ((flags & HW_FSPM) > 4)
				KUNIT_ASSERT_TRUE(test, rc == -EINVAL ||
						  (missing && rc == -ENXIO));
			else
				KUNIT_ASSERT_EQ(test, rc, missing ? -ENXIO : 0);
			if (rc)
				memset(&want, 0, sizeof(want));
			KUNIT_ASSERT_TRUE(test, test_same(&entry, &want));
		}
	}
}

static void nested_test_gpa_last(struct kunit *test)
{
	static const u64 lasts[] = { SZ_4K - 1, BIT_ULL(30) - 1, BIT_ULL(39) - 1,
				     BIT_ULL(48) - 1, BIT_ULL(57) - 1, U64_MAX };
	struct intel_guest_entry guest;
	struct intel_nested_stage2 s2;
	struct pasid_entry entry;
	u64 first, gpa;
	int i;

	for (i = 0; i < ARRAY_SIZE(lasts); i++) {
		test_stage2(0, &s2);
		s2.gpa_last = lasts[i];
		test_guest(HW_PGTT_FIRST, &guest);

		first = lasts[i] & HW_POINTER;
		guest.val[2] = first;
		KUNIT_EXPECT_EQ(test, test_make(&s2, &guest, &entry), 0);
		KUNIT_EXPECT_EQ(test, entry.val[2], first);
		gpa = 0;
		KUNIT_EXPECT_EQ(test, intel_nested_check_pde(&s2, first | HW_P,
							     &gpa), 1);
		KUNIT_EXPECT_EQ(test, gpa, first);
		if (lasts[i] == U64_MAX)
			continue;

		guest.val[2] = lasts[i] + 1;
		KUNIT_EXPECT_EQ(test, test_make(&s2, &guest, &entry), -ERANGE);
		KUNIT_EXPECT_TRUE(test, test_zero(&entry));
		guest.val[2] = HW_POINTER;
		KUNIT_EXPECT_EQ(test, test_make(&s2, &guest, &entry), -ERANGE);
		KUNIT_EXPECT_EQ(test, intel_nested_check_pde(&s2,
							     (lasts[i] + 1) | HW_P,
							     &gpa), -ERANGE);
		KUNIT_EXPECT_EQ(test, intel_nested_check_pde(&s2,
							     HW_POINTER | HW_P,
							     &gpa), -ERANGE);
	}
}

static u64 test_random(struct rnd_state *rnd)
{
	return (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
}

/* Some bits of a random entry: few of those with all bits random are accepted */
static void test_random_guest(struct rnd_state *rnd,
			      struct intel_guest_entry *guest)
{
	u32 kind = prandom_u32_state(rnd);
	int i;

	for (i = 0; i < ARRAY_SIZE(guest->val); i++)
		guest->val[i] = test_random(rnd);
	if (!(kind & 7))
		return;
	for (i = 3; i < ARRAY_SIZE(guest->val); i++)
		guest->val[i] = 0;
	guest->val[0] &= ~(BIT_ULL(5) | GENMASK_ULL(11, 10));
	guest->val[1] &= GENMASK_ULL(15, 0) | GENMASK_ULL(24, 23);
	guest->val[2] &= ~GENMASK_ULL(11, 8) & (kind & 8 ? TEST_GPA_LAST : ~0ULL);
	if (kind & 16)
		guest->val[2] &= ~BIT_ULL(3);
}

/* Whatever the guest says: the second stage and the domain ID are the host's */
static void nested_test_hostile(struct kunit *test)
{
	unsigned int n, present[2] = {}, refused = 0;
	struct pasid_entry entry, nested, second;
	struct intel_guest_entry guest, before;
	struct intel_nested_stage2 s2;
	struct rnd_state rnd;
	int rc;

	prandom_seed_state(&rnd, 0x9e06);
	for (n = 0; n < 400000; n++) {
		test_stage2(prandom_u32_state(&rnd) % TEST_STAGE2S, &s2);
		s2.pgd = test_random(&rnd) & GENMASK_ULL(51, 12);
		s2.did = prandom_u32_state(&rnd);
		s2.agaw = 1 + prandom_u32_state(&rnd) % 3;
		test_host(&s2, HW_PGTT_NESTED, &nested);
		test_host(&s2, HW_PGTT_SECOND, &second);
		test_random_guest(&rnd, &guest);
		before = guest;

		rc = test_make(&s2, &guest, &entry);
		KUNIT_ASSERT_FALSE(test, memcmp(&guest, &before, sizeof(guest)));
		if (rc) {
			KUNIT_ASSERT_TRUE(test, test_zero(&entry));
			refused++;
			continue;
		}
		if (!(guest.val[0] & HW_P)) {
			KUNIT_ASSERT_TRUE(test, test_zero(&entry));
			continue;
		}
		entry.val[0] ^= guest.val[0] & HW_FPD;
		if (test_same(&entry, &second)) {
			present[0]++;
			continue;
		}
		present[1]++;
		KUNIT_ASSERT_EQ(test, entry.val[0], nested.val[0]);
		KUNIT_ASSERT_EQ(test, entry.val[1],
				nested.val[1] | (guest.val[1] & HW_PGSNP));
		KUNIT_ASSERT_LE(test, entry.val[2] & HW_POINTER, s2.gpa_last);
		KUNIT_ASSERT_EQ(test, entry.val[2] & ~HW_WPE,
				guest.val[2] & ~HW_WPE);
		memset(entry.val, 0, 3 * sizeof(entry.val[0]));
		KUNIT_ASSERT_TRUE(test, test_zero(&entry));
	}
	KUNIT_EXPECT_GT(test, present[0], 1000);
	KUNIT_EXPECT_GT(test, present[1], 1000);
	KUNIT_EXPECT_GT(test, refused, 1000);
}

static void nested_test_bypass(struct kunit *test)
{
	struct pasid_entry entry, want;
	struct intel_nested_stage2 s2;
	unsigned int n;

	for (n = 0; n < TEST_STAGE2S; n++) {
		test_stage2(n, &s2);
		test_host(&s2, HW_PGTT_SECOND, &want);
		memset(&entry, 0xff, sizeof(entry));
		intel_nested_make_bypass(&s2, &entry);
		KUNIT_ASSERT_TRUE(test, test_same(&entry, &want));
	}
}

static void nested_test_pde(struct kunit *test)
{
	struct intel_nested_stage2 s2;
	struct rnd_state rnd;
	unsigned int bit, n;
	u64 pde, gpa;
	int expected;

	test_stage2(0, &s2);
	for (bit = 0; bit < 64; bit++) {
		pde = (TEST_FSPTPTR | HW_P) ^ BIT_ULL(bit);
		expected = 1;
		if (bit == 0)
			expected = 0;
		else if (bit >= 2 && bit <= 11)
			expected = -EINVAL;
		else if (bit >= 48)
			expected = -ERANGE;
		gpa = 0;
		KUNIT_EXPECT_EQ_MSG(test, intel_nested_check_pde(&s2, pde, &gpa),
				    expected, "bit %u", bit);
		if (expected == 1)
			KUNIT_EXPECT_EQ(test, gpa, pde & HW_POINTER);
	}

	prandom_seed_state(&rnd, 0x9e05);
	for (n = 0; n < 10000; n++) {
		pde = test_random(&rnd);
		KUNIT_ASSERT_EQ(test, intel_nested_check_pde(&s2, pde & ~HW_P,
							     &gpa), 0);
		pde |= HW_P;
		if (intel_nested_check_pde(&s2, pde, &gpa) == 1)
			KUNIT_ASSERT_LE(test, gpa, s2.gpa_last);
	}
}

static struct kunit_case nested_entry_test_cases[] = {
	KUNIT_CASE(nested_test_first_stage),
	KUNIT_CASE(nested_test_pass_through),
	KUNIT_CASE(nested_test_types),
	KUNIT_CASE(nested_test_flags),
	KUNIT_CASE(nested_test_gpa_last),
	KUNIT_CASE(nested_test_hostile),
	KUNIT_CASE(nested_test_bypass),
	KUNIT_CASE(nested_test_pde),
	{},
};

static struct kunit_suite nested_entry_test_suite = {
	.name = "intel-nested-entry",
	.test_cases = nested_entry_test_cases,
};

kunit_test_suites(&nested_entry_test_suite);
