// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event queues of vIOMMUs: a ring of fixed size that the IOMMU driver fills and
 * the VMM reads. A guest whose devices fault all the time costs no more than the
 * ring.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/overflow.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "iommufd_private.h"
#include "viommu.h"

/* Entries of the largest event queue that hardware has */
#define IOMMUFD_VEVENTQ_MAX_DEPTH	BIT(19)

/* One record as it is read: the header and an event of the largest kind */
struct iommufd_vevent {
	struct iommufd_vevent_header header;
	u64 event[IOMMU_VIOMMU_MAX_EVENT_LEN / sizeof(u64)];
};

static size_t iommufd_vevent_len(const struct iommufd_veventq *veventq)
{
	return sizeof(struct iommufd_vevent_header) + veventq->event_len;
}

static void *iommufd_veventq_slot(const struct iommufd_veventq *veventq,
				  u32 nth)
{
	u32 slot = (veventq->first + nth) % veventq->depth;

	return veventq->ring + slot * iommufd_vevent_len(veventq);
}

static void iommufd_veventq_push(struct iommufd_veventq *veventq,
				 const void *event)
{
	struct iommufd_vevent vevent = {};

	memcpy(vevent.event, event, veventq->event_len);
	spin_lock(&veventq->lock);
	vevent.header.sequence = veventq->sequence;
	veventq->sequence = (veventq->sequence + 1) & INT_MAX;
	veventq->lost = veventq->count == veventq->depth;
	if (!veventq->lost)
		memcpy(iommufd_veventq_slot(veventq, veventq->count++), &vevent,
		       iommufd_vevent_len(veventq));
	spin_unlock(&veventq->lock);
	wake_up_interruptible(&veventq->wait_queue);
}

/**
 * iommufd_veventq_report() - The report callback of vIOMMUs
 * @core: vIOMMU
 * @event: An event in the format of the vIOMMU
 */
void iommufd_veventq_report(struct iommu_viommu *core, const void *event)
{
	struct iommufd_viommu *viommu = core->owner;

	down_read(&viommu->veventq_sem);
	if (viommu->veventq)
		iommufd_veventq_push(viommu->veventq, event);
	up_read(&viommu->veventq_sem);
}

/* Look at what would be read next. Returns its size in bytes, 0 if nothing. */
static size_t iommufd_veventq_peek(struct iommufd_veventq *veventq,
				   struct iommufd_vevent *vevent)
{
	size_t len = 0;

	spin_lock(&veventq->lock);
	if (veventq->count) {
		len = iommufd_vevent_len(veventq);
		memcpy(vevent, iommufd_veventq_slot(veventq, 0), len);
	} else if (veventq->lost) {
		len = sizeof(vevent->header);
		vevent->header.flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
		vevent->header.sequence = (veventq->sequence - 1) & INT_MAX;
	}
	spin_unlock(&veventq->lock);
	return len;
}

/* What was peeked at has been read */
static void iommufd_veventq_pop(struct iommufd_veventq *veventq,
				const struct iommufd_vevent *vevent)
{
	spin_lock(&veventq->lock);
	if (vevent->header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
		/* More may have come, and even been lost, in between */
		if (vevent->header.sequence ==
		    ((veventq->sequence - 1) & INT_MAX))
			veventq->lost = false;
	} else {
		veventq->first = (veventq->first + 1) % veventq->depth;
		veventq->count--;
	}
	spin_unlock(&veventq->lock);
}

static bool iommufd_veventq_readable(struct iommufd_veventq *veventq)
{
	bool readable;

	spin_lock(&veventq->lock);
	readable = veventq->count || veventq->lost;
	spin_unlock(&veventq->lock);
	return readable;
}

static ssize_t iommufd_veventq_read_all(struct iommufd_veventq *veventq,
					char __user *buf, size_t count)
{
	struct iommufd_vevent vevent;
	size_t done = 0, len;

	lockdep_assert_held(&veventq->read_mutex);

	while ((len = iommufd_veventq_peek(veventq, &vevent))) {
		if (len > count - done)
			return done ?: -EINVAL;
		if (copy_to_user(buf + done, &vevent, len))
			return done ?: -EFAULT;
		iommufd_veventq_pop(veventq, &vevent);
		done += len;
		cond_resched();
	}
	return done;
}

static ssize_t iommufd_veventq_fops_read(struct file *filep, char __user *buf,
					 size_t count, loff_t *ppos)
{
	struct iommufd_veventq *veventq = filep->private_data;
	ssize_t rc;

	if (*ppos)
		return -ESPIPE;

	/* No record fits, whichever comes next */
	if (count < sizeof(struct iommufd_vevent_header))
		return -EINVAL;

	/* Another reader may be stuck in its own memory */
	if (mutex_lock_interruptible(&veventq->read_mutex))
		return -ERESTARTSYS;
	rc = iommufd_veventq_read_all(veventq, buf, count);
	mutex_unlock(&veventq->read_mutex);
	return rc;
}

