// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of a guest's SMMUv3 that it should not give: none of them reaches the
 * host's queue, nor another guest.
 */
#define NESTED_VIOMMU
#include "nested_env.h"

#include "../kselftest_harness.h"

static struct smmu_cmd tlbi_va(__u64 addr)
{
	return cmd_make(CMD_TLBI_NH_VA | (__u64)TAG << CMD0_ASID_SHIFT,
			addr | CMD1_LEAF);
}

static int send(struct env *env, const struct smmu_cmd *cmds, __u32 *num)
{
	return viommu_commands(env->vm.iommufd, env->vm.viommu, cmds, num);
}

static int send_one(struct env *env, struct smmu_cmd cmd)
{
	__u32 num = 1;
	int rc = send(env, &cmd, &num);

	return num == !rc ? rc : -EPROTO;
}

FIXTURE(hostile)
{
	struct env env;
	struct edu edu;
	struct probe other;
};

FIXTURE_SETUP(hostile)
{
	struct env *env = &self->env;
	int rc = env_init(env, true, 12);

	self->edu.dev.fd = -1;
	rc = rc ?: edu_open(&self->edu, 0);
	rc = rc ?: vfio_bind(&self->edu.dev, env->vm.iommufd);
	if (env_reason(rc))
		SKIP(return, "%s", env_reason(rc));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, vfio_attach(env->dev, env->hwpt));
	ASSERT_EQ(0, vfio_attach(&self->edu.dev, env->vm.parent));
	ASSERT_EQ(0, probe_edu(&self->other, &env->vm, &self->edu));
}

FIXTURE_TEARDOWN(hostile)
{
	vfio_close(&self->edu.dev);
	env_exit(&self->env);
}

/* Fields of the commands that a guest may give, on an SMMU like QEMU's */
struct allowed {
	__u8 opcode;
	bool by_stream;
	__u64 fields[2];
};

#define BITS(high, low) ((~0ULL >> (63 - (high))) & (~0ULL << (low)))
#define OP	BITS(7, 0)
#define VMID	BITS(47, 32)
#define ASID	BITS(63, 48)
#define SID	BITS(63, 32)
#define RANGE0	(BITS(16, 12) | BITS(24, 20))
#define RANGE1	(BITS(9, 8) | BITS(11, 10))
#define ADDR	BITS(63, 12)

static const struct allowed allowed[] = {
	{ CMD_CFGI_CD, true, { OP | SID, CMD1_LEAF } },
	{ CMD_CFGI_CD_ALL, true, { OP | SID, 0 } },
	{ CMD_TLBI_NH_ALL, false, { OP | VMID, 0 } },
	{ CMD_TLBI_NH_ASID, false, { OP | VMID | ASID, 0 } },
	{ CMD_TLBI_NH_VA, false, { OP | VMID | ASID | RANGE0,
				   CMD1_LEAF | RANGE1 | ADDR } },
	{ CMD_TLBI_NH_VAA, false, { OP | VMID | RANGE0,
				    CMD1_LEAF | RANGE1 | ADDR } },
	{ CMD_TLBI_NSNH_ALL, false, { OP, 0 } },
};

static const struct allowed *find_allowed(unsigned int opcode)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i].opcode == opcode)
			return &allowed[i];
	return NULL;
}

/* Two VMs' worth of invalidations still work after whatever was sent */
static void check_queue(struct __test_metadata *_metadata, struct env *env,
			struct probe *other)
{
	struct probe *probe = &env->probe;

	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, send_one(env, cmd_make(CMD_TLBI_NSNH_ALL, 0)));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, send_one(env, tlbi_va(GIOVA)));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));

	/* The host's own: an unmap waits for the queue */
	EXPECT_EQ(0, ioas_map(env->vm.iommufd, env->vm.ioas, env->vm.mem,
			      VM_GPA + VM_SIZE, 4096));
	EXPECT_EQ(0, ioas_unmap(env->vm.iommufd, env->vm.ioas, VM_GPA + VM_SIZE,
				4096));
	EXPECT_EQ(AT_A, probe_dma(other, other->a));
	EXPECT_EQ(0, faults(env->dev, false));
}

TEST_F(hostile, every_opcode)
{
	struct env *env = &self->env;
	const struct allowed *is;
	unsigned int opcode;
	__u64 sid;
	int log = log_open();

	ASSERT_LE(0, log);
	for (opcode = 0; opcode < 256; opcode++) {
		is = find_allowed(opcode);
		sid = is && is->by_stream ? vsid_of(env->dev) : 0;
		EXPECT_EQ(is ? 0 : -EIO,
			  send_one(env, cmd_make(opcode | sid << 32, 0))) {
			TH_LOG("opcode 0x%02x", opcode);
		}
		if (is)
			continue;
		/* With a stream that the guest has, and all ones */
		sid = vsid_of(env->dev);
		EXPECT_EQ(-EIO, send_one(env, cmd_make(opcode | sid << 32, 0)));
		EXPECT_EQ(-EIO, send_one(env, cmd_make(opcode | ~0xffULL, ~0)));
	}
	check_queue(_metadata, env, &self->other);
	EXPECT_EQ(0, log_events(env->dev, log));
	close(log);
}

