// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A profile of a fixture gives the same guard table and writers as its debuginfo; damaged ones say where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dwarf/record.h"
#include "fixture.h"
#include "layout/guard.h"
#include "layout/writers.h"
#include "profile/profile.h"

struct tables {
	struct guard_table *g;
	struct writers *w;
};

static struct tables tables_of(struct dbg *d, const char *root)
{
	struct tables t;
	struct dbg_type cls;
	struct err e = {0};

	if (dbg_find_class(d, root, &cls, &e) || guard_build(&t.g, d, cls, NULL, &e) ||
	    writers_find(&t.w, d, t.g, &e))
		fail_msg("%s", e.msg);
	return t;
}

static void tables_free(struct tables *t)
{
	writers_free(t->w);
	guard_free(t->g);
}

static char *text_of(struct dbg *d, size_t max_symbols, size_t *len)
{
	struct profile_info info = {.what = "a \"test\"\\", .max_symbol_bytes = max_symbols};
	struct err e = {0};
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	assert_non_null(f);
	if (profile_write(f, d, &info, &e))
		fail_msg("%s", e.msg);
	fclose(f);
	return text;
}

static void same_types(const struct guard_table *a, const struct guard_table *b)
{
	assert_int_equal(a->n_type, b->n_type);
	for (size_t t = 0; t < a->n_type; t++) {
		const struct guard_type *x = &a->type[t], *y = &b->type[t];

		assert_string_equal(x->name, y->name);
		assert_int_equal(x->size, y->size);
		assert_int_equal(x->vptrs_known, y->vptrs_known);
		assert_int_equal(x->n_vptr, y->n_vptr);
		for (uint32_t i = 0; i < x->n_vptr; i++)
			assert_int_equal(x->vptr[i].vaddr, y->vptr[i].vaddr);
		assert_int_equal(x->default_vaddr, y->default_vaddr);
		assert_int_equal(x->n_field, y->n_field);
		for (size_t i = 0; i < x->n_field; i++) {
			const struct guard_field *p = &x->field[i], *q = &y->field[i];

			assert_string_equal(p->path, q->path);
			assert_string_equal(p->owner, q->owner);
			assert_int_equal(p->offset, q->offset);
			assert_int_equal(p->kind, q->kind);
			assert_int_equal(p->shadow_judged, q->shadow_judged);
			assert_int_equal(p->has_mask, q->has_mask);
			assert_int_equal(p->enum_set, q->enum_set);
			assert_memory_equal(&p->rep, &q->rep, sizeof(p->rep));
			assert_string_equal(p->reason, q->reason);
		}
	}
}

static void same_writers(const struct writers *a, const struct writers *b)
{
	assert_int_equal(a->n_func, b->n_func);
	for (size_t i = 0; i < a->n_func; i++) {
		assert_int_equal(a->func[i].vaddr, b->func[i].vaddr);
		assert_string_equal(a->func[i].name, b->func[i].name);
		assert_memory_equal(a->func[i].obj, b->func[i].obj, sizeof(a->func[i].obj));
	}
	assert_int_equal(a->n_site, b->n_site);
	for (size_t i = 0; i < a->n_site; i++) {
		assert_int_equal(a->site[i].vaddr, b->site[i].vaddr);
		assert_int_equal(a->site[i].source, b->site[i].source);
		assert_memory_equal(&a->site[i].obj, &b->site[i].obj, sizeof(a->site[i].obj));
		assert_memory_equal(a->site[i].covers, b->site[i].covers, sizeof(a->site[i].covers));
		assert_string_equal(a->site[i].setter, b->site[i].setter);
		assert_string_equal(a->site[i].caller, b->site[i].caller);
	}
}

