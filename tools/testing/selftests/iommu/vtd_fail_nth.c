// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation of a call fails in turn: the call says so, the device keeps
 * what it had, and the same call works afterwards
 */
#include <dirent.h>

#include "vtd_env.h"

#include "../kselftest_harness.h"

/* Beyond what any of the calls allocates */
#define MAX_NTH		300

/* PASIDs of different directory entries */
#define NEAR_PASID	1
#define FAR_PASID	700
/* PASIDs of an entry of the directory */
#define PASIDS_PER_PAGE	64

#define DEBUGFS		"/sys/kernel/debug/"
/* In percent, of the tasks that are marked */
#define PROBABILITY	DEBUGFS "failslab/probability"
#define KTHREADD	"2"

FIXTURE(fail)
{
	struct vtd v;
	int nth_fd;
};

/*
 * Allocations that may wait fail too, and nothing is said of it. What does not go by
 * fail-nth is for tasks that are marked, without end.
 */
static int injection_init(void)
{
	static const char * const settings[] = {
		"failslab/probability", "0",
		"failslab/task-filter", "Y",
		"failslab/times", "-1",
		"failslab/ignore-gfp-wait", "N",
		"failslab/verbose", "0",
		"fail_page_alloc/ignore-gfp-wait", "N",
		"fail_page_alloc/ignore-gfp-highmem", "N",
		"fail_page_alloc/min-order", "0",
		"fail_page_alloc/verbose", "0",
		"fail_iommufd/verbose", "0",
		NULL,
	};
	char path[80];
	unsigned int i;
	int rc = 0;

	for (i = 0; settings[i]; i += 2) {
		snprintf(path, sizeof(path), DEBUGFS "%s", settings[i]);
		rc = rc ?: file_write(path, settings[i + 1], 0);
	}
	return rc;
}

static int mark_task(const char *tid)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%.16s/make-it-fail", tid);
	return file_write(path, "1", 0);
}

static bool is_worker(const char *tid)
{
	char path[80], name[32] = "";
	FILE *comm;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", tid);
	comm = fopen(path, "r");
	if (!comm)
		return false;
	if (!fgets(name, sizeof(name), comm))
		name[0] = '\0';
	fclose(comm);
	return !strncmp(name, "kworker/", strlen("kworker/"));
}

/*
 * Mark all workers of the kernel. New ones are children of kthreadd, and are marked
 * as it is; old ones may be gone meanwhile.
 */
static int mark_workers(void)
{
	int rc = mark_task(KTHREADD);
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (is_worker(entry->d_name))
			mark_task(entry->d_name);
	closedir(dir);
	return rc;
}

/* Whatever is left to a worker fails from now on, or no longer */
static int workers_fail(bool fail)
{
	return file_write(PROBABILITY, fail ? "100" : "0", 0);
}

FIXTURE_SETUP(fail)
{
	struct vtd *v = &self->v;

	self->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	ASSERT_LE(0, self->nth_fd);
	ASSERT_EQ(0, injection_init());
	ASSERT_EQ(0, mark_workers());
	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	pasid_table_set_pasid(&v->env.pasids, NEAR_PASID, &v->other);
	pasid_table_set_pasid(&v->env.pasids, FAR_PASID, &v->other);
}

FIXTURE_TEARDOWN(fail)
{
	EXPECT_EQ(0, workers_fail(false));
	close(self->nth_fd);
	vtd_exit(&self->v);
}

/* The @nth allocation from now on fails */
static void fail_nth(int fd, unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		abort();
}

/* No allocation fails any more. Whether one did. */
static bool fail_end(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		abort();
	/* The write may be the victim itself */
	while (pwrite(fd, "0", 1, 0) < 0)
		;
	return atoi(text) == 0;
}

/* The errnos of what is injected: iommufd also fails to find objects */
static bool injected(int rc)
{
	return rc == -ENOMEM || rc == -ENOENT;
}

