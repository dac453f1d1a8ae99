// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a guest is busy for as long as user space likes: its mappings are
 * locked by a call that takes a page fault, which user space serves. Whoever needs
 * the guest's entries meanwhile waits, but keeps nobody waiting who does not: here
 * somebody looks at the device's group, or the host resets the device.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/userfaultfd.h>

#include "nested_asleep.h"
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PASID		3
/* What the host may take for a reset, and the kernel to try again */
#define PATIENCE_MS	20000
#define EXTRA_GPA	(VM_GPA + VM_SIZE)

/* A call in a thread of its own */
struct caller {
	void (*call)(struct caller *caller);
	struct vtd *v;
	pthread_t thread;
	pid_t tid;
	__u32 hwpt;
	void *page;
	int rc;
	bool done;
};

static void *caller_main(void *arg)
{
	struct caller *caller = arg;

	WRITE_SHARED(caller->tid, (pid_t)syscall(SYS_gettid));
	caller->call(caller);
	WRITE_SHARED(caller->done, true);
	return NULL;
}

static int caller_start(struct caller *caller, struct vtd *v,
			void (*call)(struct caller *caller))
{
	caller->v = v;
	caller->call = call;
	return -pthread_create(&caller->thread, NULL, caller_main, caller);
}

static int caller_end(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
	return caller->rc;
}

/* Whether it ends without help */
static bool caller_ends(struct caller *caller)
{
	int ms;

	for (ms = 0; ms < PATIENCE_MS && !READ_SHARED(caller->done); ms++)
		usleep(1000);
	return READ_SHARED(caller->done);
}

/* Holds the lock of the mappings while it writes to the page */
static void get_ranges(struct caller *caller)
{
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = caller->v->env.vm.ioas,
		.num_iovas = 16,
		.allowed_iovas = (uintptr_t)caller->page,
	};

	caller->rc = call(caller->v->env.vm.iommufd, IOMMU_IOAS_IOVA_RANGES,
			  &cmd);
}

/* Waits for it, so that nobody after this gets the lock for reading */
static void map_more(struct caller *caller)
{
	struct vm *vm = &caller->v->env.vm;

	caller->rc = ioas_map(vm->iommufd, vm->ioas, vm->mem, EXTRA_GPA,
			      VM_HUGE);
}

static void attach(struct caller *caller)
{
	caller->rc = vfio_attach(caller->v->env.dev, caller->hwpt);
}

static void invalidate(struct caller *caller)
{
	caller->rc = env_invalidate(&caller->v->env,
				    inv_pasid(INV_PASID_CACHE, PASID));
}

static void reset_device(struct caller *caller)
{
	caller->rc = pci_write(caller->v->env.dev->name, "reset", "1");
}

/* The kernel looks that up under the mutex of the device's group */
static void read_group(struct caller *caller)
{
	char path[PATH_MAX], type[32];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type",
		 caller->v->env.dev->name);
	fd = open(path, O_RDONLY);
	caller->rc = read(fd, type, sizeof(type)) > 0 ? 0 : -errno;
	close(fd);
}

/* A reset empties the device's buffer, too */
static int refill(struct env *env)
{
	edu_pattern(&env->edu, vm_ptr(&env->vm, env->probe.a), 0x33);
	return edu_load(&env->edu, GIOVA);
}

FIXTURE(busy)
{
	struct vtd v;
	struct caller holder, writer;
	void *page;
	int uffd;
	bool held;
};

/* The mappings are locked from now on, until busy_end() */
static int busy_start(struct __test_metadata *_metadata,
		      struct _test_data_busy *self)
{
	struct uffd_msg msg;

	self->held = true;
	self->holder.page = self->page;
	if (caller_start(&self->holder, &self->v, get_ranges) ||
	    read(self->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		return -EPROTO;
	if (caller_start(&self->writer, &self->v, map_more))
		return -EPROTO;
	return falls_asleep(&self->writer.tid, 'D') ? 0 : -ETIME;
}

static int busy_end(struct _test_data_busy *self)
{
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)self->page, 4096 },
	};
	int rc;

	if (ioctl(self->uffd, UFFDIO_ZEROPAGE, &zero))
		return -errno;
	self->held = false;
	rc = caller_end(&self->holder);
	return caller_end(&self->writer) ?: rc;
}

