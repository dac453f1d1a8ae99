// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is the test machine what the other tests take for granted? Without this, a
 * machine that lost a device would only show as tests that fail oddly.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

static int failed, count;

static void check(int ok, const char *what)
{
	printf("%s %d machine: %s\n", ok ? "ok" : "not ok", ++count, what);
	failed |= !ok;
}

static int entries(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int devices = argc > 1 ? argv[1][0] - '0' : 0;

	printf("TAP version 13\n1..4\n");
	check(open("/dev/iommu", O_RDWR) >= 0, "/dev/iommu opens");
	check(entries("/sys/class/iommu") >= 1, "an IOMMU is there");
	check(entries("/sys/kernel/iommu_groups") >= devices, "devices have IOMMU groups");
	check(entries("/dev/vfio/devices") == devices, "all given devices are with VFIO");
	return failed;
}
