// SPDX-License-Identifier: GPL-2.0-only
/*
 * vIOMMUs, vDEVICEs and nested HWPTs on mock devices: each field of the structs,
 * lengths and pointers, and who may be attached to what.
 */
#include "iommufd_viommu.h"

FIXTURE(viommu_objects)
{
	struct viommu_env env;
};

FIXTURE_SETUP(viommu_objects)
{
	ASSERT_EQ(0, viommu_env_init(&self->env));
}

FIXTURE_TEARDOWN(viommu_objects)
{
	teardown_iommufd(self->env.fd, _metadata);
}

static __u32 other_iommu(struct viommu_env *env)
{
	__u32 stdev_id, dev_id = 0;

	device_add_flags(env->fd, env->ioas_id,
			 MOCK_FLAGS_DEVICE_PASID |
				 MOCK_FLAGS_DEVICE_OTHER_IOMMU,
			 &stdev_id, &dev_id);
	return dev_id;
}

TEST_F(viommu_objects, alloc)
{
	struct viommu_env *env = &self->env;
	struct {
		struct iommu_viommu_alloc cmd;
		char tail[16];
	} in, good = {
		.cmd = {
			.size = sizeof(good.cmd),
			.type = IOMMU_VIOMMU_TYPE_SELFTEST,
			.dev_id = env->dev_id[0],
			.hwpt_id = env->parent_id,
		},
	};
	__u32 flag, hwpt_id, table_id;
	struct iommu_test_cmd query;
	void *page;

	static_assert(sizeof(struct iommu_viommu_alloc) == 40, "size");
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(env->fd, env->dev_id[0], env->ioas_id,
					  0, 0, &hwpt_id, IOMMU_HWPT_DATA_NONE,
					  NULL, 0));
	ASSERT_EQ(0, vtable_alloc(env->fd, env->dev_id[0], env->viommu_id,
				  IOMMU_PASID_TABLE_ABORT, &table_id));

#define ASSERT_ALLOC(_error, statement)                                 \
	({                                                              \
		int _rc = _error;                                       \
		in = good;                                              \
		statement;                                              \
		ASSERT_EQ(_rc, call(env->fd, IOMMU_VIOMMU_ALLOC, &in)); \
		/* An ID comes only with success */                     \
		ASSERT_EQ(_rc ? ENOENT : 0,                             \
			  destroy(env->fd, in.cmd.out_viommu_id));      \
	})
	ASSERT_ALLOC(0, in = good);
	/* From before there was data */
	ASSERT_ALLOC(0, in.cmd.size = 24; in.cmd.data_len = 1);
	ASSERT_ALLOC(0, in.cmd.size = 28; in.cmd.__reserved = 1);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.size = 28; in.cmd.data_len = 1);
	ASSERT_ALLOC(0, in.cmd.size = sizeof(in));
	ASSERT_ALLOC(E2BIG, in.cmd.size = sizeof(in); in.tail[15] = 1);
	ASSERT_ALLOC(EINVAL, in.cmd.size = 23);
	ASSERT_ALLOC(EINVAL, in.cmd.size = 20);
	ASSERT_ALLOC(EINVAL, in.cmd.size = 0);
	for (flag = 1; flag; flag <<= 1)
		ASSERT_ALLOC(EOPNOTSUPP, in.cmd.flags = flag);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.data_len = 1);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.__reserved = 1);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.data_uptr = 1);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.type = IOMMU_VIOMMU_TYPE_DEFAULT);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.type = ~0U);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = 0);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = NOBODY);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = env->parent_id);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = env->stdev_id[0]);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = 0);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = NOBODY);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = env->ioas_id);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = env->dev_id[0]);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = table_id);
	ASSERT_ALLOC(ENOENT, in.cmd.hwpt_id = env->viommu_id);
	ASSERT_ALLOC(EINVAL, in.cmd.hwpt_id = hwpt_id);
