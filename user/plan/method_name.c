// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The name in a MethodDescriptor of the target. */
#include <errno.h>
#include <string.h>

#include "plan/rpc.h"

struct reader {
	int (*read_mem)(void *ctx, uint64_t addr, void *buf, size_t len);
	void *ctx;
};

/* "zbs.meta.MetaService.ListDb": identifiers joined by dots, at least two. */
static bool is_full_name(const char *s)
{
	bool dot = false;
	char prev = '.';

	for (; *s; prev = *s++) {
		if (*s == '.') {
			if (prev == '.')
				return false;
			dot = true;
		} else if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' ||
			     (*s >= '0' && *s <= '9' && prev != '.'))) {
			return false;
		}
	}
	return dot && prev != '.';
}

/* The text of the std::string at this address. old_abi: the object is a pointer to the text, 24 bytes before
 * which the length stands (std::string::_Rep); else pointer and length are its first two words. */
static bool read_string(const struct reader *r, uint64_t addr, bool old_abi, char *buf, size_t len)
{
	uint64_t text, size;

	if (r->read_mem(r->ctx, addr, &text, sizeof(text)) ||
	    r->read_mem(r->ctx, old_abi ? text - 24 : addr + 8, &size, sizeof(size)) || size == 0 ||
	    size >= len || r->read_mem(r->ctx, text, buf, size))
		return false;
	buf[size] = '\0';
	return strlen(buf) == size;
}

/* Where a layout has the strings: pointers to each at 0 and 8 (until 3.13), or at 8 to both of them in a row.
 */
static bool read_names(const struct reader *r, enum rpc_layout layout, uint64_t method, char *name,
		       char *full, size_t len)
{
	uint64_t at_name, at_full;
	bool old_abi = layout == RPC_LAYOUT_2_5;

	if (r->read_mem(r->ctx, method + 8, &at_full, sizeof(at_full)))
		return false;
	if (layout == RPC_LAYOUT_3_21) {
		at_name = at_full;
		at_full += 32; /* sizeof(std::string) */
	} else if (r->read_mem(r->ctx, method, &at_name, sizeof(at_name))) {
		return false;
	}
	return read_string(r, at_full, old_abi, full, len) && is_full_name(full) &&
	       (!name || read_string(r, at_name, old_abi, name, len));
}

/* The short name is the last part of the full one: so these are a method's two names, and the layout is the
 * right one. */
static bool belong_together(const char *name, const char *full)
{
	const char *dot = strrchr(full, '.');

	return dot && !strcmp(dot + 1, name);
}

int rpc_method_name(enum rpc_layout layout, uint64_t method,
		    int (*read_mem)(void *ctx, uint64_t addr, void *buf, size_t len), void *ctx, char *buf,
		    size_t len)
{
	static const enum rpc_layout all[] = {RPC_LAYOUT_3_21, RPC_LAYOUT_2_5, RPC_LAYOUT_3_0};
	const struct reader r = {read_mem, ctx};
	char name[RPC_METHOD_LEN];

	if (len > sizeof(name))
		len = sizeof(name);
	if (layout != RPC_LAYOUT_UNKNOWN)
		return read_names(&r, layout, method, NULL, buf, len) ? 0 : -ENODATA;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (read_names(&r, all[i], method, name, buf, len) && belong_together(name, buf))
			return 0;
	return -ENODATA;
}