/* A table takes the place of the parent, or does not */
TEST_F(fail, attach)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	unsigned int nth, failures = 0;
	bool hit;
	int rc;

	for (nth = 1; nth < MAX_NTH; nth++) {
		fail_nth(self->nth_fd, nth);
		rc = vfio_attach(env->dev, env->hwpt);
		hit = fail_end(self->nth_fd);
		if (!rc) {
			EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
			EXPECT_EQ(AT_B, vtd_dma(v, FAR_PASID, GIOVA));
			EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
		} else {
			EXPECT_TRUE(injected(rc));
			EXPECT_TRUE(hit);
			failures++;
		}
		EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(3, failures);
	EXPECT_EQ(0, faults(env->dev, false));
}

/* A table takes the place of another one */
TEST_F(fail, replace)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	unsigned int nth, failures = 0;
	__u32 other;
	bool hit;
	int rc;

	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &other));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (nth = 1; nth < MAX_NTH; nth++) {
		fail_nth(self->nth_fd, nth);
		rc = vfio_attach(env->dev, other);
		hit = fail_end(self->nth_fd);
		if (!rc) {
			EXPECT_EQ(AT_A, probe_dma(&env->probe, env->probe.a));
			EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
		} else {
			EXPECT_TRUE(injected(rc));
			failures++;
		}
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(AT_B, vtd_dma(v, FAR_PASID, GIOVA));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(3, failures);
}

/*
 * The parent takes the place of a table, or does not: then what the guest
 * invalidates is still dropped, from the device's TLB as well
 */
TEST_F(fail, replace_by_parent)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	unsigned int nth, failures = 0;
	bool hit;
	int rc;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (nth = 1; nth < MAX_NTH; nth++) {
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
		fail_nth(self->nth_fd, nth);
		rc = vfio_attach(env->dev, env->vm.parent);
		hit = fail_end(self->nth_fd);
		EXPECT_EQ(env->vm.ats, pci_ats_on(env->dev));
		if (!rc) {
			EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
			EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
		} else {
			EXPECT_TRUE(injected(rc));
			failures++;
			EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
			probe_map(probe, &env->table, GIOVA, AT_B);
			EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
			EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
			probe_map(probe, &env->table, GIOVA, AT_A);
			EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB)));
		}
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(1, failures);
}

/* The guest's directory has grown, and there is no memory for what it says */
TEST_F(fail, read_again)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	unsigned int nth, failures = 0;
	bool hit;
	int rc;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (nth = 1; nth < MAX_NTH; nth++) {
		/* A place in the directory that had nothing yet */
		__u32 pasid = 64 * (nth % 8 + 1);

		pasid_table_set_pasid(&env->pasids, pasid, &v->other);
		fail_nth(self->nth_fd, nth);
		rc = env_invalidate(env, inv_domain(INV_PASID_CACHE));
		hit = fail_end(self->nth_fd);
		if (rc) {
			EXPECT_TRUE(injected(rc));
			failures++;
			EXPECT_TRUE(vtd_blocked(v, pasid, GIOVA));
			EXPECT_EQ(0, env_invalidate(env,
						    inv_domain(INV_PASID_CACHE)));
		}
		EXPECT_EQ(AT_B, vtd_dma(v, pasid, GIOVA));
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(1, failures);
}

/*
 * Nobody takes an error of what is attached again after a reset: then the device
 * reaches nothing, until a work item has tried again. It tries in vain as long as
 * workers fail, so it does not matter how long a DMA takes.
 */
TEST_F(fail, reset)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	unsigned int nth, blocked = 0;
	enum place place;
	bool hit;
	int rc;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	for (nth = 1; nth < MAX_NTH; nth++) {
		EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
		ASSERT_EQ(0, workers_fail(true));
		fail_nth(self->nth_fd, nth);
		rc = edu_reset(&env->edu);
		hit = fail_end(self->nth_fd);
		EXPECT_TRUE(!rc || injected(rc));
		ASSERT_EQ(0, vfio_enable(env->dev));
		place = probe_dma(probe, GIOVA);
		EXPECT_TRUE(place == AT_A || (hit && place == NOWHERE));
		EXPECT_EQ(place, probe_dma(probe, GIOVA));
		blocked += place == NOWHERE;
		ASSERT_EQ(0, workers_fail(false));
		EXPECT_TRUE(probe_gets_to(probe, GIOVA, AT_A));
		EXPECT_EQ(AT_B, vtd_dma(v, FAR_PASID, GIOVA));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(1, blocked);
}

