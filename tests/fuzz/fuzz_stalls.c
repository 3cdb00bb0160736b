// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of bpf/threads.bpf.c and bpf/stalls.bpf.c: threads, tables and events of a process that says
 * anything. */
#include "fuzz.h"
#include "stalls/engine.h"

#define SEC	1000000000ull
#define THREADS 4
#define ROWS	4

static struct rpc_names names;

static int read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct input *in = ctx;

	(void)addr;
	if (in->left < len) /* no sets of thousands of descriptors out of nothing */
		return -14;
	take(ctx, buf, len);
	return take_u8(ctx) & 7 ? 0 : -14;
}

static int fd_read(void *ctx, int fd, struct proc_fd *out)
{
	*out = (struct proc_fd){.fd = fd,
				.kind = take_u8(ctx) % (PROC_FD_OTHER + 1),
				.inode = take_small(ctx),
				.target = strdup("socket:[7]")};
	return 0;
}

static int epoll_read(void *ctx, int fd, struct proc_epoll *out)
{
	(void)fd;
	*out = (struct proc_epoll){.n = take_u8(ctx) & 7};
	out->v = calloc(out->n + 1, sizeof(*out->v));
	if (!out->v)
		return -12;
	for (size_t i = 0; i < out->n; i++)
		out->v[i] = (struct proc_epoll_member){.fd = take_u8(ctx) & 15, .inode = take_u8(ctx) & 7};
	return 0;
}

static uint64_t file(void *ctx, int fd)
{
	(void)fd;
	return take_small(ctx);
}

static void text(void *ctx, char *buf, size_t len)
{
	take(ctx, buf, len);
	buf[len - 1] = '\0';
}

static bool sock(void *ctx, uint64_t inode, struct sock_facts *out)
{
	static const char *const states[] = {"ESTABLISHED", "SYN-SENT", "CLOSE-WAIT",
					     "FIN-WAIT-2",  "UNCONN",	"?"};

	*out = (struct sock_facts){
		.known = take_u8(ctx) & 3, .inode = inode, .family = 1 + (take_u8(ctx) & 1)};
	out->send_queue = take_u8(ctx);
	out->recv_queue = take_u8(ctx);
	out->unacked = take_u8(ctx);
	out->peer_window = take_u8(ctx) & 1;
	out->last_send_ms = (int64_t)(uint32_t)take_u64(ctx) - 1; /* as wide as sock_diag has it */
	out->last_recv_ms = (int64_t)(uint32_t)take_u64(ctx) - 1;
	snprintf(out->state, sizeof(out->state), "%s",
		 states[take_u8(ctx) % (sizeof(states) / sizeof(states[0]))]);
	text(ctx, out->remote, sizeof(out->remote));
	return out->known;
}

static const char *ksym(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr & 1 ? "schedule" : NULL;
}

static int add_frames(void *ctx, struct frames *out)
{
	static const char *const symbols[] = {"f", "svc::S_Stub::M(int)", "C::CallMethod", "__lll_lock_wait",
					      "S::Handle"};

	out->n = take_u8(ctx) & 3;
	out->v = calloc(out->n + 1, sizeof(*out->v));
	if (!out->v)
		return -12;
	for (size_t i = 0; i < out->n; i++)
		out->v[i].symbol = strdup(symbols[take_u8(ctx) % (sizeof(symbols) / sizeof(symbols[0]))]);
	return 0;
}

static int unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	(void)regs;
	return add_frames(ctx, out);
}

static int unwind_copy(void *ctx, const struct abi_stack *st, struct frames *out)
{
	(void)st;
	return add_frames(ctx, out);
}

static int frame_param(void *ctx, size_t index, const char *name, uint64_t *value)
{
	(void)index;
	(void)name;
	*value = take_u64(ctx);
	return 0;
}

static int method_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	(void)method;
	text(ctx, buf, len);
	return 0;
}

static bool shared(void *ctx, uint64_t inode)
{
	(void)inode;
	return take_u8(ctx) & 1;
}

static void found(void *ctx, const struct stall *s)
{
	(void)ctx;
	if (!s->explanation)
		abort();
}

