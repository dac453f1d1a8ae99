// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds what among vIOMMUs, vDEVICEs, vEVENTQs, HWPTs and mock devices, and
 * how it all ends: in any order, closed or killed.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "iommufd_viommu.h"
#include "nested_asleep.h"
#include "nested_order.h"

#define VIRT_ID 5

FIXTURE(viommu_life)
{
	struct viommu_env env;
};

FIXTURE_SETUP(viommu_life)
{
	ASSERT_EQ(0, viommu_env_init(&self->env));
}

FIXTURE_TEARDOWN(viommu_life)
{
	teardown_iommufd(self->env.fd, _metadata);
}

TEST_F(viommu_life, holds)
{
	struct viommu_env *env = &self->env;
	__u32 table_id, vdevice_id, veventq_id;
	int fd = env->fd, file;

	ASSERT_EQ(EBUSY, destroy(fd, env->parent_id));
	ASSERT_EQ(EBUSY, destroy(fd, env->ioas_id));

	ASSERT_EQ(0, vtable_alloc(fd, env->dev_id[0], env->viommu_id,
				  IOMMU_PASID_TABLE_ABORT, &table_id));
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0], table_id));
	ASSERT_EQ(EBUSY, destroy(fd, table_id));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0], env->ioas_id));
	ASSERT_EQ(0, destroy(fd, table_id));

	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, env->dev_id[0], VIRT_ID,
				   &vdevice_id));
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, destroy(fd, vdevice_id));
	ASSERT_EQ(ENOENT, destroy(fd, vdevice_id));

	ASSERT_EQ(0, veventq_alloc(fd, env->viommu_id, 1, &veventq_id, &file));
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));
	ASSERT_EQ(EBUSY, destroy(fd, veventq_id));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, destroy(fd, veventq_id));

	ASSERT_EQ(EBUSY, destroy(fd, env->parent_id));
	ASSERT_EQ(0, destroy(fd, env->viommu_id));
	ASSERT_EQ(ENOENT, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, destroy(fd, env->parent_id));
}

/* The device is unbound: what is left of its name is an ID */
TEST_F(viommu_life, unbind)
{
	struct viommu_env *env = &self->env;
	int fd = env->fd;
	__u32 vdevice_id[2], other_id, reported;

	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, env->dev_id[0], VIRT_ID,
				   &vdevice_id[0]));
	ASSERT_EQ(0, destroy(fd, env->stdev_id[0]));
	ASSERT_EQ(ENOENT, events(fd, env->dev_id[0], 0, 1, NULL));

	/* Another device takes the name */
	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, env->dev_id[1], VIRT_ID,
				   &vdevice_id[1]));
	/* And does not lose it to the ID of the first one */
	ASSERT_EQ(0, destroy(fd, vdevice_id[0]));
	ASSERT_EQ(ENOENT, destroy(fd, vdevice_id[0]));
	ASSERT_EQ(0, events(fd, env->dev_id[1], 0, 1, &reported));
	ASSERT_EQ(1, reported);
	ASSERT_EQ(EEXIST, vdevice_alloc(fd, env->viommu_id, env->dev_id[1],
					VIRT_ID + 1, &other_id));

	/* The ID holds neither vIOMMU nor parent and may be the last to go */
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, destroy(fd, env->stdev_id[1]));
	ASSERT_EQ(0, destroy(fd, env->viommu_id));
	ASSERT_EQ(0, destroy(fd, env->parent_id));
	ASSERT_EQ(0, destroy(fd, env->ioas_id));
	ASSERT_EQ(0, destroy(fd, vdevice_id[1]));
	ASSERT_EQ(ENOENT, destroy(fd, vdevice_id[1]));
}

/* The device is unbound while its table translates: the table stays */
TEST_F(viommu_life, unbind_attached)
{
	struct viommu_env *env = &self->env;
	__u32 table_id, vdevice_id, stdev_id, dev_id;
	int fd = env->fd;

	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, env->dev_id[0], VIRT_ID,
				   &vdevice_id));
	ASSERT_EQ(0, vtable_alloc(fd, env->dev_id[0], env->viommu_id,
				  IOMMU_PASID_TABLE_TRANSLATE, &table_id));
	ASSERT_EQ(0, replace(fd, env->stdev_id[0], table_id));
	ASSERT_EQ(0, destroy(fd, env->stdev_id[0]));
	ASSERT_EQ(EBUSY, destroy(fd, env->viommu_id));

	/* Plugged in again, with the ID of its old name still there */
	ASSERT_EQ(0, device_add(fd, env->ioas_id, &stdev_id, &dev_id));
	ASSERT_EQ(ENOENT, replace(fd, stdev_id, table_id));
	ASSERT_EQ(0, destroy(fd, vdevice_id));
	ASSERT_EQ(ENOENT, replace(fd, stdev_id, table_id));
	ASSERT_EQ(0, vdevice_alloc(fd, env->viommu_id, dev_id, VIRT_ID,
				   &vdevice_id));
	ASSERT_EQ(0, replace(fd, stdev_id, table_id));
	ASSERT_EQ(0, destroy(fd, stdev_id));
	ASSERT_EQ(0, destroy(fd, table_id));
	ASSERT_EQ(0, destroy(fd, env->viommu_id));
}

