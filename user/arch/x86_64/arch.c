// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* System V psABI for AMD64, sections 3.2.3 (arguments), A.2.1 (system calls), figure 3.36 (numbers). */
#include <cpuid.h>
#include <elf.h>

#include "arch/arch.h"

const struct arch arch = {
	.name = "x86_64",
	.machine = EM_X86_64,
	.n_general = 16,
	.n_args = 6,
	.arg = {5, 4, 1, 2, 8, 9},	    /* rdi rsi rdx rcx r8 r9 */
	.syscall_arg = {5, 4, 1, 10, 8, 9}, /* rdi rsi rdx r10 r8 r9 */
};

const char *arch_reg_name(unsigned reg)
{
	static const char *const names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

	return reg < sizeof(names) / sizeof(names[0]) ? names[reg] : "?";
}

uint64_t arch_code_address(uint64_t v)
{
	return v;
}

bool arch_signal_regs(uint64_t sp, const struct unwind_mem *mem, struct image_regs *ret)
{
	(void)sp, (void)mem, (void)ret; /* .eh_frame of the C library's sa_restorer says it all */
	return false;
}

/* CPUID leaf 1, ECX bit 31: set by hypervisors, always 0 on hardware (Intel SDM vol. 2, AMD APM vol. 3). */
bool arch_under_hypervisor(void)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31);
}
