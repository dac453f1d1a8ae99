// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest gets to know of the faults of its device: its own faults, under
 * its own names, and nothing of the host's.
 */
#define NESTED_VIOMMU
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "nested_asleep.h"
#include "nested_env.h"
#include "nested_event.h"

#include "../kselftest_harness.h"

#define DEPTH		16
/* Addresses of the faults that mark something, and room for what they say */
#define MARK		(GIOVA + (1ULL << 30))
#define MARKS		1024
/* A GPA that stage 2 does not map */
#define NO_GPA		(VM_GPA + VM_SIZE)

FIXTURE(event)
{
	struct env env;
	int events;
	__u32 queue;
	/* another device, whose faults mark how far the SMMU's events were read */
	struct edu other;
	struct probe marker;
	int marks;
	__u64 mark;
};

static int marker_init(struct _test_data_event *self)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config;
	struct vfio_dev *dev = &self->other.dev;
	struct pasid_table pasids;
	struct s1_table table;
	__u32 hwpt, queue;
	int rc;

	env_table(env, &table, &pasids, 12, OTHER_TAG);
	config = pasid_table_config(&pasids);
	rc = vfio_attach(dev, env->vm.parent);
	rc = rc ?: probe_edu(&self->marker, &env->vm, &self->other);
	rc = rc ?: vm_table_apart(&env->vm, dev, &config, &hwpt);
	rc = rc ?: veventq_alloc(env->vm.iommufd, dev->viommu, MARKS, &queue,
				 &self->marks);
	self->mark = MARK;
	return rc ?: vfio_attach(dev, hwpt);
}

FIXTURE_SETUP(event)
{
	struct env *env = &self->env;
	int rc = env_init(env, false, 12);

	self->events = -1;
	self->marks = -1;
	self->other.dev.fd = -1;
	rc = rc ?: edu_open(&self->other, 1);
	rc = rc ?: vfio_bind(&self->other.dev, env->vm.iommufd);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, marker_init(self));
	ASSERT_EQ(0, veventq_alloc(env->vm.iommufd, env->vm.viommu, DEPTH,
				   &self->queue, &self->events));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
}

FIXTURE_TEARDOWN(event)
{
	if (self->events >= 0)
		close(self->events);
	if (self->marks >= 0)
		close(self->marks);
	vfio_close(&self->other.dev);
	env_exit(&self->env);
}

/*
 * Let another device fault and wait for its event: the SMMU has one queue for all,
 * so whatever came before is there by then. Returns whether it came; @event is it.
 */
static bool settle_by(struct _test_data_event *self, struct event *event)
{
	self->mark += 4096;
	if (probe_dma(&self->marker, self->mark) != NOWHERE)
		return false;
	do {
		if (!event_next(self->marks, event, EVENT_LATE_MS))
			return false;
	} while (event_word(event, 2) != self->mark);
	return true;
}

static bool settle(struct _test_data_event *self)
{
	struct event event;

	return settle_by(self, &event);
}

/* Drop all events of what happened until now */
static bool drain(struct _test_data_event *self)
{
	struct event event;
	bool settled = settle(self);

	while (event_next(self->events, &event, 0))
		;
	return settled;
}

/* Whether nothing that happened until now has caused an event */
static bool nothing_came(struct _test_data_event *self)
{
	return settle(self) && !event_pending(self->events, 0);
}

/*
 * The device's own access faults: this is what an SMMU of one stage says. A DMA
 * may be more than one access; the first of them is looked at.
 */
static void expect_fault(struct __test_metadata *_metadata,
			 struct _test_data_event *self, __u8 id, __u64 giova,
			 bool read)
{
	struct env *env = &self->env;
	struct event event = {};

	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ(0, event.header.flags);
	EXPECT_EQ(id, event_id(&event));
	EXPECT_EQ((__u64)vsid_of(env->dev) << 32 | id, event_word(&event, 0));
	EXPECT_EQ((read ? EVT1_READ : 0) |
		  (__u64)EVT_CLASS_IN << EVT1_CLASS_SHIFT,
		  event_word(&event, 1));
	EXPECT_EQ(giova, event_word(&event, 2));
	EXPECT_EQ(0, event_word(&event, 3));
	EXPECT_TRUE(drain(self));
}

