// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets of a bus: of one device by VFIO or sysfs, and of all that is below a port,
 * after a fatal error too.
 * What is attached is there again afterwards, what was unmapped is not, others do
 * not notice, and nothing is sent to what cannot answer.
 */
#include "nested_racer.h"
#include "vtd_ports.h"

#include "../kselftest_harness.h"

/*
 * Reset devices from @first to @last, by the last one, while a DMA of each is on its
 * way to A. Afterwards A is unmapped.
 */
static int reset_during_dma(struct ports *p, enum which first, enum which last,
			    enum how how, bool with_pasid)
{
	enum which dev;
	int rc = 0;

	for (dev = first; dev <= last; dev++) {
		if (with_pasid)
			edu_pasid(p->probe[dev].edu, PASID);
		rc = rc ?: edu_begin_write(p->probe[dev].edu, GIOVA);
	}
	rc = rc ?: reset(p->probe[last].dev, how);
	rc = rc ?: probe_unmap_a(&p->probe[first]);
	for (dev = first; dev <= last; dev++)
		rc = rc ?: edu_after_reset(p->probe[dev].edu);
	return rc;
}

/* Give the peer an address space of its own */
static int move_peer(struct ports *p, struct vm *apart)
{
	int rc = vm_apart(&p->v.env.vm, apart);

	return rc ?: vfio_attach(p->probe[PEER].dev, apart->ioas);
}

/*
 * Whether the device reaches A again. If others change the address space at the end of
 * a reset, what has been attached is so a little later.
 */
static bool gets_back(struct ports *p, enum which dev)
{
	__u64 iova = dev < GROUP ? GIOVA : p->probe[dev].a;

	return probe_gets_to(&p->probe[dev], iova, AT_A);
}

/*
 * Reset devices from @first to @last, by the last one, while others use the queue.
 * Nobody waits for them, because they are sent nothing that they do not answer.
 */
static int reset_among_others(struct ports *p, enum which first,
			      enum which last, enum how how)
{
	struct vm apart;
	struct racer racers[] = {
		{ vm_round, "another address space", &apart },
		{ vm_round, "the same address space", &p->v.env.vm },
	};
	struct probe *peer = &p->probe[PEER];
	int i, rc, end, count, log = log_open();
	bool stop = false;
	enum which dev;

	if (log < 0)
		return log;
	rc = move_peer(p, &apart);
	rc = rc ?: racers_start(racers, ARRAY_SIZE(racers), NULL, &stop);
	if (rc) {
		close(log);
		return rc;
	}
	for (i = 0; !rc && i < TRIES; i++) {
		for (dev = first; dev <= last; dev++)
			if (!reaches(p, dev, AT_A))
				rc = -EPROTO;
		rc = rc ?: reset(p->probe[last].dev, how);
		for (dev = first; dev <= last; dev++) {
			rc = rc ?: edu_after_reset(p->probe[dev].edu);
			if (!rc && !gets_back(p, dev))
				rc = -EPROTO;
		}
		if (!rc && probe_dma(peer, peer->a) != AT_A)
			rc = -EPROTO;
	}
	end = racers_end(racers, ARRAY_SIZE(racers), &stop);
	count = log_count(log, TIME_OUT);
	close(log);
	rc = rc ?: count > 0 ? -ETIMEDOUT : count;
	return rc ?: end;
}

FIXTURE(port)
{
	struct ports p;
};

FIXTURE_VARIANT(port)
{
	enum how how;
};

FIXTURE_VARIANT_ADD(port, vfio)
{
	.how = BY_VFIO,
};

FIXTURE_VARIANT_ADD(port, hot_reset)
{
	.how = BY_HOT_RESET,
};

FIXTURE_VARIANT_ADD(port, sysfs)
{
	.how = BY_SYSFS,
};

FIXTURE_VARIANT_ADD(port, error)
{
	.how = BY_ERROR,
};

FIXTURE_SETUP(port)
{
	ASSERT_EQ(0, ports_init(&self->p));
}

