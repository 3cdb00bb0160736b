/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Included before every BPF program (Makefile): what a program may take for granted although the oldest
 * kernels, whose BPF is that of 5.3, lack it. Each choice is a constant that CO-RE puts in from the kernel's
 * types: the verifier follows one side only, on every kernel, and never sees a helper that it does not know.
 * (.rodata would not do: before 5.5 its values are not known to the verifier.)
 */
#ifndef CULPRIT_COMPAT_BPF_H
#define CULPRIT_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define HAS_HELPER(name) bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_##name)

/* Since 5.5; bpf_probe_read reads memory of both kinds on x86. Reads of kernel memory are left to libbpf,
 * which replaces bpf_probe_read_kernel where it is missing. */
static __always_inline long compat_read_user(void *dst, __u32 size, const void *from)
{
	if (HAS_HELPER(probe_read_user))
		return bpf_probe_read_user(dst, size, from);
	return bpf_probe_read(dst, size, from);
}
#define bpf_probe_read_user(dst, size, from) compat_read_user(dst, size, from)

/*
 * Verifiers before 5.10 forget the bounds of a number that the compiler puts aside on the stack, and do not
 * see that two copies of it are equal; of an address they forget nothing. So an address is made where the
 * bounds of its index are known, once, and a size gets its bound where it is used. What is compared right
 * after NUMBER_NOW has no other copy.
 */
#define NUMBER_NOW(n)	 asm volatile("" : "+r"(n))
#define ADDRESS_NOW(p)	 asm volatile("" : "+r"(p))
#define MASK_NOW(n, max) asm volatile("%0 &= %1" : "+r"(n) : "i"(max))

#endif
