// SPDX-License-Identifier: GPL-2.0-only
/*
 * What domains and devices remember of each other, and in which order they come
 * together and part.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "iommu.h"
#include "pasid.h"

#define TEST_ATS_CAP	0x100
#define TEST_DEVFN	PCI_DEVFN(4, 0)
#define TEST_PASID	5
#define TEST_SID	0x1234
#define TEST_DOMAINS	64

/* 64 domain IDs, second stages of four levels, 48 bits */
#define TEST_CAP	(1 | BIT_ULL(10) | 47ULL << 16)
#define TEST_CM		BIT_ULL(7)
#define TEST_COHERENT	BIT_ULL(0)
#define TEST_SC		BIT_ULL(7)
/* PASIDs, scalable mode, second stages */
#define TEST_ECAP_PASID	(BIT_ULL(40) | BIT_ULL(43) | BIT_ULL(46))

struct test_iommu {
	struct intel_iommu iommu;
	unsigned long domain_ids[BITS_TO_LONGS(TEST_DOMAINS)];
	u8 regs[PAGE_SIZE];
};

/**
 * struct domain_test - Two IOMMUs, and a device of the greater one
 * @test: Test
 * @lesser: Walks are not coherent, no snoop control
 * @greater: Has both, and caches what is not present; legacy mode
 * @domains: Two domains
 * @bus: Bus of the device
 * @sysdata: Of @bus
 * @pdev: Device, which has ATS
 * @dev_iommu: Of @pdev
 * @info: Of @pdev
 * @table: PASIDs of @pdev
 * @dir: Of @table
 * @leaving: Entry of a PASID that leaves the first domain, or NULL
 * @ats_ctrl: Register of @pdev
 * @silent: ATS may change while the device is attached
 * @absent: Configuration requests are not answered
 * @ats_writes: How often @ats_ctrl was written
 * @context_flushes: Invalidations of the context cache
 * @dev_tlb: Descriptors for the device TLB
 * @submissions: All submissions
 * @iotlb: Invalidations of the IOTLB
 */
struct domain_test {
	struct kunit *test;
	struct test_iommu lesser;
	struct test_iommu greater;
	struct dmar_domain *domains[2];
	struct pci_bus bus;
	struct pci_sysdata sysdata;
	struct pci_dev pdev;
	struct dev_iommu dev_iommu;
	struct device_domain_info info;
	struct pasid_table table;
	struct pasid_dir_entry *dir;
	struct pasid_entry *leaving;
	u16 ats_ctrl;
	bool silent;
	bool absent;
	unsigned int ats_writes;
	unsigned int context_flushes;
	unsigned int dev_tlb;
	unsigned int submissions;
	unsigned int iotlb;
};

static bool test_ats_is_on(struct domain_test *dt)
{
	return dt->ats_ctrl & PCI_ATS_CTRL_ENABLE;
}

static bool test_has_tag(struct dmar_domain *domain, enum cache_tag_type type)
{
	struct cache_tag *tag;

	list_for_each_entry(tag, &domain->cache_tags, node)
		if (tag->type == type)
			return true;
	return false;
}

static struct context_entry *test_context(struct domain_test *dt)
{
	return iommu_context_addr(&dt->greater.iommu, 0, TEST_DEVFN, 0);
}

static bool test_is_live(struct domain_test *dt)
{
	struct context_entry *context = test_context(dt);

	return context && context->lo & 1;
}

/* The device */

static int test_config_read(struct pci_bus *bus, unsigned int devfn, int where,
			    int size, u32 *val)
{
	struct domain_test *dt = container_of(bus, struct domain_test, bus);

	*val = dt->absent ? ~0 : 0x12345678;
	if (where == TEST_ATS_CAP + PCI_ATS_CAP)
		*val = PCI_ATS_CAP_PAGE_ALIGNED;
	else if (where == TEST_ATS_CAP + PCI_ATS_CTRL)
		*val = dt->ats_ctrl;
	return PCIBIOS_SUCCESSFUL;
}

