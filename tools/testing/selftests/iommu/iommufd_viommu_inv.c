// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's commands on mock devices: what they drop, and that entry_num says
 * what was done, whatever is wrong and wherever.
 */
#include "iommufd_viommu.h"

#define VIRT_ID 5
#define MAX_COMMANDS 524288
/* More than two chunks of what the kernel reads at once */
#define MANY 150

FIXTURE(viommu_inv)
{
	struct viommu_env env;
	__u32 vdevice_id;
};

FIXTURE_SETUP(viommu_inv)
{
	struct viommu_env *env = &self->env;
	struct iommu_test_cmd query;
	int i;

	ASSERT_EQ(0, viommu_env_init(env));
	ASSERT_EQ(0, vdevice_alloc(env->fd, env->viommu_id, env->dev_id[0],
				   VIRT_ID, &self->vdevice_id));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vquery(env->fd, env->viommu_id, env->dev_id[i],
				    &query));
}

FIXTURE_TEARDOWN(viommu_inv)
{
	teardown_iommufd(self->env.fd, _metadata);
}

/* One after the other, each drops another entry, in turn of both caches */
static struct mock_viommu_cmd good_command(unsigned int n)
{
	struct mock_viommu_cmd cmd = {
		.op = n % 2 ? MOCK_VIOMMU_CMD_DEV : MOCK_VIOMMU_CMD_IOTLB,
		.index = n / 2 % MOCK_VIOMMU_CACHE_NUM,
		.virt_id = n % 2 ? VIRT_ID : 0,
	};

	return cmd;
}

static void good_commands(struct mock_viommu_cmd *cmds, unsigned int nr)
{
	while (nr--)
		cmds[nr] = good_command(nr);
}

/* The entries of a cache after every second of @done good commands */
static __u64 left(unsigned int done)
{
	return done >= MOCK_VIOMMU_CACHE_NUM ? 0 : ~0ULL << done;
}

/* What was done since it was asked last time: commands, in so many calls */
#define ASSERT_DONE(commands, syncs)                                   \
	({                                                             \
		__u32 _nr = commands;                                  \
		struct iommu_test_cmd _cmd;                            \
		ASSERT_EQ(0, vquery(self->env.fd, self->env.viommu_id, \
				    self->env.dev_id[0], &_cmd));      \
		ASSERT_EQ(left((_nr + 1) / 2),                       \
			  _cmd.viommu_query.out_iotlb);                \
		ASSERT_EQ(left(_nr / 2),                             \
			  _cmd.viommu_query.out_dev_cache);            \
		total += _nr;                                          \
		total_syncs += syncs;                                  \
		ASSERT_EQ(total, _cmd.viommu_query.out_commands);      \
		ASSERT_EQ(total_syncs, _cmd.viommu_query.out_syncs);   \
	})

TEST_F(viommu_inv, commands)
{
	struct viommu_env *env = &self->env;
	struct mock_viommu_cmd cmds[MANY], all = {
		.op = MOCK_VIOMMU_CMD_IOTLB_ALL,
	};
	__u32 nr, count, total = 0, total_syncs = 0;
	struct iommu_test_cmd query;

	good_commands(cmds, MANY);
	for (count = 1; count <= MANY; count++) {
		nr = count;
		ASSERT_EQ(0, vcommands(env->fd, env->viommu_id, cmds, &nr));
		ASSERT_EQ(count, nr);
		ASSERT_DONE(count, 1);
	}
	nr = 1;
	ASSERT_EQ(0, vcommands(env->fd, env->viommu_id, &all, &nr));
	ASSERT_EQ(1, nr);
	ASSERT_EQ(0, vquery(env->fd, env->viommu_id, env->dev_id[0], &query));
	ASSERT_EQ(0, query.viommu_query.out_iotlb);
	ASSERT_EQ(~0ULL, query.viommu_query.out_dev_cache);
}

