// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that make, use and take away vIOMMUs, tables, vDEVICEs, event queues
 * and mock devices at the same time. Each destroys only what it has made itself,
 * but uses what the others have: IDs that may mean something else by now.
 */
#include <fcntl.h>
#include <poll.h>

#include "iommufd_viommu.h"
#include "nested_racer.h"

#define NR_VIOMMUS 2
#define NR_DEVICES 2
#define NR_KINDS 3
#define SECONDS 5

struct race {
	struct viommu_env env;
	__u32 viommu_id[NR_VIOMMUS];
	__u32 table_id[NR_VIOMMUS][NR_KINDS];
	__u32 vdevice_id[NR_DEVICES];
};

/* How often each thing worked out */
enum {
	DONE_VIOMMU,
	DONE_VDEVICE,
	DONE_TABLE,
	DONE_PARENT,
	DONE_COMMANDS,
	DONE_EVENTS,
	DONE_READ,
	DONE_UNBIND,
	NR_DONE,
};

static unsigned int done[NR_DONE];

static void count(unsigned int what)
{
	__atomic_add_fetch(&done[what], 1, __ATOMIC_RELAXED);
}

/* 0 for what is allowed to happen when others do what they do */
static int allowed(int rc, int error1, int error2, int error3)
{
	return rc == error1 || rc == error2 || rc == error3 ? 0 : rc;
}

/* Others may use its ID for something, and hold it as long as that takes */
static int destroy_own(int fd, __u32 id)
{
	int rc, tries = 10000;

	/* Whoever holds it has to get the CPU */
	while ((rc = destroy(fd, id)) == EBUSY && tries--)
		usleep(100);
	return rc;
}

/* Take down what is on a vIOMMU, and that, as far as nobody uses it */
static int round_viommu(void *data, unsigned int i)
{
	struct race *race = data;
	unsigned int n = i % NR_VIOMMUS, kind;
	int fd = race->env.fd, rc;
	__u32 id;

	for (kind = 0; kind < NR_KINDS; kind++) {
		id = race->table_id[n][kind];
		rc = id ? destroy(fd, id) : 0;
		if (!rc)
			WRITE_SHARED(race->table_id[n][kind], 0);
		else if (rc != EBUSY)
			return rc;
	}
	rc = destroy(fd, race->viommu_id[n]);
	if (!rc) {
		rc = viommu_alloc(fd, READ_SHARED(race->env.dev_id[i / 2 % 2]),
				  race->env.parent_id, &id);
		/* The device may be away; the other one is not there less */
		while (rc == ENOENT)
			rc = viommu_alloc(fd, READ_SHARED(race->env.dev_id[0]),
					  race->env.parent_id, &id);
		if (rc)
			return rc;
		WRITE_SHARED(race->viommu_id[n], id);
		count(DONE_VIOMMU);
	} else if (rc != EBUSY) {
		return rc;
	}
	for (kind = 0; kind < NR_KINDS; kind++) {
		if (race->table_id[n][kind])
			continue;
		rc = vtable_alloc(fd, READ_SHARED(race->env.dev_id[i % 2]),
				  race->viommu_id[n],
				  IOMMU_PASID_TABLE_TRANSLATE + kind, &id);
		if (!rc)
			WRITE_SHARED(race->table_id[n][kind], id);
		else if (rc != ENOENT)
			return rc;
	}
	return 0;
}

static int round_vdevice(void *data, unsigned int i)
{
	struct race *race = data;
	unsigned int n = i % NR_DEVICES;
	int fd = race->env.fd, rc = 0;
	__u32 id;

	if (race->vdevice_id[n]) {
		rc = destroy_own(fd, race->vdevice_id[n]);
		if (rc)
			return rc;
		race->vdevice_id[n] = 0;
	}
	rc = vdevice_alloc(fd, READ_SHARED(race->viommu_id[i / 2 % NR_VIOMMUS]),
			   READ_SHARED(race->env.dev_id[n]), i / 3 % 2, &id);
	if (!rc) {
		race->vdevice_id[n] = id;
		count(DONE_VDEVICE);
		/* Give the others a chance to use it */
		if (i % 8 == 0)
			usleep(500);
	}
	return allowed(rc, ENOENT, EEXIST, 0);
}

static int round_attach(void *data, unsigned int i)
{
	struct race *race = data;
	unsigned int n = i % NR_DEVICES, kind = i / 4 % (NR_KINDS + 1);
	__u32 id = race->env.parent_id;
	int rc;

	if (kind < NR_KINDS)
		id = READ_SHARED(race->table_id[i / 2 % NR_VIOMMUS][kind]);
	rc = replace(race->env.fd, READ_SHARED(race->env.stdev_id[n]), id);
	if (!rc)
		count(kind < NR_KINDS ? DONE_TABLE : DONE_PARENT);
	/* The ID may be another object's by now */
	return allowed(rc, ENOENT, EINVAL, 0);
}

static int round_commands(void *data, unsigned int i)
{
	static const struct mock_viommu_cmd pair[2] = {
		{ .op = MOCK_VIOMMU_CMD_IOTLB, .index = 1 },
		{ .op = MOCK_VIOMMU_CMD_DEV, .index = 2, .virt_id = 1 },
	};
	struct mock_viommu_cmd cmds[130];
	struct race *race = data;
	__u32 count_in = 1 + i % 130, nr;
	int rc;

	for (nr = 0; nr < count_in; nr++)
		cmds[nr] = pair[nr == i % 128];
	rc = vcommands(race->env.fd,
		       READ_SHARED(race->viommu_id[i % NR_VIOMMUS]), cmds, &nr);
	if (!rc && nr != count_in)
		return -1;
	/* The guest had no such device, and that is where it stopped */
	if (rc == EIO && nr != i % 128)
		return -2;
	if ((rc == ENOENT || rc == EINVAL) && nr)
		return -3;
	if (!rc)
		count(DONE_COMMANDS);
	return allowed(rc, ENOENT, EINVAL, EIO);
}