/*
 * A translation request is for the page table of the context entry, and what comes
 * of it has a tag until ATS is off.
 */
static int test_config_write(struct pci_bus *bus, unsigned int devfn, int where,
			     int size, u32 val)
{
	struct domain_test *dt = container_of(bus, struct domain_test, bus);
	unsigned int i;

	if (where != TEST_ATS_CAP + PCI_ATS_CTRL)
		return PCIBIOS_SUCCESSFUL;
	dt->ats_ctrl = val;
	dt->ats_writes++;
	if (dt->silent)
		return PCIBIOS_SUCCESSFUL;
	KUNIT_EXPECT_FALSE(dt->test, test_is_live(dt));
	for (i = 0; i < ARRAY_SIZE(dt->domains); i++)
		KUNIT_EXPECT_FALSE(dt->test, test_has_tag(dt->domains[i],
							  CACHE_TAG_DEVTLB));
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops test_pci_ops = {
	.read = test_config_read,
	.write = test_config_write,
};

/* The IOMMU */

static void test_flush_context(struct intel_iommu *iommu, u16 did, u16 sid,
			       u8 mask, u64 type)
{
	container_of(iommu, struct domain_test, greater.iommu)->context_flushes++;
}

/* An unmap has to find what is in use until all caches have forgotten it */
static void test_expect_leaving(struct domain_test *dt)
{
	struct dmar_domain *domain = dt->domains[0];

	if (!dt->leaving)
		return;
	KUNIT_EXPECT_TRUE(dt->test, test_has_tag(domain, CACHE_TAG_IOTLB));
	KUNIT_EXPECT_TRUE(dt->test, test_has_tag(domain, CACHE_TAG_DEVTLB));
	KUNIT_EXPECT_FALSE(dt->test, xa_empty(&domain->iommu_array));
	KUNIT_EXPECT_FALSE(dt->test, dt->leaving->val[0] & PASID_PTE_PRESENT);
}

/*
 * Whatever is invalidated may still be used at this moment, or is from now on: an
 * unmap has to find it.
 */
static void test_flush_iotlb(struct intel_iommu *iommu, u16 did, u64 addr,
			     unsigned int size_order, u64 type)
{
	struct domain_test *dt = container_of(iommu, struct domain_test,
					      greater.iommu);
	struct iommu_domain_info *used;
	unsigned int i;

	test_expect_leaving(dt);
	for (i = 0; i < ARRAY_SIZE(dt->domains); i++) {
		used = xa_load(&dt->domains[i]->iommu_array, iommu->seq_id);
		if (!used || used->did != did)
			continue;
		dt->iotlb++;
		KUNIT_EXPECT_TRUE(dt->test, test_has_tag(dt->domains[i],
							 CACHE_TAG_IOTLB));
		KUNIT_EXPECT_TRUE(dt->test, test_has_tag(dt->domains[i],
							 CACHE_TAG_DEVTLB));
		/* While the device is silent it has nothing in its TLB */
		KUNIT_EXPECT_TRUE(dt->test,
				  test_ats_is_on(dt) || dt->dev_iommu.silent);
	}
}

static int test_submit(struct intel_iommu *iommu, struct qi_desc *descs,
		       unsigned int count, unsigned long options)
{
	struct domain_test *dt = container_of(iommu, struct domain_test,
					      greater.iommu);
	unsigned int i, type;

	test_expect_leaving(dt);
	dt->submissions++;
	for (i = 0; i < count; i++) {
		type = descs[i].qw0 & 0xf;
		if (type != QI_DIOTLB_TYPE && type != QI_DEIOTLB_TYPE)
			continue;
		dt->dev_tlb++;
		KUNIT_EXPECT_TRUE(dt->test, test_ats_is_on(dt));
	}
	return 0;
}

static void test_iommu_init(struct test_iommu *ti, u64 cap, u64 ecap, int seq_id)
{
	struct intel_iommu *iommu = &ti->iommu;

	iommu->cap = TEST_CAP | cap;
	iommu->ecap = ecap;
	iommu->agaw = 2;
	iommu->seq_id = seq_id;
	iommu->gcmd = DMA_GCMD_TE;
	iommu->domain_ids = ti->domain_ids;
	/* As the driver does */
	set_bit(0, ti->domain_ids);
	set_bit(FLPT_DEFAULT_DID, ti->domain_ids);
	iommu->flush.flush_context = test_flush_context;
	iommu->flush.flush_iotlb = test_flush_iotlb;
	iommu->reg = (void __force __iomem *)ti->regs;
	iommu->iommu.ops = &intel_iommu_ops;
	init_completion(&iommu->prq_complete);
	spin_lock_init(&iommu->lock);
	raw_spin_lock_init(&iommu->device_rbtree_lock);
}

static struct dmar_domain *test_new_domain(struct kunit *test)
{
	struct dmar_domain *domain;

	domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->pgd = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain->pgd);
	domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	domain->agaw = 2;
	domain->gaw = 48;
	domain->nid = NUMA_NO_NODE;
	INIT_LIST_HEAD(&domain->devices);
	INIT_LIST_HEAD(&domain->dev_pasids);
	INIT_LIST_HEAD(&domain->cache_tags);
	spin_lock_init(&domain->lock);
	spin_lock_init(&domain->cache_lock);
	xa_init(&domain->iommu_array);
	return domain;
}

