// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "dwarf/funcs.h"
#include "fixture.h"

static const char *const builds[] = {"plain", "plain-clang", "plain-dw4", "plain-o0"};
#define N_BUILDS (sizeof(builds) / sizeof(builds[0]))

static struct dbg_func *func_ok(struct dbg *d, const char *name)
{
	struct dbg_func *f = NULL;
	struct err e = {0};

	if (dbg_find_function(d, name, &f, &e))
		fail_msg("%s", e.msg);
	return f;
}

/* Address of a symbol as nm prints it. */
static uint64_t nm(const char *build, const char *symbol)
{
	char cmd[512];
	unsigned long v = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "nm " FIXTURES "/%s | grep ' %s$'", build, symbol);
	p = popen(cmd, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%lx", &v), 1);
	pclose(p);
	return v;
}

static void by_every_kind_of_name(void **state)
{
	static const char *const names[] = {"fx::Node::Touch",	    "Node::Touch",  "Touch",
					    "fx::Node::Touch(int)", "Touch( int )", "_ZN2fx4Node5TouchEi",
					    "::fx::Node::Touch"};

	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			struct dbg_func *f = func_ok(d, names[i]);

			assert_string_equal(f->name, "fx::Node::Touch");
			assert_string_equal(f->signature, "fx::Node::Touch(int)");
			assert_int_equal(f->n_entry, 1);
			assert_int_equal(f->entry[0].vaddr, nm(builds[b], "_ZN2fx4Node5TouchEi"));
			assert_false(f->is_static || f->is_const);
			dbg_func_free(f);
		}
		dbg_close(d);
	}
}

static void constructors_and_destructors(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_func *f = func_ok(d, "fx::Node::~Node");
		bool deleting = false, complete = false;

		assert_int_equal(f->n_entry, 2); /* D1 and D2 are one */
		for (size_t i = 0; i < f->n_entry; i++) {
			deleting |= f->entry[i].kind == DBG_ENTRY_DTOR_DELETING &&
				    f->entry[i].vaddr == nm(builds[b], "_ZN2fx4NodeD0Ev");
			complete |= f->entry[i].kind == DBG_ENTRY_DTOR_COMPLETE &&
				    f->entry[i].vaddr == nm(builds[b], "_ZN2fx4NodeD1Ev");
		}
		assert_true(deleting && complete);
		dbg_func_free(f);
		f = func_ok(d, "_ZN2fx4NodeD1Ev");
		assert_string_equal(f->name, "fx::Node::~Node");
		dbg_func_free(f);
		f = func_ok(d, "fx::Node::Total");
		assert_true(f->is_static);
		dbg_func_free(f);
		f = func_ok(d, "fx::Node::Kind");
		assert_true(f->is_const);
		dbg_func_free(f);
		dbg_close(d);
	}
}

static void not_found_and_ambiguous(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_func *f;
		struct err e = {0};

		assert_int_equal(dbg_find_function(d, "fx::Cache::Putt", &f, &e), -ENOENT);
		assert_null(f);
		assert_non_null(strstr(e.hint, "fx::Cache::Put"));
		assert_int_equal(dbg_find_function(d, "fx::Cash::PutRaw", &f, &e), -ENOENT);
		assert_non_null(strstr(e.hint, "fx::Cache::PutRaw"));
		assert_int_equal(dbg_find_function(d, "Twin", &f, &e), -EEXIST);
		assert_non_null(strstr(e.msg, "fx::Cache::Twin(int)"));
		assert_int_equal(dbg_find_function(d, "Common", &f, &e), -EEXIST);
		assert_non_null(strstr(e.msg, "fx::a::Common(fx::Node*)"));
		assert_int_equal(dbg_find_function(d, "_ZN2fx4NopeEv", &f, &e), -ENOENT);
		assert_int_equal(dbg_find_function(d, "", &f, &e), -EINVAL);
		assert_int_equal(dbg_find_function(d, "(int)", &f, &e), -ENOENT);
		f = func_ok(d, "b::Common");
		assert_string_equal(f->signature, "fx::b::Common(fx::Node*)");
		dbg_func_free(f);
		f = func_ok(d, "Twin(int)");
		assert_int_equal(f->n_entry, 1);
		dbg_func_free(f);
		dbg_close(d);
	}
}

/* By Arm's rules a class with an integer goes to general registers though it has a double, a large one by
 * reference in one, and an empty one takes one. */
#ifdef __aarch64__
#define BY_RULES(amd64, arm) arm
#else
#define BY_RULES(amd64, arm) amd64
#endif

/* What the parameters of each function are passed in was read off the compiled code (objdump) of the three
 * compilers' output. */
