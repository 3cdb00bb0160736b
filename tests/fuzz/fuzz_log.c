// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lines of a daemon's log: heads, messages that go on, and what they say of calls that timed out. */
#include "fuzz.h"

#include "log/glog.h"

#define NOW 1700222400000000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size, *nl;
	struct log_rec r, next;
	char method[128];
	int has = 0;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		if (glog_parse(p, (size_t)(nl - p), NOW, &next)) {
			r = next;
			has = 1;
		} else if (has) {
			glog_continue(&r, p, (size_t)(nl - p));
		}
		if (has && glog_is_timeout(&r, method, sizeof(method)) && strlen(method) >= sizeof(method))
			abort();
		if (nl == end)
			break;
	}
	return 0;
}
