// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where the debuginfo of a file is; every place looked at is kept for the message. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/elf_priv.h"

#define DEBUG_TREE "/usr/lib/debug"

struct search {
	const struct elf_file *f;
	struct elf_debug *out;
	char link[NAME_MAX + 1]; /* name in .gnu_debuglink; "" if there is none */
	uint32_t crc;
	size_t used; /* of out->reason */
};

const char *elf_debug_state_name(enum elf_debug_state s)
{
	static const char *const names[] = {"in the file", "found", "none", "mismatch"};

	return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

static void __attribute__((format(printf, 2, 3))) note(struct search *s, const char *fmt, ...)
{
	size_t room = sizeof(s->out->reason) - s->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->out->reason + s->used, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->used += (size_t)n < room ? (size_t)n : room - 1;
}

/* .gnu_debuglink: file name, NUL, padding to 4, CRC-32 of that file (GDB manual, "Separate Debug Files"). */
static void read_link(struct search *s)
{
	const Elf_Data *d = s->f->debuglink;
	size_t len, at;

	if (!d || !d->d_buf || d->d_size < 8)
		return;
	len = strnlen(d->d_buf, d->d_size);
	at = (len + 4) & ~3UL;
	if (!len || len > NAME_MAX || at + 4 > d->d_size || memchr(d->d_buf, '/', len))
		return;
	memcpy(s->link, d->d_buf, len);
	memcpy(&s->crc, (char *)d->d_buf + at, 4);
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t table[256], crc = ~0U;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int b = 0; b < 8; b++)
			table[i] = table[i] & 1 ? 0xedb88320U ^ (table[i] >> 1) : table[i] >> 1;
	}
	while (n--)
		crc = table[(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return ~crc;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* true: path is the debuginfo of s->f. Notes why not. */
static bool candidate(struct search *s, const char *path)
{
	const struct elf_file *f = s->f;
	struct elf_file *c = NULL;
	struct stat st;
	struct err e = {0};
	bool ok = false, alien = false;

	if (stat(path, &st) || !S_ISREG(st.st_mode)) {
		note(s, "%s: not there\n", path);
		return false;
	}
	if (same_file(path, f->path))
		return false;
	if (elf_file_open(&c, path, &e)) {
		note(s, "%s\n", e.msg);
		return false;
	}
	if (!c->has_debug_info) {
		note(s, "%s: has no .debug_info\n", path);
	} else if (f->build_id_len && c->build_id_len) {
		ok = f->build_id_len == c->build_id_len && !memcmp(f->build_id, c->build_id, f->build_id_len);
		alien = !ok;
		if (alien)
			note(s, "%s: build-id %s, but the file has %s\n", path, c->build_id_hex,
			     f->build_id_hex);
	} else if (s->link[0]) {
		ok = c->raw && crc32_of(c->raw, c->raw_size) == s->crc;
		alien = !ok;
		if (alien)
			note(s, "%s: its CRC is not the one in .gnu_debuglink\n", path);
	} else {
		note(s, "%s: neither a build-id nor a .gnu_debuglink tells whether it belongs to the file\n",
		     path);
	}
	elf_file_close(c);
	if (ok)
		s->out->state = ELF_DEBUG_FOUND;
	else if (alien && s->out->state == ELF_DEBUG_NONE)
		s->out->state = ELF_DEBUG_MISMATCH;
	else
		return false;
	snprintf(s->out->path, sizeof(s->out->path), "%s", path);
	return ok;
}

static bool __attribute__((format(printf, 2, 3))) tryf(struct search *s, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return n > 0 && (size_t)n < sizeof(path) && candidate(s, path);
}

static bool try_build_id(struct search *s, const char *tree)
{
	const char *hex = s->f->build_id_hex;

	return strlen(hex) > 2 && tryf(s, "%s/%.2s/%s.debug", tree, hex, hex + 2);
}

/* Beside the file, in root (target's mount namespace) or "". dir is the file's directory there. */
static bool try_beside(struct search *s, const char *root, const char *dir)
{
	const char *slash = !strcmp(dir, "/") ? "" : dir;

	if (s->link[0] &&
	    (tryf(s, "%s%s/%s", root, slash, s->link) || tryf(s, "%s%s/.debug/%s", root, slash, s->link)))
		return true;
	if (s->link[0] && dir[0] == '/' && tryf(s, "%s" DEBUG_TREE "%s/%s", root, slash, s->link))
		return true;
	return false;
}

static bool try_place(struct search *s, const char *given)
{
	char name[PATH_MAX], *base;
	struct stat st;

	if (stat(given, &st)) {
		note(s, "%s: %s\n", given, strerror(errno));
		return false;
	}
	if (S_ISREG(st.st_mode))
		return candidate(s, given);
	snprintf(name, sizeof(name), "%s", s->f->name);
	base = basename(name);
	if (try_build_id(s, given) || tryf(s, "%s/%s.debug", given, base) || tryf(s, "%s/%s", given, base))
		return true;
	if (s->link[0] && tryf(s, "%s/%s", given, s->link))
		return true;
	snprintf(name, sizeof(name), "%s/.build-id", given);
	if (try_build_id(s, name))
		return true;
	snprintf(name, sizeof(name), "%s/usr/lib/debug/.build-id", given);
	return !stat(name, &st) && try_build_id(s, name);
}

/* One place, or several with ':' between them. */
static bool try_given(struct search *s, const char *given)
{
	char *list, *save = NULL;
	struct stat st;
	bool ok = false;

	if (!strchr(given, ':') || !stat(given, &st))
		return try_place(s, given);
	list = strdup(given);
	for (char *p = list ? strtok_r(list, ":", &save) : NULL; p && !ok; p = strtok_r(NULL, ":", &save))
		ok = try_place(s, p);
	free(list);
	return ok;
}

static bool try_system(struct search *s)
{
	char name[PATH_MAX], real[PATH_MAX], tree[PATH_MAX];
	const char *root = s->f->root;

	snprintf(name, sizeof(name), "%s", s->f->name);
	if (try_beside(s, root, dirname(name)))
		return true;
	if (!root[0] && realpath(s->f->path, real) && strcmp(real, s->f->name) != 0 &&
	    try_beside(s, "", dirname(real)))
		return true;
	snprintf(tree, sizeof(tree), "%s" DEBUG_TREE "/.build-id", root);
	if (try_build_id(s, tree))
		return true;
	if (!root[0])
		return false;
	snprintf(name, sizeof(name), "%s", s->f->name);
	return try_beside(s, "", dirname(name)) || try_build_id(s, DEBUG_TREE "/.build-id");
}

void elf_find_debug(const struct elf_file *f, const char *debuginfo, struct elf_debug *ret)
{
	struct search s = {.f = f, .out = ret};

	memset(ret, 0, sizeof(*ret));
	ret->state = ELF_DEBUG_NONE;
	read_link(&s);
	if (debuginfo && try_given(&s, debuginfo))
		return;
	if (f->has_debug_info) {
		ret->state = ELF_DEBUG_SELF;
		snprintf(ret->path, sizeof(ret->path), "%s", f->path);
		return;
	}
	if (try_system(&s))
		return;
	if (!s.link[0] && !f->build_id_len)
		note(&s, "%s has neither a .gnu_debuglink nor a build-id to search by\n", f->name);
}