FIXTURE_TEARDOWN(port)
{
	ports_exit(&self->p);
}

/* What the guest has is there again, and nothing that it no longer has */
TEST_F_TIMEOUT(port, table, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	int with_pasid;

	for (with_pasid = 0; with_pasid < 2; with_pasid++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, reset_during_dma(p, ALONE, ALONE, variant->how,
					      with_pasid));
		EXPECT_TRUE(pci_ats_on(env->dev));
		EXPECT_TRUE(all_reach(p, NOWHERE));
		ASSERT_EQ(0, probe_map_a(probe));
	}
	EXPECT_TRUE(all_reach(p, AT_A));
	/* A change of the guest's gets through to its TLB */
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB | INV_DEV_TLB)));
	EXPECT_TRUE(all_reach(p, AT_B));
}

/* PASIDs that user space attached one by one */
TEST_F_TIMEOUT(port, hwpts, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	__u32 hwpt;
	int i;

	ASSERT_EQ(0, hwpt_alloc(env->vm.iommufd, env->dev->id, env->vm.ioas,
				IOMMU_HWPT_ALLOC_PASID, &hwpt));
	ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
	ASSERT_EQ(0, vfio_attach_pasid(env->dev, PASID, hwpt));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, vtd_dma(&p->v, PASID, probe->a));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		/* The RID comes and goes, the PASID stays */
		ASSERT_EQ(0, i == 1 ? vfio_detach(env->dev) : 0);
		ASSERT_EQ(0, reset(env->dev, variant->how));
		ASSERT_EQ(0, edu_after_reset(&env->edu));
		EXPECT_EQ(AT_A, vtd_dma(&p->v, PASID, probe->a));
		EXPECT_EQ(i == 1 ? NOWHERE : AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach(env->dev, hwpt));
		ASSERT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, vtd_dma(&p->v, PASID, probe->a));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		ASSERT_EQ(0, probe_map_a(probe));
	}
}

/* Nobody waits for the device while it is reset, or sends it anything */
TEST_F_TIMEOUT(port, others, 120)
{
	struct ports *p = &self->p;

	EXPECT_EQ(0, reset_among_others(p, ALONE, ALONE, variant->how));
	EXPECT_TRUE(reaches(p, ALONE, AT_A));
}

FIXTURE(pair)
{
	struct ports p;
};

FIXTURE_SETUP(pair)
{
	ASSERT_EQ(0, ports_init(&self->p));
}

FIXTURE_TEARDOWN(pair)
{
	ports_exit(&self->p);
}

/* Both are reset, by either */
TEST_F_TIMEOUT(pair, hot_reset, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->v.env.probe;
	int with_pasid;

	for (with_pasid = 0; with_pasid < 2; with_pasid++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, reset_during_dma(p, PAIR, PAIR_SECOND, BY_HOT_RESET,
					      with_pasid));
		EXPECT_TRUE(all_reach(p, NOWHERE));
		ASSERT_EQ(0, probe_map_a(probe));
	}
	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, reset(p->probe[PAIR].dev, BY_HOT_RESET));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR]));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR_SECOND]));
	EXPECT_TRUE(all_reach(p, AT_A));
}

TEST_F_TIMEOUT(pair, others, 120)
{
	struct ports *p = &self->p;

	EXPECT_EQ(0, reset_among_others(p, PAIR, PAIR_SECOND, BY_HOT_RESET));
	EXPECT_TRUE(reaches(p, PAIR, AT_A));
	EXPECT_TRUE(reaches(p, PAIR_SECOND, AT_A));
}

/* Somebody has the port reset them, whose they are or not */
TEST_F_TIMEOUT(pair, by_port, 120)
{
	struct ports *p = &self->p;

	EXPECT_EQ(0, reset_among_others(p, PAIR, PAIR_SECOND, BY_PORT));
	EXPECT_TRUE(reaches(p, PAIR, AT_A));
	EXPECT_TRUE(reaches(p, PAIR_SECOND, AT_A));
}

