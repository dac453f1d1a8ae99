// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASID tables of a guest on mock devices: what /dev/iommu itself does, on any
 * machine. The mock IOMMU tells which table a device uses and which
 * invalidations reached it.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "iommufd_mock.h"
#include "nested_asleep.h"
#include "nested_racer.h"

#define NO_TABLE 0
#define MAX_REQUESTS 524288
#define FNV1A_64_BASIS 0xcbf29ce484222325ULL
#define FNV1A_64_PRIME 0x100000001b3ULL

static const struct iommu_hwpt_pasid_table translate = {
	.format = IOMMU_PASID_TABLE_SMMUV3,
	.config = IOMMU_PASID_TABLE_TRANSLATE,
	.pasid_bits = 10,
	.base_addr = MOCK_APERTURE_START,
	.smmuv3 = { .s1fmt = IOMMU_PASID_TABLE_S1FMT_64K_L2,
		    .s1dss = IOMMU_PASID_TABLE_S1DSS_SSID0 },
};

/* Any of the requests that are allowed; they differ in @n */
static struct iommu_hwpt_pasid_table_invalidate good_request(unsigned int n)
{
	switch (n % 5) {
	case 0:
		return (struct iommu_hwpt_pasid_table_invalidate){
			.caches = IOMMU_PASID_TABLE_INV_IOTLB |
				  IOMMU_PASID_TABLE_INV_DEV_TLB |
				  IOMMU_PASID_TABLE_INV_PASID_CACHE
		};
	case 1:
		return (struct iommu_hwpt_pasid_table_invalidate){
			.caches = IOMMU_PASID_TABLE_INV_IOTLB,
			.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID,
			.flags = IOMMU_PASID_TABLE_INV_ARCHID,
			.archid = n % 256
		};
	case 2:
		return (struct iommu_hwpt_pasid_table_invalidate){
			.caches = IOMMU_PASID_TABLE_INV_PASID_CACHE,
			.granularity = IOMMU_PASID_TABLE_INV_ONE_PASID,
			.flags = IOMMU_PASID_TABLE_INV_PASID |
				 IOMMU_PASID_TABLE_INV_LEAF,
			.pasid = n % 1024
		};
	case 3:
		return (struct iommu_hwpt_pasid_table_invalidate){
			.caches = IOMMU_PASID_TABLE_INV_IOTLB,
			.granularity = IOMMU_PASID_TABLE_INV_ADDR,
			.granule_log2 = MOCK_PASID_TABLE_GRANULE_LOG2,
			.addr = 4096ULL * n,
			.nb_granules = 1 + n
		};
	default:
		return (struct iommu_hwpt_pasid_table_invalidate){
			.caches = IOMMU_PASID_TABLE_INV_DEV_TLB |
				  IOMMU_PASID_TABLE_INV_IOTLB,
			.granularity = IOMMU_PASID_TABLE_INV_ADDR,
			.flags = IOMMU_PASID_TABLE_INV_PASID |
				 IOMMU_PASID_TABLE_INV_ARCHID |
				 IOMMU_PASID_TABLE_INV_LEAF,
			.pasid = n % 1024,
			.archid = n % 256,
			.granule_log2 = MOCK_PASID_TABLE_GRANULE_LOG2,
			.addr = 4096ULL * n,
			.nb_granules = 1
		};
	}
}

/* What a device ought to have seen: ranges that follow each other are one */
struct record {
	uint64_t hash;
	unsigned int nr;
	struct iommu_hwpt_pasid_table_invalidate range;
};

#define EMPTY_RECORD                   \
	{                              \
		.hash = FNV1A_64_BASIS \
	}

static uint64_t
hash_request(uint64_t hash, const struct iommu_hwpt_pasid_table_invalidate *req)
{
	const uint8_t *bytes = (const uint8_t *)req;
	size_t i;

	for (i = 0; i < sizeof(*req); i++)
		hash = (hash ^ bytes[i]) * FNV1A_64_PRIME;
	return hash;
}

static uint64_t record_hash(const struct record *record)
{
	return record->range.nb_granules ?
		       hash_request(record->hash, &record->range) :
		       record->hash;
}

static void record_requests(struct record *record, const void *requests,
			    size_t nr, size_t stride)
{
	struct iommu_hwpt_pasid_table_invalidate *range = &record->range;
	struct iommu_hwpt_pasid_table_invalidate req;
	size_t i;

	for (i = 0; i < nr; i++) {
		memcpy(&req, requests + i * stride, sizeof(req));
		record->nr++;
		if (req.nb_granules && req.addr &&
		    !memcmp(&req, range, offsetof(typeof(req), addr)) &&
		    req.addr == range->addr + (range->nb_granules
					       << range->granule_log2)) {
			range->nb_granules += req.nb_granules;
			continue;
		}
		record->hash = record_hash(record);
		*range = req;
		if (!req.nb_granules)
			record->hash = hash_request(record->hash, &req);
	}
}

static int invalidate_len(int fd, __u32 hwpt_id, const void *requests,
			  size_t entry_len, __u32 *nr)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt_id,
		.data_uptr = (uintptr_t)requests,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
		.entry_len = entry_len,
		.entry_num = *nr,
	};
	int rc = call(fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*nr = cmd.entry_num;
	return rc;
}

static int invalidate(int fd, __u32 hwpt_id,
		      const struct iommu_hwpt_pasid_table_invalidate *requests,
		      __u32 *nr)
{
	return invalidate_len(fd, hwpt_id, requests, sizeof(*requests), nr);
}

static int fail_next(int fd, __u32 dev_id, __u32 op, __u32 after, int error)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_PASID_TABLE_FAIL,
		.pasid_table_fail = { .dev_id = dev_id,
				      .op = op,
				      .after = after,
				      .error = error },
	};

	return call(fd, IOMMU_TEST_CMD, &cmd);
}

FIXTURE(pasid_table)
{
	int fd;
	__u32 ioas_id;
	__u32 stdev_id[2];
	__u32 dev_id[2];
	__u32 parent_id[2];
	__u32 table_id[2];
};

FIXTURE_SETUP(pasid_table)
{
	int i;

	self->fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, self->fd);
	test_ioctl_ioas_alloc(&self->ioas_id);
	for (i = 0; i < 2; i++)
		test_cmd_mock_domain_flags(self->ioas_id,
					   MOCK_FLAGS_DEVICE_PASID,
					   &self->stdev_id[i], NULL,
					   &self->dev_id[i]);
	for (i = 0; i < 2; i++)
		test_cmd_hwpt_alloc(self->dev_id[i], self->ioas_id,
				    IOMMU_HWPT_ALLOC_NEST_PARENT,
				    &self->parent_id[i]);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0,
			  table_alloc(self->fd, self->dev_id[i],
				      self->parent_id[0], &translate,
				      sizeof(translate), &self->table_id[i]));
}

FIXTURE_TEARDOWN(pasid_table)
{
	teardown_iommufd(self->fd, _metadata);
}

