// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Looks at every thread and every open file of one process, and at who has which socket, from iterators:
 * nothing is attached to the target and nothing of it runs. What it says of a thread is consistent in itself,
 * except that a running thread moves on.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "abi/threads.h"
#include "lib/stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct threads_cfg);
} settings SEC(".maps");

#define SCAN_WORDS  64
#define SCAN_CHUNKS 10 /* the poll table lies in the outermost frames: 5 KiB below the saved registers */
#define SCAN_FOUND  16

struct scratch {
	struct threads_rec rec;
	__u64 word[SCAN_WORDS];
	__u64 task, top; /* struct task_struct *, struct pt_regs *: as plain numbers to the verifier */
	__u64 found[SCAN_FOUND]; /* where the task's own address stands on its kernel stack */
	__u32 n_found;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct task_struct___old {
	long state; /* __state since 5.14 */
} __attribute__((preserve_access_index));

static __always_inline __u32 task_state(struct task_struct *t)
{
	struct task_struct___old *old = (void *)t;
	__u32 state;

	if (bpf_core_field_exists(t->__state))
		state = BPF_CORE_READ(t, __state);
	else
		state = BPF_CORE_READ(old, state);
	return state | BPF_CORE_READ(t, exit_state);
}

/*
 * Clocks of two CPUs may differ by a tick or two where the sched clock is not declared stable
 * (kernel/sched/clock.c clamps to that); 20 ms is two ticks of the slowest tick there is (HZ=100).
 */
#define CLOCK_SLACK_NS 20000000ULL

/*
 * exec_start is clock_task of the thread's CPU when it last ran. clock_task is clock less the time stolen by
 * interrupts and the hypervisor; that lag only grows, so the lag of now may be taken for the lag of then and
 * the bound stays a bound. The clock of an idle CPU is stale, so the reader's own CPU's is used too: it was
 * updated within a tick.
 */
static __always_inline __u64 blocked_for(struct task_struct *t)
{
	struct task_struct *me = (void *)bpf_get_current_task();
	__u64 start, clock, clock_task, mine, own, by_mine;
	struct rq *rq, *my_rq;

	if (!bpf_core_field_exists(t->se.cfs_rq) || !bpf_core_field_exists(((struct cfs_rq *)0)->rq))
		return THREADS_UNKNOWN;
	rq = BPF_CORE_READ(t, se.cfs_rq, rq);
	my_rq = BPF_CORE_READ(me, se.cfs_rq, rq);
	start = BPF_CORE_READ(t, se.exec_start);
	if (!rq || !my_rq || !start)
		return THREADS_UNKNOWN;
	clock_task = BPF_CORE_READ(rq, clock_task);
	clock = BPF_CORE_READ(rq, clock);
	mine = BPF_CORE_READ(my_rq, clock);
	if (clock_task < start || clock < clock_task)
		return THREADS_UNKNOWN;
	own = clock_task - start;
	if (mine < start + (clock - clock_task) + CLOCK_SLACK_NS)
		return own;
	by_mine = mine - start - (clock - clock_task) - CLOCK_SLACK_NS;
	return by_mine > own ? by_mine : own;
}

static __always_inline __u64 blocked_at_most(struct task_struct *t)
{
	struct task_struct *me = (void *)bpf_get_current_task();
	__u64 last, mine;

	if (!bpf_core_field_exists(t->sched_info.last_arrival) || !bpf_core_field_exists(t->se.cfs_rq) ||
	    !bpf_core_field_exists(((struct cfs_rq *)0)->rq))
		return THREADS_UNKNOWN;
	last = BPF_CORE_READ(t, sched_info.last_arrival);
	mine = BPF_CORE_READ(me, se.cfs_rq, rq, clock);
	return last && mine >= last ? mine - last + CLOCK_SLACK_NS : THREADS_UNKNOWN;
}

static __always_inline bool rec_regs(struct threads_rec *r, struct pt_regs *p)
{
#define REC_REG(n, member) r->reg[n] = BPF_CORE_READ(p, member);
	ARCH_REGS(REC_REG)
#undef REC_REG
	r->nr = (__s64)BPF_CORE_READ(p, ARCH_SYSCALL_NR);
	r->flags |= THREADS_REGS;
	return r->nr >= 0;
}

/*
 * A wait queue entry that is still linked: both neighbours point back at it. What an earlier call left on the
 * stack was unlinked when that call ended, so this tells a live poll table from a dead one.
 */
static __always_inline bool entry_linked(struct poll_table_entry *e)
{
	struct list_head *node = (void *)e + bpf_core_field_offset(struct poll_table_entry, wait.entry);
	struct list_head *next = BPF_CORE_READ(node, next);
	struct list_head *prev = BPF_CORE_READ(node, prev);

	return next && prev && BPF_CORE_READ(next, prev) == node && BPF_CORE_READ(prev, next) == node;
}

static __always_inline struct poll_table_entry *entry_at(struct poll_wqueues *w, int i)
{
	return (void *)w + bpf_core_field_offset(struct poll_wqueues, inline_entries) +
	       i * bpf_core_type_size(struct poll_table_entry);
}

/* Takes the files of a poll table if w is one that this task sleeps on. Global: the verifier looks at it
 * once. */
__noinline int take_polled(__u64 table)
{
	struct poll_wqueues *w = (void *)table;
	struct threads_rec *r;
	struct scratch *s;
	__u32 zero = 0;
	int n;

	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!s)
		return 0;
	r = &s->rec;
	n = BPF_CORE_READ(w, inline_index);
	if ((__u64)BPF_CORE_READ(w, polling_task) != s->task || n < 1)
		return 0;
	for (int i = 0; i < THREADS_POLLED; i++) {
		struct poll_table_entry *e = entry_at(w, i);
		struct file *f;

		if (i >= n)
			break;
		if (BPF_CORE_READ(e, wait.private) != w || !entry_linked(e))
			return 0;
		f = BPF_CORE_READ(e, filp);
		r->polled[i].file = (__u64)f;
		r->polled[i].inode = BPF_CORE_READ(f, f_inode, i_ino);
		r->polled[i].events = BPF_CORE_READ(e, key);
	}
	r->n_polled = n < THREADS_POLLED ? n : THREADS_POLLED;
	r->flags |= THREADS_POLLED_TAKEN;
	if (n > THREADS_POLLED || BPF_CORE_READ(w, table))
		r->flags |= THREADS_POLLED_MORE;
	return 1;
}