/* Any time of the first two minutes, in quarters of a second; or any at all. */
static uint64_t when(struct input *in)
{
	uint8_t v = take_u8(in);

	return v ? v * (SEC / 2) : take_u64(in) >> 2;
}

/* A thread that could be; then some of its bytes are others. */
static void thread(struct input *in, struct threads_rec *r)
{
	static const int16_t calls[] = {-1,  0,	  1,   7,   23,	 35,  42,  45, 202,
					219, 230, 232, 270, 271, 281, 288, 441};
	static const uint8_t args[] = {5, 4, 1, 2, 8, 9}; /* rdi rsi rdx rcx (r10 of calls) r8 r9 */

	memset(r, 0, sizeof(*r));
	r->h.tid = take_u8(in) & 7;
	r->flags = take_u8(in) & 15;
	r->state = take_u8(in) & 3;
	r->nvcsw = take_u8(in) & 1;
	r->start_ns = take_u8(in) & 1;
	r->blocked_ns = when(in);
	r->nr = calls[take_u8(in) % (sizeof(calls) / sizeof(calls[0]))];
	for (size_t i = 0; i < sizeof(args); i++)
		r->reg[args[i]] = take_small(in);
	r->reg[ABI_REG_SP] = 0x1000;
	r->n_kstack = r->n_polled = take_small(in) & 15;
	for (size_t i = 0; i < THREADS_POLLED; i++)
		r->polled[i] = (struct threads_polled){.file = i & 3, .inode = i & 3};
	while (take_u8(in) & 1) {
		size_t at = take_u64(in) % sizeof(*r);

		*((uint8_t *)r + at) = take_u8(in);
	}
}

static struct autopsy *autopsy(struct input *in, const struct autopsy_ops *ops)
{
	const struct report_clock taken = {.mono_ns = when(in)};
	size_t n = 1 + take_u8(in) % THREADS;
	struct thread_raw *raw = calloc(n, sizeof(*raw));
	struct autopsy *a = NULL;

	if (!raw)
		abort();
	for (size_t i = 0; i < n; i++) {
		thread(in, &raw[i].rec);
		thread_raw_from_rec(&raw[i]);
	}
	if (autopsy_build(&a, 42, raw, n, &taken, ops, NULL))
		return NULL;
	raw = calloc(n, sizeof(*raw));
	if (!raw)
		abort();
	for (size_t i = 0; i < n; i++) {
		raw[i].rec = a->raw[i].rec;
		raw[i].rec.nvcsw += take_u8(in) & 1;
	}
	autopsy_confirm(a, raw, n);
	thread_raw_free(raw, n);
	return a;
}

static void *rows(struct input *in, size_t size, size_t *n)
{
	void *v;

	*n = take_u8(in) % ROWS;
	v = calloc(*n + 1, size);
	if (!v)
		abort();
	return v;
}

static struct stalls_call call(struct input *in)
{
	struct stalls_call c = {.entry_ns = when(in),
				.timeout_ns = (int64_t)(take_small(in) >> 1) - 2,
				.nr = (uint32_t)take_small(in),
				.flags = take_u8(in) & 31,
				.n_fds = (uint32_t)take_small(in)};

	for (size_t i = 0; i < 4; i++)
		c.fd[i] = (struct stalls_fd){.fd = take_u8(in) & 7,
					     .events = take_u8(in),
					     .is_sock = take_u8(in) & 1,
					     .file = take_small(in),
					     .inode = take_small(in)};
	return c;
}