static int domain_test_init(struct kunit *test)
{
	struct domain_test *dt = kunit_kzalloc(test, sizeof(*dt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dt);
	test->priv = dt;
	dt->test = test;
	test_iommu_init(&dt->lesser, 0, 0, 0);
	test_iommu_init(&dt->greater, TEST_CM, TEST_COHERENT | TEST_SC, 1);
	dt->greater.iommu.root_entry = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dt->greater.iommu.root_entry);
	dt->domains[0] = test_new_domain(test);
	dt->domains[1] = test_new_domain(test);
	dt->dir = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dt->dir);
	dt->table.table = dt->dir;
	dt->table.max_pasid = BIT(6);

	dt->bus.ops = &test_pci_ops;
	dt->bus.sysdata = &dt->sysdata;
	dt->pdev.bus = &dt->bus;
	dt->pdev.devfn = TEST_DEVFN;
	dt->pdev.ats_cap = TEST_ATS_CAP;
	dt->pdev.dev.bus = &pci_bus_type;
	dt->pdev.dev.init_name = "intel-domain-test";
	dt->pdev.dev.iommu = &dt->dev_iommu;
	dt->dev_iommu.priv = &dt->info;
	dt->dev_iommu.iommu_dev = &dt->greater.iommu.iommu;
	mutex_init(&dt->dev_iommu.lock);
	dt->info.iommu = &dt->greater.iommu;
	dt->info.dev = &dt->pdev.dev;
	dt->info.devfn = TEST_DEVFN;
	dt->info.ats_supported = 1;
	kunit_activate_static_stub(test, qi_submit_sync, test_submit);
	return 0;
}

static void domain_test_exit(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	unsigned int i;

	if (!dt || !dt->domains[1])
		return;
	for (i = 0; i < ARRAY_SIZE(dt->domains); i++)
		kfree(dt->domains[i]->qi_batch);
	/* Made where somebody looks for an entry */
	iommu_free_page(get_pasid_table_from_pde(dt->dir));
	if (dt->greater.iommu.root_entry[0].lo & 1)
		iommu_free_page(phys_to_virt(dt->greater.iommu.root_entry[0].lo &
					     VTD_PAGE_MASK));
}

