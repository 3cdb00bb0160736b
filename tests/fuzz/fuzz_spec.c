// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A spec file, and what the command line says instead of one. */
#include "fuzz.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	struct spec_option opt[2] = {{SPEC_INSERT, text}, {SPEC_CHECK, text}};
	struct err err;
	struct spec *s;

	if (!spec_parse(&s, (const char *)data, size, "fuzz", &err))
		spec_free(s);
	if (!spec_from_options(&s, text, opt, 2, &err))
		spec_free(s);
	free(text);
	return 0;
}