TEST_F(event, translation)
{
	struct env *env = &self->env;
	__u64 giova = GIOVA + 0x5a0000;

	EXPECT_FALSE(event_pending(self->events, 0));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, giova));
	expect_fault(_metadata, self, EVT_TRANSLATION, giova,
		     false);
	/* The same for a read */
	EXPECT_EQ(0, edu_load(&env->edu, giova + 8));
	expect_fault(_metadata, self, EVT_TRANSLATION, giova + 8,
		     true);
	/* What works says nothing */
	EXPECT_EQ(0, edu_write(&env->edu, GIOVA));
	EXPECT_TRUE(nothing_came(self));
}

TEST_F(event, permission)
{
	struct env *env = &self->env;

	s1_map_size(&env->table, GIOVA, env->probe.a, 12, S1_READ_ONLY);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	expect_fault(_metadata, self, EVT_PERMISSION, GIOVA,
		     false);
}

TEST_F(event, address_size)
{
	struct env *env = &self->env;

	/* Beyond the 40 bits of the descriptor's IPS */
	s1_map(&env->table, GIOVA, 1ULL << 44);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	expect_fault(_metadata, self, EVT_ADDR_SIZE, GIOVA, false);
}

static void bad_cd(struct env *env, unsigned int nth)
{
	pasid_table_damage(&env->pasids, nth);
	env_invalidate(env, inv_domain(INV_ALL));
	probe_dma(&env->probe, GIOVA);
}

TEST_F(event, descriptor)
{
	static const unsigned int bad[] = { 0, 3 };
	struct env *env = &self->env;
	struct event event;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bad_cd(env, bad[i]);
		ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
		EXPECT_EQ((__u64)vsid_of(env->dev) << 32 | EVT_BAD_CD,
			  event_word(&event, 0));
		EXPECT_EQ(0, event_word(&event, 1));
		EXPECT_EQ(0, event_word(&event, 2));
		EXPECT_EQ(0, event_word(&event, 3));
		EXPECT_TRUE(drain(self));
		pasid_table_set(&env->pasids, &env->table);
	}
}

/*
 * A root table where there is no memory: an abort, at the guest's own address.
 * (For the tables below it, QEMU blames stage 1 for what stage 2 lacks.)
 */
TEST_F(event, walk_abort)
{
	struct env *env = &self->env;
	struct event event;

	pasid_table_damage(&env->pasids, 4);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_ALL)));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ((__u64)vsid_of(env->dev) << 32 | EVT_WALK_EABT,
		  event_word(&event, 0));
	EXPECT_EQ((__u64)EVT_CLASS_TTD << EVT1_CLASS_SHIFT,
		  event_word(&event, 1) & ~EVT1_READ);
	EXPECT_EQ(GIOVA, event_word(&event, 2));
	EXPECT_EQ(NO_GPA, event_word(&event, 3) & ~0xfffULL);
}

/* The same for the descriptor itself */
TEST_F(event, descriptor_fetch)
{
	struct env *env = &self->env;
	struct iommu_hwpt_pasid_table config = pasid_table_config(&env->pasids);
	struct event event;
	__u32 hwpt;

	config.base_addr = NO_GPA;
	ASSERT_EQ(0, vm_table(&env->vm, env->dev, &config, &hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ((__u64)vsid_of(env->dev) << 32 | EVT_CD_FETCH,
		  event_word(&event, 0));
	EXPECT_EQ(0, event_word(&event, 1));
	EXPECT_EQ(0, event_word(&event, 2));
	EXPECT_EQ(NO_GPA, event_word(&event, 3) & ~0xfffULL);
}

/* Stage 1 leads to what stage 2 does not have: the host's business */
TEST_F(event, stage2)
{
	struct env *env = &self->env;
	__u32 bypass;

	s1_map(&env->table, GIOVA, NO_GPA);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	EXPECT_LT(0, faults(env->dev, true));
	EXPECT_TRUE(nothing_came(self));

	/* And so where the guest skips stage 1, or has all DMA abort */
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &bypass));
	ASSERT_EQ(0, vfio_attach(env->dev, bypass));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, NO_GPA));
	EXPECT_TRUE(nothing_came(self));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, NO_GPA));
	EXPECT_TRUE(nothing_came(self));
}

/* By device, not by the way that its table was made */
TEST_F(event, pasid_table)
{
	struct iommu_hwpt_pasid_table config;
	struct env *env = &self->env;
	__u64 giova = GIOVA + 0x10000;
	__u32 hwpt;

	config = pasid_table_config(&env->pasids);
	ASSERT_EQ(0, hwpt_alloc_table(env->vm.iommufd, env->dev->id,
				      env->vm.parent, &config, &hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, giova));
	expect_fault(_metadata, self, EVT_TRANSLATION, giova,
		     false);
}

