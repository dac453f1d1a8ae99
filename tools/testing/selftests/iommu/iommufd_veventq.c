// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event queues of vIOMMUs on mock devices: what read() and poll() give, what is
 * told of lost events, and where events go.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "iommufd_viommu.h"
#include "nested_asleep.h"

#define VIRT_ID 5
#define DEPTH 4
#define MAX_DEPTH 524288U

struct record {
	struct iommufd_vevent_header header;
	struct mock_viommu_event event;
};

FIXTURE(event_queue)
{
	struct viommu_env env;
	__u32 vdevice_id;
	__u32 veventq_id;
	int file;
};

/* A queue that does not block */
static int queue_init(struct viommu_env *env, __u32 depth, __u32 *id, int *file)
{
	int rc = veventq_alloc(env->fd, env->viommu_id, depth, id, file);

	if (!rc && fcntl(*file, F_SETFL, O_NONBLOCK))
		rc = errno;
	return rc;
}

FIXTURE_SETUP(event_queue)
{
	struct viommu_env *env = &self->env;

	ASSERT_EQ(0, viommu_env_init(env));
	ASSERT_EQ(0, vdevice_alloc(env->fd, env->viommu_id, env->dev_id[0],
				   VIRT_ID, &self->vdevice_id));
	ASSERT_EQ(0, queue_init(env, DEPTH, &self->veventq_id, &self->file));
}

FIXTURE_TEARDOWN(event_queue)
{
	close(self->file);
	teardown_iommufd(self->env.fd, _metadata);
}

/* Events with these numbers as values, too */
#define EVENTS(value, count)                                           \
	({                                                             \
		__u32 _count = count;                                  \
		__u32 _reported;                                       \
		ASSERT_EQ(0, events(self->env.fd, self->env.dev_id[0], \
				    value, _count, &_reported));       \
		ASSERT_EQ(_count, _reported);                          \
	})

/* The next thing to read is this event, or says that this one was lost */
#define ASSERT_EVENT(_value, _sequence)                                        \
	({                                                                     \
		struct record _record;                                         \
		memset(&_record, 0xff, sizeof(_record));                       \
		ASSERT_EQ(sizeof(_record),                                     \
			  read(self->file, &_record, sizeof(_record)));        \
		ASSERT_EQ(0, _record.header.flags);                            \
		ASSERT_EQ(_sequence, _record.header.sequence);                 \
		ASSERT_EQ(VIRT_ID, _record.event.virt_id);                     \
		ASSERT_EQ(_value, _record.event.value);                        \
		ASSERT_EQ(0, _record.event.__reserved);                        \
	})

#define ASSERT_LOST(_sequence)                                              \
	({                                                                  \
		struct record _record;                                      \
		ASSERT_EQ(sizeof(_record.header),                           \
			  read(self->file, &_record, sizeof(_record)));     \
		ASSERT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS,                   \
			  _record.header.flags);                            \
		ASSERT_EQ(_sequence, _record.header.sequence);              \
	})

#define ASSERT_NOTHING()                                                  \
	({                                                                \
		struct record _record;                                    \
		ASSERT_EQ(0, read(self->file, &_record, sizeof(_record))); \
	})

static short polled(int file)
{
	struct pollfd pollfd = { .fd = file, .events = POLLIN };

	return poll(&pollfd, 1, 0) < 0 ? -1 : pollfd.revents;
}

static int set_sequence(struct viommu_env *env, __u32 veventq_id, __u32 next)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_VEVENTQ_SEQUENCE,
		.id = veventq_id,
		.veventq_sequence = { .next = next },
	};

	return call(env->fd, IOMMU_TEST_CMD, &cmd);
}

