/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of the kernel differs between machines, for x86-64. */
#ifndef CULPRIT_ARCH_BPF_H
#define CULPRIT_ARCH_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* THREAD_SIZE of arch/x86/include/asm/page_64_types.h without KASAN, 3.15 to today */
#define ARCH_THREAD_SIZE 16384

/* A system call's number and arguments, as the thread made it: struct pt_regs *. */
#define ARCH_SYSCALL_NR	  orig_ax
#define ARCH_SYSCALL_ARG0 di
#define ARCH_SYSCALL_ARG1 si
#define ARCH_SYSCALL_ARG2 dx
#define ARCH_SYSCALL_ARG3 r10
#define ARCH_SYSCALL_ARG4 r8

#define ARCH_POLL	    "poll"     /* the system call of poll() */
#define ARCH_SIGNAL_PENDING (1UL << 2) /* _TIF_SIGPENDING */

#define ARCH_NR_RESTART 219

/* poll, select, pselect6, ppoll, restart_syscall */
static __always_inline bool arch_may_poll(__s64 nr)
{
	return nr == 7 || nr == 23 || nr == 270 || nr == 271 || nr == ARCH_NR_RESTART;
}

/* A system call's number and its first five arguments. */
static __always_inline long arch_syscall_args(__u32 *nr, __u64 *arg, const struct pt_regs *regs)
{
	struct pt_regs r;

	if (HAS_HELPER(task_pt_regs)) { /* known to the verifier there, see stack_task_regs */
		*nr = regs->orig_ax;
		arg[0] = regs->di;
		arg[1] = regs->si;
		arg[2] = regs->dx;
		arg[3] = regs->r10;
		arg[4] = regs->r8;
		return 0;
	}
	if (bpf_probe_read_kernel(&r, sizeof(r), regs))
		return -1;
	*nr = r.orig_ax;
	arg[0] = r.di;
	arg[1] = r.si;
	arg[2] = r.dx;
	arg[3] = r.r10;
	arg[4] = r.r8;
	return 0;
}

/* Where a thread that sleeps left its kernel stack. */
static __always_inline __u64 arch_kernel_sp(struct task_struct *t)
{
	return BPF_CORE_READ(t, thread.sp);
}

/* Are these registers of user mode? Both segment selectors say so. */
static __always_inline bool arch_of_user(const struct pt_regs *r)
{
	return (BPF_CORE_READ(r, cs) & BPF_CORE_READ(r, ss) & 3) == 3;
}

/* The same of a perf event's context. Word of it that holds cs: struct pt_regs of
 * arch/x86/include/uapi/asm/ptrace.h, which cannot change. Not by name: kernel types say 64 bits until 6.8
 * and 16 since, and a relocation must not change the width of a read. */
static __always_inline bool arch_event_from_user(const struct bpf_perf_event_data *ctx)
{
	return ((const volatile __u64 *)ctx)[17] & 3;
}

#define ARCH_EVENT_IP(ctx) ((ctx)->regs.ip)

/* What a function's entry knows of its return address beside the stack: nothing. */
#define ARCH_LINK(ctx) 0ULL

/* See STALLS_COOKIE. */
static __always_inline __u64 arch_return_slot(__u64 sp, __u64 ra)
{
	return sp + ra;
}

/* The return address of a function at its entry, which stands at `slot`. */
static __always_inline long arch_return_address(__u64 *ret, __u64 slot, __u64 link)
{
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)slot);
}

#endif
