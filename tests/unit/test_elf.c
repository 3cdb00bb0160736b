// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "elf/elf_file.h"
#include "fixture.h"

#define LEASE FIXTURES "/lease"

static struct elf_file *open_ok(const char *path)
{
	struct err e = {0};
	struct elf_file *f = NULL;

	if (elf_file_open(&f, path, &e))
		fail_msg("%s", e.msg);
	return f;
}

/* First line a shell command prints. */
static void shell(const char *cmd, char *out, size_t len)
{
	FILE *p = popen(cmd, "r");

	assert_non_null(p);
	if (!fgets(out, (int)len, p))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	while (fgetc(p) != EOF)
		;
	pclose(p);
}

static void build_id_as_readelf_says(void **state)
{
	struct elf_file *f = open_ok(LEASE);
	char want[256];

	(void)state;
	shell("readelf -n " LEASE " | sed -n 's/.*Build ID: //p'", want, sizeof(want));
	assert_true(strlen(want) >= 16);
	assert_string_equal(elf_file_build_id_hex(f), want);
	assert_true(elf_file_is_pie(f));
	elf_file_close(f);
	f = open_ok(FIXTURES "/plain-o0");
	assert_false(elf_file_is_pie(f));
	assert_int_equal(elf_file_base(f), 0x400000);
	elf_file_close(f);
}

static void addresses_and_offsets(void **state)
{
	struct elf_file *f = open_ok(FIXTURES "/plain");
	uint64_t off, back, data;
	struct elf_sym s;
	char want[64];
	size_t len;
	unsigned char *raw = fixture_read(FIXTURES "/plain", &len);

	(void)state;
	assert_int_equal(elf_symbol(f, "_ZN2fx4Node5TouchEi", &s), 0);
	shell("nm " FIXTURES "/plain | sed -n 's/ T _ZN2fx4Node5TouchEi$//p'", want, sizeof(want));
	assert_int_equal(s.vaddr, strtoul(want, NULL, 16));
	assert_true(elf_vaddr_to_offset(f, s.vaddr, &off));
	assert_true(elf_offset_to_vaddr(f, off, &back));
	assert_int_equal(back, s.vaddr);
	assert_memory_equal(elf_bytes(f, s.vaddr, s.size), raw + off, s.size);
	assert_true(elf_vaddr_is_code(f, s.vaddr));
	/* data of a relocated segment: address and offset differ */
	assert_int_equal(elf_symbol(f, "_ZTVN2fx4NodeE", &s), 0);
	assert_true(elf_vaddr_to_offset(f, s.vaddr, &data));
	assert_true(data != s.vaddr);
	assert_false(elf_vaddr_is_code(f, s.vaddr));
	assert_false(elf_vaddr_to_offset(f, 0x7fffffff0000, &off));
	assert_null(elf_bytes(f, s.vaddr, 1UL << 40));
	assert_int_equal(elf_symbol(f, "no such symbol", &s), -ENOENT);
	free(raw);
	elf_file_close(f);
}

static void plt_stubs(void **state)
{
	struct elf_file *f = open_ok(FIXTURES "/lease.full");
	char want[64];

	(void)state;
	shell("objdump -d -j .plt " FIXTURES
	      "/lease.full | sed -n 's/^0*\\([0-9a-f]*\\) <_ZdlPvm@plt>:/\\1/p'",
	      want, sizeof(want));
	assert_true(*want);
	assert_string_equal(elf_plt_symbol(f, strtoul(want, NULL, 16)), "_ZdlPvm");
	assert_null(elf_plt_symbol(f, strtoul(want, NULL, 16) + 6)); /* the push behind the jump */
	elf_file_close(f);
}

static void debuglink_found(void **state)
{
	struct elf_file *f = open_ok(LEASE);
	struct elf_debug d;

	(void)state;
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_FOUND);
	assert_string_equal(d.path, FIXTURES "/.debug/lease.debug");
	elf_file_close(f);
	f = open_ok(FIXTURES "/plain");
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_SELF);
	elf_file_close(f);
}

/* A directory of its own for copies; removed by the test's end. */
static char tmp_dir[] = FIXTURES "/elf-XXXXXX";

static void at(char *buf, size_t len, const char *name)
{
	snprintf(buf, len, "%s/%s", tmp_dir, name);
}