static int round_events(void *data, unsigned int i)
{
	struct race *race = data;
	__u32 reported;
	int rc;

	rc = events(race->env.fd, READ_SHARED(race->env.dev_id[i % NR_DEVICES]),
		    i, 1 + i % 40, &reported);
	if (!rc && reported)
		count(DONE_EVENTS);
	return allowed(rc, ENOENT, 0, 0);
}

/* In a queue the numbers go up, whoever goes away meanwhile */
static int read_some(int file)
{
	struct {
		struct iommufd_vevent_header header;
		struct mock_viommu_event event;
	} record;
	struct pollfd pollfd = { .fd = file, .events = POLLIN };
	long last = -1;
	ssize_t len;
	int i;

	for (i = 0; i < 50 && poll(&pollfd, 1, 5) == 1; i++) {
		len = read(file, &record, sizeof(record));
		if (len == sizeof(record.header) &&
		    record.header.flags != IOMMU_VEVENTQ_FLAG_LOST_EVENTS)
			return -1;
		if (len != sizeof(record.header) && len != sizeof(record))
			return -2;
		if (record.header.sequence <= last ||
		    (len == sizeof(record) && record.event.virt_id > 1))
			return -3;
		last = record.header.sequence;
		count(DONE_READ);
	}
	return 0;
}

static int round_queue(void *data, unsigned int i)
{
	struct race *race = data;
	int fd = race->env.fd, file, rc;
	__u32 id;

	rc = veventq_alloc(fd, READ_SHARED(race->viommu_id[i % NR_VIOMMUS]),
			   1 + i % 20, &id, &file);
	if (rc)
		return allowed(rc, ENOENT, EEXIST, 0);
	rc = fcntl(file, F_SETFL, O_NONBLOCK) ? errno : read_some(file);
	close(file);
	return destroy_own(fd, id) ?: rc;
}

static int round_unbind(void *data, unsigned int i)
{
	struct viommu_env *env = &((struct race *)data)->env;
	unsigned int n = i % NR_DEVICES;
	__u32 stdev_id = 0, dev_id = 0;
	int rc;

	usleep(1000);
	rc = destroy_own(env->fd, env->stdev_id[n]);
	rc = rc ?: device_add(env->fd, env->ioas_id, &stdev_id, &dev_id);
	if (rc)
		return rc;
	WRITE_SHARED(env->stdev_id[n], stdev_id);
	WRITE_SHARED(env->dev_id[n], dev_id);
	count(DONE_UNBIND);
	return 0;
}

FIXTURE(viommu_race)
{
	struct race race;
};

FIXTURE_SETUP(viommu_race)
{
	struct race *race = &self->race;

	ASSERT_EQ(0, viommu_env_init(&race->env));
	race->viommu_id[0] = race->env.viommu_id;
	ASSERT_EQ(0, viommu_alloc(race->env.fd, race->env.dev_id[0],
				  race->env.parent_id, &race->viommu_id[1]));
}

FIXTURE_TEARDOWN(viommu_race)
{
	teardown_iommufd(self->race.env.fd, _metadata);
}

TEST_F_TIMEOUT(viommu_race, all, 120)
{
	struct race *race = &self->race;
	struct racer racers[] = {
		{ .name = "vIOMMUs", .round = round_viommu },
		{ .name = "vDEVICEs", .round = round_vdevice },
		{ .name = "attach", .round = round_attach },
		{ .name = "attach too", .round = round_attach },
		{ .name = "commands", .round = round_commands },
		{ .name = "events", .round = round_events },
		{ .name = "queues", .round = round_queue },
		{ .name = "queues too", .round = round_queue },
		{ .name = "unbind", .round = round_unbind },
	};
	struct iommu_test_cmd query;
	unsigned int i;
	int fd = race->env.fd;

	ASSERT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), race, SECONDS,
				    done, ARRAY_SIZE(done), 0));
	for (i = 0; i < NR_DONE; i++)
		EXPECT_LT(0, done[i])
		{
			TH_LOG("%u was never done", i);
		}

	/* What is left can be taken down one after the other */
	for (i = 0; i < NR_DEVICES; i++) {
		if (race->vdevice_id[i])
			ASSERT_EQ(0, destroy(fd, race->vdevice_id[i]));
		ASSERT_EQ(0, replace(fd, race->env.stdev_id[i],
				     race->env.ioas_id));
		ASSERT_TRUE(uses(fd, race->env.dev_id[i], 0));
	}
	for (i = 0; i < NR_VIOMMUS * NR_KINDS; i++)
		if (race->table_id[i / NR_KINDS][i % NR_KINDS])
			ASSERT_EQ(0, destroy(fd, race->table_id[i / NR_KINDS]
							       [i % NR_KINDS]));
	ASSERT_EQ(0, vquery(fd, race->viommu_id[0], 0, &query));
	ASSERT_EQ(NR_VIOMMUS, query.viommu_query.out_viommus);
	for (i = 0; i < NR_VIOMMUS; i++)
		ASSERT_EQ(0, destroy(fd, race->viommu_id[i]));
	ASSERT_EQ(0, destroy(fd, race->env.parent_id));
}

TEST_HARNESS_MAIN
