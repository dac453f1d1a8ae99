// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bad input to every field of every struct that nesting adds, and to the calls
 * that carry them. Each gives the errno that the header documents, and leaves a
 * device that does correct DMA through the guest's table.
 */
#include "nested_env.h"
#include "nested_hostile.h"

#include "../kselftest_harness.h"

FIXTURE(hostile)
{
	struct env env;
	__u64 values[NR_VALUES];
	int other;
	__u32 bypass;
};

FIXTURE_SETUP(hostile)
{
	struct env *env = &self->env;
	int rc = env_init(env, true, 12), i;
	__u32 id;
	void *hole;

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &self->bypass));

	self->values[IOAS_ID] = env->vm.ioas;
	self->values[DEVICE_ID] = env->dev->id;
	self->values[PARENT_ID] = env->vm.parent;
	self->values[TABLE_ID] = env->hwpt;
	ASSERT_EQ(0, hwpt_alloc(env->vm.iommufd, env->dev->id, env->vm.ioas, 0,
				&id));
	self->values[PLAIN_ID] = id;

	/* Ids count from 1 in each file: get one that this file has not */
	self->other = iommufd_open();
	ASSERT_LE(0, self->other);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, ioas_alloc(self->other, &id));
	self->values[FOREIGN_ID] = id;

	hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hole);
	self->values[HOLE] = (uintptr_t)hole;
}

FIXTURE_TEARDOWN(hostile)
{
	close(self->other);
	env_exit(&self->env);
}

static void alloc_frame(struct env *env, struct call_frame *frame, __u32 config)
{
	memset(frame, 0, sizeof(*frame));
	frame->data.table = pasid_table_config(&env->pasids);
	frame->data.table.config = config;
	frame->cmd.alloc = (struct iommu_hwpt_alloc){
		.size = sizeof(frame->cmd.alloc),
		.dev_id = env->dev->id,
		.pt_id = env->vm.parent,
		.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
		.data_len = sizeof(frame->data.table),
		.data_uptr = (uintptr_t)&frame->data,
	};
}

static void inval_frame(__u32 hwpt, struct call_frame *frame,
			const struct iommu_hwpt_pasid_table_invalidate *req)
{
	memset(frame, 0, sizeof(*frame));
	frame->data.req = *req;
	frame->cmd.inv = (struct iommu_hwpt_invalidate){
		.size = sizeof(frame->cmd.inv),
		.hwpt_id = hwpt,
		.data_uptr = (uintptr_t)&frame->data,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = sizeof(*req),
		.entry_num = 1,
	};
}

/* The device works, and an invalidation does */
static void check_device(struct __test_metadata *_metadata, struct env *env,
			 const char *what)
{
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA)) {
		TH_LOG("after %s", what);
	}
	probe_map(&env->probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA)) {
		TH_LOG("after %s", what);
	}
	probe_map(&env->probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB))) {
		TH_LOG("after %s", what);
	}
}

