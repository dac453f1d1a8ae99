// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that does not answer an invalidation of its TLB. The invalidation ends,
 * what the TLB has translated is not accepted from then on, soon the device reaches
 * nothing at all, and a reset brings it back. Others do not notice.
 *
 * Either the device's ATS is turned off without its IOMMU knowing, by which its TLB
 * is lost as well; or, with slow=1 in the environment, the first device is one that
 * never answers in time, and keeps what it has.
 */
#include "nested_msi.h"
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define PASID		5
#define TRIES		20
#define BLAME_TRIES	100

FIXTURE(lost)
{
	struct vtd v;
	struct edu peer;
	struct probe other;
	struct vm apart;	/* the same memory in another address space */
	struct msi msi;
	bool slow;
};

/* Turn ATS off in the device's own registers. Returns whether that is so. */
static bool ats_off(const struct vfio_dev *dev)
{
	const __u16 off = 0;
	__u32 ats;
	int fd = pci_open_cap(dev, O_RDWR, PCI_EXT_CAP_ID_ATS, &ats);

	if (ats && pwrite(fd, &off, 2, ats + PCI_ATS_CTRL) != 2)
		ats = 0;
	close(fd);
	return ats && !pci_ats_on(dev);
}

static int reset(struct _test_data_lost *self)
{
	return edu_reset(&self->v.env.edu);
}

/* From here on the device does not answer */
static bool deafen(struct _test_data_lost *self)
{
	return self->slow || ats_off(self->v.env.dev);
}

static int peer_init(struct _test_data_lost *self)
{
	struct env *env = &self->v.env;
	struct probe *probe = &env->probe;
	int rc = edu_open(&self->peer, 1);

	rc = rc ?: vfio_bind(&self->peer.dev, env->vm.iommufd);
	rc = rc ?: vfio_attach(&self->peer.dev, env->vm.parent);
	rc = rc ?: probe_edu(&self->other, &env->vm, &self->peer);
	self->other.a = probe->a;
	self->other.b = probe->b;
	return rc ?: msi_init(&self->msi, &self->peer, NULL);
}

/* Give the other device an address space whose unmaps are not for the first one */
static int peer_apart(struct _test_data_lost *self)
{
	int rc = vm_apart(&self->v.env.vm, &self->apart);

	return rc ?: vfio_attach(&self->peer.dev, self->apart.ioas);
}

FIXTURE_SETUP(lost)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	const char *slow = getenv("slow");

	/* Who reads the log need not wonder at what the kernel says */
	ksft_print_msg("invalidations are not answered\n");
	self->slow = slow && !strcmp(slow, "1");
	self->peer.dev.fd = -1;
	ASSERT_EQ(0, vtd_init(v, VTD_BITS, 0));
	ASSERT_TRUE(env->vm.ats);
	ASSERT_EQ(0, peer_init(self));
	ASSERT_EQ(0, probe_map_apart(&env->probe));
	pasid_table_set_pasid(&env->pasids, PASID, &env->table);
	/* Whatever the last test has left behind */
	ASSERT_EQ(0, reset(self));
}

FIXTURE_TEARDOWN(lost)
{
	msi_exit(&self->msi);
	vfio_close(&self->peer.dev);
	vtd_exit(&self->v);
}

/* A device that is slow has A in its TLB, and nowhere else is a way to it */
TEST_F(lost, unmap)
{
	struct env *env = &self->v.env;
	struct probe *probe = &env->probe;
	int i;

	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		EXPECT_EQ(AT_A, probe_dma(&self->other, probe->a));
		ASSERT_TRUE(deafen(self));
		EXPECT_EQ(0, probe_unmap_a(probe));
		ASSERT_EQ(NOWHERE, probe_dma(probe, probe->a)) {
			TH_LOG("try %d", i);
		}
		EXPECT_EQ(NOWHERE, probe_dma(&self->other, probe->a));
		EXPECT_EQ(AT_B, probe_dma(&self->other, probe->b));
		ASSERT_EQ(0, probe_map_a(probe));
		ASSERT_EQ(0, reset(self));
	}
}

/* Changes of the guest's, by the guest's own invalidation */
TEST_F(lost, guest)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	struct probe *probe = &env->probe;
	struct iommu_hwpt_pasid_table_invalidate all =
		inv_domain(INV_IOTLB | INV_DEV_TLB);
	int i;

	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, reset(self));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
		ASSERT_TRUE(deafen(self));
		probe_map(probe, &env->table, GIOVA, AT_B);
		EXPECT_EQ(-ETIMEDOUT, env_invalidate(env, all));
		EXPECT_NE(AT_A, vtd_dma(v, PASID, GIOVA)) {
			TH_LOG("try %d", i);
		}
		ASSERT_EQ(0, reset(self));
		EXPECT_EQ(AT_B, vtd_dma(v, PASID, GIOVA));
		probe_map(probe, &env->table, GIOVA, AT_A);
		ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
		ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
		ASSERT_EQ(0, reset(self));
	}
}

