// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole user space of a test machine.
 *
 * Reads from the kernel's command line:
 *   tests=NAME[:ARG...][,NAME...]	programs of /tests to run, in order
 *   rounds=N				how often to run them, once unless told
 *   busy=N				endless loops beside them, per processor
 *   bind=VENDOR:DEVICE[+...]		PCI devices to hand to vfio-pci
 *   dump=PATH[,PATH...]		files to print in base64
 *
 * All output goes through the kernel log, so that lines of programs and of the
 * kernel never mix; a program's lines start with "> ".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_SIZE 900	/* a record of the kernel log holds some more */
#define MAX_ARGS 16

static int kmsg = -1;

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	char line[LINE_SIZE + 64];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= (int)sizeof(line))
		len = sizeof(line) - 1;
	if (write(kmsg, line, len) != len)
		abort();	/* init's death is a panic, which the host sees */
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* The value of "key=" on the command line, or NULL. */
static char *option(char *cmdline, const char *key)
{
	size_t len = strlen(key);
	char *copy = strdup(cmdline), *save, *word;

	for (word = strtok_r(copy, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (!strncmp(word, key, len) && word[len] == '=')
			return word + len + 1;
	return NULL;
}

static void mount_all(void)
{
	static const struct {
		const char *type, *dir;
	} mounts[] = {
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "devtmpfs", "/dev" },
		{ "tmpfs", "/tmp" },
		{ "debugfs", "/sys/kernel/debug" },
		{ "tracefs", "/sys/kernel/tracing" },
	};
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].dir, 0755);
		if (mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0, NULL))
			abort();
	}
}

static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "r");

	line[0] = '\0';
	if (!file)
		return;
	if (fgets(line, size, file))
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

/* Hand every device of the given "vendor:device" to vfio-pci. */
static void bind_devices(char *id)
{
	char path[PATH_MAX], vendor[16], device[16], found[40];
	struct dirent *entry;
	int count = 0, ret;
	DIR *dir;

	dir = opendir("/sys/bus/pci/devices");
	if (!dir)
		abort();
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", entry->d_name);
		read_line(path, vendor, sizeof(vendor));
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/device", entry->d_name);
		read_line(path, device, sizeof(device));
		snprintf(found, sizeof(found), "%s:%s", vendor + 2, device + 2);
		if (strcmp(found, id))
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", entry->d_name);
		write_file(path, entry->d_name);	/* it may have no driver */
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", entry->d_name);
		write_file(path, "vfio-pci");
		ret = write_file("/sys/bus/pci/drivers_probe", entry->d_name);
		say("# bind %s %s: %s", id, entry->d_name, strerror(-ret));
		count++;
	}
	closedir(dir);
	if (!count)
		say("# bind %s: no such device", id);
}

/* Run one program, its output line by line into the kernel log. */
static void run(char *spec)
{
	char *args[MAX_ARGS + 1], *save, path[PATH_MAX], line[LINE_SIZE];
	int pipe_fds[2], status, n = 0;
	FILE *output;
	pid_t pid;

	for (args[n] = strtok_r(spec, ":", &save); args[n] && n < MAX_ARGS;
	     args[n] = strtok_r(NULL, ":", &save))
		n++;
	args[n] = NULL;
	say("# run %s", args[0]);
	snprintf(path, sizeof(path), "/tests/%s", args[0]);
	if (pipe(pipe_fds))
		abort();
	pid = fork();
	if (!pid) {
		dup2(pipe_fds[1], 1);
		dup2(pipe_fds[1], 2);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		execv(path, args);
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		_exit(127);
	}
	close(pipe_fds[1]);
	output = fdopen(pipe_fds[0], "r");
	while (fgets(line, sizeof(line), output)) {
		line[strcspn(line, "\n")] = '\0';
		say("> %s", line);
	}
	fclose(output);
	waitpid(pid, &status, 0);
	say("# exit %s %d", args[0],
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Two scans: memory may be in a register or on a stack the first time. */
static void report_leaks(void)
{
	static const char file[] = "/sys/kernel/debug/kmemleak";
	char line[LINE_SIZE];
	FILE *leaks;
	int i;

	if (access(file, F_OK))
		return;
	for (i = 0; i < 2; i++) {
		sleep(6);	/* objects younger than five seconds are not reported */
		write_file(file, "scan");
	}
	leaks = fopen(file, "r");
	if (!leaks)
		abort();
	while (fgets(line, sizeof(line), leaks)) {
		line[strcspn(line, "\n")] = '\0';
		say("%s", line);
	}
	fclose(leaks);
	say("# leaks scanned");
}

/* Print a file, or all files below a folder, in base64. */
static void dump(char *path)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char in[LINE_SIZE / 4 * 3];
	char out[LINE_SIZE + 1], below[PATH_MAX];
	struct dirent *entry;
	struct stat stat_buf;
	size_t len, i, n;
	FILE *file;
	DIR *dir;

	if (lstat(path, &stat_buf) || S_ISLNK(stat_buf.st_mode))
		return;
	if (S_ISDIR(stat_buf.st_mode)) {
		dir = opendir(path);
		while (dir && (entry = readdir(dir))) {
			/* A name may start with a dot: that of the cache does */
			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
			dump(below);
		}
		if (dir)
			closedir(dir);
		return;
	}
	file = fopen(path, "r");
	if (!file)
		return;
	say("# dump %s", path);
	while ((len = fread(in, 1, sizeof(in), file))) {
		memset(in + len, 0, sizeof(in) - len);
		for (i = n = 0; i < len; i += 3) {
			out[n++] = digits[in[i] >> 2];
			out[n++] = digits[(in[i] & 3) << 4 | in[i + 1] >> 4];
			out[n++] = i + 1 < len ? digits[(in[i + 1] & 15) << 2 | in[i + 2] >> 6] : '=';
			out[n++] = i + 2 < len ? digits[in[i + 2] & 63] : '=';
		}
		out[n] = '\0';
		say("%s", out);
	}
	fclose(file);
	say("# dumped %s", path);
}

static void each(char *list, const char *separator, void (*function)(char *))
{
	char *save, *item;

	for (item = strtok_r(list, separator, &save); item;
	     item = strtok_r(NULL, separator, &save))
		function(item);
}

/* Run the tests again and again, since each() takes the list apart. */
static void run_rounds(const char *tests, long rounds)
{
	while (rounds-- > 0)
		each(strdup(tests), ",", run);
}

/* Keep all processors busy for as long as the machine runs. */
static void start_loops(long per_cpu)
{
	long loops = per_cpu * sysconf(_SC_NPROCESSORS_ONLN);
	volatile unsigned int work = 0;

	if (loops)
		say("# busy: %ld loops", loops);
	while (loops-- > 0)
		if (!fork())
			for (;;)
				work++;
}

int main(void)
{
	char cmdline[4096], *value, *number;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	mount_all();
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	read_line("/proc/cmdline", cmdline, sizeof(cmdline));
	say("# harness start");
	value = option(cmdline, "bind");
	if (value)
		each(value, "+", bind_devices);
	number = option(cmdline, "busy");
	start_loops(number ? strtol(number, NULL, 10) : 0);
	value = option(cmdline, "tests");
	number = option(cmdline, "rounds");
	if (value)
		run_rounds(value, number ? strtol(number, NULL, 10) : 1);
	report_leaks();
	value = option(cmdline, "dump");
	if (value)
		each(value, ",", dump);
	say("# harness done");
	reboot(RB_POWER_OFF);
	return 1;
}
