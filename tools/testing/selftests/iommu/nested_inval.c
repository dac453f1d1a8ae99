// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation of what the IOMMU caches of the guest's tables.
 *
 * Each case changes a table under a cached translation, and shows first that
 * DMA still follows the old one. Where that does not hold the case proves
 * nothing: emulated IOMMUs do cache, hardware may have evicted the entry.
 */
#include "nested_env.h"

#include "../kselftest_harness.h"

FIXTURE(inval)
{
	struct env env;
	__u64 granule;
};

FIXTURE_VARIANT(inval)
{
	bool nvme;
	unsigned int granule;
};

FIXTURE_VARIANT_ADD(inval, nvme_4k)
{
	.nvme = true,
	.granule = 12,
};

#if S1_GRANULES & 0x4000
FIXTURE_VARIANT_ADD(inval, nvme_16k)
{
	.nvme = true,
	.granule = 14,
};
#endif

#if S1_GRANULES & 0x10000
FIXTURE_VARIANT_ADD(inval, nvme_64k)
{
	.nvme = true,
	.granule = 16,
};
#endif

FIXTURE_SETUP(inval)
{
	struct env *env = &self->env;
	int rc = env_init(env, variant->nvme, variant->granule);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->granule = 1ULL << variant->granule;
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
}

FIXTURE_TEARDOWN(inval)
{
	env_exit(&self->env);
}

/* The old translation before, the new one after @req */
static void check(struct __test_metadata *_metadata, struct env *env,
		  __u64 giova, struct iommu_hwpt_pasid_table_invalidate req)
{
	struct probe *probe = &env->probe;

	probe_map(probe, &env->table, giova, AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(AT_A, probe_dma(probe, giova));

	probe_map(probe, &env->table, giova, AT_B);
	EXPECT_EQ(AT_A, probe_dma(probe, giova));
	EXPECT_EQ(0, env_invalidate(env, req));
	EXPECT_EQ(AT_B, probe_dma(probe, giova));

	/* And away */
	probe_map(probe, &env->table, giova, NOWHERE);
	EXPECT_EQ(AT_B, probe_dma(probe, giova));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, env_invalidate(env, req));
	EXPECT_EQ(NOWHERE, probe_dma(probe, giova));
	EXPECT_LT(0, faults(env->dev, true));
	EXPECT_EQ(0, faults_start());
	if (!__test_passed(_metadata))
		TH_LOG("flags %u caches %u granularity %u", req.flags,
		       req.caches, req.granularity);
}

/* With what a request by address may be flagged */
static const __u32 addr_flags[] = {
	0,
	INV_LEAF,
	INV_TAG,
	INV_TAG | INV_LEAF,
	INV_TAG | INV_PASID,
	INV_PASID,
};

TEST_F(inval, by_address)
{
	struct iommu_hwpt_pasid_table_invalidate req;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addr_flags); i++) {
		req = inv_addr(addr_flags[i], variant->granule, GIOVA, 1);
		check(_metadata, &self->env, GIOVA, req);
	}
	req.caches |= INV_DEV_TLB;
	check(_metadata, &self->env, GIOVA, req);
}

TEST_F(inval, by_tag)
{
	check(_metadata, &self->env, GIOVA, inv_one(INV_TAG, INV_IOTLB));
	check(_metadata, &self->env, GIOVA,
	      inv_one(INV_TAG | INV_PASID, INV_ALL));
}

TEST_F(inval, domain_wide)
{
	check(_metadata, &self->env, GIOVA, inv_domain(INV_IOTLB));
	check(_metadata, &self->env, GIOVA, inv_domain(INV_ALL));
}

/* The last gIOVAs that there are: the range ends with the address space */
TEST_F(inval, top_of_range)
{
	__u64 giova = S1_LAST + 1 - self->granule;

	check(_metadata, &self->env, giova,
	      inv_addr(0, variant->granule, giova, -giova >> variant->granule));
	/* All of 64 bits */
	check(_metadata, &self->env, giova,
	      inv_addr(0, variant->granule, 0,
		       1ULL << (64 - variant->granule)));
}

/*
 * One request covers a range, at its first, middle and last granule. More may
 * be invalidated, so the neighbours lead to the old place or to the new one.
 */
