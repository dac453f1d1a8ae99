// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many ASIDs and VMIDs user space may have
 *
 * An SMMU has 2^8 or 2^16 VMIDs, and all SMMUs share as many ASIDs. Each paging
 * domain has one of them from its allocation on, and so has each vIOMMU, and
 * /dev/iommu makes both without a device for each: one process could take all, and
 * no other could attach anything.
 *
 * So they are counted, by the device that they are made for and by user. By
 * device, because the administrator hands out devices, while files, processes and
 * contexts of iommufd are free. By user, because domains outlive the binding of
 * the device: what the last user keeps must not be missing to the next one.
 *
 * Not counted is what devices limit anyway: the domains of the kernel and of
 * VFIO's containers, of which a group has one, and the VMID of each device that
 * uses a table without a vIOMMU.
 */
#include <kunit/visibility.h>
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "arm-smmu-v3-user-ids.h"

/*
 * A device may have 512 PASIDs with a domain each. Of VMIDs it takes two: for a
 * parent and for a vIOMMU.
 */
#define ARM_SMMU_USER_ASIDS	1024U
#define ARM_SMMU_USER_VMIDS	64U
/* Where there are few, a device has at most one in so many */
#define ARM_SMMU_USER_SHARE	8

/**
 * struct arm_smmu_user_ids - IDs that a user has for a device
 * @elm: In arm_smmu_user_ids_list
 * @smmu: SMMU of the device. It may be gone: for comparison only.
 * @sid: First StreamID of the device
 * @uid: User, in the initial user namespace
 * @vmids: They are VMIDs, otherwise ASIDs
 * @nr: Number of them, not 0
 */
struct arm_smmu_user_ids {
	struct list_head elm;
	const struct arm_smmu_device *smmu;
	u32 sid;
	kuid_t uid;
	bool vmids;
	unsigned int nr;
};

/* A device stands for its streams: it may be removed before its domains are */
static LIST_HEAD(arm_smmu_user_ids_list);
static DEFINE_MUTEX(arm_smmu_user_ids_lock);

static unsigned int arm_smmu_user_ids_max(const struct arm_smmu_device *smmu,
					  bool vmids)
{
	u32 all = 1U << (vmids ? smmu->vmid_bits : smmu->asid_bits);

	return min(all / ARM_SMMU_USER_SHARE,
		   vmids ? ARM_SMMU_USER_VMIDS : ARM_SMMU_USER_ASIDS);
}

/*
 * User namespaces, and the users in them, are free as well: whoever made the
 * outermost one answers for all of it.
 */
static kuid_t arm_smmu_user_ids_owner(void)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_uid();

	for (; ns->parent; ns = ns->parent)
		uid = ns->owner;
	return uid;
}

static struct arm_smmu_user_ids *
arm_smmu_user_ids_find(const struct arm_smmu_user_ids *key)
{
	struct arm_smmu_user_ids *ids;

	lockdep_assert_held(&arm_smmu_user_ids_lock);
	list_for_each_entry(ids, &arm_smmu_user_ids_list, elm)
		if (ids->smmu == key->smmu && ids->sid == key->sid &&
		    uid_eq(ids->uid, key->uid) && ids->vmids == key->vmids)
			return ids;
	return NULL;
}

static struct arm_smmu_user_ids *
arm_smmu_user_ids_add(const struct arm_smmu_user_ids *key)
{
	struct arm_smmu_user_ids *ids;

	ids = kmemdup(key, sizeof(*key), GFP_KERNEL_ACCOUNT);
	if (!ids)
		return ERR_PTR(-ENOMEM);
	list_add(&ids->elm, &arm_smmu_user_ids_list);
	return ids;
}

/**
 * arm_smmu_user_ids_get() - Count an ASID or a VMID that the caller is to have
 * @master: Device that it is for
 * @stage2: It is for a stage 2 whatever the SMMU has: a VMID
 *
 * Return: what arm_smmu_user_ids_put() takes when the ID is free again, or
 *
 * * ERR_PTR(-ENOSPC): the user has as many as one may have for this device
 * * ERR_PTR(-ENOMEM): out of memory
 */
struct arm_smmu_user_ids *arm_smmu_user_ids_get(struct arm_smmu_master *master,
						bool stage2)
{
	const struct arm_smmu_device *smmu = master->smmu;
	struct arm_smmu_user_ids *ids, key = {
		.smmu = smmu,
		.sid = master->streams[0].id,
		.uid = arm_smmu_user_ids_owner(),
		.vmids = stage2 || !(smmu->features & ARM_SMMU_FEAT_TRANS_S1),
	};

	mutex_lock(&arm_smmu_user_ids_lock);
	ids = arm_smmu_user_ids_find(&key);
	if (!ids)
		ids = arm_smmu_user_ids_add(&key);
	else if (ids->nr >= arm_smmu_user_ids_max(smmu, ids->vmids))
		ids = ERR_PTR(-ENOSPC);
	if (!IS_ERR(ids))
		ids->nr++;
	mutex_unlock(&arm_smmu_user_ids_lock);
	return ids;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_user_ids_get);

/**
 * arm_smmu_user_ids_put() - An ID that was counted is free again
 * @ids: Of arm_smmu_user_ids_get(), or NULL for an ID that was not counted
 */
void arm_smmu_user_ids_put(struct arm_smmu_user_ids *ids)
{
	if (!ids)
		return;
	mutex_lock(&arm_smmu_user_ids_lock);
	if (!--ids->nr) {
		list_del(&ids->elm);
		kfree(ids);
	}
	mutex_unlock(&arm_smmu_user_ids_lock);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_user_ids_put);