static const struct bad bad_alloc[] = {
	{ "no size", ALLOC32(size), EINVAL },
	{ "short size", ALLOC32(size), EINVAL, NUMBER, 20 },
	{ "unknown flag", ALLOC32(flags), EOPNOTSUPP, NUMBER, 1U << 31 },
	{ "all flags", ALLOC32(flags), EOPNOTSUPP, NUMBER, ~0U },
	{ "parent flag", ALLOC32(flags), EOPNOTSUPP, NUMBER,
	  IOMMU_HWPT_ALLOC_NEST_PARENT },
	{ "dirty flag", ALLOC32(flags), EOPNOTSUPP, NUMBER,
	  IOMMU_HWPT_ALLOC_DIRTY_TRACKING },
	{ "no fault queue", ALLOC32(flags), ENOENT, NUMBER,
	  IOMMU_HWPT_FAULT_ID_VALID },
	{ "no device", ALLOC32(dev_id), ENOENT },
	{ "unknown device", ALLOC32(dev_id), ENOENT, NUMBER, ~0U },
	{ "device is an IOAS", ALLOC32(dev_id), ENOENT, IOAS_ID },
	{ "device is a table", ALLOC32(dev_id), ENOENT, TABLE_ID },
	{ "device of another file", ALLOC32(dev_id), ENOENT, FOREIGN_ID },
	{ "no parent", ALLOC32(pt_id), EINVAL },
	{ "unknown parent", ALLOC32(pt_id), EINVAL, NUMBER, ~0U },
	{ "parent is an IOAS", ALLOC32(pt_id), EOPNOTSUPP, IOAS_ID },
	{ "parent is a device", ALLOC32(pt_id), EINVAL, DEVICE_ID },
	{ "parent is a table", ALLOC32(pt_id), EINVAL, TABLE_ID },
	{ "parent is no parent", ALLOC32(pt_id), EINVAL, PLAIN_ID },
	{ "parent of another file", ALLOC32(pt_id), EINVAL, FOREIGN_ID },
	{ "reserved", ALLOC32(__reserved), EOPNOTSUPP, NUMBER, 1 },
	{ "no type", ALLOC32(data_type), EINVAL },
	{ "another IOMMU's type", ALLOC32(data_type), EOPNOTSUPP, NUMBER,
	  OTHER_DATA_TYPE },
	{ "unknown type", ALLOC32(data_type), EOPNOTSUPP, NUMBER,
	  IOMMU_HWPT_DATA_PASID_TABLE + 1 },
	{ "last type", ALLOC32(data_type), EOPNOTSUPP, NUMBER, ~0U },
	{ "no data", ALLOC32(data_len), EINVAL },
	{ "a byte of data", ALLOC32(data_len), EINVAL, NUMBER, 1 },
	{ "a byte less data", ALLOC32(data_len), EINVAL, NUMBER,
	  sizeof(struct iommu_hwpt_pasid_table) - 1 },
	{ "more data than a page", ALLOC32(data_len), E2BIG, NUMBER, 4097 },
	{ "endless data", ALLOC32(data_len), E2BIG, NUMBER, ~0U },
	{ "null data", ALLOC64(data_uptr), EFAULT },
	{ "unmapped data", ALLOC64(data_uptr), EFAULT, HOLE },
	{ "kernel's data", ALLOC64(data_uptr), EFAULT, NUMBER,
	  0xffff800080000000 },
	{ "last address", ALLOC64(data_uptr), EFAULT, NUMBER, ~0ULL },
};

static const struct bad bad_table[] = {
	{ "unknown flag", TABLE32(flags), EOPNOTSUPP, NUMBER, 2 },
	{ "last flag", TABLE32(flags), EOPNOTSUPP, NUMBER, 1U << 31 },
	{ "no format", TABLE32(format), EOPNOTSUPP },
	{ "another IOMMU's format", TABLE32(format), EOPNOTSUPP, NUMBER,
	  OTHER_FORMAT },
	{ "unknown format", TABLE32(format), EOPNOTSUPP, NUMBER, 3 },
	{ "last format", TABLE32(format), EOPNOTSUPP, NUMBER, ~0U },
	{ "no config", TABLE32(config), EINVAL },
	{ "unknown config", TABLE32(config), EINVAL, NUMBER, 4 },
	{ "last config", TABLE32(config), EINVAL, NUMBER, ~0U },
	{ "more PASIDs than 20 bits", TABLE32(pasid_bits), EINVAL, NUMBER, 21 },
	{ "32 bits of PASIDs", TABLE32(pasid_bits), EINVAL, NUMBER, 32 },
	{ "endless PASIDs", TABLE32(pasid_bits), EINVAL, NUMBER, ~0U },
	{ "odd base", TABLE64(base_addr), EINVAL, NUMBER, VM_GPA + 1 },
	{ "misaligned base", TABLE64(base_addr), EINVAL, NUMBER, VM_GPA + 32 },
	{ "base of 52 bits", TABLE64(base_addr), EINVAL, NUMBER, 1ULL << 52 },
	{ "base of 53 bits", TABLE64(base_addr), EINVAL, NUMBER, 1ULL << 53 },
	{ "base of 63 bits", TABLE64(base_addr), EINVAL, NUMBER, 1ULL << 63 },
	{ "last base", TABLE64(base_addr), EINVAL, NUMBER, ~63ULL },
};

