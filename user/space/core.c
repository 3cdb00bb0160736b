// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A core as a space: its segments are the mappings, and what was not dumped comes from the files that were
 * mapped. */
#include <errno.h>
#include <fcntl.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/grow.h"
#include "space/space_priv.h"

static int add_map(struct space *s, struct proc_map m, const char *path, struct err *err)
{
	if (GROW(&s->maps.v, s->maps.n))
		return err_set(err, -ENOMEM, "out of memory");
	m.path = path ? strdup(path) : NULL;
	if (path && !m.path)
		return err_set(err, -ENOMEM, "out of memory");
	s->maps.v[s->maps.n++] = m;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct proc_map *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Segments have their permissions and no name, mapped files their names. gdb's gcore leaves out the segments
 * of code altogether: of these only the file tells.
 */
static int read_maps(struct space *s, struct err *err)
{
	const struct core_file *c = s->core;
	int rc = 0;

	for (size_t i = 0; !rc && i < c->n_seg; i++) {
		const struct core_segment *g = &c->seg[i];
		const struct core_mapped *f = core_mapped_at(c, g->start);
		struct proc_map m = {.start = g->start,
				     .end = g->end,
				     .offset = f ? f->offset + (g->start - f->start) : 0};

		m.perms = (g->flags & PF_R ? PROC_R : 0) | (g->flags & PF_W ? PROC_W : 0) |
			  (g->flags & PF_X ? PROC_X : 0);
		rc = add_map(s, m, f ? f->path : c->vdso && c->vdso == g->start ? "[vdso]" : NULL, err);
	}
	for (size_t i = 0; !rc && i < c->n_mapped; i++) {
		const struct core_mapped *f = &c->mapped[i];
		struct proc_map m = {.start = f->start, .end = f->end, .offset = f->offset, .perms = PROC_R};

		if (!core_segment_at(c, f->start) && !core_segment_at(c, f->end - 1))
			rc = add_map(s, m, f->path, err);
	}
	if (s->maps.n)
		qsort(s->maps.v, s->maps.n, sizeof(*s->maps.v), by_start);
	return rc;
}

void core_file_perms(struct space *s)
{
	for (size_t i = 0; i < s->maps.n; i++) {
		struct proc_map *m = &s->maps.v[i];
		struct space_module *o;
		uint64_t off;

		if (core_segment_at(s->core, m->start))
			continue;
		o = space_module_at(s, m->start);
		if (!o || !o->file)
			continue;
		if (!elf_vaddr_to_offset(o->file, m->start - o->bias, &off))
			m->perms = 0; /* a gap between segments */
		else if (elf_vaddr_is_code(o->file, m->start - o->bias))
			m->perms |= PROC_X;
	}
}

static int by_tid(const void *a, const void *b)
{
	const struct space_thread *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

int core_open(struct space *s, const char *path, struct err *err)
{
	const struct core_file *c;
	int rc = core_file_open(&s->core, path, err);

	if (rc)
		return rc;
	c = s->core;
	s->pid = c->pid;
	s->entry = c->entry;
	memcpy(s->comm, c->comm, sizeof(c->comm));
	s->thread = calloc(c->n_threads + 1, sizeof(*s->thread));
	if (!s->thread)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < c->n_threads; i++)
		s->thread[i] = (struct space_thread){.tid = c->thread[i].tid, .sp = c->thread[i].sp};
	s->n_threads = c->n_threads;
	qsort(s->thread, s->n_threads, sizeof(*s->thread), by_tid);
	return read_maps(s, err);
}

/* Bytes of the file behind a mapping that the core left out. */
static ssize_t read_file(const struct space *s, uint64_t addr, void *buf, size_t len)
{
	const struct core_mapped *f = core_mapped_at(s->core, addr);
	struct space_module *m = NULL;
	const uint8_t *from;
	uint64_t off;
	size_t size;

	for (size_t i = 0; f && i < s->n_modules; i++)
		if (addr >= s->module[i].start && addr < s->module[i].end &&
		    !strcmp(s->module[i].path, f->path))
			m = &s->module[i];
	if (!m || !m->file)
		return -EFAULT;
	off = f->offset + (addr - f->start);
	from = (const uint8_t *)elf_rawfile(elf_file_elf(m->file), &size);
	if (!from || off >= size)
		return -EFAULT;
	if (len > f->end - addr)
		len = f->end - addr;
	if (len > size - off)
		len = size - off;
	memcpy(buf, from + off, len);
	return (ssize_t)len;
}

uint64_t core_gap_end(const struct space *s, uint64_t addr)
{
	const struct core_segment *g = core_segment_at(s->core, addr);
	const struct core_mapped *f = core_mapped_at(s->core, addr);
	char c;

	/* up to the end of the file's part, which differs from the segment's if the file has got shorter */
	if (f && (!g || f->end < g->end))
		return f->end;
	if (g && addr - g->start >= g->dumped && (!f || read_file(s, addr, &c, 1) != 1))
		return g->end;
	return addr + 1;
}

static ssize_t read_some(const struct space *s, uint64_t addr, void *buf, size_t len)
{
	const struct core_segment *g = core_segment_at(s->core, addr);
	uint64_t at;
	ssize_t n;

	if (!g)
		return read_file(s, addr, buf, len);
	at = addr - g->start;
	if (len > g->end - addr)
		len = g->end - addr;
	if (at >= g->dumped)
		return read_file(s, addr, buf, len);
	if (len > g->dumped - at)
		len = g->dumped - at;
	do {
		n = pread(s->core->fd, buf, len, (off_t)(g->file_off + at));
	} while (n < 0 && errno == EINTR);
	return n > 0 ? n : -EFAULT;
}

ssize_t core_read(const struct space *s, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_some(s, addr + done, (char *)buf + done, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done || !len ? (ssize_t)done : -EFAULT;
}
