// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs of one device, each with the translation that the guest's table has
 * for it, and none with that of another one.
 */
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

/* In two PASID tables of the directory */
#define FIRST		1
#define SECOND		2
#define FAR		700

#define DMAS		10	/* in a row */

FIXTURE(pasids)
{
	struct vtd v;
	struct edu edu2;
};

FIXTURE_VARIANT(pasids)
{
	__u32 rid;
};

FIXTURE_VARIANT_ADD(pasids, rid_0)
{
};

FIXTURE_VARIANT_ADD(pasids, rid_5)
{
	.rid = 5,
};

FIXTURE_VARIANT_ADD(pasids, rid_last)
{
	.rid = (1 << VTD_BITS) - 1,
};

FIXTURE_SETUP(pasids)
{
	struct vtd *v = &self->v;

	self->edu2.dev.fd = -1;
	ASSERT_EQ(0, vtd_init(v, VTD_BITS, variant->rid));
	pasid_table_set_pasid(&v->env.pasids, FIRST, &v->env.table);
	pasid_table_set_pasid(&v->env.pasids, SECOND, &v->other);
	ASSERT_EQ(0, vfio_attach(v->env.dev, v->env.hwpt));
}

FIXTURE_TEARDOWN(pasids)
{
	vfio_close(&self->edu2.dev);
	vtd_exit(&self->v);
}

TEST_F(pasids, two_tables)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int i;

	/* Twice: the second time all of it is cached */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(AT_A, vtd_dma(v, SECOND, GIOVA_OTHER));
	}
	EXPECT_EQ(AT_A, vtd_dma(v, variant->rid, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	/* What one address space has, the other one does not */
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA_OTHER));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA_OTHER));
	EXPECT_LT(0, faults(env->dev, true));
}

TEST_F(pasids, empty_entries)
{
	struct vtd *v = &self->v;

	/* Beside one that is there, in an empty table, beyond the directory */
	EXPECT_TRUE(vtd_blocked(v, SECOND + 1, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, FAR, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, 1 << VTD_BITS, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, (1 << VTD_BITS) + FIRST, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
}

/* One device with a PASID and one without, on one table, in the same moment */
TEST_F(pasids, at_once)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	struct probe other;
	int i;

	ASSERT_EQ(0, edu_open(&self->edu2, 1));
	ASSERT_EQ(0, vfio_bind(&self->edu2.dev, env->vm.iommufd));
	ASSERT_EQ(0, vfio_attach(&self->edu2.dev, env->vm.parent));
	ASSERT_EQ(0, probe_edu(&other, &env->vm, &self->edu2));
	ASSERT_EQ(0, vfio_attach(&self->edu2.dev, env->hwpt));

	edu_pasid(&env->edu, SECOND);
	for (i = 0; i < 4; i++) {
		memset(vm_ptr(&env->vm, probe->a), VM_UNTOUCHED, PLACE_SIZE);
		memset(vm_ptr(&env->vm, probe->b), VM_UNTOUCHED, PLACE_SIZE);
		ASSERT_EQ(0, edu_begin_write(&env->edu, GIOVA));
		ASSERT_EQ(0, edu_begin_write(&self->edu2, GIOVA));
		ASSERT_EQ(0, edu_wait(&env->edu));
		ASSERT_EQ(0, edu_wait(&self->edu2));
		EXPECT_EQ(AT_A, probe_compare(probe,
					      vm_ptr(&env->vm, probe->b)));
		EXPECT_EQ(AT_A, probe_compare(&other,
					      vm_ptr(&env->vm, probe->a)));
	}
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, faults(&self->edu2.dev, false));
}

/* The two requests after which a changed entry counts */
static struct iommu_hwpt_pasid_table_invalidate pasid_cache(int i, __u32 pasid)
{
	return i ? inv_domain(INV_PASID_CACHE) :
		   inv_pasid(INV_PASID_CACHE, pasid);
}

TEST_F(pasids, entry_changed)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int i;

	for (i = 0; i < 2; i++) {
		pasid_table_set_pasid(&env->pasids, FIRST, &env->table);
		EXPECT_EQ(0, vtd_changed(v, FIRST));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		pasid_table_set_pasid(&env->pasids, FIRST, &v->other);
		/* Neither at once nor with its translations */
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, FIRST)));
		/* The translations of the old table are gone with it */
		EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_F(pasids, entry_cleared)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		pasid_table_clear_pasid(&env->pasids, FIRST);
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(0, faults(env->dev, false));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, FIRST)));
		EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));

		pasid_table_set_pasid(&env->pasids, FIRST, &env->table);
		EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, FIRST)));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	}
	EXPECT_EQ(0, faults(env->dev, false));
}