static void check_alloc(struct __test_metadata *_metadata, struct env *env,
			struct call_frame *frame, int error, const char *what)
{
	int rc = call(env->vm.iommufd, IOMMU_HWPT_ALLOC, &frame->cmd);

	EXPECT_EQ(-error, rc) {
		TH_LOG("%s", what);
	}
	if (!rc)
		EXPECT_EQ(0, iommufd_destroy(env->vm.iommufd,
					     frame->cmd.alloc.out_hwpt_id));
	check_device(_metadata, env, what);
}

TEST_F(hostile, alloc)
{
	struct call_frame frame;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_alloc); i++) {
		alloc_frame(&self->env, &frame, IOMMU_PASID_TABLE_TRANSLATE);
		bad_apply(&bad_alloc[i], &frame, self->values);
		check_alloc(_metadata, &self->env, &frame, bad_alloc[i].error,
			    bad_alloc[i].what);
	}
}

/* The same for every configuration, whether it uses the field or not */
static void check_table(struct __test_metadata *_metadata, struct env *env,
			const struct bad *bad, unsigned int nr)
{
	struct call_frame frame;
	unsigned int i;
	__u32 config;

	for (config = IOMMU_PASID_TABLE_TRANSLATE;
	     config <= IOMMU_PASID_TABLE_ABORT; config++) {
		for (i = 0; i < nr; i++) {
			alloc_frame(env, &frame, config);
			bad_apply(&bad[i], &frame, NULL);
			check_alloc(_metadata, env, &frame, bad[i].error,
				    bad[i].what);
		}
	}
}

TEST_F(hostile, table)
{
	check_table(_metadata, &self->env, bad_table, ARRAY_SIZE(bad_table));
	check_table(_metadata, &self->env, bad_vendor_table,
		    ARRAY_SIZE(bad_vendor_table));
}

/* Longer structs than the kernel knows: fine, unless the tail says something */
TEST_F(hostile, alloc_tails)
{
	struct env *env = &self->env;
	struct call_frame frame;
	unsigned int i, at;

	for (i = 0; i < 3; i++) {
		at = i == 2 ? 199 : sizeof(frame.cmd.alloc);
		alloc_frame(env, &frame, IOMMU_PASID_TABLE_TRANSLATE);
		frame.cmd.alloc.size = 200;
		frame.cmd.bytes[at] = !!i;
		check_alloc(_metadata, env, &frame, i ? E2BIG : 0,
			    "tail of the call");

		at = i == 2 ? 4095 : sizeof(frame.data.table);
		alloc_frame(env, &frame, IOMMU_PASID_TABLE_TRANSLATE);
		frame.cmd.alloc.data_len = 4096;
		frame.data.bytes[at] = !!i;
		check_alloc(_metadata, env, &frame, i ? E2BIG : 0,
			    "tail of the data");
	}
}

static const struct bad bad_inval[] = {
	{ "no size", INVAL32(size), EINVAL },
	{ "short size", INVAL32(size), EINVAL, NUMBER, 24 },
	{ "no table", INVAL32(hwpt_id), ENOENT },
	{ "unknown table", INVAL32(hwpt_id), ENOENT, NUMBER, ~0U },
	{ "table is an IOAS", INVAL32(hwpt_id), ENOENT, IOAS_ID },
	{ "table is a device", INVAL32(hwpt_id), ENOENT, DEVICE_ID },
	{ "table is a parent", INVAL32(hwpt_id), ENOENT, PARENT_ID },
	{ "table is a HWPT", INVAL32(hwpt_id), ENOENT, PLAIN_ID },
	{ "table of another file", INVAL32(hwpt_id), ENOENT, FOREIGN_ID },
	{ "null data", INVAL64(data_uptr), EINVAL },
	{ "unmapped data", INVAL64(data_uptr), EFAULT, HOLE },
	{ "kernel's data", INVAL64(data_uptr), EFAULT, NUMBER,
	  0xffff800080000000 },
	{ "last address", INVAL64(data_uptr), EFAULT, NUMBER, ~0ULL },
	{ "another IOMMU's type", INVAL32(data_type), EINVAL, NUMBER,
	  IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 },
	{ "unknown type", INVAL32(data_type), EINVAL, NUMBER,
	  IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE + 1 },
	{ "last type", INVAL32(data_type), EINVAL, NUMBER, ~0U },
	{ "no length", INVAL32(entry_len), EINVAL },
	{ "a byte", INVAL32(entry_len), EINVAL, NUMBER, 1 },
	{ "a byte less", INVAL32(entry_len), EINVAL, NUMBER,
	  sizeof(struct iommu_hwpt_pasid_table_invalidate) - 1 },
	{ "more than a page", INVAL32(entry_len), EINVAL, NUMBER, 4097 },
	{ "endless", INVAL32(entry_len), EINVAL, NUMBER, ~0U },
	{ "too many", INVAL32(entry_num), EINVAL, NUMBER, 524289 },
	{ "endlessly many", INVAL32(entry_num), EINVAL, NUMBER, ~0U },
	{ "reserved", INVAL32(__reserved), EOPNOTSUPP, NUMBER, 1 },
};

