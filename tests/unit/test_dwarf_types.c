// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "dwarf/types.h"
#include "fixture.h"

/* gcc with DWARF 5; clang; gcc with DWARF 4 and type units; without optimisation and at fixed addresses. */
static const char *const builds[] = {"plain", "plain-clang", "plain-dw4", "plain-o0"};
#define N_BUILDS (sizeof(builds) / sizeof(builds[0]))

static struct dbg_type class_ok(struct dbg *d, const char *name)
{
	struct dbg_type t = {0};
	struct err e = {0};

	if (dbg_find_class(d, name, &t, &e))
		fail_msg("%s", e.msg);
	return t;
}

static const struct dbg_member *find(const struct dbg_member *m, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(m[i].name, name))
			return &m[i];
	fail_msg("no member %s", name);
	return NULL;
}

/* The compiler's own offsets, printed by the program. */
static void members_as_the_compiler_says(void **state)
{
	static const char *const names[] = {"color_", "level_",	 "name_",  "weight_", "word_",
					    "real_",  "lo_",	 "hi_",	   "inner_",  "next_",
					    "owned_", "shared_", "table_", "refs_"};

	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_type t = class_ok(d, "fx::Node");
		struct dbg_type_info info;
		struct dbg_member *m;
		char path[256];
		size_t n;

		snprintf(path, sizeof(path), FIXTURES "/%s", builds[b]);
		assert_int_equal(dbg_members(d, t, &m, &n, NULL), 0);
		assert_int_equal(dbg_type_info(d, t, &info), 0);
		assert_int_equal(info.size, fixture_says(path, "sizeof"));
		assert_true(info.polymorphic);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			assert_int_equal(find(m, n, names[i])->offset, fixture_says(path, names[i]));
		assert_int_equal(find(m, n, "_vptr")->offset, 0);
		assert_int_equal(n, 19); /* the static one is not among them */
		free(m);
		dbg_close(d);
	}
}

static void member_kinds(void **state)
{
	static const struct {
		const char *name;
		enum dbg_kind kind;
		unsigned size;
		const char *target, *owner;
	} want[] = {
		{"id_", DBG_UINT, 8, NULL, "fx::Base"},
		{"flag_", DBG_BOOL, 1, NULL, "fx::Base"},
		{"refs_", DBG_INT, 4, NULL, "fx::Counted"},
		{"color_", DBG_ENUM, 4, NULL, "fx::Node"},
		{"level_", DBG_ENUM, 1, NULL, "fx::Node"},
		{"name_", DBG_STRING, 32, NULL, "fx::Node"},
		{"weight_", DBG_FLOAT, 8, NULL, "fx::Node"},
		{"inner_", DBG_CLASS, 4, NULL, "fx::Node"},
		{"next_", DBG_PTR, 8, "fx::Node", "fx::Node"},
		{"owned_", DBG_SMART_PTR, 8, "fx::Node", "fx::Node"},
		{"shared_", DBG_SHARED_PTR, 16, "fx::Node", "fx::Node"},
	};

	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_type_info to;
		struct dbg_member *m;
		size_t n;

		assert_int_equal(dbg_members(d, class_ok(d, "fx::Node"), &m, &n, NULL), 0);
		for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
			const struct dbg_member *x = find(m, n, want[i].name);

			if (x->info.kind != want[i].kind || x->size != want[i].size)
				fail_msg("%s: %s has kind %d, size %u", builds[b], x->name, x->info.kind,
					 x->size);
			assert_string_equal(x->owner, want[i].owner);
			if (want[i].target) {
				assert_int_equal(dbg_type_info(d, x->info.target, &to), 0);
				assert_string_equal(to.name, want[i].target);
			}
		}
		assert_true(find(m, n, "real_")->in_union && find(m, n, "word_")->in_union);
		assert_false(find(m, n, "lo_")->in_union);
		assert_true(find(m, n, "bits_b_")->bit_field);
		assert_int_equal(find(m, n, "bits_b_")->offset, 78); /* bits 3 to 9: two bytes */
		assert_int_equal(find(m, n, "bits_b_")->size, 2);
		free(m);
		dbg_close(d);
	}
}

