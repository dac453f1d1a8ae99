/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included in each selftest before anything else: what the kselftest harness allows
 * a test to take is meant for a real machine. An emulated one under KASAN, on a host
 * with much to do, is slower by far.
 */
#include <unistd.h>

#define alarm(seconds) alarm((seconds) * 10)
