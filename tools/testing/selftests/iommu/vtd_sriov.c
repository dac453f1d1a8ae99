// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFs of a guest, and resets of their PF. A reset of the PF takes the VFs away and
 * brings them back with ATS off. Nothing is sent to them meanwhile. Afterwards they
 * reach what is attached to them, by TLBs that are invalidated again.
 */
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define EDU_VF_DEVICE	0x11e9
#define VFS		2
#define PASID		5
#define TRIES		4

enum how {
	BY_SYSFS,
	BY_USER,	/* of the PF, by VFIO */
	BY_PORT,	/* with all that is below the port, by sysfs */
};

FIXTURE(sriov)
{
	struct vtd v;		/* with a device that is no VF */
	struct vm apart;	/* another address space, that device's */
	char pf[PCI_NAME_LEN];
	struct edu vf[VFS];
	struct probe probe[VFS];
	enum how how;
	int log;
};

FIXTURE_VARIANT(sriov)
{
	enum how how;
};

FIXTURE_VARIANT_ADD(sriov, sysfs)
{
	.how = BY_SYSFS,
};

FIXTURE_VARIANT_ADD(sriov, user)
{
	.how = BY_USER,
};

FIXTURE_VARIANT_ADD(sriov, port)
{
	.how = BY_PORT,
};

/* Find the one device that can have VFs */
static int find_pf(char *name)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int rc = -ENODEV;
	DIR *dir;

	dir = opendir("/sys/bus/pci/devices");
	while (dir && rc && (entry = readdir(dir))) {
		snprintf(path, sizeof(path),
			 "/sys/bus/pci/devices/%s/sriov_numvfs", entry->d_name);
		if (access(path, W_OK))
			continue;
		snprintf(name, PCI_NAME_LEN, "%.15s", entry->d_name);
		rc = 0;
	}
	if (dir)
		closedir(dir);
	return rc;
}

/* By a user of the PF: VFIO also resets it when it is opened and closed */
static int reset_pf_by_user(struct _test_data_sriov *self)
{
	struct vfio_dev pf;
	int rc;

	rc = vfio_open(&pf, EDU_VENDOR, EDU_DEVICE, 1);
	rc = rc ?: strcmp(pf.name, self->pf) ? -ENXIO : 0;
	rc = rc ?: vfio_bind(&pf, self->v.env.vm.iommufd);
	rc = rc ?: call(pf.fd, VFIO_DEVICE_RESET, NULL);
	vfio_close(&pf);
	return rc;
}

static int reset_pf(struct _test_data_sriov *self)
{
	switch (self->how) {
	case BY_SYSFS:
		return pci_write(self->pf, "reset", "1");
	case BY_USER:
		return reset_pf_by_user(self);
	case BY_PORT:
		return pci_write(self->pf, "../reset_subordinate", "1");
	}
	return -EINVAL;
}

static int open_vf(struct _test_data_sriov *self, unsigned int nth)
{
	struct probe *probe = &self->probe[nth];
	struct env *env = &self->v.env;
	struct edu *vf = &self->vf[nth];
	int rc;

	rc = vfio_open(&vf->dev, EDU_VENDOR, EDU_VF_DEVICE, nth);
	rc = rc ?: vfio_bind(&vf->dev, env->vm.iommufd);
	rc = rc ?: vfio_attach(&vf->dev, env->vm.parent);
	rc = rc ?: probe_edu(probe, &env->vm, vf);
	probe->a = env->probe.a;
	probe->b = env->probe.b;
	return rc ?: vfio_attach(&vf->dev, env->hwpt);
}

static int open_vfs(struct _test_data_sriov *self)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < VFS; i++)
		rc = rc ?: open_vf(self, i);
	return rc;
}

static void close_vfs(struct _test_data_sriov *self)
{
	unsigned int i;

	for (i = 0; i < VFS; i++)
		vfio_close(&self->vf[i].dev);
}

