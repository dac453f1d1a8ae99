// SPDX-License-Identifier: GPL-2.0-only
/*
 * How bindings of doorbells end that nobody unbinds: with the device, with the
 * parent, with the VMM; in use or not, in any order.
 */
#include <signal.h>
#include <sys/wait.h>

#include "nested_msi.h"
#include "nested_order.h"

#include "../kselftest_harness.h"

/* The first device uses a binding, the second one the window */
FIXTURE(life)
{
	struct msi_env m;
	struct vm *vm;
	struct vfio_dev *dev;
};

static int life_begin(struct msi_env *m)
{
	struct doorbell window;
	int rc;

	rc = msi_env_init(m, false, 12);
	rc = rc ?: bell_window(&m->env.vm, m->env.dev, &window);
	if (rc)
		return rc;
	bell_map(&m->env.table, &elsewhere);
	bell_map(&m->env.table, &window);
	rc = vfio_attach(m->env.dev, m->env.hwpt);
	rc = rc ?: vfio_attach(&m->second.dev, m->env.hwpt);
	rc = rc ?: bell_bind(&m->env.vm, m->env.dev, &elsewhere);
	rc = rc ?: msi_on(&m->msi);
	return rc ?: msi_on(&m->msi2);
}

FIXTURE_SETUP(life)
{
	int rc = life_begin(&self->m);

	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	self->vm = &self->m.env.vm;
	self->dev = self->m.env.dev;
	ASSERT_TRUE(msi_arrives(&self->m.msi));
	ASSERT_TRUE(msi_arrives(&self->m.msi2));
}

FIXTURE_TEARDOWN(life)
{
	msi_env_exit(&self->m);
}

/* Whether memory can be where the doorbell was */
static bool gone(const struct vm *vm)
{
	return !ioas_map(vm->iommufd, vm->ioas, vm->mem, elsewhere.gpa,
			 elsewhere.length) &&
	       !ioas_unmap(vm->iommufd, vm->ioas, elsewhere.gpa,
			   elsewhere.length);
}

TEST_F(life, device_closed)
{
	struct msi_env *m = &self->m;

	EXPECT_FALSE(gone(self->vm));
	vfio_close(self->dev);
	EXPECT_TRUE(gone(self->vm));
	EXPECT_TRUE(msi_arrives(&m->msi2));

	/* Nothing is left that a newly opened device could trip over */
	ASSERT_EQ(0, edu_open(&m->env.edu, 0));
	ASSERT_EQ(0, vfio_bind(self->dev, self->vm->iommufd));
	ASSERT_EQ(0, vfio_attach(self->dev, m->env.hwpt));
	EXPECT_EQ(-ENOENT, bell_unbind(self->vm, self->dev, &elsewhere));
	ASSERT_EQ(0, bell_bind(self->vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
}

/* A doorbell of two devices is there until both of them are closed */
TEST_F(life, one_of_two_closed)
{
	struct msi_env *m = &self->m;

	ASSERT_EQ(0, msi_off(&m->msi2));
	ASSERT_EQ(0, bell_bind(self->vm, &m->second.dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi2));
	EXPECT_TRUE(msi_arrives(&m->msi2));
	vfio_close(self->dev);
	EXPECT_FALSE(gone(self->vm));
	EXPECT_TRUE(msi_arrives(&m->msi2));
	vfio_close(&m->second.dev);
	EXPECT_TRUE(gone(self->vm));
}

static int destroy_both(struct msi_env *m)
{
	int rc = iommufd_destroy(m->env.vm.iommufd, m->env.hwpt);

	return rc ?: iommufd_destroy(m->env.vm.iommufd, m->env.vm.parent);
}

/* A binding holds neither the parent nor the IOAS */
TEST_F(life, parent_destroyed)
{
	struct msi_env *m = &self->m;

	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, vfio_detach(&m->second.dev));
	ASSERT_EQ(0, destroy_both(m));
	EXPECT_TRUE(gone(self->vm));
	EXPECT_EQ(-ENOENT, bell_unbind(self->vm, self->dev, &elsewhere));
	EXPECT_EQ(0, iommufd_destroy(self->vm->iommufd, self->vm->ioas));
}

/* The MSI has an address that leads nowhere any more: no attach with it */
TEST_F(life, parent_destroyed_in_use)
{
	struct msi_env *m = &self->m;
	struct vm *vm = self->vm;

	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, vfio_detach(&m->second.dev));
	ASSERT_EQ(0, destroy_both(m));
	EXPECT_TRUE(gone(vm));
	EXPECT_EQ(-ENOENT, bell_unbind(vm, self->dev, &elsewhere));
	EXPECT_TRUE(msi_is_lost(&m->msi));

	ASSERT_EQ(0, hwpt_alloc(vm->iommufd, self->dev->id, vm->ioas,
				IOMMU_HWPT_ALLOC_NEST_PARENT, &vm->parent));
	ASSERT_EQ(0, env_config(&m->env, IOMMU_PASID_TABLE_TRANSLATE,
				&m->env.hwpt));
	EXPECT_EQ(-EBUSY, vfio_attach(self->dev, m->env.hwpt));
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, vfio_attach(self->dev, m->env.hwpt));
	ASSERT_EQ(0, bell_bind(vm, self->dev, &elsewhere));
	ASSERT_EQ(0, msi_on(&m->msi));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
}