static int query(int fd, __u32 dev_id, __u32 hwpt_id,
		 struct iommu_test_cmd *cmd)
{
	*cmd = (struct iommu_test_cmd){
		.size = sizeof(*cmd),
		.op = IOMMU_TEST_OP_PASID_TABLE_QUERY,
		.id = hwpt_id,
		.pasid_table_query = { .dev_id = dev_id },
	};
	return call(fd, IOMMU_TEST_CMD, cmd);
}

#define ASSERT_USES(nr_dev, hwpt_id, attaches, detaches)                    \
	({                                                                  \
		struct iommu_test_cmd _cmd;                                 \
		ASSERT_EQ(0, query(self->fd, self->dev_id[nr_dev], hwpt_id, \
				   &_cmd));                                 \
		ASSERT_EQ(1, _cmd.pasid_table_query.out_uses);              \
		ASSERT_EQ(attaches, _cmd.pasid_table_query.out_attaches);   \
		ASSERT_EQ(detaches, _cmd.pasid_table_query.out_detaches);   \
	})

#define ASSERT_SAW(nr_dev, expected)                                           \
	({                                                                     \
		const struct record *_record = expected;                       \
		struct iommu_test_cmd _cmd;                                    \
		ASSERT_EQ(0, query(self->fd, self->dev_id[nr_dev], 0, &_cmd)); \
		ASSERT_EQ(_record->nr, _cmd.pasid_table_query.out_requests);   \
		ASSERT_EQ(record_hash(_record),                                \
			  _cmd.pasid_table_query.out_hash);                    \
	})

/* Every way into and out of a table */
TEST_F(pasid_table, attach)
{
	__u32 stdev_id, dev_id, hwpt_id;
	struct iommu_test_cmd cmd;

	ASSERT_USES(0, NO_TABLE, 0, 0);
	/* IOAS -> table, as a VMM that starts in abort may do */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_USES(0, self->table_id[0], 1, 0);
	/* The same again */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_USES(0, self->table_id[0], 1, 0);
	/* table -> table */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[1]));
	ASSERT_USES(0, self->table_id[1], 2, 1);
	/* table -> parent -> table */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->parent_id[0]));
	ASSERT_USES(0, NO_TABLE, 2, 2);
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_USES(0, self->table_id[0], 3, 2);
	/* table -> another parent of the IOAS */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->parent_id[1]));
	ASSERT_USES(0, NO_TABLE, 3, 3);
	/* table -> IOAS */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->ioas_id));
	ASSERT_USES(0, NO_TABLE, 4, 4);
	/* The other device had no part in it */
	ASSERT_USES(1, NO_TABLE, 0, 0);

	/* A table is the first thing that a device is attached to; then it goes */
	ASSERT_EQ(0, _test_cmd_mock_domain_flags(self->fd, self->table_id[0],
						 MOCK_FLAGS_DEVICE_PASID,
						 &stdev_id, &hwpt_id, &dev_id));
	ASSERT_EQ(self->table_id[0], hwpt_id);
	ASSERT_EQ(0, query(self->fd, dev_id, self->table_id[0], &cmd));
	ASSERT_EQ(1, cmd.pasid_table_query.out_uses);
	ASSERT_EQ(EBUSY, destroy(self->fd, self->table_id[0]));
	ASSERT_EQ(0, destroy(self->fd, stdev_id));
	ASSERT_EQ(0, destroy(self->fd, self->table_id[0]));
}

/* Each configuration, and what it says of each field */
TEST_F_TIMEOUT(pasid_table, configs, 300)
{
	struct iommu_hwpt_pasid_table config = translate;
	__u32 id, attaches = 0;
	int n;

	for (n = 0; n < 3 * 3 * 3 * 21 * 2; n++) {
		config.config = IOMMU_PASID_TABLE_TRANSLATE + n % 3;
		config.smmuv3.s1fmt = n / 3 % 3;
		config.smmuv3.s1dss = n / 9 % 3;
		config.pasid_bits = n / 27 % 21;
		config.flags = n / 27 / 21 ? IOMMU_PASID_TABLE_ATS : 0;
		config.base_addr = n & 1 ? MOCK_APERTURE_LAST - 63 : 0;
		ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0],
					 self->parent_id[0], &config,
					 sizeof(config), &id));
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], id));
		ASSERT_USES(0, id, attaches + 1, attaches);
		attaches++;
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[0],
				     self->parent_id[0]));
		ASSERT_EQ(0, destroy(self->fd, id));
	}
}

/* Two devices, two tables on one parent; one table for both of them */
TEST_F(pasid_table, two_devices)
{
	struct iommu_hwpt_pasid_table_invalidate requests[2] = {
		good_request(1), good_request(3)
	};
	struct record record[2] = { EMPTY_RECORD, EMPTY_RECORD };
	__u32 nr;
	int i;

	/* Without a device there is nothing to invalidate */
	nr = 2;
	ASSERT_EQ(0, invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(2, nr);
	ASSERT_SAW(0, &record[0]);

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[i],
				     self->table_id[i]));
	for (i = 0; i < 2; i++) {
		nr = 1;
		ASSERT_EQ(0, invalidate(self->fd, self->table_id[i],
					&requests[i], &nr));
		ASSERT_EQ(1, nr);
		record_requests(&record[i], &requests[i], 1, 0);
	}
	ASSERT_SAW(0, &record[0]);
	ASSERT_SAW(1, &record[1]);

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[1], self->table_id[0]));
	ASSERT_USES(0, self->table_id[0], 1, 0);
	ASSERT_USES(1, self->table_id[0], 2, 1);
	nr = 2;
	ASSERT_EQ(0, invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(2, nr);
	for (i = 0; i < 2; i++)
		record_requests(&record[i], requests, 2, sizeof(*requests));
	ASSERT_SAW(0, &record[0]);
	ASSERT_SAW(1, &record[1]);

	/* The one that leaves hears nothing more */
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->parent_id[0]));
	nr = 1;
	ASSERT_EQ(0, invalidate(self->fd, self->table_id[0], requests, &nr));
	record_requests(&record[1], requests, 1, 0);
	ASSERT_SAW(0, &record[0]);
	ASSERT_SAW(1, &record[1]);

	/* A table of the one device is checked for the other: PASIDs */
	ASSERT_EQ(EINVAL, _test_cmd_mock_domain(self->fd, self->table_id[0],
						NULL, NULL, NULL) ?
				  errno :
				  0);
}

