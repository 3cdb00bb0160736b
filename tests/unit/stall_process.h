/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A made-up process for the stall engine: its threads, descriptors, sockets and tables. */
#ifndef CULPRIT_TEST_STALL_PROCESS_H
#define CULPRIT_TEST_STALL_PROCESS_H

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "arch/syscalls.h"

#include "stalls/engine.h"

#define MS	1000000ULL
#define SEC	(1000 * MS)
#define START	(1000 * SEC) /* of the session */
#define THREADS 4
#define FDS	8

/* The process: threads, descriptors by index, and the tables. */
static struct {
	struct autopsy a;
	struct thread_facts thread[THREADS];
	struct thread_raw raw[THREADS];
	struct thread_wait wait[THREADS][4];
	struct fd_facts fd[FDS];
	struct call_row call[THREADS];
	struct sock_row sock[FDS];
	struct rpc_row rpc[THREADS];
	struct open_sock open[FDS];
	struct stalls_tables t;
	uint64_t file[64]; /* by descriptor */
	const char *stack[THREADS][6];
	uint64_t word_addr, word; /* the only readable memory */
} p;

static char link_now[] = "socket:[now]";
static struct rpc_names names;
static struct stall_engine *e;
static const struct stall *found[8];
static size_t n_found;

static inline int read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr != p.word_addr || len > sizeof(p.word))
		return -EFAULT;
	memcpy(buf, &p.word, len);
	return 0;
}

static inline uint64_t file(void *ctx, int fd)
{
	(void)ctx;
	return p.file[fd];
}

static inline bool sock(void *ctx, uint64_t inode, struct sock_facts *out)
{
	(void)ctx;
	for (size_t i = 0; i < p.t.n_open; i++) {
		if (p.open[i].inode == inode) {
			*out = p.open[i].facts;
			return true;
		}
	}
	return false;
}

static inline const char *ksym(void *ctx, uint64_t addr)
{
	(void)ctx;
	(void)addr;
	return "schedule";
}

static inline int unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	uint64_t i = regs->reg[ABI_REG_SP] / 0x1000 - 1;

	(void)ctx;
	out->v = calloc(6, sizeof(*out->v));
	for (size_t k = 0; k < 6 && p.stack[i][k]; k++)
		out->v[out->n++].symbol = strdup(p.stack[i][k]);
	return 0;
}

static inline int unwind_copy(void *ctx, const struct abi_stack *st, struct frames *out)
{
	(void)ctx;
	(void)st;
	out->v = calloc(1, sizeof(*out->v));
	out->v[0].symbol = strdup("Reaper::Close");
	out->n = 1;
	return 0;
}

static inline int method_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	(void)ctx;
	snprintf(buf, len, "svc.m%d", (int)method);
	return 0;
}

static bool kin_has;

static inline bool shared(void *ctx, uint64_t inode)
{
	(void)ctx;
	(void)inode;
	return kin_has;
}

/* What comes in the middle of the next look; NULL is no more. */
static const struct abi_hdr *arriving[3];

static inline void arrive(void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(arriving) / sizeof(arriving[0]) && arriving[i]; i++)
		stall_engine_event(e, arriving[i]);
	memset(arriving, 0, sizeof(arriving));
}

static inline void on_found(void *ctx, const struct stall *s)
{
	(void)ctx;
	assert_true(n_found < 8);
	found[n_found++] = s;
}

static const struct autopsy_ops target = {
	.read_mem = read_mem, .file = file, .sock = sock, .ksym = ksym, .unwind = unwind};

static inline int setup(void **state)
{
	struct stall_engine_cfg cfg = {.pid = 1, .threshold_ns = SEC, .start_ns = START, .names = &names};
	struct stall_engine_ops ops = {.target = &target,
				       .method_name = method_name,
				       .unwind_copy = unwind_copy,
				       .shared = shared,
				       .events = arrive,
				       .found = on_found};

	(void)state;
	memset(&p, 0, sizeof(p));
	memset(arriving, 0, sizeof(arriving));
	n_found = 0;
	rpc_names_add(&names, false, "Channel::CallMethod", NULL);
	rpc_names_add(&names, true, "Impl::ListDb", "svc.ListDb");
	p.a.thread = p.thread;
	p.a.fd = p.fd;
	p.t = (struct stalls_tables){.call = p.call, .sock = p.sock, .rpc = p.rpc, .open = p.open};
	return stall_engine_create(&e, &cfg, &ops, NULL);
}