FIXTURE_SETUP(sriov)
{
	struct env *env = &self->v.env;
	unsigned int i;

	for (i = 0; i < VFS; i++)
		self->vf[i].dev.fd = -1;
	ASSERT_EQ(0, find_pf(self->pf));
	ASSERT_EQ(0, pci_write(self->pf, "sriov_numvfs", "2"));
	self->how = variant->how;
	self->log = log_open();
	ASSERT_GE(self->log, 0);
	ASSERT_EQ(0, vtd_init(&self->v, VTD_BITS, 0));
	ASSERT_TRUE(env->vm.ats);
	pasid_table_set_pasid(&env->pasids, PASID, &env->table);
	ASSERT_EQ(0, open_vfs(self));
	ASSERT_EQ(0, probe_map_apart(&env->probe));
	ASSERT_EQ(0, vm_apart(&env->vm, &self->apart));
	ASSERT_EQ(0, vfio_attach(env->dev, self->apart.ioas));
}

/* What is sent to a VF that is not there, or has ATS off, times out */
FIXTURE_TEARDOWN(sriov)
{
	EXPECT_EQ(0, log_count(self->log, TIME_OUT));
	close(self->log);
	close_vfs(self);
	vtd_exit(&self->v);
	EXPECT_EQ(0, pci_write(self->pf, "sriov_numvfs", "0"));
}

static bool vfs_reach(struct _test_data_sriov *self, enum place place)
{
	unsigned int i;

	for (i = 0; i < VFS; i++)
		if (!vtd_both_reach(&self->probe[i], PASID, GIOVA, place))
			return false;
	return true;
}

/*
 * Whether ATS is on in the VFs again. If memory of the guest is busy at the end of a
 * reset, what has been attached is so a little later, and ATS is off until then.
 */
static bool vfs_have_ats(struct _test_data_sriov *self)
{
	unsigned int i;
	int tries;

	for (i = 0; i < VFS; i++) {
		for (tries = 1000; !pci_ats_on(&self->vf[i].dev); tries--) {
			if (!tries)
				return false;
			usleep(10000);
		}
	}
	return true;
}

/* What the VFs' user does after a reset of the PF */
static int vfs_after_reset(struct _test_data_sriov *self)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < VFS; i++)
		rc = rc ?: edu_after_reset(&self->vf[i]);
	return rc;
}

/* Nobody waits for a VF whose PF is reset */
TEST_F_TIMEOUT(sriov, others, 120)
{
	struct probe *other = &self->v.env.probe;
	struct racer racers[] = {
		{ vm_round, "another address space", &self->apart },
		{ vm_round, "the VFs' address space", &self->v.env.vm },
	};
	bool stop = false;
	int i;

	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_TRUE(vfs_reach(self, AT_A));
		EXPECT_EQ(0, reset_pf(self));
		EXPECT_TRUE(vfs_have_ats(self));
		EXPECT_EQ(0, vfs_after_reset(self));
		EXPECT_EQ(AT_A, probe_dma(other, other->a));
	}
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	EXPECT_TRUE(vfs_reach(self, AT_A));
}

/* DMA is on its way when the PF is reset. What the guest has is there again. */
TEST_F_TIMEOUT(sriov, table, 120)
{
	struct env *env = &self->v.env;
	struct probe *probe = &self->probe[0];
	int with_pasid, i;

	for (with_pasid = 0; with_pasid < 2; with_pasid++) {
		EXPECT_TRUE(vfs_reach(self, AT_A));
		for (i = 0; i < VFS; i++) {
			if (with_pasid)
				edu_pasid(&self->vf[i], PASID);
			ASSERT_EQ(0, edu_begin_write(&self->vf[i], GIOVA));
		}
		ASSERT_EQ(0, reset_pf(self));
		ASSERT_EQ(0, probe_unmap_a(probe));
		ASSERT_EQ(0, vfs_after_reset(self));
		EXPECT_TRUE(vfs_reach(self, NOWHERE));
		ASSERT_EQ(0, probe_map_a(probe));
	}
	EXPECT_TRUE(vfs_reach(self, AT_A));
	/* A change of the guest's gets through to the TLBs */
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB | INV_DEV_TLB)));
	EXPECT_TRUE(vfs_reach(self, AT_B));
	/* ... and one of the host's */
	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, env_invalidate(env, inv_domain(INV_IOTLB | INV_DEV_TLB)));
	EXPECT_TRUE(vfs_reach(self, AT_A));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(vfs_reach(self, NOWHERE));
}