/* One sleeps, in which it would keep what its TLB has: it is to have nothing */
TEST_F_TIMEOUT(pair, asleep, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->v.env.probe;
	struct vfio_dev *sleeper = p->probe[PAIR].dev;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, vfio_sleep(sleeper, true));
	ASSERT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(reaches(p, PAIR_SECOND, NOWHERE));
	ASSERT_EQ(0, vfio_sleep(sleeper, false));
	ASSERT_EQ(0, vfio_enable(sleeper));
	EXPECT_TRUE(all_reach(p, NOWHERE));
	ASSERT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(all_reach(p, AT_A));
}

/* Have it sleep with something to send, which it may send as soon as it is awake */
static int sleep_with_work(struct ports *p, enum which dev)
{
	struct vfio_dev *sleeper = p->probe[dev].dev;
	int rc;

	memset(vm_ptr(p->probe[dev].vm, p->probe[dev].a), VM_UNTOUCHED,
	       PLACE_SIZE);
	rc = vfio_master(sleeper, false);
	rc = rc ?: edu_begin_write(p->probe[dev].edu, GIOVA);
	rc = rc ?: vfio_sleep(sleeper, true);
	return rc ?: vfio_master(sleeper, true);
}

/* Whether that arrived */
static bool work_is_done(struct ports *p, enum which dev)
{
	struct edu *edu = p->probe[dev].edu;
	__u8 *a = vm_ptr(p->probe[dev].vm, p->probe[dev].a);

	return !edu_wait(edu) && !memcmp(a, edu_written(edu), EDU_CHUNK);
}

/* It has something to send when it wakes: that comes when its IOMMU lets it through */
TEST_F_TIMEOUT(pair, sends_on_waking, 120)
{
	struct ports *p = &self->p;
	__u8 *a = vm_ptr(p->probe[PAIR].vm, p->probe[PAIR].a);
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, sleep_with_work(p, PAIR));
		EXPECT_EQ(VM_UNTOUCHED, a[0]);
		ASSERT_EQ(0, vfio_sleep(p->probe[PAIR].dev, false));
		EXPECT_TRUE(work_is_done(p, PAIR));
	}
}

/* ... and is reset before it is awake again */
TEST_F_TIMEOUT(pair, reset_asleep, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->v.env.probe;
	struct vfio_dev *sleeper = p->probe[PAIR].dev;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, vfio_sleep(sleeper, true));
	ASSERT_EQ(0, probe_unmap_a(probe));
	ASSERT_EQ(0, reset(p->probe[PAIR_SECOND].dev, BY_HOT_RESET));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR_SECOND]));
	EXPECT_TRUE(reaches(p, PAIR_SECOND, NOWHERE));
	ASSERT_EQ(0, vfio_sleep(sleeper, false));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR]));
	EXPECT_TRUE(all_reach(p, NOWHERE));
	ASSERT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(all_reach(p, AT_A));
}

/* It is the system that sleeps and wakes it: nothing is lost on that way either */
TEST_F_TIMEOUT(pair, system_sleeps, 120)
{
	struct ports *p = &self->p;
	__u8 *a = vm_ptr(p->probe[PAIR].vm, p->probe[PAIR].a);
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, sleep_with_work(p, PAIR));
		EXPECT_EQ(VM_UNTOUCHED, a[0]);
		ASSERT_EQ(0, system_sleep());
		EXPECT_TRUE(work_is_done(p, PAIR));
		ASSERT_EQ(0, vfio_sleep(p->probe[PAIR].dev, false));
	}
	EXPECT_TRUE(all_reach(p, AT_A));
}