/* A guest that invalidates all that the device may have cached, all the time */
static int guest_invalidates(void *data, unsigned int i)
{
	struct _test_data_lost *self = data;

	return env_invalidate(&self->v.env, inv_domain(INV_IOTLB | INV_DEV_TLB));
}

/* The device is reset meanwhile: it is not asked then, so nothing times out */
TEST_F_TIMEOUT(lost, reset_meanwhile, 120)
{
	struct env *env = &self->v.env;
	struct racer racers[] = {
		{ guest_invalidates, "a guest that invalidates" },
	};
	int i, log = log_open();
	bool stop = false;

	ASSERT_LE(0, log);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, reset(self));
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(&env->probe, GIOVA));
		EXPECT_EQ(0, reset(self));
	}
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	EXPECT_EQ(AT_A, vtd_dma(&self->v, PASID, GIOVA));
	EXPECT_EQ(0, log_count(log, TIME_OUT));
	close(log);
}

/* Two devices below one table: a change of it gets through to the one that answers */
TEST_F(lost, shared_table)
{
	struct vtd *v = &self->v;
	struct env *env = &v->env;
	int i;

	ASSERT_EQ(0, vfio_attach(&self->peer.dev, env->hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, reset(self));
	for (i = 0; i < TRIES; i++) {
		edu_pasid(&self->peer, PASID);
		EXPECT_EQ(AT_A, probe_dma(&self->other, GIOVA));
		EXPECT_EQ(AT_A, vtd_dma(v, PASID, GIOVA));
		ASSERT_TRUE(deafen(self));
		pasid_table_clear_pasid(&env->pasids, PASID);
		EXPECT_EQ(-ETIMEDOUT, vtd_changed(v, PASID));
		EXPECT_EQ(NOWHERE, probe_dma(&self->other, GIOVA));
		EXPECT_EQ(NOWHERE, vtd_dma(v, PASID, GIOVA));

		pasid_table_set_pasid(&env->pasids, PASID, &env->table);
		ASSERT_EQ(0, reset(self));
		EXPECT_EQ(0, vtd_changed(v, PASID));
	}
}

/* It stays lost whatever is attached to it, until it is reset */
TEST_F(lost, until_reset)
{
	struct env *env = &self->v.env;
	struct probe *probe = &env->probe;

	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_TRUE(deafen(self));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(vtd_gets_blocked(probe, probe->b));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->b));
	EXPECT_EQ(0, vfio_detach(env->dev));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->b));
	EXPECT_EQ(AT_B, probe_dma(&self->other, probe->b));
	EXPECT_EQ(0, reset(self));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
}

/*
 * The first device does not answer, again and again, while the TLB of the other
 * one, which does, is invalidated all the time: the other one goes on. If it were
 * taken for the one that does not answer, it would be blocked until it is reset.
 */
TEST_F_TIMEOUT(lost, blame, 300)
{
	struct env *env = &self->v.env;
	struct probe *probe = &env->probe;
	struct racer racers[] = {
		{ vm_round, "a device that answers", &self->apart },
	};
	int i, blamed = 0;
	bool stop = false;

	ASSERT_EQ(0, peer_apart(self));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	for (i = 0; i < BLAME_TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		EXPECT_TRUE(deafen(self));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		EXPECT_EQ(0, probe_map_a(probe));
		EXPECT_EQ(0, reset(self));
		if (probe_dma(&self->other, probe->a) == AT_A)
			continue;
		blamed++;
		EXPECT_EQ(0, edu_reset(&self->peer));
		EXPECT_EQ(AT_A, probe_dma(&self->other, probe->a));
	}
	EXPECT_EQ(0, blamed) {
		TH_LOG("%d times of %d", blamed, BLAME_TRIES);
	}
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
}

/* And somebody who does so with interrupts off, for entries of their own */
static int use_interrupts(void *data, unsigned int i)
{
	struct msi *msi = &((struct _test_data_lost *)data)->msi;
	int rc = msi_on(msi);

	return rc ?: msi_off(msi);
}

/*
 * Neither device answers, at the same time: both are lost, and both come back. In
 * turns their address space is the same, and one unmap is for both, or not.
 */
TEST_F_TIMEOUT(lost, both, 300)
{
	struct env *env = &self->v.env;
	struct probe *probe = &env->probe;
	struct racer racers[] = {
		{ vm_round, "another address space", &self->apart },
		{ use_interrupts, "interrupts" },
	};
	bool stop = false;
	int i;

	ASSERT_EQ(0, peer_apart(self));
	ASSERT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(0, vfio_attach(&self->peer.dev, i % 2 ?
					 self->apart.ioas : env->vm.parent));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		EXPECT_EQ(AT_A, probe_dma(&self->other, probe->a));
		EXPECT_TRUE(ats_off(&self->peer.dev));
		EXPECT_TRUE(deafen(self));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_TRUE(vtd_gets_blocked(probe, probe->b));
		EXPECT_TRUE(vtd_gets_blocked(&self->other, probe->b));
		EXPECT_EQ(0, probe_map_a(probe));
		EXPECT_EQ(0, reset(self));
		EXPECT_EQ(0, edu_reset(&self->peer));
	}
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
}

TEST_HARNESS_MAIN
