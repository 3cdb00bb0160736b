/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of a live process, read by process_vm_readv: the process does not notice and is not stopped. */
#ifndef CULPRIT_PROC_MEM_H
#define CULPRIT_PROC_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads len bytes. Returns how many bytes at the start of [addr, addr + len) could be read, which is less
 * than len if a page is not mapped or not readable; -EFAULT if not one byte could be; -ESRCH, -EPERM. Not
 * atomic against the target's stores.
 */
ssize_t proc_mem_read(pid_t pid, uint64_t addr, void *buf, size_t len);

struct proc_read {
	uint64_t addr;
	void *buf;
	size_t len;
	size_t done; /* out: bytes read from the start; less than len: the byte at addr + done is not readable
		      */
};

/* Reads all n; one system call per 1024 and one more per unreadable one. 0, whatever could not be read;
 * -ESRCH, -EPERM. */
int proc_mem_readv(pid_t pid, struct proc_read *v, size_t n);

#endif