static void argument_paths(void **state)
{
	static const struct {
		const char *func, *arg, *want; /* want: path, or NULL for an error */
		int rc;
	} cases[] = {
		{"fx::Cache::Put", NULL, "*arg1", 0},
		{"fx::Cache::Put", "node", "*arg1", 0},
		{"fx::Cache::Put", "arg1", "*arg1", 0},
		{"fx::Cache::PutValue", NULL, "*arg2", 0},
		{"fx::Cache::PutShared", NULL, "*arg1", 0},
		{"fx::Cache::PutUnique", NULL, "*arg1", 0},
		{"fx::Cache::PutBase", NULL, "arg1", 0},
		{"fx::Cache::PutCounted", NULL, "arg1-20", 0},
		{"fx::Cache::AfterPair", NULL, "arg3", 0},
		{"fx::Cache::AfterMixed", NULL, BY_RULES("arg2", "arg3"), 0},
		{"fx::Cache::AfterBig", NULL, BY_RULES("arg1", "arg2"), 0},
		{"fx::Cache::AfterDouble", NULL, "arg1", 0},
		{"fx::Cache::AfterEmpty", NULL, BY_RULES("arg1", "arg2"), 0},
		{"fx::Cache::Returns", NULL, BY_RULES("arg2", "arg1"), 0},
		{"fx::Cache::ReturnsString", NULL, BY_RULES("arg2", "arg1"), 0},
		{"fx::Cache::ReturnsPair", NULL, "arg1", 0},
		{"fx::Cache::PutRaw", "node", "arg2", 0},
		{"fx::Cache::PutRaw", "parent", "arg3", 0},
		{"fx::Node::Touch", NULL, "arg0", 0},
		{"fx::Node::Touch", "this", "arg0", 0},
		{"fx::Cache::Nothing", "*(arg0+8)", "*(arg0+8)", 0},
		{"fx::Cache::Nothing", "*( arg2 - 0x10 )", "*(arg2-16)", 0},
		{"fx::Cache::Nothing", "*arg0", "*arg0", 0},
		{"fx::Cache::Nothing", "arg3", "arg3", 0},
		{"fx::Cache::PutRaw", NULL, NULL, -EEXIST},
		{"fx::Cache::OnStack", NULL, BY_RULES(NULL, "arg6"), BY_RULES(-ENOTSUP, 0)},
		{"fx::Cache::Nothing", NULL, NULL, -ENOENT},
		{"fx::Cache::Put", "lease", NULL, -ENOENT},
		{"fx::Cache::PutRaw", "shard", NULL, -ENOENT},
		{"fx::Cache::Put", BY_RULES("*arg6", "*arg8"), NULL, -EINVAL},
		{"fx::Cache::Put", BY_RULES("arg6", "arg8"), NULL, -EINVAL},
		{"fx::Cache::Put", "*(arg1", NULL, -EINVAL},
		{"fx::Cache::Put", "*(arg1+)", NULL, -EINVAL},
		{"fx::Cache::Put", "*arg1x", NULL, -EINVAL},
	};

	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_type node;

		assert_int_equal(dbg_find_class(d, "fx::Node", &node, NULL), 0);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct dbg_func *f = func_ok(d, cases[i].func);
			struct err e = {0};
			struct arg_path p;
			char text[64];
			int rc = dbg_arg_path(d, f, &f->entry[0], cases[i].arg, node, &p, &e);

			if (rc != cases[i].rc)
				fail_msg("%s: %s:%s gives %d (%s)", builds[b], cases[i].func, cases[i].arg,
					 rc, e.msg);
			if (rc)
				assert_true(e.msg[0] != '\0');
			else if (strcmp(arg_path_text(&p, text, sizeof(text)), cases[i].want) != 0)
				fail_msg("%s: %s:%s gives %s", builds[b], cases[i].func, cases[i].arg, text);
			dbg_func_free(f);
		}
		dbg_close(d);
	}
}

/* A function that only its file calls: the first two parameters are gone in optimised code (objdump), renamed
 * by gcc, not by clang. */
static void moved_arguments(void **state)
{
	static const char *const want[N_BUILDS] = {"arg0", "arg0", "arg0", "arg2"};

	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_func *f = func_ok(d, "fx::Moved");
		struct dbg_type node;
		struct arg_path p;
		struct err e = {0};
		char text[64];

		assert_int_equal(dbg_find_class(d, "fx::Node", &node, NULL), 0);
		assert_int_equal(f->n_entry, 1);
		assert_int_equal(dbg_arg_path(d, f, &f->entry[0], "n", node, &p, &e), 0);
		assert_string_equal(arg_path_text(&p, text, sizeof(text)), want[b]);
		if (f->entry[0].kind == DBG_ENTRY_CLONE) /* numbers are the source's: they no longer hold */
			assert_int_equal(dbg_arg_path(d, f, &f->entry[0], "*arg2", node, &p, &e), -ENOTSUP);
		dbg_func_free(f);
		dbg_close(d);
	}
}

