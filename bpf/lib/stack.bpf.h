/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copy user registers (DWARF order) and the readable prefix of the user stack into struct abi_stack. */
#ifndef CULPRIT_STACK_BPF_H
#define CULPRIT_STACK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "../abi/stack.h"

#define STACK_CHUNK 4096

static __always_inline void stack_regs(struct abi_stack *s, const struct pt_regs *r)
{
	s->reg[0] = BPF_CORE_READ(r, ax);
	s->reg[1] = BPF_CORE_READ(r, dx);
	s->reg[2] = BPF_CORE_READ(r, cx);
	s->reg[3] = BPF_CORE_READ(r, bx);
	s->reg[4] = BPF_CORE_READ(r, si);
	s->reg[5] = BPF_CORE_READ(r, di);
	s->reg[6] = BPF_CORE_READ(r, bp);
	s->reg[7] = BPF_CORE_READ(r, sp);
	s->reg[8] = BPF_CORE_READ(r, r8);
	s->reg[9] = BPF_CORE_READ(r, r9);
	s->reg[10] = BPF_CORE_READ(r, r10);
	s->reg[11] = BPF_CORE_READ(r, r11);
	s->reg[12] = BPF_CORE_READ(r, r12);
	s->reg[13] = BPF_CORE_READ(r, r13);
	s->reg[14] = BPF_CORE_READ(r, r14);
	s->reg[15] = BPF_CORE_READ(r, r15);
	s->reg[16] = BPF_CORE_READ(r, ip);
}

/*
 * The readable prefix of the user stack above sp: whole pages at a time, so that a stack that ends (or a page that is
 * not resident) costs the tail only. s->reg[] must be filled.
 */
static __always_inline void stack_copy(struct abi_stack *s)
{
	__u64 sp = s->reg[ABI_REG_SP];
	__u32 done = 0;

	s->flags = 0;
	for (int i = 0; i < ABI_STACK_BYTES / STACK_CHUNK + 1; i++) {
		__u32 want = STACK_CHUNK - ((sp + done) & (STACK_CHUNK - 1));

		if (done >= ABI_STACK_BYTES)
			break;
		if (want > ABI_STACK_BYTES - done)
			want = ABI_STACK_BYTES - done;
		if (done > ABI_STACK_BYTES - STACK_CHUNK) {
			/* the verifier wants one constant bound: the last, partial page is left out */
			s->flags |= ABI_STACK_TRUNCATED;
			break;
		}
		if (want == 0 || want > STACK_CHUNK)
			break;
		if (bpf_probe_read_user(s->data + done, want, (void *)(sp + done)))
			break;
		done += want;
	}
	s->len = done;
	if (!done)
		s->flags |= ABI_STACK_NONE;
}

#endif