TEST_F(event_queue, alloc)
{
	struct viommu_env *env = &self->env;
	struct {
		struct iommu_veventq_alloc cmd;
		char tail[16];
	} in, good = {
		.cmd = {
			.size = sizeof(good.cmd),
			.type = IOMMU_VEVENTQ_TYPE_SELFTEST,
			.veventq_depth = 1,
		},
	};
	struct rlimit limit, none;
	__u32 flag, viommu_id;
	int lowest, file;
	void *page;

	static_assert(sizeof(struct iommu_veventq_alloc) == 32, "size");
	static_assert(sizeof(struct iommufd_vevent_header) == 8, "header");
	ASSERT_EQ(0, viommu_alloc(env->fd, env->dev_id[0], env->parent_id,
				  &viommu_id));
	good.cmd.viommu_id = viommu_id;
	lowest = dup(0);
	ASSERT_LE(0, lowest);
	ASSERT_EQ(0, close(lowest));

#define ASSERT_QUEUE(_error, statement)                                  \
	({                                                               \
		int _rc = _error;                                        \
		in = good;                                               \
		statement;                                               \
		ASSERT_EQ(_rc, call(env->fd, IOMMU_VEVENTQ_ALLOC, &in)); \
		if (!_rc) {                                              \
			ASSERT_EQ(lowest, in.cmd.out_veventq_fd);        \
			ASSERT_EQ(FD_CLOEXEC, fcntl(lowest, F_GETFD));   \
			ASSERT_EQ(0, close(lowest));                     \
		}                                                        \
		ASSERT_EQ(_rc ? ENOENT : 0,                              \
			  destroy(env->fd, in.cmd.out_veventq_id));      \
	})
	ASSERT_QUEUE(0, in = good);
	ASSERT_QUEUE(0, in.cmd.size = 28; in.cmd.__reserved = 1);
	ASSERT_QUEUE(0, in.cmd.size = sizeof(in));
	ASSERT_QUEUE(E2BIG, in.cmd.size = sizeof(in); in.tail[15] = 1);
	ASSERT_QUEUE(EINVAL, in.cmd.size = 27);
	ASSERT_QUEUE(EINVAL, in.cmd.size = 24);
	for (flag = 1; flag; flag <<= 1)
		ASSERT_QUEUE(EOPNOTSUPP, in.cmd.flags = flag);
	ASSERT_QUEUE(EOPNOTSUPP, in.cmd.__reserved = 1);
	ASSERT_QUEUE(EOPNOTSUPP, in.cmd.type = IOMMU_VEVENTQ_TYPE_DEFAULT);
	ASSERT_QUEUE(EOPNOTSUPP, in.cmd.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3);
	ASSERT_QUEUE(EOPNOTSUPP, in.cmd.type = ~0U);
	ASSERT_QUEUE(ENOENT, in.cmd.viommu_id = 0);
	ASSERT_QUEUE(ENOENT, in.cmd.viommu_id = NOBODY);
	ASSERT_QUEUE(ENOENT, in.cmd.viommu_id = env->parent_id);
	ASSERT_QUEUE(EINVAL, in.cmd.veventq_depth = 0);
	ASSERT_QUEUE(0, in.cmd.veventq_depth = MAX_DEPTH);
	ASSERT_QUEUE(EINVAL, in.cmd.veventq_depth = MAX_DEPTH + 1);
	ASSERT_QUEUE(EINVAL, in.cmd.veventq_depth = ~0U);
	/* It has one */
	ASSERT_QUEUE(EEXIST, in.cmd.viommu_id = env->viommu_id);

	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VEVENTQ_ALLOC, NULL));
	page = read_only(&good.cmd, sizeof(good.cmd));
	ASSERT_NE(NULL, page);
	ASSERT_EQ(EFAULT, call(env->fd, IOMMU_VEVENTQ_ALLOC, page));
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));
	ASSERT_QUEUE(0, in = good);

	/* No file is to be had */
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = lowest;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	in = good;
	file = call(env->fd, IOMMU_VEVENTQ_ALLOC, &in);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(EMFILE, file);
	ASSERT_QUEUE(0, in = good);
#undef ASSERT_QUEUE
	ASSERT_EQ(0, destroy(env->fd, viommu_id));
}

