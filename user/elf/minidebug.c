// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * .gnu_debugdata ("MiniDebugInfo"): an xz-compressed ELF file whose .symtab has the functions that .dynsym
 * has not. Fedora's and RHEL's stripped binaries carry one. Source: GDB manual, "Debugging information in a
 * special section".
 */
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_priv.h"

#define MAX_IMAGE   (64u << 20)	 /* bytes unpacked; real ones have some 100 KiB */
#define MAX_DECODER (128u << 20) /* memory of the decoder: xz -9 asks for 65 MiB */

/* *image is for free(). -EINVAL: damaged or too large. */
static int unpack(const uint8_t *in, size_t len, uint8_t **image, size_t *size)
{
	lzma_stream s = LZMA_STREAM_INIT;
	size_t room = 0;
	lzma_ret r = lzma_stream_decoder(&s, MAX_DECODER, 0);

	*image = NULL;
	s.next_in = in;
	s.avail_in = len;
	while (r == LZMA_OK && room < MAX_IMAGE) {
		size_t more = room ? 2 * room : 1u << 18;
		uint8_t *grown = realloc(*image, more);

		if (!grown) {
			r = LZMA_MEM_ERROR;
			break;
		}
		*image = grown;
		s.next_out = *image + s.total_out;
		s.avail_out = more - (size_t)s.total_out;
		room = more;
		r = lzma_code(&s, LZMA_FINISH);
	}
	*size = (size_t)s.total_out;
	lzma_end(&s);
	if (r == LZMA_STREAM_END)
		return 0;
	free(*image);
	*image = NULL;
	return r == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
}

/* .symtab of the unpacked file, with .dynsym behind it. */
static int take_symbols(struct elf_file *f)
{
	struct elf_syms mini = {0}, all;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	int rc = 0;

	while (!rc && !mini.sym && (scn = elf_nextscn(f->mini, scn))) {
		if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_SYMTAB)
			rc = elf_add_symbols(&mini, f->mini, scn, &sh);
	}
	all.n = mini.n + f->dynsym.n;
	all.sym = rc || !mini.n ? NULL : reallocarray(mini.sym, all.n, sizeof(*all.sym));
	if (!all.sym) {
		elf_free_symbols(&mini);
		return rc ? rc : mini.n ? -ENOMEM : 0;
	}
	for (size_t i = 0; i < f->dynsym.n; i++) {
		all.sym[mini.n + i] = f->dynsym.sym[i];
		all.sym[mini.n + i].owned = false;
	}
	f->symtab = all;
	return 0;
}

int elf_read_minidebug(struct elf_file *f, Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	size_t size;
	int rc;

	if (!data || !data->d_buf || !data->d_size)
		return 0;
	rc = unpack(data->d_buf, data->d_size, &f->mini_image, &size);
	if (rc)
		return rc == -ENOMEM ? rc : 0; /* damaged: the file is as one without it */
	f->mini = elf_memory((char *)f->mini_image, size);
	return f->mini ? take_symbols(f) : 0;
}