/* What has to be flushed once is flushed for ever */
static void domain_test_coherency(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct dmar_domain *domain = dt->domains[0];
	struct intel_iommu *lesser = &dt->lesser.iommu;
	struct intel_iommu *greater = &dt->greater.iommu;

	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, greater), 0);
	KUNIT_EXPECT_TRUE(test, domain->iommu_coherency);
	/* Nothing was written that is not flushed */
	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, lesser), 0);
	KUNIT_EXPECT_FALSE(test, domain->iommu_coherency);
	domain->has_mappings = true;
	domain_detach_iommu(domain, lesser);
	KUNIT_EXPECT_FALSE(test, domain->iommu_coherency);
	domain_detach_iommu(domain, greater);
	KUNIT_EXPECT_FALSE(test, domain->iommu_coherency);
	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, greater), 0);
	KUNIT_EXPECT_FALSE(test, domain->iommu_coherency);
	KUNIT_EXPECT_EQ(test, domain_attach_iommu(domain, lesser), 0);
	domain_detach_iommu(domain, lesser);
	domain_detach_iommu(domain, greater);

	/* What was not flushed cannot be flushed later */
	domain = dt->domains[1];
	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, greater), 0);
	domain->has_mappings = true;
	KUNIT_EXPECT_EQ(test, domain_attach_iommu(domain, lesser), -EINVAL);
	domain_detach_iommu(domain, greater);
	KUNIT_EXPECT_EQ(test, domain_attach_iommu(domain, lesser), -EINVAL);
	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, greater), 0);
	KUNIT_EXPECT_TRUE(test, domain->iommu_coherency);
	domain_detach_iommu(domain, greater);
}

static bool test_enforce(struct dmar_domain *domain)
{
	const struct iommu_domain_ops *ops = intel_iommu_ops.default_domain_ops;

	return ops->enforce_cache_coherency(&domain->domain);
}

static int test_prepare(struct domain_test *dt, unsigned int n)
{
	return prepare_domain_attach_device(&dt->domains[n]->domain,
					    &dt->pdev.dev);
}

/* An IOMMU of five levels that has no second stages of four */
static void domain_test_levels(struct kunit *test)
{
	struct domain_test *dt = test->priv;

	dt->greater.iommu.agaw = 3;
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 0), 0);
	dt->greater.iommu.cap ^= BIT_ULL(10) | BIT_ULL(11);
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 0), -EINVAL);
	dt->domains[0]->use_first_level = 1;
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 0), 0);
}

/* No device is attached at the moment; whoever was comes back */
static void domain_test_snooping(struct kunit *test)
{
	struct domain_test *dt = test->priv;

	/* Before it is forced, and after */
	dt->info.iommu = &dt->lesser.iommu;
	KUNIT_ASSERT_EQ(test, test_prepare(dt, 0), 0);
	KUNIT_EXPECT_FALSE(test, test_enforce(dt->domains[0]));
	KUNIT_EXPECT_TRUE(test, test_enforce(dt->domains[1]));
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 0), 0);
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 1), -EINVAL);
	KUNIT_EXPECT_FALSE(test, dt->domains[0]->set_pte_snp);
	KUNIT_EXPECT_TRUE(test, dt->domains[1]->set_pte_snp);

	dt->info.iommu = &dt->greater.iommu;
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 0), 0);
	KUNIT_EXPECT_EQ(test, test_prepare(dt, 1), 0);
	KUNIT_EXPECT_FALSE(test, test_enforce(dt->domains[0]));
}

static int test_attach(struct domain_test *dt, struct iommu_domain *domain)
{
	const struct iommu_domain_ops *ops =
		domain->ops ?: intel_iommu_ops.default_domain_ops;

	return ops->attach_dev(domain, &dt->pdev.dev);
}

static void test_expect_tags(struct domain_test *dt, unsigned int n, bool has)
{
	KUNIT_EXPECT_EQ(dt->test, test_has_tag(dt->domains[n], CACHE_TAG_IOTLB),
			has);
	KUNIT_EXPECT_EQ(dt->test, test_has_tag(dt->domains[n], CACHE_TAG_DEVTLB),
			has);
}

/*
 * Legacy mode: while the context entry is set up, replaced and torn down the
 * invalidations and the device's registers are looked at above.
 */