static inline void drop_stacks(void)
{
	for (size_t i = 0; i < THREADS; i++) {
		frames_deinit(&p.thread[i].user_stack);
		for (size_t k = 0; k < p.thread[i].n_kernel; k++)
			free(p.thread[i].kernel_stack[k]);
		free(p.thread[i].kernel_stack);
		p.thread[i].kernel_stack = NULL;
		p.thread[i].n_kernel = 0;
		p.thread[i].stacks_taken = false;
	}
}

static inline int teardown(void **state)
{
	(void)state;
	drop_stacks();
	free(p.t.ends);
	stall_engine_destroy(e);
	rpc_names_deinit(&names);
	return 0;
}

/* One look at this time, with stacks not taken yet. */
static inline void look(uint64_t now_ns)
{
	struct look l = {.now_ns = now_ns, .autopsy = &p.a, .tables = &p.t};

	drop_stacks();
	p.a.taken.mono_ns = now_ns;
	assert_int_equal(stalls_tables_sort(&p.t), 0);
	assert_int_equal(stall_engine_look(e, &l, NULL), 0);
}

/* Thread 100 + i, in this call for so long. */
static inline struct thread_facts *thread(enum call_class class, const char *name, int64_t nr,
					  uint64_t blocked_ns)
{
	size_t i = p.a.n_threads++;
	struct thread_facts *t = &p.thread[i];

	p.raw[i].known = IMAGE_REGS_SP_IP;
	p.raw[i].rec.flags = THREADS_REGS;
	p.raw[i].rec.reg[ABI_REG_SP] = 0x1000 * (i + 1);
	p.raw[i].rec.n_kstack = 1;
	*t = (struct thread_facts){.tid = 100 + (pid_t)i,
				   .comm = "worker",
				   .state = 'S',
				   .in_call = true,
				   .nr = nr,
				   .syscall = name,
				   .class = class,
				   .timeout_ms = -1,
				   .fd = -1,
				   .wait = p.wait[i],
				   .blocked_known = true,
				   .blocked_ns = blocked_ns,
				   .switches = 7,
				   .raw = &p.raw[i]};
	return t;
}

/* A TCP connection we made, on descriptor 20 + i, inode 70 + i, last used 60 s ago. */
static inline struct sock_facts *connection(void)
{
	size_t i = p.t.n_open++;
	struct open_sock *o = &p.open[i];

	o->fd = 20 + (int)i;
	o->inode = 70 + i;
	o->facts = (struct sock_facts){.known = true,
				       .inode = o->inode,
				       .family = AF_INET,
				       .state = "ESTABLISHED",
				       .bytes_sent = 100,
				       .bytes_acked = 101,
				       .bytes_received = 100,
				       .last_send_ms = 60000,
				       .last_recv_ms = 60000,
				       .last_ack_ms = 60000,
				       .peer_window = 1000};
	snprintf(o->facts.local, sizeof(o->facts.local), "10.0.0.1:%zu", 4000 + i);
	snprintf(o->facts.remote, sizeof(o->facts.remote), "10.0.0.2:80");
	p.file[o->fd] = 0xf00 + i;
	return &o->facts;
}

/* The thread waits for connection i too. */
static inline void waits_for(struct thread_facts *t, size_t i)
{
	size_t k = p.a.n_fds++;

	p.fd[k] = (struct fd_facts){.fd = p.open[i].fd,
				    .open = true,
				    .kind = PROC_FD_SOCKET,
				    .inode = p.open[i].inode,
				    .target = link_now,
				    .sock = p.open[i].facts};
	if (!t->n_wait)
		t->fd = p.open[i].fd;
	t->wait[t->n_wait++] = (struct thread_wait){.fd = k, .events = POLLIN};
}

static inline struct stalls_call *in_flight(const struct thread_facts *t, uint64_t entry_ns, size_t i)
{
	struct call_row *r = &p.call[p.t.n_calls++];

	*r = (struct call_row){
		.tid = (uint32_t)t->tid,
		.call = {.entry_ns = entry_ns, .nr = (uint32_t)t->nr, .n_fds = 1, .timeout_ns = -1}};
	r->call.fd[0] = (struct stalls_fd){
		.fd = p.open[i].fd, .events = POLLIN, .file = p.file[p.open[i].fd], .inode = p.open[i].inode};
	return &r->call;
}

static inline struct stalls_sock *flow(size_t i, uint64_t sent_ns, pid_t sender, uint64_t received_ns,
				       pid_t receiver)
{
	struct sock_row *r = &p.sock[p.t.n_socks++];

	*r = (struct sock_row){.inode = p.open[i].inode,
			       .sock = {.last_send_ns = sent_ns,
					.asked_ns = sent_ns,
					.burst = 32,
					.last_recv_ns = received_ns,
					.send_tid = (uint32_t)sender,
					.recv_tid = (uint32_t)receiver}};
	return &r->sock;
}

#endif