static void check_range(struct __test_metadata *_metadata, struct env *env,
			__u32 flags, unsigned int granule, __u64 addr,
			__u64 nb)
{
	__u64 last = addr + ((nb - 1) << granule), size = 1ULL << granule;
	const __u64 inside[] = {
		addr,
		addr + (nb / 2 << granule),
		last,
	};
	const __u64 outside[] = { addr - size, last + size };
	struct probe *probe = &env->probe;
	struct s1_table *table = &env->table;
	enum place place;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(inside); i++)
		probe_map(probe, table, inside[i], AT_A);
	for (i = 0; i < ARRAY_SIZE(outside); i++)
		probe_map(probe, table, outside[i], AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	for (i = 0; i < ARRAY_SIZE(inside); i++)
		EXPECT_EQ(AT_A, probe_dma(probe, inside[i]));
	for (i = 0; i < ARRAY_SIZE(outside); i++)
		EXPECT_EQ(AT_A, probe_dma(probe, outside[i]));

	for (i = 0; i < ARRAY_SIZE(inside); i++)
		probe_map(probe, table, inside[i], AT_B);
	for (i = 0; i < ARRAY_SIZE(outside); i++)
		probe_map(probe, table, outside[i], AT_B);
	for (i = 0; i < ARRAY_SIZE(inside); i++)
		EXPECT_EQ(AT_A, probe_dma(probe, inside[i]));

	EXPECT_EQ(0, env_invalidate(env, inv_addr(flags, granule, addr, nb)));
	for (i = 0; i < ARRAY_SIZE(inside); i++)
		EXPECT_EQ(AT_B, probe_dma(probe, inside[i]));
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		place = probe_dma(probe, outside[i]);
		EXPECT_TRUE(place == AT_A || place == AT_B);
	}
	if (!__test_passed(_metadata))
		TH_LOG("flags %u, %llu granules", flags, nb);
}

TEST_F(inval, ranges)
{
	static const __u64 lengths[] = { 1, 2, 511, 512, 100000 };
	/* Aligned to its length, and as badly as possible */
	const __u64 starts[] = { GIOVA, GIOVA + 7 * self->granule };
	unsigned int flags, i, j;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (j = 0; j < ARRAY_SIZE(starts); j++) {
			for (flags = 0; flags < 4; flags++) {
				check_range(_metadata, &self->env,
					    addr_flags[flags],
					    variant->granule, starts[j],
					    lengths[i]);
			}
		}
	}
	EXPECT_EQ(0, faults(self->env.dev, false));
}

/* A block is one granule of its own size */
TEST_F(inval, block)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int block = 2 * variant->granule - 3;
	__u64 mask = (1ULL << block) - 1;
	__u64 giova = 0x80000000000ULL;

	s1_map_size(&env->table, giova, probe->a & ~mask, block, S1_READ_WRITE);
	EXPECT_EQ(AT_A, probe_dma(probe, giova + (probe->a & mask)));
	EXPECT_EQ(AT_B, probe_dma(probe, giova + (probe->b & mask)));
	s1_write(s1_entry(&env->table, giova, block), 0);
	EXPECT_EQ(AT_A, probe_dma(probe, giova + (probe->a & mask)));
	EXPECT_EQ(AT_B, probe_dma(probe, giova + (probe->b & mask)));
	EXPECT_EQ(0, faults(env->dev, false));

	EXPECT_EQ(0, env_invalidate(env, inv_addr(INV_TAG | INV_LEAF, block,
						  giova, 1)));
	EXPECT_EQ(NOWHERE, probe_dma(probe, giova + (probe->a & mask)));
	EXPECT_EQ(NOWHERE, probe_dma(probe, giova + (probe->b & mask)));
	EXPECT_LT(0, faults(env->dev, true));
}

/* A table between the root and the page is exchanged: no leaf flag */
TEST_F(inval, upper_level)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	unsigned int block = 2 * variant->granule - 3;
	__u64 *entry = s1_entry(&env->table, GIOVA, block), old = *entry;

	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	s1_write(entry, 0);
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_NE(old, *entry);
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, env_invalidate(env, inv_addr(INV_TAG, variant->granule,
						  GIOVA, 1)));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

