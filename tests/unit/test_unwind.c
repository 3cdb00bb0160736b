// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Steps up this program's own stack by its own frame information. Who called whom is told by the compiler. */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "context.h"
#include "unwind/unwind.h"

#define DEPTH 5

#ifdef __aarch64__
#define SIGNED	       __attribute__((target("branch-protection=pac-ret")))
#define SIGNS_POINTERS (getauxval(AT_HWCAP) & HWCAP_PACA)
#else
#define SIGNED
#define SIGNS_POINTERS 0
#endif
#define OWN_FRAME __attribute__((noinline, noclone))

static Elf *elf;
static Dwarf_CFI *cfi;
static uint64_t bias;
static uint64_t returns[DEPTH]; /* innermost first */
static uint64_t found[DEPTH];
static size_t n_found, n_signed;
static struct image_regs at_signal;
static bool by_layout;

/* The stack of a sanitized program has words that may not be read. */
__attribute__((no_sanitize("address"))) static bool read_own(void *ctx, uint64_t addr, uint64_t *word)
{
	(void)ctx;
	*word = *(const volatile uint64_t *)(uintptr_t)addr;
	return true;
}

static const struct unwind_mem mem = {.read = read_own};

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	*(uint64_t *)ctx = info->dlpi_addr;
	return 1;
}

static int set_up(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	elf_version(EV_CURRENT);
	elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ, NULL);
	cfi = elf ? dwarf_getcfi_elf(elf) : NULL;
	dl_iterate_phdr(first_object, &bias);
	return cfi ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	dwarf_cfi_end(cfi);
	elf_end(elf);
	return 0;
}

/* The frames from here on, while they stand: pcs that the steps found, and whether a return address was
 * signed. */
static OWN_FRAME void walk(const ucontext_t *u)
{
	struct unwind_frame f = {.exact = true}, caller;
	uint64_t raw;

	context_regs(u, (__u64 *)f.regs.reg);
	f.regs.known = IMAGE_REGS_ALL;
	for (n_found = 0; n_found < DEPTH; n_found++) {
		if (unwind_step(&f, cfi, bias, &mem, &caller) != UNWIND_CALLER)
			return;
		found[n_found] = caller.regs.reg[ABI_REG_IP];
		for (uint64_t at = f.regs.reg[ABI_REG_SP]; at < f.cfa; at += 8)
			n_signed += read_own(NULL, at, &raw) && raw != found[n_found] &&
				    arch_code_address(raw) == found[n_found];
		f = caller;
	}
}

static SIGNED OWN_FRAME int nest(int left)
{
	ucontext_t u;
	int sum = 1;

	returns[left] = (uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0));
	if (left) {
		sum += nest(left - 1);
	} else {
		getcontext(&u);
		walk(&u);
	}
	__asm__ volatile("" : "+r"(sum)::"memory"); /* no tail call */
	return sum;
}

/* Return addresses that stand signed on the stack, where the CPU signs them, are found without the signature.
 */
static void callers(void **state)
{
	(void)state;
	assert_int_equal(nest(DEPTH - 1), DEPTH);
	assert_int_equal(n_found, DEPTH);
	for (size_t i = 0; i < DEPTH; i++)
		assert_true(found[i] == returns[i]);
	assert_true(SIGNS_POINTERS ? n_signed >= DEPTH : !n_signed);
}

static void handler(int sig, siginfo_t *info, void *ctx)
{
	static struct image_regs want;

	(void)sig;
	context_regs(ctx, (__u64 *)want.reg);
	by_layout = arch_signal_regs((uintptr_t)info, &mem, &at_signal);
	if (by_layout && memcmp(at_signal.reg, want.reg, sizeof(want.reg)) != 0)
		at_signal.known = 0;
}

/* Where frame information does not lead from a handler to what it interrupted, the layout of the kernel's
 * frame does. */
static void interrupted(void **state)
{
	const struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(by_layout, arch.machine == EM_AARCH64);
	assert_true(!by_layout || at_signal.known == IMAGE_REGS_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(callers), cmocka_unit_test(interrupted)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