/* Each bit of each command, alone on top of a good one */
TEST_F(hostile, every_bit)
{
	const __u64 sid = vsid_of(self->env.dev);
	struct env *env = &self->env;
	const struct allowed *is;
	unsigned int i, bit, word;
	__u64 words[2];
	bool passes;

	for (i = 0; i < ARRAY_SIZE(allowed); i++) {
		is = &allowed[i];
		for (bit = 0; bit < 128; bit++) {
			word = bit / 64;
			words[0] = is->opcode | (is->by_stream ? sid << 32 : 0);
			words[1] = 0;
			words[word] ^= 1ULL << bit % 64;
			if (bit < 8)	/* every_opcode */
				continue;
			passes = is->fields[word] & 1ULL << bit % 64;
			if (is->by_stream && !word && bit >= 32)
				passes = false;		/* no such stream */
			EXPECT_EQ(passes ? 0 : -EIO,
				  send_one(env, cmd_make(words[0], words[1]))) {
				TH_LOG("opcode 0x%02x, bit %u", is->opcode,
				       bit);
			}
		}
	}
	check_queue(_metadata, env, &self->other);
}

/* A range must be aligned to its granule */
TEST_F(hostile, ranges)
{
	static const __u64 tg_bits[] = { 12, 14, 16 };
	struct env *env = &self->env;
	__u64 word0 = CMD_TLBI_NH_VA | (__u64)TAG << CMD0_ASID_SHIFT;
	unsigned int tg, bit, num, scale;
	__u64 word1;

	for (tg = 1; tg <= 3; tg++) {
		for (bit = 12; bit < 20; bit++) {
			word1 = 1ULL << bit | (__u64)tg << CMD1_TG_SHIFT;
			EXPECT_EQ(bit < tg_bits[tg - 1] ? -EIO : 0,
				  send_one(env, cmd_make(word0, word1)));
		}
		for (num = 0; num < 32; num++) {
			for (scale = 0; scale < 32; scale++)
				EXPECT_EQ(0, send_one(env, cmd_make(word0 |
					(__u64)num << CMD0_NUM_SHIFT |
					(__u64)scale << CMD0_SCALE_SHIFT,
					~0ULL << 16 |
					(__u64)tg << CMD1_TG_SHIFT)));
		}
	}
	check_queue(_metadata, env, &self->other);
}

/* Only what the guest knows, by the name that it has given */
TEST_F(hostile, streams)
{
	struct env *env = &self->env;
	__u32 num, id, vsid = vsid_of(&self->edu.dev);
	int fd = env->vm.iommufd;
	struct smmu_cmd cmds[2];
	__u64 sid;

	for (sid = 0; sid < 0x400; sid++)
		EXPECT_EQ(-EIO, send_one(env, cmd_make(CMD_CFGI_CD_ALL |
						       sid << 32, 0)));
	EXPECT_EQ(-EIO, send_one(env, cmd_make(CMD_CFGI_CD_ALL |
					       (__u64)vsid << 32, 0)));
	ASSERT_EQ(0, vdevice_alloc(fd, env->vm.viommu, self->edu.dev.id, vsid,
				   &id));
	EXPECT_EQ(0, send_one(env, cmd_make(CMD_CFGI_CD_ALL |
					    (__u64)vsid << 32, 0)));
	ASSERT_EQ(0, iommufd_destroy(fd, id));
	cmds[0] = cmd_make(CMD_CFGI_CD_ALL | (__u64)vsid_of(env->dev) << 32, 0);
	cmds[1] = cmd_make(CMD_CFGI_CD_ALL | (__u64)vsid << 32, 0);
	num = 2;
	EXPECT_EQ(-EIO, send(env, cmds, &num));
	EXPECT_EQ(1, num);
	check_queue(_metadata, env, &self->other);
}

/* The guest's own VMID is none of the host's: all of it reaches this VM only */
TEST_F(hostile, every_vmid)
{
	struct env *env = &self->env;
	struct probe *probe = &env->probe;
	__u32 viommu, i, num = 0x10000;
	struct smmu_cmd *cmds;

	cmds = calloc(num, sizeof(*cmds));
	ASSERT_NE(NULL, cmds);
	for (i = 0; i < num; i++)
		cmds[i] = cmd_make(CMD_TLBI_NH_ALL | (__u64)i << 32, 0);
	/* Of another vIOMMU than the one that the commands go to */
	ASSERT_EQ(0, viommu_alloc(env->vm.iommufd, env->dev->id, env->vm.parent,
				  &viommu));
	probe_map(probe, &env->table, GIOVA, AT_A);
	EXPECT_EQ(0, send_one(env, cmd_make(CMD_TLBI_NSNH_ALL, 0)));
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	probe_map(probe, &env->table, GIOVA, AT_B);
	EXPECT_EQ(0, viommu_commands(env->vm.iommufd, viommu, cmds, &num));
	EXPECT_EQ(0x10000, num);
	EXPECT_EQ(AT_A, probe_dma(probe, GIOVA));
	EXPECT_EQ(0, send(env, cmds, &num));
	EXPECT_EQ(AT_B, probe_dma(probe, GIOVA));
	free(cmds);
}

TEST_HARNESS_MAIN
