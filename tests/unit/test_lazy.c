// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Units read at need give what all units give; and the cache of which those are is safe. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "dwarf/lazy.h"
#include "dwarf/unit_cache.h"
#include "fixture.h"
#include "layout/guard.h"
#include "layout/writers.h"

#define DIR_NAME FIXTURES "/cache"
#define KEY	 0x1234

/* All that is known of a class and who writes it, as text for free(). */
static char *describe(const char *fixture, const char *root, const char *function)
{
	struct dbg *d = fixture_dbg(fixture);
	struct guard_table *g;
	struct writers *w;
	struct dbg_func *f;
	struct dbg_type cls;
	struct err e = {0};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (dbg_find_class(d, root, &cls, &e) || guard_build(&g, d, cls, NULL, &e) ||
	    writers_find(&w, d, g, &e))
		fail_msg("%s", e.msg);
	for (size_t t = 0; t < g->n_type; t++) {
		fprintf(out, "%s %u %u\n", g->type[t].name, g->type[t].size, g->type[t].n_vptr);
		for (size_t i = 0; i < g->type[t].n_field; i++) {
			const struct guard_field *x = &g->type[t].field[i];

			fprintf(out, " %u %u %s %s %d %u %s\n", x->offset, x->width, guard_kind_name(x->kind),
				x->path, x->shadow_judged, x->inlined_writers, x->reason);
		}
	}
	for (size_t i = 0; i < w->n_func; i++)
		fprintf(out, "%lx %s %d\n", (long)w->func[i].vaddr, w->func[i].name, w->func[i].role);
	for (size_t i = 0; i < w->n_site; i++)
		fprintf(out, "%lx %s %s\n", (long)w->site[i].vaddr, w->site[i].setter, w->site[i].caller);
	if (dbg_find_function(d, function, &f, &e))
		fail_msg("%s", e.msg);
	fprintf(out, "%s %zu\n", f->signature, f->n_entry);
	dbg_func_free(f);
	assert_int_equal(dbg_find_class(d, "NoSuchClass", &cls, &e), -ENOENT);
	fprintf(out, "%s %s\n", e.msg, e.hint);
	writers_free(w);
	guard_free(g);
	dbg_close(d);
	fclose(out);
	return text;
}

static void same(const char *fixture, const char *root, const char *function)
{
	char *all, *some;

	lazy_set_threshold(SIZE_MAX);
	all = describe(fixture, root, function);
	for (int i = 0; i < 2; i++) { /* without the cache, and with it */
		lazy_set_threshold(0);
		some = describe(fixture, root, function);
		assert_string_equal(some, all);
		free(some);
	}
	lazy_set_threshold(SIZE_MAX);
	free(all);
}

static void test_same(void **state)
{
	(void)state;
	same("lease", "fx::Lease", "fx::SetId");
	same("lease", "fx::CachedLease", "fx::CachedLease::Bump");
	same("plain", "Node", "Cache::Put");
	same("plain-clang", "Node", "Cache::Put"); /* refers to strings by index: all is read */
	same("plain-dw4", "Node", "Cache::Put");   /* has type units: all is read */
	same("legacy", "old::Chunk", "old::Chunk::Clear");
}

/* A unit that cannot be walked, among those that are read at need: found by fuzzing. Nothing is known then,
 * however often one asks. */
static void test_damaged(void **state)
{
	struct dbg_func *f;
	struct dbg_type cls;
	struct err e = {0};
	struct dbg *d;

	(void)state;
	lazy_set_threshold(0);
	assert_int_equal(dbg_open(&d, "tests/fuzz/corpus/dwarf/order", NULL, &e), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dbg_find_class(d, "B", &cls, &e), -EINVAL);
		assert_int_equal(dbg_find_function(d, "_Z1fP1Bl", &f, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "damaged"));
	}
	dbg_close(d);
	lazy_set_threshold(SIZE_MAX);
	assert_int_equal(dbg_open(&d, "tests/fuzz/corpus/dwarf/order", NULL, &e), -EINVAL);
}

/* A unit that says it ends far behind its section: pages there are not ours to give back. Found by fuzzing.
 */