/* What any request may get wrong */
static const struct bad bad_any[] = {
	{ "unknown flag", REQ32(flags), EOPNOTSUPP, NUMBER, 8 },
	{ "last flag", REQ32(flags), EOPNOTSUPP, NUMBER, 1U << 31 },
	{ "no cache", REQ32(caches), EINVAL },
	{ "unknown cache", REQ32(caches), EOPNOTSUPP, NUMBER, 8 },
	{ "last cache", REQ32(caches), EOPNOTSUPP, NUMBER, 1U << 31 },
	{ "PASID beyond the table", REQ32(pasid), EINVAL, NUMBER, 1 },
	{ "last PASID", REQ32(pasid), EINVAL, NUMBER, ~0U },
	{ "tag of 17 bits", REQ32(archid), EINVAL, NUMBER, 0x10000 },
	{ "last tag", REQ32(archid), EINVAL, NUMBER, ~0U },
};

static const struct bad bad_addr[] = {
	{ "PASID cache", REQ32(caches), EINVAL, NUMBER, 4 },
	{ "all caches", REQ32(caches), EINVAL, NUMBER, 7 },
	{ "no granule", REQ32(granule_log2), EINVAL },
	{ "granule of 2 KiB", REQ32(granule_log2), EINVAL, NUMBER, 11 },
	{ "granule of 2^63", REQ32(granule_log2), EINVAL, NUMBER, 63 },
	{ "granule of 2^64", REQ32(granule_log2), EINVAL, NUMBER, 64 },
	{ "endless granule", REQ32(granule_log2), EINVAL, NUMBER, ~0U },
	{ "odd address", REQ64(addr), EINVAL, NUMBER, GIOVA + 1 },
	{ "misaligned address", REQ64(addr), EINVAL, NUMBER, GIOVA + 2048 },
	{ "no granules", REQ64(nb_granules), EINVAL },
	{ "beyond 64 bits", REQ64(nb_granules), EINVAL, NUMBER, 1ULL << 52 },
	{ "far beyond 64 bits", REQ64(nb_granules), EINVAL, NUMBER, ~0ULL },
	{ "last page and one more", REQ64(addr), EINVAL, NUMBER, ~0xfffULL },
};

static const struct bad bad_one_pasid[] = {
	{ "neither tag nor PASID", REQ32(flags), EINVAL },
	{ "leaf only", REQ32(flags), EINVAL, NUMBER, 1 },
	{ "a granule", REQ32(granule_log2), EINVAL, NUMBER, 12 },
	{ "an address", REQ64(addr), EINVAL, NUMBER, GIOVA },
	{ "granules", REQ64(nb_granules), EINVAL, NUMBER, 1 },
	{ "unknown granularity", REQ32(granularity), EOPNOTSUPP, NUMBER, 3 },
	{ "last granularity", REQ32(granularity), EOPNOTSUPP, NUMBER, ~0U },
};