/* A device that cannot be attached keeps what it has */
TEST_F(pasid_table, attach_fails)
{
	static const int errnos[] = { ENOMEM, EBUSY, ENODEV, EINVAL };
	struct iommu_hwpt_pasid_table config = translate;
	__u32 stdev_id, id;
	unsigned int i;

	config.pasid_bits = 0;
	ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
				 &config, sizeof(config), &id));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (i = 0; i < ARRAY_SIZE(errnos); i++) {
		ASSERT_EQ(0, fail_next(self->fd, self->dev_id[0],
				       MOCK_PASID_TABLE_FAIL_ATTACH, 0,
				       errnos[i]));
		ASSERT_EQ(errnos[i], replace(self->fd, self->stdev_id[0],
					     self->table_id[1]));
		/* It never left: there is no way back to go */
		ASSERT_USES(0, self->table_id[0], 1, 0);
		/* Nothing holds the table that was not attached */
		ASSERT_EQ(EBUSY, destroy(self->fd, self->table_id[0]));
	}
	ASSERT_EQ(0, destroy(self->fd, self->table_id[1]));

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->parent_id[0]));
	ASSERT_EQ(0, fail_next(self->fd, self->dev_id[0],
			       MOCK_PASID_TABLE_FAIL_ATTACH, 0, ENOMEM));
	ASSERT_EQ(ENOMEM, replace(self->fd, self->stdev_id[0], id));
	ASSERT_USES(0, NO_TABLE, 1, 1);
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], id));
	ASSERT_USES(0, id, 2, 1);

	/* Neither objects of other types nor what does not exist */
	ASSERT_EQ(ENOENT, replace(self->fd, self->stdev_id[0], 0x7fffffff));
	ASSERT_EQ(EINVAL,
		  replace(self->fd, self->stdev_id[0], self->stdev_id[1]));
	ASSERT_USES(0, id, 2, 1);
	ASSERT_EQ(0,
		  _test_cmd_mock_domain(self->fd, id, &stdev_id, NULL, NULL));
	ASSERT_EQ(0, destroy(self->fd, stdev_id));
}

/* Any order; what is in use is EBUSY, and is there still */
TEST_F_TIMEOUT(pasid_table, destroy_order, 300)
{
	enum { DEV0, DEV1, TABLE0, TABLE1, PARENT, IOAS, NR };
	int order[NR], perm, left, i, k, rc, round;
	bool gone[NR], busy;
	__u32 id[NR];

	for (perm = 0; perm < 720; perm++) {
		left = perm;
		for (i = 0; i < NR; i++)
			order[i] = i;
		for (i = NR - 1; i > 0; i--) {
			k = left % (i + 1);
			left /= i + 1;
			rc = order[i];
			order[i] = order[k];
			order[k] = rc;
		}

		test_ioctl_ioas_alloc(&id[IOAS]);
		ASSERT_EQ(0, parent_alloc(self->fd, self->dev_id[0], id[IOAS],
					  &id[PARENT]));
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[i],
						 id[PARENT], &translate,
						 sizeof(translate),
						 &id[TABLE0 + i]));
			ASSERT_EQ(0, device_add(self->fd, id[TABLE0 + i],
						&id[DEV0 + i], NULL));
		}

		memset(gone, 0, sizeof(gone));
		for (round = 0; round < NR; round++) {
			for (i = 0; i < NR; i++) {
				k = order[i];
				if (gone[k])
					continue;
				busy = (k == TABLE0 && !gone[DEV0]) ||
				       (k == TABLE1 && !gone[DEV1]) ||
				       (k == PARENT &&
					!(gone[TABLE0] && gone[TABLE1])) ||
				       (k == IOAS && !gone[PARENT]);
				rc = destroy(self->fd, id[k]);
				ASSERT_EQ(busy ? EBUSY : 0, rc);
				gone[k] = !busy;
			}
		}
		for (i = 0; i < NR; i++)
			ASSERT_EQ(ENOENT, destroy(self->fd, id[i]));
	}
}

/* The file goes while everything is in use */
TEST_F(pasid_table, close)
{
	struct iommu_hwpt_pasid_table_invalidate requests[64];
	__u32 nr;
	pid_t pid;
	int i, status, ready[2];

	for (i = 0; i < 64; i++)
		requests[i] = good_request(i);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_NE(-1, pid);
		if (!pid) {
			__u32 ioas_id, stdev_id, dev_id, parent_id = 0,
							 table_id;
			int fd = open("/dev/iommu", O_RDWR);

			if (fd < 0 || _test_ioctl_ioas_alloc(fd, &ioas_id) ||
			    device_add(fd, ioas_id, &stdev_id, &dev_id) ||
			    parent_alloc(fd, dev_id, ioas_id, &parent_id) ||
			    table_alloc(fd, dev_id, parent_id, &translate,
					sizeof(translate), &table_id) ||
			    replace(fd, stdev_id, table_id))
				_exit(1);
			if (i % 2)
				_exit(0);
			say_ready(ready);
			while (1) {
				nr = 64;
				if (invalidate(fd, table_id, requests, &nr))
					_exit(2);
			}
		}
		EXPECT_EQ(i % 2 == 0, gets_ready(ready));
		if (i % 2 == 0) {
			usleep(1000 * i);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(i % 2 ? 0 : SIGKILL, status);
	}
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[1], self->table_id[0]));
}

struct bad_config {
	const char *what;
	int error;
	struct iommu_hwpt_pasid_table config;
};

#define BAD_CONFIG(_error, field, value)                                      \
	{                                                                     \
#field " = " #value, _error,                                  \
		{                                                             \
			.format = IOMMU_PASID_TABLE_SMMUV3,                   \
			.config = IOMMU_PASID_TABLE_TRANSLATE, .field = value \
		}                                                             \
	}

static const struct bad_config bad_configs[] = {
	BAD_CONFIG(EOPNOTSUPP, flags, 2),
	BAD_CONFIG(EOPNOTSUPP, flags, 1U << 31),
	BAD_CONFIG(EOPNOTSUPP, flags, ~0U),
	BAD_CONFIG(EOPNOTSUPP, format, 0),
	BAD_CONFIG(EOPNOTSUPP, format, IOMMU_PASID_TABLE_VTD),
	BAD_CONFIG(EOPNOTSUPP, format, 3),
	BAD_CONFIG(EOPNOTSUPP, format, ~0U),
	BAD_CONFIG(EINVAL, config, 0),
	BAD_CONFIG(EINVAL, config, 4),
	BAD_CONFIG(EINVAL, config, ~0U),
	BAD_CONFIG(EINVAL, pasid_bits, 21),
	BAD_CONFIG(EINVAL, pasid_bits, 32),
	BAD_CONFIG(EINVAL, pasid_bits, ~0U),
	BAD_CONFIG(EINVAL, base_addr, 1),
	BAD_CONFIG(EINVAL, base_addr, 32),
	BAD_CONFIG(EINVAL, base_addr, MOCK_APERTURE_LAST + 1ULL),
	BAD_CONFIG(EINVAL, base_addr, ~63ULL),
	BAD_CONFIG(EINVAL, base_addr, ~0ULL),
	BAD_CONFIG(EINVAL, smmuv3.s1fmt, 3),
	BAD_CONFIG(EINVAL, smmuv3.s1fmt, 255),
	BAD_CONFIG(EINVAL, smmuv3.s1dss, 3),
	BAD_CONFIG(EINVAL, smmuv3.s1dss, 255),
	BAD_CONFIG(EOPNOTSUPP, smmuv3.__reserved[0], 1),
	BAD_CONFIG(EOPNOTSUPP, smmuv3.__reserved[5], 0x80),
};