/*
 * Two HWPTs for PASIDs, the first of which is attached to the device. The address of
 * A leads to A in it, and to B in the other one.
 */
static int pasid_hwpts(struct env *env, __u32 *hwpts)
{
	struct probe *probe = &env->probe;
	int rc, fd = env->vm.iommufd;
	__u32 ioas;

	rc = hwpt_alloc(fd, env->dev->id, env->vm.ioas, IOMMU_HWPT_ALLOC_PASID,
			&hwpts[0]);
	rc = rc ?: ioas_alloc(fd, &ioas);
	rc = rc ?: ioas_map(fd, ioas, vm_ptr(&env->vm, probe->b), probe->a,
			    PLACE_SIZE);
	rc = rc ?: hwpt_alloc(fd, env->dev->id, ioas, IOMMU_HWPT_ALLOC_PASID,
			      &hwpts[1]);
	return rc ?: vfio_attach(env->dev, hwpts[0]);
}

/* A HWPT is attached to a PASID whose page of the host's PASID table is not there yet */
TEST_F(fail, pasid_attach)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	unsigned int nth, failures = 0;
	__u32 hwpts[2], pasid;
	bool hit;
	int rc;

	ASSERT_EQ(0, pasid_hwpts(env, hwpts));
	for (nth = 1; nth < MAX_NTH; nth++) {
		pasid = nth * PASIDS_PER_PAGE;
		fail_nth(self->nth_fd, nth);
		rc = vfio_attach_pasid(env->dev, pasid, hwpts[1]);
		hit = fail_end(self->nth_fd);
		if (rc) {
			EXPECT_TRUE(injected(rc)) {
				TH_LOG("allocation %u: error %d", nth, rc);
			}
			EXPECT_TRUE(hit);
			failures++;
			EXPECT_EQ(NOWHERE, vtd_dma(v, pasid, probe->a));
			ASSERT_EQ(0, vfio_attach_pasid(env->dev, pasid,
						       hwpts[1]));
		}
		EXPECT_EQ(AT_B, vtd_dma(v, pasid, probe->a));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_detach_pasid(env->dev, pasid));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(3, failures);
}

/* Another HWPT takes the place of one, or does not */
TEST_F(fail, pasid_replace)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	unsigned int nth, failures = 0;
	__u32 hwpts[2];
	bool hit;
	int rc;

	ASSERT_EQ(0, pasid_hwpts(env, hwpts));
	ASSERT_EQ(0, vfio_attach_pasid(env->dev, NEAR_PASID, hwpts[0]));
	for (nth = 1; nth < MAX_NTH; nth++) {
		EXPECT_EQ(AT_A, vtd_dma(v, NEAR_PASID, probe->a));
		fail_nth(self->nth_fd, nth);
		rc = vfio_attach_pasid(env->dev, NEAR_PASID, hwpts[1]);
		hit = fail_end(self->nth_fd);
		if (rc) {
			EXPECT_TRUE(injected(rc)) {
				TH_LOG("allocation %u: error %d", nth, rc);
			}
			EXPECT_TRUE(hit);
			failures++;
			EXPECT_EQ(AT_A, vtd_dma(v, NEAR_PASID, probe->a));
			ASSERT_EQ(0, vfio_attach_pasid(env->dev, NEAR_PASID,
						       hwpts[1]));
		}
		EXPECT_EQ(AT_B, vtd_dma(v, NEAR_PASID, probe->a));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach_pasid(env->dev, NEAR_PASID, hwpts[0]));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, MAX_NTH);
	EXPECT_LT(3, failures);
}

TEST_HARNESS_MAIN
