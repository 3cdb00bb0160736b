// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Procedure Call Standard for the Arm 64-bit Architecture (aapcs64, 6.1.1) and DWARF for it (aadwarf64, 4.1).
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "unwind/expr.h"

/* Addresses of user space have no more bits but for what asks for them by mmap; code does not. What a signed
 * return address carries is above. */
#define CODE_MASK 0x0000ffffffffffffULL

/*
 * struct rt_sigframe of arch/arm64/kernel/signal.c, at the stack pointer: siginfo (128 bytes), then ucontext
 * with uc_flags, uc_link, uc_stack (40 bytes), uc_sigmask (128 bytes), and aligned to 16 the sigcontext:
 * fault_address, regs[31], sp, pc.
 */
#define SIGFRAME_REGS (128 + 176 + 8)

const struct arch arch = {
	.name = "aarch64",
	.machine = EM_AARCH64,
	.n_general = 32,
	.n_args = 8,
	.arg = {0, 1, 2, 3, 4, 5, 6, 7},
	.syscall_arg = {0, 1, 2, 3, 4, 5},
	.aapcs = true,
	.no_writes = "not on aarch64: which instructions may store to a field is read from x86-64 code only, "
		     "and watchpoints trap before the store there",
	.no_stores = "not on aarch64: stores are read from x86-64 code only",
};

const char *arch_reg_name(unsigned reg)
{
	static const char *const names[] = {"x0",  "x1",  "x2",	 "x3",	"x4",  "x5",  "x6",  "x7",
					    "x8",  "x9",  "x10", "x11", "x12", "x13", "x14", "x15",
					    "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23",
					    "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp"};

	return reg < sizeof(names) / sizeof(names[0]) ? names[reg] : "?";
}

uint64_t arch_code_address(uint64_t v)
{
	return v & CODE_MASK;
}

/* The kernel's own frame information (vdso) leads to the frame record, which lacks the interrupted function.
 */
bool arch_signal_regs(uint64_t sp, const struct unwind_mem *mem, struct image_regs *ret)
{
	for (unsigned i = 0; i < ABI_REGS; i++)
		if (!mem || !mem->read(mem->ctx, sp + SIGFRAME_REGS + 8 * i, &ret->reg[i]))
			return false;
	ret->known = IMAGE_REGS_ALL;
	return true;
}

static bool file_names(const char *path, const char *const names[], size_t n)
{
	char text[256];
	bool found = false;
	size_t len;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return false;
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		found |= memmem(text, len, names[i], strlen(names[i])) != NULL;
	return found;
}

/* The CPU does not tell; hypervisors say so in the device tree or, with ACPI, in the SMBIOS tables. The board
 * that qemu, kvmtool and others make up is named in Documentation/devicetree: linux,dummy-virt. */
bool arch_under_hypervisor(void)
{
	static const char *const vendors[] = {"QEMU", "VMware", "Xen", "Parallels"};
	static const char *const boards[] = {"linux,dummy-virt"};

	return !access("/sys/firmware/devicetree/base/hypervisor", F_OK) ||
	       file_names("/sys/firmware/devicetree/base/compatible", boards, 1) ||
	       file_names("/sys/class/dmi/id/sys_vendor", vendors, sizeof(vendors) / sizeof(vendors[0]));
}
