// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of a guest's PASID table that the host does not take. The request that
 * names such a PASID says so, the trace says why, and the PASID is blocked; attaching
 * the table and requests for all of it say nothing.
 */
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PASID		70	/* in a PASID table of its own */
#define OTHER		3

#define UNMAPPED	(VM_GPA + VM_SIZE)
/* More than a stage 2 of four levels has */
#define BEYOND		_BITULL(48)

/* A word of the entry loses the bits @clear and gets the bits @set */
struct refused {
	const char *what;
	unsigned int word;
	__u64 clear, set;
	int error;
	__u64 cap, ecap;	/* any of them, and it is good after all */
};

#define TYPE(n)	.word = 0, .clear = PASID0_TYPE_MASK, \
		.set = (__u64)(n) << PASID0_TYPE_SHIFT

static const struct refused refused[] = {
	{ "no type", TYPE(0), -EINVAL },
	{ "second stage", TYPE(PASID_SECOND_STAGE), -EOPNOTSUPP },
	{ "nested", TYPE(PASID_NESTED), -EOPNOTSUPP },
	{ "type 5", TYPE(5), -EINVAL },
	{ "type 6", TYPE(6), -EINVAL },
	{ "type 7", TYPE(7), -EINVAL },
	{ "reserved bit 10", 0, 0, _BITULL(10), -EINVAL },
	{ "reserved bit 11", 0, 0, _BITULL(11), -EINVAL },
	{ "reserved bit 80", 1, 0, _BITULL(16), -EINVAL },
	{ "page snoop", 1, 0, PASID1_PGSNP, -ENXIO, .ecap = ECAP_SC },
	{ "cache disable", 1, 0, PASID1_CACHE_DISABLE, -EINVAL },
	{ "supervisor", 2, 0, PASID2_SRE, -ENXIO, .ecap = ECAP_SRS },
	{ "execute", 2, 0, PASID2_ERE, -ENXIO, .ecap = ECAP_ERS },
	{ "5 levels", 2, 0, PASID2_5_LEVEL, -ENXIO, .cap = CAP_5_LEVEL },
	{ "6 levels", 2, 0, PASID2_LEVELS_RESERVED, -EINVAL },
	{ "no-execute", 2, 0, PASID2_NXE, -ENXIO, .ecap = ECAP_ERS },
	{ "supervisor execution", 2, 0, PASID2_SMEP, -ENXIO, .ecap = ECAP_ERS },
	{ "extended accessed", 2, 0, PASID2_EAFE, -ENXIO, .ecap = ECAP_EAFS },
	{ "reserved bit 136", 2, 0, _BITULL(8), -EINVAL },
	{ "reserved bit 139", 2, 0, _BITULL(11), -EINVAL },
	{ "root beyond stage 2", 2, 0, BEYOND, -ERANGE },
	{ "root far beyond stage 2", 2, 0, 1ULL << 63, -ERANGE },
	{ "reserved bit 192", 3, 0, _BITULL(0), -EINVAL },
	{ "reserved bit 255", 3, 0, _BITULL(63), -EINVAL },
	{ "reserved bit 256", 4, 0, _BITULL(0), -EINVAL },
	{ "reserved bit 511", 7, 0, _BITULL(63), -EINVAL },
};

FIXTURE(refused)
{
	struct vtd v;
	__u64 *entry;	/* of the PASID in question */
	__u64 *pde;
};

FIXTURE_SETUP(refused)
{
	struct vtd *v = &self->v;

	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	pasid_table_set_pasid(&v->env.pasids, PASID, &v->env.table);
	pasid_table_set_pasid(&v->env.pasids, OTHER, &v->other);
	self->entry = pasid_table_entry(&v->env.pasids, PASID);
	self->pde = pasid_table_pde(&v->env.pasids, PASID);
	ASSERT_EQ(0, vfio_attach(v->env.dev, v->env.hwpt));
}

FIXTURE_TEARDOWN(refused)
{
	vtd_exit(&self->v);
}

/* What is refused is blocked, nothing else is, and it can become good again */
static void check(struct __test_metadata *_metadata, struct vtd *v,
		  const char *what, int error, __u64 *word, __u64 value)
{
	struct env *env = &v->env;
	__u64 good = *word;

	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	s1_write(word, value);
	EXPECT_TRUE(error ? vtd_refused(v, PASID, error) :
			    !vtd_changed(v, PASID));
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, OTHER, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	/* All of the table, and attaching it */
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, OTHER, GIOVA));
	s1_write(word, good);
	EXPECT_EQ(0, vtd_changed(v, PASID));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	EXPECT_EQ(0, faults(env->dev, false));
	if (!__test_passed(_metadata))
		TH_LOG("at or before: %s", what);
}

