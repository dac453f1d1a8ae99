// SPDX-License-Identifier: GPL-2.0-only
/*
 * A link that is down: what is below it answers nothing, and has lost all of its
 * state when the link is up again. What waits for it ends, it reaches nothing until
 * it is reset, and others do not notice.
 */
#include "vtd_ports.h"

#include "../kselftest_harness.h"

/* The link of a port, in the port's own registers */
struct link {
	int fd;
	__u8 control;
};

FIXTURE(link)
{
	struct ports p;
	struct link link;
};

FIXTURE_VARIANT(link)
{
	enum how how;
};

FIXTURE_VARIANT_ADD(link, vfio)
{
	.how = BY_VFIO,
};

FIXTURE_VARIANT_ADD(link, hot_reset)
{
	.how = BY_HOT_RESET,
};

/* The link between a device and its port */
static int link_open(struct link *link, const struct vfio_dev *dev)
{
	__u8 next, header[2];
	char path[PATH_MAX];
	int left = 48;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/../config",
		 dev->name);
	link->fd = open(path, O_RDWR);
	if (link->fd < 0)
		return -errno;
	if (pread(link->fd, &next, 1, PCI_CAPABILITY_LIST) != 1)
		return -EIO;
	for (; next && left--; next = header[1]) {
		if (pread(link->fd, header, 2, next) != 2)
			return -EIO;
		if (header[0] != PCI_CAP_ID_EXP)
			continue;
		link->control = next + PCI_EXP_LNKCTL;
		return 0;
	}
	return -ENXIO;
}

/* Disable the link, which resets what is below it, or enable it */
static int link_set(const struct link *link, bool up)
{
	__u16 control;

	if (pread(link->fd, &control, 2, link->control) != 2)
		return -EIO;
	control &= ~PCI_EXP_LNKCTL_LD;
	control |= up ? 0 : PCI_EXP_LNKCTL_LD;
	return pwrite(link->fd, &control, 2, link->control) == 2 ? 0 : -EIO;
}

static bool is_there(const struct vfio_dev *dev)
{
	char path[PATH_MAX];
	__u32 id = ~0U;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 dev->name);
	fd = open(path, O_RDONLY);
	if (pread(fd, &id, 4, PCI_VENDOR_ID) != 4)
		id = ~0U;
	close(fd);
	return id != ~0U;
}

static int link_down(const struct link *link, const struct vfio_dev *dev)
{
	int rc = link_set(link, false);

	return rc ?: is_there(dev) ? -EBUSY : 0;
}

/* The device has lost all of its state; it gets its registers back, nothing else */
static int link_up(const struct link *link, struct edu *edu)
{
	int rc = link_set(link, true);

	rc = rc ?: is_there(&edu->dev) ? 0 : -ENODEV;
	return rc ?: edu_after_reset(edu);
}

static int link_init(struct link *link, struct ports *p, enum which dev)
{
	int rc;

	/* Who reads the log need not wonder at what the kernel says */
	ksft_print_msg("invalidations are not answered\n");
	link->fd = -1;
	rc = ports_init(p);
	return rc ?: link_open(link, p->probe[dev].dev);
}

/* A test that failed may have left it down */
static void link_exit(struct link *link, struct ports *p)
{
	if (link->fd >= 0) {
		link_set(link, true);
		close(link->fd);
	}
	ports_exit(p);
}

FIXTURE_SETUP(link)
{
	ASSERT_EQ(0, link_init(&self->link, &self->p, ALONE));
}

FIXTURE_TEARDOWN(link)
{
	link_exit(&self->link, &self->p);
}

static bool is_blocked(struct ports *p, enum which dev)
{
	return vtd_gets_blocked(&p->probe[dev], GIOVA) &&
	       reaches(p, dev, NOWHERE);
}

/* An unmap finds that the device does not answer; nobody else notices */
TEST_F_TIMEOUT(link, unmap, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, link_down(&self->link, env->dev));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_TRUE(reaches(p, PEER, NOWHERE));
		EXPECT_EQ(0, probe_map_a(probe));
		EXPECT_TRUE(reaches(p, PEER, AT_A));
		ASSERT_EQ(0, link_up(&self->link, &env->edu));
		EXPECT_TRUE(is_blocked(p, ALONE));
		EXPECT_TRUE(reaches(p, PEER, AT_A));
		ASSERT_EQ(0, reset(env->dev, variant->how));
		ASSERT_EQ(0, edu_after_reset(&env->edu));
		EXPECT_TRUE(pci_ats_on(env->dev));
	}
	EXPECT_TRUE(all_reach(p, AT_A));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(all_reach(p, NOWHERE));
}

/* An invalidation of the guest's finds it, and says so */
TEST_F_TIMEOUT(link, guest, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	struct iommu_hwpt_pasid_table_invalidate all =
		inv_domain(INV_IOTLB | INV_DEV_TLB);

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, link_down(&self->link, env->dev));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(-ETIMEDOUT, env_invalidate(env, all));
	EXPECT_TRUE(reaches(p, PEER, AT_B));
	ASSERT_EQ(0, link_up(&self->link, &env->edu));
	EXPECT_TRUE(is_blocked(p, ALONE));
	ASSERT_EQ(0, reset(env->dev, variant->how));
	ASSERT_EQ(0, edu_after_reset(&env->edu));
	EXPECT_EQ(0, env_invalidate(env, all));
	EXPECT_TRUE(all_reach(p, AT_B));
}

