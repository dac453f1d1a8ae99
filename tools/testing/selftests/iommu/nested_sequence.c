// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random sequences of everything that changes where a device's DMA goes: attach,
 * replace and detach, with and without PASIDs, a guest's tables and entries, map
 * and unmap, close, reset, power states and removal, for two devices. After each
 * change DMA goes where a model says, and nowhere else: what is no longer mapped
 * is not reached, from whichever TLB.
 *
 * From the environment (the kernel's command line, where this is run by init):
 *
 *   seed=N		of the first sequence; the others count on from there
 *   sequences=N	how many of them
 *
 * What fails names its seed, and its steps.
 */
#include <pthread.h>
#include <stdarg.h>

#include "nested_env.h"
#include "nested_sequence.h"

#include "../kselftest_harness.h"

#define DEFAULT_SEQUENCES	20
#define STEPS			24
/* DMAs that fill TLBs between two changes */
#define WARM_DMAS		4

/* The steps of a sequence, and what went wrong */
#define LINES			(STEPS * 4)

struct history {
	char lines[LINES][80];
	unsigned int nr;
};

FIXTURE(sequence)
{
	struct seq s;
	struct history history;
	__u64 random;
	bool resets;
};

FIXTURE_VARIANT(sequence)
{
	bool resets;
	unsigned long seed;
};

/* What a VMM does */
FIXTURE_VARIANT_ADD(sequence, attach)
{
	.seed = 1000,
};

/* ... and devices that are reset, sleep and go */
FIXTURE_VARIANT_ADD(sequence, reset)
{
	.resets = true,
	.seed = 1000000,
};

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

/* xorshift64*: the same numbers everywhere */
static unsigned int pick(struct _test_data_sequence *self, unsigned int below)
{
	self->random ^= self->random >> 12;
	self->random ^= self->random << 25;
	self->random ^= self->random >> 27;
	return (self->random * 0x2545f4914f6cdd1dULL >> 33) % below;
}

static void __printf(2, 3)
note(struct _test_data_sequence *self, const char *format, ...)
{
	struct history *h = &self->history;
	va_list args;

	if (h->nr == LINES)
		return;
	va_start(args, format);
	vsnprintf(h->lines[h->nr++], sizeof(h->lines[0]), format, args);
	va_end(args);
}

static int setup_spaces(struct seq *s)
{
	__u32 flags = s->sources > 1 ? IOMMU_HWPT_ALLOC_PASID : 0;
	__u32 id = s->dev[0].edu.dev.id;
	int rc, fd = s->vm.iommufd;

	rc = ioas_map(fd, s->vm.ioas, s->vm.mem, VM_GPA, TABLE_MEMORY);
	rc = rc ?: ioas_alloc(fd, &s->other_ioas);
	rc = rc ?: hwpt_alloc(fd, id, s->vm.ioas,
			      IOMMU_HWPT_ALLOC_NEST_PARENT | flags,
			      &s->pt[PARENT]);
	s->vm.parent = s->pt[PARENT];
	rc = rc ?: hwpt_alloc(fd, id, s->vm.ioas, flags, &s->pt[PAGING]);
	return rc ?: hwpt_alloc(fd, id, s->other_ioas, flags,
				&s->pt[PAGING_OTHER]);
}

static void write_entry(struct seq_table *t, struct seq *s, unsigned int source)
{
	const struct s1_table *s1 = NULL;

	if (t->s1[source] != NOTHING)
		s1 = &s->s1[t->s1[source]];
#ifdef EDU_PASIDS
	if (source) {
		if (s1)
			pasid_table_set_pasid(&t->pasids, seq_pasid(source), s1);
		else
			pasid_table_clear_pasid(&t->pasids, seq_pasid(source));
		return;
	}
#endif
	if (s1)
		pasid_table_set(&t->pasids, s1);
	else
		pasid_table_clear(&t->pasids);
}

static int setup_hwpt(struct seq *s, enum target target)
{
	const struct seq_table *t = &s->table[target == TABLE_OTHER];
	struct iommu_hwpt_pasid_table config = pasid_table_config(&t->pasids);
	struct vfio_dev *dev = &s->dev[0].edu.dev;

	if (target == TABLE_NO_ATS)
		return hwpt_alloc_table(s->vm.iommufd, dev->id, s->vm.parent,
					&config, &s->pt[target]);
	if (target == TABLE_ABORT)
		config.config = IOMMU_PASID_TABLE_ABORT;
	return vm_table(&s->vm, dev, &config, &s->pt[target]);
}

static int setup_tables(struct seq *s)
{
	unsigned int i, source;
	enum target target;
	int rc = 0;

	for (i = 0; i < S1_TABLES; i++)
		s1_init(&s->s1[i], &s->vm, 12, TAG + i);
	for (i = 0; i < GUEST_TABLES; i++) {
		struct seq_table *t = &s->table[i];

#ifdef EDU_PASIDS
		pasid_table_init_bits(&t->pasids, &s->vm, s->sources > 1 ? 4 : 0);
#else
		pasid_table_init(&t->pasids, &s->vm);
#endif
		for (source = 0; source < s->sources; source++) {
			t->s1[source] = (i + source) % S1_TABLES;
			write_entry(t, s, source);
		}
	}
	for (target = TABLE; target < TARGETS; target++)
		rc = rc ?: setup_hwpt(s, target);
	return rc;
}

/* All but the guest's memory and the pages, which stay for the next sequence */
static int setup(struct seq *s)
{
	unsigned int dev;
	int rc;

	memset(s->vm.mem, 0, s->vm.used);
	s->vm.used = 4096;
	memset(s->slot, NOTHING, sizeof(s->slot));
	memset(s->giova, NOTHING, sizeof(s->giova));
	s->vm.iommufd = iommufd_open();
	rc = s->vm.iommufd < 0 ? s->vm.iommufd : 0;
	rc = rc ?: ioas_alloc(s->vm.iommufd, &s->vm.ioas);
	for (dev = 0; dev < DEVS; dev++)
		rc = rc ?: seq_open(s, dev);
	rc = rc ?: seq_count_sources(s);
	rc = rc ?: setup_spaces(s);
	return rc ?: setup_tables(s);
}

static void teardown(struct seq *s)
{
	unsigned int dev;

	for (dev = 0; dev < DEVS; dev++)
		vfio_close(&s->dev[dev].edu.dev);
	if (s->vm.iommufd >= 0)
		close(s->vm.iommufd);
	s->vm.iommufd = -1;
}

FIXTURE_SETUP(sequence)
{
	struct seq *s = &self->s;
	unsigned int page, dev;
	__u8 *mem;

	memset(s, 0, sizeof(*s));
	for (dev = 0; dev < DEVS; dev++)
		s->dev[dev].edu.dev.fd = -1;
	s->vm.iommufd = -1;
	ASSERT_EQ(0, vm_memory(&s->vm));
	mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (page = 0; page < PAGES; page++)
		s->page[page] = mem + page * 4096;
}

FIXTURE_TEARDOWN(sequence)
{
	teardown(&self->s);
	munmap(self->s.page[0], PAGES * 4096);
	munmap(self->s.vm.mem, VM_SIZE);
}

/* Why a variant cannot run here, or NULL */
static const char *lacking(struct seq *s, bool resets)
{
	struct vfio_dev *dev = &s->dev[0].edu.dev;
	int rc = S1_SUPPORTED ? setup(s) : -EOPNOTSUPP;
	/* What else fails, the first sequence says */
	const char *lacks = env_reason(rc);

	if (!rc && resets && !vfio_can_reset(dev))
		lacks = "the device has no reset";
	else if (!rc && resets && vfio_sleep(dev, false))
		lacks = "the device has no power states";
	teardown(s);
	return lacks;
}

static bool dma(struct _test_data_sequence *self, unsigned int dev,
		unsigned int source, unsigned int addr)
{
	struct seq *s = &self->s;
	int expected, reached;

	/* Its registers cannot be reached */
	if (s->dev[dev].asleep)
		return true;
	expected = seq_expect(s, dev, source, addr);
	reached = seq_dma(s, dev, source, addr);
	if (reached == expected)
		return true;
	note(self, "DMA device %u source %u address %u: page %d instead of %d",
	     dev, source, addr, reached, expected);
	return false;
}

/* Fill TLBs: half of the DMAs go where there is something */
static bool warm(struct _test_data_sequence *self)
{
	unsigned int i, tries, dev = 0, source = 0, addr = 0;

	for (i = 0; i < WARM_DMAS; i++) {
		for (tries = 0; tries < 8; tries++) {
			dev = pick(self, DEVS);
			source = pick(self, self->s.sources);
			addr = pick(self, ADDRS);
			if (seq_expect(&self->s, dev, source, addr) != NOTHING)
				break;
		}
		if (!dma(self, dev, source, addr))
			return false;
	}
	return true;
}

/* Every address of one device, by every source */
static bool check_device(struct _test_data_sequence *self, unsigned int dev)
{
	unsigned int source, addr;

	for (source = 0; source < self->s.sources; source++)
		for (addr = 0; addr < ADDRS; addr++)
			if (!dma(self, dev, source, addr))
				return false;
	return true;
}

/* Whatever may lead to a slot, by every source */
static bool check_slot(struct _test_data_sequence *self, unsigned int slot)
{
	unsigned int dev, source, giova;

	for (dev = 0; dev < DEVS; dev++)
		for (source = 0; source < self->s.sources; source++) {
			if (!dma(self, dev, source, slot))
				return false;
			for (giova = SLOTS; giova < ADDRS; giova++)
				if (!dma(self, dev, source, giova))
					return false;
		}
	return true;
}

static bool expect(struct _test_data_sequence *self, int expected, int rc)
{
	if (rc == expected)
		return true;
	note(self, "returned %d instead of %d", rc, expected);
	return false;
}

/* Map a slot that has nothing, or unmap it */
static bool change_slot(struct _test_data_sequence *self)
{
	unsigned int space = pick(self, SPACES), slot = pick(self, SLOTS);
	unsigned int page = pick(self, PAGES);
	struct seq *s = &self->s;
	__u32 ioas = seq_ioas(s, space);
	int *at = &s->slot[space][slot];
	int rc;

	if (*at == NOTHING) {
		note(self, "map space %u slot %u to page %u", space, slot, page);
		rc = ioas_map(s->vm.iommufd, ioas, s->page[page],
			      seq_addr(slot), 4096);
		*at = page;
	} else {
		note(self, "unmap space %u slot %u", space, slot);
		rc = ioas_unmap(s->vm.iommufd, ioas, seq_addr(slot), 4096);
		*at = NOTHING;
	}
	return expect(self, 0, rc) && check_slot(self, slot);
}

static bool has_pasids(const struct seq_dev *d)
{
	unsigned int source;

	for (source = 1; source < SOURCES; source++)
		if (d->at[source] != DETACHED)
			return true;
	return false;
}

static bool attach(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);
	enum target target = pick(self, TARGETS + 1);
	struct seq_dev *d = &self->s.dev[dev];
	int rc, expected = 0;

	note(self, "device %u: RID to %u", dev, target);
	if (target == DETACHED) {
		rc = vfio_detach(&d->edu.dev);
	} else {
		/* A guest's table has all PASIDs, or none */
		if (is_guest_table(target) && has_pasids(d))
			expected = -EINVAL;
		rc = vfio_attach(&d->edu.dev, self->s.pt[target]);
	}
	if (!expected)
		d->at[0] = target;
	return expect(self, expected, rc) && check_device(self, dev);
}

