// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Probe sites in small functions written down byte by byte. tests/kernel/test_sites.py checks thousands of
 * real ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "plan/site.h"

static struct site choose(const char *code, size_t size)
{
	struct site s;

	assert_int_equal(site_choose((const uint8_t *)code, size, &s), 0);
	return s;
}
#define CHOOSE(code) choose(code, sizeof(code) - 1)

static void expect(struct site s, uint32_t offset, uint32_t pushed, bool stepped, bool looped)
{
	assert_int_equal(s.offset, offset);
	assert_int_equal(s.pushed, pushed);
	assert_int_equal(s.stepped, stepped);
	assert_int_equal(s.looped, looped);
}

static void first_push(void **state)
{
	(void)state;
	/* push rbp; ret */
	expect(CHOOSE("\x55\xc3"), 0, 0, false, false);
	/* endbr64; push r12; ret */
	expect(CHOOSE("\xf3\x0f\x1e\xfa\x41\x54\xc3"), 4, 0, false, false);
	/* sub rsp,0x18; mov rax,[rdi]; mov [rsp+8],rdi; push rbx; ret */
	expect(CHOOSE("\x48\x83\xec\x18\x48\x8b\x07\x48\x89\x7c\x24\x08\x53\xc3"), 12, 0x18, false, false);
	/* mov rax,rdi; xchg ax,ax; ret */
	expect(CHOOSE("\x48\x89\xf8\x66\x90\xc3"), 3, 0, false, false);
}

static void arguments_and_objects_as_at_entry(void **state)
{
	(void)state;
	/* mov edi,1; push rbx; ret */
	expect(CHOOSE("\xbf\x01\x00\x00\x00\x53\xc3"), 0, 0, true, false);
	/* xor ecx,ecx; push rbx; ret */
	expect(CHOOSE("\x31\xc9\x53\xc3"), 0, 0, true, false);
	/* mov qword [rdi],0; push rbx; ret: the object would be changed already */
	expect(CHOOSE("\x48\xc7\x07\x00\x00\x00\x00\x53\xc3"), 0, 0, true, false);
	/* mov [rsp+8],rax; push rbx; ret: the caller's stack */
	expect(CHOOSE("\x48\x89\x44\x24\x08\x53\xc3"), 0, 0, true, false);
	/* and rsp,-64; push rbx; ret: rsp is not known then */
	expect(CHOOSE("\x48\x83\xe4\xc0\x53\xc3"), 0, 0, true, false);
}

static void one_instruction(void **state)
{
	(void)state;
	/* push r12; nop; call; jne far; jmp near */
	assert_false(site_stepped((const uint8_t *)"\x41\x54\xc3", 3));
	assert_false(site_stepped((const uint8_t *)"\x90\xc3", 2));
	assert_false(site_stepped((const uint8_t *)"\xe8\x00\x00\x00\x00", 5));
	assert_false(site_stepped((const uint8_t *)"\x0f\x85\x00\x00\x00\x00\xc3", 7));
	assert_false(site_stepped((const uint8_t *)"\xeb\x10", 2));
	/* mov [rdi+8],esi; or dword [rdi],1; mov r12,rax; ret; nothing */
	assert_true(site_stepped((const uint8_t *)"\x89\x77\x08\xc3", 4));
	assert_true(site_stepped((const uint8_t *)"\x83\x0f\x01", 3));
	assert_true(site_stepped((const uint8_t *)"\x49\x89\xc4", 3));
	assert_true(site_stepped((const uint8_t *)"\xc3", 1));
	assert_true(site_stepped(NULL, 0));
}

static void control_flow(void **state)
{
	(void)state;
	/* test rdi,rdi; je +1; push rbx; ret: the push is not always reached, the jump is */
	expect(CHOOSE("\x48\x85\xff\x74\x01\x53\xc3"), 3, 0, false, false);
	/* the same with a near je */
	expect(CHOOSE("\x48\x85\xff\x0f\x84\x01\x00\x00\x00\x53\xc3"), 3, 0, false, false);
	/* sub rsp,8; call +0; push rbx; ret */
	expect(CHOOSE("\x48\x83\xec\x08\xe8\x00\x00\x00\x00\x53\xc3"), 4, 8, false, false);
	/* mov edi,1; jmp +0; ret: too late */
	expect(CHOOSE("\xbf\x01\x00\x00\x00\xeb\x00\xc3"), 0, 0, true, false);
	/* mov eax,[rdi]; push rbx; pop rbx; jne -4; ret: the push is in a loop */
	expect(CHOOSE("\x8b\x07\x53\x5b\x75\xfc\xc3"), 0, 0, true, false);
	/* endbr64; mov eax,[rdi]; jne back to it; ret: the entry serves instead */
	expect(CHOOSE("\xf3\x0f\x1e\xfa\x8b\x07\x75\xfc\xc3"), 0, 0, true, false);
	/* mov eax,[rdi]; jne -4; ret */
	expect(CHOOSE("\x8b\x07\x75\xfc\xc3"), 0, 0, true, true);
}

static void nop5(void **state)
{
	(void)state;
	/* nop5; mov rax,rdi; ret: a leaf */
	expect(CHOOSE("\x0f\x1f\x44\x00\x00\x48\x89\xf8\xc3"), 5, 0, true, false);
	/* nop5; call; ret */
	expect(CHOOSE("\x0f\x1f\x44\x00\x00\xe8\x00\x00\x00\x00\xc3"), 5, 0, false, false);
	/* nop5; ret; call */
	expect(CHOOSE("\x0f\x1f\x44\x00\x00\xc3\xe8\x00\x00\x00\x00"), 0, 0, true, false);
	/* nop5; push rbx; ret */
	expect(CHOOSE("\x0f\x1f\x44\x00\x00\x53\xc3"), 5, 0, false, false);
}

static void damaged(void **state)
{
	struct site s;

	(void)state;
	assert_int_equal(site_choose((const uint8_t *)"", 0, &s), -EINVAL);
	/* no instruction */
	expect(CHOOSE("\x06\x06"), 0, 0, true, false);
	/* push rbp; no instruction; then what may be a jump to the push */
	expect(CHOOSE("\x55\x06\xeb\xfc"), 0, 0, true, true);
	/* cut in the middle of an instruction */
	expect(CHOOSE("\x48\x89"), 0, 0, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_push),
		cmocka_unit_test(arguments_and_objects_as_at_entry),
		cmocka_unit_test(one_instruction),
		cmocka_unit_test(control_flow),
		cmocka_unit_test(nop5),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