/* Attach something else to the first VF, in the end the guest's table again */
static int use_vf(void *data, unsigned int i)
{
	struct _test_data_sriov *self = data;
	struct env *env = &self->v.env;
	struct vfio_dev *dev = &self->vf[0].dev;
	int rc;

	rc = vfio_attach(dev, env->vm.parent);
	rc = rc ?: i % 2 ? vfio_detach(dev) : 0;
	return rc ?: vfio_attach(dev, env->hwpt);
}

/* A VF that is away takes what is attached to it, and has it when it is back */
TEST_F_TIMEOUT(sriov, attach, 120)
{
	struct racer racers[] = {
		{ use_vf, "the user of a VF" },
		{ vm_round, "the VFs' address space", &self->v.env.vm },
	};
	bool stop;
	int i;

	for (i = 0; i < TRIES; i++) {
		stop = false;
		ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self,
					  &stop));
		do {
			EXPECT_EQ(0, reset_pf(self));
		} while (!racers_got_somewhere(racers, ARRAY_SIZE(racers)));
		EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
		EXPECT_TRUE(vfs_have_ats(self));
		EXPECT_EQ(0, vfs_after_reset(self));
		EXPECT_TRUE(vfs_reach(self, AT_A));
	}
}

/* VFs that nobody has open are awake here, and have ATS on again after the reset */
TEST_F_TIMEOUT(sriov, idle, 120)
{
	struct probe *probe = &self->v.env.probe;

	close_vfs(self);
	EXPECT_EQ(0, reset_pf(self));
	EXPECT_TRUE(vfs_have_ats(self));
	ASSERT_EQ(0, open_vfs(self));
	EXPECT_TRUE(vfs_have_ats(self));
	EXPECT_TRUE(vfs_reach(self, AT_A));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(vfs_reach(self, NOWHERE));
}

/* What fails because somebody else resets the device */
static int unless_busy(int rc)
{
	return rc == -EAGAIN ? 0 : rc;
}

static int reset_vf(void *data, unsigned int i)
{
	struct _test_data_sriov *self = data;

	return unless_busy(call(self->vf[0].dev.fd, VFIO_DEVICE_RESET, NULL));
}

/* A VF that is reset itself may be so for longer than its PF, or for less long */
TEST_F_TIMEOUT(sriov, both, 300)
{
	struct racer racers[] = {
		{ reset_vf, "resets of a VF" },
		{ vm_round, "the VFs' address space", &self->v.env.vm },
	};
	bool stop = false;

	EXPECT_TRUE(vfs_reach(self, AT_A));
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	while (!racers_got_somewhere(racers, ARRAY_SIZE(racers)))
		EXPECT_EQ(0, unless_busy(reset_pf(self)));
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	EXPECT_TRUE(vfs_have_ats(self));
	EXPECT_EQ(0, vfs_after_reset(self));
	EXPECT_TRUE(vfs_reach(self, AT_A));
}

static int reset_pf_too(void *data, unsigned int i)
{
	struct _test_data_sriov *self = data;

	return unless_busy(reset_pf(self));
}

/* VFs come and go while things are unmapped, and while the PF may be reset */
TEST_F_TIMEOUT(sriov, come_and_go, 300)
{
	struct probe *probe = &self->v.env.probe;
	struct racer racers[] = {
		{ reset_pf_too, "resets of the PF" },
		{ vm_round, "another address space", &self->apart },
		{ vm_round, "the VFs' address space", &self->v.env.vm },
	};
	bool stop = false;

	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	do {
		close_vfs(self);
		EXPECT_EQ(0, pci_write(self->pf, "sriov_numvfs", "0"));
		EXPECT_EQ(0, pci_write(self->pf, "sriov_numvfs", "2"));
	} while (!racers_got_somewhere(racers, ARRAY_SIZE(racers)));
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	ASSERT_EQ(0, open_vfs(self));
	EXPECT_TRUE(vfs_have_ats(self));
	EXPECT_TRUE(vfs_reach(self, AT_A));
	EXPECT_EQ(0, probe_unmap_a(probe));
	EXPECT_TRUE(vfs_reach(self, NOWHERE));
}

TEST_HARNESS_MAIN
