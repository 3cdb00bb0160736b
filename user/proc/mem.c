// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "proc/mem.h"

#define BATCH 1024 /* UIO_MAXIOV of the kernel */

ssize_t proc_mem_read(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct proc_read r = {.addr = addr, .buf = buf, .len = len};
	int err = proc_mem_readv(pid, &r, 1);

	if (err)
		return err;
	return r.done || !len ? (ssize_t)r.done : -EFAULT;
}

/*
 * One call for 1 to BATCH reads. The kernel goes page by page and stops at the first it cannot read; what it
 * copied up to there stands in the buffers. Returns how many reads are settled: all whole ones and the one
 * that failed.
 */
static ssize_t read_batch(pid_t pid, struct proc_read *v, size_t n)
{
	struct iovec local[BATCH], remote[BATCH];
	ssize_t got;
	size_t i = 0;

	do {
		local[i] = (struct iovec){v[i].buf, v[i].len};
		remote[i] = (struct iovec){(void *)(uintptr_t)v[i].addr, v[i].len};
	} while (++i < n);
	got = process_vm_readv(pid, local, n, remote, n, 0);
	if (got < 0 && errno != EFAULT)
		return -errno;
	if (got < 0)
		got = 0;
	for (i = 0; i < n; i++) {
		v[i].done = (size_t)got < v[i].len ? (size_t)got : v[i].len;
		got -= (ssize_t)v[i].done;
		if (v[i].done < v[i].len)
			return (ssize_t)i + 1;
	}
	return (ssize_t)n;
}

int proc_mem_readv(pid_t pid, struct proc_read *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i].done = 0;
	for (size_t at = 0; at < n;) {
		ssize_t settled = read_batch(pid, v + at, n - at < BATCH ? n - at : BATCH);

		if (settled < 0)
			return (int)settled;
		at += (size_t)settled;
	}
	return 0;
}