static void test_beyond(void **state)
{
	struct err e = {0};
	struct dbg_type cls;
	struct dbg *d;

	(void)state;
	lazy_set_threshold(0);
	assert_int_equal(dbg_open(&d, "tests/fuzz/corpus/dwarf/beyond", NULL, &e), 0);
	assert_null(d->lazy); /* all is walked, as far as it goes */
	assert_int_equal(dbg_find_class(d, "ns::A", &cls, &e), 0);
	dbg_close(d);
	lazy_set_threshold(SIZE_MAX);
}

static uint64_t *bits_of(uint64_t v)
{
	uint64_t *b = malloc(sizeof(*b));

	assert_non_null(b);
	*b = v;
	return b;
}

static void keep(void)
{
	struct unit_cache c;

	assert_int_equal(unit_cache_open(&c, "00ff", KEY, 10), 0);
	assert_int_equal(unit_cache_add(&c, "Chunk", bits_of(0x201)), 0);
	assert_int_equal(unit_cache_add(&c, "operator<", bits_of(0)), 0);
	unit_cache_close(&c);
}

/* Is "Chunk" known as it was kept? */
static bool known(uint64_t key, size_t n_units)
{
	const struct unit_set *s;
	struct unit_cache c;
	bool yes;

	assert_int_equal(unit_cache_open(&c, "00ff", key, n_units), 0);
	s = unit_cache_find(&c, "Chunk");
	yes = s && s->bits[0] == 0x201 && s->kept;
	assert_true(s ? yes : !c.n);
	unit_cache_close(&c);
	return yes;
}

static void write_all(const char *text, mode_t mode)
{
	FILE *f;

	unlink(DIR_NAME "/00ff.units");
	f = fopen(DIR_NAME "/00ff.units", "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(DIR_NAME "/00ff.units", mode), 0);
}

static void test_cache(void **state)
{
	struct stat st;
	unsigned char *file;
	size_t len;

	(void)state;
	unit_cache_set_dir(DIR_NAME);
	keep();
	assert_int_equal(stat(DIR_NAME, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(DIR_NAME "/00ff.units", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(known(KEY, 10));
	assert_false(known(KEY + 1, 10)); /* of another file */
	assert_false(known(KEY, 11));
	/* each damaged byte is noticed */
	file = fixture_read(DIR_NAME "/00ff.units", &len);
	for (size_t i = 0; i < len; i++) {
		char *text = strndup((char *)file, len);

		text[i] = text[i] == 'x' ? 'y' : 'x';
		write_all(text, 0600);
		assert_false(known(KEY, 10));
		text[i] = '\0'; /* or it was cut */
		write_all(text, 0600);
		assert_false(known(KEY, 10));
		free(text);
	}
	free(file);
	keep(); /* and made anew */
	assert_true(known(KEY, 10));
	/* others could have written it */
	assert_int_equal(chmod(DIR_NAME "/00ff.units", 0666), 0);
	assert_false(known(KEY, 10));
	assert_int_equal(chmod(DIR_NAME "/00ff.units", 0600), 0);
	assert_true(known(KEY, 10));
	assert_int_equal(chmod(DIR_NAME, 0755), 0);
	assert_false(known(KEY, 10));
	assert_int_equal(chmod(DIR_NAME, 0700), 0);
	/* a link instead */
	assert_int_equal(rename(DIR_NAME "/00ff.units", DIR_NAME "/other"), 0);
	assert_int_equal(symlink("other", DIR_NAME "/00ff.units"), 0);
	assert_false(known(KEY, 10));
	unlink(DIR_NAME "/00ff.units");
	unlink(DIR_NAME "/other");
	rmdir(DIR_NAME);
	assert_int_equal(symlink("/tmp", DIR_NAME), 0);
	assert_false(known(KEY, 10));
	unlink(DIR_NAME);
}

static int own_cache(void **state)
{
	(void)state;
	unit_cache_set_dir(DIR_NAME);
	return system("rm -rf " DIR_NAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test_setup(test_cache, own_cache),
	};

	return cmocka_run_group_tests(tests, own_cache, own_cache);
}