/* Notes where in the SCAN_WORDS words from `at` the task's own address stands; 0 = unreadable. */
__noinline int scan_chunk(__u64 at)
{
	struct scratch *s;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!s || bpf_probe_read_kernel(s->word, sizeof(s->word), (void *)at))
		return 0;
	for (int i = 0; i < SCAN_WORDS; i++) {
		/* a counter in memory: in a register each value of it would be a state of its own */
		volatile __u32 *count = &s->n_found;
		__u32 n;

		if (s->word[i] != s->task)
			continue;
		n = *count;
		if (n >= SCAN_FOUND)
			break;
		s->found[n] = at + i * 8;
		*count = n + 1;
	}
	return 1;
}

/* Looks for the poll table on the kernel stack, between the stack pointer and the saved user registers. */
static __always_inline void find_polled(struct scratch *s, struct task_struct *t, struct pt_regs *top)
{
	__u64 low = arch_kernel_sp(t), at;
	__u32 off = bpf_core_field_offset(struct poll_wqueues, polling_task);

	s->task = (__u64)t;
	s->top = (__u64)top;
	at = *(volatile __u64 *)&s->top;
	s->n_found = 0;
	for (int c = 0; c < SCAN_CHUNKS; c++) {
		at -= sizeof(s->word);
		if (at + sizeof(s->word) <= low || !scan_chunk(at))
			break;
	}
	for (__u32 i = 0; i < SCAN_FOUND; i++) {
		if (i >= s->n_found || take_polled(s->found[i] - off))
			break;
	}
}

/* The deadline became one member in 7.x; it was tv_sec and tv_nsec. */
struct restart_block___new {
	union {
		struct {
			struct timespec64 end_time;
		} poll;
	};
} __attribute__((preserve_access_index));

