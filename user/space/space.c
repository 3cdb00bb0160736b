// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc/mem.h"
#include "space/space_priv.h"

#define WINDOW (1u << 20) /* bytes read at once: what fits the second-level cache is searched out of it */

static int open_common(struct space **ret, const char *binary, const char *debuginfo, struct err *err)
{
	struct space *s = calloc(1, sizeof(*s));

	*ret = NULL;
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->pagemap = -1;
	s->binary = binary ? strdup(binary) : NULL;
	s->debuginfo = debuginfo ? strdup(debuginfo) : NULL;
	if ((binary && !s->binary) || (debuginfo && !s->debuginfo)) {
		space_close(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = s;
	return 0;
}

static int finish(struct space **ret, struct space *s, int rc, struct err *err)
{
	if (!rc && modules_group(s))
		rc = err_set(err, -ENOMEM, "out of memory");
	*ret = rc ? NULL : s;
	if (rc)
		space_close(s);
	return rc;
}

int space_open_pid(struct space **ret, pid_t pid, const char *debuginfo, struct err *err)
{
	struct space *s;
	int rc = open_common(&s, NULL, debuginfo, err);

	*ret = NULL;
	if (rc)
		return rc;
	s->pid = pid;
	return finish(ret, s, live_open(s, err), err);
}

/* A binary that the user names must be the right one. */
static int check_binary(struct space *s, struct err *err)
{
	const char *why;

	if (space_exe(s, &why) || !s->binary)
		return 0;
	err_set(err, -EBADMSG, "%s", why);
	err_hint(err, "`readelf -n FILE` prints a build-id; --binary wants the very file that ran");
	return -EBADMSG;
}

int space_open_core(struct space **ret, const char *core, const char *binary, const char *debuginfo,
		    struct err *err)
{
	struct space *s;
	int rc = open_common(&s, binary, debuginfo, err);

	*ret = NULL;
	if (rc)
		return rc;
	rc = finish(&s, s, core_open(s, core, err), err);
	if (rc)
		return rc;
	rc = check_binary(s, err);
	if (rc) {
		space_close(s);
		return rc;
	}
	for (size_t i = 0; i < s->n_modules; i++)
		module_try(s, &s->module[i]);
	core_file_perms(s);
	*ret = s;
	return 0;
}

void space_close(struct space *s)
{
	if (!s)
		return;
	modules_close(s);
	core_file_close(s->core);
	if (s->pagemap >= 0)
		close(s->pagemap);
	proc_maps_deinit(&s->maps);
	free(s->thread);
	free(s->binary);
	free(s->debuginfo);
	free(s);
}

bool space_is_core(const struct space *s)
{
	return s->core != NULL;
}

pid_t space_pid(const struct space *s)
{
	return s->pid;
}

const char *space_comm(const struct space *s)
{
	return s->comm;
}

const struct proc_maps *space_maps(const struct space *s)
{
	return &s->maps;
}

bool space_readable(const struct proc_map *m)
{
	return (m->perms & PROC_R) && !(m->path && !strncmp(m->path, "[vvar", 5));
}

const struct space_thread *space_threads(const struct space *s, size_t *n)
{
	*n = s->n_threads;
	return s->thread;
}

pid_t space_crashed(const struct space *s)
{
	return s->core && s->core->n_threads && s->core->signal ? s->core->thread[0].tid : 0;
}

int space_signal(const struct space *s)
{
	return s->core ? s->core->signal : 0;
}

const struct space_thread *space_stack_at(const struct space *s, uint64_t addr)
{
	const struct proc_map *m = proc_maps_find(&s->maps, addr);

	for (size_t i = 0; m && i < s->n_threads; i++)
		if (s->thread[i].sp >= m->start && s->thread[i].sp < m->end)
			return &s->thread[i];
	return NULL;
}

ssize_t space_read(const struct space *s, uint64_t addr, void *buf, size_t len)
{
	return s->core ? core_read(s, addr, buf, len) : proc_mem_read(s->pid, addr, buf, len);
}

/* One walk: buf holds `carry` bytes of the window before, then what is read. */
struct walk {
	const struct space *s;
	uint8_t *buf;
	size_t overlap, carry;
	space_walk_fn fn;
	void *ctx;
	struct space_walked *w;
};

/* [pos, end), all of which should be readable. */
static int walk_run(struct walk *k, uint64_t pos, uint64_t end)
{
	while (pos < end) {
		size_t want = end - pos < WINDOW ? (size_t)(end - pos) : WINDOW;
		ssize_t got = space_read(k->s, pos, k->buf + k->carry, want);
		uint64_t next;
		size_t len;
		int rc;

		if (got == -ESRCH || got == -EPERM || got == -EACCES)
			return (int)got;
		if (got > 0) {
			len = k->carry + (size_t)got;
			k->w->bytes += (size_t)got;
			rc = k->fn(k->ctx, pos - k->carry, k->buf, len);
			if (rc)
				return rc;
			k->carry = len < k->overlap ? len : k->overlap;
			memmove(k->buf, k->buf + len - k->carry, k->carry);
			pos += (size_t)got;
		}
		if (got == (ssize_t)want)
			continue;
		k->carry = 0;
		next = (pos & ~(SPACE_PAGE - 1)) + SPACE_PAGE;
		/* a core may leave out terabytes */
		if (k->s->core && core_gap_end(k->s, pos) > next)
			next = core_gap_end(k->s, pos);
		if (next <= pos || next > end)
			next = end;
		k->w->unreadable += (next - pos + SPACE_PAGE - 1) / SPACE_PAGE;
		pos = next;
	}
	return 0;
}

/* Made of zeros until it is touched. */
static bool is_anonymous(const struct proc_map *m)
{
	if (m->inode || (m->perms & PROC_SHARED))
		return false;
	return !m->path || !strcmp(m->path, "[heap]") || !strncmp(m->path, "[stack", 6) ||
	       !strncmp(m->path, "[anon", 5);
}

/* One mapping, clipped to [start, end): of anonymous memory the touched pages only. */
static int walk_map(struct walk *k, const struct proc_map *m, uint64_t start, uint64_t end)
{
	uint64_t lo, hi;
	int rc = 0;

	if (k->s->core || !is_anonymous(m))
		return walk_run(k, start, end);
	while (!rc && start < end && live_touched(k->s, start, end, &lo, &hi)) {
		if (lo > start) {
			k->w->untouched += lo - start;
			k->carry = 0;
		}
		rc = walk_run(k, lo, hi);
		start = hi;
	}
	if (!rc && start < end) {
		k->w->untouched += end - start;
		k->carry = 0;
	}
	return rc;
}

int space_walk(const struct space *s, uint64_t start, uint64_t end, size_t overlap, space_walk_fn fn,
	       void *ctx, struct space_walked *walked)
{
	struct walk k = {.s = s,
			 .buf = malloc(WINDOW + overlap),
			 .overlap = overlap,
			 .fn = fn,
			 .ctx = ctx,
			 .w = walked};
	int rc = 0;

	if (!k.buf)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < s->maps.n; i++) {
		const struct proc_map *m = &s->maps.v[i];
		uint64_t lo = m->start > start ? m->start : start, hi = m->end < end ? m->end : end;

		if (i && s->maps.v[i - 1].end != m->start)
			k.carry = 0;
		if (lo >= hi)
			continue;
		if (space_readable(m))
			rc = walk_map(&k, m, lo, hi);
		else
			k.carry = 0;
	}
	free(k.buf);
	return rc;
}