/* Two vIOMMUs on one parent, two devices on one vIOMMU */
TEST_F(viommu_life, two)
{
	struct viommu_env *env = &self->env;
	__u32 viommu_id, vdevice_id[2], table_id[2], query_ids[2];
	struct iommu_test_cmd query;
	int fd = env->fd, i, other;

	ASSERT_EQ(0, viommu_alloc(fd, env->dev_id[1], env->parent_id,
				  &viommu_id));
	query_ids[0] = env->viommu_id;
	query_ids[1] = viommu_id;
	ASSERT_EQ(0, vquery(fd, viommu_id, 0, &query));
	ASSERT_EQ(2, query.viommu_query.out_viommus);
	for (other = 0; other < 2; other++) {
		for (i = 0; i < 2; i++) {
			/* The same names on both, but not of one device */
			ASSERT_EQ(0, vdevice_alloc(fd, query_ids[i ^ other],
						   env->dev_id[i], VIRT_ID,
						   &vdevice_id[i]));
			ASSERT_EQ(0, vtable_alloc(fd, env->dev_id[i],
						  query_ids[i ^ other],
						  IOMMU_PASID_TABLE_TRANSLATE,
						  &table_id[i]));
			ASSERT_EQ(0, replace(fd, env->stdev_id[i],
					     table_id[i]));
		}
		for (i = 0; i < 2; i++) {
			ASSERT_TRUE(uses(fd, env->dev_id[i], table_id[i]));
			ASSERT_EQ(0, replace(fd, env->stdev_id[i],
					     env->parent_id));
			ASSERT_EQ(0, destroy(fd, table_id[i]));
			ASSERT_EQ(0, destroy(fd, vdevice_id[i]));
		}
	}
	ASSERT_EQ(0, destroy(fd, env->viommu_id));
	ASSERT_EQ(EBUSY, destroy(fd, env->parent_id));
	ASSERT_EQ(0, destroy(fd, viommu_id));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(EBUSY, destroy(fd, env->parent_id));
		ASSERT_EQ(0, replace(fd, env->stdev_id[i], env->ioas_id));
	}
	ASSERT_EQ(0, destroy(fd, env->parent_id));
}

/* What can be taken away */
enum step {
	UNBIND,
	DESTROY_VDEVICE,
	DESTROY_TABLE,
	CLOSE_QUEUE,
	DESTROY_QUEUE,
	DESTROY_VIOMMU,
	DESTROY_PARENT,
	CLOSE_IOMMUFD,
	NR_STEPS,
};

struct guest {
	struct viommu_env env;
	__u32 table_id, vdevice_id, veventq_id;
	int file;
	bool gone[NR_STEPS];
};

static int guest_init(struct guest *guest)
{
	struct viommu_env *env = &guest->env;
	int rc;

	memset(guest, 0, sizeof(*guest));
	rc = viommu_env_init(env);
	rc = rc ?: vdevice_alloc(env->fd, env->viommu_id, env->dev_id[0],
				 VIRT_ID, &guest->vdevice_id);
	rc = rc ?: vtable_alloc(env->fd, env->dev_id[0], env->viommu_id,
				IOMMU_PASID_TABLE_TRANSLATE, &guest->table_id);
	rc = rc ?: veventq_alloc(env->fd, env->viommu_id, 16,
				 &guest->veventq_id, &guest->file);
	if (!rc && fcntl(guest->file, F_SETFL, O_NONBLOCK))
		rc = errno;
	return rc ?: replace(env->fd, env->stdev_id[0], guest->table_id);
}

/* Whether something that exists stands in the way of a step */
static bool is_held(const bool *gone, enum step step)
{
	switch (step) {
	case DESTROY_TABLE:
		return !gone[UNBIND];
	case DESTROY_QUEUE:
		return !gone[CLOSE_QUEUE];
	case DESTROY_VIOMMU:
		return !gone[DESTROY_TABLE] || !gone[DESTROY_QUEUE] ||
		       !(gone[DESTROY_VDEVICE] || gone[UNBIND]);
	case DESTROY_PARENT:
		return !gone[DESTROY_TABLE] || !gone[DESTROY_VIOMMU];
	default:
		return false;
	}
}

