// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The core reader on a core made here, and on everything that one can become. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "elf/core_file.h"
#include "space/space.h"

#define N_PHDR 3
#define ROOM   8192

struct image {
	uint8_t b[ROOM];
	size_t len;
};

static void put(struct image *im, const void *p, size_t n)
{
	assert_true(im->len + n <= ROOM);
	memcpy(im->b + im->len, p, n);
	im->len += n;
}

static void note(struct image *im, uint32_t type, const void *desc, uint32_t len)
{
	Elf64_Nhdr nh = {.n_namesz = 5, .n_descsz = len, .n_type = type};

	put(im, &nh, sizeof(nh));
	put(im, "CORE\0\0\0", 8);
	put(im, desc, len);
	put(im, "\0\0\0", -len & 3);
}

/* Two threads, one mapped file, two segments, the second one dumped in part. */
static void build(struct image *im)
{
	Elf64_Ehdr eh = {.e_ident = ELFMAG,
			 .e_type = ET_CORE,
			 .e_machine = EM_X86_64,
			 .e_phoff = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = N_PHDR};
	Elf64_Phdr ph[N_PHDR] = {{.p_type = PT_NOTE, .p_offset = sizeof(eh) + sizeof(ph)},
				 {.p_type = PT_LOAD,
				  .p_vaddr = 0x10000,
				  .p_memsz = 0x1000,
				  .p_filesz = 0x20,
				  .p_flags = PF_R | PF_X},
				 {.p_type = PT_LOAD,
				  .p_vaddr = 0x20000,
				  .p_memsz = 0x2000,
				  .p_filesz = 0x40,
				  .p_flags = PF_R | PF_W}};
	uint64_t auxv[] = {AT_ENTRY, 0x10040, AT_SYSINFO_EHDR, 0x20000, AT_NULL, 0};
	struct {
		uint64_t n, page, start, end, off;
		char path[12];
	} files = {1, 4096, 0x10000, 0x12000, 3, "/bin/daemon"};
	uint8_t status[336] = {0}, info[136] = {0};

	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	im->len = 0;
	put(im, &eh, sizeof(eh));
	put(im, ph, sizeof(ph));
	status[12] = 11;
	*(uint32_t *)(status + 32) = 4242;
	*(uint64_t *)(status + 112 + 8 * 19) = 0x20ff0;
	*(uint64_t *)(status + 112 + 8 * 16) = 0x10123;
	*(uint32_t *)(info + 24) = 4240;
	strcpy((char *)info + 40, "zbs-chunkd");
	note(im, NT_PRSTATUS, status, sizeof(status));
	note(im, NT_PRPSINFO, info, sizeof(info));
	status[12] = 0;
	*(uint32_t *)(status + 32) = 4243;
	note(im, NT_PRSTATUS, status, sizeof(status));
	note(im, NT_AUXV, auxv, sizeof(auxv));
	note(im, NT_FILE, &files, 40 + sizeof(files.path));
	ph[0].p_filesz = im->len - ph[0].p_offset;
	ph[1].p_offset = im->len;
	ph[2].p_offset = im->len + 0x20;
	memcpy(im->b + sizeof(eh), ph, sizeof(ph));
	for (int i = 0; i < 0x60; i++)
		put(im, "x", 1);
}

static int parse(const struct image *im, struct core_file **c, struct err *err)
{
	int fd = memfd_create("core", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, im->b, im->len), im->len);
	return core_file_parse(c, fd, "made", err);
}

static void test_good(void **state)
{
	struct core_file *c;
	struct image im;

	(void)state;
	build(&im);
	assert_int_equal(parse(&im, &c, NULL), 0);
	assert_int_equal(c->n_threads, 2);
	assert_int_equal(c->thread[0].tid, 4242);
	assert_int_equal(c->thread[0].sp, 0x20ff0);
	assert_int_equal(c->thread[1].pc, 0x10123);
	assert_int_equal(c->signal, 11);
	assert_int_equal(c->pid, 4240);
	assert_string_equal(c->comm, "zbs-chunkd");
	assert_int_equal(c->entry, 0x10040);
	assert_int_equal(c->vdso, 0x20000);
	assert_int_equal(c->n_mapped, 1);
	assert_string_equal(c->mapped[0].path, "/bin/daemon");
	assert_int_equal(c->mapped[0].offset, 3 * 4096);
	assert_int_equal(c->n_seg, 2);
	assert_int_equal(c->cut, 0);
	assert_null(core_segment_at(c, 0xffff));
	assert_ptr_equal(core_segment_at(c, 0x10fff), &c->seg[0]);
	assert_null(core_segment_at(c, 0x11000));
	assert_ptr_equal(core_segment_at(c, 0x21fff), &c->seg[1]);
	assert_int_equal(c->seg[1].dumped, 0x40);
	assert_ptr_equal(core_mapped_at(c, 0x11fff), &c->mapped[0]);
	assert_null(core_mapped_at(c, 0x12000));
	core_file_close(c);
}