static void round_trip(const char *fixture, const char *root, size_t max_symbols)
{
	char path[256];
	struct dbg *d = fixture_dbg(fixture), *again;
	struct tables a, b;
	struct profile *p;
	struct err e = {0};
	size_t len, len_again;
	char *text, *text_again;

	assert_int_equal(dbg_record(d), 0);
	a = tables_of(d, root);
	text = text_of(d, max_symbols, &len);
	if (profile_parse(&p, text, len, "test", &e))
		fail_msg("%s", e.msg);
	assert_string_equal(profile_build_id(p), elf_file_build_id_hex(dbg_binary(d)));
	snprintf(path, sizeof(path), FIXTURES "/%s", fixture);
	if (dbg_open(&again, path, profile_debuginfo(p), &e))
		fail_msg("%s", e.msg);
	assert_int_equal(dbg_debuginfo(again)->state, ELF_DEBUG_FOUND);
	assert_int_equal(dbg_record(again), 0);
	b = tables_of(again, root);
	same_types(a.g, b.g);
	same_writers(a.w, b.w);
	/* nothing is looked at in what the profile became that it did not have */
	text_again = text_of(again, max_symbols, &len_again);
	assert_true(len_again <= len && len_again > len / 2);
	free(text_again);
	tables_free(&b);
	tables_free(&a);
	dbg_close(again);
	dbg_close(d);
	profile_close(p);
	free(text);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip("lease", "fx::Lease", 0);
	round_trip("lease", "fx::Lease", 1); /* only the symbols that are needed */
	round_trip("plain", "Node", 0);
	round_trip("plain-clang", "Node", 0);
	round_trip("plain-dw4", "Node", 0);
	round_trip("legacy", "Chunk", 0);
}

static void refused(const char *body, const char *message)
{
	struct profile *p = NULL;
	struct err e = {0};
	char *text = NULL;

	assert_true(asprintf(&text, "culprit-profile 1\nbuild-id 00ff\n%s", body) > 0);
	if (!profile_parse(&p, text, strlen(text), "f", &e))
		fail_msg("taken: %s", body);
	assert_null(p);
	assert_int_equal(e.code, -EBADMSG);
	assert_string_equal(e.msg, message);
	free(text);
}

static void test_says_where(void **state)
{
	struct profile *p;
	struct err e = {0};

	(void)state;
	refused("", "f:3:1: 'end' is missing: the file was cut");
	refused("unit\n", "f:4:1: 'end' is missing: the file was cut");
	refused("build-id 00\nend\n", "f:3:10: a second build-id");
	refused("build-id 0\nend\n", "f:3:10: this is no build-id");
	refused("symbol T 0x 4 \"a\"\nend\n", "f:3:11: a space is missing");
	refused("symbol T 1 4 \"a\nend\n", "f:3:16: the quotes are not closed");
	refused("symbol T 1 4 \"\\x00\"\nend\n", "f:3:18: a NUL in a text");
	refused("symbol T 99999999999999999999 4 \"a\"\nend\n", "f:3:10: this is no number");
	refused("segment 1 0xffffffffffffffff 1 r-x\nend\n", "f:3:32: such a segment cannot be");
	refused("nonsense\nend\n", "f:3:1: no entry is called 'nonsense'");
	refused(" unit\nend\n", "f:3:2: a unit stands in nothing");
	refused("namespace\nend\n", "f:3:1: this stands outside of a unit");
	refused("unit\n  namespace\nend\n", "f:4:3: indented by more than one level");
	refused("unit\nsymbol T 1 1 \"a\"\nend\n", "f:4:1: symbol has its place before the units");
	refused("unit\n struct type=@123456\nend\n", "f:4:14: nothing has this label");
	refused("unit\n struct type=@12345\nend\n", "f:4:20: a label has 6 hex digits");
	refused("unit\n struct #123456\n struct #123456\nend\n", "f:5:2: its label is another's");
	refused("unit\n struct size=1 size=2\nend\n", "f:4:16: size is given twice");
	refused("unit\n struct colour=1\nend\n", "f:4:9: no attribute is called 'colour'");
	refused("unit\n struct size\nend\n", "f:4:13: size has no value");
	refused("unit\n struct declaration=1\nend\n", "f:4:21: declaration takes no value");
	refused("unit\n function ranges=5-5\nend\n", "f:4:21: an empty range");
	refused("unit\n param location=reg\nend\n", "f:4:17: this is no location");
	refused("unit\n param location=0x1-0x2\nend\n", "f:4:24: ':' and a location is missing");
	assert_int_equal(profile_parse(&p, "culprit-profile 1\nend\n", 22, "f", &e), -EBADMSG);
	assert_string_equal(e.msg, "f:2:1: no build-id was given");
	assert_int_equal(profile_open(&p, "/nonexistent", &e), -ENOENT);
	assert_int_equal(profile_open(&p, "/", &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