static const struct mock_viommu_cmd bad_commands[] = {
	{},
	{ .op = 4 },
	{ .op = ~0U },
	{ .op = MOCK_VIOMMU_CMD_IOTLB, .index = MOCK_VIOMMU_CACHE_NUM },
	{ .op = MOCK_VIOMMU_CMD_IOTLB, .index = ~0U },
	{ .op = MOCK_VIOMMU_CMD_IOTLB, .virt_id = VIRT_ID },
	{ .op = MOCK_VIOMMU_CMD_IOTLB_ALL, .index = 1 },
	{ .op = MOCK_VIOMMU_CMD_IOTLB_ALL, .virt_id = VIRT_ID },
	{ .op = MOCK_VIOMMU_CMD_DEV },
	{ .op = MOCK_VIOMMU_CMD_DEV, .virt_id = VIRT_ID + 1 },
	{ .op = MOCK_VIOMMU_CMD_DEV, .virt_id = VIRT_ID | 1ULL << 32 },
	{ .op = MOCK_VIOMMU_CMD_DEV, .virt_id = ~0ULL },
	{ .op = MOCK_VIOMMU_CMD_DEV, .virt_id = VIRT_ID, .index = 64 },
};

/* A bad command in each place: those in front of it are done, no others */
TEST_F(viommu_inv, bad_command)
{
	struct viommu_env *env = &self->env;
	__u32 nr, place, bad, total = 0, total_syncs = 0;
	struct mock_viommu_cmd cmds[MANY];

	for (place = 0; place < MANY; place++) {
		bad = place % ARRAY_SIZE(bad_commands);
		good_commands(cmds, MANY);
		cmds[place] = bad_commands[bad];
		nr = MANY;
		ASSERT_EQ(EIO, vcommands(env->fd, env->viommu_id, cmds, &nr));
		ASSERT_EQ(place, nr)
		{
			TH_LOG("bad command %u", bad);
		}
		ASSERT_DONE(place, 1);
	}
	/* Two of them: the first one counts */
	good_commands(cmds, MANY);
	cmds[70] = bad_commands[1];
	cmds[3] = bad_commands[0];
	nr = MANY;
	ASSERT_EQ(EIO, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(3, nr);
	ASSERT_DONE(3, 1);
}

/* Whatever was sent, nothing is known to be complete */
TEST_F(viommu_inv, wait_fails)
{
	struct viommu_env *env = &self->env;
	struct iommu_test_cmd fail = {
		.size = sizeof(fail),
		.op = IOMMU_TEST_OP_VIOMMU_FAIL,
		.id = env->viommu_id,
		.viommu_fail = { .error = ETIMEDOUT },
	};
	struct mock_viommu_cmd cmds[MANY];
	__u32 nr;

	good_commands(cmds, MANY);
	ASSERT_EQ(0, call(env->fd, IOMMU_TEST_CMD, &fail));
	nr = MANY;
	ASSERT_EQ(ETIMEDOUT, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(0, nr);
	/* It is worse than a bad command */
	cmds[MANY - 1].op = 0;
	ASSERT_EQ(0, call(env->fd, IOMMU_TEST_CMD, &fail));
	nr = MANY;
	ASSERT_EQ(ETIMEDOUT, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(0, nr);
	nr = MANY;
	ASSERT_EQ(EIO, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(MANY - 1, nr);
}

/* The fields around the commands; nothing of it reaches the IOMMU */
TEST_F(viommu_inv, fields)
{
	struct viommu_env *env = &self->env;
	struct mock_viommu_cmd cmd = good_command(0);
	struct {
		struct iommu_hwpt_invalidate cmd;
		char tail[16];
	} in, good = {
		.cmd = {
			.size = sizeof(good.cmd),
			.hwpt_id = env->viommu_id,
			.data_uptr = (uintptr_t)&cmd,
			.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
			.entry_len = sizeof(cmd),
			.entry_num = 1,
		},
	};
	__u32 table_id, len, total = 0, total_syncs = 0;

	ASSERT_EQ(0, vtable_alloc(env->fd, env->dev_id[0], env->viommu_id,
				  IOMMU_PASID_TABLE_ABORT, &table_id));
#define ASSERT_INV(_error, _nr, statement)                                 \
	({                                                                 \
		in = good;                                                 \
		statement;                                                 \
		ASSERT_EQ(_error,                                          \
			  call(env->fd, IOMMU_HWPT_INVALIDATE, &in));      \
		ASSERT_EQ(_nr, in.cmd.entry_num);                          \
	})
	/* 0 asks for the type, and only for that */
	ASSERT_INV(0, 0, in.cmd.entry_num = 0);
	ASSERT_INV(0, 0, in.cmd.entry_num = 0; in.cmd.data_uptr = 0);
	ASSERT_INV(0, 0, in.cmd.entry_num = 0; in.cmd.entry_len = 0);
	ASSERT_INV(EINVAL, 0, in.cmd.entry_num = 0; in.cmd.data_type = 0);
	ASSERT_INV(ENOENT, 0, in.cmd.entry_num = 0;
		   in.cmd.hwpt_id = env->parent_id);

	ASSERT_INV(EINVAL, 0,
		   in.cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1);
	ASSERT_INV(EINVAL, 0, in.cmd.data_type =
				      IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3);
	ASSERT_INV(EINVAL, 0, in.cmd.data_type =
				      IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE);
	ASSERT_INV(EINVAL, 0,
		   in.cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST);
	ASSERT_INV(EINVAL, 0, in.cmd.data_type = ~0U);
	for (len = 0; len < sizeof(cmd); len++)
		ASSERT_INV(EINVAL, 0, in.cmd.entry_len = len);
	ASSERT_INV(EINVAL, 0, in.cmd.entry_len = PAGE_SIZE + 1);
	ASSERT_INV(EINVAL, 0, in.cmd.entry_len = ~0U);
	ASSERT_INV(EINVAL, 0, in.cmd.entry_num = MAX_COMMANDS + 1);
	ASSERT_INV(EINVAL, 0, in.cmd.entry_num = ~0U);
	ASSERT_INV(EINVAL, 0, in.cmd.data_uptr = 0);
	ASSERT_INV(EOPNOTSUPP, 0, in.cmd.__reserved = 1);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = 0);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = NOBODY);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = env->ioas_id);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = env->parent_id);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = env->dev_id[0]);
	ASSERT_INV(ENOENT, 0, in.cmd.hwpt_id = self->vdevice_id);
	/* The tables on a vIOMMU do not have its type */
	ASSERT_INV(EINVAL, 0, in.cmd.hwpt_id = table_id);
	ASSERT_INV(E2BIG, 1, in.cmd.size = sizeof(in); in.tail[15] = 1);
	ASSERT_DONE(0, 0);
	ASSERT_INV(EFAULT, 0, in.cmd.data_uptr = ~0ULL - 4095);
	ASSERT_DONE(0, 1);
	ASSERT_INV(0, 1, in.cmd.size = sizeof(in));
	ASSERT_DONE(1, 1);