/* Every field of the table's configuration, whatever the configuration is */
TEST_F(pasid_table, bad_config)
{
	struct iommu_hwpt_pasid_table config;
	unsigned int i;
	__u32 kind, id, dev_id, stdev_id;
	int rc;

	for (i = 0; i < ARRAY_SIZE(bad_configs); i++) {
		for (kind = IOMMU_PASID_TABLE_TRANSLATE;
		     kind <= IOMMU_PASID_TABLE_ABORT; kind++) {
			config = bad_configs[i].config;
			if (config.config == IOMMU_PASID_TABLE_TRANSLATE)
				config.config = kind;
			rc = table_alloc(self->fd, self->dev_id[0],
					 self->parent_id[0], &config,
					 sizeof(config), &id);
			ASSERT_EQ(bad_configs[i].error, rc)
			{
				TH_LOG("%s", bad_configs[i].what);
			}
		}
	}

	/* A device without PASIDs */
	ASSERT_EQ(0, _test_cmd_mock_domain(self->fd, self->ioas_id, &stdev_id,
					   NULL, &dev_id));
	config = translate;
	config.pasid_bits = 1;
	ASSERT_EQ(EOPNOTSUPP, table_alloc(self->fd, dev_id, self->parent_id[0],
					  &config, sizeof(config), &id));
	config.pasid_bits = 0;
	ASSERT_EQ(0, table_alloc(self->fd, dev_id, self->parent_id[0], &config,
				 sizeof(config), &id));
}

/* Lengths and pointers of the configuration */
TEST_F(pasid_table, bad_config_data)
{
	char *page = mmap(NULL, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *hole = page + 2 * PAGE_SIZE;
	__u32 id;
	size_t len;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(hole, PAGE_SIZE));
	memcpy(page, &translate, sizeof(translate));

	for (len = 0; len < sizeof(translate); len++)
		ASSERT_EQ(EINVAL,
			  table_alloc(self->fd, self->dev_id[0],
				      self->parent_id[0], page, len, &id));
	/* A tail that is 0 is from a newer user with older needs */
	for (len = sizeof(translate); len <= PAGE_SIZE; len += 13) {
		ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0],
					 self->parent_id[0], page, len, &id));
		ASSERT_EQ(0, destroy(self->fd, id));
		page[len] = 1;
		ASSERT_EQ(E2BIG,
			  table_alloc(self->fd, self->dev_id[0],
				      self->parent_id[0], page, len + 1, &id));
		page[len] = 0;
	}
	ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
				 page, PAGE_SIZE, &id));
	ASSERT_EQ(E2BIG,
		  table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
			      page, PAGE_SIZE + 1, &id));
	ASSERT_EQ(E2BIG, table_alloc(self->fd, self->dev_id[0],
				     self->parent_id[0], page, ~0U, &id));

	ASSERT_EQ(EFAULT,
		  table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
			      NULL, sizeof(translate), &id));
	ASSERT_EQ(EFAULT,
		  table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
			      hole, sizeof(translate), &id));
	ASSERT_EQ(EFAULT,
		  table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
			      (void *)~0UL, sizeof(translate), &id));
	/* The configuration itself, or its tail, runs into the hole */
	for (len = 1; len < sizeof(translate); len++) {
		memcpy(hole - len, &translate, len);
		ASSERT_EQ(EFAULT, table_alloc(self->fd, self->dev_id[0],
					      self->parent_id[0], hole - len,
					      sizeof(translate), &id));
	}
	memcpy(hole - sizeof(translate), &translate, sizeof(translate));
	ASSERT_EQ(EFAULT,
		  table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
			      hole - sizeof(translate), sizeof(translate) + 1,
			      &id));
	ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0], self->parent_id[0],
				 hole - sizeof(translate), sizeof(translate),
				 &id));
	ASSERT_EQ(0, munmap(page, 2 * PAGE_SIZE));
}

/* The fields around the configuration */
TEST_F(pasid_table, bad_alloc)
{
	struct {
		struct iommu_hwpt_alloc cmd;
		char tail[16];
	} in, good = {
		.cmd = {
			.size = sizeof(good.cmd),
			.dev_id = self->dev_id[0],
			.pt_id = self->parent_id[0],
			.data_type = IOMMU_HWPT_DATA_PASID_TABLE,
			.data_len = sizeof(translate),
			.data_uptr = (uintptr_t)&translate,
		},
	};
	__u32 flag, id, other_ioas, other_dev, other_parent;
	int fd;

#define ASSERT_ALLOC(_error, statement)                                       \
	({                                                                    \
		in = good;                                                    \
		statement;                                                    \
		ASSERT_EQ(_error, call(self->fd, IOMMU_HWPT_ALLOC, &in.cmd)); \
	})
	ASSERT_ALLOC(0, in.cmd.fault_id = 1);
	ASSERT_ALLOC(0, in.cmd.size = sizeof(in));
	ASSERT_ALLOC(E2BIG, in.cmd.size = sizeof(in); in.tail[15] = 1);
	ASSERT_ALLOC(EINVAL, in.cmd.size = 8);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.__reserved = 1);
	for (flag = 1; flag; flag <<= 1)
		ASSERT_ALLOC(flag == IOMMU_HWPT_FAULT_ID_VALID ? ENOENT :
								 EOPNOTSUPP,
			     in.cmd.flags = flag);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = 0x7fffffff);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = self->parent_id[0]);
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = self->stdev_id[0]);
	ASSERT_ALLOC(EINVAL, in.cmd.pt_id = 0x7fffffff);
	ASSERT_ALLOC(EINVAL, in.cmd.pt_id = self->dev_id[0]);
	/* Not a parent: the user's table, a table, a HWPT without the flag */
	ASSERT_ALLOC(EINVAL, in.cmd.pt_id = self->table_id[0]);
	test_cmd_hwpt_alloc(self->dev_id[0], self->ioas_id, 0, &id);
	ASSERT_ALLOC(EINVAL, in.cmd.pt_id = id);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.pt_id = self->ioas_id);
	ASSERT_ALLOC(EINVAL, in.cmd.data_type = IOMMU_HWPT_DATA_NONE);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.data_type = 0xff);
	ASSERT_ALLOC(EOPNOTSUPP, in.cmd.data_type = 0x101);
	ASSERT_ALLOC(EINVAL, in.cmd.data_len = 0);

	/* Ids belong to their file */
	fd = open("/dev/iommu", O_RDWR);
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &other_ioas));
	while (1) {
		ASSERT_EQ(0, device_add(fd, other_ioas, NULL, &other_dev));
		ASSERT_EQ(0, parent_alloc(fd, other_dev, other_ioas,
					  &other_parent));
		/* Ids that this file does not have */
		if (other_dev > self->table_id[1] + 16)
			break;
	}
	ASSERT_ALLOC(ENOENT, in.cmd.dev_id = other_dev);
	ASSERT_ALLOC(EINVAL, in.cmd.pt_id = other_parent);
	ASSERT_EQ(0, table_alloc(fd, other_dev, other_parent, &translate,
				 sizeof(translate), &id));
	ASSERT_EQ(ENOENT, replace(self->fd, self->stdev_id[0], id));
	ASSERT_EQ(0, close(fd));
	ASSERT_ALLOC(0, in.cmd.fault_id = 1);