static void enumerations(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_type_info e;

		assert_int_equal(dbg_type_info(d, class_ok(d, "fx::Color"), &e), 0);
		assert_int_equal(e.enum_min, 0);
		assert_int_equal(e.enum_max, 5);
		assert_int_equal(e.enum_set, 0x23);
		assert_false(e.enum_fixed);
		assert_int_equal(dbg_type_info(d, class_ok(d, "fx::Level"), &e), 0);
		assert_int_equal(e.enum_min, -3);
		assert_int_equal(e.enum_max, 72);
		assert_true(e.enum_fixed);
		dbg_close(d);
	}
}

static void bases_and_derived(void **state)
{
	(void)state;
	for (size_t b = 0; b < N_BUILDS; b++) {
		struct dbg *d = fixture_dbg(builds[b]);
		struct dbg_type node = class_ok(d, "fx::Node"), counted = class_ok(d, "fx::Counted"),
				leaf = class_ok(d, "fx::Leaf");
		struct dbg_base *list;
		uint32_t off;
		size_t n;

		assert_true(dbg_base_offset(d, leaf, counted, &off));
		assert_int_equal(off, 20);
		assert_false(dbg_base_offset(d, counted, leaf, &off));
		assert_true(dbg_base_offset(d, node, node, &off));
		assert_int_equal(off, 0);
		assert_int_equal(dbg_derived(d, counted, &list, &n, NULL), 0);
		assert_int_equal(n, 2);
		assert_true(dbg_type_same(d, list[0].type, node));
		assert_true(dbg_type_same(d, list[1].type, leaf));
		assert_int_equal(list[1].offset, 20);
		free(list);
		dbg_close(d);
	}
}

static void names(void **state)
{
	struct dbg *d = fixture_dbg("plain");
	struct dbg_type t, u;
	struct err e = {0};

	(void)state;
	t = class_ok(d, "fx::Node");
	u = class_ok(d, "::fx::Node");
	assert_true(dbg_type_same(d, t, u));
	u = class_ok(d, "Node");
	assert_true(dbg_type_same(d, t, u));
	class_ok(d, "fx::Node::Inner");
	class_ok(d, "Node::Inner");
	t = class_ok(d, "std::unique_ptr<fx::Node,std::default_delete<fx::Node>>");
	u = class_ok(d, "std::unique_ptr<fx::Node, std::default_delete<fx::Node> >");
	assert_true(dbg_type_same(d, t, u));
	assert_int_equal(dbg_find_class(d, "fx::Nodes", &t, &e), -ENOENT);
	assert_non_null(strstr(e.hint, "fx::Node"));
	assert_int_equal(dbg_find_class(d, "fy::Node", &t, &e), -ENOENT);
	assert_non_null(strstr(e.hint, "fx::Node"));
	assert_int_equal(dbg_find_class(d, "", &t, &e), -ENOENT);
	assert_int_equal(dbg_find_class(d, "::", &t, &e), -ENOENT);
	dbg_close(d);
}

static void only_declared(void **state)
{
	struct dbg *d = fixture_dbg("lease");
	struct dbg_type t;
	struct err e = {0};

	(void)state;
	assert_int_equal(dbg_find_class(d, "google::protobuf::Message", &t, &e), -ENODATA);
	assert_non_null(strstr(e.msg, "only declared"));
	dbg_close(d);
}

static void virtual_bases_are_refused(void **state)
{
	struct dbg *d = fixture_dbg("odr");
	struct dbg_member *m = NULL;
	struct dbg_base *b = NULL;
	struct err e = {0};
	struct dbg_type t;
	size_t n;

	(void)state;
	assert_int_equal(dbg_find_class(d, "Virtually", &t, &e), 0);
	assert_int_equal(dbg_members(d, t, &m, &n, &e), -ENOTSUP);
	assert_string_equal(
		e.msg,
		"ns::Virtually has the virtual base ns::Shared, whose place is known only at run time");
	assert_int_equal(dbg_bases(d, t, &b, &n, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "ns::Virtually"));
	dbg_close(d);
}

static void no_debuginfo(void **state)
{
	struct dbg *d = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(
		system("mkdir -p " FIXTURES "/alone.d && cp " FIXTURES "/lease " FIXTURES "/alone.d/"), 0);
	assert_int_equal(dbg_open(&d, FIXTURES "/alone.d/lease", NULL, &e), -ENODATA);
	assert_null(d);
	assert_non_null(strstr(e.msg, "lease.debug: not there"));
	assert_non_null(strstr(e.hint, "--debuginfo"));
	assert_int_equal(dbg_open(&d, FIXTURES "/alone.d/lease", FIXTURES "/.debug", &e), 0);
	dbg_close(d);
	unlink(FIXTURES "/alone.d/lease");
	rmdir(FIXTURES "/alone.d");
}

