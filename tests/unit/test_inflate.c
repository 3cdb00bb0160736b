// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compressed debug sections, made by objcopy, against the ones they were made of. */
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "dwarf/funcs.h"
#include "elf/inflate.h"
#include "fixture.h"

#define BAD FIXTURES "/compressed-bad"

/* objcopy's compressed copy of a fixture, for unlink(). */
static void compress(const char *how, const char *from, const char *to)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "objcopy --compress-debug-sections=%s %s %s", how, from, to);
	assert_int_equal(system(cmd), 0);
}

static Elf_Data *section(Elf *elf, const char *want, GElf_Shdr *sh)
{
	Elf_Scn *scn = NULL;
	size_t strndx;

	assert_int_equal(elf_getshdrstrndx(elf, &strndx), 0);
	while ((scn = elf_nextscn(elf, scn))) {
		assert_non_null(gelf_getshdr(scn, sh));
		if (!strcmp(elf_strptr(elf, strndx, sh->sh_name), want))
			return elf_rawdata(scn, NULL);
	}
	return NULL;
}

static bool same(Elf *a, Elf *b, const char *name)
{
	GElf_Shdr sh;
	Elf_Data *x = section(a, name, &sh), *y = section(b, name, &sh);

	assert_non_null(x);
	assert_non_null(y);
	return x->d_size == y->d_size && !memcmp(x->d_buf, y->d_buf, x->d_size);
}

/* Sections as they were, lines only once they are asked for; those that nobody reads are left out. */
static void as_before(const char *how)
{
	static const char *const names[] = {".debug_info", ".debug_abbrev", ".debug_str", ".debug_loclists",
					    ".debug_rnglists"};
	struct elf_file *plain = NULL, *packed = NULL;
	struct inflated *in = NULL;
	struct err e = {0};
	GElf_Shdr sh;

	compress(how, FIXTURES "/plain", FIXTURES "/compressed");
	assert_int_equal(elf_file_open(&plain, FIXTURES "/plain", &e), 0);
	assert_int_equal(elf_file_open(&packed, FIXTURES "/compressed", &e), 0);
	assert_non_null(section(elf_file_elf(packed), ".debug_info", &sh));
	assert_true(sh.sh_flags & SHF_COMPRESSED);
	assert_int_equal(inflate_open(&in, plain, &e), 0);
	assert_null(in);
	assert_int_equal(inflate_open(&in, packed, &e), 0);
	assert_non_null(in);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(same(elf_file_elf(plain), inflate_elf(in), names[i]));
	assert_null(section(inflate_elf(in), ".debug_aranges", &sh));
	assert_false(same(elf_file_elf(plain), inflate_elf(in), ".debug_line"));
	assert_int_equal(inflate_lines(in, &e), 0);
	assert_true(same(elf_file_elf(plain), inflate_elf(in), ".debug_line"));
	inflate_close(in);
	elf_file_close(packed);
	elf_file_close(plain);
	unlink(FIXTURES "/compressed");
}

static void zlib_as_before(void **state)
{
	(void)state;
	as_before("zlib");
}

static void zstd_as_before(void **state)
{
	(void)state;
	as_before("zstd");
}

/* Name and line of the first function's entry. */
static void line_of(const char *path, char *buf, size_t len)
{
	struct dbg *d = NULL;
	struct dbg_func *f = NULL;
	struct err e = {0};
	const char *file;
	int line;

	assert_int_equal(dbg_open(&d, path, NULL, &e), 0);
	assert_int_equal(dbg_find_function(d, "main", &f, &e), 0);
	assert_true(f->n_entry > 0);
	file = dbg_line(d, f->entry[0].vaddr, &line);
	assert_non_null(file);
	snprintf(buf, len, "%s:%d", file, line);
	dbg_func_free(f);
	dbg_close(d);
}

static void lines_when_asked_for(void **state)
{
	char want[512], got[512];

	(void)state;
	compress("zlib", FIXTURES "/plain", FIXTURES "/compressed");
	line_of(FIXTURES "/plain", want, sizeof(want));
	line_of(FIXTURES "/compressed", got, sizeof(got));
	assert_string_equal(got, want);
	unlink(FIXTURES "/compressed");
}

/* What dbg_open() says when 8 bytes at `at` of the section (0: ch_type, 8: ch_size...) are replaced. */
static int open_damaged(const char *how, const char *name, size_t at, uint64_t v, struct err *e)
{
	struct elf_file *f = NULL;
	struct dbg *d = NULL;
	unsigned char *raw;
	char where[32];
	GElf_Shdr sh;
	size_t len;
	int rc;

	compress(how, FIXTURES "/plain", BAD);
	raw = fixture_read(BAD, &len);
	assert_int_equal(elf_file_open(&f, BAD, e), 0);
	assert_non_null(section(elf_file_elf(f), name, &sh));
	elf_file_close(f);
	assert_true(sh.sh_size > at + sizeof(v));
	memcpy(raw + sh.sh_offset + at, &v, sizeof(v));
	fixture_write(BAD, raw, len);
	free(raw);
	rc = dbg_open(&d, BAD, NULL, e);
	dbg_close(d);
	unlink(BAD);
	snprintf(where, sizeof(where), "%s at offset 0x%llx", name, (unsigned long long)sh.sh_offset);
	if ((rc == -EBADMSG || rc == -ENOTSUP) && !strstr(e->msg, where))
		fail_msg("%s: %s", e->msg, where);
	return rc;
}

static void damaged_sections_are_named(void **state)
{
	struct err e = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *how = i ? "zstd" : "zlib";

		/* a size that no memory has, one that it could have, and one too small */
		assert_int_equal(open_damaged(how, ".debug_info", 8, UINT64_MAX, &e), -EBADMSG);
		assert_int_equal(open_damaged(how, ".debug_info", 8, 1ULL << 40, &e), -EBADMSG);
		assert_non_null(strstr(e.msg, "more than its bytes can hold"));
		assert_int_equal(open_damaged(how, ".debug_info", 8, 100000, &e), -EBADMSG);
		assert_int_equal(open_damaged(how, ".debug_str", 8, 10, &e), -EBADMSG);
		assert_non_null(strstr(e.msg, "does not inflate to what it claims"));
		/* zlib has a checksum; of what a zstd stream without one comes to, the walk judges */
		assert_int_equal(open_damaged(how, ".debug_info", 200, 0x5a5a5a5a5a5a5a5a, &e),
				 i ? -EINVAL : -EBADMSG);
		assert_int_equal(open_damaged(how, ".debug_abbrev", 0, 77, &e), -ENOTSUP);
		/* nobody asked for lines */
		assert_int_equal(open_damaged(how, ".debug_line", 100, 0x5a5a5a5a5a5a5a5a, &e), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zlib_as_before),
		cmocka_unit_test(zstd_as_before),
		cmocka_unit_test(lines_when_asked_for),
		cmocka_unit_test(damaged_sections_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