#undef ASSERT_INV
}

/* Commands of a newer user, with something behind them */
TEST_F(viommu_inv, entry_len)
{
	struct viommu_env *env = &self->env;
	struct iommu_hwpt_invalidate in = {
		.size = sizeof(in),
		.hwpt_id = env->viommu_id,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
	};
	__u32 i, place, total = 0, total_syncs = 0;
	struct mock_viommu_cmd cmd;
	size_t len;
	char *data;

	data = calloc(MANY, PAGE_SIZE);
	ASSERT_NE(NULL, data);
	in.data_uptr = (uintptr_t)data;
	for (len = sizeof(cmd); len <= PAGE_SIZE; len = len * 3 + 1) {
		memset(data, 0, MANY * PAGE_SIZE);
		for (i = 0; i < MANY; i++) {
			cmd = good_command(i);
			memcpy(data + i * len, &cmd, sizeof(cmd));
		}
		in.entry_len = len;
		in.entry_num = MANY;
		ASSERT_EQ(0, call(env->fd, IOMMU_HWPT_INVALIDATE, &in));
		ASSERT_EQ(MANY, in.entry_num);
		ASSERT_DONE(MANY, 1);
		if (len == sizeof(cmd))
			continue;
		for (place = 0; place < MANY; place += 7) {
			data[place * len + len - 1] = 1;
			in.entry_num = MANY;
			ASSERT_EQ(E2BIG,
				  call(env->fd, IOMMU_HWPT_INVALIDATE, &in));
			ASSERT_EQ(place, in.entry_num);
			data[place * len + len - 1] = 0;
			ASSERT_DONE(place, 1);
		}
	}
	free(data);
}

/* Commands that end in a hole, at each place of a chunk */
TEST_F(viommu_inv, unreadable)
{
	struct viommu_env *env = &self->env;
	__u32 readable, off, nr, total = 0, total_syncs = 0;
	struct mock_viommu_cmd *cmds;
	char *page, *hole;

	page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	hole = page + PAGE_SIZE;
	ASSERT_EQ(0, munmap(hole, PAGE_SIZE));
	for (readable = 0; readable < MANY; readable++) {
		off = readable % sizeof(*cmds);
		cmds = (struct mock_viommu_cmd *)(hole - off) - readable;
		good_commands(cmds, readable);
		nr = readable + 1 + readable % 100;
		ASSERT_EQ(EFAULT,
			  vcommands(env->fd, env->viommu_id, cmds, &nr));
		ASSERT_EQ(readable, nr);
		ASSERT_DONE(readable, 1);
	}
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));
}