#undef ASSERT_ALLOC
}

struct bad_request {
	const char *what;
	int error;
	struct iommu_hwpt_pasid_table_invalidate request;
};

#define BAD(_error, ...)              \
	{                             \
#__VA_ARGS__, _error, \
		{                     \
			__VA_ARGS__   \
		}                     \
	}
#define IOTLB .caches = IOMMU_PASID_TABLE_INV_IOTLB
#define DEVTLB .caches = IOMMU_PASID_TABLE_INV_DEV_TLB
#define CDS .caches = IOMMU_PASID_TABLE_INV_PASID_CACHE
#define PASID .granularity = IOMMU_PASID_TABLE_INV_ONE_PASID
#define RANGE .granularity = IOMMU_PASID_TABLE_INV_ADDR
#define PAGES .granule_log2 = 12, .nb_granules = 1

static const struct bad_request bad_requests[] = {
	BAD(EINVAL, .caches = 0),
	BAD(EOPNOTSUPP, .caches = 8),
	BAD(EOPNOTSUPP, .caches = 1U << 31 | 1),
	BAD(EOPNOTSUPP, IOTLB, .flags = 8),
	BAD(EOPNOTSUPP, IOTLB, .flags = 1U << 31),
	BAD(EOPNOTSUPP, IOTLB, .granularity = 3),
	BAD(EOPNOTSUPP, IOTLB, .granularity = ~0U),
	/* Everything of the table: no qualification */
	BAD(EINVAL, IOTLB, .flags = IOMMU_PASID_TABLE_INV_LEAF),
	BAD(EINVAL, IOTLB, .flags = IOMMU_PASID_TABLE_INV_PASID),
	BAD(EINVAL, IOTLB, .flags = IOMMU_PASID_TABLE_INV_ARCHID),
	BAD(EINVAL, IOTLB, .pasid = 1),
	BAD(EINVAL, IOTLB, .archid = 1),
	BAD(EINVAL, IOTLB, .granule_log2 = 12),
	BAD(EINVAL, IOTLB, .addr = 4096),
	BAD(EINVAL, IOTLB, .nb_granules = 1),
	/* One PASID: which? */
	BAD(EINVAL, IOTLB, PASID),
	BAD(EINVAL, IOTLB, PASID, .flags = IOMMU_PASID_TABLE_INV_LEAF),
	BAD(EINVAL, DEVTLB, PASID, .flags = IOMMU_PASID_TABLE_INV_ARCHID),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_ARCHID),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .pasid = 1024),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .pasid = ~0U),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .archid = 1),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .addr = 4096),
	BAD(EINVAL, CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .nb_granules = 1),
	BAD(EINVAL, IOTLB, PASID, .flags = IOMMU_PASID_TABLE_INV_ARCHID,
	    .archid = MOCK_PASID_TABLE_ARCHID_MAX + 1),
	BAD(EINVAL, IOTLB, PASID, .flags = IOMMU_PASID_TABLE_INV_ARCHID,
	    .pasid = 1),
	/* Ranges */
	BAD(EINVAL, CDS, RANGE, PAGES),
	BAD(EINVAL, .caches = 7, RANGE, PAGES),
	BAD(EINVAL, IOTLB, RANGE),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 12),
	BAD(EINVAL, IOTLB, RANGE, .nb_granules = 1),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 11, .nb_granules = 1),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 13, .nb_granules = 1),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 64, .nb_granules = 1),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = ~0U, .nb_granules = 1),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .addr = 1),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .addr = 2048),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .addr = ~0ULL),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 12, .nb_granules = ~0ULL),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 12,
	    .nb_granules = (1ULL << 52) + 1),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 12, .addr = ~4095ULL,
	    .nb_granules = 2),
	BAD(EINVAL, IOTLB, RANGE, .granule_log2 = 12, .addr = 4096,
	    .nb_granules = 1ULL << 52),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .pasid = 1),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .archid = 1),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .flags = IOMMU_PASID_TABLE_INV_PASID,
	    .pasid = 1024),
	BAD(EINVAL, IOTLB, RANGE, PAGES, .flags = IOMMU_PASID_TABLE_INV_ARCHID,
	    .archid = ~0U),
};

static const struct iommu_hwpt_pasid_table_invalidate edge_requests[] = {
	{ IOTLB, RANGE, .granule_log2 = 12, .nb_granules = 1ULL << 52 },
	{ IOTLB, RANGE, .granule_log2 = 12, .nb_granules = 1,
	  .addr = ~4095ULL },
	{ DEVTLB, RANGE, PAGES },
	{ IOTLB, RANGE, PAGES, .flags = 7, .pasid = 1023, .archid = 255 },
	{ CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID, .pasid = 1023 },
	{ CDS, PASID, .flags = IOMMU_PASID_TABLE_INV_PASID },
	{ .caches = 7, PASID, .flags = 7, .pasid = 1, .archid = 1 },
	{ .caches = 7 },
};

/* Every combination of caches, granularity and flags: refused, or done */
TEST_F(pasid_table, combinations)
{
	__u32 caches, granularity, flags, nr;
	struct record record = EMPTY_RECORD;
	struct iommu_hwpt_pasid_table_invalidate request;
	bool ok;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (caches = 0; caches < 8; caches++) {
		for (granularity = 0; granularity < 3; granularity++) {
			for (flags = 0; flags < 8; flags++) {
				request = (struct iommu_hwpt_pasid_table_invalidate){
					.caches = caches,
					.granularity = granularity,
					.flags = flags,
					.pasid =
						flags & IOMMU_PASID_TABLE_INV_PASID ?
							7 :
							0,
					.archid =
						flags & IOMMU_PASID_TABLE_INV_ARCHID ?
							9 :
							0,
				};
				if (granularity == IOMMU_PASID_TABLE_INV_ADDR) {
					request.granule_log2 = 12;
					request.nb_granules = 3;
				}
				switch (granularity) {
				case IOMMU_PASID_TABLE_INV_DOMAIN:
					ok = !flags;
					break;
				case IOMMU_PASID_TABLE_INV_ONE_PASID:
					ok = flags & IOMMU_PASID_TABLE_INV_PASID ||
					     (caches ==
						      IOMMU_PASID_TABLE_INV_IOTLB &&
					      flags & IOMMU_PASID_TABLE_INV_ARCHID);
					break;
				default:
					ok = !(caches &
					       IOMMU_PASID_TABLE_INV_PASID_CACHE);
				}
				ok = ok && caches;
				nr = 1;
				ASSERT_EQ(ok ? 0 : EINVAL,
					  invalidate(self->fd,
						     self->table_id[0],
						     &request, &nr))
				{
					TH_LOG("caches %u granularity %u flags %u",
					       caches, granularity, flags);
				}
				ASSERT_EQ(ok, nr);
				if (ok)
					record_requests(&record, &request, 1,
							0);
			}
		}
	}
	ASSERT_SAW(0, &record);
}