static __always_inline void take_restart(struct threads_rec *r, struct task_struct *t)
{
	struct restart_block___new *rb = NULL;

	r->restart_fn = (__u64)BPF_CORE_READ(t, restart_block.fn);
	r->restart_ufds = (__u64)BPF_CORE_READ(t, restart_block.poll.ufds);
	r->restart_nfds = BPF_CORE_READ(t, restart_block.poll.nfds);
	if (bpf_core_field_exists(rb->poll.end_time)) {
		rb = (void *)t + bpf_core_field_offset(struct task_struct, restart_block);
		r->restart_until_ns = BPF_CORE_READ(rb, poll.end_time.tv_sec) * 1000000000ULL +
				      BPF_CORE_READ(rb, poll.end_time.tv_nsec);
	} else {
		r->restart_until_ns = BPF_CORE_READ(t, restart_block.poll.tv_sec) * 1000000000ULL +
				      BPF_CORE_READ(t, restart_block.poll.tv_nsec);
	}
	r->restart_has_timeout = BPF_CORE_READ(t, restart_block.poll.has_timeout);
}

/* What takes longer, of a thread that sleeps in the kernel. */
static __always_inline void take_sleep(struct scratch *s, struct task_struct *t)
{
	struct threads_rec *r = &s->rec;
	struct pt_regs *regs;
	long n;

	n = bpf_get_task_stack(t, r->kstack, sizeof(r->kstack), 0);
	if (n > 0) {
		r->n_kstack = n / sizeof(r->kstack[0]);
		r->flags |= THREADS_KSTACK_TAKEN;
	}
	regs = (struct pt_regs *)stack_task_regs(t);
	if (!regs || !rec_regs(r, regs))
		return;
	if (r->nr == ARCH_NR_RESTART)
		take_restart(r, t);
	if (arch_may_poll(r->nr) && bpf_core_type_exists(struct poll_wqueues))
		find_polled(s, t, regs);
}

SEC("iter/task")
int look_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct threads_cfg *cfg;
	struct threads_rec *r;
	struct scratch *s;
	__u32 zero = 0;
	bool running;

	cfg = bpf_map_lookup_elem(&settings, &zero);
	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!t || !cfg || !s || (__u32)t->tgid != cfg->tgid)
		return 0;
	r = &s->rec;
	__builtin_memset(r, 0, sizeof(*r));
	r->h.kind = ABI_KIND_THREADS;
	r->h.size = sizeof(*r);
	r->h.ts_ns = bpf_ktime_get_ns();
	r->h.tgid = t->tgid;
	r->h.tid = t->pid;
	bpf_probe_read_kernel_str(r->h.comm, sizeof(r->h.comm), t->comm);
	r->nr = -1;
	r->nvcsw = t->nvcsw;
	r->nivcsw = t->nivcsw;
	r->cpu_ns = BPF_CORE_READ(t, se.sum_exec_runtime);
	r->sys_ns = BPF_CORE_READ(t, stime);
	r->start_ns = t->start_time;
	r->state = task_state(t);
	running = !r->state || (bpf_core_field_exists(t->on_cpu) && BPF_CORE_READ_BITFIELD_PROBED(t, on_cpu));
	if (running) {
		r->state = 0;
	} else {
		r->blocked_ns = blocked_for(t);
		r->blocked_max_ns = blocked_at_most(t);
	}
	if (!running && !cfg->brief)
		take_sleep(s, t);
	bpf_seq_write(ctx->meta->seq, r, sizeof(*r));
	return 0;
}

SEC("iter/task_file")
int look_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	struct threads_file rec = {};
	struct threads_cfg *cfg;
	struct socket *sock;
	struct sock *sk;
	__u32 zero = 0;

	cfg = bpf_map_lookup_elem(&settings, &zero);
	if (!t || !f || !cfg || t->pid != t->tgid || (!cfg->all && (__u32)t->tgid != cfg->tgid))
		return 0;
	rec.is_sock = (BPF_CORE_READ(f, f_inode, i_mode) & 0170000) == 0140000;
	if (cfg->all && !rec.is_sock)
		return 0;
	rec.file = (__u64)f;
	rec.inode = BPF_CORE_READ(f, f_inode, i_ino);
	rec.fd = ctx->fd;
	rec.tgid = t->tgid;
	rec.ticks[0] = rec.ticks[1] = -1;
	if (rec.is_sock && !cfg->all) {
		sock = BPF_CORE_READ(f, private_data);
		sk = sock ? BPF_CORE_READ(sock, sk) : NULL;
		rec.ticks[0] = sk ? BPF_CORE_READ(sk, sk_rcvtimeo) : -1;
		rec.ticks[1] = sk ? BPF_CORE_READ(sk, sk_sndtimeo) : -1;
	}
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
