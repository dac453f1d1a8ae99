// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices with TLBs of their own behind an IOMMU in legacy mode, which has no PASID
 * tables and nests nothing: what an address space was unmapped from is not reached,
 * whatever happens to the device meanwhile.
 */
#include "nested_racer.h"
#include "vtd_env.h"

#include "../kselftest_harness.h"

#define TRIES		20
/* What a race gets to in this time, or with patience, and what is too little */
#define RACE_ROUNDS	500
#define RACE_SECONDS	20
#define RACE_LEAST	100

/* What is counted in a race */
enum {
	ATTACHED,
	FILLED,		/* the device had something in its TLB */
	COUNTS,
};

FIXTURE(legacy)
{
	struct edu edu;
	struct vm vm;
	struct vm apart;	/* the same memory in another address space */
	struct probe probe;
	unsigned int counts[COUNTS];
	unsigned int stale;
};

static int legacy_init(struct _test_data_legacy *self)
{
	struct vm *vm = &self->vm;
	int rc;

	rc = edu_open(&self->edu, 0);
	rc = rc ?: vm_open(vm);
	rc = rc ?: vfio_bind(&self->edu.dev, vm->iommufd);
	rc = rc ?: vfio_attach(&self->edu.dev, vm->ioas);
	rc = rc ?: probe_edu(&self->probe, vm, &self->edu);
	rc = rc ?: vm_apart(vm, &self->apart);
	return rc ?: probe_map_apart(&self->probe);
}

FIXTURE_SETUP(legacy)
{
	self->edu.dev.fd = -1;
	self->vm.iommufd = -1;
	ASSERT_EQ(0, legacy_init(self));
}

FIXTURE_TEARDOWN(legacy)
{
	vfio_close(&self->edu.dev);
	vm_exit(&self->vm);
}

/* This is the mode that the machine is for */
TEST_F(legacy, mode)
{
	struct env env = { .vm = self->vm, .dev = &self->edu.dev };
	struct iommu_hw_info_vtd info;
	__u8 max_pasid_log2;
	__u32 hwpt;

	ASSERT_EQ(0, vtd_info(&env, &info, &max_pasid_log2));
	EXPECT_FALSE(info.ecap_reg & ECAP_SMTS);
	EXPECT_EQ(0, max_pasid_log2);
	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(self->vm.iommufd, self->edu.dev.id,
					  self->vm.ioas,
					  IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt));
}

/* Nothing is left of what was unmapped, and nothing else goes */
TEST_F(legacy, unmap)
{
	struct probe *probe = &self->probe;
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		EXPECT_EQ(AT_B, probe_dma(probe, probe->b));
		EXPECT_EQ(0, probe_map_a(probe));
	}
}

/* ATS is on below a page table, and stays on from one to the next */
TEST_F(legacy, attach)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_TRUE(pci_ats_on(dev));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach(dev, self->apart.ioas));
		EXPECT_TRUE(pci_ats_on(dev));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach(dev, self->vm.ioas));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		EXPECT_EQ(0, probe_map_a(probe));
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_detach(dev));
		EXPECT_FALSE(pci_ats_on(dev));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_attach(dev, self->vm.ioas));
	}
}

/*
 * The device is reset while its address space changes all the time. That it is asked
 * for an answer meanwhile would be in the log.
 */
TEST_F(legacy, reset)
{
	struct probe *probe = &self->probe;
	struct racer racers[] = {
		{ vm_round, "the address space", &self->vm },
	};
	int i, log = log_open();
	bool stop = false;

	ASSERT_LE(0, log);
	ASSERT_EQ(0, racers_start(racers, ARRAY_SIZE(racers), self, &stop));
	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		EXPECT_EQ(0, edu_reset(&self->edu));
		EXPECT_TRUE(pci_ats_on(&self->edu.dev));
		EXPECT_EQ(0, probe_unmap_a(probe));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		EXPECT_EQ(0, probe_map_a(probe));
	}
	EXPECT_EQ(0, racers_end(racers, ARRAY_SIZE(racers), &stop));
	EXPECT_EQ(0, log_count(log, TIME_OUT));
	close(log);
}