/* entry_num is what reached the device, wherever a bad request is */
TEST_F(pasid_table, entry_num)
{
	struct record record = EMPTY_RECORD;
	unsigned int i, pos;
	struct iommu_hwpt_pasid_table_invalidate requests[40];
	__u32 nr;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		for (pos = 0; pos < 40; pos += i ? 13 : 1) {
			for (nr = 0; nr < 40; nr++)
				requests[nr] = good_request(nr + i);
			requests[pos] = bad_requests[i].request;
			ASSERT_EQ(bad_requests[i].error,
				  invalidate(self->fd, self->table_id[0],
					     requests, &nr))
			{
				TH_LOG("%s", bad_requests[i].what);
			}
			ASSERT_EQ(pos, nr);
			record_requests(&record, requests, pos,
					sizeof(*requests));
			ASSERT_SAW(0, &record);
		}
	}
	for (i = 0; i < ARRAY_SIZE(edge_requests); i++) {
		nr = 1;
		ASSERT_EQ(0, invalidate(self->fd, self->table_id[0],
					&edge_requests[i], &nr));
		ASSERT_EQ(1, nr);
	}
}

/*
 * Ranges without a gap, of a few kinds, in an order of chance; here and there one
 * that is bad, or that cannot be continued because addresses end.
 */
TEST_F(pasid_table, adjacent_ranges)
{
	struct iommu_hwpt_pasid_table_invalidate requests[100], *req;
	struct record record = EMPTY_RECORD;
	unsigned int round, bad, seed = 4;
	__u32 nr, i;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (round = 0; round < 2000; round++) {
		nr = 1 + rand_r(&seed) % 100;
		bad = rand_r(&seed) % 200;
		for (i = 0; i < nr; i++) {
			req = &requests[i];
			*req = good_request(3);
			if (i)
				*req = req[-1];
			req->addr += req->nb_granules << 12;
			req->nb_granules = 1 + rand_r(&seed) % 3;
			switch (rand_r(&seed) % 50) {
			case 0:
				req->addr += 4096;
				break;
			case 1:
				req->caches ^= IOMMU_PASID_TABLE_INV_DEV_TLB;
				break;
			case 2:
				req->flags ^= IOMMU_PASID_TABLE_INV_LEAF;
				break;
			case 3:
				req->flags |= IOMMU_PASID_TABLE_INV_ARCHID;
				req->archid = rand_r(&seed) % 2;
				break;
			case 4:
				req->flags |= IOMMU_PASID_TABLE_INV_PASID;
				req->pasid = rand_r(&seed) % 2;
				break;
			case 5:
				/* Up to the end, and on at the beginning */
				req->addr = -(req->nb_granules << 12);
				break;
			case 6:
				req->addr = 0;
				req->nb_granules = 1ULL << 51;
				break;
			case 7:
				*req = good_request(0);
				break;
			}
			if (!req->nb_granules && i + 1 < nr && i != bad) {
				requests[++i] = good_request(3);
				requests[i].addr = 8 * 4096;
			}
		}
		for (i = 0; i < nr; i++) {
			req = &requests[i];
			/* The bad one continues the range, if there is one */
			if (i == bad)
				req->nb_granules = req->granule_log2 ?
							   (rand_r(&seed) % 2 ?
								    0 :
								    ~0ULL) :
							   1;
			if (i == bad ||
			    (req->nb_granules &&
			     req->nb_granules - 1 > ~req->addr >> 12))
				break;
		}
		bad = i;
		ASSERT_EQ(bad < nr ? EINVAL : 0,
			  invalidate(self->fd, self->table_id[0], requests,
				     &nr));
		ASSERT_EQ(bad, nr);
		record_requests(&record, requests, nr, sizeof(*requests));
		ASSERT_SAW(0, &record);
	}
}

/* The last page of 64 bits and the first one are not neighbours */
TEST_F(pasid_table, ranges_at_the_end)
{
	struct iommu_hwpt_pasid_table_invalidate requests[] = {
		good_request(3),
		good_request(3),
		good_request(3),
		good_request(3),
	};
	struct record record = EMPTY_RECORD;
	__u32 nr = 4;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	requests[0].addr = -8192ULL;
	requests[1].addr = -4096ULL;
	requests[2].addr = 0;
	requests[3].addr = 4096;
	for (nr = 0; nr < 4; nr++)
		requests[nr].nb_granules = 1;
	ASSERT_EQ(0, invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(4, nr);
	record_requests(&record, requests, nr, sizeof(*requests));
	ASSERT_SAW(0, &record);
}

/* Errors of the IOMMU */
TEST_F(pasid_table, entry_num_hardware)
{
	struct record record = EMPTY_RECORD;
	unsigned int pos;
	struct iommu_hwpt_pasid_table_invalidate requests[40];
	__u32 nr;

	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (nr = 0; nr < 40; nr++)
		requests[nr] = good_request(nr);
	for (pos = 0; pos < 40; pos++) {
		ASSERT_EQ(0, fail_next(self->fd, self->dev_id[0],
				       MOCK_PASID_TABLE_FAIL_REQUEST, pos,
				       EINVAL));
		nr = 40;
		ASSERT_EQ(EINVAL, invalidate(self->fd, self->table_id[0],
					     requests, &nr));
		ASSERT_EQ(pos, nr);
		record_requests(&record, requests, pos, sizeof(*requests));
		ASSERT_SAW(0, &record);
	}
	/* Whatever was sent, nothing is known to be complete */
	ASSERT_EQ(0, fail_next(self->fd, self->dev_id[0],
			       MOCK_PASID_TABLE_FAIL_SYNC, 0, ETIMEDOUT));
	nr = 40;
	ASSERT_EQ(ETIMEDOUT,
		  invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(0, nr);
}

/* 0 asks whether the type is supported */
TEST_F(pasid_table, probe)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = self->table_id[0],
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
	};
	struct iommu_hwpt_selftest selftest = {
		.iotlb = IOMMU_TEST_IOTLB_DEFAULT
	};
	struct iommu_hwpt_pasid_table_invalidate request = good_request(0);
	__u32 nested_id;

#define ASSERT_PROBE(_error, _entry_num)                                \
	({                                                              \
		ASSERT_EQ(_error,                                       \
			  call(self->fd, IOMMU_HWPT_INVALIDATE, &cmd)); \
		ASSERT_EQ(_entry_num, cmd.entry_num);                   \
	})
	ASSERT_PROBE(0, 0);
	cmd.entry_len = sizeof(struct iommu_hwpt_pasid_table_invalidate);
	ASSERT_PROBE(0, 0);
	cmd.data_uptr = (uintptr_t)&request;
	ASSERT_PROBE(0, 0);
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	ASSERT_PROBE(EINVAL, 0);
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST;
	ASSERT_PROBE(EINVAL, 0);
	/* The same with requests */
	cmd.entry_num = 1;
	ASSERT_PROBE(EINVAL, 0);
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE;
	cmd.entry_num = 1;
	ASSERT_PROBE(0, 1);

	/* Of other nested HWPTs it is not the type */
	test_cmd_hwpt_alloc_nested(self->dev_id[0], self->parent_id[0], 0,
				   &nested_id, IOMMU_HWPT_DATA_SELFTEST,
				   &selftest, sizeof(selftest));
	cmd.hwpt_id = nested_id;
	cmd.entry_num = 0;
	ASSERT_PROBE(EINVAL, 0);
	cmd.entry_num = 1;
	ASSERT_PROBE(EINVAL, 0);
	/* Nor of parents, of anything else, of nothing */
	cmd.hwpt_id = self->parent_id[0];
	cmd.entry_num = 1;
	ASSERT_PROBE(ENOENT, 0);
	cmd.hwpt_id = self->ioas_id;
	cmd.entry_num = 1;
	ASSERT_PROBE(ENOENT, 0);
	cmd.hwpt_id = 0x7fffffff;
	cmd.entry_num = 1;
	ASSERT_PROBE(ENOENT, 0);
	cmd.hwpt_id = self->table_id[0];
	cmd.__reserved = 1;
	cmd.entry_num = 1;
	ASSERT_PROBE(EOPNOTSUPP, 0);
	cmd.__reserved = 0;
	cmd.entry_num = MAX_REQUESTS + 1;
	ASSERT_PROBE(EINVAL, 0);
	cmd.entry_num = ~0U;
	ASSERT_PROBE(EINVAL, 0);
	cmd.entry_num = 1;
	cmd.data_uptr = 0;
	ASSERT_PROBE(EINVAL, 0);
#undef ASSERT_PROBE
}

