/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A made-up process to look at: its memory, descriptors and sockets, and threads that sleep in calls. */
#ifndef CULPRIT_TEST_MADE_THREADS_H
#define CULPRIT_TEST_MADE_THREADS_H

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "arch/syscalls.h"
#include "memory.h"
#include "report/threads.h"

static const struct report_clock now = {.mono_ns = 1000 * 1000000000ULL,
					.real_ns = 1700000000 * 1000000000ULL};

struct fake_fd {
	enum proc_fd_kind kind; /* PROC_FD_FILE with inode 0: closed */
	uint64_t inode, file;
	const char *target;
	struct proc_epoll_member member[4];
	size_t n_members;
};
static struct fake_fd fds[64];
static unsigned fd_reads;

static inline int fd_read(void *ctx, int fd, struct proc_fd *out)
{
	(void)ctx;
	fd_reads++;
	if (fd < 0 || fd >= 64 || !fds[fd].target)
		return -EBADF;
	*out = (struct proc_fd){
		.fd = fd, .kind = fds[fd].kind, .inode = fds[fd].inode, .target = strdup(fds[fd].target)};
	return 0;
}

static inline int epoll_read(void *ctx, int fd, struct proc_epoll *out)
{
	size_t size = fds[fd].n_members * sizeof(*out->v);

	(void)ctx;
	if (fds[fd].kind != PROC_FD_EPOLL)
		return -EINVAL;
	out->n = fds[fd].n_members;
	out->v = malloc(size ? size : 1);
	memcpy(out->v, fds[fd].member, size);
	return 0;
}

static inline uint64_t file_of(void *ctx, int fd)
{
	(void)ctx;
	return fd < 64 && fds[fd].target ? fds[fd].file : 0;
}

static inline bool sock_of(void *ctx, uint64_t inode, struct sock_facts *out)
{
	(void)ctx;
	if (inode < 100 || inode >= 200)
		return false;
	*out = (struct sock_facts){.known = true, .inode = inode, .family = AF_INET, .state = "ESTABLISHED"};
	snprintf(out->local, sizeof(out->local), "10.0.0.1:%u", (unsigned)inode);
	snprintf(out->remote, sizeof(out->remote), "10.0.0.2:80");
	out->peer_window = 1000;
	return true;
}

static inline const char *ksym(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr == 0xf00   ? "do_restart_poll"
	       : addr == 0xf10 ? "hrtimer_nanosleep_restart"
	       : addr == 0xf20 ? "do_sys_poll"
			       : NULL;
}

static inline int unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	(void)ctx;
	out->v = calloc(3, sizeof(*out->v));
	out->n = 3;
	out->v[0] =
		(struct frame){.symbol = strdup("__poll"), .module = strdup("/lib64/libc.so.6"), .addr = 1};
	out->v[1] = (struct frame){.symbol = strdup("zbs::(anonymous namespace)::Wait(int, char*)"),
				   .module = strdup("/usr/sbin/d"),
				   .addr = regs->reg[ABI_REG_IP]};
	out->v[2] = (struct frame){
		.symbol = strdup("start_thread"), .module = strdup("/lib64/libc.so.6"), .addr = 3};
	return 0;
}

static const struct autopsy_ops ops = {.read_mem = read_mem,
				       .fd_read = fd_read,
				       .epoll_read = epoll_read,
				       .file = file_of,
				       .sock = sock_of,
				       .ksym = ksym,
				       .unwind = unwind};

static inline int reset(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	memset(fds, 0, sizeof(fds));
	fd_reads = 0;
	return 0;
}

static inline void open_socket(int fd, uint64_t inode)
{
	fds[fd] = (struct fake_fd){
		.kind = PROC_FD_SOCKET, .inode = inode, .file = 0xf000 + inode, .target = "socket:[x]"};
}

/* A sleeping thread in a system call. */
static inline struct thread_raw raw_of(pid_t tid, long nr, const uint64_t arg[6])
{
	struct thread_raw raw = {.rec = {.state = 1,
					 .nr = nr,
					 .flags = THREADS_REGS,
					 .nvcsw = 5,
					 .start_ns = 77,
					 .blocked_ns = 1000000000ULL * (uint64_t)tid}};

	raw.rec.h.tid = (uint32_t)tid;
	snprintf(raw.rec.h.comm, sizeof(raw.rec.h.comm), "t%d", (int)tid);
	for (int i = 0; i < ARCH_SYSCALL_ARGS; i++)
		raw.rec.reg[arch.syscall_arg[i]] = arg[i];
	raw.rec.reg[ABI_REG_SP] = 0x7000;
	raw.rec.reg[ABI_REG_IP] = 0x400000;
	thread_raw_from_rec(&raw);
	return raw;
}
#define ARGS(...) ((const uint64_t[6]){__VA_ARGS__})

/* The calls that a program makes for poll(), select() and epoll_wait(): aarch64 has only their successors,
 * whose further arguments are 0 here. */
#ifdef __NR_poll
#define POLL_NAME	 "poll"
#define NR_POLL		 SYS_poll
#define NR_SELECT	 SYS_select
#define NR_EPOLL	 SYS_epoll_wait
#define POLL_TIMEOUT(ms) (uint64_t)(ms)
#else
#define POLL_NAME	 "ppoll"
#define NR_POLL		 SYS_ppoll
#define NR_SELECT	 SYS_pselect6
#define NR_EPOLL	 SYS_epoll_pwait
#define POLL_TIMEOUT(ms) made_timeout(ms)

static inline uint64_t made_timeout(int ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

	poke(0x1f00, &t, sizeof(t));
	return ms < 0 ? 0 : 0x1f00;
}
#endif

static inline struct autopsy *build(const struct thread_raw *v, size_t n)
{
	struct thread_raw *raw = calloc(n, sizeof(*raw));
	struct autopsy *a = NULL;
	struct err err;

	memcpy(raw, v, n * sizeof(*raw));
	assert_int_equal(autopsy_build(&a, 4242, raw, n, &now, &ops, &err), 0);
	return a;
}

static inline struct autopsy *build_one(long nr, const uint64_t arg[6])
{
	struct thread_raw raw = raw_of(10, nr, arg);

	return build(&raw, 1);
}

/* Poll of fds 7 and 8, whose files are 0xf000+inode; the call holds the two given. */
static inline struct autopsy *polled(uint64_t first, uint64_t second, uint32_t flags)
{
	const struct pollfd set[2] = {{7, POLLIN, 0}, {8, POLLIN, 0}};
	struct thread_raw raw = raw_of(10, NR_POLL, ARGS(0x1100, 2, POLL_TIMEOUT(-1)));

	poke(0x1100, set, sizeof(set));
	raw.rec.flags |= flags;
	raw.rec.n_polled = 2;
	raw.rec.polled[0] = (struct threads_polled){.file = 0xf000 + first, .inode = first};
	raw.rec.polled[1] = (struct threads_polled){.file = 0xf000 + second, .inode = second};
	return build(&raw, 1);
}

static inline void take_stacks(struct autopsy *a)
{
	for (size_t i = 0; i < a->n_threads; i++)
		assert_int_equal(autopsy_stacks(&a->thread[i], &ops), 0);
}

#endif