static void domain_test_legacy(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct iommu_domain *a = &dt->domains[0]->domain;
	struct iommu_domain *b = &dt->domains[1]->domain;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		dt->iotlb = 0;
		dt->ats_writes = 0;
		KUNIT_ASSERT_EQ(test, test_attach(dt, a), 0);
		KUNIT_EXPECT_TRUE(test, test_is_live(dt));
		KUNIT_EXPECT_TRUE(test, test_ats_is_on(dt));
		KUNIT_EXPECT_TRUE(test, dt->info.dte);
		test_expect_tags(dt, 0, true);

		/* ATS stays on from one page table to the next */
		KUNIT_ASSERT_EQ(test, test_attach(dt, b), 0);
		KUNIT_EXPECT_EQ(test, dt->ats_writes, 1);
		test_expect_tags(dt, 0, false);
		test_expect_tags(dt, 1, true);

		dt->dev_tlb = 0;
		KUNIT_ASSERT_EQ(test, test_attach(dt, intel_iommu_ops.blocked_domain), 0);
		KUNIT_EXPECT_EQ(test, dt->dev_tlb, 1);
		KUNIT_EXPECT_EQ(test, dt->ats_writes, 2);
		KUNIT_EXPECT_FALSE(test, test_is_live(dt));
		KUNIT_EXPECT_FALSE(test, test_ats_is_on(dt));
		test_expect_tags(dt, 1, false);
		/* Each was set up and torn down */
		KUNIT_EXPECT_EQ(test, dt->iotlb, 4);

		/* Translation requests are not taken here, DTE is a bit of TT */
		KUNIT_ASSERT_EQ(test, test_attach(dt, intel_iommu_ops.identity_domain), 0);
		KUNIT_EXPECT_TRUE(test, test_is_live(dt));
		KUNIT_EXPECT_FALSE(test, test_ats_is_on(dt));
		KUNIT_EXPECT_FALSE(test, dt->info.dte);
	}
	KUNIT_ASSERT_EQ(test, test_attach(dt, intel_iommu_ops.blocked_domain), 0);
}

static bool test_takes_translated(struct domain_test *dt)
{
	return test_context(dt)->lo & CONTEXT_SM_DTE;
}

/* What is reset under a kernel driver keeps its page table and is sent nothing */
static void domain_test_silent(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct device *dev = &dt->pdev.dev;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, test_attach(dt, &dt->domains[0]->domain), 0);
	dt->silent = true;
	for (i = 0; i < 2; i++) {
		dt->context_flushes = 0;
		dt->dev_iommu.silent = true;
		intel_iommu_ops.quiesce_dev(dev);
		KUNIT_EXPECT_TRUE(test, test_is_live(dt));
		KUNIT_EXPECT_FALSE(test, test_ats_is_on(dt));
		KUNIT_EXPECT_FALSE(test, test_takes_translated(dt));
		KUNIT_EXPECT_EQ(test, dt->context_flushes, 1);
		KUNIT_EXPECT_EQ(test, dt->greater.iommu.nr_dev_tlb_lost, 1);
		test_expect_tags(dt, 0, true);

		KUNIT_EXPECT_EQ(test, intel_iommu_ops.resume_dev(dev), 0);
		dt->dev_iommu.silent = false;
		KUNIT_EXPECT_TRUE(test, test_is_live(dt));
		KUNIT_EXPECT_TRUE(test, test_ats_is_on(dt));
		KUNIT_EXPECT_TRUE(test, test_takes_translated(dt));
		KUNIT_EXPECT_EQ(test, dt->context_flushes, 2);
		KUNIT_EXPECT_EQ(test, dt->greater.iommu.nr_dev_tlb_lost, 0);
	}

	/* Another one that it gets meanwhile is in its TLB as soon as it has ATS */
	dt->dev_iommu.silent = true;
	intel_iommu_ops.quiesce_dev(dev);
	KUNIT_ASSERT_EQ(test, test_attach(dt, &dt->domains[1]->domain), 0);
	KUNIT_EXPECT_FALSE(test, test_ats_is_on(dt));
	KUNIT_EXPECT_FALSE(test, test_takes_translated(dt));
	test_expect_tags(dt, 0, false);
	test_expect_tags(dt, 1, true);
	KUNIT_EXPECT_EQ(test, intel_iommu_ops.resume_dev(dev), 0);
	dt->dev_iommu.silent = false;
	KUNIT_EXPECT_EQ(test, dt->greater.iommu.nr_dev_tlb_lost, 0);
	KUNIT_EXPECT_TRUE(test, test_ats_is_on(dt));
	KUNIT_EXPECT_TRUE(test, test_takes_translated(dt));
	test_expect_tags(dt, 1, true);
	dt->silent = false;
	KUNIT_ASSERT_EQ(test, test_attach(dt, intel_iommu_ops.blocked_domain), 0);
}