static void copy(const char *from, const char *name)
{
	char to[256];
	size_t len;
	unsigned char *p = fixture_read(from, &len);

	at(to, sizeof(to), name);
	fixture_write(to, p, len);
	free(p);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(tmp_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[256];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -r '%s'", tmp_dir);
	return system(cmd);
}

static uint64_t symbol(const struct elf_file *f, const char *name)
{
	struct elf_sym s;

	return elf_symbol(f, name, &s) ? 0 : s.vaddr;
}

/* As Fedora packs it: the functions in an xz-compressed file inside the stripped one. */
static void minidebuginfo(void **state)
{
	static const char pack[] =
		"cd %s && objcopy -S ../plain bare && objcopy -S -w -K '_ZN*' ../plain mini && "
		"xz -q mini && objcopy --add-section .gnu_debugdata=mini.xz bare packed && "
		"head -c 200 mini.xz > cut.xz && objcopy --add-section .gnu_debugdata=cut.xz bare cut";
	static const char local[] = "_ZN2fx14SetFromOutsideEPNS_4NodeEm";
	struct elf_file *full = open_ok(FIXTURES "/plain"), *f;
	char cmd[512], path[256];

	(void)state;
	snprintf(cmd, sizeof(cmd), pack, tmp_dir);
	assert_int_equal(system(cmd), 0);
	at(path, sizeof(path), "bare");
	f = open_ok(path);
	assert_int_equal(symbol(f, local), 0);
	elf_file_close(f);
	at(path, sizeof(path), "packed");
	f = open_ok(path);
	assert_true(symbol(full, local));
	assert_int_equal(symbol(f, local), symbol(full, local));
	assert_int_equal(symbol(f, "nothing"), 0);
	elf_file_close(f);
	at(path, sizeof(path), "cut"); /* damaged: as if there was none */
	f = open_ok(path);
	assert_int_equal(symbol(f, local), 0);
	elf_file_close(f);
	elf_file_close(full);
}

static void debuginfo_states(void **state)
{
	char path[256];
	struct elf_file *f;
	struct elf_debug d;

	(void)state;
	copy(LEASE, "alone");
	at(path, sizeof(path), "alone");
	f = open_ok(path);
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_NONE);
	assert_non_null(strstr(d.reason, "lease.debug: not there"));
	assert_non_null(strstr(d.reason, "/usr/lib/debug"));

	copy(FIXTURES "/plain", "lease.debug"); /* the link's name, another build */
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_MISMATCH);
	assert_non_null(strstr(d.reason, elf_file_build_id_hex(f)));

	elf_find_debug(f, FIXTURES "/.debug/lease.debug", &d); /* a file */
	assert_int_equal(d.state, ELF_DEBUG_FOUND);
	elf_find_debug(f, FIXTURES "/.debug", &d); /* a directory */
	assert_int_equal(d.state, ELF_DEBUG_FOUND);
	elf_find_debug(f, "/nonexistent", &d);
	assert_int_equal(d.state, ELF_DEBUG_MISMATCH);
	assert_non_null(strstr(d.reason, "/nonexistent: No such file"));
	elf_file_close(f);
}

/* Without build-ids the CRC of .gnu_debuglink decides. */
static void debuglink_crc(void **state)
{
	char cmd[1024], path[256];
	struct elf_file *f;
	struct elf_debug d;
	FILE *p;

	(void)state;
	snprintf(cmd, sizeof(cmd),
		 "cd '%s' && cp ../plain full && objcopy --remove-section=.note.gnu.build-id full && "
		 "objcopy --only-keep-debug full full.debug && objcopy --strip-all "
		 "--add-gnu-debuglink=full.debug full crc",
		 tmp_dir);
	assert_int_equal(system(cmd), 0);
	at(path, sizeof(path), "crc");
	f = open_ok(path);
	assert_string_equal(elf_file_build_id_hex(f), "");
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_FOUND);
	at(path, sizeof(path), "full.debug");
	p = fopen(path, "ab"); /* one byte more, another CRC */
	fputc(0, p);
	fclose(p);
	elf_find_debug(f, NULL, &d);
	assert_int_equal(d.state, ELF_DEBUG_MISMATCH);
	assert_non_null(strstr(d.reason, "CRC"));
	elf_file_close(f);
}

static void own_process(void **state)
{
	struct elf_file *f = open_ok("/proc/self/exe");
	char real[512];
	ssize_t n = readlink("/proc/self/exe", real, sizeof(real) - 1);

	(void)state;
	assert_true(n > 0);
	real[n] = '\0';
	assert_string_equal(elf_file_name(f), real);
	elf_file_close(f);
	snprintf(real, sizeof(real), "/proc/%d/root/bin/sh", getpid());
	f = open_ok(real);
	assert_string_equal(elf_file_name(f), "/bin/sh");
	elf_file_close(f);
}

static void no_elf(void **state)
{
	struct elf_file *f;
	struct err e = {0};

	(void)state;
	assert_int_equal(elf_file_open(&f, "/etc/passwd", &e), -ENOEXEC);
	assert_null(f);
	assert_int_equal(elf_file_open(&f, "/nonexistent", &e), -ENOENT);
	assert_string_equal(e.msg, "cannot open /nonexistent: No such file or directory");
}

/* Every prefix and every damaged byte of the headers opens or fails, but never crashes (ASan watches). */
static void damaged_files(void **state)
{
	size_t len;
	unsigned char *raw = fixture_read(LEASE, &len);
	char path[256];
	struct elf_debug d;

	(void)state;
	at(path, sizeof(path), "damaged");
	for (size_t cut = 0; cut < len; cut += len / 64 + 1) {
		struct elf_file *f = NULL;

		fixture_write(path, raw, cut);
		if (!elf_file_open(&f, path, NULL))
			elf_find_debug(f, NULL, &d);
		elf_file_close(f);
	}
	for (size_t i = 4; i < 1024; i += 3) {
		struct elf_file *f = NULL;

		raw[i] ^= 0xff;
		fixture_write(path, raw, len);
		raw[i] ^= 0xff;
		if (!elf_file_open(&f, path, NULL))
			elf_find_debug(f, NULL, &d);
		elf_file_close(f);
	}
	free(raw);
}

/* A segment that begins so far behind the file that it ends at its begin again: found by fuzzing. */
static void segment_beyond_all_addresses(void **state)
{
	struct elf_file *f;

	(void)state;
	assert_int_equal(elf_file_open(&f, "tests/fuzz/corpus/elf/wraps", NULL), 0);
	assert_int_equal(elf_bytes_left(f, 0x3b8 + 0x100), 0);
	assert_null(elf_bytes(f, 0x3b8 + 0x100, 16));
	elf_file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(build_id_as_readelf_says),
		cmocka_unit_test(addresses_and_offsets),
		cmocka_unit_test(plt_stubs),
		cmocka_unit_test(debuglink_found),
		cmocka_unit_test(minidebuginfo),
		cmocka_unit_test(debuginfo_states),
		cmocka_unit_test(debuglink_crc),
		cmocka_unit_test(own_process),
		cmocka_unit_test(no_elf),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(segment_beyond_all_addresses),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