static bool attach_pasid(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);
	unsigned int source = 1 + pick(self, SOURCES - 1);
	enum target target = pick(self, HOST_TARGETS + 1);
	struct seq_dev *d = &self->s.dev[dev];
	struct vfio_dev *vdev = &d->edu.dev;
	int rc, expected = 0;

	if (self->s.sources == 1)
		return true;
	if (target == HOST_TARGETS) {
		note(self, "device %u: detach source %u", dev, source);
		target = DETACHED;
		rc = vfio_detach_pasid(vdev, seq_pasid(source));
	} else {
		note(self, "device %u: attach source %u to %u", dev, source,
		     target);
		if (is_guest_table(d->at[0]))
			expected = -EINVAL;
		rc = vfio_attach_pasid(vdev, seq_pasid(source),
				       self->s.pt[target]);
	}
	if (!expected)
		d->at[source] = target;
	return expect(self, expected, rc) && check_device(self, dev);
}

static bool invalidate(struct _test_data_sequence *self, enum target target,
		       struct iommu_hwpt_pasid_table_invalidate req)
{
	struct vm *vm = &self->s.vm;

	return expect(self, 0, vm_invalidate(vm, self->s.pt[target], req));
}

/* Make a gIOVA lead elsewhere, and have its page or everything invalidated */
static bool change_page(struct _test_data_sequence *self)
{
	unsigned int i = pick(self, S1_TABLES), giova = pick(self, SLOTS);
	bool page = pick(self, 2);
	int slot = (int)pick(self, SLOTS + 1) - 1;
	struct seq *s = &self->s;
	__u64 addr = seq_addr(SLOTS + giova);
	struct iommu_hwpt_pasid_table_invalidate req =
		page ? inv_addr(0, 12, addr, 1) : inv_domain(INV_IOTLB);
	enum target target;

	note(self, "guest table %u: gIOVA %u to slot %d, %s", i, giova, slot,
	     page ? "by page" : "all");
	if (slot == NOTHING)
		s1_unmap(&s->s1[i], addr);
	else
		s1_map(&s->s1[i], addr, seq_addr(slot));
	s->giova[i][giova] = slot;
	for (target = TABLE; target < TABLE_ABORT; target++)
		if (!invalidate(self, target, req))
			return false;
	return check_device(self, 0) && check_device(self, 1);
}