/* What does not answer may come back with its TLB, unless it was pulled out */
static void domain_test_absent(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct rb_root *devices = &dt->greater.iommu.device_rbtree;

	KUNIT_ASSERT_EQ(test, test_attach(dt, &dt->domains[0]->domain), 0);
	rb_link_node(&dt->info.node, NULL, &devices->rb_node);
	rb_insert_color(&dt->info.node, devices);
	KUNIT_EXPECT_TRUE(test, intel_dev_tlb_is_there(&dt->info));
	KUNIT_EXPECT_TRUE(test, test_takes_translated(dt));

	dt->pdev.error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_FALSE(test, intel_dev_tlb_is_there(&dt->info));
	KUNIT_EXPECT_TRUE(test, test_takes_translated(dt));

	dt->pdev.error_state = pci_channel_io_normal;
	dt->absent = true;
	KUNIT_EXPECT_TRUE(test, intel_dev_tlb_is_there(&dt->info));
	KUNIT_EXPECT_FALSE(test, test_takes_translated(dt));
	KUNIT_EXPECT_TRUE(test, dt->info.dev_tlb_lost);

	dt->absent = false;
	rb_erase(&dt->info.node, devices);
	KUNIT_EXPECT_TRUE(test, intel_dev_tlb_found(&dt->info));
	KUNIT_ASSERT_EQ(test, test_attach(dt, intel_iommu_ops.blocked_domain), 0);
}

static void test_drain(struct domain_test *dt, unsigned int dev_tlb)
{
	dt->submissions = 0;
	dt->dev_tlb = 0;
	intel_iommu_drain_pasid_prq(&dt->pdev.dev, TEST_PASID);
	KUNIT_EXPECT_EQ(dt->test, dt->submissions, 1);
	KUNIT_EXPECT_EQ(dt->test, dt->dev_tlb, dev_tlb);
}

static int test_respond(struct domain_test *dt)
{
	struct iommu_page_response response = {};
	struct iopf_fault fault = {};

	dt->submissions = 0;
	intel_iommu_ops.page_response(&dt->pdev.dev, &fault, &response);
	return dt->submissions;
}

/*
 * A device that cannot answer is sent nothing on account of its page requests. That
 * it has ATS is arranged once; what changes then, the ops have changed.
 */
static void domain_test_quiesced(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct device *dev = &dt->pdev.dev;
	struct iopf_queue *queue;

	dt->pdev.ats_enabled = 1;
	dt->pdev.ats_stu = VTD_PAGE_SHIFT - PCI_ATS_MIN_STU;
	dt->ats_ctrl = PCI_ATS_CTRL_ENABLE;
	dt->info.ats_enabled = 1;
	queue = iopf_queue_alloc("intel-domain-test");
	KUNIT_ASSERT_NOT_NULL(test, queue);
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(queue, dev), 0);
	dt->info.pri_enabled = true;
	test_drain(dt, 1);
	KUNIT_EXPECT_EQ(test, test_respond(dt), 1);

	dt->dev_iommu.parked = true;
	intel_iommu_ops.quiesce_dev(dev);
	KUNIT_EXPECT_FALSE(test, test_ats_is_on(dt));
	test_drain(dt, 0);
	KUNIT_EXPECT_EQ(test, test_respond(dt), 0);

	KUNIT_EXPECT_EQ(test, intel_iommu_ops.resume_dev(dev), 0);
	KUNIT_EXPECT_TRUE(test, test_ats_is_on(dt));
	test_drain(dt, 1);
	KUNIT_EXPECT_EQ(test, test_respond(dt), 1);
	iopf_queue_remove_device(queue, dev);
	iopf_queue_free(queue);
}