static void tables(struct input *in, struct stalls_tables *t)
{
	*t = (struct stalls_tables){0};
	t->call = rows(in, sizeof(*t->call), &t->n_calls);
	for (size_t i = 0; i < t->n_calls; i++)
		t->call[i] = (struct call_row){.tid = take_u8(in) & 7, .call = call(in)};
	t->sock = rows(in, sizeof(*t->sock), &t->n_socks);
	for (size_t i = 0; i < t->n_socks; i++)
		t->sock[i] = (struct sock_row){.inode = take_small(in),
					       .sock = {.last_send_ns = when(in),
							.last_recv_ns = when(in),
							.asked_ns = when(in),
							.burst = take_small(in),
							.send_tid = take_u8(in) & 7,
							.recv_tid = take_u8(in) & 7,
							.turns = take_u8(in) & 3,
							.replies = take_u8(in) & 3}};
	t->rpc = rows(in, sizeof(*t->rpc), &t->n_rpcs);
	for (size_t i = 0; i < t->n_rpcs; i++)
		t->rpc[i] = (struct rpc_row){.tid = take_u8(in) & 7,
					     .rpc = {.entry_ns = when(in),
						     .sp = 0x1008,
						     .ret = take_small(in),
						     .method = take_small(in),
						     .first_send_ns = when(in),
						     .last_recv_ns = when(in),
						     .inode = take_small(in),
						     .family = take_u8(in) & 15}};
	t->method = rows(in, sizeof(*t->method), &t->n_methods);
	take(in, t->method, t->n_methods * sizeof(*t->method));
	t->n_open = take_u8(in) % ROWS;
	t->open = calloc(ROWS, sizeof(*t->open));
	if (!t->open)
		abort();
	for (size_t i = 0; i < t->n_open; i++) {
		t->open[i] = (struct open_sock){.fd = take_u8(in), .inode = take_u8(in) & 7};
		sock(in, t->open[i].inode, &t->open[i].facts);
	}
	if (stalls_tables_sort(t))
		abort();
}

static void event(struct input *in, struct stall_engine *e)
{
	static struct stalls_closed ev;

	take(in, &ev, sizeof(ev) - ABI_STACK_BYTES);
	ev.h.kind = take_u8(in) & 1 ? STALLS_ENDED : STALLS_CLOSED;
	ev.h.size %= sizeof(ev) + 1;
	if (ev.h.size >= sizeof(ev.h))
		stall_engine_event(e, &ev.h);
}

static bool running(void *ctx, pid_t tid, const struct stalls_rpc *r)
{
	return stall_engine_rpc_runs(ctx, tid, r);
}

static int ledger_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	(void)ctx;
	snprintf(buf, len, "m%d", (int)(method & 3));
	return 0;
}

static void look(struct input *in, struct stall_engine *e, const struct autopsy_ops *ops)
{
	struct rpc_ledger ledger;
	struct stalls_tables t;
	struct look l = {.now_ns = when(in), .autopsy = autopsy(in, ops), .tables = &t};

	tables(in, &t);
	if (l.autopsy) {
		stall_engine_wants_look(e, &t, l.now_ns);
		stall_engine_look(e, &l, NULL);
		if (!rpc_ledger_build(&ledger, &t, l.now_ns, ledger_name, running, e))
			rpc_ledger_deinit(&ledger);
	}
	stalls_tables_deinit(&t);
	autopsy_free(l.autopsy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	const struct autopsy_ops target = {.ctx = &in,
					   .read_mem = read_mem,
					   .fd_read = fd_read,
					   .epoll_read = epoll_read,
					   .file = file,
					   .sock = sock,
					   .ksym = ksym,
					   .unwind = unwind};
	const struct stall_engine_ops ops = {.ctx = &in,
					     .target = &target,
					     .frame_param = frame_param,
					     .method_name = method_name,
					     .unwind_copy = unwind_copy,
					     .shared = shared,
					     .found = found};
	const struct stall_engine_cfg cfg = {.pid = 42, .threshold_ns = 1000000000, .names = &names};
	struct stall_engine *e;

	if (!names.n_channel && (rpc_names_add(&names, false, "C::CallMethod", NULL) ||
				 rpc_names_add(&names, true, "S::*", "svc.S.M")))
		abort();
	if (stall_engine_create(&e, &cfg, &ops, NULL))
		abort();
	while (in.left) {
		if (take_u8(&in) & 1)
			event(&in, e);
		else
			look(&in, e, &target);
	}
	for (size_t i = 0; i < stall_engine_count(e); i++)
		stall_engine_life(e, i, UINT64_MAX);
	stall_engine_destroy(e);
	return 0;
}
