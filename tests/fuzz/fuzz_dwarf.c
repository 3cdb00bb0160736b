// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The debuginfo of an ELF file: all of it walked, and as if it were large. */
#include "dwarf/lazy.h"
#include "dwarf/unit_cache.h"
#include "fuzz.h"
#include "lookups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dbg *d;
	char path[32];
	int fd = file_of(data, size, path);

	unit_cache_set_dir("/nonexistent/cache");
	for (int large = 0; large < 2; large++) {
		lazy_set_threshold(large ? 0 : SIZE_MAX);
		if (!dbg_open(&d, path, NULL, NULL)) {
			look_at_all(d);
			dbg_close(d);
		}
	}
	close(fd);
	return 0;
}