/* As many as a call may have */
TEST_F_TIMEOUT(pasid_table, many, 300)
{
	struct record record = EMPTY_RECORD;
	struct iommu_hwpt_pasid_table_invalidate *requests;
	__u32 nr;

	requests = mmap(NULL, MAX_REQUESTS * sizeof(*requests),
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, requests);
	for (nr = 0; nr < MAX_REQUESTS; nr++)
		requests[nr] = good_request(nr);
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	ASSERT_EQ(0, invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(MAX_REQUESTS, nr);
	record_requests(&record, requests, nr, sizeof(*requests));
	ASSERT_SAW(0, &record);

	requests[MAX_REQUESTS - 1].caches = 0;
	ASSERT_EQ(EINVAL,
		  invalidate(self->fd, self->table_id[0], requests, &nr));
	ASSERT_EQ(MAX_REQUESTS - 1, nr);
	ASSERT_EQ(0, munmap(requests, MAX_REQUESTS * sizeof(*requests)));
}

/* Requests of a newer user, and of an older one */
TEST_F(pasid_table, entry_len)
{
	struct record record = EMPTY_RECORD;
	unsigned int i, pos;
	size_t len;
	char *data;
	__u32 nr;

	data = calloc(40, PAGE_SIZE);
	ASSERT_NE(NULL, data);
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));
	for (len = sizeof(struct iommu_hwpt_pasid_table_invalidate);
	     len <= PAGE_SIZE; len = len * 3 / 2 + 1) {
		memset(data, 0, 40 * PAGE_SIZE);
		for (i = 0; i < 40; i++) {
			struct iommu_hwpt_pasid_table_invalidate request =
				good_request(i);

			memcpy(data + i * len, &request, sizeof(request));
		}
		nr = 40;
		ASSERT_EQ(0, invalidate_len(self->fd, self->table_id[0], data,
					    len, &nr));
		ASSERT_EQ(40, nr);
		record_requests(&record, data, 40, len);
		ASSERT_SAW(0, &record);
		if (len == sizeof(struct iommu_hwpt_pasid_table_invalidate))
			continue;
		for (pos = 0; pos < 40; pos += 3) {
			data[pos * len + len - 1] = 1;
			nr = 40;
			ASSERT_EQ(E2BIG,
				  invalidate_len(self->fd, self->table_id[0],
						 data, len, &nr));
			ASSERT_EQ(pos, nr);
			data[pos * len + len - 1] = 0;
			record_requests(&record, data, pos, len);
			ASSERT_SAW(0, &record);
		}
	}
	for (len = 0; len < sizeof(struct iommu_hwpt_pasid_table_invalidate);
	     len++) {
		nr = 1;
		ASSERT_EQ(EINVAL, invalidate_len(self->fd, self->table_id[0],
						 data, len, &nr));
		ASSERT_EQ(0, nr);
	}
	nr = 1;
	ASSERT_EQ(EINVAL, invalidate_len(self->fd, self->table_id[0], data,
					 PAGE_SIZE + 1, &nr));
	ASSERT_EQ(0, nr);
	ASSERT_SAW(0, &record);
	free(data);
}

/* Requests that cannot be read, at each place of a chunk */
TEST_F(pasid_table, unreadable)
{
	struct record record = EMPTY_RECORD;
	unsigned int readable, off;
	struct iommu_hwpt_pasid_table_invalidate *requests;
	char *page, *hole;
	__u32 nr, i;

	page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	hole = page + PAGE_SIZE;
	ASSERT_EQ(0, munmap(hole, PAGE_SIZE));
	ASSERT_EQ(0, replace(self->fd, self->stdev_id[0], self->table_id[0]));

	for (readable = 0; readable < 36; readable++) {
		for (off = 0;
		     off < sizeof(struct iommu_hwpt_pasid_table_invalidate);
		     off += 8) {
			requests = (struct iommu_hwpt_pasid_table_invalidate
					    *)(hole - off) -
				   readable;
			for (i = 0; i < readable; i++)
				requests[i] = good_request(i);
			nr = readable + 20;
			ASSERT_EQ(EFAULT,
				  invalidate(self->fd, self->table_id[0],
					     requests, &nr));
			ASSERT_EQ(readable, nr);
			record_requests(&record, requests, readable,
					sizeof(*requests));
			ASSERT_SAW(0, &record);
		}
	}
	nr = 1;
	ASSERT_EQ(EFAULT, invalidate(self->fd, self->table_id[0],
				     (void *)(~0UL - 4095), &nr));
	ASSERT_EQ(0, nr);
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));
}