TEST_F(event_queue, in_order)
{
	struct record records[DEPTH];
	unsigned int round, i;

	ASSERT_NOTHING();
	EVENTS(100, 1);
	ASSERT_EVENT(100, 0);
	ASSERT_NOTHING();
	/* Round and round the ring, with fill levels that differ */
	for (round = 1; round < 100; round += 3) {
		EVENTS(round, 2);
		ASSERT_EVENT(round, round);
		EVENTS(round + 2, 1);
		ASSERT_EVENT(round + 1, round + 1);
		ASSERT_EVENT(round + 2, round + 2);
		ASSERT_NOTHING();
	}
	/* All in one read */
	EVENTS(200, DEPTH);
	ASSERT_EQ(sizeof(records), read(self->file, records, sizeof(records)));
	for (i = 0; i < DEPTH; i++) {
		ASSERT_EQ(round + i, records[i].header.sequence);
		ASSERT_EQ(0, records[i].header.flags);
		ASSERT_EQ(200 + i, records[i].event.value);
	}
	ASSERT_NOTHING();
}

/* Lost at the end: said once, behind the ones that were kept */
TEST_F(event_queue, overflow)
{
	unsigned int i;

	EVENTS(0, DEPTH);
	EVENTS(DEPTH, 3);
	for (i = 0; i < DEPTH; i++)
		ASSERT_EVENT(i, i);
	ASSERT_EQ(POLLIN, polled(self->file));
	ASSERT_LOST(DEPTH + 2);
	ASSERT_EQ(0, polled(self->file));
	ASSERT_NOTHING();
	ASSERT_NOTHING();
	EVENTS(50, 1);
	ASSERT_EVENT(50, DEPTH + 3);
	ASSERT_NOTHING();
}

/* Lost in the middle: the gap tells */
TEST_F(event_queue, gap)
{
	EVENTS(0, DEPTH + 2);
	ASSERT_EVENT(0, 0);
	ASSERT_EVENT(1, 1);
	EVENTS(6, 1);
	ASSERT_EVENT(2, 2);
	ASSERT_EVENT(3, 3);
	ASSERT_EVENT(6, 6);
	ASSERT_NOTHING();

	/* In the middle and at the end */
	EVENTS(7, DEPTH + 1);
	ASSERT_EVENT(7, 7);
	EVENTS(12, 3);
	ASSERT_EVENT(8, 8);
	ASSERT_EVENT(9, 9);
	ASSERT_EVENT(10, 10);
	ASSERT_EVENT(12, 12);
	ASSERT_LOST(14);
	ASSERT_NOTHING();

	/* Whoever has read up to the loss does not hear of it when more came */
	EVENTS(15, DEPTH + 1);
	ASSERT_EVENT(15, 15);
	ASSERT_EVENT(16, 16);
	ASSERT_EVENT(17, 17);
	ASSERT_EVENT(18, 18);
	EVENTS(20, 1);
	ASSERT_EVENT(20, 20);
	ASSERT_NOTHING();
}

TEST_F(event_queue, one_read)
{
	struct {
		struct record records[DEPTH];
		struct iommufd_vevent_header lost;
		char more[100];
	} in;

	/* The kept ones and the header of the lost ones */
	EVENTS(0, DEPTH + 5);
	ASSERT_EQ(offsetof(typeof(in), more),
		  read(self->file, &in, sizeof(in)));
	ASSERT_EQ(DEPTH - 1, in.records[DEPTH - 1].header.sequence);
	ASSERT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, in.lost.flags);
	ASSERT_EQ(DEPTH + 4, in.lost.sequence);
	ASSERT_NOTHING();
}

TEST_F(event_queue, depth_one)
{
	struct viommu_env *env = &self->env;
	unsigned int i;

	ASSERT_EQ(0, close(self->file));
	ASSERT_EQ(0, destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, queue_init(env, 1, &self->veventq_id, &self->file));
	for (i = 0; i < 30; i += 3) {
		EVENTS(i, 3);
		ASSERT_EVENT(i, i);
		ASSERT_LOST(i + 2);
		ASSERT_NOTHING();
	}
	EVENTS(i, 1);
	ASSERT_EVENT(i, i);
	ASSERT_NOTHING();
}