static bool change_entry(struct _test_data_sequence *self)
{
	unsigned int i = pick(self, GUEST_TABLES);
	unsigned int source = pick(self, self->s.sources);
	int s1 = (int)pick(self, S1_TABLES + 1) - 1;
	struct seq_table *t = &self->s.table[i];
	enum target target;

	note(self, "guest's entries %u: source %u to table %d", i, source, s1);
	t->s1[source] = s1;
	write_entry(t, &self->s, source);
	for (target = TABLE; target < TABLE_ABORT; target++)
		if (i == (target == TABLE_OTHER ? 1 : 0) &&
		    !invalidate(self, target, inv_domain(INV_ALL)))
			return false;
	return check_device(self, 0) && check_device(self, 1);
}

/* All that is attached goes */
static bool reopen(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);

	note(self, "device %u: close and open", dev);
	vfio_close(&self->s.dev[dev].edu.dev);
	return expect(self, 0, seq_open(&self->s, dev)) &&
	       check_device(self, dev);
}

/* What is attached stays attached */
static bool reset(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);
	struct seq_dev *d = &self->s.dev[dev];
	int rc;

	note(self, "device %u: FLR", dev);
	rc = call(d->edu.dev.fd, VFIO_DEVICE_RESET, NULL);
	d->asleep = false;
	return expect(self, 0, rc ?: vfio_enable(&d->edu.dev)) &&
	       check_device(self, dev);
}