/* Cut anywhere: either an error with an offset, or what was dumped before the cut. */
static void test_truncated(void **state)
{
	struct image im;
	size_t opened = 0, whole;

	(void)state;
	build(&im);
	whole = im.len;
	for (size_t len = 0; len < whole; len++) {
		struct err err = {0};
		struct core_file *c;

		im.len = len;
		if (!parse(&im, &c, &err)) {
			opened++;
			assert_true(c->cut > 0);
			for (size_t i = 0; i < c->n_seg; i++)
				assert_true(!c->seg[i].dumped ||
					    c->seg[i].file_off + c->seg[i].dumped <= len);
			core_file_close(c);
		} else {
			assert_true(err.code == -ENOEXEC || err.code == -EBADMSG);
			assert_non_null(strstr(err.msg, "made"));
		}
	}
	assert_int_equal(opened, 0x60);
}

static void test_mutated(void **state)
{
	uint64_t seed = 1;
	struct image good;

	(void)state;
	build(&good);
	for (int round = 0; round < 20000; round++) {
		struct image im = good;
		struct core_file *c;

		for (int k = 0; k < 1 + round % 3; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			im.b[(seed >> 33) % im.len] = (uint8_t)(seed >> 24 & 1	 ? seed >> 16
								: seed >> 25 & 1 ? 0xff
										 : 0);
		}
		if (!parse(&im, &c, NULL)) {
			for (size_t i = 0; i < c->n_mapped; i++)
				assert_true(strlen(c->mapped[i].path) < ROOM);
			core_segment_at(c, 0x10000);
			core_mapped_at(c, 0x10000);
			core_file_close(c);
		}
	}
}

static void test_refused(void **state)
{
	struct err err = {0};
	struct core_file *c;
	struct image im;

	(void)state;
	build(&im);
	((Elf64_Ehdr *)im.b)->e_type = ET_DYN;
	assert_int_equal(parse(&im, &c, &err), -ENOEXEC);
	assert_non_null(strstr(err.msg, "no core"));
	build(&im);
	((Elf64_Ehdr *)im.b)->e_machine = EM_PPC64;
	assert_int_equal(parse(&im, &c, &err), -ENOTSUP);
	build(&im);
	((Elf64_Phdr *)(im.b + sizeof(Elf64_Ehdr)))[2].p_vaddr = 0x10800;
	assert_int_equal(parse(&im, &c, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "overlap"));
	build(&im);
	((Elf64_Phdr *)(im.b + sizeof(Elf64_Ehdr)))[2].p_memsz = UINT64_MAX;
	assert_int_equal(parse(&im, &c, &err), -EBADMSG);
	build(&im);
	((Elf64_Phdr *)(im.b + sizeof(Elf64_Ehdr)))[0].p_filesz = 1ull << 40;
	assert_int_equal(parse(&im, &c, &err), -EBADMSG);
	assert_int_equal(core_file_open(&c, "/no/such/core", &err), -ENOENT);
	assert_int_equal(core_file_open(&c, "/proc/self", &err), -ENOEXEC);
}

static int window(void *ctx, uint64_t addr, const uint8_t *bytes, size_t len)
{
	uint64_t *last = ctx;

	(void)bytes;
	*last = addr + len;
	return 0;
}

/* What was not dumped may be as large as the address space: it is passed over, not tried page by page. */
static void test_walk_over_a_void(void **state)
{
	const uint64_t size = 1ull << 44;
	struct space_walked w = {0};
	struct space *s;
	struct image im;
	char path[32];
	uint64_t last = 0;
	int fd = memfd_create("core", MFD_CLOEXEC);

	(void)state;
	build(&im);
	((Elf64_Phdr *)(im.b + sizeof(Elf64_Ehdr)))[2].p_memsz = size;
	assert_int_equal(write(fd, im.b, im.len), im.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(space_open_core(&s, path, NULL, NULL, NULL), 0);
	assert_int_equal(space_walk(s, 0x20000, UINT64_MAX, 7, window, &last, &w), 0);
	assert_int_equal(w.bytes, 0x40);
	assert_int_equal(last, 0x20040);
	assert_int_equal(w.unreadable, size / 4096); /* the first page is there in part only */
	space_close(s);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_walk_over_a_void),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
