// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Functions by run-time type information of stripped programs, against the symbols they had. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "elf/rtti.h"

#define BASE "N2fx4BaseE"
#define SLOT 2

/* Class as told, and the function it must be. */
static const struct {
	const char *cls, *symbol;
} want[] = {
	{"N2fx3OneE", "_ZN2fx3One4CallEi"},
	{"N2fx4DeepE", "_ZN2fx4Deep4CallEi"},
	{"N2fx6SecondE", "_ZN2fx6Second4CallEi"},
	{"N2fx8ConcreteE", "_ZN2fx8Concrete4CallEi"},
	{"N2fx12_GLOBAL__N_16HiddenE", "_ZN2fx12_GLOBAL__N_16Hidden4CallEi"},
};
#define N_WANT (sizeof(want) / sizeof(want[0]))

struct told {
	struct elf_file *full;
	unsigned times[N_WANT], strange;
};

static int tell(void *ctx, const struct rtti_function *fun)
{
	struct told *t = ctx;

	for (size_t i = 0; i < N_WANT; i++) {
		struct elf_sym s;

		if (strcmp(fun->cls, want[i].cls) != 0)
			continue;
		t->times[i]++;
		assert_int_equal(elf_symbol(t->full, want[i].symbol, &s), 0);
		assert_int_equal(fun->vaddr, s.vaddr);
		assert_int_equal(fun->size, s.size);
		return 0;
	}
	print_message("%s at 0x%lx\n", fun->cls, (unsigned long)fun->vaddr);
	t->strange++;
	return 0;
}

static void check(const char *name)
{
	struct elf_file *f = NULL;
	struct told t = {0};
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.full", FIXTURES, name);
	assert_int_equal(elf_file_open(&t.full, path, NULL), 0);
	path[strlen(path) - 5] = '\0';
	assert_int_equal(elf_file_open(&f, path, NULL), 0);
	assert_int_equal(rtti_functions(f, BASE, SLOT, tell, &t), 0);
	assert_int_equal(t.strange, 0);
	for (size_t i = 0; i < N_WANT; i++)
		assert_int_equal(t.times[i], 1);
	elf_file_close(f);
	elf_file_close(t.full);
}

static void base_in_a_library(void **state)
{
	(void)state;
	check("rtti-lib");
}

/* Data of the library is copied into the program, and addresses stand in the file as they are. */
static void not_position_independent(void **state)
{
	(void)state;
	check("rtti-fixed");
}

/* No symbol of any kind: the text of the base's name leads to it. */
static void all_in_one(void **state)
{
	(void)state;
	check("rtti-alone");
}

static void packed_relocations(void **state)
{
	(void)state;
	check("rtti-packed");
}

static int any(void *ctx, const struct rtti_function *fun)
{
	(void)fun;
	++*(unsigned *)ctx;
	return 7;
}

static void none(void **state)
{
	struct elf_file *f = NULL;
	unsigned n = 0;

	(void)state;
	assert_int_equal(elf_file_open(&f, FIXTURES "/rtti-lib", NULL), 0);
	assert_int_equal(rtti_functions(f, "N2fx7NothingE", SLOT, any, &n), 0);
	/* a class that nothing derives from, and an entry that the tables do not have */
	assert_int_equal(rtti_functions(f, "N2fx4DeepE", SLOT, any, &n), 7);
	assert_int_equal(rtti_functions(f, "N2fx8ConcreteE", 100, any, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rtti_functions(f, BASE, SLOT, any, &n), 7);
	elf_file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_in_a_library),
		cmocka_unit_test(not_position_independent),
		cmocka_unit_test(all_in_one),
		cmocka_unit_test(packed_relocations),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