#undef ASSERT_ALLOC
	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VIOMMU_ALLOC, NULL));
	page = read_only(&good.cmd, sizeof(good.cmd));
	ASSERT_NE(NULL, page);
	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VIOMMU_ALLOC, page));
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));

	/* None of them has left anything */
	ASSERT_EQ(0, vquery(env->fd, env->viommu_id, 0, &query));
	ASSERT_EQ(1, query.viommu_query.out_viommus);
	ASSERT_EQ(0, destroy(env->fd, table_id));
	ASSERT_EQ(0, destroy(env->fd, env->viommu_id));
	ASSERT_EQ(0, destroy(env->fd, env->parent_id));
}

TEST_F(viommu_objects, table)
{
	struct viommu_env *env = &self->env;
	struct mock_viommu_table table, good_table = {
		.config = IOMMU_PASID_TABLE_TRANSLATE,
		.pasid_bits = 20,
		.base_addr = MOCK_APERTURE_START,
	};
	struct iommu_hwpt_alloc in, good = {
		.size = sizeof(good),
		.dev_id = env->dev_id[0],
		.pt_id = env->viommu_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST_VIOMMU,
		.data_len = sizeof(table),
		.data_uptr = (uintptr_t)&table,
	};
	__u32 flag, stdev_id, dev_id, fault_id, fault_fd;
	void *page;

#define ASSERT_TABLE(_error, statement)                               \
	({                                                            \
		int _rc = _error;                                     \
		in = good;                                            \
		table = good_table;                                   \
		statement;                                            \
		ASSERT_EQ(_rc, call(env->fd, IOMMU_HWPT_ALLOC, &in)); \
		ASSERT_EQ(_rc ? ENOENT : 0,                           \
			  destroy(env->fd, in.out_hwpt_id));          \
	})
	ASSERT_TABLE(0, table.config = IOMMU_PASID_TABLE_TRANSLATE);
	ASSERT_TABLE(0, table.config = IOMMU_PASID_TABLE_BYPASS);
	ASSERT_TABLE(0, table.config = IOMMU_PASID_TABLE_ABORT);
	/* What the guest may not say, and what the core refuses */
	ASSERT_TABLE(EIO, table.config = 0);
	ASSERT_TABLE(EIO, table.config = 4);
	ASSERT_TABLE(EIO, table.config = ~0U);
	ASSERT_TABLE(EINVAL, table.pasid_bits = 21);
	ASSERT_TABLE(EINVAL, table.base_addr = 32);
	ASSERT_TABLE(EINVAL, table.base_addr = MOCK_APERTURE_LAST + 1ULL);
	/* Types of other IOMMUs and of no vIOMMU */
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = IOMMU_HWPT_DATA_VTD_S1);
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3);
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = IOMMU_HWPT_DATA_PASID_TABLE);
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = IOMMU_HWPT_DATA_SELFTEST);
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = ~0U);
	ASSERT_TABLE(EINVAL, in.data_type = IOMMU_HWPT_DATA_NONE);
	ASSERT_TABLE(EOPNOTSUPP, in.data_type = IOMMU_HWPT_DATA_NONE;
		     in.data_len = 0; in.data_uptr = 0);
	/* And the vIOMMU's type elsewhere */
	ASSERT_TABLE(EOPNOTSUPP, in.pt_id = env->parent_id);
	ASSERT_TABLE(EOPNOTSUPP, in.pt_id = env->ioas_id);
	ASSERT_TABLE(EINVAL, in.pt_id = NOBODY);

	ASSERT_TABLE(EOPNOTSUPP, in.__reserved = 1);
	for (flag = 1; flag; flag <<= 1)
		if (flag != IOMMU_HWPT_FAULT_ID_VALID)
			ASSERT_TABLE(EOPNOTSUPP, in.flags = flag);
	ASSERT_TABLE(ENOENT, in.flags = IOMMU_HWPT_FAULT_ID_VALID;
		     in.fault_id = NOBODY);
	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault_id, &fault_fd));
	ASSERT_TABLE(0, in.flags = IOMMU_HWPT_FAULT_ID_VALID;
		     in.fault_id = fault_id);
	ASSERT_EQ(0, close(fault_fd));
	ASSERT_EQ(0, destroy(env->fd, fault_id));

	/* A device behind another IOMMU, one without PASIDs, none */
	dev_id = other_iommu(env);
	ASSERT_NE(0, dev_id);
	ASSERT_TABLE(EINVAL, in.dev_id = dev_id);
	ASSERT_EQ(0, device_add_flags(env->fd, env->ioas_id, 0, &stdev_id,
				      &dev_id));
	ASSERT_TABLE(EOPNOTSUPP, in.dev_id = dev_id);
	ASSERT_TABLE(0, in.dev_id = dev_id; table.pasid_bits = 0);
	ASSERT_TABLE(ENOENT, in.dev_id = NOBODY);