TEST_F_TIMEOUT(refused, entries, 180)
{
	const struct refused *r;
	struct vtd *v = &self->v;
	__u64 *word;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		r = &refused[i];
		word = &self->entry[r->word];
		if (!(v->info.cap_reg & r->cap) && !(v->info.ecap_reg & r->ecap))
			check(_metadata, v, r->what, r->error, word,
			      (*word & ~r->clear) | r->set);
	}
}

/* What the hardware has is taken; a table of 5 levels: vtd_pasids */
TEST_F(refused, not_refused)
{
	const struct refused *r;
	struct vtd *v = &self->v;
	unsigned int i, taken = 0;
	__u64 *word, good;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		r = &refused[i];
		if (!(v->info.ecap_reg & r->ecap))
			continue;
		word = &self->entry[r->word];
		good = *word;
		s1_write(word, good | r->set);
		EXPECT_EQ(0, vtd_changed(v, PASID)) {
			TH_LOG("%s", r->what);
		}
		EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
		s1_write(word, good);
		taken++;
	}
	TH_LOG("%u features are taken", taken);

	/* And what the host does not look at: width, domain, second stage */
	s1_write(&self->entry[1], self->entry[1] | 0xffff);
	s1_write(&self->entry[0], self->entry[0] | ~0xfffULL | 7ULL << 2);
	s1_write(&self->entry[2], self->entry[2] | PASID2_WPE);
	EXPECT_EQ(0, vtd_changed(v, PASID));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	EXPECT_EQ(0, faults(v->env.dev, false));
}

TEST_F(refused, directory)
{
	const struct {
		const char *what;
		__u64 value;
		int error;
	} cases[] = {
		{ "not there", 0, 0 },
		{ "empty, whatever the rest says", ~1ULL, 0 },
		{ "where nothing is mapped", UNMAPPED | PDE_PRESENT, -EFAULT },
		{ "beyond stage 2", BEYOND | PDE_PRESENT, -ERANGE },
		{ "far beyond stage 2", 1ULL << 63 | PDE_PRESENT, -ERANGE },
		{ "reserved bit 2", *self->pde | _BITULL(2), -EINVAL },
		{ "reserved bit 11", *self->pde | _BITULL(11), -EINVAL },
		{ "all ones", ~0ULL, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check(_metadata, &self->v, cases[i].what, cases[i].error,
		      self->pde, cases[i].value);
}

/* The memory of the directory itself is gone */
TEST_F(refused, no_directory)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int fd = env->vm.iommufd;

	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	ASSERT_EQ(0, ioas_unmap(fd, env->vm.ioas, VM_GPA, VM_SIZE));
	EXPECT_TRUE(vtd_refused(v, PASID, -EFAULT));
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, vm_map(&env->vm));
	/* Nothing was found, so nothing is there until the guest says so */
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_EQ(0, vtd_changed(v, PASID));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, OTHER, GIOVA));
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_PASID_CACHE)));
	EXPECT_EQ(AT_B, vtd_dma(v, OTHER, GIOVA));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
}

/* Of several requests those before the refused one count, and those alone */
TEST_F(refused, in_a_batch)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct iommu_hwpt_pasid_table_invalidate reqs[] = {
		inv_pasid(INV_PASID_CACHE, OTHER),
		inv_pasid(INV_IOTLB, 0),
		inv_pasid(INV_PASID_CACHE, PASID),
		inv_pasid(INV_PASID_CACHE, OTHER + 1),
	};
	__u32 num = ARRAY_SIZE(reqs);

	EXPECT_TRUE(vtd_blocked(v, OTHER + 1, GIOVA));
	pasid_table_set_pasid(&env->pasids, OTHER, &env->table);
	pasid_table_set_pasid(&env->pasids, OTHER + 1, &env->table);
	s1_write(&self->entry[2], self->entry[2] | PASID2_RESERVED);
	EXPECT_EQ(-EREMOTEIO, hwpt_invalidate(env->vm.iommufd, env->hwpt, reqs,
					      &num));
	EXPECT_EQ(2, num);
	EXPECT_EQ(AT_A, vtd_dma(v, OTHER, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, OTHER + 1, GIOVA));
	num = 1;
	EXPECT_EQ(0, hwpt_invalidate(env->vm.iommufd, env->hwpt, &reqs[3],
				     &num));
	EXPECT_EQ(AT_A, vtd_dma(v, OTHER + 1, GIOVA));
}

/* The guest does not want to know of its faults */
TEST_F(refused, no_faults_please)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int log;

	s1_write(&self->entry[0], self->entry[0] | PASID0_NO_FAULTS);
	EXPECT_EQ(0, vtd_changed(v, PASID));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	EXPECT_EQ(NOWHERE, vtd_dma(v, PASID, GIOVA_OTHER));
	EXPECT_EQ(0, faults(env->dev, false));
	/* Nothing is kept of an entry that is not there: traced, but not logged */
	s1_write(&self->entry[0], PASID0_NO_FAULTS);
	EXPECT_EQ(0, vtd_changed(v, PASID));
	log = log_open();
	ASSERT_LE(0, log);
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
	EXPECT_TRUE(vtd_blocked(v, OTHER, GIOVA + PLACE_SIZE));
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