/* Numbers run up to INT_MAX and then from 0 */
TEST_F(event_queue, wrap)
{
	struct viommu_env *env = &self->env;

	ASSERT_EQ(0, set_sequence(env, self->veventq_id, INT_MAX - 1));
	EVENTS(0, DEPTH);
	ASSERT_EVENT(0, INT_MAX - 1);
	ASSERT_EVENT(1, INT_MAX);
	ASSERT_EVENT(2, 0);
	ASSERT_EVENT(3, 1);

	/* Lost are the last one before and the first ones after the end */
	ASSERT_EQ(0, set_sequence(env, self->veventq_id, INT_MAX - DEPTH));
	EVENTS(0, DEPTH + 1);
	ASSERT_EVENT(0, INT_MAX - DEPTH);
	ASSERT_EVENT(1, INT_MAX - DEPTH + 1);
	ASSERT_EVENT(2, INT_MAX - DEPTH + 2);
	ASSERT_EVENT(3, INT_MAX - DEPTH + 3);
	ASSERT_LOST(INT_MAX);
	ASSERT_NOTHING();
	EVENTS(0, DEPTH + 2);
	ASSERT_EVENT(0, 0);
	ASSERT_EVENT(1, 1);
	ASSERT_EVENT(2, 2);
	ASSERT_EVENT(3, 3);
	ASSERT_LOST(5);
	ASSERT_NOTHING();
}

/* No queue holds more than the largest one of hardware */
TEST_F_TIMEOUT(event_queue, deep, 300)
{
	struct viommu_env *env = &self->env;
	struct record *records;
	unsigned int i, bad = 0;
	size_t len;

	ASSERT_EQ(0, close(self->file));
	ASSERT_EQ(0, destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, queue_init(env, MAX_DEPTH, &self->veventq_id, &self->file));
	EVENTS(0, MAX_DEPTH + 5);
	len = MAX_DEPTH * sizeof(*records);
	records = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, records);
	ASSERT_EQ(len, read(self->file, records, len));
	for (i = 0; i < MAX_DEPTH; i++)
		bad += records[i].header.sequence != i ||
		       records[i].event.value != i;
	ASSERT_EQ(0, bad);
	ASSERT_LOST(MAX_DEPTH + 4);
	ASSERT_NOTHING();
	ASSERT_EQ(0, munmap(records, len));
}

/* What does not fit stays */
TEST_F(event_queue, short_buffer)
{
	struct record records[2];
	size_t len;

	ASSERT_EQ(-1, read(self->file, records, 1));
	ASSERT_EQ(EINVAL, errno);
	EVENTS(0, DEPTH + 1);
	for (len = 0; len < sizeof(records[0]); len++) {
		ASSERT_EQ(-1, read(self->file, records, len));
		ASSERT_EQ(EINVAL, errno);
	}
	for (len = sizeof(records[0]); len < sizeof(records); len += 8) {
		ASSERT_EQ(sizeof(records[0]), read(self->file, records, len));
		ASSERT_EQ(len / 8 - 3, records[0].header.sequence);
	}
	ASSERT_EVENT(3, 3);
	for (len = 0; len < sizeof(records[0].header); len++) {
		ASSERT_EQ(-1, read(self->file, records, len));
		ASSERT_EQ(EINVAL, errno);
	}
	ASSERT_EQ(8, read(self->file, records, 8));
	ASSERT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, records[0].header.flags);
	ASSERT_NOTHING();
}

/* What cannot be delivered stays */
TEST_F(event_queue, bad_buffer)
{
	char *page, *hole;
	size_t len;

	page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	hole = page + PAGE_SIZE;
	ASSERT_EQ(0, munmap(hole, PAGE_SIZE));
	EVENTS(0, DEPTH + 1);
	ASSERT_EQ(-1, read(self->file, hole + PAGE_SIZE / 2, 16));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->file, hole, 4096));
	ASSERT_EQ(EFAULT, errno);
	for (len = 0; len < sizeof(struct record); len++) {
		ASSERT_EQ(-1, read(self->file, hole - len, 4096));
		ASSERT_EQ(EFAULT, errno);
	}
	/* The first one could be */
	ASSERT_EQ(sizeof(struct record),
		  read(self->file, hole - sizeof(struct record) - 20, 4096));
	ASSERT_EVENT(1, 1);
	ASSERT_EVENT(2, 2);
	ASSERT_EVENT(3, 3);
	ASSERT_EQ(-1, read(self->file, hole - 7, 4096));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_LOST(4);
	ASSERT_NOTHING();
	ASSERT_EQ(0, munmap(page, PAGE_SIZE));
}