#undef ASSERT_TABLE

	table = good_table;
	page = read_only(&good, sizeof(good));
	ASSERT_NE(NULL, page);
	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_HWPT_ALLOC, page));
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));
	ASSERT_EQ(0, destroy(env->fd, env->viommu_id));
}

TEST_F(viommu_objects, table_data)
{
	struct viommu_env *env = &self->env;
	const struct mock_viommu_table table = {
		.config = IOMMU_PASID_TABLE_BYPASS,
	};
	struct iommu_hwpt_alloc in = {
		.size = sizeof(in),
		.dev_id = env->dev_id[0],
		.pt_id = env->viommu_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST_VIOMMU,
	};
	char *page, *hole;
	size_t len;

	page = mmap(NULL, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	hole = page + 2 * PAGE_SIZE;
	ASSERT_EQ(0, munmap(hole, PAGE_SIZE));
	memcpy(page, &table, sizeof(table));

#define ASSERT_DATA(_error, _uptr, _len)                              \
	({                                                            \
		int _rc = _error;                                     \
		in.data_uptr = (uintptr_t)(_uptr);                    \
		in.data_len = _len;                                   \
		in.out_hwpt_id = 0;                                   \
		ASSERT_EQ(_rc, call(env->fd, IOMMU_HWPT_ALLOC, &in)); \
		ASSERT_EQ(_rc ? ENOENT : 0,                           \
			  destroy(env->fd, in.out_hwpt_id));          \
	})
	for (len = 0; len < sizeof(table); len++)
		ASSERT_DATA(EINVAL, page, len);
	for (len = sizeof(table); len < PAGE_SIZE; len += 61) {
		ASSERT_DATA(0, page, len);
		page[len] = 1;
		ASSERT_DATA(E2BIG, page, len + 1);
		page[len] = 0;
	}
	ASSERT_DATA(0, page, PAGE_SIZE);
	ASSERT_DATA(E2BIG, page, PAGE_SIZE + 1);
	ASSERT_DATA(E2BIG, page, ~0U);

	ASSERT_DATA(EFAULT, NULL, sizeof(table));
	ASSERT_DATA(EFAULT, hole, sizeof(table));
	ASSERT_DATA(EFAULT, ~0ULL, sizeof(table));
	for (len = 1; len < sizeof(table); len++) {
		memcpy(hole - len, &table, len);
		ASSERT_DATA(EFAULT, hole - len, sizeof(table));
	}
	memcpy(hole - sizeof(table), &table, sizeof(table));
	ASSERT_DATA(0, hole - sizeof(table), sizeof(table));
	ASSERT_DATA(EFAULT, hole - sizeof(table), sizeof(table) + 1);
#undef ASSERT_DATA
	ASSERT_EQ(0, munmap(page, 2 * PAGE_SIZE));
}

/* Only a table that translates needs the guest to know the device */
TEST_F(viommu_objects, attach)
{
	struct viommu_env *env = &self->env;
	int fd = env->fd;
	__u32 table_id[4], other_viommu, other_table, other_dev, vdevice_id;
	__u32 stdev_id, dev_id, kind;
	struct iommu_test_cmd fail = {
		.size = sizeof(fail),
		.op = IOMMU_TEST_OP_PASID_TABLE_FAIL,
		.pasid_table_fail = { .dev_id = env->dev_id[0],
				      .op = MOCK_PASID_TABLE_FAIL_ATTACH,
				      .error = ENOMEM },
	};

	for (kind = IOMMU_PASID_TABLE_TRANSLATE; kind <= IOMMU_PASID_TABLE_ABORT;
	     kind++)
		ASSERT_EQ(0, vtable_alloc(fd, env->dev_id[0], env->viommu_id,
					  kind, &table_id[kind]));
	ASSERT_EQ(0, viommu_alloc(fd, env->dev_id[0], env->parent_id,
				  &other_viommu));
	ASSERT_EQ(0, vtable_alloc(fd, env->dev_id[0], other_viommu,
				  IOMMU_PASID_TABLE_TRANSLATE, &other_table));

	for (kind = IOMMU_PASID_TABLE_BYPASS; kind <= IOMMU_PASID_TABLE_ABORT;
	     kind++) {
		ASSERT_EQ(0, replace(fd, env->stdev_id[0], table_id[kind]));
		ASSERT_TRUE(uses(fd, env->dev_id[0], table_id[kind]));
		/* The one that is attached */
		ASSERT_EQ(0, replace(fd, env->stdev_id[0], table_id[kind]));
		ASSERT_EQ(ENOENT,
			  replace(fd, env->stdev_id[0],
				  table_id[IOMMU_PASID_TABLE_TRANSLATE]));
		ASSERT_TRUE(uses(fd, env->dev_id[0], table_id[kind]));
	}

	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, env->dev_id[0], 7,
				   &vdevice_id));
	/* Known to the one guest, not to the other, nor another device */
	ASSERT_EQ(ENOENT, replace(fd, env->stdev_id[0], other_table));
	ASSERT_EQ(ENOENT, replace(fd, env->stdev_id[1],
				  table_id[IOMMU_PASID_TABLE_TRANSLATE]));
	ASSERT_TRUE(uses(fd, env->dev_id[1], 0));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0],
			     table_id[IOMMU_PASID_TABLE_TRANSLATE]));

	/* Without its name it goes on, whatever fails, but does not come again */
	ASSERT_EQ(0, destroy(fd, vdevice_id));
	ASSERT_EQ(ENOENT, replace(fd, env->stdev_id[0], other_table));
	ASSERT_EQ(0, call(fd, IOMMU_TEST_CMD, &fail));
	ASSERT_EQ(ENOMEM, replace(fd, env->stdev_id[0],
				  table_id[IOMMU_PASID_TABLE_BYPASS]));
	ASSERT_TRUE(uses(fd, env->dev_id[0],
			 table_id[IOMMU_PASID_TABLE_TRANSLATE]));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0],
			     table_id[IOMMU_PASID_TABLE_TRANSLATE]));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0], env->parent_id));
	ASSERT_TRUE(uses(fd, env->dev_id[0], 0));
	ASSERT_EQ(ENOENT, replace(fd, env->stdev_id[0],
				  table_id[IOMMU_PASID_TABLE_TRANSLATE]));

	/* A table as the first thing that a new device is attached to */
	ASSERT_EQ(ENOENT,
		  device_add(fd, table_id[IOMMU_PASID_TABLE_TRANSLATE],
			     &stdev_id, &dev_id));
	ASSERT_EQ(0, device_add(fd, table_id[IOMMU_PASID_TABLE_ABORT],
				&stdev_id, &dev_id));
	ASSERT_EQ(EBUSY, destroy(fd, table_id[IOMMU_PASID_TABLE_ABORT]));
	ASSERT_EQ(0, destroy(fd, stdev_id));

	/* Behind another IOMMU */
	ASSERT_EQ(EINVAL, device_add_flags(fd, table_id[IOMMU_PASID_TABLE_BYPASS],
					   MOCK_FLAGS_DEVICE_PASID |
						   MOCK_FLAGS_DEVICE_OTHER_IOMMU,
					   &stdev_id, &other_dev));
}

