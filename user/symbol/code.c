// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The code before an address, from the mapped file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/image_priv.h"

/*
 * An address at which an instruction begins, at or before `at`: where the row of frame information begins
 * (its rules change between instructions), or the function. 0: none is known.
 */
static uint64_t boundary(Dwfl_Module *mod, uint64_t at)
{
	Dwarf_Addr bias = 0, start = 0, end;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(mod, &bias);
	Dwarf_Frame *frame;
	bool is_signal;
	GElf_Off off;
	GElf_Sym sym;

	if (cfi && !dwarf_cfi_addrframe(cfi, at - bias, &frame)) {
		dwarf_frame_info(frame, &start, &end, &is_signal);
		free(frame);
		return start ? start + bias : 0;
	}
	return dwfl_module_addrinfo(mod, at, &off, &sym, NULL, NULL, NULL) && off < sym.st_size ? at - off
												: 0;
}

int image_code_before(struct image *im, uint64_t ip, struct image_code *ret)
{
	struct image_module *m = image_module_at(im, ip - 1);
	const struct proc_map *map = proc_maps_find(&im->maps, ip - 1);
	Dwfl_Module *mod = m ? module_dwfl(m) : NULL;
	uint64_t start;
	ssize_t n;

	*ret = (struct image_code){0};
	if (!mod || !map || m->fd < 0 || map->inode != m->inode)
		return -ENODATA;
	start = boundary(mod, ip - 1);
	if (!start || start < map->start || ip - start > IMAGE_CODE_MAX)
		return -ENODATA;
	ret->start = start;
	ret->bias = module_bias(m);
	n = pread(m->fd, ret->bytes, ip - start + IMAGE_CODE_AFTER,
		  (off_t)(start - map->start + map->offset));
	if (n < (ssize_t)(ip - start))
		return -ENODATA;
	ret->len = (size_t)n;
	return 0;
}
