/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of the kernel differs between machines, for aarch64. */
#ifndef CULPRIT_ARCH_BPF_H
#define CULPRIT_ARCH_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* THREAD_SIZE of arch/arm64/include/asm/memory.h with pages of 4 and 16 KiB, without KASAN; kernels with
 * pages of 64 KiB have 64 KiB, which thread_union tells */
#define ARCH_THREAD_SIZE 16384

/* A system call's number and arguments, as the thread made it: struct pt_regs *. x0 becomes the result. */
#define ARCH_SYSCALL_NR	  syscallno
#define ARCH_SYSCALL_ARG0 orig_x0
#define ARCH_SYSCALL_ARG1 regs[1]
#define ARCH_SYSCALL_ARG2 regs[2]
#define ARCH_SYSCALL_ARG3 regs[3]
#define ARCH_SYSCALL_ARG4 regs[4]

#define ARCH_POLL	    "ppoll"    /* the system call of poll() */
#define ARCH_SIGNAL_PENDING (1UL << 0) /* _TIF_SIGPENDING */

#define ARCH_NR_RESTART 128

/* pselect6, ppoll, restart_syscall */
static __always_inline bool arch_may_poll(__s64 nr)
{
	return nr == 72 || nr == 73 || nr == ARCH_NR_RESTART;
}

/* A system call's number and its first five arguments. Not all of struct pt_regs at once, which would take
 * most of a program's stack. */
static __always_inline long arch_syscall_args(__u32 *nr, __u64 *arg, const struct pt_regs *regs)
{
	if (HAS_HELPER(task_pt_regs)) { /* known to the verifier there, see stack_task_regs */
		*nr = regs->syscallno;
		arg[0] = regs->orig_x0;
		arg[1] = regs->regs[1];
		arg[2] = regs->regs[2];
		arg[3] = regs->regs[3];
		arg[4] = regs->regs[4];
		return 0;
	}
	arg[0] = BPF_CORE_READ(regs, orig_x0);
	*nr = BPF_CORE_READ(regs, syscallno);
	return bpf_core_read(&arg[1], 4 * sizeof(*arg), &regs->regs[1]);
}

/* Where a thread that sleeps left its kernel stack. */
static __always_inline __u64 arch_kernel_sp(struct task_struct *t)
{
	return BPF_CORE_READ(t, thread.cpu_context.sp);
}

/* Are these registers of user mode? PSR_MODE_EL0t is 0, as memory that holds nothing is: hence the rest. */
static __always_inline bool arch_of_user(const struct pt_regs *r)
{
	return !(BPF_CORE_READ(r, pstate) & 0xf) && BPF_CORE_READ(r, pc) && BPF_CORE_READ(r, sp);
}

/* The same of a perf event's context, which begins with struct user_pt_regs. */
static __always_inline bool arch_event_from_user(const struct bpf_perf_event_data *ctx)
{
	return !(((const volatile __u64 *)ctx)[33] & 0xf);
}

#define ARCH_EVENT_IP(ctx) ((ctx)->regs.pc)

/* What a function's entry knows of its return address beside the stack: all. */
#define ARCH_LINK(ctx) ((ctx)->regs[30])

/* See STALLS_COOKIE. 0: not known. */
static __always_inline __u64 arch_return_slot(__u64 sp, __u64 ra)
{
	return ra ? sp - ra : 0;
}

/* The return address of a function at its entry, which will stand at `slot`. */
static __always_inline long arch_return_address(__u64 *ret, __u64 slot, __u64 link)
{
	*ret = link;
	return 0;
}

#endif