FIXTURE_SETUP(busy)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct vtd *v = &self->v;

	self->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	self->uffd = syscall(SYS_userfaultfd, 0);
	ASSERT_LE(0, self->uffd);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));
	range.range.start = (uintptr_t)self->page;
	range.range.len = 4096;
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &range));

	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	pasid_table_set_pasid(&v->env.pasids, PASID, &v->other);
	ASSERT_EQ(0, vfio_attach(v->env.dev, v->env.vm.parent));
}

FIXTURE_TEARDOWN(busy)
{
	if (self->held)
		busy_end(self);
	vtd_exit(&self->v);
	close(self->uffd);
	munmap(self->page, 4096);
}

/* Who attaches a table waits, and does not have the mutex of the group meanwhile */
TEST_F_TIMEOUT(busy, group, 120)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct caller attacher = { .hwpt = env->hwpt };
	struct caller reader = {};

	ASSERT_EQ(0, busy_start(_metadata, self));
	ASSERT_EQ(0, caller_start(&attacher, v, attach));
	EXPECT_TRUE(falls_asleep(&attacher.tid, 'D'));
	ASSERT_EQ(0, caller_start(&reader, v, read_group));
	EXPECT_TRUE(caller_ends(&reader));
	EXPECT_FALSE(READ_SHARED(attacher.done));
	EXPECT_EQ(0, busy_end(self));
	EXPECT_EQ(0, caller_end(&attacher));
	EXPECT_EQ(0, caller_end(&reader));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, PASID, GIOVA));
}

/* Who attaches a table waits; the device is reset meanwhile */
TEST_F_TIMEOUT(busy, attach, 120)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct caller attacher = { .hwpt = env->hwpt };
	struct caller resetter = {};

	ASSERT_EQ(0, busy_start(_metadata, self));
	ASSERT_EQ(0, caller_start(&attacher, v, attach));
	EXPECT_TRUE(falls_asleep(&attacher.tid, 'D'));
	ASSERT_EQ(0, caller_start(&resetter, v, reset_device));
	EXPECT_TRUE(caller_ends(&resetter));
	EXPECT_FALSE(READ_SHARED(attacher.done));
	EXPECT_EQ(0, busy_end(self));
	EXPECT_EQ(0, caller_end(&attacher));
	EXPECT_EQ(0, caller_end(&resetter));
	EXPECT_EQ(0, refill(env));
	EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(AT_B, vtd_dma(v, PASID, GIOVA));
}

/* It can be killed, and has changed nothing then */
TEST_F_TIMEOUT(busy, killed, 120)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int status;
	pid_t child;

	ASSERT_EQ(0, busy_start(_metadata, self));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(!!vfio_attach(env->dev, env->hwpt));
	EXPECT_TRUE(falls_asleep(&child, 'D'));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	EXPECT_EQ(AT_B, probe_dma(&env->probe, env->probe.b));
	EXPECT_EQ(0, busy_end(self));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, vtd_dma(v, PASID, GIOVA));
}

/*
 * Who invalidates waits, too. After the reset the table cannot be attached as long
 * as its entries cannot be read: the device is blocked until then.
 */
TEST_F_TIMEOUT(busy, invalidate, 120)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct caller invalidator = {}, resetter = {};
	enum place place = NOWHERE;
	int tries;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(AT_B, vtd_dma(v, PASID, GIOVA));
	pasid_table_set_pasid(&env->pasids, PASID, &env->table);
	ASSERT_EQ(0, busy_start(_metadata, self));
	ASSERT_EQ(0, caller_start(&invalidator, v, invalidate));
	EXPECT_TRUE(falls_asleep(&invalidator.tid, 'D'));
	ASSERT_EQ(0, caller_start(&resetter, v, reset_device));
	EXPECT_TRUE(caller_ends(&resetter));
	EXPECT_FALSE(READ_SHARED(invalidator.done));
	EXPECT_EQ(NOWHERE, probe_dma(&env->probe, GIOVA));
	EXPECT_EQ(0, busy_end(self));
	EXPECT_EQ(0, caller_end(&invalidator));
	EXPECT_EQ(0, caller_end(&resetter));
	for (tries = 0; tries < 1000 && place != AT_A; tries++) {
		usleep(10000);
		EXPECT_EQ(0, refill(env));
		place = probe_dma(&env->probe, GIOVA);
	}
	EXPECT_EQ(AT_A, place);
	EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
}

TEST_HARNESS_MAIN