#ifndef NESTED_VIOMMU	/* there the guest knows, and invalidates */
/* Replacing the table is enough, though both tag their translations alike */
TEST_F(inval, replaced_table_is_fresh)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	struct pasid_table pasids;
	struct s1_table table;
	__u32 hwpt;

	ASSERT_EQ(0, env_add_table(env, &table, &pasids, variant->granule, TAG,
				   &hwpt));
	probe_map(probe, &table, GIOVA, AT_B);

	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	/* The first one changes while nobody uses it */
	probe_map(probe, &env->table, GIOVA, NOWHERE);
	probe_map(probe, &env->table, GIOVA + PLACE_SIZE, AT_A);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA + PLACE_SIZE));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
}
#endif

/* What cannot have anything cached takes requests too: a guest sends them */
TEST_F(inval, nothing_to_do)
{
	struct iommu_hwpt_pasid_table_invalidate all = inv_domain(INV_ALL);
	struct env *env = &self->env;
	__u32 bypass;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	EXPECT_EQ(0, vm_invalidate(&env->vm, bypass, all));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(0, vm_invalidate(&env->vm, bypass, all));
	EXPECT_EQ(0, env_invalidate(env, all));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	EXPECT_EQ(0, faults(env->dev, false));
}

FIXTURE(pasid_cache)
{
	struct env env;
	struct s1_table other;
};

FIXTURE_VARIANT(pasid_cache)
{
	bool nvme;
};

FIXTURE_VARIANT_ADD(pasid_cache, edu)
{
};

FIXTURE_VARIANT_ADD(pasid_cache, nvme)
{
	.nvme = true,
};

FIXTURE_SETUP(pasid_cache)
{
	struct env *env = &self->env;
	int rc = env_init(env, variant->nvme, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	s1_init(&self->other, &env->vm, S1_BIG_GRANULE_LOG2, TAG + 1);
	probe_prepare(&env->probe, &self->other);
	probe_map(&env->probe, &self->other, GIOVA, AT_B);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
}

FIXTURE_TEARDOWN(pasid_cache)
{
	env_exit(&self->env);
}

/* The guest gives the device another address space, of another tag */
TEST_F(pasid_cache, other_table)
{
	const struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		inv_domain(INV_PASID_CACHE),
		inv_one(INV_PASID, INV_PASID_CACHE),
		inv_one(INV_PASID | INV_LEAF, INV_PASID_CACHE),
	};
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	bool other = false;
	unsigned int i;

	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		other = !other;
		pasid_table_set(&env->pasids,
				other ? &self->other : &env->table);
		/* Translations alone are not enough */
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		EXPECT_EQ(other ? AT_A : AT_B, probe_dma(probe, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, reqs[i]));
		EXPECT_EQ(other ? AT_B : AT_A, probe_dma(probe, GIOVA)) {
			TH_LOG("request %u", i);
		}
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

FIXTURE(edu)
{
	struct env env;
};

FIXTURE_SETUP(edu)
{
	struct env *env = &self->env;
	int rc = env_init(env, false, 12);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
}

FIXTURE_TEARDOWN(edu)
{
	env_exit(&self->env);
}

TEST_F(edu, by_address)
{
	check(_metadata, &self->env, GIOVA, inv_addr(INV_TAG, 12, GIOVA, 1));
}

TEST_F(edu, range)
{
	check_range(_metadata, &self->env, 0, 12, GIOVA, 100000);
}

/* The guest's descriptor goes bad, and good again */
TEST_F(edu, bad_descriptor)
{
	struct iommu_hwpt_pasid_table_invalidate all = inv_domain(INV_ALL);
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	int log = log_open();
	unsigned int i;

	ASSERT_LE(0, log);
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	for (i = 0; pasid_table_damage(&env->pasids, i); i++) {
		EXPECT_EQ(0, env_invalidate(env, all));
		EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
		EXPECT_LT(0, faults(env->dev, true)) {
			TH_LOG("damage %u", i);
		}
		pasid_table_set(&env->pasids, &env->table);
		EXPECT_EQ(0, env_invalidate(env, all));
		EXPECT_EQ(0, faults_start());
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	}
	EXPECT_LT(0, i);
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

TEST_HARNESS_MAIN