static __poll_t iommufd_veventq_fops_poll(struct file *filep,
					  struct poll_table_struct *wait)
{
	struct iommufd_veventq *veventq = filep->private_data;

	poll_wait(filep, &veventq->wait_queue, wait);
	return iommufd_veventq_readable(veventq) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int iommufd_veventq_fops_release(struct inode *inode,
					struct file *filep)
{
	struct iommufd_veventq *veventq = filep->private_data;
	struct iommufd_ctx *ictx = veventq->ictx;

	/* The queue may be freed once this user is gone */
	refcount_dec(&veventq->obj.users);
	iommufd_ctx_put(ictx);
	return 0;
}

static const struct file_operations iommufd_veventq_fops = {
	.owner		= THIS_MODULE,
	.open		= nonseekable_open,
	.read		= iommufd_veventq_fops_read,
	.poll		= iommufd_veventq_fops_poll,
	.release	= iommufd_veventq_fops_release,
};

void iommufd_veventq_destroy(struct iommufd_object *obj)
{
	struct iommufd_veventq *veventq =
		container_of(obj, struct iommufd_veventq, obj);
	struct iommufd_viommu *viommu = veventq->viommu;

	down_write(&viommu->veventq_sem);
	if (viommu->veventq == veventq)
		viommu->veventq = NULL;
	up_write(&viommu->veventq_sem);
	kvfree(veventq->ring);
	refcount_dec(&viommu->obj.users);
}

/* Make the file, which holds the queue and the context */
static int iommufd_veventq_open(struct iommufd_veventq *veventq)
{
	struct file *filep;

	filep = anon_inode_getfile("[iommufd-veventq]", &iommufd_veventq_fops,
				   veventq, O_RDWR);
	if (IS_ERR(filep))
		return PTR_ERR(filep);
	refcount_inc(&veventq->obj.users);
	iommufd_ctx_get(veventq->ictx);
	veventq->filep = filep;
	return 0;
}

/* From here on events arrive */
static int iommufd_veventq_connect(struct iommufd_veventq *veventq)
{
	struct iommufd_viommu *viommu = veventq->viommu;
	int rc = 0;

	down_write(&viommu->veventq_sem);
	if (viommu->veventq)
		rc = -EEXIST;
	else
		viommu->veventq = veventq;
	up_write(&viommu->veventq_sem);
	return rc;
}

static struct iommufd_veventq *
iommufd_veventq_new(struct iommufd_ctx *ictx, struct iommufd_viommu *viommu,
		    u32 depth)
{
	struct iommufd_veventq *veventq;

	veventq = iommufd_object_alloc(ictx, veventq, IOMMUFD_OBJ_VEVENTQ);
	if (IS_ERR(veventq))
		return veventq;
	veventq->ictx = ictx;
	veventq->event_len = viommu->core->ops->event_len;
	veventq->depth = depth;
	mutex_init(&veventq->read_mutex);
	spin_lock_init(&veventq->lock);
	init_waitqueue_head(&veventq->wait_queue);
	veventq->ring = kvcalloc(veventq->depth, iommufd_vevent_len(veventq),
				 GFP_KERNEL_ACCOUNT);
	if (!veventq->ring) {
		iommufd_object_abort(ictx, &veventq->obj);
		return ERR_PTR(-ENOMEM);
	}
	refcount_inc(&viommu->obj.users);
	veventq->viommu = viommu;
	return veventq;
}

int iommufd_veventq_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_veventq_alloc *cmd = ucmd->cmd;
	struct iommufd_veventq *veventq;
	struct iommufd_viommu *viommu;
	int fdno, rc;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth ||
	    cmd->veventq_depth > IOMMUFD_VEVENTQ_MAX_DEPTH)
		return -EINVAL;

	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	if (cmd->type == IOMMU_VEVENTQ_TYPE_DEFAULT ||
	    cmd->type != viommu->core->ops->event_type) {
		rc = -EOPNOTSUPP;
		goto out_put_viommu;
	}

	veventq = iommufd_veventq_new(ucmd->ictx, viommu, cmd->veventq_depth);
	if (IS_ERR(veventq)) {
		rc = PTR_ERR(veventq);
		goto out_put_viommu;
	}
	rc = iommufd_veventq_open(veventq);
	if (rc)
		goto out_abort;
	rc = iommufd_veventq_connect(veventq);
	if (rc)
		goto out_abort;
	fdno = get_unused_fd_flags(O_CLOEXEC);
	if (fdno < 0) {
		rc = fdno;
		goto out_abort;
	}

	cmd->out_veventq_id = veventq->obj.id;
	cmd->out_veventq_fd = fdno;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc) {
		put_unused_fd(fdno);
		goto out_abort;
	}
	iommufd_object_finalize(ucmd->ictx, &veventq->obj);
	fd_install(fdno, veventq->filep);
	goto out_put_viommu;

out_abort:
	iommufd_object_abort_and_destroy(ucmd->ictx, &veventq->obj);
out_put_viommu:
	iommufd_put_object(ucmd->ictx, &viommu->obj);
	return rc;
}