/* Whose TLB an invalidation is for is found where its kind has it */
static void domain_test_dev_tlb(struct kunit *test)
{
	struct qi_desc desc = {};
	unsigned int type;
	u16 sid = 0;
	bool is;

	desc.qw0 = QI_DIOTLB_TYPE | QI_DEV_IOTLB_QDEP(31) |
		   QI_DEV_IOTLB_PFSID(0xffff) | (u64)TEST_SID << 32;
	KUNIT_EXPECT_TRUE(test, intel_desc_is_dev_tlb(&desc, &sid));
	KUNIT_EXPECT_EQ(test, sid, TEST_SID);

	sid = 0;
	desc.qw0 = QI_DEIOTLB_TYPE | QI_DEV_EIOTLB_QDEP(31) |
		   QI_DEV_EIOTLB_PFSID(0xffff) | QI_DEV_EIOTLB_PASID(0xfffff) |
		   (u64)TEST_SID << 16;
	KUNIT_EXPECT_TRUE(test, intel_desc_is_dev_tlb(&desc, &sid));
	KUNIT_EXPECT_EQ(test, sid, TEST_SID);

	for (type = 0; type <= 0xf; type++) {
		desc.qw0 = (u64)TEST_SID << 32 | TEST_SID << 16 | type;
		is = type == QI_DIOTLB_TYPE || type == QI_DEIOTLB_TYPE;
		KUNIT_EXPECT_EQ(test, intel_desc_is_dev_tlb(&desc, &sid), is);
	}
}

/* The entry of TEST_PASID, as of a second stage with this domain ID */
static struct pasid_entry *test_set_entry(struct domain_test *dt, u16 did)
{
	struct pasid_entry *entries = get_pasid_table_from_pde(dt->dir);

	if (!entries) {
		entries = iommu_alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(dt->test, entries);
		dt->dir->val = virt_to_phys(entries) | PASID_PTE_PRESENT;
	}
	pasid_set_domain_id(&entries[TEST_PASID], did);
	pasid_set_translation_type(&entries[TEST_PASID],
				   PASID_ENTRY_PGTT_SL_ONLY);
	pasid_set_present(&entries[TEST_PASID]);
	return &entries[TEST_PASID];
}

static void domain_test_pasid_leaves(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct dmar_domain *domain = dt->domains[0];
	struct device *dev = &dt->pdev.dev;
	struct dev_pasid_info *dev_pasid;
	u16 did;

	dt->info.pasid_table = &dt->table;
	dt->info.ats_enabled = 1;
	dt->ats_ctrl = PCI_ATS_CTRL_ENABLE;
	KUNIT_ASSERT_EQ(test, domain_attach_iommu(domain, &dt->greater.iommu), 0);
	did = domain_id_iommu(domain, &dt->greater.iommu);
	KUNIT_ASSERT_EQ(test, cache_tag_assign_domain(domain, dev, TEST_PASID), 0);
	dev_pasid = kzalloc(sizeof(*dev_pasid), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev_pasid);
	dev_pasid->dev = dev;
	dev_pasid->pasid = TEST_PASID;
	list_add(&dev_pasid->link_domain, &domain->dev_pasids);

	dt->leaving = test_set_entry(dt, did);
	intel_iommu_ops.remove_dev_pasid(dev, TEST_PASID, &domain->domain);
	/* PASID cache and device TLB, and the IOTLB of the domain ID */
	KUNIT_EXPECT_EQ(test, dt->submissions, 2);
	KUNIT_EXPECT_EQ(test, dt->dev_tlb, 1);
	KUNIT_EXPECT_EQ(test, dt->iotlb, 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&domain->cache_tags));
	KUNIT_EXPECT_TRUE(test, list_empty(&domain->dev_pasids));
	KUNIT_EXPECT_TRUE(test, xa_empty(&domain->iommu_array));
	KUNIT_EXPECT_FALSE(test, test_bit(did, dt->greater.domain_ids));
	KUNIT_EXPECT_EQ(test, dt->leaving->val[0], 0);
}