TEST_F(viommu_objects, vdevice)
{
	struct viommu_env *env = &self->env;
	struct {
		struct iommu_vdevice_alloc cmd;
		char tail[16];
	} in, good = {
		.cmd = {
			.size = sizeof(good.cmd),
			.viommu_id = env->viommu_id,
			.dev_id = env->dev_id[0],
			.virt_id = 0x10,
		},
	};
	__u32 other_viommu, vdevice_id, id;
	void *page;

	static_assert(sizeof(struct iommu_vdevice_alloc) == 24, "size");
#define ASSERT_VDEVICE(_error, statement)                                \
	({                                                               \
		int _rc = _error;                                        \
		in = good;                                               \
		statement;                                               \
		ASSERT_EQ(_rc, call(env->fd, IOMMU_VDEVICE_ALLOC, &in)); \
		ASSERT_EQ(_rc ? ENOENT : 0,                              \
			  destroy(env->fd, in.cmd.out_vdevice_id));      \
	})
	ASSERT_VDEVICE(0, in = good);
	ASSERT_VDEVICE(0, in.cmd.size = sizeof(in));
	ASSERT_VDEVICE(E2BIG, in.cmd.size = sizeof(in); in.tail[15] = 1);
	ASSERT_VDEVICE(EINVAL, in.cmd.size = 23);
	ASSERT_VDEVICE(EINVAL, in.cmd.size = 16);
	ASSERT_VDEVICE(0, in.cmd.virt_id = 0);
	ASSERT_VDEVICE(0, in.cmd.virt_id = MOCK_VIOMMU_MAX_VIRT_ID);
	ASSERT_VDEVICE(EINVAL, in.cmd.virt_id = MOCK_VIOMMU_MAX_VIRT_ID + 1);
	ASSERT_VDEVICE(EINVAL, in.cmd.virt_id = 1ULL << 32);
	ASSERT_VDEVICE(EINVAL, in.cmd.virt_id = ~0ULL);
	ASSERT_VDEVICE(ENOENT, in.cmd.viommu_id = 0);
	ASSERT_VDEVICE(ENOENT, in.cmd.viommu_id = NOBODY);
	ASSERT_VDEVICE(ENOENT, in.cmd.viommu_id = env->parent_id);
	ASSERT_VDEVICE(ENOENT, in.cmd.dev_id = 0);
	ASSERT_VDEVICE(ENOENT, in.cmd.dev_id = NOBODY);
	ASSERT_VDEVICE(ENOENT, in.cmd.dev_id = env->viommu_id);
	ASSERT_VDEVICE(ENOENT, in.cmd.dev_id = env->stdev_id[0]);
	id = other_iommu(env);
	ASSERT_NE(0, id);
	ASSERT_VDEVICE(EINVAL, in.cmd.dev_id = id);

	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VDEVICE_ALLOC, NULL));
	page = read_only(&good.cmd, sizeof(good.cmd));
	ASSERT_NE(NULL, page);
	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VDEVICE_ALLOC, page));
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));

	/* Neither device nor name are taken by what has failed */
	ASSERT_EQ(0, viommu_alloc(env->fd, env->dev_id[0], env->parent_id,
				  &other_viommu));
	ASSERT_EQ(0, vdevice_alloc(env->fd, env->viommu_id, env->dev_id[0],
				   0x10, &vdevice_id));
	/* One name per device, on whichever vIOMMU */
	ASSERT_VDEVICE(EEXIST, in = good);
	ASSERT_VDEVICE(EEXIST, in.cmd.virt_id = 0x11);
	ASSERT_VDEVICE(EEXIST, in.cmd.viommu_id = other_viommu);
	/* One device per name, on one vIOMMU */
	ASSERT_VDEVICE(EEXIST, in.cmd.dev_id = env->dev_id[1]);
	ASSERT_VDEVICE(0, in.cmd.dev_id = env->dev_id[1]; in.cmd.virt_id = 1);
	ASSERT_VDEVICE(0, in.cmd.dev_id = env->dev_id[1];
		       in.cmd.viommu_id = other_viommu);
	ASSERT_EQ(0, destroy(env->fd, vdevice_id));
	ASSERT_VDEVICE(0, in.cmd.dev_id = env->dev_id[1]);
	ASSERT_VDEVICE(0, in.cmd.viommu_id = other_viommu);
#undef ASSERT_VDEVICE
	ASSERT_EQ(0, destroy(env->fd, other_viommu));
	ASSERT_EQ(0, destroy(env->fd, env->viommu_id));
}

TEST_HARNESS_MAIN