/* What is attached and detached meanwhile is there after the reset */
TEST_F_TIMEOUT(link, attach, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, link_down(&self->link, env->dev));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(0, vfio_detach(env->dev));
	EXPECT_TRUE(reaches(p, PEER, NOWHERE));
	EXPECT_EQ(0, vfio_attach(env->dev, env->hwpt));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(reaches(p, PEER, AT_A));
	/* At once: its registers are what the link's loss has left */
	ASSERT_EQ(0, link_set(&self->link, true));
	ASSERT_EQ(0, reset(env->dev, variant->how));
	ASSERT_EQ(0, edu_after_reset(&env->edu));
	EXPECT_TRUE(all_reach(p, AT_A));
	EXPECT_EQ(0, vfio_attach(env->dev, env->vm.parent));
	EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
}

/* Nobody notices that it was down: then the TLB is empty, and ATS is off */
TEST_F_TIMEOUT(link, down_and_up, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, link_down(&self->link, env->dev));
	ASSERT_EQ(0, link_up(&self->link, &env->edu));
	EXPECT_FALSE(pci_ats_on(env->dev));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_EQ(NOWHERE, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(is_blocked(p, ALONE));
	ASSERT_EQ(0, reset(env->dev, variant->how));
	ASSERT_EQ(0, edu_after_reset(&env->edu));
	EXPECT_TRUE(pci_ats_on(env->dev));
	EXPECT_TRUE(all_reach(p, AT_A));
}

/* A reset while it is down comes to nothing, whether or not the device is lost yet */
TEST_F_TIMEOUT(link, reset_while_down, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	int lost;

	for (lost = 0; lost < 2; lost++) {
		EXPECT_TRUE(all_reach(p, AT_A));
		ASSERT_EQ(0, link_down(&self->link, env->dev));
		EXPECT_EQ(0, lost ? probe_unmap_a(probe) : 0);
		EXPECT_EQ(-ENOTTY, reset(env->dev, variant->how));
		EXPECT_EQ(0, lost ? 0 : probe_unmap_a(probe));
		EXPECT_TRUE(reaches(p, PEER, NOWHERE));
		EXPECT_EQ(0, probe_map_a(probe));
		ASSERT_EQ(0, link_up(&self->link, &env->edu));
		EXPECT_TRUE(is_blocked(p, ALONE));
		ASSERT_EQ(0, reset(env->dev, variant->how));
		ASSERT_EQ(0, edu_after_reset(&env->edu));
		EXPECT_TRUE(all_reach(p, AT_A));
	}
}

/* ... is closed and leaves the machine, and comes back later */
TEST_F_TIMEOUT(link, gone, 120)
{
	struct ports *p = &self->p;
	struct env *env = &p->v.env;
	struct probe *probe = &env->probe;
	struct vfio_dev *dev = env->dev;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, link_down(&self->link, dev));
	vfio_close(dev);
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(reaches(p, PEER, NOWHERE));
	ASSERT_EQ(0, pci_write(dev->name, "remove", "1"));
	EXPECT_EQ(0, probe_map_a(probe));
	EXPECT_TRUE(reaches(p, PEER, AT_A));

	ASSERT_EQ(0, link_set(&self->link, true));
	ASSERT_EQ(0, pci_give_back(dev));
	ASSERT_EQ(0, edu_open(&env->edu, ALONE));
	ASSERT_EQ(0, vfio_bind(dev, env->vm.iommufd));
	ASSERT_EQ(0, vfio_attach(dev, env->hwpt));
	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, reset(dev, variant->how));
	ASSERT_EQ(0, edu_after_reset(&env->edu));
	EXPECT_TRUE(all_reach(p, AT_A));
}

FIXTURE(pair_link)
{
	struct ports p;
	struct link link;
};

FIXTURE_SETUP(pair_link)
{
	ASSERT_EQ(0, link_init(&self->link, &self->p, PAIR));
}

FIXTURE_TEARDOWN(pair_link)
{
	link_exit(&self->link, &self->p);
}

/* Two functions are below the link, and neither answers */
TEST_F_TIMEOUT(pair_link, unmap, 120)
{
	struct ports *p = &self->p;
	struct probe *probe = &p->v.env.probe;

	EXPECT_TRUE(all_reach(p, AT_A));
	ASSERT_EQ(0, link_down(&self->link, p->probe[PAIR].dev));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(reaches(p, ALONE, NOWHERE));
	EXPECT_TRUE(reaches(p, PEER, NOWHERE));
	EXPECT_EQ(0, probe_map_a(probe));
	ASSERT_EQ(0, link_up(&self->link, &p->edu[PAIR]));
	ASSERT_EQ(0, link_up(&self->link, &p->edu[PAIR_SECOND]));
	EXPECT_TRUE(is_blocked(p, PAIR));
	EXPECT_TRUE(is_blocked(p, PAIR_SECOND));
	ASSERT_EQ(0, reset(p->probe[PAIR_SECOND].dev, BY_HOT_RESET));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR]));
	ASSERT_EQ(0, edu_after_reset(&p->edu[PAIR_SECOND]));
	EXPECT_TRUE(all_reach(p, AT_A));
}

TEST_HARNESS_MAIN
