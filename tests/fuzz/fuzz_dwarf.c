// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The debuginfo of an ELF file. */
#include "fuzz.h"
#include "lookups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dbg *d;
	char path[32];
	int fd = file_of(data, size, path);

	if (!dbg_open(&d, path, NULL, NULL)) {
		look_at_all(d);
		dbg_close(d);
	}
	close(fd);
	return 0;
}