/* That of requests without a PASID, as the guest names it */
TEST_F(pasids, rid_changed)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		pasid_table_set(&env->pasids, &v->other);
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, variant->rid)));
		EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, variant->rid, GIOVA));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(0, faults(env->dev, false));

		pasid_table_clear(&env->pasids);
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, variant->rid)));
		EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
		EXPECT_LT(0, faults(env->dev, true));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		pasid_table_set(&env->pasids, &env->table);
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, variant->rid)));
		EXPECT_EQ(0, faults_start());
	}
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* The guest's directory grows and shrinks */
TEST_F(pasids, directory)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	__u64 *pde;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(vtd_blocked(v, FAR, GIOVA));
		pasid_table_set_pasid(&env->pasids, FAR, &v->other);
		EXPECT_TRUE(vtd_blocked(v, FAR, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, FAR)));
		EXPECT_EQ(AT_B, vtd_dma(v, FAR, GIOVA));
		EXPECT_TRUE(vtd_blocked(v, FAR + 1, GIOVA));

		pde = pasid_table_pde(&env->pasids, FAR);
		s1_write(pde, 0);
		EXPECT_EQ(AT_B, vtd_dma(v, FAR, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i, FAR)));
	}
	EXPECT_TRUE(vtd_blocked(v, FAR, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* What does not change is left alone: a DMA that is on its way arrives */
TEST_F(pasids, others_go_on)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	int i;

	edu_pasid(&env->edu, SECOND);
	memset(vm_ptr(&env->vm, probe->b), VM_UNTOUCHED, PLACE_SIZE);
	ASSERT_EQ(0, edu_begin_write(&env->edu, GIOVA));
	for (i = 0; i < 40; i++) {
		pasid_table_set_pasid(&env->pasids, FIRST,
				      i & 1 ? &env->table : &v->other);
		EXPECT_EQ(0, env_invalidate(env, pasid_cache(i & 2, FIRST)));
		usleep(2000);
	}
	ASSERT_EQ(0, edu_wait(&env->edu));
	EXPECT_EQ(AT_A, probe_compare(probe, vm_ptr(&env->vm, probe->b)));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Whether faults are wanted: a bit of the first word, of two PASIDs in turn */
static int change_one_word(void *data, unsigned int i)
{
	struct vtd *v = data;
	__u32 pasid = i & 1 ? v->env.pasids.rid : SECOND;
	__u64 *entry = pasid_table_entry(&v->env.pasids, pasid);

	s1_write(&entry[0], entry[0] ^ PASID0_NO_FAULTS);
	return vtd_changed(v, pasid);
}

/* A DMA that comes while one word of its entry changes is not lost */
TEST_F_TIMEOUT(pasids, one_word, 120)
{
	struct vtd *v = &self->v;
	struct probe *probe = &v->env.probe;
	struct racer racer = { change_one_word, "entries" };
	unsigned int i, dmas, lost = 0;
	bool stop = false;

	ASSERT_EQ(0, racers_start(&racer, 1, v, &stop));
	for (i = 0; i < 10; i++) {
		edu_pasid(&v->env.edu, SECOND);
		for (dmas = 0; dmas < DMAS; dmas++)
			lost += probe_dma(probe, GIOVA) != AT_B;
		edu_no_pasid(&v->env.edu);
		for (dmas = 0; dmas < DMAS; dmas++)
			lost += probe_dma(probe, GIOVA) != AT_A;
	}
	EXPECT_EQ(0, racers_end(&racer, 1, &stop));
	EXPECT_EQ(0, lost);
	TH_LOG("%u of %u lost, %u changes", lost, 20 * DMAS, racer.rounds);
}

/* Translations are invalidated for a PASID, whichever it is */
TEST_F(pasids, translations)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		inv_pasid(INV_IOTLB, FIRST),
		inv_addr(INV_PASID, 12, GIOVA, 1),
		inv_addr(INV_PASID | INV_LEAF, 12, GIOVA, 1),
		inv_addr(0, 12, GIOVA, 1),
		inv_domain(INV_IOTLB),
		inv_pasid(INV_ALL, FIRST),
	};
	unsigned int i;

	reqs[1].pasid = FIRST;
	reqs[2].pasid = FIRST;
	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		probe_map(&env->probe, &env->table, GIOVA, AT_A);
		EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		probe_map(&env->probe, &env->table, GIOVA, AT_B);
		EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
		EXPECT_EQ(0, env_invalidate(env, reqs[i]));
		EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA)) {
			TH_LOG("request %u", i);
		}
	}

	/* Two PASIDs of one address space have their translations twice */
	probe_map(&env->probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	probe_map(&env->probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, env_invalidate(env, inv_pasid(INV_IOTLB, FIRST)));
	EXPECT_EQ(0, env_invalidate(env, inv_pasid(INV_IOTLB, variant->rid)));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* Stage 1 is skipped for a PASID, and the host has the last word there too */
TEST_F(pasids, pass_through)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	int fd = env->vm.iommufd;

	pasid_table_pass_pasid(&env->pasids, FIRST);
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(0, vtd_changed(v, FIRST));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, probe->a));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, probe->b));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));

	pasid_table_pass_pasid(&env->pasids, variant->rid);
	EXPECT_EQ(0, vtd_changed(v, variant->rid));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	EXPECT_EQ(0, faults(env->dev, false));

	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, VM_GPA, VM_SIZE));
	EXPECT_TRUE(vtd_blocked(v, FIRST, probe->a));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->b));
	ASSERT_EQ(0, vm_map(&env->vm));
	pasid_table_set_pasid(&env->pasids, FIRST, &v->other);
	EXPECT_EQ(0, vtd_changed(v, FIRST));
	EXPECT_EQ(AT_B, vtd_dma(v, FIRST, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, FIRST, probe->a));
}