static void test_remove(struct domain_test *dt, ioasid_t pasid,
			struct iommu_domain *domain)
{
	dt->info.pasid_table = &dt->table;
	intel_iommu_ops.remove_dev_pasid(&dt->pdev.dev, pasid, domain);
	dt->info.pasid_table = NULL;
	intel_iommu_ops.remove_dev_pasid(&dt->pdev.dev, pasid, domain);
}

/* It joined its group later, or has fewer PASIDs than the others */
static void domain_test_pasid_not_had(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct iommu_domain *identity = intel_iommu_ops.identity_domain;
	struct iommu_domain *domain = &dt->domains[0]->domain;
	struct pasid_entry *entry, before;

	/* What tells of this one is the entry, which is empty */
	test_remove(dt, TEST_PASID, identity);
	test_remove(dt, dt->table.max_pasid, identity);

	entry = test_set_entry(dt, TEST_DOMAINS - 1);
	before = *entry;
	test_remove(dt, TEST_PASID, domain);
	test_remove(dt, dt->table.max_pasid, domain);
	KUNIT_EXPECT_MEMEQ(test, entry, &before, sizeof(before));
	KUNIT_EXPECT_EQ(test, dt->submissions, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&dt->domains[0]->iommu_array));
}

/* Nothing is taken off to replace a domain that the device never had */
static void domain_test_old_not_had(struct kunit *test)
{
	struct domain_test *dt = test->priv;
	struct iommu_domain *old = &dt->domains[0]->domain;
	struct iommu_domain *new = &dt->domains[1]->domain;
	struct pasid_entry *entry, before;

	if (!intel_iommu_sm)
		kunit_skip(test, "scalable mode is off");
	dt->greater.iommu.ecap |= TEST_ECAP_PASID;
	dt->info.pasid_table = &dt->table;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dev_pasid(new, &dt->pdev.dev,
							TEST_PASID, old),
			-EOPNOTSUPP);
	dt->info.pasid_enabled = 1;
	entry = test_set_entry(dt, TEST_DOMAINS - 1);
	before = *entry;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dev_pasid(new, &dt->pdev.dev,
							TEST_PASID, old),
			-EBUSY);
	KUNIT_EXPECT_MEMEQ(test, entry, &before, sizeof(before));
	KUNIT_EXPECT_EQ(test, dt->submissions, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&dt->domains[1]->cache_tags));
	KUNIT_EXPECT_TRUE(test, xa_empty(&dt->domains[1]->iommu_array));
}

static struct kunit_case domain_test_cases[] = {
	KUNIT_CASE(domain_test_coherency),
	KUNIT_CASE(domain_test_levels),
	KUNIT_CASE(domain_test_snooping),
	KUNIT_CASE(domain_test_legacy),
	KUNIT_CASE(domain_test_silent),
	KUNIT_CASE(domain_test_absent),
	KUNIT_CASE(domain_test_quiesced),
	KUNIT_CASE(domain_test_dev_tlb),
	KUNIT_CASE(domain_test_pasid_leaves),
	KUNIT_CASE(domain_test_pasid_not_had),
	KUNIT_CASE(domain_test_old_not_had),
	{},
};

static struct kunit_suite domain_test_suite = {
	.name = "intel-domain",
	.init = domain_test_init,
	.exit = domain_test_exit,
	.test_cases = domain_test_cases,
};

kunit_test_suites(&domain_test_suite);
