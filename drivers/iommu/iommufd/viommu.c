// SPDX-License-Identifier: GPL-2.0-only
/*
 * vIOMMU objects: a guest's share of a physical IOMMU, the nested HWPTs on it,
 * and the guest's commands. User copies and lifetimes only; what the values mean
 * is checked by the core and the IOMMU driver.
 */
#include <linux/iommu-viommu.h>

#include "iommufd_private.h"
#include "user_data.h"
#include "viommu.h"

int iommufd_viommu_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	struct iommufd_hwpt_paging *hwpt;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
	int rc;

	if (cmd->flags || cmd->data_len || cmd->__reserved || cmd->data_uptr ||
	    cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;

	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	hwpt = iommufd_get_hwpt_paging(ucmd, cmd->hwpt_id);
	if (IS_ERR(hwpt)) {
		rc = PTR_ERR(hwpt);
		goto out_put_idev;
	}
	if (!hwpt->nest_parent) {
		rc = -EINVAL;
		goto out_put_hwpt;
	}

	viommu = iommufd_object_alloc(ucmd->ictx, viommu, IOMMUFD_OBJ_VIOMMU);
	if (IS_ERR(viommu)) {
		rc = PTR_ERR(viommu);
		goto out_put_hwpt;
	}
	init_rwsem(&viommu->veventq_sem);
	viommu->core = iommu_viommu_alloc(idev->dev, hwpt->common.domain,
					  cmd->type);
	if (IS_ERR(viommu->core)) {
		rc = PTR_ERR(viommu->core);
		iommufd_object_abort(ucmd->ictx, &viommu->obj);
		goto out_put_hwpt;
	}
	viommu->core->owner = viommu;
	viommu->core->report = iommufd_veventq_report;
	viommu->hwpt = hwpt;
	refcount_inc(&hwpt->common.obj.users);

	cmd->out_viommu_id = viommu->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_object_abort_and_destroy(ucmd->ictx, &viommu->obj);
	else
		iommufd_object_finalize(ucmd->ictx, &viommu->obj);

out_put_hwpt:
	iommufd_put_object(ucmd->ictx, &hwpt->common.obj);
out_put_idev:
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

void iommufd_viommu_destroy(struct iommufd_object *obj)
{
	struct iommufd_viommu *viommu = to_iommufd_viommu(obj);

	iommu_viommu_free(viommu->core);
	refcount_dec(&viommu->hwpt->common.obj.users);
}

/**
 * iommufd_viommu_alloc_table() - Copy the description of a table from the user
 * @viommu: vIOMMU that the table is to be made on
 * @dev: Device that the table is meant for
 * @user_data: What the guest says, in the format of the vIOMMU
 *
 * Return: the domain of the table, -EOPNOTSUPP for a data type that the vIOMMU does
 * not have, or an errno of iommufd_copy_user_data() or iommu_viommu_alloc_table().
 */
struct iommu_domain *
iommufd_viommu_alloc_table(struct iommufd_viommu *viommu, struct device *dev,
			   const struct iommu_user_data *user_data)
{
	const struct iommu_viommu_ops *ops = viommu->core->ops;
	u64 data[IOMMU_VIOMMU_MAX_TABLE_LEN / sizeof(u64)];
	int rc;

	if (user_data->type != ops->table_type)
		return ERR_PTR(-EOPNOTSUPP);
	rc = iommufd_copy_user_data(data, ops->table_len, user_data);
	if (rc)
		return ERR_PTR(rc);
	return iommu_viommu_alloc_table(viommu->core, dev, data);
}

/**
 * iommufd_viommu_invalidate() - Carry out the commands of a guest
 * @viommu: vIOMMU
 * @array: The user's commands; entry_num returns how many are complete
 *
 * Return: 0 or an errno of iommufd_inv_source_init() or iommu_viommu_invalidate().
 */
int iommufd_viommu_invalidate(struct iommufd_viommu *viommu,
			      struct iommu_user_data_array *array)
{
	struct iommufd_inv_source src;
	u32 done = 0;
	int rc;

	rc = iommufd_inv_source_init(&src, array, viommu->core->ops->inv_type,
				     2 * sizeof(__le64));
	if (!rc && src.source.left)
		rc = iommu_viommu_invalidate(viommu->core, &src.source, &done);
	array->entry_num = done;
	return rc;
}