TEST_F(event_queue, not_a_stream)
{
	char buf[64];

	EVENTS(0, 1);
	ASSERT_EQ(-1, write(self->file, buf, sizeof(buf)));
	ASSERT_EQ(-1, lseek(self->file, 0, SEEK_SET));
	ASSERT_EQ(ESPIPE, errno);
	ASSERT_EQ(-1, pread(self->file, buf, sizeof(buf), 24));
	ASSERT_EQ(ESPIPE, errno);
	ASSERT_EVENT(0, 0);
}

struct reader {
	pthread_t thread;
	int file;
	pid_t tid;
	bool done;
	int rc;
};

static void *reader_poll(void *arg)
{
	struct reader *reader = arg;
	struct pollfd pollfd = { .fd = reader->file, .events = POLLIN };

	WRITE_SHARED(reader->tid, (pid_t)syscall(SYS_gettid));
	reader->rc = poll(&pollfd, 1, 20000);
	__atomic_store_n(&reader->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Start it and see it wait */
static bool reader_waits(struct reader *reader, int file)
{
	memset(reader, 0, sizeof(*reader));
	reader->file = file;
	if (pthread_create(&reader->thread, NULL, reader_poll, reader))
		return false;
	return falls_asleep(&reader->tid, 'S') &&
	       !__atomic_load_n(&reader->done, __ATOMIC_ACQUIRE);
}

/* read() never waits, whatever the descriptor's mode; poll() does */
TEST_F(event_queue, blocking)
{
	struct record record;
	unsigned int i;

	ASSERT_EQ(O_RDWR, fcntl(self->file, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(0, fcntl(self->file, F_SETFL, 0));
	ASSERT_NOTHING();
	for (i = 0; i < 3; i++) {
		EVENTS(i, 1);
		ASSERT_EVENT(i, i);
		ASSERT_NOTHING();
	}
	/* No record is that short, whether there is one or not */
	for (i = 0; i < sizeof(record.header); i++) {
		ASSERT_EQ(-1, read(self->file, &record, i));
		ASSERT_EQ(EINVAL, errno);
	}
	EVENTS(3, 1);
	for (i = 0; i < sizeof(record); i++) {
		ASSERT_EQ(-1, read(self->file, &record, i));
		ASSERT_EQ(EINVAL, errno);
	}
	ASSERT_EVENT(3, 3);
	ASSERT_NOTHING();
}

TEST_F(event_queue, poll)
{
	struct reader reader;

	ASSERT_EQ(0, polled(self->file));
	EVENTS(0, 2);
	ASSERT_EQ(POLLIN, polled(self->file));
	ASSERT_EVENT(0, 0);
	ASSERT_EQ(POLLIN, polled(self->file));
	ASSERT_EVENT(1, 1);
	ASSERT_EQ(0, polled(self->file));

	ASSERT_TRUE(reader_waits(&reader, self->file));
	EVENTS(2, 1);
	ASSERT_EQ(0, pthread_join(reader.thread, NULL));
	ASSERT_EQ(1, reader.rc);
	ASSERT_EVENT(2, 2);
}

#define NR_READERS 3
#define LAST 0xffff0000

/* Each event reaches one reader, and each reader sees them in their order */
struct sharer {
	pthread_t thread;
	int file;
	unsigned int seen, bad;
	unsigned char *marks;
};

/* Another reader may be faster */
static ssize_t read_next(int file, struct record *record)
{
	struct pollfd pollfd = { .fd = file, .events = POLLIN };
	ssize_t rc;

	do {
		if (poll(&pollfd, 1, -1) != 1)
			return -1;
		rc = read(file, record, sizeof(*record));
	} while (!rc);
	return rc;
}

static void *sharer_main(void *arg)
{
	struct sharer *sharer = arg;
	struct record record;
	__u32 last = 0;

	while (read_next(sharer->file, &record) == sizeof(record)) {
		if (record.event.value >= LAST)
			return NULL;
		if (record.header.flags || record.header.sequence < last ||
		    record.header.sequence != record.event.value)
			sharer->bad++;
		last = record.header.sequence;
		__atomic_add_fetch(&sharer->marks[record.event.value], 1,
				   __ATOMIC_RELAXED);
		sharer->seen++;
	}
	sharer->bad++;
	return NULL;
}

TEST_F_TIMEOUT(event_queue, readers, 120)
{
	struct viommu_env *env = &self->env;
	struct sharer sharers[NR_READERS] = {};
	unsigned int i, count = 20000, seen = 0, bad = 0;
	unsigned char *marks;

	marks = calloc(count, 1);
	ASSERT_NE(NULL, marks);
	ASSERT_EQ(0, close(self->file));
	ASSERT_EQ(0, destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, veventq_alloc(env->fd, env->viommu_id, count + NR_READERS,
				   &self->veventq_id, &self->file));
	for (i = 0; i < NR_READERS; i++) {
		sharers[i].file = self->file;
		sharers[i].marks = marks;
		ASSERT_EQ(0, pthread_create(&sharers[i].thread, NULL,
					    sharer_main, &sharers[i]));
	}
	for (i = 0; i < count; i += 20)
		EVENTS(i, 20);
	EVENTS(LAST, NR_READERS);
	for (i = 0; i < NR_READERS; i++) {
		ASSERT_EQ(0, pthread_join(sharers[i].thread, NULL));
		seen += sharers[i].seen;
		bad += sharers[i].bad;
	}
	ASSERT_EQ(0, bad);
	ASSERT_EQ(count, seen);
	for (i = 0; i < count; i++)
		bad += marks[i] != 1;
	ASSERT_EQ(0, bad);
	free(marks);
}

/* By the device's name, to the guest that has given it */
TEST_F(event_queue, where_to)
{
	struct viommu_env *env = &self->env;
	struct iommu_test_cmd hidden = {
		.size = sizeof(hidden),
		.op = IOMMU_TEST_OP_VIOMMU_EVENT,
		.id = env->dev_id[0],
		.viommu_event = { .count = 1, .hidden = 1 },
	};
	__u32 viommu_id, vdevice_id, veventq_id, reported;
	struct record record;
	int file;

	/* Not a guest's business; of a device that it does not know */
	ASSERT_EQ(0, call(env->fd, IOMMU_TEST_CMD, &hidden));
	ASSERT_EQ(0, hidden.viommu_event.out_reported);
	ASSERT_EQ(0, events(env->fd, env->dev_id[1], 0, 1, &reported));
	ASSERT_EQ(0, reported);
	ASSERT_NOTHING();

	/* Without a queue they are gone, for another guest has one */
	ASSERT_EQ(0, viommu_alloc(env->fd, env->dev_id[1], env->parent_id,
				  &viommu_id));
	ASSERT_EQ(0, vdevice_alloc(env->fd, viommu_id, env->dev_id[1], 9,
				   &vdevice_id));
	ASSERT_EQ(0, events(env->fd, env->dev_id[1], 1, DEPTH, NULL));
	ASSERT_NOTHING();
	ASSERT_EQ(0, veventq_alloc(env->fd, viommu_id, DEPTH, &veventq_id,
				   &file));
	ASSERT_EQ(0, fcntl(file, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, read(file, &record, sizeof(record)));
	ASSERT_EQ(0, events(env->fd, env->dev_id[1], 2, 1, &reported));
	ASSERT_EQ(1, reported);
	ASSERT_NOTHING();
	ASSERT_EQ(sizeof(record), read(file, &record, sizeof(record)));
	ASSERT_EQ(9, record.event.virt_id);
	ASSERT_EQ(2, record.event.value);
	ASSERT_EQ(0, record.header.sequence);

	/* Another name, another guest */
	ASSERT_EQ(0, destroy(env->fd, vdevice_id));
	ASSERT_EQ(0, events(env->fd, env->dev_id[1], 3, 1, &reported));
	ASSERT_EQ(0, reported);
	ASSERT_EQ(0, vdevice_alloc(env->fd, env->viommu_id, env->dev_id[1], 10,
				   &vdevice_id));
	ASSERT_EQ(0, events(env->fd, env->dev_id[1], 4, 1, NULL));
	ASSERT_EQ(0, read(file, &record, sizeof(record)));
	ASSERT_EQ(sizeof(record), read(self->file, &record, sizeof(record)));
	ASSERT_EQ(10, record.event.virt_id);
	ASSERT_EQ(4, record.event.value);
	ASSERT_EQ(0, record.header.sequence);

	/* A device that is gone */
	ASSERT_EQ(0, destroy(env->fd, env->stdev_id[1]));
	ASSERT_EQ(ENOENT, events(env->fd, env->dev_id[1], 5, 1, NULL));
	ASSERT_NOTHING();
	/* Each queue counts on its own */
	EVENTS(6, 1);
	ASSERT_EVENT(6, 1);
	ASSERT_EQ(0, close(file));
}

/* Whichever nested HWPT the device uses, or none */
TEST_F(event_queue, any_table)
{
	struct viommu_env *env = &self->env;
	__u32 config, id = 0, sequence = 0;

	for (config = IOMMU_PASID_TABLE_TRANSLATE;
	     config <= IOMMU_PASID_TABLE_ABORT; config++) {
		ASSERT_EQ(0, vtable_alloc(env->fd, env->dev_id[0],
					  env->viommu_id, config, &id));
		ASSERT_EQ(0, replace(env->fd, env->stdev_id[0], id));
		EVENTS(config, 1);
		ASSERT_EVENT(config, sequence);
		sequence++;
	}
	ASSERT_EQ(0, replace(env->fd, env->stdev_id[0], env->parent_id));
	EVENTS(9, 1);
	ASSERT_EVENT(9, sequence);
}

/* The file keeps the queue, the queue the vIOMMU; a new one begins anew */
TEST_F(event_queue, close)
{
	struct viommu_env *env = &self->env;
	int other = dup(self->file);

	ASSERT_LE(0, other);
	EVENTS(0, 2);
	ASSERT_EQ(EBUSY, destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, close(self->file));
	ASSERT_EQ(EBUSY, destroy(env->fd, self->veventq_id));
	self->file = other;
	ASSERT_EVENT(0, 0);
	ASSERT_EQ(0, close(other));
	/* Nobody reads it, and yet it takes what comes */
	EVENTS(2, DEPTH + 1);
	ASSERT_EQ(EEXIST, veventq_alloc(env->fd, env->viommu_id, 1,
					&self->veventq_id, &self->file));
	ASSERT_EQ(0, destroy(env->fd, self->veventq_id));
	ASSERT_EQ(ENOENT, destroy(env->fd, self->veventq_id));
	EVENTS(7, 1);
	ASSERT_EQ(0, queue_init(env, DEPTH, &self->veventq_id, &self->file));
	ASSERT_NOTHING();
	EVENTS(8, 1);
	ASSERT_EVENT(8, 0);
}

/* The file outlives /dev/iommu and has what came before */
TEST_F(event_queue, close_iommufd)
{
	struct viommu_env *env = &self->env;

	EVENTS(0, DEPTH + 2);
	ASSERT_EQ(0, close(env->fd));
	ASSERT_EVENT(0, 0);
	ASSERT_EVENT(1, 1);
	ASSERT_EVENT(2, 2);
	ASSERT_EVENT(3, 3);
	ASSERT_LOST(5);
	ASSERT_NOTHING();
	ASSERT_EQ(0, close(self->file));
	/* For the teardown, to see that nothing is left */
	ASSERT_EQ(0, viommu_env_init(env));
}

TEST_HARNESS_MAIN