/* The other device goes on meanwhile, and its owner changes things for both */
static bool power(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);
	struct seq_dev *d = &self->s.dev[dev];
	int rc;

	d->asleep = !d->asleep;
	note(self, "device %u: %s", dev, d->asleep ? "D3hot" : "D0");
	rc = vfio_sleep(&d->edu.dev, d->asleep);
	if (!d->asleep)
		rc = rc ?: vfio_enable(&d->edu.dev);
	return expect(self, 0, rc) && check_device(self, 0) &&
	       check_device(self, 1);
}

/* Returns when nobody has the device any more */
static void *remove_device(void *name)
{
	return (void *)(intptr_t)pci_write(name, "remove", "1");
}

/* Take the device away and bring it back, for VFIO again */
static bool replug(struct _test_data_sequence *self)
{
	unsigned int dev = pick(self, DEVS);
	struct vfio_dev *vdev = &self->s.dev[dev].edu.dev;
	pthread_t thread;
	void *result;
	int rc;

	note(self, "device %u: unplug", dev);
	rc = -pthread_create(&thread, NULL, remove_device, vdev->name);
	vfio_close(vdev);
	rc = rc ?: -pthread_join(thread, &result);
	rc = rc ?: (int)(intptr_t)result;
	/* Not to be used: there is no such device at the moment */
	self->s.dev[dev].asleep = true;
	if (!expect(self, 0, rc) || !check_device(self, !dev))
		return false;

	rc = pci_give_back(vdev);
	return expect(self, 0, rc ?: seq_open(&self->s, dev)) &&
	       check_device(self, dev);
}

