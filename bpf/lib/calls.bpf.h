/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of calls in flight, one slot per thread, and which descriptor numbers they wait for. */
#ifndef CULPRIT_CALLS_BPF_H
#define CULPRIT_CALLS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../abi/stalls.h"
#include "arch.bpf.h" /* of bpf/arch/MACHINE */
#include "emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stalls_cfg);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STALLS_CALLS);
	__type(key, __u32);
	__type(value, struct stalls_call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stalls_call);
} empty_call SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STALLS_NR_MAX);
	__type(key, __u32);
	__type(value, __u32);
} hows SEC(".maps");

/* How many calls in flight wait for this descriptor number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STALLS_MAX_FD);
	__type(key, __u32);
	__type(value, __u32);
} waiters SEC(".maps");

/* The configuration, if the current thread is the target's. */
static __always_inline struct stalls_cfg *cfg_ours(void)
{
	__u32 zero = 0;
	struct stalls_cfg *cfg = bpf_map_lookup_elem(&settings, &zero);

	if (!cfg || bpf_get_current_pid_tgid() >> 32 != cfg->tgid)
		return NULL;
	return cfg;
}

/* Set bits of v; no branches, which would multiply the paths to verify. */
static __always_inline __u32 popcount(__u64 v)
{
	v -= (v >> 1) & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + ((v >> 2) & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (v * 0x0101010101010101ULL) >> 56;
}

/* floor(log2(v)), v > 0 */
static __always_inline __u32 log2_of(__u64 v)
{
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	v |= v >> 32;
	return popcount(v) - 1;
}

/*
 * p->field, without calling a helper where the verifier knows what p points to: in programs on functions of
 * the kernel their arguments (typed must be a constant), everywhere the current task, where there is a helper
 * that gives it so. These reads are most of what a probe costs (docs/bench.md).
 */
#define FIELD(typed, p, field) ((typed) ? (p)->field : BPF_CORE_READ(p, field))

/*
 * struct file * behind a descriptor of the current process, 0 if closed. direct, a constant: not in loops. At
 * each step along a pointer that it trusts the verifier searches the kernel's types by name, several times,
 * so that a loop took it seconds.
 */
static __always_inline __u64 file_by(__u32 fd, bool direct)
{
	struct task_struct *task;
	struct file **files;
	struct fdtable *fdt;
	__u64 file = 0;
	__u32 max;

	if (direct && HAS_HELPER(get_current_task_btf)) {
		fdt = bpf_get_current_task_btf()->files->fdt;
		files = fdt->fd;
		max = fdt->max_fds;
	} else {
		task = (void *)bpf_get_current_task();
		fdt = BPF_CORE_READ(task, files, fdt);
		files = BPF_CORE_READ(fdt, fd);
		max = BPF_CORE_READ(fdt, max_fds);
	}
	if (fd >= max)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

static __always_inline __u64 file_of(__u32 fd)
{
	return file_by(fd, false);
}

static __always_inline __u64 file_inode(__u64 file)
{
	return BPF_CORE_READ((struct file *)file, f_inode, i_ino);
}

static __always_inline bool mode_is_sock(__u32 mode)
{
	return (mode & 0170000) == 0140000;
}

static __always_inline bool file_is_sock(__u64 file)
{
	return mode_is_sock(BPF_CORE_READ((struct file *)file, f_inode, i_mode));
}

static __always_inline bool file_nonblocking(__u64 file)
{
	return BPF_CORE_READ((struct file *)file, f_flags) & 04000; /* O_NONBLOCK */
}

/* What a system call is and who tells of it; 0: not followed. */
static __always_inline __u32 how_of(__u32 nr)
{
	__u32 *how = bpf_map_lookup_elem(&hows, &nr);

	return how ? *how : 0;
}

/* A system call as the thread made it, by whatever hook it is seen. */
struct call_args {
	__u32 nr;
	__u32 how;
	__u64 arg[5];
};

/* Of the system call that the current thread is in; false if it is in none that is followed. */
static __noinline int args_from(struct call_args *a, const struct pt_regs *regs)
{
	if (!a || !regs || arch_syscall_args(&a->nr, a->arg, regs))
		return 0;
	a->how = how_of(a->nr);
	return a->how != 0;
}

/* Parts of the system call interface: not relocated, and not among the types of every kernel. */
struct user_timespec {
	__s64 tv_sec;
	__s64 tv_nsec;
};

struct user_timeval {
	__s64 tv_sec;
	__s64 tv_usec;
};

/* Timeouts in ns; NULL is infinite. Saturates far beyond what a session lasts. */
static __always_inline __s64 timespec_read(__u64 addr)
{
	struct user_timespec ts;

	if (!addr)
		return -1;
	if (bpf_probe_read_user(&ts, sizeof(ts), (void *)addr))
		return -2;
	return ts.tv_sec > 1000000000 ? 1000000000000000000LL : ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static __always_inline __s64 timeval_read(__u64 addr)
{
	struct user_timeval tv;

	if (bpf_probe_read_user(&tv, sizeof(tv), (void *)addr))
		return -2;
	return tv.tv_sec > 1000000000 ? 1000000000000000000LL
				      : tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL;
}

static __always_inline bool fd_watched(__u32 fd)
{
	__u32 *n = bpf_map_lookup_elem(&waiters, &fd);

	return n && *n;
}

static __always_inline void call_unwatch(struct stalls_call *c)
{
	for (__u32 i = 0; i < STALLS_FDS; i++) {
		__u32 fd = c->fd[i].fd;
		__u32 *n;

		if (i >= c->n_fds)
			break;
		n = bpf_map_lookup_elem(&waiters, &fd);
		if (n)
			__sync_fetch_and_add(n, -1);
	}
}

static __always_inline void call_end(void *ctx, const struct stalls_cfg *cfg, struct stalls_call *c,
				     __s64 ret)
{
	__u64 now = bpf_ktime_get_ns();

	if (now - c->entry_ns >= cfg->threshold_ns) {
		struct stalls_ended e = {.entry_ns = c->entry_ns, .ret = ret, .nr = c->nr, .flags = c->flags};

		hdr_fill(&e.h, STALLS_ENDED, sizeof(e));
		emit(ctx, &e, sizeof(e));
	}
	call_unwatch(c);
	c->entry_ns = 0;
}

/* The call that the current thread is in, as far as is known; NULL if none. */
static __always_inline struct stalls_call *call_current(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_call *c = bpf_map_lookup_elem(&calls, &tid);

	return c && c->entry_ns ? c : NULL;
}

/* The thread does something that cannot block: whatever it was in is over, if nobody has told yet. */
static __always_inline void call_over(void)
{
	struct stalls_call *c = call_current();

	if (!c)
		return;
	call_unwatch(c);
	c->entry_ns = 0;
}

/* Is this the call of before, still or again? Its exit was not seen. */
static __always_inline bool call_goes_on(const struct stalls_call *c, const struct call_args *a)
{
	if (c->arg[0] != a->arg[0] || c->arg[1] != a->arg[1])
		return false;
	if (STALLS_HOW_KIND(a->how) == STALLS_HOW_RESTART)
		return true;
	return (c->flags & STALLS_CALL_RESTART) && c->nr == a->nr && c->arg[2] == a->arg[2];
}

/*
 * The thread's slot for a call that begins now, its descriptors not filled yet. NULL: the table is full
 * (counted). A call that a signal interrupted and the kernel resumes keeps its beginning.
 */
static __noinline struct stalls_call *call_slot(void)
{
	__u32 zero = 0, tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_call *c = bpf_map_lookup_elem(&calls, &tid);
	void *empty;

	if (c)
		return c;
	empty = bpf_map_lookup_elem(&empty_call, &zero);
	if (empty && !bpf_map_update_elem(&calls, &tid, empty, BPF_ANY))
		return bpf_map_lookup_elem(&calls, &tid);
	lost_add(ABI_LOST_MAP);
	return NULL;
}

static __always_inline struct stalls_call *call_begin(const struct call_args *a, bool goes_on)
{
	struct stalls_call *c = call_slot();
	__u64 entry = 0;
	__u32 nr = a->nr;

	if (!c)
		return NULL;
	if (c->entry_ns) {
		if (goes_on || call_goes_on(c, a)) {
			entry = c->entry_ns;
			nr = c->nr;
		}
		call_unwatch(c);
	}
	c->nr = nr;
	c->flags = 0;
	c->arg[0] = a->arg[0];
	c->arg[1] = a->arg[1];
	c->arg[2] = a->arg[2];
	c->n_fds = 0;
	c->got = 0;
	c->entry_ns = entry ? entry : bpf_ktime_get_ns();
	return c;
}

/* What is behind a descriptor. */
struct fd_file {
	__u64 file, inode; /* struct file *; 0: closed */
	__u32 is_sock;
	__u32 pad;
};

static __always_inline void fd_look(struct fd_file *f, __u64 file)
{
	struct inode *inode;

	f->file = file;
	f->inode = f->is_sock = 0;
	if (!file)
		return;
	inode = BPF_CORE_READ((struct file *)file, f_inode);
	f->inode = BPF_CORE_READ(inode, i_ino);
	f->is_sock = mode_is_sock(BPF_CORE_READ(inode, i_mode));
}

/* The address is made before anything is called: see ADDRESS_NOW. */
static __always_inline struct stalls_fd *fd_slot(struct stalls_call *c, __u32 i)
{
	struct stalls_fd *to;

	if (i >= STALLS_FDS)
		return NULL;
	to = &c->fd[i];
	ADDRESS_NOW(to);
	return to;
}

static __always_inline void fd_put(struct stalls_call *c, __u32 i, struct stalls_fd *to, __s32 fd,
				   __u16 events, const struct fd_file *f)
{
	__u32 key = fd;
	__u32 *n;

	to->fd = fd;
	to->events = events;
	to->is_sock = f->is_sock;
	to->file = f->file;
	to->inode = f->inode;
	c->n_fds = i + 1;
	n = bpf_map_lookup_elem(&waiters, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void call_fd(struct stalls_call *c, __u32 i, __s32 fd, __u16 events,
				    const struct fd_file *f)
{
	struct stalls_fd *to = fd_slot(c, i);

	if (to)
		fd_put(c, i, to, fd, events, f);
}

/* The same, of which nothing is known yet. */
static __always_inline void call_fd_look(struct stalls_call *c, __u32 i, __s32 fd, __u16 events)
{
	struct stalls_fd *to = fd_slot(c, i);
	struct fd_file f;

	if (!to)
		return;
	fd_look(&f, fd < 0 ? 0 : file_of(fd));
	fd_put(c, i, to, fd, events, &f);
}

#endif