/* As many as a call may have: one wait */
TEST_F_TIMEOUT(viommu_inv, many, 300)
{
	struct viommu_env *env = &self->env;
	__u32 nr, total = 0, total_syncs = 0;
	struct mock_viommu_cmd *cmds;

	cmds = mmap(NULL, MAX_COMMANDS * sizeof(*cmds), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, cmds);
	good_commands(cmds, MAX_COMMANDS);
	nr = MAX_COMMANDS;
	ASSERT_EQ(0, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(MAX_COMMANDS, nr);
	ASSERT_DONE(MAX_COMMANDS, 1);

	cmds[MAX_COMMANDS - 1].op = 0;
	ASSERT_EQ(EIO, vcommands(env->fd, env->viommu_id, cmds, &nr));
	ASSERT_EQ(MAX_COMMANDS - 1, nr);
	ASSERT_EQ(0, munmap(cmds, MAX_COMMANDS * sizeof(*cmds)));
}

/* A name means a device to its own guest only, and as long as it has it */
TEST_F(viommu_inv, names)
{
	struct viommu_env *env = &self->env;
	int fd = env->fd;
	struct mock_viommu_cmd cmd = good_command(1);
	__u32 viommu_id, vdevice_id, nr, i;
	struct iommu_test_cmd query;

	ASSERT_EQ(0, viommu_alloc(fd, env->dev_id[0], env->parent_id,
				  &viommu_id));
	nr = 1;
	ASSERT_EQ(EIO, vcommands(fd, viommu_id, &cmd, &nr));
	ASSERT_EQ(0, nr);
	/* The same name, another device */
	ASSERT_EQ(0, vdevice_alloc(fd, viommu_id, env->dev_id[1], VIRT_ID,
				   &vdevice_id));
	nr = 1;
	ASSERT_EQ(0, vcommands(fd, viommu_id, &cmd, &nr));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vquery(fd, viommu_id, env->dev_id[i], &query));
		ASSERT_EQ(i ? ~1ULL : ~0ULL, query.viommu_query.out_dev_cache);
	}

	ASSERT_EQ(0, destroy(fd, self->vdevice_id));
	nr = 1;
	ASSERT_EQ(EIO, vcommands(fd, env->viommu_id, &cmd, &nr));
	ASSERT_EQ(0, destroy(fd, env->stdev_id[1]));
	nr = 1;
	ASSERT_EQ(EIO, vcommands(fd, viommu_id, &cmd, &nr));
	ASSERT_EQ(0, nr);
}

/* Generic requests reach the tables on a vIOMMU too */
TEST_F(viommu_inv, generic)
{
	struct viommu_env *env = &self->env;
	struct iommu_hwpt_pasid_table_invalidate request = {
		.caches = IOMMU_PASID_TABLE_INV_IOTLB,
	};
	struct iommu_hwpt_invalidate in = {
		.size = sizeof(in),
		.data_uptr = (uintptr_t)&request,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = sizeof(request),
		.entry_num = 1,
	};
	struct iommu_test_cmd query = {
		.size = sizeof(query),
		.op = IOMMU_TEST_OP_PASID_TABLE_QUERY,
		.pasid_table_query = { .dev_id = env->dev_id[0] },
	};
	__u32 id;

	ASSERT_EQ(0, vtable_alloc(env->fd, env->dev_id[0], env->viommu_id,
				  IOMMU_PASID_TABLE_TRANSLATE, &id));
	ASSERT_EQ(0, replace(env->fd, env->stdev_id[0], id));
	in.hwpt_id = id;
	ASSERT_EQ(0, call(env->fd, IOMMU_HWPT_INVALIDATE, &in));
	ASSERT_EQ(1, in.entry_num);
	query.id = id;
	ASSERT_EQ(0, call(env->fd, IOMMU_TEST_CMD, &query));
	ASSERT_EQ(1, query.pasid_table_query.out_requests);
}

TEST_HARNESS_MAIN