static const struct bad bad_domain[] = {
	{ "leaf", REQ32(flags), EINVAL, NUMBER, 1 },
	{ "PASID", REQ32(flags), EINVAL, NUMBER, 2 },
	{ "tag", REQ32(flags), EINVAL, NUMBER, 4 },
	{ "tag without its flag", REQ32(archid), EINVAL, NUMBER, TAG },
	{ "a granule", REQ32(granule_log2), EINVAL, NUMBER, 12 },
	{ "an address", REQ64(addr), EINVAL, NUMBER, GIOVA },
	{ "granules", REQ64(nb_granules), EINVAL, NUMBER, 1 },
	{ "unknown granularity", REQ32(granularity), EOPNOTSUPP, NUMBER, 3 },
};

/* Good requests, to make bad ones of */
static const struct iommu_hwpt_pasid_table_invalidate good_addr = {
	.flags = INV_TAG,
	.caches = INV_IOTLB,
	.granularity = IOMMU_PASID_TABLE_INV_ADDR,
	.archid = ARCHID,
	.granule_log2 = 12,
	.addr = GIOVA,
	.nb_granules = 2,
};

static const struct iommu_hwpt_pasid_table_invalidate good_dev_tlb = {
	.flags = INV_TAG | INV_PASID,
	.caches = INV_DEV_TLB,
	.granularity = IOMMU_PASID_TABLE_INV_ADDR,
	.archid = ARCHID,
	.granule_log2 = 12,
	.addr = GIOVA,
	.nb_granules = 2,
};

static const struct iommu_hwpt_pasid_table_invalidate good_one_pasid = {
	.flags = INV_TAG,
	.caches = INV_IOTLB,
	.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID,
	.archid = ARCHID,
};

static const struct iommu_hwpt_pasid_table_invalidate good_domain = {
	.caches = INV_IOTLB | INV_PASID_CACHE,
};

static const struct {
	const char *what;
	const struct iommu_hwpt_pasid_table_invalidate *good;
	const struct bad *bad;
	unsigned int nr;
} request_cases[] = {
	{ "address", &good_addr, bad_any, ARRAY_SIZE(bad_any) },
	{ "address", &good_addr, bad_addr, ARRAY_SIZE(bad_addr) },
	{ "address", &good_addr, bad_vendor_addr,
	  ARRAY_SIZE(bad_vendor_addr) },
	{ "device TLB", &good_dev_tlb, bad_any, ARRAY_SIZE(bad_any) },
	{ "device TLB", &good_dev_tlb, bad_addr, ARRAY_SIZE(bad_addr) },
	{ "one PASID", &good_one_pasid, bad_any, ARRAY_SIZE(bad_any) },
	{ "one PASID", &good_one_pasid, bad_one_pasid,
	  ARRAY_SIZE(bad_one_pasid) },
	{ "one PASID", &good_one_pasid, bad_vendor_one_pasid,
	  ARRAY_SIZE(bad_vendor_one_pasid) },
	{ "domain", &good_domain, bad_any, ARRAY_SIZE(bad_any) },
	{ "domain", &good_domain, bad_domain, ARRAY_SIZE(bad_domain) },
};

static void check_inval(struct __test_metadata *_metadata, struct env *env,
			struct call_frame *frame, int error, const char *what)
{
	int rc = call(env->vm.iommufd, IOMMU_HWPT_INVALIDATE, &frame->cmd);

	EXPECT_EQ(-error, rc) {
		TH_LOG("%s", what);
	}
	/* Where the call does not know its own size it cannot answer */
	if (frame->cmd.inv.size >= sizeof(frame->cmd.inv) && error != E2BIG)
		EXPECT_EQ(!error, frame->cmd.inv.entry_num) {
			TH_LOG("%s", what);
		}
	check_device(_metadata, env, what);
}

TEST_F(hostile, invalidate)
{
	struct call_frame frame;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_inval); i++) {
		inval_frame(self->env.hwpt, &frame, &good_addr);
		bad_apply(&bad_inval[i], &frame, self->values);
		check_inval(_metadata, &self->env, &frame, bad_inval[i].error,
			    bad_inval[i].what);
	}
}