static int guest_destroy(struct guest *guest, enum step step)
{
	const __u32 ids[NR_STEPS] = {
		[UNBIND] = guest->env.stdev_id[0],
		[DESTROY_VDEVICE] = guest->vdevice_id,
		[DESTROY_TABLE] = guest->table_id,
		[DESTROY_QUEUE] = guest->veventq_id,
		[DESTROY_VIOMMU] = guest->env.viommu_id,
		[DESTROY_PARENT] = guest->env.parent_id,
	};

	return destroy(guest->env.fd, ids[step]);
}

/* Returns whether it worked out as it should */
static bool guest_step(struct guest *guest, enum step step)
{
	bool *gone = guest->gone;
	int rc = 0, expected = 0;

	switch (step) {
	case CLOSE_QUEUE:
		rc = close(guest->file);
		break;
	case CLOSE_IOMMUFD:
		rc = close(guest->env.fd);
		break;
	default:
		if (gone[CLOSE_IOMMUFD])
			expected = EBADF;
		else if (is_held(gone, step))
			expected = EBUSY;
		rc = guest_destroy(guest, step);
		break;
	}
	if (!rc)
		gone[step] = true;
	return rc == expected;
}

/* Events arrive for as long as there are device, name and queue, and stay */
static bool guest_events(struct guest *guest, __u32 *in_queue)
{
	const bool *gone = guest->gone;
	__u32 reported;
	char buf[4096];
	ssize_t len;

	if (!gone[CLOSE_IOMMUFD] && !gone[UNBIND]) {
		if (events(guest->env.fd, guest->env.dev_id[0], 1, 2,
			   &reported) ||
		    reported != (gone[DESTROY_VDEVICE] ? 0 : 2))
			return false;
		*in_queue += reported;
	}
	if (gone[CLOSE_QUEUE])
		return true;
	len = read(guest->file, buf,
		   sizeof(struct iommufd_vevent_header) +
			   sizeof(struct mock_viommu_event));
	if (len != (*in_queue ? 24 : 0))
		return false;
	*in_queue -= !!*in_queue;
	return true;
}

/* Steps of 8!: it takes each of them to each place, behind each other one */
TEST_F_TIMEOUT(viommu_life, any_order, 600)
{
	unsigned int order[NR_STEPS], nth, i;
	struct iommu_test_cmd query;
	struct guest guest;
	__u32 in_queue;

	for (nth = 0; nth < 40320; nth += 67) {
		ASSERT_EQ(0, guest_init(&guest));
		nth_order(nth, NR_STEPS, order);
		in_queue = 0;
		for (i = 0; i < NR_STEPS; i++) {
			EXPECT_TRUE(guest_step(&guest, order[i]))
			{
				TH_LOG("order %u, step %u is %u", nth, i,
				       order[i]);
			}
			EXPECT_TRUE(guest_events(&guest, &in_queue))
			{
				TH_LOG("events: order %u, step %u is %u", nth,
				       i, order[i]);
			}
		}
		ASSERT_EQ(0, vquery(self->env.fd, self->env.viommu_id, 0,
				    &query));
		ASSERT_EQ(1, query.viommu_query.out_viommus)
		{
			TH_LOG("order %u leaves a vIOMMU", nth);
		}
	}
}

/* A VMM that ends without taking anything down, or that is killed */
TEST_F_TIMEOUT(viommu_life, killed, 120)
{
	struct iommu_test_cmd query;
	struct guest guest;
	int i, status, ready[2];
	pid_t pid;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (guest_init(&guest))
				_exit(1);
			if (i % 4 == 0)
				_exit(0);
			say_ready(ready);
			if (i % 4 == 1)
				poll(&(struct pollfd){ guest.file, POLLIN }, 1, -1);
			while (!events(guest.env.fd, guest.env.dev_id[0], 0,
				       i % 4 == 2 ? 1000 : 1, NULL))
				;
			_exit(2);
		}
		EXPECT_EQ(i % 4 != 0, gets_ready(ready));
		if (i % 4 == 1)
			EXPECT_TRUE(falls_asleep(&pid, 'S'));
		if (i % 4) {
			usleep(1000 * i);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(i % 4 ? SIGKILL : 0, status);
	}
	ASSERT_EQ(0, vquery(self->env.fd, self->env.viommu_id, 0, &query));
	ASSERT_EQ(1, query.viommu_query.out_viommus);
}

TEST_HARNESS_MAIN