static bool disturb(struct _test_data_sequence *self)
{
	unsigned int what = pick(self, 8);

	if (what < 4)
		return power(self);
	return what < 7 ? reset(self) : replug(self);
}

/* Or nothing is in its TLB, and nothing that is forgotten there would show */
static bool ats_is_on(struct _test_data_sequence *self)
{
	const struct seq_dev *d;
	unsigned int dev;

	for (dev = 0; dev < DEVS; dev++) {
		d = &self->s.dev[dev];
		if (!d->uses_ats || d->asleep ||
		    (d->at[0] == DETACHED && !has_pasids(d)))
			continue;
		if (!pci_ats_on(&d->edu.dev)) {
			note(self, "device %u: ATS is off", dev);
			return false;
		}
	}
	return true;
}

static bool step(struct _test_data_sequence *self)
{
	unsigned int what = pick(self, self->resets ? 20 : 16);
	bool ok;

	if (what >= 16)
		ok = disturb(self);
	else if (what < 5)
		ok = change_slot(self);
	else if (what < 8)
		ok = attach(self);
	else if (what < 11)
		ok = attach_pasid(self);
	else if (what < 13)
		ok = change_page(self);
	else if (what < 15)
		ok = change_entry(self);
	else
		ok = reopen(self);
	return ok && ats_is_on(self) && warm(self);
}

/* The slots of the spaces and gIOVAs that most steps need */
static bool fill(struct _test_data_sequence *self)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		if (!change_slot(self) || !change_page(self))
			return false;
	return true;
}

static bool run_sequence(struct _test_data_sequence *self, unsigned long seed)
{
	unsigned int i;
	bool ok;

	self->history.nr = 0;
	/* Any but 0 */
	self->random = seed * 0x9e3779b97f4a7c15ULL | 1;
	ok = expect(self, 0, setup(&self->s)) && fill(self);
	for (i = 0; ok && i < STEPS; i++)
		ok = step(self);
	teardown(&self->s);
	return ok;
}

/* As long as it takes: who asks for many sequences waits for them */
TEST_F_TIMEOUT(sequence, random, 86400)
{
	unsigned long seed = number("seed", variant->seed);
	unsigned long end = seed + number("sequences", DEFAULT_SEQUENCES);
	const char *lacks;
	unsigned int i;

	self->resets = variant->resets;
	lacks = lacking(&self->s, self->resets);
	if (lacks)
		SKIP(return, "%s", lacks);
	ASSERT_EQ(seq_wanted_sources(&self->s), self->s.sources);
	for (i = 0; i < DEVS; i++)
		ASSERT_EQ(S1_USES_ATS, self->s.dev[i].uses_ats);
	for (; seed < end; seed++) {
		if (run_sequence(self, seed))
			continue;
		for (i = 0; i < self->history.nr; i++)
			TH_LOG("%u: %s", i, self->history.lines[i]);
		ASSERT_TRUE(false) {
			TH_LOG("seed=%lu sequences=1 repeats it", seed);
		}
	}
	TH_LOG("%lu sequences, the last with seed=%lu",
	       number("sequences", DEFAULT_SEQUENCES), end - 1);
}

TEST_HARNESS_MAIN