/* Malformed: the errnos of that, whatever is refused beside it */
TEST_F(refused, malformed)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct iommu_hwpt_pasid_table_invalidate reqs[3];
	unsigned int i;
	__u32 num;
	static const int errors[] = { -EINVAL, -EOPNOTSUPP };

	s1_write(&self->entry[2], self->entry[2] | PASID2_RESERVED);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		reqs[0] = inv_pasid(INV_PASID_CACHE, OTHER);
		reqs[1] = inv_pasid(i ? 1U << 31 : 0, PASID);
		reqs[2] = inv_pasid(INV_PASID_CACHE, PASID);
		num = 3;
		EXPECT_EQ(errors[i], hwpt_invalidate(env->vm.iommufd, env->hwpt,
						     reqs, &num));
		EXPECT_EQ(1, num);
		/* It was not done: what the host does not take is not read yet */
		EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
	}
	num = 1;
	EXPECT_EQ(-EREMOTEIO, hwpt_invalidate(env->vm.iommufd, env->hwpt,
					      &reqs[2], &num));
	EXPECT_EQ(0, num);
	EXPECT_TRUE(vtd_blocked(v, PASID, GIOVA));
}

/* Tables that cannot be, and what cannot be attached */
TEST_F(refused, tables)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	const struct {
		__u64 base;
		__u32 bits, rid;
		int error;
	} cases[] = {
		{ env->pasids.base, VTD_BITS, 1 << VTD_BITS, -EINVAL },
		{ env->pasids.base, VTD_BITS, ~0U, -EINVAL },
		{ env->pasids.base + 8, VTD_BITS, 0, -EINVAL },
		{ env->pasids.base + 2048, VTD_BITS, 0, -EINVAL },
		{ BEYOND, VTD_BITS, 0, -EINVAL },
		{ BEYOND - 4096, VTD_BITS, 0, 0 },
		{ BEYOND - 4096, 15, 0, 0 },
		{ BEYOND - 4096, 16, 0, 0 },
		{ UNMAPPED, VTD_BITS, 0, 0 },
	};
	struct iommu_hwpt_pasid_table config;
	unsigned int i;
	__u32 hwpt;
	int rc;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		config = pasid_table_config(&env->pasids);
		config.base_addr = cases[i].base;
		config.pasid_bits = cases[i].bits;
		config.vtd.rid_pasid = cases[i].rid;
		rc = vm_table(&env->vm, env->dev, &config, &hwpt);
		EXPECT_EQ(cases[i].error, rc) {
			TH_LOG("case %u", i);
		}
		if (rc)
			continue;
		EXPECT_EQ(0, vfio_attach(env->dev, hwpt));
		EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd, hwpt));
	}
}

/* A queue for page requests is of no use: nobody would answer them */
TEST_F(refused, fault_queue)
{
	struct env *env = &self->v.env;
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_FAULT_ID_VALID,
		.dev_id = env->dev->id,
		.pt_id = env->vm.parent,
		.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
		.data_len = sizeof(config),
		.data_uptr = (uintptr_t)&config,
	};
	int fd = env->vm.iommufd;

	ASSERT_EQ(0, call(fd, IOMMU_FAULT_QUEUE_ALLOC, &queue));
	cmd.fault_id = queue.out_fault_id;
	ASSERT_EQ(0, call(fd, IOMMU_HWPT_ALLOC, &cmd));
	/* This device has no page requests anyway */
	EXPECT_EQ(-ENODEV, vfio_attach(env->dev, cmd.out_hwpt_id));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, iommufd_destroy(fd, cmd.out_hwpt_id));
	close(queue.out_fault_fd);
	EXPECT_EQ(0, iommufd_destroy(fd, queue.out_fault_id));
}

/* What the host attaches to a PASID and what the guest does exclude each other */
TEST_F(refused, host_pasids)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc(env->vm.iommufd, env->dev->id, env->vm.ioas,
				IOMMU_HWPT_ALLOC_PASID, &hwpt));
	EXPECT_EQ(-EINVAL, vfio_attach_pasid(env->dev, PASID, hwpt));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));

	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	ASSERT_EQ(0, vfio_attach_pasid(env->dev, PASID, hwpt));
	EXPECT_EQ(-EINVAL, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, vtd_dma(v, PASID, env->probe.b));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
	ASSERT_EQ(0, vfio_detach_pasid(env->dev, PASID));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
}

TEST_HARNESS_MAIN