/* The command struct itself */
TEST_F(pasid_table, bad_invalidate)
{
	struct iommu_hwpt_pasid_table_invalidate request = good_request(0);
	struct {
		struct iommu_hwpt_invalidate cmd;
		char tail[16];
	} in = {
		.cmd = {
			.size = sizeof(in.cmd),
			.hwpt_id = self->table_id[0],
			.data_uptr = (uintptr_t)&request,
			.data_type = IOMMU_HWPT_INVALIDATE_DATA_PASID_TABLE,
			.entry_len = sizeof(request),
			.entry_num = 1,
		},
	};

	ASSERT_EQ(0, call(self->fd, IOMMU_HWPT_INVALIDATE, &in));
	in.cmd.size = sizeof(in);
	ASSERT_EQ(0, call(self->fd, IOMMU_HWPT_INVALIDATE, &in));
	in.tail[15] = 1;
	ASSERT_EQ(E2BIG, call(self->fd, IOMMU_HWPT_INVALIDATE, &in));
	in.cmd.size = offsetof(struct iommu_hwpt_invalidate, __reserved) - 1;
	ASSERT_EQ(EINVAL, call(self->fd, IOMMU_HWPT_INVALIDATE, &in));
	ASSERT_EQ(EFAULT, call(self->fd, IOMMU_HWPT_INVALIDATE, NULL));
}

/* A call that uses a device, and another one that takes it away meanwhile */
struct slow_call {
	int fd;
	__u32 dev_id, stdev_id;
	void *page;
	pid_t tid;
	int rc;
};

static void *slow_hw_info(void *arg)
{
	struct slow_call *slow = arg;
	struct iommu_hw_info info = {
		.size = sizeof(info),
		.dev_id = slow->dev_id,
		.data_len = PAGE_SIZE,
		.data_uptr = (uintptr_t)slow->page,
	};

	slow->rc = call(slow->fd, IOMMU_GET_HW_INFO, &info);
	return NULL;
}

static void *slow_destroy(void *arg)
{
	struct slow_call *slow = arg;

	WRITE_SHARED(slow->tid, (pid_t)syscall(SYS_gettid));
	slow->rc = destroy(slow->fd, slow->stdev_id);
	return NULL;
}

/* Whoever waits for the last user of an object goes on when that user is done */
TEST_F(pasid_table, destroy_waits)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	struct slow_call user, destroyer;
	pthread_t user_thread, destroyer_thread;
	struct timespec start, end;
	struct uffd_msg msg;
	int uffd;

	user.fd = self->fd;
	user.dev_id = self->dev_id[0];
	user.stdev_id = self->stdev_id[0];
	user.page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, user.page);
	destroyer = user;
	destroyer.tid = 0;
	uffd = syscall(SYS_userfaultfd, 0);
	ASSERT_NE(-1, uffd);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	range.range.start = (uintptr_t)user.page;
	range.range.len = PAGE_SIZE;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &range));

	ASSERT_EQ(0, pthread_create(&user_thread, NULL, slow_hw_info, &user));
	ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	ASSERT_EQ(0, pthread_create(&destroyer_thread, NULL, slow_destroy,
				    &destroyer));
	ASSERT_TRUE(falls_asleep(&destroyer.tid, 'D'));
	ASSERT_EQ(0, clock_gettime(CLOCK_MONOTONIC, &start));
	zero.range = range.range;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, pthread_join(user_thread, NULL));
	ASSERT_EQ(0, pthread_join(destroyer_thread, NULL));
	ASSERT_EQ(0, clock_gettime(CLOCK_MONOTONIC, &end));
	ASSERT_EQ(0, user.rc);
	ASSERT_EQ(0, destroyer.rc);
	ASSERT_GT(10, end.tv_sec - start.tv_sec);
	ASSERT_EQ(0, close(uffd));
}

#define RACE_TABLES 4

struct race {
	int fd;
	__u32 stdev_id[2];
	__u32 dev_id[2];
	__u32 parent_id;
	__u32 table_id[RACE_TABLES];
	unsigned int done[3];
};

static int race_alloc(void *data, unsigned int i)
{
	static const int expected[] = { EBUSY, ENOENT, 0 };
	struct race *race = data;
	unsigned int seed = i;
	__u32 id;
	int rc;

	i = rand_r(&seed) % RACE_TABLES;
	rc = destroy(race->fd, READ_SHARED(race->table_id[i]));
	if (!rc) {
		rc = table_alloc(race->fd, race->dev_id[i % 2], race->parent_id,
				 &translate, sizeof(translate), &id);
		if (rc)
			return rc;
		WRITE_SHARED(race->table_id[i], id);
	}
	return racer_result(&race->done[0], rc, expected);
}

static int race_attach(void *data, unsigned int i)
{
	static const int expected[] = { ENOENT, EINVAL, 0 };
	struct race *race = data;
	unsigned int dev, seed = i;

	dev = rand_r(&seed) % 2;
	i = rand_r(&seed) % (RACE_TABLES + 1);
	return racer_result(&race->done[1],
			    replace(race->fd, race->stdev_id[dev],
				    i == RACE_TABLES ?
					    race->parent_id :
					    READ_SHARED(race->table_id[i])),
			    expected);
}

static int race_invalidate(void *data, unsigned int i)
{
	static const int expected[] = { ENOENT, 0 };
	struct iommu_hwpt_pasid_table_invalidate requests[33];
	struct race *race = data;
	__u32 all, nr, id;
	unsigned int seed = i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		requests[i] = good_request(i);
	all = 1 + rand_r(&seed) % ARRAY_SIZE(requests);
	nr = all;
	id = READ_SHARED(race->table_id[rand_r(&seed) % RACE_TABLES]);
	rc = invalidate(race->fd, id, requests, &nr);
	if (!rc && nr != all)
		return -EIO;
	return racer_result(&race->done[2], rc, expected);
}

/* Tables come and go while devices move between them */
TEST_F_TIMEOUT(pasid_table, race, 120)
{
	struct racer racers[] = {
		{ race_alloc, "tables" },
		{ race_attach, "attach" },
		{ race_attach, "attach too" },
		{ race_invalidate, "invalidations" },
		{ race_invalidate, "invalidations too" },
	};
	struct race race = {
		.fd = self->fd,
		.stdev_id = { self->stdev_id[0], self->stdev_id[1] },
		.dev_id = { self->dev_id[0], self->dev_id[1] },
		.parent_id = self->parent_id[0],
	};
	struct iommu_test_cmd cmd;
	unsigned int i;

	for (i = 0; i < RACE_TABLES; i++)
		ASSERT_EQ(0, table_alloc(self->fd, self->dev_id[0],
					 self->parent_id[0], &translate,
					 sizeof(translate), &race.table_id[i]));
	ASSERT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), &race, 3,
				    race.done, ARRAY_SIZE(race.done), 10));
	for (i = 0; i < ARRAY_SIZE(race.done); i++)
		ASSERT_LT(10, race.done[i]);

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, replace(self->fd, self->stdev_id[i],
				     self->parent_id[0]));
		ASSERT_EQ(0, query(self->fd, self->dev_id[i], 0, &cmd));
		ASSERT_EQ(1, cmd.pasid_table_query.out_uses);
		ASSERT_EQ(cmd.pasid_table_query.out_attaches,
			  cmd.pasid_table_query.out_detaches);
	}
	for (i = 0; i < RACE_TABLES; i++)
		ASSERT_EQ(0, destroy(self->fd, race.table_id[i]));
}

TEST_HARNESS_MAIN
