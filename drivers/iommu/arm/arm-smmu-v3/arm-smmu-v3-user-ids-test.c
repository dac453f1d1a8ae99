// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many ASIDs and VMIDs a user gets
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/user_namespace.h>

#include "arm-smmu-v3-user-ids.h"

/* More than a user gets of any kind */
#define TEST_MOST	2048
#define TEST_USER	KUIDT_INIT(1000)
#define TEST_OTHER	KUIDT_INIT(1001)

struct user_ids_test {
	struct arm_smmu_device smmu[2];
	struct arm_smmu_stream streams[2];
	struct arm_smmu_master master;	/* That the calls below are about */
	struct cred *cred;		/* Of whoever makes them */
	struct user_namespace *real_ns;
	struct arm_smmu_user_ids *held[2 * TEST_MOST];
	unsigned int nr_held;
};

static int user_ids_test_init(struct kunit *test)
{
	struct user_ids_test *ut;
	int i;

	ut = kunit_kzalloc(test, sizeof(*ut), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ut);
	test->priv = ut;

	for (i = 0; i < ARRAY_SIZE(ut->smmu); i++) {
		ut->smmu[i].features = ARM_SMMU_FEAT_TRANS_S1 |
				       ARM_SMMU_FEAT_TRANS_S2;
		ut->smmu[i].asid_bits = 16;
		ut->smmu[i].vmid_bits = 16;
		ut->streams[i].id = i;
	}
	ut->master.smmu = &ut->smmu[0];
	ut->master.streams = &ut->streams[0];
	ut->master.num_streams = 1;

	ut->cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, ut->cred);
	ut->cred->uid = TEST_USER;
	ut->real_ns = ut->cred->user_ns;
	return 0;
}

static void user_ids_test_exit(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	if (!ut->cred)
		return;
	while (ut->nr_held)
		arm_smmu_user_ids_put(ut->held[--ut->nr_held]);
	ut->cred->user_ns = ut->real_ns;
	put_cred(ut->cred);
}

static int test_get(struct user_ids_test *ut, bool stage2)
{
	const struct cred *old = override_creds(ut->cred);
	struct arm_smmu_user_ids *ids;

	if (ut->nr_held == ARRAY_SIZE(ut->held))
		ids = ERR_PTR(-EOVERFLOW);
	else
		ids = arm_smmu_user_ids_get(&ut->master, stage2);
	revert_creds(old);
	if (IS_ERR(ids))
		return PTR_ERR(ids);
	ut->held[ut->nr_held++] = ids;
	return 0;
}

/* How many more there are */
static int test_get_all(struct kunit *test, bool stage2)
{
	int ret = 0, nr;

	for (nr = 0; nr < TEST_MOST; nr++) {
		ret = test_get(test->priv, stage2);
		if (ret)
			break;
	}
	KUNIT_EXPECT_EQ(test, ret, -ENOSPC);
	return nr;
}

static void user_ids_test_bounds(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	KUNIT_EXPECT_EQ(test, test_get_all(test, false), 1024);
	/* One that is free again is one more */
	arm_smmu_user_ids_put(ut->held[--ut->nr_held]);
	KUNIT_EXPECT_EQ(test, test_get_all(test, false), 1);
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
}

static void user_ids_test_few(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	ut->smmu[0].asid_bits = 8;
	ut->smmu[0].vmid_bits = 8;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 32);
	KUNIT_EXPECT_EQ(test, test_get_all(test, false), 32);
}

static void user_ids_test_stage2_only(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	ut->smmu[0].features = ARM_SMMU_FEAT_TRANS_S2;
	KUNIT_EXPECT_EQ(test, test_get_all(test, false), 64);
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
}

static void user_ids_test_devices(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	ut->master.streams = &ut->streams[1];
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	/* The same StreamID, but of another SMMU */
	ut->master.smmu = &ut->smmu[1];
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	/* A device that was removed and is back */
	ut->master.smmu = &ut->smmu[0];
	ut->master.streams = &ut->streams[0];
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
}

static void user_ids_test_users(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;

	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	ut->cred->uid = TEST_OTHER;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	ut->cred->uid = TEST_USER;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
}

/* Users that a user made do not get IDs of their own */
static void user_ids_test_namespaces(struct kunit *test)
{
	struct user_ids_test *ut = test->priv;
	struct user_namespace *outer, *inner;

	if (!IS_ENABLED(CONFIG_USER_NS))
		kunit_skip(test, "the kernel has one user namespace");
	outer = kunit_kzalloc(test, sizeof(*outer), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, outer);
	inner = kunit_kzalloc(test, sizeof(*inner), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, inner);
	outer->parent = &init_user_ns;
	outer->owner = TEST_USER;
	inner->parent = outer;
	inner->owner = TEST_OTHER;

	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
	ut->cred->uid = TEST_OTHER;
	ut->cred->user_ns = outer;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
	ut->cred->user_ns = inner;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 0);
	outer->owner = TEST_OTHER;
	KUNIT_EXPECT_EQ(test, test_get_all(test, true), 64);
}

static struct kunit_case user_ids_test_cases[] = {
	KUNIT_CASE(user_ids_test_bounds),
	KUNIT_CASE(user_ids_test_few),
	KUNIT_CASE(user_ids_test_stage2_only),
	KUNIT_CASE(user_ids_test_devices),
	KUNIT_CASE(user_ids_test_users),
	KUNIT_CASE(user_ids_test_namespaces),
	{},
};

static struct kunit_suite user_ids_test_suite = {
	.name = "arm-smmu-v3-user-ids",
	.init = user_ids_test_init,
	.exit = user_ids_test_exit,
	.test_cases = user_ids_test_cases,
};

kunit_test_suites(&user_ids_test_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests for the ASIDs and VMIDs of users on arm-smmu-v3");
MODULE_LICENSE("GPL");