/* One is not the caller's: nothing happens to either */
TEST_F_TIMEOUT(pair, refused, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->v.env.probe;
	struct vfio_dev *first = p->probe[PAIR].dev;
	struct vfio_dev *second = p->probe[PAIR_SECOND].dev;
	int other;

	EXPECT_TRUE(all_reach(p, AT_A));
	vfio_close(second);
	EXPECT_EQ(-EINVAL, reset(first, BY_HOT_RESET));
	EXPECT_TRUE(reaches(p, PAIR, AT_A));

	other = iommufd_open();
	ASSERT_GE(other, 0);
	ASSERT_EQ(0, edu_open(&p->edu[PAIR_SECOND], PAIR_SECOND));
	ASSERT_EQ(0, vfio_bind(second, other));
	EXPECT_EQ(-EINVAL, reset(first, BY_HOT_RESET));
	EXPECT_EQ(-EINVAL, reset(second, BY_HOT_RESET));
	EXPECT_TRUE(reaches(p, PAIR, AT_A));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(reaches(p, PAIR, NOWHERE));
	EXPECT_EQ(0, probe_map_a(probe));
	vfio_close(second);
	close(other);
}

/* Who is the last to close one of them resets both; what comes then is new */
TEST_F_TIMEOUT(pair, close, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;

	EXPECT_TRUE(all_reach(p, AT_A));
	vfio_close(p->probe[PAIR].dev);
	EXPECT_TRUE(reaches(p, PAIR_SECOND, AT_A));
	vfio_close(p->probe[PAIR_SECOND].dev);
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(reaches(p, PEER, NOWHERE));

	ASSERT_EQ(0, open_device(p, PAIR));
	ASSERT_EQ(0, open_device(p, PAIR_SECOND));
	ASSERT_EQ(0, vfio_attach(p->probe[PAIR].dev, env->hwpt));
	EXPECT_TRUE(reaches(p, PAIR, NOWHERE));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(reaches(p, PAIR, AT_A));
	EXPECT_FALSE(reaches(p, PAIR_SECOND, AT_A));
	ASSERT_EQ(0, vfio_attach(p->probe[PAIR_SECOND].dev, env->hwpt));
	EXPECT_TRUE(all_reach(p, AT_A));
}

FIXTURE(group)
{
	struct ports p;
};

FIXTURE_SETUP(group)
{
	ASSERT_EQ(0, ports_init(&self->p));
}

FIXTURE_TEARDOWN(group)
{
	ports_exit(&self->p);
}

/* Whether both functions of the group reach this place, without tables or PASIDs */
static bool group_reaches(struct ports *p, enum place place)
{
	__u64 a = p->probe[GROUP].a;

	return probe_dma(&p->probe[GROUP], a) == place &&
	       probe_dma(&p->probe[GROUP_SECOND], a) == place;
}

TEST_F_TIMEOUT(group, hot_reset, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->probe[GROUP];
	enum which by;

	for (by = GROUP; by <= GROUP_SECOND; by++) {
		EXPECT_TRUE(group_reaches(p, AT_A));
		ASSERT_EQ(0, reset(p->probe[by].dev, BY_HOT_RESET));
		ASSERT_EQ(0, edu_after_reset(&p->edu[GROUP]));
		ASSERT_EQ(0, edu_after_reset(&p->edu[GROUP_SECOND]));
		EXPECT_TRUE(group_reaches(p, AT_A));
		ASSERT_EQ(0, probe_unmap_a(probe));
		EXPECT_TRUE(group_reaches(p, NOWHERE));
		ASSERT_EQ(0, probe_map_a(probe));
	}
}

/* Nobody has the other one open, and it is the group's all the same */
TEST_F_TIMEOUT(group, one_is_closed, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->probe[GROUP];

	EXPECT_TRUE(group_reaches(p, AT_A));
	vfio_close(p->probe[GROUP_SECOND].dev);
	ASSERT_EQ(0, reset(probe->dev, BY_HOT_RESET));
	ASSERT_EQ(0, edu_after_reset(&p->edu[GROUP]));
	EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
	ASSERT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
	ASSERT_EQ(0, open_device(p, GROUP_SECOND));
	EXPECT_TRUE(group_reaches(p, NOWHERE));
	ASSERT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(group_reaches(p, AT_A));
}

TEST_HARNESS_MAIN