/* The device keeps the context: only nobody can talk to it any more */
TEST_F(life, iommufd_closed)
{
	struct msi_env *m = &self->m;

	close(self->vm->iommufd);
	self->vm->iommufd = -1;
	EXPECT_TRUE(msi_arrives(&m->msi));
	EXPECT_TRUE(msi_arrives(&m->msi2));
	ASSERT_EQ(0, msi_off(&m->msi));
	ASSERT_EQ(0, msi_on(&m->msi));
	EXPECT_TRUE(msi_arrives(&m->msi));
	msi_env_exit(m);

	ASSERT_EQ(0, life_begin(m));
	EXPECT_TRUE(msi_arrives(&m->msi));
	EXPECT_TRUE(msi_arrives(&m->msi2));
}

enum step {
	MSI_OFF,
	UNBIND,
	CLOSE_DEVICE,
	CLOSE_IOMMUFD,
	NR_STEPS,
};

/* Returns whether it worked out as it should */
static bool life_step(struct msi_env *m, bool *done, enum step step)
{
	struct vm *vm = &m->env.vm;
	int rc, expected = 0;

	done[step] = true;
	switch (step) {
	case MSI_OFF:
		rc = msi_off(&m->msi);
		return rc == (done[CLOSE_DEVICE] ? -EBADF : 0);
	case UNBIND:
		if (done[CLOSE_IOMMUFD])
			expected = -EBADF;
		else if (done[CLOSE_DEVICE])
			expected = -ENOENT;
		else if (!done[MSI_OFF])
			expected = -EBUSY;
		return bell_unbind(vm, m->env.dev, &elsewhere) == expected;
	case CLOSE_DEVICE:
		vfio_close(m->env.dev);
		return true;
	default:
		close(vm->iommufd);
		vm->iommufd = -1;
		return true;
	}
}

TEST_F_TIMEOUT(life, any_order, 240)
{
	unsigned int order[NR_STEPS], nth, i;
	bool done[NR_STEPS];

	for (nth = 0; nth < 24; nth++) {
		nth_order(nth, NR_STEPS, order);
		memset(done, 0, sizeof(done));
		for (i = 0; i < NR_STEPS; i++) {
			EXPECT_TRUE(life_step(&self->m, done, order[i])) {
				TH_LOG("order %u, step %u is %u", nth, i,
				       order[i]);
			}
			EXPECT_TRUE(msi_arrives(&self->m.msi2));
		}
		msi_env_exit(&self->m);
		ASSERT_EQ(0, life_begin(&self->m));
		EXPECT_TRUE(msi_arrives(&self->m.msi));
	}
}

/* The VMM before was killed when MSIs were on their way */
static int life_after_death(struct msi_env *m)
{
	int rc = life_begin(m);

	msi_settle(&m->msi);
	msi_settle(&m->msi2);
	return rc;
}

/* A VMM with MSIs that come all the time; the parent kills it */
static void vmm(struct msi_env *m, int ready)
{
	if (life_after_death(m) || !msi_arrives(&m->msi) ||
	    !msi_arrives(&m->msi2) || write(ready, "", 1) != 1)
		_exit(1);
	for (;;) {
		msi_raise(&m->msi, 0);
		msi_raise(&m->msi2, 0);
	}
}

TEST_F_TIMEOUT(life, killed, 120)
{
	struct msi_env *m = &self->m;
	int i, status, ready[2];
	pid_t child;
	char byte;

	msi_env_exit(m);
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			vmm(m, ready[1]);
		close(ready[1]);
		EXPECT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		usleep(1000 * i);
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(SIGKILL, status);
	}

	/* And the devices are as good as ever */
	ASSERT_EQ(0, life_after_death(m));
	EXPECT_STREQ("", bell_check(&m->env, &m->msi, &elsewhere));
	EXPECT_TRUE(msi_arrives(&m->msi2));
}

TEST_HARNESS_MAIN
