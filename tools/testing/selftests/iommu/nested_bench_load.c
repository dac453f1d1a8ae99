// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens at once: threads that share one command queue, and a table that
 * is replaced while its device does DMA.
 *
 * Prints lines "figure NAME RATE" with a number per second of wall time. Nothing
 * here is too slow to pass; the calls and the DMA have to work.
 */
#include <pthread.h>
#include <time.h>

#include "nested_bench.h"

#define SECONDS		2
#define MAX_THREADS	4
#define DMA_SIZE	(NVME_MAX_PAGES * 4096ULL)

struct worker {
	pthread_t thread;
	struct batch batch;
	unsigned long calls;
	int error;
};

static struct env env;
static struct worker workers[MAX_THREADS];
static bool stop;

static void must(const char *what, int rc)
{
	if (rc)
		ksft_exit_fail_msg("%s: %s\n", what, strerror(-rc));
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void print_rate(const char *name, unsigned long count, __u64 start)
{
	printf("figure %s %llu\n", name,
	       count * 1000000000ULL / (now_ns() - start));
}

static void *keep_sending(void *arg)
{
	struct worker *worker = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && !worker->error) {
		worker->error = batch_send(&worker->batch);
		worker->calls++;
	}
	return NULL;
}

/* Calls per second of @threads threads, each with @count entries */
static bool measure_threads(const struct door *door, unsigned int threads,
			    unsigned int count)
{
	unsigned long calls = 0;
	bool good = true;
	unsigned int i;
	char name[80];
	__u64 start;

	stop = false;
	start = now_ns();
	for (i = 0; i < threads; i++) {
		workers[i].calls = 0;
		workers[i].error = 0;
		batch_fill(&workers[i].batch, &env, door, count, false);
		if (pthread_create(&workers[i].thread, NULL, keep_sending,
				   &workers[i]))
			ksft_exit_fail_msg("no thread\n");
	}
	sleep(SECONDS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		calls += workers[i].calls;
		good &= !workers[i].error && workers[i].calls;
	}
	snprintf(name, sizeof(name), "calls/%s/%u/%u", door->name, count,
		 threads);
	print_rate(name, calls, start);
	return good;
}

static void measure_door(const struct door *door)
{
	bool good = true;
	unsigned int i;

	must("attach the table", vfio_attach(env.dev, door->table));
	for (i = 1; i <= MAX_THREADS; i *= 2) {
		good &= measure_threads(door, i, 1);
		good &= measure_threads(door, i, 64);
	}
	ksft_test_result(good, "threads: %s\n", door->name);
}

static int error;

static void *keep_reading(void *arg)
{
	unsigned long *reads = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && !error) {
		error = nvme_read(&env.nvme, GIOVA, DMA_SIZE);
		++*reads;
	}
	return NULL;
}

/* The disk reads; meanwhile its table is replaced by another if @replace */
static bool measure_dma(const char *name, bool replace, const __u32 *tables)
{
	unsigned long reads = 0, changes = 0;
	char what[80];
	__u64 start;
	pthread_t thread;
	int rc = 0;

	stop = false;
	error = 0;
	start = now_ns();
	if (pthread_create(&thread, NULL, keep_reading, &reads))
		ksft_exit_fail_msg("no thread\n");
	while (now_ns() < start + SECONDS * 1000000000ULL && !rc) {
		if (replace)
			rc = vfio_attach(env.dev, tables[++changes % 2]);
		else
			usleep(1000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	snprintf(what, sizeof(what), "reads/%s", name);
	print_rate(what, reads, start);
	snprintf(what, sizeof(what), "attaches/%s", name);
	if (replace)
		print_rate(what, changes, start);
	return !rc && !error && reads && !faults(env.dev, false);
}

static void measure_load(void)
{
	struct iommu_hwpt_pasid_table config;
	struct pasid_table pasids;
	__u32 tables[2];
	struct s1_table table;
	__u64 gpa = vm_alloc(&env.vm, DMA_SIZE);
	bool good;

	env_table(&env, &table, &pasids, 12, TAG + 1);
	s1_map_range(&env.table, GIOVA, gpa, DMA_SIZE);
	s1_map_range(&table, GIOVA, gpa, DMA_SIZE);
	config = pasid_table_config(&pasids);
	tables[0] = env.hwpt;
	must("make a table", vm_table(&env.vm, env.dev, &config, &tables[1]));
	must("attach a table", vfio_attach(env.dev, tables[0]));
	good = measure_dma("quiet", false, tables);
	good &= measure_dma("replacing", true, tables);
	ksft_test_result(good, "replace the table under DMA\n");
}

int main(void)
{
	unsigned int i;
	int rc;

	ksft_print_header();
	rc = env_init(&env, true, 12);
	if (env_reason(rc))
		ksft_exit_skip("%s\n", env_reason(rc));
	must("set up", rc);
	ksft_set_plan(1 + NR_DOORS);
	for (i = 0; i < NR_DOORS; i++) {
		must(doors[i].name, doors[i].open(&doors[i], &env));
		measure_door(&doors[i]);
	}
	measure_load();
	env_exit(&env);
	ksft_finished();
}