/* A device without a name has no events; with another name it has others */
TEST_F(event, names)
{
	struct env *env = &self->env;
	int fd = env->vm.iommufd;
	struct event event;
	__u32 id;

	ASSERT_EQ(0, iommufd_destroy(fd, env->dev->vdevice));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	EXPECT_LT(0, faults(env->dev, true));
	EXPECT_TRUE(nothing_came(self));

	ASSERT_EQ(0, vdevice_alloc(fd, env->vm.viommu, env->dev->id, 0, &id));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ(EVT_TRANSLATION, event_word(&event, 0));
	EXPECT_TRUE(drain(self));
	ASSERT_EQ(0, iommufd_destroy(fd, id));
	ASSERT_EQ(0, vdevice_alloc(fd, env->vm.viommu, env->dev->id, UINT32_MAX,
				   &id));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ(UINT32_MAX, event_sid(&event));
}

/* One that faults all the time, and a neighbour that faults once */
TEST_F_TIMEOUT(event, storm, 60)
{
	struct env *env = &self->env;
	struct event event, last = {};
	int i, log = log_open();

	ASSERT_LE(0, log);
	for (i = 0; i < DEPTH + 4; i++)
		EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_TRUE(settle_by(self, &event));
	EXPECT_EQ(0, event.header.flags);
	EXPECT_EQ((__u64)vsid_of(&self->other.dev) << 32 | EVT_TRANSLATION,
		  event_word(&event, 0));

	/* The first ones were kept, in order, and then there is a note */
	for (i = 0; i < DEPTH; i++) {
		ASSERT_TRUE(event_next(self->events, &event, 0));
		EXPECT_EQ(i, event.header.sequence);
		EXPECT_EQ(0, event.header.flags);
	}
	ASSERT_TRUE(event_pending(self->events, 0));
	ASSERT_EQ(sizeof(last.header),
		  read(self->events, &last, sizeof(last)));
	EXPECT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, last.header.flags);
	EXPECT_LE(DEPTH + 3, last.header.sequence);
	EXPECT_FALSE(event_pending(self->events, 0));

	/* The next one tells how many were lost */
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_TRUE(event_next(self->events, &event, EVENT_LATE_MS));
	EXPECT_EQ(last.header.sequence + 1, event.header.sequence);
	EXPECT_EQ(0, event.header.flags);
	/* The host's log has nothing of it */
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

/* Readers */

TEST_F(event, nothing_to_read)
{
	static const int modes[] = { 0, O_NONBLOCK };
	struct event event;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		ASSERT_EQ(0, fcntl(self->events, F_SETFL, modes[i]));
		EXPECT_EQ(0, read(self->events, &event, sizeof(event)));
		EXPECT_FALSE(event_pending(self->events, 0));
	}
}

struct reader {
	int fd;
	pid_t tid;
	ssize_t len;
	struct event event;
	bool ended;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;
	struct pollfd pollfd = { .fd = reader->fd, .events = POLLIN };

	WRITE_SHARED(reader->tid, (pid_t)syscall(SYS_gettid));
	poll(&pollfd, 1, -1);
	reader->len = read(reader->fd, &reader->event, sizeof(reader->event));
	__atomic_store_n(&reader->ended, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* read() does not wait, poll() does */
TEST_F(event, poll_waits)
{
	struct reader reader = { .fd = self->events };
	struct env *env = &self->env;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &reader));
	EXPECT_TRUE(falls_asleep(&reader.tid, 'S'));
	EXPECT_FALSE(__atomic_load_n(&reader.ended, __ATOMIC_SEQ_CST));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(sizeof(struct event), reader.len);
	EXPECT_EQ(EVT_TRANSLATION, event_id(&reader.event));
}

TEST_F(event, several_at_once)
{
	struct env *env = &self->env;
	struct event events[4] = {};
	void *nowhere;
	int i;

	/* An edu takes 4 bytes at a time */
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA + 4096));
	ASSERT_TRUE(settle(self));
	nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	ASSERT_NE(MAP_FAILED, nowhere);
	/* What does not fit stays */
	EXPECT_EQ(-1, read(self->events, events, sizeof(events[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(self->events, nowhere, sizeof(events[0])));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(sizeof(events[0]) * 2,
		  read(self->events, events, sizeof(events[0]) * 3 - 1));
	EXPECT_EQ(sizeof(events[0]) * 2,
		  read(self->events, &events[2], sizeof(events[0]) * 2));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(i, events[i].header.sequence);
		EXPECT_EQ(GIOVA + 4096 + 4 * i, event_word(&events[i], 2));
	}
}

TEST_HARNESS_MAIN
