// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A core: its segments, notes, the build-ids in its memory, and the blocks of its heaps. */
#include "elf/core_file.h"
#include "find/find.h"
#include "fuzz.h"
#include "space/heap.h"

static void look(struct space *s)
{
	const struct proc_maps *maps = space_maps(s);
	struct heap_block block[8];
	struct find_result *r;
	struct pattern p;
	uint64_t addr[8], off;
	size_t n = 0;

	for (size_t i = 0; i < maps->n && n < 8; i++) {
		addr[n++] = maps->v[i].start + (maps->v[i].end - maps->v[i].start) / 2;
		space_symbol_at(s, maps->v[i].start, &off);
		space_stack_at(s, maps->v[i].end - 1);
	}
	heap_classify(s, addr, n, block);
	if (!pattern_value(&p, 0xfffc0000, 4, UINT64_MAX, 1, NULL) && !find_run(&r, s, &p, NULL, 10, NULL))
		find_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct space *s;
	char path[32];
	int fd = file_of(data, size, path);

	if (!space_open_core(&s, path, NULL, NULL, NULL)) {
		look(s);
		space_close(s);
	}
	close(fd);
	return 0;
}
