// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bindings of doorbells, MSIs, what the device is attached to and what is
 * mapped, all changed at once from several threads. Much of it is refused for a
 * good reason, and it is a matter of chance what: bugs show in the kernel log
 * of a debug kernel, and in what works afterwards.
 */
#include <sched.h>

#include "nested_msi.h"
#include "nested_racer.h"

#include "../kselftest_harness.h"

#define SECONDS		3
#define NR_PLACES	5
#define MSI_AFFINITY	"/proc/irq/default_smp_affinity"

struct race {
	struct msi_env m;
	__u32 places[NR_PLACES];
	unsigned int arrived[2];	/* MSIs of each device */
};

FIXTURE(race)
{
	struct race r;
	char affinity[64];	/* as it was */
};

static int read_affinity(char *text, size_t size)
{
	int fd = open(MSI_AFFINITY, O_RDONLY);
	ssize_t rc = read(fd, text, size - 1);

	close(fd);
	return rc > 0 ? 0 : -EIO;
}

FIXTURE_SETUP(race)
{
	struct race *r = &self->r;
	struct env *env = &r->m.env;
	int rc = msi_env_init(&r->m, false, 12);
	struct doorbell window;

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, read_affinity(self->affinity, sizeof(self->affinity)));
	ASSERT_EQ(0, file_write(MSI_AFFINITY, "1", 0));
	ASSERT_EQ(0, bell_window(&env->vm, env->dev, &window));
	bell_map(&env->table, &elsewhere);
	bell_map(&env->table, &window);
	r->places[0] = env->hwpt;
	r->places[1] = env->vm.parent;
	r->places[2] = env->vm.ioas;
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_BYPASS, &r->places[3]));
	ASSERT_EQ(0, env_config(env, IOMMU_PASID_TABLE_ABORT, &r->places[4]));
}

FIXTURE_TEARDOWN(race)
{
	msi_env_exit(&self->r.m);
	EXPECT_EQ(0, file_write(MSI_AFFINITY, self->affinity, 0));
}

/* What may come out of a call: 0 if it is one of those, or @rc */
static int allow(int rc, int first, int second)
{
	return rc == first || rc == second ? 0 : rc;
}

/* @shift makes the doorbells of the devices meet in every second round */
static int bind(struct race *r, struct vfio_dev *dev, __u64 shift)
{
	struct doorbell bell = elsewhere;
	struct vm *vm = &r->m.env.vm;
	int rc;

	bell.gpa += shift;
	rc = bell_bind(vm, dev, &bell);
	if (rc == -EEXIST)	/* it was in use in the round before */
		rc = 0;
	/* Detached or not nested; an MSI that is none of ours; memory there */
	rc = allow(allow(rc, -EINVAL, -EBUSY), -EADDRINUSE, 0);
	return rc ?: allow(bell_unbind(vm, dev, &bell), -EBUSY, -ENOENT);
}

static int bind_first(void *data, unsigned int i)
{
	struct race *r = data;

	return bind(r, r->m.env.dev, 0);
}

static int bind_second(void *data, unsigned int i)
{
	struct race *r = data;

	return bind(r, &r->m.second.dev, i & 1 ? elsewhere.length : 0);
}

/*
 * GICv3 does not tell of LPIs which CPU has taken one and not yet handled it, so nobody
 * can wait for that before a vector is freed. The CPU that frees it must have
 * handled what was raised: let it be the one that takes the MSIs.
 */
static int stay_on_first_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) ? -errno : 0;
}

static int switch_msi(struct msi *msi, unsigned int *arrived)
{
	int rc = stay_on_first_cpu();

	if (rc)
		return rc;
	rc = msi_on(msi);
	/* The device is between two domains: PCI makes one errno of all */
	if (rc)
		return allow(rc, -ENOSPC, -EBUSY);
	msi_raise(msi, 0);
	/* Of the rounds before, too */
	WRITE_SHARED(*arrived, *arrived + msi_count(msi, 0, 0));
	return msi_off(msi);
}

static int switch_first(void *data, unsigned int i)
{
	struct race *r = data;

	return switch_msi(&r->m.msi, &r->arrived[0]);
}

static int switch_second(void *data, unsigned int i)
{
	struct race *r = data;

	return switch_msi(&r->m.msi2, &r->arrived[1]);
}

static int attach(struct race *r, struct vfio_dev *dev, unsigned int i)
{
	unsigned int place = i % (NR_PLACES + 1);

	if (place == NR_PLACES)
		return vfio_detach(dev);
	/* An MSI is in use that would go elsewhere */
	return allow(vfio_attach(dev, r->places[place]), -EBUSY, 0);
}

static int attach_first(void *data, unsigned int i)
{
	struct race *r = data;

	return attach(r, r->m.env.dev, i);
}

static int attach_second(void *data, unsigned int i)
{
	struct race *r = data;

	return attach(r, &r->m.second.dev, 2 * i + i / 3);
}

/* Memory wants to be where the doorbell is */
static int map(void *data, unsigned int i)
{
	struct race *r = data;
	struct vm *vm = &r->m.env.vm;
	int rc;

	rc = ioas_map(vm->iommufd, vm->ioas, vm->mem, elsewhere.gpa, 4096);
	if (rc)
		return allow(rc, -EINVAL, 0);
	return ioas_unmap(vm->iommufd, vm->ioas, elsewhere.gpa, 4096);
}

TEST_F_TIMEOUT(race, all, 120)
{
	struct race *r = &self->r;
	struct env *env = &r->m.env;
	struct racer racers[] = {
		{ bind_first, "first binding" },
		{ bind_second, "second binding" },
		{ switch_first, "first device's MSI" },
		{ switch_second, "second device's MSI" },
		{ attach_first, "first device" },
		{ attach_second, "second device" },
		{ map, "stage 2" },
	};

	/* Until some of them were attached to the doorbell at the right time */
	ASSERT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), r, SECONDS,
				    r->arrived, ARRAY_SIZE(r->arrived), 0));
	EXPECT_LT(0, r->arrived[0]);
	EXPECT_LT(0, r->arrived[1]);

	/* What is left of it can go, and then all is well */
	EXPECT_EQ(0, allow(bell_unbind(&env->vm, env->dev, &elsewhere),
			   -ENOENT, 0));
	EXPECT_EQ(0, allow(bell_unbind(&env->vm, &r->m.second.dev, &elsewhere),
			   -ENOENT, 0));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, vfio_attach(&r->m.second.dev, env->hwpt));
	ASSERT_EQ(0, bell_bind(&env->vm, env->dev, &elsewhere));
	ASSERT_EQ(0, bell_bind(&env->vm, &r->m.second.dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&r->m.msi));
	ASSERT_EQ(0, msi_on(&r->m.msi2));
	msi_settle(&r->m.msi);
	msi_settle(&r->m.msi2);
	EXPECT_STREQ("", bell_check(env, &r->m.msi, &elsewhere));
	EXPECT_STREQ("", bell_check(env, &r->m.msi2, &elsewhere));
}

TEST_HARNESS_MAIN
