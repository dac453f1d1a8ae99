/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel says of faults: in its trace of devices that use a guest's table,
 * in its log of others
 */
#ifndef __NESTED_TRACE_H
#define __NESTED_TRACE_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nested_vfio.h"

#define TRACING		"/sys/kernel/tracing/"

/* Forget what was traced, and trace from here on */
static inline int faults_start(void)
{
	int rc = file_write(TRACING "events/iommu/io_page_fault/enable", "1",
			    0);

	return rc ?: file_write(TRACING "trace", "", O_TRUNC);
}

/* The faults of @dev traced so far at an address from @first to @last */
static inline unsigned int faults_now(const struct vfio_dev *dev, __u64 first,
				      __u64 last)
{
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned int count = 0;
	const char *at;
	char line[256];
	__u64 iova;

	while (trace && fgets(line, sizeof(line), trace)) {
		at = strstr(line, "iova=");
		if (!at || !strstr(line, "io_page_fault:") ||
		    !strstr(line, dev->name))
			continue;
		iova = strtoull(at + strlen("iova="), NULL, 16);
		count += iova >= first && iova <= last;
	}
	if (trace)
		fclose(trace);
	return count;
}

/* Whether an event with this text was traced */
static inline bool traced(const char *event, const char *text)
{
	FILE *trace = fopen(TRACING "trace", "r");
	bool found = false;
	char line[256];

	while (trace && !found && fgets(line, sizeof(line), trace))
		found = strstr(line, event) && strstr(line, text);
	if (trace)
		fclose(trace);
	return found;
}

/* Returns a file of the kernel's log to give to log_count(), or a negative errno */
static inline int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd < 0 ? -errno : fd;
}

/*
 * The number of records with this text since then, or since it was last asked. A
 * negative errno if that is not known: -EPIPE where records were overwritten that
 * nobody has read.
 */
static inline int log_count(int fd, const char *text)
{
	char record[8192];
	int count = 0;
	ssize_t len;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0)
			return errno == EAGAIN ? count : -errno;
		record[len] = '\0';
		count += !!strstr(record, text);
	}
}

#endif