/* The host's changes act on all PASIDs */
TEST_F(pasids, stage2_unmap)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;

	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	ASSERT_EQ(0, ioas_unmap(env->vm.iommufd, env->vm.ioas, VM_GPA,
				VM_SIZE));
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, SECOND, GIOVA));
	ASSERT_EQ(0, vm_map(&env->vm));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
}

/* A table has PASIDs while it is attached, and no longer */
TEST_F(pasids, states)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	__u32 bypass, abort;
	int log = log_open();

	ASSERT_LE(0, log);
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &abort));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));

	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_TRUE(vtd_blocked(v, SECOND, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, FIRST, probe->b));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));

	ASSERT_EQ(0, vfio_attach(env->dev, abort));
	EXPECT_EQ(NOWHERE, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(NOWHERE, vtd_dma(v, variant->rid, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->b));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_EQ(0, log_events(env->dev, log));

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(NOWHERE, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(NOWHERE, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	ASSERT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(NOWHERE, vtd_dma(v, SECOND, GIOVA));
	close(log);
}

/* The next table has what it has for a PASID, and nothing of the one before */
TEST_F(pasids, replaced)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct pasid_table first = env->pasids;
	__u32 hwpt, smaller;

	pasid_table_init_bits(&env->pasids, &env->vm, VTD_BITS);
	env->pasids.rid = variant->rid;
	pasid_table_set(&env->pasids, &v->other);
	pasid_table_set_pasid(&env->pasids, SECOND, &env->table);
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_TRANSLATE, &hwpt));
	pasid_table_init_bits(&env->pasids, &env->vm, 0);
	pasid_table_set(&env->pasids, &env->table);
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_TRANSLATE, &smaller));
	env->pasids = first;

	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_B, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_A, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));

	ASSERT_EQ(0, vfio_attach(env->dev, smaller));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, SECOND, GIOVA));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, vtd_dma(v, FIRST, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
}

/* A table of five levels: good for long addresses, where the hardware has it */
TEST_F(pasids, five_levels)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	__u64 giova = 1ULL << 55 | GIOVA;
	struct s1_table table;

	s1_init(&table, &env->vm, 12, TAG);
	table.levels = 5;
	probe_map(&env->probe, &table, giova, AT_B);
	pasid_table_set_pasid(&env->pasids, FIRST, &table);
	if (v->info.cap_reg & CAP_5_LEVEL) {
		EXPECT_EQ(0, vtd_changed(v, FIRST));
		EXPECT_EQ(AT_B, vtd_dma(v, FIRST, giova));
		EXPECT_EQ(0, faults(env->dev, false));
		EXPECT_TRUE(vtd_blocked(v, FIRST, GIOVA));
	} else {
		EXPECT_TRUE(vtd_refused(v, FIRST, -ENXIO));
		EXPECT_TRUE(vtd_blocked(v, FIRST, giova));
	}
	EXPECT_EQ(AT_B, vtd_dma(v, SECOND, GIOVA));
}

TEST_HARNESS_MAIN
