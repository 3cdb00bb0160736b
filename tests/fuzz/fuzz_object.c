// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects in a memory that was written over: read, checked and shown. */
#include "../unit/nodes.h"
#include "fuzz.h"
#include "report/object.h"

static void show(const struct object *o)
{
	struct object_break *b;
	size_t n, len;
	char *text;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	text_object(f, o);
	if (!object_breaks(o, &b, &n)) {
		for (size_t i = 0; i < n; i++) {
			text_break(f, &b[i]);
			json_decref(json_break(&b[i]));
		}
		object_breaks_free(b, n);
	}
	json_decref(json_object_of(o));
	fclose(f);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct object *o;
	unsigned depth;

	reset(take_u8(&in) & 1 ? &v2 : &v3);
	depth = take_u8(&in) % 8;
	while (in.left) {
		uint64_t at = (NODE - BASE + take_u64(&in) % 0x700) & ~3ull;

		take(&in, memory + at, 1 + take_u8(&in) % 8);
	}
	if (!object_read(&o, &known, &mem, 0, NODE, depth)) {
		show(o);
		object_free(o);
	}
	return 0;
}