/* It sleeps while something is unmapped, and something else is attached */
TEST_F(legacy, sleep)
{
	struct probe *probe = &self->probe;
	struct vfio_dev *dev = &self->edu.dev;
	int i;

	for (i = 0; i < TRIES; i++) {
		EXPECT_EQ(AT_A, probe_dma(probe, probe->a));
		ASSERT_EQ(0, vfio_sleep(dev, true));
		EXPECT_EQ(0, probe_unmap_a(probe));
		if (i % 2) {
			EXPECT_EQ(0, vfio_attach(dev, self->apart.ioas));
			EXPECT_EQ(0, vfio_attach(dev, self->vm.ioas));
		}
		ASSERT_EQ(0, vfio_sleep(dev, false));
		ASSERT_EQ(0, edu_after_reset(&self->edu));
		EXPECT_TRUE(pci_ats_on(dev));
		EXPECT_EQ(NOWHERE, probe_dma(probe, probe->a));
		EXPECT_EQ(0, probe_map_a(probe));
	}
}

static int attach_and_detach(void *data, unsigned int i)
{
	struct _test_data_legacy *self = data;
	struct vfio_dev *dev = &self->edu.dev;
	int rc = vfio_attach(dev, i % 3 ? self->vm.ioas : self->apart.ioas);

	if (!rc && i % 3 == 1)
		rc = vfio_detach(dev);
	if (!rc)
		__atomic_add_fetch(&self->counts[ATTACHED], 1,
				   __ATOMIC_RELAXED);
	return rc;
}

/* Where the other thread attaches the device to, and detaches it from */
static int dma_and_unmap(void *data, unsigned int i)
{
	struct _test_data_legacy *self = data;
	struct probe *probe = &self->probe;
	struct vm *vm = &self->vm;
	__u8 *a = vm_ptr(vm, probe->a);
	int rc;

	memset(a, VM_UNTOUCHED, EDU_CHUNK);
	rc = ioas_map(vm->iommufd, vm->ioas, a, GIOVA, PLACE_SIZE);
	/* Now the device has it in its TLB, unless it is just being detached */
	rc = rc ?: edu_write(&self->edu, GIOVA);
	if (!rc && probe_compare(probe, a) == AT_A)
		__atomic_add_fetch(&self->counts[FILLED], 1, __ATOMIC_RELAXED);
	rc = rc ?: ioas_unmap(vm->iommufd, vm->ioas, GIOVA, PLACE_SIZE);
	memset(a, VM_UNTOUCHED, EDU_CHUNK);
	rc = rc ?: edu_write(&self->edu, GIOVA);
	if (!rc && probe_compare(probe, a) != NOWHERE)
		__atomic_add_fetch(&self->stale, 1, __ATOMIC_RELAXED);
	return rc;
}

/* An unmap finds a device that is just being attached, replaced or detached */
TEST_F_TIMEOUT(legacy, race, 300)
{
	struct racer racers[] = {
		{ attach_and_detach, "attach and detach" },
		{ dma_and_unmap, "DMA and unmap" },
	};

	EXPECT_EQ(0, racers_run_for(racers, ARRAY_SIZE(racers), self,
				    RACE_SECONDS, self->counts, COUNTS,
				    RACE_ROUNDS));
	EXPECT_EQ(0, self->stale);
	EXPECT_LT(RACE_LEAST, self->counts[ATTACHED]);
	EXPECT_LT(RACE_LEAST, self->counts[FILLED]);
	TH_LOG("%u attached, %u of %u rounds had A in the TLB",
	       self->counts[ATTACHED], self->counts[FILLED], racers[1].rounds);
}

TEST_HARNESS_MAIN