/* A table that is attached and one that is not, which bypasses stage 1 */
TEST_F_TIMEOUT(hostile, requests, 60)
{
	const __u32 tables[] = { self->env.hwpt, self->bypass };
	struct env *env = &self->env;
	struct call_frame frame;
	unsigned int i, j, k;
	char what[128];

	for (k = 0; k < ARRAY_SIZE(tables); k++) {
		for (i = 0; i < ARRAY_SIZE(request_cases); i++) {
			inval_frame(tables[k], &frame, request_cases[i].good);
			check_inval(_metadata, env, &frame, 0, "nothing wrong");
			for (j = 0; j < request_cases[i].nr; j++) {
				inval_frame(tables[k], &frame,
					    request_cases[i].good);
				bad_apply(&request_cases[i].bad[j], &frame,
					  self->values);
				snprintf(what, sizeof(what),
					 "table %u, %s: %s", k,
					 request_cases[i].what,
					 request_cases[i].bad[j].what);
				check_inval(_metadata, env, &frame,
					    request_cases[i].bad[j].error,
					    what);
			}
		}
	}
}

TEST_F(hostile, invalidate_tails)
{
	struct env *env = &self->env;
	struct call_frame frame;
	unsigned int i, at;

	for (i = 0; i < 3; i++) {
		at = i == 2 ? 199 : sizeof(frame.cmd.inv);
		inval_frame(env->hwpt, &frame, &good_addr);
		frame.cmd.inv.size = 200;
		frame.cmd.bytes[at] = !!i;
		check_inval(_metadata, env, &frame, i ? E2BIG : 0,
			    "tail of the call");

		at = i == 2 ? 4095 : sizeof(frame.data.req);
		inval_frame(env->hwpt, &frame, &good_addr);
		frame.cmd.inv.entry_len = 4096;
		frame.data.bytes[at] = !!i;
		check_inval(_metadata, env, &frame, i ? E2BIG : 0,
			    "tail of the request");
	}
}

/* What VFIO takes */
TEST_F(hostile, attach)
{
	struct env *env = &self->env;
	struct vfio_device_attach_iommufd_pt cmd;
	const struct {
		const char *what;
		__u32 argsz, flags, pt_id;
		int error;
	} cases[] = {
		{ "no size", 0, 0, env->hwpt, EINVAL },
		{ "short size", 11, 0, env->hwpt, EINVAL },
		{ "flags", 12, 1U << 31, env->hwpt, EINVAL },
		{ "no table", 12, 0, 0, ENOENT },
		{ "unknown table", 12, 0, ~0U, ENOENT },
		{ "a device", 12, 0, env->dev->id, EINVAL },
		{ "a table of another file", 12, 0, self->values[FOREIGN_ID],
		  ENOENT },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		cmd = (struct vfio_device_attach_iommufd_pt){
			.argsz = cases[i].argsz,
			.flags = cases[i].flags,
			.pt_id = cases[i].pt_id,
		};
		EXPECT_EQ(-cases[i].error,
			  call(env->dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			       &cmd)) {
			TH_LOG("%s", cases[i].what);
		}
		check_device(_metadata, env, cases[i].what);
	}
}

TEST_F(hostile, hw_info)
{
	struct env *env = &self->env;
	struct iommu_hw_info cmd;
	__u64 info[8];
	const struct iommu_hw_info good = {
		.size = sizeof(cmd),
		.dev_id = env->dev->id,
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)info,
	};
	unsigned int i;

	for (i = 0; i < sizeof(cmd.__reserved); i++) {
		cmd = good;
		cmd.__reserved[i] = 1;
		EXPECT_EQ(-EOPNOTSUPP,
			  call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	}
	cmd = good;
	cmd.flags = 1U << 31;
	EXPECT_EQ(-EOPNOTSUPP, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	cmd = good;
	cmd.dev_id = self->values[FOREIGN_ID];
	EXPECT_EQ(-ENOENT, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	cmd = good;
	cmd.data_uptr = self->values[HOLE];
	EXPECT_EQ(-EFAULT, call(env->vm.iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(0, call(env->vm.iommufd, IOMMU_GET_HW_INFO,
			  &(struct iommu_hw_info){
				.size = sizeof(cmd),
				.dev_id = env->dev->id }));
	check_device(_metadata, env, "hw_info");
}

TEST_HARNESS_MAIN