static void parameters(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_func *f = func_ok(d, "fx::Cache::PutValue");
		struct dbg_param *p;
		size_t n;

		assert_int_equal(dbg_params(d, f, &p, &n, NULL), 0);
		assert_int_equal(n, 3);
		assert_string_equal(p[0].name, "this");
		assert_string_equal(p[2].name, "node");
		assert_int_equal(p[2].arg, 2);
		assert_true(p[2].by_ref);
		free(p);
		dbg_func_free(f);
		f = func_ok(d, "fx::Cache::AfterDouble");
		assert_int_equal(dbg_params(d, f, &p, &n, NULL), 0);
		assert_int_equal(p[1].arg, -1);
		assert_non_null(strstr(p[1].why_not, "floating point"));
		free(p);
		dbg_func_free(f);
		dbg_close(d);
	}
}

/* The one inlined destructor and the two inlined setters, with `this` where the calling convention has it at
 * those places. */
static void inlined_instances(void **state)
{
	struct dbg *d = fixture_dbg("plain");
	struct dbg_func *f = func_ok(d, "fx::Base::set_id");
	struct dbg_inline *in;
	bool touch = false, outside = false;
	size_t n;

	(void)state;
	assert_int_equal(f->n_entry, 0);
	assert_int_equal(dbg_inlines(d, f, &in, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		touch |= in[i].caller == nm("plain", "_ZN2fx4Node5TouchEi");
		outside |= in[i].caller == nm("plain", "_ZN2fx14SetFromOutsideEPNS_4NodeEm") &&
			   in[i].n_range == 1;
		assert_true(in[i].has_this);
		assert_int_equal(in[i].this_path.reg, arch.arg[0]);
		assert_int_equal(in[i].this_path.n_deref, 0);
	}
	assert_true(touch && outside);
	dbg_inlines_free(in, n);
	dbg_func_free(f);

	f = func_ok(d, "fx::Leaf::~Leaf");
	assert_int_equal(dbg_inlines(d, f, &in, &n, NULL), 0);
	outside = false;
	for (size_t i = 0; i < n; i++)
		outside |= in[i].caller == nm("plain", "_ZN2fx8DropLeafEPNS_4LeafE") && in[i].has_this &&
			   in[i].this_path.reg == arch.arg[0];
	assert_true(outside);
	dbg_inlines_free(in, n);
	dbg_func_free(f);
	dbg_close(d);
}

static int count_cb(void *ctx, const struct dbg_func *f)
{
	assert_true(f->n_entry > 0);
	++*(int *)ctx;
	return 0;
}

static void overrides(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct err e = {0};
		int n = 0;

		assert_int_equal(dbg_overrides(d, "fx::Base::Kind", count_cb, &n, &e), 0);
		assert_int_equal(n, 2);
		assert_int_equal(dbg_overrides(d, "fx::Base::Nope", count_cb, &n, &e), -ENOENT);
		assert_int_equal(dbg_overrides(d, "fx::Nope::Kind", count_cb, &n, &e), -ENOENT);
		assert_int_equal(dbg_overrides(d, "Kind", count_cb, &n, &e), -EINVAL);
		dbg_close(d);
	}
}

static void symbols_by_address(void **state)
{
	struct dbg *d = fixture_dbg("lease"); /* stripped: the names are in the debuginfo */
	const struct elf_sym *s;
	struct elf_sym by_name;
	char text[128];

	(void)state;
	assert_int_equal(dbg_symbol(d, "_ZN2fx5SetIdEPNS_5ChunkEj", &by_name), 0);
	s = dbg_symbol_at(d, by_name.vaddr + 1);
	assert_non_null(s);
	assert_string_equal(dbg_demangle(s->name, text, sizeof(text)), "fx::SetId(fx::Chunk*, unsigned int)");
	assert_null(dbg_symbol_at(d, 1));
	dbg_close(d);
}

/* A function whose abstract origin is a class stands for itself. */
static void origin_that_is_no_function(void **state)
{
	struct err e = {0};
	struct dbg_func *f;
	struct dbg *d;

	(void)state;
	if (dbg_open(&d, "tests/fuzz/corpus/dwarf/origin", NULL, &e))
		fail_msg("%s", e.msg);
	f = func_ok(d, "_ZN2ns1AD2Ev");
	assert_int_equal(f->n_entry, 1);
	assert_string_equal(f->linkage, "_ZN2ns1AD2Ev");
	dbg_func_free(f);
	dbg_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_every_kind_of_name),   cmocka_unit_test(constructors_and_destructors),
		cmocka_unit_test(not_found_and_ambiguous), cmocka_unit_test(argument_paths),
		cmocka_unit_test(moved_arguments),	   cmocka_unit_test(parameters),
		cmocka_unit_test(inlined_instances),	   cmocka_unit_test(overrides),
		cmocka_unit_test(symbols_by_address),	   cmocka_unit_test(origin_that_is_no_function),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