/* Wherever .debug_info or .debug_abbrev is damaged: an error or an answer, never a crash or a hang (ASan and
 * the clock watch). */
static void damaged_debuginfo(void **state)
{
	static const char path[] = FIXTURES "/damaged-dwarf";
	size_t len;
	unsigned char *raw = fixture_read(FIXTURES "/plain", &len);
	unsigned refused = 0;
	uint32_t x = 12345;

	(void)state;
	for (unsigned round = 0; round < 120; round++) {
		struct dbg *d = NULL;
		struct dbg_type t;
		unsigned char saved[8];
		size_t pos[8];

		for (unsigned i = 0; i < 8; i++) { /* the second half of the file is debuginfo */
			x = x * 1664525 + 1013904223;
			pos[i] = len / 3 + x % (len - len / 3);
			saved[i] = raw[pos[i]];
			raw[pos[i]] = (unsigned char)(x >> 24);
		}
		fixture_write(path, raw, len);
		for (unsigned i = 8; i-- > 0;)
			raw[pos[i]] = saved[i];
		if (dbg_open(&d, path, NULL, NULL)) {
			refused++;
			continue;
		}
		if (!dbg_find_class(d, "fx::Node", &t, NULL)) {
			struct dbg_member *m = NULL;
			struct dbg_base *b = NULL;
			size_t n;

			dbg_members(d, t, &m, &n, NULL);
			free(m);
			dbg_derived(d, t, &b, &n, NULL);
			free(b);
		}
		dbg_close(d);
	}
	unlink(path);
	free(raw);
	assert_true(refused > 0);
}

/* The same class, however it is written. */
static void spellings(void **state)
{
	static const char *const pairs[] = {"std::pair<const long unsigned int, const char*>",
					    "std::pair<unsigned long const, char const*>",
					    "std::pair<const unsigned long, const char *>",
					    "std::pair<long unsigned const,char const *>"};
	struct dbg *d = fixture_dbg("odr");
	struct dbg_type t = class_ok(d, pairs[0]), none;

	(void)state;
	for (size_t i = 1; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(class_ok(d, pairs[i]).die, t.die);
	assert_int_equal(dbg_find_class(d, "std::pair<unsigned long, char const*>", &none, NULL), -ENOENT);
	assert_int_equal(dbg_find_class(d, "std::pair<unsigned long const, char*>", &none, NULL), -ENOENT);
	assert_int_equal(class_ok(d, "ns::(anonymous namespace)::Own").die, class_ok(d, "Own").die);
	dbg_close(d);
}

static void typedef_names(void **state)
{
	struct dbg *d = fixture_dbg("odr");
	struct dbg_type_info info;

	(void)state;
	assert_int_equal(class_ok(d, "ns::Alias").die, class_ok(d, "Agreed").die);
	assert_int_equal(class_ok(d, "Alias").die, class_ok(d, "Agreed").die);
	assert_int_equal(dbg_type_info(d, class_ok(d, "Unnamed"), &info), 0);
	assert_int_equal(info.size, 4);
	assert_int_equal(dbg_type_info(d, class_ok(d, "ns::Outer::Inner"), &info), 0);
	assert_int_equal(info.size, 2);
	dbg_close(d);
}

static void definitions_that_differ(void **state)
{
	struct dbg *d = fixture_dbg("odr");
	struct dbg_type t;
	struct err e;

	(void)state;
	assert_int_equal(dbg_find_class(d, "Mixed", &t, &e), -EEXIST);
	assert_string_equal(e.msg, "Mixed is defined twice, with different members from second on");
	assert_int_equal(dbg_find_class(d, "Sized", &t, &e), -EEXIST);
	assert_string_equal(e.msg, "Sized is defined twice, with sizes 8 and 16 bytes");
	class_ok(d, "Agreed");
	dbg_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_as_the_compiler_says),
		cmocka_unit_test(member_kinds),
		cmocka_unit_test(enumerations),
		cmocka_unit_test(bases_and_derived),
		cmocka_unit_test(names),
		cmocka_unit_test(spellings),
		cmocka_unit_test(typedef_names),
		cmocka_unit_test(definitions_that_differ),
		cmocka_unit_test(only_declared),
		cmocka_unit_test(virtual_bases_are_refused),
		cmocka_unit_test(no_debuginfo),
		cmocka_unit_test(damaged_debuginfo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
